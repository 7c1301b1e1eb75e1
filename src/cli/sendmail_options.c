#include "cli/sendmail_options.h"

#include <string.h>

/* What a letter takes: nothing; a value in the same word or the next one; a value in the same word or
 * none at all. */
enum takes { NOTHING, VALUE, ATTACHED };

struct letter {
    char letter;
    enum takes takes;
    bool (*use)(struct sendmail_options *o, struct str value, struct err *err);
};

static bool use_mode(struct sendmail_options *o, struct str value, struct err *err)
{
    static const struct {
        char letter;
        enum sendmail_mode mode;
    } modes[] = {{'m', SENDMAIL_DELIVER}, {'s', SENDMAIL_SMTP}, {'p', SENDMAIL_LIST}, {'i', SENDMAIL_NOTHING}};

    for (size_t i = 0; value.n == 1 && i < sizeof modes / sizeof *modes; i++) {
        if (modes[i].letter == value.p[0]) {
            o->mode = modes[i].mode;
            return true;
        }
    }
    if (value.n == 1 && value.p[0] == 'd')
        return err_set(err, ERR_PERMANENT, "-bd: the server is started with: staffetta serve");
    return err_set(err, ERR_PERMANENT, "-b%.*s: expected -bm, -bs, -bp or -bi", STR_ARG(value));
}

static bool use_sender(struct sendmail_options *o, struct str value, struct err *err)
{
    (void)err;
    if (value.n >= 2 && value.p[0] == '<' && value.p[value.n - 1] == '>')
        value = str_sub(value, 1, value.n - 1);
    o->sender = value;
    o->sender_given = true;
    return true;
}

static bool use_name(struct sendmail_options *o, struct str value, struct err *err)
{
    (void)err;
    o->full_name = value;
    return true;
}

static bool is_notify_word(struct str word)
{
    return str_ieq(word, STR("success")) || str_ieq(word, STR("failure")) || str_ieq(word, STR("delay"));
}

static bool use_notify(struct sendmail_options *o, struct str value, struct err *err)
{
    struct str rest = value, word;

    o->notify = value;
    if (str_ieq(value, STR("never")))
        return true;
    while (str_next(&rest, ',', &word))
        if (!is_notify_word(word))
            return err_set(err, ERR_PERMANENT,
                "-N%.*s: expected never, or some of success,failure,delay", STR_ARG(value));
    return true;
}

static bool use_ret(struct sendmail_options *o, struct str value, struct err *err)
{
    if (str_ieq(value, STR("hdrs")))
        o->ret = "HDRS";
    else if (str_ieq(value, STR("full")))
        o->ret = "FULL";
    else
        return err_set(err, ERR_PERMANENT, "-R%.*s: expected full or hdrs", STR_ARG(value));
    return true;
}

static bool use_envid(struct sendmail_options *o, struct str value, struct err *err)
{
    if (value.n == 0 || value.n > 100 || !str_is_printable(value))
        return err_set(err, ERR_PERMANENT, "-V: expected 1 to 100 printable characters");
    o->envid = value;
    return true;
}

/* -o options of old: i counts, the others are decided by the configuration. */
static bool use_old_option(struct sendmail_options *o, struct str value, struct err *err)
{
    (void)err;
    if (str_eq(value, STR("i")) || str_istarts(value, STR("IgnoreDots")))
        o->ignore_dots = true;
    return true;
}

static bool use_dots(struct sendmail_options *o, struct str value, struct err *err)
{
    (void)value, (void)err;
    o->ignore_dots = true;
    return true;
}

static bool use_header(struct sendmail_options *o, struct str value, struct err *err)
{
    (void)value, (void)err;
    o->from_header = true;
    return true;
}

static bool use_verbose(struct sendmail_options *o, struct str value, struct err *err)
{
    (void)value, (void)err;
    o->verbose = true;
    return true;
}

static bool use_nothing(struct sendmail_options *o, struct str value, struct err *err)
{
    (void)value, (void)err;
    o->mode = SENDMAIL_NOTHING;
    return true;
}

static bool ignore(struct sendmail_options *o, struct str value, struct err *err)
{
    (void)o, (void)value, (void)err;
    return true;
}

static const struct letter letters[] = {
    {'t', NOTHING, use_header},
    {'i', NOTHING, use_dots},
    {'v', NOTHING, use_verbose},
    {'f', VALUE, use_sender},
    {'r', VALUE, use_sender},
    {'F', VALUE, use_name},
    {'b', VALUE, use_mode},
    {'N', VALUE, use_notify},
    {'R', VALUE, use_ret},
    {'V', VALUE, use_envid},
    {'o', ATTACHED, use_old_option},
    {'O', VALUE, use_old_option},
    {'q', ATTACHED, use_nothing}, /* the queue runs by itself */
    {'I', NOTHING, use_nothing},
    {'B', VALUE, ignore},    /* body type: decided by what the message holds */
    {'G', NOTHING, ignore},  /* gateway submission */
    {'n', NOTHING, ignore},  /* no aliasing */
    {'m', NOTHING, ignore},  /* me too */
    {'U', NOTHING, ignore},
    {'e', ATTACHED, ignore}, /* error mode */
    {'d', ATTACHED, ignore}, /* debugging */
    {'A', ATTACHED, ignore}, /* submission or daemon configuration */
    {'C', VALUE, ignore},    /* another configuration file: of a program that is not us */
    {'h', VALUE, ignore},    /* hop count */
    {'L', VALUE, ignore},    /* log tag */
    {'X', VALUE, ignore},    /* traffic log */
    {'p', VALUE, ignore},    /* protocol */
};

static const struct letter *find(char c)
{
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].letter == c)
            return &letters[i];
    return NULL;
}

/* One word of combined letters; *next is the word that follows and is taken when a value needs it. */
static bool take_word(struct sendmail_options *o, const char *word, const char **next, struct err *err)
{
    for (const char *p = word + 1; *p; p++) {
        const struct letter *l = find(*p);
        struct str value = str_of(p + 1);

        if (l == NULL)
            return err_set(err, ERR_PERMANENT, "unknown option %s", word);
        if (l->takes == NOTHING) {
            if (!l->use(o, STR(""), err))
                return false;
            continue;
        }
        if (l->takes == VALUE && value.n == 0) {
            if (*next == NULL)
                return err_set(err, ERR_PERMANENT, "-%c needs a value", *p);
            value = str_of(*next);
            *next = NULL;
        }
        return l->use(o, value, err);
    }
    return true;
}

bool sendmail_parse(struct sendmail_options *o, int argc, char **argv, struct err *err)
{
    int i = 1;

    *o = (struct sendmail_options){.mode = SENDMAIL_DELIVER};
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL, *before = next;

        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (!take_word(o, argv[i], &next, err))
            return false;
        i += next != before;
    }
    o->recipients = argv + i;
    o->recipient_count = argc - i;
    return true;
}
