/* What the filter does to one message: fields that may not pass are taken out, what a submitted message
 * lacks is added, the authors are checked, loops and huge headers are refused. */
#include "message.h"

#include "base/clock.h"
#include "fields.h"
#include "ipc/ipc.h"
#include "judge.h"
#include "mailauth/auth_results_read.h"
#include "mime/date.h"
#include "smtp/address.h"
#include "verdict.h"

#include <inttypes.h>
#include <stdlib.h>

enum { AUTHORS_MAX = 20, AUTHORS_TEXT = AUTHORS_MAX * (ADDRESS_TEXT_MAX + 1), PREPEND_MAX = IPC_CHUNK };

static void on_field(void *owner, const struct header_field *f);

/* Only who may send through us is signed for; a stranger may write anything into From. */
static bool is_submitted(const struct message *m)
{
    return m->flags & TXN_SUBMISSION || m->account != 0;
}

void message_begin(struct message *m, const struct message_world *world, void *owner,
    const struct message_limits *limits, struct str hostname, const struct msg_txn_begin *begin)
{
    *m = (struct message){.world = world, .owner = owner, .limits = limits, .hostname = hostname,
        .id = begin->message, .flags = begin->flags, .account = begin->account};
    m->trace = str_dup(begin->trace);
    if (is_submitted(m)) {
        m->sender = str_dup(begin->sender);
        m->login = str_dup(begin->login);
    }
    header_scan_init(&m->scan, limits->header_size, on_field, m);
    buf_init(&m->held, limits->header_size + 4); /* and the line ends that were missing */
    buf_init(&m->authors, AUTHORS_TEXT);
    buf_init(&m->added, PREPEND_MAX);
    signing_init(&m->signing);
    sealing_init(&m->sealing);
    buf_init(&m->message_id, IPC_NAME);
}

void message_set_judge(struct message *m, struct judge *judge)
{
    m->judge = judge;
    if (judge != NULL)
        judge_start(judge);
}

void message_goes_on(struct message *m, struct str domain)
{
    sealing_note_domain(&m->sealing, domain);
}

void message_clear(struct message *m)
{
    str_free(&m->trace);
    str_free(&m->sender);
    str_free(&m->login);
    header_scan_clear(&m->scan);
    buf_clear(&m->held);
    buf_clear(&m->authors);
    buf_clear(&m->added);
    signing_clear(&m->signing);
    sealing_clear(&m->sealing);
    buf_clear(&m->message_id);
}

bool message_is_over(const struct message *m)
{
    return m->state == MESSAGE_OVER;
}

size_t message_held(const struct message *m)
{
    return m->held.capacity + m->scan.partial.capacity + signing_held(&m->signing) + sealing_held(&m->sealing);
}

static void refuse(struct message *m, unsigned code, struct str text)
{
    m->state = MESSAGE_OVER;
    m->world->refuse(m->owner, code, text);
}

/* ---- the header ---- */

static bool checks_authors(const struct message *m)
{
    return m->account != 0 && !(m->flags & TXN_NO_SENDER_CHECK);
}

static bool knows_author(const struct message *m, struct str address)
{
    struct str rest = buf_str(&m->authors), one;

    while (rest.n && str_next(&rest, 0, &one))
        if (str_eq(one, address))
            return true;
    return false;
}

static void add_author(struct message *m, struct str text)
{
    struct buf canonical;
    const char *why;

    buf_init(&canonical, ADDRESS_TEXT_MAX);
    if (!address_canonical(text, ADDRESS_UTF8, &canonical, &why)) {
        m->bad_from = true;
    } else if (!knows_author(m, buf_str(&canonical))) {
        buf_add(&m->authors, buf_str(&canonical));
        buf_add_char(&m->authors, 0);
        m->author_count++;
    }
    buf_clear(&canonical);
}

static void read_authors(struct message *m, struct str value)
{
    struct buf address;

    buf_init(&address, ADDRESS_TEXT_MAX);
    while (!m->too_many_authors && header_next_address(&value, &address, &m->bad_from)) {
        add_author(m, buf_str(&address));
        m->too_many_authors = m->author_count > AUTHORS_MAX;
    }
    buf_clear(&address);
}

static void keep_message_id(struct message *m, struct str value)
{
    struct str id = header_message_id(value);

    m->has_message_id = true;
    if (m->message_id.n == 0 && id.n <= IPC_NAME)
        buf_add(&m->message_id, id);
}

static void note(struct message *m, enum field_id id, struct str value)
{
    switch (id) {
    case FIELD_DATE:
        m->has_date = true;
        break;
    case FIELD_FROM:
        m->has_from = true;
        if (checks_authors(m))
            read_authors(m, value);
        if (is_submitted(m))
            signing_note_author(&m->signing, value);
        break;
    case FIELD_MESSAGE_ID:
        keep_message_id(m, value);
        break;
    case FIELD_PRECEDENCE:
        if (field_precedence_is_bulk(value))
            m->flags |= TXN_BULK;
        break;
    case FIELD_LIST:
        m->flags |= TXN_BULK;
        break;
    case FIELD_TLS_REQUIRED:
        if (str_ieq(str_trim(value), STR("No")))
            m->flags |= TXN_TLS_OPTIONAL;
        break;
    case FIELD_RESULTS:
    case FIELD_RETURN_PATH:
    case FIELD_PRIVATE:
    case FIELD_OTHER:
        break;
    }
}

static bool is_removed(const struct message *m, const struct header_field *f, enum field_id id)
{
    if (id == FIELD_RESULTS) /* what we have not written, nobody may say in our name (RFC 8601 5) */
        return auth_results_claim_of(f->value, m->hostname) != AUTH_RESULTS_FOREIGN;
    return f->name.n == 0 || id == FIELD_RETURN_PATH || (id == FIELD_PRIVATE && m->flags & TXN_SUBMISSION);
}

static void on_field(void *owner, const struct header_field *f)
{
    struct message *m = owner;
    enum field_id id = field_find(f->name);

    if (m->judge != NULL)
        judge_field(m->judge, f);
    if (is_removed(m, f, id)) {
        m->rewritten = true;
        return;
    }
    if (id != FIELD_OTHER)
        note(m, id, f->value);
    buf_add(&m->held, f->raw);
    if (f->raw.p[f->raw.n - 1] != '\n') {
        buf_add(&m->held, STR("\r\n"));
        m->rewritten = true;
    }
}

/* ---- at the end of the header ---- */

static void pass_on(struct message *m, struct str data)
{
    while (data.n && m->state != MESSAGE_OVER) {
        m->world->chunk(m->owner, str_sub(data, 0, IPC_CHUNK));
        data = str_skip(data, IPC_CHUNK);
    }
}

static void hash_body(struct message *m, struct str bytes)
{
    signing_body(&m->signing, bytes);
    sealing_body(&m->sealing, bytes);
}

/* Sends the header as it has become, with the part of the body that came with it in one piece where
 * that fits: a small message stays one chunk. */
static void send_header(struct message *m, struct str chunk, size_t used)
{
    struct str held_back = header_scan_rest(&m->scan), body = str_skip(chunk, used);
    struct buf *held = &m->held;

    hash_body(m, held_back);
    hash_body(m, body);

    if (m->scan.size == used && held_back.n == 0 && m->scan.blank && !m->rewritten && chunk.n <= IPC_CHUNK) {
        pass_on(m, chunk);
    } else {
        buf_add(held, STR("\r\n"));
        held->ceiling += IPC_CHUNK;
        if (held->n + held_back.n + body.n <= IPC_CHUNK) {
            buf_add(held, held_back);
            buf_add(held, body);
            pass_on(m, buf_str(held));
        } else {
            pass_on(m, buf_str(held));
            pass_on(m, held_back);
            pass_on(m, body);
        }
    }
    header_scan_clear(&m->scan);
    buf_clear(held);
}

static void ask_authors(struct message *m)
{
    struct str rest = buf_str(&m->authors), one;

    while (m->state != MESSAGE_OVER && rest.n && str_next(&rest, 0, &one)) {
        if (str_eq(one, m->sender))
            continue; /* smtp asked for that at MAIL */
        m->pending++;
        m->world->ask_sender(m->owner, one);
    }
}

static void add_message_id(struct message *m, struct buf *out)
{
    char id[MSGID_TEXT + 1];

    msgid_format(m->id, id);
    buf_reset(&m->message_id);
    buf_addf(&m->message_id, "<%s.%016" PRIx64 "@%.*s>", id, m->world->random(m->owner), STR_ARG(m->hostname));
    buf_addf(out, "Message-ID: %.*s\r\n", STR_ARG(buf_str(&m->message_id)));
}

static struct str author_to_add(const struct message *m)
{
    if (m->sender.n)
        return m->sender;
    return str_find(m->login, '@') > 0 ? m->login : (struct str){0};
}

static void add_author_field(struct message *m, struct str author)
{
    buf_addf(&m->added, "From: <%.*s>\r\n", STR_ARG(author));
    signing_note_author(&m->signing, author);
}

/* RFC 6409 8: what a submitted message must have and does not. */
static void complete(struct message *m)
{
    struct buf *out = &m->added;
    struct str author = author_to_add(m);
    char date[DATE_TEXT];

    if (!m->has_from && author.n)
        add_author_field(m, author);
    if (!m->has_date) {
        date_format(m->world->now(m->owner), date);
        buf_addf(out, "Date: %s\r\n", date);
    }
    if (!m->has_message_id)
        add_message_id(m, out);
}

static bool header_is_acceptable(struct message *m)
{
    if (m->scan.received > m->limits->received_fields)
        refuse(m, 554, STR("5.4.6 This message is in a mail loop: it has too many Received fields"));
    else if (checks_authors(m) && m->bad_from)
        refuse(m, 554, STR("5.6.0 The From field of the message is malformed"));
    else if (checks_authors(m) && m->too_many_authors)
        refuse(m, 550, STR("5.7.1 The From field of the message names too many authors"));
    return m->state != MESSAGE_OVER;
}

static void let_judge_begin_body(struct message *m, struct str chunk, size_t used)
{
    judge_header_end(m->judge);
    judge_body(m->judge, header_scan_rest(&m->scan));
    judge_body(m->judge, str_skip(chunk, used));
}

static void header_ended(struct message *m, struct str chunk, size_t used)
{
    bool signed_for, sealed_for;

    if (!header_is_acceptable(m))
        return;
    m->state = MESSAGE_BODY;
    if (m->flags & TXN_SUBMISSION)
        complete(m);
    signed_for = is_submitted(m) && signing_begin(&m->signing, buf_str(&m->added), buf_str(&m->held), m->world->now(m->owner));
    sealed_for = m->judge != NULL && sealing_begin(&m->sealing, buf_str(&m->held), m->world->now(m->owner));
    if (m->judge != NULL)
        let_judge_begin_body(m, chunk, used);
    send_header(m, chunk, used);
    if (checks_authors(m))
        ask_authors(m);
    if (signed_for && m->state != MESSAGE_OVER)
        m->world->ask_keys(m->owner, buf_str(&m->signing.domain));
    if (sealed_for && m->state != MESSAGE_OVER)
        m->world->ask_keys(m->owner, sealing_domain(&m->sealing));
}

void message_chunk(struct message *m, struct str data)
{
    size_t used;

    if (m->state == MESSAGE_BODY) {
        hash_body(m, data);
        if (m->judge != NULL)
            judge_body(m->judge, data);
        pass_on(m, data);
        return;
    }
    if (m->state != MESSAGE_HEADER)
        return;
    switch (header_scan(&m->scan, data, &used)) {
    case HEADER_MORE:
        break;
    case HEADER_END:
        header_ended(m, data, used);
        break;
    case HEADER_TOO_LARGE:
        refuse(m, 552, STR("5.3.4 The header of the message is too large"));
        break;
    }
}

/* ---- at the end of the message ---- */

/* Has nobody more to say? */
static bool is_decided(const struct message *m)
{
    return m->pending == 0 && !signing_waits(&m->signing) && !sealing_waits(&m->sealing) && (m->judge == NULL || judge_is_done(m->judge));
}

/* False: the message is refused. */
static bool accept_verdict(struct message *m)
{
    const struct verdict *v = m->judge != NULL && !m->accepted ? m->world->verdict(m->owner) : NULL;

    m->accepted = true;
    if (v != NULL && v->action == VERDICT_JUNK)
        m->flags |= TXN_JUNK;
    if (v != NULL && v->action == VERDICT_REFUSE)
        refuse(m, v->code, buf_str(&v->text));
    return m->state != MESSAGE_OVER;
}

static void finish(struct message *m)
{
    struct buf prepend;

    buf_init(&prepend, PREPEND_MAX);
    buf_add(&prepend, buf_str(&m->signing.fields));
    buf_add(&prepend, buf_str(&m->sealing.fields));
    if (m->judge != NULL)
        judge_write_field(m->judge, &prepend);
    buf_add(&prepend, m->trace);
    buf_add(&prepend, buf_str(&m->added));
    m->state = MESSAGE_OVER;
    m->world->end(m->owner, m->end_flags | (m->flags & (TXN_BULK | TXN_JUNK | TXN_TLS_OPTIONAL)), buf_str(&prepend), buf_str(&m->message_id));
    buf_clear(&prepend);
}

static void start_sealing(struct message *m)
{
    struct buf results;

    buf_init(&results, PREPEND_MAX);
    judge_write_field(m->judge, &results);
    (void)sealing_start(&m->sealing, judge_arc(m->judge), buf_str(&results));
    buf_clear(&results);
}

/* Everything came: what is still to be asked, or waited for, before it goes on. */
static void proceed(struct message *m)
{
    struct msg_dkim_sign_ask ask;

    if (m->state != MESSAGE_ASKING || !is_decided(m) || !accept_verdict(m))
        return;
    if (m->sealing.state == SEALING_KNOWN)
        start_sealing(m);
    if (m->signing.state == SIGNING_KNOWN) {
        signing_ask(&m->signing, &ask);
        m->world->ask_signatures(m->owner, &ask);
    } else if (m->sealing.state == SEALING_READY) {
        sealing_ask(&m->sealing, &ask);
        m->world->ask_signatures(m->owner, &ask);
    } else {
        finish(m);
    }
}

void message_end(struct message *m, uint64_t flags)
{
    if (m->state == MESSAGE_HEADER) {
        header_scan_finish(&m->scan);
        header_ended(m, (struct str){0}, 0);
    }
    if (m->state != MESSAGE_BODY)
        return;
    m->end_flags = flags;
    m->state = MESSAGE_ASKING;
    if (m->judge != NULL) {
        judge_end(m->judge);
        m->world->wait_for_judge(m->owner);
    }
    proceed(m);
}

void message_give_way(struct message *m)
{
    if (m->state == MESSAGE_HEADER)
        refuse(m, 452, STR("4.3.1 Too much is held in memory, try again later"));
}

void message_judged(struct message *m)
{
    proceed(m);
}

void message_sender(struct message *m, bool allowed, bool temporary)
{
    if (m->state == MESSAGE_OVER || m->pending == 0)
        return;
    m->pending--;
    if (temporary)
        refuse(m, 451, STR("4.3.0 The sender cannot be checked for the moment, try again later"));
    else if (!allowed)
        refuse(m, 553, STR("5.7.1 You may not use the address in the From field of the message"));
    else
        proceed(m);
}

static void refuse_unsigned(struct message *m, unsigned code)
{
    if (code == 554)
        refuse(m, code, STR("5.6.0 The message cannot be signed: it has too many header fields, or too many of From, Subject, Date or To"));
    else
        refuse(m, code, STR("4.3.0 The message cannot be signed for the moment, try again later"));
}

void message_keys(struct message *m, const struct msg_dkim_keys_reply *reply)
{
    unsigned code;

    if (m->state == MESSAGE_OVER || (m->signing.state != SIGNING_KEYS && m->sealing.state != SEALING_KEYS))
        return;
    code = m->signing.state == SIGNING_KEYS ? signing_take_keys(&m->signing, reply) : sealing_take_keys(&m->sealing, reply);
    if (code != 0)
        refuse_unsigned(m, code);
    else if (m->sealing.state == SEALING_KEYS) /* of the next domain */
        m->world->ask_keys(m->owner, sealing_domain(&m->sealing));
    else
        proceed(m);
}

void message_signatures(struct message *m, const struct msg_dkim_sign_reply *reply)
{
    unsigned code;

    if (m->state == MESSAGE_OVER || (m->signing.state != SIGNING_ASKED && m->sealing.state != SEALING_ASKED))
        return;
    code = m->signing.state == SIGNING_ASKED ? signing_take(&m->signing, reply) : sealing_take(&m->sealing, reply);
    if (code != 0)
        refuse_unsigned(m, code);
    else
        proceed(m);
}

void message_directory_gone(struct message *m)
{
    if (m->state == MESSAGE_OVER)
        return;
    if (m->pending > 0)
        message_sender(m, false, true);
    else if (signing_waits(&m->signing) || sealing_waits(&m->sealing))
        refuse_unsigned(m, 451);
}
