/* What sources share. See source.h. */
#include "cli/migrate/source.h"

#include <sodium.h>

void mark_of(char mark[MARK_LENGTH + 1], const struct str *parts, size_t n)
{
    crypto_generichash_state state;
    unsigned char hash[MARK_LENGTH / 2];

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    for (size_t i = 0; i < n; i++) {
        crypto_generichash_update(&state, (const unsigned char *)(parts[i].n > 0 ? parts[i].p : ""), parts[i].n);
        crypto_generichash_update(&state, (const unsigned char *)"", 1); /* the end of a part */
    }
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(mark, MARK_LENGTH + 1, hash, sizeof hash);
}
