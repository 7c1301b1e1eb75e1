#include "search_world.h"
#include "base/encode.h"
#include "base/metric.h"

#include <iconv.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const words[] = {"Straße", "STRASSE", "École", "Ångström", "naïve", "привет", "МОСКВА", "Ελλάδα", "Ὀδυσσεύς", "日本語テキスト",
    "東京都", "한국어", "ﬁnance", "İstanbul", "invoice", "Meeting", "quokka", "a.b-c_d", "100%", "<tag>", "x", "to", "größer", "cafe\xcc\x81", "\xf0\x9f\x98\x80 smile",
    "шалом", "عربى", "zebra", "ZEBRAS", "budget"};
static const char *const charsets[] = {"UTF-8", "ISO-8859-1", "windows-1252", "KOI8-R", "ISO-2022-JP", "GB18030", "UTF-16", "nonsense-8"};
static uint32_t dice = 1;

static uint32_t roll(uint32_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 17;
    dice ^= dice << 5;
    return dice % below;
}

static const char *word(void)
{
    static char made[40];

    if (roll(4) > 0)
        return words[roll(COUNT(words))];
    snprintf(made, sizeof made, "w%u%c%u", roll(7), 'a' + (int)roll(26), roll(1000));
    return made;
}

static void add_words(struct buf *out, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        buf_addf(out, "%s%s", word(), roll(9) ? " " : "\r\n");
}

/* What the charset does not have is left out. */
static void convert(struct str utf8, const char *charset, struct buf *out)
{
    iconv_t cd = iconv_open(charset, "UTF-8");
    char *in = (char *)(uintptr_t)utf8.p;
    size_t n = utf8.n;

    if (cd == (iconv_t)-1) {
        buf_add(out, utf8);
        return;
    }
    while (n > 0) {
        char room[4000], *to = room;
        size_t left = sizeof room, bad = iconv(cd, &in, &n, &to, &left);

        buf_add(out, str_from(room, (size_t)(to - room)));
        if (bad == (size_t)-1 && n > 0) {
            in++;
            n--;
        }
    }
    iconv_close(cd);
}

static void add_base64(struct buf *out, struct str bytes, size_t line)
{
    for (struct str rest = bytes; rest.n > 0; rest = str_skip(rest, str_sub(rest, 0, line).n)) {
        base64_encode(out, str_sub(rest, 0, line));
        if (line < 1000)
            buf_add(out, STR("\r\n"));
    }
}

static void add_quoted(struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        if (i % 25 == 24)
            buf_addf(out, "=%02X=\r\n", (unsigned char)bytes.p[i]);
        else
            buf_addf(out, "=%02X", (unsigned char)bytes.p[i]);
    buf_add(out, STR("\r\n"));
}

static void add_part(struct buf *out)
{
    const char *charset = charsets[roll(COUNT(charsets))];
    bool html = roll(3) == 0;
    struct buf text, bytes;
    unsigned how = roll(3);

    buf_init(&text, 1 << 20);
    buf_init(&bytes, 1 << 20);
    if (html)
        buf_add(&text, STR("<html><body><p class=\"zebra\">&Eacute;cole "));
    add_words(&text, 3 + roll(20));
    if (html)
        buf_add(&text, STR("</p><script>invoice</script></body></html>"));
    convert(buf_str(&text), charset, &bytes);
    buf_addf(out, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", html ? "html" : "plain", charset,
        how == 0 ? "base64" : how == 1 ? "quoted-printable" : "8bit");
    if (how == 0)
        add_base64(out, buf_str(&bytes), 57);
    else if (how == 1)
        add_quoted(out, buf_str(&bytes));
    else
        buf_add(out, buf_str(&bytes));
    buf_add(out, STR("\r\n"));
    buf_clear(&text);
    buf_clear(&bytes);
}

static void add_field(struct buf *out, const char *name)
{
    const char *w = word();

    if (roll(2)) {
        buf_addf(out, "%s: %s %s\r\n", name, w, roll(3) ? "plain" : word());
        return;
    }
    buf_addf(out, "%s: =?utf-8?b?", name);
    add_base64(out, str_of(w), 1000);
    buf_addf(out, "?= tail\r\n");
}

static void make_mail(struct buf *out)
{
    unsigned parts = roll(4);

    add_field(out, "Subject");
    add_field(out, "X-Test");
    buf_addf(out, "From: =?utf-8?q?Z=C3=BCrich?= <%u@far.example>\r\nTo: r@home.example\r\nMIME-Version: 1.0\r\n", roll(50));
    if (parts < 2) {
        add_part(out);
        return;
    }
    buf_add(out, STR("Content-Type: multipart/mixed; boundary=bbb\r\n\r\n"));
    for (unsigned i = 0; i < parts; i++) {
        buf_add(out, STR("--bbb\r\n"));
        add_part(out);
    }
    buf_add(out, STR("--bbb--\r\n"));
}

void search_fill(unsigned n, unsigned seed)
{
    struct buf mail;

    dice = seed | 1;
    buf_init(&mail, 1 << 20);
    for (unsigned i = 0; i < n; i++) {
        buf_reset(&mail);
        make_mail(&mail);
        world_deliver(buf_str(&mail));
        if (i % 50 == 49)
            world_flush();
    }
    buf_clear(&mail);
    world_flush();
}

void search_deliver(const char *subject, const char *text)
{
    struct buf mail;

    buf_init(&mail, 4 << 20);
    buf_addf(&mail, "Subject: %s\r\n\r\n%s\r\n", subject, text);
    world_deliver(buf_str(&mail));
    buf_clear(&mail);
    world_flush();
}

/* ---- programs ---- */

static size_t character_at(const char *w, size_t at)
{
    while (at > 0 && ((unsigned char)w[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* A piece of a word or of two, often in other letters. */
static void add_text(struct buf *out)
{
    char text[200];
    size_t n, from, to;

    n = (size_t)snprintf(text, sizeof text, "%s%s%s", word(), roll(5) ? "" : " ", roll(5) ? "" : words[roll(COUNT(words))]);
    from = character_at(text, roll((uint32_t)n));
    to = roll(2) ? n : character_at(text, from + roll((uint32_t)(n - from) + 1));
    if (to <= from)
        to = n;
    if (roll(2))
        for (size_t i = from; i < to; i++)
            text[i] = ascii_lower(text[i]);
    buf_addf(out, "{%zu+}\r\n%.*s", to - from, (int)(to - from), text + from);
}

static void add_key(struct buf *out, unsigned depth)
{
    static const char *const texts[] = {"TEXT ", "BODY ", "SUBJECT ", "FROM ", "HEADER X-Test ", "TO ", "TEXT ", "BODY "};
    static const char *const others[] = {"UNSEEN", "UID 20:120", "5:*", "SINCE 1-Jan-2020", "SMALLER 900", "FLAGGED", "ALL"};
    unsigned what = roll(depth < 3 ? 9 : 6);

    if (what < 5) {
        buf_addf(out, "%s", texts[roll(COUNT(texts))]);
        add_text(out);
    } else if (what == 5) {
        buf_addf(out, "%s", others[roll(COUNT(others))]);
    } else {
        buf_addf(out, "%s", what == 6 ? "OR " : what == 7 ? "NOT " : "(");
        add_key(out, depth + 1);
        if (what != 7) {
            buf_add_char(out, ' ');
            add_key(out, depth + 1);
        }
        buf_addf(out, "%s", what == 8 ? ")" : "");
    }
}

struct str search_program(void)
{
    static struct buf program;

    if (program.ceiling == 0)
        buf_init(&program, 1 << 20);
    buf_reset(&program);
    buf_addf(&program, "q %sSEARCH CHARSET UTF-8 ", roll(2) ? "UID " : "");
    add_key(&program, 0);
    if (roll(4) == 0) {
        buf_add_char(&program, ' ');
        add_key(&program, 0);
    }
    buf_add(&program, STR("\r\n"));
    return buf_str(&program);
}

struct str search_answer(struct str program, bool indexed)
{
    boxes_set_index_from(world_boxes, indexed ? world_index_from : 0);
    client_say_bytes(0, program);
    world_flush();
    boxes_set_index_from(world_boxes, world_index_from);
    return client_got(0);
}

void search_compare(unsigned programs)
{
    struct buf with;

    buf_init(&with, 1 << 20);
    for (unsigned i = 0; i < programs; i++) {
        struct str program = search_program(), without;

        buf_reset(&with);
        buf_add(&with, search_answer(program, true));
        without = search_answer(program, false);
        if (!str_eq(buf_str(&with), without)) {
            fprintf(stderr, "%.*s", STR_ARG(program));
            world_expected("the index answers otherwise", without, buf_str(&with));
        }
    }
    buf_clear(&with);
}

int64_t search_metric(const char *name)
{
    struct buf text;
    const char *at;
    int64_t value = 0;

    buf_init(&text, 1 << 20);
    metric_write(&text, "mailbox", 0);
    buf_add_char(&text, 0);
    for (at = text.p; (at = strstr(at, name)) != NULL; at++)
        if ((at == text.p || at[-1] == '\n') && (at[strlen(name)] == '{' || at[strlen(name)] == ' '))
            value = strtoll(strchr(at, ' '), NULL, 10);
    buf_clear(&text);
    return value;
}

void search_enter(void)
{
    client_open(0);
    client_say(0, "s SELECT INBOX\r\n");
    world_flush();
    (void)client_got(0);
    world_index();
}
