/* The tape, and what is found after power was lost at a place of it. See disk.h. */
#include "disk_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, NAMES = 4096, PATH_ROOM = 4096 };

struct tape_op *tape;
size_t tape_n;
struct disk_node disk_nodes[DISK_NODES];
int disk_node_count = 1;

static size_t tape_size;

/* ---- names ---- */

struct name {
    int folder, node;
    char *text;
};

struct names {
    struct name *list;
    size_t n;
};

static struct names live;

static void *checked(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static struct name *find_name(const struct names *names, int folder, const char *text)
{
    for (size_t i = 0; i < names->n; i++)
        if (names->list[i].folder == folder && strcmp(names->list[i].text, text) == 0)
            return &names->list[i];
    return NULL;
}

static void set_name(struct names *names, int folder, const char *text, int node)
{
    struct name *name = find_name(names, folder, text);

    if (name != NULL && node >= 0) {
        name->node = node;
    } else if (name != NULL) {
        free(name->text);
        *name = names->list[--names->n];
    } else if (node >= 0) {
        names->list = checked(realloc(names->list, (names->n + 1) * sizeof *names->list));
        names->list[names->n++] = (struct name){folder, node, checked(strdup(text))};
    }
}

static void clear_names(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->list[i].text);
    free(names->list);
    *names = (struct names){0};
}

int names_find(int folder, const char *text)
{
    const struct name *name = find_name(&live, folder, text);

    return name == NULL ? -1 : name->node;
}

void names_set(int folder, const char *text, int node)
{
    set_name(&live, folder, text, node);
}

int disk_new_node(bool is_folder)
{
    if (disk_node_count == DISK_NODES)
        abort();
    disk_nodes[disk_node_count].is_folder = is_folder;
    return disk_node_count++;
}

/* ---- what is durable, as far as the tape was played ---- */

struct contents {
    unsigned char *p;
    size_t n, room;
};

struct pending {
    size_t *ops; /* numbers on the tape */
    size_t n;
};

static struct contents durable[DISK_NODES];
static struct pending pending[DISK_NODES];
static struct names durable_names;
static size_t played;

static void set_size(struct contents *c, size_t n)
{
    if (n > c->room) {
        c->room = n + n / 2 + 4096;
        c->p = checked(realloc(c->p, c->room));
    }
    if (n > c->n)
        memset(c->p + c->n, 0, n - c->n);
    c->n = n;
}

static void write_at(struct contents *c, size_t offset, const unsigned char *bytes, size_t n)
{
    if (n == 0)
        return;
    if (offset + n > c->n)
        set_size(c, offset + n);
    memcpy(c->p + offset, bytes, n);
}

static void apply_bytes(struct contents *c, const struct tape_op *op)
{
    if (op->kind == TAPE_TRUNCATE)
        set_size(c, op->offset);
    else
        write_at(c, op->offset, op->bytes, op->n);
}

static void apply_name(struct names *names, const struct tape_op *op)
{
    if (op->kind == TAPE_RENAME) {
        set_name(names, op->folder, op->name, -1);
        set_name(names, op->folder, op->to, op->node);
    } else {
        set_name(names, op->folder, op->name, op->kind == TAPE_LINK ? op->node : -1);
    }
}

static bool is_name_op(const struct tape_op *op)
{
    return op->kind == TAPE_LINK || op->kind == TAPE_UNLINK || op->kind == TAPE_RENAME;
}

static void make_durable(int node)
{
    struct pending *list = &pending[node];

    for (size_t i = 0; i < list->n; i++) {
        const struct tape_op *op = &tape[list->ops[i]];

        if (is_name_op(op))
            apply_name(&durable_names, op);
        else
            apply_bytes(&durable[node], op);
    }
    list->n = 0;
}

/* What the disk refused is forgotten by the kernel: half of it was written, half never will be. */
static void lose_in_sync(int node)
{
    struct pending *list = &pending[node];

    for (size_t i = 0; i < list->n; i++) {
        const struct tape_op *op = &tape[list->ops[i]];

        if (is_name_op(op))
            continue;
        if (op->kind == TAPE_TRUNCATE || (list->ops[i] * UINT64_C(0x9e3779b97f4a7c15)) >> 63)
            apply_bytes(&durable[node], op);
    }
    if (!disk_nodes[node].is_folder)
        list->n = 0;
}

static void add_pending(int node, size_t op)
{
    struct pending *list = &pending[node];

    if ((list->n & (list->n + 1)) == 0) /* 0, 1, 3, 7 ...: room for twice as many */
        list->ops = checked(realloc(list->ops, (list->n + 1) * 2 * sizeof *list->ops));
    list->ops[list->n++] = op;
}

static void play_to(size_t at)
{
    for (; played < at; played++) {
        const struct tape_op *op = &tape[played];

        if (op->kind == TAPE_SYNC)
            make_durable(op->node);
        else if (op->kind == TAPE_SYNC_FAILED)
            lose_in_sync(op->node);
        else if (op->kind == TAPE_SYNC_ALL)
            for (int i = 0; i < disk_node_count; i++)
                make_durable(i);
        else
            add_pending(is_name_op(op) ? op->folder : op->node, played);
    }
}

/* ---- the tape ---- */

struct tape_op *tape_add(enum tape_kind kind, int node)
{
    if (tape_n == tape_size) {
        tape_size = tape_size == 0 ? 1024 : tape_size * 2;
        tape = checked(realloc(tape, tape_size * sizeof *tape));
    }
    tape[tape_n] = (struct tape_op){.kind = kind, .node = node};
    return &tape[tape_n++];
}

void tape_erase(void)
{
    for (size_t i = 0; i < tape_n; i++) {
        free(tape[i].name);
        free(tape[i].to);
        free(tape[i].bytes);
    }
    tape_n = played = 0;
    for (int i = 0; i < disk_node_count; i++) {
        free(durable[i].p);
        free(pending[i].ops);
        durable[i] = (struct contents){0};
        pending[i] = (struct pending){0};
    }
    clear_names(&live);
    clear_names(&durable_names);
    disk_node_count = 1;
    disk_nodes[DISK_ROOT].is_folder = true;
}

static void take_file(const char *path, int node)
{
    unsigned char piece[65536];
    FILE *f = fopen(path, "r");
    size_t n;

    while (f != NULL && (n = fread(piece, 1, sizeof piece, f)) > 0)
        write_at(&durable[node], durable[node].n, piece, n);
    if (f != NULL)
        fclose(f);
}

void tape_take_folder(const char *path, int folder)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    char sub[PATH_ROOM];

    while (d != NULL && (e = readdir(d)) != NULL) {
        int node;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        node = disk_new_node(e->d_type == DT_DIR);
        names_set(folder, e->d_name, node);
        set_name(&durable_names, folder, e->d_name, node);
        if (e->d_type == DT_DIR)
            tape_take_folder(sub, node);
        else
            take_file(sub, node);
    }
    if (d != NULL)
        closedir(d);
}

size_t disk_length(void)
{
    return tape_n;
}

bool disk_is_sync(size_t at)
{
    return at < tape_n && (tape[at].kind == TAPE_SYNC || tape[at].kind == TAPE_SYNC_ALL);
}

size_t disk_count_syncs(void)
{
    size_t n = 0;

    for (size_t i = 0; i < tape_n; i++)
        n += disk_is_sync(i);
    return n;
}

/* ---- losing power ---- */

struct loss {
    enum disk_loss how;
    uint64_t state; /* of the generator */
    unsigned percent; /* of operations that are kept */
    size_t last;    /* DISK_LOSES_LAST: the first operation that is lost */
};

static const char *const loss_names[DISK_LOSSES] = {"all", "nothing", "names", "bytes", "last", "files", "some"};

const char *disk_loss_name(enum disk_loss how)
{
    return loss_names[how];
}

/* xorshift64*: the same seed must give the same folder on every machine. */
static uint64_t next_random(struct loss *loss)
{
    loss->state ^= loss->state >> 12;
    loss->state ^= loss->state << 25;
    loss->state ^= loss->state >> 27;
    return loss->state * UINT64_C(2685821657736338717);
}

static bool chance(struct loss *loss, unsigned percent)
{
    return (next_random(loss) >> 33) % 100 < percent;
}

static bool keeps(struct loss *loss, size_t op)
{
    switch (loss->how) {
    case DISK_LOSES_NOTHING:
        return true;
    case DISK_LOSES_NAMES:
        return !is_name_op(&tape[op]);
    case DISK_LOSES_BYTES:
        return is_name_op(&tape[op]);
    case DISK_LOSES_LAST:
        return op < loss->last;
    case DISK_LOSES_SOME:
        return chance(loss, loss->percent);
    case DISK_LOSES_ALL:
    case DISK_LOSES_FILES:
    case DISK_LOSSES:
        break;
    }
    return false;
}

/* Some sectors of a write that was under way; the file may have grown by all of it. */
static void tear(struct loss *loss, struct contents *c, const struct tape_op *op)
{
    size_t end = op->offset + op->n, at = op->offset, before = c->n;
    bool garbage = chance(loss, 30);

    if (chance(loss, 60) && end > c->n) {
        set_size(c, end);
        for (size_t i = before; garbage && i < end; i++)
            c->p[i] = (unsigned char)next_random(loss);
    }
    while (at < end) {
        size_t n = SECTOR - at % SECTOR;

        if (n > end - at)
            n = end - at;
        if (chance(loss, loss->percent))
            write_at(c, at, op->bytes + (at - op->offset), n);
        at += n;
    }
}

static void lose_bytes(struct loss *loss, int node, struct contents *c)
{
    const struct pending *list = &pending[node];
    bool whole = loss->how == DISK_LOSES_FILES && chance(loss, 50);

    for (size_t i = 0; i < list->n; i++) {
        const struct tape_op *op = &tape[list->ops[i]];

        if (whole || keeps(loss, list->ops[i]))
            apply_bytes(c, op);
        else if (loss->how == DISK_LOSES_SOME && op->kind == TAPE_WRITE && chance(loss, 50))
            tear(loss, c, op);
    }
}

static void lose_names(struct loss *loss, int folder, struct names *names)
{
    const struct pending *list = &pending[folder];
    bool whole = loss->how == DISK_LOSES_FILES && chance(loss, 50);

    for (size_t i = 0; i < list->n; i++)
        if (whole || keeps(loss, list->ops[i]))
            apply_name(names, &tape[list->ops[i]]);
}

/* SQLite maps -shm into memory, past this disk, and makes it anew: anything may be in it. */
static void scramble(struct loss *loss, struct contents *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->p[i] = (unsigned char)next_random(loss);
}

static void write_file(struct loss *loss, const char *path, int node)
{
    struct contents c = {0};
    FILE *f = checked(fopen(path, "w"));
    size_t length = strlen(path);

    write_at(&c, 0, durable[node].p, durable[node].n);
    lose_bytes(loss, node, &c);
    if (length > 4 && strcmp(path + length - 4, "-shm") == 0)
        scramble(loss, &c);
    if (c.n > 0 && fwrite(c.p, 1, c.n, f) != c.n)
        abort();
    if (fclose(f) != 0)
        abort();
    free(c.p);
}

static void write_folder(struct loss *loss, const struct names *names, const char *path, int folder)
{
    char sub[PATH_ROOM];

    for (size_t i = 0; i < names->n; i++) {
        const struct name *name = &names->list[i];

        if (name->folder != folder)
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, name->text);
        if (!disk_nodes[name->node].is_folder) {
            write_file(loss, sub, name->node);
        } else {
            if (mkdir(sub, 0700) != 0)
                abort();
            write_folder(loss, names, sub, name->node);
        }
    }
}

static size_t oldest_pending(void)
{
    size_t oldest = played;

    for (int i = 0; i < disk_node_count; i++)
        if (pending[i].n > 0 && pending[i].ops[0] < oldest)
            oldest = pending[i].ops[0];
    return oldest;
}

void disk_lose_power(size_t at, enum disk_loss how, uint64_t seed, const char *folder)
{
    struct loss loss = {.how = how, .state = (seed + at) * UINT64_C(0x9e3779b97f4a7c15) + 1};
    struct names names = {0};
    size_t oldest;

    if (at < played)
        abort();
    play_to(at);
    loss.state |= 1;
    for (int i = 0; i < 8; i++)
        next_random(&loss);
    loss.percent = 10 + (unsigned)(next_random(&loss) >> 33) % 81;
    oldest = oldest_pending();
    loss.last = oldest + (size_t)(next_random(&loss) >> 33) % (at - oldest + 1);
    for (size_t i = 0; i < durable_names.n; i++)
        set_name(&names, durable_names.list[i].folder, durable_names.list[i].text, durable_names.list[i].node);
    for (int i = 0; i < disk_node_count; i++)
        if (disk_nodes[i].is_folder)
            lose_names(&loss, i, &names);
    write_folder(&loss, &names, folder, DISK_ROOT);
    clear_names(&names);
}

void disk_dump(size_t from, size_t to)
{
    static const char *const kinds[] = {"link", "unlink", "rename", "write", "truncate", "sync", "sync-all",
        "sync-failed"};

    for (size_t i = from; i < to && i < tape_n; i++)
        printf("%zu %s node %d in %d %s %s at %zu n %zu\n", i, kinds[tape[i].kind], tape[i].node, tape[i].folder,
            tape[i].name ? tape[i].name : "", tape[i].to ? tape[i].to : "", tape[i].offset, tape[i].n);
}

void disk_remove(const char *folder)
{
    DIR *d = opendir(folder);
    const struct dirent *e;
    char sub[PATH_ROOM];

    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(sub, sizeof sub, "%s/%s", folder, e->d_name);
        if (e->d_type == DT_DIR) {
            disk_remove(sub);
            rmdir(sub);
        } else {
            unlink(sub);
        }
    }
    if (d != NULL)
        closedir(d);
}
