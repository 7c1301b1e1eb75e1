#include "login.h"

#include "lookup.h"
#include "password.h"

#include <string.h>

static void from_account(const struct account *a, struct sasl_login *out)
{
    out->principal = a->id;
    out->rights = AUTH_MAY_SEND | (a->sending_only ? 0 : AUTH_MAY_READ);
    out->enabled = a->enabled;
    out->name = a->address;
    out->verifier = a->verifier;
}

/* A credential of an account that was switched off is off too. */
static bool from_credential(
    struct store *store, const struct credential *c, struct sasl_login *out, struct err *err)
{
    struct account a;
    bool found = true;

    if (c->account != 0 && !store_get_account_id(store, c->account, &a, &found, err))
        return false;
    out->principal = c->id;
    out->rights = AUTH_MAY_SEND;
    out->enabled = c->enabled && found && (c->account == 0 || a.enabled);
    out->name = c->name;
    out->verifier = c->verifier;
    return true;
}

static bool domain_enabled(struct store *store, struct str domain, bool *enabled, struct err *err)
{
    struct domain d;
    bool found;

    if (!store_get_domain(store, domain, &d, &found, err))
        return false;
    *enabled = !found || d.enabled;
    return true;
}

void login_key(struct str typed, struct name *key)
{
    struct name canonical;
    const char *why;

    *key = (struct name){0};
    if (!lookup_fold(typed, &canonical, key, &why)) /* a credential's name need not be an address */
        name_set(key, typed);
}

bool login_find(struct store *store, const uint8_t secret[32], struct str typed,
    struct sasl_login *out, struct err *err)
{
    struct name key;
    struct credential c;
    struct account a;
    bool by_name, by_address, enabled = true;

    memset(out, 0, sizeof *out);
    login_key(typed, &key);
    /* Both questions are asked always, so that time does not tell which kind exists. */
    if (!store_get_credential(store, name_str(&key), &c, &by_name, err) ||
        !store_get_account(store, name_str(&key), &a, &by_address, err))
        return false;
    if (by_name && !from_credential(store, &c, out, err))
        return false;
    if (by_address && !by_name)
        from_account(&a, out);
    if (by_name || by_address) {
        if (!domain_enabled(store, name_str(by_name ? &c.domain : &a.domain), &enabled, err))
            return false;
        out->enabled = out->enabled && enabled;
    }
    /* Without a password there is nothing to prove; what is shown to SCRAM must still look like
     * something. */
    if (out->verifier.hash[0] == 0) {
        password_invent(secret, name_str(&key), &out->verifier);
        out->principal = 0;
    }
    return true;
}
