/* See files.h. */
#include "cli/migrate/files.h"

#include <errno.h>
#include <fcntl.h>
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
    bool name = errno == ENAMETOOLONG || errno == ENOTDIR || errno == EISDIR || errno == ELOOP;

    return err_set(err, name ? ERR_LIMIT : ERR_TEMPORARY, "%s: %s", path, strerror(errno));
}
