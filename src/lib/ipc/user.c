#include "ipc/user.h"
#include "ipc/ipc.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One user a role ("staffetta-mailbox"), or one for all of them, as the supervisor looks for them. */
static const struct passwd *find_user(const struct config *config, enum role_id role)
{
    const struct passwd *user;
    struct buf name;

    buf_init(&name, 300);
    buf_addf(&name, "%.*s-%s%c", STR_ARG(config->user), role_name(role), 0);
    user = name.failed ? NULL : getpwnam(name.p);
    if (user == NULL) {
        buf_reset(&name);
        buf_addf(&name, "%.*s%c", STR_ARG(config->user), 0);
        user = name.failed ? NULL : getpwnam(name.p);
    }
    buf_clear(&name);
    return user;
}

static bool become(const struct config *config, enum role_id role, const char *folder, struct err *err)
{
    const struct passwd *user;

    if (geteuid() != 0 || config->user.n == 0)
        return true;
    user = find_user(config, role);
    if (user == NULL || user->pw_uid == 0)
        return err_set(err, ERR_PERMANENT,
            "there is neither a user %.*s-%s nor a user %.*s to run as; create them with systemd-sysusers "
            "(packaging/staffetta.sysusers) or useradd --system",
            STR_ARG(config->user), role_name(role), STR_ARG(config->user));
    if (chown(folder, user->pw_uid, user->pw_gid) != 0 || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0)
        return err_set(err, ERR_PERMANENT, "cannot become user %s: %s", user->pw_name, strerror(errno));
    return true;
}

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

bool user_prepare_folder(const struct config *config, enum role_id role, struct err *err)
{
    struct buf path;
    bool done;

    buf_init(&path, 4096);
    buf_addf(&path, "%.*s/%s%c", STR_ARG(config->data), role_name(role), 0);
    if (path.failed)
        return err_set(err, ERR_PERMANENT, "the name of the data folder is too long");
    umask(066); /* folders may be passed through, files are for their owner */
    done = make_above(path.p, err) && make(path.p, 0700, err) && become(config, role, path.p, err);
    buf_clear(&path);
    return done;
}
