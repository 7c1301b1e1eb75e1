/* Ports and local sockets. Bound once at start; a change needs a restart (files_load says so). */
#include "roles/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_SYSTEMD_FD = 3, BACKLOG = 4096 };

static bool add(struct supervisor *s, int fd, unsigned index, enum service service, const char *address,
    struct err *err)
{
    if (s->bound_count == MAX_LISTENERS)
        return err_set(err, ERR_LIMIT, "more than %d listening sockets", MAX_LISTENERS);
    s->bound[s->bound_count++] = (struct bound){fd, index, service, str_dup(str_of(address))};
    return true;
}

static bool bind_tcp(struct supervisor *s, unsigned index, struct str address, struct err *err)
{
    const struct config_listen *l = &s->config->listeners[index];
    struct sockaddr_storage sa;
    struct ip ip;
    socklen_t size;
    int on = 1, fd;
    char text[IP_TEXT + 16];

    if (!ip_parse(address, &ip))
        return err_set(err, ERR_PERMANENT, "listen \"%.*s\": %.*s is no IP address", STR_ARG(l->name),
            STR_ARG(address));
    snprintf(text, sizeof text, ip.family == 6 ? "[%.*s]:%d" : "%.*s:%d", STR_ARG(address), (int)l->port);
    size = ip_to_sockaddr(&ip, (uint16_t)l->port, &sa);
    fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && errno == EAFNOSUPPORT)
        return true; /* a machine without IPv6 */
    if (fd < 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", text, strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ip.family == 6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sa, size) != 0 || listen(fd, BACKLOG) != 0) {
        err_set(err, ERR_PERMANENT, "listen \"%.*s\": cannot listen on %s: %s%s", STR_ARG(l->name), text,
            strerror(errno),
            errno == EADDRINUSE ? "; another program has this port (ss -ltnp shows which)"
            : errno == EACCES   ? "; ports below 1024 need root or systemd socket activation"
                                : "");
        close(fd);
        return false;
    }
    return add(s, fd, index, l->service_id, text, err);
}

static bool bind_local(struct supervisor *s, const char *name, enum service service, mode_t mode,
    struct err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int n = snprintf(sa.sun_path, sizeof sa.sun_path, "%.*s/%s", STR_ARG(s->config->run), name);
    int fd;

    if (n < 0 || (size_t)n >= sizeof sa.sun_path)
        return err_set(err, ERR_PERMANENT, "run = \"%.*s\" is too long for a local socket",
            STR_ARG(s->config->run));
    unlink(sa.sun_path); /* left by a crash: the lock on the data folder says nobody uses it */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 || chmod(sa.sun_path, mode) != 0 ||
        listen(fd, BACKLOG) != 0) {
        err_set(err, ERR_PERMANENT, "%s: %s", sa.sun_path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    return add(s, fd, 0, service, sa.sun_path, err);
}

void listeners_remove_local(struct supervisor *s)
{
    for (size_t i = 0; i < s->bound_count; i++)
        if (s->bound[i].address.n && s->bound[i].address.p[0] == '/')
            unlink(s->bound[i].address.p);
}

/* Sockets passed by systemd with the name given in the section; true when there was at least one. */
static bool take_from_systemd(struct supervisor *s, unsigned index, bool *found, struct err *err)
{
    const struct config_listen *l = &s->config->listeners[index];
    const char *pid = getenv("LISTEN_PID"), *names = getenv("LISTEN_FDNAMES");
    struct str rest = str_of(names), name;

    *found = false;
    if (pid == NULL || names == NULL || strtol(pid, NULL, 10) != (long)getpid())
        return true;
    for (int fd = FIRST_SYSTEMD_FD; str_next(&rest, ':', &name); fd++) {
        if (!str_eq(name, l->systemd))
            continue;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
            return err_set(err, ERR_PERMANENT, "systemd socket %.*s: %s", STR_ARG(name), strerror(errno));
        fcntl(fd, F_SETFL, O_NONBLOCK);
        if (!add(s, fd, index, l->service_id, "systemd", err))
            return false;
        *found = true;
    }
    return true;
}

static bool bind_section(struct supervisor *s, unsigned index, struct err *err)
{
    const struct config_listen *l = &s->config->listeners[index];
    bool found = false;

    if (l->systemd.n > 0) {
        if (!take_from_systemd(s, index, &found, err))
            return false;
        if (!found)
            return err_set(err, ERR_PERMANENT, "listen \"%.*s\": systemd passed no socket named %.*s",
                STR_ARG(l->name), STR_ARG(l->systemd));
        return true;
    }
    for (size_t i = 0; i < l->address.n; i++)
        if (!bind_tcp(s, index, l->address.items[i], err))
            return false;
    return true;
}

/* No role inherits what systemd passed, named in a section or not. */
static void keep_from_children(void)
{
    const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
    uint64_t n;

    if (pid == NULL || strtol(pid, NULL, 10) != (long)getpid() || !str_to_u64(str_of(count), 1024, &n))
        return;
    for (int fd = FIRST_SYSTEMD_FD; fd < FIRST_SYSTEMD_FD + (int)n; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

bool listeners_bind(struct supervisor *s, struct err *err)
{
    keep_from_children();
    for (unsigned i = 0; i < s->config->listener_count; i++)
        if (!bind_section(s, i, err))
            return false;
    return bind_local(s, "smtp.sock", SERVICE_LOCAL_SMTP, 0666, err) &&
           bind_local(s, "control.sock", SERVICE_CONTROL, 0600, err);
}

static bool same_list(const struct str_list *a, const struct str_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!str_eq(a->items[i], b->items[i]))
            return false;
    return true;
}

bool listeners_unchanged(const struct config *a, const struct config *b)
{
    if (a->listener_count != b->listener_count || !str_eq(a->data, b->data) || !str_eq(a->run, b->run) ||
        memcmp(&a->copies, &b->copies, sizeof a->copies) != 0)
        return false;
    for (size_t i = 0; i < a->listener_count; i++) {
        const struct config_listen *x = &a->listeners[i], *y = &b->listeners[i];

        if (x->service_id != y->service_id || x->port != y->port || !str_eq(x->systemd, y->systemd) ||
            !same_list(&x->address, &y->address))
            return false;
    }
    return true;
}
