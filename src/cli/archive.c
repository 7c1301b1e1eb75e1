/* Files of backups. See archive.h. */
#include "cli/archive.h"
#include "base/buf.h"
#include "base/encode.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

static const char head[] = "\n\nSTAFFETTA BACKUP 1\n";

static void sum_of_text(const char *text, size_t n, char sum[ARCHIVE_SUM + 1])
{
    unsigned char raw[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(raw, (const unsigned char *)text, n);
    sodium_bin2hex(sum, ARCHIVE_SUM + 1, raw, sizeof raw);
}

void archive_write(const struct archive *a, char out[ARCHIVE_TRAILER])
{
    char seal[ARCHIVE_SUM + 1];
    size_t n;

    memset(out, '\n', ARCHIVE_TRAILER);
    n = (size_t)snprintf(out, ARCHIVE_TRAILER, "%saddress %s\naccount %" PRIu64 "\ntime %s\nsize %" PRIu64 "\nsha256 %s\n", head, a->address,
        a->account, a->time, a->size, a->sum);
    sum_of_text(out, n, seal);
    n += (size_t)snprintf(out + n, ARCHIVE_TRAILER - n, "seal %s\n", seal);
    out[n] = '\n';
}

static bool copy_text(char *to, size_t room, struct str from)
{
    if (from.n == 0 || from.n >= room || str_has_control(from))
        return false;
    memcpy(to, from.p, from.n);
    to[from.n] = 0;
    return true;
}

/* Which line it was, as a bit; 0: none of ours. */
static unsigned take_line(struct archive *a, struct str key, struct str value)
{
    if (str_eq(key, STR("address")) && copy_text(a->address, sizeof a->address, value))
        return 1;
    if (str_eq(key, STR("account")) && str_to_u64(value, INT64_MAX, &a->account))
        return 2;
    if (str_eq(key, STR("time")) && copy_text(a->time, sizeof a->time, value))
        return 4;
    if (str_eq(key, STR("size")) && str_to_u64(value, INT64_MAX, &a->size))
        return 8;
    if (str_eq(key, STR("sha256")) && value.n == ARCHIVE_SUM && copy_text(a->sum, sizeof a->sum, value))
        return 16;
    return 0;
}

/* The last line, over all before it; backups of the first versions have none. */
static bool seal_is_right(struct str trailer, struct str line, struct str value)
{
    char seal[ARCHIVE_SUM + 1];

    sum_of_text(trailer.p, (size_t)(line.p - trailer.p), seal);
    return str_eq(value, str_of(seal));
}

bool archive_parse(struct str trailer, struct archive *a)
{
    struct str rest = str_skip(trailer, sizeof head - 1), line, all, key;
    unsigned found = 0, one;

    *a = (struct archive){0};
    if (trailer.n != ARCHIVE_TRAILER || !str_starts(trailer, str_of(head)))
        return false;
    while (str_next(&rest, '\n', &line)) {
        all = line;
        if (line.n == 0)
            continue;
        if ((found & 32) != 0 || !str_next_word(&line, &key))
            return false;
        line = str_trim(line);
        one = str_eq(key, STR("seal")) && seal_is_right(trailer, all, line) ? 32 : take_line(a, key, line);
        if (one == 0 || (found & one) != 0)
            return false;
        found |= one;
    }
    return (found & 31) == 31;
}

static bool damaged(struct err *err, const char *path, const char *why)
{
    return err_set(err, ERR_DAMAGED, "%s: %s", path, why);
}

static bool sum_of(FILE *f, uint64_t size, char sum[ARCHIVE_SUM + 1])
{
    crypto_hash_sha256_state state;
    unsigned char piece[64 * 1024], raw[crypto_hash_sha256_BYTES];

    crypto_hash_sha256_init(&state);
    rewind(f);
    while (size > 0) {
        size_t n = fread(piece, 1, size < sizeof piece ? (size_t)size : sizeof piece, f);

        if (n == 0)
            return false;
        crypto_hash_sha256_update(&state, piece, n);
        size -= n;
    }
    crypto_hash_sha256_final(&state, raw);
    sodium_bin2hex(sum, ARCHIVE_SUM + 1, raw, sizeof raw);
    return true;
}

static bool verify(FILE *f, const char *path, struct archive *a, struct err *err)
{
    char trailer[ARCHIVE_TRAILER], sum[ARCHIVE_SUM + 1];
    long long end;

    if (fseeko(f, 0, SEEK_END) != 0 || (end = ftello(f)) < 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    if (end < ARCHIVE_TRAILER || fseeko(f, -ARCHIVE_TRAILER, SEEK_END) != 0 || fread(trailer, 1, sizeof trailer, f) != sizeof trailer ||
        !archive_parse(str_from(trailer, sizeof trailer), a))
        return damaged(err, path, "this is no backup of an account, or its end is missing");
    if ((uint64_t)end != a->size + ARCHIVE_TRAILER)
        return damaged(err, path, "it has not the length it had when it was made");
    if (!sum_of(f, a->size, sum))
        return damaged(err, path, "it cannot be read to its end");
    return strcmp(sum, a->sum) == 0 || damaged(err, path, "its checksum is wrong: it was changed or damaged since it was made");
}

bool archive_verify(const char *path, struct archive *a, struct err *err)
{
    FILE *f = fopen(path, "re");
    bool sound;

    if (f == NULL)
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    sound = verify(f, path, a, err);
    fclose(f);
    return sound;
}
