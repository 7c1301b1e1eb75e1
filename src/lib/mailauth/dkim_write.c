/* See dkim_write.h. */
#include "dkim_write.h"
#include "base/encode.h"

#include <string.h>

enum { LINE_MAX_OCTETS = 76, BASE64_MAX = 16384, SAME_NAME_MAX = 20 };

/* ---- what is covered ---- */

/* What is signed where it is there (RFC 6376 5.4.1; List-Unsubscribe-Post: RFC 8058 4), and what is oversigned. */
static const struct {
    const char *name;
    bool oversigned, is_signature;
} signed_names[] = {
    {"From", true, false}, {"Subject", true, false}, {"Date", true, false}, {"To", true, false}, {"Cc", false, false},
    {"Sender", false, false}, {"Reply-To", false, false}, {"Message-ID", false, false}, {"In-Reply-To", false, false},
    {"References", false, false}, {"MIME-Version", false, false}, {"Content-Type", false, false},
    {"Content-Transfer-Encoding", false, false}, {"Content-ID", false, false}, {"Content-Description", false, false},
    {"Resent-Date", false, false}, {"Resent-From", false, false}, {"Resent-Sender", false, false}, {"Resent-To", false, false},
    {"Resent-Cc", false, false}, {"Resent-Message-ID", false, false}, {"List-Id", false, false}, {"List-Help", false, false},
    {"List-Unsubscribe", false, false}, {"List-Unsubscribe-Post", false, false}, {"List-Subscribe", false, false},
    {"List-Post", false, false}, {"List-Owner", false, false}, {"List-Archive", false, false}, {"DKIM-Signature", false, true},
};

static void add_name(struct buf *names, struct str name, size_t count)
{
    for (; count > 0; count--) {
        if (names->n > 0)
            buf_add_char(names, ':');
        buf_add(names, name);
    }
}

bool dkim_choose_names(const struct dkim_header *header, bool with_signatures, struct buf *names)
{
    if (dkim_header_is_too_large(header) || dkim_header_count_of(header, STR("From")) == 0)
        return false;
    for (size_t i = 0; i < sizeof signed_names / sizeof signed_names[0]; i++) {
        struct str name = str_of(signed_names[i].name);
        size_t count = dkim_header_count_of(header, name);

        if (signed_names[i].is_signature && !with_signatures)
            continue;
        if (count > SAME_NAME_MAX && signed_names[i].oversigned)
            return false;
        if (count > SAME_NAME_MAX)
            count = SAME_NAME_MAX;
        add_name(names, name, count + (signed_names[i].oversigned ? 1 : 0));
    }
    return !names->failed;
}

/* ---- how it is written ---- */

static void fold(struct dkim_writer *w)
{
    buf_add(w->out, STR("\r\n\t"));
    w->line = 1;
}

static void add(struct dkim_writer *w, struct str s)
{
    buf_add(w->out, s);
    w->line += s.n;
}

void dkim_write_begin(struct dkim_writer *w, struct buf *out, const char *field)
{
    *w = (struct dkim_writer){.out = out};
    add(w, str_of(field));
}

void dkim_write_tag(struct dkim_writer *w, const char *name, struct str value)
{
    size_t n = strlen(name) + 1 + value.n + 1;

    if (w->line + 1 + n > LINE_MAX_OCTETS)
        fold(w);
    else
        add(w, STR(" "));
    add(w, str_of(name));
    add(w, STR("="));
    add(w, value);
    add(w, STR(";"));
}

void dkim_write_number(struct dkim_writer *w, const char *name, uint64_t number)
{
    struct buf text;

    buf_init(&text, 32);
    buf_add_number(&text, number);
    dkim_write_tag(w, name, buf_str(&text));
    buf_clear(&text);
}

void dkim_write_names(struct dkim_writer *w, struct str names)
{
    struct str name;

    fold(w);
    add(w, STR("h="));
    while (str_next(&names, ':', &name)) {
        if (w->line + name.n + 1 > LINE_MAX_OCTETS)
            fold(w);
        add(w, name);
        add(w, names.p == NULL ? STR(";") : STR(":"));
    }
}

static void add_base64(struct dkim_writer *w, struct str bytes)
{
    struct buf text;
    struct str rest;

    buf_init(&text, BASE64_MAX);
    base64_encode(&text, bytes);
    for (rest = buf_str(&text); rest.n > 0;) {
        size_t n = LINE_MAX_OCTETS - w->line;

        add(w, str_sub(rest, 0, n));
        rest = str_skip(rest, n < rest.n ? n : rest.n);
        if (rest.n > 0)
            fold(w);
    }
    buf_clear(&text);
}

void dkim_write_body_hash(struct dkim_writer *w, const unsigned char hash[DKIM_HASH])
{
    fold(w);
    add(w, STR("bh="));
    add_base64(w, str_from((const char *)hash, DKIM_HASH));
    add(w, STR(";"));
}

void dkim_write_signature(struct dkim_writer *w, struct str signature)
{
    fold(w);
    add(w, STR("b="));
    add_base64(w, signature);
}
