/* See return_path.h. */
#include "return_path.h"
#include "smtp/address.h"

enum { TAG = 10, DAYS_AT = 1, MAC_AT = 4, MAC_TEXT = TAG - MAC_AT, DAYS_MODULO = 1000, DAY = 24 * 3600 };

static unsigned day_of(int64_t now_seconds)
{
    return (unsigned)((uint64_t)now_seconds / DAY % DAYS_MODULO);
}

static void write_mac(const struct path_key *key, struct str number_and_day, struct str local, struct str domain, char out[MAC_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char mac[PATH_MAC_OCTETS];

    path_mac(key, (const struct str[]){STR("prvs"), number_and_day, local, domain}, 4, mac);
    for (size_t i = 0; i < MAC_TEXT; i++)
        out[i] = hex[i % 2 == 0 ? mac[i / 2] >> 4 : mac[i / 2] & 15];
}

/* Cuts "prvs=KDDDSSSSSS=" off; false where it is not there, of whatever is behind "prvs=". */
static bool cut_tag(struct str *local, struct str *tag)
{
    struct str rest = str_skip(*local, 5);

    if (!str_istarts(*local, STR("prvs=")) || rest.n < TAG + 1 || rest.p[TAG] != '=')
        return false;
    *tag = str_sub(rest, 0, TAG);
    for (size_t i = 0; i < MAC_AT; i++)
        if (!ascii_is_digit(tag->p[i]))
            return false;
    for (size_t i = MAC_AT; i < TAG; i++)
        if (!ascii_is_digit(tag->p[i]) && (ascii_lower(tag->p[i]) < 'a' || ascii_lower(tag->p[i]) > 'f'))
            return false;
    *local = str_skip(rest, TAG + 1);
    return true;
}

static bool is_signed(const struct path_keys *keys, struct str tag, struct str local, struct str domain)
{
    char mac[MAC_TEXT];

    for (size_t i = 0; i < keys->n; i++) {
        if (keys->keys[i].number != (unsigned)(tag.p[0] - '0'))
            continue;
        write_mac(&keys->keys[i], str_sub(tag, 0, MAC_AT), local, domain, mac);
        return path_same(str_from(mac, sizeof mac), str_skip(tag, MAC_AT));
    }
    return false;
}

static bool is_fresh(struct str tag, int64_t now_seconds)
{
    uint64_t expiry = 0;

    (void)str_to_u64(str_sub(tag, DAYS_AT, MAC_AT), DAYS_MODULO - 1, &expiry);
    return ((unsigned)expiry + DAYS_MODULO - day_of(now_seconds)) % DAYS_MODULO <= RETURN_PATH_DAYS;
}

bool return_path_make(const struct path_keys *keys, struct str address, int64_t now_seconds, struct buf *out)
{
    const struct path_key *key = &keys->keys[0];
    struct buf local, made, inner;
    struct str domain;
    char mac[MAC_TEXT];
    bool ok = true;

    if (address.n == 0)
        return true;
    if (keys->n == 0 || key->number > 9)
        return false;
    buf_init(&local, ADDRESS_TEXT_MAX);
    buf_init(&made, ADDRESS_LOCAL_MAX);
    buf_init(&inner, ADDRESS_TEXT_MAX);
    path_local(address, &local, &domain);
    if (return_path_check(keys, address, now_seconds, &inner) == PATH_GOOD) {
        buf_add(out, address);
    } else {
        buf_addf(&made, "prvs=%u%03u", key->number, (day_of(now_seconds) + RETURN_PATH_DAYS) % DAYS_MODULO);
        write_mac(key, str_skip(buf_str(&made), 5), buf_str(&local), domain, mac);
        buf_add(&made, str_from(mac, sizeof mac));
        buf_add_char(&made, '=');
        buf_add(&made, buf_str(&local));
        ok = domain.n > 0 && !local.failed && !made.failed && path_write(buf_str(&made), domain, out);
    }
    buf_clear(&local);
    buf_clear(&made);
    buf_clear(&inner);
    return ok;
}

enum path_result return_path_check(const struct path_keys *keys, struct str address, int64_t now_seconds, struct buf *out)
{
    enum path_result result = PATH_PLAIN;
    struct str rest, tag, domain;
    struct buf local;

    buf_init(&local, ADDRESS_TEXT_MAX);
    path_local(address, &local, &domain);
    rest = buf_str(&local);
    if (cut_tag(&rest, &tag)) {
        if (!is_signed(keys, tag, rest, domain))
            result = PATH_FORGED;
        else if (!is_fresh(tag, now_seconds))
            result = PATH_EXPIRED;
        else
            result = path_write(rest, domain, out) ? PATH_GOOD : PATH_FORGED;
    }
    buf_clear(&local);
    return result;
}

bool return_path_unwrap(struct str address, struct buf *out)
{
    struct str rest, tag, domain;
    struct buf local;
    bool ok = true;

    buf_init(&local, ADDRESS_TEXT_MAX);
    path_local(address, &local, &domain);
    rest = buf_str(&local);
    if (cut_tag(&rest, &tag))
        ok = path_write(rest, domain, out);
    else
        buf_add(out, address);
    buf_clear(&local);
    return ok;
}
