/* Folders: their rows, their names, what a commit, a sync and a rollback mean for them. See store_folder.h.
 *
 * A deleted folder keeps its row, under a name nobody can give ("\gone" and its number), until its messages are
 * swept. Then it goes too, except that the row with the highest number stays (marked "\swept"), so that neither numbers
 * nor uidvalidities are used twice. */
#include "store_private.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char gone_mark[] = "\\gone", swept_mark[] = "\\swept";

/* ---- the list in memory ---- */

/* INBOX first; '/' below every other character, so that a tree stands together. */
static int compare_names(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;

    if (str_eq(a, b))
        return 0;
    if (str_eq(a, STR("INBOX")) || str_eq(b, STR("INBOX")))
        return str_eq(a, STR("INBOX")) ? -1 : 1;
    for (size_t i = 0; i < n; i++)
        if (a.p[i] != b.p[i]) {
            unsigned x = a.p[i] == '/' ? 0 : (unsigned char)a.p[i], y = b.p[i] == '/' ? 0 : (unsigned char)b.p[i];

            return x < y ? -1 : 1;
        }
    return a.n < b.n ? -1 : 1;
}

static bool is_before(struct link *it, const struct folder *f)
{
    return compare_names(CONTAINER(it, const struct folder, link)->name, f->name) <= 0;
}

void folder_put_in_order(struct store *s, struct folder *f, struct folder *near)
{
    struct link *head = &s->folders.head, *before = head->prev;

    if (near != NULL && is_before(&near->link, f))
        for (before = &near->link; before->next != head && is_before(before->next, f);)
            before = before->next;
    else
        while (before != head && !is_before(before, f))
            before = before->prev;
    list_insert_before(before->next, &f->link);
    map_add(&s->folders_by_id, &f->by_id, map_hash_number((uint64_t)f->id));
    map_add(&s->folders_by_name, &f->by_name, map_hash_str(f->name));
}

void folder_take_out(struct store *s, struct folder *f)
{
    list_remove(&f->link);
    map_remove(&s->folders_by_id, &f->by_id);
    map_remove(&s->folders_by_name, &f->by_name);
}

static struct folder *folder_new(struct str name, struct str special)
{
    struct folder *f = xcalloc(1, sizeof *f);

    f->name = str_dup(name);
    f->special = str_dup(special);
    uid_set_init(&f->uids);
    uid_set_init(&f->shown);
    uid_set_init(&f->waiting);
    return f;
}

static void destroy(struct folder *f)
{
    for (size_t i = 0; i < f->keyword_count; i++)
        str_free(&f->keywords[i]);
    free(f->keywords);
    free(f->emptied);
    uid_set_clear(&f->uids);
    uid_set_clear(&f->shown);
    uid_set_clear(&f->waiting);
    str_free(&f->name);
    str_free(&f->special);
    str_free(&f->committed_special);
    str_free(&f->committed_name);
    free(f);
}

static void folder_free(struct store *s, struct folder *f)
{
    folder_take_out(s, f);
    list_remove(&f->recent);
    if (s->inbox == f)
        s->inbox = NULL;
    f->orphan = true;
    if (f->watchers == 0)
        destroy(f);
}

void store_folder_unwatch(struct folder *f)
{
    if (--f->watchers > 0)
        return;
    uid_set_clear(&f->shown);
    uid_set_clear(&f->waiting);
    f->is_waiting = f->is_shown = false;
    if (f->orphan)
        destroy(f);
}

void folders_free(struct store *s)
{
    struct list *lists[] = {&s->folders, &s->gone};

    for (size_t i = 0; i < 2; i++)
        for (struct link *it; (it = list_first(lists[i])) != NULL;)
            folder_free(s, CONTAINER(it, struct folder, link));
    map_clear(&s->folders_by_id);
    map_clear(&s->folders_by_name);
}

struct folder *store_inbox(struct store *s)
{
    return s->inbox;
}

size_t store_folder_count(const struct store *s)
{
    return s->folder_count;
}

bool store_names_are_on_disk(const struct store *s)
{
    return s->names == s->names_durable;
}

struct folder *store_folder_next(struct store *s, struct folder *after)
{
    struct link *it = after == NULL ? s->folders.head.next : after->link.next;

    return it == &s->folders.head ? NULL : CONTAINER(it, struct folder, link);
}

struct folder *store_folder_find(struct store *s, struct str name)
{
    for (struct map_node *n = map_find(&s->folders_by_name, map_hash_str(name)); n != NULL; n = map_find_next(n))
        if (str_eq(CONTAINER(n, struct folder, by_name)->name, name))
            return CONTAINER(n, struct folder, by_name);
    return NULL;
}

struct folder *store_folder_by_id(struct store *s, int64_t id)
{
    for (struct map_node *n = map_find(&s->folders_by_id, map_hash_number((uint64_t)id)); n != NULL; n = map_find_next(n))
        if (CONTAINER(n, struct folder, by_id)->id == id)
            return CONTAINER(n, struct folder, by_id);
    return NULL;
}

/* ---- loading ---- */

static void take_row(struct store *s, struct stmt *row)
{
    struct folder *f = folder_new(column_str(row, 1), column_str(row, 2));

    f->id = column_int(row, 0);
    f->uidvalidity = column_int(row, 3);
    f->now = (struct folder_counts){column_int(row, 5), column_int(row, 6), column_int(row, 7), column_int(row, 8),
        column_int(row, 9), column_int(row, 10), column_int(row, 11), column_int(row, 4)};
    f->committed = f->durable = f->now;
    f->blocks_made = f->blocks_committed = column_int(row, 12) != 0;
    if (f->id > s->last_id)
        s->last_id = f->id;
    if (f->uidvalidity > s->last_uidvalidity)
        s->last_uidvalidity = f->uidvalidity;
    if (f->now.modseq > s->highest_modseq)
        s->highest_modseq = f->now.modseq;
    if (str_eq(f->special, str_of(swept_mark))) {
        destroy(f);
        return;
    }
    if (str_eq(f->special, str_of(gone_mark))) {
        list_add_last(&s->gone, &f->link);
        return;
    }
    if (f->id == STORE_INBOX)
        s->inbox = f;
    folder_put_in_order(s, f, NULL);
    s->folder_count++;
}

static bool add_keyword(struct folder *f, struct str name)
{
    f->keywords = xrealloc(f->keywords, (f->keyword_count + 1) * sizeof *f->keywords);
    f->keywords[f->keyword_count++] = str_dup(name);
    return true;
}

static bool load_keywords(struct store *s, struct err *err)
{
    struct stmt *load = stmt_new(s->db, "SELECT folder, slot, name FROM keyword WHERE account = $1 ORDER BY folder, slot");
    struct folder *f = NULL;
    bool loaded;

    stmt_int(load, s->account);
    while (stmt_row(load)) {
        if (f == NULL || f->id != column_int(load, 0))
            f = store_folder_by_id(s, column_int(load, 0));
        if (f != NULL && column_int(load, 1) == (int64_t)f->keyword_count)
            add_keyword(f, column_str(load, 2));
        if (f != NULL)
            f->keywords_committed = f->keywords_durable = f->keyword_count;
    }
    loaded = stmt_done(load, err);
    stmt_free(load);
    return loaded;
}

bool folders_load(struct store *s, struct err *err)
{
    struct stmt *load = stmt_new(s->db,
        "SELECT id, name, special, uidvalidity, expunged_floor, uidnext, modseq, messages, bytes, unseen, deleted, "
        "deleted_bytes, blocks FROM folder WHERE account = $1 ORDER BY name");
    bool loaded;

    s->highest_modseq = 1;
    stmt_int(load, s->account);
    while (stmt_row(load))
        take_row(s, load);
    loaded = stmt_done(load, err);
    stmt_free(load);
    s->highest_modseq += MODSEQ_JUMP;
    return loaded && load_keywords(s, err);
}

/* ---- making ---- */

static bool insert(struct store *s, const struct folder *f, struct err *err)
{
    struct stmt *add = stmt_new(s->db,
        "INSERT INTO folder (account, id, name, special, uidvalidity, uidnext, modseq, expunged_floor, messages, bytes, "
        "unseen, subscribed, blocks) VALUES ($1, $2, $3, $4, $5, 1, $6, $6, 0, 0, 0, 0, 1)");
    bool added;

    stmt_int(add, s->account);
    stmt_int(add, f->id);
    stmt_str(add, f->name);
    stmt_str(add, f->special);
    stmt_int(add, f->uidvalidity);
    stmt_int(add, f->now.modseq);
    added = stmt_run(add, err);
    stmt_free(add);
    return added;
}

bool store_folder_create(struct store *s, struct str name, struct str special, struct folder **out, struct err *err)
{
    struct folder *f;
    int64_t uidvalidity = clock_now() / SECOND;

    if (s->folder_count >= STORE_FOLDERS_MAX)
        return err_set(err, ERR_LIMIT, "too many mailboxes");
    f = folder_new(name, special);
    list_add_last(&s->gone, &f->link); /* until it is written */
    f->id = s->last_id + 1;
    f->uidvalidity = uidvalidity > s->last_uidvalidity ? uidvalidity : s->last_uidvalidity + 1;
    f->now.uidnext = 1;
    f->blocks_made = f->uids_loaded = f->created = true;
    f->now.expunged_floor = folder_touch(s, f);
    f->durable = f->now;
    if (!insert(s, f, err)) {
        folder_free(s, f);
        return false;
    }
    list_remove(&f->link);
    folder_put_in_order(s, f, NULL);
    s->folder_count++;
    s->last_id = f->id;
    s->last_uidvalidity = f->uidvalidity;
    s->names++;
    events_add(s, STORE_CREATED, f, STR(""));
    *out = f;
    return true;
}

static const struct {
    const char *name, *special;
} first_folders[] = {
    {"INBOX", ""}, {"Drafts", "\\Drafts"}, {"Sent", "\\Sent"}, {"Junk", "\\Junk"}, {"Trash", "\\Trash"}, {"Archive", "\\Archive"},
};

static bool make_first(struct store *s, struct err *err)
{
    for (size_t i = 0; i < sizeof first_folders / sizeof *first_folders; i++) {
        struct str name = str_of(first_folders[i].name);
        struct folder *f;

        if (!store_folder_create(s, name, str_of(first_folders[i].special), &f, err) || !store_subscribe(s, name, true, err))
            return false;
        if (i == 0)
            s->inbox = f;
    }
    return true;
}

bool folders_make_first(struct store *s, struct err *err)
{
    if (!db_begin(s->db, err))
        return false;
    if (make_first(s, err))
        return store_commit(s, err);
    store_rollback(s);
    return false;
}

/* ---- names ---- */

bool folder_write_name(struct store *s, const struct folder *f, struct str name, struct str special, struct err *err)
{
    struct stmt *set = stmt_new(s->db, "UPDATE folder SET name = $1, special = $2 WHERE account = $3 AND id = $4");
    bool done;

    stmt_str(set, name);
    stmt_str(set, special);
    stmt_int(set, s->account);
    stmt_int(set, f->id);
    done = stmt_run(set, err);
    stmt_free(set);
    return done;
}

bool store_folder_delete(struct store *s, struct folder *f, struct err *err)
{
    char name[40];

    snprintf(name, sizeof name, "%s %" PRId64, gone_mark, f->id);
    folder_touch(s, f);
    if (!folder_write_name(s, f, str_of(name), str_of(gone_mark), err) || !annotations_drop(s, f->id, err) ||
        !acl_drop(s, f->id, err))
        return false;
    folder_take_out(s, f);
    list_add_last(&s->gone, &f->link);
    s->folder_count--;
    s->names++;
    events_add(s, STORE_DELETED, f, STR(""));
    f->removed = true;
    s->loose = true;
    return true;
}

/* ---- keywords ---- */

static bool insert_keyword(struct store *s, struct folder *f, struct str name, struct err *err)
{
    struct stmt *add = stmt_new(s->db, "INSERT INTO keyword (account, folder, slot, name) VALUES ($1, $2, $3, $4)");
    bool done;

    folder_touch(s, f);
    stmt_int(add, s->account);
    stmt_int(add, f->id);
    stmt_int(add, (int64_t)f->keyword_count);
    stmt_str(add, name);
    done = stmt_run(add, err);
    stmt_free(add);
    return done && add_keyword(f, name);
}

bool store_keyword(struct store *s, struct folder *f, struct str name, bool make, int *slot, struct err *err)
{
    *slot = -1;
    for (size_t i = 0; i < f->keyword_count && *slot < 0; i++)
        if (str_ieq(f->keywords[i], name))
            *slot = (int)i;
    if (*slot >= 0 || !make)
        return true;
    if (f->keyword_count >= STORE_KEYWORDS_MAX)
        return err_set(err, ERR_LIMIT, "too many keywords in this mailbox");
    if (!insert_keyword(s, f, name, err))
        return false;
    *slot = (int)f->keyword_count - 1;
    return true;
}

/* ---- transactions ---- */

int64_t folder_touch(struct store *s, struct folder *f)
{
    if (s->modseq == 0)
        s->modseq = s->highest_modseq + 1;
    f->now.modseq = s->modseq;
    f->changed = true;
    return s->modseq;
}

int64_t store_modseq(const struct store *s)
{
    return s->modseq;
}

int64_t store_new_modseq(struct store *s)
{
    s->modseq = s->modseq == 0 ? s->highest_modseq + 1 : s->modseq + 1;
    return s->modseq;
}

static bool save(struct store *s, struct folder *f, struct err *err)
{
    struct stmt *set = store_stmt(s, SQL_SAVE_FOLDER);

    if ((f->watchers > 0 && !store_folder_load(s, f, err)) || !uids_save(s, f, err))
        return false;
    stmt_int(set, f->now.uidnext);
    stmt_int(set, f->now.modseq);
    stmt_int(set, f->now.messages);
    stmt_int(set, f->now.bytes);
    stmt_int(set, f->now.unseen);
    stmt_int(set, f->now.deleted);
    stmt_int(set, f->now.deleted_bytes);
    stmt_int(set, f->now.expunged_floor);
    stmt_int(set, f->blocks_made);
    stmt_int(set, s->account);
    stmt_int(set, f->id);
    return stmt_run(set, err);
}

bool folders_save(struct store *s, struct err *err)
{
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        if ((f->changed || f->unsaved) && !save(s, f, err))
            return false;
    return true;
}

static void committed(struct store *s, struct folder *f)
{
    if (f->changed && f->watchers > 0) {
        uid_set_copy(&f->waiting, &f->uids);
        f->waiting_modseq = f->now.modseq;
        f->is_waiting = true;
    }
    if (f->removed) {
        s->loose = true; /* its messages */
        str_free(&f->special);
        f->special = str_dup(str_of(gone_mark));
    }
    f->unsaved |= f->changed; /* until folders_saved */
    f->changed = f->created = f->removed = false;
    f->flags_committed |= f->flags_changed;
    f->flags_changed = false;
    f->committed = f->now;
    f->gone_committed = f->gone_modseq;
    f->blocks_committed = f->blocks_made;
    f->keywords_committed = f->keyword_count;
    str_free(&f->committed_name);
}

void folders_committed(struct store *s)
{
    s->names_committed = s->names;
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        committed(s, f);
    LIST_EACH(&s->gone, it) {
        struct folder *f = CONTAINER(it, struct folder, link);

        committed(s, f);
        if (f->swept)
            folder_free(s, f);
    }
}

void folders_saved(struct store *s)
{
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        f->unsaved = false;
}

void store_synced(struct store *s)
{
    s->names_durable = s->names_committed;
    annotations_synced(s);
    events_synced(s);
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;) {
        struct uid_set old = f->shown;

        f->durable = f->committed;
        f->keywords_durable = f->keywords_committed;
        if (!f->is_waiting)
            continue;
        f->shown = f->waiting;
        f->waiting = old;
        uid_set_clear(&f->waiting);
        f->shown_modseq = f->waiting_modseq;
        f->is_waiting = false;
        f->is_shown = true;
        f->version++;
    }
}

static void roll_back(struct folder *f)
{
    f->unsaved = false;
    if (!f->changed)
        return;
    f->now = f->committed;
    f->gone_modseq = f->gone_committed;
    f->blocks_made = f->blocks_committed;
    f->changed = f->flags_changed = false;
    f->version++; /* what could not be told because of it can be told now */
    uid_set_clear(&f->uids);
    f->uids_loaded = false;
    f->emptied_count = 0;
    while (f->keyword_count > f->keywords_committed)
        str_free(&f->keywords[--f->keyword_count]);
}

/* Names and order as they were. */
void folders_rolled_back(struct store *s)
{
    struct list all;
    struct folder *near = NULL;

    s->names = s->names_committed;
    list_init(&all);
    for (struct link *it; (it = list_first(&s->folders)) != NULL || (it = list_first(&s->gone)) != NULL;) {
        folder_take_out(s, CONTAINER(it, struct folder, link));
        list_add_last(&all, it);
    }
    s->folder_count = 0;
    for (struct link *it; (it = list_first(&all)) != NULL;) {
        struct folder *f = CONTAINER(it, struct folder, link);
        bool gone = str_eq(f->special, str_of(gone_mark));

        list_remove(it);
        if (f->created) {
            folder_free(s, f);
            continue;
        }
        roll_back(f);
        if (f->committed_name.p != NULL) {
            str_free(&f->name);
            f->name = f->committed_name;
            f->committed_name = (struct str){0};
        }
        f->removed = f->swept = false;
        if (gone) {
            list_add_last(&s->gone, it);
            continue;
        }
        folder_put_in_order(s, f, near);
        near = f;
        s->folder_count++;
    }
}
