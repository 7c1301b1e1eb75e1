/* The books of the shard. */
#include "ledger.h"

#include "base/clock.h"
#include "queue.h"

#include <string.h>

#define COLUMNS                                                                                    \
    "messages, reports, ended, accepted, reported, targets, delivered, relayed, discarded, expanded, failed, "  \
    "expired, deleted, told, untold, written_off, written_off_messages"

static const char change_sql[] =
    "UPDATE ledger SET messages = messages + $1, reports = reports + $2, ended = ended + $3, accepted = accepted + $4, "
    "reported = reported + $5, targets = targets + $6, delivered = delivered + $7, relayed = relayed + $8, "
    "discarded = discarded + $9, expanded = expanded + $10, failed = failed + $11, expired = expired + $12, "
    "deleted = deleted + $13, told = told + $14, untold = untold + $15, written_off = written_off + $16, "
    "written_off_messages = written_off_messages + $17 WHERE id = 1";

/* How an entry changes what must be waiting. */
static const struct {
    int8_t recipients, messages;
} signs[LEDGER_COUNT] = {
    [LEDGER_MESSAGES] = {0, 1},    [LEDGER_REPORTS] = {0, 1},    [LEDGER_ENDED] = {0, -1},
    [LEDGER_ACCEPTED] = {1, 0},    [LEDGER_REPORTED] = {1, 0},   [LEDGER_TARGETS] = {1, 0},
    [LEDGER_DELIVERED] = {-1, 0},  [LEDGER_RELAYED] = {-1, 0},   [LEDGER_DISCARDED] = {-1, 0},
    [LEDGER_EXPANDED] = {-1, 0},   [LEDGER_FAILED] = {-1, 0},    [LEDGER_EXPIRED] = {-1, 0},
    [LEDGER_DELETED] = {-1, 0},    [LEDGER_WRITTEN_OFF] = {-1, 0}, [LEDGER_WRITTEN_OFF_MESSAGES] = {0, -1},
};

int64_t ledger_recipients(const int64_t sums[LEDGER_COUNT])
{
    int64_t n = 0;

    for (unsigned i = 0; i < LEDGER_COUNT; i++)
        n += sums[i] * signs[i].recipients;
    return n;
}

int64_t ledger_messages(const int64_t sums[LEDGER_COUNT])
{
    int64_t n = 0;

    for (unsigned i = 0; i < LEDGER_COUNT; i++)
        n += sums[i] * signs[i].messages;
    return n;
}

bool ledger_read(struct queue *q, int64_t sums[LEDGER_COUNT], struct err *err)
{
    struct stmt *s = q->ledger.read;
    bool found = stmt_row(s);

    for (int i = 0; found && i < LEDGER_COUNT; i++)
        sums[i] = column_int(s, i);
    q->ledger.since = found ? column_int(s, LEDGER_COUNT) : 0;
    if (!stmt_done(s, err))
        return err_prefix(err, "read the ledger");
    return found || err_set(err, ERR_PERMANENT, "the ledger has no row");
}

static bool set_since(struct queue *q, struct err *err)
{
    struct stmt *s = stmt_new(store_db(q->store), "UPDATE ledger SET since = $1 WHERE id = 1 AND since = 0");
    bool good;

    q->ledger.since = clock_now();
    stmt_int(s, q->ledger.since);
    good = stmt_run(s, err);
    stmt_free(s);
    return good;
}

bool ledger_open(struct queue *q, struct err *err)
{
    struct ledger *l = &q->ledger;

    l->change = stmt_new(store_db(q->store), change_sql);
    l->read = stmt_new(store_db(q->store), "SELECT " COLUMNS ", since FROM ledger WHERE id = 1");
    if (!ledger_read(q, l->sums, err))
        return false;
    memcpy(l->start, l->sums, sizeof l->start);
    return l->since != 0 || set_since(q, err);
}

void ledger_note(struct queue *q, enum ledger_entry entry, int64_t n)
{
    q->ledger.run[entry] += n;
}

void ledger_begin(struct queue *q)
{
    memset(q->ledger.run, 0, sizeof q->ledger.run);
}

bool ledger_store(struct queue *q, struct err *err)
{
    static const int64_t nothing[LEDGER_COUNT];
    struct ledger *l = &q->ledger;

    if (memcmp(l->run, nothing, sizeof nothing) == 0)
        return true;
    for (unsigned i = 0; i < LEDGER_COUNT; i++)
        stmt_int(l->change, l->run[i]);
    return stmt_run(l->change, err) || err_prefix(err, "change the ledger");
}

void ledger_committed(struct queue *q)
{
    struct ledger *l = &q->ledger;

    for (unsigned i = 0; i < LEDGER_COUNT; i++)
        l->sums[i] += l->run[i];
    ledger_begin(q);
}
