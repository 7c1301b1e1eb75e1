/* CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS (RFC 9051, sections 6.3.4 to 6.3.8 and 6.3.11; RFC 6154, 8438, 8474).
 * See imap.h.
 *
 * Names above a new one are made with it. A name that only has others below it can be listed but is no mailbox. */
#include "imap.h"

#include <inttypes.h>
#include <string.h>

static struct store *store_of(struct imap *im)
{
    return im->box->store;
}

static void on_done(struct imap *im, bool stored)
{
    if (stored)
        imap_ok(im, NULL, "Done");
    else
        imap_no(im, "UNAVAILABLE", "The change could not be written, try again later");
}

void imap_tell_name(struct imap *im, const char *attributes, struct str name, struct str was)
{
    buf_addf(&im->out, "* LIST (%s) \"/\" ", attributes);
    imap_write_mailbox(&im->out, name, imap_utf8(im));
    if (was.p != NULL) {
        buf_add(&im->out, STR(" (\"OLDNAME\" ("));
        imap_write_mailbox(&im->out, was, imap_utf8(im));
        buf_add(&im->out, STR("))"));
    }
    buf_add(&im->out, STR("\r\n"));
}

/* A client that wrote a name in another way (not in NFC) learns how it is written. Only those of rev2 know how it is told. */
static bool was_normalized(const struct imap *im)
{
    return im->command.normalized && im->enabled & IMAP_ENABLED_REV2;
}

/* ---- CREATE ---- */

/* \Flagged and the like are views, not mailboxes. */
static const char *const special_uses[] = {"\\Drafts", "\\Sent", "\\Junk", "\\Trash", "\\Archive"};

struct str imap_special_name(struct str use)
{
    for (size_t i = 0; i < sizeof special_uses / sizeof *special_uses; i++)
        if (str_ieq(use, str_of(special_uses[i])))
            return str_of(special_uses[i]);
    return STR("");
}

bool imap_special_use(struct imap *im, struct str use, const struct folder *of, struct str *special)
{
    *special = imap_special_name(use);
    if (special->n == 0) {
        imap_no(im, "USEATTR", "A mailbox has one of \\Drafts, \\Sent, \\Junk, \\Trash and \\Archive");
        return false;
    }
    for (struct folder *f = NULL; (f = store_folder_next(store_of(im), f)) != NULL;)
        if (f != of && str_ieq(f->special, *special)) {
            imap_no(im, "USEATTR", "Another mailbox has that use");
            return false;
        }
    return true;
}

/* Of CREATE: none, or one. */
static bool special_use(struct imap *im, struct str *special)
{
    const struct imap_mailbox *m = &im->command.mailbox;

    *special = STR("");
    if (m->special_count > 0 && im->box != im->home) {
        imap_no(im, "USEATTR", "The use of a mailbox of another user is up to that user");
        return false;
    }
    return m->special_count == 0 || imap_special_use(im, m->special_count == 1 ? m->special[0] : STR(""), NULL, special);
}

/* Who may use the one above may use the new one in the same way (RFC 4314, section 4). */
static bool make_one(struct imap *im, struct str name, struct str special, const struct folder *above, struct folder **f, struct err *err)
{
    return store_folder_create(store_of(im), name, special, f, err) && (above == NULL || store_acl_copy(store_of(im), above, *f, err));
}

/* Makes the names above too. */
static bool make(struct imap *im, struct str name, struct str special, struct folder **f, struct err *err)
{
    struct folder *above = NULL, *made;

    for (size_t i = 1; i < name.n; i++) {
        if (name.p[i] != '/')
            continue;
        made = store_folder_find(store_of(im), str_sub(name, 0, i));
        if (made == NULL && !make_one(im, str_sub(name, 0, i), STR(""), above, &made, err))
            return false;
        above = made;
    }
    return make_one(im, name, special, above, f, err);
}

static void on_created(struct imap *im, bool stored)
{
    struct folder *f = store_folder_find(store_of(im), im->command.mailbox.name);

    if (!stored || f == NULL) {
        on_done(im, false);
        return;
    }
    if (was_normalized(im))
        imap_tell_name(im, "", imap_full_name(im, f->name), im->command.written);
    imap_answer_begin(im, "OK");
    buf_add(&im->answer, STR("[MAILBOXID ("));
    imap_write_mailbox_id(im, &im->answer, im->box, f);
    buf_add(&im->answer, STR(")] Created"));
    imap_answer_end(im);
}

/* With the names above it that may have to be made. Known before a transaction is open that others share. */
static bool too_many(struct imap *im, struct str name)
{
    size_t levels = 1;

    for (size_t i = 0; i < name.n; i++)
        levels += name.p[i] == '/';
    return store_folder_count(store_of(im)) + levels > STORE_FOLDERS_MAX;
}

static void refuse_existing(struct imap *im, const struct folder *f)
{
    if (imap_rights(im, im->box, f) & ACL_LOOKUP)
        imap_no(im, "ALREADYEXISTS", "There is such a mailbox already");
    else
        imap_no(im, "NOPERM", "The owner has not granted to make a mailbox of that name");
}

static bool check_new_name(struct imap *im, struct str name)
{
    const char *why;

    if (!imap_may_create(im, name)) /* first: only who may learn what is there hears what is wrong with a name */
        return false;
    if (!imap_name_is_valid(name, &why))
        imap_no(im, "CANNOT", why);
    else if (im->box == im->home && imap_is_reserved(im, name))
        imap_no(im, "CANNOT", "Mailboxes of others have such names");
    else if (store_folder_find(store_of(im), name) != NULL)
        refuse_existing(im, store_folder_find(store_of(im), name));
    else if (too_many(im, name))
        imap_no(im, "LIMIT", "There are too many mailboxes");
    else
        return true;
    return false;
}

void imap_on_create(struct imap *im)
{
    struct str *name = &im->command.mailbox.name, special;
    struct folder *f;
    struct err err = {0};

    if (str_ends(*name, STR("/"))) /* the client only says that there will be names below */
        name->n--;
    if (!check_new_name(im, *name) || !special_use(im, &special) || !imap_begin(im))
        return;
    if (make(im, *name, special, &f, &err))
        imap_when_synced(im, on_created);
    else
        imap_undo(im, &err);
}

/* ---- DELETE, RENAME ---- */

static bool is_below(struct str name, struct str above)
{
    return name.n > above.n && str_starts(name, above) && name.p[above.n] == '/';
}

/* It can be listed only because of what is below it. */
static bool has_children_only(struct imap *im, struct str name)
{
    if (store_folder_find(store_of(im), name) != NULL)
        return false;
    for (struct folder *f = NULL; (f = store_folder_next(store_of(im), f)) != NULL;)
        if (is_below(f->name, name))
            return true;
    return false;
}

static void on_deleted(struct imap *im, bool stored)
{
    if (stored && was_normalized(im))
        imap_tell_name(im, "\\NonExistent", imap_full_name(im, im->command.mailbox.name), im->command.written);
    on_done(im, stored);
}

static void on_renamed(struct imap *im, bool stored)
{
    const struct imap_mailbox *m = &im->command.mailbox;

    if (stored && was_normalized(im))
        imap_tell_name(im, "", imap_full_name(im, m->to), im->command.written.p != NULL ? im->command.written : m->name);
    on_done(im, stored);
}

void imap_on_delete(struct imap *im)
{
    struct folder *f;
    struct err err = {0};

    if (has_children_only(im, im->command.mailbox.name)) {
        imap_no(im, "HASCHILDREN", "That is only the name above other mailboxes");
        return;
    }
    f = imap_folder(im, im->command.mailbox.name, "NONEXISTENT");
    if (f == NULL)
        return;
    if (f == store_inbox(store_of(im))) {
        imap_no(im, "CANNOT", "INBOX cannot be deleted");
        return;
    }
    if (im->view.folder == f && f->watchers == 1) {
        buf_add(&im->out, STR("* OK [CLOSED] The mailbox is being deleted\r\n"));
        imap_view_close(im);
    }
    if (f->watchers > 0) {
        imap_no(im, "INUSE", "The mailbox is open in another session");
        return;
    }
    if (!imap_begin(im))
        return;
    if (store_folder_delete(store_of(im), f, &err))
        imap_when_synced(im, on_deleted);
    else
        imap_undo(im, &err);
}

static bool make_plain(struct imap *im, struct str name, struct folder **f, struct err *err)
{
    return make(im, name, STR(""), f, err);
}

/* The names above the new one exist, or are made. */
static bool make_above(struct imap *im, struct str name, struct err *err)
{
    ptrdiff_t slash = str_rfind(name, '/');
    struct folder *f;

    return slash < 0 || store_folder_find(store_of(im), str_sub(name, 0, (size_t)slash)) != NULL ||
           make(im, str_sub(name, 0, (size_t)slash), STR(""), &f, err);
}

/* Of somebody else: what is below goes along, so all of it must be his to take away; and it stays with its owner. */
static bool may_rename(struct imap *im, struct str from, struct str *to)
{
    struct str prefix = im->place.prefix;
    bool may = true;

    if (im->box == im->home)
        return true;
    for (struct folder *f = NULL; may && (f = store_folder_next(store_of(im), f)) != NULL;)
        may = !is_below(f->name, from) || (imap_rights(im, im->box, f) & ACL_DELETE) != 0;
    if (!may)
        imap_no(im, "NOPERM", "The owner has not granted that for all mailboxes below it");
    else if (!str_istarts(*to, prefix) || to->n == prefix.n || str_eq(from, STR("INBOX"))) {
        imap_no(im, "CANNOT", "A mailbox of another user stays with that user");
        may = false;
    } else
        *to = str_skip(*to, prefix.n);
    return may;
}

void imap_on_rename(struct imap *im)
{
    struct str from = im->command.mailbox.name, to;
    struct folder *f = has_children_only(im, from) ? NULL : imap_folder(im, from, "NONEXISTENT");
    struct err err = {0};

    if ((f == NULL && !has_children_only(im, from)) || !may_rename(im, from, &im->command.mailbox.to) || !check_new_name(im, im->command.mailbox.to))
        return;
    to = im->command.mailbox.to;
    if (is_below(to, from)) {
        imap_no(im, "CANNOT", "A mailbox cannot go below itself");
        return;
    }
    if (store_folder_collides(store_of(im), from, to)) {
        imap_no(im, "ALREADYEXISTS", "There is a mailbox where one below this would be");
        return;
    }
    if (f != NULL && f == store_inbox(store_of(im))) {
        imap_rename_inbox(im, make_plain);
        return;
    }
    if (!imap_begin(im))
        return;
    if (make_above(im, to, &err) && store_folder_rename(store_of(im), from, to, &err))
        imap_when_synced(im, on_renamed);
    else
        imap_undo(im, &err);
}

/* ---- subscriptions ---- */

/* They are beside the quota. False: NO was said. */
static bool has_room_for_subscription(struct imap *im)
{
    struct err err = {0};
    int64_t n;

    if (!store_subscription_count(store_of(im), &n, &err))
        imap_failed(im, &err);
    else if (n >= STORE_SUBSCRIPTIONS_MAX)
        imap_no(im, "LIMIT", "There are too many subscriptions");
    else
        return true;
    return false;
}

static void subscribe(struct imap *im, bool subscribed)
{
    struct err err = {0};
    const char *why;

    if (!imap_name_is_valid(im->command.mailbox.name, &why)) {
        imap_no(im, "CANNOT", why);
        return;
    }
    if ((subscribed && !has_room_for_subscription(im)) || !imap_begin(im))
        return;
    if (store_subscribe(store_of(im), im->command.mailbox.name, subscribed, &err))
        imap_when_synced(im, on_done);
    else
        imap_undo(im, &err);
}

void imap_on_subscribe(struct imap *im)
{
    subscribe(im, true);
}

void imap_on_unsubscribe(struct imap *im)
{
    subscribe(im, false);
}

/* ---- STATUS ---- */

void imap_write_status(struct imap *im, const struct box *box, const struct folder *f, struct str name, unsigned items)
{
    const struct folder_counts *c = &f->durable;
    struct {
        unsigned item;
        const char *name;
        int64_t value;
    } numbers[] = {
        {IMAP_STATUS_MESSAGES, "MESSAGES", c->messages}, {IMAP_STATUS_RECENT, "RECENT", 0},
        {IMAP_STATUS_UIDNEXT, "UIDNEXT", c->uidnext}, {IMAP_STATUS_UIDVALIDITY, "UIDVALIDITY", f->uidvalidity},
        {IMAP_STATUS_UNSEEN, "UNSEEN", c->unseen}, {IMAP_STATUS_DELETED, "DELETED", c->deleted},
        {IMAP_STATUS_DELETED_STORAGE, "DELETED-STORAGE", (c->deleted_bytes + 1023) / 1024}, {IMAP_STATUS_SIZE, "SIZE", c->bytes},
        {IMAP_STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ", c->modseq}, {IMAP_STATUS_APPENDLIMIT, "APPENDLIMIT", imap_append_limit(im)},
    };
    bool any = false;

    buf_add(&im->out, STR("* STATUS "));
    imap_write_mailbox(&im->out, name, imap_utf8(im));
    buf_add(&im->out, STR(" ("));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (items & numbers[i].item) {
            buf_addf(&im->out, "%s%s %" PRId64, any ? " " : "", numbers[i].name, numbers[i].value);
            any = true;
        }
    if (items & IMAP_STATUS_MAILBOXID) {
        buf_addf(&im->out, "%sMAILBOXID (", any ? " " : "");
        imap_write_mailbox_id(im, &im->out, box, f);
        buf_add_char(&im->out, ')');
    }
    buf_add(&im->out, STR(")\r\n"));
}

void imap_on_status(struct imap *im)
{
    struct folder *f = imap_folder(im, im->command.status.mailbox, "NONEXISTENT");

    if (f == NULL)
        return;
    if (im->command.status.items & IMAP_STATUS_HIGHESTMODSEQ)
        imap_enable_condstore(im);
    imap_write_status(im, im->box, f, imap_full_name(im, f->name), im->command.status.items);
    imap_ok(im, NULL, "Done");
}
