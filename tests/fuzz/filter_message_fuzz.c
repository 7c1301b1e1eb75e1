/* Any message through the filter, in two pieces: it ends or is refused, once; what comes out has a
 * header that no field was slipped into, and Bcc never gets through a submission. With bit 3 of the first octet it comes
 * from a stranger and is judged, DNS answering with pieces of the input; what claims to be our own result never gets through. With bit 5 too it
 * goes on to another server, and is sealed. */
#include "ipc/ipc.h"
#include "mailauth/auth_results_read.h"
#include "roles/filter/judge.h"
#include "roles/filter/message.h"
#include "roles/filter/verdict.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct buf body;
    unsigned ended, refused, questions, keys, signatures;
    struct message *message;
    bool answer_now, has_key;
    struct judge *judge;
    struct verdict verdict;
    struct str answers; /* what is left of them */
    bool open[JUDGE_ASKERS];
    unsigned asked, judged;
};

static void on_chunk(void *owner, struct str data)
{
    struct world *w = owner;

    assert(data.n > 0 && data.n <= IPC_CHUNK && !w->ended && !w->refused);
    buf_add(&w->body, data);
}

static void on_end(void *owner, uint64_t flags, struct str prepend, struct str message_id)
{
    struct world *w = owner;

    (void)flags;
    assert(!w->ended && !w->refused && prepend.n <= IPC_CHUNK && message_id.n <= IPC_NAME);
    assert(prepend.n == 0 || prepend.p[prepend.n - 1] == '\n');
    assert(w->judge == NULL || str_starts(prepend, STR("Authentication-Results: mx.example")) || (w->signatures == 2 && str_starts(prepend, STR("ARC-Seal: "))));
    w->ended++;
}

static void on_refuse(void *owner, unsigned code, struct str text)
{
    struct world *w = owner;

    assert(!w->ended && !w->refused && code >= 400 && code < 600 && text.n > 5);
    w->refused++;
}

static void on_ask(void *owner, struct str address)
{
    struct world *w = owner;

    assert(address.n > 0 && address.n <= IPC_ADDRESS);
    w->questions++;
    if (w->answer_now)
        message_sender(w->message, true, false);
}

/* With a key the message is signed, and with a signature of any bytes. */
static void answer_keys(struct world *w)
{
    message_keys(w->message, &(struct msg_dkim_keys_reply){.rsa = w->has_key ? STR("s1") : STR(""), .ed25519 = w->has_key ? STR("s2") : STR("")});
}

static void answer_signatures(struct world *w)
{
    message_signatures(w->message, &(struct msg_dkim_sign_reply){.rsa_signature = STR("any bytes"), .ed25519_signature = STR("\0 any bytes")});
}

static void on_keys(void *owner, struct str domain)
{
    struct world *w = owner;

    assert(domain.n > 0 && domain.n <= IPC_NAME && w->keys == 0);
    w->keys++;
    if (w->answer_now)
        answer_keys(w);
}

static void on_signatures(void *owner, const struct msg_dkim_sign_ask *ask)
{
    struct world *w = owner;

    assert(w->has_key && w->keys == 1 && ask->rsa_hash.n == 32);
    if (w->judge != NULL)
        assert(w->judged == 1 && w->signatures < 2 && ask->ed25519_hash.n == 0);
    else
        assert(w->signatures == 0 && ask->ed25519_hash.n == 32);
    w->signatures++;
    if (w->answer_now)
        answer_signatures(w);
}

static void wait_for_judge(void *owner)
{
    (void)owner;
}

static const struct verdict *verdict(void *owner)
{
    static const struct judge_policy policy = {.check = true, .refuse_spf_fail = true, .dmarc = DMARC_MODE_ENFORCE};
    struct world *w = owner;

    verdict_of(w->judge, &policy, &w->verdict);
    return &w->verdict;
}

static bool ask(void *owner, enum judge_asker who, struct str name, unsigned type)
{
    struct world *w = owner;

    assert(who < JUDGE_ASKERS && !w->open[who] && name.n > 0 && type != 0 && ++w->asked < 10000);
    w->open[who] = true;
    return true;
}

static void judged(void *owner)
{
    struct world *w = owner;

    assert(++w->judged == 1);
    message_judged(w->message);
}

/* The first octet says how many belong to the answer and what became of the question; false: nothing is left. */
static bool answer(struct world *w, enum judge_asker who)
{
    unsigned char first = w->answers.n ? (unsigned char)w->answers.p[0] : 0;
    size_t n = first % 64 * 4;

    w->open[who] = false;
    judge_answer(w->judge, who, (enum dns_status)(first & 0xc0 ? DNS_OK : first % 6), str_sub(w->answers, 1, 1 + n));
    w->answers = str_skip(w->answers, 1 + n);
    return w->answers.n > 0;
}

static void answer_all(struct world *w)
{
    bool more = true;

    while (more && w->judged == 0) {
        more = false;
        for (unsigned i = 0; i < JUDGE_ASKERS; i++)
            if (w->open[i])
                more |= answer(w, i);
    }
    judge_give_up(w->judge);
    assert(judge_is_done(w->judge) && w->judged == 1);
}

static struct judge *stranger(struct world *w, struct str bytes)
{
    static const struct judge_world calls = {ask, judged};
    struct judge_subject subject = {.helo = STR("mx.a.example"), .sender = STR("me@a.example"), .hostname = STR("mx.example"), .dmarc = true,
        .client = {4, {192, 0, 2, 1}}};

    w->answers = bytes;
    return judge_new(&calls, w, &subject);
}

static int64_t now(void *owner)
{
    (void)owner;
    return 0;
}

static uint64_t random_number(void *owner)
{
    (void)owner;
    return 1;
}

static void no_private_field(void *owner, const struct header_field *f)
{
    const struct world *w = owner;

    assert(!str_ieq(f->name, STR("Authentication-Results")) || auth_results_claim_of(f->value, STR("mx.example")) == AUTH_RESULTS_FOREIGN);
    assert(w->judge != NULL || !str_ieq(f->name, STR("Bcc")));
    assert( !str_ieq(f->name, STR("Return-Path")) && f->name.n > 0);
}

static void check_header(struct world *w, struct str message)
{
    struct header_scan s;
    size_t used;

    header_scan_init(&s, 1 << 20, no_private_field, w);
    assert(header_scan(&s, message, &used) == HEADER_END && s.blank);
    header_scan_clear(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct message_world calls = {on_chunk, on_end, on_refuse, on_ask, on_keys, on_signatures, wait_for_judge, verdict, now, random_number};
    static const struct message_limits limits = {4096, 5};
    struct str bytes = {(const char *)data + 2, size - 2};
    struct world w = {0};
    struct message m;

    if (size < 3)
        return 0;
    w.message = &m;
    w.answer_now = data[0] & 1;
    w.has_key = data[0] & 16;
    buf_init(&w.body, 1 << 24);
    message_begin(&m, &calls, &w, &limits, STR("mx.example"), &(struct msg_txn_begin){.message = 1,
        .flags = data[0] & 8 ? 0 : TXN_SUBMISSION, .account = data[0] & 8 ? 0 : data[0] & 2, .sender = STR("me@a.example"), .trace = STR("Received: x\r\n")});
    if (data[0] & 8)
        w.judge = stranger(&w, bytes);
    message_set_judge(&m, w.judge);
    if (data[0] & 32)
        message_goes_on(&m, STR("home.example"));
    message_chunk(&m, str_sub(bytes, 0, data[1] % bytes.n));
    message_chunk(&m, str_skip(bytes, data[1] % bytes.n));
    message_end(&m, 0);
    for (unsigned i = 0; !w.answer_now && i < w.questions; i++)
        message_sender(&m, !(data[0] & 4), false);
    if (!w.answer_now && w.keys > 0)
        answer_keys(&w);
    if (!w.answer_now && w.signatures > 0)
        answer_signatures(&w);
    if (w.judge != NULL && !message_is_over(&m))
        answer_all(&w);
    for (unsigned i = 0; !w.answer_now && w.judge != NULL && i < w.signatures; i++)
        answer_signatures(&w);
    assert(w.ended + w.refused == 1);
    if (w.ended)
        check_header(&w, buf_str(&w.body));
    message_clear(&m);
    judge_free(w.judge);
    verdict_clear(&w.verdict);
    buf_clear(&w.body);
    return 0;
}
