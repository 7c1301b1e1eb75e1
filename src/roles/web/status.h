/* `staffetta status`: processes, listeners and the numbers that tell how the server is doing, as rows. */
#pragma once
#include "web.h"

struct status;

/* Rows come once every role has answered or its time is over; then done(), and the status is freed. */
struct status *status_new(struct web *web, void (*row)(void *owner, struct str json), void (*done)(void *owner),
    void *owner);
void status_cancel(struct status *s);
