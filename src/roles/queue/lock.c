#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 3000, PATH_ROOM = 4200 };

static const struct timespec pause_between = {0, 10 * 1000 * 1000};

bool lock_take(const char *database, int *fd, struct err *err)
{
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s.lock", database);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    for (int i = 0; i < TRIES; i++) {
        if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            break;
        nanosleep(&pause_between, NULL);
    }
    err_set(err, ERR_TEMPORARY, "%s: %s", path,
        errno == EWOULDBLOCK ? "another process works on this database; try again when it is done" : strerror(errno));
    close(*fd);
    *fd = -1;
    return false;
}

bool lock_salvage_is_open(const char *database)
{
    char fresh[PATH_ROOM], damaged[PATH_ROOM];

    snprintf(fresh, sizeof fresh, "%s.salvaged", database);
    snprintf(damaged, sizeof damaged, "%s.damaged", database);
    return access(fresh, F_OK) == 0 && access(damaged, F_OK) == 0;
}
