/* Messages as threads (RFC 5256, section 3): THREAD=REFERENCES and THREAD=ORDEREDSUBJECT. Pure: messages in, the text of
 * the answer out. Works in portions; takes memory in proportion to the messages, and no stack however deep a thread is.
 * Message-IDs and subjects are 64-bit hashes. Comments in the .c file name the steps of the RFC. */
#pragma once
#include "base/buf.h"

enum { THREADS_MESSAGES_MAX = 2000000, THREADS_DUMMIES_MAX = 500000 };

struct thread_message {
    uint32_t uid;
    int64_t sent;
    uint64_t subject; /* base subject; 0: empty */
    bool reply;       /* the subject says so */
    struct str refs;  /* as in content_info: own id (0: none), references from the oldest on */
};

struct threads;

struct threads *threads_new(bool references);
size_t threads_memory(const struct threads *t); /* bytes it has, and will need to sort what it has */
void threads_free(struct threads *t); /* NULL is fine */
/* In the order of the mailbox. False: too many. References beyond THREADS_DUMMIES_MAX unknown messages are not followed. */
bool threads_add(struct threads *t, const struct thread_message *m);
/* When all are added: true when the threads are ready; call again otherwise. `budget`: about so many messages at a time. */
bool threads_go_on(struct threads *t, size_t budget);
/* Writes the next message with the parentheses around it; false: all were. */
typedef uint32_t thread_number_fn(void *arg, uint32_t uid);
bool threads_write(struct threads *t, struct buf *out, thread_number_fn *number, void *arg);
