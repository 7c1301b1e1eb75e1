/* Names and small files of a Maildir. See maildir.h. */
#include "cli/migrate/maildir.h"
#include "imap/write.h"

static const struct {
    char letter;
    unsigned flag;
} letters[] = {{'D', IMAP_DRAFT}, {'F', IMAP_FLAGGED}, {'R', IMAP_ANSWERED}, {'S', IMAP_SEEN}, {'T', IMAP_DELETED}};

void maildir_name_parse(struct str file, struct maildir_name *name)
{
    ptrdiff_t colon = str_find(file, ':');
    struct str info = colon < 0 ? STR("") : str_skip(file, (size_t)colon + 1);
    size_t digits = 0;

    *name = (struct maildir_name){.unique = colon < 0 ? file : str_sub(file, 0, (size_t)colon)};
    while (digits < file.n && ascii_is_digit(file.p[digits]))
        digits++;
    if (!str_to_u64(str_sub(file, 0, digits), INT64_MAX / 1000000, &name->time))
        name->time = 0;
    if (!str_starts(info, STR("2,")))
        return;
    for (size_t i = 2; i < info.n; i++) {
        char c = info.p[i];

        name->passed |= c == 'P';
        if (c >= 'a' && c <= 'z')
            name->letters |= UINT32_C(1) << (c - 'a');
        for (size_t k = 0; k < sizeof letters / sizeof *letters; k++)
            if (letters[k].letter == c)
                name->flags |= letters[k].flag;
    }
}

void maildir_name_flags(struct buf *out, const struct maildir_name *name)
{
    buf_add(out, STR(":2,"));
    for (size_t k = 0; k < sizeof letters / sizeof *letters; k++) {
        if (name->passed && letters[k].letter == 'R')
            buf_add_char(out, 'P');
        if (name->flags & letters[k].flag)
            buf_add_char(out, letters[k].letter);
    }
    for (int i = 0; i < MAILDIR_LETTERS; i++)
        if (name->letters >> i & 1)
            buf_add_char(out, (char)('a' + i));
}

void maildir_keywords(struct str text, struct str names[MAILDIR_LETTERS])
{
    struct str line;

    for (int i = 0; i < MAILDIR_LETTERS; i++)
        names[i] = (struct str){0};
    while (str_next(&text, '\n', &line)) {
        ptrdiff_t blank = str_find(line, ' ');
        uint64_t slot;

        if (blank > 0 && str_to_u64(str_sub(line, 0, (size_t)blank), MAILDIR_LETTERS - 1, &slot))
            names[slot] = str_trim(str_skip(line, (size_t)blank + 1));
    }
}

/* ---- folders ---- */

static int hex(char c)
{
    c = ascii_lower(c);
    return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\2e" is what Dovecot's listescape makes of a '.' in a name. */
static void unescape(struct buf *out, struct str level)
{
    for (size_t i = 0; i < level.n; i++) {
        if (level.p[i] == '\\' && i + 2 < level.n && hex(level.p[i + 1]) >= 0 && hex(level.p[i + 2]) >= 0) {
            char c = (char)(hex(level.p[i + 1]) * 16 + hex(level.p[i + 2]));

            buf_add_char(out, c == '/' ? '_' : c);
            i += 2;
        } else {
            buf_add_char(out, level.p[i] == '/' ? '_' : level.p[i]);
        }
    }
}

/* Modified UTF-7 as IMAP servers write it, or UTF-8 as some do. */
static bool decode_level(struct buf *out, struct str level)
{
    struct buf plain;
    bool decoded;

    buf_init(&plain, 8192);
    unescape(&plain, level);
    level = buf_str(&plain);
    if (out->n > 0)
        buf_add_char(out, '/');
    decoded = str_is_ascii(level) && imap_mutf7_decode(out, level);
    if (!decoded && str_is_utf8(level)) {
        buf_add(out, level);
        decoded = true;
    }
    buf_clear(&plain);
    return decoded && level.n > 0;
}

bool maildir_folder_decode(struct buf *out, struct str directory)
{
    struct str rest = directory, level;

    if (!str_starts(rest, STR(".")))
        return false;
    rest = str_skip(rest, 1);
    while (rest.n > 0) {
        ptrdiff_t dot = str_find(rest, '.');

        level = dot < 0 ? rest : str_sub(rest, 0, (size_t)dot);
        rest = dot < 0 ? STR("") : str_skip(rest, (size_t)dot + 1);
        if (!decode_level(out, level) || (dot >= 0 && rest.n == 0))
            return false;
    }
    return out->n > 0 && !out->failed;
}

void maildir_folder_encode(struct buf *out, struct str name)
{
    struct buf utf7;

    buf_init(&utf7, 16 * 1024);
    imap_mutf7_encode(&utf7, name);
    buf_add_char(out, '.');
    for (size_t i = 0; i < utf7.n; i++) {
        char c = utf7.p[i];

        if (c == '.' || c == '\\')
            buf_addf(out, "\\%02x", (unsigned)c);
        else
            buf_add_char(out, c == '/' ? '.' : c);
    }
    buf_clear(&utf7);
}

/* ---- subscriptions ---- */

/* One line of the file as a name: levels divided by `separator`. */
static bool line_is(struct str line, char separator, struct str name)
{
    struct buf directory, decoded;
    bool same;

    buf_init(&directory, 8192);
    buf_init(&decoded, 8192);
    buf_add_char(&directory, '.');
    for (size_t i = 0; i < line.n; i++) {
        bool dot = line.p[i] == separator;

        if (!dot && line.p[i] == '.')
            buf_add(&directory, STR("\\2e"));
        else
            buf_add_char(&directory, dot ? '.' : line.p[i]);
    }
    same = maildir_folder_decode(&decoded, buf_str(&directory)) && str_eq(buf_str(&decoded), name);
    buf_clear(&directory);
    buf_clear(&decoded);
    return same;
}

bool maildir_is_subscribed(struct str text, struct str name)
{
    bool tabs = str_starts(text, STR("V\t2\n"));
    struct str line;

    if (tabs)
        text = str_skip(text, 4);
    while (str_next(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.n == 0)
            continue;
        if (line_is(line, tabs ? '\t' : '.', name) || (!tabs && line_is(line, '/', name)))
            return true;
        if (!tabs && str_starts(line, STR("INBOX.")) && line_is(str_skip(line, 6), '.', name))
            return true;
    }
    return false;
}

void maildir_subscription(struct buf *out, struct str name)
{
    struct buf directory;

    buf_init(&directory, 16 * 1024);
    maildir_folder_encode(&directory, name);
    for (size_t i = 1; i < directory.n; i++)
        buf_add_char(out, directory.p[i] == '.' ? '\t' : directory.p[i]);
    buf_clear(&directory);
}
