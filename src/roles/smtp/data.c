/* Lines are found with memchr, and runs of lines go to the sink as one view: nothing is done byte by
 * byte except at the few places where a block of input begins or ends inside CRLF or a dot. */
#include "data.h"

#include <string.h>

struct run {
    struct data_reader *r;
    data_sink *sink;
    void *to;
    const char *from; /* content not yet passed on starts here */
};

void data_begin(struct data_reader *r, bool dots, bool binary, uint64_t most)
{
    *r = (struct data_reader){.dots = dots, .binary = binary, .most = most};
}

static void blame(struct data_reader *r, enum data_fault fault)
{
    if (r->fault == DATA_FINE)
        r->fault = fault;
}

/* Passes on what lies between run->from and `end`. */
static void emit(struct run *run, const char *end)
{
    struct data_reader *r = run->r;
    struct str content = str_from(run->from, (size_t)(end - run->from));

    run->from = end;
    if (content.n == 0)
        return;
    r->total += content.n;
    if (r->total > r->most)
        blame(r, DATA_TOO_BIG);
    if (!r->binary && memchr(content.p, 0, content.n) != NULL)
        blame(r, DATA_NUL);
    if (r->fault == DATA_FINE)
        run->sink(run->to, content);
}

static void count_line(struct data_reader *r, size_t n)
{
    r->line += n;
    if (r->line > DATA_LINE_MAX)
        blame(r, DATA_LONG_LINE);
}

/* At the start of a line; p < end. Skips a stuffed dot. */
static const char *line_start(struct run *run, const char *p)
{
    struct data_reader *r = run->r;

    r->line = 0;
    if (!r->dots || *p != '.') {
        r->place = DATA_IN_LINE;
        return p;
    }
    emit(run, p);
    run->from = ++p; /* the dot itself is never content, unless more of them follow */
    r->place = DATA_AFTER_DOT;
    return p;
}

/* The rest of a line, or as much of it as there is. The window keeps a block full of bare CRs or LFs
 * from being searched to its end again and again. */
static const char *in_line(struct data_reader *r, const char *p, const char *block_end)
{
    const char *end = block_end - p > DATA_LINE_MAX ? p + DATA_LINE_MAX : block_end;
    const char *lf = memchr(p, '\n', (size_t)(end - p));
    const char *stop = lf != NULL ? lf : end;
    const char *cr = memchr(p, '\r', (size_t)(stop - p));

    if (cr != NULL) {
        count_line(r, (size_t)(cr - p) + 1);
        r->place = DATA_AFTER_CR;
        return cr + 1;
    }
    count_line(r, (size_t)(stop - p));
    if (lf == NULL)
        return end;
    blame(r, DATA_BARE_LF);
    count_line(r, 1);
    return lf + 1; /* not the start of a line: a dot here means nothing */
}

static const char *after_cr(struct data_reader *r, const char *p)
{
    if (*p == '\n') {
        count_line(r, 1);
        r->place = DATA_LINE_START;
        return p + 1;
    }
    blame(r, DATA_BARE_CR);
    r->place = DATA_IN_LINE;
    return p;
}

static const char *after_dot(struct data_reader *r, const char *p)
{
    if (*p == '\r') {
        r->place = DATA_AFTER_DOT_CR;
        return p + 1;
    }
    r->place = DATA_IN_LINE;
    return p;
}

/* CRLF "." CR so far: with LF the end; anything else is a bare CR inside a line. */
static const char *after_dot_cr(struct run *run, const char *p)
{
    struct data_reader *r = run->r;

    if (*p == '\n') {
        r->done = true;
        run->from = p + 1; /* the CR is not content */
        return p + 1;
    }
    blame(r, DATA_BARE_CR);
    r->place = *p == '\r' ? DATA_AFTER_CR : DATA_IN_LINE;
    return *p == '\r' ? p + 1 : p;
}

static const char *step(struct run *run, const char *p, const char *end)
{
    switch (run->r->place) {
    case DATA_LINE_START:
        return line_start(run, p);
    case DATA_IN_LINE:
        return in_line(run->r, p, end);
    case DATA_AFTER_CR:
        return after_cr(run->r, p);
    case DATA_AFTER_DOT:
        return after_dot(run->r, p);
    case DATA_AFTER_DOT_CR:
        return after_dot_cr(run, p);
    }
    return end;
}

size_t data_take(struct data_reader *r, struct str bytes, data_sink *sink, void *to)
{
    struct run run = {.r = r, .sink = sink, .to = to, .from = bytes.p};
    const char *p = bytes.p, *end = bytes.p + bytes.n;

    if (bytes.n == 0)
        return 0;
    if (r->binary)
        p = end;
    while (p < end && !r->done)
        p = step(&run, p, end);
    if (!r->done && r->place != DATA_AFTER_DOT_CR)
        emit(&run, p);
    return (size_t)(p - bytes.p);
}

void data_end(struct data_reader *r)
{
    if (!r->binary && r->place == DATA_AFTER_CR)
        blame(r, DATA_BARE_CR);
}
