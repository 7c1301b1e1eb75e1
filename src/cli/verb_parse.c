/* From words on the command line to the packed arguments of a role's command. */
#include "cli/verb.h"

#include <string.h>

enum { ARGS = 60000 };

const struct verb *verb_find(const struct command *command, const char *name)
{
    for (const struct verb *v = command->verbs; v->name != NULL; v++)
        if (v->name[0] == 0 || (name != NULL && strcmp(v->name, name) == 0))
            return v;
    return NULL;
}

static const struct verb_option *find_option(const struct verb *v, struct str name)
{
    for (const struct verb_option *o = v->options; o != NULL && o->name != NULL; o++) {
        struct str known = str_of(o->name);
        bool same = known.n == name.n;

        for (size_t i = 0; same && i < name.n; i++)
            same = name.p[i] == known.p[i] || (name.p[i] == '_' && known.p[i] == '-');
        if (same)
            return o;
    }
    return NULL;
}

void verb_add_setting(struct verb_call *call, const char *name, struct str value)
{
    for (const char *p = name; *p; p++)
        buf_add_char(&call->args, *p == '-' ? '_' : *p);
    buf_add_char(&call->args, '=');
    buf_add(&call->args, value);
    buf_add_char(&call->args, 0);
    if (strcmp(name, "password") == 0)
        call->password_given = true;
}

/* One "--name", "--name=value" or "name=value"; `next` may be the value and is then taken. */
static bool take_option(struct verb_call *call, struct str word, const char *next, bool *took_next, struct err *err)
{
    ptrdiff_t equals = str_find(word, '=');
    struct str name = equals < 0 ? word : str_sub(word, 0, (size_t)equals);
    const struct verb_option *o = find_option(call->verb, name);

    *took_next = false;
    if (o == NULL)
        return err_set(err, ERR_PERMANENT, "unknown option --%.*s", STR_ARG(name));
    if (o->hint == NULL && equals >= 0)
        return err_set(err, ERR_PERMANENT, "--%s takes no value", o->name);
    if (o->hint == NULL) {
        buf_add(&call->args, str_of(o->wire));
        buf_add_char(&call->args, 0);
        return true;
    }
    if (equals < 0 && next == NULL)
        return err_set(err, ERR_PERMANENT, "--%s needs a value: --%s=%s", o->name, o->name, o->hint);
    *took_next = equals < 0;
    verb_add_setting(call, o->wire != NULL ? o->wire : o->name, equals < 0
        ? str_of(next) : str_skip(word, (size_t)equals + 1));
    return true;
}

static bool asks_password(const struct verb *v, const char *word)
{
    return (v->flags & (VERB_PASSWORD | VERB_MAY_PASSWORD)) != 0 &&
           (strcmp(word, "--password") == 0 || strcmp(word, "--password-stdin") == 0);
}

/* Is it "name=value" for an option of this verb? Addresses may hold a = too. */
static bool is_setting(const struct verb *v, struct str word)
{
    ptrdiff_t equals = str_find(word, '=');

    return equals > 0 && find_option(v, str_sub(word, 0, (size_t)equals)) != NULL;
}

/* Would a role take this word for an option (see ipc/args.h)? Addresses such as a=b@c do. */
static bool looks_like_option(struct str word)
{
    ptrdiff_t equals = str_find(word, '=');

    for (ptrdiff_t i = 0; i < equals; i++)
        if (!ascii_is_alnum(word.p[i]) && word.p[i] != '_' && word.p[i] != '-')
            return false;
    return equals > 0;
}

static bool add_word(struct verb_call *call, const char *word, int index, struct err *err)
{
    if (word[0] == 0)
        return err_set(err, ERR_PERMANENT, "an argument is empty");
    if (index < (int)(sizeof call->words / sizeof *call->words))
        call->words[index] = str_of(word);
    call->named = call->named || (index == 0 && looks_like_option(str_of(word)));
    if (call->named || looks_like_option(str_of(word))) {
        verb_add_setting(call, index == 0 ? "name" : "to", str_of(word));
        return true;
    }
    buf_add(&call->args, str_of(word));
    buf_add_char(&call->args, 0);
    return true;
}

static bool take_arguments(struct verb_call *call, int argc, char **argv, int *words, bool *options, struct err *err)
{
    bool only_words = false, took_next, ok = true;

    for (int i = 0; i < argc && ok; i++) {
        const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;

        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (!only_words && strcmp(word, "--json") == 0) {
            call->json = true;
        } else if (!only_words && asks_password(call->verb, word)) {
            call->ask_password = *options = true;
        } else if (!only_words && (str_starts(str_of(word), STR("--")) || is_setting(call->verb, str_of(word)))) {
            ok = take_option(call, str_skip(str_of(word), word[0] == '-' ? 2 : 0), next, &took_next, err);
            i += took_next;
            *options = true;
        } else {
            ok = add_word(call, word, (*words)++, err);
        }
    }
    return ok;
}

int verb_parse(const struct command *command, int argc, char **argv, struct verb_call *call, struct err *err)
{
    bool options = false;
    int words = 0;

    buf_init(&call->args, ARGS);
    call->verb = verb_find(command, argc > 1 ? argv[1] : NULL);
    for (size_t i = 0; i < sizeof call->words / sizeof *call->words; i++)
        call->words[i] = STR("");
    call->json = call->ask_password = call->password_given = call->named = false;
    if (call->verb == NULL) {
        if (argc < 2)
            err_set(err, ERR_PERMANENT, "%s what?", command->name);
        else
            err_set(err, ERR_PERMANENT, "%s has no \"%s\"", command->name, argv[1]);
        return EXIT_USAGE;
    }
    if (call->verb->name[0]) {
        buf_add(&call->args, str_of(argv[1]));
        buf_add_char(&call->args, 0);
    }
    argc -= call->verb->name[0] ? 2 : 1;
    argv += call->verb->name[0] ? 2 : 1;
    if (!take_arguments(call, argc, argv, &words, &options, err))
        return EXIT_USAGE;
    if (words < call->verb->least || (call->verb->most >= 0 && words > call->verb->most))
        err_set(err, ERR_PERMANENT, words < call->verb->least ? "too few arguments" : "too many arguments");
    else if ((call->verb->flags & VERB_NEEDS_OPTION) && words == 0 && !options)
        err_set(err, ERR_PERMANENT, "which? Name a queue id or a filter");
    else if (call->args.failed)
        err_set(err, ERR_LIMIT, "the command is too long");
    return err->kind == ERR_NONE ? EXIT_OK : EXIT_USAGE;
}

void verb_call_clear(struct verb_call *call)
{
    if (call->args.p != NULL)
        explicit_bzero(call->args.p, call->args.n);
    buf_clear(&call->args);
}

void verb_write_usage(struct buf *out, const struct command *command, const struct verb *v)
{
    buf_addf(out, "%s%s%s%s%s", command->name, v->name[0] ? " " : "", v->name, v->words[0] ? " " : "", v->words);
    for (const struct verb_option *o = v->options; o != NULL && o->name != NULL; o++) {
        buf_addf(out, " [--%s", o->name);
        if (o->hint != NULL)
            buf_addf(out, "=%s", o->hint);
        buf_add_char(out, ']');
    }
    if (v->flags & VERB_MAY_PASSWORD)
        buf_add(out, STR(" [--password]"));
}
