#include "roles/supervisor/supervisor.h"
#include "base/folder.h"
#include "base/log.h"
#include "ipc/user.h"
#include "net/remote_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_file(const char *path, size_t ceiling, struct buf *text, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;

    buf_init(text, ceiling);
    if (fd < 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    for (;;) {
        char *room = buf_reserve(text, 4096);

        if (room == NULL || (n = read(fd, room, 4096)) <= 0)
            break;
        text->n += (size_t)n;
    }
    close(fd);
    if (n < 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    if (text->failed)
        return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, ceiling);
    return true;
}

static bool read_named(struct str path, struct str *text, struct err *err)
{
    struct str name = str_dup(path);
    struct buf b;
    bool ok = read_file(name.p, IPC_CHUNK - 1, &b, err);

    if (ok)
        *text = str_dup(buf_str(&b));
    if (b.p != NULL)
        explicit_bzero(b.p, b.capacity);
    buf_clear(&b);
    str_free(&name);
    return ok;
}

static void forget_certificate(struct role_certificate *c)
{
    if (c->key.p != NULL)
        explicit_bzero((void *)(uintptr_t)c->key.p, c->key.n);
    str_free(&c->name);
    str_free(&c->chain);
    str_free(&c->key);
}

static bool read_certificates(const struct config *config, struct role_certificate *list, struct err *err)
{
    if (config->certificate_count > MAX_CERTIFICATES)
        return err_set(err, ERR_LIMIT, "more than %d certificates", MAX_CERTIFICATES);
    for (size_t i = 0; i < config->certificate_count; i++) {
        const struct config_certificate *c = &config->certificates[i];

        list[i].name = str_dup(c->name);
        if (!read_named(c->chain, &list[i].chain, err) || !read_named(c->key, &list[i].key, err) ||
            !key_pair_check(list[i].chain, list[i].key, err))
            return err_prefix(err, "certificate \"%.*s\"", STR_ARG(c->name));
    }
    return true;
}

static void warn(void *arg, const char *text)
{
    const struct supervisor *s = arg;

    log_warning("config", "file=%s reason=%s", s->config_path, text);
}

bool files_load(struct supervisor *s, struct err *err)
{
    struct role_certificate certificates[MAX_CERTIFICATES] = {0};
    struct config *config = NULL;
    struct buf text;
    bool ok = read_file(s->config_path, IPC_LIST, &text, err) &&
              config_parse(&config, str_of(s->config_path), buf_str(&text), err) &&
              read_certificates(config, certificates, err);

    if (ok && s->config != NULL && !listeners_unchanged(s->config, config))
        ok = err_set(err, ERR_PERMANENT,
            "%s: listeners, copies or folders changed; that needs a restart", s->config_path);
    if (!ok) {
        for (size_t i = 0; i < MAX_CERTIFICATES; i++)
            forget_certificate(&certificates[i]);
        config_free(config);
        buf_clear(&text);
        return false;
    }
    for (size_t i = 0; i < s->certificate_count; i++)
        forget_certificate(&s->certificates[i]);
    memcpy(s->certificates, certificates, sizeof certificates);
    s->certificate_count = config->certificate_count;
    config_free(s->config);
    s->config = config;
    buf_clear(&s->config_text);
    s->config_text = text;
    config_advise(config, warn, s);
    return true;
}

static bool make_folder(const char *path, mode_t mode, struct err *err)
{
    char partial[4096];
    size_t n = strlen(path);

    if (n >= sizeof partial)
        return err_set(err, ERR_PERMANENT, "%s: the name is too long", path);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(partial, path, i);
        partial[i] = 0;
        if (!folder_make(partial, mode, err))
            return false;
    }
    return true;
}

static bool prepare_role_folder(struct supervisor *s, enum role_id role, struct err *err)
{
    char path[4096];
    uid_t uid;
    gid_t gid;
    bool change;

    if (!user_find(s->config, role, &uid, &gid, &change, err))
        return false;
    snprintf(path, sizeof path, "%.*s/%s", STR_ARG(s->config->data), role_name(role));
    if (!make_folder(path, 0711, err))
        return false;
    if (chmod(path, 0700) != 0 || (change && chown(path, uid, gid) != 0))
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    return true;
}

/* One server a data folder: two would both deliver. */
static bool lock_data(struct supervisor *s, struct err *err)
{
    char path[4096];

    snprintf(path, sizeof path, "%.*s/lock", STR_ARG(s->config->data));
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    if (lockf(s->lock, F_TLOCK, 0) != 0)
        return err_set(err, ERR_PERMANENT, "%s: another Staffetta runs on this data folder", path);
    return true;
}

bool files_prepare_folders(struct supervisor *s, struct err *err)
{
    static const enum role_id with_files[] = {ROLE_DIRECTORY, ROLE_QUEUE, ROLE_MAILBOX, ROLE_EVENTS};
    char path[4096];

    snprintf(path, sizeof path, "%.*s", STR_ARG(s->config->data));
    if (!make_folder(path, 0711, err) || !lock_data(s, err))
        return false;
    for (size_t i = 0; i < sizeof with_files / sizeof with_files[0]; i++)
        if (!prepare_role_folder(s, with_files[i], err))
            return false;
    snprintf(path, sizeof path, "%.*s", STR_ARG(s->config->run));
    return make_folder(path, 0755, err);
}
