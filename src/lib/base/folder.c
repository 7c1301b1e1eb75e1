#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 1: done; 0: this process may not open it; -1: failed. */
static int sync_now(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 1;

    if (fd < 0 || fsync(fd) != 0) {
        result = fd < 0 && (errno == EACCES || errno == EPERM) ? 0 : -1;
        err_set(err, ERR_TEMPORARY, "%s: cannot sync the folder: %s", path, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    return result;
}

bool folder_sync(const char *path, struct err *err)
{
    return sync_now(path, err) == 1;
}

static char *parent_of(const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n == 0 ? xstrndup(".", 1) : xstrndup(path, n);
}

bool folder_sync_parent(const char *path, struct err *err)
{
    char *parent = parent_of(path);
    bool done = folder_sync(parent, err);

    free(parent);
    return done;
}

bool folder_make(const char *path, mode_t mode, struct err *err)
{
    int is_new = mkdir(path, mode) == 0;
    bool done;
    char *parent;

    if (!is_new && errno != EEXIST)
        return err_set(err, ERR_TEMPORARY, "%s: %s", path, strerror(errno));
    parent = parent_of(path);
    done = sync_now(parent, err) >= is_new;
    free(parent);
    return done;
}
