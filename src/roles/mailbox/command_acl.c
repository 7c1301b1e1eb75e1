/* The command `mailbox acl`: who may use a folder of an account, and how. See command.h and store_acl.h.
 *
 *   acl account=N folder=NAME                              a row for each entry
 *   acl account=N folder=NAME identifier=WHO rights=lrs    sets one ("+lrs", "-s"; "none": there is none any more), then the same
 *
 * What goes beyond `sharing` of the configuration cannot be granted, and has no effect where it stands; that is said.
 *
 * Directory is asked for names and numbers, so it takes more than a turn; meanwhile whoever asked may be gone. */
#include "command.h"
#include "base/json.h"
#include "ipc/args.h"
#include "shares.h"
#include "store_acl.h"

#include <stdlib.h>
#include <sysexits.h>

struct acl_command {
    struct role *role;
    struct accounts *accounts;
    struct box *box;
    enum role_id peer; /* who asked */
    unsigned copy;
    uint64_t serial, id;
    int64_t folder;
    struct acl_entry change; /* its grantee is looked up first */
    char how;
    struct shares_waiter finding;
    struct waiter waiter;
    struct account_waiter naming;
    struct acl_entry entries[ACL_ENTRIES_MAX];
    size_t n, at;
    bool telling, splits; /* some of them cannot reach the folder */
    bool owner_known;     /* his address: box->address */
    bool beyond;          /* has no effect: what is to be granted; then some of what is told */
};

static const char split_text[] = "Some of these are served by another process of the role mailbox than the owner and cannot reach the folder: "
    "sharing needs copies { mailbox = 1 }.";

static const char beyond_text[] = "Some of these have no effect: they go further than `sharing` in the configuration.";
static const char beyond_and_split_text[] = "Some of these have no effect: they go further than `sharing` in the configuration. Some are served "
    "by another process of the role mailbox than the owner and cannot reach the folder: sharing needs copies { mailbox = 1 }.";

static struct channel *asker(const struct acl_command *c)
{
    struct channel *to = role_peer(c->role, c->peer, c->copy);

    return to != NULL && channel_serial(to) == c->serial ? to : NULL;
}

static void end(struct acl_command *c, uint64_t code, const char *text)
{
    struct channel *to = asker(c);

    if (to != NULL)
        ipc_send_control_done(to, &(struct msg_control_done){c->id, code, str_of(text)});
    box_leave(c->box);
    free(c);
}

/* ---- telling ---- */

static void tell_entry(const struct acl_command *c, const struct acl_entry *e, struct str address)
{
    struct channel *to = asker(c);
    struct buf row, text;

    if (to == NULL)
        return;
    buf_init(&row, IPC_CHUNK);
    buf_init(&text, IPC_ADDRESS + 100);
    buf_addf(&text, "%s%.*s", e->negative ? "-" : "", STR_ARG(address));
    json_open(&row);
    json_str(&row, "identifier", buf_str(&text));
    buf_reset(&text);
    acl_write_rights(&text, e->rights);
    json_str(&row, "rights", buf_str(&text));
    json_close(&row);
    ipc_send_control_row(to, &(struct msg_control_row){c->id, buf_str(&row)});
    buf_clear(&text);
    buf_clear(&row);
}

static void tell_on(struct acl_command *c);

/* Accounts that are gone are left out: they are granted nothing. */
static void on_name(struct account_waiter *w, const struct account_info *info)
{
    struct acl_command *c = CONTAINER(w, struct acl_command, naming);

    if (info == NULL) {
        c->at = c->n + 1;
    } else if (!c->owner_known) {
        c->owner_known = true;
        box_set_address(c->box, info->address);
    } else {
        c->beyond |= info->found && !shares_may(accounts_shares(c->accounts), c->box->address, info->address);
        if (info->found)
            tell_entry(c, &c->entries[c->at], info->address);
        c->splits |= info->found && !shares_is_ours(accounts_shares(c->accounts), c->entries[c->at].grantee);
        c->at++;
    }
    if (!c->telling)
        tell_on(c);
}

/* An answer that is there at once comes within accounts_get. */
static void tell_on(struct acl_command *c)
{
    size_t before;
    bool knew;

    c->telling = true;
    while (c->at < c->n) {
        before = c->at;
        knew = c->owner_known;
        if (!knew) {
            accounts_get(c->accounts, (uint64_t)c->box->account, &c->naming);
        } else if (c->entries[c->at].grantee == ACL_ANYONE) {
            c->beyond |= !c->entries[c->at].negative && shares_mode(accounts_shares(c->accounts)) != SHARING_ANYONE;
            c->splits |= role_copies(c->role) > 1;
            tell_entry(c, &c->entries[c->at++], STR("anyone"));
        } else {
            accounts_get(c->accounts, (uint64_t)c->entries[c->at].grantee, &c->naming);
        }
        if (c->at == before && knew == c->owner_known) {
            c->telling = false;
            return;
        }
    }
    if (c->at > c->n)
        end(c, EX_TEMPFAIL, "the directory cannot be asked now");
    else
        end(c, 0, c->beyond && c->splits ? beyond_and_split_text : c->beyond ? beyond_text : c->splits ? split_text : "");
}

static void tell(struct acl_command *c)
{
    struct folder *f = store_folder_by_id(c->box->store, c->folder);
    struct err err = {0};

    c->beyond = false;
    if (f == NULL)
        end(c, EX_NOINPUT, "the folder was deleted");
    else if (!store_acl_list(c->box->store, f, c->entries, &c->n, &err))
        end(c, EX_TEMPFAIL, err.text);
    else
        tell_on(c);
}

/* ---- setting ---- */

static void on_stored(struct waiter *w, bool stored, const struct err *err)
{
    struct acl_command *c = CONTAINER(w, struct acl_command, waiter);
    struct err ignored = {0};
    bool has = false;

    if (!stored) {
        end(c, EX_TEMPFAIL, err->text);
        return;
    }
    if (store_acl_has(c->box->store, c->change.grantee, &has, &ignored))
        shares_note(accounts_shares(c->accounts), c->box->account, c->change.grantee, has);
    tell(c);
}

static void set(struct acl_command *c)
{
    struct folder *f = store_folder_by_id(c->box->store, c->folder);
    struct acl_entry entry = c->change;
    struct err err = {0};

    if (f == NULL || entry.grantee == c->box->account) {
        end(c, EX_USAGE, f == NULL ? "the folder was deleted" : "the owner has all rights, always");
        return;
    }
    if (!store_acl_get(c->box->store, f, &entry, &err) || !store_acl_list(c->box->store, f, c->entries, &c->n, &err)) {
        end(c, EX_TEMPFAIL, err.text);
        return;
    }
    if (entry.rights == 0 && c->n == ACL_ENTRIES_MAX) {
        end(c, EX_USAGE, "so many have rights there already");
        return;
    }
    if (c->beyond && (entry.rights == 0 || (c->how != '-' && c->change.rights != 0))) {
        end(c, EX_NOPERM, "that goes further than `sharing` in the configuration allows");
        return;
    }
    entry.rights = acl_change(entry.rights, c->how, c->change.rights);
    if (!box_begin(c->box, &err)) {
        end(c, EX_TEMPFAIL, err.text);
        return;
    }
    c->waiter.done = on_stored;
    box_batch(c->box, &c->waiter);
    if (!store_acl_set(c->box->store, f, &entry, &err))
        box_fail(c->box, &err); /* on_stored hears of it */
}

static void on_found(struct shares_waiter *w, const struct shares_answer *answer)
{
    struct acl_command *c = CONTAINER(w, struct acl_command, finding);

    c->change.grantee = answer->account;
    c->beyond = answer->account != c->box->account && shares_is_beyond(accounts_shares(c->accounts), answer);
    if (answer->failed)
        end(c, EX_TEMPFAIL, "the directory cannot be asked now");
    else if (answer->account == 0)
        end(c, EX_NOUSER, "the identifier is no account: it is the address of one, or anyone");
    else
        set(c);
}

static void begin_setting(struct acl_command *c, struct str who, struct str rights)
{
    c->how = rights.n > 0 && (rights.p[0] == '+' || rights.p[0] == '-') ? rights.p[0] : '=';
    c->change.negative = str_starts(who, STR("-"));
    who = str_skip(who, c->change.negative);
    rights = str_eq(rights, STR("none")) ? STR("") : str_skip(rights, c->how != '=');
    if (!acl_read_rights(rights, &c->change.rights)) {
        end(c, EX_USAGE, "rights are letters of lrswipkxtea (or cd), with + or - before them, or none");
    } else if (str_ieq(who, STR("anyone"))) {
        c->beyond = !c->change.negative && shares_mode(accounts_shares(c->accounts)) != SHARING_ANYONE;
        set(c);
    } else {
        c->finding.ready = on_found;
        shares_find(accounts_shares(c->accounts), c->box->account, who, &c->finding);
    }
}

void command_acl(struct role *role, struct accounts *accounts, struct box *box, struct channel *from, const struct msg_control_ask *m)
{
    struct acl_command *c = xcalloc(1, sizeof *c);
    struct str folder = STR(""), who = STR(""), rights = STR("");
    const struct folder *f;

    *c = (struct acl_command){.role = role, .accounts = accounts, .box = box, .peer = channel_role(from), .copy = channel_copy(from),
        .serial = channel_serial(from), .id = m->id};
    c->naming.ready = on_name;
    (void)args_option(m->args, "folder", &folder);
    f = store_folder_find(box->store, folder);
    if (f == NULL) {
        end(c, EX_NOINPUT, "there is no such folder");
        return;
    }
    c->folder = f->id;
    if (args_option(m->args, "identifier", &who) && args_option(m->args, "rights", &rights))
        begin_setting(c, who, rights);
    else
        tell(c);
}
