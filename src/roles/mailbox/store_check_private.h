/* The inside of struct store_check: store_check.c (what is asked, turns), store_check_folder.c (messages of folders),
 * store_check_content.c (their bytes), store_check_names.c. */
#pragma once
#include "base/arena.h"
#include "flag_block.h"
#include "store_check.h"
#include "store_folder.h"

#include <sodium.h>

/* A deleted folder's row is not kept up any more. */
#define IS_THERE "f.special NOT IN ('\\gone', '\\swept')"

/* Statements that are asked for single rows. */
enum check_sql { CHECK_FLAGS, CHECK_BLOCK, CHECK_BLOCKS, CHECK_KEYWORDS, CHECK_SIZE, CHECK_LOOSE, CHECK_EXTRA, CHECK_PIECES, CHECK_CHUNKS, CHECK_SQL_COUNT };

/* The folder whose messages come just now. */
struct check_folder {
    int64_t id; /* 0: none yet */
    struct folder_counts has, should; /* as its row says, as its messages say */
    int64_t last; /* uid */
    bool blocks; /* uid_block has all of it */
    int64_t keywords, block_count;
    struct uid_block block; /* as it should be */
    bool in_block;
    struct flag_block flags;
    int64_t flags_number; /* -1: none is known */
    bool has_flags;
};

struct store_check {
    struct db *db;
    int64_t account, version;
    unsigned what;
    size_t at;          /* in the list of what is asked */
    struct stmt *walk;  /* stands at a row between two steps */
    int64_t wrong;      /* rows of it */
    struct stmt *asked[CHECK_SQL_COUNT];
    struct check_folder folder;
    int64_t wrong_totals, wrong_contents, missing_pieces;
    bool has_inbox;
    /* Each message adds a number made of its content, each content takes them away: nothing is left when references are right. */
    unsigned char key[crypto_shorthash_KEYBYTES];
    uint64_t references;
    struct arena arena; /* of a tree */
    struct store_checked numbers;
};

/* Prepared once; the account is bound. */
struct stmt *check_ask(struct store_check *c, enum check_sql sql);
uint64_t check_reference(const struct store_check *c, int64_t content);
/* The number in its first row, `otherwise` without one. */
MUST_CHECK bool check_number(struct stmt *asked, int64_t otherwise, int64_t *value, struct err *err);
/* False, ERR_DAMAGED. */
bool check_found(struct err *err, const char *what);

/* One row each; false: it is wrong, or cannot be read. */
bool check_message(struct store_check *c, struct stmt *row, struct err *err);
bool check_messages_end(struct store_check *c, struct err *err);
bool check_use(struct store_check *c, struct stmt *row, struct err *err); /* of a content by a message, before those */
bool check_uses_end(struct store_check *c, struct err *err);
bool check_content(struct store_check *c, struct stmt *row, struct err *err);
bool check_contents_end(struct store_check *c, struct err *err);
bool check_tree(struct store_check *c, struct stmt *row, struct err *err);
bool check_flag_block(struct store_check *c, struct stmt *row, struct err *err);
bool check_folder_name(struct store_check *c, struct stmt *row, struct err *err);
bool check_folder_names_end(struct store_check *c, struct err *err);
bool check_keyword(struct store_check *c, struct stmt *row, struct err *err);
