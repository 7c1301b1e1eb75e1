/* GETMETADATA and SETMETADATA (RFC 5464), and LIST RETURN (METADATA ...) (RFC 9590). See imap.h; the rows are in
 * store_annotation.c.
 *
 * Only what is on disk is told: while a change of annotations is on its way there, reading waits for it. Entries of the server
 * that are /shared belong to the administrator; /shared/admin is the postmaster of the account's domain. The entry
 * /private/specialuse is the special use of a mailbox (RFC 6154, section 5.4). */
#include "imap.h"
#include "store_annotation.h"
#include "store_events.h"

#include <assert.h>
#include <inttypes.h>

struct metadata {
    struct imap *im;
    struct str mailbox;   /* as it is told */
    int64_t folder;       /* or ANNOTATION_ACCOUNT */
    size_t at;            /* the next entry of the command */
    bool begun, found;    /* of the response under way */
    uint64_t longest;     /* of those above MAXSIZE */
};

static const struct str special_entry = {"/private/specialuse", 19}, admin_entry = {"/shared/admin", 13};

static struct annotation_place place(const struct imap *im, int64_t folder)
{
    return (struct annotation_place){folder, im->info->account};
}

/* ---- responses ---- */

/* A value may hold any byte: NULs need a literal8. */
static void write_value(struct imap *im, struct str value)
{
    if (value.p != NULL && str_find(value, 0) >= 0) {
        buf_addf(&im->out, "~{%zu}\r\n", value.n);
        buf_add(&im->out, value);
    } else {
        imap_write_nstring(&im->out, value, imap_utf8(im));
    }
}

static void write_entry(struct metadata *m, struct str name, struct str value)
{
    struct buf *out = &m->im->out;

    if (m->begun) {
        buf_add_char(out, ' ');
    } else {
        buf_add(out, STR("* METADATA "));
        imap_write_mailbox(out, m->mailbox, imap_utf8(m->im));
        buf_add(out, STR(" ("));
    }
    m->begun = true;
    imap_write_astring(out, name, false);
    buf_add_char(out, ' ');
    write_value(m->im, value);
}

static void end_response(struct metadata *m)
{
    if (m->begun)
        buf_add(&m->im->out, STR(")\r\n"));
    m->begun = false;
}

static bool add_entry(void *arg, struct str name, struct str value)
{
    struct metadata *m = arg;
    const struct imap_metadata *asked = &m->im->command.metadata;

    m->found = true;
    if (m->im->command.verb != IMAP_GETMETADATA || !asked->has_maxsize || value.n <= asked->maxsize)
        write_entry(m, name, value);
    else if (value.n > m->longest)
        m->longest = value.n;
    return true;
}

/* ---- reading ---- */

/* "mailto:postmaster@DOMAIN", of the domain of the login. */
static void tell_admin(struct metadata *m)
{
    struct str login = m->im->info->login;
    ptrdiff_t at = str_rfind(login, '@');
    struct buf text;

    if (at < 0)
        return;
    buf_init(&text, 1024);
    buf_add(&text, STR("mailto:postmaster"));
    buf_add(&text, str_skip(login, (size_t)at));
    (void)add_entry(m, admin_entry, buf_str(&text));
    buf_clear(&text);
}

static bool is_asked(struct str entry, struct str name, int levels)
{
    struct str below = str_skip(entry, name.n);

    return str_starts(entry, name) && (below.n == 0 || (below.p[0] == '/' && (levels < 0 || (levels == 1 && str_rfind(below, '/') == 0))));
}

/* Those that have no row. */
static void tell_computed(struct metadata *m, struct str name, int levels)
{
    struct folder *f = store_folder_by_id(m->im->box->store, m->folder);

    if (m->folder == ANNOTATION_ACCOUNT && is_asked(admin_entry, name, levels))
        tell_admin(m);
    if (f != NULL && f->special.n > 0 && m->im->box == m->im->home && is_asked(special_entry, name, levels))
        (void)add_entry(m, special_entry, f->special);
}

/* An entry asked for by its name and not there is told as NIL. */
static bool tell_one(struct metadata *m, struct str name, int levels, struct err *err)
{
    m->found = false;
    if (!store_annotations_walk(m->im->box->store, place(m->im, m->folder), name, levels, add_entry, m, err))
        return false;
    tell_computed(m, name, levels);
    if (!m->found && levels == 0)
        write_entry(m, name, (struct str){0});
    return true;
}

bool imap_tell_annotations(struct imap *im, const struct folder *f, struct str name, const struct str *names, size_t n, struct err *err)
{
    struct metadata m = {.im = im, .mailbox = name, .folder = f->id};

    for (size_t i = 0; i < n; i++)
        if (!tell_one(&m, names[i], 0, err))
            return false;
    end_response(&m);
    return true;
}

/* ---- GETMETADATA ---- */

static void told_all(struct imap *im)
{
    const struct metadata *m = im->work;

    if (m->longest == 0) {
        imap_ok(im, NULL, "Done");
        return;
    }
    imap_answer_begin(im, "OK");
    buf_addf(&im->answer, "[METADATA LONGENTRIES %" PRIu64 "] Done, without the longest", m->longest);
    imap_answer_end(im);
}

static void tell_some(struct imap *im);

static void tell_on(struct imap *im, bool stored)
{
    (void)stored; /* nothing of it was this session's */
    imap_begin_turn(im, IMAP_TURN);
    im->step = tell_some;
    tell_some(im);
}

/* A response for each entry of the command: together they could be too much for one turn. */
static void tell_some(struct imap *im)
{
    static const int levels[] = {[IMAP_DEPTH_NONE] = 0, [IMAP_DEPTH_ONE] = 1, [IMAP_DEPTH_ALL] = -1};
    const struct imap_metadata *asked = &im->command.metadata;
    struct metadata *m = im->work;
    struct err err = {0};

    while (m->at < asked->n) {
        if (imap_pause(im))
            return;
        if (store_annotations_dirty(im->box->store)) {
            imap_when_synced(im, tell_on);
            return;
        }
        if (!tell_one(m, asked->entries[m->at++].name, levels[asked->depth], &err)) {
            imap_failed(im, &err);
            return;
        }
        end_response(m);
    }
    told_all(im);
}

/* The mailbox of the command; false: there is none and NO was said. */
static bool find_place(struct imap *im, int64_t *folder)
{
    struct folder *f;

    *folder = ANNOTATION_ACCOUNT;
    if (im->command.metadata.mailbox.n == 0)
        return true;
    f = imap_folder(im, im->command.metadata.mailbox, "NONEXISTENT");
    if (f != NULL)
        *folder = f->id;
    return f != NULL;
}

void imap_on_getmetadata(struct imap *im)
{
    struct metadata *m = imap_alloc(im, sizeof *m);

    if (m == NULL || !find_place(im, &m->folder))
        return;
    m->im = im;
    m->mailbox = imap_full_name(im, im->command.metadata.mailbox);
    im->work = m;
    im->step = tell_some;
}

/* ---- SETMETADATA ---- */

static bool is_special(int64_t folder, struct str name)
{
    return folder != ANNOTATION_ACCOUNT && str_eq(name, special_entry);
}

/* In a mailbox of somebody else: what all who use it see needs the right to change flags that they see. Its special use is its owner's. */
static bool may_set(struct imap *im, const struct folder *f, struct str name)
{
    if (str_starts(name, STR("/shared")))
        return (imap_rights(im, im->box, f) & ACL_WRITE) != 0;
    return !is_special(f->id, name);
}

/* May the client set this at all? */
static bool check_entry(struct imap *im, int64_t folder, const struct imap_entry *e)
{
    struct folder *f = store_folder_by_id(im->box->store, folder);
    struct str special;

    static_assert(ANNOTATION_VALUE_MAX == 65536, "IMAP_METADATA_MAXSIZE says so");
    if (e->value.p != NULL && e->value.n > ANNOTATION_VALUE_MAX) {
        imap_no(im, IMAP_METADATA_MAXSIZE, "The value is too large");
        return false;
    }
    if (folder == ANNOTATION_ACCOUNT && str_starts(e->name, STR("/shared/"))) {
        imap_no(im, "NOPERM", "What the server shares is set by the administrator");
        return false;
    }
    if (im->box != im->home && !may_set(im, f, e->name)) {
        imap_no(im, "NOPERM", "The owner of the mailbox has not granted that");
        return false;
    }
    return f == NULL || !is_special(folder, e->name) || e->value.n == 0 || imap_special_use(im, e->value, f, &special);
}

/* Of the owner's entries and the shared ones, or of others'. *fits false: NO was said. */
static bool check_room_of(struct imap *im, int64_t folder, bool of_others, bool *fits, struct err *err)
{
    const struct imap_metadata *m = &im->command.metadata;
    struct annotation_usage usage;
    int64_t here, bytes;

    if (!store_annotation_usage(im->box->store, folder, of_others, &usage, err))
        return false;
    here = usage.here;
    bytes = usage.bytes;
    for (size_t i = 0; i < m->n; i++) {
        int64_t was, is = store_annotation_counts(m->entries[i].name, m->entries[i].value);

        if (is_special(folder, m->entries[i].name) ||
            store_annotation_is_of_others(im->box->store, place(im, folder), m->entries[i].name) != of_others)
            continue;
        if (!store_annotation_size(im->box->store, place(im, folder), m->entries[i].name, &was, err))
            return false;
        here += (is > 0) - (was > 0);
        bytes += is - was;
    }
    *fits = false;
    if (here > ANNOTATIONS_MAX && here > usage.here)
        imap_no(im, "METADATA TOOMANY", "This has too many annotations");
    else if (bytes > ANNOTATIONS_BYTES && bytes > usage.bytes)
        imap_no(im, "OVERQUOTA", "The annotations of the account take too much room");
    else
        *fits = true;
    return true;
}

/* Everything is known before the transaction that others share is touched. */
static bool check_room(struct imap *im, int64_t folder, bool *fits, struct err *err)
{
    return check_room_of(im, folder, false, fits, err) && (!*fits || check_room_of(im, folder, true, fits, err));
}

static bool set_entry(struct imap *im, int64_t folder, const struct imap_entry *e, struct err *err)
{
    struct folder *f = store_folder_by_id(im->box->store, folder);

    if (f == NULL || !is_special(folder, e->name))
        return store_annotation_set(im->box->store, place(im, folder), e->name, e->value, err);
    return store_folder_special(im->box->store, f, imap_special_name(e->value), err);
}

static void tell_listeners(struct imap *im, int64_t folder)
{
    const struct imap_metadata *m = &im->command.metadata;
    struct buf names;

    buf_init(&names, 1 << 20);
    for (size_t i = 0; i < m->n; i++)
        buf_addf(&names, "%.*s\n", STR_ARG(m->entries[i].name));
    store_annotated(im->box->store, folder, im->info->account, buf_str(&names));
    buf_clear(&names);
}

static void on_set(struct imap *im, bool stored)
{
    if (stored)
        imap_ok(im, NULL, "Done");
    else
        imap_no(im, "UNAVAILABLE", "The change could not be written, try again later");
}

void imap_on_setmetadata(struct imap *im)
{
    const struct imap_metadata *m = &im->command.metadata;
    struct err err = {0};
    int64_t folder;
    bool fits;

    if (!find_place(im, &folder))
        return;
    for (size_t i = 0; i < m->n; i++)
        if (!check_entry(im, folder, &m->entries[i]))
            return;
    if (!check_room(im, folder, &fits, &err)) {
        imap_failed(im, &err);
        return;
    }
    if (!fits || !imap_begin(im))
        return;
    for (size_t i = 0; i < m->n; i++)
        if (!set_entry(im, folder, &m->entries[i], &err)) {
            imap_undo(im, &err);
            return;
        }
    tell_listeners(im, folder);
    imap_when_synced(im, on_set);
}

bool imap_annotations_may_be_copied(struct imap *im, const struct folder *f)
{
    struct annotation_usage usage = {0}, others = {0};
    struct err err = {0};

    if (!store_annotation_usage(im->box->store, f->id, false, &usage, &err) || !store_annotation_usage(im->box->store, f->id, true, &others, &err))
        imap_failed(im, &err);
    else if ((usage.here > 0 && usage.bytes + usage.here_bytes > ANNOTATIONS_BYTES) ||
             (others.here > 0 && others.bytes + others.here_bytes > ANNOTATIONS_BYTES))
        imap_no(im, "OVERQUOTA", "The annotations of the account take too much room");
    else
        return true;
    return false;
}
