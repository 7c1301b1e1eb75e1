#include "cli/remote.h"
#include "cli/offline.h"
#include "cli/value.h"
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LONGEST_LINE = 1 << 20, SILENCE_MS = 150 * 1000 };

static bool connect_to(const char *path, int *fd, int *why)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof sa.sun_path) {
        *why = ENAMETOOLONG;
        return false;
    }
    memcpy(sa.sun_path, path, strlen(path) + 1);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd >= 0 && connect(*fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return true;
    *why = errno;
    if (*fd >= 0)
        close(*fd);
    return false;
}

static void write_request(struct buf *out, const char *command, struct str args)
{
    struct str word;
    bool first = true;

    json_open(out);
    json_str(out, "command", str_of(command));
    buf_add(out, STR(",\"args\":["));
    while (args.n && str_next(&args, 0, &word)) {
        if (!first)
            buf_add_char(out, ',');
        json_quote(out, word);
        first = false;
    }
    buf_add(out, STR("]}\n"));
}

static bool send_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = str_skip(bytes, (size_t)n);
    }
    return true;
}

/* The last word may quote what somebody else said: only its line ends are obeyed. */
static void say_last(struct str text, int code)
{
    struct str line;
    struct buf out;

    buf_init(&out, 1 << 20);
    buf_add(&out, code ? STR("staffetta: ") : STR(""));
    while (str_next(&text, '\n', &line)) {
        value_add_clean(&out, line);
        buf_add_char(&out, '\n');
    }
    fwrite(out.p, 1, out.n, stderr);
    buf_clear(&out);
}

/* Is this the closing line? Then its code and text. */
static bool is_done(struct str line, int *code)
{
    json_t *object;
    const char *text;

    if (!str_starts(line, STR("{\"done\":")))
        return false;
    object = json_loadb(line.p, line.n, 0, NULL);
    *code = object == NULL ? EXIT_SOFTWARE : (int)json_integer_value(json_object_get(object, "done"));
    text = json_string_value(json_object_get(object, "text"));
    if (text != NULL && text[0])
        say_last(str_of(text), *code);
    json_decref(object);
    return true;
}

/* How far a long command is: for people, in one line that the next output takes the place of. */
static bool is_progress(struct str line, bool *shown)
{
    bool people = isatty(STDERR_FILENO) == 1, is = str_starts(line, STR("{\"progress\":"));
    const char *text;
    json_t *object;

    if (*shown && people)
        fputs("\r\033[K", stderr);
    *shown = is && people;
    if (!*shown)
        return is;
    object = json_loadb(line.p, line.n, 0, NULL);
    text = json_string_value(json_object_get(object, "progress"));
    fputs(text != NULL ? text : "", stderr);
    fflush(stderr);
    json_decref(object);
    return true;
}

/* Takes the complete lines in `in`; true at the closing one. */
static bool take_lines(struct buf *in, remote_row_fn *row, void *owner, bool *progress, int *code)
{
    struct str rest = buf_str(in);
    ptrdiff_t end;
    bool done = false;

    while (!done && (end = str_find(rest, '\n')) >= 0) {
        struct str line = str_sub(rest, 0, (size_t)end);

        rest = str_skip(rest, (size_t)end + 1);
        if (is_progress(line, progress))
            continue;
        done = is_done(line, code);
        if (!done && !row(owner, line)) {
            *code = EXIT_OK;
            done = true;
        }
    }
    buf_consume(in, in->n - rest.n);
    return done;
}

static int read_answer(int fd, remote_row_fn *row, void *owner)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    struct buf in;
    int code = EXIT_TEMPFAIL, ready;
    ssize_t n = 0;
    char *room = NULL;
    bool progress = false;

    buf_init(&in, LONGEST_LINE);
    while (!take_lines(&in, row, owner, &progress, &code)) {
        do
            ready = poll(&wait, 1, SILENCE_MS);
        while (ready < 0 && errno == EINTR);
        room = ready > 0 ? buf_reserve(&in, 16384) : NULL;
        n = room == NULL ? 0 : recv(fd, room, 16384, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            code = cli_fail(EXIT_TEMPFAIL, ready == 0
                ? "the server does not answer" : "the server ended the connection; try again");
            break;
        }
        in.n += (size_t)n;
    }
    buf_clear(&in);
    return code;
}

static int ask_server(int fd, const char *command, struct str args, remote_row_fn *row, void *owner)
{
    struct buf request;
    int code;

    buf_init(&request, LONGEST_LINE);
    write_request(&request, command, args);
    if (!send_all(fd, buf_str(&request)))
        code = cli_fail(EXIT_TEMPFAIL, "the server ended the connection; try again");
    else
        code = read_answer(fd, row, owner);
    if (request.p != NULL)
        explicit_bzero(request.p, request.n); /* there may be a password in it */
    buf_clear(&request);
    return code;
}

int remote_command(const struct cli *cli, const char *command, struct str args, remote_row_fn *row, void *owner)
{
    struct buf path;
    int fd, why, code;

    buf_init(&path, 4096);
    cli_socket_path(cli, "control.sock", &path);
    if (connect_to(path.p, &fd, &why)) {
        code = ask_server(fd, command, args, row, owner);
        close(fd);
    } else if (why == EACCES || why == EPERM) {
        code = cli_fail(EXIT_NOPERM, "%s: %s; only root and the user of the server may command it",
            path.p, strerror(why));
    } else if (why == ENOENT || why == ECONNREFUSED || why == ENOTDIR) {
        code = offline_command(cli, command, args, row, owner);
    } else {
        code = cli_fail(EXIT_TEMPFAIL, "%s: %s", path.p, strerror(why));
    }
    buf_clear(&path);
    return code;
}

int remote_open(const struct cli *cli, int *fd)
{
    struct buf path;
    int why, code = EXIT_OK;

    buf_init(&path, 4096);
    cli_socket_path(cli, "control.sock", &path);
    if (!connect_to(path.p, fd, &why))
        code = cli_fail(why == EACCES || why == EPERM ? EXIT_NOPERM : EXIT_UNAVAILABLE, "%s: %s; this needs the running server", path.p, strerror(why));
    buf_clear(&path);
    return code;
}

bool remote_is_running(const struct cli *cli)
{
    struct buf path;
    int fd, why;
    bool is;

    buf_init(&path, 4096);
    cli_socket_path(cli, "control.sock", &path);
    is = connect_to(path.p, &fd, &why);
    if (is)
        close(fd);
    buf_clear(&path);
    return is || (why != ENOENT && why != ECONNREFUSED && why != ENOTDIR);
}

/* ---- sessions ---- */

/* The line that answers: nothing behind it may be taken, it belongs to the session. */
static int session_answer(int fd)
{
    struct buf line;
    char c;
    ssize_t n;
    int code = EXIT_TEMPFAIL;

    buf_init(&line, 8192);
    while ((n = recv(fd, &c, 1, 0)) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0 && c == '\n')
            break;
        if (n > 0)
            buf_add_char(&line, c);
    }
    if (str_starts(buf_str(&line), STR("{\"session\":")))
        code = EXIT_OK;
    else if (!is_done(buf_str(&line), &code))
        code = cli_fail(EXIT_TEMPFAIL, "the server ended the connection; try again");
    buf_clear(&line);
    return code;
}

static int open_session(int fd, int64_t account, const char *protocol)
{
    struct buf args, request;
    int code;

    buf_init(&args, 200);
    buf_init(&request, 1000);
    buf_addf(&args, "session%caccount=%" PRId64 "%cprotocol=%s%c", 0, account, 0, protocol, 0);
    write_request(&request, "mailbox", buf_str(&args));
    if (send_all(fd, buf_str(&request)))
        code = session_answer(fd);
    else
        code = cli_fail(EXIT_TEMPFAIL, "the server ended the connection; try again");
    buf_clear(&args);
    buf_clear(&request);
    return code;
}

int remote_session(const struct cli *cli, int64_t account, const char *protocol, int *fd)
{
    struct buf path;
    int why, code;

    buf_init(&path, 4096);
    cli_socket_path(cli, "control.sock", &path);
    if (connect_to(path.p, fd, &why)) {
        code = open_session(*fd, account, protocol);
        if (code != EXIT_OK)
            close(*fd);
    } else if (why == ENOENT || why == ECONNREFUSED || why == ENOTDIR) {
        code = cli_fail(EXIT_TEMPFAIL, "%s: %s; this needs the running server: start it first", path.p, strerror(why));
    } else {
        code = cli_fail(why == EACCES || why == EPERM ? EXIT_NOPERM : EXIT_TEMPFAIL, "%s: %s", path.p, strerror(why));
    }
    buf_clear(&path);
    return code;
}
