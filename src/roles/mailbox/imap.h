/* The inside of an IMAP session after login (RFC 9051, RFC 3501 and their extensions), shared by imap_*.c.
 *
 * imap_session.c turns bytes into commands and finds the function for each in a table. A command either answers at
 * once with imap_ok, imap_no or imap_bad, or sets `step`: a function that works for a few milliseconds or until the
 * output is above its mark, and is called again in the next turn until it has answered. What changes the account
 * waits for the group commit (imap_when_synced) before it is answered, so OK is a promise.
 *
 * After every command the client is told what changed in the selected mailbox meanwhile (imap_view.c), except that
 * nothing is expunged during FETCH, STORE and SEARCH by sequence number (RFC 9051, section 7.5.1). */
#pragma once
#include "boxes.h"
#include "imap/append.h"
#include "imap/input.h"
#include "imap/write.h"
#include "session.h"
#include "shares.h"
#include "store_acl.h"
#include "store_message.h"

enum {
    IMAP_OUTPUT_HIGH = 56 * 1024, /* less than half a window: access sends one piece while the next is made */
    IMAP_OUTPUT_MAX = 8 * 1024 * 1024, /* what one step may add fits above the mark */
    IMAP_ARENA_MAX = 16 * 1024 * 1024, /* of one command */
    IMAP_ARENA_KEPT = 512 * 1024,      /* of that, which parsing it leaves for doing it */
    IMAP_UNREAD_MAX = 128 * 1024,
    IMAP_MEMORY_MAX = 192 * 1024 * 1024, /* of all sessions of an account, beyond the little each has */
    IMAP_TURN = 5000,                  /* microseconds of work */
    IMAP_LOOKS = 2,                    /* so often a turn goes on whatever the time */
    IMAP_ERRORS_MAX = 50,              /* BADs in a row */
    IMAP_PROGRESS = 10 * 1000 * 1000,  /* microseconds from one word about a long command to the next (RFC 9585) */
};

enum imap_enabled { IMAP_ENABLED_REV2 = 1, IMAP_ENABLED_CONDSTORE = 2, IMAP_ENABLED_QRESYNC = 4, IMAP_ENABLED_UTF8 = 8,
    IMAP_ENABLED_UIDONLY = 16, IMAP_ENABLED_METADATA = 32 };

struct imap;
struct imap_compression;
struct imap_notify;
typedef void imap_step(struct imap *im);
/* The step of a session that a reply or the disk wakes: it does nothing until then. */
void imap_is_waiting(struct imap *im);
typedef void imap_synced(struct imap *im, bool stored);

#define IMAP_VIEW_BEHIND UINT64_MAX /* as its version: something has changed */

/* The selected mailbox as this client knows it. */
struct imap_view {
    struct box *box;       /* whose it is; NULL: nothing is selected */
    struct box_watcher watcher; /* of it, unless it is the account's own */
    struct str prefix;     /* what stands before its name for this client: of the namespace of others; owned */
    unsigned rights;       /* the client was told of (enum acl_right) */
    struct folder *folder; /* NULL: nothing is selected, or the box rests */
    int64_t resting;       /* its number while the box rests */
    bool read_only;
    struct uid_set known;  /* the client was told of these */
    uint32_t uidnext;      /* all uids below were told of, or are gone */
    int64_t modseq;        /* changes of flags up to here were told */
    int64_t whole;         /* and what is gone up to here: where a client that goes now can go on */
    uint64_t version;      /* of folder->shown: what was told */
    struct uid_set own;    /* changed by this client's STORE with own_modseq: it knows */
    int64_t own_modseq;
    size_t keywords_told;
    struct uid_set saved;  /* SEARCHRES: the result of the last SEARCH RETURN (SAVE) */
};

/* Where a name leads: to the account's own mailboxes, or to those of somebody who shares them (imap_place.c). */
struct imap_place {
    struct box *box;   /* NULL: nowhere; held until the end of the command, unless it is the account's own */
    struct str name;   /* there; there need not be such a mailbox */
    struct str prefix; /* what stands before it for this client; empty: it is his own */
    bool elsewhere;    /* nowhere, because another process has it */
    bool failed;       /* or because directory could not be asked */
};

struct imap {
    struct session *session;
    const struct session_info *info;
    struct box *home;       /* of the account that logged in */
    struct box *box;        /* that the command under way is about; between commands that of the selected mailbox, or home */
    struct imap_place place;  /* of the mailbox that the command names */
    struct imap_place source; /* of that in a URL of CATENATE */
    struct {
        struct shares_waiter waiter;
        struct imap_place *place;
        imap_step *then;
    } locating;
    struct buf unread;      /* bytes of the client, not looked at */
    struct imap_input input;
    struct buf out;
    size_t taken;
    struct imap_compression *compression; /* NULL: bytes pass as they are */
    struct buf deflated;    /* then: of the client, before `unread`; */
    struct buf wire;        /* to the client, behind `out` */
    bool compresses;        /* from behind the answer to this command on */
    bool returns;           /* UNAUTHENTICATE: the connection goes back to access */
    unsigned enabled;       /* enum imap_enabled */
    unsigned errors;
    bool closed;
    bool finishing;         /* ends between two commands: the server shuts down */
    bool told_box_gone;

    struct arena arena;     /* of the command */
    struct imap_command command;
    struct buf tag;
    imap_step *step;        /* goes on with the command */
    imap_step *literal;     /* an APPEND or REPLACE is being read: called at each literal and at the end */
    int64_t turn_ends;      /* monotonic */
    unsigned looks;         /* at the clock in this turn */
    unsigned rows;          /* between two of them */
    int64_t progress_due;   /* a turn that ends later tells how far the command is */
    bool idling;

    struct box_watcher watcher;
    struct waiter waiter;
    bool waiting;           /* for the sync */
    imap_synced *synced;
    imap_step *settling;    /* the step that waits for it */

    struct imap_view view;
    struct buf answer;      /* the tagged line, said when the client has been told what changed */
    bool tell_expunges;
    bool tells_all;         /* of the selected mailbox, whatever NOTIFY says */
    char limit_code[24];    /* imap_limit_code */
    uint32_t limited;       /* MESSAGELIMIT: the command works on messages from this uid on only; 0: on all it names */
    bool unasked;           /* the command under way is the server's own: its end is not told */
    struct imap_notify *notify; /* NULL: neither NOTIFY was used nor METADATA enabled */
    int64_t said_modseq;    /* the highest one that the command told */
    struct {                /* imap_view.c: where the telling goes on */
        bool under_way;
        bool missed;        /* something is changed again, or taken away, and not on disk: another time */
        uint32_t at;
        uint32_t uidnext;   /* of before what is new was told */
        int64_t modseq;
        uint64_t version;
        uint64_t tried;     /* the version of which all was told that could be */
    } telling;

    struct account_waiter asking; /* for the quota, or for a name */
    int64_t asking_until;         /* directory has so long to answer (monotonic) */
    struct account_info quota;
    imap_step *with_quota;

    bool holding;           /* the transaction, over several turns */
    uint64_t promised_messages, promised_bytes; /* of the box, meanwhile */
    uint64_t rollbacks;     /* of the box when that began */

    void *work;             /* of the command under way, in the arena */
    size_t gathered;        /* bytes that `work` has outside the arena, as far as they are counted */
    size_t borrowed;        /* of home->lent */
    imap_step *clean;       /* frees what `work` has outside the arena; called at the end of the command */
};

/* ---- imap_session.c ---- */
/* The tagged answer, after what changed was told. `code` (may be NULL) stands in brackets. Nothing more is said for
 * the command. */
void imap_ok(struct imap *im, const char *code, const char *text);
void imap_no(struct imap *im, const char *code, const char *text);
void imap_bad(struct imap *im, const char *text);
/* The same with a code made by imap_code, then add to im->answer and end with imap_say. */
void imap_answer_begin(struct imap *im, const char *status);
void imap_answer_end(struct imap *im);
/* NO for a failed storage; logs it. */
void imap_failed(struct imap *im, const struct err *err);
/* An untagged line is begun with buf_add(&im->out, ...) directly. */
bool imap_utf8(const struct imap *im); /* names and strings may be UTF-8 */
/* For a step between two lines of output: now and then "* OK [INPROGRESS (tag done goal)]". `at` is the uid where it goes on, in
 * the part `phase` of `phases` through the mailbox that is selected. */
void imap_tell_progress(struct imap *im, uint32_t at, unsigned phase, unsigned phases);
/* A turn begins, which may take so long. */
void imap_begin_turn(struct imap *im, int64_t within);
/* Time for another turn, or enough output: a step returns then. Once true it stays so in this turn. However late it is, every
 * turn does something: a step and what it calls may each look once before they begin. While a change is under way that others wait
 * for, output is no reason. */
bool imap_pause(struct imap *im);
bool imap_pause_between_rows(struct imap *im); /* the same, when little is done between two calls */
/* Commits what the open transaction has with the others' work, calls `then` when it is on disk or failed. */
void imap_when_synced(struct imap *im, imap_synced *then);
waiter_done imap_on_synced;
/* Goes on with the step of now when what is in the open transaction is on disk or undone; then nothing of before is left open,
 * for one unit of work at least. */
void imap_settle(struct imap *im);
MUST_CHECK bool imap_begin(struct imap *im); /* the transaction; false: the command was answered NO */
MUST_CHECK bool imap_begin_addition(struct imap *im); /* the same for box_begin_addition */
/* The same for a change that takes several turns and is committed as one, until imap_release. imap_still_holds: false when
 * somebody else's failure has rolled it back meanwhile; NO was said. */
MUST_CHECK bool imap_hold(struct imap *im);
MUST_CHECK bool imap_still_holds(struct imap *im);
void imap_release(struct imap *im);
/* Held: so much will be added yet, which imap_fits has allowed; and so much of that has been. What is left is forgotten with
 * imap_release. So that changes of several turns and deliveries beside them do not each fit alone and exceed the quota together. */
void imap_promise(struct imap *im, uint64_t messages, uint64_t bytes);
void imap_promise_kept(struct imap *im, uint64_t messages, uint64_t bytes);
/* The storage failed inside the transaction: all that shared it has failed, and the command is answered NO. */
void imap_undo(struct imap *im, const struct err *err);
/* Calls `then` when im->quota is known (at once, mostly); NO was said otherwise. */
void imap_with_quota(struct imap *im, imap_step *then);
/* Says NO [OVERQUOTA] and false when so much more does not fit. */
bool imap_fits(struct imap *im, uint64_t messages, uint64_t bytes);
/* RFC 7162, section 6: a client takes the highest modseq it was told for where it stands, unless it is told that it stands
 * lower, because it has not heard of everything below. */
void imap_tell_where_it_stands(struct imap *im);
/* The database of the selected mailbox is open again. */
void imap_view_woken(struct imap *im);
/* A folder of im->box by name, or NULL with NO [code] said. */
struct folder *imap_folder(struct imap *im, struct str name, const char *code);

/* ---- imap_ask.c ---- */
/* Asks directory and waits: `ready` is called when it has answered, or with its failure when it is away or has not answered for
 * SESSION_LATER. May be called before this returns; it clears im->waiting, sets the step and wakes the session. */
void imap_ask_address(struct imap *im, int64_t asker, struct str address, shares_ready *ready); /* with im->locating.waiter */
void imap_ask_owners(struct imap *im, shares_ready *ready);                      /* the same */
/* With im->asking. A patient one also waits while directory is away: it may just be being started. */
void imap_ask_account(struct imap *im, int64_t account, bool patient, account_ready *ready);
/* The time is over: `ready` was told of a failure. */
bool imap_directory_is_late(struct imap *im);

/* ---- imap_limit.c ---- */
/* "MESSAGELIMIT 1000", for NO. */
const char *imap_limit_code(struct imap *im);
bool imap_is_over_limit(const struct imap *im, uint64_t messages);
/* The lowest uid of a resolved set that a command may work on; 0: it may on all. */
uint32_t imap_limit_least(const struct imap *im, const struct imap_set *set);
/* From now on the set has no others, and the answer says so. */
void imap_limit_set(struct imap *im, struct imap_set *set);
/* The same for what a program whose sets are resolved has to look at. */
uint32_t imap_limit_search(struct imap *im, const struct imap_search_key *root);
void imap_limit_tell(struct imap *im); /* the tagged answer is complete */

/* ---- imap_verbs.c ---- */
void imap_run_command(struct imap *im); /* im->command */

/* ---- imap_place.c ---- */
#define IMAP_OTHERS "Other Users"
/* Finds out where a name leads, then calls `then` (at once, mostly). */
void imap_locate(struct imap *im, struct str name, struct imap_place *place, imap_step *then);
/* True when it leads somewhere; else NO [code] was said. */
MUST_CHECK bool imap_is_somewhere(struct imap *im, const struct imap_place *place, const char *code);
void imap_place_leave(struct imap *im, struct imap_place *place);
void imap_places_leave(struct imap *im); /* the end of a command: im->box is again what it is between two */
struct box *imap_box_between(const struct imap *im);
/* The name of a folder of im->place.box as this client says it; in the arena. */
struct str imap_full_name(struct imap *im, struct str name);
/* A name in the namespace of others: nobody may have one of his own there. */
bool imap_is_reserved(struct imap *im, struct str name);
/* What this session's account may do with a folder (enum acl_right). */
unsigned imap_rights(struct imap *im, struct box *box, const struct folder *f);
/* The same of every folder of somebody else's above that number in which he has rights that have effect (store_acl_folders). */
MUST_CHECK bool imap_shared_folders(struct imap *im, struct box *box, int64_t above, store_acl_folder_fn *tell, void *arg, struct err *err);
/* The same of the selected mailbox, now. */
unsigned imap_view_rights(struct imap *im);
/* All of `all` and, unless that is 0, one of `any`; else NO was said: [NOPERM], or [code] as if the folder were not there when he may not
 * know of it. f NULL: it is not there. */
MUST_CHECK bool imap_may(struct imap *im, struct box *box, const struct folder *f, unsigned all, unsigned any, const char *code);
/* One of these, and that of looking it up, is needed for annotations (RFC 5464, section 3.3). */
enum { IMAP_RIGHTS_OF_METADATA = ACL_READ | ACL_SEEN | ACL_WRITE | ACL_INSERT | ACL_POST };
bool imap_may_read_annotations(unsigned rights);
/* The flags that these rights allow to change; keywords go with ACL_WRITE. */
unsigned imap_flags_of_rights(unsigned rights);
/* May a mailbox be made under that name in im->box, as far as rights go? False: NO was said; as if there were no such account to
 * who may look up none of its mailboxes. */
MUST_CHECK bool imap_may_create(struct imap *im, struct str name);
/* "F12", unlike those of all others. */
void imap_write_mailbox_id(const struct imap *im, struct buf *out, const struct box *box, const struct folder *f);

/* ---- imap_memory.c ---- */
/* Room for what the command under way works with, cleared, in its arena; NULL: there is none, and NO was said. */
void *imap_alloc(struct imap *im, size_t n);
/* The command has so many bytes outside of the arena now. False: with that all sessions of the account hold too much. */
MUST_CHECK bool imap_gathers(struct imap *im, size_t bytes);
/* What it holds is counted anew; false: that is too much, NO was said. */
MUST_CHECK bool imap_has_memory(struct imap *im);
bool imap_gathered_too_much(struct err *err); /* always false: err says so */
MUST_CHECK bool imap_keeps_within_memory(struct imap *im); /* at the end of a turn; false: it has so much output that it must end */
void imap_forget_memory(struct imap *im); /* the session ends */

/* ---- imap_transfer.c ---- */
/* COPY and MOVE to im->place in another account, or where not all flags may be kept. The set is resolved. */
void imap_transfer(struct imap *im, struct imap_set set, struct folder *to, bool moves);

/* ---- imap_view.c ---- */
/* The selected mailbox is in im->place.box from now on; false: NO was said. */
MUST_CHECK bool imap_view_enter(struct imap *im);
void imap_view_open(struct imap *im, struct folder *f, bool read_only);
void imap_view_close(struct imap *im);
/* Its rows may be told: nobody has taken that right away. */
bool imap_view_may_read(struct imap *im);
/* It was not opened with EXAMINE; else NO was said. */
MUST_CHECK bool imap_view_may_write(struct imap *im);
/* The box rests, and has another store later; false: the mailbox cannot be read any more. */
void imap_view_rest(struct imap *im);
MUST_CHECK bool imap_view_wake(struct imap *im, struct err *err);
/* Tells what changed; true when all was told (else call again in the next turn). */
bool imap_view_tell(struct imap *im);
/* The same without a command: what had to wait is not tried again before something else is on disk. */
bool imap_view_tell_news(struct imap *im);
/* There is something to tell to an idling client. */
bool imap_view_is_behind(const struct imap *im);
/* The numbers of a command as uids, resolved against what the client knows: with `uid` they are uids. False: BAD was
 * said. Afterwards the set is one of uids, normalized; only uids the client knows come out of imap_view_next. */
bool imap_view_resolve(struct imap *im, struct imap_set *set, bool uid);
/* The next known uid at or above `from` that the resolved set has; 0: none. */
uint32_t imap_view_next(const struct imap *im, const struct imap_set *set, uint32_t from);
uint32_t imap_view_number(const struct imap *im, uint32_t uid); /* sequence number; 0: not known */
/* "* FLAGS (...)" when there are keywords the client does not know. */
void imap_view_tell_keywords(struct imap *im);
bool imap_view_knows_keywords(const struct imap *im);
/* A row with this modseq says what is on disk, or what the next sync or rollback decides: nothing may be told of it before. */
bool imap_view_is_on_disk(const struct imap *im, int64_t modseq);
/* The same of rows that are not there. */
bool imap_view_misses_none(const struct imap *im);
void imap_write_message_flags(struct imap *im, const struct store_message *m); /* "FLAGS (...)" */
void imap_write_modseq(struct imap *im, const struct store_message *m);        /* "MODSEQ (...)" */
/* Messages the client knows are gone, and it may not be told now. */
bool imap_view_has_gone(const struct imap *im);
/* A command that enables CONDSTORE (RFC 7162, section 3.1). */
void imap_enable_condstore(struct imap *im);

/* ---- imap_uidonly.c ---- */
/* True: UIDONLY is enabled and the command has sequence numbers; BAD was said. */
bool imap_refuses_numbers(struct imap *im);
/* "* 3 FETCH (UID 7", or, with UIDONLY, "* 7 UIDFETCH (". True: something stands in the parentheses already. */
bool imap_begin_fetch(struct imap *im, uint32_t uid, bool with_uid);

/* ---- imap_wire.c ---- */
void imap_wire_begin(struct imap *im);  /* an answer was written: that to COMPRESS is the last one that is plain */
MUST_CHECK bool imap_wire_input(struct imap *im, struct str bytes); /* false: too much */
void imap_wire_inflate(struct imap *im); /* some of what was deflated, into im->unread, which is empty */
/* Deflates some of im->out. False: there is more of it, or enough for now. */
bool imap_wire_output(struct imap *im);
void imap_wire_rest(struct imap *im);
void imap_wire_clear(struct imap *im);
bool imap_wire_returns(struct imap *im); /* everything for access to take the connection back has come */
struct str imap_wire_left(struct imap *im);

/* ---- imap_notify.c, imap_events.c ---- */
/* NOTIFY or ENABLE METADATA: from now on the store is listened to. */
struct imap_notify *imap_notify_get(struct imap *im);
void imap_notify_end(struct imap *im); /* as it was before */
void imap_notify_rest(struct imap *im); /* the database is closed, and opened again */
void imap_notify_wake(struct imap *im);
void imap_notify_nothing(struct imap *im); /* NOTIFY NONE */
uint64_t imap_notify_who(const struct imap *im); /* of im->box, for store_by */
void imap_notify_forget(struct imap *im, const struct box *box); /* it is to be let go */
bool imap_notify_others_behind(const struct imap *im); /* something is to be told of mailboxes of others */
/* The events (enum imap_event) of the selected mailbox that may be told. */
unsigned imap_notify_selected(const struct imap *im);
bool imap_notify_is_behind(const struct imap *im);
/* There is something to tell although no command is under way. */
bool imap_notify_wants_turn(const struct imap *im);
/* Tells what happened elsewhere; true when all was told. */
bool imap_events_tell(struct imap *im);
/* The same between two commands and while idling, with the selected mailbox and what is fetched of new messages. */
bool imap_notify_tell(struct imap *im);
/* The client was told of new messages; not of flags; and the mailbox is not selected any more. */
void imap_notify_new(struct imap *im, uint32_t from, uint32_t to);
void imap_notify_skipped(struct imap *im);
void imap_notify_left(struct imap *im);

/* ---- imap_info.c ---- */
/* Parts of the content_info of a message (`what`: enum store_info); made when there is none yet. Views as in store_info_get. */
MUST_CHECK bool imap_info(struct imap *im, const struct store_message *m, unsigned what, struct content_info *info, struct err *err);
/* content_info.refs: the i-th; 0: none. */
uint64_t imap_ref(struct str refs, size_t i);
/* THREADID: the oldest message that this one is known to go back to; 0: unknown. */
uint64_t imap_thread_id(struct str refs);

/* "PREVIEW ..." of a message; `lazy`: NIL unless it is kept already (imap_preview.c). */
MUST_CHECK bool imap_write_preview(struct imap *im, const struct store_message *m, bool lazy, struct err *err);

/* ---- the commands: imap_basic.c, imap_select.c, imap_folders.c, imap_list.c, imap_append.c, imap_fetch.c, imap_store.c,
 * imap_expunge.c, imap_copy.c, imap_search.c, imap_sort.c, imap_thread.c, imap_quota.c, imap_metadata.c ---- */
imap_step imap_on_capability, imap_on_noop, imap_on_logout, imap_on_id, imap_on_enable, imap_on_namespace, imap_on_idle;
imap_step imap_on_compress, imap_on_unauthenticate;
imap_step imap_on_select, imap_on_close, imap_on_unselect, imap_on_check;
imap_step imap_on_create, imap_on_delete, imap_on_rename, imap_on_subscribe, imap_on_unsubscribe, imap_on_status;
imap_step imap_on_list, imap_on_lsub;
imap_step imap_on_getacl, imap_on_setacl, imap_on_deleteacl, imap_on_listrights, imap_on_myrights;
imap_step imap_on_append, imap_on_replace;
imap_step imap_on_fetch, imap_on_store, imap_on_copy, imap_on_move, imap_on_expunge;
imap_step imap_on_search, imap_on_sort, imap_on_thread;
imap_step imap_on_notify;
imap_step imap_on_getmetadata, imap_on_setmetadata;
imap_step imap_on_xmarked;
imap_step imap_on_getquota, imap_on_getquotaroot, imap_on_setquota;
#define IMAP_METADATA_MAXSIZE "METADATA MAXSIZE 65536"
/* "* METADATA name (...)" with these entries of a folder of im->box (imap_metadata.c). Not while store_annotations_dirty. */
MUST_CHECK bool imap_tell_annotations(struct imap *im, const struct folder *f, struct str name, const struct str *names, size_t n, struct err *err);
/* There is room for those of a folder once more; false: NO was said. */
MUST_CHECK bool imap_annotations_may_be_copied(struct imap *im, const struct folder *f);
/* A special use that `of` (NULL: a new mailbox) may have, as we write it; false: NO was said (imap_folders.c). */
MUST_CHECK bool imap_special_use(struct imap *im, struct str use, const struct folder *of, struct str *special);
struct str imap_special_name(struct str use); /* as we write it; empty: there is none such */
/* "* VANISHED (EARLIER) ..." for what is gone of `known` (empty: of all) since that modseq (imap_select.c). */
MUST_CHECK bool imap_tell_vanished(struct imap *im, struct folder *f, const struct imap_set *known, int64_t since, struct err *err);
/* CLOSE: expunges, says nothing of it, unselects and answers (imap_expunge.c). */
void imap_expunge_and_close(struct imap *im);
/* A line while idling. */
void imap_idle_line(struct imap *im, struct str line);
/* A literal of APPEND or REPLACE passes, or has passed. (im->literal is called at each announced one and at the end.) */
void imap_append_bytes(struct imap *im, struct str bytes);
void imap_append_streamed_literal(struct imap *im);
/* "CAPABILITY ..." as it is in this state. */
void imap_write_capabilities(const struct imap *im, struct buf *out);
/* "* LIST (...) "/" name", with the name that was, unless that is the same (RFC 9051, section 6.3.9.7). */
void imap_tell_name(struct imap *im, const char *attributes, struct str name, struct str was);
/* "* STATUS name (...)" with these items (enum imap_status). */
void imap_write_status(struct imap *im, const struct box *box, const struct folder *f, struct str name, unsigned items);
/* "* MYRIGHTS name rights" (imap_acl.c). */
void imap_write_myrights(struct imap *im, struct str name, unsigned rights);
/* SELECT fails, or chooses another: nothing is selected any more (imap_select.c). */
void imap_leave_the_other(struct imap *im);
/* The owner's mailbox tells directory again whom it grants something, once a time it is open. */
void imap_note_shares(struct imap *im);
/* The largest message that APPEND takes, bytes. */
int64_t imap_append_limit(const struct imap *im);
/* RENAME of INBOX: its messages move to a new mailbox (imap_copy.c). */
void imap_rename_inbox(struct imap *im, bool (*make)(struct imap *im, struct str name, struct folder **f, struct err *err));
