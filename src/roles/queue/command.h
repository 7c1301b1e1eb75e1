/* One running command; shared by commands.c (what is asked), command_walk.c (what is looked at),
 * command_rows.c (what is shown) and command_change.c (what is changed). */
#pragma once
#include "commands.h"
#include "filter.h"

struct command {
    struct link link;
    const struct verb *verb;
    uint64_t id, uid, serial;
    struct channel *to; /* NULL once that is gone */
    struct str args;    /* owned; filter points into it */
    struct filter filter;
    struct buf address, reply; /* patterns for the database */
    struct rcpt_place at;      /* walked so far */
    struct rcpt_place stretch; /* the end of the stretch of this turn */
    size_t looked;             /* rows of it given out this turn */
    bool whole;                /* all of them were */
    uint64_t offset;           /* of an export */
    size_t credit;             /* rows that may still be sent */
    uint64_t matched, changed;
    unsigned pending; /* changes in the batch */
    bool shown;       /* of `show`: the message itself */
    bool ended;       /* the walk is at its end */
    bool over;        /* control_done was sent */
};

enum slice {
    SLICE_MORE, /* call again next turn */
    SLICE_WAIT, /* nothing to do until something happens */
    SLICE_END,  /* send control_done(0) */
    SLICE_OVER, /* it has sent its own */
};

enum { COMMAND_CHANGE = 200 };

void command_fail(struct command *c, unsigned code, const char *format, ...) PRINTF(3, 4);
/* Sends a finished row and takes it off the credit. */
void command_send_row(struct command *c, struct str json);

/* The walk: init once; a turn is begin, next until it gives false or the caller has enough, end, which
 * sets c->ended at the end of the table. */
void command_walk_init(struct command *c);
void command_walk_clear(struct command *c);
MUST_CHECK bool command_walk_begin(struct queue *q, struct command *c, struct err *err);
bool command_walk_next(struct queue *q, struct command *c, struct rcpt_row *r);
MUST_CHECK bool command_walk_end(struct queue *q, struct command *c, struct err *err);

enum slice command_summary(struct queue *q, struct command *c);
enum slice command_list(struct queue *q, struct command *c);
enum slice command_show(struct queue *q, struct command *c);
enum slice command_export(struct queue *q, struct command *c);

enum change { CHANGE_HOLD, CHANGE_RELEASE, CHANGE_RETRY, CHANGE_DELETE };
enum slice command_hold(struct queue *q, struct command *c);
enum slice command_release(struct queue *q, struct command *c);
enum slice command_retry(struct queue *q, struct command *c);
enum slice command_delete(struct queue *q, struct command *c);
/* Frees a command when nothing refers to it any more. */
void command_release_memory(struct command *c);
