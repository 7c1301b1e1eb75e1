/* Which function does each IMAP command, in which state, in which database, and what must be granted for it. See imap.h. */
#include "base/metric.h"
#include "imap.h"

#include <assert.h>

static struct metric commands = METRIC_COUNTER("staffetta_imap_commands_total", "IMAP commands after login.");

/* What does each command, and whether messages may vanish before its answer. */
static const struct {
    imap_step *run;
    bool no_expunge; /* unless it is a UID command */
} verbs[IMAP_VERB_COUNT] = {
    [IMAP_CAPABILITY] = {imap_on_capability, false}, [IMAP_NOOP] = {imap_on_noop, false},
    [IMAP_LOGOUT] = {imap_on_logout, false}, [IMAP_ID] = {imap_on_id, false}, [IMAP_ENABLE] = {imap_on_enable, false},
    [IMAP_SELECT] = {imap_on_select, true}, [IMAP_EXAMINE] = {imap_on_select, true},
    [IMAP_CREATE] = {imap_on_create, false}, [IMAP_DELETE] = {imap_on_delete, false},
    [IMAP_RENAME] = {imap_on_rename, false}, [IMAP_SUBSCRIBE] = {imap_on_subscribe, false},
    [IMAP_UNSUBSCRIBE] = {imap_on_unsubscribe, false}, [IMAP_LIST] = {imap_on_list, false}, [IMAP_LSUB] = {imap_on_lsub, false},
    [IMAP_NAMESPACE] = {imap_on_namespace, false}, [IMAP_STATUS] = {imap_on_status, false}, [IMAP_IDLE] = {imap_on_idle, false},
    [IMAP_GETQUOTA] = {imap_on_getquota, false}, [IMAP_GETQUOTAROOT] = {imap_on_getquotaroot, false},
    [IMAP_SETQUOTA] = {imap_on_setquota, false}, [IMAP_CHECK] = {imap_on_check, false}, [IMAP_CLOSE] = {imap_on_close, false},
    [IMAP_GETMETADATA] = {imap_on_getmetadata, false}, [IMAP_SETMETADATA] = {imap_on_setmetadata, false},
    [IMAP_NOTIFY] = {imap_on_notify, false}, [IMAP_UNSELECT] = {imap_on_unselect, false}, [IMAP_EXPUNGE] = {imap_on_expunge, false},
    [IMAP_SEARCH] = {imap_on_search, true}, [IMAP_SORT] = {imap_on_sort, true}, [IMAP_THREAD] = {imap_on_thread, true},
    [IMAP_FETCH] = {imap_on_fetch, true}, [IMAP_STORE] = {imap_on_store, true}, [IMAP_COPY] = {imap_on_copy, false},
    [IMAP_MOVE] = {imap_on_move, false}, [IMAP_COMPRESS] = {imap_on_compress, false}, [IMAP_UNAUTHENTICATE] = {imap_on_unauthenticate, false},
    [IMAP_APPEND] = {imap_on_append, false}, [IMAP_REPLACE] = {imap_on_replace, false},
    [IMAP_XMARKED] = {imap_on_xmarked, false},
    [IMAP_GETACL] = {imap_on_getacl, false}, [IMAP_SETACL] = {imap_on_setacl, false}, [IMAP_DELETEACL] = {imap_on_deleteacl, false},
    [IMAP_LISTRIGHTS] = {imap_on_listrights, false}, [IMAP_MYRIGHTS] = {imap_on_myrights, false},
};

enum { ANY_OF_MYRIGHTS = ACL_LOOKUP | ACL_READ | ACL_INSERT | ACL_CREATE | ACL_DELETE | ACL_ADMIN,
    TO_REMOVE = ACL_READ | ACL_TO_DELETE | ACL_EXPUNGE };

/* What must be granted for it in a mailbox of somebody else: the one that it names, or the selected one (RFC 4314, section 4; RFC 5464,
 * section 3.3; RFC 6851, section 4.2; RFC 8508, section 4.1). CREATE, RENAME, STORE, COPY and APPEND look for more themselves. */
static const struct {
    unsigned all, any;
} needs[IMAP_VERB_COUNT] = {
    [IMAP_SELECT] = {ACL_READ, 0}, [IMAP_EXAMINE] = {ACL_READ, 0}, [IMAP_STATUS] = {ACL_READ, 0}, [IMAP_GETQUOTAROOT] = {ACL_READ, 0},
    [IMAP_DELETE] = {ACL_DELETE, 0}, [IMAP_RENAME] = {ACL_DELETE, 0}, [IMAP_GETACL] = {ACL_ADMIN, 0}, [IMAP_SETACL] = {ACL_ADMIN, 0},
    [IMAP_DELETEACL] = {ACL_ADMIN, 0}, [IMAP_LISTRIGHTS] = {ACL_ADMIN, 0}, [IMAP_MYRIGHTS] = {0, ANY_OF_MYRIGHTS},
    [IMAP_GETMETADATA] = {ACL_LOOKUP, IMAP_RIGHTS_OF_METADATA}, [IMAP_SETMETADATA] = {ACL_LOOKUP, IMAP_RIGHTS_OF_METADATA},
    [IMAP_FETCH] = {ACL_READ, 0}, [IMAP_SEARCH] = {ACL_READ, 0}, [IMAP_SORT] = {ACL_READ, 0}, [IMAP_THREAD] = {ACL_READ, 0},
    [IMAP_STORE] = {ACL_READ, 0}, [IMAP_COPY] = {ACL_READ, 0}, [IMAP_MOVE] = {TO_REMOVE, 0}, [IMAP_REPLACE] = {TO_REMOVE, 0},
    [IMAP_EXPUNGE] = {ACL_EXPUNGE, 0},
};

/* These wait until the names of mailboxes are on disk. */
static const bool asks_for_names[IMAP_VERB_COUNT] = {[IMAP_SELECT] = true, [IMAP_EXAMINE] = true, [IMAP_CREATE] = true, [IMAP_DELETE] = true,
    [IMAP_RENAME] = true, [IMAP_LIST] = true, [IMAP_LSUB] = true, [IMAP_STATUS] = true, [IMAP_GETQUOTAROOT] = true, [IMAP_GETMETADATA] = true,
    [IMAP_NOTIFY] = true, [IMAP_GETACL] = true, [IMAP_SETACL] = true, [IMAP_DELETEACL] = true, [IMAP_LISTRIGHTS] = true, [IMAP_MYRIGHTS] = true,
    [IMAP_SETMETADATA] = true};

static enum imap_state state_of(const struct imap *im)
{
    return im->view.folder != NULL ? IMAP_SELECTED : IMAP_AUTHENTICATED;
}

/* The mailbox that the command names first, unless its own function finds it; NULL: none. */
static struct str *name_of(struct imap_command *c)
{
    switch ((int)c->verb) {
    case IMAP_SELECT:
    case IMAP_EXAMINE: return &c->select.mailbox;
    case IMAP_STATUS: return &c->status.mailbox;
    case IMAP_GETMETADATA:
    case IMAP_SETMETADATA: return &c->metadata.mailbox;
    case IMAP_CREATE:
    case IMAP_DELETE:
    case IMAP_RENAME:
    case IMAP_GETQUOTAROOT:
    case IMAP_GETACL:
    case IMAP_SETACL:
    case IMAP_DELETEACL:
    case IMAP_LISTRIGHTS:
    case IMAP_MYRIGHTS: return &c->mailbox.name;
    }
    return NULL;
}

/* A SELECT that fails leaves nothing selected. */
static bool refuse_select(struct imap *im, bool fine)
{
    if (!fine && (im->command.verb == IMAP_SELECT || im->command.verb == IMAP_EXAMINE))
        imap_leave_the_other(im);
    return fine;
}

/* The client hears when what it may do in the selected mailbox has changed (RFC 4314, section 5.1.1). */
static void tell_rights(struct imap *im)
{
    unsigned rights = imap_view_rights(im);

    if (rights == im->view.rights)
        return;
    im->view.rights = rights;
    if (rights & ACL_READ)
        imap_view_tell_keywords(im);
}

static bool may_run(struct imap *im)
{
    unsigned all = needs[im->command.verb].all, any = needs[im->command.verb].any;
    const struct str *name = name_of(&im->command);
    struct folder *f;

    if (im->box == im->home || (all == 0 && any == 0))
        return true;
    if (name == NULL)
        tell_rights(im);
    f = name != NULL ? store_folder_find(im->box->store, *name) : im->view.folder;
    return refuse_select(im, imap_may(im, im->box, f, all, any, "NONEXISTENT"));
}

static void run_verb(struct imap *im)
{
    im->step = NULL;
    if (asks_for_names[im->command.verb] && !store_names_are_on_disk(im->box->store)) {
        im->step = run_verb;
        imap_settle(im);
    } else if (may_run(im)) {
        verbs[im->command.verb].run(im);
    }
}

static void on_located(struct imap *im)
{
    struct str *name = name_of(&im->command);

    assert(name != NULL);
    if (!refuse_select(im, imap_is_somewhere(im, &im->place, "NONEXISTENT")))
        return;
    im->box = im->place.box;
    *name = im->place.name;
    run_verb(im);
}

static void find_box(struct imap *im)
{
    struct str *name = name_of(&im->command);

    im->box = imap_verb_states(im->command.verb) == IMAP_SELECTED ? im->view.box : im->home;
    if (name != NULL)
        imap_locate(im, *name, &im->place, on_located);
    else
        run_verb(im);
}

void imap_run_command(struct imap *im)
{
    enum imap_verb verb = im->command.verb;

    metric_add(&commands, 1);
    im->limited = 0;
    im->progress_due = im->turn_ends + IMAP_PROGRESS;
    im->tell_expunges = !verbs[verb].no_expunge || im->command.uid;
    im->tells_all = verb == IMAP_NOTIFY || verb == IMAP_EXPUNGE || verb == IMAP_MOVE || verb == IMAP_REPLACE; /* what these did */
    if (verbs[verb].run == NULL)
        imap_bad(im, imap_verb_states(verb) == IMAP_NOT_AUTHENTICATED ? "You are logged in already" : "This command is not offered here");
    else if (!(imap_verb_states(verb) & state_of(im)))
        imap_bad(im, state_of(im) == IMAP_SELECTED ? "You are logged in already" : "Select a mailbox first");
    else if (!imap_refuses_numbers(im))
        find_box(im);
}
