/* One event of a message as a line of its story. */
#pragma once
#include <stddef.h>
#include <stdio.h>

struct json_t;

/* `last` holds the queue id told last, so that a heading is printed when the message changes. */
void story_print(FILE *out, struct json_t *row, char *last, size_t size);
