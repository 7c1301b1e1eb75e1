/* A table. The length of a name is compared first: most fields of a message are none of these. */
#include "fields.h"

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
