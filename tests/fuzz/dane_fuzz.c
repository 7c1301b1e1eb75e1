/* TLSA records and a chain of certificates, whatever they are. Input: pieces with two octets of length before each; the first is the
 * answer of DNS, the others the chain. Only records that can be used are kept, and no chain passes without one. */
#include "tlspolicy/dane.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str next_piece(struct str *rest)
{
    struct str piece;
    size_t n;

    if (rest->n < 2) {
        *rest = STR("");
        return *rest;
    }
    n = (size_t)(unsigned char)rest->p[0] << 8 | (unsigned char)rest->p[1];
    piece = str_sub(*rest, 2, 2 + n);
    *rest = str_skip(*rest, 2 + piece.n);
    return piece;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str names[] = {{"example.com", 11}, {"mx.example.com", 14}};
    struct str rest = {(const char *)data, size}, chain[DANE_CHAIN_MAX + 2];
    struct dane_verdict verdict;
    struct dane_set set;
    size_t n = 0;

    dane_read(next_piece(&rest), &set);
    assert(set.n <= DANE_RECORDS_MAX && (set.any || set.n == 0));
    assert(dane_plan(DANE_SECURE, &set) != DANE_SKIP && dane_plan(DANE_FAILED, &set) == DANE_SKIP);
    for (size_t i = 0; i < set.n; i++)
        assert((set.records[i].usage == 2 || set.records[i].usage == 3) && set.records[i].selector <= 1 && set.records[i].matching <= 2);
    while (rest.n > 0 && n < DANE_CHAIN_MAX + 2)
        chain[n++] = next_piece(&rest);
    verdict = dane_verify(&set, chain, n, names, 2, 1700000000);
    assert(verdict.result != TLS_OK || (set.n > 0 && n > 0 && verdict.usage >= 2));
    assert((verdict.result == TLS_OK) == (verdict.reason[0] == '\0'));
    return 0;
}
