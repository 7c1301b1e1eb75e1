/* See letter.h. */
#include "letter.h"
#include "base/encode.h"
#include "base/err.h"
#include "mime/date.h"

enum { PIECE = 16384, GZIP = 15 + 16, LINE = 57 /* bytes of a line of base64 */ };

void letter_begin(struct letter *l)
{
    *l = (struct letter){.open = true};
    buf_init(&l->packed, LETTER_MAX);
    if (deflateInit2(&l->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        fatal("out of memory");
}

static void run(struct letter *l, struct str bytes, int flush)
{
    char *room;

    l->z.next_in = (z_const Bytef *)bytes.p;
    l->z.avail_in = (uInt)bytes.n;
    do {
        room = l->failed ? NULL : buf_reserve(&l->packed, PIECE);
        if (room == NULL) {
            l->failed = true;
            return;
        }
        l->z.next_out = (Bytef *)room;
        l->z.avail_out = PIECE;
        deflate(&l->z, flush);
        l->packed.n += PIECE - l->z.avail_out;
    } while (l->z.avail_out == 0);
}

void letter_add(struct letter *l, struct str bytes)
{
    if (bytes.n > 0)
        run(l, bytes, Z_NO_FLUSH);
}

bool letter_end(struct letter *l)
{
    run(l, STR(""), Z_FINISH);
    deflateEnd(&l->z);
    l->open = false;
    return !l->failed;
}

static void add_base64(struct buf *out, struct str bytes)
{
    while (bytes.n > 0) {
        base64_encode(out, str_sub(bytes, 0, LINE));
        buf_add(out, STR("\r\n"));
        bytes = str_skip(bytes, LINE);
    }
}

void letter_write(const struct letter *l, const struct letter_head *h, struct buf *out)
{
    static const char mark[] = "=_report"; /* neither base64 nor our words have it */
    char date[DATE_TEXT];

    date_format(h->now, date);
    buf_addf(out, "From: <%.*s>\r\nTo: <%.*s>\r\nDate: %s\r\nMessage-ID: <%.*s>\r\n", STR_ARG(h->from), STR_ARG(h->to), date,
        STR_ARG(h->message_id));
    buf_addf(out, "Subject: %.*s\r\nAuto-Submitted: auto-generated\r\n%.*sMIME-Version: 1.0\r\n", STR_ARG(h->subject), STR_ARG(h->fields));
    buf_addf(out, "Content-Type: multipart/%.*s; boundary=\"%s\"\r\n\r\n--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n%.*s\r\n",
        STR_ARG(h->multipart), mark, mark, STR_ARG(h->words));
    buf_addf(out, "--%s\r\nContent-Type: %.*s;\r\n name=\"%.*s\"\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment;\r\n filename=\"%.*s\"\r\n\r\n", mark, STR_ARG(h->type), STR_ARG(h->file_name), STR_ARG(h->file_name));
    add_base64(out, buf_str(&l->packed));
    buf_addf(out, "--%s--\r\n", mark);
}

void letter_clear(struct letter *l)
{
    if (l->open)
        deflateEnd(&l->z);
    buf_clear(&l->packed);
    *l = (struct letter){0};
}
