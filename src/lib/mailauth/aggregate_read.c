/* See aggregate_read.h. */
#include "aggregate_read.h"
#include "base/arena.h"
#include "base/ip.h"
#include "base/map.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 24, TEXT = 1024, VALUE = 255, LINE_TEXT = 1024, KEPT = 4 * 1024 * 1024 };

enum value {
    ORGANISATION, CONTACT, REPORT_ID, BEGINS, ENDS, DOMAIN, POLICY, /* of the report */
    SOURCE, COUNT, ACTION, DKIM, SPF, AUTHOR,                       /* of a record */
    VALUES,
};
enum { FIRST_OF_RECORD = SOURCE };

static const struct {
    const char *parent, *name;
} places[VALUES] = {
    [ORGANISATION] = {"report_metadata", "org_name"}, [CONTACT] = {"report_metadata", "email"},
    [REPORT_ID] = {"report_metadata", "report_id"}, [BEGINS] = {"date_range", "begin"}, [ENDS] = {"date_range", "end"},
    [DOMAIN] = {"policy_published", "domain"}, [POLICY] = {"policy_published", "p"}, [SOURCE] = {"row", "source_ip"},
    [COUNT] = {"row", "count"}, [ACTION] = {"policy_evaluated", "disposition"}, [DKIM] = {"policy_evaluated", "dkim"},
    [SPF] = {"policy_evaluated", "spf"}, [AUTHOR] = {"identifiers", "header_from"},
};

struct line {
    struct map_node node;
    struct str key; /* source, tab, name, tab, result */
    uint64_t count;
};

struct aggregate_reader {
    XML_Parser xml;
    char names[AGGREGATE_DEPTH_MAX][NAME];
    int depth;
    struct buf text, values[VALUES];
    struct arena arena; /* lines */
    struct map lines;
    int64_t begins, ends;
    const char *why;
};

/* ---- memory of expat: bounded. Its allocator has no owner, so this is of all readers of the process together ---- */

static _Thread_local size_t xml_memory;

static void *xml_realloc(void *old, size_t n)
{
    size_t *block = old == NULL ? NULL : (size_t *)old - 2, before = block == NULL ? 0 : *block;

    if (n > AGGREGATE_XML_MEMORY || xml_memory - before + n > AGGREGATE_XML_MEMORY)
        return NULL;
    block = realloc(block, n + 2 * sizeof *block);
    if (block == NULL)
        return NULL;
    xml_memory = xml_memory - before + n;
    *block = n;
    return block + 2;
}

static void *xml_malloc(size_t n)
{
    return xml_realloc(NULL, n);
}

static void xml_free(void *p)
{
    size_t *block = p == NULL ? NULL : (size_t *)p - 2;

    if (block != NULL)
        xml_memory -= *block;
    free(block);
}

static const XML_Memory_Handling_Suite memory = {xml_malloc, xml_realloc, xml_free};

/* ---- */

static void fail(struct aggregate_reader *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
    XML_StopParser(r->xml, XML_FALSE);
}

/* Printable ASCII only: what others write goes into a database, a terminal and JSON. */
static void keep(struct buf *out, struct str text)
{
    text = str_sub(str_trim(text), 0, VALUE);
    buf_reset(out);
    for (size_t i = 0; i < text.n; i++)
        buf_add_char(out, text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i]);
}

static struct str value(const struct aggregate_reader *r, enum value v)
{
    return buf_str(&r->values[v]);
}

/* One of the words, or "other". */
static const char *one_of(struct str text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_ieq(text, str_of(words[i])))
            return words[i];
    return "other";
}

static void add_line(struct aggregate_reader *r, struct str key, uint64_t count)
{
    uint64_t hash = map_hash_str(key);
    struct line *line;

    for (struct map_node *n = map_find(&r->lines, hash); n != NULL; n = map_find_next(n)) {
        line = CONTAINER(n, struct line, node);
        if (str_eq(line->key, key)) {
            line->count += count;
            return;
        }
    }
    line = r->lines.count < AGGREGATE_LINES_MAX ? arena_alloc(&r->arena, sizeof *line) : NULL;
    if (line == NULL) {
        fail(r, "too many different results");
        return;
    }
    *line = (struct line){.key = arena_str(&r->arena, key), .count = count};
    if (line->key.p == NULL)
        fail(r, "too many different results");
    else
        map_add(&r->lines, &line->node, hash);
}

static void end_record(struct aggregate_reader *r)
{
    static const char *const actions[] = {"none", "pass", "quarantine", "reject"}, *const results[] = {"pass", "fail"};
    char ip_text[IP_TEXT];
    struct buf key;
    uint64_t count;
    struct ip ip;

    if (!ip_parse(value(r, SOURCE), &ip) || !str_to_u64(value(r, COUNT), UINT64_C(1000000000000), &count)) {
        fail(r, "a record without an address or a count");
        return;
    }
    ip_format(&ip, ip_text);
    buf_init(&key, LINE_TEXT);
    buf_addf(&key, "%s\t%.*s\t%s dkim=%s spf=%s", ip_text, STR_ARG(value(r, AUTHOR)), one_of(value(r, ACTION), actions, 4),
        one_of(value(r, DKIM), results, 2), one_of(value(r, SPF), results, 2));
    add_line(r, buf_str(&key), count);
    buf_clear(&key);
    for (int v = FIRST_OF_RECORD; v < VALUES; v++)
        buf_reset(&r->values[v]);
}

/* The name without its namespace. */
static const char *local(const char *name)
{
    const char *colon = strrchr(name, ':');

    return colon == NULL ? name : colon + 1;
}

static void XMLCALL on_start(void *owner, const XML_Char *name, const XML_Char **attributes)
{
    struct aggregate_reader *r = owner;
    size_t n = strlen(local(name));

    (void)attributes;
    if (r->why != NULL)
        return; /* some calls come after the stop */
    if (r->depth == AGGREGATE_DEPTH_MAX) {
        fail(r, "too deep");
        return;
    }
    n = n < NAME - 1 ? n : NAME - 1;
    memcpy(r->names[r->depth], local(name), n);
    r->names[r->depth][n] = 0;
    if (r->depth++ == 0 && strcmp(r->names[0], "feedback") != 0)
        fail(r, "no aggregate report");
    buf_reset(&r->text);
}

static void XMLCALL on_end(void *owner, const XML_Char *name)
{
    struct aggregate_reader *r = owner;
    const char *own, *parent;

    (void)name;
    if (r->why != NULL)
        return;
    own = r->names[--r->depth];
    parent = r->depth > 0 ? r->names[r->depth - 1] : "";
    for (int v = 0; v < VALUES; v++)
        if (strcmp(own, places[v].name) == 0 && strcmp(parent, places[v].parent) == 0)
            keep(&r->values[v], buf_str(&r->text));
    if (r->depth == 1 && strcmp(own, "record") == 0)
        end_record(r);
    buf_reset(&r->text);
}

static void XMLCALL on_text(void *owner, const XML_Char *text, int n)
{
    struct aggregate_reader *r = owner;
    size_t room = TEXT - r->text.n;

    if (r->why != NULL)
        return;
    buf_add(&r->text, str_from(text, (size_t)n < room ? (size_t)n : room));
}

static void XMLCALL on_doctype(void *owner, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    fail(owner, "a document type, which no report has");
}

struct aggregate_reader *aggregate_reader_new(void)
{
    struct aggregate_reader *r = xcalloc(1, sizeof *r);

    r->xml = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (r->xml == NULL)
        fatal("out of memory");
    XML_SetUserData(r->xml, r);
    XML_SetElementHandler(r->xml, on_start, on_end);
    XML_SetCharacterDataHandler(r->xml, on_text);
    XML_SetStartDoctypeDeclHandler(r->xml, on_doctype);
    buf_init(&r->text, TEXT);
    for (int v = 0; v < VALUES; v++)
        buf_init(&r->values[v], VALUE);
    arena_init(&r->arena, KEPT);
    map_init(&r->lines);
    return r;
}

void aggregate_reader_free(struct aggregate_reader *r)
{
    if (r == NULL)
        return;
    XML_ParserFree(r->xml);
    buf_clear(&r->text);
    for (int v = 0; v < VALUES; v++)
        buf_clear(&r->values[v]);
    map_clear(&r->lines);
    arena_clear(&r->arena);
    free(r);
}

static bool parse(struct aggregate_reader *r, struct str bytes, bool last)
{
    if (r->why == NULL && XML_Parse(r->xml, bytes.p, (int)bytes.n, last) != XML_STATUS_OK && r->why == NULL)
        r->why = XML_ErrorString(XML_GetErrorCode(r->xml));
    return r->why == NULL;
}

bool aggregate_reader_add(struct aggregate_reader *r, struct str bytes)
{
    return parse(r, bytes, false);
}

static bool read_time(struct str text, int64_t *time)
{
    uint64_t n;
    bool ok = str_to_u64(text, UINT64_C(253402300799), &n);

    *time = ok ? (int64_t)n : 0;
    return ok;
}

bool aggregate_reader_end(struct aggregate_reader *r)
{
    if (!parse(r, STR(""), true))
        return false;
    if (value(r, ORGANISATION).n == 0 || value(r, REPORT_ID).n == 0 || value(r, DOMAIN).n == 0)
        r->why = "no name, report id or domain";
    else if (!read_time(value(r, BEGINS), &r->begins) || !read_time(value(r, ENDS), &r->ends) || r->begins > r->ends)
        r->why = "no period";
    else if (r->lines.count == 0)
        r->why = "no record";
    return r->why == NULL;
}

const char *aggregate_reader_why(const struct aggregate_reader *r)
{
    return r->why == NULL ? "" : r->why;
}

void aggregate_reader_head(const struct aggregate_reader *r, struct aggregate_head *head)
{
    *head = (struct aggregate_head){.reporter = value(r, ORGANISATION), .contact = value(r, CONTACT), .report_id = value(r, REPORT_ID),
        .domain = value(r, DOMAIN), .policy = value(r, POLICY), .begins = r->begins, .ends = r->ends};
}

bool aggregate_reader_next(const struct aggregate_reader *r, const void **at, struct aggregate_line *line)
{
    const struct map_node *n = map_walk(&r->lines, *at);
    const struct line *found;
    ptrdiff_t first, last;

    if (n == NULL)
        return false;
    *at = n;
    found = CONTAINER((struct map_node *)(uintptr_t)n, struct line, node);
    first = str_find(found->key, '\t');
    last = str_rfind(found->key, '\t');
    *line = (struct aggregate_line){.source = str_sub(found->key, 0, (size_t)first),
        .name = str_sub(found->key, (size_t)first + 1, (size_t)last), .result = str_skip(found->key, (size_t)last + 1), .count = found->count};
    return true;
}
