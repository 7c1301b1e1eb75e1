/* The messages of a command in portions. See imap_uids.h. */
#include "imap_uids.h"

void imap_uids_begin(struct imap_uids *u, struct imap_set set)
{
    *u = (struct imap_uids){.set = set, .at = 1};
}

void imap_uids_rewind(struct imap_uids *u)
{
    u->at = 1;
}

void imap_uids_pass(struct imap_uids *u, uint32_t uid)
{
    u->at = uid == UINT32_MAX ? 0 : uid + 1;
}

/* 0 at the end. */
static uint32_t next(struct imap *im, struct imap_uids *u)
{
    uint32_t uid = 0;

    if (u->at != 0)
        uid = u->all != NULL ? uid_set_next(u->all, u->at) : imap_view_next(im, &u->set, u->at);
    imap_uids_pass(u, uid == 0 ? UINT32_MAX : uid);
    return uid;
}

size_t imap_uids_take(struct imap *im, struct imap_uids *u, uint32_t uids[STORE_MANY], bool *more)
{
    size_t n = 0;

    if (u->portion < STORE_MANY)
        u->portion = u->portion == 0 ? 1 : u->portion * 2;
    while (n < u->portion && (uids[n] = next(im, u)) != 0)
        n++;
    *more = n == u->portion;
    return n;
}
