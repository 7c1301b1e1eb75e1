/* What a driver gives to migrate.c, what words.c gives to a driver, and nobody else. */
#pragma once
#include "base/buf.h"
#include "db/db.h"

/* Whether the database holds a table of this name. */
MUST_CHECK bool driver_has_table(struct db *db, const char *name, bool *found, struct err *err);
/* Runs the text of a schema file, its @words replaced for this driver. */
MUST_CHECK bool driver_run_schema(struct db *db, const char *text, struct err *err);

/* What a driver says for @id, @blob, @clustered and @like. */
struct driver_words {
    const char *id, *blob, *clustered, *like;
};
/* The text with these in the place of the words; to be freed. */
char *driver_translate(const char *text, const struct driver_words *words);
