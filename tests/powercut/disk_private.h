/* The tape, shared by disk_calls.c (writes it) and disk_tape.c (plays it). */
#pragma once
#include "disk.h"

enum tape_kind {
    TAPE_LINK,     /* name in folder is node now */
    TAPE_UNLINK,
    TAPE_RENAME,   /* name becomes to, both in folder; node */
    TAPE_WRITE,    /* bytes at offset of node */
    TAPE_TRUNCATE, /* node has size offset now */
    TAPE_SYNC,     /* of node, file or folder */
    TAPE_SYNC_ALL,
    TAPE_SYNC_FAILED, /* of node */
};

struct tape_op {
    enum tape_kind kind;
    int node, folder;
    char *name, *to;
    unsigned char *bytes;
    size_t offset, n;
};

enum { DISK_NODES = 65536, DISK_ROOT = 0 };

/* Files and folders that ever were; number 0 is the root. */
struct disk_node {
    bool is_folder;
};

extern struct tape_op *tape;
extern size_t tape_n;
extern struct disk_node disk_nodes[DISK_NODES];
extern int disk_node_count;

struct tape_op *tape_add(enum tape_kind kind, int node);
void tape_erase(void); /* and what was made of it */
/* What is in the folder now becomes the durable state: nodes are made for all of it by `name_node`. */
void tape_take_folder(const char *path, int folder);
int disk_new_node(bool is_folder);
/* The live names (as the program sees them): -1 for none. */
int names_find(int folder, const char *name);
void names_set(int folder, const char *name, int node); /* -1 removes */
void names_clear(void);
