/* What an IMAP server writes. See write.h. */
#include "write.h"

#include <string.h>

enum { QUOTED_MAX = 1000 }; /* longer texts go as literals: clients have limits for a line */

enum { ESCAPED = 1, NEVER_QUOTED = 2, EIGHT_BIT = 4 };

/* What there is in a text, by kinds: without a branch for each octet. */
static unsigned kinds_of(struct str text)
{
    static const unsigned char kinds[128] = {[0] = NEVER_QUOTED, ['\r'] = NEVER_QUOTED, ['\n'] = NEVER_QUOTED, ['"'] = ESCAPED,
        ['\\'] = ESCAPED};
    unsigned found = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        found |= c < 128 ? kinds[c] : EIGHT_BIT;
    }
    return found;
}

static bool can_be_quoted(struct str text, unsigned kinds, bool utf8)
{
    if (text.n > QUOTED_MAX || kinds & NEVER_QUOTED)
        return false;
    return !(kinds & EIGHT_BIT) || (utf8 && str_is_utf8(text));
}

static void quote(struct buf *out, struct str text, unsigned kinds)
{
    char *room = buf_reserve(out, text.n * 2 + 2), *to = room;

    if (room == NULL)
        return;
    *to++ = '"';
    if (!(kinds & ESCAPED)) {
        if (text.n > 0)
            memcpy(to, text.p, text.n);
        to += text.n;
    } else {
        for (size_t i = 0; i < text.n; i++) {
            if (text.p[i] == '"' || text.p[i] == '\\')
                *to++ = '\\';
            *to++ = text.p[i];
        }
    }
    *to++ = '"';
    out->n += (size_t)(to - room);
}

/* A literal cannot hold NUL; in text that we made out of fields it stands for nothing. */
static void literal(struct buf *out, struct str text)
{
    size_t nuls = 0;

    for (size_t i = 0; i < text.n; i++)
        nuls += text.p[i] == 0;
    buf_addf(out, "{%zu}\r\n", text.n - nuls);
    if (nuls == 0) {
        buf_add(out, text);
        return;
    }
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != 0)
            buf_add_char(out, text.p[i]);
}

void imap_write_string(struct buf *out, struct str text, bool utf8)
{
    unsigned kinds = kinds_of(text);

    if (can_be_quoted(text, kinds, utf8))
        quote(out, text, kinds);
    else
        literal(out, text);
}

void imap_write_nstring(struct buf *out, struct str text, bool utf8)
{
    if (text.p == NULL)
        buf_add(out, STR("NIL"));
    else
        imap_write_string(out, text, utf8);
}

static bool can_be_atom(struct str text)
{
    if (text.n == 0 || str_ieq(text, STR("NIL")))
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] == 0x7f || strchr("(){%*\"\\", text.p[i]) != NULL)
            return false;
    return true;
}

void imap_write_astring(struct buf *out, struct str text, bool utf8)
{
    if (can_be_atom(text))
        buf_add(out, text);
    else
        imap_write_string(out, text, utf8);
}

void imap_write_mailbox(struct buf *out, struct str name, bool utf8)
{
    struct buf encoded;

    if (utf8 || (str_is_ascii(name) && str_find(name, '&') < 0)) {
        imap_write_astring(out, name, utf8);
        return;
    }
    buf_init(&encoded, 6 * name.n + 8);
    imap_mutf7_encode(&encoded, name);
    imap_write_astring(out, buf_str(&encoded), false);
    buf_clear(&encoded);
}

void imap_write_flags(struct buf *out, const struct imap_flags *flags)
{
    static const char *const names[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
    const char *between = "";

    buf_add_char(out, '(');
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (flags->system & 1u << i) {
            buf_addf(out, "%s%s", between, names[i]);
            between = " ";
        }
    for (size_t i = 0; i < flags->keyword_count; i++) {
        buf_addf(out, "%s%.*s", between, STR_ARG(flags->keywords[i]));
        between = " ";
    }
    buf_add_char(out, ')');
}
