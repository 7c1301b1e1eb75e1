/* THREAD (RFC 5256): what threads.h makes of the messages that match, over as many turns as it takes. See imap.h. */
#include "imap_find.h"
#include "imap_result.h"
#include "threads.h"

enum { AT_A_TIME = 2048 };

struct thread {
    struct finding finding;
    struct threads *threads;
    uint32_t at;
    bool began;
};

static void clean(struct imap *im)
{
    struct thread *t = im->work;

    finding_clear(&t->finding);
    threads_free(t->threads);
}

static uint32_t number_of(void *arg, uint32_t uid)
{
    return imap_told_number(arg, uid);
}

static void tell(struct imap *im)
{
    struct thread *t = im->work;

    while (threads_write(t->threads, &im->out, number_of, im))
        if (imap_pause(im))
            return;
    buf_add(&im->out, STR("\r\n"));
    imap_ok(im, NULL, "Done");
}

static void begin_telling(struct imap *im)
{
    struct thread *t = im->work;

    buf_add(&im->out, STR("* THREAD "));
    if (t->finding.uids.count == 0)
        im->out.n--;
    finding_clear(&t->finding); /* the client may take its time */
    im->gathered = threads_memory(t->threads);
    im->step = tell;
}

static void sort_out(struct imap *im)
{
    struct thread *t = im->work;

    while (!threads_go_on(t->threads, AT_A_TIME))
        if (imap_pause(im))
            return;
    begin_telling(im);
}

static bool add_message(void *arg, const struct store_message *m, const struct content_info *keys, struct err *err)
{
    struct thread *t = arg;
    struct thread_message message = {.uid = m->uid, .sent = keys->sent ? keys->sent : m->received, .reply = keys->reply,
        .subject = keys->subject.n > 0 ? str_stable_hash(keys->subject) : 0, .refs = keys->refs};

    return threads_add(t->threads, &message) || err_set(err, ERR_LIMIT, "Too many messages, search for fewer");
}

static void gather(struct imap *im)
{
    struct thread *t = im->work;
    struct err err = {0};

    if (!imap_gathers(im, threads_memory(t->threads)) && !imap_gathered_too_much(&err))
        imap_failed(im, &err);
    else if (finding_walk(im, &t->finding, &t->at, add_message, t, &err))
        im->step = sort_out;
    else if (err.kind != ERR_NONE)
        imap_failed(im, &err);
}

static void look(struct imap *im)
{
    struct thread *t = im->work;
    struct err err = {0};

    if (finding_go_on(im, &t->finding, &err))
        im->step = gather;
    else if (err.kind != ERR_NONE)
        imap_failed(im, &err);
}

void imap_on_thread(struct imap *im)
{
    struct thread *t = imap_alloc(im, sizeof *t);

    if (t == NULL)
        return;
    *t = (struct thread){.at = 1};
    t->threads = threads_new(im->command.search.thread == IMAP_THREAD_REFERENCES);
    im->work = t;
    im->clean = clean;
    if (finding_begin(im, &t->finding, im->command.search.root))
        im->step = look;
}
