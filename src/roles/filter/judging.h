/* Judges in the filter: each message of a stranger has one, driven here with answers of DNS and with time.
 *
 * Questions wait while the resolver is away and are asked again when it is back. A message that has come in whole waits
 * for its judge no longer than auth.time, of which the last fifth is for DMARC alone; what is open then is temperror, and the message
 * goes on. */
#pragma once
#include "base/list.h"
#include "dns/dns_client.h"
#include "ipc/role.h"
#include "judge.h"
#include "verdict.h"

enum { FILTER_QUESTIONS_MAX = 20000 }; /* open at once; what is asked over that counts as DNS that fails */

struct filter;
struct judging;

/* Both are called from inside judging_on_dns_reply and judging_sweep; done also from inside judge_end. */
struct judging_owner {
    void (*done)(void *owner);  /* the judge is done; do not free it in there */
    void (*after)(void *owner); /* the last call: the judging may be freed */
};

/* In the order of their deadlines, also when a reload has made the time shorter: nobody is given up before those who came earlier. */
struct waiting_list {
    struct list list; /* struct judging */
    int64_t last;
};

struct judgings {
    struct dns_client dns;
    struct waiting_list to_hurry, to_give_up;
    struct judge_policy policy;
    struct dkim_key_cache *keys;
};

void judgings_init(struct filter *f);
void judgings_set_policy(struct filter *f);
void judgings_resolver_up(struct filter *f);
/* Hurries, or gives up, what has waited too long. */
void judgings_sweep(struct filter *f, int64_t now);
/* The next time judgings_sweep has something to do (monotonic); INT64_MAX: never. */
int64_t judgings_next(const struct filter *f);
void judgings_show_metrics(void);
void judging_on_dns_reply(struct role *role, struct channel *from, const struct msg_dns_reply *m);

/* NULL: this message is not judged. */
struct judging *judging_begin(struct filter *f, const struct msg_txn_begin *begin, const struct judging_owner *calls, void *owner);
void judging_free(struct judging *g);
struct judge *judging_judge(struct judging *g); /* NULL for NULL */
size_t judging_held(const struct judging *g);
/* All of the message is there. */
void judging_ended(struct judging *g, int64_t now);
/* The verdict, counted and written to the log: once, after done. Valid until judging_free. */
const struct verdict *judging_verdict(struct judging *g);
/* A recipient, before the end. */
void judging_rcpt(struct judging *g, struct str address);
/* Whatever was done about the message has been done: it counts for the reports of its author's domain (tally.h). */
void judging_tell(struct judging *g);
/* The author's domain, when DMARC passed; else empty. */
struct str judging_author(const struct judging *g);
struct str judging_words(const struct judging *g);
