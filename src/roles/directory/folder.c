#include "folder.h"

#include "ipc/user.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static bool make(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return true;
    return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
}

/* data and what is above it, as the supervisor makes them. */
static bool make_above(const char *path, struct err *err)
{
    struct buf part;
    bool made = true;

    buf_init(&part, 4096);
    for (const char *at = path; made && *at; at++) {
        if (*at == '/' && at > path) {
            buf_reset(&part);
            buf_add(&part, str_from(path, (size_t)(at - path)));
            buf_add_char(&part, 0);
            made = make(part.p, 0711, err);
        }
    }
    buf_clear(&part);
    return made;
}

bool folder_prepare(const struct config *config, struct err *err)
{
    struct buf path;
    bool done;

    buf_init(&path, 4096);
    buf_addf(&path, "%.*s/directory%c", STR_ARG(config->data), 0);
    if (path.failed)
        return err_set(err, ERR_PERMANENT, "the name of the data folder is too long");
    umask(066); /* folders may be passed through, files are for their owner */
    done = make_above(path.p, err) && make(path.p, 0700, err) &&
           user_become(config, ROLE_DIRECTORY, path.p, err);
    buf_clear(&path);
    return done;
}
