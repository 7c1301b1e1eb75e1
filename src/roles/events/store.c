#include "store.h"
#include "0001.sql.h"
#include "0002.sql.h"
#include "0003.sql.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/folder.h"
#include "db/db.h"
#include "due.h"
#include "received.h"
#include "results.h"
#include "tls_results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PRUNE_STEP = 500, PATH_ROOM = 4096, PATH_MOST = PATH_ROOM - 32 };

struct store {
    struct db *db;
    struct stmt *add, *mention, *find, *has, *walk, *bound, *prune_events, *prune_mentions;
    struct results *results;
    struct due *due;
    struct received *received;
    struct tls_results *tls_results;
    struct buf key;
};

bool store_open(struct store **store, const char *path, struct err *err)
{
    static const char *const steps[] = {schema_events_0001, schema_events_0002, schema_events_0003};
    struct store *s = xcalloc(1, sizeof *s);

    buf_init(&s->key, IPC_ADDRESS + 1);
    if (!db_open(&s->db, path, DB_SYNC_LATER, 10000, err) || !db_migrate(s->db, steps,
        sizeof steps / sizeof *steps, err)) {
        store_close(s);
        return false;
    }
    s->add = stmt_new(s->db, "INSERT INTO event (message, time, kind, rcpt, sender, message_id, details) "
                             "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING");
    s->mention = stmt_new(s->db, "INSERT INTO mention (message, key) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    s->find = stmt_new(s->db,
        "SELECT message FROM mention WHERE key = $1 AND message >= $2 ORDER BY message DESC LIMIT "
        "$3");
    s->has = stmt_new(s->db, "SELECT message FROM event WHERE message = $1 LIMIT 1");
    s->walk = stmt_new(s->db, "SELECT time, kind, rcpt, sender, message_id, details FROM event WHERE message = $1 "
                              "AND (time, kind, rcpt) > ($2, $3, $4) ORDER BY time, kind, rcpt LIMIT $5");
    s->bound = stmt_new(s->db, "SELECT message FROM event WHERE message < $1 ORDER BY message LIMIT 1 OFFSET $2");
    s->prune_events = stmt_new(s->db, "DELETE FROM event WHERE message < $1");
    s->prune_mentions = stmt_new(s->db, "DELETE FROM mention WHERE message < $1");
    s->results = results_new(s->db);
    s->due = due_new(s->db);
    s->received = received_new(s->db);
    s->tls_results = tls_results_new(s->db);
    *store = s;
    return true;
}

struct due *store_due(struct store *s)
{
    return s->due;
}

struct received *store_received(struct store *s)
{
    return s->received;
}

static bool move_aside(const char *path, const char *end, struct err *err)
{
    char from[PATH_ROOM], to[PATH_ROOM];

    snprintf(from, sizeof from, "%.*s%s", PATH_MOST, path, end);
    snprintf(to, sizeof to, "%.*s.damaged%s", PATH_MOST, path, end);
    if (rename(from, to) == 0 || (errno == ENOENT && (unlink(to) == 0 || errno == ENOENT)))
        return true;
    return err_set(err, ERR_TEMPORARY, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
}

/* The log first: should the power go in between, what is left is an old file without its newest commits, which is
 * found to be damaged again; a new file must never meet the old log. */
bool store_set_aside(const char *path, struct err *err)
{
    char index[PATH_ROOM];

    snprintf(index, sizeof index, "%.*s-shm", PATH_MOST, path);
    if (unlink(index) != 0 && errno != ENOENT)
        return err_set(err, ERR_TEMPORARY, "%s: cannot be removed: %s", index, strerror(errno));
    return move_aside(path, "-wal", err) && folder_sync_parent(path, err) && move_aside(path, "", err) &&
           folder_sync_parent(path, err);
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    results_free(s->results);
    due_free(s->due);
    received_free(s->received);
    tls_results_free(s->tls_results);
    db_close(s->db);
    buf_clear(&s->key);
    free(s);
}

/* The smallest queue id of a message made at that time (base/msgid.h). */
static int64_t first_id(int64_t time)
{
    static const int64_t epoch = INT64_C(1577836800) * SECOND;

    return time <= epoch ? 0 : (int64_t)((uint64_t)((time - epoch) / 1000) << 22);
}

/* An event without a message (refused at the door) is its own story; the same one told again gets the
 * same number. */
static int64_t message_of(const struct msg_event *e)
{
    uint64_t mark;

    if (e->message != 0 && e->message <= INT64_MAX)
        return (int64_t)e->message;
    mark = (uint64_t)e->time * 31 + str_stable_hash(e->sender) * 7 + str_stable_hash(e->rcpt);
    return first_id(e->time) | (int64_t)(mark & 0x3fffff);
}

/* As people write it to what is compared. */
static struct str key_of(struct store *s, struct str text)
{
    text = str_trim(text);
    if (text.n >= 2 && text.p[0] == '<' && text.p[text.n - 1] == '>')
        text = str_sub(text, 1, text.n - 1);
    buf_reset(&s->key);
    for (size_t i = 0; i < text.n; i++)
        buf_add_char(&s->key, ascii_lower(text.p[i]));
    return buf_str(&s->key);
}

static bool add_mention(struct store *s, int64_t message, struct str text, struct err *err)
{
    struct str key = key_of(s, text);

    if (key.n == 0)
        return true;
    stmt_int(s->mention, message);
    stmt_str(s->mention, key);
    return stmt_run(s->mention, err);
}

static bool begins_story(uint64_t kind)
{
    return kind == EVENT_ACCEPTED || kind == EVENT_REJECTED || kind == EVENT_BOUNCED;
}

static bool insert(struct store *s, int64_t message, const struct msg_event *e, bool *added, struct err *err)
{
    bool first = begins_story(e->kind);
    int64_t changed = 0;

    stmt_int(s->add, message);
    stmt_int(s->add, e->time);
    stmt_int(s->add, (int64_t)(e->kind & INT64_MAX));
    stmt_str(s->add, e->rcpt);
    stmt_str(s->add, first ? e->sender : STR(""));
    stmt_str(s->add, first ? e->message_id : STR(""));
    stmt_str(s->add, e->details);
    if (!stmt_run_count(s->add, &changed, err))
        return false;
    *added = changed > 0;
    return true;
}

bool store_add(struct store *s, const struct msg_event *e, bool *added, struct err *err)
{
    int64_t message = message_of(e);

    if (!db_in_transaction(s->db) && !db_begin(s->db, err))
        return false;
    if (e->kind == EVENT_DMARC)
        return results_add(s->results, e, added, err);
    if (e->kind == EVENT_REPORT)
        return received_add(s->received, e, added, err);
    if (e->kind == EVENT_TLS)
        return tls_results_add(s->tls_results, e, added, err);
    if (!insert(s, message, e, added, err))
        return false;
    if (!*added)
        return true;
    if (!add_mention(s, message, e->rcpt, err))
        return false;
    return !begins_story(e->kind) ||
           (add_mention(s, message, e->sender, err) && add_mention(s, message, e->message_id, err));
}

bool store_commit(struct store *s, struct err *err)
{
    if (!db_in_transaction(s->db))
        return true;
    return db_commit(s->db, err) && db_sync(s->db, err);
}

bool store_is_usable(struct store *s)
{
    if (!db_begin(s->db, NULL))
        return false;
    db_rollback(s->db);
    return true;
}

void store_rollback(struct store *s)
{
    if (db_in_transaction(s->db))
        db_rollback(s->db);
}

static bool find_id(struct store *s, int64_t id, int64_t *messages, size_t *found, struct err *err)
{
    stmt_int(s->has, id);
    if (stmt_row(s->has))
        messages[(*found)++] = column_int(s->has, 0);
    return stmt_done(s->has, err);
}

static void reverse(int64_t *list, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        int64_t other = list[n - 1 - i];

        list[n - 1 - i] = list[i];
        list[i] = other;
    }
}

bool store_find(struct store *s, struct str what, int64_t since, int64_t *messages, size_t n,
    size_t *found, struct err *err)
{
    uint64_t id;

    *found = 0;
    if (n == 0)
        return true;
    if (msgid_parse(what, &id) && id <= INT64_MAX) {
        if (!find_id(s, (int64_t)id, messages, found, err))
            return false;
        if (*found > 0)
            return true;
    }
    stmt_str(s->find, key_of(s, what));
    stmt_int(s->find, first_id(since));
    stmt_int(s->find, (int64_t)n);
    while (stmt_row(s->find))
        if (*found < n)
            messages[(*found)++] = column_int(s->find, 0);
    reverse(messages, *found);
    return stmt_done(s->find, err);
}

static void move_to(struct store_place *place, const struct store_event *e)
{
    size_t n = e->rcpt.n < sizeof place->rcpt ? e->rcpt.n : sizeof place->rcpt;

    place->time = e->time;
    place->kind = e->kind;
    place->rcpt_length = n;
    if (n)
        memcpy(place->rcpt, e->rcpt.p, n);
}

bool store_walk(struct store *s, struct store_place *place, size_t n, void (*each)(void *, const struct store_event *),
    void *owner, size_t *count, struct err *err)
{
    struct store_place from = *place; /* bound while `place` moves */

    *count = 0;
    stmt_int(s->walk, from.message);
    stmt_int(s->walk, from.time);
    stmt_int(s->walk, from.rcpt_length || from.time ? from.kind : -1);
    stmt_str(s->walk, str_from(from.rcpt, from.rcpt_length));
    stmt_int(s->walk, (int64_t)n);
    while (stmt_row(s->walk)) {
        struct store_event e = {place->message, column_int(s->walk, 0), column_int(s->walk, 1), column_str(s->walk, 2),
            column_str(s->walk, 3), column_str(s->walk, 4), column_str(s->walk, 5)};

        move_to(place, &e);
        each(owner, &e);
        ++*count;
    }
    return stmt_done(s->walk, err);
}

static bool delete_below(struct store *s, int64_t bound, int64_t *deleted, struct err *err)
{
    stmt_int(s->prune_events, bound);
    if (!stmt_run_count(s->prune_events, deleted, err))
        return false;
    stmt_int(s->prune_mentions, bound);
    return stmt_run(s->prune_mentions, err);
}

bool store_prune(struct store *s, int64_t before, int64_t *deleted, bool *more, struct err *err)
{
    int64_t bound = first_id(before);
    bool own = !db_in_transaction(s->db);

    *more = false;
    stmt_int(s->bound, bound);
    stmt_int(s->bound, PRUNE_STEP);
    if (stmt_row(s->bound)) {
        /* At least one whole message goes, so every step gets on. */
        *more = true;
        bound = column_int(s->bound, 0) + 1;
    }
    if (!stmt_done(s->bound, err) || (own && !db_begin(s->db, err)))
        return false;
    if (delete_below(s, bound, deleted, err))
        return !own || db_commit(s->db, err);
    if (own)
        db_rollback(s->db);
    return false;
}
