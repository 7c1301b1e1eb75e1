/* Command lines of SMTP and the arguments of MAIL, RCPT, BDAT and EHLO. The parameters of every
 * extension stand in two tables; the readers above them know one value each. */
#include "smtp/command.h"

#include "base/clock.h"
#include "smtp/parameter.h"

#include <time.h>

enum { ENVID_MAX = 100, ORCPT_MAX = 500, AUTH_MAX = 500 }; /* RFC 3461 4.2, 4.4; RFC 4954 */
enum { PRIORITY_BIAS = 9 };

static const struct {
    const char *name;
    enum smtp_verb verb;
} verbs[] = {
    {"HELO", VERB_HELO}, {"EHLO", VERB_EHLO}, {"LHLO", VERB_LHLO}, {"MAIL", VERB_MAIL},
    {"RCPT", VERB_RCPT}, {"DATA", VERB_DATA}, {"BDAT", VERB_BDAT}, {"RSET", VERB_RSET},
    {"NOOP", VERB_NOOP}, {"QUIT", VERB_QUIT}, {"VRFY", VERB_VRFY}, {"EXPN", VERB_EXPN},
    {"HELP", VERB_HELP}, {"STARTTLS", VERB_STARTTLS}, {"AUTH", VERB_AUTH},
    {"XCLIENT", VERB_XCLIENT}, {"ETRN", VERB_ETRN},
};

static bool refuse(struct refusal *no, unsigned code, const char *text)
{
    *no = (struct refusal){code, text};
    return false;
}

struct command command_parse(struct str line)
{
    struct command c = {.verb = VERB_UNKNOWN};

    c.args = line;
    if (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
        return c;
    str_next_word(&c.args, &c.name);
    c.args = str_trim(c.args);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (str_ieq(c.name, str_of(verbs[i].name)))
            c.verb = verbs[i].verb;
    return c;
}

/* ---- the parameters of MAIL ---- */

/* Twenty digits are allowed (RFC 1870 6.1): what no number of ours holds is larger than any limit. */
static bool read_size(void *out, struct str value)
{
    struct mail_command *m = out;

    for (size_t i = 0; i < value.n; i++)
        if (!ascii_is_digit(value.p[i]))
            return false;
    if (!str_to_u64(value, INT64_MAX, &m->size))
        m->size = INT64_MAX;
    return value.n <= 20;
}

static bool read_body(void *out, struct str value)
{
    struct mail_command *m = out;

    if (str_ieq(value, STR("8BITMIME")))
        m->flags |= TXN_8BITMIME;
    else if (str_ieq(value, STR("BINARYMIME")))
        m->flags |= TXN_BINARYMIME;
    else
        return str_ieq(value, STR("7BIT"));
    return true;
}

static bool read_smtputf8(void *out, struct str value)
{
    (void)value;
    ((struct mail_command *)out)->flags |= TXN_SMTPUTF8;
    return true;
}

static bool read_requiretls(void *out, struct str value)
{
    (void)value;
    ((struct mail_command *)out)->flags |= TXN_REQUIRETLS;
    return true;
}

static bool read_ret(void *out, struct str value)
{
    struct mail_command *m = out;

    if (str_ieq(value, STR("FULL")))
        m->flags |= TXN_RET_FULL;
    else if (str_ieq(value, STR("HDRS")))
        m->flags |= TXN_RET_HDRS;
    else
        return false;
    return true;
}

static bool read_envid(void *out, struct str value)
{
    ((struct mail_command *)out)->envid = value;
    return value.n <= ENVID_MAX && xtext_is_valid(value);
}

static bool read_auth(void *out, struct str value)
{
    ((struct mail_command *)out)->auth = value;
    return value.n <= AUTH_MAX && xtext_is_valid(value);
}

/* At most nine digits, as in RFC 2852 and RFC 4865. */
static bool nine_digits(struct str value, uint64_t *number)
{
    return value.n <= 9 && str_to_u64(value, 999999999, number);
}

static bool read_hold_for(void *out, struct str value)
{
    struct mail_command *m = out;

    return m->hold_until == 0 && nine_digits(value, &m->hold_for);
}

static bool digits(struct str text, size_t at, size_t n, int *value)
{
    uint64_t number;

    if (at + n > text.n || !str_to_u64(str_sub(text, at, at + n), 9999, &number))
        return false;
    *value = (int)number;
    return true;
}

/* "Z", "+02:00" behind the time; minutes to subtract. */
static bool read_zone(struct str zone, int *minutes)
{
    int hours, rest;

    *minutes = 0;
    if (str_ieq(zone, STR("Z")))
        return true;
    if (zone.n != 6 || (zone.p[0] != '+' && zone.p[0] != '-') || zone.p[3] != ':' ||
        !digits(zone, 1, 2, &hours) || !digits(zone, 4, 2, &rest) || hours > 23 || rest > 59)
        return false;
    *minutes = (zone.p[0] == '-' ? -1 : 1) * (hours * 60 + rest);
    return true;
}

/* RFC 3339: "2026-11-22T03:30:00Z", "...00.5+02:00". */
static bool read_hold_until(void *out, struct str value)
{
    struct mail_command *m = out;
    struct tm tm = {0};
    size_t end = 19;
    int zone;

    if (!digits(value, 0, 4, &tm.tm_year) || !digits(value, 5, 2, &tm.tm_mon) ||
        !digits(value, 8, 2, &tm.tm_mday) || !digits(value, 11, 2, &tm.tm_hour) ||
        !digits(value, 14, 2, &tm.tm_min) || !digits(value, 17, 2, &tm.tm_sec))
        return false;
    if (value.p[4] != '-' || value.p[7] != '-' || ascii_lower(value.p[10]) != 't' || value.p[13] != ':' ||
        value.p[16] != ':' || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    if (end < value.n && value.p[end] == '.')
        for (end++; end < value.n && ascii_is_digit(value.p[end]);)
            end++;
    if (!read_zone(str_skip(value, end), &zone))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    m->hold_until = (int64_t)timegm(&tm) * SECOND - zone * MINUTE;
    return m->hold_for == 0 && m->hold_until > 0;
}

/* RFC 2852 4: "120;R", "-30;NT". A time not above zero makes no sense where a return is asked for. */
static bool read_by(void *out, struct str value)
{
    struct mail_command *m = out;
    struct str mode = value, number;
    uint64_t seconds;
    bool minus;

    if (!str_next(&mode, ';', &number) || number.n == 0 || mode.n == 0 || mode.n > 2)
        return false;
    minus = number.p[0] == '-';
    if (minus || number.p[0] == '+')
        number = str_skip(number, 1);
    if (!nine_digits(number, &seconds))
        return false;
    m->has_by = true;
    m->by_seconds = minus ? -(int64_t)seconds : (int64_t)seconds;
    if (mode.n == 2 && ascii_lower(mode.p[1]) != 't')
        return false;
    if (mode.n == 2)
        m->flags |= TXN_BY_TRACE;
    if (ascii_lower(mode.p[0]) == 'n')
        return true;
    m->flags |= TXN_BY_RETURN;
    return ascii_lower(mode.p[0]) == 'r' && m->by_seconds > 0;
}

static bool read_priority(void *out, struct str value)
{
    struct mail_command *m = out;
    bool minus = value.p[0] == '-';
    uint64_t number;

    value = str_skip(value, minus);
    if (value.n != 1 || !str_to_u64(value, PRIORITY_BIAS, &number) || (minus && number == 0))
        return false;
    m->has_priority = true;
    m->priority = minus ? PRIORITY_BIAS - number : PRIORITY_BIAS + number;
    return true;
}

static const struct parameter mail_parameters[] = {
    {"SIZE", EXT_SIZE, VALUE_NEEDED, read_size, "5.5.4 SIZE needs a number"},
    {"BODY", EXT_8BITMIME | EXT_BINARYMIME, VALUE_NEEDED, read_body,
        "5.5.4 BODY is 7BIT, 8BITMIME or BINARYMIME"},
    {"SMTPUTF8", EXT_SMTPUTF8, VALUE_NONE, read_smtputf8, NULL},
    {"RET", EXT_DSN, VALUE_NEEDED, read_ret, "5.5.4 RET is FULL or HDRS"},
    {"ENVID", EXT_DSN, VALUE_NEEDED, read_envid, "5.5.4 ENVID is xtext of at most 100 characters"},
    {"AUTH", EXT_AUTH, VALUE_NEEDED, read_auth, "5.5.4 AUTH is an address in xtext or <>"},
    {"HOLDFOR", EXT_FUTURERELEASE, VALUE_NEEDED, read_hold_for,
        "5.5.4 HOLDFOR is a number of seconds, without HOLDUNTIL"},
    {"HOLDUNTIL", EXT_FUTURERELEASE, VALUE_NEEDED, read_hold_until,
        "5.5.4 HOLDUNTIL is a date and time of RFC 3339, without HOLDFOR"},
    {"BY", EXT_DELIVERBY, VALUE_NEEDED, read_by, "5.5.4 BY is seconds;R or seconds;N, with T for trace"},
    {"MT-PRIORITY", EXT_MT_PRIORITY, VALUE_NEEDED, read_priority, "5.5.4 MT-PRIORITY is a number from -9 to 9"},
    {"REQUIRETLS", EXT_REQUIRETLS, VALUE_NONE, read_requiretls, NULL},
};

/* ---- the parameters of RCPT ---- */

static bool read_notify(void *out, struct str value)
{
    static const struct {
        struct str name;
        unsigned bit;
    } words[] = {
        {STR("NEVER"), NOTIFY_NEVER},
        {STR("SUCCESS"), NOTIFY_SUCCESS},
        {STR("FAILURE"), NOTIFY_FAILURE},
        {STR("DELAY"), NOTIFY_DELAY},
    };
    struct rcpt_command *r = out;
    struct str word;

    while (str_next(&value, ',', &word)) {
        unsigned bit = 0;

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (str_ieq(word, words[i].name))
                bit = words[i].bit;
        if (bit == 0)
            return false;
        r->notify |= bit;
    }
    return r->notify == NOTIFY_NEVER || !(r->notify & NOTIFY_NEVER);
}

static bool read_orcpt(void *out, struct str value)
{
    ((struct rcpt_command *)out)->orcpt = value;
    return value.n <= ORCPT_MAX && orcpt_is_valid(value);
}

static const struct parameter rcpt_parameters[] = {
    {"NOTIFY", EXT_DSN, VALUE_NEEDED, read_notify, "5.5.4 NOTIFY is NEVER or a list of SUCCESS, FAILURE, DELAY"},
    {"ORCPT", EXT_DSN, VALUE_NEEDED, read_orcpt, "5.5.4 ORCPT is type;address in xtext"},
};

/* ---- the commands ---- */

static struct str skip_blanks(struct str text)
{
    while (text.n && (text.p[0] == ' ' || text.p[0] == '\t'))
        text = str_skip(text, 1);
    return text;
}

bool command_parse_mail(struct str args, unsigned extensions, struct mail_command *out, struct refusal *no)
{
    unsigned flags = ADDRESS_NULL | (extensions & EXT_SMTPUTF8 ? ADDRESS_UTF8 : 0);
    const char *why;

    *out = (struct mail_command){.priority = PRIORITY_BIAS};
    if (!str_istarts(args, STR("FROM:")))
        return refuse(no, 501, "5.5.4 Syntax: MAIL FROM:<address> [parameters]");
    args = skip_blanks(str_skip(args, 5));
    if (!address_parse_path(&args, flags, &out->sender, &why))
        return refuse(no, 501, "5.1.7 Malformed sender address");
    if (!parameters_read(args, mail_parameters, sizeof mail_parameters / sizeof *mail_parameters, extensions, out, no))
        return false;
    if (out->sender.utf8 && !(out->flags & TXN_SMTPUTF8))
        return refuse(no, 553, "5.6.7 This address needs the SMTPUTF8 parameter");
    return true;
}

/* <postmaster> is the one recipient that needs no domain (RFC 5321 4.5.1). */
static bool is_postmaster(struct str path)
{
    return str_istarts(path, STR("<postmaster>"));
}

bool command_parse_rcpt(struct str args, unsigned extensions, unsigned address_flags,
    struct rcpt_command *out, struct refusal *no)
{
    const char *why;

    *out = (struct rcpt_command){0};
    if (!str_istarts(args, STR("TO:")))
        return refuse(no, 501, "5.5.4 Syntax: RCPT TO:<address> [parameters]");
    args = skip_blanks(str_skip(args, 3));
    address_flags &= ~(unsigned)ADDRESS_NULL;
    if (is_postmaster(args))
        address_flags |= ADDRESS_LOCAL_ONLY;
    if (!address_parse_path(&args, address_flags | ADDRESS_UTF8, &out->rcpt, &why))
        return refuse(no, 501, "5.1.3 Malformed recipient address");
    if (out->rcpt.utf8 && !(address_flags & ADDRESS_UTF8))
        return refuse(no, 553, "5.6.7 This address needs the SMTPUTF8 parameter of MAIL");
    return parameters_read(args, rcpt_parameters, sizeof rcpt_parameters / sizeof *rcpt_parameters,
        extensions, out, no);
}

bool command_parse_bdat(struct str args, uint64_t *size, bool *last, struct refusal *no)
{
    struct str number, word;

    *last = false;
    if (!str_next_word(&args, &number) || !str_to_u64(number, INT64_MAX, size))
        return refuse(no, 501, "5.5.4 Syntax: BDAT size [LAST]");
    if (!str_next_word(&args, &word))
        return true;
    *last = str_ieq(word, STR("LAST"));
    if (!*last || str_trim(args).n)
        return refuse(no, 501, "5.5.4 Syntax: BDAT size [LAST]");
    return true;
}

bool command_parse_helo(struct str args, struct str *name, struct refusal *no)
{
    *name = str_trim(args);
    if (name->n == 0)
        return refuse(no, 501, "5.5.4 Your host name is missing");
    if (name->n > ADDRESS_DOMAIN_MAX || !str_is_utf8(*name) || str_has_control(*name))
        return refuse(no, 501, "5.5.4 That is no host name");
    for (size_t i = 0; i < name->n; i++) {
        unsigned char c = (unsigned char)name->p[i];

        if (c < 0x80 && !ascii_is_alnum((char)c) && str_find(STR("-_.:[]"), (char)c) < 0)
            return refuse(no, 501, "5.5.4 That is no host name");
    }
    return true;
}
