/* What an import reads from others: mailbox files, names of a Maildir, answers of an IMAP server, urls, ends of backups. The
 * first byte says which. A mailbox file gives the same messages however it is cut; a message written to one comes back. */
#include "cli/archive.h"
#include "cli/migrate/lines.h"
#include "cli/migrate/maildir.h"
#include "cli/migrate/mbox.h"
#include "cli/migrate/mbox_files.h"
#include "cli/migrate/url.h"
#include "cli/migrate/words.h"
#include "imap/write.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 8 * 1024 * 1024 };

/* All messages of a file, each behind "#flags words\n". `cut`: bytes given at once. */
static void read_mbox(struct str file, size_t cut, struct buf *out)
{
    struct mbox_reader r;
    struct buf message;
    size_t at = 0, given = 0;
    bool ended;

    mbox_reader_init(&r);
    buf_init(&message, ROOM);
    while (at < file.n) {
        mbox_reader_begin(&r);
        buf_reset(&message);
        ended = false;
        while (!ended && at < file.n) {
            size_t used = mbox_reader_feed(&r, str_sub(file, at, given), given >= file.n, &message, &ended);

            at += used;
            if (used == 0 && !ended) {
                assert(given < file.n);
                given = file.n - given < cut ? file.n : given + cut;
            }
        }
        buf_addf(out, "#%u %.*s %.*s\n", r.flags, STR_ARG(buf_str(&r.keywords)), STR_ARG(buf_str(&r.from)));
        buf_add(out, buf_str(&message));
    }
    mbox_reader_clear(&r);
    buf_clear(&message);
}

static void mbox_in(struct str bytes)
{
    struct buf whole, pieces;

    buf_init(&whole, ROOM);
    buf_init(&pieces, ROOM);
    read_mbox(bytes, bytes.n + 1, &whole);
    read_mbox(bytes, 1 + bytes.n % 7, &pieces);
    assert(str_eq(buf_str(&whole), buf_str(&pieces)));
    buf_clear(&whole);
    buf_clear(&pieces);
}

static void write_mbox(struct str message, size_t cut, struct buf *out)
{
    struct mbox_writer w;

    mbox_writer_init(&w);
    for (int i = 0; i < 2; i++) {
        mbox_writer_begin(&w, STR("ann@example.org"), 1600000000000000, 5, STR("$Label1"), out);
        for (size_t at = 0; at < message.n; at += cut)
            mbox_writer_feed(&w, str_sub(message, at, at + cut), out);
        mbox_writer_end(&w, out);
    }
    mbox_writer_clear(&w);
}

/* Two of any message are two messages in the file, and the same again when it is read and written once more. */
static void mbox_out(struct str message)
{
    struct buf file, pieces, read;
    struct str rest, line;
    int found = 0;

    buf_init(&file, ROOM);
    buf_init(&pieces, ROOM);
    buf_init(&read, ROOM);
    write_mbox(message, message.n + 1, &file);
    write_mbox(message, 1 + message.n % 5, &pieces);
    assert(str_eq(buf_str(&file), buf_str(&pieces)));
    read_mbox(buf_str(&file), ROOM, &read);
    rest = buf_str(&read);
    while (str_next(&rest, '\n', &line))
        found += str_eq(line, STR("#5 $Label1 From ann@example.org Sun Sep 13 12:26:40 2020"));
    assert(found >= 2);
    buf_clear(&file);
    buf_clear(&pieces);
    buf_clear(&read);
}

static void maildir(struct str bytes)
{
    struct maildir_name name;
    struct str names[MAILDIR_LETTERS];
    struct buf out, again;

    buf_init(&out, ROOM);
    buf_init(&again, ROOM);
    maildir_name_parse(bytes, &name);
    assert(name.unique.n <= bytes.n);
    maildir_name_flags(&out, &name);
    maildir_keywords(bytes, names);
    maildir_is_subscribed(bytes, STR("INBOX"));
    buf_reset(&out);
    if (maildir_folder_decode(&out, bytes)) {
        maildir_folder_encode(&again, buf_str(&out));
        maildir_subscription(&again, buf_str(&out));
    }
    buf_reset(&out);
    migrate_name(&out, bytes);
    buf_reset(&out);
    migrate_keyword(&out, bytes);
    assert(str_is_printable(buf_str(&out)));
    buf_reset(&out);
    mbox_level_decode(&out, bytes);
    mbox_path_encode(&out, bytes);
    buf_clear(&out);
    buf_clear(&again);
}

static void lines(struct str bytes)
{
    struct buf lf, crlf;
    bool cr = false, lost = false;
    char last = 0;

    buf_init(&lf, ROOM);
    buf_init(&crlf, ROOM);
    lines_to_lf(&lf, bytes, &cr, &lost);
    lines_to_crlf(&crlf, buf_str(&lf), &last);
    last = 0;
    assert(crlf.n == lf.n + lines_missing(buf_str(&lf), &last));
    if (!lost && !cr)
        assert(str_eq(buf_str(&crlf), bytes));
    buf_clear(&lf);
    buf_clear(&crlf);
}

static void answers(struct str bytes)
{
    struct imap_input in;
    struct imap_answer a;
    struct arena arena;
    enum imap_input_event event = IMAP_INPUT_COMMAND;
    bool streamed = false;

    imap_input_init(&in);
    arena_init(&arena, 1024 * 1024);
    while (event != IMAP_INPUT_MORE) {
        event = imap_input_next(&in, &bytes);
        if (event == IMAP_INPUT_LITERAL && imap_answer_begins_body(imap_input_command(&in)) && !streamed) {
            streamed = true;
            imap_input_stream(&in);
        } else if (event == IMAP_INPUT_LITERAL) {
            imap_input_take(&in);
        } else if (event == IMAP_INPUT_COMMAND) {
            struct str keyword;
            unsigned system;

            imap_answer_parse(imap_input_command(&in), streamed, &arena, &a);
            while (imap_answer_next_flag(&a.flags, &system, &keyword))
                assert(system == 0 || keyword.n == 0);
            imap_answer_code_is(&a, "UIDVALIDITY");
            imap_answer_has(a.text, "x");
            arena_clear(&arena);
            streamed = false;
        }
        if (event == IMAP_INPUT_COMMAND || event == IMAP_INPUT_TOO_LONG)
            imap_input_done(&in);
    }
    imap_input_clear(&in);
    arena_clear(&arena);
}

static void rest(struct str bytes)
{
    struct server_url url;
    struct archive archive;
    struct err err;
    char trailer[ARCHIVE_TRAILER] = {0};

    if (server_url_parse(bytes, STR(""), &url, &err))
        assert(url.user.n > 0 && url.host.n > 0 && url.port > 0);
    memcpy(trailer, bytes.n > 0 ? bytes.p : "", bytes.n < sizeof trailer ? bytes.n : sizeof trailer);
    if (archive_parse(str_from(trailer, sizeof trailer), &archive)) {
        struct archive again;

        archive_write(&archive, trailer);
        assert(archive_parse(str_from(trailer, sizeof trailer), &again) && again.size == archive.size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct str) = {mbox_in, mbox_out, maildir, lines, answers, rest};

    if (size > 0 && size < 300000)
        readers[data[0] % (sizeof readers / sizeof *readers)](str_from((const char *)data + 1, size - 1));
    return 0;
}
