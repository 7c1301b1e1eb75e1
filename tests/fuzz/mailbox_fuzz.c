/* The mailbox role fed with frames of any sender: u16 length, one byte for the sender and what to do
 * after it (run the sessions, flush, a peer goes; the disk fails, a channel is away), then the frame.
 * What it says must stay bounded, and its databases sound. */
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "roles/mailbox/mailbox.h"
#include "../unit/fault_vfs.h"
#include "../unit/mailbox_world.h"
#include "../unit/scratch.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ACCOUNTS = 4, MESSAGES_MOST = 200 };

static char folder[SCRATCH_MAX];
static struct mailbox mb;
static struct channel *world_queue_was, *world_access_was;

static void at_exit(void)
{
    scratch_remove(folder);
}

static void start(void)
{
    world_open();
    mb.boxes = boxes_new(str_of(folder), 0, 2, DAY);
    boxes_use_log(mb.boxes, 0, 1);
    mb.accounts = accounts_new(NULL);
    mb.deliveries = deliveries_new(NULL, mb.boxes, mb.accounts);
    mb.sessions = sessions_new(NULL, mb.boxes, mb.accounts);
    world_state = &mb;
    world_queue_was = world_queue;
    world_access_was = world_access;
}

static void check_accounts(void)
{
    struct err err = {0};

    fault_at(0, false);
    boxes_finish(mb.boxes);
    for (int64_t account = 1; account <= ACCOUNTS; account++) {
        struct box *box = boxes_enter_existing(mb.boxes, account, &err);

        if (box == NULL)
            continue;
        if (!store_check(box->store, &err)) {
            fprintf(stderr, "account %d: %s\n", (int)account, err.text);
            abort();
        }
        box_leave(box);
    }
}

static void stop(void)
{
    sessions_free(mb.sessions);
    check_accounts();
    mailbox_peer_gone(NULL, world_directory); /* commands that wait for its word end */
    deliveries_free(mb.deliveries);
    accounts_free(mb.accounts);
    boxes_free(mb.boxes);
    world_close();
    scratch_empty(folder);
}

static struct channel *sender_of(unsigned choice)
{
    struct channel *senders[] = {world_queue, world_directory, world_access, world_web};

    return senders[choice % 4];
}

static void dispatch(struct channel *from, struct str frame)
{
    const char *why = NULL;

    if (from != NULL)
        (void)ipc_dispatch(NULL, from, channel_role(from), ROLE_MAILBOX, &mailbox_handlers, frame, &why);
}

static void act(unsigned choice)
{
    struct channel *queue = world_queue, *access = world_access;

    switch (choice) {
    case 1:
        (void)sessions_run(mb.sessions);
        break;
    case 2:
        boxes_finish(mb.boxes);
        break;
    case 3:
        (void)boxes_sweep(mb.boxes);
        break;
    case 4:
        if (queue != NULL)
            mailbox_peer_gone(NULL, queue);
        break;
    case 5:
        if (access != NULL)
            mailbox_peer_gone(NULL, access);
        break;
    case 6:
        mailbox_peer_gone(NULL, world_directory);
        break;
    default:
        break;
    }
}

/* What happens around the role, before the frame comes. */
static void happen(unsigned choice, unsigned n)
{
    switch (choice) {
    case 1:
        world_queue = world_queue_was;
        break;
    case 2:
        world_queue = NULL;
        break;
    case 3:
        fault_at(1 + (int)n % 32, false);
        break;
    case 4:
        fault_at(1 + (int)n % 32, true);
        break;
    case 5:
        fault_at(0, false);
        break;
    case 6:
        mailbox_peer_up(NULL, world_directory);
        break;
    case 7:
        world_access = world_access == NULL ? world_access_was : NULL;
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    static bool ready;

    if (!ready) {
        scratch_make(folder, "mailbox_fuzz");
        ready = true;
        db_exclude_others();
        fault_install();
        log_set(LOG_LEVEL_ERROR, false);
        atexit(at_exit);
    }
    start();
    for (int i = 0; i < MESSAGES_MOST && input.n >= 3; i++) {
        size_t n = (size_t)(unsigned char)input.p[0] | (size_t)(unsigned char)input.p[1] << 8;
        unsigned choice = (unsigned char)input.p[2];

        happen(choice >> 5, (unsigned)n);
        dispatch(sender_of(choice & 3), str_sub(str_skip(input, 3), 0, n));
        act(choice >> 2 & 7);
        input = str_skip(input, 3 + n);
        buf_reset(&world_said);
    }
    stop();
    return 0;
}
