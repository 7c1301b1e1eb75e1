/* Urls of IMAP servers. See url.h. */
#include "cli/migrate/url.h"

#include <string.h>

static int hex(char c)
{
    c = ascii_lower(c);
    return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded into u->text; false: malformed, or too long. */
static bool take_user(struct str from, struct server_url *u)
{
    size_t n = 0;

    for (size_t i = 0; i < from.n; i++) {
        char c = from.p[i];

        if (c == '%') {
            if (i + 2 >= from.n || hex(from.p[i + 1]) < 0 || hex(from.p[i + 2]) < 0)
                return false;
            c = (char)(hex(from.p[i + 1]) * 16 + hex(from.p[i + 2]));
            i += 2;
        }
        if (n == sizeof u->text - 300 || (unsigned char)c < ' ' || c == 0x7f)
            return false;
        u->text[n++] = c;
    }
    u->user = str_from(u->text, n);
    return n > 0;
}

static bool take_host(struct str from, struct server_url *u)
{
    ptrdiff_t colon;
    struct str host = from;
    uint64_t port = u->security == PEER_TLS ? 993 : 143;
    char *room = u->text + u->user.n;

    if (str_starts(from, STR("["))) {
        ptrdiff_t end = str_find(from, ']');

        if (end < 0)
            return false;
        host = str_sub(from, 1, (size_t)end);
        from = str_skip(from, (size_t)end + 1);
        colon = from.n > 0 && from.p[0] == ':' ? 0 : -1;
        if (colon < 0 && from.n > 0)
            return false;
    } else {
        colon = str_rfind(from, ':');
        if (colon >= 0)
            host = str_sub(from, 0, (size_t)colon);
    }
    if (colon >= 0 && (!str_to_u64(str_skip(from, (size_t)colon + 1), UINT16_MAX, &port) || port == 0))
        return false;
    if (host.n == 0 || host.n > 253 || !str_is_printable(host) || str_find(host, ' ') >= 0)
        return false;
    memcpy(room, host.p, host.n);
    u->host = str_from(room, host.n);
    u->port = (uint16_t)port;
    return true;
}

bool server_url_parse(struct str url, struct str tls, struct server_url *u, struct err *err)
{
    struct str rest = url;
    ptrdiff_t at;

    *u = (struct server_url){0};
    if (str_istarts(url, STR("imaps://")))
        u->security = PEER_TLS;
    else if (str_istarts(url, STR("imap://")))
        u->security = PEER_STARTTLS;
    else
        return err_set(err, ERR_PERMANENT, "%.*s: expected imaps://USER@HOST[:PORT] or imap://USER@HOST[:PORT]", STR_ARG(url));
    rest = str_skip(url, u->security == PEER_TLS ? 8 : 7);
    if (tls.n > 0 && (!str_eq(tls, STR("none")) || u->security == PEER_TLS))
        return err_set(err, ERR_PERMANENT, "--tls=none is all there is, and for imap:// only");
    if (tls.n > 0)
        u->security = PEER_PLAIN;
    if (str_ends(rest, STR("/")))
        rest.n--;
    at = str_rfind(rest, '@');
    if (at < 0 || !take_user(str_sub(rest, 0, (size_t)at), u) || !take_host(str_skip(rest, (size_t)at + 1), u))
        return err_set(err, ERR_PERMANENT, "%.*s: expected imaps://USER@HOST[:PORT]; an @ or / in the user is written %%40, %%2F", STR_ARG(url));
    if (str_find(u->user, ':') >= 0)
        return err_set(err, ERR_PERMANENT, "a password does not stand in the url: put it into a file (--password-file) or on standard input");
    return true;
}
