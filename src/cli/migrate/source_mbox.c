/* Messages of mailbox files: one file, or a folder of them ("A.mbox" and "A/B.mbox", Thunderbird's "A" and "A.sbd/B"). See
 * source.h, mbox.h, mbox_files.h.
 *
 * A message has no name in such a file: it is known by a hash over its separator line and its bytes, and by how many of the
 * same hash came before it in the file, so that two equal ones are two. It is read twice: for that, and to be sent. */
#include "cli/migrate/files.h"
#include "cli/migrate/mbox.h"
#include "cli/migrate/mbox_files.h"
#include "cli/migrate/migrate.h"
#include "cli/migrate/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

/* A file read from some place on, message by message. */
struct pass {
    struct mbox_reader reader;
    struct buf in, out;
    uint64_t at;   /* of the first byte in `in` */
    bool end;      /* of the file: all of it is in `in` */
};

struct mbox_in {
    struct files_owner owner;
    struct mbox_files files;
    size_t file_at;
    struct str path, name;
    int fd;
    struct pass scan, send;
    bool sending;
    uint64_t *seen;       /* keys of all messages of the file, open addressing; 0: free */
    size_t seen_room, seen_count;
};

/* ---- a pass ---- */

static void pass_init(struct pass *p)
{
    mbox_reader_init(&p->reader);
    buf_init(&p->in, 2 * PIECE);
    buf_init(&p->out, 5 * PIECE);
}

static void pass_clear(struct pass *p)
{
    mbox_reader_clear(&p->reader);
    buf_clear(&p->in);
    buf_clear(&p->out);
}

static void pass_begin(struct pass *p, uint64_t at)
{
    buf_reset(&p->in);
    p->at = at;
    p->end = false;
    mbox_reader_begin(&p->reader);
}

static bool fill(const struct mbox_in *m, struct pass *p, struct err *err)
{
    char *room = buf_reserve(&p->in, PIECE);
    ssize_t n;

    do
        n = room == NULL ? -1 : pread(m->fd, room, PIECE, (off_t)(p->at + p->in.n));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_set(err, ERR_TEMPORARY, "%.*s: %s", STR_ARG(m->path), strerror(errno));
    p->in.n += (size_t)n;
    p->end = n == 0;
    return true;
}

/* The next bytes of the message in p->out; none: it is over, and p->at is the next separator or the end of the file. */
static bool pass_next(const struct mbox_in *m, struct pass *p, struct err *err)
{
    bool ended = false;

    buf_reset(&p->out);
    while (p->out.n == 0 && !ended) {
        size_t used = mbox_reader_feed(&p->reader, buf_str(&p->in), p->end, &p->out, &ended);

        buf_consume(&p->in, used);
        p->at += used;
        if (p->end && p->in.n == 0)
            break;
        if (used == 0 && !ended && !fill(m, p, err))
            return false;
    }
    return true;
}

/* ---- marks ---- */

static void remember(uint64_t *seen, size_t room, uint64_t key)
{
    size_t i = key & (room - 1);

    while (seen[i] != 0)
        i = (i + 1) & (room - 1);
    seen[i] = key;
}

static void grow(struct mbox_in *m)
{
    size_t room = m->seen_room == 0 ? 1024 : m->seen_room * 2;
    uint64_t *seen = xcalloc(room, sizeof *seen);

    for (size_t i = 0; i < m->seen_room; i++)
        if (m->seen[i] != 0)
            remember(seen, room, m->seen[i]);
    free(m->seen);
    m->seen = seen;
    m->seen_room = room;
}

/* How many of that key came before; one more is there now. */
static uint64_t count_key(struct mbox_in *m, uint64_t key)
{
    uint64_t n = 0;

    key |= key == 0;
    if (m->seen_count * 2 >= m->seen_room)
        grow(m);
    for (size_t i = key & (m->seen_room - 1); m->seen[i] != 0; i = (i + 1) & (m->seen_room - 1))
        n += m->seen[i] == key;
    remember(m->seen, m->seen_room, key);
    m->seen_count++;
    return n;
}

static void make_mark(struct mbox_in *m, const unsigned char hash[16], struct item *item)
{
    char number[24];
    uint64_t key;
    struct buf n;

    memcpy(&key, hash, sizeof key);
    buf_init(&n, sizeof number);
    buf_add_number(&n, count_key(m, key));
    mark_of(item->mark, (struct str[]){STR("mbox"), m->name, str_from((const char *)hash, 16), buf_str(&n)}, 4);
    buf_clear(&n);
}

/* ---- scanning ---- */

static void fill_item(struct mbox_in *m, const struct mbox_reader *r, struct item *item)
{
    struct buf name;

    buf_init(&name, 8192);
    buf_addf(&name, "%.*s: message at byte %" PRIu64, STR_ARG(m->path), item->at);
    item->name = str_dup(buf_str(&name));
    buf_clear(&name);
    item->keywords = str_dup(buf_str(&r->keywords));
    item->flags = r->flags;
    item->received = r->received;
}

static bool scan_item(struct mbox_in *m, struct item *item, struct err *err)
{
    struct pass *p = &m->scan;
    crypto_generichash_state state;
    unsigned char hash[16];

    *item = (struct item){.at = p->at};
    mbox_reader_begin(&p->reader);
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    do {
        if (!pass_next(m, p, err))
            return false;
        crypto_generichash_update(&state, (const unsigned char *)p->out.p, p->out.n);
        item->size += p->out.n;
    } while (p->out.n > 0);
    crypto_generichash_update(&state, (const unsigned char *)p->reader.from.p, p->reader.from.n);
    crypto_generichash_final(&state, hash, sizeof hash);
    make_mark(m, hash, item);
    fill_item(m, &p->reader, item);
    return true;
}

static bool next_items(void *source, struct item *items, size_t max, size_t *n, struct err *err)
{
    struct mbox_in *m = source;

    for (*n = 0; *n < max; ++*n) {
        if (m->scan.in.n == 0 && !m->scan.end && !fill(m, &m->scan, err))
            return false;
        if (m->scan.in.n == 0)
            return true;
        if (!scan_item(m, &items[*n], err)) {
            ++*n;
            return false;
        }
    }
    return true;
}

/* ---- files ---- */

static bool begins_well(const struct mbox_in *m)
{
    struct str first = str_sub(buf_str(&m->scan.in), 0, 5);

    return first.n == 0 || str_eq(first, STR("From "));
}

static bool next_folder(void *source, struct source_folder *f, bool *there, struct err *err)
{
    struct mbox_in *m = source;
    struct stat about;

    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
    *f = (struct source_folder){0};
    *there = m->file_at < m->files.n;
    if (!*there)
        return true;
    m->path = m->files.all[m->file_at].path;
    m->name = m->files.all[m->file_at++].name;
    m->fd = open(m->path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (m->fd < 0 || fstat(m->fd, &about) != 0)
        return err_set(err, ERR_PERMANENT, "%.*s: %s", STR_ARG(m->path), strerror(errno));
    if (!files_may_read(m->owner, &about)) {
        migrate_complain("%.*s: it belongs to another user than the folder: not read", STR_ARG(m->path));
        *f = (struct source_folder){.name = m->name, .only_name = true, .failed = true};
        return true;
    }
    pass_begin(&m->scan, 0);
    m->seen_count = 0;
    if (m->seen != NULL)
        memset(m->seen, 0, m->seen_room * sizeof *m->seen);
    if (!fill(m, &m->scan, err))
        return false;
    if (!begins_well(m))
        return err_set(err, ERR_PERMANENT, "%.*s: this is no mailbox file: it does not begin with \"From \"", STR_ARG(m->path));
    *f = (struct source_folder){.name = m->name, .subscribed = mbox_files_subscribed(&m->files, m->name)};
    return true;
}

/* ---- sending ---- */

static bool open_message(void *source, const struct item *item, uint64_t *size, struct err *why, struct err *err)
{
    struct mbox_in *m = source;

    (void)why;
    (void)err;
    pass_begin(&m->send, item->at);
    m->sending = true;
    *size = item->size;
    return true;
}

static bool read_message(void *source, struct str *piece, struct err *err)
{
    struct mbox_in *m = source;

    *piece = (struct str){0};
    if (!m->sending)
        return true;
    if (!pass_next(m, &m->send, err))
        return false;
    *piece = buf_str(&m->send.out);
    m->sending = piece->n > 0;
    return true;
}

static void free_source(void *source)
{
    struct mbox_in *m = source;

    if (m->fd >= 0)
        close(m->fd);
    mbox_files_clear(&m->files);
    pass_clear(&m->scan);
    pass_clear(&m->send);
    free(m->seen);
    free(m);
}

static const struct source_type type = {next_folder, next_items, NULL, open_message, read_message, free_source};

bool mbox_source_new(struct source *source, const struct migration *m, struct err *err)
{
    struct mbox_in *in = xcalloc(1, sizeof *in);

    in->fd = -1;
    pass_init(&in->scan);
    pass_init(&in->send);
    *source = (struct source){&type, in};
    in->owner = files_owner_of(m->place.p);
    return mbox_files_find(&in->files, m->place, m->folder.n > 0 ? m->folder : STR("INBOX"), err);
}
