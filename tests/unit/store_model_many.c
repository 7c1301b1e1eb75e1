/* Copies, moves and flags of many messages at once, beside the model. See store_model.h. */
#include "store_model.h"

/* A random part of a folder's uids, some beside them that are not there; *n of them. */
static void choose(const struct m_folder *f, uint32_t *uids, size_t *n, size_t most)
{
    uint64_t density = 1 + chance(4);

    *n = 0;
    for (size_t i = 0; i < f->n && *n + 2 <= most; i++) {
        if (chance(density) != 0)
            continue;
        uids[(*n)++] = f->messages[i].uid;
        if (chance(8) == 0 && (i + 1 == f->n || f->messages[i + 1].uid > f->messages[i].uid + 1))
            uids[(*n)++] = f->messages[i].uid + 1;
    }
}

static bool is_one_of(uint32_t uid, const uint32_t *uids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (uids[i] == uid)
            return true;
    return false;
}

/* As the statement does it: all that is there is copied in order, then what was moved is gone. */
static void model_copies(struct m_folder *from, struct m_folder *to, const struct store_copied *copied, size_t count, bool moves)
{
    struct m_folder before = *from;
    size_t c = 0;

    for (size_t i = 0; i < before.n && c < count; i++) {
        if (before.messages[i].uid != copied[c].uid)
            continue;
        assert_int_equal(copied[c++].copy, to->uidnext);
        to->messages[to->n] = before.messages[i];
        to->messages[to->n].modseq = store_modseq(s);
        to->messages[to->n++].uid = (uint32_t)to->uidnext++;
    }
    assert_int_equal(c, count);
    for (size_t i = 0; moves && i < count; i++)
        for (size_t k = 0; k < from->n; k++)
            if (from->messages[k].uid == copied[i].uid) {
                memmove(&from->messages[k], &from->messages[k + 1], (from->n - k - 1) * sizeof from->messages[0]);
                from->n--;
                break;
            }
}

bool copy_many(void)
{
    struct m_folder *from = pick(), *to = pick();
    struct store_copied copied[MESSAGES];
    uint32_t uids[MESSAGES];
    bool moves = chance(2);
    size_t n, count, there = 0;

    choose(from, uids, &n, MESSAGES - to->n);
    if (!store_messages_copy(s, real(from), uids, n, real(to), moves, copied, &count, &err))
        return false;
    for (size_t i = 0; i < from->n; i++)
        there += is_one_of(from->messages[i].uid, uids, n);
    assert_int_equal(count, there);
    model_copies(from, to, copied, count, moves);
    return true;
}

static bool model_flags(struct m_message *m, int how, int64_t flags, size_t keyword)
{
    struct m_message was = *m;

    m->flags = how == STORE_FLAGS_SET ? flags : how == STORE_FLAGS_ADD ? m->flags | flags : m->flags & ~flags;
    if (how == STORE_FLAGS_SET)
        memset(m->keywords, 0, sizeof m->keywords);
    if (keyword < KEYWORDS)
        m->keywords[keyword] = how != STORE_FLAGS_REMOVE;
    if (m->flags == was.flags && memcmp(m->keywords, was.keywords, sizeof was.keywords) == 0)
        return false;
    m->modseq = store_modseq(s);
    return true;
}

static bool flag_with(struct m_folder *f, struct store_flagging *what, size_t keyword)
{
    uint32_t uids[MESSAGES];
    size_t n;
    bool done;

    choose(f, uids, &n, MESSAGES);
    done = store_messages_flag(s, real(f), uids, n, what, &err);
    for (size_t i = 0; i < f->n && done; i++) {
        struct m_message *m = &f->messages[i];
        bool wanted = is_one_of(m->uid, uids, n), refused = wanted && what->unchanged_since >= 0 && m->modseq > what->unchanged_since;

        assert_int_equal(uid_set_has(what->refused, m->uid), refused);
        assert_int_equal(uid_set_has(what->changed, m->uid),
            wanted && !refused && model_flags(m, (int)what->how, what->flags & 0xff, keyword));
    }
    return done;
}

bool flag_many(void)
{
    struct m_folder *f = pick();
    struct uid_set changed = {0}, refused = {0};
    struct store_flagging what = {.how = (enum store_flags_how)chance(3), .flags = 1 << chance(5), .unchanged_since = -1, .changed = &changed,
        .refused = &refused};
    size_t keyword = chance(3) == 0 ? chance(KEYWORDS) : KEYWORDS;
    struct buf more;
    char name[20];
    int slot = -1;
    bool done = true;

    buf_init(&more, 1000);
    snprintf(name, sizeof name, "Word%zu", keyword);
    if (keyword < KEYWORDS)
        done = store_keyword(s, real(f), str_of(name), true, &slot, &err);
    if (slot >= 0)
        store_set_keyword(&what.flags, &more, slot, true);
    what.more = buf_str(&more);
    if (chance(3) == 0)
        what.unchanged_since = highest_modseq - (int64_t)chance(20);
    done = done && flag_with(f, &what, keyword);
    buf_clear(&more);
    uid_set_clear(&changed);
    uid_set_clear(&refused);
    return done;
}
