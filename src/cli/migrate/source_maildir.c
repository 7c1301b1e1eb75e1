/* Messages of a Maildir, with the folders of Maildir++ in it (".Work.2026"). See source.h, maildir.h.
 *
 * A message is named by its folder and the unique part of its file's name, which stays when it is moved from new to cur
 * or its flags change. They come in the order of that name, which begins with the time of delivery; memory holds only a
 * part of the names at once: the directory is read anew for the next part. */
#include "cli/migrate/files.h"
#include "cli/migrate/lines.h"
#include "cli/migrate/maildir.h"
#include "cli/migrate/migrate.h"
#include "cli/migrate/source.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_AT_ONCE = 20000, FOLDERS_MAX = 20000, SMALL_FILE = 1024 * 1024, PIECE = 64 * 1024 };

struct file {
    uint64_t time;
    bool fresh;    /* in new */
    char *name;    /* owned */
};

struct maildir {
    struct files_owner owner;
    struct str top, into;  /* into: the folder for the messages of `top` itself */
    char **folders;        /* directories below, sorted */
    size_t folder_count, folder_at;
    struct buf path;       /* of the folder under way */
    struct buf name;       /* its name */
    struct buf subscriptions;
    bool any_subscriptions;
    struct str keyword_names[MAILDIR_LETTERS];
    struct buf keywords;
    struct file *files;
    size_t file_count, file_at;
    struct file last;      /* of the part before */
    bool read_all;
    int fd;                /* of the message being read */
    char last_byte;
    struct buf piece;
};

/* ---- small files ---- */

static void read_small(struct maildir *d, struct str folder, const char *name, struct buf *out)
{
    char path[4096], *room;
    struct stat about;
    ssize_t n;
    int fd;

    buf_reset(out);
    snprintf(path, sizeof path, "%.*s/%s", STR_ARG(folder), name);
    fd = files_open(path);
    while (fd >= 0 && fstat(fd, &about) == 0 && files_may_read(d->owner, &about) && (room = buf_reserve(out, 16384)) != NULL && (n = read(fd, room, 16384)) > 0)
        out->n += (size_t)n;
    if (fd >= 0)
        close(fd);
}

/* ---- folders ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_cur(struct str folder, const char *name)
{
    char path[4096];
    struct stat about;

    snprintf(path, sizeof path, "%.*s/%s%scur", STR_ARG(folder), name, name[0] ? "/" : "");
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool list_folders(struct maildir *d, struct err *err)
{
    DIR *dir = opendir(d->top.p);
    const struct dirent *e;

    if (dir == NULL)
        return err_set(err, ERR_PERMANENT, "%s: %s", d->top.p, strerror(errno));
    while ((e = readdir(dir)) != NULL && d->folder_count < FOLDERS_MAX) {
        if (e->d_name[0] != '.' || e->d_name[1] == 0 || strcmp(e->d_name, "..") == 0 || !has_cur(d->top, e->d_name))
            continue;
        d->folders = xrealloc(d->folders, (d->folder_count + 1) * sizeof *d->folders);
        d->folders[d->folder_count++] = xstrndup(e->d_name, strlen(e->d_name));
    }
    closedir(dir);
    if (d->folder_count > 0)
        qsort(d->folders, d->folder_count, sizeof *d->folders, compare_names);
    return true;
}

static void forget_files(struct maildir *d)
{
    for (size_t i = 0; i < d->file_count; i++)
        free(d->files[i].name);
    d->file_count = d->file_at = 0;
}

static void begin_folder(struct maildir *d)
{
    forget_files(d);
    free(d->last.name);
    d->last = (struct file){0};
    d->read_all = false;
    read_small(d, buf_str(&d->path), "dovecot-keywords", &d->keywords);
    maildir_keywords(buf_str(&d->keywords), d->keyword_names);
}

static bool next_folder(void *source, struct source_folder *f, bool *there, struct err *err)
{
    struct maildir *d = source;
    const char *directory;

    (void)err;
    *f = (struct source_folder){0};
    *there = d->folder_at <= d->folder_count;
    if (!*there)
        return true;
    buf_reset(&d->path);
    buf_reset(&d->name);
    buf_add(&d->path, d->top);
    directory = d->folder_at == 0 ? "" : d->folders[d->folder_at - 1];
    d->folder_at++;
    if (directory[0] == 0) {
        buf_add(&d->name, d->into);
    } else {
        buf_addf(&d->path, "/%s", directory);
        if (!maildir_folder_decode(&d->name, str_of(directory))) {
            buf_reset(&d->name);
            buf_add(&d->name, str_skip(str_of(directory), 1));
        }
    }
    f->name = buf_str(&d->name);
    f->subscribed = !d->any_subscriptions || directory[0] == 0 || maildir_is_subscribed(buf_str(&d->subscriptions), f->name);
    begin_folder(d);
    return true;
}

/* ---- the names of a folder, a part at a time ---- */

static int compare_files(const void *a, const void *b)
{
    const struct file *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Keeps the first NAMES_AT_ONCE of what there is. */
static void cut(struct maildir *d)
{
    if (d->file_count > 1)
        qsort(d->files, d->file_count, sizeof *d->files, compare_files);
    while (d->file_count > NAMES_AT_ONCE) {
        free(d->files[--d->file_count].name);
        d->read_all = false;
    }
}

static bool add_files(struct maildir *d, const char *sub, bool fresh, struct err *err)
{
    char path[4096];
    const struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof path, "%.*s/%s", STR_ARG(buf_str(&d->path)), sub);
    dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT || err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    while ((e = readdir(dir)) != NULL) {
        struct maildir_name name;
        struct file file = {.fresh = fresh};

        if (e->d_name[0] == '.')
            continue;
        maildir_name_parse(str_of(e->d_name), &name);
        file.time = name.time;
        file.name = xstrndup(e->d_name, strlen(e->d_name));
        if (d->last.name != NULL && compare_files(&file, &d->last) <= 0) {
            free(file.name);
            continue;
        }
        d->files[d->file_count++] = file;
        if (d->file_count == 2 * NAMES_AT_ONCE)
            cut(d);
    }
    closedir(dir);
    return true;
}

static bool read_part(struct maildir *d, struct err *err)
{
    forget_files(d);
    if (d->files == NULL)
        d->files = xcalloc(2 * NAMES_AT_ONCE, sizeof *d->files);
    d->read_all = true;
    if (!add_files(d, "new", true, err) || !add_files(d, "cur", false, err))
        return false;
    cut(d);
    if (d->file_count > 0) {
        const struct file *end = &d->files[d->file_count - 1];

        free(d->last.name);
        d->last = *end;
        d->last.name = xstrndup(end->name, strlen(end->name));
    }
    return true;
}

/* ---- messages ---- */

static void file_path(const struct maildir *d, const struct file *f, char *path, size_t size)
{
    snprintf(path, size, "%.*s/%s/%s", STR_ARG(buf_str(&d->path)), f->fresh ? "new" : "cur", f->name);
}

static void fill_item(const struct maildir *d, const struct file *f, struct item *item)
{
    struct maildir_name name;
    char path[8192];
    struct stat about;
    struct buf words;

    file_path(d, f, path, sizeof path);
    maildir_name_parse(str_of(f->name), &name);
    *item = (struct item){.name = str_dup(str_of(path)), .flags = name.flags};
    mark_of(item->mark, (struct str[]){STR("maildir"), buf_str(&d->name), name.unique}, 3);
    if (stat(path, &about) == 0)
        item->received = (int64_t)about.st_mtime * SECOND;
    buf_init(&words, 8192);
    for (int i = 0; i < MAILDIR_LETTERS; i++)
        if (name.letters >> i & 1)
            migrate_keyword(&words, d->keyword_names[i]);
    if (name.passed)
        migrate_keyword(&words, STR("$Forwarded"));
    item->keywords = str_dup(buf_str(&words));
    buf_clear(&words);
}

static bool next_items(void *source, struct item *items, size_t max, size_t *n, struct err *err)
{
    struct maildir *d = source;

    for (*n = 0; *n < max; ++*n) {
        if (d->file_at == d->file_count) {
            if (d->read_all)
                return true;
            if (!read_part(d, err))
                return false;
            if (d->file_count == 0)
                return true;
        }
        fill_item(d, &d->files[d->file_at++], &items[*n]);
    }
    return true;
}

static ssize_t read_some(struct maildir *d)
{
    ssize_t n;

    buf_reset(&d->piece);
    if (buf_reserve(&d->piece, PIECE) == NULL)
        return -1;
    do
        n = read(d->fd, d->piece.p, PIECE);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Reads it once for its length in CRLF; what cannot be read to its end is known before a byte is sent. */
static bool measure(struct maildir *d, uint64_t *size)
{
    ssize_t n;

    d->last_byte = 0;
    while ((n = read_some(d)) > 0)
        *size += (uint64_t)n + lines_missing(str_from(d->piece.p, (size_t)n), &d->last_byte);
    d->last_byte = 0;
    return n == 0 && lseek(d->fd, 0, SEEK_SET) == 0;
}

static bool open_message(void *source, const struct item *item, uint64_t *size, struct err *why, struct err *err)
{
    struct maildir *d = source;
    struct stat about;

    (void)err;
    *size = 0;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = open(item->name.p, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (d->fd < 0)
        err_set(why, ERR_PERMANENT, errno == ENOENT ? "it was renamed or removed meanwhile; run the command again" : "%s", strerror(errno));
    else if (fstat(d->fd, &about) != 0 || !S_ISREG(about.st_mode))
        err_set(why, ERR_PERMANENT, "it is no file");
    else if (!files_may_read(d->owner, &about))
        err_set(why, ERR_PERMANENT, "it belongs to another user than the Maildir");
    else if (!measure(d, size))
        err_set(why, ERR_PERMANENT, "%s", strerror(errno));
    else
        return true;
    *size = 0;
    return true;
}

static bool read_message(void *source, struct str *piece, struct err *err)
{
    struct maildir *d = source;
    struct buf raw;
    char *room;
    ssize_t n;

    buf_init(&raw, PIECE);
    buf_reset(&d->piece);
    room = buf_reserve(&raw, PIECE);
    do
        n = room == NULL ? -1 : read(d->fd, room, PIECE);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        lines_to_crlf(&d->piece, str_from(room, (size_t)n), &d->last_byte);
    buf_clear(&raw);
    *piece = buf_str(&d->piece);
    return n >= 0 || err_set(err, ERR_TEMPORARY, "%s", strerror(errno));
}

static void free_source(void *source)
{
    struct maildir *d = source;

    forget_files(d);
    free(d->files);
    free(d->last.name);
    for (size_t i = 0; i < d->folder_count; i++)
        free(d->folders[i]);
    free(d->folders);
    if (d->fd >= 0)
        close(d->fd);
    buf_clear(&d->path);
    buf_clear(&d->name);
    buf_clear(&d->subscriptions);
    buf_clear(&d->keywords);
    buf_clear(&d->piece);
    free(d);
}

static const struct source_type type = {next_folder, next_items, NULL, open_message, read_message, free_source};

bool maildir_source_new(struct source *source, const struct migration *m, struct err *err)
{
    struct maildir *d = xcalloc(1, sizeof *d);

    d->fd = -1;
    d->top = m->place;
    d->owner = files_owner_of(m->place.p);
    d->into = m->folder.n > 0 ? m->folder : STR("INBOX");
    buf_init(&d->path, 8192);
    buf_init(&d->name, 8192);
    buf_init(&d->subscriptions, SMALL_FILE);
    buf_init(&d->keywords, SMALL_FILE);
    buf_init(&d->piece, 2 * PIECE + 16);
    *source = (struct source){.type = &type, .state = d};
    if (!list_folders(d, err))
        return false;
    if (!has_cur(d->top, "") && d->folder_count == 0)
        return err_set(err, ERR_PERMANENT, "%s: this is no Maildir: there is no folder cur in it", d->top.p);
    read_small(d, d->top, "subscriptions", &d->subscriptions);
    if (d->subscriptions.n == 0)
        read_small(d, d->top, "courierimapsubscribed", &d->subscriptions);
    d->any_subscriptions = d->subscriptions.n > 0;
    return true;
}
