/* GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208), and the quota of other commands. See imap.h. One root, "", for the account; mailboxes
 * of somebody else have that of his account, "Other Users/ADDRESS", whose figures GETQUOTAROOT tells alone. */
#include "imap.h"

#include <inttypes.h>

/* ---- asking directory ---- */

static void on_account(struct account_waiter *w, const struct account_info *info)
{
    struct imap *im = CONTAINER(w, struct imap, asking);

    im->waiting = false;
    if (info == NULL || !info->found) {
        imap_no(im, "UNAVAILABLE", "The quota cannot be looked up now, try again later");
    } else {
        im->quota = *info;
        im->quota.address = (struct str){0}; /* it does not stay */
        im->with_quota(im);
    }
    session_wake(im->session);
}

void imap_with_quota(struct imap *im, imap_step *then)
{
    im->with_quota = then;
    imap_ask_account(im, im->box->account, true, on_account);
}

bool imap_fits(struct imap *im, uint64_t messages, uint64_t bytes)
{
    struct store_totals has = store_totals(im->box->store);
    uint64_t most_messages = im->quota.quota_messages, most_bytes = im->quota.quota_bytes;

    messages += im->box->promised_messages;
    bytes += im->box->promised_bytes;
    if ((most_messages == 0 || (uint64_t)has.messages + messages <= most_messages) &&
        (most_bytes == 0 || (uint64_t)has.bytes + bytes <= most_bytes))
        return true;
    imap_no(im, "OVERQUOTA", "The mailbox is full");
    return false;
}

/* ---- the commands ---- */

static void tell(struct imap *im)
{
    struct store_totals has = store_durable_totals(im->box->store);
    struct str root = str_sub(im->place.prefix, 0, im->place.prefix.n > 0 ? im->place.prefix.n - 1 : 0);
    const char *between = "";

    if (im->command.verb == IMAP_GETQUOTAROOT) {
        buf_add(&im->out, STR("* QUOTAROOT "));
        imap_write_mailbox(&im->out, imap_full_name(im, im->command.mailbox.name), imap_utf8(im));
        buf_add_char(&im->out, ' ');
        imap_write_string(&im->out, root, imap_utf8(im));
        buf_add(&im->out, STR("\r\n"));
    }
    buf_add(&im->out, STR("* QUOTA "));
    imap_write_string(&im->out, root, imap_utf8(im));
    buf_add(&im->out, STR(" ("));
    if (im->quota.quota_bytes != 0) {
        buf_addf(&im->out, "STORAGE %" PRId64 " %" PRIu64, (has.bytes + 1023) / 1024, im->quota.quota_bytes / 1024);
        between = " ";
    }
    if (im->quota.quota_messages != 0)
        buf_addf(&im->out, "%sMESSAGE %" PRId64 " %" PRIu64, between, has.messages, im->quota.quota_messages);
    buf_add(&im->out, STR(")\r\n"));
    imap_ok(im, NULL, "Done");
}

void imap_on_getquota(struct imap *im)
{
    if (im->command.mailbox.name.n > 0)
        imap_no(im, "NONEXISTENT", "There is one quota root of your own: \"\"");
    else
        imap_with_quota(im, tell);
}

void imap_on_getquotaroot(struct imap *im)
{
    if (imap_folder(im, im->command.mailbox.name, "NONEXISTENT") != NULL)
        imap_with_quota(im, tell);
}

void imap_on_setquota(struct imap *im)
{
    imap_no(im, "NOPERM", "Quotas are set by the administrator");
}
