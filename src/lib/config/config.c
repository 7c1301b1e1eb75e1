/* Reads staffetta.conf: libconfuse knows the grammar, table.h what may stand in it. libconfuse hands
 * over every value as text while it still knows the line; that is where a value is checked. When the
 * whole file was read, the values (or the defaults) are stored, and check.c compares them. */
#include "config/reading.h"
#include "config/text.h"
#include "config/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_FILE = 100000, ARENA = 4 << 20 };

/* Carries the struct reading to the error function, which libconfuse gives no other way. */
static const char self[] = "\1";

/* libconfuse's messages in our words; each gets the name in it twice. */
static const struct {
    const char *theirs, *ours;
} wordings[] = {
    {"found duplicate title '%s'", "a second section \"%s\": expected different names"},
    {"missing equal sign after option '%s'", "no = after %s: expected %s = value"},
    {"missing opening brace for section '%s'", "no { after %s: expected %s { directives }"},
    {"missing title for section '%s'", "section %s has no name: expected %s \"name\" { directives }"},
    {"attempt to append to non-list option '%s'", "+= after %s: expected %s = value"},
    {"unexpected token '%s'", "unexpected %s: expected a name, a value or a comma"},
};

bool reading_fail(struct reading *r, int line, const char *format, ...)
{
    char text[sizeof r->err->text];
    va_list args;

    if (r->failed)
        return false;
    r->failed = true;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return err_set(r->err, ERR_PERMANENT, "%.*s:%d: %.300s", STR_ARG(r->path), line, text);
}

static struct reading *reading_of(cfg_t *cfg)
{
    return (void *)cfg_getopt(cfg, self)->simple_value.ptr;
}

int reading_line(cfg_t *section, const char *directive)
{
    int line = (int)cfg_getopt(section, directive)->def.fpnumber;

    return line ? line : section->line;
}

/* An empty list has no value, but its flags tell that it was there. */
bool reading_given(cfg_t *section, const char *directive)
{
    cfg_opt_t *opt = cfg_getopt(section, directive);

    return opt->nvalues > 0 || (opt->flags & (CFGF_RESET | CFGF_MODIFIED)) != 0;
}

void *reading_alloc(struct reading *r, size_t count, size_t size)
{
    void *p = arena_alloc(&r->config->arena, count * size + 1);

    if (p == NULL)
        reading_fail(r, 1, "the configuration is too large: expected fewer directives");
    return p;
}

/* ---- messages ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters differ (Levenshtein), for names of up to 63 letters. */
static size_t distance(struct str a, struct str b)
{
    size_t row[64];

    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t corner = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t above = row[j];

            row[j] = least(least(above, row[j - 1]) + 1, corner + (a.p[i - 1] != b.p[j - 1]));
            corner = above;
        }
    }
    return row[b.n];
}

static void fail_unknown(struct reading *r, cfg_t *cfg, const char *name)
{
    const char *nearest = NULL;
    size_t best = 4;

    for (cfg_opt_t *o = cfg->opts; o->name != NULL; o++) {
        size_t d = o->type == CFGT_PTR || strlen(name) > 63 ? best : distance(str_of(name), str_of(o->name));

        if (d < best && d * 2 < strlen(o->name)) {
            best = d;
            nearest = o->name;
        }
    }
    if (nearest != NULL)
        reading_fail(r, cfg->line, "unknown directive %.63s: expected %s?", name, nearest);
    else if (cfg == r->root)
        reading_fail(r, cfg->line, "unknown directive %.63s: expected one of staffetta.conf(5)", name);
    else
        reading_fail(r, cfg->line, "unknown directive %.63s: expected one of section %s in staffetta.conf(5)",
            name, cfg->name);
}

PRINTF(2, 0) static void on_error(cfg_t *cfg, const char *format, va_list args)
{
    struct reading *r = reading_of(cfg);
    char text[300];

    if (strcmp(format, "no such option '%s'") == 0) {
        fail_unknown(r, cfg, va_arg(args, const char *));
        return;
    }
    for (size_t i = 0; i < sizeof wordings / sizeof *wordings; i++) {
        if (strcmp(format, wordings[i].theirs) == 0) {
            char name[64];

            snprintf(name, sizeof name, "%s", va_arg(args, const char *));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text, sizeof text, wordings[i].ours, name, name);
#pragma GCC diagnostic pop
            reading_fail(r, cfg->line, "%s", text);
            return;
        }
    }
    vsnprintf(text, sizeof text, format, args);
    reading_fail(r, cfg->line, "%s: expected name = value or a section", text);
}

/* ---- first pass: libconfuse ---- */

/* def.number of an option is its place in the tables, def.fpnumber the line it was given in. */
enum { PLACES = 1000 };

static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    const struct config_section *section = &config_sections[opt->def.number / PLACES];
    const struct config_directive *d = &section->directives[opt->def.number % PLACES];
    struct reading *r = reading_of(cfg);
    struct buf expected;
    bool fits;

    if (opt->def.fpnumber != 0 && opt->nvalues <= 1) {
        reading_fail(r, cfg->line, "%s is given twice: expected once (first in line %d)", d->name,
            (int)opt->def.fpnumber);
        return -1;
    }
    buf_init(&expected, 256);
    fits = value_fits(d->kind, config_rule_of(section, d), str_of(value), &expected);
    if (!fits)
        reading_fail(r, cfg->line, "%s = \"%.100s\": expected %.*s", d->name, value, STR_ARG(expected));
    buf_clear(&expected);
    if (opt->def.fpnumber == 0)
        opt->def.fpnumber = cfg->line;
    memcpy(result, &value, sizeof value);
    return fits ? 0 : -1;
}

/* Somebody wrote the name of our hidden option into the file. */
static int on_self(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    (void)opt, (void)value, (void)result;
    reading_fail(reading_of(cfg), cfg->line, "unknown directive: expected one of staffetta.conf(5)");
    return -1;
}

static bool is_list(const struct config_directive *d)
{
    return d->kind == KIND_LIST || d->kind == KIND_SPANS;
}

/* The options of one section, with room for `more` after them. Freed by the caller. */
static cfg_opt_t *section_options(struct reading *r, size_t place, size_t more)
{
    const struct config_section *s = &config_sections[place];
    cfg_opt_t *opts = xcalloc(s->n + 2 + more, sizeof *opts);

    for (size_t i = 0; i < s->n; i++) {
        opts[i] = (cfg_opt_t){.name = s->directives[i].name, .type = CFGT_STR, .parsecb = on_value};
        opts[i].flags = CFGF_NODEFAULT | (is_list(&s->directives[i]) ? CFGF_LIST : 0);
        opts[i].def.number = (long)(place * PLACES + i);
    }
    opts[s->n] = (cfg_opt_t){.name = self, .type = CFGT_PTR, .parsecb = on_self};
    opts[s->n].simple_value.ptr = (void *)r;
    return opts;
}

static cfg_t *open_parser(struct reading *r)
{
    cfg_opt_t *all = section_options(r, CONFIG_AT_NODE, CONFIG_SECTIONS);
    size_t base = config_sections[CONFIG_AT_NODE].n; /* [base] is the hidden option */
    cfg_t *cfg;

    for (size_t i = 1; i < CONFIG_SECTIONS; i++) {
        const struct config_section *s = &config_sections[i];

        all[base + i] = (cfg_opt_t){.name = s->name, .type = CFGT_SEC, .subopts = section_options(r, i, 0)};
        all[base + i].flags = s->many ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE;
    }
    cfg = cfg_init(all, CFGF_NONE);
    if (cfg == NULL)
        fatal("out of memory");
    for (size_t i = 1; i < CONFIG_SECTIONS; i++)
        free(all[base + i].subopts);
    free(all);
    cfg_set_error_function(cfg, on_error);
    return cfg;
}

/* ---- second pass: into the struct ---- */

static struct str_list values_of(struct reading *r, const struct config_directive *d, cfg_t *cfg)
{
    cfg_opt_t *opt = cfg == NULL ? NULL : cfg_getopt(cfg, d->name);
    struct str rest = str_of(d->standard), word;
    bool given = opt != NULL && reading_given(cfg, d->name);
    struct str_list list = {.n = given ? opt->nvalues : 1};

    if (!given && is_list(d))
        for (list.n = 0; str_next_word(&rest, &word);)
            list.n++;
    list.items = reading_alloc(r, list.n, sizeof *list.items);
    rest = str_of(d->standard);
    for (size_t i = 0; i < list.n && !r->failed; i++) {
        if (given)
            word = str_of(opt->values[i]->string);
        else if (!is_list(d) || !str_next_word(&rest, &word))
            word = rest;
        list.items[i] = arena_str(&r->config->arena, word);
        if (list.items[i].p == NULL)
            reading_fail(r, 1, "the configuration is too large: expected less text");
    }
    return list;
}

static void store_spans(struct reading *r, struct span_list *spans, struct str_list values)
{
    spans->n = values.n;
    spans->items = reading_alloc(r, values.n, sizeof *spans->items);
    for (size_t i = 0; i < values.n && spans->items != NULL; i++)
        if (!value_span(values.items[i], &spans->items[i]))
            fatal("config: a default is malformed");
}

/* The values were checked by on_value; only a malformed default could fail here. */
static void store(struct reading *r, const struct config_directive *d, void *target, struct str_list values)
{
    void *at = (char *)target + d->offset;
    bool ok = true;

    switch (d->kind) {
    case KIND_TEXT:
        *(struct str *)at = values.items[0];
        break;
    case KIND_NUMBER:
        ok = value_number(values.items[0], at);
        break;
    case KIND_SWITCH:
        ok = value_switch(values.items[0], at);
        break;
    case KIND_SPAN:
        ok = value_span(values.items[0], at);
        break;
    case KIND_SIZE:
        ok = value_size(values.items[0], at);
        break;
    case KIND_LIST:
        *(struct str_list *)at = values;
        break;
    case KIND_SPANS:
        store_spans(r, at, values);
        break;
    }
    if (!ok)
        fatal("config: the default of %s is malformed", d->name);
}

/* cfg NULL: a section that is not there, with all its defaults. */
static void store_section(struct reading *r, const struct config_section *s, cfg_t *cfg, void *target)
{
    for (size_t i = 0; i < s->n && !r->failed; i++) {
        struct str_list values = values_of(r, &s->directives[i], cfg);

        if (!r->failed)
            store(r, &s->directives[i], target, values);
    }
}

static void store_listeners(struct reading *r)
{
    struct config *c = r->config;

    c->listener_count = cfg_size(r->root, "listen");
    c->listeners = reading_alloc(r, c->listener_count, sizeof *c->listeners);
    for (size_t i = 0; i < c->listener_count && !r->failed; i++) {
        cfg_t *cfg = cfg_getnsec(r->root, "listen", (unsigned)i);

        c->listeners[i].name = arena_str(&c->arena, str_of(cfg_title(cfg)));
        store_section(r, &config_sections[CONFIG_AT_LISTEN], cfg, &c->listeners[i]);
    }
}

static void store_certificates(struct reading *r)
{
    struct config *c = r->config;

    c->certificate_count = cfg_size(r->root, "certificate");
    c->certificates = reading_alloc(r, c->certificate_count, sizeof *c->certificates);
    for (size_t i = 0; i < c->certificate_count && !r->failed; i++) {
        cfg_t *cfg = cfg_getnsec(r->root, "certificate", (unsigned)i);

        c->certificates[i].name = arena_str(&c->arena, str_of(cfg_title(cfg)));
        store_section(r, &config_sections[CONFIG_AT_CERTIFICATE], cfg, &c->certificates[i]);
    }
}

static void store_mta_sts(struct reading *r)
{
    struct config *c = r->config;

    c->mta_sts_count = cfg_size(r->root, "mta_sts");
    c->mta_sts = reading_alloc(r, c->mta_sts_count, sizeof *c->mta_sts);
    for (size_t i = 0; i < c->mta_sts_count && !r->failed; i++) {
        cfg_t *cfg = cfg_getnsec(r->root, "mta_sts", (unsigned)i);

        c->mta_sts[i].name = arena_str(&c->arena, str_of(cfg_title(cfg)));
        store_section(r, &config_sections[CONFIG_AT_MTA_STS], cfg, &c->mta_sts[i]);
    }
    store_section(r, &config_sections[CONFIG_AT_MTA_STS], NULL, &c->mta_sts_standard);
}

static void store_all(struct reading *r)
{
    store_section(r, &config_sections[CONFIG_AT_NODE], r->root, r->config);
    for (size_t i = CONFIG_AT_LIMITS; i <= CONFIG_AT_COPIES; i++)
        store_section(r, &config_sections[i], cfg_getsec(r->root, config_sections[i].name), r->config);
    store_listeners(r);
    store_certificates(r);
    store_mta_sts(r);
}

bool config_parse(struct config **config, struct str path, struct str text, struct err *err)
{
    struct reading r = {.path = path, .err = err};
    struct buf clean;
    int line;

    buf_init(&clean, LONGEST_FILE + 1);
    if (!config_text_clean(&clean, text, &line, err)) {
        buf_clear(&clean);
        return err_prefix(err, "%.*s:%d", STR_ARG(path), line);
    }
    r.config = xcalloc(1, sizeof *r.config);
    arena_init(&r.config->arena, ARENA);
    r.root = open_parser(&r);
    if (cfg_parse_buf(r.root, clean.p) != CFG_SUCCESS)
        reading_fail(&r, r.root->line, "syntax error: expected name = value or a section");
    if (!r.failed)
        store_all(&r);
    if (!r.failed)
        reading_check(&r);
    cfg_free(r.root);
    buf_clear(&clean);
    if (r.failed) {
        config_free(r.config);
        return false;
    }
    *config = r.config;
    return true;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    arena_clear(&config->arena);
    free(config);
}
