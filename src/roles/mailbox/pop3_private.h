/* The inside of the POP3 machine, shared by pop3.c (life, input, dispatch), pop3_commands.c (one
 * function a command) and pop3_answer.c (answers that take several steps). */
#pragma once
#include "pop3.h"

/* One bounded step of a long answer. Sets p->step to NULL when the answer is complete. */
typedef void pop3_step(struct pop3 *p);

struct pop3 {
    const struct pop3_store *store;
    void *world;
    unsigned flags;
    uint32_t uidvalidity;

    struct buf in, out;
    size_t taken;
    bool skipping; /* the rest of an overlong line */
    bool waits; /* for pop3_removed */
    bool closed;
    unsigned errors;

    struct pop3_item *items;
    size_t count, capacity;
    size_t live; /* messages not marked */
    uint64_t live_bytes;
    size_t last; /* highest message number retrieved, for LAST */
    struct pop3_counts counts;

    pop3_step *step;
    size_t at; /* cursor of list, uidl, remove */

    /* The message being sent. */
    struct {
        uint32_t uid;
        uint64_t offset;
        bool in_body;       /* the empty line has passed */
        bool top;           /* stop after `lines` lines of the body */
        uint64_t lines;
        size_t line_length; /* of the line so far, without its end */
        bool cr_only;       /* that line is a lone CR so far */
        char last;          /* last byte sent, LF at the start */
    } send;
};

/* The command in p->in (without its end); adds the answer or sets p->step. */
void pop3_command(struct pop3 *p, struct str line);
/* An -ERR that counts against the client. */
void pop3_error(struct pop3 *p, const char *text);
void pop3_say(struct pop3 *p, const char *text);

pop3_step pop3_step_load, pop3_step_list, pop3_step_uidl, pop3_step_remove;
/* Starts to send a message: answers +OK or -ERR. */
void pop3_send_begin(struct pop3 *p, size_t number, bool top, uint64_t lines);
