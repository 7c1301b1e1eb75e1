#include "imap_client.h"
#include "base/clock.h"
#include "imap_cache.h"
#include "roles/mailbox/box_search.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { HEARD = 8000, LARGEST = 60000, WATCHER_AGAIN = 2, TRUTH = 3 };

/* ---- what the watcher was told ---- */

enum kind { SELECTS, COMMANDS, BYTES, LOST };

static struct heard {
    size_t at;
    enum kind kind;
    size_t from, n;
} heard[HEARD];
static size_t heard_n;
static struct buf told;
static struct imap_cache memory, truth;

static void remember(enum kind kind, struct str bytes)
{
    if (heard_n == HEARD)
        fatal("the watcher hears too much");
    heard[heard_n++] = (struct heard){disk_length(), kind, told.n, bytes.n};
    buf_add(&told, bytes);
}

void imap_memory_forget(void)
{
    if (told.ceiling == 0) {
        buf_init(&told, 64 * 1024 * 1024);
        cache_init(&memory);
        cache_init(&truth);
    }
    heard_n = 0;
    buf_reset(&told);
}

void imap_memory_forget_after(size_t at)
{
    while (heard_n > 0 && heard[heard_n - 1].at > at)
        heard_n--;
    for (size_t i = 0; i < heard_n; i++)
        heard[i].at = 0;
    remember(LOST, STR(""));
    heard[heard_n - 1].at = 0;
}

static void forget(struct imap_cache *c)
{
    cache_clear(c);
    cache_init(c);
}

static void recall(size_t at)
{
    forget(&memory);
    memory.qresync = true;
    for (size_t i = 0; i < heard_n && heard[i].at <= at; i++)
        switch (heard[i].kind) {
        case SELECTS: cache_selects(&memory, false); break;
        case COMMANDS: cache_commands(&memory, false); break;
        case BYTES: cache_feed(&memory, str_sub(buf_str(&told), heard[i].from, heard[i].from + heard[i].n)); break;
        case LOST: cache_lost(&memory); break;
        }
    cache_lost(&memory);
}

static void come_back(void)
{
    bool resync = memory.saved > 0 && memory.uidvalidity > 0;
    char line[120] = "t SELECT INBOX\r\n";

    if (resync)
        snprintf(line, sizeof line, "t SELECT INBOX (QRESYNC (%" PRIu64 " %" PRIu64 "))\r\n", memory.uidvalidity, memory.saved);
    memory.qresync = true;
    client_open(WATCHER_AGAIN);
    client_say(WATCHER_AGAIN, "e ENABLE QRESYNC\r\n");
    imap_rest(NULL);
    cache_feed(&memory, client_got(WATCHER_AGAIN));
    cache_selects(&memory, resync);
    client_say(WATCHER_AGAIN, line);
    imap_rest(NULL);
    cache_feed(&memory, client_got(WATCHER_AGAIN));
    client_close(WATCHER_AGAIN);
}

void imap_memory_check(size_t at)
{
    recall(at);
    come_back();
    forget(&truth);
    client_open(TRUTH);
    cache_selects(&truth, false);
    client_say(TRUTH, "t EXAMINE INBOX\r\n");
    imap_rest(NULL);
    cache_feed(&truth, client_got(TRUTH));
    cache_commands(&truth, true);
    client_say(TRUTH, "t UID FETCH 1:* (UID FLAGS)\r\n");
    imap_rest(NULL);
    cache_feed(&truth, client_got(TRUTH));
    client_close(TRUTH);
    cache_compare(&memory, &truth, "a client that comes back");
}

/* ---- the watcher ---- */

static void hear(void)
{
    struct str got = client_got(IMAP_WATCHER);

    if (got.n > 0)
        remember(BYTES, got);
    if (!imap_clients[IMAP_WATCHER].open && heard_n > 0 && heard[heard_n - 1].kind != LOST)
        remember(LOST, STR(""));
}

static void watch(enum kind kind, const char *line)
{
    remember(kind, STR(""));
    client_say(IMAP_WATCHER, line);
}

static void watcher_opens(void)
{
    remember(LOST, STR(""));
    client_open(IMAP_WATCHER);
    watch(COMMANDS, "e ENABLE QRESYNC\r\n");
    imap_rest(hear);
    watch(SELECTS, "t SELECT INBOX\r\n");
    imap_rest(hear);
    watch(COMMANDS, "t UID FETCH 1:* (FLAGS)\r\n");
    imap_rest(hear);
    watch(COMMANDS, "t IDLE\r\n");
    imap_rest(hear);
}

/* It ends its command, which says how far it knows all, and waits again. */
static void watcher_turns(void)
{
    if (!imap_clients[IMAP_WATCHER].open)
        return;
    client_say(IMAP_WATCHER, "DONE\r\n");
    imap_rest(hear);
    watch(COMMANDS, "t IDLE\r\n");
    imap_rest(hear);
}

/* ---- the worker ---- */

static const char *const names[] = {"INBOX", "Sent", "a", "a/b", "c"};
static size_t answered;
static unsigned next_word;

static const char *name(void)
{
    return names[cut_random(sizeof names / sizeof *names)];
}

static const char *flags(void)
{
    static const char *const some[] = {"\\Seen", "\\Deleted", "\\Flagged \\Seen", "\\Answered", "k1", "k2 \\Draft", ""};

    return some[cut_random(sizeof some / sizeof *some)];
}

static const char *uids(void)
{
    static char set[60];
    unsigned first = 1 + (unsigned)cut_random(20);

    switch (cut_random(4)) {
    case 0: return "1:*";
    case 1: return "*";
    case 2: snprintf(set, sizeof set, "%u:%u", first, first + (unsigned)cut_random(4)); break;
    default: snprintf(set, sizeof set, "%u", first);
    }
    return set;
}

static struct str letter(void)
{
    static struct buf text;
    size_t size = cut_random(cut_random(6) == 0 ? LARGEST : 900);

    if (text.ceiling == 0)
        buf_init(&text, 2 * LARGEST);
    buf_reset(&text);
    next_word++;
    buf_addf(&text, "Subject: w%u\r\nMessage-ID: <%u@far.example>\r\n\r\nword%05uend\r\n", next_word, next_word, next_word);
    for (size_t i = 0; text.n < size; i++)
        buf_addf(&text, "%016" PRIx64 "%s", cut_random(UINT64_MAX), i % 4 == 3 ? "\r\n" : " ");
    return buf_str(&text);
}

/* The first place at which the answer is there. */
static void notice(void)
{
    struct str got = buf_str(&imap_clients[IMAP_WORKER].got);
    struct str tail = got.n > 200 ? str_skip(got, got.n - 200) : got;

    hear();
    if (answered == SIZE_MAX && (str_starts(tail, STR("t OK")) || str_ifind(tail, STR("\nt OK")) >= 0))
        answered = disk_length();
    if (answered == SIZE_MAX && str_ifind(buf_str(&world_said), STR("delivered ")) >= 0)
        answered = disk_length();
}

static void begin(void)
{
    (void)client_got(IMAP_WORKER);
    buf_reset(&world_said);
    answered = SIZE_MAX;
}

PRINTF(1, 2) static void say(const char *format, ...)
{
    char line[300];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    begin();
    client_say(IMAP_WORKER, "t ");
    client_say(IMAP_WORKER, line);
}

static void selects(void)
{
    say("SELECT %s\r\n", name());
    imap_rest(notice);
}

static void literal(void)
{
    struct str text = letter();
    char head[40];

    snprintf(head, sizeof head, "{%zu+}\r\n", text.n);
    client_say(IMAP_WORKER, head);
    for (; text.n > 0; text = str_skip(text, text.n < 9000 ? text.n : 9000)) {
        client_say_bytes(IMAP_WORKER, str_sub(text, 0, text.n < 9000 ? text.n : 9000));
        imap_rest(notice);
    }
}

static void appends(void)
{
    say("APPEND %s (%s) ", name(), flags());
    literal();
    for (uint64_t n = cut_random(3) == 0 ? cut_random(4) : 0; n > 0; n--) {
        client_say(IMAP_WORKER, " () ");
        literal();
    }
    client_say(IMAP_WORKER, "\r\n");
}

static void replaces(void)
{
    selects();
    say("UID REPLACE %u %s ", 1 + (unsigned)cut_random(20), name());
    literal();
    client_say(IMAP_WORKER, "\r\n");
}

static void stores(void)
{
    static const char *const how[] = {"", "+", "-"};

    selects();
    say("UID STORE %s %sFLAGS (%s)\r\n", uids(), how[cut_random(3)], flags());
}

static void changes_folders(void)
{
    switch (cut_random(6)) {
    case 0:
    case 1: say("CREATE %s\r\n", name()); break;
    case 2: say("DELETE %s\r\n", name()); break;
    case 3: say("RENAME %s %s\r\n", names[2 + cut_random(3)], names[2 + cut_random(3)]); break;
    case 4: say("SUBSCRIBE %s\r\n", name()); break;
    default: say("UNSUBSCRIBE %s\r\n", name());
    }
}

static void annotates(void)
{
    const char *entry = cut_random(2) ? "/private/comment" : "/shared/comment";
    bool server = cut_random(4) == 0;

    if (cut_random(4) == 0)
        say("SETMETADATA %s (%s NIL)\r\n", server ? "\"\"" : name(), server ? "/private/comment" : entry);
    else
        say("SETMETADATA %s (%s \"%016" PRIx64 "\")\r\n", server ? "\"\"" : name(), server ? "/private/comment" : entry, cut_random(UINT64_MAX));
}

static void delivers(void)
{
    begin();
    world_deliver(letter());
}

/* Time passes, databases nobody uses are closed, what was removed is swept away, the search index takes messages in. */
static void housekeeps(void)
{
    begin();
    world_later((int64_t)cut_random(40) * SECOND);
    (void)boxes_tidy(world_boxes);
    for (uint64_t n = cut_random(4); n > 0 && boxes_wants_sweep(world_boxes); n--)
        boxes_sweep(world_boxes);
    for (uint64_t n = cut_random(10); n > 0; n--)
        boxes_fill(world_boxes, SECOND / 50);
}

static void searches(void)
{
    selects();
    say("UID SEARCH TEXT word%05uend\r\n", 1 + (unsigned)cut_random(next_word + 1));
}

static void with_messages(void)
{
    selects();
    switch (cut_random(5)) {
    case 0: say("UID COPY %s %s\r\n", uids(), name()); break;
    case 1: say("UID MOVE %s %s\r\n", uids(), name()); break;
    case 2: say("EXPUNGE\r\n"); break;
    case 3: say("UID EXPUNGE %s\r\n", uids()); break;
    default: say("UID FETCH %s (BODY[])\r\n", uids()); /* \Seen */
    }
}

void imap_client_work(size_t *done)
{
    static void (*const deeds[])(void) = {appends, appends, appends, replaces, stores, stores, stores, changes_folders, changes_folders,
        annotates, delivers, delivers, housekeeps, searches, with_messages, with_messages, with_messages};

    if (cut_random(4) == 0)
        watcher_turns();
    deeds[cut_random(sizeof deeds / sizeof *deeds)]();
    imap_rest(notice);
    *done = answered;
}

void imap_clients_open(void)
{
    if (!imap_clients[IMAP_WORKER].open)
        client_open(IMAP_WORKER);
    if (!imap_clients[IMAP_WATCHER].open)
        watcher_opens();
}
