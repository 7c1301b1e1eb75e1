#include "ipc/user.h"
#include "base/folder.h"
#include "ipc/ipc.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct passwd *find_named(struct str prefix, const char *separator, const char *role)
{
    const struct passwd *user;
    struct buf name;

    buf_init(&name, 300);
    buf_addf(&name, "%.*s%s%s%c", STR_ARG(prefix), separator, role, 0);
    user = name.failed ? NULL : getpwnam(name.p);
    buf_clear(&name);
    return user;
}

bool user_find(const struct config *config, enum role_id role, uid_t *uid, gid_t *gid, bool *change, struct err *err)
{
    const struct passwd *user;

    *change = geteuid() == 0 && config->user.n > 0;
    if (!*change)
        return true;
    user = find_named(config->user, "-", role_name(role));
    if (user == NULL)
        user = find_named(config->user, "", "");
    if (user == NULL)
        return err_set(err, ERR_PERMANENT,
            "there is neither a user %.*s-%s nor a user %.*s to run as; create them with systemd-sysusers "
            "(packaging/sysusers.d/staffetta.conf) or useradd --system",
            STR_ARG(config->user), role_name(role), STR_ARG(config->user));
    if (user->pw_uid == 0)
        return err_set(err, ERR_PERMANENT, "user %s is root; roles never run as root", user->pw_name);
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    return true;
}

/* folder: given to the user first; NULL: none. */
static bool become(const struct config *config, enum role_id role, const char *folder, struct err *err)
{
    uid_t uid = 0;
    gid_t gid = 0;
    bool change;

    if (!user_find(config, role, &uid, &gid, &change, err))
        return false;
    if (change && ((folder != NULL && chown(folder, uid, gid) != 0) || setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0))
        return err_set(err, ERR_PERMANENT, "cannot become the user of %s: %s", role_name(role), strerror(errno));
    return true;
}

bool user_become(const struct config *config, enum role_id role, struct err *err)
{
    return become(config, role, NULL, err);
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
            made = folder_make(part.p, 0711, err);
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
    done = make_above(path.p, err) && folder_make(path.p, 0700, err) && become(config, role, path.p, err);
    buf_clear(&path);
    return done;
}
