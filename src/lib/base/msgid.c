#include "base/msgid.h"
#include "base/clock.h"
#include "base/random.h"

#include <string.h>

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static const int64_t epoch = INT64_C(1577836800) * SECOND;

enum { SOURCE_BITS = 10, RANDOM_BITS = 2, TAG_BITS = SOURCE_BITS + RANDOM_BITS, COUNTER_BITS = 10 };

static uint64_t tag;

void msgid_set_source(unsigned source)
{
    tag = (uint64_t)(source & ((1u << SOURCE_BITS) - 1)) << RANDOM_BITS | random_below(1u << RANDOM_BITS);
}

/* The counter runs on from one millisecond to the next, so that ids spread evenly over the shards of a
 * queue, which are chosen by id modulo their number, at any rate. */
uint64_t msgid_new(void)
{
    static uint64_t last_ms, used, counter;
    uint64_t ms = (uint64_t)((clock_now() - epoch) / 1000);

    if (ms > last_ms) {
        last_ms = ms;
        used = 0;
    } else if (++used == 1u << COUNTER_BITS) {
        last_ms++; /* borrow from the next millisecond rather than wait */
        used = 0;
    }
    counter = (counter + 1) & ((1u << COUNTER_BITS) - 1);
    return last_ms << (TAG_BITS + COUNTER_BITS) | tag << COUNTER_BITS | counter;
}

void msgid_format(uint64_t id, char out[MSGID_TEXT + 1])
{
    for (int i = MSGID_TEXT - 1; i >= 0; i--) {
        out[i] = digits[id & 31];
        id >>= 5;
    }
    out[MSGID_TEXT] = 0;
}

bool msgid_parse(struct str text, uint64_t *id)
{
    uint64_t value = 0;

    if (text.n != MSGID_TEXT)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i] >= 'a' && text.p[i] <= 'z' ? (char)(text.p[i] - 32) : text.p[i];
        const char *at = c ? strchr(digits, c) : NULL;

        if (at == NULL || value >> 59)
            return false;
        value = value << 5 | (uint64_t)(at - digits);
    }
    *id = value;
    return value != 0;
}

int64_t msgid_time(uint64_t id)
{
    return (int64_t)(id >> (TAG_BITS + COUNTER_BITS)) * 1000 + epoch;
}
