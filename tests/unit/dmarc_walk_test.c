/* The DNS tree walk of DMARC (draft-ietf-dmarc-dmarcbis 4.10): which names are asked, what they make of a domain, and
 * that nothing DNS or a message can say makes the questions more than they may be. */
#include "dmarc_world.h"

static const struct {
    const char *domain, *names[DMARC_WALK_MAX];
} walks[] = {
    /* 4.10, B.4.2 */
    {"a.b.c.d.e.f.g.h.i.j.mail.example.com",
        {"a.b.c.d.e.f.g.h.i.j.mail.example.com", "g.h.i.j.mail.example.com", "h.i.j.mail.example.com", "i.j.mail.example.com",
            "j.mail.example.com", "mail.example.com", "example.com", "com"}},
    {"a.b.c.d.e.f.example.com", {"a.b.c.d.e.f.example.com", "b.c.d.e.f.example.com", "c.d.e.f.example.com",
        "d.e.f.example.com", "e.f.example.com", "f.example.com", "example.com", "com"}},
    {"a.b.c.d.e.f.g.example.com", {"a.b.c.d.e.f.g.example.com", "c.d.e.f.g.example.com", "d.e.f.g.example.com",
        "e.f.g.example.com", "f.g.example.com", "g.example.com", "example.com", "com"}},
    {"b.c.d.e.f.example.com", {"b.c.d.e.f.example.com", "c.d.e.f.example.com", "d.e.f.example.com", "e.f.example.com",
        "f.example.com", "example.com", "com"}},
    {"example.com", {"example.com", "com"}},
    {"com", {"com"}},
};

static void walks_ask_for_these_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++) {
        struct dmarc_walk w;
        size_t n = 0;

        dmarc_walk_begin(&w, str_of(walks[i].domain));
        for (; w.next > 0; n++) {
            assert_true(n < DMARC_WALK_MAX && walks[i].names[n] != NULL);
            assert_true(str_eq(dmarc_walk_target(&w), str_of(walks[i].names[n])));
            dmarc_walk_add(&w, STR(""));
        }
        assert_true(n == DMARC_WALK_MAX || walks[i].names[n] == NULL);
        assert_true(str_eq(dmarc_walk_organisation(&w), str_of(walks[i].domain)));
        assert_null(dmarc_walk_policy(&w));
    }
}

/* The three examples at the end of 4.10.2. */
static const struct {
    const char *found, *text, *organisation;
} organisations[] = {
    {"mail.example.com example.com", "v=DMARC1; p=none", "example.com"},
    {"mail.example.com", "v=DMARC1; p=none; psd=n", "mail.example.com"},
    {"com", "v=DMARC1; p=none; psd=y", "example.com"},
    {"", "", "a.mail.example.com"},
};

static void walks_find_these_organisations(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof organisations / sizeof organisations[0]; i++) {
        struct dmarc_walk w;

        dmarc_walk_begin(&w, STR("a.mail.example.com"));
        while (w.next > 0) {
            struct str rest = str_of(organisations[i].found), name;
            bool found = false;

            while (str_next_word(&rest, &name))
                found |= str_eq(name, dmarc_walk_target(&w));
            dmarc_walk_add(&w, found ? str_of(organisations[i].text) : STR(""));
        }
        assert_true(str_eq(dmarc_walk_organisation(&w), str_of(organisations[i].organisation)));
    }
}

/* ---- properties: any names, any answers ---- */

static unsigned random_below(unsigned n)
{
    static uint64_t x = 88172645463325252u;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (unsigned)(x % n);
}

/* Few labels to choose from, so that names are often related. */
static void random_domain(char out[DNS_NAME_TEXT])
{
    unsigned labels = 1 + random_below(12);
    size_t n = 0;

    for (unsigned i = 0; i < labels; i++)
        n += (size_t)snprintf(out + n, DNS_NAME_TEXT - n, "%s%c", i > 0 ? "." : "", 'a' + (int)random_below(2));
}

static void random_answer(struct dmarc *d)
{
    static const char *const texts[] = {"v=DMARC1; p=reject", "v=DMARC1; p=none; psd=n", "v=DMARC1; p=none; psd=y", "v=DMARC1",
        "v=DMARC1; p=quarantine; np=none; sp=reject; t=y; adkim=s", "", "nonsense", "v=DMARC1; p=reject; rua=mailto:a@b"};
    enum dns_status status = random_below(12) == 0 ? random_below(6) : random_below(2) == 0 ? DNS_OK : DNS_NXDOMAIN;
    struct buf records;

    buf_init(&records, 1 << 20);
    for (unsigned n = 1 + random_below(8) / 7; n > 0; n--)
        dmarc_test_pack(str_of(texts[random_below(8)]), &records);
    if (random_below(50) == 0)
        records.n -= records.n > 0;
    dmarc_answer(d, status, buf_str(&records));
    buf_clear(&records);
}

static void questions_are_bounded(void **state)
{
    static struct lookups l;
    char name[DNS_NAME_TEXT], address[DNS_NAME_TEXT + 2];
    unsigned results[5] = {0};

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        struct dmarc *d = dmarc_new(&dmarc_test_world, &l);
        unsigned authors = 1 + random_below(3) / 2, signers = random_below(4);

        for (unsigned k = 0; k < authors; k++) {
            random_domain(name);
            snprintf(address, sizeof address, "u@%s", name);
            dmarc_add_from(d, str_of(address));
        }
        for (unsigned k = 0; k < signers; k++) {
            random_domain(name);
            dmarc_add_dkim(d, str_of(name));
        }
        l.n = 0;
        l.over = false;
        dmarc_start(d);
        while (!l.over)
            random_answer(d);
        assert_true(l.n <= authors * (1 + DMARC_WALK_MAX * (1 + signers)));
        if (signers == 0)
            assert_true(l.n <= authors * (1 + DMARC_WALK_MAX));
        results[dmarc_outcome_of(d)->result]++;
        assert_true(dmarc_outcome_of(d)->policy == DMARC_NONE || dmarc_outcome_of(d)->result >= DMARC_RESULT_TEMPERROR);
        dmarc_free(d);
    }
    for (size_t i = 0; i < 5; i++)
        assert_true(results[i] > 100);
}

/* ---- the rest ---- */

static void gives_up(void **state)
{
    static struct lookups l;
    struct dmarc *d = dmarc_new(&dmarc_test_world, &l);

    (void)state;
    l = (struct lookups){0};
    dmarc_add_from(d, STR("u@example.com"));
    dmarc_start(d);
    assert_int_equal(l.n, 1);
    dmarc_give_up(d);
    assert_true(l.over);
    assert_int_equal(dmarc_outcome_of(d)->result, DMARC_RESULT_TEMPERROR);
    assert_true(str_eq(dmarc_outcome_of(d)->author, STR("example.com")));
    dmarc_answer(d, DNS_OK, STR(""));
    dmarc_give_up(d);
    assert_int_equal(l.n, 1);
    dmarc_free(d);
}

/* A record over the limit counts as none; one just below it counts. */
static void large_records(void **state)
{
    static struct lookups l;

    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        struct dmarc *d = dmarc_new(&dmarc_test_world, &l);
        struct buf text, records;

        l = (struct lookups){0};
        buf_init(&text, 10000);
        buf_init(&records, 20000);
        buf_add(&text, STR("v=DMARC1; p=reject; x="));
        while (text.n < DMARC_RECORD_MAX + extra)
            buf_add_char(&text, 'x');
        dmarc_test_pack(buf_str(&text), &records);
        dmarc_add_from(d, STR("u@example.com"));
        dmarc_start(d);
        dmarc_answer(d, DNS_OK, buf_str(&records));
        if (extra > 0)
            dmarc_answer(d, DNS_NXDOMAIN, STR(""));
        assert_int_equal(dmarc_outcome_of(d)->result, extra > 0 ? DMARC_RESULT_NONE : DMARC_RESULT_FAIL);
        buf_clear(&text);
        buf_clear(&records);
        dmarc_free(d);
    }
}

/* Of thousands of signers the first DMARC_SIGNERS_MAX different ones count, and SPF beside them. */
static void many_signers(void **state)
{
    static struct lookups l;
    struct dmarc *d = dmarc_new(&dmarc_test_world, &l);
    char name[50];

    (void)state;
    l = (struct lookups){0};
    dmarc_add_from(d, STR("u@example.com"));
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "s%u.example.com", i / 2);
        dmarc_add_dkim(d, str_of(name));
    }
    dmarc_add_dkim(d, STR("example.com"));
    dmarc_add_spf(d, STR("spf.example.com"));
    dmarc_add_spf(d, STR("example.com"));
    dmarc_start(d);
    while (!l.over) {
        struct buf records;

        buf_init(&records, 1000);
        if (strncmp(l.names[l.n - 1] + 7, "example.com", 11) == 0)
            dmarc_test_pack(STR("v=DMARC1; p=reject"), &records);
        else
            dmarc_test_pack(STR("v=DMARC1; p=reject; psd=n"), &records);
        dmarc_answer(d, strcmp(l.names[l.n - 1], "_dmarc.com") == 0 ? DNS_NXDOMAIN : DNS_OK, buf_str(&records));
        buf_clear(&records);
    }
    assert_int_equal(dmarc_outcome_of(d)->result, DMARC_RESULT_FAIL);
    assert_int_equal(l.n, 2 + DMARC_SIGNERS_MAX + 1);
    dmarc_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_ask_for_these_names),
        cmocka_unit_test(walks_find_these_organisations),
        cmocka_unit_test(questions_are_bounded),
        cmocka_unit_test(gives_up),
        cmocka_unit_test(large_records),
        cmocka_unit_test(many_signers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
