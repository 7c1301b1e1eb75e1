/* Messages and recipients in memory. One allocation each: the texts lie behind the struct. */
#include "mail.h"

#include "queue.h"

#include <stdlib.h>
#include <string.h>

static struct str pack(char **at, struct str s)
{
    struct str kept = str_from(*at, s.n);

    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

void mails_init(struct mails *m)
{
    map_init(&m->by_id);
    map_init(&m->active);
}

static struct mail *mail_make(struct queue *q, const struct message_row *row)
{
    size_t text = row->sender.n + row->envid.n + row->login.n + row->client.n + row->helo.n + row->protocol.n +
                  row->tls.n + row->message_id.n;
    struct mail *m = xcalloc(1, sizeof *m + text);
    char *at = (char *)(m + 1);

    m->row = *row;
    m->row.sender = pack(&at, row->sender);
    m->row.envid = pack(&at, row->envid);
    m->row.login = pack(&at, row->login);
    m->row.client = pack(&at, row->client);
    m->row.helo = pack(&at, row->helo);
    m->row.protocol = pack(&at, row->protocol);
    m->row.tls = pack(&at, row->tls);
    m->row.message_id = pack(&at, row->message_id);
    m->refs = 1;
    list_init(&m->rcpts);
    map_add(&q->mails.by_id, &m->by_id, map_hash_number(row->id));
    return m;
}

static struct mail *find(struct queue *q, uint64_t id)
{
    for (struct map_node *n = map_find(&q->mails.by_id, map_hash_number(id)); n; n = map_find_next(n)) {
        struct mail *m = CONTAINER(n, struct mail, by_id);

        if (m->row.id == id)
            return m;
    }
    return NULL;
}

bool mail_get(struct queue *q, uint64_t id, struct mail **mail, struct err *err)
{
    struct message_row row;
    bool found;

    *mail = find(q, id);
    if (*mail != NULL) {
        (*mail)->refs++;
        return true;
    }
    if (!store_find_message(q->store, id, &row, &found, err))
        return false;
    if (found)
        *mail = mail_make(q, &row);
    return true;
}

static void drop_body(struct queue *q, struct mail *m)
{
    if (m->body.p == NULL)
        return;
    q->mails.body_bytes -= m->body.n;
    str_free(&m->body);
}

struct mail *mail_new(struct queue *q, const struct message_row *row, struct str body)
{
    struct mail *m = mail_make(q, row);

    m->body = body;
    if (body.p == NULL)
        return m;
    q->mails.body_bytes += body.n;
    if (q->mails.body_bytes > (size_t)role_config(q->role)->queue.memory)
        drop_body(q, m);
    return m;
}

struct mail *mail_ref(struct mail *m)
{
    m->refs++;
    return m;
}

void mail_unref(struct queue *q, struct mail *m)
{
    if (--m->refs > 0)
        return;
    map_remove(&q->mails.by_id, &m->by_id);
    drop_body(q, m);
    free(m);
}

bool mail_read(struct queue *q, struct mail *m, uint64_t offset, struct str *piece, struct err *err)
{
    if (m->body.p == NULL)
        return store_read_body(q->store, m->row.id, m->row.head_size, offset, piece, err);
    *piece = offset >= m->body.n ? (struct str){0} : str_sub(m->body, offset, offset + STORE_PIECE);
    return true;
}

static uint64_t place_hash(uint64_t message, uint64_t n)
{
    return map_hash_number(message * 31 + n);
}

struct rcpt *rcpt_new(struct mail *mail, const struct rcpt_row *row)
{
    size_t text = row->address.n + row->orcpt.n + row->original.n + row->reply.n + row->host.n;
    struct rcpt *r = xcalloc(1, sizeof *r + text);
    char *at = (char *)(r + 1);

    r->row = *row;
    r->row.address = pack(&at, row->address);
    r->row.orcpt = pack(&at, row->orcpt);
    r->row.original = pack(&at, row->original);
    r->row.reply = pack(&at, row->reply);
    r->row.host = pack(&at, row->host);
    r->mail = mail_ref(mail);
    return r;
}

void rcpt_activate(struct queue *q, struct rcpt *r)
{
    r->active = true;
    map_add(&q->mails.active, &r->by_place, place_hash(r->row.message, r->row.n));
    list_add_last(&r->mail->rcpts, &r->in_mail);
    q->mails.active_count[r->row.class]++;
}

void rcpt_deactivate(struct queue *q, struct rcpt *r)
{
    if (!r->active)
        return;
    r->active = false;
    map_remove(&q->mails.active, &r->by_place);
    list_remove(&r->in_mail);
    q->mails.active_count[r->row.class]--;
}

struct str rcpt_sender(const struct rcpt *r)
{
    return r->sender.n > 0 ? r->sender : r->mail->row.sender;
}

void rcpt_free(struct queue *q, struct rcpt *r)
{
    rcpt_deactivate(q, r);
    list_remove(&r->link);
    str_free(&r->target);
    str_free(&r->sender);
    mail_unref(q, r->mail);
    free(r);
}

uint64_t mail_last_active(const struct mail *mail)
{
    uint64_t last = 0;

    LIST_EACH(&mail->rcpts, it) {
        const struct rcpt *r = CONTAINER(it, struct rcpt, in_mail);

        last = r->row.n > last ? r->row.n : last;
    }
    return last;
}

struct rcpt *rcpt_find_active(struct queue *q, uint64_t message, uint64_t n)
{
    for (struct map_node *at = map_find(&q->mails.active, place_hash(message, n)); at; at = map_find_next(at)) {
        struct rcpt *r = CONTAINER(at, struct rcpt, by_place);

        if (r->row.message == message && r->row.n == n)
            return r;
    }
    return NULL;
}
