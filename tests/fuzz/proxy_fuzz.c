/* Any bytes as a PROXY header: a result that claims to use only what was there, and more bytes never
 * turn a finished header into another one. */
#include "net/proxy.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_from((const char *)data, size);
    struct proxy_header h, again;
    size_t used, used_again;
    enum proxy_result result = proxy_parse(all, &h, &used);

    assert(used <= size);
    if (result == PROXY_DONE) {
        assert(used > 0);
        assert(proxy_parse(str_sub(all, 0, used), &again, &used_again) == PROXY_DONE && used_again == used);
        assert(memcmp(&h.source, &again.source, sizeof h.source) == 0);
        assert(proxy_parse(str_sub(all, 0, used - 1), &again, &used_again) != PROXY_DONE);
    }
    return 0;
}
