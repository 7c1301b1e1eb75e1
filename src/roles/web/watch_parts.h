/* Inside of the daily check: what its files share.
 *
 *   LOAD ---> REST ---> NAMES ---> for each subject: POOLS ---> KEYS ---> LOOK, again and again ---> (GIVE) ---> STORE ---> REST
 *
 * One question to another role is open at a time; its end wakes the timer, which goes on. */
#pragma once
#include "ask.h"
#include "outside/batch.h"
#include "outside/gather.h"
#include "outside/watch.h"
#include "watch.h"

struct event;

enum watch_step { WATCH_LOAD, WATCH_REST, WATCH_NAMES, WATCH_POOLS, WATCH_KEYS, WATCH_LOOK, WATCH_GIVE, WATCH_STORE, WATCH_DROP };
enum { WATCH_SUBJECTS = 10000 };

/* What is known of one: the server (name empty), or a domain. */
struct watch_subject {
    struct link link;
    struct str name, problems; /* owned */
    int64_t at;     /* wall time of its last check; 0: none yet */
    bool local;     /* it is there today */
};

struct watch {
    struct web *web;
    struct event *timer;
    enum watch_step step;
    struct ask *ask;
    bool asked;     /* an ask was put and has ended: `code` is what it came to */
    int code;
    struct list subjects;
    size_t subject_count;
    struct watch_subject *at;     /* being checked */
    struct outside_gather *gather; /* of `at`, and so on */
    struct outside_check *check;
    struct outside_clock clock;
    int64_t deadline; /* monotonic */
    struct outside_batch batch;
    struct buf now, letter;
    size_t changes;
    struct channel *filter; /* has a message of ours */
    uint64_t txn;
};

/* watch_mail.c: the message about changes, to filter. False: not now. */
bool watch_give(struct watch *w, struct str address);
