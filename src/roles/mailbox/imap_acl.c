/* SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314). See imap.h and store_acl.h.
 *
 * An identifier is the address of an account of this server, or "anyone": every account of it. Aliases are refused, because whom they
 * mean can change. The owner has all rights always; that cannot be changed, and he is told first. What is kept is the number of the
 * account: who gets the address after him gets nothing with it. "c" is "kx", "d" is "et".
 *
 * What goes beyond `sharing` of the configuration cannot be granted; what was, before, stands in GETACL, has no effect (imap_rights), and can
 * be taken away. Nobody learns by this whether an account of another domain is there. */
#include "imap.h"
#include "base/log.h"

#include <inttypes.h>

enum { NOTES_MAX = 2000 };

static void write_rights(struct buf *out, unsigned rights)
{
    if (rights == 0)
        buf_add(out, STR("\"\""));
    else
        acl_write_rights(out, rights);
}

void imap_write_myrights(struct imap *im, struct str name, unsigned rights)
{
    buf_add(&im->out, STR("* MYRIGHTS "));
    imap_write_mailbox(&im->out, name, imap_utf8(im));
    buf_add_char(&im->out, ' ');
    write_rights(&im->out, rights);
    buf_add(&im->out, STR("\r\n"));
}

void imap_on_myrights(struct imap *im)
{
    struct folder *f = imap_folder(im, im->command.mailbox.name, "NONEXISTENT");

    if (f == NULL)
        return;
    imap_write_myrights(im, imap_full_name(im, f->name), imap_rights(im, im->box, f));
    imap_ok(im, NULL, "Done");
}

/* ---- whom an identifier means ---- */

struct acl_change {
    char how;              /* '+', '-', or '=' */
    struct acl_entry entry; /* its rights: those of the command */
    bool is_owner;
    bool anyone;           /* whoever that means */
    bool beyond;           /* what is granted to him has no effect */
    imap_step *then;
};

static struct shares *shares_of(const struct imap *im)
{
    return accounts_shares(im->info->accounts);
}

static void on_identifier(struct shares_waiter *w, const struct shares_answer *answer)
{
    struct imap *im = CONTAINER(w, struct imap, locating.waiter);
    struct acl_change *c = im->work;

    im->waiting = false;
    c->entry.grantee = answer->account;
    c->is_owner = answer->account == im->box->account;
    c->beyond = !c->is_owner && shares_is_beyond(shares_of(im), answer);
    if (answer->failed)
        imap_no(im, "UNAVAILABLE", "The account cannot be looked up now, try again later");
    else if (answer->account == 0 && !c->beyond)
        imap_no(im, "CANNOT", "There is no such account: an identifier is its address, or anyone");
    else
        c->then(im);
    session_wake(im->session);
}

static void find_identifier(struct imap *im, struct acl_change *c, imap_step *then)
{
    struct str who = im->command.mailbox.to;

    im->work = c;
    c->then = then;
    c->entry.negative = str_starts(who, STR("-"));
    who = str_skip(who, c->entry.negative);
    if (who.n == 0) {
        imap_bad(im, "An identifier is empty");
    } else if (str_ieq(who, STR("anyone"))) {
        c->anyone = true;
        c->beyond = !c->entry.negative && shares_mode(shares_of(im)) != SHARING_ANYONE;
        then(im);
    } else {
        imap_ask_address(im, im->box->account, who, on_identifier);
    }
}

/* The mailbox, which may have changed while directory was asked; NULL: NO was said. */
static struct folder *administered(struct imap *im)
{
    struct folder *f = store_folder_find(im->box->store, im->command.mailbox.name);

    return imap_may(im, im->box, f, ACL_ADMIN, 0, "NONEXISTENT") ? f : NULL;
}

/* ---- SETACL, DELETEACL ---- */

static void on_changed(struct imap *im, bool stored)
{
    const struct acl_change *c = im->work;
    struct err err = {0};
    bool has = false;

    if (!stored) {
        imap_no(im, "UNAVAILABLE", "The change could not be written, try again later");
        return;
    }
    if (store_acl_has(im->box->store, c->entry.grantee, &has, &err))
        shares_note(shares_of(im), im->box->account, c->entry.grantee, has);
    if (c->entry.rights != 0 && c->entry.grantee != ACL_ANYONE && !shares_is_ours(shares_of(im), c->entry.grantee))
        imap_ok(im, NULL, "Done, but that account is served by another process and cannot reach the mailbox: tell the administrator");
    else
        imap_ok(im, NULL, "Done");
}

/* There is room for another one, or there is one already. */
static bool has_room(struct imap *im, const struct folder *f, const struct acl_entry *was, struct err *err)
{
    struct acl_entry *entries = arena_alloc(&im->arena, ACL_ENTRIES_MAX * sizeof *entries);
    size_t n;

    if (entries == NULL)
        return err_set(err, ERR_LIMIT, "The command takes too much memory");
    if (!store_acl_list(im->box->store, f, entries, &n, err))
        return false;
    return was->rights != 0 || n < ACL_ENTRIES_MAX || err_set(err, ERR_LIMIT, "so many have rights there already");
}

static void change_of_owner(struct imap *im, const struct acl_change *c)
{
    if (!c->entry.negative && c->how != '-' && c->entry.rights == ACL_ALL)
        imap_ok(im, NULL, "The owner has all rights, always");
    else
        imap_no(im, "CANNOT", "The owner has all rights, always");
}

static const char *why_beyond(struct imap *im, const struct acl_change *c)
{
    if (shares_mode(shares_of(im)) == SHARING_NONE)
        return "On this server mailboxes are not shared";
    return c->anyone ? "On this server mailboxes are shared with accounts that are named, not with anyone"
                     : "On this server mailboxes are shared with accounts of the owner's domain only";
}

/* What is there already may be taken away, whoever has it. */
static bool may_change(const struct acl_change *c, const struct acl_entry *was)
{
    return !c->beyond || (was->rights != 0 && (c->how == '-' || c->entry.rights == 0));
}

static void change(struct imap *im)
{
    struct acl_change *c = im->work;
    struct folder *f = administered(im);
    struct acl_entry entry = c->entry;
    struct err err = {0};

    if (f == NULL)
        return;
    if (c->is_owner) {
        change_of_owner(im, c);
        return;
    }
    entry.rights = 0;
    if ((entry.grantee != ACL_ANYONE || c->anyone) && /* else nobody's, and beyond */
        (!store_acl_get(im->box->store, f, &entry, &err) || !has_room(im, f, &entry, &err))) {
        imap_failed(im, &err);
        return;
    }
    if (!may_change(c, &entry)) {
        imap_no(im, "NOPERM", why_beyond(im, c));
        return;
    }
    entry.rights = acl_change(entry.rights, c->how, c->entry.rights);
    if (!imap_begin(im))
        return;
    if (store_acl_set(im->box->store, f, &entry, &err))
        imap_when_synced(im, on_changed);
    else
        imap_undo(im, &err);
}

void imap_on_setacl(struct imap *im)
{
    struct acl_change *c = imap_alloc(im, sizeof *c);
    struct str rights = im->command.mailbox.text;
    bool modifies = str_starts(rights, STR("+")) || str_starts(rights, STR("-"));

    if (c == NULL)
        return;
    *c = (struct acl_change){.how = modifies ? rights.p[0] : '='};
    if (acl_read_rights(str_skip(rights, modifies), &c->entry.rights))
        find_identifier(im, c, change);
    else
        imap_bad(im, "Rights are some of lrswipkxtea");
}

void imap_on_deleteacl(struct imap *im)
{
    struct acl_change *c = imap_alloc(im, sizeof *c);

    if (c == NULL)
        return;
    *c = (struct acl_change){.how = '='};
    find_identifier(im, c, change);
}

/* ---- LISTRIGHTS ---- */

static void tell_possible(struct imap *im)
{
    const struct acl_change *c = im->work;

    if (administered(im) == NULL)
        return;
    buf_add(&im->out, STR("* LISTRIGHTS "));
    imap_write_mailbox(&im->out, imap_full_name(im, im->command.mailbox.name), imap_utf8(im));
    buf_add_char(&im->out, ' ');
    imap_write_astring(&im->out, im->command.mailbox.to, imap_utf8(im));
    if (c->is_owner && !c->entry.negative)
        buf_add(&im->out, STR(" lrswipkxtecda\r\n"));
    else if (c->is_owner || c->beyond)
        buf_add(&im->out, STR(" \"\"\r\n"));
    else
        buf_add(&im->out, STR(" \"\" l r s w i p k x t e c d a\r\n"));
    imap_ok(im, NULL, "Done");
}

void imap_on_listrights(struct imap *im)
{
    struct acl_change *c = imap_alloc(im, sizeof *c);

    if (c == NULL)
        return;
    *c = (struct acl_change){.how = '='};
    find_identifier(im, c, tell_possible);
}

/* ---- GETACL ---- */

struct acl_listing {
    struct acl_entry entries[ACL_ENTRIES_MAX + 1]; /* the owner first */
    size_t n, at;
    bool asked, failed, gone; /* gone: entries of accounts that are not there any more */
    bool beyond;              /* some have no effect */
    struct buf text;
};

static void clean_listing(struct imap *im)
{
    struct acl_listing *l = im->work;

    buf_clear(&l->text);
}

static void on_forgotten(struct imap *im, bool stored)
{
    (void)stored; /* else it is tried again by the next one */
    imap_ok(im, NULL, "Done");
}

static void forget_gone(struct imap *im)
{
    struct acl_listing *l = im->work;
    struct err err = {0};

    if (!imap_begin(im))
        return;
    for (size_t i = 0; i < l->n; i++)
        if (l->entries[i].rights == 0 && !store_acl_forget(im->box->store, l->entries[i].grantee, &err)) {
            imap_undo(im, &err);
            return;
        }
    imap_when_synced(im, on_forgotten);
}

static void end_listing(struct imap *im)
{
    struct acl_listing *l = im->work;

    if (l->beyond)
        buf_add(&im->out, STR("* NO Some of these rights have no effect: they go further than mailboxes are shared on this server\r\n"));
    buf_add(&im->out, STR("* ACL "));
    imap_write_mailbox(&im->out, imap_full_name(im, im->command.mailbox.name), imap_utf8(im));
    buf_add(&im->out, buf_str(&l->text));
    buf_add(&im->out, STR("\r\n"));
    if (l->gone)
        forget_gone(im);
    else
        imap_ok(im, NULL, "Done");
}

static void add_entry(struct imap *im, struct acl_listing *l, const struct acl_entry *e, struct str address)
{
    struct buf who;

    buf_init(&who, IPC_ADDRESS + 1);
    buf_addf(&who, "%s%.*s", e->negative ? "-" : "", STR_ARG(address));
    buf_add_char(&l->text, ' ');
    imap_write_astring(&l->text, buf_str(&who), imap_utf8(im));
    buf_add_char(&l->text, ' ');
    write_rights(&l->text, e->rights);
    buf_clear(&who);
}

static void name_some(struct imap *im);

static void on_name(struct account_waiter *w, const struct account_info *info)
{
    struct imap *im = CONTAINER(w, struct imap, asking);
    struct acl_listing *l = im->work;

    l->asked = im->waiting = false;
    im->step = name_some;
    l->failed = info == NULL;
    if (info != NULL && info->found) {
        if (l->at == 0)
            box_set_address(im->box, info->address);
        l->beyond |= l->at > 0 && !shares_may(shares_of(im), im->box->address, info->address);
        add_entry(im, l, &l->entries[l->at], info->address);
    } else if (info != NULL) {
        l->entries[l->at].rights = 0;
        l->gone = true;
    }
    l->at++;
    session_wake(im->session);
}

static void name_some(struct imap *im)
{
    struct acl_listing *l = im->work;

    while (l->at < l->n && !l->failed) {
        if (imap_pause(im))
            return;
        if (l->entries[l->at].grantee == ACL_ANYONE) {
            l->beyond |= !l->entries[l->at].negative && shares_mode(shares_of(im)) != SHARING_ANYONE;
            add_entry(im, l, &l->entries[l->at], STR("anyone"));
            l->at++;
            continue;
        }
        l->asked = true;
        imap_ask_account(im, l->entries[l->at].grantee, false, on_name);
        if (l->asked)
            return;
    }
    if (l->failed)
        imap_no(im, "UNAVAILABLE", "The accounts cannot be looked up now, try again later");
    else
        end_listing(im);
}

void imap_on_getacl(struct imap *im)
{
    struct folder *f = imap_folder(im, im->command.mailbox.name, "NONEXISTENT");
    struct acl_listing *l = f != NULL ? imap_alloc(im, sizeof *l) : NULL;
    struct err err = {0};

    if (l == NULL)
        return;
    *l = (struct acl_listing){.n = 1};
    l->entries[0] = (struct acl_entry){im->box->account, false, ACL_ALL};
    buf_init(&l->text, 2 * ACL_ENTRIES_MAX * (IPC_ADDRESS + 20));
    im->work = l;
    im->clean = clean_listing;
    if (!store_acl_list(im->box->store, f, l->entries + 1, &l->n, &err)) {
        imap_failed(im, &err);
        return;
    }
    l->n++;
    im->step = name_some;
}

/* ---- hints for those who are granted something ---- */

struct notes {
    struct imap *im;
    size_t n;
};

static void note(void *arg, int64_t grantee)
{
    struct notes *notes = arg;

    if (notes->n++ < NOTES_MAX)
        shares_note(shares_of(notes->im), notes->im->home->account, grantee, true);
}

void imap_note_shares(struct imap *im)
{
    struct notes notes = {im, 0};
    struct err err = {0};

    if (im->home->shares_noted)
        return;
    im->home->shares_noted = true;
    if (!store_acl_grantees(im->home->store, note, &notes, &err))
        log_warning("imap-shares", "account=%" PRId64 " reason=%s", im->home->account, err.text);
}
