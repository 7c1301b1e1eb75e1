/* CATENATE (RFC 4469): a message made of literals and of parts of messages that are here already. See imap_append.h.
 *
 * A part named by a URL is copied from the database into the new content piece by piece, over as many turns as it takes;
 * its bytes stay while they are read, whatever happens to the message. The quota and the limit of a message are looked at before
 * each part. */
#include "imap_append.h"
#include "imap/url.h"
#include "imap_fetch.h"

/* What is read belongs to the mailbox of the source, which may be of another account than that of the new message. */
static struct box *read_there(struct imap *im)
{
    struct appending *a = im->work;
    struct box *there = im->box;

    if (a->from != NULL)
        im->box = a->from;
    return there;
}

void catenate_clear(struct imap *im)
{
    struct appending *a = im->work;
    struct box *there = read_there(im);

    if (a->source != NULL)
        fetch_clear(im, a->source);
    im->box = there;
}

void catenate_begin(struct imap *im)
{
    struct appending *a = im->work;

    im->step = NULL;
    a->size = 0;
    if (append_fits(im, 1, 0) && append_open_message(im, 0))
        append_go_on(im);
}

/* There is room for a part of that size; otherwise the command ends here. */
static bool part_fits(struct imap *im, uint64_t size)
{
    struct appending *a = im->work;

    if (size > (uint64_t)imap_append_limit(im) - a->size)
        append_refuse(im, "TOOBIG", "The message is larger than this server takes");
    else if (append_fits(im, 0, size)) {
        a->bytes += size;
        a->size += size;
        return true;
    }
    return false;
}

void catenate_literal(struct imap *im)
{
    if (part_fits(im, imap_input_literal(&im->input)->size))
        append_stream(im);
}

void catenate_end(struct imap *im)
{
    struct appending *a = im->work;

    append_flush(im);
    if (a->size == 0)
        append_fail(im, "CANNOT", "A message has at least one byte");
}

/* ---- URLs ---- */

static void bad_url(struct imap *im)
{
    struct appending *a = im->work;
    struct buf code;
    struct str kept;

    buf_init(&code, 4 * IMAP_URL_SHOWN);
    buf_add(&code, STR("BADURL "));
    imap_url_write(&code, a->grammar.url);
    buf_add_char(&code, 0);
    kept = arena_str(&im->arena, buf_str(&code));
    buf_clear(&code);
    append_refuse(im, kept.p != NULL ? kept.p : "LIMIT", "There is no such message or part here");
}

/* A name beside that of the selected mailbox, as relative references are (RFC 3986, section 5.2). */
static struct str beside(struct imap *im, struct str name)
{
    struct str base = im->view.folder->name;
    ptrdiff_t slash = str_rfind(base, '/');
    struct buf full;
    struct str out;

    buf_init(&full, 64 * 1024);
    buf_add(&full, im->view.prefix);
    buf_add(&full, str_sub(base, 0, (size_t)(slash + 1)));
    buf_add(&full, name);
    out = arena_str(&im->arena, buf_str(&full));
    buf_clear(&full);
    return out;
}

/* Of im->box. One that may not be read is not there. */
static struct folder *folder_of(struct imap *im, const struct imap_url *url)
{
    struct folder *f = im->view.folder;

    if (url->mailbox.n > 0)
        f = store_folder_find(im->box->store, im->source.name);
    if (f == NULL || !(imap_rights(im, im->box, f) & ACL_READ))
        return NULL;
    return url->uidvalidity == 0 || url->uidvalidity == (uint32_t)f->uidvalidity ? f : NULL;
}

/* *found false: nothing is there under that URL. */
static bool find(struct imap *im, const struct imap_url *url, bool *found, struct err *err)
{
    struct appending *a = im->work;
    struct imap_item item = {.kind = IMAP_ITEM_BODY, .peek = true, .section = url->section, .partial = url->partial,
        .offset = url->offset, .length = url->length};
    struct folder *f = folder_of(im, url);
    struct store_message m;

    *found = false;
    if (f == NULL)
        return true;
    if (!store_message_get(im->box->store, f, url->uid, &m, found, err))
        return false;
    if (!*found)
        return true;
    fetch_open(im, a->source, &m);
    if (!fetch_find_body(im, a->source, &item, err))
        return false;
    *found = a->source->range.exists;
    return true;
}

static void copy_some(struct imap *im)
{
    struct appending *a = im->work;
    struct fetch *f = a->source;
    struct err err = {0};
    struct str piece;
    struct box *there;
    bool done;

    while (!a->failed && f->offset < f->range.to) {
        if (imap_pause(im))
            return;
        there = read_there(im);
        done = fetch_read(im, f, &piece, &err);
        im->box = there;
        if (!done)
            append_fail(im, "UNAVAILABLE", "The message cannot be read now, try again later");
        else
            imap_append_bytes(im, piece);
    }
    im->step = NULL;
    append_go_on(im);
}

static bool make_source(struct imap *im)
{
    struct appending *a = im->work;

    if (a->source != NULL)
        return true;
    a->source = arena_alloc(&im->arena, sizeof *a->source);
    if (a->source != NULL)
        fetch_init(a->source);
    return a->source != NULL;
}

/* The mailbox of the URL was looked for: im->source, or it is the selected one. */
static void on_found(struct imap *im)
{
    struct appending *a = im->work;
    struct box *there;
    struct err err = {0};
    bool found = false, done;

    im->step = NULL;
    catenate_clear(im); /* what was read before may be elsewhere */
    fetch_init(a->source);
    a->from = a->url.mailbox.n > 0 ? im->source.box : im->view.box;
    there = read_there(im);
    done = a->from == NULL || find(im, &a->url, &found, &err);
    im->box = there;
    if (!done) {
        imap_input_refuse(&im->input);
        imap_failed(im, &err);
    } else if (!found) {
        bad_url(im);
    } else if (part_fits(im, a->source->range.to - a->source->range.from)) {
        im->step = copy_some;
    }
}

void catenate_url(struct imap *im)
{
    struct appending *a = im->work;
    struct str name;

    if (a->failed) {
        im->step = copy_some; /* nothing, then what follows */
        return;
    }
    if (!make_source(im)) {
        append_refuse(im, "LIMIT", "The command is too large");
    } else if (!imap_url_parse(a->grammar.url, &im->arena, &a->url)) {
        bad_url(im);
    } else if (a->url.mailbox.n == 0) {
        on_found(im);
    } else {
        name = a->url.absolute || im->view.folder == NULL ? a->url.mailbox : beside(im, a->url.mailbox);
        if (name.p == NULL) {
            append_refuse(im, "LIMIT", "The command is too large");
            return;
        }
        catenate_clear(im); /* before its mailbox is left */
        fetch_init(a->source);
        a->from = NULL;
        imap_locate(im, name, &im->source, on_found);
    }
}
