/* Folders get new names, with all below them. See store_folder.h.
 *
 * A name may be that of no folder at all, and stand only above others: these are renamed then. */
#include "store_private.h"

static bool is_below(struct str name, struct str above)
{
    return name.n > above.n && str_starts(name, above) && name.p[above.n] == '/';
}

bool store_folder_collides(struct store *s, struct str from, struct str to)
{
    struct buf name;
    bool collides = false;

    buf_init(&name, 1 << 20);
    for (struct folder *f = NULL; !collides && (f = store_folder_next(s, f)) != NULL;) {
        if (!is_below(f->name, from))
            continue;
        buf_reset(&name);
        buf_add(&name, to);
        buf_add(&name, str_skip(f->name, from.n));
        collides = store_folder_find(s, buf_str(&name)) != NULL;
    }
    buf_clear(&name);
    return collides;
}

static bool rename_one(struct store *s, struct folder *f, struct str from, struct str to, struct err *err)
{
    struct buf name;
    bool done;

    buf_init(&name, 1 << 20);
    buf_add(&name, to);
    buf_add(&name, str_skip(f->name, from.n));
    folder_touch(s, f);
    done = folder_write_name(s, f, buf_str(&name), f->special, err);
    if (done) {
        if (f->committed_name.p == NULL)
            f->committed_name = f->name;
        else
            str_free(&f->name);
        f->name = str_dup(buf_str(&name));
    }
    buf_clear(&name);
    return done;
}

/* Some folder above it, at or below `top`, is there. */
static bool goes_along(struct store *s, struct str name, struct str top)
{
    for (size_t k = top.n; k < name.n; k++)
        if (name.p[k] == '/' && store_folder_find(s, str_sub(name, 0, k)) != NULL)
            return true;
    return false;
}

/* One event for what goes along with the one above it (RFC 5465, section 5.4). Above ones are in their places before those below. */
static void note(struct store *s, const struct folder *f, struct str from, struct str to)
{
    struct buf was;

    if (goes_along(s, f->name, to))
        return;
    buf_init(&was, 1 << 20);
    buf_add(&was, from);
    buf_add(&was, str_skip(f->name, to.n));
    events_add(s, STORE_RENAMED, f, buf_str(&was));
    buf_clear(&was);
}

bool store_folder_rename(struct store *s, struct str name, struct str to, struct err *err)
{
    struct str from = str_dup(name);
    struct list moved;
    struct folder *near = NULL;
    bool done = true;

    s->names++;
    list_init(&moved);
    for (struct folder *f = NULL, *next = store_folder_next(s, NULL); (f = next) != NULL && done;) {
        next = store_folder_next(s, f);
        if (!str_eq(f->name, from) && !is_below(f->name, from))
            continue;
        done = rename_one(s, f, from, to, err);
        folder_take_out(s, f);
        list_add_last(&moved, &f->link);
    }
    for (struct link *it; (it = list_first(&moved)) != NULL;) {
        struct folder *f = CONTAINER(it, struct folder, link);

        list_remove(it);
        folder_put_in_order(s, f, near);
        near = f;
        if (done)
            note(s, f, from, to);
    }
    str_free(&from);
    return done;
}
