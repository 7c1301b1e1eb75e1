#include "ipc/args.h"

static bool split_option(struct str word, struct str *name, struct str *value)
{
    ptrdiff_t equals = str_find(word, '=');

    if (equals <= 0)
        return false;
    *name = str_sub(word, 0, (size_t)equals);
    *value = str_skip(word, (size_t)equals + 1);
    for (size_t i = 0; i < name->n; i++)
        if (!ascii_is_alnum(name->p[i]) && name->p[i] != '_' && name->p[i] != '-')
            return false;
    return true;
}

/* Words end with NUL; what follows the last NUL is nothing. */
static bool next_word(struct str *args, struct str *word)
{
    return args->n > 0 && str_next(args, 0, word);
}

struct str args_word(struct str args, size_t i)
{
    struct str word, name, value;

    while (next_word(&args, &word))
        if (!split_option(word, &name, &value) && i-- == 0)
            return word;
    return (struct str){0};
}

bool args_has_word(struct str args, const char *word)
{
    struct str one;

    while (next_word(&args, &one))
        if (str_eq(one, str_of(word)))
            return true;
    return false;
}

bool args_next_option(struct str *at, struct str *name, struct str *value)
{
    struct str word;

    while (next_word(at, &word))
        if (split_option(word, name, value))
            return true;
    return false;
}

bool args_option(struct str args, const char *name, struct str *value)
{
    struct str found, its_value;

    while (args_next_option(&args, &found, &its_value))
        if (str_eq(found, str_of(name))) {
            *value = its_value;
            return true;
        }
    return false;
}
