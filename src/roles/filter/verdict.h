/* What is done about a message that was judged: the owner of the author's domain asks for something by DMARC, the
 * settings of this server say whether it is done. Pure. */
#pragma once
#include "config/config.h"
#include "ipc/ipc.h"
#include "judge.h"
#include "mailauth/aggregate.h"

enum dmarc_mode { DMARC_MODE_OFF, DMARC_MODE_REPORT, DMARC_MODE_ENFORCE };

/* Canonical domains; each stands for those below it too. */
struct domain_list {
    struct str *items; /* owned, as is each */
    size_t n;
};
bool domain_list_holds(const struct domain_list *list, struct str domain);

/* The section `auth` of the configuration, copied: messages under way outlive the configuration. */
struct judge_policy {
    bool check, refuse_spf_fail;
    bool reports; /* what is found is told to events, which reports to the owners of the domains */
    enum dmarc_mode dmarc;
    int64_t time;
    struct domain_list exempt_domains, trusted_sealers;
    struct network_list exempt_nets, neighbours; /* owned */
};

/* All zero before the first time. */
void judge_policy_set(struct judge_policy *p, const struct config *config);
void judge_policy_clear(struct judge_policy *p);
/* Is mail from there, with these flags and account, to be judged? */
bool judge_policy_wants(const struct judge_policy *p, const struct msg_txn_begin *begin, struct ip *client);

enum verdict_action { VERDICT_ACCEPT, VERDICT_JUNK, VERDICT_REFUSE };
const char *verdict_action_name(enum verdict_action action); /* "junk" */

enum { VERDICT_TEXT = 1500 };
struct verdict {
    enum verdict_action action;
    unsigned code;       /* of a refusal */
    struct buf text;     /* the reply, with its enhanced code */
    struct str sealer;   /* accepted only because this one says by ARC that DMARC had passed; empty: nobody has to */
    /* For reports: why something else is done than DMARC asks for, and in words. */
    enum aggregate_reason reason;
    const char *why;
};
/* After judge_is_done. Cleared with verdict_clear. */
void verdict_of(const struct judge *j, const struct judge_policy *policy, struct verdict *out);
void verdict_clear(struct verdict *v);
