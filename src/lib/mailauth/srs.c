/* See srs.h. */
#include "srs.h"
#include "smtp/address.h"

enum { MAC_TEXT = 8, DAYS_TEXT = 2, DAYS_MODULO = 1024, DAY = 24 * 3600, DAYS_AHEAD = 1 };

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

/* ---- parts ---- */

static int digit(char c)
{
    ptrdiff_t at = str_find(STR(alphabet), ascii_lower(c));

    return (int)at;
}

/* 5 bits a character, from the front. */
static void write_mac(const struct path_key *key, const struct str *texts, size_t n, char out[MAC_TEXT])
{
    unsigned char mac[PATH_MAC_OCTETS];

    path_mac(key, texts, n, mac);
    for (unsigned i = 0; i < MAC_TEXT; i++) {
        unsigned bit = i * 5, both = (unsigned)mac[bit / 8] << 8 | mac[bit / 8 + 1];

        out[i] = alphabet[both >> (11 - bit % 8) & 31];
    }
}

static bool is_signed(const struct path_keys *keys, const struct str *texts, size_t n, struct str given)
{
    char mac[MAC_TEXT];
    bool found = false;

    for (size_t i = 0; i < keys->n; i++) {
        write_mac(&keys->keys[i], texts, n, mac);
        found |= path_same(str_from(mac, sizeof mac), given);
    }
    return found;
}

static unsigned day_of(int64_t now_seconds)
{
    return (unsigned)((uint64_t)now_seconds / DAY % DAYS_MODULO);
}

static bool read_day(struct str text, unsigned *day)
{
    int high, low;

    if (text.n != DAYS_TEXT || (high = digit(text.p[0])) < 0 || (low = digit(text.p[1])) < 0)
        return false;
    *day = (unsigned)high * 32 + (unsigned)low;
    return true;
}

static bool is_fresh(unsigned day, int64_t now_seconds)
{
    unsigned age = (day_of(now_seconds) + DAYS_MODULO - day) % DAYS_MODULO;

    return age <= SRS_DAYS || age >= DAYS_MODULO - DAYS_AHEAD;
}

/* "SRS0=", "SRS1+" ...: cut off; *separator is the character after the digit. */
static bool cut_tag(struct str *local, char which, char *separator)
{
    if (local->n < 5 || !str_istarts(*local, STR("SRS")) || local->p[3] != which || str_find(STR("=+-"), local->p[4]) < 0)
        return false;
    *separator = local->p[4];
    *local = str_skip(*local, 5);
    return true;
}

/* ---- forward ---- */

static void write_first(const struct path_key *key, struct str local, struct str domain, int64_t now_seconds, struct buf *out)
{
    unsigned day = day_of(now_seconds);
    const char days[DAYS_TEXT] = {alphabet[day / 32], alphabet[day % 32]};
    const struct str texts[] = {STR("srs0"), str_from(days, sizeof days), domain, local};
    char mac[MAC_TEXT];

    write_mac(key, texts, sizeof texts / sizeof texts[0], mac);
    buf_addf(out, "SRS0=%.*s=%.*s=", MAC_TEXT, mac, DAYS_TEXT, days);
    buf_add(out, domain);
    buf_add_char(out, '=');
    buf_add(out, local);
}

/* host: who made the SRS0; rest: what follows "SRS0", separator and all. */
static void write_second(const struct path_key *key, struct str host, struct str rest, struct buf *out)
{
    const struct str texts[] = {STR("srs1"), host, rest};
    char mac[MAC_TEXT];

    write_mac(key, texts, sizeof texts / sizeof texts[0], mac);
    buf_addf(out, "SRS1=%.*s=", MAC_TEXT, mac);
    buf_add(out, host);
    buf_add_char(out, '=');
    buf_add(out, rest);
}

/* A name that a bounce can be sent to. */
static bool is_host(struct str name)
{
    struct buf out;
    bool ok;

    buf_init(&out, ADDRESS_TEXT_MAX);
    ok = domain_is_valid(name, false) && path_write(STR("x"), name, &out);
    buf_clear(&out);
    return ok;
}

/* What others' SRS1 holds: its host, and the rest with its separator. */
static bool read_second(struct str parts, struct str *mac, struct str *host, struct str *rest)
{
    char c;

    if (!str_next(&parts, '=', mac) || !str_next(&parts, '=', host) || parts.n < 2)
        return false;
    *rest = parts;
    c = parts.p[0];
    return is_host(*host) && (c == '=' || c == '+' || c == '-');
}

static void write_local(const struct path_key *key, struct str local, struct str domain, int64_t now_seconds, struct buf *out)
{
    struct str parts = local, mac, host, rest;
    char separator;

    if (cut_tag(&parts, '0', &separator) && parts.n > 0 && is_host(domain)) {
        write_second(key, domain, str_skip(local, 4), out);
        return;
    }
    parts = local;
    if (cut_tag(&parts, '1', &separator) && read_second(parts, &mac, &host, &rest))
        write_second(key, host, rest, out);
    else
        write_first(key, local, domain, now_seconds, out);
}

bool srs_forward(const struct path_keys *keys, struct str sender, struct str forwarder, int64_t now_seconds, struct buf *out)
{
    struct buf local, made;
    struct str domain;
    bool ok;

    if (sender.n == 0)
        return true;
    if (keys->n == 0)
        return false;
    buf_init(&local, ADDRESS_TEXT_MAX);
    buf_init(&made, ADDRESS_LOCAL_MAX);
    path_local(sender, &local, &domain);
    write_local(&keys->keys[0], buf_str(&local), domain, now_seconds, &made);
    ok = domain.n > 0 && !local.failed && !made.failed && path_write(buf_str(&made), forwarder, out);
    buf_clear(&local);
    buf_clear(&made);
    return ok;
}

/* ---- back ---- */

static enum path_result reverse_first(const struct path_keys *keys, struct str parts, int64_t now_seconds, struct buf *out)
{
    struct str mac, days, domain;
    unsigned day;

    if (!str_next(&parts, '=', &mac) || !str_next(&parts, '=', &days) || !str_next(&parts, '=', &domain) || parts.p == NULL ||
        !read_day(days, &day))
        return PATH_FORGED;
    if (!is_signed(keys, (const struct str[]){STR("srs0"), days, domain, parts}, 4, mac))
        return PATH_FORGED;
    if (!is_fresh(day, now_seconds))
        return PATH_EXPIRED;
    return path_write(parts, domain, out) ? PATH_GOOD : PATH_FORGED;
}

static enum path_result reverse_second(const struct path_keys *keys, struct str parts, struct buf *out)
{
    struct str mac, host, rest;
    struct buf local;
    bool ok;

    if (!read_second(parts, &mac, &host, &rest) || !is_signed(keys, (const struct str[]){STR("srs1"), host, rest}, 3, mac))
        return PATH_FORGED;
    buf_init(&local, ADDRESS_TEXT_MAX);
    buf_add(&local, STR("SRS0"));
    buf_add(&local, rest);
    ok = !local.failed && path_write(buf_str(&local), host, out);
    buf_clear(&local);
    return ok ? PATH_GOOD : PATH_FORGED;
}

enum path_result srs_reverse(const struct path_keys *keys, struct str rcpt, int64_t now_seconds, struct buf *out)
{
    enum path_result result = PATH_PLAIN;
    struct str parts, domain;
    struct buf local;
    char separator;

    buf_init(&local, ADDRESS_TEXT_MAX);
    path_local(rcpt, &local, &domain);
    parts = buf_str(&local);
    if (cut_tag(&parts, '0', &separator))
        result = reverse_first(keys, parts, now_seconds, out);
    else if (cut_tag(&parts, '1', &separator))
        result = reverse_second(keys, parts, out);
    buf_clear(&local);
    return result;
}
