/* Directory looks after its DKIM keys: rounds through the domains, answers of DNS, rotation over months, under a clock and a DNS of this file. What
 * must always hold is looked at after each step: no key signs whose record was not in DNS when it was taken into use. */
#include "directory_world.h"

#include "base/clock.h"
#include "roles/directory/directory.h"
#include "roles/directory/dkim_make.h"
#include "roles/directory/dkim_schedule.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 200, QUESTIONS = 100, STEPS = 2000 };

static struct directory directory;
static struct event_base *base;
static int64_t now;
static bool resolver_is_there;
static unsigned finished;
static enum dns_status failing; /* DNS_OK: none */

/* What is in DNS. */
static struct {
    char name[300], text[1000];
    bool twice;
} zone[NAMES];
static size_t zone_n;

static struct {
    uint64_t id;
    char name[300];
} questions[QUESTIONS];
static size_t questions_n, asked;

int64_t __wrap_clock_now(void);
int64_t __wrap_clock_now(void)
{
    return now;
}

/* ---- the role ---- */

void *role_state(struct role *role)
{
    (void)role;
    return &directory;
}

const struct config *role_config(const struct role *role)
{
    (void)role;
    return lookup.config;
}

unsigned role_copy(const struct role *role)
{
    (void)role;
    return 0;
}

unsigned role_peers(const struct role *role, enum role_id peer)
{
    (void)role;
    return peer == ROLE_RESOLVER;
}

struct channel *role_peer(const struct role *role, enum role_id peer, unsigned copy)
{
    (void)role;
    (void)peer;
    (void)copy;
    return resolver_is_there ? (struct channel *)&directory : NULL;
}

struct event_base *role_base(struct role *role)
{
    (void)role;
    return base;
}

enum role_id channel_role(const struct channel *c)
{
    (void)c;
    return ROLE_RESOLVER;
}

void answers_trouble(struct directory *d, const char *question, const struct err *err)
{
    (void)d;
    fail_msg("%s: %s", question, err->text);
}

void ipc_send_dns_ask(struct channel *to, const struct msg_dns_ask *m)
{
    (void)to;
    assert_true(questions_n < QUESTIONS && m->type == DNS_TXT);
    questions[questions_n].id = m->id;
    snprintf(questions[questions_n++].name, 300, "%.*s", STR_ARG(m->name));
    asked++;
}

/* ---- DNS ---- */

static void publish(const char *name, const char *text)
{
    assert_true(zone_n < NAMES);
    snprintf(zone[zone_n].name, sizeof zone[0].name, "%s", name);
    snprintf(zone[zone_n].text, sizeof zone[0].text, "%s", text);
    zone[zone_n++].twice = false;
}

static int find(const char *name)
{
    for (size_t i = 0; i < zone_n; i++)
        if (strcmp(zone[i].name, name) == 0)
            return (int)i;
    return -1;
}

static void pack(const char *text, struct buf *out)
{
    struct buf rdata;
    struct str rest = str_of(text);

    buf_init(&rdata, 4096);
    for (; rest.n > 0; rest = str_skip(rest, 255)) {
        struct str piece = str_sub(rest, 0, 255);

        buf_add_char(&rdata, (char)piece.n);
        buf_add(&rdata, piece);
    }
    dns_add_record(out, buf_str(&rdata));
    buf_clear(&rdata);
}

static void answer(uint64_t id, const char *name)
{
    struct msg_dns_reply reply = {.id = id, .status = DNS_NXDOMAIN};
    int i = find(name);
    struct buf records;

    buf_init(&records, 1 << 16);
    if (i >= 0) {
        reply.status = DNS_OK;
        pack(zone[i].text, &records);
        if (zone[i].twice)
            pack("v=DKIM1; p=", &records);
        reply.records = buf_str(&records);
    }
    if (failing != DNS_OK)
        reply = (struct msg_dns_reply){.id = id, .status = failing};
    on_dns_reply(NULL, NULL, &reply);
    on_dns_reply(NULL, NULL, &reply); /* said twice: nobody waits any more */
    buf_clear(&records);
}

static void answer_all(void)
{
    while (questions_n > 0) {
        uint64_t id = questions[--questions_n].id;
        char name[300];

        snprintf(name, sizeof name, "%s", questions[questions_n].name);
        answer(id, name);
    }
}

/* ---- rounds ---- */

static void turn(void)
{
    assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
}

/* Once through all domains, as an hour lets it come. */
static void round_through(void)
{
    int steps = 0;

    event_active(directory.dkim_round, EV_TIMEOUT, 0);
    do {
        turn();
        answer_all();
        if (directory.dkim_look == NULL && directory.dkim_at.n > 0)
            event_active(directory.dkim_round, EV_TIMEOUT, 0); /* pauses are over */
        assert_true(steps++ < STEPS);
    } while (directory.dkim_look != NULL || directory.dkim_at.n > 0);
}

static struct dkim_rows *keys_of(const char *domain)
{
    static struct dkim_rows keys;
    struct err err = {0};

    if (!dkim_rows_get(&directory.store, str_of(domain), &keys, &err))
        fail_msg("%s", err.text);
    return &keys;
}

static size_t count(const char *domain, enum dkim_state state)
{
    const struct dkim_rows *keys = keys_of(domain);
    size_t n = 0;

    for (size_t i = 0; i < keys->n; i++)
        n += keys->rows[i].state == state;
    return n;
}

static void name_of(const struct dkim_row *row, char out[static 300])
{
    snprintf(out, 300, "%s._domainkey.example.org", row->selector);
}

static void publish_row(const struct dkim_row *row)
{
    struct buf text;
    char name[300], record[1000];

    buf_init(&text, sizeof record);
    dkim_write_record(&text, row);
    name_of(row, name);
    snprintf(record, sizeof record, "%.*s", STR_ARG(buf_str(&text)));
    if (find(name) < 0)
        publish(name, record);
    buf_clear(&text);
}

static void publish_all(void)
{
    const struct dkim_rows *keys = keys_of("example.org");

    for (size_t i = 0; i < keys->n; i++)
        if (keys->rows[i].state < DKIM_EXPIRED)
            publish_row(&keys->rows[i]);
}

static void withdraw(int i)
{
    zone[i] = zone[--zone_n];
}

static int begin(void **state)
{
    directory_begin(state);
    configure("hostname = \"mail.test\"\ndata = \"/nowhere\"\ndkim { rotate = \"20d\" publish_wait = \"1d\" retire_keep = \"7d\" }\n");
    must("domain set second.example enabled=no");
    now = 20000 * DAY;
    zone_n = questions_n = asked = finished = 0;
    resolver_is_there = true;
    failing = DNS_OK;
    base = event_base_new();
    directory = (struct directory){.store = store};
    lookup_init(&directory.lookup, &directory.store, lookup.config);
    dkim_signer_init(&directory.signer, &directory.store, &directory.lookup.generation);
    dkim_watch_open(&directory);
    return 0;
}

static int end(void **state)
{
    dkim_look_cancel(directory.dkim_look);
    event_free(directory.dkim_round);
    dns_client_clear(&directory.dns);
    dkim_signer_clear(&directory.signer);
    lookup_clear(&directory.lookup);
    event_base_free(base);
    store = directory.store; /* with its statements */
    return directory_end(state);
}

static void domains_get_their_keys(void **state)
{
    (void)state;
    round_through();
    assert_int_equal(count("example.org", DKIM_WAITING), 2);
    assert_int_equal(keys_of("second.example")->n, 0); /* switched off */
    assert_int_equal(keys_of("backup.example")->n, 0);
    round_through();
    assert_int_equal(count("example.org", DKIM_WAITING), 2);
    publish_all();
    round_through();
    assert_int_equal(count("example.org", DKIM_ACTIVE), 2);
    asked = 0;
    round_through(); /* what is in use is looked at once a day */
    assert_int_equal(asked, 0);
    now += DAY;
    round_through();
    assert_int_equal(asked, 2);
}

static void only_a_record_that_fits_counts(void **state)
{
    static const char *const others[] = {"v=DKIM1; p=", "v=spf1 -all", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", ""};
    char name[300];

    (void)state;
    round_through();
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        zone_n = 0;
        for (size_t k = 0; k < 2; k++) {
            name_of(&keys_of("example.org")->rows[k], name);
            publish(name, others[i]);
        }
        round_through();
        assert_int_equal(count("example.org", DKIM_WAITING), 2);
        assert_int_equal(keys_of("example.org")->rows[0].record, DKIM_RECORD_OTHER);
    }
    zone_n = 0;
    publish_all();
    for (size_t i = 0; i < zone_n; i++)
        zone[i].twice = true; /* verifiers may take either */
    round_through();
    assert_int_equal(count("example.org", DKIM_WAITING), 2);
    for (size_t i = 0; i < zone_n; i++)
        zone[i].twice = false;
    failing = DNS_BOGUS;
    round_through();
    assert_int_equal(count("example.org", DKIM_WAITING), 2);
    assert_int_equal(keys_of("example.org")->rows[0].record, DKIM_RECORD_UNKNOWN);
    failing = DNS_OK;
    round_through();
    assert_int_equal(count("example.org", DKIM_ACTIVE), 2);
}

static void on_done(void *arg)
{
    (void)arg;
    finished++;
}

static void a_silent_resolver_ends_nothing(void **state)
{
    struct dkim_look *look;

    (void)state;
    round_through();
    resolver_is_there = false;
    look = dkim_look_start(&directory, STR("example.org"), on_done, NULL);
    assert_non_null(look);
    turn();
    assert_int_equal(finished + questions_n, 0);
    resolver_is_there = true;
    publish_all();
    dkim_watch_peer_up(&directory, (struct channel *)&directory); /* what was asked is asked again */
    assert_int_equal(questions_n, 2);
    answer_all();
    assert_int_equal(finished, 1);
    assert_int_equal(count("example.org", DKIM_ACTIVE), 2);
    assert_null(dkim_look_start(&directory, STR("none.example"), on_done, NULL));
    look = dkim_look_start(&directory, STR("example.org"), on_done, NULL);
    dkim_look_cancel(look); /* who asked is gone */
    answer_all();
    assert_int_equal(finished, 1);
}

/* Commands and the role have one database, and one set of statements. */
static void command(const char *line)
{
    store = directory.store;
    must(line);
    directory.store = store;
}

/* A domain that goes while it is looked after, and its keys with it. */
static void a_domain_may_vanish_meanwhile(void **state)
{
    (void)state;
    command("domain add gone.example");
    round_through();
    assert_int_equal(count("gone.example", DKIM_WAITING), 2);
    assert_non_null(dkim_look_start(&directory, STR("gone.example"), on_done, NULL));
    command("domain remove gone.example");
    answer_all();
    assert_int_equal(finished, 1);
    assert_int_equal(keys_of("gone.example")->n, 0);
}

/* ---- months ---- */

static uint64_t random_state;

static unsigned pick(unsigned below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % below;
}

static char in_use[DKIM_ALGORITHMS][64];
static unsigned changes;

/* A key that is new in use: it must have been in DNS for a day, or there was none before it. */
static void look_at_use(const bool seen_before[static NAMES])
{
    struct dkim_rows *keys = keys_of("example.org");
    char name[300];

    for (unsigned a = 0; a < DKIM_ALGORITHMS; a++) {
        const struct dkim_row *row = dkim_rows_active(keys, (enum dkim_algorithm)a);
        size_t active = 0;

        for (size_t i = 0; i < keys->n; i++)
            active += keys->rows[i].state == DKIM_ACTIVE && keys->rows[i].algorithm == a;
        assert_true(active <= 1 && (active == 1) == (row != NULL));
        if (row == NULL || strcmp(row->selector, in_use[a]) == 0)
            continue;
        name_of(row, name);
        assert_true(find(name) >= 0 && seen_before[find(name)]);
        assert_true(in_use[a][0] == 0 || row->used - row->published >= DAY);
        snprintf(in_use[a], sizeof in_use[a], "%s", row->selector);
        changes++;
    }
}

/* The administrator publishes late, takes records away too early, and DNS fails now and then. */
static void months_of_rotation(void **state)
{
    bool there[NAMES];

    (void)state;
    random_state = 5;
    changes = 0;
    memset(in_use, 0, sizeof in_use);
    for (int step = 0; step < 4 * 120; step++, now += DAY / 4) {
        const struct dkim_rows *keys = keys_of("example.org");

        if (pick(2) == 0 && keys->n > 0) {
            const struct dkim_row *row = &keys->rows[pick((unsigned)keys->n)];
            char name[300];

            name_of(row, name);
            if (row->state < DKIM_ACTIVE && find(name) < 0)
                publish_row(row);
            else if (row->state != DKIM_ACTIVE && find(name) >= 0 && pick(3) == 0)
                withdraw(find(name));
        }
        for (size_t i = 0; i < zone_n; i++)
            there[i] = true;
        failing = pick(10) == 0 ? DNS_SERVFAIL : DNS_OK;
        round_through();
        look_at_use(there);
        assert_true(keys_of("example.org")->n <= 10); /* what is over is forgotten */
    }
    assert_true(changes >= 4); /* both kinds came into use, and both were replaced */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(domains_get_their_keys),
        TEST(only_a_record_that_fits_counts),
        TEST(a_silent_resolver_ends_nothing),
        TEST(a_domain_may_vanish_meanwhile),
        TEST(months_of_rotation),
    };

    return cmocka_run_group_tests_name("dkim_watch", tests, directory_open, directory_close);
}
