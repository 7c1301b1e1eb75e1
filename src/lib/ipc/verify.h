/* Does everything add up? `staffetta status --verify` puts the command "verify" to every process. Each
 * answers with rows of two numbers that must be the same: its own (role_type.verify), and for every peer
 * what it gave to that peer and what arrived there.
 *
 * The second kind is exact under full load. The giver sends its counts as a mark on the channel itself;
 * what it gave before is in front of the mark, so when the taker reads it, both numbers must be equal.
 * Both ends count from the making of the channel, so the restart of either begins anew on both sides. */
#pragma once
#include "base/str.h"

struct role;
struct channel;
struct verification;

/* Two numbers that must be the same. A difference is shown as wrong, with what to do about it. */
void verify_equal(struct verification *v, const char *check, int64_t expected, int64_t found, const char *advice);
/* What a process is asked, of one kind, since its start: each that came is answered, under way, or
 * its asker is gone. */
struct question_book {
    int64_t came, answered, gone;
};
static inline void verify_questions(struct verification *v, const char *check,
    const struct question_book *b, int64_t open)
{
    verify_equal(v, check, b->came, b->answered + open + b->gone, "a question was lost: report this, with the log");
}
/* A number of the books, to be read beside the checks. */
void verify_book(struct verification *v, const char *name, int64_t value);
/* It takes long, and goes on: to be said every few seconds. */
void verify_progress(struct verification *v, const char *text);
/* Its numbers could not be had now. */
void verify_unknown(struct verification *v, const char *check, const char *why);
/* The administrator says that what is wrong now shall be taken as it is. */
bool verify_accepts(const struct verification *v);
/* For role_type.verify: the rows come later; each verify_hold needs its verify_release, after which v may be gone. */
void verify_hold(struct verification *v);
void verify_release(struct verification *v);

/* Used by role.c alone. */
struct msg_control_ask;
struct msg_count_mark;
struct msg_count_seen;
void verify_on_ask(struct role *role, struct channel *from, const struct msg_control_ask *m);
void verify_on_mark(struct role *role, struct channel *from, const struct msg_count_mark *m);
void verify_on_seen(struct role *role, struct channel *from, const struct msg_count_seen *m);
void verify_peer_gone(struct role *role, const struct channel *peer);
