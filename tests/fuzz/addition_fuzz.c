/* The log of additions: records and groups of any bytes, and a file of any bytes as a process finds it at its start. The first byte
 * says whether the groups are sealed, so that the reader gets behind the checksum. */
#include "../unit/scratch.h"
#include "roles/mailbox/addition_log.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[SCRATCH_MAX];

static void end(void)
{
    scratch_remove(folder);
}

/* What is read can be written again, and then it is the same. */
static void check_records(struct str records)
{
    struct addition a;

    for (const char *from = records.p; addition_read(&records, &a); from = records.p) {
        struct buf again;

        buf_init(&again, ADDITION_GROUP_MAX);
        addition_write(&again, &a);
        assert(str_eq(buf_str(&again), str_from(from, (size_t)(records.p - from))));
        buf_clear(&again);
    }
}

static bool tell(void *arg, const struct addition *a, struct err *err)
{
    (void)err;
    assert(a->account > 0);
    ++*(size_t *)arg;
    return true;
}

static void check_file(struct str bytes)
{
    struct addition_log *log = NULL;
    struct err err = {0};
    char path[SCRATCH_MAX + 40];
    size_t n = 0;
    int fd;

    snprintf(path, sizeof path, "%s/additions-0-of-1.log", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes.p, bytes.n) != (ssize_t)bytes.n)
        abort();
    close(fd);
    if (!addition_log_open(&log, str_of(folder), 0, 1, 0, &err) || !addition_log_scan(log, &err))
        abort();
    for (int64_t account = 0; (account = addition_log_next_account(log, account)) != 0;)
        assert(addition_log_walk(log, account, tell, &n, &err));
    if (!addition_log_clear(log, &err) || !addition_log_scan(log, &err))
        abort();
    assert(addition_log_next_account(log, 0) == 0);
    addition_log_close(log);
}

/* Each group whose header is one gets the checksum that belongs to it. */
static void seal(char *bytes, size_t n)
{
    struct addition_group g;

    for (size_t at = 0; at < n && addition_header(str_from(bytes + at, n - at), &g) && g.length <= n - at;
         at += (g.length + ADDITION_BLOCK - 1) / ADDITION_BLOCK * ADDITION_BLOCK)
        addition_seal(bytes + at, g.length, g.run, g.number, g.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes;

    if (size == 0)
        return 0;
    if (folder[0] == 0) {
        scratch_make_in_memory(folder, "addition_fuzz");
        atexit(end);
    }
    bytes = malloc(size);
    if (bytes == NULL)
        return 0;
    memcpy(bytes, data + 1, size - 1);
    check_records(str_from(bytes, size - 1));
    if (data[0] & 1)
        seal(bytes, size - 1);
    check_file(str_from(bytes, size - 1));
    free(bytes);
    return 0;
}
