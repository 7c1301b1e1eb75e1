/* See files.h. */
#include "cli/migrate/files.h"
#include "cli/migrate/maildir.h"
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct files_owner files_owner_of(const char *place)
{
    struct stat about;

    if (geteuid() != 0 || stat(place, &about) != 0 || about.st_uid == 0)
        return (struct files_owner){0};
    return (struct files_owner){true, about.st_uid};
}

bool files_may_read(struct files_owner owner, const struct stat *about)
{
    return !owner.only || about->st_uid == owner.uid;
}

static int open_regular(const char *path, int flags)
{
    int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    struct stat about;

    if (fd < 0 || (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)))
        return fd;
    close(fd);
    errno = ENXIO;
    return -1;
}

int files_open(const char *path)
{
    return open_regular(path, O_RDONLY);
}

int files_open_to_write(const char *path)
{
    return open_regular(path, O_WRONLY | O_CREAT);
}

int files_create(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return -1;
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

bool files_make_directory(const char *path)
{
    struct stat about;

    if (mkdir(path, 0700) == 0)
        return true;
    if (errno != EEXIST || lstat(path, &about) != 0)
        return false;
    errno = S_ISLNK(about.st_mode) ? ELOOP : ENOTDIR;
    return S_ISDIR(about.st_mode);
}

bool files_failed(struct err *err, const char *path)
{
    bool name = errno == ENAMETOOLONG || errno == ENOTDIR || errno == EISDIR || errno == ELOOP || errno == ENXIO;

    return err_set(err, name ? ERR_LIMIT : ERR_TEMPORARY, "%s: %s", path, strerror(errno));
}

static bool write_names(FILE *f, const struct str *names, size_t n)
{
    fputs("V\t2\n\n", f);
    for (size_t i = 0; i < n; i++) {
        struct buf line;

        buf_init(&line, 8192);
        maildir_subscription(&line, names[i]);
        fprintf(f, "%.*s\n", STR_ARG(buf_str(&line)));
        buf_clear(&line);
    }
    return fflush(f) == 0 && fsync(fileno(f)) == 0;
}

/* Levels are divided by tabs. */
bool files_write_subscriptions(const char *place, const char *name, const struct str *names, size_t n, struct err *err)
{
    char path[8192 + 300], fresh[8192 + 310];
    FILE *f;
    int fd;
    bool done;

    snprintf(path, sizeof path, "%s/%s", place, name);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    fd = files_create(fresh);
    f = fd < 0 ? NULL : fdopen(fd, "w");
    if (f == NULL)
        return err_set(err, ERR_TEMPORARY, "%s: %s", fresh, strerror(errno));
    done = write_names(f, names, n);
    done = fclose(f) == 0 && done;
    if (!done || rename(fresh, path) != 0)
        return err_set(err, ERR_TEMPORARY, "%s: %s", path, strerror(errno));
    return folder_sync_parent(path, err);
}
