/* See dmarc_author.h. */
#include "dmarc_author.h"
#include "mime/header.h"
#include "smtp/address.h"

#include <string.h>

bool dmarc_canonical_domain(struct str domain, char out[DNS_NAME_TEXT])
{
    struct buf text;
    const char *why;
    bool ok;

    if (str_ends(domain, STR(".")))
        domain.n--;
    buf_init(&text, DNS_NAME_TEXT - 1);
    ok = domain_write(domain, &text, &why) && text.n > 0;
    if (ok)
        memcpy(out, text.p, text.n);
    out[ok ? text.n : 0] = '\0';
    buf_clear(&text);
    return ok;
}

static bool has(const struct dmarc_authors *authors, const char *domain)
{
    for (size_t i = 0; i < authors->n; i++)
        if (strcmp(authors->domains[i], domain) == 0)
            return true;
    return false;
}

static void add_domain(struct dmarc_authors *authors, struct str domain)
{
    char name[DNS_NAME_TEXT];

    if (domain.n > 0 && domain.p[0] == '[')
        return;
    if (!dmarc_canonical_domain(domain, name))
        authors->malformed = true;
    else if (!has(authors, name) && authors->n == DMARC_AUTHORS_MAX)
        authors->too_many = true;
    else if (!has(authors, name))
        memcpy(authors->domains[authors->n++], name, sizeof name);
}

void dmarc_authors_add(struct dmarc_authors *authors, struct str value)
{
    struct buf address;
    struct str rest = value;
    bool bad = false, any = false;

    authors->fields++;
    buf_init(&address, ADDRESS_TEXT_MAX);
    while (header_next_address(&rest, &address, &bad)) {
        any = true;
        add_domain(authors, str_skip(buf_str(&address), (size_t)(str_rfind(buf_str(&address), '@') + 1)));
    }
    /* Only a group may be empty ("Undisclosed:;", RFC 6854). */
    authors->malformed |= bad || (!any && str_find(value, ';') < 0);
    buf_clear(&address);
}
