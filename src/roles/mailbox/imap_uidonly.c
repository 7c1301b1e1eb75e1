/* UIDONLY (RFC 9586): once enabled, nothing a client says or hears has a sequence number. See imap.h. */
#include "imap.h"

static bool has_numbers(const struct imap_search_key *key)
{
    for (const struct imap_search_key *k = key; k != NULL; k = k->next)
        if ((k->key == IMAP_KEY_SEQUENCE && !k->set.saved) || has_numbers(k->first))
            return true;
    return false;
}

/* Some command of the selected state, as it was understood, names messages by number. */
static bool uses_numbers(const struct imap_command *c)
{
    switch ((int)c->verb) {
    case IMAP_FETCH:
    case IMAP_STORE:
    case IMAP_COPY:
    case IMAP_MOVE:
    case IMAP_REPLACE:
        return !c->uid;
    case IMAP_SEARCH:
    case IMAP_SORT:
    case IMAP_THREAD:
        return !c->uid || has_numbers(c->search.root);
    case IMAP_SELECT:
    case IMAP_EXAMINE:
        return c->select.match_sequences.n > 0;
    default:
        return false;
    }
}

bool imap_refuses_numbers(struct imap *im)
{
    if (!(im->enabled & IMAP_ENABLED_UIDONLY) || !uses_numbers(&im->command))
        return false;
    imap_bad(im, "[UIDREQUIRED] Only UIDs are used since UIDONLY was enabled");
    return true;
}

bool imap_begin_fetch(struct imap *im, uint32_t uid, bool with_uid)
{
    bool only = im->enabled & IMAP_ENABLED_UIDONLY;

    buf_add(&im->out, STR("* "));
    buf_add_number(&im->out, only ? uid : imap_view_number(im, uid));
    buf_add(&im->out, only ? STR(" UIDFETCH (") : STR(" FETCH ("));
    if (only || !with_uid)
        return false;
    buf_add(&im->out, STR("UID "));
    buf_add_number(&im->out, uid);
    return true;
}
