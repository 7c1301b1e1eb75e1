/* The bytes of messages: pieces, references, structures. See store_check.h. */
#include "store_check_private.h"
#include "mime/part_blob.h"

#include <inttypes.h>

bool check_use(struct store_check *c, struct stmt *row, struct err *err)
{
    struct stmt *find = check_ask(c, CHECK_SIZE);
    int64_t size;

    stmt_int(find, column_int(row, 0));
    if (!check_number(find, -1, &size, err))
        return false;
    c->wrong_contents += size != column_int(row, 1);
    c->references += check_reference(c, column_int(row, 0));
    return true;
}

bool check_uses_end(struct store_check *c, struct err *err)
{
    return c->wrong_contents == 0 || err_set(err, ERR_DAMAGED, "%" PRId64 " messages without their content", c->wrong_contents);
}

/* How many messages use it, as the database counts. */
static bool count_uses(struct store_check *c, struct stmt *row, int64_t *uses, struct err *err)
{
    struct stmt *find;

    *uses = column_int(row, 3);
    if (c->version < 4)
        return true;
    find = check_ask(c, CHECK_EXTRA);
    stmt_int(find, column_int(row, 0));
    if (!check_number(find, 0, uses, err))
        return false;
    ++*uses;
    return true;
}

/* Pieces stand one behind the other. */
static bool count_pieces(struct store_check *c, int64_t content, int64_t *size, struct err *err)
{
    bool bodies = (c->what & CHECK_BODIES) != 0, fit = true;
    struct stmt *walk = check_ask(c, bodies ? CHECK_CHUNKS : CHECK_PIECES);

    stmt_int(walk, content);
    while (fit && stmt_row(walk)) {
        fit = column_int(walk, 0) == *size;
        *size += bodies ? (int64_t)column_str(walk, 1).n : column_int(walk, 1);
    }
    c->missing_pieces += !fit;
    return stmt_done(walk, err);
}

bool check_content(struct store_check *c, struct stmt *row, struct err *err)
{
    int64_t id = column_int(row, 0), size = column_int(row, 2), uses, loose;
    struct stmt *find = check_ask(c, CHECK_LOOSE);

    stmt_int(find, id);
    if (!check_number(find, 0, &loose, err))
        return false;
    if (loose != 0) /* still arriving, or to be swept */
        return true;
    if (!count_uses(c, row, &uses, err) || !count_pieces(c, id, &size, err))
        return false;
    c->references -= (uint64_t)uses * check_reference(c, id);
    c->missing_pieces += size != column_int(row, 1);
    c->numbers.contents++;
    return true;
}

bool check_contents_end(struct store_check *c, struct err *err)
{
    if (c->missing_pieces > 0)
        return err_set(err, ERR_DAMAGED, "%" PRId64 " contents with missing pieces", c->missing_pieces);
    return c->references == 0 || check_found(err, "contents with wrong references");
}

/* An empty one is not damaged: there was no room for it. */
bool check_tree(struct store_check *c, struct stmt *row, struct err *err)
{
    struct str tree = column_str(row, 0);
    bool sound = tree.n == 0 || mime_tree_unpack(tree, &c->arena) != NULL;

    arena_clear(&c->arena);
    return sound || check_found(err, "structures that are damaged");
}
