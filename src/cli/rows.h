/* Rows for people: aligned tables, blocks of details, stories; or JSON as it came. What other hosts
 * said is shown with its control bytes replaced, so that it cannot drive a terminal. */
#pragma once
#include "cli/verb.h"

#include <stdio.h>

enum { ROWS_COLUMNS = 40, ROWS_HELD = 200 };

struct json_t;

struct rows {
    enum layout layout;
    bool json;
    FILE *out;
    /* A table waits for its first rows to know how wide its columns are. */
    struct json_t *held[ROWS_HELD];
    size_t held_count, count;
    uint64_t limit; /* of a table, over all queue shards together; 0 for none */
    struct {
        char name[32];
        int width;
        bool number, used;
    } columns[ROWS_COLUMNS];
    size_t column_count;
    int blanks; /* to be written before more text of this line */
    bool titles_done;
    char last[64]; /* story: the message told last; status: the kind of the last row */
};

void rows_init(struct rows *rows, enum layout layout, bool json, FILE *out);
/* A remote_row_fn. */
bool rows_add(void *rows, struct str json);
void rows_end(struct rows *rows);
