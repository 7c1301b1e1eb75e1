/* The mailbox role: owns the accounts whose number modulo the copies is its own; final delivery and
 * sessions after login. This file is start-up, turns of the loop, and the end. */
#include "base/clock.h"
#include "base/log.h"
#include "box_search.h"
#include "db/db.h"
#include "mailbox.h"
#include "mime/charset.h"
#include "verify.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { OPEN_MOST = 500, FILES_A_BOX = 3, OTHER_FILES = 100, REMEMBER_DAYS = 14,
    FILL_TURN = 3000 /* microseconds */ };

/* ---- turns ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* it only wakes the loop: the work is done in on_turn */
}

static void wake_after(struct mailbox *mb, int64_t within)
{
    struct timeval when = {within / SECOND, within % SECOND};

    if (within <= 0)
        event_active(mb->timer, EV_TIMEOUT, 0);
    else
        evtimer_add(mb->timer, &when);
}

static void check_drain(struct role *role, struct mailbox *mb)
{
    if (mb->drain_until == 0)
        return;
    if (sessions_count(mb->sessions) > 0 || deliveries_open(mb->deliveries) > 0) {
        if (clock_monotonic() < mb->drain_until)
            return;
        log_warning("drain", "sessions=%zu deliveries=%zu reason=the time is over",
            sessions_count(mb->sessions), deliveries_open(mb->deliveries));
    }
    boxes_finish(mb->boxes);
    role_exit(role);
}

static void on_turn(struct role *role)
{
    struct mailbox *mb = mailbox_of(role);
    bool busy = sessions_ready(mb->sessions), again = sessions_run(mb->sessions);
    int64_t now = clock_monotonic(), due = boxes_due(mb->boxes);

    if (busy || due != INT64_MAX)
        boxes_are_busy(mb->boxes);
    if (due <= now || (!again && boxes_may_hurry(mb->boxes, &again)))
        again |= !boxes_flush(mb->boxes) || boxes_wants_sweep(mb->boxes);
    else
        again |= boxes_sweep(mb->boxes);
    again |= sessions_ready(mb->sessions); /* a flush has woken some */
    if (!again && boxes_fill_due(mb->boxes) <= clock_monotonic())
        boxes_fill(mb->boxes, FILL_TURN);
    if (mb->tidy_at <= now)
        mb->tidy_at = boxes_tidy(mb->boxes);
    check_drain(role, mb);
    due = boxes_due(mb->boxes);
    if (boxes_fill_due(mb->boxes) < due)
        due = boxes_fill_due(mb->boxes);
    if (sessions_due(mb->sessions) < due)
        due = sessions_due(mb->sessions);
    if (mb->drain_until != 0 && mb->drain_until < due)
        due = mb->drain_until;
    if (boxes_open(mb->boxes) > 0 && mb->tidy_at < due)
        due = mb->tidy_at;
    if (again)
        wake_after(mb, 0);
    else if (due != INT64_MAX)
        wake_after(mb, due - clock_monotonic());
}

/* ---- start and end ---- */

static int64_t remember_for(const struct config *config)
{
    int64_t lifetime = config->queue.lifetime;

    if (config->queue.bounce_lifetime > lifetime)
        lifetime = config->queue.bounce_lifetime;
    return lifetime + REMEMBER_DAYS * DAY;
}

static void on_reload(struct role *role)
{
    const struct config *config = role_config(role);

    boxes_set_keep(mailbox_of(role)->boxes, remember_for(config));
    boxes_set_index_from(mailbox_of(role)->boxes, config->limits.search_index_from);
}

/* New deliveries are not refused: the queue drains before us and its last results should count. */
static void on_drain(struct role *role, int64_t within)
{
    struct mailbox *mb = mailbox_of(role);

    mb->drain_until = clock_monotonic() + within - within / 10;
    wake_after(mb, 0);
}

/* How many databases the limit of open files allows. */
static size_t open_most(void)
{
    struct rlimit files;
    size_t most = OPEN_MOST;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 100;
    if (files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0 && getrlimit(RLIMIT_NOFILE, &files) != 0)
            return 100;
    }
    if (files.rlim_cur < most * FILES_A_BOX + OTHER_FILES)
        most = files.rlim_cur > OTHER_FILES * 2 ? (size_t)(files.rlim_cur - OTHER_FILES) / FILES_A_BOX : 20;
    return most;
}

static struct boxes *open_boxes(struct role *role)
{
    struct buf folder;
    struct boxes *boxes;

    buf_init(&folder, 4096);
    buf_addf(&folder, "%.*s/mailbox", STR_ARG(role_config(role)->data));
    if (folder.failed)
        fatal("the name of the data folder is too long");
    boxes = boxes_new(buf_str(&folder), role_copy(role), open_most(), remember_for(role_config(role)));
    boxes_set_index_from(boxes, role_config(role)->limits.search_index_from);
    boxes_use_log(boxes, role_copy(role), role_copies(role));
    buf_clear(&folder);
    return boxes;
}

static void on_verify(struct role *role, struct verification *v)
{
    deliveries_verify(mailbox_of(role)->deliveries, v);
}

static const struct role_type mailbox_role = {
    .id = ROLE_MAILBOX,
    .handlers = &mailbox_handlers,
    .sandbox = SANDBOX_FILES,
    .peer_up = mailbox_peer_up,
    .peer_gone = mailbox_peer_gone,
    .reload = on_reload,
    .drain = on_drain,
    .verify = on_verify,
    .turn = on_turn,
};

static int serve(int argc, char **argv)
{
    struct role *role = role_begin(&mailbox_role, argc, argv);
    struct mailbox mb = {0};
    int code;

    db_exclude_others();
    mb.boxes = open_boxes(role);
    mb.accounts = accounts_new(role);
    mb.deliveries = deliveries_new(role, mb.boxes, mb.accounts);
    mb.sessions = sessions_new(role, mb.boxes, mb.accounts);
    mb.timer = evtimer_new(role_base(role), on_timer, NULL);
    role_set_state(role, &mb);
    charset_prepare(); /* their files cannot be opened afterwards */
    role_sandbox(role);
    code = role_run(role);
    sessions_free(mb.sessions);
    boxes_finish(mb.boxes);
    deliveries_free(mb.deliveries);
    accounts_free(mb.accounts);
    boxes_free(mb.boxes);
    event_free(mb.timer);
    return code;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--verify") == 0)
        return verify_run(argv[2]);
    return serve(argc, argv);
}
