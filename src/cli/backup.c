/* Backups of accounts. See backup.h, archive.h; the other side is roles/mailbox/backup.c and restore.c. */
#include "cli/backup.h"
#include "cli/archive.h"
#include "cli/migrate/migrate.h"
#include "cli/offline.h"
#include "cli/usage.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/json.h"
#include "ipc/args.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 600, PATH_ROOM = 4300 };

/* One line of the session; nothing behind it is taken. */
static bool read_line(struct peer *p, char line[LINE], struct err *err)
{
    size_t n = 0;
    struct str bytes;

    for (;;) {
        if (!peer_some(p, &bytes, err))
            return false;
        for (size_t i = 0; i < bytes.n; i++) {
            if (bytes.p[i] == '\n' || n == LINE - 1) {
                p->raw_used = (size_t)(bytes.p - p->raw.p) + i + 1;
                line[n] = 0;
                return true;
            }
            line[n++] = bytes.p[i];
        }
        if (bytes.n == 0)
            return err_set(err, ERR_TEMPORARY, "the server ended the session; see its log");
    }
}

/* found: what was seen in it, or NULL. */
static void add_row(struct rows *rows, const char *what, const char *file, const struct archive *a, const json_t *found)
{
    const char *key;
    const json_t *value;
    struct buf row;

    buf_init(&row, 16 * 1024);
    json_open(&row);
    json_str(&row, "result", str_of(what));
    json_str(&row, "file", str_of(file));
    json_str(&row, "address", str_of(a->address));
    json_int(&row, "account", (int64_t)a->account);
    json_str(&row, "made", str_of(a->time));
    json_int(&row, "size", (int64_t)a->size);
    json_str(&row, "sha256", str_of(a->sum));
    json_object_foreach ((json_t *)(uintptr_t)found, key, value)
        json_int(&row, key, json_integer_value(value));
    json_close(&row);
    rows_add(rows, buf_str(&row));
    buf_clear(&row);
}

/* ---- backup ---- */

/* "ERROR code text": the code, and the text. */
static int refusal(const char *line, struct err *err)
{
    struct str rest = str_skip(str_of(line), 6), code;
    uint64_t value;

    if (!str_starts(str_of(line), STR("ERROR ")) || !str_next_word(&rest, &code) || !str_to_u64(code, 127, &value) || value == 0) {
        err_set(err, ERR_TEMPORARY, "the server says: %s", line);
        return EXIT_TEMPFAIL;
    }
    err_set(err, ERR_TEMPORARY, "%.*s", STR_ARG(str_trim(rest)));
    return (int)value;
}

/* Up to "DATA size". The code. */
static int await_data(struct peer *p, uint64_t *size, struct err *err)
{
    char line[LINE];

    while (read_line(p, line, err)) {
        struct str text = str_of(line);
        uint64_t at, of;
        struct str rest = str_skip(text, 5), word;

        if (str_starts(text, STR("DATA ")) && str_to_u64(rest, INT64_MAX, size))
            return EXIT_OK;
        if (!str_starts(text, STR("COPY ")))
            return refusal(line, err);
        if (str_next_word(&rest, &word) && str_to_u64(word, INT64_MAX, &at) && str_to_u64(str_trim(rest), INT64_MAX, &of) && of > 0)
            migrate_progress("copying: %" PRIu64 "%%", at * 100 / of);
    }
    return EXIT_TEMPFAIL;
}

static bool put(FILE *f, const char *path, const void *bytes, size_t n, struct err *err)
{
    return fwrite(bytes, 1, n, f) == n || err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
}

static bool take_data(struct peer *p, FILE *f, const char *path, struct archive *a, struct err *err)
{
    unsigned char raw[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    uint64_t left = a->size;
    struct str bytes;

    crypto_hash_sha256_init(&state);
    while (left > 0) {
        if (!peer_some(p, &bytes, err))
            return false;
        if (bytes.n == 0 || bytes.n > left)
            return err_set(err, ERR_TEMPORARY, "the server ended in the middle of it; try again");
        crypto_hash_sha256_update(&state, (const unsigned char *)bytes.p, bytes.n);
        if (!put(f, path, bytes.p, bytes.n, err))
            return false;
        left -= bytes.n;
        migrate_progress("writing: %" PRIu64 "%%", (a->size - left) * 100 / a->size);
    }
    crypto_hash_sha256_final(&state, raw);
    sodium_bin2hex(a->sum, sizeof a->sum, raw, sizeof raw);
    return true;
}

static void stamp(struct archive *a)
{
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(a->time, sizeof a->time, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static bool write_archive(struct peer *p, const char *path, struct archive *a, struct err *err)
{
    char trailer[ARCHIVE_TRAILER];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    bool done;

    if (f == NULL)
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    done = take_data(p, f, path, a, err);
    if (done) {
        archive_write(a, trailer);
        done = put(f, path, trailer, sizeof trailer, err);
    }
    if (done && (fflush(f) != 0 || fsync(fd) != 0))
        done = err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    fclose(f);
    return done;
}

/* The name appears when all of it is on disk. The code: EX_IOERR when it is for the file. */
static int take_backup(struct peer *p, const char *file, struct archive *a, struct err *err)
{
    char part[PATH_ROOM];
    int code;

    snprintf(part, sizeof part, "%s.part", file);
    stamp(a);
    code = await_data(p, &a->size, err);
    if (code != EXIT_OK)
        return code;
    if (write_archive(p, part, a, err)) {
        if (rename(part, file) == 0)
            return folder_sync_parent(file, err) ? EXIT_OK : EX_IOERR;
        err_set(err, ERR_PERMANENT, "%s: %s", file, strerror(errno));
    }
    unlink(part);
    return err->kind == ERR_PERMANENT ? EX_IOERR : EXIT_TEMPFAIL;
}

static int backup(const struct cli *cli, struct str address, const char *file, struct rows *rows)
{
    struct archive a = {0};
    struct err err = {0};
    struct peer p;
    int64_t account;
    int code;

    if (access(file, F_OK) == 0)
        return cli_fail(EX_CANTCREAT, "%s: it is there already", file);
    code = usage_account_number(cli, address, &account);
    if (code != EXIT_OK)
        return code;
    a.account = (uint64_t)account;
    snprintf(a.address, sizeof a.address, "%.*s", STR_ARG(address));
    code = peer_open_local(&p, cli, account, "backup");
    if (code == EXIT_OK) {
        code = take_backup(&p, file, &a, &err);
        migrate_progress(NULL);
        if (code != EXIT_OK)
            cli_fail(code, "%s", err.text);
        else
            add_row(rows, "written", file, &a, NULL);
    }
    peer_close(&p);
    return code;
}

/* ---- verify, restore ---- */

static int verify(const char *file, struct archive *a)
{
    struct err err = {0};

    if (archive_verify(file, a, &err))
        return EXIT_OK;
    return cli_fail(migrate_code(&err), "%s", err.text);
}

static bool keep_row(void *owner, struct str json)
{
    json_t **row = owner;

    json_decref(*row);
    *row = json_loadb(json.p, json.n, 0, NULL);
    return true;
}

/* The checksum here; whether it is a mailbox that could be restored says a process of mailbox's program. */
static int verify_all(const char *file, struct rows *rows)
{
    struct archive a;
    json_t *found = NULL;
    int code = verify(file, &a);

    if (code == EXIT_OK)
        code = offline_program("mailbox", "--verify", file, keep_row, &found);
    if (code == EXIT_OK)
        add_row(rows, "sound", file, &a, found);
    json_decref(found);
    return code;
}

static bool send_file(struct peer *p, const char *file, const struct archive *a, struct err *err)
{
    char piece[64 * 1024];
    uint64_t left = a->size;
    FILE *f = fopen(file, "re");
    bool done = f != NULL;

    while (done && left > 0) {
        size_t n = fread(piece, 1, left < sizeof piece ? (size_t)left : sizeof piece, f);

        done = n > 0 && peer_send(p, str_from(piece, n), err);
        left -= n;
        migrate_progress("sending: %" PRIu64 "%%", (a->size - left) * 100 / a->size);
    }
    if (f != NULL)
        fclose(f);
    if (!done && err->kind == ERR_NONE)
        err_set(err, ERR_TEMPORARY, "%s: %s", file, strerror(errno));
    return done && peer_flush(p, err);
}

/* Its code, and the text; 0 for what was hoped for. */
static int heard(struct peer *p, const char *hoped, char line[LINE], struct err *err)
{
    for (;;) {
        if (!read_line(p, line, err))
            return EXIT_TEMPFAIL;
        if (!str_starts(str_of(line), STR("CHECK ")))
            break;
        migrate_progress("checking: %s s", line + 6);
    }
    return str_starts(str_of(line), str_of(hoped)) ? EXIT_OK : refusal(line, err);
}

static int give_back(struct peer *p, const char *file, const struct archive *a, bool overwrite, struct err *err)
{
    char line[LINE];
    struct buf command;
    int code;

    buf_init(&command, LINE);
    buf_addf(&command, "RESTORE %" PRIu64 " %s %s\n", a->size, overwrite ? "overwrite" : "new", a->sum);
    code = peer_send(p, buf_str(&command), err) ? heard(p, "READY", line, err) : EXIT_TEMPFAIL;
    buf_clear(&command);
    if (code == EXIT_OK && !send_file(p, file, a, err))
        code = EX_IOERR;
    return code == EXIT_OK ? heard(p, "DONE ", line, err) : code;
}

static int restore(const struct cli *cli, struct str address, const char *file, bool overwrite, struct rows *rows)
{
    struct archive a;
    struct err err = {0};
    struct peer p;
    int64_t account;
    int code = verify(file, &a);

    if (code == EXIT_OK)
        code = usage_account_number(cli, address, &account);
    if (code != EXIT_OK)
        return code;
    code = peer_open_local(&p, cli, account, "restore");
    if (code == EXIT_OK) {
        code = give_back(&p, file, &a, overwrite, &err);
        migrate_progress(NULL);
        if (code != EXIT_OK)
            cli_fail(code, "%s", err.text);
        else
            add_row(rows, "restored", file, &a, NULL);
    }
    peer_close(&p);
    return code;
}

/* ---- check ---- */

static void add_sound(struct rows *rows, int64_t account, struct str numbers)
{
    static const char *const names[] = {"messages", "indexed", "index_bytes"};
    struct str word;
    uint64_t value;
    struct buf row;

    buf_init(&row, 1024);
    json_open(&row);
    json_int(&row, "account", account);
    json_str(&row, "result", STR("sound"));
    for (size_t i = 0; i < 3; i++)
        json_int(&row, names[i], str_next_word(&numbers, &word) && str_to_u64(word, INT64_MAX, &value) ? (int64_t)value : 0);
    json_close(&row);
    rows_add(rows, buf_str(&row));
    buf_clear(&row);
}

int check_mailbox(const struct cli *cli, int64_t account, struct rows *rows)
{
    char line[LINE];
    struct err err = {0};
    struct peer p;
    int code = peer_open_local(&p, cli, account, "check");

    if (code == EXIT_OK) {
        code = heard(&p, "SOUND ", line, &err);
        migrate_progress(NULL);
        if (code != EXIT_OK)
            cli_fail(code, "%s", err.text);
        else
            add_sound(rows, account, str_skip(str_of(line), 6));
    }
    peer_close(&p);
    return code;
}

int backup_run(const struct cli *cli, const struct verb_call *call, struct rows *rows)
{
    if (strcmp(call->verb->name, "verify") == 0)
        return verify_all(call->words[0].p, rows);
    if (strcmp(call->verb->name, "backup") == 0)
        return backup(cli, call->words[0], call->words[1].p, rows);
    return restore(cli, call->words[0], call->words[1].p, args_has_word(buf_str(&call->args), "overwrite"), rows);
}
