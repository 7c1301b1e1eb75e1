/* The shard's database: every SQL statement of the queue is behind these functions. They run inside
 * whatever transaction is open and decide nothing; batch.c opens and commits. Views in rows live until
 * the next call of the same function. */
#pragma once
#include "db/db.h"

enum rcpt_state { RCPT_WAITING, RCPT_HELD };
enum mail_class { CLASS_TRANSACTIONAL, CLASS_BULK, CLASS_COUNT };
enum message_kind { KIND_MAIL, KIND_REPORT };

enum {
    STORE_PIECE = 65536, /* of a body in chunk rows; also the most that `head` holds */
};

struct message_row {
    uint64_t id;
    int64_t created, expires;
    uint64_t kind, class, flags, priority, account;
    int64_t hold_until, deliver_by;
    uint64_t size, head_size; /* bytes of head and body; of head alone */
    struct str sender, envid, login, client, helo, protocol, tls, message_id;
};

struct rcpt_row {
    uint64_t message, n;
    uint64_t state, class;
    int64_t due, expires;
    uint64_t attempts;
    int64_t first_attempt, last_attempt;
    uint64_t notify, depth, noticed, reason, code;
    struct str address, orcpt, original, reply, host;
};

/* The last outcome of an attempt, kept with a recipient that stays. */
struct rcpt_attempt {
    int64_t due, first_attempt, last_attempt;
    uint64_t attempts, noticed, reason, code;
    struct str reply, host;
};

/* A place in the order (due, expires, message, n). All zero is before everything. */
struct due_place {
    int64_t due, expires;
    uint64_t message, n;
};

/* A place in the order (message, n). */
struct rcpt_place {
    uint64_t message, n;
};

#define RCPT_PLACE_LAST ((struct rcpt_place){INT64_MAX, INT64_MAX})

struct store;

/* Opens, migrates and removes pieces of messages whose end never came. */
MUST_CHECK bool store_open(struct store **store, const char *path, struct err *err);
void store_close(struct store *store);
struct db *store_db(struct store *store);

/* added is false, and nothing was written, when a message of that id is there. */
MUST_CHECK bool store_add_message(struct store *st, const struct message_row *row, struct str head, bool *added,
    struct err *err);
MUST_CHECK bool store_add_rcpt(struct store *st, const struct rcpt_row *row, struct err *err);
MUST_CHECK bool store_add_chunk(struct store *st, uint64_t message, uint64_t seq, struct str data, struct err *err);
MUST_CHECK bool store_drop_chunks(struct store *st, uint64_t message, struct err *err);

/* Each says through *changed whether the recipient was there in a state that allows it. A result that
 * changed nothing must have no further effect: somebody else ended this recipient first. */
MUST_CHECK bool store_delete_rcpt(struct store *st, uint64_t message, uint64_t n, bool *changed, struct err *err);
/* A held recipient stays held and keeps its due. */
MUST_CHECK bool store_defer_rcpt(struct store *st, uint64_t message, uint64_t n, const struct rcpt_attempt *a,
    bool *changed, struct err *err);
/* A new due time alone; waiting recipients only; never beyond its expiry. */
MUST_CHECK bool store_set_due(struct store *st, uint64_t message, uint64_t n, int64_t due, bool *changed,
    struct err *err);
MUST_CHECK bool store_hold_rcpt(struct store *st, uint64_t message, uint64_t n, int64_t now, bool *changed,
    struct err *err);
/* Due at once; the time it was held is added to its lifetime. */
MUST_CHECK bool store_release_rcpt(struct store *st, uint64_t message, uint64_t n, int64_t now, bool *changed,
    struct err *err);
/* Deletes a message without recipients, and its chunks. */
MUST_CHECK bool store_remove_if_done(struct store *st, uint64_t message, bool *removed, struct err *err);

MUST_CHECK bool store_find_message(struct store *st, uint64_t id, struct message_row *row, bool *found, struct err *err);
/* Bytes from `offset` on of head and body: at most STORE_PIECE, empty at the end or when nothing is there. */
MUST_CHECK bool store_read_body(struct store *st, uint64_t message, uint64_t head_size, uint64_t offset,
    struct str *piece, struct err *err);
MUST_CHECK bool store_has_chunks(struct store *st, uint64_t message, bool *has, struct err *err);
MUST_CHECK bool store_has_address(struct store *st, uint64_t message, struct str address, bool *has, struct err *err);
MUST_CHECK bool store_last_n(struct store *st, uint64_t message, uint64_t *n, struct err *err);
MUST_CHECK bool store_find_rcpt(struct store *st, uint64_t message, uint64_t n, struct rcpt_row *row, bool *found,
    struct err *err);
/* Brings what operations change (state, attempts, expires) up to date in a row read earlier; one that is
 * gone stays as it is. */
MUST_CHECK bool store_refresh_rcpt(struct store *st, struct rcpt_row *row, struct err *err);

/* Walks recipients: begin, then next until it gives false, then end, which tells an early stop or
 * the last row from a failure. One walk of a kind at a time. */
void store_due_begin(struct store *st, enum mail_class class, const struct due_place *after, int64_t until,
    uint64_t limit);
bool store_due_next(struct store *st, struct rcpt_row *row);
MUST_CHECK bool store_due_end(struct store *st, struct err *err);
/* In the order of (message, n), after that place. */
void store_scan_begin(struct store *st, uint64_t message, uint64_t n, uint64_t limit);
bool store_scan_next(struct store *st, struct rcpt_row *row);
MUST_CHECK bool store_scan_end(struct store *st, struct err *err);
/* The place of the `rows`th recipient after that place, RCPT_PLACE_LAST when there are fewer. */
MUST_CHECK bool store_find_stretch(struct store *st, const struct rcpt_place *after, uint64_t rows,
    struct rcpt_place *end, struct err *err);
/* The same order, after one place and up to another, those alone whose address and last reply are like
 * the patterns ('%' any characters, '\\' quotes): the database looks at a million rows in a fraction of
 * the time in which we could be shown them. The patterns must live until the end. */
void store_match_begin(struct store *st, const struct rcpt_place *after, const struct rcpt_place *end,
    struct str address, struct str reply);
bool store_match_next(struct store *st, struct rcpt_row *row);
MUST_CHECK bool store_match_end(struct store *st, struct err *err);
/* For the sweep: places only, straight from the index, due (or held) at or before `until`. */
void store_sweep_begin(struct store *st, enum rcpt_state state, enum mail_class class,
    const struct due_place *after, int64_t until, uint64_t limit);
bool store_sweep_next(struct store *st, struct due_place *place);
MUST_CHECK bool store_sweep_end(struct store *st, struct err *err);

/* The first due time of waiting recipients of the class at or after `from`; INT64_MAX for none. */
MUST_CHECK bool store_next_due(struct store *st, enum mail_class class, int64_t from, int64_t *due, struct err *err);
/* The held recipient of the class that was held first; its due is when. */
MUST_CHECK bool store_oldest_hold(struct store *st, enum mail_class class, struct due_place *place, bool *found,
    struct err *err);
/* The highest id of a message; 0 for none. */
MUST_CHECK bool store_last_message(struct store *st, uint64_t *id, struct err *err);
