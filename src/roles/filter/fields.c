/* A table. The length of a name is compared first: most fields of a message are none of these. */
#include "fields.h"

#include <string.h>

static const struct {
    struct str name;
    enum field_id id;
} fields[] = {
    {STR("Date"), FIELD_DATE},
    {STR("From"), FIELD_FROM},
    {STR("Message-ID"), FIELD_MESSAGE_ID},
    {STR("Precedence"), FIELD_PRECEDENCE},
    {STR("List-Id"), FIELD_LIST},
    {STR("List-Unsubscribe"), FIELD_LIST},
    {STR("Return-Path"), FIELD_RETURN_PATH},
    {STR("Authentication-Results"), FIELD_RESULTS},
    {STR("TLS-Required"), FIELD_TLS_REQUIRED},
    {STR("Bcc"), FIELD_PRIVATE},
    {STR("Resent-Bcc"), FIELD_PRIVATE},
    {STR("X-Originating-IP"), FIELD_PRIVATE},
    {STR("X-Originating-Host"), FIELD_PRIVATE},
    {STR("X-Client-IP"), FIELD_PRIVATE},
    {STR("X-Source-IP"), FIELD_PRIVATE},
};

enum field_id field_find(struct str name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].name.n == name.n && str_istarts(name, fields[i].name))
            return fields[i].id;
    return FIELD_OTHER;
}

bool field_precedence_is_bulk(struct str value)
{
    value = str_trim(value);
    return str_ieq(value, STR("bulk")) || str_ieq(value, STR("list")) || str_ieq(value, STR("junk"));
}

static size_t field_length(struct str header)
{
    const char *lf;
    size_t n = 0;

    while ((lf = memchr(header.p + n, '\n', header.n - n)) != NULL) {
        n = (size_t)(lf - header.p) + 1;
        if (n == header.n || (header.p[n] != ' ' && header.p[n] != '\t'))
            return n;
    }
    return header.n;
}

bool fields_next(struct str *header, struct str *field)
{
    size_t n;

    if (header->n == 0)
        return false;
    n = field_length(*header);
    *field = str_sub(*header, 0, n);
    *header = str_skip(*header, n);
    return true;
}
