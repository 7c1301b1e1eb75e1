/* A server, played line by line, for the SMTP client machine. A script is a list of lines:
 *   "S line"   the server says this line (CRLF added); lines that follow each other come as one piece
 *   "C line"   the client must have said this line next
 *   "E words"  this must have happened next (see relay_talk.c)
 *   "-"        the client must have said nothing more
 * and words that do something: "connect", "tls" (comes up, not verified), "verified", "lost",
 * "timeout", "tls-fails", "begin", "body TEXT", "last TEXT", "quit". */
#pragma once
#include "roles/relay/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST_RCPTS = 8 };

struct talk {
    struct client *client;
    struct client_settings settings;
    struct client_message message;
    struct client_rcpt rcpts[MOST_RCPTS], *list[MOST_RCPTS];
    size_t n;
    char said[8192], happened[8192];
    size_t said_n;
};

extern const struct client_world talk_world;

/* A talk with defaults: a message of one recipient, TLS if there is any. */
void start(struct talk *t);
/* A client from its birth to its end; play: some steps of one that is there. */
void run(struct talk *t, const char *const *script);
void play(struct talk *t, const char *const *script);
void expect_event(struct talk *t, const char *words);

#define SCRIPT(...) ((const char *const[]){__VA_ARGS__, NULL})
#define HELLO "connect", "S 220 hi", "C EHLO me.test"
#define CONTENT "C A: b", "C ", "C ..x", "C ."
#define RAW_CONTENT "C A: b", "C ", "C .x"
