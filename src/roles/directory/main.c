/* directory: who exists, where mail goes, who may log in. Copy 0 answers questions, takes commands
 * and is the only writer; the other copies check passwords. No network, no files but its database.
 */
#include "directory.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void peer_up(struct role *role, struct channel *c)
{
    if (channel_role(c) == ROLE_MAILBOX && role_copy(role) == 0)
        answers_mailbox_up(role_state(role), c);
    dkim_watch_peer_up(role_state(role), c);
}

static void peer_gone(struct role *role, struct channel *c)
{
    answers_peer_gone(role_state(role), c);
    auth_peer_gone(role_state(role), c);
    dkim_answers_peer_gone(role_state(role), c);
    control_peer_gone(role_state(role), c);
}

static void reload(struct role *role)
{
    struct directory *d = role_state(role);
    const struct config *c = role_config(role);

    d->lookup.config = c;
    d->throttle.failures = c->limits.login_failures > 0 ? c->limits.login_failures : 1;
    d->throttle.window = c->limits.ban_time;
    lookup_changed(&d->lookup);
    keys_load(d);
}

/* Nothing here outlives its question: smtp and access drain first and we end with them. */
static void drain(struct role *role, int64_t within)
{
    (void)within;
    role_exit(role);
}

static void verify(struct role *role, struct verification *v)
{
    static const char *const checks[BOOK_COUNT] = {
        [BOOK_RCPT] = "recipients asked about, and answered",
        [BOOK_SENDER] = "senders asked about, and answered",
        [BOOK_DESTINATION] = "destinations asked for, and answered",
        [BOOK_STANDING] = ("secrets, pools and accounts asked for, and told, waiting for the "
                           "database or their asker gone"),
        [BOOK_LOGIN] = "logins begun, and answered, under way or given up",
        [BOOK_DKIM] = "DKIM keys and signatures asked for, and answered, waiting or their asker gone",
        [BOOK_DOMAIN] = "domains asked about, and answered",
        [BOOK_SIGNATURE] = "TLS signatures asked for, and made or refused",
    };
    const struct directory *d = role_state(role);
    const int64_t open[BOOK_COUNT] = {[BOOK_STANDING] = answers_under_way(d), [BOOK_LOGIN] = auth_under_way(d), [BOOK_DKIM] = d->dkim_waiting};

    for (size_t i = 0; i < BOOK_COUNT; i++)
        if (d->books[i].came > 0)
            verify_questions(v, checks[i], &d->books[i], open[i]);
}

static const struct handlers handlers = {
    .rcpt_ask = on_rcpt_ask,
    .sender_ask = on_sender_ask,
    .resolve_ask = on_resolve_ask,
    .secret_ask = on_secret_ask,
    .pools_ask = on_pools_ask,
    .account_ask = on_account_ask,
    .domain_ask = on_domain_ask,
    .name_ask = on_name_ask,
    .share_note = on_share_note,
    .shares_ask = on_shares_ask,
    .key_sign_ask = on_key_sign_ask,
    .dkim_keys_ask = on_dkim_keys_ask,
    .dkim_sign_ask = on_dkim_sign_ask,
    .dns_reply = on_dns_reply,
    .auth_begin = on_auth_begin,
    .auth_step = on_auth_step,
    .auth_cancel = on_auth_cancel,
    .control_ask = on_control_ask,
    .control_more = on_control_more,
    .control_cancel = on_control_cancel,
};

static const struct role_type directory_role = {
    .id = ROLE_DIRECTORY,
    .handlers = &handlers,
    .sandbox = SANDBOX_FILES,
    .peer_up = peer_up,
    .peer_gone = peer_gone,
    .reload = reload,
    .drain = drain,
    .verify = verify,
};

enum { LARGE = 8 * 1024 * 1024 }; /* some 20,000 accounts; nobody waits seconds for a start */

/* A page that went bad may look like "no such user", and mail would be returned; so the one that writes looks at the
 * whole once, at its start; when it is large, at its pages only. */
static bool sound(struct directory *d, struct err *err)
{
    int64_t used, unused;

    if (role_copy(d->role) != 0)
        return true;
    if (!db_size(d->store.db, &used, &unused, err))
        return false;
    return used > LARGE ? db_check_pages(d->store.db, err) : db_check_integrity(d->store.db, err);
}

static void open_database(struct directory *d)
{
    struct err err = {0};
    struct buf path;
    bool opened;

    buf_init(&path, 4096);
    buf_addf(&path, "%.*s/directory/directory.db%c", STR_ARG(role_config(d->role)->data), 0);
    opened = !path.failed && store_open(&d->store, path.p, &err) && sound(d, &err) &&
             store_secret(&d->store, d->secret, &err);
    if (!opened && err.kind == ERR_DAMAGED)
        fatal_data("%s (see \"Backup\" in docs/database.md)", err.text);
    if (!opened)
        fatal("%s", err.text);
    buf_clear(&path);
}

/* Private keys and what passwords are checked with do not get into a file when this process crashes. */
static void leave_no_core(void)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0)
        log_warning("core-files", "reason=setrlimit: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    struct role *role = role_begin(&directory_role, argc, argv);
    struct directory *d = xcalloc(1, sizeof *d);
    int code;

    leave_no_core();
    d->role = role;
    role_set_state(role, d);
    open_database(d);
    lookup_init(&d->lookup, &d->store, role_config(role));
    lookup_changed(&d->lookup);
    answers_open(d);
    auth_open(d);
    control_open(d);
    keys_load(d);
    dkim_answers_open(d);
    dkim_watch_open(d);
    path_rotation_open(d);
    if (role_copy(role) == 0 && role_peers(role, ROLE_MAILBOX) > 1)
        (void)shares_look_for_splits(d, role_peers(role, ROLE_MAILBOX));
    role_sandbox(role);
    code = role_run(role);
    dkim_signer_clear(&d->signer);
    password_cache_wipe(&d->passwords);
    store_close(&d->store);
    return code;
}
