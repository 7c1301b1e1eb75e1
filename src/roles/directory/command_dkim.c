/* staffetta dkim list|make|show|check|confirm|rotate|revoke: the keys that sign mail of a domain (docs/dkim.md). Private
 * keys are in no row that leaves here. */
#include "command.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "dkim_make.h"
#include "dkim_schedule.h"

#include <stdlib.h>

static const char *const algorithms[] = {[DKIM_RSA_SHA256] = "rsa", [DKIM_ED25519_SHA256] = "ed25519", NULL};
enum { ALL_ALGORITHMS = (1 << DKIM_ALGORITHMS) - 1 };

/* What a command works on. Too large for the stack of a loop. */
struct work {
    struct dkim_rows keys;
    struct dkim_schedule schedule;
    int64_t now;
};

static int begin(struct command *c, struct work **out)
{
    const struct config *config = c->lookup->config;
    struct work *w = xcalloc(1, sizeof *w);
    struct err err = {0};
    struct domain domain;
    bool found = false;
    int code = command_domain(c, command_word(c, 0), &w->keys.domain);

    *out = w;
    w->now = clock_now();
    w->schedule = (struct dkim_schedule){config->dkim.rotate, config->dkim.publish_wait, config->dkim.retire_keep};
    if (code == 0 && !store_get_domain(c->store, name_str(&w->keys.domain), &domain, &found, &err))
        return command_broken(c, &err);
    if (code == 0 && !found)
        return command_fail(c, EX_NOHOST, "no domain %s: `staffetta domain list` shows what is there", w->keys.domain.p);
    if (code == 0 && !dkim_rows_get(c->store, name_str(&domain.name), &w->keys, &err))
        return command_broken(c, &err);
    return code;
}

static int find_key(struct command *c, struct work *w, struct dkim_row **row)
{
    struct str selector = command_word(c, 1);

    *row = dkim_rows_find(&w->keys, selector);
    return *row != NULL ? 0
                        : command_fail(c, EX_NOUSER, "%s has no key %.*s: `staffetta dkim list` shows what is there", w->keys.domain.p,
                              STR_ARG(selector));
}

static int save(struct command *c, struct work *w)
{
    struct err err = {0};

    dkim_schedule_advance(&w->keys, &w->schedule, w->now);
    return dkim_rows_put(c->store, &w->keys, &err) ? 0 : command_broken(c, &err);
}

static int make_key(struct command *c, struct work *w, enum dkim_algorithm algorithm, struct str selector)
{
    struct err err = {0};

    if (dkim_make(c->store, &w->keys, algorithm, selector, w->now, &err))
        return 0;
    if (err.kind == ERR_TEMPORARY)
        return command_broken(c, &err);
    return command_fail(c, err.kind == ERR_LIMIT ? EX_DATAERR : EX_CANTCREAT, "%s", err.text);
}

static int make_keys(struct command *c, struct work *w, unsigned wanted)
{
    int code = 0;

    for (unsigned a = 0; code == 0 && a < DKIM_ALGORITHMS; a++)
        if (wanted & 1u << a)
            code = make_key(c, w, (enum dkim_algorithm)a, STR(""));
    return code;
}

/* ---- rows ---- */

static const char *advice(const struct dkim_row *row)
{
    static const char *const words[] = {
        [DKIM_WAITING] = "publish its record",
        [DKIM_PUBLISHED] = "keep its record, it will be used soon",
        [DKIM_ACTIVE] = "keep its record",
        [DKIM_RETIRED] = "keep its record for now",
        [DKIM_EXPIRED] = "remove its record",
        [DKIM_REVOKED] = "publish its record without a key",
    };
    bool lost = row->state == DKIM_ACTIVE && (row->record == DKIM_RECORD_MISSING || row->record == DKIM_RECORD_OTHER);

    return lost && !row->by_hand ? "publish its record again" : words[row->state];
}

static int64_t since(const struct dkim_row *row)
{
    const int64_t times[] = {[DKIM_WAITING] = row->made, [DKIM_PUBLISHED] = row->published, [DKIM_ACTIVE] = row->used,
        [DKIM_RETIRED] = row->retired, [DKIM_EXPIRED] = row->ended, [DKIM_REVOKED] = row->ended};

    return times[row->state];
}

static void status_row(struct command *c, struct str domain, const struct dkim_row *row)
{
    row_begin(c);
    json_str(&c->row, "domain", domain);
    json_str(&c->row, "selector", str_of(row->selector));
    json_str(&c->row, "algorithm", str_of(algorithms[row->algorithm]));
    json_str(&c->row, "state", str_of(dkim_state_words[row->state]));
    json_time(&c->row, "since", since(row));
    json_str(&c->row, "dns", str_of(dkim_record_words[row->record]));
    json_str(&c->row, "to_do", str_of(advice(row)));
    row_end(c);
}

static void text_row(struct command *c, const struct work *w, const struct dkim_row *row)
{
    struct str domain = name_str(&w->keys.domain);
    struct buf text, encoded;

    buf_init(&text, IPC_TEXT);
    buf_init(&encoded, 2 * IPC_TEXT);
    row_begin(c);
    json_str(&c->row, "domain", domain);
    json_str(&c->row, "selector", str_of(row->selector));
    json_str(&c->row, "state", str_of(dkim_state_words[row->state]));
    dkim_write_name(&text, domain, row);
    json_str(&c->row, "name", buf_str(&text));
    buf_reset(&text);
    dkim_write_record(&text, row);
    json_str(&c->row, "record", buf_str(&text));
    buf_reset(&text);
    buf_addf(&text, "; %s: %s\n", dkim_state_words[row->state], advice(row));
    dkim_write_zone_line(&text, domain, row);
    base64_encode(&encoded, buf_str(&text));
    json_str(&c->row, "base64", buf_str(&encoded));
    row_end(c);
    buf_clear(&text);
    buf_clear(&encoded);
}

/* What has to be in DNS now, or what a command has just changed. */
static void text_rows(struct command *c, const struct work *w)
{
    for (size_t i = 0; i < w->keys.n; i++)
        if (!w->keys.rows[i].gone && w->keys.rows[i].state != DKIM_EXPIRED)
            text_row(c, w, &w->keys.rows[i]);
}

/* ---- the commands ---- */

static int make_one(struct command *c, struct work *w, int algorithm)
{
    struct str selector = STR("");

    command_option(c, "selector", &selector);
    if (selector.n > 0 && !dkim_is_selector(selector))
        return command_fail(c, EX_DATAERR, "%.*s is no selector: expected lower-case letters, digits and hyphens", STR_ARG(selector));
    if (algorithm >= 0)
        return make_key(c, w, (enum dkim_algorithm)algorithm, selector);
    if (selector.n > 0)
        return command_fail(c, EX_USAGE, "selector=%.*s: say for which algorithm, rsa or ed25519", STR_ARG(selector));
    return make_keys(c, w, dkim_schedule_missing(&w->keys));
}

static int make(struct command *c)
{
    int algorithm = -1, code = 0;
    struct work *w;

    option_word(c, "algorithm", algorithms, &algorithm, &code);
    if (code != 0)
        return code;
    code = begin(c, &w);
    if (code == 0)
        code = make_one(c, w, algorithm);
    if (code == 0)
        text_rows(c, w);
    free(w);
    return code;
}

static int rotate(struct command *c)
{
    int algorithm = -1, code = 0;
    unsigned wanted = ALL_ALGORITHMS;
    struct work *w;

    option_word(c, "algorithm", algorithms, &algorithm, &code);
    if (code != 0)
        return code;
    if (algorithm >= 0)
        wanted = 1u << algorithm;
    code = begin(c, &w);
    if (code == 0)
        code = make_keys(c, w, wanted & dkim_schedule_without_successor(&w->keys));
    if (code == 0)
        text_rows(c, w);
    free(w);
    return code;
}

static int show(struct command *c)
{
    struct dkim_row *row;
    struct work *w;
    int code = begin(c, &w);

    if (code == 0 && w->keys.n == 0)
        code = command_fail(c, EX_NOUSER, "%s has no keys yet: `staffetta dkim make %s` makes them", w->keys.domain.p, w->keys.domain.p);
    else if (code == 0 && command_word(c, 1).n == 0)
        text_rows(c, w);
    else if (code == 0 && (code = find_key(c, w, &row)) == 0)
        text_row(c, w, row);
    free(w);
    return code;
}

static int confirm_key(struct command *c, struct work *w, struct dkim_row *row)
{
    if (row->state >= DKIM_RETIRED)
        return command_fail(c, EX_DATAERR, "the key %s is %s: it will not be used any more", row->selector, dkim_state_words[row->state]);
    dkim_schedule_confirm(row, w->now);
    return 0;
}

static int confirm(struct command *c)
{
    struct dkim_row *row;
    struct work *w;
    int code = begin(c, &w);

    if (code == 0 && command_word(c, 1).n > 0) {
        code = find_key(c, w, &row);
        if (code == 0)
            code = confirm_key(c, w, row);
    } else {
        for (size_t i = 0; code == 0 && i < w->keys.n; i++)
            if (w->keys.rows[i].state == DKIM_WAITING)
                dkim_schedule_confirm(&w->keys.rows[i], w->now);
    }
    if (code == 0)
        code = save(c, w);
    for (size_t i = 0; code == 0 && i < w->keys.n; i++)
        status_row(c, name_str(&w->keys.domain), &w->keys.rows[i]);
    free(w);
    return code;
}

static int revoke_key(struct command *c, struct work *w)
{
    struct dkim_row *row;
    unsigned algorithm;
    int code = find_key(c, w, &row);

    if (code == 0 && row->state >= DKIM_EXPIRED)
        code = command_fail(c, EX_DATAERR, "the key %s is %s already", row->selector, dkim_state_words[row->state]);
    if (code != 0)
        return code;
    algorithm = 1u << row->algorithm;
    dkim_schedule_revoke(row, w->now);
    code = save(c, w);
    if (code != 0 || w->keys.n >= DKIM_ROWS_MAX) /* without room for another one it is given up all the same */
        return code;
    return make_keys(c, w, algorithm & dkim_schedule_missing(&w->keys));
}

static int revoke(struct command *c)
{
    struct work *w;
    int code = begin(c, &w);

    if (code == 0)
        code = revoke_key(c, w);
    if (code == 0)
        text_rows(c, w);
    free(w);
    return code;
}

/* Directory asked DNS before this runs, where it can (dkim_watch.c). */
static int judge(struct command *c, const struct work *w)
{
    unsigned bad = 0, unknown = 0;

    for (size_t i = 0; i < w->keys.n; i++) {
        const struct dkim_row *row = &w->keys.rows[i];

        if (row->state >= DKIM_EXPIRED)
            continue;
        if (!c->asked_dns || row->looked == 0 || row->record == DKIM_RECORD_UNKNOWN)
            unknown++;
        else if (row->record != DKIM_RECORD_OK)
            bad++;
    }
    if (bad > 0)
        return command_fail(c, EX_DATAERR, "%u record%s not in DNS as `staffetta dkim show %s` prints %s", bad, bad == 1 ? " is" : "s are",
            w->keys.domain.p, bad == 1 ? "it" : "them");
    if (unknown > 0)
        return command_fail(c, EX_TEMPFAIL, "DNS could not be asked for %u record%s: that needs the running server, and its resolver", unknown,
            unknown == 1 ? "" : "s");
    return 0;
}

/* With quiet= the rows are all that is said: for `staffetta check`, which judges them itself. */
static int check(struct command *c)
{
    struct str quiet;
    struct work *w;
    int code = begin(c, &w);

    if (code == 0 && w->keys.n == 0)
        code = command_fail(c, EX_NOUSER, "%s has no keys yet: `staffetta dkim make %s` makes them", w->keys.domain.p, w->keys.domain.p);
    for (size_t i = 0; code == 0 && i < w->keys.n; i++)
        status_row(c, name_str(&w->keys.domain), &w->keys.rows[i]);
    if (code == 0 && !command_option(c, "quiet", &quiet))
        code = judge(c, w);
    free(w);
    return code;
}

static bool list_row(struct command *c, struct stmt *s)
{
    struct dkim_row row;
    struct name domain;

    if (!stmt_row(s))
        return false;
    dkim_rows_read(s, &row);
    name_set(&domain, column_str(s, DKIM_COLUMNS));
    name_set(&c->after, name_str(&domain));
    name_set(&c->after2, str_of(row.selector));
    if (list_takes(c, name_str(&domain)))
        status_row(c, name_str(&domain), &row);
    return true;
}

static int list(struct command *c)
{
    struct err err = {0};
    int rows = 0, code = list_begin(c);
    struct stmt *s;

    if (code != 0)
        return code;
    s = store_stmt(c->store, SQL_DKIM_LIST);
    stmt_str(s, name_str(&c->after));
    stmt_str(s, name_str(&c->after2));
    stmt_int(s, LIST_SCAN);
    while (c->room > 0 && list_row(c, s))
        rows++;
    if (!stmt_done(s, &err))
        return command_broken(c, &err);
    list_end(c, rows);
    return 0;
}

#define MAKE_USAGE "DOMAIN [algorithm=rsa|ed25519] [selector=NAME]"

const struct command_type dkim_commands[] = {
    {"dkim", "make", make, 1, true, MAKE_USAGE, "algorithm selector"},
    {"dkim", "show", show, 1, false, "DOMAIN [SELECTOR]", "", 1},
    {"dkim", "check", check, 1, false, "DOMAIN [quiet=yes]", "quiet"},
    {"dkim", "confirm", confirm, 1, true, "DOMAIN [SELECTOR]", "", 1},
    {"dkim", "rotate", rotate, 1, true, "DOMAIN [algorithm=rsa|ed25519]", "algorithm"},
    {"dkim", "revoke", revoke, 2, true, "DOMAIN SELECTOR", ""},
    {"dkim", "list", list, 0, false, "[TEXT] [limit=N]", "limit", 1},
    {0},
};
