/* Any bytes as the arguments of a queue command: what is taken can be applied to any recipient. */
#include "roles/queue/filter.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct rcpt_row rows[] = {
        {.message = 1},
        {.message = UINT64_C(7340032000000), .n = 3, .class = CLASS_BULK, .state = RCPT_HELD, .attempts = 2,
            .address = {"\"a b\"@d.test", 12}, .reply = {"4.2.1 not now", 13}},
    };
    struct str args = {(const char *)data, size}, word;
    const char *why = NULL;
    struct filter f;

    if (!filter_parse(&f, args, &why, &word)) {
        assert(why != NULL);
        assert(word.n <= size);
        return 0;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        (void)filter_matches_rcpt(&f, &rows[i], i > 0, INT64_C(1800000000000000));
    (void)filter_matches_sender(&f, STR("s@x.test"));
    assert(filter_glob(STR("*"), args));
    return 0;
}
