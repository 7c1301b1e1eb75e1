/* Commands over the channel: each is a job that sends one page of rows, then waits to be asked for
 * more. A job keeps its words and the last name it showed, nothing else; what a peer leaves behind
 * is dropped with its channel. */
#include "directory.h"

#include "base/log.h"
#include "command.h"
#include "smtp/address.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>

enum { JOBS_MAX = 200 };

struct job {
    struct link link;
    struct channel *channel;
    uint64_t id;
    struct str object, args; /* owned */
    struct name after, after2;
    int64_t sent;
    int rows; /* of this page */
    struct event *again;
    struct dkim_look *look; /* `dkim check`: what it waits for */
    bool asked_dns;
    struct directory *d;
};

struct answer_to {
    struct directory *d;
    struct channel *channel;
    uint64_t id;
};

void control_open(struct directory *d)
{
    list_init(&d->jobs);
}

static void drop(struct job *job)
{
    list_remove(&job->link);
    dkim_look_cancel(job->look);
    if (job->again != NULL)
        event_free(job->again);
    str_free(&job->object);
    str_free(&job->args);
    free(job);
}

void control_peer_gone(struct directory *d, struct channel *c)
{
    LIST_EACH(&d->jobs, it)
    if (CONTAINER(it, struct job, link)->channel == c)
        drop(CONTAINER(it, struct job, link));
}

static void send_row(void *arg, struct str json)
{
    const struct answer_to *to = arg;

    ipc_send_control_row(to->channel, &(struct msg_control_row){to->id, json});
}

static void account_changed(void *arg, int64_t account, bool removed)
{
    const struct answer_to *to = arg;

    answers_account_changed(to->d, account, removed);
}

static void pools_changed(void *arg)
{
    const struct answer_to *to = arg;

    answers_pools_changed(to->d);
}

/* True while there is more to show. */
static bool run_once(struct directory *d, struct job *job)
{
    struct answer_to to = {d, job->channel, job->id};
    struct command_world world = {&to, send_row, account_changed, pools_changed};
    struct command c = {.store = &d->store,
        .lookup = &d->lookup,
        .world = &world,
        .object = job->object,
        .args = job->args,
        .after = job->after,
        .after2 = job->after2,
        .sent = job->sent,
        .room = CONTROL_ROWS - job->rows,
        .asked_dns = job->asked_dns};
    struct buf text;
    int code;

    buf_init(&text, IPC_TEXT);
    c.text = &text;
    code = command_run(&c);
    job->after = c.after;
    job->after2 = c.after2;
    job->rows += (int)(c.sent - job->sent);
    job->sent = c.sent;
    if (code == 0 && str_eq(job->object, STR("domain")))
        dkim_watch_soon(d);
    if (!c.more)
        ipc_send_control_done(
            job->channel, &(struct msg_control_done){job->id, (uint64_t)code, buf_str(&text)});
    buf_clear(&text);
    return c.more;
}

static void on_again(evutil_socket_t fd, short what, void *arg);

/* One look at a part of a list. A page that is not full goes on in a later turn of the loop, so
 * that a search through many names holds nobody up; a full one waits until the peer asks for more.
 */
static void run(struct directory *d, struct job *job)
{
    struct timeval now = {0, 0};

    if (!run_once(d, job)) {
        drop(job);
        return;
    }
    if (job->rows >= CONTROL_ROWS)
        return;
    if (job->again == NULL)
        job->again = evtimer_new(role_base(d->role), on_again, job);
    if (job->again == NULL || evtimer_add(job->again, &now) != 0)
        fatal("control: no timer");
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    struct job *job = arg;

    (void)fd;
    (void)what;
    run(job->d, job);
}

static void on_looked(void *arg)
{
    struct job *job = arg;

    job->look = NULL;
    job->asked_dns = true;
    run(job->d, job);
}

/* `dkim check` asks DNS before it says what is there. */
static void begin(struct directory *d, struct job *job)
{
    const char *why;
    struct buf domain;

    buf_init(&domain, IPC_NAME);
    if (str_eq(job->object, STR("dkim")) && str_eq(args_word(job->args, 0), STR("check")) &&
        domain_write(args_word(job->args, 1), &domain, &why) && !domain.failed)
        job->look = dkim_look_start(d, buf_str(&domain), on_looked, job);
    buf_clear(&domain);
    if (job->look == NULL)
        run(d, job);
}

/* Who did what, without the options: one of them may be a password. */
static void log_command(const struct msg_control_ask *m)
{
    log_info("command", "uid=%" PRIu64 " command=%.*s verb=%.*s name=%.*s", m->uid,
        STR_ARG(m->command), STR_ARG(args_word(m->args, 0)), STR_ARG(args_word(m->args, 1)));
}

void on_control_ask(struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    struct directory *d = role_state(role);
    struct job *job;
    size_t n = 0;

    LIST_EACH(&d->jobs, it)
    n++;
    if (role_copy(role) != 0 || n >= JOBS_MAX) {
        ipc_send_control_done(
            from, &(struct msg_control_done){m->id, EX_TEMPFAIL,
                      role_copy(role) != 0 ? STR("commands are for the first copy of directory")
                                           : STR("too many commands at once, try again")});
        return;
    }
    if (role_peers(role, ROLE_SMTP) > 0) /* a command without a server answers on the terminal */
        log_command(m);
    job = xcalloc(1, sizeof *job);
    job->d = d;
    job->channel = from;
    job->id = m->id;
    job->object = str_dup(m->command);
    job->args = str_dup(m->args);
    list_add_last(&d->jobs, &job->link);
    begin(d, job);
}

static struct job *find(struct directory *d, struct channel *from, uint64_t id)
{
    LIST_EACH(&d->jobs, it)
    {
        struct job *job = CONTAINER(it, struct job, link);

        if (job->channel == from && job->id == id)
            return job;
    }
    return NULL;
}

void on_control_more(struct role *role, struct channel *from, const struct msg_control_more *m)
{
    struct job *job = find(role_state(role), from, m->id);

    if (job == NULL || job->rows < CONTROL_ROWS)
        return;
    job->rows = 0;
    run(role_state(role), job);
}

void on_control_cancel(struct role *role, struct channel *from, const struct msg_control_cancel *m)
{
    struct job *job = find(role_state(role), from, m->id);

    if (job != NULL)
        drop(job);
}
