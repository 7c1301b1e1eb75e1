#include "ipc/boot.h"
#include "base/log.h"
#include "ipc/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t build_id(void)
{
    return str_stable_hash(STR(BUILD_ID));
}

static void on_hello(struct role *role, struct channel *from, const struct msg_boot_hello *m)
{
    (void)from;
    if (m->build != build_id())
        fatal("the supervisor is of another build; install all programs of one build and restart");
    if (m->role != role->type->id || m->copy >= MAX_COPIES || m->copies > MAX_COPIES)
        fatal("started as the wrong role");
    role->copy = (unsigned)m->copy;
    role->copies = (unsigned)m->copies;
    log_open(role_name(role->type->id), role->copy);
    msgid_set_source((unsigned)role->type->id * MAX_COPIES + role->copy);
}

static void set_log(const struct config *config)
{
    static const struct {
        struct str name;
        enum log_level level;
    } levels[] = {{{"debug", 5}, LOG_LEVEL_DEBUG}, {{"info", 4}, LOG_LEVEL_INFO},
        {{"warning", 7}, LOG_LEVEL_WARNING}, {{"error", 5}, LOG_LEVEL_ERROR}};

    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (str_eq(config->log_level, levels[i].name))
            log_set(levels[i].level, str_eq(config->log_format, STR("json")));
}

static void read_config(struct role *role, struct str path, struct str text)
{
    struct err err = {0};

    config_free(role->new_config);
    if (!config_parse(&role->new_config, path, text, &err))
        fatal("%s", err.text); /* the supervisor has checked it already */
    str_free(&role->config_path);
    role->config_path = str_dup(path);
}

/* The one before, which is for the caller to free; NULL when there is none, or no new one. */
static struct config *take_new_config(struct role *role)
{
    struct config *before = role->config;

    if (role->new_config == NULL)
        return NULL;
    role->config = role->new_config;
    role->new_config = NULL;
    set_log(role->config);
    return before;
}

void boot_config_from_text(struct role *role, struct str path, struct str text)
{
    read_config(role, path, text);
    config_free(take_new_config(role));
}

/* Certificates follow, each in a packet of its own, with work in between: what the role keeps of the old configuration
 * must stay until it is told, by `run`. */
static void on_config(struct role *role, struct channel *from, const struct msg_boot_config *m)
{
    (void)from;
    read_config(role, m->path, m->text);
}

static void wipe(struct str *secret)
{
    if (secret->p != NULL)
        explicit_bzero((void *)(uintptr_t)secret->p, secret->n);
    str_free(secret);
}

static void on_certificate(struct role *role, struct channel *from, const struct msg_boot_certificate *m)
{
    struct role_certificate *c = &role->new_certificates[role->new_certificate_count];

    (void)from;
    if (role->new_certificate_count == MAX_CERTIFICATES)
        fatal("more than %d certificates", MAX_CERTIFICATES);
    *c = (struct role_certificate){str_dup(m->name), str_dup(m->chain), str_dup(m->key)};
    role->new_certificate_count++;
}

static void take_new_certificates(struct role *role)
{
    for (size_t i = 0; i < role->certificate_count; i++) {
        str_free(&role->certificates[i].name);
        str_free(&role->certificates[i].chain);
        wipe(&role->certificates[i].key);
    }
    memcpy(role->certificates, role->new_certificates, sizeof role->certificates);
    role->certificate_count = role->new_certificate_count;
    memset(role->new_certificates, 0, sizeof role->new_certificates);
    role->new_certificate_count = 0;
}

static int take_fd(struct role *role, const char *what)
{
    int fd = role->passed_fd;

    if (fd < 0)
        fatal("%s came without its descriptor", what);
    role->passed_fd = -1;
    return fd;
}

static void on_listener(struct role *role, struct channel *from, const struct msg_boot_listener *m)
{
    (void)from;
    if (role->listener_count == MAX_LISTENERS)
        fatal("more than %d listeners", MAX_LISTENERS);
    role->listeners[role->listener_count++] = (struct role_listener){take_fd(role, "a listener"),
        (unsigned)m->index, (enum service)m->service, str_dup(m->address)};
}

static void on_peer(struct role *role, struct channel *from, const struct msg_boot_peer *m)
{
    (void)from;
    if (m->role >= ROLE_COUNT || m->copy >= MAX_COPIES || m->copies > MAX_COPIES)
        fatal("a peer with an impossible number");
    boot_add_peer(role, (enum role_id)m->role, (unsigned)m->copy, (unsigned)m->copies,
        take_fd(role, "a peer"));
}

void boot_answer_ready(bool reload)
{
    struct buf frame;
    struct err err = {0};

    buf_init(&frame, CONTROL_PACKET_MAX);
    ipc_encode_ready(&frame, &(struct msg_ready){reload});
    if (!control_send(CONTROL_FD, buf_str(&frame), -1, &err))
        fatal("%s", err.text); /* the supervisor would wait for it for ever */
    buf_clear(&frame);
}

/* The first one ends role_begin(); `ready` is then sent by role_run(), when the role has opened its
 * files. A later one completes a reload. */
static void on_run(struct role *role, struct channel *from, const struct msg_boot_run *m)
{
    struct config *before = take_new_config(role);

    (void)from;
    take_new_certificates(role);
    if (role->running && m->reload && role->type->reload != NULL)
        role->type->reload(role);
    config_free(before);
    if (role->running)
        boot_answer_ready(m->reload != 0);
    else
        role->fresh_boot = true;
}

static void on_drain(struct role *role, struct channel *from, const struct msg_drain *m)
{
    (void)from;
    role->draining = true;
    if (role->type->drain != NULL)
        role->type->drain(role, m->within);
    else
        role_exit(role);
}

static void on_signer(struct role *role, struct channel *from, const struct msg_boot_signer *m)
{
    (void)from;
    if (m->role >= ROLE_COUNT || m->copy >= MAX_COPIES)
        fatal("a signing line with an impossible number");
    signer_take(role, (enum role_id)m->role, (unsigned)m->copy, take_fd(role, "a signing line"));
}

const struct handlers boot_handlers = {
    .boot_hello = on_hello,
    .boot_config = on_config,
    .boot_certificate = on_certificate,
    .boot_listener = on_listener,
    .boot_peer = on_peer,
    .boot_signer = on_signer,
    .boot_run = on_run,
    .drain = on_drain,
};

bool boot_take_packet(struct role *role)
{
    struct handlers handlers = boot_handlers;
    struct err err = {0};
    const char *why = "malformed";
    bool ended;
    uint32_t length;
    struct str frame;

    handlers.process_state = role->handlers.process_state;
    if (!control_receive(CONTROL_FD, &role->packet, &role->passed_fd, &ended, &err))
        fatal("%s", err.text);
    if (ended)
        return false;
    frame = buf_str(&role->packet);
    if (frame.n == 0)
        return true;
    if (frame.n < sizeof length)
        fatal("control message: malformed");
    memcpy(&length, frame.p, sizeof length);
    frame = str_skip(frame, sizeof length);
    if (length != frame.n ||
        !ipc_dispatch(role, NULL, ROLE_SUPERVISOR, role->type->id, &handlers, frame, &why))
        fatal("control message: %s", why);
    if (role->passed_fd >= 0)
        close(role->passed_fd);
    explicit_bzero(role->packet.p, role->packet.n); /* it may have held a key */
    return true;
}
