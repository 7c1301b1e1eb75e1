#include "line.h"
#include "cut.h"
#include "mailroom.h"
#include "queue_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct line *line;
static bool finishing;

/* ---- the two roles ---- */

static bool turn(void)
{
    return mailroom_turn(finishing || cut_random(100) < 25);
}

static void on_answer(uint64_t txn, unsigned code)
{
    for (size_t i = 0; i < line->messages; i++)
        if (line->message[i].txn == txn && code == 250)
            line->message[i].answered = disk_length();
}

static void on_relayed(const char *address)
{
    int i = -1;
    char kind = 0;

    if (sscanf(address, "%c%d@", &kind, &i) != 2 || i < 0 || (size_t)i >= line->messages)
        return;
    if (kind == 'r' && line->message[i].relayed == LINE_NEVER)
        line->message[i].relayed = disk_length();
    if (kind == 'm' && line->message[i].reported == LINE_NEVER)
        line->message[i].reported = disk_length();
}

const char *line_folder(void)
{
    return world.folder;
}

static void open_mailroom(void)
{
    char path[256];

    snprintf(path, sizeof path, "%s/mailbox", world.folder);
    mailroom_open(path, LINE_BOXES - 4);
}

void line_boot(void)
{
    finishing = false;
    open_mailroom();
    world_boot();
}

void line_halt(void)
{
    mailroom_close();
    world_halt();
}

void line_open(uint64_t seed)
{
    char path[256];

    if (line == NULL)
        line = mmap(NULL, sizeof *line, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(line != MAP_FAILED);
    memset(line, 0, sizeof *line);
    cut_seed(seed);
    world_hooks = (struct world_hooks){&mailroom_handlers, turn, on_answer, on_relayed};
    mailroom_answers.rcpt_done = world_rcpt_done;
    mailroom_answers.deliver_done = world_deliver_done;
    mailroom_answers.body_ask = world_body_ask;
    world_freeze_clock(INT64_C(1790000000) * SECOND + (int64_t)(seed % 1000) * DAY);
    world_open("");
    finishing = false;
    snprintf(path, sizeof path, "%s/mailbox", world.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    open_mailroom();
    line_halt();
    /* Again from nothing, and on tape. */
    snprintf(path, sizeof path, "%s/queue", world.folder);
    disk_remove(path);
    snprintf(path, sizeof path, "%s/mailbox", world.folder);
    disk_remove(path);
    disk_record(world.folder);
    line_boot();
}

void line_close(void)
{
    disk_pause();
    mailroom_close();
    world_close();
    world_freeze_clock(0);
    world_hooks = (struct world_hooks){0};
}

/* ---- work ---- */

static size_t pick_size(void)
{
    static const size_t most[] = {300, 300, 3000, 3000, 20000, 70000, 200000};

    return 1 + cut_random(most[cut_random(sizeof most / sizeof *most)]);
}

static void add_rcpts(uint64_t txn, const struct line_message *m, int i)
{
    char rcpt[64];

    for (int b = 0; b < LINE_BOXES; b++) {
        if (!(m->boxes & 1u << b))
            continue;
        snprintf(rcpt, sizeof rcpt, "box%d@local.test", b + 1);
        world_txn_rcpt(txn, rcpt, 0);
    }
    snprintf(rcpt, sizeof rcpt, "r%d@remote.test", i);
    if (m->remote)
        world_txn_rcpt(txn, rcpt, 0);
    if (m->gone)
        world_txn_rcpt(txn, "gone@remote.test", 0);
}

/* NULL when there is no room for another one. */
static struct line_message *new_message(void)
{
    struct line_message *m = &line->message[line->messages];

    if (line->messages == LINE_MESSAGES)
        return NULL;
    line->messages++;
    *m = (struct line_message){.size = pick_size(), .answered = LINE_NEVER, .relayed = LINE_NEVER,
        .reported = LINE_NEVER};
    for (int b = 0; b < LINE_BOXES; b++)
        m->expunged[b] = (struct line_deed){LINE_NEVER, LINE_NEVER};
    return m;
}

static void send_message(struct line_message *m)
{
    int i = (int)(m - line->message);
    uint64_t id = 0;
    char sender[64];

    snprintf(sender, sizeof sender, "m%d@far.test", i);
    m->txn = world_txn_begin(sender, 0, &id);
    add_rcpts(m->txn, m, i);
    world_txn_chunk(m->txn, m->size);
    world_txn_end(m->txn, 0);
}

static void send_one(void)
{
    struct line_message *m = new_message();

    if (m == NULL)
        return;
    m->boxes = 1u << cut_random(LINE_BOXES);
    if (cut_random(5) == 0)
        m->boxes |= (unsigned)cut_random(1u << LINE_BOXES); /* many at once: one sync of the file system */
    m->remote = cut_random(3) == 0;
    m->gone = cut_random(8) == 0;
    send_message(m);
}

void line_deliver(unsigned boxes)
{
    struct line_message *m = new_message();

    assert_non_null(m);
    m->boxes = boxes;
    send_message(m);
    line_finish();
}

/* Finds the number in "Return-Path: <mN@far.test>"; -1 for a report. */
static int number_of(struct str bytes)
{
    char head[32] = "";
    int i = -1;

    memcpy(head, bytes.p, bytes.n < sizeof head - 1 ? bytes.n : sizeof head - 1);
    return sscanf(head, "Return-Path: <m%d@", &i) == 1 ? i : -1;
}

static void show(void *arg, int64_t uid, struct str bytes)
{
    int box = *(int *)arg;

    if (uid < LINE_UIDS && line->shown[box][uid].message == 0) {
        line->shown[box][uid].message = number_of(bytes) + 1;
        line->shown[box][uid].at = disk_length();
    }
}

static void show_box(int box)
{
    struct err err = {0};

    if (mailroom_settle(box + 1, &err) && !mailroom_walk(box + 1, show, &box, &err) && !disk_failed())
        fail_msg("%s", err.text);
}

struct search {
    int64_t uid;
    int message;
};

static void find_first(void *arg, int64_t uid, struct str bytes)
{
    struct search *s = arg;

    if (s->uid == 0 || cut_random(3) == 0)
        *s = (struct search){uid, number_of(bytes)};
}

static void expunge_one(int box)
{
    struct search s = {0};
    struct line_deed *deed;
    struct err err = {0};

    if (!mailroom_settle(box + 1, &err) || !mailroom_walk(box + 1, find_first, &s, &err) || s.uid == 0 || s.message < 0)
        return;
    deed = &line->message[s.message].expunged[box];
    deed->begun = disk_length();
    if (mailroom_expunge(box + 1, s.uid, &err))
        deed->done = disk_length();
}

static void note_folder(void *arg, const struct mailroom_folder *f)
{
    struct line_look *look = arg;

    if (look->n == LINE_FOLDERS)
        fail_msg("too many folders");
    look->folders[look->n++] = *f;
}

/* What is there afterwards, done or not, is shown. */
static void work_in_folders(int box)
{
    struct line_look *look = &line->look[box][line->looks[box]];
    struct err err = {0};

    if (line->looks[box] == LINE_LOOKS)
        return;
    if (line->looks[box] > 0 && look[-1].begun == LINE_NEVER)
        look[-1].begun = disk_length();
    (void)!mailroom_work_in_folders(box + 1, cut_random, &err);
    *look = (struct line_look){.begun = LINE_NEVER};
    if (!mailroom_settle(box + 1, &err) || !mailroom_folders(box + 1, note_folder, look, &err))
        return;
    look->at = disk_length();
    line->looks[box]++;
}

static void step(void)
{
    uint64_t what = cut_random(100);

    for (uint64_t n = cut_random(5); n > 0; n--)
        send_one();
    world_run();
    if (what < 15)
        expunge_one((int)cut_random(LINE_BOXES));
    else if (what < 30)
        show_box((int)cut_random(LINE_BOXES));
    else if (what < 35)
        world_pass(2 * MINUTE);
    else if (what < 70)
        work_in_folders((int)cut_random(LINE_BOXES));
}

/* The processes are killed somewhere in the middle of a step, or the disk fails first: nothing of what they still do
 * reaches it. */
static void killed_step(void)
{
    disk_fail(1 + (unsigned)cut_random(200), cut_random(2) ? EIO : ENOSPC, true);
    step();
    if (disk_failed()) {
        line_halt();
        disk_fail(0, 0, false);
        line_boot();
    }
    disk_fail(0, 0, false);
}

/* One call fails, and the processes go on. */
static void hampered_step(void)
{
    static const int errors[] = {EIO, EIO, ENOSPC, ENOMEM, EMFILE, 0};

    disk_fail(1 + (unsigned)cut_random(100), errors[cut_random(sizeof errors / sizeof *errors)], false);
    step();
    disk_fail(0, 0, false);
}

void line_work(unsigned steps)
{
    while (steps-- > 0) {
        uint64_t how = cut_random(16);

        if (how < 2)
            killed_step();
        else if (how < 5)
            hampered_step();
        else
            step();
    }
}

void line_finish(void)
{
    finishing = true;
    world_run();
    for (int i = 0; i < 3; i++)
        world_pass(4 * HOUR);
    finishing = false;
}

/* ---- promises ---- */

struct inspection {
    struct line_look look;
    size_t at;
    int box;
    unsigned copies[LINE_MESSAGES];
    char *why;
    size_t size;
    bool kept;
};

static void broken(struct inspection *in, const char *what, int message)
{
    if (in->kept)
        snprintf(in->why, in->size, "message %d, box%d: %s", message, in->box + 1, what);
    in->kept = false;
}

/* The body is what world_txn_chunk writes: the same 64 KB again and again. */
static bool is_body(struct str body, size_t size)
{
    for (size_t at = 0; at < body.n; at++) {
        size_t i = at % IPC_CHUNK;
        char right = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : (char)('a' + i / 64 % 26);

        if (body.p[at] != right)
            return false;
    }
    return body.n == size;
}

static void inspect(void *arg, int64_t uid, struct str bytes)
{
    static const char start[] = "Received: by test\r\nSubject: hello\r\n\r\n";
    struct inspection *in = arg;
    int i = number_of(bytes);
    int64_t head = str_ifind(bytes, STR(start));
    int shown = uid < LINE_UIDS && line->shown[in->box][uid].at <= in->at ? line->shown[in->box][uid].message - 1 : -1;

    if (i < 0 || (size_t)i >= line->messages || head < 0) {
        broken(in, "a stranger", i);
        return;
    }
    if (!is_body(str_skip(bytes, (size_t)head + sizeof start - 1), line->message[i].size))
        broken(in, "not whole", i);
    if (shown >= 0 && shown != i)
        broken(in, "has the uid of another message", i);
    if (++in->copies[i] > 1)
        broken(in, "twice", i);
}

static void judge_box(struct inspection *in)
{
    for (size_t i = 0; i < line->messages; i++) {
        const struct line_message *m = &line->message[i];
        bool wanted = m->boxes & 1u << in->box;

        if (in->copies[i] > 0 && !wanted)
            broken(in, "not for this box", (int)i);
        if (in->copies[i] > 0 && m->expunged[in->box].done <= in->at)
            broken(in, "came back", (int)i);
        if (in->copies[i] == 0 && wanted && m->answered <= in->at && m->expunged[in->box].begun > in->at)
            broken(in, "lost", (int)i);
    }
}

static void judge_others(struct inspection *in)
{
    for (size_t i = 0; i < line->messages; i++) {
        const struct line_message *m = &line->message[i];

        in->box = -1;
        if (m->answered <= in->at && m->remote && m->relayed == LINE_NEVER)
            broken(in, "lost on its way to another server", (int)i);
        if (m->answered <= in->at && m->gone && m->reported == LINE_NEVER)
            broken(in, "its report is lost", (int)i);
    }
    if (world_count("recipient") + world_count("message") + world_count("chunk") > 0)
        broken(in, "something stays in the queue", -1);
}

/* What was relayed later than the power was lost is relayed again. */
static void forget_relayed(size_t at)
{
    for (size_t i = 0; i < line->messages; i++) {
        struct line_message *m = &line->message[i];

        if (m->relayed > at)
            m->relayed = LINE_NEVER;
        if (m->reported > at)
            m->reported = LINE_NEVER;
    }
}

static const struct line_look *last_look(int box, size_t at)
{
    const struct line_look *last = NULL;

    for (size_t i = 0; i < line->looks[box]; i++)
        if (line->look[box][i].at <= at)
            last = &line->look[box][i];
    return last;
}

static void judge_folder(struct inspection *in, const struct mailroom_folder *was, bool changed)
{
    for (size_t i = 0; i < in->look.n; i++) {
        const struct mailroom_folder *is = &in->look.folders[i];

        if (is->id != was->id)
            continue;
        if (is->uidvalidity != was->uidvalidity || is->uidnext < was->uidnext || is->modseq < was->modseq)
            broken(in, "a folder went back behind what was shown", (int)is->id);
        if (!changed && (is->uidnext != was->uidnext || is->messages != was->messages || is->uids != was->uids))
            broken(in, "a folder is not as it was shown", (int)is->id);
        return;
    }
    if (!changed)
        broken(in, "a folder that was shown is not there", (int)was->id);
}

static void judge_folders(struct inspection *in)
{
    const struct line_look *last = last_look(in->box, in->at);

    if (last == NULL)
        return;
    for (size_t i = 0; i < last->n; i++)
        judge_folder(in, &last->folders[i], last->begun <= in->at);
    if (last->begun > in->at && in->look.n != last->n)
        broken(in, "a folder that was gone is there", (int)in->look.n);
}

bool line_keeps_promises(size_t at, char *why, size_t size)
{
    static struct inspection in;
    static struct line before;
    struct err err = {0};

    before = *line;
    in = (struct inspection){.at = at, .why = why, .size = size, .kept = true};
    forget_relayed(at);
    if (!db_check_integrity(store_db(world.queue->store), &err))
        broken(&in, err.text, -1);
    line_finish();
    for (in.box = 0; in.box < LINE_BOXES; in.box++) {
        memset(in.copies, 0, sizeof in.copies);
        if (!mailroom_walk(in.box + 1, inspect, &in, &err))
            broken(&in, err.text, -1);
        judge_box(&in);
        in.look.n = 0;
        if (!mailroom_folders(in.box + 1, note_folder, &in.look, &err))
            broken(&in, err.text, -1);
        judge_folders(&in);
    }
    judge_others(&in);
    *line = before;
    return in.kept;
}

static void forget_deed(struct line_deed *d, size_t at)
{
    /* It may have happened all the same. */
    d->begun = d->begun == LINE_NEVER ? LINE_NEVER : 0;
    d->done = d->done <= at ? 0 : LINE_NEVER;
}

static void forget_looks(int box, size_t at)
{
    while (line->looks[box] > 0 && line->look[box][line->looks[box] - 1].at > at)
        line->looks[box]--;
    for (size_t i = 0; i < line->looks[box]; i++) {
        line->look[box][i].at = 0;
        line->look[box][i].begun = line->look[box][i].begun <= at ? 0 : LINE_NEVER;
    }
}

void line_forget_after(size_t at)
{
    forget_relayed(at);
    for (size_t i = 0; i < line->messages; i++) {
        struct line_message *m = &line->message[i];

        m->answered = m->answered <= at ? 0 : LINE_NEVER;
        m->relayed = m->relayed <= at ? 0 : LINE_NEVER;
        m->reported = m->reported <= at ? 0 : LINE_NEVER;
        for (int b = 0; b < LINE_BOXES; b++)
            forget_deed(&m->expunged[b], at);
    }
    for (int b = 0; b < LINE_BOXES; b++)
        forget_looks(b, at);
    for (int b = 0; b < LINE_BOXES; b++)
        for (int u = 0; u < LINE_UIDS; u++) {
            if (line->shown[b][u].at > at)
                line->shown[b][u].message = 0;
            line->shown[b][u].at = 0;
        }
}
