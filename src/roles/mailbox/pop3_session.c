/* POP3 over an account's database. The maildrop is locked for one session (RFC 1939, section 8): the
 * box names its owner. Before the snapshot everything in the box is brought to disk, so that a client never sees a uid that
 * a loss of power could give to another message; and what QUIT removed, before it is answered. Both wait for the group commit
 * with the others of the box: an IMAP session may be in the middle of a long change. A login waits SESSION_LATER at most. */
#include "pop3_session.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "pop3.h"
#include "store_folder.h"

#include <inttypes.h>
#include <stdlib.h>

enum { LIST_AT_ONCE = 2000 };

struct pop3_session {
    struct session *session;
    const struct session_info *info;
    struct box *box;
    struct pop3 *machine;
    bool locked;
    struct waiter waiter;
    struct box_watcher watcher;
    bool opening;     /* until the box is settled, or */
    int64_t deadline; /* that time has come (monotonic) */
    int64_t last_uid; /* loaded so far */
    int64_t end_uid;  /* messages that came later are not in the snapshot */
    int64_t uid, content; /* the message being read */
    struct content_pin pin; /* IMAP may remove it meanwhile */
    bool removing;
    uint64_t rollbacks; /* of the box when the removal began */
    struct buf refusal; /* instead of a machine */
};

static struct metric retrieved = METRIC_COUNTER("staffetta_pop3_retrieved_total", "Messages sent with RETR.");
static struct metric removed = METRIC_COUNTER("staffetta_pop3_deleted_total", "Messages removed at QUIT.");
static struct metric in_use = METRIC_COUNTER("staffetta_pop3_in_use_total",
    "Logins refused because the maildrop was locked.");

/* ---- the store of the machine ---- */

static enum pop3_result load(void *world, struct pop3 *p)
{
    struct pop3_session *s = world;
    struct store_item items[LIST_AT_ONCE];
    struct err err = {0};
    size_t n;

    if (!store_list(s->box->store, s->last_uid, items, LIST_AT_ONCE, &n, &err)) {
        log_warning("pop3-load", "account=%" PRId64 " reason=%s", s->box->account, err.text);
        return POP3_FAILED;
    }
    for (size_t i = 0; i < n && items[i].uid < s->end_uid; i++) {
        unsigned flags = items[i].features & CONTENT_UTF8_HEADER ? POP3_NEEDS_UTF8 : 0;

        s->last_uid = items[i].uid;
        if (!pop3_add(p, (uint32_t)items[i].uid, (uint64_t)items[i].size, flags))
            return POP3_OK;
    }
    return n == LIST_AT_ONCE && items[n - 1].uid < s->end_uid ? POP3_MORE : POP3_OK;
}

static enum pop3_result find_content(struct pop3_session *s, uint32_t uid, struct err *err)
{
    if (s->uid == (int64_t)uid)
        return POP3_OK;
    s->uid = 0;
    if (!store_find(s->box->store, uid, &s->content, err))
        return POP3_FAILED;
    if (s->content == 0)
        return POP3_MISSING;
    s->uid = uid;
    store_pin(s->box->store, &s->pin, s->content);
    return POP3_OK;
}

static enum pop3_result read_piece(void *world, uint32_t uid, uint64_t offset, struct str *piece)
{
    struct pop3_session *s = world;
    struct err err = {0};
    enum pop3_result result = find_content(s, uid, &err);

    if (result == POP3_OK && !store_read(s->box->store, s->content, (int64_t)offset, piece, &err))
        result = POP3_FAILED;
    if (result == POP3_FAILED)
        log_warning("pop3-read", "account=%" PRId64 " uid=%" PRIu32 " reason=%s", s->box->account, uid,
            err.text);
    return result;
}

static void removal_over(struct pop3_session *s)
{
    if (s->removing)
        s->box->held--;
    s->removing = false;
}

/* The removal may take several turns; the box is held so that no flush commits half of it. */
static enum pop3_result remove_one(void *world, uint32_t uid)
{
    struct pop3_session *s = world;
    struct err err = {0};
    bool found;

    if (!s->removing) {
        if (!box_begin(s->box, &err))
            return POP3_FAILED;
        s->removing = true;
        s->box->held++;
        s->rollbacks = s->box->rollbacks;
    }
    box_touch(s->box);
    if (s->rollbacks != s->box->rollbacks)
        return POP3_FAILED;
    if (store_expunge(s->box->store, uid, &found, &err))
        return POP3_OK;
    removal_over(s);
    box_fail(s->box, &err);
    return POP3_FAILED;
}

static enum pop3_result remove_commit(void *world)
{
    struct pop3_session *s = world;
    bool lost = s->rollbacks != s->box->rollbacks;

    removal_over(s);
    if (lost)
        return POP3_FAILED;
    box_batch(s->box, &s->waiter);
    return POP3_WAITS;
}

/* Deliveries that shared the transaction fail with it and are repeated by the queue. */
static void remove_abort(void *world)
{
    struct pop3_session *s = world;
    struct err err = {0};

    if (!s->removing)
        return;
    removal_over(s);
    err_set(&err, ERR_TEMPORARY, "a removal was given up");
    if (s->rollbacks == s->box->rollbacks)
        box_fail(s->box, &err);
}

static const struct pop3_store store = {load, read_piece, remove_one, remove_commit, remove_abort};

/* ---- the protocol of the session ---- */

static void refuse(struct pop3_session *s, const char *text)
{
    buf_add(&s->refusal, str_of(text));
}

static void refuse_opening(struct pop3_session *s)
{
    s->opening = false;
    box_unwait(s->box, &s->waiter);
    pop3_free(s->machine);
    s->machine = NULL;
    refuse(s, "-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later\r\n");
}

/* What is on disk is what there is, but for what others have begun since the last sync. */
static void take_snapshot(struct pop3_session *s)
{
    s->opening = false;
    s->end_uid = store_inbox(s->box->store)->durable.uidnext;
    pop3_set_uidvalidity(s->machine, store_uidvalidity(s->box->store));
}

static void settle(struct pop3_session *s)
{
    s->opening = true;
    if (s->box->broken)
        refuse_opening(s);
    else if (box_is_settled(s->box))
        take_snapshot(s);
    else
        box_batch(s->box, &s->waiter);
}

/* In the middle of a flush. A rollback by somebody else is no reason not to log in. */
static void on_settled(struct waiter *w, bool stored, const struct err *err)
{
    struct pop3_session *s = CONTAINER(w, struct pop3_session, waiter);

    (void)err;
    if (!s->opening)
        pop3_removed(s->machine, stored);
    else if (stored)
        take_snapshot(s);
    else
        settle(s);
    session_wake(s->session);
}

/* A sync failed: as long as this session is there nobody gets another handle (boxes.h). */
static void on_changed(struct box_watcher *w)
{
    struct pop3_session *s = CONTAINER(w, struct pop3_session, watcher);

    if (s->box->broken)
        session_wake(s->session);
}

static bool may_rest(struct box_watcher *w)
{
    (void)w;
    return false; /* the snapshot and what is marked belong to the open database */
}

/* Nothing can be removed any more, and QUIT does not wait for its answer. */
static bool must_leave(const struct pop3_session *s)
{
    return s->box->broken && !s->removing && !link_in_list(&s->waiter.link);
}

static void open_maildrop(struct pop3_session *s)
{
    unsigned flags = (s->info->flags & SESSION_TLS ? POP3_TLS : 0) |
                     (s->info->flags & SESSION_UTF8 ? POP3_UTF8 : 0) |
                     (s->info->loopback ? POP3_LOOPBACK : 0);

    if (s->box->locked_by != NULL) {
        metric_add(&in_use, 1);
        refuse(s, "-ERR [IN-USE] Another session has this mailbox open\r\n");
        return;
    }
    s->box->locked_by = s;
    s->locked = true;
    s->machine = pop3_new(&store, s, flags);
    settle(s);
    if (s->opening)
        s->deadline = session_wake_later(s->session);
}

static void *session_open(struct session *session)
{
    struct pop3_session *s = xcalloc(1, sizeof *s);

    s->session = session;
    s->info = session_info(session);
    s->box = s->info->box;
    s->waiter = (struct waiter){.done = on_settled, .hurry = true};
    s->watcher = (struct box_watcher){.changed = on_changed, .may_rest = may_rest};
    box_watch(s->box, &s->watcher);
    buf_init(&s->refusal, 512);
    open_maildrop(s);
    return s;
}

static bool session_input(void *machine, struct str bytes)
{
    struct pop3_session *s = machine;

    return s->machine == NULL || pop3_input(s->machine, bytes);
}

static enum session_next session_run(void *machine)
{
    static const enum session_next nexts[] = {
        [POP3_WAIT_INPUT] = SESSION_WAITS_INPUT,
        [POP3_WAIT_OUTPUT] = SESSION_WAITS_OUTPUT,
        [POP3_AGAIN] = SESSION_GOES_ON,
        [POP3_CLOSED] = SESSION_ENDS,
    };
    struct pop3_session *s = machine;

    if (s->opening && clock_monotonic() >= s->deadline)
        refuse_opening(s);
    if (s->opening)
        return SESSION_WAITS_INPUT;
    return s->machine == NULL || must_leave(s) ? SESSION_ENDS : nexts[pop3_run(s->machine)];
}

/* The client has said QUIT: what it removes is removed. */
static bool session_go_on(void *machine)
{
    struct pop3_session *s = machine;

    if (!s->removing)
        return false;
    buf_reset(pop3_output(s->machine));
    (void)pop3_run(s->machine);
    return s->removing;
}

static struct buf *session_output(void *machine)
{
    struct pop3_session *s = machine;

    return s->machine == NULL ? &s->refusal : pop3_output(s->machine);
}

static size_t session_taken(void *machine)
{
    struct pop3_session *s = machine;

    return s->machine == NULL ? 0 : pop3_taken(s->machine);
}

static void log_session(const struct pop3_session *s)
{
    struct pop3_counts c = pop3_counts(s->machine);

    metric_add(&retrieved, (int64_t)c.retrieved);
    metric_add(&removed, (int64_t)c.deleted);
    log_info("pop3", "account=%" PRId64 " login=%.*s client=%.*s retrieved=%" PRIu64 " bytes=%" PRIu64
        " tops=%" PRIu64 " deleted=%" PRIu64 " left=%" PRIu64, s->box->account, STR_ARG(s->info->login),
        STR_ARG(s->info->client), c.retrieved, c.retrieved_bytes, c.tops, c.deleted, c.left);
}

static void session_close(void *machine)
{
    struct pop3_session *s = machine;

    box_unwait(s->box, &s->waiter);
    list_remove(&s->watcher.link);
    if (s->machine != NULL)
        log_session(s);
    store_unpin(s->box->store, &s->pin);
    pop3_free(s->machine);
    if (s->locked)
        s->box->locked_by = NULL;
    buf_clear(&s->refusal);
    free(s);
}

const struct protocol pop3_protocol = {
    .name = "pop3", .open = session_open, .input = session_input, .run = session_run, .output = session_output, .taken = session_taken,
    .close = session_close, .go_on = session_go_on};
