/* An account's database beside a plain model of it: folders come, go and are renamed, messages are added, copied, flagged
 * and removed, transactions are committed, synced, rolled back, fail at some statement, or are lost with the process;
 * after each step both say the same, and what a client may be told never goes back.
 *
 * STORE_SEEDS=100 STORE_FIRST=1 runs that many seeds, with more steps. */
#include "store_model.h"
#include "db/db.h"

enum { STEPS = 400 };

/* What a client was told of a folder, by its number. */
struct told {
    int64_t uidnext, modseq;
};

struct model now;
struct store *s;
int64_t highest_modseq;
static struct model committed, durable;
static struct told told[10000];
static int64_t highest_id; /* of what was committed */
static uint64_t state_of_chance;
static bool dirty; /* a transaction is open */

uint64_t chance(uint64_t below)
{
    state_of_chance ^= state_of_chance >> 12;
    state_of_chance ^= state_of_chance << 25;
    state_of_chance ^= state_of_chance >> 27;
    return (state_of_chance * UINT64_C(2685821657736338717) >> 16) % below;
}

static const char *const names[] = {"a", "a/b", "a/b/c", "a b", "a-b", "b", "b/b", "b/c/d", "c", "Sent/2", "d/a", "d", "e/f/g/h"};

static struct m_folder *find(const char *name)
{
    for (size_t i = 0; i < now.n; i++)
        if (strcmp(now.folders[i].name, name) == 0)
            return &now.folders[i];
    return NULL;
}

struct m_folder *pick(void)
{
    return &now.folders[chance(now.n)];
}

struct folder *real(const struct m_folder *m)
{
    struct folder *f = store_folder_find(s, str_of(m->name));

    assert_non_null(f);
    assert_int_equal(f->id, m->id);
    return f;
}

/* ---- what is changed ---- */

static bool create(void)
{
    const char *name = names[chance(sizeof names / sizeof *names)];
    struct folder *f;
    struct m_folder *m = &now.folders[now.n];

    if (find(name) != NULL || now.n >= FOLDERS)
        return true;
    if (!store_folder_create(s, str_of(name), STR(""), &f, &err))
        return false;
    assert_true(f->id > highest_id);
    for (size_t i = 0; i < now.n; i++)
        assert_true(f->uidvalidity > now.folders[i].uidvalidity);
    memset(m, 0, sizeof *m);
    snprintf(m->name, sizeof m->name, "%s", name);
    m->id = f->id;
    m->uidvalidity = f->uidvalidity;
    m->uidnext = 1;
    now.n++;
    return true;
}

static bool is_of_tree(const char *name, const char *top)
{
    size_t n = strlen(top);

    return strncmp(name, top, n) == 0 && (name[n] == 0 || name[n] == '/');
}

static bool rename_tree(void)
{
    struct m_folder *m = pick();
    const char *to = names[chance(sizeof names / sizeof *names)];
    char from[100], name[250];
    bool collides = false;

    if (m->id == STORE_INBOX || find(to) != NULL || is_of_tree(to, m->name))
        return true;
    memcpy(from, m->name, sizeof from);
    for (size_t i = 0; i < now.n; i++) {
        snprintf(name, sizeof name, "%s%s", to, now.folders[i].name + (is_of_tree(now.folders[i].name, from) ? strlen(from) : 0));
        collides |= is_of_tree(now.folders[i].name, from) && (find(name) != NULL || strlen(name) > 60);
    }
    if (collides)
        return true;
    assert_false(store_folder_collides(s, real(m)->name, str_of(to)));
    if (!store_folder_rename(s, real(m)->name, str_of(to), &err))
        return false;
    for (size_t i = 0; i < now.n; i++)
        if (is_of_tree(now.folders[i].name, from)) {
            snprintf(name, sizeof name, "%s%s", to, now.folders[i].name + strlen(from));
            memcpy(now.folders[i].name, name, sizeof now.folders[i].name);
        }
    return true;
}

static bool delete(void)
{
    struct m_folder *m = pick();
    struct folder *f = real(m);

    if (m->id == STORE_INBOX || now.n < 4 || f->watchers > 0)
        return true;
    if (!store_folder_delete(s, f, &err))
        return false;
    *m = now.folders[--now.n];
    return true;
}

static bool give_keywords(struct folder *f, struct m_message *m, int64_t *flags, struct buf *more)
{
    size_t n = chance(20) == 0 ? KEYWORDS : chance(3);

    memset(m->keywords, 0, sizeof m->keywords);
    *flags &= (1 << STORE_KEYWORD_SHIFT) - 1;
    buf_reset(more);
    for (size_t i = 0; i < n; i++) {
        size_t k = chance(KEYWORDS);
        char name[20];
        int slot;

        snprintf(name, sizeof name, chance(2) ? "Word%zu" : "word%zu", k);
        if (!store_keyword(s, f, str_of(name), true, &slot, &err))
            return false;
        store_set_keyword(flags, more, slot, true);
        m->keywords[k] = true;
    }
    return true;
}

static int64_t contents;

static bool add(void)
{
    struct m_folder *m = pick();
    struct m_message *message = &m->messages[m->n];
    int64_t content = ++contents;
    struct store_new n = {.content = content, .size = content % 9, .received = content, .flags = (int64_t)chance(32)};
    struct buf more;
    uint32_t uid;
    bool done;

    if (m->n == MESSAGES)
        return true;
    buf_init(&more, 1000);
    done = give_keywords(real(m), message, &n.flags, &more);
    n.more = buf_str(&more);
    done = done && store_put(s, n.content, str_from("abcdefghijkl", (size_t)n.size), &err) &&
           store_message_add(s, real(m), &n, &uid, &err);
    buf_clear(&more);
    if (!done)
        return false;
    assert_int_equal(uid, m->uidnext);
    message->uid = uid;
    message->flags = n.flags & 0xff;
    message->modseq = store_modseq(s);
    message->content = n.content;
    m->uidnext++;
    m->n++;
    return true;
}

static bool copy(void)
{
    struct m_folder *from = pick(), *to = pick();
    struct m_message *m;
    uint32_t uid;
    bool found;

    if (from->n == 0 || to->n == MESSAGES)
        return true;
    m = &from->messages[chance(from->n)];
    if (!store_message_copy(s, real(from), m->uid, real(to), &uid, &found, &err))
        return false;
    assert_true(found);
    assert_int_equal(uid, to->uidnext);
    to->messages[to->n] = *m;
    to->messages[to->n].uid = uid;
    to->messages[to->n].modseq = store_modseq(s);
    to->n++;
    to->uidnext++;
    return true;
}

static bool flag(void)
{
    struct m_folder *f = pick();
    struct m_message *m, changed_to;
    struct store_message is;
    struct buf more;
    int64_t flags;
    bool found, changed = false, done;

    if (f->n == 0)
        return true;
    m = &f->messages[chance(f->n)];
    if (!store_message_get(s, real(f), m->uid, &is, &found, &err))
        return false;
    assert_true(found);
    changed_to = *m;
    flags = changed_to.flags = (int64_t)chance(32);
    buf_init(&more, 1000);
    done = give_keywords(real(f), &changed_to, &flags, &more) &&
           store_message_flags(s, real(f), &is, flags, buf_str(&more), &changed, &err);
    buf_clear(&more);
    if (!done)
        return false;
    if (changed)
        changed_to.modseq = store_modseq(s);
    *m = changed_to;
    return true;
}

static bool expunge(void)
{
    struct m_folder *f = pick();
    size_t i;
    bool found;

    if (f->n == 0)
        return true;
    i = chance(f->n);
    if (!store_message_expunge(s, real(f), f->messages[i].uid, &found, &err))
        return false;
    assert_true(found);
    memmove(&f->messages[i], &f->messages[i + 1], (f->n - i - 1) * sizeof f->messages[0]);
    f->n--;
    return true;
}

static bool sweep(void)
{
    bool more;

    return store_sweep(s, &more, &err);
}

static bool new_modseq(void)
{
    int64_t before = store_modseq(s);

    assert_true(store_new_modseq(s) > before);
    return true;
}

/* ---- looking ---- */

struct walk {
    const struct m_folder *m;
    struct folder *f;
    int64_t since;
    size_t at;
};

static bool compare_message(void *arg, const struct store_message *is)
{
    struct walk *w = arg;
    const struct m_message *m;

    while (w->at < w->m->n && w->m->messages[w->at].modseq <= w->since)
        w->at++;
    assert_true(w->at < w->m->n);
    m = &w->m->messages[w->at++];
    assert_int_equal(is->uid, m->uid);
    assert_int_equal(is->flags & 0xff, m->flags);
    assert_int_equal(is->modseq, m->modseq);
    assert_int_equal(is->content, m->content);
    assert_int_equal(is->size, m->content % 9);
    for (size_t slot = 0; slot < w->f->keyword_count; slot++) {
        char name[20];
        size_t k;

        snprintf(name, sizeof name, "%.*s", STR_ARG(w->f->keywords[slot]));
        k = strtoul(name + 4, NULL, 10);
        assert_int_equal(store_has_keyword(is->flags, is->more, (int)slot), m->keywords[k]);
    }
    return true;
}

static void compare_folder(const struct m_folder *m)
{
    struct folder_counts sum = {.uidnext = m->uidnext, .messages = (int64_t)m->n};
    struct walk w = {.m = m, .f = real(m), .since = chance(2) ? -1 : highest_modseq - (int64_t)chance(20)};

    for (size_t i = 0; i < m->n; i++) {
        int64_t size = m->messages[i].content % 9;
        bool deleted = m->messages[i].flags & STORE_TO_DELETE;

        sum.bytes += size;
        sum.unseen += !(m->messages[i].flags & STORE_SEEN);
        sum.deleted += deleted;
        sum.deleted_bytes += deleted ? size : 0;
        if (w.f->uids_loaded)
            assert_true(uid_set_has(&w.f->uids, m->messages[i].uid));
    }
    if (w.f->uids_loaded)
        assert_int_equal(w.f->uids.count, m->n);
    assert_int_equal(w.f->uidvalidity, m->uidvalidity);
    assert_int_equal(w.f->now.uidnext, sum.uidnext);
    assert_int_equal(w.f->now.messages, sum.messages);
    assert_int_equal(w.f->now.bytes, sum.bytes);
    assert_int_equal(w.f->now.unseen, sum.unseen);
    assert_int_equal(w.f->now.deleted, sum.deleted);
    assert_int_equal(w.f->now.deleted_bytes, sum.deleted_bytes);
    OK(store_messages_walk(s, w.f, 1, UINT32_MAX, w.since, compare_message, &w, &err));
    while (w.at < m->n && m->messages[w.at].modseq <= w.since)
        w.at++;
    assert_int_equal(w.at, m->n);
}

/* What is shown is what the model had at the last sync; what was told never goes back. */
static void compare_shown(const struct folder *f)
{
    const struct m_folder *m = NULL;

    for (size_t i = 0; i < durable.n; i++)
        if (durable.folders[i].id == f->id)
            m = &durable.folders[i];
    if (m == NULL || !f->is_shown)
        return;
    assert_int_equal(f->shown.count, m->n);
    for (size_t i = 0; i < m->n; i++)
        assert_true(uid_set_has(&f->shown, m->messages[i].uid));
    assert_int_equal(f->durable.uidnext, m->uidnext);
    assert_int_equal(f->durable.messages, m->n);
    assert_true(f->id < (int64_t)(sizeof told / sizeof *told));
    assert_true(f->durable.uidnext >= told[f->id].uidnext);
    assert_true(f->shown_modseq >= told[f->id].modseq);
    told[f->id] = (struct told){f->durable.uidnext, f->shown_modseq};
}

static void compare_all(void)
{
    assert_int_equal(store_folder_count(s), now.n);
    for (size_t i = 0; i < now.n; i++)
        compare_folder(&now.folders[i]);
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        compare_shown(f);
    if (!store_in_transaction(s))
        world_check(s);
}

/* ---- steps ---- */

static void note_committed(void)
{
    committed = now;
    for (size_t i = 0; i < now.n; i++) {
        const struct folder *f = real(&now.folders[i]);

        if (f->id > highest_id)
            highest_id = f->id;
        if (f->now.modseq > highest_modseq)
            highest_modseq = f->now.modseq;
    }
    dirty = false;
}

static void commit(bool may_fail)
{
    world_fail_at(may_fail ? 1 + (unsigned)chance(20) : 0);
    if (store_commit(s, &err)) {
        note_committed();
    } else {
        assert_true(world_failed());
        now = committed;
        dirty = false;
    }
    world_fail_at(0);
}

static void roll_back(void)
{
    store_rollback(s);
    now = committed;
    dirty = false;
}

static void change(bool may_fail)
{
    static bool (*const changes[])(void) = {create, rename_tree, delete, add, add, add, add, copy, copy, flag, flag, flag_many,
        flag_many, copy_many, copy_many, expunge, expunge, sweep, sweep, new_modseq};
    bool done;

    OK(store_begin(s, &err));
    dirty = true;
    world_fail_at(may_fail ? 1 + (unsigned)chance(12) : 0);
    done = changes[chance(sizeof changes / sizeof *changes)]();
    assert_true(done || world_failed());
    world_fail_at(0);
    if (!done)
        roll_back();
}

static void synced(void)
{
    commit(false);
    OK(store_sync(s, &err));
    store_synced(s);
    durable = committed;
}

/* A folder that was watched when its creation was rolled back is in no store any more, and must be let go all the same. */
static struct folder *watched[4096];
static size_t watched_count;

static void watch_or_not(void)
{
    struct folder *f = real(pick());

    if (f->watchers == 0 && watched_count < sizeof watched / sizeof *watched) {
        OK(store_folder_watch(s, f, false, &err));
        watched[watched_count++] = f;
        return;
    }
    for (size_t i = 0; i < watched_count; i++)
        if (watched[i] == f) {
            store_folder_unwatch(f);
            watched[i] = watched[--watched_count];
            return;
        }
}

static void nobody_watches(void)
{
    while (watched_count > 0)
        store_folder_unwatch(watched[--watched_count]);
}

/* The sessions end; the process ends, or is killed. */
static void restart(void)
{
    nobody_watches();
    if (chance(2))
        commit(false);
    store_close(s);
    now = committed;
    dirty = false;
    s = world_open();
}

static void step(void)
{
    uint64_t what = chance(100);

    if (what < 70)
        change(what < 8);
    else if (what < 78)
        commit(what < 72);
    else if (what < 86)
        synced();
    else if (what < 90)
        roll_back();
    else if (what < 96)
        watch_or_not();
    else if (what < 98)
        restart();
    else if (!dirty)
        OK(store_folder_load(s, real(pick()), &err));
}

static void take_first_folders(void)
{
    now.n = 0;
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL; now.n++) {
        struct m_folder *m = &now.folders[now.n];

        memset(m, 0, sizeof *m);
        snprintf(m->name, sizeof m->name, "%.*s", STR_ARG(f->name));
        m->id = f->id;
        m->uidvalidity = f->uidvalidity;
        m->uidnext = f->now.uidnext;
    }
}

static void run(uint64_t seed, unsigned steps)
{
    state_of_chance = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 0; i < 16; i++)
        chance(2);
    memset(told, 0, sizeof told);
    highest_id = highest_modseq = 0;
    s = world_open();
    OK(db_exec(s->db, "UPDATE folder SET uidnext = 1014 WHERE id = 1", &err)); /* the next block is near */
    store_close(s);
    s = world_open();
    take_first_folders();
    note_committed();
    durable = committed;
    for (unsigned i = 0; i < steps; i++) {
        step();
        compare_all();
    }
    store_rollback(s);
    now = committed;
    compare_all();
    nobody_watches();
    store_close(s);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void the_database_is_what_the_model_is(void **state)
{
    uint64_t seeds = from_environment("STORE_SEEDS", 0), first = from_environment("STORE_FIRST", 1);

    for (uint64_t seed = first; seed < first + (seeds == 0 ? 2 : seeds); seed++) {
        print_message("seed %lu\n", (unsigned long)seed);
        run(seed, seeds == 0 ? STEPS : 5 * STEPS);
        world_teardown(state);
        world_setup(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_database_is_what_the_model_is),
    };

    db_exclude_others();
    fault_install();
    return cmocka_run_group_tests_name("store_model", tests, NULL, NULL);
}
