#include "lookup.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "dns/text.h"
#include "ipc/args.h"

#include <event2/event.h>
#include <stdlib.h>

/* A command has so many questions, so that its rows need no pause (CONTROL_ROWS). */
enum { ITEMS = CONTROL_ROWS, USAGE = 64, ROW = 128 * 1024, LONGEST_SECONDS = 60 };

struct item {
    uint64_t id;
    struct str name;
    unsigned type;
    bool open;
};

struct lookup {
    struct link link;
    struct lookups *all;
    struct channel *to;
    uint64_t id;
    bool packed;
    struct item items[ITEMS];
    size_t n, open;
    struct event *timer;
};

static const char *const status_words[] = {[DNS_OK] = "ok", [DNS_NXDOMAIN] = "nxdomain", [DNS_NODATA] = "nodata", [DNS_SERVFAIL] = "servfail",
    [DNS_TIMEOUT] = "timeout", [DNS_BOGUS] = "bogus"};

void lookups_init(struct lookups *l, struct role *role, struct questions *questions, void (*asked)(void *), void *owner)
{
    *l = (struct lookups){.role = role, .questions = questions, .asked = asked, .owner = owner};
    list_init(&l->all);
}

static void lookup_free(struct lookup *u)
{
    list_remove(&u->link);
    for (size_t i = 0; i < u->n; i++)
        str_free(&u->items[i].name);
    if (u->timer != NULL)
        event_free(u->timer);
    free(u);
}

static void write_records(struct buf *text, unsigned type, struct str records)
{
    struct str rdata;
    bool first = true;

    while (dns_next_record(&records, &rdata)) {
        buf_add(text, first ? STR("") : STR(", "));
        dns_data_write(type, rdata, text);
        first = false;
    }
}

static void send_row(struct lookup *u, const struct item *item, const struct msg_dns_reply *reply)
{
    struct buf row, text;

    buf_init(&row, 2 * ROW);
    buf_init(&text, ROW);
    dns_type_write(item->type, &text);
    json_open(&row);
    json_str(&row, "name", item->name);
    json_str(&row, "type", buf_str(&text));
    json_str(&row, "status", str_of(status_words[reply->status]));
    json_bool(&row, "secure", reply->secure);
    json_int(&row, "ttl", (int64_t)reply->ttl);
    buf_reset(&text);
    if (u->packed)
        base64_encode(&text, reply->records);
    else
        write_records(&text, item->type, reply->records);
    json_str(&row, u->packed ? "packed" : "records", text.failed ? STR("") : buf_str(&text));
    json_str(&row, "text", reply->text);
    json_close(&row);
    if (!row.failed && row.n <= IPC_CHUNK)
        ipc_send_control_row(u->to, &(struct msg_control_row){u->id, buf_str(&row)});
    buf_clear(&row);
    buf_clear(&text);
}

static void finish(struct lookup *u)
{
    ipc_send_control_done(u->to, &(struct msg_control_done){u->id, 0, STR("")});
    channel_flush(u->to);
    lookup_free(u);
}

static void answer_item(struct lookup *u, struct item *item, const struct msg_dns_reply *reply)
{
    item->open = false;
    u->open--;
    send_row(u, item, reply);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct lookup *u = arg;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < u->n; i++)
        if (u->items[i].open)
            answer_item(u, &u->items[i], &(struct msg_dns_reply){.status = DNS_TIMEOUT, .text = STR("no answer from DNS in time")});
    finish(u);
}

/* "example.org/MX"; without a type A. */
static bool add_item(struct lookup *u, struct str word)
{
    ptrdiff_t slash = str_rfind(word, '/');
    struct item *item = &u->items[u->n];
    unsigned type = DNS_A;

    if (u->n == ITEMS || (slash >= 0 && !dns_type_read(str_skip(word, (size_t)slash + 1), &type)))
        return false;
    if (slash >= 0)
        word = str_sub(word, 0, (size_t)slash);
    if (str_ends(word, STR(".")))
        word.n--;
    if (!dns_name_can_be_asked(word))
        return false;
    *item = (struct item){.id = ++u->all->last_id, .name = str_dup(word), .type = type, .open = true};
    u->n++;
    u->open++;
    return true;
}

static bool read_words(struct lookup *u, struct str args, struct str *wrong)
{
    for (size_t i = 0; args_word(args, i).n > 0; i++) {
        *wrong = args_word(args, i);
        if (!add_item(u, *wrong))
            return false;
    }
    *wrong = STR("nothing");
    return u->n > 0;
}

static void refuse(struct lookup *u, struct str wrong)
{
    struct buf text;

    buf_init(&text, IPC_TEXT);
    buf_addf(&text, "lookup of %.*s: expected NAME or NAME/TYPE, at most %d of them", STR_ARG(str_sub(wrong, 0, 300)), ITEMS);
    ipc_send_control_done(u->to, &(struct msg_control_done){u->id, USAGE, buf_str(&text)});
    buf_clear(&text);
    lookup_free(u);
}

/* Answers may come while the questions are put, so the last one ends it only when all have been. */
static void ask_all(struct lookup *u)
{
    int64_t now = clock_monotonic();

    u->open++;
    for (size_t i = 0; i < u->n; i++)
        questions_ask(u->all->questions, NULL, &(struct msg_dns_ask){u->items[i].id, u->items[i].type, u->items[i].name}, now);
    u->all->asked(u->all->owner);
    if (--u->open == 0)
        finish(u);
}

void lookups_on_ask(struct lookups *l, struct channel *from, const struct msg_control_ask *m)
{
    struct lookup *u = xcalloc(1, sizeof *u);
    struct str value, wrong;
    uint64_t seconds = LONGEST_SECONDS;

    *u = (struct lookup){.all = l, .to = from, .id = m->id};
    list_add_last(&l->all, &u->link);
    u->packed = args_option(m->args, "packed", &value) && str_eq(value, STR("yes"));
    if (!str_eq(m->command, STR("lookup")) || !read_words(u, m->args, &wrong)) {
        refuse(u, str_eq(m->command, STR("lookup")) ? wrong : m->command);
        return;
    }
    if (args_option(m->args, "within", &value) && (!str_to_u64(value, LONGEST_SECONDS, &seconds) || seconds == 0)) {
        refuse(u, value);
        return;
    }
    u->timer = event_new(role_base(l->role), -1, 0, on_timer, u);
    if (u->timer == NULL || event_add(u->timer, &(struct timeval){(time_t)seconds, 0}) != 0)
        fatal("lookup: no timer");
    ask_all(u);
}

void lookups_answer(struct lookups *l, const struct msg_dns_reply *reply)
{
    LIST_EACH(&l->all, it) {
        struct lookup *u = CONTAINER(it, struct lookup, link);

        for (size_t i = 0; i < u->n; i++) {
            if (u->items[i].id != reply->id || !u->items[i].open)
                continue;
            answer_item(u, &u->items[i], reply);
            if (u->open == 0)
                finish(u);
            return;
        }
    }
}

void lookups_on_cancel(struct lookups *l, struct channel *from, uint64_t id)
{
    LIST_EACH(&l->all, it) {
        struct lookup *u = CONTAINER(it, struct lookup, link);

        if (u->to == from && u->id == id) {
            lookup_free(u);
            return;
        }
    }
}

void lookups_peer_gone(struct lookups *l, struct channel *peer)
{
    LIST_EACH(&l->all, it) {
        struct lookup *u = CONTAINER(it, struct lookup, link);

        if (u->to == peer)
            lookup_free(u);
    }
}
