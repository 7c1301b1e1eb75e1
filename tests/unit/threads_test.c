/* Threads (RFC 5256): against a slow model that follows the text of the RFC step by step with real lists, in random
 * mailboxes; the form of its examples; deep threads; and sorting bit by bit. */
#include "roles/mailbox/threads.h"
#include "roles/mailbox/merge_sort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAIL_MAX = 14, IDS = 9, REFS_MAX = 4 };

struct mail {
    int64_t sent;
    uint64_t subject, refs[1 + REFS_MAX];
    size_t ref_count; /* own id included */
    bool reply;
};

static uint32_t rolling;

static uint32_t below(uint32_t limit)
{
    rolling = rolling * 1664525 + 1013904223;
    return (rolling >> 8) % limit;
}

static uint32_t same_number(void *arg, uint32_t uid)
{
    (void)arg;
    return uid;
}

static void run(const struct mail *mail, size_t n, bool references, size_t budget, struct buf *out)
{
    struct threads *t = threads_new(references);

    for (size_t i = 0; i < n; i++)
        assert_true(threads_add(t, &(struct thread_message){.uid = (uint32_t)i + 1, .sent = mail[i].sent,
            .subject = mail[i].subject, .reply = mail[i].reply,
            .refs = str_from((const char *)mail[i].refs, mail[i].ref_count * sizeof *mail[i].refs)}));
    while (!threads_go_on(t, budget))
        ;
    while (threads_write(t, out, same_number, NULL))
        ;
    threads_free(t);
}

/* ---- the model ---- */

enum { NODES = MAIL_MAX * 8 };
static struct model {
    uint64_t id;
    const struct mail *mail; /* NULL: a dummy */
    uint32_t uid;
    int parent, kids[NODES], kid_count;
} nodes[NODES];
static int node_count;

static int new_node(uint64_t id)
{
    nodes[node_count] = (struct model){.id = id, .parent = -1};
    return node_count++;
}

static void unlink_node(int node)
{
    struct model *p;
    int i = 0;

    if (nodes[node].parent < 0)
        return;
    p = &nodes[nodes[node].parent];
    while (p->kids[i] != node)
        i++;
    memmove(&p->kids[i], &p->kids[i + 1], sizeof(int) * (size_t)(--p->kid_count - i));
    nodes[node].parent = -1;
}

static void add_kid(int parent, int node)
{
    unlink_node(node);
    nodes[node].parent = parent;
    nodes[parent].kids[nodes[parent].kid_count++] = node;
}

static bool is_inside(int node, int top)
{
    if (node == top)
        return true;
    for (int i = 0; i < nodes[top].kid_count; i++)
        if (is_inside(node, nodes[top].kids[i]))
            return true;
    return false;
}

static int by_id(uint64_t id)
{
    for (int i = 1; i < node_count; i++)
        if (nodes[i].id == id)
            return i;
    return new_node(id);
}

static void step_1(const struct mail *mail, size_t n)
{
    uint64_t unique = 1000;

    for (size_t k = 0; k < n; k++) {
        const struct mail *m = &mail[k];
        int self = m->refs[0] ? by_id(m->refs[0]) : new_node(unique++), last = -1;

        if (nodes[self].mail != NULL)
            self = new_node(unique++);
        nodes[self].mail = m;
        nodes[self].uid = (uint32_t)k + 1;
        for (size_t i = 1; i < m->ref_count; i++) {
            int node = by_id(m->refs[i]);

            if (last >= 0 && nodes[node].parent < 0 && !is_inside(last, node))
                add_kid(last, node);
            last = node;
        }
        unlink_node(self);
        if (last >= 0 && !is_inside(last, self))
            add_kid(last, self);
    }
}

/* Step 3, from the top down, each time something was changed from the beginning. */
static bool prune_below(int parent)
{
    for (int i = 0; i < nodes[parent].kid_count; i++) {
        int node = nodes[parent].kids[i];
        struct model *m = &nodes[node];

        if (m->mail == NULL && m->kid_count == 0) {
            unlink_node(node);
            return true;
        }
        if (m->mail == NULL && (parent != 0 || m->kid_count == 1)) {
            while (m->kid_count > 0)
                add_kid(parent, m->kids[0]);
            unlink_node(node);
            return true;
        }
        if (prune_below(node))
            return true;
    }
    return false;
}

static bool is_before(int a, int b)
{
    while (nodes[a].mail == NULL)
        a = nodes[a].kids[0];
    while (nodes[b].mail == NULL)
        b = nodes[b].kids[0];
    if (nodes[a].mail->sent != nodes[b].mail->sent)
        return nodes[a].mail->sent < nodes[b].mail->sent;
    return nodes[a].uid < nodes[b].uid;
}

static void sort_kids(int parent, bool deep)
{
    struct model *p = &nodes[parent];

    for (int i = 0; i < p->kid_count; i++)
        if (deep || nodes[p->kids[i]].mail == NULL)
            sort_kids(p->kids[i], deep);
    for (int i = 0; i < p->kid_count; i++)
        for (int k = i + 1; k < p->kid_count; k++)
            if (is_before(p->kids[k], p->kids[i])) {
                int swap = p->kids[i];

                p->kids[i] = p->kids[k];
                p->kids[k] = swap;
            }
}

static const struct mail *first_mail(int node)
{
    return nodes[node].mail ? nodes[node].mail : nodes[nodes[node].kids[0]].mail;
}

static bool replies(int node)
{
    return nodes[node].mail != NULL && nodes[node].mail->reply;
}

static void step_5(void)
{
    int table[8] = {0}, list[NODES], count = nodes[0].kid_count;

    memcpy(list, nodes[0].kids, sizeof list);
    for (int i = 0; i < count; i++) {
        uint64_t subject = first_mail(list[i])->subject;
        int known = table[subject];

        if (subject == 0)
            continue;
        if (known == 0 || (nodes[known].mail != NULL && (nodes[list[i]].mail == NULL || (replies(known) && !replies(list[i])))))
            table[subject] = list[i];
    }
    for (int i = 0; i < count; i++) {
        int node = list[i], known, both;
        uint64_t subject = first_mail(node)->subject;

        known = table[subject];
        if (subject == 0 || known == node || nodes[node].parent != 0)
            continue;
        if (nodes[node].mail == NULL && nodes[known].mail == NULL) {
            while (nodes[node].kid_count > 0)
                add_kid(known, nodes[node].kids[0]);
            unlink_node(node);
        } else if (nodes[known].mail == NULL || (replies(node) && !replies(known))) {
            add_kid(known, node);
        } else {
            both = new_node(0);
            add_kid(both, node);
            add_kid(both, known);
            add_kid(0, both);
            table[subject] = both;
        }
    }
}

static void write_model(int node, struct buf *out)
{
    const struct model *m = &nodes[node];

    if (m->mail != NULL)
        buf_addf(out, "%u%s", m->uid, m->kid_count > 0 ? " " : "");
    for (int i = 0; i < m->kid_count; i++) {
        if (m->kid_count > 1 || node == 0)
            buf_add_char(out, '(');
        write_model(m->kids[i], out);
        if (m->kid_count > 1 || node == 0)
            buf_add_char(out, ')');
    }
}

static void model(const struct mail *mail, size_t n, struct buf *out)
{
    node_count = 0;
    (void)new_node(0);
    step_1(mail, n);
    for (int i = 1, end = node_count; i < end; i++)
        if (nodes[i].parent < 0)
            add_kid(0, i);
    while (prune_below(0))
        ;
    sort_kids(0, false);
    step_5();
    sort_kids(0, true);
    write_model(0, out);
}

/* Poor man's threading is simple enough to be told at once. */
static void model_subjects(const struct mail *mail, size_t n, struct buf *out)
{
    bool told[MAIL_MAX] = {false};

    for (;;) {
        size_t first = n, in_thread[MAIL_MAX], count = 0;

        for (size_t i = 0; i < n; i++)
            if (!told[i] && (first == n || mail[i].sent < mail[first].sent))
                first = i;
        if (first == n)
            return;
        for (size_t i = 0; i < n; i++)
            if (i != first && mail[i].subject == mail[first].subject)
                in_thread[count++] = i;
        for (size_t i = 0; i < count; i++)
            for (size_t k = i + 1; k < count; k++)
                if (mail[in_thread[k]].sent < mail[in_thread[i]].sent ||
                    (mail[in_thread[k]].sent == mail[in_thread[i]].sent && in_thread[k] < in_thread[i])) {
                    size_t swap = in_thread[i];

                    in_thread[i] = in_thread[k];
                    in_thread[k] = swap;
                }
        told[first] = true;
        buf_addf(out, "(%zu%s", first + 1, count > 0 ? " " : "");
        for (size_t i = 0; i < count; i++) {
            told[in_thread[i]] = true;
            buf_addf(out, count > 1 ? "(%zu)" : "%zu", in_thread[i] + 1);
        }
        buf_add_char(out, ')');
    }
}

/* ---- tests ---- */

static void random_mail(struct mail *m, uint32_t ids)
{
    *m = (struct mail){.sent = below(6), .subject = below(4), .reply = below(2) != 0};
    m->refs[0] = below(5) == 0 ? 0 : 1 + below(ids);
    m->ref_count = 1 + (below(3) == 0 ? 0 : below(REFS_MAX + 1));
    for (size_t i = 1; i < m->ref_count; i++)
        m->refs[i] = 1 + below(ids);
}

static void compare(const struct mail *mail, size_t n, bool references)
{
    struct buf expected, got, slow;

    buf_init(&expected, 10000);
    buf_init(&got, 10000);
    buf_init(&slow, 10000);
    (references ? model : model_subjects)(mail, n, &expected);
    run(mail, n, references, 1000, &got);
    run(mail, n, references, 1, &slow);
    if (!str_eq(buf_str(&expected), buf_str(&got)))
        fail_msg("expected %.*s, got %.*s", STR_ARG(buf_str(&expected)), STR_ARG(buf_str(&got)));
    assert_true(str_eq(buf_str(&slow), buf_str(&got)));
    buf_clear(&expected);
    buf_clear(&got);
    buf_clear(&slow);
}

static void random_mailboxes_are_threaded_as_the_rfc_says(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 100000; seed++) {
        struct mail mail[MAIL_MAX];
        size_t n;
        uint32_t ids;

        rolling = seed;
        n = below(MAIL_MAX + 1);
        ids = 2 + below(IDS * 3);
        for (size_t i = 0; i < n; i++)
            random_mail(&mail[i], ids);
        compare(mail, n, true);
        compare(mail, n, false);
    }
}

static void expect(const struct mail *mail, size_t n, const char *text)
{
    struct buf got;

    buf_init(&got, 10000);
    run(mail, n, true, 100, &got);
    if (!str_eq(buf_str(&got), str_of(text)))
        fail_msg("expected %s, got %.*s", text, STR_ARG(buf_str(&got)));
    buf_clear(&got);
}

/* The two examples of the THREAD response in RFC 5256, section 4. */
static void answers_have_the_form_of_the_examples(void **state)
{
    static const struct mail first[] = {{1, 1, {1}, 1, false}, {2, 2, {2}, 1, false}, {3, 2, {3, 2}, 2, true},
        {4, 2, {4, 2, 3}, 3, true}, {5, 2, {5, 3, 4}, 3, true}, {6, 2, {6, 3}, 2, true}, {7, 2, {7, 6}, 2, true},
        {8, 2, {8, 7}, 2, true}};
    static const struct mail second[] = {{1, 1, {1, 9}, 2, true}, {2, 1, {2, 9}, 2, true}};

    (void)state;
    expect(first, 8, "(1)(2 3 (4 5)(6 7 8))");
    expect(second, 2, "((1)(2))");
    expect(NULL, 0, "");
}

static void replies_without_references_join_by_subject(void **state)
{
    static const struct mail mail[] = {{3, 1, {1}, 1, false}, {1, 1, {2}, 1, true}, {2, 1, {3}, 1, true}};
    static const struct mail equals[] = {{1, 1, {1}, 1, false}, {2, 1, {2}, 1, false}, {3, 1, {3}, 1, true}};
    static const struct mail empty[] = {{1, 0, {1}, 1, false}, {2, 0, {2}, 1, false}};

    (void)state;
    expect(mail, 3, "(1 (2)(3))");
    expect(equals, 3, "((1)(2)(3))");
    expect(empty, 2, "(1)(2)");
}

static void references_in_a_circle_end(void **state)
{
    static const struct mail mail[] = {{1, 1, {1, 2}, 2, true}, {2, 1, {2, 1}, 2, true}, {3, 1, {3, 3}, 2, true}};

    (void)state;
    compare(mail, 3, true);
}

enum { DEEP = 100000 };

/* A hundred thousand answers, each to the one before: "(1 2 3 ...)"; or with the first one last. */
static void thread_deeply(bool backwards)
{
    struct threads *t = threads_new(true);
    struct buf got, expected;

    buf_init(&got, 10000000);
    buf_init(&expected, 10000000);
    for (uint32_t i = 1; i <= DEEP; i++) {
        uint64_t depth = backwards ? DEEP + 1 - i : i, refs[2] = {depth, depth - 1};

        assert_true(threads_add(t, &(struct thread_message){.uid = i, .sent = i, .subject = 1,
            .refs = str_from((const char *)refs, refs[1] ? 16 : 8)}));
        buf_addf(&expected, "%c%u", i == 1 ? '(' : ' ', backwards ? DEEP + 1 - i : i);
    }
    buf_add_char(&expected, ')');
    while (!threads_go_on(t, 100))
        ;
    while (threads_write(t, &got, same_number, NULL))
        ;
    assert_true(str_eq(buf_str(&got), buf_str(&expected)));
    buf_clear(&got);
    buf_clear(&expected);
    threads_free(t);
}

/* The table of what was seen grows while it is asked for what came long ago. */
static void what_came_long_ago_is_found(void **state)
{
    enum { N = 20000, BACK = 1000 };
    struct threads *t = threads_new(true);
    uint32_t uid = 0;
    struct buf out, expected;

    (void)state;
    buf_init(&out, 1 << 20);
    buf_init(&expected, 1 << 20);
    for (uint64_t i = 1; i <= N; i++) {
        uint64_t refs[2] = {i, i - BACK};

        assert_true(threads_add(t, &(struct thread_message){.uid = (uint32_t)i, .sent = (int64_t)i, .subject = i,
            .refs = str_from((const char *)refs, (i > BACK ? 2 : 1) * sizeof *refs)}));
    }
    while (!threads_go_on(t, 100))
        ;
    while (threads_write(t, &out, same_number, NULL))
        ;
    for (uint32_t first = 1; first <= BACK; first++) {
        buf_add_char(&expected, '(');
        for (uid = first; uid <= N; uid += BACK)
            buf_addf(&expected, uid == first ? "%u" : " %u", uid);
        buf_add_char(&expected, ')');
    }
    assert_true(str_eq(buf_str(&out), buf_str(&expected)));
    threads_free(t);
    buf_clear(&out);
    buf_clear(&expected);
}


static void deep_threads_need_no_stack(void **state)
{
    (void)state;
    thread_deeply(false);
    thread_deeply(true);
}

static int by_number(const void *a, const void *b, void *arg)
{
    (void)arg;
    return *(const int *)a / 4 - *(const int *)b / 4; /* the last two bits show whether it is stable */
}

static void sorting_bit_by_bit_sorts(void **state)
{
    static const size_t lengths[] = {0, 1, 2, 511, 512, 513, 1024, 1025, 5000, 40001};

    (void)state;
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
        for (size_t budget = 1; budget <= 10000; budget *= 100) {
            size_t n = lengths[k];
            int *items = calloc(n + 1, sizeof *items);
            struct merge_sort m;

            for (size_t i = 0; i < n; i++)
                items[i] = (int)(below(1000) * 4 + (uint32_t)(i * 4 / n));
            merge_sort_begin(&m, items, n, sizeof *items, by_number, NULL);
            while (!merge_sort_go_on(&m, budget))
                ;
            items = (int *)(void *)m.items;
            for (size_t i = 1; i < n; i++)
                assert_true(items[i - 1] <= items[i]);
            merge_sort_clear(&m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_have_the_form_of_the_examples),
        cmocka_unit_test(replies_without_references_join_by_subject),
        cmocka_unit_test(references_in_a_circle_end),
        cmocka_unit_test(random_mailboxes_are_threaded_as_the_rfc_says),
        cmocka_unit_test(what_came_long_ago_is_found),
        cmocka_unit_test(deep_threads_need_no_stack),
        cmocka_unit_test(sorting_bit_by_bit_sorts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
