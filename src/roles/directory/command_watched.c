/* watched list|set|drop: what the daily check found the last time, kept for web, which has no data of its own. Not a command of the
 * command line: web alone may ask. */
#include "command.h"

#include "base/clock.h"
#include "base/json.h"

enum { PROBLEMS_MAX = 16 * 1024 };

static int list(struct command *c)
{
    struct err err = {0};
    int rows = 0, code = list_begin(c);
    struct stmt *s;

    if (code != 0)
        return code;
    s = store_stmt(c->store, SQL_WATCHED_LIST);
    stmt_str(s, c->sent == 0 ? STR("") : name_str(&c->after));
    stmt_int(s, c->sent == 0);
    stmt_int(s, LIST_SCAN);
    while (c->room > 0 && stmt_row(s)) {
        name_set(&c->after, column_str(s, 0));
        row_begin(c);
        json_str(&c->row, "subject", column_str(s, 0));
        json_int(&c->row, "at", column_int(s, 1));
        json_str(&c->row, "problems", column_str(s, 2));
        row_end(c);
        rows++;
    }
    if (!stmt_done(s, &err))
        return command_broken(c, &err);
    list_end(c, rows);
    return 0;
}

static int set(struct command *c)
{
    struct str subject = STR(""), problems = STR("");
    struct stmt *s = store_stmt(c->store, SQL_WATCHED_PUT);
    struct err err = {0};

    command_option(c, "subject", &subject);
    command_option(c, "problems", &problems);
    if (problems.n > PROBLEMS_MAX)
        return command_fail(c, EX_DATAERR, "problems: at most %d bytes", PROBLEMS_MAX);
    stmt_str(s, subject);
    stmt_int(s, clock_now());
    stmt_str(s, problems);
    return stmt_run(s, &err) ? 0 : command_broken(c, &err);
}

static int drop(struct command *c)
{
    struct stmt *s = store_stmt(c->store, SQL_WATCHED_REMOVE);
    struct str subject = STR("");
    struct err err = {0};

    command_option(c, "subject", &subject);
    stmt_str(s, subject);
    return stmt_run(s, &err) ? 0 : command_broken(c, &err);
}

const struct command_type watched_commands[] = {
    {"watched", "list", list, 0, false, "", ""},
    {"watched", "set", set, 0, true, "subject=NAME problems=TEXT", "subject problems"},
    {"watched", "drop", drop, 0, true, "subject=NAME", "subject"},
    {0},
};
