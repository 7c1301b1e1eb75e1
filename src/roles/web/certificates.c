/* See certificates.h. */
#include "certificates.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metric.h"
#include "ipc/role.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static struct metric days_left = METRIC_GAUGE("staffetta_certificate_days_left", "Whole days until the first of the certificates is not good any more.");

static bool end_of(const struct role_certificate *c, int64_t *end)
{
    BIO *bio = BIO_new_mem_buf(c->chain.p, (int)c->chain.n);
    X509 *x = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int days = 0, seconds = 0;
    bool ok = x != NULL && ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) == 1;

    *end = clock_now() + days * DAY + seconds * SECOND;
    X509_free(x);
    BIO_free(bio);
    ERR_clear_error();
    return ok;
}

/* Whole days, and less than 0 for one that is over. */
static int64_t days_until(int64_t end)
{
    int64_t left = end - clock_now();

    return left < 0 ? left / DAY - 1 : left / DAY;
}

void certificates_rows(struct role *role, void (*row)(void *owner, struct str json), void *owner)
{
    struct buf json;
    int64_t end;

    buf_init(&json, 4096);
    for (size_t i = 0; i < role_certificate_count(role); i++) {
        const struct role_certificate *c = role_certificate_at(role, i);

        if (!end_of(c, &end))
            continue;
        json_open(&json);
        json_str(&json, "kind", STR("certificate"));
        json_str(&json, "name", c->name);
        json_time(&json, "not_after", end);
        json_int(&json, "days_left", days_until(end));
        json_close(&json);
        row(owner, buf_str(&json));
        buf_reset(&json);
    }
    buf_clear(&json);
}

void certificates_count(struct role *role)
{
    int64_t first = INT64_MAX, end;

    for (size_t i = 0; i < role_certificate_count(role); i++)
        if (end_of(role_certificate_at(role, i), &end) && end < first)
            first = end;
    metric_set(&days_left, first == INT64_MAX ? 0 : days_until(first));
}

void certificates_show_metric(void)
{
    metric_show(&days_left);
}
