/* staffetta sendmail: /usr/sbin/sendmail for programs. The message is streamed from standard input to
 * the server's local socket; only the header is held. Exit code 0 means that it is on disk. */
#include "cli/cli.h"
#include "cli/mailtext.h"
#include "cli/sendmail_options.h"
#include "cli/submit.h"
#include "cli/verb.h"
#include "mime/header.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PIECE = 32 * 1024, HELD = 2 * ENVELOPE_HEADER + 4 * PIECE };

/* One run. */
struct handover {
    const struct sendmail_options *o;
    struct mailtext text;
    struct header_scan scan;
    struct header_facts facts;
    struct envelope envelope;
    struct buf held;      /* the header, and what came with its end */
    size_t header_size;   /* bytes of `held` that are header */
    bool input_over;
};

/* Our name: of the configuration where it can be read, else the system's. */
static void find_host(const struct cli *cli, char host[256])
{
    struct config *config = NULL;
    struct buf text;
    FILE *f = fopen(cli->config_path, "re");
    char *room;
    size_t n;

    buf_init(&text, 100000);
    while (f != NULL && (room = buf_reserve(&text, 4096)) != NULL && (n = fread(room, 1, 4096, f)) > 0)
        text.n += n;
    if (f != NULL)
        fclose(f);
    host[0] = 0;
    if (text.n && config_parse(&config, str_of(cli->config_path), buf_str(&text), NULL))
        snprintf(host, 256, "%.*s", STR_ARG(config->hostname));
    else if (gethostname(host, 255) != 0 || host[0] == 0)
        snprintf(host, 256, "localhost");
    config_free(config);
    buf_clear(&text);
}

static struct str user_name(void)
{
    const struct passwd *who = getpwuid(getuid());

    return who == NULL ? STR("nobody") : str_of(who->pw_name);
}

/* Reads one piece of standard input into `out`; false at its end. */
static bool read_piece(struct handover *h, struct buf *out, int *code)
{
    char piece[PIECE];
    ssize_t n;

    do
        n = read(STDIN_FILENO, piece, sizeof piece);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        *code = cli_fail(EXIT_DATA, "standard input: %s", strerror(errno));
        return false;
    }
    if (n > 0)
        mailtext_take(&h->text, str_from(piece, (size_t)n), out);
    if (n == 0)
        mailtext_finish(&h->text, out);
    h->input_over = n == 0 || h->text.ended;
    return true;
}

/* Reads until the header is over; all of it stays in `held`. */
static int read_header(struct handover *h)
{
    enum header_state state = HEADER_MORE;
    int code = EXIT_OK;
    size_t used;

    while (state == HEADER_MORE) {
        size_t before = h->held.n;

        if (!read_piece(h, &h->held, &code))
            return code;
        state = header_scan(&h->scan, str_skip(buf_str(&h->held), before), &used);
        if (state == HEADER_MORE && h->input_over)
            state = header_scan_finish(&h->scan);
    }
    if (state == HEADER_TOO_LARGE || h->held.failed)
        return cli_fail(EXIT_DATA, "the header is longer than %d bytes", ENVELOPE_HEADER);
    h->header_size = h->scan.size < h->held.n ? h->scan.size : h->held.n;
    return EXIT_OK;
}

static int make_envelope(struct handover *h, struct err *err)
{
    struct buf sender;
    bool ok;

    buf_init(&sender, 1024);
    if (h->o->sender_given)
        buf_add(&sender, h->o->sender);
    else
        buf_add(&sender, user_name());
    ok = envelope_set_sender(&h->envelope, buf_str(&sender));
    buf_clear(&sender);
    if (!ok)
        return cli_fail(EXIT_USAGE, "sender %s", err->text);
    for (int i = 0; i < h->o->recipient_count; i++)
        if (!envelope_add(&h->envelope, str_of(h->o->recipients[i])))
            return cli_fail(EXIT_USAGE, "%s", err->text);
    if (!header_facts_end(&h->facts))
        return cli_fail(EXIT_DATA, "%s", err->text);
    if (h->envelope.rcpt_count == 0)
        return cli_fail(h->o->from_header ? EXIT_DATA : EXIT_USAGE,
            h->o->from_header ? "no recipients in To, Cc or Bcc" : "no recipients; name them, or use -t");
    return EXIT_OK;
}

/* -F names the sender in a From field that is made when there is none. */
static void write_from(const struct handover *h, struct buf *out)
{
    if (h->facts.has_from || h->o->full_name.n == 0 || h->envelope.sender.n == 0)
        return;
    buf_add(out, STR("From: \""));
    for (size_t i = 0; i < h->o->full_name.n; i++) {
        char c = h->o->full_name.p[i];

        if (c == '"' || c == '\\')
            buf_add_char(out, '\\');
        if (str_control(str_skip(h->o->full_name, i)) > 1)
            i++;
        else if ((unsigned char)c >= 0x20 && c != 0x7f)
            buf_add_char(out, c);
    }
    buf_addf(out, "\" <%.*s>\r\n", STR_ARG(h->envelope.sender));
}

static bool send_header(struct handover *h, struct submit *s)
{
    struct str held = buf_str(&h->held);
    struct buf from;
    bool ok;

    buf_init(&from, 8192);
    write_from(h, &from);
    ok = submit_data(s, buf_str(&from)) && submit_data(s, str_sub(held, 0, h->header_size)) &&
         (h->scan.blank || submit_data(s, STR("\r\n"))) && submit_data(s, str_skip(held, h->header_size));
    buf_clear(&from);
    return ok;
}

static int send_message(struct handover *h, struct submit *s)
{
    int code = EXIT_OK;
    bool ok = send_header(h, s);
    struct buf piece;

    buf_init(&piece, 4 * PIECE);
    while (ok && !h->input_over) {
        buf_reset(&piece);
        if (!read_piece(h, &piece, &code))
            break; /* the connection is closed without the final dot: nothing is taken */
        ok = submit_data(s, buf_str(&piece));
    }
    buf_clear(&piece);
    if (!ok)
        return EXIT_TEMPFAIL;
    return code == EXIT_OK ? submit_end(s) : code;
}

static int hand_over(const struct cli *cli, struct handover *h, struct str host)
{
    struct submit_options options = {h->o->ret, h->o->envid, h->o->notify, h->o->verbose};
    struct submit s;
    struct buf path;
    int code;

    buf_init(&path, 4096);
    cli_socket_path(cli, "smtp.sock", &path);
    code = submit_open(&s, path.p, host, h->o->verbose);
    if (code == EXIT_OK)
        code = submit_begin(&s, &h->envelope, &options);
    if (code == EXIT_OK)
        code = send_message(h, &s);
    submit_close(&s);
    buf_clear(&path);
    return code;
}

static int deliver(const struct cli *cli, const struct sendmail_options *o)
{
    struct handover h = {.o = o};
    struct err err = {0};
    char host[256];
    int code;

    find_host(cli, host);
    mailtext_init(&h.text, o->ignore_dots);
    envelope_init(&h.envelope, str_of(host), &err);
    header_facts_init(&h.facts, o->from_header ? &h.envelope : NULL);
    header_scan_init(&h.scan, ENVELOPE_HEADER, header_facts_field, &h.facts);
    buf_init(&h.held, HELD);
    /* A wrong command line is said before anything is read. */
    code = o->from_header || o->recipient_count ? EXIT_OK : make_envelope(&h, &err);
    if (code == EXIT_OK)
        code = read_header(&h);
    if (code == EXIT_OK)
        code = make_envelope(&h, &err);
    if (code == EXIT_OK)
        code = hand_over(cli, &h, str_of(host));
    header_scan_clear(&h.scan);
    header_facts_clear(&h.facts);
    envelope_clear(&h.envelope);
    mailtext_clear(&h.text);
    buf_clear(&h.held);
    return code;
}

/* ---- -bs ---- */

static bool copy(int from, int to)
{
    char piece[PIECE];
    ssize_t n = read(from, piece, sizeof piece);
    struct str rest = {piece, n > 0 ? (size_t)n : 0};

    if (n < 0 && errno == EINTR)
        return true;
    while (rest.n) {
        ssize_t sent = write(to, rest.p, rest.n);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        rest = str_skip(rest, (size_t)sent);
    }
    return n > 0;
}

static int speak_smtp(const struct cli *cli)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
    struct buf path;

    buf_init(&path, 4096);
    cli_socket_path(cli, "smtp.sock", &path);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path.p);
    buf_clear(&path);
    p[1].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p[1].fd < 0 || connect(p[1].fd, (struct sockaddr *)&sa, sizeof sa) != 0)
        return cli_fail(EXIT_TEMPFAIL, "%s: %s", sa.sun_path, strerror(errno));
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return EXIT_OSERR;
        if (p[1].revents && !copy(p[1].fd, STDOUT_FILENO))
            break;
        if (p[0].fd >= 0 && p[0].revents && !copy(STDIN_FILENO, p[1].fd)) {
            shutdown(p[1].fd, SHUT_WR);
            p[0].fd = -1;
        }
    }
    close(p[1].fd);
    return EXIT_OK;
}

int sendmail_run(struct cli *cli, int argc, char **argv)
{
    static char queue[] = "queue", list[] = "list";
    struct sendmail_options o;
    struct err err = {0};

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        help_command(cli_find("sendmail"), false);
        return EXIT_OK;
    }
    if (!sendmail_parse(&o, argc, argv, &err))
        return cli_usage(cli_find("sendmail"), "%s", err.text);
    switch (o.mode) {
    case SENDMAIL_DELIVER:
        return deliver(cli, &o);
    case SENDMAIL_SMTP:
        return speak_smtp(cli);
    case SENDMAIL_LIST:
        return verb_run(cli, 2, (char *[]){queue, list, NULL});
    case SENDMAIL_NOTHING:
        break;
    }
    return EXIT_OK;
}
