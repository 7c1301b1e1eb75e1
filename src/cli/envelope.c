#include "cli/envelope.h"
#include "mime/header.h"
#include "smtp/address.h"

#include <string.h>

void envelope_init(struct envelope *e, struct str host, struct err *err)
{
    *e = (struct envelope){.host = host, .err = err};
    buf_init(&e->sender, ADDRESS_TEXT_MAX);
    buf_init(&e->rcpts, 64 << 20);
}

void envelope_clear(struct envelope *e)
{
    buf_clear(&e->sender);
    buf_clear(&e->rcpts);
}

/* Canonical text of an address, with our host when it has no domain. */
static bool complete(struct envelope *e, struct str text, unsigned flags, struct buf *out)
{
    const char *why = "not an address";
    struct address a;

    if (!address_parse(text, flags | ADDRESS_UTF8 | ADDRESS_LOCAL_ONLY, &a, &why) || !address_write(&a, out, &why))
        return err_set(e->err, ERR_PERMANENT, "%.*s: %s", (int)(text.n < 200 ? text.n : 200), text.p, why);
    if (a.local.n && a.domain.n == 0) {
        buf_add_char(out, '@');
        buf_add(out, e->host);
    }
    e->utf8 = e->utf8 || a.utf8;
    return !out->failed || err_set(e->err, ERR_PERMANENT, "an address is too long");
}

static bool is_known(const struct envelope *e, struct str address)
{
    struct str rest = buf_str(&e->rcpts), one;

    if (e->rcpt_count > 1000) /* the server knows doubles too; do not search for ever */
        return false;
    while (rest.n && str_next(&rest, 0, &one))
        if (str_ieq(one, address))
            return true;
    return false;
}

static bool add_one(struct envelope *e, struct str text)
{
    struct buf address;
    bool ok;

    buf_init(&address, ADDRESS_TEXT_MAX);
    ok = complete(e, text, 0, &address);
    if (ok && e->rcpt_count == ENVELOPE_RCPTS)
        ok = err_set(e->err, ERR_LIMIT, "more than %d recipients", ENVELOPE_RCPTS);
    if (ok && !is_known(e, buf_str(&address))) {
        buf_add(&e->rcpts, buf_str(&address));
        buf_add_char(&e->rcpts, 0);
        e->rcpt_count++;
    }
    buf_clear(&address);
    return ok;
}

static bool add_list(struct envelope *e, struct str list)
{
    struct str rest = list;
    struct buf one;
    bool bad = false, ok = true;

    buf_init(&one, ADDRESS_TEXT_MAX);
    while (ok && header_next_address(&rest, &one, &bad))
        ok = add_one(e, buf_str(&one));
    buf_clear(&one);
    if (ok && bad)
        return err_set(e->err, ERR_PERMANENT, "%.*s: not an address", (int)(list.n < 200 ? list.n : 200), list.p);
    return ok;
}

static bool has_any(struct str text, const char *chars)
{
    for (; *chars; chars++)
        if (str_find(text, *chars) >= 0)
            return true;
    return false;
}

/* Names without a domain ("root") stand in no grammar of header fields, but programs write them. */
bool envelope_add(struct envelope *e, struct str list)
{
    struct str rest = list, piece;

    if (has_any(list, "\"("))
        return add_list(e, list);
    while (str_next(&rest, ',', &piece)) {
        piece = str_trim(piece);
        if (piece.n == 0)
            continue;
        if (!(has_any(piece, "@<>:;") ? add_list(e, piece) : add_one(e, piece)))
            return false;
    }
    return true;
}

bool envelope_set_sender(struct envelope *e, struct str address)
{
    buf_reset(&e->sender);
    return address.n == 0 || complete(e, address, 0, &e->sender);
}

/* ---- the header ---- */

void header_facts_init(struct header_facts *f, struct envelope *e)
{
    *f = (struct header_facts){.envelope = e};
    buf_init(&f->plain, ENVELOPE_HEADER * 2);
    buf_init(&f->again, ENVELOPE_HEADER * 2);
}

void header_facts_clear(struct header_facts *f)
{
    buf_clear(&f->plain);
    buf_clear(&f->again);
}

void header_facts_field(void *facts, const struct header_field *field)
{
    static const char *const names[] = {"To", "Cc", "Bcc"};
    struct header_facts *f = facts;
    bool resent = str_istarts(field->name, STR("Resent-"));
    struct str name = resent ? str_skip(field->name, 7) : field->name;

    if (str_ieq(field->name, STR("From")))
        f->has_from = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!str_ieq(name, str_of(names[i])))
            continue;
        buf_add(resent ? &f->again : &f->plain, field->value);
        buf_add_char(resent ? &f->again : &f->plain, 0);
    }
}

/* A message sent again is for those it is sent to now (RFC 5322 3.6.6). */
bool header_facts_end(struct header_facts *f)
{
    struct str rest = buf_str(f->again.n ? &f->again : &f->plain), list;

    if (f->envelope == NULL)
        return true;
    while (rest.n && str_next(&rest, 0, &list))
        if (!envelope_add(f->envelope, list))
            return false;
    return true;
}
