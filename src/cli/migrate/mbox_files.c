/* Mailbox files below a folder. See mbox_files.h. */
#include "cli/migrate/mbox_files.h"
#include "cli/migrate/files.h"
#include "cli/migrate/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 20000, LEVELS_MAX = 50, PATH_ROOM = 8192 };

/* ---- names ---- */

void mbox_path_encode(struct buf *out, struct str name)
{
    bool begins = true;

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (c == '%' || (begins && c == '.'))
            buf_addf(out, "%%%02x", (unsigned)c);
        else
            buf_add_char(out, c);
        begins = c == '/';
    }
    buf_add(out, STR(".mbox"));
}

bool mbox_level_decode(struct buf *out, struct str level)
{
    for (size_t i = 0; i < level.n; i++) {
        if (str_starts(str_skip(level, i), STR("%2e")) || str_starts(str_skip(level, i), STR("%25"))) {
            buf_add_char(out, level.p[i + 2] == 'e' ? '.' : '%');
            i += 2;
        } else {
            buf_add_char(out, level.p[i]);
        }
    }
    return level.n > 0 && str_is_utf8(level) && !out->failed;
}

/* ---- files ---- */

static int compare(const void *a, const void *b)
{
    const struct mbox_file *x = a, *y = b;

    return strcmp(x->name.p, y->name.p);
}

static bool add(struct mbox_files *f, const char *path, struct str name)
{
    if (f->n == FILES_MAX)
        return false;
    f->all = xrealloc(f->all, (f->n + 1) * sizeof *f->all);
    f->all[f->n++] = (struct mbox_file){str_dup(str_of(path)), str_dup(name)};
    return true;
}

/* Other files lie beside: indexes, locks, settings. */
static bool looks_like_mbox(const char *path)
{
    char first[5];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, first, sizeof first);

    if (fd >= 0)
        close(fd);
    return n == 0 ? str_ends(str_of(path), STR(".mbox")) : n == 5 && memcmp(first, "From ", 5) == 0;
}

static struct str without(struct str name, struct str suffix)
{
    return name.n > suffix.n && str_ends(name, suffix) ? str_sub(name, 0, name.n - suffix.n) : name;
}

/* A link to a directory may lead to the one it is in, and the walk would not end. */
static bool is_folder(const char *path)
{
    struct stat about;

    return lstat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static void walk(struct mbox_files *f, const char *directory, struct str above, unsigned level)
{
    DIR *dir = level < LEVELS_MAX ? opendir(directory) : NULL;
    const struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char path[PATH_ROOM];
        struct stat about;
        struct buf name;
        struct str file = str_of(e->d_name);

        if (e->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s", directory, e->d_name) >= (int)sizeof path || stat(path, &about) != 0)
            continue;
        buf_init(&name, PATH_ROOM);
        buf_add(&name, above);
        if (above.n > 0)
            buf_add_char(&name, '/');
        if (is_folder(path) && mbox_level_decode(&name, without(file, STR(".sbd"))))
            walk(f, path, buf_str(&name), level + 1);
        else if (S_ISREG(about.st_mode) && looks_like_mbox(path) && mbox_level_decode(&name, without(file, STR(".mbox"))))
            add(f, path, above.n == 0 && str_ieq(buf_str(&name), STR("INBOX")) ? STR("INBOX") : buf_str(&name));
        buf_clear(&name);
    }
    if (dir != NULL)
        closedir(dir);
}

static void read_subscriptions(struct mbox_files *f, const char *place)
{
    char path[PATH_ROOM + 20], *room;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/.subscriptions", place);
    fd = files_open(path);
    while (fd >= 0 && (room = buf_reserve(&f->subscriptions, 16384)) != NULL && (n = read(fd, room, 16384)) > 0)
        f->subscriptions.n += (size_t)n;
    if (fd >= 0)
        close(fd);
}

bool mbox_files_find(struct mbox_files *f, struct str place, struct str into, struct err *err)
{
    struct stat about;

    *f = (struct mbox_files){0};
    buf_init(&f->subscriptions, 1024 * 1024);
    if (stat(place.p, &about) != 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", place.p, strerror(errno));
    if (!S_ISDIR(about.st_mode))
        return add(f, place.p, into);
    read_subscriptions(f, place.p);
    walk(f, place.p, STR(""), 0);
    if (f->n == 0)
        return err_set(err, ERR_PERMANENT, "%s: there are no mailbox files in it", place.p);
    qsort(f->all, f->n, sizeof *f->all, compare);
    return true;
}

void mbox_files_clear(struct mbox_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        str_free(&f->all[i].path);
        str_free(&f->all[i].name);
    }
    free(f->all);
    buf_clear(&f->subscriptions);
}

bool mbox_files_subscribed(const struct mbox_files *f, struct str name)
{
    return f->subscriptions.n == 0 || str_eq(name, STR("INBOX")) || maildir_is_subscribed(buf_str(&f->subscriptions), name);
}
