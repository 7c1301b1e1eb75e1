/* See dkim_rows.h. */
#include "dkim_rows.h"

#include <string.h>

const char *const dkim_state_words[] = {"waiting", "published", "active", "retired", "expired", "revoked", NULL};
const char *const dkim_record_words[] = {"", "ok", "missing", "other", "unknown", NULL};

static void copy_text(char *out, size_t size, struct str text)
{
    size_t n = text.n < size ? text.n : 0;

    if (n > 0)
        memcpy(out, text.p, n);
    out[n] = 0;
}

/* A state this program does not know neither signs nor is touched. */
static int word_or(const char *const *words, struct str word, int otherwise)
{
    int i = word_index(words, word);

    return i < 0 ? otherwise : i;
}

void dkim_rows_read(struct stmt *s, struct dkim_row *row)
{
    *row = (struct dkim_row){0};
    copy_text(row->selector, sizeof row->selector, column_str(s, 0));
    row->algorithm = str_eq(column_str(s, 1), str_of(dkim_algorithm_name(DKIM_ED25519_SHA256))) ? DKIM_ED25519_SHA256 : DKIM_RSA_SHA256;
    row->state = (enum dkim_state)word_or(dkim_state_words, column_str(s, 2), DKIM_REVOKED);
    copy_text(row->public, sizeof row->public, column_str(s, 3));
    row->by_hand = column_int(s, 4) != 0;
    row->made = column_int(s, 5);
    row->published = column_int(s, 6);
    row->used = column_int(s, 7);
    row->retired = column_int(s, 8);
    row->ended = column_int(s, 9);
    row->looked = column_int(s, 10);
    row->record = (enum dkim_record)word_or(dkim_record_words, column_str(s, 11), DKIM_NEVER_ASKED);
}

bool dkim_rows_get(struct store *store, struct str domain, struct dkim_rows *out, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_DKIM_OF_DOMAIN);

    out->n = 0;
    if (!name_set(&out->domain, domain))
        return true;
    stmt_str(s, domain);
    while (out->n < DKIM_ROWS_MAX && stmt_row(s))
        dkim_rows_read(s, &out->rows[out->n++]);
    return stmt_done(s, err);
}

static bool remove_row(struct store *store, struct str domain, const struct dkim_row *row, struct err *err)
{
    return store_run(store, SQL_DKIM_REMOVE, (struct str[]){domain, str_of(row->selector)}, 2, err);
}

static bool wipe(struct store *store, struct str domain, const struct dkim_row *row, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_DKIM_WIPE);

    stmt_str(s, domain);
    stmt_str(s, str_of(row->selector));
    stmt_blob(s, STR(""));
    return stmt_run(s, err);
}

static bool write_row(struct store *store, struct str domain, const struct dkim_row *row, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_DKIM_SET);

    stmt_str(s, domain);
    stmt_str(s, str_of(row->selector));
    stmt_str(s, str_of(dkim_state_words[row->state]));
    stmt_int(s, row->by_hand);
    stmt_int(s, row->published);
    stmt_int(s, row->used);
    stmt_int(s, row->retired);
    stmt_int(s, row->ended);
    stmt_int(s, row->looked);
    stmt_str(s, str_of(dkim_record_words[row->record]));
    if (!stmt_run(s, err))
        return false;
    return row->state < DKIM_EXPIRED || wipe(store, domain, row, err);
}

bool dkim_rows_put(struct store *store, const struct dkim_rows *rows, struct err *err)
{
    struct str domain = name_str(&rows->domain);

    for (size_t i = 0; i < rows->n; i++) {
        const struct dkim_row *row = &rows->rows[i];

        if (row->gone ? !remove_row(store, domain, row, err) : row->changed && !write_row(store, domain, row, err))
            return false;
    }
    return true;
}

bool dkim_rows_add(struct store *store, struct str domain, const struct dkim_row *row, struct str private, struct err *err)
{
    const int64_t times[] = {row->made, row->published, row->used, row->retired, row->ended, row->looked};
    struct stmt *s = store_stmt(store, SQL_DKIM_ADD);

    stmt_str(s, str_of(row->selector));
    stmt_str(s, str_of(dkim_algorithm_name(row->algorithm)));
    stmt_str(s, str_of(dkim_state_words[row->state]));
    stmt_str(s, str_of(row->public));
    stmt_int(s, row->by_hand);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        stmt_int(s, times[i]);
    stmt_str(s, str_of(dkim_record_words[row->record]));
    stmt_str(s, domain);
    stmt_blob(s, private);
    return stmt_run(s, err);
}

bool dkim_rows_private(struct store *store, struct str domain, struct str selector, struct buf *out, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_DKIM_PRIVATE);

    stmt_str(s, domain);
    stmt_str(s, selector);
    if (stmt_row(s))
        buf_add(out, column_str(s, 0));
    return stmt_done(s, err);
}

struct dkim_row *dkim_rows_find(struct dkim_rows *rows, struct str selector)
{
    for (size_t i = 0; i < rows->n; i++)
        if (str_eq(str_of(rows->rows[i].selector), selector))
            return &rows->rows[i];
    return NULL;
}

struct dkim_row *dkim_rows_active(struct dkim_rows *rows, enum dkim_algorithm algorithm)
{
    struct dkim_row *newest = NULL;

    for (size_t i = 0; i < rows->n; i++) {
        struct dkim_row *row = &rows->rows[i];

        if (row->state == DKIM_ACTIVE && row->algorithm == algorithm && (newest == NULL || row->used >= newest->used))
            newest = row;
    }
    return newest;
}
