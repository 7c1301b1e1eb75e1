#include "ipc/user.h"
#include "ipc/ipc.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
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

bool user_become(const struct config *config, enum role_id role, const char *folder, struct err *err)
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
