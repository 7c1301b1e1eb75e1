/* The world of a DMARC check under test: what was asked, and records to answer with. */
#pragma once
#include "dns/records.h"
#include "mailauth/dmarc.h"
#include "mailauth/dmarc_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUESTIONS_MAX = (DMARC_WALK_MAX + 1) * DMARC_AUTHORS_MAX * (DMARC_SIGNERS_MAX + 2) };

struct lookups {
    char names[QUESTIONS_MAX][DNS_NAME_TEXT + 8];
    unsigned types[QUESTIONS_MAX];
    size_t n;
    bool over;
};

/* Its owner is a struct lookups. */
extern const struct dmarc_world dmarc_test_world;

/* Adds a TXT record. */
void dmarc_test_pack(struct str text, struct buf *out);
