/* Commands over the channel: each is a job that sends one page of rows, then waits to be asked for more. A job keeps
 * its words and the last name it showed, nothing else; what a peer leaves behind is dropped with its channel. */
#include "directory.h"

#include "base/log.h"
#include "command.h"

#include <inttypes.h>
#include <stdlib.h>

enum { JOBS_MAX = 200 };

struct job {
    struct link link;
    struct channel *channel;
    uint64_t id;
    struct str object, args; /* owned */
    struct name after, after2;
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
static bool run_page(struct directory *d, struct job *job)
{
    struct answer_to to = {d, job->channel, job->id};
    struct command_world world = {&to, send_row, account_changed, pools_changed};
    struct command c = {.store = &d->store, .lookup = &d->lookup, .world = &world, .object = job->object,
        .args = job->args, .after = job->after, .after2 = job->after2};
    struct buf text;
    int code;

    buf_init(&text, IPC_TEXT);
    c.text = &text;
    code = command_run(&c);
    job->after = c.after;
    job->after2 = c.after2;
    if (!c.more)
        ipc_send_control_done(job->channel, &(struct msg_control_done){job->id, (uint64_t)code, buf_str(&text)});
    buf_clear(&text);
    return c.more;
}

/* Who did what, without the options: one of them may be a password. */
static void log_command(const struct msg_control_ask *m)
{
    log_info("command", "uid=%" PRIu64 " command=%.*s verb=%.*s name=%.*s", m->uid, STR_ARG(m->command),
        STR_ARG(args_word(m->args, 0)), STR_ARG(args_word(m->args, 1)));
}

void on_control_ask(struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    struct directory *d = role_state(role);
    struct job *job;
    size_t n = 0;

    LIST_EACH(&d->jobs, it)
        n++;
    if (role_copy(role) != 0 || n >= JOBS_MAX) {
        ipc_send_control_done(from,
            &(struct msg_control_done){m->id, EX_TEMPFAIL,
                role_copy(role) != 0 ? STR("commands are for the first copy of directory") : STR("too many commands at once, try again")});
        return;
    }
    log_command(m);
    job = xcalloc(1, sizeof *job);
    job->channel = from;
    job->id = m->id;
    job->object = str_dup(m->command);
    job->args = str_dup(m->args);
    list_add_last(&d->jobs, &job->link);
    if (!run_page(d, job))
        drop(job);
}

static struct job *find(struct directory *d, struct channel *from, uint64_t id)
{
    LIST_EACH(&d->jobs, it) {
        struct job *job = CONTAINER(it, struct job, link);

        if (job->channel == from && job->id == id)
            return job;
    }
    return NULL;
}

void on_control_more(struct role *role, struct channel *from, const struct msg_control_more *m)
{
    struct job *job = find(role_state(role), from, m->id);

    if (job != NULL && !run_page(role_state(role), job))
        drop(job);
}

void on_control_cancel(struct role *role, struct channel *from, const struct msg_control_cancel *m)
{
    struct job *job = find(role_state(role), from, m->id);

    if (job != NULL)
        drop(job);
}
