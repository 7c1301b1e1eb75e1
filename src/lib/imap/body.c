#include "body.h"

#include "write.h"

#include <inttypes.h>
#include <string.h>

struct writing {
    struct buf *out;
    bool extended, utf8;
};

/* Its length is known where it is a literal. */
static inline void add(struct writing *w, const char *text)
{
    buf_add(w->out, (struct str){text, strlen(text)});
}

static void add_nstring(struct writing *w, struct str text)
{
    imap_write_nstring(w->out, text, w->utf8);
}

/* ---- envelope ---- */

/* What is missing but must not be NIL gets a word for it. */
static struct str or_missing(struct str text, struct str word)
{
    return text.p != NULL && text.n == 0 ? word : text;
}

static void add_addresses(struct writing *w, const struct mime_address *list)
{
    if (list == NULL) {
        add(w, "NIL");
        return;
    }
    add(w, "(");
    for (const struct mime_address *a = list; a != NULL; a = a->next) {
        bool group = a->host.p == NULL;

        add(w, "(");
        add_nstring(w, a->name);
        add(w, " ");
        add_nstring(w, a->route);
        add(w, " ");
        add_nstring(w, group ? a->mailbox : or_missing(a->mailbox, STR("MISSING_MAILBOX")));
        add(w, " ");
        add_nstring(w, or_missing(a->host, STR("MISSING_DOMAIN")));
        add(w, ")");
    }
    add(w, ")");
}

static void add_envelope(struct writing *w, const struct mime_envelope *e)
{
    static const struct mime_envelope none;
    const struct mime_address *lists[6];

    e = e ? e : &none;
    lists[0] = e->from;
    lists[1] = e->sender ? e->sender : e->from;
    lists[2] = e->reply_to ? e->reply_to : e->from;
    lists[3] = e->to;
    lists[4] = e->cc;
    lists[5] = e->bcc;
    add(w, "(");
    add_nstring(w, e->date);
    add(w, " ");
    add_nstring(w, e->subject);
    for (size_t i = 0; i < 6; i++) {
        add(w, " ");
        add_addresses(w, lists[i]);
    }
    add(w, " ");
    add_nstring(w, e->in_reply_to);
    add(w, " ");
    add_nstring(w, e->message_id);
    add(w, ")");
}

void imap_write_envelope(struct buf *out, const struct mime_envelope *e, bool utf8)
{
    add_envelope(&(struct writing){.out = out, .utf8 = utf8}, e);
}

/* ---- parameters ---- */

/* "utf-8''" and the value (RFC 2231, section 4). */
static void add_encoded(struct writing *w, struct str value)
{
    static const char digits[] = "0123456789ABCDEF";

    add(w, "\"utf-8''");
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if (ascii_is_alnum((char)c) || c == '.' || c == '-' || c == '_') {
            buf_add_char(w->out, (char)c);
        } else {
            buf_add_char(w->out, '%');
            buf_add_char(w->out, digits[c >> 4]);
            buf_add_char(w->out, digits[c & 15]);
        }
    }
    add(w, "\"");
}

static void add_parameter(struct writing *w, const struct mime_parameter *p)
{
    struct buf name;

    if (!p->extended) {
        imap_write_string(w->out, p->name, w->utf8);
        add(w, " ");
        imap_write_string(w->out, p->written, w->utf8);
        return;
    }
    buf_init(&name, p->name.n + 1);
    buf_add(&name, p->name);
    buf_add_char(&name, '*');
    imap_write_string(w->out, buf_str(&name), w->utf8);
    buf_clear(&name);
    add(w, " ");
    if (w->utf8)
        imap_write_string(w->out, p->value, true);
    else
        add_encoded(w, p->value);
}

/* A text without a charset is us-ascii (RFC 2045, section 5.2). */
static void add_parameters(struct writing *w, const struct mime_parameter *list, bool is_text)
{
    bool charset = is_text && mime_parameter_find(list, "charset").p == NULL;

    if (list == NULL && !charset) {
        add(w, "NIL");
        return;
    }
    add(w, charset ? "(\"charset\" \"us-ascii\"" : "(");
    for (const struct mime_parameter *p = list; p != NULL; p = p->next) {
        if (charset || p != list)
            add(w, " ");
        add_parameter(w, p);
    }
    add(w, ")");
}

/* ---- structure ---- */

/* "en, de": a list, as is usual also for one. */
static void add_languages(struct writing *w, struct str languages)
{
    struct str rest = languages, one;
    const char *before = "(";

    while (str_next(&rest, ',', &one)) {
        one = str_trim(one);
        if (one.n == 0)
            continue;
        add(w, before);
        imap_write_string(w->out, one, w->utf8);
        before = " ";
    }
    add(w, before[0] == '(' ? "NIL" : ")");
}

/* What both kinds of parts have at the end of their extension data. */
static void add_extension(struct writing *w, const struct mime_part *p)
{
    add(w, " ");
    if (p->disposition.p == NULL) {
        add(w, "NIL");
    } else {
        add(w, "(");
        imap_write_string(w->out, p->disposition, w->utf8);
        add(w, " ");
        add_parameters(w, p->disposition_parameters, false);
        add(w, ")");
    }
    add(w, " ");
    add_languages(w, p->languages);
    add(w, " ");
    add_nstring(w, p->location);
}

static void add_body(struct writing *w, const struct mime_part *p);

static void add_multipart(struct writing *w, const struct mime_part *p)
{
    add(w, "(");
    for (const struct mime_part *c = p->first; c != NULL; c = c->next)
        add_body(w, c);
    add(w, " ");
    imap_write_string(w->out, p->subtype, w->utf8);
    if (w->extended) {
        add(w, " ");
        add_parameters(w, p->parameters, false);
        add_extension(w, p);
    }
    add(w, ")");
}

static void add_fields(struct writing *w, const struct mime_part *p, bool is_text)
{
    imap_write_string(w->out, p->type, w->utf8);
    add(w, " ");
    imap_write_string(w->out, p->subtype, w->utf8);
    add(w, " ");
    add_parameters(w, p->parameters, is_text);
    add(w, " ");
    add_nstring(w, p->id);
    add(w, " ");
    add_nstring(w, p->description);
    add(w, " ");
    imap_write_string(w->out, p->encoding, w->utf8);
    buf_addf(w->out, " %" PRIu64, p->end - p->body);
}

static void add_single(struct writing *w, const struct mime_part *p)
{
    bool is_text = mime_part_is(p, "text", NULL);

    add(w, "(");
    add_fields(w, p, is_text);
    if (p->first != NULL) {
        add(w, " ");
        add_envelope(w, p->first->envelope);
        add(w, " ");
        add_body(w, p->first);
    }
    if (is_text || p->first != NULL)
        buf_addf(w->out, " %" PRIu64, p->lines);
    if (w->extended) {
        add(w, " ");
        add_nstring(w, p->md5);
        add_extension(w, p);
    }
    add(w, ")");
}

static void add_body(struct writing *w, const struct mime_part *p)
{
    if (p->first != NULL && mime_part_is(p, "multipart", NULL))
        add_multipart(w, p);
    else
        add_single(w, p);
}

void imap_write_body(struct buf *out, const struct mime_part *root, bool extended, bool utf8)
{
    add_body(&(struct writing){out, extended, utf8}, root);
}
