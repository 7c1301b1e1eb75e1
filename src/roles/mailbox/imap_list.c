/* LIST and LSUB (RFC 9051, section 6.3.9; RFC 3501, section 6.3.9; RFC 5258, 5819, 6154). See imap.h.
 *
 * What is listed are the mailboxes, the names above them that are none (\NonExistent), and, with SUBSCRIBED, names that
 * are subscribed and gone; and what others share (imap_place.c), as far as it may be looked up. All names are collected and sorted
 * first, one account after the other, then told, all of it bit by bit. */
#include "imap.h"
#include "base/log.h"
#include "merge_sort.h"
#include "store_annotation.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { AT_A_TIME = 256, RETURNS_OF_FOLDER = IMAP_LIST_RETURN_STATUS | IMAP_LIST_RETURN_METADATA | IMAP_LIST_RETURN_MYRIGHTS };

struct name {
    struct str text, special;
    int64_t folder; /* its number: it may be gone before it is told; 0: no mailbox */
    int64_t account; /* whose it is; 0: of this one */
    bool subscribed;
    bool has_children, child_subscribed;
};

struct listing {
    struct imap *im;
    struct name *names; /* in the arena; later those of `sort` */
    size_t n, room, at;
    size_t collected;   /* of `n`, when the names above them are added */
    struct merge_sort sort;
    bool failed;
    struct str owners; /* of other accounts that may share something: directory's answer, what is left of it */
    struct box *box;   /* of one of them, that is collected or told */
    struct str prefix; /* before names in it, while it is collected */
};

static void clean(struct imap *im)
{
    struct listing *l = im->work;

    if (l->box != NULL)
        box_leave(l->box);
    merge_sort_clear(&l->sort);
}

/* im->box is the mailbox of that account from now on; false: it cannot be had. */
static bool enter(struct listing *l, int64_t account)
{
    struct imap *im = l->im;
    struct err err = {0};

    if (l->box != NULL && l->box->account != account) {
        box_leave(l->box);
        l->box = NULL;
    }
    if (account == 0 || account == im->home->account)
        im->box = im->home;
    else if (l->box == NULL && shares_is_ours(accounts_shares(im->info->accounts), account))
        l->box = boxes_enter_existing(session_boxes(im->session), account, &err);
    if (l->box != NULL)
        im->box = l->box;
    return account == 0 || l->box != NULL;
}

/* ---- collecting ---- */

static void add_name(struct listing *l, struct str text, const struct folder *f, bool subscribed)
{
    if (l->n == l->room) {
        size_t room = l->room == 0 ? 64 : 2 * l->room;
        struct name *names = arena_alloc(&l->im->arena, room * sizeof *names);

        if (names == NULL) {
            l->failed = true;
            return;
        }
        for (size_t i = 0; i < l->n; i++)
            names[i] = l->names[i];
        l->names = names;
        l->room = room;
    }
    l->names[l->n] = (struct name){.text = text, .subscribed = subscribed};
    l->failed |= text.p == NULL;
    if (f != NULL) {
        l->names[l->n].folder = f->id;
        l->names[l->n].special = arena_str(&l->im->arena, f->special);
        l->failed |= l->names[l->n].special.p == NULL;
    }
    l->n++;
}

static void add_subscription(void *arg, struct str name)
{
    struct listing *l = arg;

    add_name(l, arena_str(&l->im->arena, name), NULL, true);
}

static int by_name(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    bool x_inbox = str_eq(x->text, STR("INBOX")), y_inbox = str_eq(y->text, STR("INBOX"));

    if (x_inbox != y_inbox)
        return x_inbox ? -1 : 1;
    return str_cmp(x->text, y->text);
}

static struct name *find(struct listing *l, struct str text)
{
    struct name key = {.text = text};

    return bsearch(&key, l->names, l->n, sizeof *l->names, by_name);
}

static bool collect_own(struct listing *l, struct err *err)
{
    struct store *s = l->im->home->store;

    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        add_name(l, arena_str(&l->im->arena, f->name), f, false);
    return store_subscriptions(s, add_subscription, l, err);
}

static bool add_shared(void *arg, int64_t folder, unsigned rights)
{
    struct listing *l = arg;
    const struct folder *f = store_folder_by_id(l->box->store, folder);
    struct buf name;

    if (f == NULL || !(rights & ACL_LOOKUP))
        return true;
    buf_init(&name, 64 * 1024);
    buf_add(&name, l->prefix);
    buf_add(&name, f->name);
    add_name(l, arena_str(&l->im->arena, buf_str(&name)), NULL, false);
    if (!l->failed && !name.failed) {
        l->names[l->n - 1].folder = f->id;
        l->names[l->n - 1].account = l->box->account;
    }
    buf_clear(&name);
    return !l->failed;
}

/* ---- in order, in turns: a pass over all names for each step ---- */

typedef void each_name(struct listing *l, size_t i);

/* True at the end of the pass over so many names; else there is more to do in another turn. */
static bool pass(struct listing *l, size_t n, each_name *each)
{
    while (l->at < n && !l->failed) {
        for (size_t end = l->at + AT_A_TIME; l->at < end && l->at < n; l->at++)
            each(l, l->at);
        if (imap_pause(l->im))
            break;
    }
    if (l->at < n && !l->failed)
        return false;
    l->at = 0;
    return true;
}

/* Every name above stands in the list too, as none yet. */
static void add_above(struct listing *l, size_t i)
{
    struct str text = l->names[i].text;

    for (size_t k = 1; k < text.n; k++)
        if (text.p[k] == '/')
            add_name(l, str_sub(text, 0, k), NULL, false);
}

/* Those of the same name become one. */
static void join_equal(struct listing *l, size_t i)
{
    struct name name = l->names[i], *last = l->n > 0 ? &l->names[l->n - 1] : NULL;

    if (last == NULL || !str_eq(last->text, name.text)) {
        l->names[l->n++] = name;
        return;
    }
    last->subscribed |= name.subscribed;
    if (name.folder != 0 && (last->folder == 0 || name.account == 0)) { /* his own name goes first */
        last->folder = name.folder;
        last->account = name.account;
        last->special = name.special;
    }
}

static void mark_above(struct listing *l, size_t i)
{
    const struct name *name = &l->names[i];

    for (size_t k = 1; k < name->text.n; k++) {
        struct name *above = name->text.p[k] == '/' ? find(l, str_sub(name->text, 0, k)) : NULL;

        if (above != NULL) {
            above->has_children |= name->folder != 0;
            above->child_subscribed |= name->subscribed;
        }
    }
}

static void tell_some(struct imap *im);

static void mark_names_above(struct imap *im)
{
    struct listing *l = im->work;

    if (pass(l, l->n, mark_above))
        im->step = tell_some;
}

static void join_names(struct imap *im)
{
    struct listing *l = im->work;

    if (pass(l, l->sort.n, join_equal))
        im->step = mark_names_above;
}

static int compare(const void *a, const void *b, void *arg)
{
    (void)arg;
    return by_name(a, b);
}

static void sort_names(struct imap *im)
{
    struct listing *l = im->work;

    while (!merge_sort_go_on(&l->sort, AT_A_TIME))
        if (imap_pause(im))
            return;
    l->names = (struct name *)(void *)l->sort.items;
    l->n = 0;
    im->step = join_names;
}

static void begin_sorting(struct imap *im)
{
    struct listing *l = im->work;
    struct name *copy;

    if (!imap_gathers(im, 2 * l->n * sizeof *copy)) {
        imap_no(im, "LIMIT", "The sessions of this account take too much memory together, try again later");
        return;
    }
    copy = xcalloc(l->n + 1, sizeof *copy);
    if (l->n > 0)
        memcpy(copy, l->names, l->n * sizeof *copy);
    merge_sort_begin(&l->sort, copy, l->n, sizeof *copy, compare, NULL);
    im->step = sort_names;
}

static void add_names_above(struct imap *im)
{
    struct listing *l = im->work;

    if (!pass(l, l->collected, add_above))
        return;
    if (l->failed)
        imap_no(im, "LIMIT", "There are too many mailboxes to list");
    else
        im->step = begin_sorting;
}

static void put_in_order(struct imap *im)
{
    struct listing *l = im->work;

    im->box = im->home;
    l->collected = l->n;
    im->step = add_names_above;
}

/* ---- choosing ---- */

static bool matches_any(const struct imap_list *list, struct str name)
{
    struct buf pattern;
    bool matches = false;

    buf_init(&pattern, 16 * 1024);
    for (size_t i = 0; i < list->pattern_count && !matches; i++) {
        buf_reset(&pattern);
        buf_add(&pattern, list->reference);
        buf_add(&pattern, list->patterns[i]);
        matches = imap_pattern_matches(buf_str(&pattern), name);
    }
    buf_clear(&pattern);
    return matches;
}

/* Whether some name of others' mailboxes may match: as far as the pattern has no wildcard, one is the beginning of the other. */
static bool may_match_others(struct imap *im)
{
    const struct imap_list *list = &im->command.list;
    struct str others = STR(IMAP_OTHERS);
    bool may = false, admin = (im->info->flags & SESSION_ADMIN) != 0; /* export and import are about one account */

    for (size_t i = 0; i < list->pattern_count && !may && !admin; i++) {
        struct buf pattern;
        size_t n = 0;

        buf_init(&pattern, 16 * 1024);
        buf_add(&pattern, list->reference);
        buf_add(&pattern, list->patterns[i]);
        while (n < pattern.n && n < others.n && pattern.p[n] != '*' && pattern.p[n] != '%')
            n++;
        may = str_eq(str_sub(buf_str(&pattern), 0, n), str_sub(others, 0, n));
        buf_clear(&pattern);
    }
    return may;
}

static bool is_selected(const struct imap_list *list, const struct name *name, bool *child_info)
{
    bool subscribed = !(list->select & IMAP_LIST_SUBSCRIBED) || name->subscribed;
    bool special = !(list->select & IMAP_LIST_SPECIAL_USE) || name->special.n > 0;

    *child_info = (list->select & IMAP_LIST_RECURSIVEMATCH) && (list->select & IMAP_LIST_SUBSCRIBED) && name->child_subscribed;
    if (*child_info)
        return true;
    if (!(list->select & (IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE)))
        return name->folder != 0 || name->has_children;
    return subscribed && special;
}

/* ---- telling ---- */

static void add_attribute(struct buf *out, const char *attribute, bool is)
{
    if (is)
        buf_addf(out, "%s%s", out->p[out->n - 1] == '(' ? "" : " ", attribute);
}

static bool tell_list(struct imap *im, const struct name *name, bool child_info, struct err *err)
{
    const struct imap_list *list = &im->command.list;
    struct folder *f = list->returns & RETURNS_OF_FOLDER && name->folder != 0 ? store_folder_by_id(im->box->store, name->folder) : NULL;
    unsigned rights = f != NULL ? imap_rights(im, im->box, f) : 0;
    struct buf *out = &im->out;
    bool lists_subscribed = (list->select & IMAP_LIST_SUBSCRIBED) || (list->returns & IMAP_LIST_RETURN_SUBSCRIBED);

    buf_add(out, STR("* LIST ("));
    add_attribute(out, "\\NonExistent", name->folder == 0);
    add_attribute(out, "\\Noselect", name->folder == 0); /* for those that do not know the other */
    add_attribute(out, "\\Subscribed", lists_subscribed && name->subscribed);
    add_attribute(out, "\\HasChildren", name->has_children);
    add_attribute(out, "\\HasNoChildren", !name->has_children);
    if (name->special.n > 0)
        buf_addf(out, " %.*s", STR_ARG(name->special));
    buf_add(out, STR(") \"/\" "));
    imap_write_mailbox(out, name->text, imap_utf8(im));
    if (child_info)
        buf_add(out, STR(" (\"CHILDINFO\" (\"SUBSCRIBED\"))"));
    buf_add(out, STR("\r\n"));
    if (f != NULL && list->returns & IMAP_LIST_RETURN_MYRIGHTS)
        imap_write_myrights(im, name->text, rights);
    if (rights & ACL_READ && list->returns & IMAP_LIST_RETURN_STATUS)
        imap_write_status(im, im->box, f, name->text, list->status);
    return !imap_may_read_annotations(rights) || !(list->returns & IMAP_LIST_RETURN_METADATA) ||
           imap_tell_annotations(im, f, name->text, list->metadata, list->metadata_count, err);
}

static void tell_lsub(struct imap *im, const struct name *name)
{
    buf_add(&im->out, name->subscribed ? STR("* LSUB () \"/\" ") : STR("* LSUB (\\Noselect) \"/\" "));
    imap_write_mailbox(&im->out, name->text, imap_utf8(im));
    buf_add(&im->out, STR("\r\n"));
}

static bool tell(struct imap *im, const struct name *name, struct err *err)
{
    const struct imap_list *list = &im->command.list;
    bool child_info;

    if (!matches_any(list, name->text))
        return true;
    if (im->command.verb == IMAP_LSUB) {
        /* With % a name above a subscribed one is told as not selectable (RFC 3501, section 6.3.9). */
        if (name->subscribed || (name->child_subscribed && str_ends(list->patterns[0], STR("%"))))
            tell_lsub(im, name);
    } else if (is_selected(list, name, &child_info)) {
        return tell_list(im, name, child_info, err);
    }
    return true;
}

static void tell_on(struct imap *im, bool stored)
{
    (void)stored; /* nothing of it was this session's */
    imap_begin_turn(im, IMAP_TURN);
    im->step = tell_some;
    tell_some(im);
}

static void tell_some(struct imap *im)
{
    struct listing *l = im->work;
    struct err err = {0};

    while (l->at < l->n) {
        if (imap_pause(im))
            return;
        if (!enter(l, l->names[l->at].account)) { /* it has gone meanwhile */
            l->at++;
            continue;
        }
        if (im->command.list.returns & IMAP_LIST_RETURN_METADATA && store_annotations_dirty(im->box->store)) {
            imap_when_synced(im, tell_on);
            return;
        }
        if (!tell(im, &l->names[l->at++], &err)) {
            imap_failed(im, &err);
            return;
        }
    }
    imap_ok(im, NULL, "Done");
}

/* One account after the other. What is on its way to the disk in one is waited for, as with the account's own names. */
static void collect_shared(struct imap *im)
{
    struct listing *l = im->work;
    struct str rest, line, number;
    struct err err = {0};
    struct buf prefix;
    uint64_t account;

    im->step = collect_shared;
    for (; l->owners.n > 0; l->owners = rest) {
        if (imap_pause(im))
            return;
        rest = l->owners;
        if (!str_next(&rest, '\n', &line) || !str_next(&line, ' ', &number) || !str_to_u64(number, INT64_MAX, &account) ||
            account == 0 || !enter(l, (int64_t)account))
            continue;
        if (!store_names_are_on_disk(im->box->store)) {
            imap_settle(im);
            return;
        }
        buf_init(&prefix, sizeof IMAP_OTHERS + 1 + IPC_ADDRESS);
        buf_addf(&prefix, IMAP_OTHERS "/%.*s/", STR_ARG(line));
        l->prefix = buf_str(&prefix);
        box_set_address(l->box, line);
        if (!imap_shared_folders(im, l->box, 0, add_shared, l, &err))
            log_warning("imap-list", "account=%" PRIu64 " reason=%s", account, err.text);
        buf_clear(&prefix);
    }
    put_in_order(im);
}

static void on_owners(struct shares_waiter *w, const struct shares_answer *answer)
{
    struct imap *im = CONTAINER(w, struct imap, locating.waiter);
    struct listing *l = im->work;

    im->waiting = false;
    if (answer->failed)
        buf_add(&im->out, STR("* NO [UNAVAILABLE] Mailboxes of others cannot be listed now\r\n"));
    else
        box_set_address(im->home, answer->asker);
    l->owners = arena_str(&im->arena, answer->owners);
    l->failed |= l->owners.p == NULL;
    im->step = collect_shared;
    session_wake(im->session);
}

void imap_on_list(struct imap *im)
{
    struct imap_list *list = &im->command.list;
    struct listing *l;
    struct err err = {0};

    if (im->command.verb == IMAP_LIST && !list->extended && list->pattern_count == 1 && list->patterns[0].n == 0) {
        buf_add(&im->out, STR("* LIST (\\Noselect) \"/\" \"\"\r\n")); /* asks for the separator only */
        imap_ok(im, NULL, "Done");
        return;
    }
    l = imap_alloc(im, sizeof *l);
    if (l == NULL)
        return;
    *l = (struct listing){.im = im};
    im->work = l;
    im->clean = clean;
    if (!collect_own(l, &err)) {
        imap_failed(im, &err);
    } else if (!may_match_others(im)) {
        put_in_order(im);
    } else {
        imap_ask_owners(im, on_owners);
    }
}

void imap_on_lsub(struct imap *im)
{
    imap_on_list(im);
}
