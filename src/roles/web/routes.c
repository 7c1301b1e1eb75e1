#include "routes.h"
#include "base/msgid.h"
#include "ipc/args.h"

/* Who is asked: one copy, the shard that has the message named in the arguments, the copy that owns the
 * account named there (all copies, when none is named), or every process there is.
 *
 * A message taken before `copies { queue }` was raised is not where its number points to now, so that the
 * others are asked as well when it is not there. */
enum whom { FIRST_COPY, OWNING_SHARD, OWNING_COPY, EVERY_PROCESS, OURSELVES };

static const struct route {
    const char *command;
    enum role_id role;
    enum whom whom;
} routes[] = {
    {"status", ROLE_WEB, OURSELVES},
    {"acme", ROLE_WEB, OURSELVES},
    {"domain", ROLE_DIRECTORY, FIRST_COPY},
    {"account", ROLE_DIRECTORY, FIRST_COPY},
    {"alias", ROLE_DIRECTORY, FIRST_COPY},
    {"credential", ROLE_DIRECTORY, FIRST_COPY},
    {"route", ROLE_DIRECTORY, FIRST_COPY},
    {"pool", ROLE_DIRECTORY, FIRST_COPY},
    {"dkim", ROLE_DIRECTORY, FIRST_COPY},
    {"queue", ROLE_QUEUE, OWNING_SHARD},
    {"mailbox", ROLE_MAILBOX, OWNING_COPY},
    {"trace", ROLE_EVENTS, FIRST_COPY},
    {"lookup", ROLE_RESOLVER, FIRST_COPY},
    {"probe", ROLE_RELAY, FIRST_COPY},
    {"report", ROLE_EVENTS, FIRST_COPY},
    {"check-sandbox", ROLE_COUNT, EVERY_PROCESS},
    {"verify", ROLE_COUNT, EVERY_PROCESS},
};

static void add(struct ask_target *targets, size_t *n, enum role_id role, unsigned copy)
{
    if (*n < ROUTE_TARGETS)
        targets[(*n)++] = (struct ask_target){role, copy};
}

static void add_copies(const struct web *web, enum role_id role, struct ask_target *targets, size_t *n)
{
    for (unsigned i = 0; i < role_peers(web->role, role); i++)
        add(targets, n, role, i);
}

/* The second word of "queue show ID" when it is a queue id: its shard first. */
static enum route_result add_shards(const struct web *web, enum role_id role, struct str args,
    struct ask_target *targets,
    size_t *n)
{
    unsigned shards = role_peers(web->role, role);
    uint64_t message;

    if (!msgid_parse(args_word(args, 1), &message)) {
        add_copies(web, role, targets, n);
        return ROUTE_ROLES;
    }
    for (unsigned i = 0; i < shards; i++)
        add(targets, n, role, (unsigned)((message % shards + i) % shards));
    return ROUTE_FINDER;
}

/* The number in "mailbox show account=7". What is no number goes to all: each says what is wrong. */
static void add_owner(const struct web *web, enum role_id role, struct str args, struct ask_target *targets,
    size_t *n)
{
    unsigned copies = role_peers(web->role, role);
    uint64_t account;
    struct str value;

    if (copies > 0 && args_option(args, "account", &value) && str_to_u64(value, INT64_MAX, &account))
        add(targets, n, role, (unsigned)(account % copies));
    else
        add_copies(web, role, targets, n);
}

enum route_result route_command(const struct web *web, struct str command, struct str args,
    struct ask_target targets[ROUTE_TARGETS], size_t *n)
{
    const struct route *route = NULL;

    *n = 0;
    for (size_t i = 0; i < sizeof routes / sizeof *routes && route == NULL; i++)
        if (str_eq(command, str_of(routes[i].command)))
            route = &routes[i];
    if (route == NULL)
        return ROUTE_UNKNOWN;
    switch (route->whom) {
    case OURSELVES:
        return ROUTE_HERE;
    case FIRST_COPY:
        add(targets, n, route->role, 0);
        break;
    case OWNING_SHARD:
        return add_shards(web, route->role, args, targets, n);
    case OWNING_COPY:
        add_owner(web, route->role, args, targets, n);
        break;
    case EVERY_PROCESS:
        for (unsigned r = 0; r < ROLE_COUNT; r++)
            if (r != ROLE_SUPERVISOR && r != ROLE_WEB)
                add_copies(web, (enum role_id)r, targets, n);
        break;
    }
    return ROUTE_ROLES;
}
