#include "cli/secret.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Reads a line byte by byte, so that nothing behind it is taken. */
static bool read_line(struct secret *s, int fd)
{
    char c;
    ssize_t n;

    s->n = 0;
    while ((n = read(fd, &c, 1)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false; /* half a password is none */
        if (c == '\n')
            break;
        if (s->n == sizeof s->text)
            return false;
        s->text[s->n++] = c;
    }
    if (s->n && s->text[s->n - 1] == '\r')
        s->n--;
    return s->n > 0;
}

static bool ask(struct secret *s, const char *prompt)
{
    struct termios before, quiet;
    bool ok;

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    quiet = before;
    quiet.c_lflag &= (tcflag_t)~ECHO;
    fputs(prompt, stderr);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    ok = read_line(s, STDIN_FILENO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return ok;
}

static bool ask_twice(struct secret *s)
{
    struct secret again;
    bool same;

    if (!ask(s, "Password: "))
        return false;
    same = ask(&again, "The same again: ") && str_eq(secret_str(s), secret_str(&again));
    secret_clear(&again);
    if (!same)
        secret_clear(s);
    return same;
}

bool secret_read(struct secret *s)
{
    bool terminal = isatty(STDIN_FILENO) == 1;

    if (terminal ? ask_twice(s) : read_line(s, STDIN_FILENO))
        return true;
    cli_fail(EXIT_DATA,
        terminal ? "no password, or not twice the same"
                 : "no password: expected a line of at most %d bytes on standard input",
        SECRET_MAX);
    return false;
}

bool secret_read_once(struct secret *s, struct str file, struct err *err)
{
    bool ok;
    int fd;

    if (file.n == 0) {
        ok = isatty(STDIN_FILENO) == 1 ? ask(s, "Password: ") : read_line(s, STDIN_FILENO);
        return ok || err_set(err, ERR_PERMANENT, "no password: expected a line of at most %d bytes on standard input", SECRET_MAX);
    }
    fd = open(file.p, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", file.p, strerror(errno));
    ok = read_line(s, fd);
    close(fd);
    return ok || err_set(err, ERR_PERMANENT, "%s: expected a password of at most %d bytes in its first line", file.p, SECRET_MAX);
}

struct str secret_str(const struct secret *s)
{
    return str_from(s->text, s->n);
}

void secret_clear(struct secret *s)
{
    explicit_bzero(s, sizeof *s);
}
