#include "zone.h"
#include "base/clock.h"

#include <inttypes.h>

static void write_head(struct str domain, struct str name_server, int64_t now, struct buf *out)
{
    buf_addf(out, "$TTL 3600\n%.*s. 3600 IN SOA %.*s. hostmaster.%.*s. %" PRId64 " 7200 3600 1209600 3600\n", STR_ARG(domain), STR_ARG(name_server),
        STR_ARG(domain), (now / SECOND) & UINT32_MAX);
    buf_addf(out, "%.*s. 3600 IN NS %.*s.\n", STR_ARG(domain), STR_ARG(name_server));
}

static void write_part(const struct outside_records *r, bool elsewhere, struct buf *out)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->items[i].elsewhere != elsewhere)
            continue;
        buf_add(out, elsewhere ? STR("; ") : STR(""));
        outside_record_write(&r->items[i], out);
        buf_add_char(out, '\n');
    }
}

void outside_zone_write(const struct outside_records *r, struct str domain, struct str name_server, int64_t now, struct buf *out)
{
    bool others = false;

    for (size_t i = 0; i < r->n; i++)
        others |= r->items[i].elsewhere;
    buf_addf(out, "; records of %.*s\n", STR_ARG(domain));
    if (name_server.n > 0)
        write_head(domain, name_server, now, out);
    write_part(r, false, out);
    if (others)
        buf_add(out, STR("; records of other zones; PTR: whoever owns the address (the provider) publishes them\n"));
    write_part(r, true, out);
}
