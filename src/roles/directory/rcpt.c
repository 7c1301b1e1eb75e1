/* RCPT: may this recipient be sent to, and what has to be known about it; who pays for it. */
#include "lookup.h"

#include <inttypes.h>

struct allowance {
    int64_t principal, messages, recipients; /* limits, below 0 for none */
};

static int64_t effective(int64_t own, int64_t node)
{
    return own == 0 ? node : own;
}

/* Who pays: the login, and for a credential its account too. */
static bool find_allowances(
    struct lookup *l, int64_t id, struct allowance out[2], size_t *n, struct err *err)
{
    const struct config *c = l->config;
    struct credential credential;
    struct account a;
    bool found;

    *n = 0;
    if (!store_get_account_id(l->store, id, &a, &found, err))
        return false;
    if (!found) {
        if (!store_get_credential_id(l->store, id, &credential, &found, err))
            return false;
        if (!found)
            return true;
        out[(*n)++] = (struct allowance){id,
            effective(credential.messages_per_hour, c->limits.messages_per_account),
            effective(credential.recipients_per_hour, c->limits.recipients_per_account)};
        if (credential.account == 0)
            return true;
        if (!store_get_account_id(l->store, credential.account, &a, &found, err))
            return false;
    }
    if (found)
        out[(*n)++] =
            (struct allowance){a.id, effective(a.messages_per_hour, c->limits.messages_per_account),
                effective(a.recipients_per_hour, c->limits.recipients_per_account)};
    return true;
}

static bool over_limit(
    struct lookup *l, const struct allowance *w, bool first, int64_t now, struct buf *text)
{
    struct hourly_use used = hourly_used(&l->hourly, w->principal, now);

    if (first && w->messages >= 0 && used.messages >= w->messages)
        buf_addf(text, "4.7.1 Over the limit of %" PRId64 " messages an hour, try again later",
            w->messages);
    else if (w->recipients >= 0 && used.recipients >= w->recipients)
        buf_addf(text, "4.7.1 Over the limit of %" PRId64 " recipients an hour, try again later",
            w->recipients);
    else
        return false;
    return true;
}

static const struct rcpt_answer {
    enum rcpt_result result;
    const char *text;
} rcpt_answers[] = {
    [PLACE_ACCOUNT] = {RCPT_LOCAL, "2.1.5 Ok"},
    [PLACE_ALIAS] = {RCPT_LOCAL, "2.1.5 Ok"},
    [PLACE_FORWARD] = {RCPT_LOCAL, "2.1.5 Ok"},
    [PLACE_REMOTE] = {RCPT_REMOTE, "2.1.5 Ok"},
    [PLACE_BACKUP] = {RCPT_BACKUP, "2.1.5 Ok"},
    [PLACE_UNKNOWN] = {RCPT_UNKNOWN, "5.1.1 No such user here"},
    [PLACE_DISABLED] = {RCPT_DISABLED, "5.2.1 This mailbox is switched off"},
    [PLACE_NOBODY] = {RCPT_LOCAL, "2.1.5 Ok"},
};

static enum rcpt_result answer(struct buf *text, enum rcpt_result result, const char *words)
{
    buf_add(text, str_of(words));
    return result;
}

static enum rcpt_result charge(struct lookup *l, int64_t account, bool first, int64_t now,
    const struct rcpt_answer *accepted, struct buf *text)
{
    struct allowance who[2];
    size_t n;

    if (!find_allowances(l, account, who, &n, &l->trouble))
        return answer(text, RCPT_TEMPFAIL, "4.3.0 The directory cannot answer now");
    if (n == 0) /* removed since it logged in */
        return answer(text, RCPT_LIMITED, "4.7.1 This login does not exist any more");
    for (size_t i = 0; i < n; i++)
        if (over_limit(l, &who[i], first, now, text))
            return RCPT_LIMITED;
    for (size_t i = 0; i < n; i++)
        hourly_charge(&l->hourly, who[i].principal, first, 1, now);
    return answer(text, accepted->result, accepted->text);
}

/* An address that we have signed leads to another one: where does that belong? False: said->result is the last word. */
static bool follow_path(struct lookup *l, struct name *canonical, struct name *key, bool *is_signed, struct rcpt_said *said)
{
    struct path_found path;
    const char *why;

    *is_signed = false;
    if (!paths_find(l, name_str(canonical), &path, &l->trouble)) {
        said->result = answer(&said->text, RCPT_TEMPFAIL, "4.3.0 The directory cannot answer now");
        return false;
    }
    if (path.kind == PATH_KIND_NONE)
        return true;
    if (path.result == PATH_GOOD && path.kind == PATH_KIND_OWN && lookup_fold(name_str(&path.address), canonical, key, &why)) {
        *is_signed = true;
        return true;
    }
    if (path.result == PATH_GOOD && path.kind == PATH_KIND_SRS) {
        said->forwards = l->config->forward.seal;
        said->result = answer(&said->text, RCPT_LOCAL, "2.1.5 Ok");
    } else {
        said->result = answer(&said->text, RCPT_UNKNOWN, paths_refusal(&path));
    }
    return false;
}

/* A bounce to an address that is not signed, in a domain that signs its return paths. False: it is refused, or the database failed. */
static bool accept_bounce(struct lookup *l, struct str key, struct rcpt_said *said)
{
    enum return_path_mode mode;

    if (!paths_bounce(l, key, &mode, &l->trouble))
        said->result = answer(&said->text, RCPT_TEMPFAIL, "4.3.0 The directory cannot answer now");
    else if (mode == RETURN_PATH_REFUSE)
        said->result = answer(&said->text, RCPT_UNKNOWN,
            "5.7.1 Bounces come to signed addresses only: no message sent from here had this return path");
    else
        said->junk = mode == RETURN_PATH_JUNK;
    return said->text.n == 0;
}

/* Of a recipient that was found. */
static void answer_found(struct lookup *l, const struct rcpt_question *q, struct str key, const struct found *found, struct rcpt_said *said)
{
    const struct rcpt_answer *a = &rcpt_answers[found->place];

    if (a->result == RCPT_UNKNOWN || a->result == RCPT_DISABLED)
        said->result = answer(&said->text, a->result, a->text);
    else if (q->account != 0)
        said->result = charge(l, q->account, q->first, q->now, a, &said->text);
    else if (l->config->forward.seal && !lookup_forwards(l, key, found, &said->forwards, &l->trouble))
        said->result = answer(&said->text, RCPT_TEMPFAIL, "4.3.0 The directory cannot answer now");
    else
        said->result = answer(&said->text, a->result, a->text);
}

void lookup_rcpt(struct lookup *l, const struct rcpt_question *q, struct rcpt_said *said)
{
    struct name canonical, key;
    struct found found;
    const char *why;
    bool is_signed;

    l->trouble.kind = ERR_NONE;
    said->forwards = said->junk = false;
    if (!lookup_fold(q->address, &canonical, &key, &why)) {
        said->result = answer(&said->text, RCPT_UNKNOWN, "5.1.3 This is no mail address");
        return;
    }
    if (!follow_path(l, &canonical, &key, &is_signed, said))
        return;
    if (!lookup_find(l, name_str(&key), &found, &l->trouble))
        said->result = answer(&said->text, RCPT_TEMPFAIL, "4.3.0 The directory cannot answer now");
    else if (!q->bounce || is_signed || rcpt_answers[found.place].result != RCPT_LOCAL || accept_bounce(l, name_str(&key), said))
        answer_found(l, q, name_str(&key), &found, said);
}
