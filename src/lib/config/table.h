/* Inside of config/: the directives of config.h as data, one row each, and the rules their values keep. */
#pragma once
#include "config/config.h"

enum config_kind {
    KIND_TEXT,
    KIND_NUMBER,
    KIND_SWITCH,
    KIND_SPAN,
    KIND_SIZE,
    KIND_LIST,
    KIND_SPANS,
};

/* What a value must keep beyond its kind. min and max are for numbers, times and sizes; valid and
 * expected for text and each member of a list. */
struct config_rule {
    int64_t min, max;
    bool (*valid)(struct str value);
    const char *expected;
};

struct config_directive {
    const char *name;
    enum config_kind kind;
    const char *standard; /* the default, as written in a file */
    const char *doc;
    size_t offset; /* in struct config, config_listen or config_certificate */
};

struct config_section {
    const char *name; /* "" for the node's own directives */
    bool many;        /* listen "name" { } may stand more than once */
    const struct config_directive *directives;
    size_t n;
    const char *doc;
};

enum { CONFIG_AT_NODE, CONFIG_AT_LIMITS, CONFIG_AT_QUEUE, CONFIG_AT_RELAY, CONFIG_AT_AUTH, CONFIG_AT_DKIM, CONFIG_AT_FORWARD,
    CONFIG_AT_CHECK, CONFIG_AT_ACME, CONFIG_AT_COPIES, CONFIG_AT_LISTEN, CONFIG_AT_CERTIFICATE, CONFIG_AT_MTA_STS, CONFIG_SECTIONS };
extern const struct config_section config_sections[CONFIG_SECTIONS];

/* The rule of a directive; never NULL. */
const struct config_rule *config_rule_of(const struct config_section *section, const struct config_directive *d);
