/* What an IMAP session has in a transaction that others share: begun, held over several turns, waited for until it is on disk. See
 * imap.h and boxes.h. */
#include "imap.h"
#include "store_events.h"

void imap_on_synced(struct waiter *w, bool stored, const struct err *err)
{
    struct imap *im = CONTAINER(w, struct imap, waiter);

    (void)err;
    im->waiting = false;
    im->synced(im, stored);
    session_wake(im->session);
}

static bool begun(struct imap *im, bool begun, const struct err *err)
{
    if (begun)
        store_by(im->box->store, imap_notify_who(im));
    else
        imap_failed(im, err);
    return begun;
}

bool imap_begin(struct imap *im)
{
    struct err err = {0};

    return begun(im, box_begin(im->box, &err), &err);
}

bool imap_begin_addition(struct imap *im)
{
    struct err err = {0};

    return begun(im, box_begin_addition(im->box, &err), &err);
}

bool imap_hold(struct imap *im)
{
    if (!imap_begin(im))
        return false;
    im->holding = true;
    im->box->held++;
    im->rollbacks = im->box->rollbacks;
    box_touch(im->box);
    return true;
}

bool imap_still_holds(struct imap *im)
{
    box_touch(im->box);
    if (im->rollbacks == im->box->rollbacks)
        return true;
    imap_release(im);
    imap_no(im, "UNAVAILABLE", "The change could not be written, try again later");
    return false;
}

void imap_release(struct imap *im)
{
    imap_promise_kept(im, im->promised_messages, im->promised_bytes);
    if (im->holding)
        im->box->held--;
    im->holding = false;
}

void imap_promise(struct imap *im, uint64_t messages, uint64_t bytes)
{
    im->promised_messages = messages;
    im->promised_bytes = bytes;
    im->box->promised_messages += messages;
    im->box->promised_bytes += bytes;
}

void imap_promise_kept(struct imap *im, uint64_t messages, uint64_t bytes)
{
    if (messages > im->promised_messages)
        messages = im->promised_messages;
    if (bytes > im->promised_bytes)
        bytes = im->promised_bytes;
    im->promised_messages -= messages;
    im->promised_bytes -= bytes;
    im->box->promised_messages -= messages;
    im->box->promised_bytes -= bytes;
}

void imap_undo(struct imap *im, const struct err *err)
{
    imap_release(im);
    box_fail(im->box, err);
    imap_failed(im, err);
}

void imap_is_waiting(struct imap *im)
{
    (void)im;
}

void imap_when_synced(struct imap *im, imap_synced *then)
{
    im->waiting = true;
    im->synced = then;
    im->step = imap_is_waiting;
    box_batch(im->box, &im->waiter);
}

/* Within the flush: a moment only. */
static void on_settled(struct imap *im, bool stored)
{
    if (!stored && im->box->broken) {
        imap_no(im, "UNAVAILABLE", "The mailbox cannot be read now, try again later");
        return;
    }
    imap_begin_turn(im, 0);
    im->step = im->settling;
    im->step(im);
}

void imap_settle(struct imap *im)
{
    im->settling = im->step;
    imap_when_synced(im, on_settled);
}
