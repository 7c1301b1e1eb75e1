#include "imap_world.h"
#include "base/clock.h"
#include "base/log.h"
#include "roles/mailbox/box_search.h"
#include "roles/mailbox/boxes_private.h"
#include "scratch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct imap_client imap_clients[IMAP_CLIENTS];
struct boxes *world_boxes;
struct sessions *world_sessions;
struct deliveries *world_deliveries;
uint64_t world_quota_bytes, world_quota_messages;
bool world_directory_answers;
int64_t world_tick, world_index_from;

static char folder[SCRATCH_MAX];
static struct accounts *accounts;
static uint64_t answered, next_message;
static int64_t ticks = HOUR; /* the clock */
static int failures;

int64_t __wrap_clock_monotonic(void);

int64_t __wrap_clock_monotonic(void)
{
    ticks += world_tick;
    return ticks;
}

void world_later(int64_t time)
{
    ticks += time;
}

static void on_session(uint64_t id, struct str bytes)
{
    struct imap_client *c = &imap_clients[id - 1];

    if (id == 0 || id > IMAP_CLIENTS)
        fatal("a session nobody opened: %" PRIu64, id);
    if (bytes.n == 0) {
        c->open = false;
        return;
    }
    buf_add(&c->got, bytes);
    c->unpaid += bytes.n;
}

void imap_world_start(void)
{
    world_open();
    world_session = on_session;
    answered = 0;
    world_boxes = boxes_new(str_of(folder), 0, 10, DAY);
    boxes_set_index_from(world_boxes, world_index_from);
    accounts = accounts_new(NULL);
    world_deliveries = deliveries_new(NULL, world_boxes, accounts);
    world_sessions = sessions_new(NULL, world_boxes, accounts);
}

void imap_world_stop(void)
{
    sessions_free(world_sessions);
    deliveries_free(world_deliveries);
    accounts_free(accounts);
    boxes_free(world_boxes);
    world_close();
    for (unsigned i = 0; i < IMAP_CLIENTS; i++)
        imap_clients[i].open = false;
    for (unsigned i = 0; i < IMAP_CLIENTS; i++)
        buf_reset(&imap_clients[i].got);
}

void imap_world_open(const char *name)
{
    scratch_make_in_memory(folder, name);
    world_quota_bytes = world_quota_messages = 0;
    world_directory_answers = true;
    world_tick = WORLD_TICK;
    world_index_from = 0;
    next_message = 1;
    failures = 0;
    for (unsigned i = 0; i < IMAP_CLIENTS; i++) {
        imap_clients[i] = (struct imap_client){0};
        buf_init(&imap_clients[i].got, 64 * 1024 * 1024);
    }
    imap_world_start();
}

int imap_world_close(void)
{
    for (unsigned i = 0; i < IMAP_CLIENTS; i++)
        if (imap_clients[i].open)
            client_close(i);
    world_tick = WORLD_TICK;
    world_check();
    imap_world_stop();
    for (unsigned i = 0; i < IMAP_CLIENTS; i++)
        buf_clear(&imap_clients[i].got);
    scratch_remove(folder);
    return failures;
}

void imap_world_restart(void)
{
    imap_world_stop();
    imap_world_start();
}

/* ---- clients ---- */

void client_open(unsigned c)
{
    imap_clients[c].open = true;
    imap_clients[c].unpaid = 0;
    imap_clients[c].stingy = false;
    buf_reset(&imap_clients[c].got);
    sessions_start(world_sessions, world_access, &(struct msg_session_open){.id = c + 1, .protocol = SESSION_IMAP,
        .account = IMAP_WORLD_ACCOUNT, .login = STR("r@home.example"), .client = STR("127.0.0.1"), .tag = STR("L1")});
    world_run();
    if (!text_matches(STR("L1 OK [CAPABILITY %] %\r\n"), buf_str(&imap_clients[c].got)))
        fatal("client %u: no greeting: %.*s", c, STR_ARG(buf_str(&imap_clients[c].got)));
    buf_reset(&imap_clients[c].got);
}

void client_close(unsigned c)
{
    sessions_close(world_sessions, world_access, &(struct msg_session_close){c + 1});
    imap_clients[c].open = false;
}

void client_say_bytes(unsigned c, struct str bytes)
{
    while (bytes.n > 0) {
        struct str part = str_sub(bytes, 0, bytes.n < 16 * 1024 ? bytes.n : 16 * 1024);

        sessions_data(world_sessions, world_access, &(struct msg_session_data){c + 1, part});
        bytes = str_skip(bytes, part.n);
        if (bytes.n > 0)
            world_run();
    }
}

void client_say(unsigned c, const char *text)
{
    client_say_bytes(c, str_of(text));
}

void client_pay(unsigned c, uint64_t bytes)
{
    if (bytes > imap_clients[c].unpaid)
        bytes = imap_clients[c].unpaid;
    imap_clients[c].unpaid -= bytes;
    if (bytes > 0 && imap_clients[c].open)
        sessions_more(world_sessions, world_access, &(struct msg_session_more){c + 1, bytes});
}

struct str client_got(unsigned c)
{
    static struct buf taken;
    struct buf *got = &imap_clients[c].got;

    if (taken.ceiling == 0)
        buf_init(&taken, got->ceiling);
    buf_reset(&taken);
    buf_add(&taken, buf_str(got));
    buf_reset(got);
    return buf_str(&taken);
}

/* ---- the loop ---- */

static struct channel *directory;

void world_directory_goes(void)
{
    directory = world_directory;
    world_directory = NULL;
    accounts_unreachable(accounts);
}

void world_directory_comes(void)
{
    world_directory = directory;
    accounts_forget_all(accounts);
}

static void answer_directory(void)
{
    if (world_asked == answered || !world_directory_answers)
        return;
    answered = world_asked;
    accounts_reply(accounts, &(struct msg_account_reply){.id = world_asked, .account = IMAP_WORLD_ACCOUNT, .found = true,
        .quota_bytes = world_quota_bytes, .quota_messages = world_quota_messages});
}

void world_turn(void)
{
    (void)sessions_run(world_sessions);
    answer_directory();
    for (unsigned c = 0; c < IMAP_CLIENTS; c++)
        if (!imap_clients[c].stingy)
            client_pay(c, imap_clients[c].unpaid);
}

void world_run(void)
{
    for (unsigned turns = 0; sessions_ready(world_sessions) || (world_asked != answered && world_directory_answers); turns++) {
        if (turns > 3000000)
            fatal("the sessions never rest");
        world_turn();
    }
}

static bool anybody_waits(void)
{
    struct box *box = boxes_find(world_boxes, IMAP_WORLD_ACCOUNT);

    return box != NULL && link_in_list(&box->dirty) && !box->held;
}

void world_flush(void)
{
    world_run();
    for (unsigned n = 0; anybody_waits() || sessions_ready(world_sessions); n++) {
        if (n > 1000)
            fatal("the boxes never rest");
        boxes_finish(world_boxes);
        world_run();
    }
}

void world_deliver(struct str body)
{
    uint64_t id = next_message++;

    deliveries_local(world_deliveries, world_queue, &(struct msg_deliver_local){.id = id, .message = 1000 + id,
        .account = IMAP_WORLD_ACCOUNT, .n = 1, .size = body.n, .arrived = clock_now(), .sender = STR("s@far.example"),
        .rcpt = STR("r@home.example"), .original = STR("r@home.example"), .body = body});
    answer_directory();
    buf_reset(&world_said);
}

struct box *world_box(void)
{
    struct box *box = boxes_find(world_boxes, IMAP_WORLD_ACCOUNT);

    if (box == NULL)
        fatal("the box is not open");
    return box;
}

void world_path(const char *suffix, char path[300])
{
    snprintf(path, 300, "%s/%02x/%d%s", folder, (unsigned)(IMAP_WORLD_ACCOUNT % 256), IMAP_WORLD_ACCOUNT, suffix);
}

const char *imap_world_folder(void)
{
    return folder;
}

void world_index(void)
{
    world_flush();
    for (unsigned n = 0; !list_empty(&world_box()->boxes->filling); n++) {
        if (n > 100000)
            fatal("the index is never done");
        boxes_fill(world_boxes, SECOND);
    }
}

void world_check(void)
{
    struct err err = {0};
    struct box *box = boxes_enter(world_boxes, IMAP_WORLD_ACCOUNT, &err);

    if (box == NULL)
        fatal("%s", err.text);
    if (box->held != 0)
        fatal("somebody still holds the box");
    if (!box_settle(box, &err) || !store_check(box->store, &err))
        fatal("%s", err.text);
    box_leave(box);
}

void world_fill(unsigned n)
{
    char body[100];

    for (unsigned i = 1; i <= n; i++) {
        snprintf(body, sizeof body, "From: s@far.example\r\nSubject: m%u\r\n\r\nText of %u.\r\n", i, i);
        world_deliver(str_of(body));
    }
    world_flush();
}

/* ---- conversations ---- */

bool text_matches(struct str pattern, struct str text)
{
    while (pattern.n > 0 && *pattern.p != '%') {
        if (text.n == 0 || *text.p != *pattern.p)
            return false;
        pattern = str_skip(pattern, 1);
        text = str_skip(text, 1);
    }
    if (pattern.n == 0)
        return text.n == 0;
    pattern = str_skip(pattern, 1);
    for (;; text = str_skip(text, 1)) {
        if (text_matches(pattern, text))
            return true;
        if (text.n == 0 || *text.p == '\r' || *text.p == '\n')
            return false;
    }
}

void world_expected(const char *what, struct str expected, struct str got)
{
    failures++;
    fprintf(stderr, "%s\n--- expected:\n%.*s\n--- got:\n%.*s\n", what, STR_ARG(expected), (int)(got.n > 3000 ? 3000 : got.n), got.p);
}

void client_expect(unsigned c, const char *say, const char *expected)
{
    struct str got;

    client_say(c, say);
    world_flush();
    got = client_got(c);
    if (!text_matches(str_of(expected), got))
        world_expected(say, str_of(expected), got);
}

void client_converse(unsigned c, const struct conversation *lines, size_t n)
{
    for (size_t i = 0; i < n; i++)
        client_expect(c, lines[i].say, lines[i].expected);
}
