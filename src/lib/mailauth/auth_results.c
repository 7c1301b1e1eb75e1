/* See auth_results.h. A result is written as words, each on the line that still has room for it; one that does not fit
 * under the ceiling is taken back when the next one begins, or at the end. */
#include "auth_results.h"

#include <stdio.h>
#include <string.h>

enum { LINE_WISH = 78, WORD_MAX = 2 * AUTH_RESULTS_VALUE_MAX + 100, SIGNATURE_SHOWN = 8, END_ROOM = 8 };

/* ---- values ---- */

static bool is_token_char(char c)
{
    return c > 0x20 && c < 0x7f && str_find(STR("()<>@,;:\\\"/[]?="), c) < 0;
}

/* RFC 2045 5.1. */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char(s.p[i]))
            return false;
    return s.n > 0;
}

/* Words with single dots between (dot-atom); `more` are characters allowed besides letters and digits. */
static bool is_dotted(struct str s, struct str more)
{
    bool dot = true;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' ? dot : !ascii_is_alnum(s.p[i]) && str_find(more, s.p[i]) < 0)
            return false;
        dot = s.p[i] == '.';
    }
    return !dot;
}

/* "user@example.org" or "@example.org", as pvalue allows it bare. */
static bool is_plain_address(struct str s)
{
    ptrdiff_t at = str_rfind(s, '@');

    return at >= 0 && is_dotted(str_skip(s, (size_t)at + 1), STR("-")) &&
           (at == 0 || is_dotted(str_sub(s, 0, (size_t)at), STR("!#$%&'*+-/=?^_`{|}~")));
}

/* Octets of the character that s begins with: of a whole one in UTF-8, where `utf8`, else 1. */
static size_t character(struct str s, bool utf8)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = !utf8 || c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return n <= s.n && str_is_utf8(str_sub(s, 0, n)) ? n : 1;
}

static void add_quoted(struct buf *out, struct str value, bool utf8)
{
    size_t n;

    buf_add_char(out, '"');
    for (size_t done = 0; value.n > 0; value = str_skip(value, n), done += n) {
        struct str c = str_sub(value, 0, n = character(value, utf8));

        if (done + n > AUTH_RESULTS_VALUE_MAX) {
            buf_add(out, STR("..."));
            break;
        }
        if (c.p[0] == '"' || c.p[0] == '\\')
            buf_add_char(out, '\\');
        buf_add(out, str_control(c) > 0 || (n == 1 && !str_is_ascii(c)) ? STR("?") : c);
    }
    buf_add_char(out, '"');
}

static void add_value(struct buf *out, struct str value, bool utf8)
{
    if (value.n <= AUTH_RESULTS_VALUE_MAX && (is_token(value) || is_plain_address(value)))
        buf_add(out, value);
    else
        add_quoted(out, value, utf8);
}

/* ---- the field ---- */

/* A word that is not the first on its line has a blank before it, or a fold where there is no room. */
static void add_word(struct auth_results *r, struct str word, bool new_line)
{
    if (new_line || r->line + 1 + word.n > LINE_WISH) {
        buf_add(&r->text, STR("\r\n\t"));
        r->line = 1;
    } else {
        buf_add_char(&r->text, ' ');
        r->line++;
    }
    buf_add(&r->text, word);
    r->line += word.n;
}

/* "before" "value", in one word. */
static void add_pair(struct auth_results *r, const char *before, struct str value, bool new_line)
{
    struct buf word;

    buf_init(&word, WORD_MAX);
    buf_add(&word, str_of(before));
    add_value(&word, value, r->utf8);
    add_word(r, buf_str(&word), new_line);
    buf_clear(&word);
}

/* Of the last result only a part fitted: nothing of it stays. */
static void take_back(struct auth_results *r)
{
    if (!r->text.failed)
        return;
    r->text.failed = false;
    r->text.n = r->last;
    r->n--;
}

void auth_results_begin(struct auth_results *r, struct str authserv_id, bool utf8)
{
    static const char name[] = "Authentication-Results:";

    *r = (struct auth_results){.utf8 = utf8, .line = sizeof name - 1};
    buf_init(&r->text, AUTH_RESULTS_FIELD_MAX);
    buf_add(&r->text, STR(name));
    add_pair(r, "", authserv_id, false);
    r->last = r->text.n;
}

void auth_results_add(struct auth_results *r, const char *method, const char *result, struct str reason)
{
    char word[100];

    take_back(r);
    r->last = r->text.n;
    r->n++;
    buf_add_char(&r->text, ';');
    snprintf(word, sizeof word, "%s=%s", method, result);
    add_word(r, str_of(word), true);
    if (reason.n > 0)
        add_pair(r, "reason=", reason, false);
}

void auth_results_property(struct auth_results *r, const char *ptype, const char *property, struct str value)
{
    char before[100];

    if (value.n == 0)
        return;
    snprintf(before, sizeof before, "%s.%s=", ptype, property);
    add_pair(r, before, value, false);
}

struct str auth_results_end(struct auth_results *r)
{
    take_back(r);
    r->text.ceiling += END_ROOM;
    if (r->n == 0)
        buf_add(&r->text, STR("; none"));
    buf_add(&r->text, STR("\r\n"));
    return buf_str(&r->text);
}

void auth_results_clear(struct auth_results *r)
{
    buf_clear(&r->text);
}

/* ---- the methods ---- */

void auth_results_spf(struct auth_results *r, enum spf_result result, bool helo, struct str domain, struct str reason)
{
    auth_results_add(r, "spf", spf_result_name(result), reason);
    auth_results_property(r, "smtp", helo ? "helo" : "mailfrom", domain);
}

/* Enough of the signature to tell it from others (RFC 6008); it may be folded. */
static void add_signature(struct auth_results *r, struct str base64)
{
    char shown[SIGNATURE_SHOWN];
    size_t n = 0;

    for (size_t i = 0; i < base64.n && n < SIGNATURE_SHOWN; i++)
        if (str_find(STR(" \t\r\n"), base64.p[i]) < 0)
            shown[n++] = base64.p[i];
    auth_results_property(r, "header", "b", str_from(shown, n));
}

void auth_results_dkim(struct auth_results *r, const struct auth_results_dkim *signature)
{
    auth_results_add(r, "dkim", signature->result, signature->reason);
    auth_results_property(r, "header", "d", signature->domain);
    auth_results_property(r, "header", "i", signature->identity);
    auth_results_property(r, "header", "s", signature->selector);
    auth_results_property(r, "header", "a", signature->algorithm);
    add_signature(r, signature->signature);
}

void auth_results_dmarc(struct auth_results *r, const struct dmarc_outcome *outcome)
{
    bool told = outcome->result != DMARC_RESULT_PASS;

    auth_results_add(r, "dmarc", dmarc_result_name(outcome->result), told ? str_of(outcome->reason) : STR(""));
    auth_results_property(r, "header", "from", outcome->author);
    if (outcome->result == DMARC_RESULT_FAIL)
        auth_results_property(r, "policy", "dmarc", str_of(dmarc_policy_name(outcome->policy)));
}

static void add_ip(struct auth_results *r, const char *ptype, const char *property, const struct ip *ip)
{
    char text[IP_TEXT];

    ip_format(ip, text);
    auth_results_property(r, ptype, property, str_of(text));
}

void auth_results_arc(struct auth_results *r, const char *result, struct str reason, const struct ip *client, int oldest_pass)
{
    char number[16];

    auth_results_add(r, "arc", result, reason);
    add_ip(r, "smtp", "remote-ip", client);
    snprintf(number, sizeof number, "%d", oldest_pass);
    if (oldest_pass >= 0)
        auth_results_property(r, "header", "oldest-pass", str_of(number));
}

void auth_results_iprev(struct auth_results *r, enum iprev_result result, const struct ip *client)
{
    auth_results_add(r, "iprev", iprev_result_name(result), STR(""));
    add_ip(r, "policy", "iprev", client);
}
