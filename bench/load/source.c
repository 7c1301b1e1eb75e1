/*
 * bench-source: puts SMTP load on a server on loopback: N sessions at a time, one or many messages
 * a connection, one or many recipients a message out of a cycle of them, plain or after STARTTLS.
 * One process, epoll, fixed memory a session.
 *
 * The exchange is that of a plain client: EHLO, MAIL, RCPT, DATA, message, QUIT, each answer
 * awaited before the next word (no pipelining), so that every server does the same work. Ends after
 * --messages or --seconds, whatever comes first; what was begun is finished. Prints one line of
 * JSON: counts, seconds, and percentiles of how long a message took, from the connect (further
 * messages of a connection: from MAIL) to the answer after the final dot. With --hold it opens the
 * connections, says EHLO, tells "holding", and keeps them until standard input ends; with --drip too
 * it goes on to DATA and then says a byte a second on each. With --lmtp it says LHLO, and each message has one recipient.
 */
#include "latency.h"
#include "wanted.h"
#include "wire.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define REPLY_MAX 2048
#define COMMAND_ROOM 512
#define MESSAGE_ROOM 65536
#define DRIPS 20 /* a second: each on its part of the connections */
#define OPENING_MAX 100 /* --hold: connections on their way at once */
#define FAILURES_MAX 1000
#define STALL_SECONDS 40
#define GREETING_SECONDS 1 /* then the connection counts as lost on its way */
#define FIRST_NETWORK 64u /* of the addresses that %a gives: 127.64.0.1, 127.64.0.2 ... */
#define LOOPBACK 0x7f000001u
#define SECOND UINT64_C(1000000000)

enum step { GREETING, HELLO, STARTTLS, HANDSHAKE, AUTH, MAIL, RCPT, DATA, MESSAGE, QUIT, HELD };

struct session {
    struct wire wire;
    uint32_t address;
    enum step step;
    uint32_t events; /* what epoll watches */
    char reply[REPLY_MAX];
    size_t reply_n;
    char *out; /* what is to be written: [out_at, out_n) */
    size_t out_n, out_at;
    size_t body_left;          /* of the message, not yet in out */
    unsigned int rcpt;         /* recipients of this message already accepted */
    uint64_t number;           /* of this message */
    unsigned int sent_here;    /* messages of this connection */
    uint64_t began, connected; /* connected: the connect itself, the last of them */
};

static struct {
    uint64_t started, messages, recipients, connections, retries, failed, first, last, progress;
    uint64_t live, opening, holding;
    size_t out_room;
    int epoll;
    SSL_CTX *tls;
    struct latency latency;
    struct session *all;
    uint64_t looked; /* for lost connections, the last time */
} run;

static void session_open(struct session *s);

/* ---- bytes out ---- */

static void watch(struct session *s, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};

    if (s->events == events)
        return;
    if (epoll_ctl(run.epoll, s->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->wire.fd, &e) != 0) {
        perror("epoll_ctl");
        exit(1);
    }
    s->events = events;
}

/* The next piece of the body, and the final dot with the last one: lines of 78 letters. */
static void refill(struct session *s)
{
    static const char line[] =
        "The quick brown fox jumps over the lazy dog, and the load goes on and on and o\r\n";

    _Static_assert(sizeof line == 81, "a line has 78 letters");
    s->out_at = s->out_n = 0;
    while (s->body_left > 0 && s->out_n + 128 < run.out_room) {
        size_t n = s->body_left < 80 ? s->body_left : 80;

        /* The short last line is cut at its front, so that it too ends with CR LF. */
        memcpy(s->out + s->out_n, line + 80 - n, n);
        s->out_n += n;
        s->body_left -= n;
    }
    if (s->body_left == 0) {
        memcpy(s->out + s->out_n, ".\r\n", 3);
        s->out_n += 3;
    }
}

/* Writes what there is; false: the connection is broken. */
static bool flush(struct session *s)
{
    for (;;) {
        enum wire_result r;
        size_t n = 0;

        if (s->out_at == s->out_n) {
            if (s->body_left == 0)
                break;
            refill(s);
        }
        r = wire_write(&s->wire, s->out + s->out_at, s->out_n - s->out_at, &n);
        if (r == WIRE_CLOSED)
            return false;
        if (r == WIRE_AGAIN) {
            watch(s, s->wire.wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
            return true;
        }
        s->out_at += n;
    }
    watch(s, EPOLLIN);
    return true;
}

__attribute__((format(printf, 3, 4))) static bool say(
    struct session *s, enum step step, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(s->out, COMMAND_ROOM, format, args);
    va_end(args);
    if (n < 0 || n >= COMMAND_ROOM)
        return false;
    s->step = step;
    s->out_at = 0;
    s->out_n = (size_t)n;
    s->reply_n = 0;
    return flush(s);
}

/* ---- the conversation: each of these is called when the awaited answer is there ---- */

static bool may_start(void)
{
    return wanted.hold || (run.started < wanted.messages &&
           (wanted.seconds == 0 || run.first == 0 || wire_now() - run.first < wanted.seconds * SECOND));
}

static bool say_rcpt(struct session *s)
{
    uint64_t number = (s->number * wanted.each + s->rcpt + wanted.skip) % wanted.cycle;
    const char *mark = strstr(wanted.rcpt, "%a");

    if (mark)
        return say(s, RCPT, "RCPT TO:<%.*s127.%u.%u.%u%s>\r\n", (int)(mark - wanted.rcpt), wanted.rcpt,
            FIRST_NETWORK + (unsigned)(number / 62500 % 64), (unsigned)(number / 250 % 250),
            1 + (unsigned)(number % 250), mark + 2);
    mark = strstr(wanted.rcpt, "%d");
    if (!mark)
        return say(s, RCPT, "RCPT TO:<%s>\r\n", wanted.rcpt);
    return say(s, RCPT, "RCPT TO:<%.*s%" PRIu64 "%s>\r\n", (int)(mark - wanted.rcpt), wanted.rcpt,
        number, mark + 2);
}

static bool stay(struct session *s)
{
    s->step = HELD;
    s->reply_n = 0;
    run.opening--;
    run.holding++;
    return true;
}

static bool next_message(struct session *s)
{
    if (wanted.hold && !wanted.drip)
        return stay(s);
    if (s->sent_here == wanted.many || !may_start())
        return say(s, QUIT, "QUIT\r\n");
    if (s->sent_here > 0)
        s->began = wire_now();
    s->number = run.started++;
    s->rcpt = 0;
    return say(
        s, MAIL, "MAIL FROM:<%s>%s%s\r\n", wanted.from, *wanted.parameters ? " " : "", wanted.parameters);
}

static bool say_hello(struct session *s)
{
    return say(s, HELLO, "%s load.example\r\n", wanted.lmtp ? "LHLO" : "EHLO");
}

static bool on_greeting(struct session *s)
{
    return say_hello(s);
}

static bool on_hello(struct session *s)
{
    if (wanted.starttls && !s->wire.ssl)
        return say(s, STARTTLS, "STARTTLS\r\n");
    if (wanted.auth)
        return say(s, AUTH, "AUTH PLAIN %s\r\n", wanted.auth);
    return next_message(s);
}

static bool on_starttls(struct session *s)
{
    s->step = HANDSHAKE;
    return wire_tls(&s->wire, run.tls, false);
}

static bool on_mail(struct session *s)
{
    return say_rcpt(s);
}

static bool on_rcpt(struct session *s)
{
    if (++s->rcpt < wanted.each)
        return say_rcpt(s);
    return say(s, DATA, "DATA\r\n");
}

static bool on_data(struct session *s)
{
    char date[64];
    time_t now = time(NULL);
    struct tm utc;
    int n;

    if (wanted.hold)
        return stay(s);
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &utc);
    n = snprintf(s->out, run.out_room,
        "From: <%s>\r\nTo: bench: ;\r\nDate: %s\r\nMessage-ID: <%" PRIu64 ".%ld.%" PRIu64
        "@load.example>\r\n"
        "Subject: message %" PRIu64 "\r\nX-Bench-Time: %020" PRIu64 "\r\n\r\n",
        wanted.from, date, s->number, (long)getpid(), s->began, s->number, s->began);
    s->step = MESSAGE;
    s->reply_n = 0;
    s->body_left = wanted.size > (uint64_t)n + 80 ? (size_t)(wanted.size - (uint64_t)n) : 80;
    s->body_left += s->body_left % 80 == 1; /* a last line of LF alone would be no line */
    if (s->body_left + (size_t)n + 128 < run.out_room) { /* one write */
        char head[1024];

        memcpy(head, s->out, (size_t)n);
        refill(s);
        memmove(s->out + n, s->out, s->out_n);
        memcpy(s->out, head, (size_t)n);
        s->out_n += (size_t)n;
    } else {
        s->out_at = 0;
        s->out_n = (size_t)n;
    }
    return flush(s);
}

static bool on_message(struct session *s)
{
    run.messages++;
    run.recipients += wanted.each;
    s->sent_here++;
    run.last = wire_now();
    latency_add(&run.latency, run.last - s->began);
    return next_message(s);
}

static const struct {
    const char *name;
    int code;
    bool (*answered)(struct session *s);
} steps[] = {
    [GREETING] = {"greeting", 220, on_greeting},
    [HELLO] = {"EHLO", 250, on_hello},
    [STARTTLS] = {"STARTTLS", 220, on_starttls},
    [HANDSHAKE] = {"TLS handshake", 0, NULL},
    [AUTH] = {"AUTH", 235, next_message},
    [MAIL] = {"MAIL", 250, on_mail},
    [RCPT] = {"RCPT", 250, on_rcpt},
    [DATA] = {"DATA", 354, on_data},
    [MESSAGE] = {"message", 250, on_message},
    [QUIT] = {"QUIT", 221, NULL},
    [HELD] = {"nothing", 0, NULL},
};

/* ---- connections ---- */

static void end_session(struct session *s)
{
    wire_close(&s->wire);
    s->events = 0;
    if (!wanted.hold && may_start())
        session_open(s);
    else
        run.live--;
}

/* The connection failed before its work was done: told, counted, begun again. */
static void fail(struct session *s, const char *why)
{
    if (run.failed++ < 5)
        fprintf(stderr, "waiting for the answer to %s: %s\n", steps[s->step].name, why);
    if (run.failed >= FAILURES_MAX) {
        fprintf(stderr, "too many failures\n");
        exit(1);
    }
    end_session(s);
}

static void session_connect(struct session *s)
{
    s->connected = wire_now();
    s->step = GREETING;
    s->reply_n = s->out_n = s->out_at = s->body_left = 0;
    if (!wire_connect(&s->wire, s->address, (uint16_t)wanted.port)) {
        perror("connect");
        exit(1);
    }
    run.connections++;
    watch(s, EPOLLIN);
}

static void session_open(struct session *s)
{
    s->sent_here = 0;
    s->began = wire_now();
    if (run.first == 0)
        run.first = s->began;
    session_connect(s);
}

/* A server whose listen queue is short drops connections that the client's kernel takes for made
 * (the kernel answers with SYN cookies then and remembers nothing). Nobody speaks on them; they are
 * made again, on the message's time. */
static void retry_lost(uint64_t now)
{
    for (uint64_t i = 0; i < wanted.sessions; i++) {
        struct session *s = &run.all[i];

        if (s->events && s->step == GREETING && now - s->connected > GREETING_SECONDS * SECOND) {
            wire_close(&s->wire);
            s->events = 0;
            run.retries++;
            session_connect(s);
        }
    }
}

static void shake_hands(struct session *s)
{
    enum wire_result r = wire_handshake(&s->wire);

    if (r == WIRE_CLOSED)
        fail(s, "no TLS");
    else if (r == WIRE_AGAIN)
        watch(s, s->wire.wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
    else if (!say_hello(s))
        fail(s, "connection lost");
}

/* The code of the reply once its last line is whole; 0 before. */
static int reply_code(const struct session *s)
{
    const char *line = s->reply, *end = s->reply + s->reply_n, *lf;

    while ((lf = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        if (lf - line >= 4 && line[3] != '-')
            return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
        line = lf + 1;
    }
    return 0;
}

static void act_on_reply(struct session *s, int code)
{
    if (code != steps[s->step].code) {
        s->reply[s->reply_n < REPLY_MAX ? s->reply_n : REPLY_MAX - 1] = '\0';
        fail(s, s->reply);
    } else if (!steps[s->step].answered) {
        end_session(s);
    } else if (!steps[s->step].answered(s)) {
        fail(s, "connection lost");
    }
}

static void read_reply(struct session *s)
{
    int code = 0;

    while (code == 0) {
        size_t n = 0;
        enum wire_result r;

        if (s->reply_n == REPLY_MAX || s->step == HELD) {
            fail(s, s->step == HELD ? "the server spoke or closed" : "an endless answer");
            return;
        }
        r = wire_read(&s->wire, s->reply + s->reply_n, REPLY_MAX - s->reply_n, &n);
        if (r == WIRE_CLOSED)
            fail(s, "connection closed");
        if (r != WIRE_OK)
            return;
        s->reply_n += n;
        code = reply_code(s);
    }
    run.progress = wire_now();
    act_on_reply(s, code);
}

static void on_event(struct session *s, uint32_t events)
{
    if (s->step == HANDSHAKE) {
        shake_hands(s);
        return;
    }
    if ((events & EPOLLOUT) && !flush(s)) {
        fail(s, "connection lost");
        return;
    }
    if (events & ~(uint32_t)EPOLLOUT)
        read_reply(s);
    if (s->step == HANDSHAKE && s->wire.ssl)
        shake_hands(s);
}

/* ---- the run ---- */

static void turn(void)
{
    struct epoll_event events[256];
    int n = epoll_wait(run.epoll, events, 256, 100);
    uint64_t now;

    for (int i = 0; i < n; i++)
        on_event(events[i].data.ptr, events[i].events);
    now = wire_now();
    if (now - run.looked > SECOND / 10) {
        run.looked = now;
        retry_lost(now);
    }
    if (now - run.progress > STALL_SECONDS * SECOND) {
        fprintf(stderr, "nothing moved for %d s\n", STALL_SECONDS);
        exit(1);
    }
}

static void report(void)
{
    printf("{\"messages\": %" PRIu64 ", \"recipients\": %" PRIu64 ", \"connections\": %" PRIu64
           ", \"retries\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"seconds\": %.6f, \"first\": %" PRIu64 ", \"last\": %" PRIu64 ", ",
        run.messages, run.recipients, run.connections, run.retries, run.failed,
        (double)(run.last - run.first) / 1e9, run.first, run.last);
    latency_print(&run.latency, stdout);
    printf("}\n");
}

/* A byte a second on each connection until standard input ends, some of them at a time. A connection
 * that was closed is not opened again. */
static void drip(void)
{
    static const char text[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    for (uint64_t turn = 0; poll(&input, 1, 1000 / DRIPS) == 0; turn++) {
        const char *byte = &text[turn / DRIPS % (sizeof text - 1)];

        for (uint64_t i = turn % DRIPS; i < wanted.sessions; i += DRIPS) {
            size_t n;

            if (run.all[i].step == HELD)
                (void)wire_write(&run.all[i].wire, byte, 1, &n);
        }
    }
}

static void hold(void)
{
    uint64_t opened = 0;
    char c;

    while (run.holding + run.failed < wanted.sessions) {
        while (opened < wanted.sessions && run.opening < OPENING_MAX) {
            run.opening++;
            session_open(&run.all[opened++]);
        }
        turn();
    }
    printf("holding %" PRIu64 "\n", run.holding);
    fflush(stdout);
    if (wanted.drip)
        drip();
    while (read(STDIN_FILENO, &c, 1) > 0)
        continue;
}

int main(int argc, char **argv)
{
    wanted_read(argc, argv);
    wire_files();
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.tls = SSL_CTX_new(TLS_client_method());
    run.out_room = wanted.hold ? COMMAND_ROOM : MESSAGE_ROOM;
    run.progress = wire_now();
    run.all = calloc(wanted.sessions, sizeof *run.all);
    if (run.epoll < 0 || !run.tls || !run.all)
        return 1;
    for (uint64_t i = 0; i < wanted.sessions; i++) {
        run.all[i].address = wanted.sources > 1 ? LOOPBACK + (uint32_t)(i % wanted.sources) : 0;
        run.all[i].out = malloc(run.out_room);
        if (!run.all[i].out)
            return 1;
    }
    if (wanted.hold) {
        hold();
        return run.failed ? 1 : 0;
    }
    run.live = wanted.sessions;
    for (uint64_t i = 0; i < wanted.sessions; i++)
        session_open(&run.all[i]);
    while (run.live > 0)
        turn();
    report();
    return 0;
}
