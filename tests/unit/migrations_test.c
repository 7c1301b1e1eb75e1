/* The real schema files: from every version to the newest, over tables with rows in them, with every write made to
 * fail in turn. A new file in src/schema/NAME/ is covered as soon as it is there; so that the walk is not empty
 * while there is one version only, a made-up database with three goes the same way. */
#include "base/buf.h"
#include "db_world.h"
#include "fault_vfs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 999, ROWS = 5, FILE_MAX = 1 << 20 };

struct family {
    const char *name;
    const char *steps[STEPS_MAX];
    size_t n;
};

/* Everything a step may do to a table with rows. */
static const struct family made_up = {"made up",
    {"CREATE TABLE box (id @id, name TEXT NOT NULL UNIQUE, body @blob NOT NULL);"
     "CREATE TABLE tag (box BIGINT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (box, tag)) @clustered;",
        "ALTER TABLE box ADD COLUMN size BIGINT NOT NULL DEFAULT 0; UPDATE box SET size = length(body);"
        "CREATE INDEX box_size ON box (size);",
        "CREATE TABLE label (tag TEXT NOT NULL, box BIGINT NOT NULL, PRIMARY KEY (tag, box)) @clustered;"
        "INSERT INTO label (tag, box) SELECT tag, box FROM tag; DROP TABLE tag;"},
    3};

static char *file_text(const char *name)
{
    char *text = calloc(1, FILE_MAX);
    FILE *f = fopen(name, "r");

    if (f == NULL || text == NULL) {
        free(text);
        return NULL;
    }
    assert_true(fread(text, 1, FILE_MAX, f) < FILE_MAX);
    fclose(f);
    return text;
}

static void load(struct family *family, const char *name)
{
    char file[500];
    char *text;

    family->name = name;
    for (family->n = 0; family->n < STEPS_MAX; family->n++) {
        snprintf(file, sizeof file, "%s/%s/%04zu.sql", SCHEMA_FOLDER, name, family->n + 1);
        if ((text = file_text(file)) == NULL)
            break;
        family->steps[family->n] = text;
    }
    assert_true(family->n > 0);
}

static struct db *at_version(const struct family *family, size_t version)
{
    struct err err = {0};
    struct db *db;

    if (!db_open(&db, path, DB_SYNC_FULL, 1000, &err) || !db_migrate(db, family->steps, version, &err))
        fail_msg("%s, version %zu: %s", family->name, version, err.text);
    return db;
}

/* ---- tables nobody here knows ---- */

enum { TABLES_MAX = 50 };

struct table {
    char name[64];
    struct buf definition;
    int64_t rows;
};

struct tables {
    struct table t[TABLES_MAX];
    size_t n;
};

static void forget(struct tables *tables)
{
    for (size_t i = 0; i < tables->n; i++)
        buf_clear(&tables->t[i].definition);
    tables->n = 0;
}

/* All there are, with their indexes and how many rows they hold. */
static void look(struct db *db, struct tables *tables)
{
    struct stmt *s = stmt_new(db, "SELECT name, (SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema i "
                                  "WHERE i.tbl_name = t.name ORDER BY i.name)) FROM sqlite_schema t "
                                  "WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name");

    for (tables->n = 0; stmt_row(s); tables->n++) {
        struct table *t = &tables->t[tables->n];

        assert_true(tables->n < TABLES_MAX);
        snprintf(t->name, sizeof t->name, "%.*s", STR_ARG(column_str(s, 0)));
        buf_init(&t->definition, FILE_MAX);
        buf_add(&t->definition, column_str(s, 1));
    }
    assert_true(stmt_done(s, NULL));
    stmt_free(s);
    for (size_t i = 0; i < tables->n; i++) {
        char sql[100];

        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables->t[i].name);
        tables->t[i].rows = count(db, sql);
    }
}

/* Row n: in every column that number, or a text or bytes that show it. */
static void add_row(struct db *db, const char *table, int n)
{
    struct stmt *columns = stmt_new(db, "SELECT type FROM pragma_table_info($1)");
    struct err err = {0};
    struct buf sql;

    buf_init(&sql, 10000);
    buf_addf(&sql, "INSERT INTO %s VALUES", table);
    stmt_str(columns, str_of(table));
    for (char comma = '('; stmt_row(columns); comma = ',') {
        struct str type = column_str(columns, 0);

        buf_add_char(&sql, comma);
        if (str_eq(type, STR("BLOB")))
            buf_addf(&sql, "x'%04x'", (unsigned)n);
        else if (str_eq(type, STR("TEXT")))
            buf_addf(&sql, "'row %04d'", n);
        else
            buf_addf(&sql, "%d", n);
    }
    assert_true(stmt_done(columns, &err));
    stmt_free(columns);
    buf_add_char(&sql, ')');
    buf_add_char(&sql, 0);
    if (!db_exec(db, sql.p, &err))
        fail_msg("%s: %s", sql.p, err.text);
    buf_clear(&sql);
}

/* Tables that the schema itself gives rows to have them already. */
static void fill(struct db *db)
{
    static struct tables tables;

    look(db, &tables);
    for (size_t i = 0; i < tables.n; i++)
        for (int n = 1; n <= ROWS && tables.t[i].rows == 0; n++)
            add_row(db, tables.t[i].name, n);
    forget(&tables);
}

/* ---- the walk ---- */

static const struct table *same_table(const struct tables *tables, const struct table *like)
{
    for (size_t i = 0; i < tables->n; i++)
        if (strcmp(tables->t[i].name, like->name) == 0 &&
            str_eq(buf_str(&tables->t[i].definition), buf_str(&like->definition)))
            return &tables->t[i];
    return NULL;
}

/* The newest schema, and all the rows of tables that have not changed. */
static void check_newest(struct db *db, const struct family *family, const struct tables *before, const struct tables *new_one)
{
    static struct tables now;
    struct err err = {0};
    int64_t version;

    assert_true(db_version(db, &version, &err) && version == (int64_t)family->n);
    if (!db_check_integrity(db, &err))
        fail_msg("%s: %s", family->name, err.text);
    look(db, &now);
    assert_int_equal(now.n, new_one->n);
    for (size_t i = 0; i < now.n; i++) {
        const struct table *old = same_table(before, &now.t[i]);

        if (same_table(new_one, &now.t[i]) == NULL)
            fail_msg("%s: table %s is another one than in a new database", family->name, now.t[i].name);
        if (old != NULL && old->rows != now.t[i].rows)
            fail_msg("%s: table %s has %" PRId64 " of %" PRId64 " rows", family->name, now.t[i].name, now.t[i].rows, old->rows);
    }
    forget(&now);
}

/* One step of the way fails at its operation number n; true while there was one. */
static bool fail_on_the_way(const struct family *family, size_t from, int n, const struct tables *new_one)
{
    static struct tables before;
    struct err err = {0};
    struct db *db;
    int64_t version = 0;
    bool done, failed;

    fresh(NULL);
    db = at_version(family, from);
    fill(db);
    look(db, &before);
    db_close(db);
    fault_at(n, n % 2 == 0);
    done = db_open(&db, path, DB_SYNC_FULL, 1000, &err) && db_migrate(db, family->steps, family->n, &err);
    failed = fault_happened();
    db_close(db);
    fault_at(0, false);
    if (!done && !failed)
        fail_msg("%s from version %zu: %s", family->name, from, err.text);
    assert_true(db_open(&db, path, DB_SYNC_FULL, 1000, &err) && db_version(db, &version, &err));
    assert_true(version >= (int64_t)from && version <= (int64_t)family->n);
    if (!db_migrate(db, family->steps, family->n, &err))
        fail_msg("%s from version %" PRId64 ": %s", family->name, version, err.text);
    check_newest(db, family, &before, new_one);
    db_close(db);
    forget(&before);
    return failed;
}

/* A database made by a newer program is refused and stays as it is. */
static void refuse_the_future(const struct family *family, const struct tables *new_one)
{
    struct err err = {0};
    struct db *db;
    char sql[80];

    fresh(NULL);
    db = at_version(family, family->n);
    snprintf(sql, sizeof sql, "UPDATE staffetta_schema SET version = %zu", family->n + 1);
    assert_true(db_exec(db, sql, &err));
    assert_false(db_migrate(db, family->steps, family->n, &err));
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_non_null(strstr(err.text, "newer Staffetta"));
    snprintf(sql, sizeof sql, "UPDATE staffetta_schema SET version = %zu", family->n);
    assert_true(db_exec(db, sql, &err));
    check_newest(db, family, new_one, new_one);
    db_close(db);
}

static void walk(const struct family *family)
{
    static struct tables new_one;
    struct db *db;

    fresh(NULL);
    db = at_version(family, family->n);
    look(db, &new_one);
    db_close(db);
    for (size_t from = 0; from <= family->n; from++) {
        int n = 1;

        while (fail_on_the_way(family, from, n, &new_one))
            n++;
        assert_true(from == family->n || n > 5); /* the faults did reach the steps */
    }
    refuse_the_future(family, &new_one);
    forget(&new_one);
}

static void a_made_up_database(void **state)
{
    (void)state;
    walk(&made_up);
}

static void real(const char *name)
{
    static struct family family;

    load(&family, name);
    walk(&family);
    for (size_t i = 0; i < family.n; i++)
        free((void *)(uintptr_t)family.steps[i]);
}

static void directory(void **state)
{
    (void)state;
    real("directory");
}

static void events(void **state)
{
    (void)state;
    real("events");
}

static void mailbox(void **state)
{
    (void)state;
    real("mailbox");
}

static void queue(void **state)
{
    (void)state;
    real("queue");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_made_up_database),
        cmocka_unit_test(directory),
        cmocka_unit_test(events),
        cmocka_unit_test(mailbox),
        cmocka_unit_test(queue),
    };
    int failed;

    world_begin();
    fault_install();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_end();
    return failed;
}
