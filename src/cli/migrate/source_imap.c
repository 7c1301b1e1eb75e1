/* Messages of another IMAP server. See source.h, reader.h.
 *
 * A message is known by user, host, mailbox, uidvalidity and uid there. The prefix of the personal namespace ("INBOX.") is
 * taken off, its delimiter becomes '/'. */
#include "cli/migrate/migrate.h"
#include "cli/migrate/reader.h"
#include "cli/migrate/url.h"
#include "cli/secret.h"
#include "base/encode.h"
#include "imap/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDERS_MAX = 20000 };

struct remote_folder {
    struct str wire, name; /* owned */
    const char *special;   /* "\\Sent" ..., or empty */
    bool subscribed, only_name;
};

struct imap_in {
    struct peer peer;
    struct reader reader;
    struct server_url url;
    struct str only;        /* --folder */
    struct remote_folder *folders;
    size_t folder_count, folder_at;
    struct buf prefix;
    char delimiter;
    bool denied;            /* the login failed */
    bool refused;           /* the folder under way: nothing is read from it */
};

/* ---- login ---- */

static void on_capability(void *owner, const struct imap_answer *a)
{
    struct buf *words = owner;

    if (a->kind == IMAP_SAYS_CAPABILITY) {
        buf_reset(words);
        buf_add(words, a->text);
    }
}

static void write_plain(struct buf *out, struct str user, struct str password)
{
    struct buf raw;

    buf_init(&raw, 4096);
    buf_add_char(&raw, 0);
    buf_add(&raw, user);
    buf_add_char(&raw, 0);
    buf_add(&raw, password);
    base64_encode(out, buf_str(&raw));
    if (raw.p != NULL)
        explicit_bzero(raw.p, raw.capacity);
    buf_clear(&raw);
}

/* RFC 5530: it may let us in later. */
static bool is_for_now(const struct imap_answer *a)
{
    return imap_answer_code_is(a, "UNAVAILABLE") || imap_answer_code_is(a, "INUSE") || imap_answer_code_is(a, "LIMIT");
}

static bool log_in(struct imap_in *in, const struct secret *password, struct err *err)
{
    struct buf words, command;
    struct imap_answer a;
    bool done;

    buf_init(&words, 64 * 1024);
    buf_init(&command, 8192);
    done = peer_ask(&in->peer, STR("CAPABILITY"), on_capability, &words, &a, err);
    if (done && imap_answer_has(buf_str(&words), "AUTH=PLAIN") && imap_answer_has(buf_str(&words), "SASL-IR")) {
        buf_add(&command, STR("AUTHENTICATE PLAIN "));
        write_plain(&command, in->url.user, secret_str(password));
    } else {
        buf_add(&command, STR("LOGIN "));
        imap_write_string(&command, in->url.user, false);
        buf_add_char(&command, ' ');
        imap_write_string(&command, secret_str(password), false);
    }
    if (done && str_find(buf_str(&command), '\n') >= 0)
        done = err_set(err, ERR_PERMANENT, "%s: this user name or password needs AUTHENTICATE PLAIN, which the server does not offer",
            in->peer.name);
    done = done && peer_ask(&in->peer, buf_str(&command), NULL, NULL, &a, err);
    in->denied = done && a.kind != IMAP_SAYS_OK && !is_for_now(&a);
    if (done && a.kind != IMAP_SAYS_OK)
        done = err_set(err, ERR_TEMPORARY, "%s: the login of %.*s failed: %.*s", in->peer.name, STR_ARG(in->url.user), STR_ARG(a.text));
    if (command.p != NULL)
        explicit_bzero(command.p, command.capacity);
    buf_clear(&command);
    buf_clear(&words);
    return done;
}

/* ---- folders ---- */

static struct str without_prefix(const struct imap_in *in, struct str wire)
{
    struct str prefix = buf_str(&in->prefix);

    return prefix.n > 0 && wire.n > prefix.n && str_starts(wire, prefix) ? str_skip(wire, prefix.n) : wire;
}

/* Levels divided by '/'; what is a '/' there becomes '_'. */
static bool decode_name(const struct imap_in *in, const struct imap_answer *a, struct buf *out)
{
    struct str wire = without_prefix(in, a->name);
    struct buf levels;
    bool decoded;

    buf_init(&levels, 16 * 1024);
    for (size_t i = 0; i < wire.n; i++)
        buf_add_char(&levels, a->delimiter != 0 && wire.p[i] == a->delimiter ? '/' : wire.p[i] == '/' ? '_' : wire.p[i]);
    decoded = imap_mutf7_decode(out, buf_str(&levels));
    if (!decoded && str_is_utf8(buf_str(&levels))) {
        buf_reset(out);
        buf_add(out, buf_str(&levels));
        decoded = true;
    }
    if (str_ieq(buf_str(out), STR("INBOX"))) {
        buf_reset(out);
        buf_add(out, STR("INBOX"));
    }
    buf_clear(&levels);
    return decoded;
}

/* RFC 6154: what it is for, where the server says so; its name may be in any language. */
static const char *special_of(struct str attributes)
{
    for (size_t i = 0; i < SPECIALS; i++)
        if (imap_answer_has(attributes, special_uses[i]))
            return special_uses[i];
    return "";
}

static void on_folder(void *owner, const struct imap_answer *a)
{
    struct imap_in *in = owner;
    struct buf name;

    if (a->kind != IMAP_SAYS_LIST || in->folder_count == FOLDERS_MAX || imap_answer_has(a->flags, "\\NonExistent"))
        return;
    buf_init(&name, 16 * 1024);
    if (!decode_name(in, a, &name)) {
        migrate_complain("%.*s: this name cannot be read; passed over", STR_ARG(a->name));
    } else if (in->only.n == 0 || str_eq(in->only, buf_str(&name))) {
        in->folders = xrealloc(in->folders, (in->folder_count + 1) * sizeof *in->folders);
        in->folders[in->folder_count++] = (struct remote_folder){str_dup(a->name), str_dup(buf_str(&name)), special_of(a->flags),
            false, imap_answer_has(a->flags, "\\Noselect")};
    }
    buf_clear(&name);
}

static void on_subscribed(void *owner, const struct imap_answer *a)
{
    struct imap_in *in = owner;

    for (size_t i = 0; a->kind == IMAP_SAYS_LSUB && i < in->folder_count; i++)
        if (str_eq(in->folders[i].wire, a->name) && !imap_answer_has(a->flags, "\\Noselect"))
            in->folders[i].subscribed = true;
}

static void on_namespace(void *owner, const struct imap_answer *a)
{
    struct imap_in *in = owner;

    if (a->kind == IMAP_SAYS_NAMESPACE)
        buf_add(&in->prefix, a->name);
}

static int compare(const void *a, const void *b)
{
    const struct remote_folder *x = a, *y = b;
    bool x_inbox = str_eq(x->name, STR("INBOX")), y_inbox = str_eq(y->name, STR("INBOX"));

    return x_inbox != y_inbox ? (x_inbox ? -1 : 1) : str_cmp(x->name, y->name);
}

/* What it offers after login. */
static bool tells_special_uses(struct imap_in *in, bool *tells, struct err *err)
{
    struct imap_answer a;
    struct buf words;
    bool done;

    buf_init(&words, 64 * 1024);
    done = peer_ask(&in->peer, STR("CAPABILITY"), on_capability, &words, &a, err);
    *tells = imap_answer_has(buf_str(&words), "SPECIAL-USE") && imap_answer_has(buf_str(&words), "LIST-EXTENDED");
    buf_clear(&words);
    return done;
}

static bool list_folders(struct imap_in *in, struct err *err)
{
    struct imap_answer a;
    bool special;

    /* Servers without namespaces say BAD: then there is no prefix. */
    if (!peer_ask(&in->peer, STR("NAMESPACE"), on_namespace, in, &a, err) || !tells_special_uses(in, &special, err) ||
        !peer_ask(&in->peer, special ? STR("LIST \"\" \"*\" RETURN (SPECIAL-USE)") : STR("LIST \"\" \"*\""), on_folder, in, &a, err))
        return false;
    if (a.kind != IMAP_SAYS_OK)
        return err_set(err, ERR_PERMANENT, "%s: listing its folders: %.*s", in->peer.name, STR_ARG(a.text));
    if (!peer_ask(&in->peer, STR("LSUB \"\" \"*\""), on_subscribed, in, &a, err))
        return false;
    if (in->folder_count == 0)
        return err_set(err, ERR_PERMANENT, "%s: it has no folder \"%.*s\"", in->peer.name, STR_ARG(in->only));
    qsort(in->folders, in->folder_count, sizeof *in->folders, compare);
    return true;
}

static bool next_folder(void *source, struct source_folder *f, bool *there, struct err *err)
{
    struct imap_in *in = source;
    const struct remote_folder *r;
    struct err why = {0};
    struct buf wire;
    bool done;

    *there = in->folder_at < in->folder_count;
    if (!*there)
        return true;
    r = &in->folders[in->folder_at++];
    *f = (struct source_folder){.name = r->name, .special = str_of(r->special), .subscribed = r->subscribed, .only_name = r->only_name};
    if (r->only_name)
        return true;
    if (in->reader.peer != NULL && !reader_finish(&in->reader, err))
        return false;
    buf_init(&wire, 16 * 1024);
    imap_write_string(&wire, r->wire, false);
    done = reader_open(&in->reader, &in->peer, buf_str(&wire), &in->refused, &why, err);
    buf_clear(&wire);
    if (done && in->refused) {
        f->only_name = f->failed = true;
        migrate_complain("%.*s: not imported: %s", STR_ARG(r->name), why.text);
    }
    return done;
}

/* ---- messages ---- */

static void name_item(const struct imap_in *in, struct item *item)
{
    const struct remote_folder *r = &in->folders[in->folder_at - 1];
    struct buf key, name;

    buf_init(&key, 100);
    buf_init(&name, 16 * 1024);
    buf_addf(&key, "%" PRIu32 " %" PRIu64, in->reader.uidvalidity, item->at);
    mark_of(item->mark, (struct str[]){STR("imap"), in->url.user, in->url.host, r->wire, buf_str(&key)}, 5);
    buf_addf(&name, "%.*s: uid %" PRIu64, STR_ARG(r->name), item->at);
    item->name = str_dup(buf_str(&name));
    buf_clear(&key);
    buf_clear(&name);
}

static bool next_items(void *source, struct item *items, size_t max, size_t *n, struct err *err)
{
    struct imap_in *in = source;
    bool done = reader_list(&in->reader, items, max, n, err);

    for (size_t i = 0; i < *n; i++)
        name_item(in, &items[i]);
    return done;
}

static bool want(void *source, const struct item *item, struct err *err)
{
    struct imap_in *in = source;

    return reader_want(&in->reader, (uint32_t)item->at, err);
}

static bool open_message(void *source, const struct item *item, uint64_t *size, struct err *why, struct err *err)
{
    struct imap_in *in = source;

    return reader_body(&in->reader, (uint32_t)item->at, size, why, err);
}

static bool read_message(void *source, struct str *piece, struct err *err)
{
    struct imap_in *in = source;

    return reader_read(&in->reader, piece, err);
}

static void free_source(void *source)
{
    struct imap_in *in = source;

    peer_close(&in->peer);
    for (size_t i = 0; i < in->folder_count; i++) {
        str_free(&in->folders[i].wire);
        str_free(&in->folders[i].name);
    }
    free(in->folders);
    buf_clear(&in->prefix);
    free(in);
}

static const struct source_type type = {next_folder, next_items, want, open_message, read_message, free_source};

bool imap_source_new(struct source *source, const struct migration *m, struct err *err)
{
    struct imap_in *in = xcalloc(1, sizeof *in);
    struct peer_address to;
    struct secret password = {0};
    bool preauth, done;

    in->peer.fd = -1;
    in->only = m->folder;
    buf_init(&in->prefix, 1024);
    *source = (struct source){.type = &type, .state = in};
    if (!server_url_parse(m->place, m->tls, &in->url, err) || !secret_read_once(&password, m->password_file, err))
        return false;
    to = (struct peer_address){in->url.user, in->url.host, in->url.port, in->url.security, m->ca};
    done = peer_open_remote(&in->peer, &to, &preauth, err) && (preauth || log_in(in, &password, err)) && list_folders(in, err);
    source->denied = in->denied;
    secret_clear(&password);
    return done;
}
