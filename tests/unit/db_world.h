/* A database for the tests of the SQL interface, whichever driver is linked. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "db/db.h"
#include "scratch.h"

#define FIRST_STEP                                                                                 \
    "-- names\nCREATE TABLE thing (id @id, name TEXT NOT NULL UNIQUE, body @blob);\n"              \
    "CREATE TABLE pair (a BIGINT, b BIGINT, PRIMARY KEY (a, b)) @clustered;\n"                     \
    "CREATE INDEX thing_identity ON thing (name);\n"

extern const char *const one[1], *const two[2]; /* the schema at version 1 and 2 */
extern char folder[SCRATCH_MAX];
extern char path[SCRATCH_MAX + 20]; /* of the database */

void world_begin(void); /* the folder */
void world_end(void);
void remove_files(void);
int fresh(void **state);                     /* a setup: no database at `path` */
struct db *opened(enum db_sync sync);        /* at version 1 */
bool add(struct db *db, const char *name, struct err *err); /* a thing */
int64_t count(struct db *db, const char *sql); /* the number a query gives */
