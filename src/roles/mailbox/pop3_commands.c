/* The commands of POP3 after login, one function each, and the table that rules them. */
#include "pop3_private.h"

#include <inttypes.h>

enum { WORDS_MAX = 3 };

struct words {
    struct str word[WORDS_MAX]; /* arguments, without the keyword */
    size_t n;
};

typedef void command_fn(struct pop3 *p, const struct words *w);

/* The message that an argument names, 0 after an answer with -ERR. */
static size_t message_number(struct pop3 *p, struct str word)
{
    uint64_t number;

    if (!str_to_u64(word, UINT64_MAX, &number)) {
        pop3_error(p, "-ERR Not a message number");
        return 0;
    }
    if (number == 0 || number > p->count) {
        pop3_error(p, "-ERR No such message");
        return 0;
    }
    if (p->items[number - 1].flags & POP3_DELETED) {
        pop3_error(p, "-ERR This message is deleted");
        return 0;
    }
    return (size_t)number;
}

static void on_stat(struct pop3 *p, const struct words *w)
{
    (void)w;
    buf_addf(&p->out, "+OK %zu %" PRIu64 "\r\n", p->live, p->live_bytes);
}

static void on_list(struct pop3 *p, const struct words *w)
{
    size_t number;

    if (w->n == 0) {
        buf_addf(&p->out, "+OK %zu messages (%" PRIu64 " octets)\r\n", p->live, p->live_bytes);
        p->at = 0;
        p->step = pop3_step_list;
        return;
    }
    number = message_number(p, w->word[0]);
    if (number > 0)
        buf_addf(&p->out, "+OK %zu %" PRIu32 "\r\n", number, p->items[number - 1].size);
}

static void on_uidl(struct pop3 *p, const struct words *w)
{
    size_t number;

    if (w->n == 0) {
        pop3_say(p, "+OK Unique ids follow");
        p->at = 0;
        p->step = pop3_step_uidl;
        return;
    }
    number = message_number(p, w->word[0]);
    if (number > 0)
        buf_addf(&p->out, "+OK %zu %08" PRIx32 "%08" PRIx32 "\r\n", number, p->uidvalidity,
            p->items[number - 1].uid);
}

static void on_retr(struct pop3 *p, const struct words *w)
{
    size_t number = message_number(p, w->word[0]);

    if (number > 0)
        pop3_send_begin(p, number, false, 0);
}

static void on_top(struct pop3 *p, const struct words *w)
{
    size_t number = message_number(p, w->word[0]);
    uint64_t lines;

    if (number == 0)
        return;
    if (!str_to_u64(w->word[1], UINT64_MAX, &lines)) {
        pop3_error(p, "-ERR Not a number of lines");
        return;
    }
    pop3_send_begin(p, number, true, lines);
}

static void on_dele(struct pop3 *p, const struct words *w)
{
    size_t number = message_number(p, w->word[0]);

    if (number == 0)
        return;
    p->items[number - 1].flags |= POP3_DELETED;
    p->live--;
    p->live_bytes -= p->items[number - 1].size;
    buf_addf(&p->out, "+OK Message %zu deleted\r\n", number);
}

static void on_rset(struct pop3 *p, const struct words *w)
{
    (void)w;
    p->live = p->count;
    p->live_bytes = 0;
    p->last = 0;
    for (size_t i = 0; i < p->count; i++) {
        p->items[i].flags &= (uint8_t)~POP3_DELETED;
        p->live_bytes += p->items[i].size;
    }
    buf_addf(&p->out, "+OK %zu messages (%" PRIu64 " octets)\r\n", p->live, p->live_bytes);
}

static void on_noop(struct pop3 *p, const struct words *w)
{
    (void)w;
    pop3_say(p, "+OK");
}

static void on_last(struct pop3 *p, const struct words *w)
{
    (void)w;
    buf_addf(&p->out, "+OK %zu\r\n", p->last);
}

static void on_quit(struct pop3 *p, const struct words *w)
{
    (void)w;
    p->at = 0;
    p->step = pop3_step_remove;
}

/* Capabilities of the state before login are announced here too (RFC 2449, section 5). */
static void on_capa(struct pop3 *p, const struct words *w)
{
    bool passwords = (p->flags & (POP3_TLS | POP3_LOOPBACK)) != 0;

    (void)w;
    pop3_say(p, "+OK Capability list follows");
    pop3_say(p, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER");
    if (passwords)
        pop3_say(p, "USER");
    buf_addf(&p->out, "SASL%s SCRAM-SHA-256%s\r\n", passwords ? " PLAIN LOGIN" : "",
        p->flags & POP3_TLS ? " SCRAM-SHA-256-PLUS" : "");
    pop3_say(p, passwords ? "UTF8 USER" : "UTF8");
    pop3_say(p, "LANG\r\nIMPLEMENTATION Staffetta\r\n.");
}

/* One language there is (RFC 6856, section 3). */
static void on_lang(struct pop3 *p, const struct words *w)
{
    if (w->n == 0)
        pop3_say(p, "+OK Language listing follows:\r\nen English\r\n.");
    else if (str_ieq(w->word[0], STR("en")) || str_eq(w->word[0], STR("*")))
        pop3_say(p, "+OK en Language changed");
    else
        pop3_error(p, "-ERR No such language");
}

static void on_before_login(struct pop3 *p, const struct words *w)
{
    (void)w;
    pop3_error(p, "-ERR You are logged in already");
}

static const struct command {
    const char *keyword;
    size_t least, most; /* arguments */
    command_fn *run;
} commands[] = {
    {"STAT", 0, 0, on_stat},
    {"LIST", 0, 1, on_list},
    {"UIDL", 0, 1, on_uidl},
    {"RETR", 1, 1, on_retr},
    {"TOP", 2, 2, on_top},
    {"DELE", 1, 1, on_dele},
    {"RSET", 0, 0, on_rset},
    {"NOOP", 0, 0, on_noop},
    {"LAST", 0, 0, on_last},
    {"QUIT", 0, 0, on_quit},
    {"CAPA", 0, 0, on_capa},
    {"LANG", 0, 1, on_lang},
    {"USER", 0, WORDS_MAX, on_before_login},
    {"PASS", 0, WORDS_MAX, on_before_login},
    {"AUTH", 0, WORDS_MAX, on_before_login},
    {"APOP", 0, WORDS_MAX, on_before_login},
    {"STLS", 0, WORDS_MAX, on_before_login},
    {"UTF8", 0, WORDS_MAX, on_before_login},
};

void pop3_command(struct pop3 *p, struct str line)
{
    const struct command *command = NULL;
    struct words w = {0};
    struct str rest = line, keyword = {0}, word;
    bool too_many = false;

    (void)str_next_word(&rest, &keyword);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (str_ieq(keyword, str_of(commands[i].keyword)))
            command = &commands[i];
    while (str_next_word(&rest, &word)) {
        if (w.n < WORDS_MAX)
            w.word[w.n++] = word;
        else
            too_many = true;
    }
    if (command == NULL)
        pop3_error(p, "-ERR Unknown command");
    else if (w.n < command->least || ((w.n > command->most || too_many) && command->most < WORDS_MAX))
        pop3_error(p, "-ERR Wrong number of arguments");
    else
        command->run(p, &w);
}
