/* See paths.h. */
#include "paths.h"

#include "base/clock.h"
#include "base/metric.h"
#include "base/random.h"
#include "lookup.h"
#include "mailauth/return_path.h"
#include "mailauth/srs.h"
#include "smtp/address.h"

#include <string.h>

#define KEY_SIGNS (30 * DAY)
#define KEY_KEPT (30 * DAY) /* after its successor was made */

_Static_assert(30 > SRS_DAYS + 1 && 30 > RETURN_PATH_DAYS + 1, "an address must not outlive its key");

enum { NUMBERS = 10, KEYS_SEEN = 16 };

static struct metric rewritten =
    METRIC_COUNTER("staffetta_directory_srs_senders_total", "Senders rewritten because their mail was forwarded, at each attempt.");
static struct metric too_long = METRIC_COUNTER("staffetta_directory_srs_impossible_total",
    "Senders of forwarded mail that stayed as they are: too long to be rewritten, or no domain of ours to do it in.");
static struct metric own_signed =
    METRIC_COUNTER("staffetta_directory_return_paths_signed_total", "Senders of our own mail that were signed, at each attempt.");

#define CAME(kind, result)                                                                         \
    METRIC_COUNTER_L("staffetta_directory_signed_recipients_total", "kind=\"" kind "\",result=\"" result "\"", \
        "Recipients that had the form of an address we sign.")
static struct metric came[2][4] = {
    {[PATH_GOOD] = CAME("srs", "good"), [PATH_FORGED] = CAME("srs", "forged"), [PATH_EXPIRED] = CAME("srs", "expired")},
    {[PATH_GOOD] = CAME("own", "good"), [PATH_FORGED] = CAME("own", "forged"), [PATH_EXPIRED] = CAME("own", "expired")},
};

void paths_show_metrics(void)
{
    metric_show(&rewritten);
    metric_show(&too_long);
    metric_show(&own_signed);
    for (size_t kind = 0; kind < 2; kind++)
        for (size_t result = PATH_GOOD; result <= PATH_EXPIRED; result++)
            metric_show(&came[kind][result]);
}

void paths_clear(struct paths *p)
{
    path_keys_clear(&p->keys);
    *p = (struct paths){0};
}

/* ---- keys ---- */

struct key_row {
    int64_t id, made;
};

/* The newest first. */
static bool read_rows(struct store *store, struct key_row rows[KEYS_SEEN], size_t *n, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_PATH_KEYS);

    for (*n = 0; *n < KEYS_SEEN && stmt_row(s); (*n)++)
        rows[*n] = (struct key_row){column_int(s, 0), column_int(s, 1)};
    return stmt_done(s, err);
}

static bool add_key(struct store *store, int64_t id, int64_t now, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_PATH_KEY_ADD);
    struct path_keys fresh = {.n = 1};
    bool done;

    random_bytes(fresh.keys[0].octets, PATH_KEY_OCTETS);
    stmt_int(s, id);
    stmt_int(s, now);
    stmt_blob(s, str_from((const char *)fresh.keys[0].octets, PATH_KEY_OCTETS));
    done = stmt_run(s, err);
    path_keys_clear(&fresh);
    return done;
}

static bool remove_key(struct store *store, int64_t id, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_PATH_KEY_REMOVE);

    stmt_int(s, id);
    return stmt_run(s, err);
}

/* A key "made" tomorrow or later is of a clock that was wrong, and would sign for ever. */
static bool is_due(const struct key_row *newest, int64_t now)
{
    return now - newest->made > KEY_SIGNS || newest->made - now > DAY;
}

static bool rotate(struct store *store, int64_t now, bool *changed, struct err *err)
{
    struct key_row rows[KEYS_SEEN];
    size_t n;

    if (!read_rows(store, rows, &n, err))
        return false;
    if (n == 0 || is_due(&rows[0], now)) {
        *changed = true;
        if (!add_key(store, n > 0 ? rows[0].id + 1 : 1, now, err) || !read_rows(store, rows, &n, err))
            return false;
    }
    for (size_t i = 1; i < n; i++) {
        if (i < PATH_KEYS_MAX && now - rows[i - 1].made <= KEY_KEPT)
            continue;
        *changed = true;
        if (!remove_key(store, rows[i].id, err))
            return false;
    }
    return true;
}

bool paths_rotate(struct store *store, int64_t now, bool *changed, struct err *err)
{
    *changed = false;
    if (!db_begin(store->db, err))
        return false;
    if (!rotate(store, now, changed, err)) {
        db_rollback(store->db);
        return false;
    }
    if (*changed)
        return db_commit(store->db, err);
    db_rollback(store->db);
    return true;
}

static bool load(struct lookup *l, struct err *err)
{
    struct paths *p = &l->paths;
    struct stmt *s;

    if (p->loaded && p->generation == l->generation)
        return true;
    paths_clear(p);
    s = store_stmt(l->store, SQL_PATH_SECRETS);
    while (p->keys.n < PATH_KEYS_MAX && stmt_row(s)) {
        struct path_key *key = &p->keys.keys[p->keys.n];
        struct str secret = column_str(s, 1);

        if (secret.n != PATH_KEY_OCTETS)
            continue;
        memcpy(key->octets, secret.p, PATH_KEY_OCTETS);
        key->number = (unsigned)((uint64_t)column_int(s, 0) % NUMBERS);
        p->keys.n++;
    }
    p->loaded = stmt_done(s, err);
    p->generation = l->generation;
    return p->loaded;
}

/* ---- domains ---- */

static struct str domain_of(struct str address)
{
    struct str local, domain;

    address_split(address, &local, &domain);
    return domain;
}

/* One whose addresses are ours to make; mode: of its return paths. */
static bool is_ours(struct lookup *l, struct str domain, bool *ours, enum return_path_mode *mode, struct err *err)
{
    struct domain d;
    bool found = false;

    *mode = RETURN_PATH_PLAIN;
    *ours = false;
    if (domain.n == 0)
        return true;
    if (!store_get_domain(l->store, domain, &d, &found, err))
        return false;
    if (found && d.local && d.enabled) {
        *ours = true;
        *mode = d.return_path;
    }
    return true;
}

static struct str own_domain(const struct lookup *l)
{
    return l->config->forward.domain;
}

/* ---- who is it for ---- */

static enum path_kind kind_of(struct str address)
{
    struct str local, domain;

    address_split(address, &local, &domain);
    if (local.n > 0 && local.p[0] == '"')
        local = str_skip(local, 1);
    if (str_istarts(local, STR("prvs=")))
        return PATH_KIND_OWN;
    if (local.n > 4 && str_istarts(local, STR("SRS")) && (local.p[3] == '0' || local.p[3] == '1') &&
        str_find(STR("=+-"), local.p[4]) >= 0)
        return PATH_KIND_SRS;
    return PATH_KIND_NONE;
}

static bool read_path(struct lookup *l, struct str canonical, struct path_found *out, struct err *err)
{
    int64_t now = clock_now() / SECOND;
    struct buf text;

    if (!load(l, err))
        return false;
    buf_init(&text, ADDRESS_TEXT_MAX);
    if (out->kind == PATH_KIND_SRS)
        out->result = srs_reverse(&l->paths.keys, canonical, now, &text);
    else
        out->result = return_path_check(&l->paths.keys, canonical, now, &text);
    if (out->result == PATH_GOOD && !name_set(&out->address, buf_str(&text)))
        out->result = PATH_FORGED;
    buf_clear(&text);
    return true;
}

bool paths_find(struct lookup *l, struct str canonical, struct path_found *out, struct err *err)
{
    enum return_path_mode mode;
    bool ours;

    *out = (struct path_found){.kind = kind_of(canonical)};
    if (out->kind == PATH_KIND_NONE)
        return true;
    if (!is_ours(l, domain_of(canonical), &ours, &mode, err))
        return false;
    if (!ours && (out->kind == PATH_KIND_OWN || own_domain(l).n == 0 || !str_ieq(domain_of(canonical), own_domain(l)))) {
        out->kind = PATH_KIND_NONE;
        return true;
    }
    if (!read_path(l, canonical, out, err))
        return false;
    /* A domain that does not sign may have any address. */
    if (out->result == PATH_PLAIN || (out->kind == PATH_KIND_OWN && mode == RETURN_PATH_PLAIN && out->result != PATH_GOOD))
        out->kind = PATH_KIND_NONE;
    else
        metric_add(&came[out->kind - PATH_KIND_SRS][out->result], 1);
    return true;
}

const char *paths_refusal(const struct path_found *path)
{
    if (path->result == PATH_EXPIRED)
        return path->kind == PATH_KIND_SRS ? "5.1.1 This return path of forwarded mail is too old, it was valid for three weeks"
                                           : "5.1.1 This return path is too old, it was valid for two weeks";
    return path->kind == PATH_KIND_SRS ? "5.1.1 This is no return path of mail that was forwarded here: its signature is wrong"
                                       : "5.1.1 This is no return path of mail that was sent here: its signature is wrong";
}

bool paths_bounce(struct lookup *l, struct str key, enum return_path_mode *mode, struct err *err)
{
    struct str local, domain;
    bool ours;

    *mode = RETURN_PATH_PLAIN;
    address_split(key, &local, &domain);
    if (!l->any_signed_path || str_eq(local, STR("postmaster")) || str_eq(local, STR("abuse")))
        return true; /* these two have to be reached with any sender (RFC 5321 4.5.1, RFC 2142) */
    return is_ours(l, domain, &ours, mode, err);
}

/* ---- who it is from ---- */

/* In whose name mail goes on. Empty: there is no domain at all. */
static bool find_forwarder(struct lookup *l, struct str original, struct name *out, struct err *err)
{
    struct str domain = domain_of(original);
    enum return_path_mode mode;
    bool found, ours;

    if (own_domain(l).n > 0)
        return name_set(out, own_domain(l));
    if (!is_ours(l, domain, &ours, &mode, err))
        return false;
    if (ours)
        return name_set(out, domain);
    return store_text(l->store, SQL_DOMAIN_FIRST, NULL, 0, out, &found, err);
}

static bool forward(struct lookup *l, const struct resolve_question *q, struct str sender, struct buf *text, struct err *err)
{
    struct name forwarder;

    if (!find_forwarder(l, q->original, &forwarder, err))
        return false;
    if (forwarder.n > 0 && srs_forward(&l->paths.keys, sender, name_str(&forwarder), clock_now() / SECOND, text)) {
        metric_add(&rewritten, 1);
    } else {
        buf_reset(text);
        metric_add(&too_long, 1);
    }
    return true;
}

static void sign(struct lookup *l, struct str sender, struct buf *text)
{
    if (return_path_make(&l->paths.keys, sender, clock_now() / SECOND, text))
        metric_add(&own_signed, 1);
    else
        buf_reset(text);
}

static bool write_sender(struct lookup *l, const struct resolve_question *q, struct str sender, struct buf *text, struct err *err)
{
    enum return_path_mode mode;
    bool ours;

    if (!is_ours(l, domain_of(sender), &ours, &mode, err) || !load(l, err))
        return false;
    if (ours && q->submitted && mode != RETURN_PATH_PLAIN)
        sign(l, sender, text);
    else if (!ours && q->expanded && l->config->forward.srs && !str_ieq(domain_of(sender), own_domain(l)))
        return forward(l, q, sender, text, err);
    return true;
}

bool paths_sender(struct lookup *l, const struct resolve_question *q, struct name *out, struct err *err)
{
    struct name canonical, key;
    struct buf text;
    const char *why;
    bool done;

    out->n = 0;
    if (q->sender.n == 0 || !(q->expanded || (q->submitted && l->any_signed_path)) || !lookup_fold(q->sender, &canonical, &key, &why))
        return true;
    buf_init(&text, ADDRESS_TEXT_MAX);
    done = write_sender(l, q, name_str(&canonical), &text, err);
    if (done)
        name_set(out, buf_str(&text));
    buf_clear(&text);
    return done;
}
