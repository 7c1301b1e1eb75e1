#include "mailbox_names.h"

#include "base/clock.h"
#include "mailroom.h"
#include "roles/mailbox/delivery.h"
#include "roles/mailbox/store_message.h"

#include <inttypes.h>
#include <string.h>

struct channel {
    uint64_t serial;
};

enum { ASKED = 64, ROWS = 50 };

struct mailroom_answers mailroom_answers;
static struct channel queue_channel, directory_channel;
static uint64_t serials, ids;
static struct boxes *boxes;
static unsigned flushes;
static struct accounts *accounts;
static struct deliveries *deliveries;
static struct msg_account_ask asked[ASKED];
static size_t asked_n;

/* ---- the framework ---- */

struct channel *mailbox_role_peer(const struct role *role, enum role_id peer, unsigned copy)
{
    (void)role;
    return copy != 0 ? NULL : peer == ROLE_DIRECTORY ? &directory_channel : peer == ROLE_QUEUE ? &queue_channel : NULL;
}

unsigned mailbox_role_copy(const struct role *role)
{
    (void)role;
    return 0;
}

unsigned mailbox_role_copies(const struct role *role)
{
    (void)role;
    return 1;
}

uint64_t mailbox_role_next_id(struct role *role)
{
    (void)role;
    return ++ids;
}

uint64_t mailbox_channel_serial(const struct channel *c)
{
    return c->serial;
}

unsigned mailbox_channel_copy(const struct channel *c)
{
    (void)c;
    return 0;
}

void mailbox_channel_gave(struct channel *c, enum handover what)
{
    (void)c;
    (void)what;
}

void mailbox_verify_equal(struct verification *v, const char *check, int64_t expected, int64_t found, const char *advice)
{
    (void)v;
    (void)check;
    (void)expected;
    (void)found;
    (void)advice;
}

void mailbox_send_account_ask(struct channel *to, const struct msg_account_ask *m)
{
    (void)to;
    if (asked_n == ASKED)
        fatal("too many questions");
    asked[asked_n++] = *m;
}

/* Nobody shares anything here. */
void mailbox_send_name_ask(struct channel *to, const struct msg_name_ask *m)
{
    (void)to;
    (void)m;
}

void mailbox_send_shares_ask(struct channel *to, const struct msg_shares_ask *m)
{
    (void)to;
    (void)m;
}

void mailbox_send_share_note(struct channel *to, const struct msg_share_note *m)
{
    (void)to;
    (void)m;
}

void mailbox_send_body_ask(struct channel *to, const struct msg_body_ask *m)
{
    (void)to;
    mailroom_answers.body_ask(m);
}

void mailbox_send_deliver_done(struct channel *to, const struct msg_deliver_done *m)
{
    (void)to;
    mailroom_answers.deliver_done(m);
}

void mailbox_send_rcpt_done(struct channel *to, const struct msg_rcpt_done *m)
{
    (void)to;
    mailroom_answers.rcpt_done(m);
}

static void on_deliver_local(struct role *role, struct channel *from, const struct msg_deliver_local *m)
{
    (void)role;
    (void)from; /* the other world's idea of the channel */
    deliveries_local(deliveries, &queue_channel, m);
}

static void on_body_chunk(struct role *role, struct channel *from, const struct msg_body_chunk *m)
{
    (void)role;
    (void)from;
    deliveries_chunk(deliveries, &queue_channel, m);
}

const struct handlers mailroom_handlers = {.deliver_local = on_deliver_local, .body_chunk = on_body_chunk};

/* ---- the role ---- */

void mailroom_open(const char *folder, size_t most)
{
    queue_channel.serial = ++serials;
    directory_channel.serial = ++serials;
    asked_n = 0;
    boxes = boxes_new(str_of(folder), 0, most, 30 * DAY);
    boxes_use_log(boxes, 0, 1);
    accounts = accounts_new(NULL);
    deliveries = deliveries_new(NULL, boxes, accounts);
}

void mailroom_close(void)
{
    deliveries_free(deliveries);
    accounts_free(accounts);
    boxes_free(boxes);
}

bool mailroom_turn(bool flush)
{
    bool any = asked_n > 0;

    while (asked_n > 0) {
        struct msg_account_ask ask = asked[--asked_n];

        accounts_reply(accounts, &(struct msg_account_reply){.id = ask.id, .account = ask.account, .found = true});
    }
    if (flush && boxes_due(boxes) < clock_monotonic() + SECOND) { /* else only the log of additions is to be drained */
        any = true;
        while (!boxes_flush(boxes))
            ;
        if (++flushes % 7 == 0)
            boxes_finish(boxes);
    } else if (boxes_wants_sweep(boxes)) {
        any |= boxes_sweep(boxes);
    }
    return any;
}

/* ---- looking ---- */

static bool read_whole(struct store *s, int64_t uid, struct buf *bytes, struct err *err)
{
    int64_t content;
    struct str piece;

    buf_reset(bytes);
    if (!store_find(s, uid, &content, err))
        return false;
    do {
        if (!store_read(s, content, (int64_t)bytes->n, &piece, err))
            return false;
        buf_add(bytes, piece);
    } while (piece.n > 0);
    return true;
}

static bool walk(struct store *s, mailroom_message_fn *tell, void *arg, struct err *err)
{
    struct store_item items[ROWS];
    struct buf bytes;
    int64_t after = 0;
    size_t n = ROWS;
    bool right = true;

    buf_init(&bytes, 16 * 1024 * 1024);
    while (right && n == ROWS) {
        right = store_list(s, after, items, ROWS, &n, err);
        for (size_t i = 0; right && i < n; i++) {
            right = read_whole(s, items[i].uid, &bytes, err);
            if (right)
                tell(arg, items[i].uid, buf_str(&bytes));
            after = items[i].uid;
        }
    }
    buf_clear(&bytes);
    return right;
}

bool mailroom_walk(int64_t account, mailroom_message_fn *tell, void *arg, struct err *err)
{
    struct box *box = boxes_enter_existing(boxes, account, err);
    bool right;

    if (box == NULL)
        return err->kind == ERR_PERMANENT && strstr(err->text, "no mailbox yet") != NULL;
    right = store_check(box->store, err) && walk(box->store, tell, arg, err);
    box_leave(box);
    return right;
}

bool mailroom_settle(int64_t account, struct err *err)
{
    struct box *box = boxes_enter_existing(boxes, account, err);
    bool settled;

    if (box == NULL)
        return false;
    settled = box_settle(box, err);
    box_leave(box);
    return settled;
}

bool mailroom_expunge(int64_t account, int64_t uid, struct err *err)
{
    struct box *box = boxes_enter_existing(boxes, account, err);
    bool found = false, done;

    if (box == NULL)
        return false;
    done = box_begin(box, err);
    if (done) {
        box_touch(box);
        done = store_expunge(box->store, uid, &found, err);
        if (!done)
            box_fail(box, err);
    }
    done = done && box_settle(box, err) && found;
    box_leave(box);
    return done;
}

/* ---- folders ---- */

static int64_t appended;

static bool append(struct store *s, struct folder *f, mailroom_chance *chance, struct err *err)
{
    static char bytes[20000];
    struct store_new n = {.content = (int64_t)(chance(INT64_MAX) | 1), .size = 1 + (int64_t)chance(sizeof bytes - 1), .received = ++appended};
    uint32_t uid;

    memset(bytes, 'a', sizeof bytes);
    return store_put(s, n.content, str_from(bytes, (size_t)n.size), err) && store_message_add(s, f, &n, &uid, err);
}

static bool copy_from_inbox(struct store *s, struct folder *f, struct err *err)
{
    uint32_t first = 0, copy;
    bool found;

    if (!store_folder_load(s, store_inbox(s), err))
        return false;
    first = uid_set_next(&store_inbox(s)->uids, 1);
    return first == 0 || store_message_copy(s, store_inbox(s), first, f, &copy, &found, err);
}

static bool change_one(struct store *s, struct folder *f, mailroom_chance *chance, struct err *err)
{
    struct store_message m;
    uint32_t uid;
    bool found, changed;

    if (!store_folder_load(s, f, err))
        return false;
    if (f->uids.count == 0)
        return true;
    uid = uid_set_at(&f->uids, 1 + (uint32_t)chance(f->uids.count));
    if (chance(2))
        return store_message_expunge(s, f, uid, &found, err);
    return store_message_get(s, f, uid, &m, &found, err) &&
           (!found || store_message_flags(s, f, &m, (int64_t)chance(32), STR(""), &changed, err));
}

static bool change_folders(struct store *s, mailroom_chance *chance, struct err *err)
{
    static const char *const names[] = {"a", "a/b", "c", "d"};
    struct str name = str_of(names[chance(4)]), to = str_of(names[chance(4)]);
    struct folder *f = store_folder_find(s, name);

    if (f == NULL)
        return store_folder_create(s, name, STR(""), &f, err) && append(s, f, chance, err);
    switch (chance(8)) {
    case 0: return store_folder_delete(s, f, err);
    case 1: return store_folder_find(s, to) != NULL || str_starts(to, name) || store_folder_collides(s, f->name, to) ||
                   store_folder_rename(s, f->name, to, err);
    case 2: return copy_from_inbox(s, f, err);
    case 3:
    case 4: return append(s, f, chance, err);
    default: return change_one(s, f, chance, err);
    }
}

bool mailroom_work_in_folders(int64_t account, mailroom_chance *chance, struct err *err)
{
    struct box *box = boxes_enter_existing(boxes, account, err);
    bool done;

    if (box == NULL)
        return false;
    done = box_begin(box, err);
    for (uint64_t n = 1 + chance(6); done && n > 0; n--) {
        box_touch(box);
        done = change_folders(box->store, chance, err);
        if (!done)
            box_fail(box, err);
    }
    done = done && box_settle(box, err);
    box_leave(box);
    return done;
}

static bool mix(void *arg, const struct store_message *m)
{
    struct mailroom_folder *f = arg;

    f->uids = (f->uids ^ (uint64_t)m->uid ^ (uint64_t)m->content << 20 ^ (uint64_t)m->flags << 10) * UINT64_C(0x100000001b3);
    f->messages++;
    return true;
}

bool mailroom_folders(int64_t account, mailroom_folder_fn *tell, void *arg, struct err *err)
{
    struct box *box = boxes_enter_existing(boxes, account, err);
    bool right = true;

    if (box == NULL)
        return err->kind == ERR_PERMANENT && strstr(err->text, "no mailbox yet") != NULL;
    for (struct folder *f = NULL; right && (f = store_folder_next(box->store, f)) != NULL;) {
        struct mailroom_folder is = {.id = f->id, .uidvalidity = f->uidvalidity, .uidnext = f->durable.uidnext, .modseq = f->durable.modseq};

        if (f == store_inbox(box->store))
            continue;
        right = store_messages_walk(box->store, f, 1, UINT32_MAX, -1, mix, &is, err);
        if (right)
            tell(arg, &is);
    }
    box_leave(box);
    return right;
}
