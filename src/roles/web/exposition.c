#include "exposition.h"
#include "base/err.h"
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

/* A metric with all its samples. */
struct family {
    struct map_node node;
    struct link link;
    struct str name, help, type;
    struct buf samples;
};

struct exposition {
    struct map by_name;
    struct list families; /* in the order they came */
    size_t ceiling, used;
    bool cut;
};

struct exposition *exposition_new(size_t ceiling)
{
    struct exposition *e = xcalloc(1, sizeof *e);

    map_init(&e->by_name);
    list_init(&e->families);
    e->ceiling = ceiling;
    return e;
}

void exposition_free(struct exposition *e)
{
    LIST_EACH(&e->families, it) {
        struct family *f = CONTAINER(it, struct family, link);

        str_free(&f->name);
        str_free(&f->help);
        str_free(&f->type);
        buf_clear(&f->samples);
        free(f);
    }
    map_clear(&e->by_name);
    free(e);
}

static struct family *find(const struct exposition *e, struct str name)
{
    struct map_node *n = map_find(&e->by_name, map_hash_str(name));

    for (; n != NULL; n = map_find_next(n)) {
        struct family *f = CONTAINER(n, struct family, node);

        if (str_eq(f->name, name))
            return f;
    }
    return NULL;
}

static struct family *family_of(struct exposition *e, struct str name)
{
    struct family *f = find(e, name);

    if (f != NULL)
        return f;
    f = xcalloc(1, sizeof *f);
    f->name = str_dup(name);
    buf_init(&f->samples, e->ceiling);
    map_add(&e->by_name, &f->node, map_hash_str(name));
    list_add_last(&e->families, &f->link);
    return f;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_alnum(s.p[i]) && s.p[i] != '_' && s.p[i] != ':')
            return false;
    return s.n > 0 && !ascii_is_digit(s.p[0]);
}

static bool fits(struct exposition *e, size_t n)
{
    if (e->used + n > e->ceiling)
        e->cut = true;
    else
        e->used += n;
    return !e->cut;
}

/* "# HELP name words" and "# TYPE name word". */
static struct family *add_comment(struct exposition *e, struct str line, struct family *last)
{
    struct str rest = line, word, keyword, name;
    struct family *f;
    struct str *target;

    if (!str_next_word(&rest, &word) || !str_next_word(&rest, &keyword) || !str_next_word(&rest, &name) ||
        !is_name(name))
        return last;
    f = family_of(e, name);
    if (!str_eq(keyword, STR("HELP")) && !str_eq(keyword, STR("TYPE")))
        return f;
    target = str_eq(keyword, STR("HELP")) ? &f->help : &f->type;
    if (target->p == NULL && fits(e, line.n + 1))
        *target = str_dup(line);
    return f;
}

static struct str sample_name(struct str line)
{
    size_t n = 0;

    while (n < line.n && line.p[n] != '{' && line.p[n] != ' ')
        n++;
    return str_sub(line, 0, n);
}

/* A histogram's samples are named after it: name_bucket, name_sum, name_count. */
static void add_sample(struct exposition *e, struct str line, struct family *last)
{
    struct str name = sample_name(line);

    if (!is_name(name) || !fits(e, line.n + 1))
        return;
    if (last == NULL || !str_starts(name, last->name))
        last = family_of(e, name);
    buf_add(&last->samples, line);
    buf_add_char(&last->samples, '\n');
}

void exposition_add(struct exposition *e, struct str text)
{
    struct family *last = NULL;
    struct str line;

    while (text.n && str_next(&text, '\n', &line)) {
        if (line.n == 0)
            continue;
        if (line.p[0] == '#')
            last = add_comment(e, line, last);
        else
            add_sample(e, line, last);
    }
}

static void add_line(struct buf *out, struct str line)
{
    if (line.n == 0)
        return;
    buf_add(out, line);
    buf_add_char(out, '\n');
}

bool exposition_write(const struct exposition *e, struct buf *out)
{
    LIST_EACH(&e->families, it) {
        const struct family *f = CONTAINER(it, struct family, link);

        if (f->samples.n == 0)
            continue;
        add_line(out, f->help);
        add_line(out, f->type);
        buf_add(out, buf_str(&f->samples));
    }
    return !e->cut && !out->failed;
}

static bool combine(const struct exposition *e, const char *name, const char *labels, bool largest, int64_t *value)
{
    struct family *f = find(e, str_of(name));
    struct str rest, line;
    bool found = false;
    int64_t one;

    *value = 0;
    if (f == NULL)
        return false;
    rest = buf_str(&f->samples);
    while (rest.n && str_next(&rest, '\n', &line)) {
        ptrdiff_t blank = str_rfind(line, ' ');
        char number[32];

        if (blank < 0 || line.n - (size_t)blank > sizeof number - 1 ||
            (labels != NULL && str_ifind(line, str_of(labels)) < 0))
            continue;
        memcpy(number, line.p + blank + 1, line.n - (size_t)blank - 1);
        number[line.n - (size_t)blank - 1] = 0;
        one = strtoll(number, NULL, 10);
        *value = !largest ? *value + one : !found || one > *value ? one : *value;
        found = true;
    }
    return found;
}

bool exposition_sum(const struct exposition *e, const char *name, const char *labels, int64_t *sum)
{
    return combine(e, name, labels, false, sum);
}

bool exposition_largest(const struct exposition *e, const char *name, const char *labels, int64_t *largest)
{
    return combine(e, name, labels, true, largest);
}
