#include "store_world.h"

struct err world_err;
static char folder[SCRATCH_MAX];
static int64_t contents;

int world_setup(void **state)
{
    (void)state;
    scratch_make(folder, "store_test");
    fault_at(0, false);
    return 0;
}

int world_teardown(void **state)
{
    (void)state;
    fault_at(0, false);
    scratch_remove(folder);
    return 0;
}

const char *world_path(void)
{
    static char path[SCRATCH_MAX + 20];

    snprintf(path, sizeof path, "%s/a.db", folder);
    return path;
}

struct store *world_open(void)
{
    struct store *s;

    OK(store_open(&s, world_path(), 7, 0, &world_err));
    return s;
}

void world_sync(struct store *s)
{
    OK(store_commit(s, &world_err));
    OK(store_sync(s, &world_err));
    store_synced(s);
}

bool world_put(struct store *s, struct folder *f, int64_t flags, uint32_t *uid, struct err *err)
{
    int64_t content = ++contents;
    struct store_new n = {.content = content, .size = 5 + content % 7, .received = content, .flags = flags};

    return store_put(s, n.content, str_from("abcdefghijkl", (size_t)n.size), err) && store_message_add(s, f, &n, uid, err);
}

uint32_t world_add(struct store *s, struct folder *f, int64_t flags)
{
    uint32_t uid;

    OK(world_put(s, f, flags, &uid, &world_err));
    return uid;
}

struct folder *world_folder(struct store *s, const char *name)
{
    struct folder *f = store_folder_find(s, str_of(name));

    if (f == NULL)
        OK(store_folder_create(s, str_of(name), STR(""), &f, &world_err));
    return f;
}

int64_t world_count(struct store *s, const char *sql)
{
    struct stmt *count = stmt_new(s->db, sql);
    int64_t n;

    n = stmt_row(count) ? column_int(count, 0) : -1;
    OK(stmt_done(count, &world_err));
    stmt_free(count);
    return n;
}

void world_damages_are_found(struct store *(*begin)(void), const char *const *damages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct store *s = begin();

        OK(store_commit(s, &world_err));
        world_check(s);
        OK(db_exec(s->db, damages[i], &world_err));
        store_close(s);
        s = world_open();
        if (store_check(s, &world_err))
            fail_msg("not found: %s", damages[i]);
        store_close(s);
        world_teardown(NULL);
        world_setup(NULL);
    }
}

/* ---- memory and database ---- */

static void same_counts(const struct folder *f, const struct folder_counts *a, const struct folder_counts *b)
{
    if (memcmp(a, b, sizeof *a) != 0)
        fail_msg("folder %.*s: memory and database differ", STR_ARG(f->name));
}

static void same_uids(struct folder *f, const struct uid_set *should)
{
    assert_int_equal(f->uids.count, should->count);
    assert_int_equal(f->uids.n, should->n);
    for (size_t i = 0; i < should->n; i++) {
        assert_int_equal(f->uids.blocks[i].unseen, should->blocks[i].unseen);
        assert_memory_equal(f->uids.blocks[i].bits, should->blocks[i].bits, sizeof f->uids.blocks[i].bits);
    }
}

static void compare(struct folder *f, struct store *fresh)
{
    struct folder *other = store_folder_by_id(fresh, f->id);

    if (other == NULL || !str_eq(other->name, f->name) || !str_eq(other->special, f->special))
        fail_msg("folder %.*s is not in the database", STR_ARG(f->name));
    assert_int_equal(f->uidvalidity, other->uidvalidity);
    same_counts(f, &f->now, &f->committed);
    same_counts(f, &f->now, &other->now);
    assert_int_equal(f->keyword_count, other->keyword_count);
    for (size_t i = 0; i < f->keyword_count; i++)
        assert_true(str_eq(f->keywords[i], other->keywords[i]));
    if (!f->uids_loaded)
        return;
    OK(store_folder_load(fresh, other, &world_err));
    same_uids(f, &other->uids);
}

void world_check(struct store *s)
{
    struct store *fresh;

    assert_false(store_in_transaction(s));
    OK(store_check(s, &world_err));
    fresh = world_open();
    assert_int_equal(store_folder_count(s), store_folder_count(fresh));
    for (struct folder *f = NULL, *before = NULL; (f = store_folder_next(s, f)) != NULL; before = f) {
        compare(f, fresh);
        assert_true(before == NULL || f->id != before->id);
    }
    store_close(fresh);
}
