/* The POP3 machine: life, input and the order of things. See pop3.h. */
#include "pop3_private.h"
#include "base/err.h"

#include <stdlib.h>

enum { COMMANDS_A_RUN = 100, STEPS_A_RUN = 8 };

struct pop3 *pop3_new(const struct pop3_store *store, void *world, unsigned flags)
{
    struct pop3 *p = xcalloc(1, sizeof *p);

    p->store = store;
    p->world = world;
    p->flags = flags;
    p->step = pop3_step_load;
    buf_init(&p->in, POP3_INPUT_MAX);
    buf_init(&p->out, POP3_OUTPUT_MAX);
    return p;
}

void pop3_free(struct pop3 *p)
{
    if (p == NULL)
        return;
    if (p->step == pop3_step_remove && p->at > 0)
        p->store->remove_abort(p->world);
    buf_clear(&p->in);
    buf_clear(&p->out);
    free(p->items);
    free(p);
}

void pop3_set_uidvalidity(struct pop3 *p, uint32_t uidvalidity)
{
    p->uidvalidity = uidvalidity;
}

bool pop3_add(struct pop3 *p, uint32_t uid, uint64_t size, unsigned flags)
{
    if (p->count >= POP3_MESSAGES_MAX)
        return false;
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 64;
        p->items = xrealloc(p->items, p->capacity * sizeof *p->items);
    }
    p->items[p->count++] = (struct pop3_item){
        .uid = uid,
        .size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size,
        .flags = (uint8_t)(flags & POP3_NEEDS_UTF8),
    };
    p->live++;
    p->live_bytes += p->items[p->count - 1].size;
    return true;
}

struct buf *pop3_output(struct pop3 *p)
{
    return &p->out;
}

size_t pop3_taken(struct pop3 *p)
{
    size_t taken = p->taken;

    p->taken = 0;
    return taken;
}

struct pop3_counts pop3_counts(const struct pop3 *p)
{
    struct pop3_counts counts = p->counts;

    counts.left = p->count - counts.deleted;
    return counts;
}

void pop3_say(struct pop3 *p, const char *text)
{
    buf_add(&p->out, str_of(text));
    buf_add(&p->out, STR("\r\n"));
}

void pop3_error(struct pop3 *p, const char *text)
{
    if (++p->errors >= POP3_ERRORS_MAX) {
        pop3_say(p, "-ERR Too many errors, goodbye");
        p->closed = true;
        return;
    }
    pop3_say(p, text);
}

bool pop3_input(struct pop3 *p, struct str bytes)
{
    if (p->closed) {
        p->taken += bytes.n;
        return true;
    }
    if (bytes.n > POP3_INPUT_MAX - p->in.n)
        return false;
    buf_add(&p->in, bytes);
    return true;
}

static void use_input(struct pop3 *p, size_t n)
{
    buf_consume(&p->in, n);
    p->taken += n;
}

/* The input begins with a part of a line that is too long; its end is not there yet. */
static void skip_part(struct pop3 *p)
{
    if (!p->skipping)
        pop3_error(p, "-ERR Line too long");
    p->skipping = true;
    use_input(p, p->in.n);
}

/* Answers the next command. False when no whole line is there. */
static bool next_command(struct pop3 *p)
{
    struct str input = buf_str(&p->in);
    ptrdiff_t end = str_find(input, '\n');
    size_t n = (size_t)(end + 1);
    struct str line;

    if (end < 0) {
        if (input.n >= POP3_LINE_MAX || (p->skipping && input.n > 0))
            skip_part(p);
        return false;
    }
    line = str_sub(input, 0, (size_t)end);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (p->skipping)
        p->skipping = false;
    else if (n > POP3_LINE_MAX)
        pop3_error(p, "-ERR Line too long");
    else
        pop3_command(p, line);
    use_input(p, n);
    return true;
}

enum pop3_next pop3_run(struct pop3 *p)
{
    unsigned commands = 0, steps = 0;

    while (!p->closed) {
        if (p->waits)
            return POP3_WAIT_INPUT;
        if (p->out.n >= POP3_OUTPUT_HIGH)
            return POP3_WAIT_OUTPUT;
        if (commands >= COMMANDS_A_RUN || steps >= STEPS_A_RUN)
            return POP3_AGAIN;
        if (p->step != NULL) {
            p->step(p);
            steps++;
        } else if (next_command(p)) {
            commands++;
        } else {
            return POP3_WAIT_INPUT;
        }
    }
    use_input(p, p->in.n);
    return POP3_CLOSED;
}
