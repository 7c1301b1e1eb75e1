/* Reports of others about our domains, read out of the messages that bring them (docs/reports.md). filter does that because it holds no
 * secrets and opens no files: what a report says is hostile until it was read, and goes to events as short lines of checked words.
 *
 * A message to one of `auth.reports_to` is kept beside while it passes (READING_MAX); when queue has taken it, it is read in turns of a few
 * milliseconds: parts, transfer encoding, gzip or zip, XML. Only reports about domains of ours count; directory is asked. */
#pragma once
#include "base/list.h"
#include "ipc/ipc.h"

enum {
    READING_MAX = 8 * 1024 * 1024,       /* of one message */
    READING_HELD_MAX = 32 * 1024 * 1024, /* of all */
    READING_XML_MAX = 32 * 1024 * 1024,  /* of one report */
};

struct filter;
struct reading;

struct readings {
    struct list list; /* struct reading, taken by queue; the first is read */
    struct event *timer;
    size_t held;
};

void readings_init(struct filter *f);
/* A recipient of the message: from now on it is kept, when reports come to him. May be called for each. */
void reading_rcpt(struct filter *f, struct reading **r, struct str address);
void reading_add(struct reading *r, struct str bytes); /* NULL is fine */
/* queue has it; author: of DMARC, where that passed, else empty. Takes *r over. */
void reading_taken(struct reading **r, uint64_t message, struct str author);
void reading_free(struct reading *r);
void reading_on_rcpt_reply(struct role *role, struct channel *from, const struct msg_rcpt_reply *m);
void reading_directory_gone(struct filter *f);
