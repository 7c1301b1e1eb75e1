/* An account's database for tests, alone or beside a plain model of it. */
#pragma once
#include "fault_vfs.h"
#include "roles/mailbox/store_private.h"
#include "scratch.h"
#include "sql_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern struct err world_err; /* of the call that failed last */

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, world_err.text);                                             \
    } while (0)

int world_setup(void **state);
int world_teardown(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

/* The database a.db of the test's folder. */
const char *world_path(void);
struct store *world_open(void);
void world_sync(struct store *s); /* commits, syncs, shows */
/* A message with these flags; returns its uid. The content's number is made anew each time. */
uint32_t world_add(struct store *s, struct folder *f, int64_t flags);
MUST_CHECK bool world_put(struct store *s, struct folder *f, int64_t flags, uint32_t *uid, struct err *err);
struct folder *world_folder(struct store *s, const char *name); /* made if need be */
int64_t world_count(struct store *s, const char *sql);
/* Everything that memory says is what the database says, and store_check finds nothing. Needs no open transaction. */
void world_check(struct store *s);
/* Each of these statements, run on a database that `begin` makes and that is right, leaves one that store_check refuses. */
void world_damages_are_found(struct store *(*begin)(void), const char *const *damages, size_t n);
