/* The plain model of an account's database, and what changes both; the inside of store_model_test. */
#pragma once
#include "store_world.h"

#define err world_err

enum { FOLDERS = 14, MESSAGES = 40, KEYWORDS = 70 };

struct m_message {
    uint32_t uid;
    int64_t flags, modseq, content;
    bool keywords[KEYWORDS];
};

struct m_folder {
    int64_t id, uidvalidity, uidnext;
    char name[100];
    size_t n;
    struct m_message messages[MESSAGES];
};

struct model {
    size_t n;
    struct m_folder folders[FOLDERS + 6];
};

/* As the open transaction should have it. */
extern struct model now;
extern struct store *s;
extern int64_t highest_modseq; /* of what was committed */

uint64_t chance(uint64_t below);
struct m_folder *pick(void);
struct folder *real(const struct m_folder *m);

/* store_model_many.c: false, a statement has failed. */
bool copy_many(void);
bool flag_many(void);
