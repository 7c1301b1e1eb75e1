/* See tls_outcome.h. "TYPE RESULT MX RECEIVING SENDING\n", with '-' for what is not known, then the lines of the policy. */
#include "tls_outcome.h"
#include "smtp/address.h"

enum { WORD_MAX = 300 };

static void add_word(struct buf *out, struct str s)
{
    bool plain = s.n > 0 && s.n <= WORD_MAX && str_is_printable(s) && str_find(s, ' ') < 0;

    buf_add_char(out, ' ');
    buf_add(out, plain ? s : STR("-"));
}

static void add_policy(struct buf *out, struct str policy)
{
    struct str line;
    size_t n = 0;

    while (str_next(&policy, '\n', &line)) {
        line = str_trim(line);
        n += line.n + 1;
        if (n > TLS_OUTCOME_POLICY_MAX)
            return;
        for (size_t i = 0; i < line.n; i++)
            buf_add_char(out, line.p[i] < 0x20 || line.p[i] > 0x7e ? '?' : line.p[i]);
        if (line.n > 0)
            buf_add_char(out, '\n');
    }
}

void tls_outcome_write(const struct tls_outcome *o, struct buf *out)
{
    buf_addf(out, "%d %s", (int)o->type, o->result == TLS_OK ? "ok" : tls_result_name(o->result));
    add_word(out, o->mx);
    add_word(out, o->receiving);
    add_word(out, o->sending);
    buf_add_char(out, '\n');
    add_policy(out, o->policy);
}

static bool read_result(struct str word, enum tls_result *result)
{
    *result = TLS_OK;
    if (str_eq(word, STR("ok")))
        return true;
    for (int i = TLS_OK + 1; i <= TLS_STS_WEBPKI_INVALID; i++)
        if (str_eq(word, str_of(tls_result_name((enum tls_result)i)))) {
            *result = (enum tls_result)i;
            return true;
        }
    return false;
}

static bool read_word(struct str *line, struct str *word)
{
    if (!str_next_word(line, word) || word->n > WORD_MAX || !str_is_printable(*word))
        return false;
    if (str_eq(*word, STR("-")))
        *word = STR("");
    return true;
}

static bool is_policy(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != '\n' && (text.p[i] < 0x20 || text.p[i] > 0x7e))
            return false;
    return text.n <= TLS_OUTCOME_POLICY_MAX;
}

bool tls_outcome_read(struct str domain, struct str text, struct tls_outcome *o)
{
    ptrdiff_t end = str_find(text, '\n');
    struct str line = str_sub(text, 0, end < 0 ? 0 : (size_t)end), type, result;

    *o = (struct tls_outcome){.domain = domain};
    if (end < 0 || !domain_is_valid(domain, false) || !str_next_word(&line, &type) || !str_next_word(&line, &result) ||
        !read_result(result, &o->result) || !read_word(&line, &o->mx) || !read_word(&line, &o->receiving) ||
        !read_word(&line, &o->sending) || str_trim(line).n > 0)
        return false;
    if (!str_eq(type, STR("1")) && !str_eq(type, STR("2")))
        return false;
    o->type = str_eq(type, STR("1")) ? TLSRPT_STS : TLSRPT_TLSA;
    o->policy = str_skip(text, (size_t)end + 1);
    return is_policy(o->policy);
}
