#include "imap_world.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "roles/mailbox/box_search.h"
#include "roles/mailbox/boxes_private.h"
#include "roles/mailbox/shares.h"
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
bool world_account_gone[IMAP_WORLD_ACCOUNTS];

static const char *const logins[IMAP_WORLD_ACCOUNTS] = {"r@home.example", "ann@home.example", "bob@home.example", "eve@other.example", "f/g@home.example"};

/* ---- directory: whose an address is, who shares with whom ---- */

enum { QUESTIONS = 16, SHARES = 100 };
static struct {
    uint64_t id, account;
    uint64_t asker;
    char address[100];
} questions[QUESTIONS];
static unsigned question_count, share_count;
static struct msg_share_note shares[SHARES];

static void on_question(uint64_t id, uint64_t asker, struct str address, uint64_t account)
{
    if (question_count == QUESTIONS)
        fatal("too many questions");
    questions[question_count].id = id;
    questions[question_count].account = account;
    questions[question_count].asker = asker;
    snprintf(questions[question_count++].address, sizeof questions[0].address, "%.*s", STR_ARG(address));
}

static void on_note(const struct msg_share_note *m)
{
    for (unsigned i = 0; i < share_count; i++)
        if (shares[i].owner == m->owner && shares[i].grantee == m->grantee) {
            shares[i].granted = m->granted;
            return;
        }
    if (share_count == SHARES)
        fatal("too many shares");
    shares[share_count++] = *m;
}

bool world_share_is_noted(int64_t owner, int64_t grantee)
{
    for (unsigned i = 0; i < share_count; i++)
        if (shares[i].owner == (uint64_t)owner && shares[i].grantee == (uint64_t)grantee)
            return shares[i].granted != 0;
    return false;
}

static struct str login_of(uint64_t account)
{
    uint64_t i = account - IMAP_WORLD_ACCOUNT;

    return i < IMAP_WORLD_ACCOUNTS && !world_account_gone[i] ? str_of(logins[i]) : STR("");
}

static void answer_name(uint64_t id, uint64_t asker, struct str address)
{
    struct msg_name_reply reply = {.id = id, .address = address, .asker = login_of(asker)};

    for (unsigned i = 0; i < IMAP_WORLD_ACCOUNTS; i++)
        if (str_ieq(address, str_of(logins[i])) && !world_account_gone[i]) {
            reply.account = IMAP_WORLD_ACCOUNT + i;
            reply.address = str_of(logins[i]);
        }
    shares_name_reply(accounts_shares(accounts), &reply);
}

static void answer_shares(uint64_t id, uint64_t account)
{
    struct buf owners;

    buf_init(&owners, 1000);
    for (int64_t i = 0; i < IMAP_WORLD_ACCOUNTS; i++) {
        int64_t owner = IMAP_WORLD_ACCOUNT + i;

        if (!world_account_gone[i] && owner != (int64_t)account && (world_share_is_noted(owner, (int64_t)account) || world_share_is_noted(owner, 0)))
            buf_addf(&owners, "%" PRId64 " %s\n", owner, logins[i]);
    }
    shares_reply(accounts_shares(accounts), &(struct msg_shares_reply){.id = id, .asker = login_of(account), .owners = buf_str(&owners)});
    buf_clear(&owners);
}

static void answer_questions(void)
{
    unsigned n = question_count;

    question_count = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t id = questions[i].id, account = questions[i].account, asker = questions[i].asker;
        char address[100];

        snprintf(address, sizeof address, "%s", questions[i].address);
        if (account == 0)
            answer_name(id, asker, str_of(address));
        else
            answer_shares(id, account);
    }
}

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
    world_directory_asked = on_question;
    world_directory_noted = on_note;
    question_count = 0;
    answered = 0;
    db_exclude_others();
    world_boxes = boxes_new(str_of(folder), 0, 10, DAY);
    boxes_use_log(world_boxes, 0, 1);
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
    world_sharing = SHARING_ANYONE;
    next_message = 1;
    failures = 0;
    share_count = 0;
    memset(world_account_gone, 0, sizeof world_account_gone);
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

int imap_world_teardown(void **state)
{
    (void)state;
    return imap_world_close();
}

void imap_world_restart(void)
{
    imap_world_stop();
    imap_world_start();
}

/* ---- clients ---- */

void client_open(unsigned c)
{
    client_open_as(c, IMAP_WORLD_ACCOUNT);
}

void client_open_as(unsigned c, int64_t account)
{
    imap_clients[c].open = true;
    imap_clients[c].unpaid = 0;
    imap_clients[c].stingy = false;
    buf_reset(&imap_clients[c].got);
    sessions_start(world_sessions, world_access, &(struct msg_session_open){.id = c + 1, .protocol = SESSION_IMAP,
        .account = (uint64_t)account, .login = str_of(logins[account - IMAP_WORLD_ACCOUNT]), .client = STR("127.0.0.1"), .tag = STR("L1")});
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
    size_t i = (size_t)(world_asked_account - IMAP_WORLD_ACCOUNT);

    if (!world_directory_answers)
        return;
    answer_questions();
    if (world_asked == answered)
        return;
    answered = world_asked;
    accounts_reply(accounts, &(struct msg_account_reply){.id = world_asked, .account = world_asked_account,
        .found = i >= IMAP_WORLD_ACCOUNTS || !world_account_gone[i], .quota_bytes = world_quota_bytes,
        .quota_messages = world_quota_messages, .address = i < IMAP_WORLD_ACCOUNTS ? str_of(logins[i]) : STR("")});
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
    for (unsigned turns = 0;
         sessions_ready(world_sessions) || ((world_asked != answered || question_count > 0) && world_directory_answers); turns++) {
        if (turns > 3000000)
            fatal("the sessions never rest");
        world_turn();
    }
}

static bool anybody_waits(void)
{
    bool any = false;

    for (int64_t i = 0; i < IMAP_WORLD_ACCOUNTS; i++) {
        const struct box *box = boxes_find(world_boxes, IMAP_WORLD_ACCOUNT + i);

        any |= box != NULL && link_in_list(&box->dirty) && !box->held;
    }
    return any;
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

static void check_account(int64_t account)
{
    struct err err = {0};
    struct box *box = boxes_enter(world_boxes, account, &err);

    if (box == NULL)
        fatal("%s", err.text);
    if (box->held != 0)
        fatal("somebody still holds the box");
    if (!box_settle(box, &err) || !store_check(box->store, &err))
        fatal("%s", err.text);
    box_leave(box);
}

void world_check(void)
{
    check_account(IMAP_WORLD_ACCOUNT);
    for (int64_t i = 1; i < IMAP_WORLD_ACCOUNTS; i++)
        if (boxes_exist(world_boxes, IMAP_WORLD_ACCOUNT + i))
            check_account(IMAP_WORLD_ACCOUNT + i);
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

void client_was_told(unsigned c, const char *expected)
{
    struct str got = client_got(c);

    if (!text_matches(str_of(expected), got))
        world_expected("", str_of(expected), got);
}

void client_select(unsigned c)
{
    client_expect(c, "s SELECT INBOX\r\n", INBOX_SELECTED);
}

void client_converse(unsigned c, const struct conversation *lines, size_t n)
{
    for (size_t i = 0; i < n; i++)
        client_expect(c, lines[i].say, lines[i].expected);
}
