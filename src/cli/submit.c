#include "cli/submit.h"
#include "cli/cli.h"
#include "cli/mailtext.h"
#include "smtp/xtext.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* RFC 5321 4.5.3.2.6: ten minutes after the final dot. */
enum { PATIENCE_MS = 10 * 60 * 1000, PIECE = 64 * 1024, WORDS = 1000 };

static bool wait_for(int fd, short what)
{
    struct pollfd p = {.fd = fd, .events = what};
    int n;

    do
        n = poll(&p, 1, PATIENCE_MS);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

static bool write_out(struct submit *s)
{
    while (s->out.n) {
        ssize_t n = wait_for(s->fd, POLLOUT) ? send(s->fd, s->out.p, s->out.n, MSG_NOSIGNAL) : 0;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        buf_consume(&s->out, (size_t)n);
    }
    return true;
}

static bool read_more(struct submit *s)
{
    char *room = buf_reserve(&s->in, 4096);
    ssize_t n;

    do
        n = room != NULL && wait_for(s->fd, POLLIN) ? recv(s->fd, room, 4096, 0) : 0;
    while (n < 0 && errno == EINTR);
    if (n > 0)
        s->in.n += (size_t)n;
    return n > 0;
}

static void say_verbose(const struct submit *s, const char *side, struct str text)
{
    if (s->verbose)
        fprintf(stderr, "%s %.*s\n", side, STR_ARG(text));
}

static int lost(void)
{
    return cli_fail(EXIT_TEMPFAIL, "the server ended the connection; nothing was taken, try again");
}

/* Waits for one reply; its code, 0 when the connection is lost. */
static unsigned hear(struct submit *s)
{
    enum reply_state state = REPLY_MORE;
    size_t used;

    while (state == REPLY_MORE) {
        if (s->in.n == 0 && !read_more(s))
            return 0;
        state = reply_feed(&s->reply, buf_str(&s->in), &used);
        buf_consume(&s->in, used);
    }
    if (state == REPLY_BAD)
        return 0;
    if (s->verbose)
        fprintf(stderr, "< %u %.*s\n", s->reply.code, STR_ARG(str_trim(buf_str(&s->reply.text))));
    return s->reply.code;
}

/* Sends the line in s->out and waits for the reply. */
static unsigned ask(struct submit *s)
{
    say_verbose(s, ">", buf_str(&s->out));
    buf_add(&s->out, STR("\r\n"));
    return write_out(s) ? hear(s) : 0;
}

/* The exit code that a refusal stands for. */
static int code_of(unsigned code, const struct enhanced *e, int permanent)
{
    if (code < 500)
        return EXIT_TEMPFAIL;
    if (e->class == 5 && e->subject == 1)
        return EXIT_NOUSER;
    if (code == 552 || (e->class == 5 && e->subject == 6))
        return EXIT_DATA;
    if (e->class == 5 && e->subject == 7)
        return EXIT_NOPERM;
    return permanent;
}

static int refused(struct submit *s, unsigned code, const char *what, int permanent)
{
    struct buf words;
    int result;

    if (code == 0)
        return lost();
    buf_init(&words, WORDS + 1);
    reply_words(&s->reply, WORDS, &words);
    result = cli_fail(code_of(code, &s->reply.enhanced, permanent), "%s: %u %.*s", what, code, STR_ARG(words));
    buf_clear(&words);
    return result;
}

static int connect_to(struct submit *s, const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof sa.sun_path)
        return cli_fail(EXIT_CONFIG, "%s: too long for a local socket", path);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return EXIT_OK;
    if (errno == ENOENT || errno == ECONNREFUSED)
        return cli_fail(EXIT_TEMPFAIL, "Staffetta is not running (%s: %s); try again later", path, strerror(errno));
    return cli_fail(errno == EACCES ? EXIT_NOPERM : EXIT_TEMPFAIL, "%s: %s", path, strerror(errno));
}

int submit_open(struct submit *s, const char *path, struct str host, bool verbose)
{
    unsigned code;
    int result;

    *s = (struct submit){.fd = -1, .verbose = verbose, .line_start = true};
    reply_init(&s->reply);
    buf_init(&s->in, REPLY_TEXT_MAX * 2);
    buf_init(&s->out, 4 * PIECE);
    result = connect_to(s, path);
    if (result != EXIT_OK)
        return result;
    code = hear(s);
    if (code != 220)
        return refused(s, code, "the server", EXIT_UNAVAILABLE);
    buf_addf(&s->out, "EHLO %.*s", STR_ARG(host));
    code = ask(s);
    if (code != 250)
        return refused(s, code, "EHLO", EXIT_UNAVAILABLE);
    capabilities_clear(&s->can);
    reply_capabilities(&s->reply, &s->can);
    return EXIT_OK;
}

static int say_mail(struct submit *s, const struct envelope *e, const struct submit_options *o)
{
    unsigned code;

    buf_addf(&s->out, "MAIL FROM:<%.*s>", STR_ARG(e->sender));
    if (s->can.extensions & EXT_8BITMIME)
        buf_add(&s->out, STR(" BODY=8BITMIME"));
    if (e->utf8 && (s->can.extensions & EXT_SMTPUTF8))
        buf_add(&s->out, STR(" SMTPUTF8"));
    if (o->ret != NULL && (s->can.extensions & EXT_DSN))
        buf_addf(&s->out, " RET=%s", o->ret);
    if (o->envid.n && (s->can.extensions & EXT_DSN)) {
        buf_add(&s->out, STR(" ENVID="));
        xtext_encode(&s->out, o->envid);
    }
    code = ask(s);
    return code == 250 ? EXIT_OK : refused(s, code, "sender", EXIT_UNAVAILABLE);
}

/* Returns 0, or an exit code after which nothing is sent. */
static int say_rcpt(struct submit *s, struct str rcpt, const struct submit_options *o)
{
    char what[300];
    unsigned code;
    int result;

    buf_addf(&s->out, "RCPT TO:<%.*s>", STR_ARG(rcpt));
    if (o->notify.n && (s->can.extensions & EXT_DSN))
        buf_addf(&s->out, " NOTIFY=%.*s", STR_ARG(o->notify));
    code = ask(s);
    if (code == 250 || code == 251) {
        s->accepted++;
        return EXIT_OK;
    }
    snprintf(what, sizeof what, "%.*s", STR_ARG(rcpt));
    result = refused(s, code, what, EXIT_UNAVAILABLE);
    if (result == EXIT_TEMPFAIL)
        return result;
    if (s->refused == EXIT_OK)
        s->refused = result;
    return EXIT_OK;
}

int submit_begin(struct submit *s, const struct envelope *e, const struct submit_options *o)
{
    struct str rest = buf_str(&e->rcpts), rcpt;
    int result = say_mail(s, e, o);
    unsigned code;

    while (result == EXIT_OK && rest.n && str_next(&rest, 0, &rcpt))
        result = say_rcpt(s, rcpt, o);
    if (result != EXIT_OK)
        return result;
    if (s->accepted == 0)
        return s->refused;
    buf_add(&s->out, STR("DATA"));
    code = ask(s);
    return code == 354 ? EXIT_OK : refused(s, code, "DATA", EXIT_UNAVAILABLE);
}

bool submit_data(struct submit *s, struct str text)
{
    while (text.n) {
        struct str piece = str_sub(text, 0, PIECE);

        mailtext_stuff(piece, &s->line_start, &s->out);
        text = str_skip(text, piece.n);
        if (!write_out(s)) {
            lost();
            return false;
        }
    }
    return true;
}

int submit_end(struct submit *s)
{
    unsigned code;

    if (!s->line_start)
        buf_add(&s->out, STR("\r\n"));
    buf_add(&s->out, STR("."));
    code = ask(s);
    if (code != 250)
        return refused(s, code, "message", EXIT_UNAVAILABLE);
    return s->refused;
}

void submit_close(struct submit *s)
{
    if (s->fd >= 0) {
        buf_reset(&s->out);
        buf_add(&s->out, STR("QUIT\r\n"));
        send(s->fd, s->out.p, s->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(s->fd);
    }
    reply_clear(&s->reply);
    buf_clear(&s->in);
    buf_clear(&s->out);
}
