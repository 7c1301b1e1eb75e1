/* Clients of the smtp server in smtp_world.h, and what they and its peers expect. */
#pragma once
#include "smtp_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HEAD "hostname = \"mail.test\"\n"
#define STRANGERS HEAD "relay_networks = {\"192.0.2.0/24\"}\n"
#define MX "listen \"x\" { service = \"mx\" address = {\"127.0.0.1\"} }\n"
#define PROXIED "listen \"x\" { service = \"mx\" address = {\"127.0.0.1\"} proxy_from = {\"127.0.0.1\"} }\n"
#define SUBMISSION "listen \"x\" { service = \"submission\" address = {\"127.0.0.1\"} }\n"

/* Builds frames for world_say: TELL(role, from, rcpt_reply, {...}). */
#define TELL(role, from, name, ...)                                                                \
    do {                                                                                           \
        struct buf frames;                                                                         \
        buf_init(&frames, 1 << 20);                                                                \
        ipc_encode_##name(&frames, &(struct msg_##name)__VA_ARGS__);                               \
        world_say(role, from, &frames);                                                            \
        buf_clear(&frames);                                                                        \
        world_turn(role);                                                                          \
    } while (0)

void expect_text(struct str got, const char *want, int line);
#define SENT(role, channel, want) expect_text(world_sent(role, channel), want, __LINE__)
#define REPLIES(role, fd, want) expect_text(world_read(role, fd), want, __LINE__)

/* A client that has said EHLO and MAIL. */
int client_at_mail(struct role *role);
/* And RCPT and DATA. */
int client_at_data(struct role *role);
/* The server's side of the client that came first. */
struct client *first_client(struct role *role);
