/* SQL that fails on demand, in programs that are linked with sql_faults_dep. */
#pragma once
#include <setjmp.h>
#include <stdbool.h>

/* The nth SQL call from now (begin and commit are such too) fails; 0: none. */
void world_fail_at(unsigned n);
bool world_failed(void); /* whether that happened */
/* The process dies at its nth SQL call: world_die_at, then (setjmp(world_death) == 0) ... */
void world_die_at(unsigned n);
extern jmp_buf world_death;
/* No commit is taken. */
void world_disk_full(bool full);
