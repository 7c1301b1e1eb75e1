/* The checks of everything others see of this server and one domain of it, as a pure machine: it says which questions of DNS it
 * has and which connections it wants tried, is told what came of them, and judges. The command and the daily run drive the same one.
 *
 *   while (!outside_check_run(c)) { ask outside_check_next_question and _next_probe until NULL; give the answers; }
 *
 * A judgement is a function that looks at answers; where one is missing it asks for it and is run again later. So everything that
 * can be asked at once is. Bounded: OUTSIDE_QUESTIONS, OUTSIDE_PROBES, 8 MB; what is over it counts as not answered. */
#pragma once
#include "ipc/messages.h"
#include "records.h"

enum { OUTSIDE_QUESTIONS = 1500, OUTSIDE_PROBES = 64, OUTSIDE_RESULTS = 500 };

enum outside_level { OUTSIDE_OK, OUTSIDE_WARNING, OUTSIDE_ERROR };
extern const char *const outside_level_words[];

struct outside_result {
    const char *check; /* "spf": a name of the table of checks */
    struct str item;   /* what was looked at: a name, an address */
    enum outside_level level;
    bool unknown;      /* it could not be found out: nothing has changed by it */
    struct str text;   /* what is so, or wrong */
    struct str publish; /* lines of a zone file that mend it; empty: that is not for DNS */
    const char *why;   /* why it matters */
};

struct outside_question {
    struct str name;
    unsigned type;
    bool asked, answered;
    enum dns_status status;
    bool secure;
    struct str records; /* as in dns_reply */
};

/* A connection to a mail server. */
struct outside_probe {
    struct ip ip;
    unsigned port;
    struct str rcpt;   /* try whether it would take mail for this address of somebody else; empty: only its greeting */
    bool asked, answered;
    bool tried;        /* it could be tried at all */
    bool connected;
    unsigned greeting; /* code, 0: none */
    unsigned rcpt_code;
    struct str text;   /* the greeting, or why not */
};

struct outside_clock {
    bool known, synchronized;
    int64_t error; /* microseconds, an estimate of the kernel */
};

/* What the kernel knows about this machine's clock. */
void outside_clock_read(struct outside_clock *clock);

enum outside_scope { OUTSIDE_SERVER = 1, OUTSIDE_DOMAIN = 2 };

struct outside_check;

/* facts and clock must outlive it. scope: what is to be checked. */
struct outside_check *outside_check_new(const struct outside_facts *facts, const struct outside_clock *clock, unsigned scope, int64_t now);
void outside_check_free(struct outside_check *c);

/* True: everything is judged. False: there is a question or a probe to be asked, or some are not answered yet. */
bool outside_check_run(struct outside_check *c);
/* Each is handed out once; NULL: no more for now. */
struct outside_question *outside_check_next_question(struct outside_check *c);
struct outside_probe *outside_check_next_probe(struct outside_check *c);
bool outside_check_waits(const struct outside_check *c); /* for answers */

/* Copies what it is given. */
void outside_check_answer(struct outside_check *c, struct outside_question *q, enum dns_status status, bool secure, struct str records);
void outside_check_probed(struct outside_check *c, struct outside_probe *p, const struct outside_probe *answer);
/* The time is over: nothing more will be answered. The next outside_check_run ends. */
void outside_check_give_up(struct outside_check *c);

size_t outside_check_count(const struct outside_check *c);
const struct outside_result *outside_check_result(const struct outside_check *c, size_t i);
enum outside_level outside_check_worst(const struct outside_check *c);
/* One result as a JSON object, for rows. subject: the domain, or the host name. */
void outside_result_write(const struct outside_result *r, struct str subject, struct buf *out);
