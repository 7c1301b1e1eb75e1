/* Import: from any source into the account, over an administrator's session.
 *
 * A window of messages is listed, the server is asked which of their marks it knows (XMARKED), the others are sent in
 * APPENDs of many messages each (MULTIAPPEND). A message and its mark are stored in one transaction, so whatever ends
 * this program or the server in between, the next run sends exactly what is missing. */
#include "cli/migrate/migrate.h"
#include "cli/migrate/source.h"
#include "imap/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { BATCH_MESSAGES = 100, BATCH_BYTES = 4 * 1024 * 1024, AHEAD = 16 };

struct import {
    struct migration *m;
    struct peer server;
    struct source source;
    struct item items[ITEMS_WINDOW];
    size_t count;
    struct buf folder;        /* its name here */
    struct buf command;
    struct tally tally, sum;
    uint64_t limit;           /* the largest message that the server takes; 0: unknown */
    struct str special[SPECIALS]; /* owned: the folders here with these uses; empty: there is none */
    size_t wanted;            /* items asked of the source up to here */
    bool full;
};

void item_clear(struct item *item)
{
    str_free(&item->name);
    str_free(&item->keywords);
    *item = (struct item){0};
}

/* ---- what the server has ---- */

static void on_known(void *owner, const struct imap_answer *a)
{
    struct import *im = owner;
    struct str words = a->text, word;

    while (a->kind == IMAP_SAYS_XMARKED && str_next_word(&words, &word))
        for (size_t i = 0; i < im->count; i++)
            if (str_eq(word, str_of(im->items[i].mark)))
                im->items[i].state = ITEM_PRESENT;
}

static bool unexpected(const struct imap_answer *a, const char *what, struct err *err)
{
    return err_set(err, ERR_TEMPORARY, "%s: the server says: %.*s", what, STR_ARG(a->text));
}

static bool ask_known(struct import *im, struct err *err)
{
    struct imap_answer answer;

    buf_reset(&im->command);
    buf_add(&im->command, STR("XMARKED"));
    for (size_t i = 0; i < im->count; i++)
        buf_addf(&im->command, " %s", im->items[i].mark);
    return peer_ask(&im->server, buf_str(&im->command), on_known, im, &answer, err) &&
           (answer.kind == IMAP_SAYS_OK || unexpected(&answer, "asking what is there", err));
}

/* ---- sending ---- */

static void write_message(struct import *im, const struct item *item, uint64_t size)
{
    struct buf *out = &im->command;
    struct imap_flags flags = {.system = item->flags};
    struct str words = item->keywords, names[200];

    flags.keywords = names;
    while (flags.keyword_count < sizeof names / sizeof *names && str_next_word(&words, &names[flags.keyword_count]))
        flags.keyword_count++;
    buf_add_char(out, ' ');
    imap_write_flags(out, &flags);
    if (item->received > 0) {
        buf_add_char(out, ' ');
        imap_write_date_time(out, item->received);
    }
    buf_addf(out, " XMARK %s {%" PRIu64 "+}\r\n", item->mark, size);
}

/* The source says how long it is, then gives exactly that much, or the connection with its half message is given up. */
static bool send_bytes(struct import *im, const struct item *item, uint64_t size, struct err *err)
{
    struct str piece;

    for (uint64_t sent = 0;; sent += piece.n) {
        if (!im->source.type->read(im->source.state, &piece, err))
            return err_prefix(err, "%.*s", STR_ARG(item->name));
        if (sent + piece.n > size || (piece.n == 0 && sent != size))
            return err_set(err, ERR_TEMPORARY, "%.*s changed while it was read; run the command again", STR_ARG(item->name));
        if (piece.n == 0)
            return true;
        if (!peer_send(&im->server, piece, err))
            return false;
    }
}

static void give_up(struct import *im, struct item *item, const char *why)
{
    item->state = ITEM_FAILED;
    im->tally.failed++;
    migrate_complain("%.*s: not imported: %s", STR_ARG(item->name), why);
}

/* Tells the source of those that come next, some ahead. */
static bool want_ahead(struct import *im, size_t at, struct err *err)
{
    if (im->source.type->want == NULL)
        return true;
    if (im->wanted < at)
        im->wanted = at;
    for (size_t ahead = at; ahead < im->count && ahead < at + AHEAD; ahead++)
        if (ahead >= im->wanted) {
            im->wanted = ahead + 1;
            if (im->items[ahead].state == ITEM_NEW && !im->source.type->want(im->source.state, &im->items[ahead], err))
                return false;
        }
    return true;
}

/* Opens the source's message; *size 0: it was given up. */
static bool open_item(struct import *im, size_t i, uint64_t *size, struct err *err)
{
    struct err why = {0};

    *size = 0;
    if (!want_ahead(im, i, err) || !im->source.type->open(im->source.state, &im->items[i], size, &why, err))
        return false;
    if (*size == 0)
        give_up(im, &im->items[i], why.text[0] ? why.text : "it is empty");
    return true;
}

static bool drain(struct import *im, struct err *err)
{
    struct str piece;

    do
        if (!im->source.type->read(im->source.state, &piece, err))
            return false;
    while (piece.n > 0);
    return true;
}

static bool begin_append(struct import *im, char tag[16])
{
    buf_reset(&im->command);
    peer_begin(&im->server, tag);
    buf_add(&im->command, STR("APPEND "));
    imap_write_mailbox(&im->command, buf_str(&im->folder), false);
    return true;
}

/* Sends items from `from` on as one APPEND, at most `most`. *next: where the following one begins; *sent: how many. */
static bool send_batch(struct import *im, size_t from, size_t most, char tag[16], size_t *next, size_t *sent, struct err *err)
{
    uint64_t bytes = 0, size;
    size_t i = from;

    *sent = 0;
    for (; i < im->count && *sent < most && bytes < BATCH_BYTES; i++) {
        struct item *item = &im->items[i];

        if (item->state != ITEM_NEW)
            continue;
        if (!open_item(im, i, &size, err))
            return false;
        if (size == 0)
            continue;
        if (im->limit > 0 && size > im->limit) {
            give_up(im, item, "it is larger than the server takes (limits { message_size })");
            if (!drain(im, err))
                return false;
            continue;
        }
        if (*sent == 0)
            begin_append(im, tag);
        write_message(im, item, size);
        if (!peer_send(&im->server, buf_str(&im->command), err) || !send_bytes(im, item, size, err))
            return false;
        buf_reset(&im->command);
        bytes += size;
        ++*sent;
        item->state = ITEM_STORED; /* unless the answer says something else */
    }
    *next = i;
    return *sent == 0 || peer_send(&im->server, STR("\r\n"), err);
}

/* None of them was stored. */
static void reset_batch(struct import *im, size_t from, size_t next)
{
    for (size_t i = from; i < next; i++)
        if (im->items[i].state == ITEM_STORED)
            im->items[i].state = ITEM_NEW;
    im->wanted = 0;
}

static bool refuse_one(struct import *im, size_t from, size_t next, const struct imap_answer *a, struct err *err)
{
    char why[300];

    if (imap_answer_code_is(a, "OVERQUOTA"))
        return err_set(err, ERR_LIMIT, "the mailbox is full; raise the quota (staffetta account set %.*s --quota=SIZE) and run the "
            "same command again: it goes on where it stopped", STR_ARG(im->m->address));
    if (imap_answer_code_is(a, "UNAVAILABLE"))
        return unexpected(a, "storing", err);
    snprintf(why, sizeof why, "the server says: %.*s", STR_ARG(a->text));
    for (size_t i = from; i < next; i++)
        if (im->items[i].state == ITEM_STORED)
            give_up(im, &im->items[i], why);
    return true;
}

/* A batch that is refused is sent again one by one, so that the one that is wrong can be named. */
static bool store_window(struct import *im, struct err *err)
{
    size_t most = BATCH_MESSAGES, next, sent, singly_until = 0;
    struct imap_answer answer;
    char tag[16];

    im->wanted = 0;
    for (size_t from = 0; from < im->count; from = next) {
        most = from < singly_until ? 1 : BATCH_MESSAGES;
        if (!send_batch(im, from, most, tag, &next, &sent, err))
            return false;
        if (sent == 0)
            continue;
        if (!peer_flush(&im->server, err) || !peer_wait(&im->server, tag, NULL, NULL, &answer, err))
            return false;
        if (answer.kind == IMAP_SAYS_OK) {
            im->tally.done += sent;
        } else if (sent > 1) {
            reset_batch(im, from, next);
            singly_until = next;
            next = from;
        } else if (!refuse_one(im, from, next, &answer, err)) {
            return false;
        }
        migrate_progress("%.*s: %" PRIu64 " imported, %" PRIu64 " there already", STR_ARG(buf_str(&im->folder)), im->tally.done,
            im->tally.present);
    }
    return true;
}

/* ---- a folder ---- */

static void forget_window(struct import *im)
{
    for (size_t i = 0; i < im->count; i++)
        item_clear(&im->items[i]);
    im->count = 0;
}

static bool take_window(struct import *im, struct err *err)
{
    size_t present = 0;

    if (!ask_known(im, err))
        return false;
    for (size_t i = 0; i < im->count; i++)
        present += im->items[i].state == ITEM_PRESENT;
    im->tally.present += present;
    if (!im->m->dry_run)
        return store_window(im, err);
    im->tally.done += im->count - present;
    return true;
}

static bool name_command(struct import *im, const char *verb, const char *behind, bool may_fail, struct err *err)
{
    struct imap_answer answer;

    buf_reset(&im->command);
    buf_add(&im->command, str_of(verb));
    imap_write_mailbox(&im->command, buf_str(&im->folder), false);
    buf_add(&im->command, str_of(behind));
    if (!peer_ask(&im->server, buf_str(&im->command), NULL, NULL, &answer, err))
        return false;
    if (answer.kind == IMAP_SAYS_OK || may_fail || imap_answer_code_is(&answer, "ALREADYEXISTS"))
        return true;
    unexpected(&answer, "making the folder", err);
    return err_prefix(err, "%.*s", STR_ARG(buf_str(&im->folder)));
}

/* A folder for sent mail goes into ours, whatever it is called there; with none here it becomes that. */
static void find_special(struct import *im, const struct source_folder *f, char use[40])
{
    use[0] = '\0';
    for (size_t i = 0; i < SPECIALS; i++) {
        if (!str_eq(f->special, str_of(special_uses[i])) || str_eq(f->name, STR("INBOX")))
            continue;
        if (im->special[i].n == 0) {
            snprintf(use, 40, " (USE (%s))", special_uses[i]);
        } else {
            buf_reset(&im->folder);
            buf_add(&im->folder, im->special[i]);
        }
    }
}

static bool make_folder(struct import *im, const struct source_folder *f, struct err *err)
{
    char use[40];

    find_special(im, f, use);
    if (im->m->dry_run)
        return true;
    if (!str_eq(buf_str(&im->folder), STR("INBOX")) && !name_command(im, "CREATE ", use, false, err))
        return false;
    return !f->subscribed || name_command(im, "SUBSCRIBE ", "", true, err);
}

static bool take_folder(struct import *im, const struct source_folder *f, struct err *err)
{
    bool done;

    buf_reset(&im->folder);
    if (!migrate_name(&im->folder, f->name)) {
        migrate_complain("%.*s: the server takes no folder of that name; passed over", STR_ARG(f->name));
        im->sum.failed++;
        return true;
    }
    im->tally = (struct tally){0};
    im->sum.failed += f->failed;
    if (!make_folder(im, f, err))
        return false;
    if (f->only_name)
        return true;
    do {
        done = im->source.type->next_items(im->source.state, im->items, ITEMS_WINDOW, &im->count, err);
        done = done && (im->count == 0 || take_window(im, err));
        if (done && im->count == 0)
            break;
        forget_window(im);
    } while (done);
    migrate_progress(NULL);
    migrate_row(im->m, buf_str(&im->folder), im->m->dry_run ? "to import" : "imported", &im->tally);
    im->sum.done += im->tally.done;
    im->sum.present += im->tally.present;
    im->sum.failed += im->tally.failed;
    return done;
}

/* ---- all of it ---- */

/* "INBOX (APPENDLIMIT 52428800)" */
static void on_limit(void *owner, const struct imap_answer *a)
{
    struct import *im = owner;
    ptrdiff_t at = str_ifind(a->text, STR("(APPENDLIMIT "));

    if (a->kind != IMAP_SAYS_STATUS || at < 0 || !str_ends(a->text, STR(")")) ||
        !str_to_u64(str_sub(a->text, (size_t)at + 13, a->text.n - 1), INT64_MAX, &im->limit))
        im->limit = 0;
}

const char *const special_uses[SPECIALS] = {"\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"};

static void on_special(void *owner, const struct imap_answer *a)
{
    struct import *im = owner;
    struct buf name;

    if (str_starts(a->name, STR("Other Users/"))) /* those of somebody else */
        return;
    buf_init(&name, 8192);
    for (size_t i = 0; i < SPECIALS; i++)
        if (a->kind == IMAP_SAYS_LIST && im->special[i].n == 0 && imap_answer_has(a->flags, special_uses[i]) && imap_mutf7_decode(&name, a->name))
            im->special[i] = str_dup(buf_str(&name));
    buf_clear(&name);
}

static bool take_all(struct import *im, struct err *err)
{
    struct source_folder f = {0};
    struct imap_answer answer;
    bool there = true;

    if (!peer_ask(&im->server, STR("STATUS INBOX (APPENDLIMIT)"), on_limit, im, &answer, err) ||
        !peer_ask(&im->server, STR("LIST (SPECIAL-USE) \"\" \"*\" RETURN (SPECIAL-USE)"), on_special, im, &answer, err))
        return false;
    while (there) {
        if (!im->source.type->next_folder(im->source.state, &f, &there, err) || (there && !take_folder(im, &f, err)))
            return false;
    }
    return true;
}

static bool open_source(struct import *im, struct err *err)
{
    static const struct {
        const char *kind;
        bool (*make)(struct source *source, const struct migration *m, struct err *err);
    } kinds[] = {{"maildir", maildir_source_new}, {"mbox", mbox_source_new}, {"imap", imap_source_new}};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_eq(im->m->kind, str_of(kinds[i].kind)))
            return kinds[i].make(&im->source, im->m, err);
    return err_set(err, ERR_PERMANENT, "no such kind of source");
}

static int finish(struct import *im, bool done, const struct err *err)
{
    if (!done) {
        migrate_progress(NULL);
        return cli_fail(im->source.denied ? EX_NOPERM : migrate_code(err), "%s", err->text);
    }
    if (im->sum.failed > 0)
        return cli_fail(EXIT_DATA, "%" PRIu64 " messages or folders were not imported; they are named above", im->sum.failed);
    return EXIT_OK;
}

int import_run(struct migration *m)
{
    struct import *im = xcalloc(1, sizeof *im);
    struct err err = {0};
    int code = peer_open_local(&im->server, m->cli, m->account, "imap");

    im->m = m;
    buf_init(&im->folder, 8192);
    buf_init(&im->command, 256 * 1024);
    if (code == EXIT_OK) {
        bool done = open_source(im, &err) && take_all(im, &err);

        code = finish(im, done, &err);
        forget_window(im);
        if (im->source.state != NULL)
            im->source.type->free(im->source.state);
    }
    peer_close(&im->server);
    for (size_t i = 0; i < SPECIALS; i++)
        str_free(&im->special[i]);
    buf_clear(&im->folder);
    buf_clear(&im->command);
    free(im);
    return code;
}
