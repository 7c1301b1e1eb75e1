/* See threads.h.
 *
 * While messages are added there are only links to parents (step 1). Everything after that is passes over arrays, never
 * a walk down a tree: all real messages are sorted by their sent dates once, and putting them under their parents in
 * that order gives every set of siblings sorted (steps 4 and 6); a dummy under the root stands where its first child
 * does. Pruning (step 3) gives every message its nearest real ancestor, or the topmost dummy. */
#include "threads.h"
#include "base/err.h"
#include "base/random.h"
#include "merge_sort.h"

#include <stdlib.h>
#include <string.h>

struct node {
    uint64_t subject;
    int64_t sent;
    uint32_t uid;      /* 0: a dummy */
    uint32_t parent;   /* 0: the root; of a dummy merged with another one: that */
    uint32_t children; /* of a topmost dummy: how many */
    uint32_t first, next;
    bool reply;
    bool is_parent;    /* something was linked below it at some time */
    bool listed;       /* among the roots */
};

struct dated {
    int64_t sent;
    uint32_t uid, node;
};

/* Hashes to nodes, open addressing. When it grows, what was in it moves bit by bit, with what is put meanwhile; until all has moved, what is
 * not found is looked for where it was. */
struct table {
    struct slot {
        uint64_t key; /* 0: free */
        uint32_t node;
    } *slots, *old;
    size_t size, count; /* size: a power of two */
    size_t moved;       /* slots of `old`, which is half the size; NULL: all */
    uint64_t seed;
};

typedef void pass_fn(struct threads *t, size_t i);
struct pass {
    pass_fn *one;
    enum { OVER_ORDER, OVER_NODES, OVER_ROOTS } over;
    void (*before)(struct threads *t);
};

struct threads {
    bool references;
    struct node *nodes; /* [0] is nobody */
    size_t n, room, messages, dummies;
    struct table ids, subjects;
    struct merge_sort sort;
    bool sorting, sorted;
    const struct dated *order;
    uint32_t *roots;
    size_t root_count;
    size_t pass, at; /* where the work goes on */
    size_t root;     /* where the writing goes on: this root ... */
    uint32_t told;   /* ... and what was written last in it */
};

/* ---- tables ---- */

static size_t place(const struct table *t, uint64_t key, size_t size)
{
    uint64_t h = (key ^ t->seed) * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (size_t)(h ^ h >> 32) & (size - 1);
}

static struct slot *slot_of(const struct table *t, struct slot *slots, size_t size, uint64_t key)
{
    size_t i = place(t, key, size);

    while (slots[i].key != 0 && slots[i].key != key)
        i = (i + 1) & (size - 1);
    return &slots[i];
}

static struct slot *find_slot(const struct table *t, uint64_t key)
{
    return slot_of(t, t->slots, t->size, key);
}

static void grow(struct table *t)
{
    t->old = t->slots;
    t->moved = 0;
    t->size = t->size ? t->size * 2 : 1024;
    t->slots = xcalloc(t->size, sizeof *t->slots);
    if (t->old == NULL)
        random_bytes(&t->seed, sizeof t->seed);
}

/* Four slots for each one that is put: all of them before half of the new size is used. */
static void move_some(struct table *t)
{
    enum { A_STEP = 4 };

    for (size_t end = t->moved + A_STEP; t->moved < end && t->moved < t->size / 2; t->moved++) {
        const struct slot *from = &t->old[t->moved];
        struct slot *to = from->key != 0 ? find_slot(t, from->key) : NULL;

        if (to != NULL && to->key == 0) /* else it was put again meanwhile */
            *to = *from;
    }
    if (t->moved < t->size / 2)
        return;
    free(t->old);
    t->old = NULL;
}

/* The node of a key, or 0; to be set there with put. */
static uint32_t get(const struct table *t, uint64_t key)
{
    const struct slot *s = t->size ? find_slot(t, key) : NULL;

    if (s != NULL && s->key == 0 && t->old != NULL)
        s = slot_of(t, t->old, t->size / 2, key);
    return s != NULL ? s->node : 0;
}

static void put(struct table *t, uint64_t key, uint32_t node)
{
    if (t->count * 2 >= t->size)
        grow(t);
    t->count += get(t, key) == 0;
    *find_slot(t, key) = (struct slot){key, node};
    if (t->old != NULL)
        move_some(t);
}

/* ---- life ---- */

static uint32_t add_node(struct threads *t)
{
    if (t->n == t->room) {
        t->room *= 2;
        t->nodes = xrealloc(t->nodes, t->room * sizeof *t->nodes);
    }
    t->nodes[t->n] = (struct node){0};
    return (uint32_t)t->n++;
}

struct threads *threads_new(bool references)
{
    struct threads *t = xcalloc(1, sizeof *t);

    t->references = references;
    t->room = 256;
    t->nodes = xcalloc(t->room, sizeof *t->nodes);
    (void)add_node(t);
    return t;
}

size_t threads_memory(const struct threads *t)
{
    return t->room * sizeof *t->nodes + (t->ids.size + t->ids.size / 2 + t->subjects.size + t->subjects.size / 2) * sizeof *t->ids.slots + t->messages * (2 * sizeof *t->order + sizeof *t->roots);
}

void threads_free(struct threads *t)
{
    if (t == NULL)
        return;
    free(t->nodes);
    free(t->ids.slots);
    free(t->ids.old);
    free(t->subjects.slots);
    free(t->subjects.old);
    free(t->roots);
    merge_sort_clear(&t->sort);
    free(t);
}

/* ---- step 1: links by references ---- */

static bool is_at_or_above(const struct threads *t, uint32_t above, uint32_t below)
{
    if (!t->nodes[above].is_parent)
        return above == below;
    for (uint32_t i = below; i != 0; i = t->nodes[i].parent)
        if (i == above)
            return true;
    return false;
}

static void link_child(struct threads *t, uint32_t parent, uint32_t child)
{
    if (is_at_or_above(t, child, parent))
        return;
    t->nodes[child].parent = parent;
    t->nodes[parent].is_parent = true;
}

/* Whom a reference means; 0: nobody can be made any more. */
static uint32_t referred(struct threads *t, uint64_t id)
{
    uint32_t node = get(&t->ids, id);

    if (node != 0 || t->dummies >= THREADS_DUMMIES_MAX)
        return node;
    t->dummies++;
    node = add_node(t);
    put(&t->ids, id, node);
    return node;
}

/* The node of a message: the dummy that waited for it, or a new one, without a name if another has it already. */
static uint32_t own_node(struct threads *t, uint64_t id)
{
    uint32_t node = id && t->references ? get(&t->ids, id) : 0;

    if (node != 0 && t->nodes[node].uid == 0) {
        t->dummies--;
        return node;
    }
    if (node != 0 || id == 0 || !t->references)
        return add_node(t);
    node = add_node(t);
    put(&t->ids, id, node);
    return node;
}

static uint64_t ref_at(struct str refs, size_t i)
{
    uint64_t ref;

    memcpy(&ref, refs.p + i * sizeof ref, sizeof ref);
    return ref;
}

static void link_references(struct threads *t, uint32_t self, struct str refs)
{
    uint32_t last = 0;

    for (size_t i = 1; i < refs.n / sizeof(uint64_t); i++) {
        uint64_t id = ref_at(refs, i);
        uint32_t node = id ? referred(t, id) : 0;

        if (node == 0)
            continue;
        if (last != 0 && t->nodes[node].parent == 0)
            link_child(t, last, node);
        last = node;
    }
    t->nodes[self].parent = 0;
    if (last != 0)
        link_child(t, last, self);
}

bool threads_add(struct threads *t, const struct thread_message *m)
{
    uint32_t self;
    struct node *n;

    if (t->messages >= THREADS_MESSAGES_MAX)
        return false;
    t->messages++;
    self = own_node(t, m->refs.n >= sizeof(uint64_t) ? ref_at(m->refs, 0) : 0);
    n = &t->nodes[self];
    n->uid = m->uid;
    n->sent = m->sent;
    n->subject = m->subject;
    n->reply = m->reply;
    if (t->references)
        link_references(t, self, m->refs);
    return true;
}

/* ---- sorting ---- */

static int by_date(const void *a, const void *b, void *arg)
{
    const struct dated *x = a, *y = b;

    (void)arg;
    if (x->sent != y->sent)
        return x->sent < y->sent ? -1 : 1;
    return (x->uid > y->uid) - (x->uid < y->uid);
}

static void begin_sorting(struct threads *t)
{
    struct dated *order = xcalloc(t->messages + 1, sizeof *order);
    size_t n = 0;

    for (size_t i = 1; i < t->n; i++)
        if (t->nodes[i].uid != 0)
            order[n++] = (struct dated){t->nodes[i].sent, t->nodes[i].uid, (uint32_t)i};
    merge_sort_begin(&t->sort, order, n, sizeof *order, by_date, NULL);
    t->sorting = true;
}

/* ---- passes ---- */

static bool is_dummy(const struct threads *t, uint32_t node)
{
    return t->nodes[node].uid == 0;
}

/* A parent that is a dummy merged with another one is that. */
static uint32_t parent_of(const struct threads *t, uint32_t node)
{
    uint32_t parent = t->nodes[node].parent;

    return parent != 0 && is_dummy(t, parent) && t->nodes[parent].parent != 0 ? t->nodes[parent].parent : parent;
}

/* Step 3: the nearest real ancestor, or the topmost dummy; dummies on the way lead there at once from then on. */
static void prune(struct threads *t, size_t i)
{
    struct node *nodes = t->nodes;
    uint32_t top = nodes[i].parent;

    if (nodes[i].uid == 0)
        return;
    while (top != 0 && is_dummy(t, top) && nodes[top].parent != 0)
        top = nodes[top].parent;
    for (uint32_t at = (uint32_t)i, up; (up = nodes[at].parent) != top; at = up)
        nodes[at].parent = top;
    if (top != 0 && is_dummy(t, top))
        nodes[top].children++;
}

/* Step 3: a dummy under the root with one child gives way to it. */
static void unwrap(struct threads *t, size_t i)
{
    struct node *n = &t->nodes[i];

    if (n->uid != 0 && n->parent != 0 && is_dummy(t, n->parent) && t->nodes[n->parent].children == 1)
        n->parent = 0;
}

static void forget_roots(struct threads *t)
{
    for (size_t i = 0; i < t->root_count; i++)
        t->nodes[t->roots[i]].listed = false;
    if (t->roots == NULL)
        t->roots = xcalloc(t->messages + 1, sizeof *t->roots);
    t->root_count = 0;
}

/* Steps 2, 4 and 6: what is under the root, in order. A dummy has the subject of its first child. */
static void list_root(struct threads *t, size_t i)
{
    uint32_t node = t->order[i].node, parent = parent_of(t, node), root = parent ? parent : node;

    if ((parent != 0 && !is_dummy(t, parent)) || t->nodes[root].listed)
        return;
    t->nodes[root].listed = true;
    t->nodes[root].subject = t->nodes[node].subject;
    t->roots[t->root_count++] = root;
}

/* Step 5 B. */
static void enter_subject(struct threads *t, size_t i)
{
    uint32_t root = t->roots[i], known;
    const struct node *n = &t->nodes[root];

    if (n->subject == 0)
        return;
    known = get(&t->subjects, n->subject);
    if (known == 0 || (!is_dummy(t, known) && (is_dummy(t, root) || (t->nodes[known].reply && !n->reply))))
        put(&t->subjects, n->subject, root);
}

/* Step 5 C. */
static void merge_subject(struct threads *t, size_t i)
{
    uint32_t root = t->roots[i], known, both;
    struct node *n = &t->nodes[root];

    if (n->subject == 0 || n->parent != 0)
        return;
    known = get(&t->subjects, n->subject);
    if (known == root)
        return;
    if (is_dummy(t, known) || (n->reply && !t->nodes[known].reply)) {
        n->parent = known;
        return;
    }
    both = add_node(t);
    n = &t->nodes[root];
    n->parent = t->nodes[known].parent = both;
    put(&t->subjects, n->subject, both);
}

/* ORDEREDSUBJECT: under the first of that subject. Empty ones are one subject as well. */
static void group(struct threads *t, size_t i)
{
    uint32_t node = t->order[i].node, first;
    uint64_t subject = t->nodes[node].subject ? t->nodes[node].subject : UINT64_MAX;

    first = get(&t->subjects, subject);
    if (first == 0)
        put(&t->subjects, subject, node);
    else
        t->nodes[node].parent = first;
}

/* Step 6: from the last on, each before its siblings. */
static void hang(struct threads *t, size_t i)
{
    uint32_t node = t->order[t->sort.n - 1 - i].node, parent = parent_of(t, node);

    if (parent == 0)
        return;
    t->nodes[node].next = t->nodes[parent].first;
    t->nodes[parent].first = node;
}

static const struct pass by_references[] = {{prune, OVER_NODES, NULL}, {unwrap, OVER_NODES, NULL},
    {list_root, OVER_ORDER, forget_roots}, {enter_subject, OVER_ROOTS, NULL}, {merge_subject, OVER_ROOTS, NULL},
    {hang, OVER_ORDER, NULL}, {list_root, OVER_ORDER, forget_roots}, {0}};
static const struct pass by_subject[] = {{group, OVER_ORDER, NULL}, {hang, OVER_ORDER, NULL},
    {list_root, OVER_ORDER, forget_roots}, {0}};

static size_t length_of(const struct threads *t, const struct pass *p)
{
    return p->over == OVER_NODES ? t->n : p->over == OVER_ORDER ? t->sort.n : t->root_count;
}

static bool sort_some(struct threads *t, size_t budget)
{
    if (!t->sorting)
        begin_sorting(t);
    else if (!t->sorted)
        t->sorted = merge_sort_go_on(&t->sort, budget);
    t->order = (const struct dated *)(const void *)t->sort.items;
    return t->sorted;
}

bool threads_go_on(struct threads *t, size_t budget)
{
    const struct pass *p = (t->references ? by_references : by_subject) + t->pass;
    size_t end;

    if (!t->sorted)
        return sort_some(t, budget) && p->one == NULL;
    if (p->one == NULL)
        return true;
    if (t->at == 0 && p->before != NULL)
        p->before(t);
    end = length_of(t, p);
    for (; budget > 0 && t->at < end; budget--)
        p->one(t, t->at++);
    if (t->at == end) {
        t->pass++;
        t->at = 0;
    }
    return p[t->at == 0].one == NULL;
}

/* ---- writing ---- */

static bool has_siblings(const struct threads *t, uint32_t node, uint32_t parent)
{
    return t->nodes[parent].first != node || t->nodes[node].next != 0;
}

/* From a message without children up to where the next one hangs, closing what ends; 0: at the end of the thread. */
static uint32_t climb(const struct threads *t, uint32_t node, uint32_t root, struct buf *out)
{
    while (node != root) {
        uint32_t parent = parent_of(t, node);

        if (has_siblings(t, node, parent)) {
            buf_add_char(out, ')');
            if (t->nodes[node].next != 0)
                return t->nodes[node].next;
        }
        node = parent;
    }
    buf_add_char(out, ')');
    return 0;
}

static void write_node(struct threads *t, uint32_t node, struct buf *out, thread_number_fn *number, void *arg)
{
    const struct node *n = &t->nodes[node];

    if (!is_dummy(t, node)) {
        buf_add_number(out, number(arg, n->uid));
        if (n->first != 0)
            buf_add_char(out, ' ');
    }
    t->told = node;
}

bool threads_write(struct threads *t, struct buf *out, thread_number_fn *number, void *arg)
{
    uint32_t node;

    if (t->root == t->root_count)
        return false;
    if (t->told == 0) {
        buf_add_char(out, '(');
        write_node(t, t->roots[t->root], out, number, arg);
        return true;
    }
    node = t->nodes[t->told].first;
    if (node != 0) {
        if (has_siblings(t, node, t->told))
            buf_add_char(out, '(');
    } else {
        node = climb(t, t->told, t->roots[t->root], out);
        if (node != 0)
            buf_add_char(out, '(');
    }
    if (node != 0) {
        write_node(t, node, out, number, arg);
    } else {
        t->told = 0;
        t->root++;
    }
    return true;
}
