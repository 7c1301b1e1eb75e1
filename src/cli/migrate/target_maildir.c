/* Writes a Maildir with Maildir++ folders. See target.h, maildir.h.
 *
 * A message is written into tmp and renamed into cur when it is whole and on disk, under a name made of its uidvalidity and
 * uid: what a run before has written is recognised by that. Lines end with LF, as other programs expect; a message whose
 * bytes that would change for good is written as it is. The time of a file is its INTERNALDATE. */
#include "cli/migrate/files.h"
#include "cli/migrate/lines.h"
#include "cli/migrate/maildir.h"
#include "cli/migrate/migrate.h"
#include "cli/migrate/target.h"
#include "base/clock.h"
#include "base/folder.h"
#include "imap/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 8192, PIECE = 64 * 1024 };

struct maildir_out {
    struct str top;
    bool dry_run;
    char folder[PATH_ROOM];
    uint32_t uidvalidity;
    uint32_t *uids;        /* written before, sorted */
    size_t uid_count, uid_room;
    struct buf keywords;   /* dovecot-keywords */
    bool keywords_changed, keywords_full;
    const struct item *item;
    char temporary[PATH_ROOM + 300];
    int fd;
    uint64_t written;
    struct buf piece;
    bool cr, lost, raw;
};

static bool failed(struct err *err, const char *path)
{
    return err_set(err, ERR_TEMPORARY, "%s: %s", path, strerror(errno));
}

static bool make_directory(const char *path, struct err *err)
{
    return files_make_directory(path) || files_failed(err, path);
}

/* ---- what is there ---- */

static int compare_uids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* "1700000000.V17U42.staffetta,S=..." with our uidvalidity: 42; else 0. */
static uint32_t uid_of(const struct maildir_out *d, struct str file)
{
    ptrdiff_t dot = str_find(file, '.');
    struct str rest = str_skip(file, dot < 0 ? file.n : (size_t)dot + 1), number;
    uint64_t value;

    if (!str_starts(rest, STR("V")) || !str_next(&rest, 'U', &number) ||
        !str_to_u64(str_skip(number, 1), UINT32_MAX, &value) || value != d->uidvalidity || !str_next(&rest, '.', &number) ||
        !str_starts(rest, STR("staffetta")) || !str_to_u64(number, UINT32_MAX, &value))
        return 0;
    return (uint32_t)value;
}

static void note_files(struct maildir_out *d, const char *sub)
{
    char path[PATH_ROOM + 16];
    const struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof path, "%s/%s", d->folder, sub);
    dir = opendir(path);
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        uint32_t uid = uid_of(d, str_of(e->d_name));

        if (uid == 0)
            continue;
        if (d->uid_count == d->uid_room) {
            d->uid_room = d->uid_room * 2 + 1000;
            d->uids = xrealloc(d->uids, d->uid_room * sizeof *d->uids);
        }
        d->uids[d->uid_count++] = uid;
    }
    if (dir != NULL)
        closedir(dir);
}

static void read_keywords(struct maildir_out *d)
{
    char path[PATH_ROOM + 32], *room;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/dovecot-keywords", d->folder);
    buf_reset(&d->keywords);
    fd = files_open(path);
    while (fd >= 0 && (room = buf_reserve(&d->keywords, 4096)) != NULL && (n = read(fd, room, 4096)) > 0)
        d->keywords.n += (size_t)n;
    if (fd >= 0)
        close(fd);
    d->keywords_changed = d->keywords_full = false;
}

static bool begin_folder(void *target, struct str name, uint32_t uidvalidity, struct err *err)
{
    static const char *const subs[] = {"cur", "new", "tmp"};
    struct maildir_out *d = target;
    char path[PATH_ROOM + 16];
    struct buf directory;

    buf_init(&directory, PATH_ROOM);
    if (!str_eq(name, STR("INBOX"))) {
        buf_add_char(&directory, '/');
        maildir_folder_encode(&directory, name);
    }
    snprintf(d->folder, sizeof d->folder, "%.*s%.*s", STR_ARG(d->top), STR_ARG(buf_str(&directory)));
    buf_clear(&directory);
    d->uidvalidity = uidvalidity;
    d->uid_count = 0;
    if (!d->dry_run && !str_eq(name, STR("INBOX")) && !make_directory(d->folder, err))
        return false;
    for (size_t i = 0; i < sizeof subs / sizeof *subs && !d->dry_run; i++) {
        snprintf(path, sizeof path, "%s/%s", d->folder, subs[i]);
        if (!make_directory(path, err))
            return false;
    }
    note_files(d, "cur");
    note_files(d, "new");
    if (d->uid_count > 0)
        qsort(d->uids, d->uid_count, sizeof *d->uids, compare_uids);
    read_keywords(d);
    return true;
}

static bool has(void *target, const struct item *item)
{
    const struct maildir_out *d = target;
    uint32_t uid = (uint32_t)item->at;

    return d->uid_count > 0 && bsearch(&uid, d->uids, d->uid_count, sizeof uid, compare_uids) != NULL;
}

/* ---- a message ---- */

static bool begin(void *target, const struct item *item, struct err *err)
{
    struct maildir_out *d = target;

    d->raw = d->raw && d->item == item; /* the second time */
    d->item = item;
    d->cr = d->lost = false;
    d->written = 0;
    snprintf(d->temporary, sizeof d->temporary, "%s/tmp/V%" PRIu32 "U%" PRIu64 ".staffetta", d->folder, d->uidvalidity, item->at);
    d->fd = open(d->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return d->fd >= 0 || failed(err, d->temporary);
}

static bool write_all(struct maildir_out *d, struct str bytes, struct err *err)
{
    while (bytes.n > 0) {
        ssize_t n = write(d->fd, bytes.p, bytes.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(err, d->temporary);
        d->written += (uint64_t)n;
        bytes = str_skip(bytes, (size_t)n);
    }
    return true;
}

static bool add(void *target, struct str piece, struct err *err)
{
    struct maildir_out *d = target;

    while (piece.n > 0) {
        struct str part = str_sub(piece, 0, PIECE);

        piece = str_skip(piece, part.n);
        if (d->raw) {
            if (!write_all(d, part, err))
                return false;
            continue;
        }
        buf_reset(&d->piece);
        lines_to_lf(&d->piece, part, &d->cr, &d->lost);
        if (!write_all(d, buf_str(&d->piece), err))
            return false;
    }
    return true;
}

/* Letters of its keywords; new ones get the next letter. */
static uint32_t letters_of(struct maildir_out *d, const struct item *item, bool *passed)
{
    struct str words = item->keywords, word, names[MAILDIR_LETTERS];
    uint32_t letters = 0;

    while (str_next_word(&words, &word)) {
        int i = 0;

        if (str_ieq(word, STR("$Forwarded"))) {
            *passed = true;
            continue;
        }
        maildir_keywords(buf_str(&d->keywords), names);
        while (i < MAILDIR_LETTERS && names[i].n > 0 && !str_ieq(names[i], word))
            i++;
        if (i == MAILDIR_LETTERS) {
            if (!d->keywords_full)
                migrate_complain("%s: a Maildir has room for 26 keywords; the others, %.*s among them, are left out", d->folder,
                    STR_ARG(word));
            d->keywords_full = true;
            continue;
        }
        if (names[i].n == 0) {
            buf_addf(&d->keywords, "%d %.*s\n", i, STR_ARG(word));
            d->keywords_changed = true;
        }
        letters |= UINT32_C(1) << i;
    }
    return letters;
}

static bool write_keywords(struct maildir_out *d, struct err *err)
{
    char path[PATH_ROOM + 32], fresh[PATH_ROOM + 40];
    int fd;
    bool done;

    if (!d->keywords_changed)
        return true;
    snprintf(path, sizeof path, "%s/dovecot-keywords", d->folder);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    fd = files_create(fresh);
    done = fd >= 0 && write(fd, d->keywords.p, d->keywords.n) == (ssize_t)d->keywords.n && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    d->keywords_changed = false;
    /* before a name of a message promises a letter */
    return ((done && rename(fresh, path) == 0) || failed(err, path)) && folder_sync_parent(path, err);
}

static void final_name(struct maildir_out *d, struct buf *path)
{
    const struct item *item = d->item;
    struct maildir_name name = {.flags = item->flags};

    name.letters = letters_of(d, item, &name.passed);
    buf_addf(path, "%s/cur/%" PRId64 ".V%" PRIu32 "U%" PRIu64 ".staffetta,S=%" PRIu64, d->folder, item->received / SECOND,
        d->uidvalidity, item->at, d->written);
    maildir_name_flags(path, &name);
    buf_add_char(path, 0);
}

static bool settle(struct maildir_out *d, struct err *err)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = d->item->received / SECOND}};
    bool done = futimens(d->fd, times) == 0 && fsync(d->fd) == 0;

    if (!done)
        failed(err, d->temporary);
    close(d->fd);
    d->fd = -1;
    return done;
}

static bool end(void *target, bool *again, struct err *err)
{
    struct maildir_out *d = target;
    struct buf path;
    bool done;

    *again = false;
    if (!d->raw && d->cr && !write_all(d, STR("\r"), err))
        return false;
    if (!d->raw && (d->lost || d->cr)) {
        *again = d->raw = true;
        close(d->fd);
        d->fd = -1;
        return true;
    }
    d->raw = false;
    if (!settle(d, err))
        return false;
    buf_init(&path, 2 * PATH_ROOM);
    final_name(d, &path);
    /* A name may not promise a letter that the file of keywords does not have. */
    done = write_keywords(d, err) && (rename(d->temporary, path.p) == 0 || failed(err, path.p));
    buf_clear(&path);
    return done;
}

static bool end_folder(void *target, struct err *err)
{
    struct maildir_out *d = target;
    char path[PATH_ROOM + 16];

    if (d->dry_run)
        return true;
    snprintf(path, sizeof path, "%s/cur", d->folder);
    return folder_sync(path, err) && folder_sync(d->folder, err) && folder_sync(d->top.p, err);
}

/* ---- all of it ---- */

static bool subscriptions(void *target, const struct str *names, size_t n, struct err *err)
{
    struct maildir_out *d = target;

    return files_write_subscriptions(d->top.p, "subscriptions", names, n, err);
}

static void free_target(void *target)
{
    struct maildir_out *d = target;

    if (d->fd >= 0)
        close(d->fd);
    free(d->uids);
    buf_clear(&d->keywords);
    buf_clear(&d->piece);
    free(d);
}

static const struct target_type type = {begin_folder, has, begin, add, end, end_folder, subscriptions, free_target};

bool maildir_target_new(struct target *target, const struct migration *m, struct err *err)
{
    struct maildir_out *d = xcalloc(1, sizeof *d);

    d->fd = -1;
    d->top = m->place;
    d->dry_run = m->dry_run;
    buf_init(&d->keywords, 64 * 1024);
    buf_init(&d->piece, 2 * PIECE + 16);
    *target = (struct target){&type, d};
    return d->dry_run || folder_make(d->top.p, 0700, err);
}
