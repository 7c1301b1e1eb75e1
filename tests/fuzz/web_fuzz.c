/* Any bytes as a request of the command socket, and as the metrics of a role. */
#include "roles/web/exposition.h"
#include "roles/web/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    struct exposition *e = exposition_new(4096);
    struct err err = {0};
    struct request r;
    struct buf out;
    int64_t sum;

    request_init(&r);
    if (!request_parse(&r, input, &err) && err.kind == ERR_NONE)
        __builtin_trap();
    request_clear(&r);
    buf_init(&out, 65536);
    exposition_add(e, input);
    exposition_add(e, input);
    if (exposition_write(e, &out) && out.n > 4096)
        __builtin_trap();
    exposition_sum(e, "a", "b", &sum);
    buf_clear(&out);
    exposition_free(e);
    return 0;
}
