/* What a role of a made-up world has none of: books of what passes its channels, certificates and a key to sign with. Where its own books
 * are held against one another they must be right. Linked to worlds that have nothing to say of these. */
#include "base/log.h"
#include "ipc/channel.h"
#include "ipc/role.h"
#include "ipc/verify.h"

void channel_gave(struct channel *c, enum handover what)
{
    (void)c;
    (void)what;
}

void channel_took(struct channel *c, enum handover what)
{
    (void)c;
    (void)what;
}

void verify_equal(struct verification *v, const char *check, int64_t expected, int64_t found, const char *advice)
{
    (void)v;
    (void)advice;
    if (expected != found)
        fatal("%s: %lld, %lld", check, (long long)expected, (long long)found);
}

bool role_sign(struct role *role, struct str key_id, uint64_t operation, struct str input, struct buf *out)
{
    (void)role, (void)key_id, (void)operation, (void)input, (void)out;
    return false;
}

size_t role_certificate_count(const struct role *role)
{
    (void)role;
    return 0;
}

const struct role_certificate *role_certificate_at(const struct role *role, size_t i)
{
    (void)role;
    (void)i;
    return NULL;
}
