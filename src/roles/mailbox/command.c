/* The command `mailbox`. See command.h. */
#include "command.h"
#include "base/json.h"
#include "box_search.h"
#include "ipc/args.h"

#include <sysexits.h>

struct ask {
    struct role *role;
    struct boxes *boxes;
    struct channel *from;
    uint64_t id;
    struct str args;
};

static void send_row(const struct ask *ask, struct buf *row)
{
    ipc_send_control_row(ask->from, &(struct msg_control_row){ask->id, buf_str(row)});
}

static void end(const struct ask *ask, uint64_t code, const char *text)
{
    ipc_send_control_done(ask->from, &(struct msg_control_done){ask->id, code, str_of(text)});
}

static void add_folder(void *arg, struct str name, int64_t messages, int64_t bytes, int64_t unseen)
{
    const struct ask *ask = arg;
    struct buf row;

    buf_init(&row, IPC_CHUNK);
    json_open(&row);
    json_str(&row, "folder", name);
    json_int(&row, "messages", messages);
    json_int(&row, "bytes", bytes);
    json_int(&row, "unseen", unseen);
    json_close(&row);
    send_row(ask, &row);
    buf_clear(&row);
}

static void show(const struct ask *ask, struct box *box)
{
    struct err err = {0};

    if (store_folders(box->store, add_folder, (void *)(uintptr_t)ask, &err))
        end(ask, 0, "");
    else
        end(ask, EX_TEMPFAIL, err.text);
}

static void check(const struct ask *ask, struct box *box)
{
    struct search_index_size index;
    struct err err = {0};
    struct buf row;

    if (!box_settle(box, &err)) {
        end(ask, EX_TEMPFAIL, err.text);
        return;
    }
    if (!store_check(box->store, &err)) {
        end(ask, EX_DATAERR, err.text);
        return;
    }
    box_search_check(box, &index);
    buf_init(&row, IPC_CHUNK);
    json_open(&row);
    json_int(&row, "account", box->account);
    json_str(&row, "result", STR("sound"));
    json_int(&row, "indexed", index.docs);
    json_int(&row, "index_bytes", index.bytes);
    json_close(&row);
    send_row(ask, &row);
    buf_clear(&row);
    end(ask, 0, "");
}

static void reindex(const struct ask *ask, struct box *box)
{
    box_search_remake(box);
    end(ask, 0, "");
}

static void stats(const struct ask *ask)
{
    struct buf row;

    buf_init(&row, IPC_CHUNK);
    json_open(&row);
    json_int(&row, "copy", role_copy(ask->role));
    json_int(&row, "databases_open", (int64_t)boxes_open(ask->boxes));
    json_close(&row);
    send_row(ask, &row);
    buf_clear(&row);
    end(ask, 0, "");
}

/* The box of the account, entered; NULL: the command was answered. */
static struct box *enter(const struct ask *ask)
{
    struct str value;
    uint64_t account;
    struct err err = {0};
    struct box *box;

    if (!args_option(ask->args, "account", &value) || !str_to_u64(value, INT64_MAX, &account) || account == 0) {
        end(ask, EX_USAGE, "account=NUMBER is missing");
        return NULL;
    }
    if (account % role_copies(ask->role) != role_copy(ask->role)) {
        end(ask, 0, ""); /* another copy answers */
        return NULL;
    }
    box = boxes_enter_existing(ask->boxes, (int64_t)account, &err);
    if (box == NULL)
        end(ask, err.kind == ERR_TEMPORARY ? EX_TEMPFAIL : err.kind == ERR_DAMAGED ? EX_DATAERR : EX_NOINPUT, err.text);
    return box;
}

static void on_account(const struct ask *ask, void (*run)(const struct ask *, struct box *))
{
    struct box *box = enter(ask);

    if (box == NULL)
        return;
    run(ask, box);
    box_leave(box);
}

static void acl(const struct ask *ask, struct accounts *accounts, const struct msg_control_ask *m)
{
    struct box *box = enter(ask);

    if (box != NULL)
        command_acl(ask->role, accounts, box, ask->from, m);
}

void command_run(struct role *role, struct boxes *boxes, struct accounts *accounts, struct channel *from, const struct msg_control_ask *m)
{
    struct ask ask = {role, boxes, from, m->id, m->args};
    struct str verb = args_word(m->args, 0);

    if (!str_eq(m->command, STR("mailbox")))
        end(&ask, EX_USAGE, "the mailbox role knows the command mailbox only");
    else if (str_eq(verb, STR("show")))
        on_account(&ask, show);
    else if (str_eq(verb, STR("check")))
        on_account(&ask, check);
    else if (str_eq(verb, STR("reindex")))
        on_account(&ask, reindex);
    else if (str_eq(verb, STR("acl")))
        acl(&ask, accounts, m);
    else if (str_eq(verb, STR("stats")))
        stats(&ask);
    else
        end(&ask, EX_USAGE, "mailbox show, check, reindex, acl or stats");
}
