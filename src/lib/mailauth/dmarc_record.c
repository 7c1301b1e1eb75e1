/* See dmarc_record.h. The tag list is read piece by piece and not by tag_list_read, which refuses a whole list for one
 * bad tag: DKIM wants that, DMARC forbids it (4.8). Names of tags are compared without case (ABNF, RFC 5234 2.3). Of a
 * tag that comes twice the first one counts. */
#include "dmarc_record.h"

const char *dmarc_policy_name(enum dmarc_policy policy)
{
    static const char *const names[] = {"none", "quarantine", "reject"};

    return names[policy];
}

static struct str trim_blanks(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_skip(s, 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* False where no "name=value" stands. */
static bool cut_tag(struct str piece, struct str *name, struct str *value)
{
    ptrdiff_t equals = str_find(piece, '=');

    if (equals < 0)
        return false;
    *name = trim_blanks(str_sub(piece, 0, (size_t)equals));
    *value = trim_blanks(str_skip(piece, (size_t)equals + 1));
    return name->n > 0;
}

bool dmarc_is_record(struct str text)
{
    struct str piece, name, value;

    return str_next(&text, ';', &piece) && cut_tag(piece, &name, &value) && str_ieq(name, STR("v")) && str_eq(value, STR("DMARC1"));
}

/* ---- values ---- */

/* Index of the value among the words, -1 for none of them. */
static int choose(struct str value, const char *const words[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_ieq(value, str_of(words[i])))
            return (int)i;
    return -1;
}

static void read_request(struct str value, struct dmarc_request *request)
{
    static const char *const words[] = {"none", "quarantine", "reject"};
    int i = choose(value, words, 3);

    request->present = true;
    request->valid = i >= 0;
    request->policy = i >= 0 ? (enum dmarc_policy)i : DMARC_NONE;
}

static void read_p(struct str value, struct dmarc_record *r)
{
    read_request(value, &r->p);
}

static void read_sp(struct str value, struct dmarc_record *r)
{
    read_request(value, &r->sp);
}

static void read_np(struct str value, struct dmarc_record *r)
{
    read_request(value, &r->np);
}

static void read_psd(struct str value, struct dmarc_record *r)
{
    static const char *const words[] = {"u", "n", "y"};
    int i = choose(value, words, 3);

    r->psd = i >= 0 ? (enum dmarc_psd)i : DMARC_PSD_UNKNOWN;
}

static void read_t(struct str value, struct dmarc_record *r)
{
    r->testing = str_ieq(value, STR("y"));
}

static void read_adkim(struct str value, struct dmarc_record *r)
{
    r->dkim_strict = str_ieq(value, STR("s"));
}

static void read_aspf(struct str value, struct dmarc_record *r)
{
    r->spf_strict = str_ieq(value, STR("s"));
}

static void read_rua(struct str value, struct dmarc_record *r)
{
    r->rua = value;
}

static void read_ruf(struct str value, struct dmarc_record *r)
{
    r->ruf = value;
}

/* Each at most once, 0 and 1 not together; otherwise the default stays. The order is free, as the text of 4.7 has it. */
static void read_fo(struct str value, struct dmarc_record *r)
{
    static const char *const words[] = {"0", "1", "d", "s"};
    unsigned options = 0;
    struct str word;

    while (str_next(&value, ':', &word)) {
        int i = choose(trim_blanks(word), words, 4);

        if (i < 0 || (options & 1u << i) != 0)
            return;
        options |= 1u << i;
    }
    if ((options & DMARC_FO_ALL) == 0 || (options & DMARC_FO_ANY) == 0)
        r->fo = options;
}

static const struct tag_reader {
    const char *name;
    void (*read)(struct str value, struct dmarc_record *record);
} readers[] = {
    {"p", read_p}, {"sp", read_sp}, {"np", read_np}, {"psd", read_psd}, {"t", read_t}, {"adkim", read_adkim},
    {"aspf", read_aspf}, {"rua", read_rua}, {"ruf", read_ruf}, {"fo", read_fo},
};

enum { READERS = sizeof readers / sizeof readers[0] };

void dmarc_read(struct str text, struct dmarc_record *record)
{
    struct str piece, name, value;
    bool seen[READERS] = {false};

    *record = (struct dmarc_record){.fo = DMARC_FO_ALL, .text = text};
    str_next(&text, ';', &piece);
    while (str_next(&text, ';', &piece)) {
        if (!cut_tag(piece, &name, &value))
            continue;
        for (size_t i = 0; i < READERS; i++)
            if (!seen[i] && str_ieq(name, str_of(readers[i].name))) {
                seen[i] = true;
                readers[i].read(str_is_printable(value) ? value : STR(""), record);
            }
    }
    if (record->ruf.n == 0)
        record->fo = DMARC_FO_ALL;
}

/* ---- the policy ---- */

static bool policies_are_valid(const struct dmarc_record *r)
{
    return r->p.valid && r->sp.valid == r->sp.present && r->np.valid == r->np.present;
}

bool dmarc_is_usable(const struct dmarc_record *record)
{
    struct str list = record->rua;
    struct dmarc_uri uri;

    return policies_are_valid(record) || dmarc_next_uri(&list, &uri);
}

enum dmarc_policy dmarc_choose_policy(const struct dmarc_record *record, enum dmarc_who who)
{
    if (!policies_are_valid(record))
        return DMARC_NONE;
    if (who == DMARC_NO_DOMAIN && record->np.present)
        return record->np.policy;
    if (who != DMARC_DOMAIN && record->sp.present)
        return record->sp.policy;
    return record->p.policy;
}

enum dmarc_policy dmarc_lower(const struct dmarc_record *record, enum dmarc_policy policy)
{
    return record->testing && policy != DMARC_NONE ? policy - 1 : policy;
}

/* ---- URIs ---- */

static int hex_digit(char c)
{
    c = ascii_lower(c);
    if (ascii_is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A '%' has two digits behind it; all others are characters of RFC 3986 2.2 and 2.3. */
static bool uri_characters(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%') {
            if (s.n - i < 3 || hex_digit(s.p[i + 1]) < 0 || hex_digit(s.p[i + 2]) < 0)
                return false;
            i += 2;
        } else if (!ascii_is_alnum(s.p[i]) && str_find(STR("-._~:/?#[]@$&'()*+;="), s.p[i]) < 0) {
            return false;
        }
    }
    return true;
}

static bool is_uri(struct str s)
{
    ptrdiff_t colon = str_find(s, ':');

    if (colon < 1 || !ascii_is_alpha(s.p[0]) || (size_t)colon + 1 == s.n)
        return false;
    for (ptrdiff_t i = 1; i < colon; i++)
        if (!ascii_is_alnum(s.p[i]) && str_find(STR("+-."), s.p[i]) < 0)
            return false;
    return uri_characters(str_skip(s, (size_t)colon + 1));
}

/* "10m" to bytes; false where it is no size. */
static bool read_limit(struct str s, uint64_t *limit)
{
    ptrdiff_t unit = s.n > 0 ? str_find(STR("kmgt"), ascii_lower(s.p[s.n - 1])) : -1;
    unsigned shift = unit < 0 ? 0 : 10 * ((unsigned)unit + 1);

    if (unit >= 0)
        s.n--;
    if (s.n == 0 || !str_to_u64(s, UINT64_MAX >> shift, limit))
        return false;
    *limit <<= shift;
    return true;
}

bool dmarc_next_uri(struct str *list, struct dmarc_uri *uri)
{
    struct str item;

    while (str_next(list, ',', &item)) {
        ptrdiff_t mark;

        item = trim_blanks(item);
        mark = str_find(item, '!');
        *uri = (struct dmarc_uri){.uri = mark < 0 ? item : str_sub(item, 0, (size_t)mark)};
        if (is_uri(uri->uri) && (mark < 0 || read_limit(str_skip(item, (size_t)mark + 1), &uri->limit)))
            return true;
    }
    return false;
}

bool dmarc_uri_address(struct str uri, struct buf *out)
{
    struct str rest, address;
    size_t from = out->n, at = 0;

    if (!str_istarts(uri, STR("mailto:")))
        return false;
    rest = str_skip(uri, 7);
    if (!str_next(&rest, '?', &address) || !uri_characters(address))
        return false;
    for (size_t i = 0; i < address.n; i++) {
        bool coded = address.p[i] == '%';
        int c = coded ? hex_digit(address.p[i + 1]) * 16 + hex_digit(address.p[i + 2]) : address.p[i];

        if (c <= 0x20 || c >= 0x7f)
            return false;
        at += c == '@';
        buf_add_char(out, (char)c);
        i += coded ? 2 : 0;
    }
    return at == 1 && !out->failed && out->p[from] != '@' && out->p[out->n - 1] != '@';
}
