/* Logins: accounts by their address, credentials by their name. */
#pragma once
#include "sasl.h"
#include "store.h"

/* All spellings of one login have the same key: it is what is looked up, and what failures are counted by. */
void login_key(struct str typed, struct name *key);
/* Finds what `typed` names. A name nobody has gets an invented verifier and principal 0. */
MUST_CHECK bool login_find(struct store *store, const uint8_t secret[32], struct str typed,
    struct sasl_login *out, struct err *err);
