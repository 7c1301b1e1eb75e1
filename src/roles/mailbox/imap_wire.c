/* COMPRESS (RFC 4978) and UNAUTHENTICATE (RFC 8437): what stands between a session's commands and the bytes of its connection.
 * See imap.h and imap/compress.h.
 *
 * Compressed input is inflated only when everything before it was read, so that no more than a piece of it waits, whatever its
 * ratio. Output is deflated a piece a turn, each with a flush. The client's stream ends with the flush behind UNAUTHENTICATE:
 * what comes after that is plain, and goes back to access with the connection. */
#include "base/log.h"
#include "imap.h"
#include "imap/compress.h"

#include <inttypes.h>

enum { INFLATED = 16 * 1024, DEFLATED = 128 * 1024 };

/* ---- COMPRESS ---- */

void imap_on_compress(struct imap *im)
{
    const struct imap_words *w = &im->command.words;

    if (w->n != 1 || !str_ieq(w->words[0], STR("DEFLATE")))
        imap_bad(im, "The one mechanism is DEFLATE");
    else if (im->compression != NULL)
        imap_bad(im, "[COMPRESSIONACTIVE] DEFLATE is active already");
    else {
        im->compresses = true;
        imap_ok(im, NULL, "DEFLATE is active");
    }
}

void imap_wire_begin(struct imap *im)
{
    if (!im->compresses)
        return;
    im->compresses = false;
    im->compression = imap_compression_new();
    buf_init(&im->deflated, IMAP_UNREAD_MAX);
    buf_init(&im->wire, IMAP_OUTPUT_MAX);
    buf_add(&im->wire, buf_str(&im->out)); /* up to the answer */
    buf_reset(&im->out);
    buf_add(&im->deflated, buf_str(&im->unread));
    buf_reset(&im->unread);
}

bool imap_wire_input(struct imap *im, struct str bytes)
{
    struct buf *to = im->compression != NULL ? &im->deflated : &im->unread;

    buf_add(to, bytes);
    return !to->failed;
}

/* A flush ends the stream of a client that goes back to not authenticated. */
static bool stream_is_over(const struct imap *im)
{
    return im->returns && imap_inflate_at_end(im->compression);
}

void imap_wire_inflate(struct imap *im)
{
    struct str rest = buf_str(&im->deflated);
    bool fine = true;

    if (im->returns) /* nothing of it is for us */
        buf_reset(&im->unread);
    while (fine && rest.n > 0 && im->unread.n == 0 && !stream_is_over(im) && !imap_pause(im)) /* of blocks that hold nothing many fit */
        fine = imap_inflate(im->compression, &rest, &im->unread, INFLATED);
    im->taken += im->deflated.n - rest.n;
    buf_consume(&im->deflated, im->deflated.n - rest.n);
    if (fine)
        return;
    log_info("imap-compress", "account=%" PRId64 " reason=the input cannot be inflated", im->info->account);
    buf_add(&im->out, STR("* BYE The compressed input is damaged\r\n"));
    im->idling = false;
    im->closed = true;
}

bool imap_wire_output(struct imap *im)
{
    size_t n = im->out.n < DEFLATED ? im->out.n : DEFLATED;

    if (im->compression == NULL)
        return true;
    imap_deflate(im->compression, str_sub(buf_str(&im->out), 0, n), &im->wire);
    buf_consume(&im->out, n);
    return im->out.n == 0 && im->wire.n < IMAP_OUTPUT_HIGH;
}

void imap_wire_rest(struct imap *im)
{
    if (im->compression == NULL)
        return;
    imap_compression_rest(im->compression);
    buf_clear(&im->deflated);
    buf_clear(&im->wire);
}

void imap_wire_clear(struct imap *im)
{
    imap_compression_free(im->compression);
    im->compression = NULL;
    buf_clear(&im->deflated);
    buf_clear(&im->wire);
}

/* ---- UNAUTHENTICATE ---- */

void imap_on_unauthenticate(struct imap *im)
{
    if (im->info->flags & SESSION_ADMIN) { /* there was no login to go back to */
        imap_bad(im, "This command is not offered here");
        return;
    }
    imap_notify_end(im);
    imap_view_close(im);
    imap_ok(im, NULL, "Not authenticated any more");
    im->returns = true;
}

bool imap_wire_returns(struct imap *im)
{
    return im->returns && im->step == NULL && (im->compression == NULL || stream_is_over(im));
}

struct str imap_wire_left(struct imap *im)
{
    return im->compression != NULL ? buf_str(&im->deflated) : buf_str(&im->unread);
}
