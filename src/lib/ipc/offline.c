/* One command without a server: staffetta-ROLE --command CONFIG COMMAND ARGS...
 * A last argument "-" reads more of them from standard input, each ended by NUL: passwords have no
 * place in a list of processes.
 *
 * Where copies own their share (queue shards), STAFFETTA_COPY says for which one: "2/4" is the third of
 * four.
 *
 * The process boots from the configuration file and asks itself through a socketpair, so the role's
 * own code cannot tell the difference. Rows go to standard output, the closing text to standard error. */
#include "ipc/boot.h"
#include "ipc/ipc.h"
#include "ipc/user.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct offline {
    struct channel *client;
    int pair[2];
    struct str command;
    struct buf args;
    unsigned rows;
};

static void read_file(const char *path, struct buf *text)
{
    FILE *f = fopen(path, "r");
    char *room;
    size_t n;

    if (f == NULL)
        fatal("%s: %s", path, strerror(errno));
    while ((room = buf_reserve(text, 4096)) != NULL && (n = fread(room, 1, 4096, f)) > 0)
        text->n += n;
    fclose(f);
    if (text->failed)
        fatal("%s: larger than %zu bytes", path, text->ceiling);
}

static void add_arg(struct buf *args, const char *word, bool last)
{
    char *room;
    size_t n;

    if (!last || strcmp(word, "-") != 0) {
        buf_add(args, str_of(word));
        buf_add_char(args, 0);
        return;
    }
    while ((room = buf_reserve(args, 4096)) != NULL && (n = fread(room, 1, 4096, stdin)) > 0)
        args->n += n;
}

static void take_copy(struct role *role)
{
    struct str copies = str_of(getenv("STAFFETTA_COPY")), copy;
    uint64_t i = 0, n = 1;

    if (copies.n && (!str_next(&copies, '/', &copy) || !str_to_u64(copies, MAX_COPIES, &n) ||
                        !str_to_u64(copy, MAX_COPIES - 1, &i) || i >= n))
        fatal("STAFFETTA_COPY: expected such as 2/4");
    role->copy = (unsigned)i;
    role->copies = (unsigned)n;
}

void offline_begin(struct role *role, int argc, char **argv)
{
    struct offline *o = xcalloc(1, sizeof *o);
    struct err err = {0};
    struct buf text;

    buf_init(&text, IPC_LIST);
    read_file(argv[0], &text);
    take_copy(role);
    boot_config_from_text(role, str_of(argv[0]), buf_str(&text));
    buf_clear(&text);
    if (role->type->sandbox & SANDBOX_FILES ? !user_prepare_folder(role->config, role->type->id, &err)
                                            : !user_become(role->config, role->type->id, &err))
        fatal("%s", err.text);
    o->command = str_of(argv[1]);
    buf_init(&o->args, IPC_LIST);
    for (int i = 2; i < argc; i++)
        add_arg(&o->args, argv[i], i == argc - 1);
    if (o->args.failed)
        fatal("the command is too long");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, o->pair) != 0)
        fatal("socketpair: %s", strerror(errno));
    role->offline = o;
}

static void on_row(struct role *role, struct channel *from, const struct msg_control_row *m)
{
    fwrite(m->json.p, 1, m->json.n, stdout);
    putchar('\n');
    if (++role->offline->rows % CONTROL_ROWS == 0) {
        ipc_send_control_more(from, &(struct msg_control_more){m->id});
        channel_flush(from);
    }
}

static void on_done(struct role *role, struct channel *from, const struct msg_control_done *m)
{
    (void)from;
    if (m->text.n)
        fprintf(stderr, "%.*s\n", STR_ARG(m->text));
    fflush(stdout);
    role->exit_code = (int)(m->code & 0x7f);
    role_exit(role);
}

static const struct handlers client_handlers = {.control_row = on_row, .control_done = on_done};

static void client_gone(struct channel *c)
{
    (void)c;
    fatal("the command ended without an answer");
}

void offline_start(struct role *role)
{
    struct offline *o = role->offline;

    boot_add_peer(role, ROLE_WEB, 0, 1, o->pair[0]);
    o->client = channel_new(
        role->base, o->pair[1], role, ROLE_WEB, role->type->id, 0, &client_handlers, client_gone);
    ipc_send_control_ask(o->client,
        &(struct msg_control_ask){1, (uint64_t)getuid(), o->command, buf_str(&o->args)});
    channel_flush(o->client);
}
