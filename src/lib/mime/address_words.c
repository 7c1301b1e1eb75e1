#include "mime/address_words.h"

size_t address_run_length(struct str text, char open, char close)
{
    size_t depth = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\')
            i++;
        else if (i > 0 && text.p[i] == close && (close != ')' || --depth == 0))
            return i + 1;
        else if (text.p[i] == open && open == '(')
            depth++;
    }
    return text.n + 1;
}

/* What ends an atom. */
static bool is_special(char c)
{
    static const bool specials[256] = {['('] = true, [')'] = true, ['<'] = true, ['>'] = true, ['['] = true, [']'] = true,
        [':'] = true, [';'] = true, ['@'] = true, ['\\'] = true, [','] = true, ['.'] = true, ['"'] = true, [' '] = true,
        ['\t'] = true, ['\r'] = true, ['\n'] = true, [0] = true};

    return specials[(unsigned char)c];
}

size_t address_word_length(struct str text)
{
    size_t n = 0;

    if (text.p[0] == '"')
        return address_run_length(text, '"', '"');
    if (text.p[0] == '[')
        return address_run_length(text, '[', ']');
    while (n < text.n && !is_special(text.p[n]))
        n++;
    return n ? n : 1;
}

size_t address_blank_length(struct str text)
{
    char c = text.n ? text.p[0] : 0;

    if (c == '(')
        return address_run_length(text, '(', ')');
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
