/* What an IMAP session asks directory, and how long it waits for the answer. See imap.h.
 *
 * A directory that is away is known at once; one that hangs is taken for one that is away after SESSION_LATER. What it says then is said
 * to nobody: its number is not waited for any more. */
#include "base/clock.h"
#include "imap.h"

static void begin(struct imap *im)
{
    im->waiting = true;
    im->step = imap_is_waiting;
}

static void limit(struct imap *im, const struct link *question)
{
    if (link_in_list(question))
        im->asking_until = session_wake_later(im->session);
}

void imap_ask_address(struct imap *im, int64_t asker, struct str address, shares_ready *ready)
{
    begin(im);
    im->locating.waiter.ready = ready;
    shares_find(accounts_shares(im->info->accounts), asker, address, &im->locating.waiter);
    limit(im, &im->locating.waiter.link);
}

void imap_ask_owners(struct imap *im, shares_ready *ready)
{
    begin(im);
    im->locating.waiter.ready = ready;
    shares_list(accounts_shares(im->info->accounts), im->home->account, &im->locating.waiter);
    limit(im, &im->locating.waiter.link);
}

void imap_ask_account(struct imap *im, int64_t account, bool patient, account_ready *ready)
{
    begin(im);
    im->asking.ready = ready;
    im->asking.patient = patient;
    accounts_get(im->info->accounts, (uint64_t)account, &im->asking);
    limit(im, &im->asking.link);
}

bool imap_directory_is_late(struct imap *im)
{
    struct shares_waiter *share = &im->locating.waiter;
    bool asks_share = link_in_list(&share->link);

    if ((!asks_share && !link_in_list(&im->asking.link)) || clock_monotonic() < im->asking_until)
        return false;
    if (asks_share) {
        list_remove(&share->link);
        share->ready(share, &(struct shares_answer){.failed = true});
    } else {
        list_remove(&im->asking.link);
        im->asking.ready(&im->asking, NULL);
    }
    return true;
}
