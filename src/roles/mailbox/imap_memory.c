/* What the sessions of an account may hold in memory together, beside the little that each has. See imap.h.
 *
 * Each command has bounds of its own, but an account may have hundreds of sessions, and a client that reads nothing keeps a command
 * under way as long as it likes. So what a session holds beyond a little is counted: the parsed command, what SORT, THREAD, SEARCH, LIST
 * and FETCH gather, what NOTIFY keeps, and output that is not taken. A command that would need more than is left is answered NO; a
 * session whose output grows beyond it ends. */
#include "imap.h"
#include "imap_notify.h"
#include "base/log.h"

#include <inttypes.h>

/* Of a session: not counted; and output for which it may have to end. */
enum { FREE = 256 * 1024, LARGE = 1024 * 1024 };

static bool count(struct imap *im)
{
    size_t holds = im->arena.used + im->gathered + imap_notify_memory(im) + im->out.n + im->wire.n;

    holds = holds > FREE ? holds - FREE : 0;
    im->home->lent = im->home->lent - im->borrowed + holds;
    im->borrowed = holds;
    return holds == 0 || im->home->lent <= IMAP_MEMORY_MAX;
}

void *imap_alloc(struct imap *im, size_t n)
{
    void *room = arena_alloc(&im->arena, n);

    if (room == NULL)
        imap_no(im, "LIMIT", "The command takes too much memory");
    return room;
}

bool imap_gathers(struct imap *im, size_t bytes)
{
    im->gathered = bytes;
    return count(im);
}

bool imap_has_memory(struct imap *im)
{
    if (count(im))
        return true;
    imap_no(im, "LIMIT", "The sessions of this account take too much memory together, try again later");
    return false;
}

bool imap_gathered_too_much(struct err *err)
{
    return err_set(err, ERR_LIMIT, "The sessions of this account take too much memory together, try again later");
}

bool imap_keeps_within_memory(struct imap *im)
{
    if (im->out.n == 0)
        buf_reset(&im->out); /* room of before goes back */
    if (count(im) || im->holding || im->waiting || im->out.n + im->wire.n < LARGE)
        return true;
    log_warning("imap-memory", "account=%" PRId64 " reason=its sessions take too much memory together", im->info->account);
    buf_reset(&im->out);
    buf_reset(&im->wire);
    im->closed = true;
    return false;
}

void imap_forget_memory(struct imap *im)
{
    im->home->lent -= im->borrowed;
    im->borrowed = 0;
}
