/* DATA and BDAT: the content on its way to filter, and what is said at its end.
 *
 * Whatever goes wrong in the middle (content that is refused, filter gone, filter's early verdict)
 * becomes the transaction's fault: the rest is read and dropped, and the fault is the reply at the
 * end. BDAT outside a transaction reads its bytes too: they are never taken for commands. */
#include "private.h"

#include <inttypes.h>

static const struct {
    enum data_fault fault;
    unsigned code;
    struct str text;
} faults[] = {
    {DATA_BARE_CR, 554, STR("5.6.0 The message holds a CR without LF")},
    {DATA_BARE_LF, 554, STR("5.6.0 The message holds a LF without CR")},
    {DATA_NUL, 554, STR("5.6.0 The message holds a NUL byte")},
    {DATA_LONG_LINE, 554, STR("5.6.0 The message holds a line that is too long")},
    {DATA_TOO_BIG, 552, STR("5.3.4 The message is larger than this server takes")},
};

/* The first fault counts. text: a literal or in the arena. */
static void set_fault(struct smtp_session *s, unsigned code, struct str text)
{
    if (s->fault_code == 0) {
        s->fault_code = code;
        s->fault_text = text;
    }
    if (s->open) {
        s->open = false;
        s->world->abort(s->w);
    }
}

static void look_for_fault(struct smtp_session *s)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (faults[i].fault == s->data.fault)
            set_fault(s, faults[i].code, faults[i].text);
    }
}

static void pass_on(void *to, struct str content)
{
    struct smtp_session *s = to;
    struct str piece;

    while (content.n > 0 && s->open) {
        piece = str_sub(content, 0, IPC_CHUNK);
        s->world->chunk(s->w, piece);
        content = str_skip(content, piece.n);
    }
}

/* Offers the envelope to filter. */
static void begin(struct smtp_session *s)
{
    struct smtp_txn *txn = &s->txn;
    char ip[IP_TEXT];
    struct buf trace;

    ip_format(&s->client.ip, ip);
    buf_init(&trace, IPC_TEXT);
    write_trace(s, &trace);
    txn->client = arena_str(&s->arena, str_of(ip));
    txn->trace = arena_str(&s->arena, buf_str(&trace));
    txn->login = s->login;
    txn->helo = s->helo;
    txn->protocol = protocol_name(s);
    txn->tls = str_of(s->tls);
    buf_clear(&trace);
    s->open = txn->trace.p != NULL && txn->client.p != NULL && s->world->begin(s->w, txn);
    if (!s->open)
        set_fault(s, 451, STR("4.3.0 No message can be taken now, try again later"));
}

/* ---- the end ---- */

static void answer(struct smtp_session *s, unsigned code, struct str text)
{
    if (code >= 400)
        refuse(s, code, text);
    else
        reply(s, code, text);
}

/* With LMTP a reply for each RCPT that was taken (RFC 2033 4.2); together they are one error at most. */
static void finish(struct smtp_session *s, unsigned code, struct str text)
{
    uint64_t times = s->set->service == SERVICE_LMTP ? s->rcpts_taken : 1;

    note(s, code < 300 ? SMTP_NOTE_MESSAGE_TAKEN : SMTP_NOTE_MESSAGE_REFUSED, s->txn.sender, code, text);
    while (times-- > 1)
        reply(s, code, text);
    answer(s, code, text);
    s->messages += code < 300;
    forget_transaction(s);
}

static void end_content(struct smtp_session *s)
{
    s->mode = MODE_COMMAND;
    if (s->fault_code != 0) {
        finish(s, s->fault_code, s->fault_text);
        return;
    }
    s->wait = WAIT_DONE;
    s->world->end(s->w);
}

void smtp_txn_done(struct smtp_session *s, unsigned code, struct str text)
{
    if (!s->open)
        return;
    s->open = false;
    text = arena_str(&s->arena, text);
    if (text.p == NULL || text.n == 0 || code < 200 || code > 599 || (code >= 300 && code < 400)) {
        code = 451;
        text = STR("4.3.0 Local error, try again later");
    }
    if (s->wait == WAIT_DONE) {
        s->wait = WAIT_NONE;
        finish(s, code, text);
    } else if (code < 400) { /* taken before its end: cannot be */
        set_fault(s, 451, STR("4.3.0 Local error, try again later"));
    } else {
        set_fault(s, code, text);
    }
}

/* ---- DATA ---- */

void on_data(struct smtp_session *s, struct str args)
{
    if (args.n > 0) {
        refuse(s, 501, STR("5.5.4 DATA takes no argument"));
        return;
    }
    if (s->txn.flags & TXN_BINARYMIME) {
        refuse(s, 503, STR("5.5.1 BODY=BINARYMIME needs BDAT"));
        return;
    }
    begin(s);
    if (s->fault_code != 0) {
        refuse(s, s->fault_code, s->fault_text);
        forget_transaction(s);
        return;
    }
    data_begin(&s->data, true, false, s->set->message_size);
    s->mode = MODE_DATA;
    say(s, STR("354 End the message with <CR><LF>.<CR><LF>\r\n"));
}

size_t take_data(struct smtp_session *s, struct str bytes)
{
    size_t used = data_take(&s->data, bytes, pass_on, s);

    look_for_fault(s);
    if (s->data.done)
        end_content(s);
    return used;
}

/* ---- BDAT ---- */

static void end_chunk(struct smtp_session *s)
{
    struct buf out = {.ceiling = 80};

    s->mode = MODE_COMMAND;
    if (s->chunk_stray) {
        if (s->state == AT_MAIL && s->rcpts_refused > 0)
            refuse(s, 554, STR("5.5.1 No valid recipients"));
        else
            refuse(s, 503, STR("5.5.1 BDAT needs MAIL and RCPT first"));
        return;
    }
    if (s->chunk_last) {
        data_end(&s->data);
        look_for_fault(s);
        end_content(s);
    } else if (s->fault_code != 0) {
        refuse(s, s->fault_code, s->fault_text);
    } else {
        buf_addf(&out, "2.0.0 %" PRIu64 " octets taken", s->chunk_size);
        reply(s, 250, buf_str(&out));
        buf_clear(&out);
    }
}

void on_bdat(struct smtp_session *s, struct str args)
{
    struct refusal no;

    if (!command_parse_bdat(args, &s->chunk_size, &s->chunk_last, &no)) {
        hang_up(s, no.code, str_of(no.text)); /* how many bytes follow? nobody knows */
        return;
    }
    if (s->chunk_size / 2 > s->set->message_size) {
        hang_up(s, 552, STR("5.3.4 The message is larger than this server takes"));
        return;
    }
    s->chunk_stray = !(s->state & (AT_RCPT | AT_BDAT));
    if (s->state == AT_RCPT) {
        s->state = AT_BDAT;
        data_begin(&s->data, false, (s->txn.flags & TXN_BINARYMIME) != 0, s->set->message_size);
        begin(s);
    }
    s->chunk_left = s->chunk_size;
    s->mode = MODE_BDAT;
    if (s->chunk_left == 0)
        end_chunk(s);
}

size_t take_chunk(struct smtp_session *s, struct str bytes)
{
    size_t n = bytes.n < s->chunk_left ? bytes.n : (size_t)s->chunk_left;

    if (!s->chunk_stray) {
        data_take(&s->data, str_sub(bytes, 0, n), pass_on, s);
        look_for_fault(s);
    }
    s->chunk_left -= n;
    if (s->chunk_left == 0)
        end_chunk(s);
    return n;
}
