/* The EHLO reply, one line at a time: a table of keywords and what their arguments mean. */
#include "smtp/extension.h"

static const struct {
    const char *name;
    unsigned bit;
} mechanisms[] = {
    {"PLAIN", MECH_PLAIN},
    {"LOGIN", MECH_LOGIN},
    {"CRAM-MD5", MECH_CRAM_MD5},
    {"SCRAM-SHA-1", MECH_SCRAM_SHA_1},
    {"SCRAM-SHA-256", MECH_SCRAM_SHA_256},
    {"SCRAM-SHA-256-PLUS", MECH_SCRAM_SHA_256_PLUS},
    {"XOAUTH2", MECH_XOAUTH2},
    {"OAUTHBEARER", MECH_OAUTHBEARER},
    {"EXTERNAL", MECH_EXTERNAL},
};

unsigned mechanism_from_name(struct str name)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (str_ieq(name, str_of(mechanisms[i].name)))
            return mechanisms[i].bit;
    return 0;
}

const char *mechanism_name(unsigned mechanism)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (mechanisms[i].bit == mechanism)
            return mechanisms[i].name;
    return NULL;
}

/* A number that may be nonsense: then 0, "nothing was said". More after a comma is passed over. */
static uint64_t number(struct str word)
{
    ptrdiff_t comma = str_find(word, ',');
    uint64_t value;

    if (comma >= 0)
        word = str_sub(word, 0, (size_t)comma);
    return str_to_u64(word, INT64_MAX, &value) ? value : 0;
}

static void on_size(struct capabilities *c, struct str args)
{
    struct str word;

    str_next_word(&args, &word);
    c->size = number(word);
}

static void on_auth(struct capabilities *c, struct str args)
{
    struct str word;

    while (str_next_word(&args, &word))
        c->mechanisms |= mechanism_from_name(word);
}

/* RFC 9422: "LIMITS RCPTMAX=20 MAILMAX=5". */
static void on_limits(struct capabilities *c, struct str args)
{
    struct str word;

    while (str_next_word(&args, &word)) {
        ptrdiff_t at = str_find(word, '=');
        struct str name = at < 0 ? word : str_sub(word, 0, (size_t)at);
        uint64_t value = at < 0 ? 0 : number(str_skip(word, (size_t)at + 1));

        if (str_ieq(name, STR("RCPTMAX")))
            c->rcpt_max = value;
        else if (str_ieq(name, STR("MAILMAX")))
            c->mail_max = value;
        else if (str_ieq(name, STR("RCPTDOMAINMAX")))
            c->rcpt_domain_max = value;
    }
}

static void on_deliver_by(struct capabilities *c, struct str args)
{
    struct str word;

    str_next_word(&args, &word);
    c->deliver_by_min = number(word);
}

static void on_future_release(struct capabilities *c, struct str args)
{
    struct str word;

    str_next_word(&args, &word);
    c->hold_seconds_max = number(word);
}

static const struct {
    const char *name;
    unsigned bit;
    void (*read)(struct capabilities *c, struct str args);
} keywords[] = {
    {"SIZE", EXT_SIZE, on_size},
    {"PIPELINING", EXT_PIPELINING, NULL},
    {"8BITMIME", EXT_8BITMIME, NULL},
    {"BINARYMIME", EXT_BINARYMIME, NULL},
    {"CHUNKING", EXT_CHUNKING, NULL},
    {"SMTPUTF8", EXT_SMTPUTF8, NULL},
    {"DSN", EXT_DSN, NULL},
    {"STARTTLS", EXT_STARTTLS, NULL},
    {"AUTH", EXT_AUTH, on_auth},
    {"LIMITS", EXT_LIMITS, on_limits},
    {"DELIVERBY", EXT_DELIVERBY, on_deliver_by},
    {"MT-PRIORITY", EXT_MT_PRIORITY, NULL},
    {"REQUIRETLS", EXT_REQUIRETLS, NULL},
    {"FUTURERELEASE", EXT_FUTURERELEASE, on_future_release},
    {"ENHANCEDSTATUSCODES", EXT_ENHANCEDSTATUSCODES, NULL},
    {"VRFY", EXT_VRFY, NULL},
    {"HELP", EXT_HELP, NULL},
    {"ETRN", EXT_ETRN, NULL},
    {"XCLIENT", EXT_XCLIENT, NULL},
};

void capabilities_clear(struct capabilities *c)
{
    *c = (struct capabilities){0};
}

void capabilities_add(struct capabilities *c, struct str line)
{
    struct str keyword;

    str_next_word(&line, &keyword);
    if (str_istarts(keyword, STR("AUTH="))) { /* old servers */
        c->extensions |= EXT_AUTH;
        c->mechanisms |= mechanism_from_name(str_skip(keyword, 5));
        on_auth(c, line);
        return;
    }
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (!str_ieq(keyword, str_of(keywords[i].name)))
            continue;
        c->extensions |= keywords[i].bit;
        if (keywords[i].read != NULL)
            keywords[i].read(c, line);
        return;
    }
}
