/* See dkim_schedule.h. */
#include "dkim_schedule.h"

static bool on_its_way(const struct dkim_row *row)
{
    return row->state == DKIM_WAITING || row->state == DKIM_PUBLISHED;
}

static void enter(struct dkim_row *row, enum dkim_state state)
{
    row->state = state;
    row->changed = true;
}

static void retire_others(struct dkim_rows *rows, const struct dkim_row *successor, int64_t now)
{
    for (size_t i = 0; i < rows->n; i++) {
        struct dkim_row *row = &rows->rows[i];

        if (row == successor || row->state != DKIM_ACTIVE || row->algorithm != successor->algorithm)
            continue;
        row->retired = now;
        enter(row, DKIM_RETIRED);
    }
}

static void advance(struct dkim_rows *rows, struct dkim_row *row, const struct dkim_schedule *schedule, int64_t now)
{
    if (row->state == DKIM_PUBLISHED &&
        (dkim_rows_active(rows, row->algorithm) == NULL || now - row->published >= schedule->publish_wait)) {
        row->used = now;
        enter(row, DKIM_ACTIVE);
        retire_others(rows, row, now);
    } else if (row->state == DKIM_RETIRED && now - row->retired >= schedule->retire_keep) {
        row->ended = now;
        enter(row, DKIM_EXPIRED);
    } else if (row->state >= DKIM_EXPIRED && now - row->ended >= DKIM_FORGET) {
        row->gone = true;
    }
}

/* The oldest first, so that of two successors that are due the newer one stays. */
void dkim_schedule_advance(struct dkim_rows *rows, const struct dkim_schedule *schedule, int64_t now)
{
    for (size_t i = 0; i < rows->n; i++)
        advance(rows, &rows->rows[i], schedule, now);
}

static unsigned having(const struct dkim_rows *rows, bool active_too)
{
    unsigned algorithms = 0;

    for (size_t i = 0; i < rows->n; i++)
        if (on_its_way(&rows->rows[i]) || (active_too && rows->rows[i].state == DKIM_ACTIVE))
            algorithms |= 1u << rows->rows[i].algorithm;
    return algorithms;
}

unsigned dkim_schedule_missing(const struct dkim_rows *rows)
{
    return ~having(rows, true) & ((1u << DKIM_ALGORITHMS) - 1);
}

unsigned dkim_schedule_without_successor(const struct dkim_rows *rows)
{
    return ~having(rows, false) & ((1u << DKIM_ALGORITHMS) - 1);
}

unsigned dkim_schedule_aged(const struct dkim_rows *rows, const struct dkim_schedule *schedule, int64_t now)
{
    unsigned aged = 0;

    for (size_t i = 0; i < rows->n; i++)
        if (rows->rows[i].state == DKIM_ACTIVE && schedule->rotate > 0 && now - rows->rows[i].used >= schedule->rotate)
            aged |= 1u << rows->rows[i].algorithm;
    return aged & dkim_schedule_without_successor(rows);
}

void dkim_schedule_looked(struct dkim_row *row, enum dkim_record record, int64_t now)
{
    row->looked = now;
    row->record = record;
    row->changed = true;
    if (row->state == DKIM_WAITING && record == DKIM_RECORD_OK) {
        row->published = now;
        row->state = DKIM_PUBLISHED;
    } else if (row->state == DKIM_PUBLISHED && !row->by_hand && (record == DKIM_RECORD_MISSING || record == DKIM_RECORD_OTHER)) {
        row->published = 0;
        row->state = DKIM_WAITING;
    }
}

void dkim_schedule_confirm(struct dkim_row *row, int64_t now)
{
    row->by_hand = true;
    row->changed = true;
    if (row->state == DKIM_WAITING) {
        row->published = now;
        row->state = DKIM_PUBLISHED;
    }
}

void dkim_schedule_revoke(struct dkim_row *row, int64_t now)
{
    row->ended = now;
    enter(row, DKIM_REVOKED);
}

bool dkim_schedule_looks(const struct dkim_row *row, int64_t now)
{
    return on_its_way(row) || (row->state == DKIM_ACTIVE && (row->looked == 0 || now < row->looked || now - row->looked >= DAY));
}
