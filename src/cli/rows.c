#include "cli/rows.h"
#include "cli/story.h"
#include "cli/value.h"
#include "base/clock.h"
#include "base/encode.h"

#include <jansson.h>
#include <string.h>

enum { VALUE = 64 * 1024, WIDEST = 60 };

void rows_init(struct rows *rows, enum layout layout, bool json, FILE *out)
{
    *rows = (struct rows){.layout = layout, .json = json, .out = out};
}

/* ---- tables ---- */

static size_t column_of(struct rows *rows, const char *key)
{
    size_t i = 0;

    while (i < rows->column_count && strcmp(rows->columns[i].name, key) != 0)
        i++;
    if (i == rows->column_count && i < ROWS_COLUMNS && strlen(key) < sizeof rows->columns[i].name) {
        snprintf(rows->columns[i].name, sizeof rows->columns[i].name, "%s", key);
        rows->columns[i].number = true;
        rows->columns[i].width = (int)strlen(key);
        rows->column_count++;
    }
    return i;
}

static void measure(struct rows *rows, json_t *row, struct buf *text, int64_t now)
{
    const char *key;
    json_t *value;

    json_object_foreach (row, key, value) {
        size_t i = column_of(rows, key);
        int width;

        buf_reset(text);
        value_format(text, key, value, now);
        width = value_width(buf_str(text));
        if (i >= rows->column_count || width == 0)
            continue;
        rows->columns[i].used = true;
        rows->columns[i].number = rows->columns[i].number && json_is_integer(value);
        if (width > rows->columns[i].width)
            rows->columns[i].width = width > WIDEST ? WIDEST : width;
    }
}

/* Blanks wait for text behind them, so that no line ends with some. */
static void print_cell(struct rows *rows, size_t i, struct str text)
{
    int space = rows->columns[i].width - value_width(text);
    bool number = rows->columns[i].number;

    if (space < 0)
        space = 0;
    if (text.n)
        fprintf(rows->out, "%*s%.*s", rows->blanks + (number ? space : 0), "", STR_ARG(text));
    else
        space += rows->blanks;
    rows->blanks = number && text.n ? 2 : space + 2;
}

static void end_line(struct rows *rows)
{
    rows->blanks = 0;
    fputc('\n', rows->out);
}

static void print_titles(struct rows *rows)
{
    for (size_t i = 0; i < rows->column_count; i++) {
        char title[sizeof rows->columns[i].name];
        size_t n = strlen(rows->columns[i].name);

        if (!rows->columns[i].used)
            continue;
        for (size_t k = 0; k <= n; k++) {
            char c = rows->columns[i].name[k];

            title[k] = c == '_' ? ' ' : c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        }
        print_cell(rows, i, str_of(title));
    }
    end_line(rows);
    rows->titles_done = true;
}

static void print_row(struct rows *rows, json_t *row, struct buf *text, int64_t now)
{
    for (size_t i = 0; i < rows->column_count; i++) {
        if (!rows->columns[i].used)
            continue;
        buf_reset(text);
        value_format(text, rows->columns[i].name, json_object_get(row, rows->columns[i].name), now);
        print_cell(rows, i, buf_str(text));
    }
    end_line(rows);
}

static void print_held(struct rows *rows)
{
    int64_t now = clock_now();
    struct buf text;

    buf_init(&text, VALUE);
    for (size_t i = 0; i < rows->held_count; i++)
        measure(rows, rows->held[i], &text, now);
    if (!rows->titles_done && rows->held_count)
        print_titles(rows);
    for (size_t i = 0; i < rows->held_count; i++) {
        print_row(rows, rows->held[i], &text, now);
        json_decref(rows->held[i]);
    }
    rows->held_count = 0;
    buf_clear(&text);
}

static void add_to_table(struct rows *rows, json_t *row)
{
    rows->held[rows->held_count++] = json_incref(row);
    if (rows->held_count == ROWS_HELD)
        print_held(rows);
}

/* ---- blocks ---- */

static void print_details(struct rows *rows, json_t *row)
{
    int64_t now = clock_now();
    size_t width = 0;
    struct buf text;
    const char *key;
    json_t *value;

    buf_init(&text, VALUE);
    json_object_foreach (row, key, value)
        if (strlen(key) > width)
            width = strlen(key);
    if (rows->count > 1)
        fputc('\n', rows->out);
    json_object_foreach (row, key, value) {
        buf_reset(&text);
        value_format_long(&text, key, value, now);
        if (text.n == 0)
            continue;
        fprintf(rows->out, "%s:%*s", key, (int)(width - strlen(key)) + 2, "");
        fwrite(text.p, 1, text.n, rows->out);
        fputc('\n', rows->out);
    }
    buf_clear(&text);
}

/* ---- status ---- */

/* A table for each kind of row, a blank line between. */
static void add_to_status(struct rows *rows, json_t *row)
{
    const char *kind = json_string_value(json_object_get(row, "kind"));
    char now[sizeof rows->last];

    snprintf(now, sizeof now, "%s", kind == NULL ? "" : kind);
    if (strcmp(now, rows->last) != 0) {
        print_held(rows);
        if (rows->last[0])
            fputc('\n', rows->out);
        memset(rows->columns, 0, sizeof rows->columns);
        rows->column_count = 0;
        rows->titles_done = false;
        memcpy(rows->last, now, sizeof now);
    }
    json_object_del(row, "kind");
    add_to_table(rows, row);
}

static void print_text(struct rows *rows, json_t *row)
{
    json_t *text = json_object_get(row, "base64");
    struct buf bytes;

    buf_init(&bytes, VALUE);
    if (json_is_string(text) && base64_decode(&bytes, str_from(json_string_value(text), json_string_length(text))))
        fwrite(bytes.p, 1, bytes.n, rows->out);
    buf_clear(&bytes);
}

bool rows_add(void *owner, struct str json)
{
    struct rows *rows = owner;
    json_t *row;

    rows->count++;
    if (rows->layout == LAYOUT_TABLE && rows->limit > 0 && rows->count > rows->limit)
        return true;
    if (rows->json) {
        fwrite(json.p, 1, json.n, rows->out);
        fputc('\n', rows->out);
        return true;
    }
    row = json_loadb(json.p, json.n, 0, NULL);
    if (row == NULL)
        return true; /* not for people */
    switch (rows->layout) {
    case LAYOUT_TABLE:
        add_to_table(rows, row);
        break;
    case LAYOUT_DETAILS:
        print_details(rows, row);
        break;
    case LAYOUT_STORY:
        story_print(rows->out, row, rows->last, sizeof rows->last);
        break;
    case LAYOUT_STATUS:
        add_to_status(rows, row);
        break;
    case LAYOUT_TEXT:
        print_text(rows, row);
        break;
    }
    json_decref(row);
    return true;
}

void rows_end(struct rows *rows)
{
    print_held(rows);
    fflush(rows->out);
}
