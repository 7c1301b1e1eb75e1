/* The base subject, step by step as RFC 5256, section 2.1 numbers them. */
#include "mime/fold.h"

enum { SUBJECT_MAX = 4096 }; /* what is longer counts as far as this */

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

static size_t wsp_length(struct str text)
{
    size_t n = 0;

    while (n < text.n && is_wsp(text.p[n]))
        n++;
    return n;
}

/* subj-blob: "[list] "; 0 when there is none. */
static size_t blob_length(struct str text)
{
    size_t n = 1;

    if (text.n == 0 || text.p[0] != '[')
        return 0;
    while (n < text.n && text.p[n] != '[' && text.p[n] != ']')
        n++;
    if (n == text.n || text.p[n] != ']')
        return 0;
    return n + 1 + wsp_length(str_skip(text, n + 1));
}

/* subj-refwd: "Re [x]: "; 0 when there is none. */
static size_t refwd_length(struct str text)
{
    size_t n = str_istarts(text, STR("re")) || str_istarts(text, STR("fw")) ? 2 : 0;

    if (n == 0)
        return 0;
    if (str_istarts(text, STR("fwd")))
        n = 3;
    n += wsp_length(str_skip(text, n));
    n += blob_length(str_skip(text, n));
    return n < text.n && text.p[n] == ':' ? n + 1 : 0;
}

/* subj-leader: blobs and a refwd, or blanks. */
static size_t leader_length(struct str text, bool *is_reply)
{
    size_t n = wsp_length(text), blob, refwd;

    if (n)
        return n;
    while ((blob = blob_length(str_skip(text, n))) > 0)
        n += blob;
    refwd = refwd_length(str_skip(text, n));
    *is_reply = *is_reply || refwd > 0;
    return refwd ? n + refwd : 0;
}

/* Step 2 */
static struct str cut_trailers(struct str text, bool *is_reply)
{
    for (;;) {
        if (text.n && is_wsp(text.p[text.n - 1])) {
            text.n--;
        } else if (text.n >= 5 && str_istarts(str_skip(text, text.n - 5), STR("(fwd)"))) {
            text.n -= 5;
            *is_reply = true;
        } else {
            return text;
        }
    }
}

/* Steps 3 to 5 */
static struct str cut_leaders(struct str text, bool *is_reply)
{
    for (;;) {
        size_t n = leader_length(text, is_reply);

        if (n == 0) {
            n = blob_length(text);
            if (n == text.n)
                n = 0; /* it is all there is */
        }
        if (n == 0)
            return text;
        text = str_skip(text, n);
    }
}

/* Step 1: blanks of every kind are one space. */
static void collapse(struct str value, struct buf *out)
{
    if (value.n > SUBJECT_MAX)
        for (value.n = SUBJECT_MAX; value.n && (value.p[value.n] & 0xc0) == 0x80;)
            value.n--;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        bool blank = is_wsp(c) || c == '\r' || c == '\n';

        if (!blank)
            buf_add_char(out, c);
        else if (out->n == 0 || out->p[out->n - 1] != ' ')
            buf_add_char(out, ' ');
    }
}

void mime_base_subject(struct str value, struct buf *out, bool *is_reply)
{
    struct buf text;
    struct str rest;

    *is_reply = false;
    buf_init(&text, value.n + 1);
    collapse(value, &text);
    rest = buf_str(&text);
    for (;;) {
        rest = cut_leaders(cut_trailers(rest, is_reply), is_reply);
        if (!str_istarts(rest, STR("[fwd:")) || rest.p[rest.n - 1] != ']')
            break;
        rest = str_sub(rest, 5, rest.n - 1); /* step 6 */
        *is_reply = true;
    }
    buf_add(out, rest);
    buf_clear(&text);
}
