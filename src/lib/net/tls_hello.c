/* What of a client's first message decides before anything else: who asks for "acme-tls/1" is a validator of ACME. */
#include "net/tls_hello.h"

/* Cuts what has a length of `octets` octets before it off *rest; false when it is not all there. */
static bool take(struct str *rest, size_t octets, struct str *piece)
{
    size_t n = 0;

    if (rest->n < octets)
        return false;
    for (size_t i = 0; i < octets; i++)
        n = n << 8 | (unsigned char)rest->p[i];
    if (rest->n - octets < n)
        return false;
    *piece = str_sub(*rest, octets, octets + n);
    *rest = str_skip(*rest, octets + n);
    return true;
}

bool tls_hello_is_challenge(struct str alpn)
{
    struct str list, only;

    return take(&alpn, 2, &list) && alpn.n == 0 && take(&list, 1, &only) && list.n == 0 && str_eq(only, STR("acme-tls/1"));
}

bool tls_hello_name(struct str server_name, struct str *name)
{
    struct str list;

    return take(&server_name, 2, &list) && server_name.n == 0 && list.n > 0 && list.p[0] == 0 &&
           (list = str_skip(list, 1), take(&list, 2, name)) && name->n > 0;
}
