/* Reports to the sender (RFC 3461, 3464): built for all recipients of a message whose verdicts are in
 * the same batch, and stored as new messages in the same transaction that ends those recipients, so
 * that neither can be there without the other. A report has the null sender; nothing is ever reported
 * about a message with a null sender. */
#pragma once
#include "base/err.h"
#include "ipc/messages.h"
#include "smtp/dsn.h"

struct queue;
struct verdict;

enum { REPORT_ORIGINAL_MAX = 64 * 1024 }; /* larger originals are returned header only */

/* Pure: is this report to be sent? remote_reports: the next server took over DSN (RELAYED only). */
bool bounce_wanted(enum dsn_action action, uint64_t notify, uint64_t flags, bool null_sender, bool remote_reports);

/* During the run: a verdict that took effect. */
void bounce_note(struct queue *q, struct verdict *v);
/* At its end: writes the reports. */
MUST_CHECK bool bounce_store(struct queue *q, struct err *err);
/* After the commit: tells the story and offers the reports for delivery. */
void bounce_done(struct queue *q);
/* After a rollback. */
void bounce_forget(struct queue *q);
