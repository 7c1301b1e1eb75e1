/* Handing a message to the server over run/smtp.sock: a blocking SMTP client with time limits. */
#pragma once
#include "cli/envelope.h"
#include "smtp/reply.h"

struct submit {
    int fd;
    bool verbose;
    struct reply reply;   /* the last one */
    struct buf in, out;
    struct capabilities can;
    bool line_start;
    int refused;          /* exit code of the worst refused recipient, 0 for none */
    size_t accepted;
};

struct submit_options {
    const char *ret;
    struct str envid, notify;
    bool verbose;
};

/* Connects and greets. Returns 0 or the exit code, after a message on standard error. */
int submit_open(struct submit *s, const char *path, struct str host, bool verbose);
/* MAIL, RCPT ..., DATA. After 0 the message may be sent; refused recipients were named on standard
 * error. When a recipient is refused for now, or none is left, nothing is sent and the code says why. */
int submit_begin(struct submit *s, const struct envelope *e, const struct submit_options *o);
/* A piece of the message, lines ended by CRLF. False when the connection is lost. */
bool submit_data(struct submit *s, struct str text);
/* The final dot: 0 once the server has it on disk. */
int submit_end(struct submit *s);
void submit_close(struct submit *s);
