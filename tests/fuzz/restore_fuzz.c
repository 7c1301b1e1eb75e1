/* The database of a backup that somebody has changed: what is taken as a mailbox must do no harm, whatever its rows say. The
 * input is a list of changes, five bytes and a value each; then the file is looked at as a restore does it, and, if it is taken, put in
 * place, and read and changed by two clients. */
#include "../unit/imap_cache.h"
#include "../unit/imap_world.h"
#include "base/log.h"

#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ACTIONS = 12, VALUE = 200 };

static const struct {
    const char *name, *key, *columns[14];
} tables[] = {
    {"folder", "id", {"id", "name", "special", "uidvalidity", "uidnext", "modseq", "expunged_floor", "messages", "bytes", "unseen", "deleted",
        "deleted_bytes", "blocks", NULL}},
    {"message", "uid", {"folder", "uid", "modseq", "flags", "received", "size", "content", "features", "saved", "more", NULL}},
    {"uid_block", "number", {"folder", "number", "modseq", "unseen", "bits", NULL}},
    {"keyword", "slot", {"folder", "slot", "name", NULL}},
    {"content", "id", {"id", "size", "refs", "head", NULL}},
    {"content_chunk", "start", {"content", "start", "data", NULL}},
    {"content_info", "content", {"content", "sent", "reply", "subject", "refs", NULL}},
    {"content_tree", "content", {"content", "preview", "tree", NULL}},
    {"content_shared", "content", {"content", "extra", NULL}},
    {"expunged", "uid", {"folder", "modseq", "uid", NULL}},
    {"loose", "content", {"content", NULL}},
    {"subscription", "name", {"name", NULL}},
    {"annotation", "name", {"folder", "owner", "name", "size", "value", NULL}},
    {"imported", "mark", {"mark", NULL}},
    {"delivered", "message", {"message", "stored", NULL}},
    {"flag_block", "number", {"folder", "number", "data", NULL}},
    {"acl", "grantee", {"folder", "grantee", "negative", "rights", NULL}},
    {"staffetta_schema", "version", {"version", NULL}},
};
enum { TABLES = sizeof tables / sizeof *tables };

/* ---- the file ---- */

static struct buf good;

static void read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "re");
    char *room;

    buf_init(out, 16 * 1024 * 1024);
    while (f != NULL && (room = buf_reserve(out, 65536)) != NULL) {
        size_t n = fread(room, 1, 65536, f);

        out->n += n;
        if (n == 0)
            break;
    }
    if (f == NULL || out->n == 0)
        abort();
    fclose(f);
}

/* Nothing of another database of that name may be left. */
static void write_file(const char *path, struct str bytes)
{
    char log[310];
    FILE *f = fopen(path, "we");

    snprintf(log, sizeof log, "%s-wal", path);
    unlink(log);
    snprintf(log, sizeof log, "%s-shm", path);
    unlink(log);

    if (f == NULL || fwrite(bytes.p, 1, bytes.n, f) != bytes.n || fclose(f) != 0)
        abort();
}

static void fill(void)
{
    static char text[90000];

    world_fill(3);
    client_open(0);
    snprintf(text, sizeof text, "Subject: long\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n"
                                "Content-Type: text/html\r\n\r\n%080000d\r\n--x--\r\n", 7);
    world_deliver(str_of(text));
    world_flush();
    client_say(0, "a SELECT INBOX\r\nb STORE 1:2 +FLAGS (\\Seen one two)\r\nc COPY 1:4 Sent\r\nd STORE 1 +FLAGS (\\Deleted)\r\ne EXPUNGE\r\n"
                  "f SETMETADATA INBOX (/private/comment \"x\")\r\ng CREATE a/b\r\nh FETCH 1:* (PREVIEW ENVELOPE)\r\ni LOGOUT\r\n");
    world_flush();
    (void)client_got(0);
}

/* ---- changes ---- */

static void bind_value(sqlite3_stmt *s, uint8_t how, const uint8_t *value, int n)
{
    static const int64_t numbers[] = {0, 1, -1, 2, 3, 5, 1023, 1024, 4294967295, 4294967296, 4294967294, INT64_MAX, INT64_MIN, 1 << 20, 80000, 48, 2000};
    int64_t number = 0;

    if (how % 4 == 0)
        sqlite3_bind_int64(s, 1, numbers[how / 4 % (sizeof numbers / sizeof *numbers)]);
    else if (how % 4 == 1)
        sqlite3_bind_blob(s, 1, value, n, SQLITE_TRANSIENT);
    else if (how % 4 == 2)
        sqlite3_bind_text(s, 1, (const char *)value, n, SQLITE_TRANSIENT);
    else {
        memcpy(&number, value, n < 8 ? (size_t)n : 8);
        sqlite3_bind_int64(s, 1, number);
    }
}

static void change(sqlite3 *db, const uint8_t head[5], const uint8_t *value, int n)
{
    unsigned t = head[0] % TABLES, columns = 0;
    const char *column, *key = tables[t].key;
    sqlite3_stmt *s;
    char sql[600], which[200];

    while (tables[t].columns[columns] != NULL)
        columns++;
    column = tables[t].columns[head[1] % columns];
    snprintf(which, sizeof which, "WHERE %s = (SELECT %s FROM %s ORDER BY 1 LIMIT 1 OFFSET %u)", key, key, tables[t].name, head[3] % 8u);
    if (head[4] % 8 == 7)
        snprintf(sql, sizeof sql, "DELETE FROM %s %s AND ?1 IS NOT NULL", tables[t].name, which);
    else
        snprintf(sql, sizeof sql, "UPDATE OR REPLACE %s SET %s = ?1 %s", tables[t].name, column, head[4] % 8 == 6 ? "" : which);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        abort();
    bind_value(s, head[2], value, n);
    sqlite3_step(s);
    sqlite3_finalize(s);
}

static void change_all(const char *path, const uint8_t *data, size_t size)
{
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        abort();
    for (size_t at = 0, n = 0; at + 6 <= size && n < ACTIONS; n++) {
        size_t length = data[at + 5] % VALUE;

        if (length > size - at - 6)
            length = size - at - 6;
        change(db, data + at, data + at + 6, (int)length);
        at += 6 + length;
    }
    sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    if (sqlite3_close(db) != SQLITE_OK)
        abort();
}

/* ---- use ---- */

static bool is_taken(const char *path)
{
    struct store *s;
    struct err err = {0};
    bool done;

    if (!store_open_backup(&s, path, IMAP_WORLD_ACCOUNT, &err))
        return false;
    done = store_supersede(s, NULL, &err) && store_sync(s, &err);
    store_close(s);
    return done;
}

/* Answers are looked at for their form only. */
static void hear(unsigned c, struct imap_cache *cache)
{
    cache_feed(cache, client_got(c));
    if (!imap_clients[c].open) {
        cache_lost(cache);
        cache->n = 0;
        client_open(c);
    }
}

static void use(void)
{
    static const char *const lines[] = {"a LIST \"\" * RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UNSEEN SIZE DELETED HIGHESTMODSEQ))\r\n", "b SELECT INBOX\r\n",
        "c FETCH 1:* (UID FLAGS MODSEQ RFC822.SIZE INTERNALDATE SAVEDATE EMAILID THREADID)\r\n", "d FETCH 1:* (ENVELOPE BODYSTRUCTURE PREVIEW)\r\n",
        "e FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODY.PEEK[1] BODY.PEEK[2.MIME] BINARY.PEEK[2] BINARY.SIZE[1])\r\n", "f FETCH 1:* BODY[]<10.70000>\r\n",
        "g SEARCH TEXT one KEYWORD two\r\n", "h SORT (SUBJECT DATE) UTF-8 ALL\r\n", "i THREAD REFERENCES UTF-8 ALL\r\n", "j GETMETADATA (DEPTH infinity) INBOX (/private)\r\n",
        "k STORE 1:* +FLAGS (\\Answered three)\r\n", "l COPY 1:* Sent\r\n", "m MOVE 2 Trash\r\n", "n SELECT Sent (QRESYNC (1 1))\r\n", "o ENABLE QRESYNC\r\n",
        "p SELECT Sent (QRESYNC (1 1 1:20))\r\n", "q STORE 1:* FLAGS (\\Deleted)\r\n", "r EXPUNGE\r\n", "s RENAME Sent Sent2\r\n", "t DELETE a/b\r\n",
        "u GETQUOTAROOT INBOX\r\n", "v APPEND INBOX {3+}\r\nx\r\n\r\n", "w IDLE\r\n", "DONE\r\n"};
    static struct imap_cache caches[2];

    for (unsigned c = 0; c < 2; c++) {
        cache_init(&caches[c]);
        caches[c].lax = true;
        client_open(c);
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        client_say(i % 5 == 3, i % 5 == 3 ? "z SELECT INBOX\r\n" : "");
        client_say(0, lines[i]);
        world_flush();
        hear(0, &caches[0]);
        hear(1, &caches[1]);
        if (i % 5 == 4)
            world_deliver(STR("Subject: new\r\n\r\nx\r\n"));
    }
    for (unsigned c = 0; c < 2; c++) {
        cache_clear(&caches[c]);
        client_close(c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[300], fresh[300];

    log_set(LOG_LEVEL_ERROR, false);
    if (size > 4096)
        return 0;
    imap_world_open("restore_fuzz");
    world_path(".db", path);
    world_path(".db.restore", fresh);
    if (good.n == 0)
        fill();
    else
        world_fill(1); /* makes the folder */
    imap_world_stop();
    if (good.n == 0)
        read_file(path, &good);
    write_file(fresh, buf_str(&good));
    change_all(fresh, data, size);
    if (is_taken(fresh)) {
        write_file(path, STR(""));
        if (rename(fresh, path) != 0)
            abort();
        imap_world_start();
        use();
        imap_world_stop();
    }
    write_file(path, buf_str(&good));
    imap_world_start();
    return imap_world_close() == 0 ? 0 : (abort(), 0);
}
