/* From bytes to whole IMAP commands (RFC 9051, section 2.2; LITERAL+ and LITERAL- of RFC 7888, literal8 of
 * RFC 3516). A pure machine: no socket, no clock.
 *
 * A command is handed out as it stood on the wire without its last CRLF: literals stand inline behind
 * their "{n}" CRLF. A bare LF ends a line too. What is too long is read and thrown away, and answered
 * once. Literals of commands that carry messages (APPEND, REPLACE) are not collected: the owner is
 * asked about each literal and may take it as a stream. */
#pragma once
#include "base/buf.h"
#include "command.h"

enum {
    IMAP_LINE_MAX = 64 * 1024,      /* of one line; RFC 7162 asks for 8192, long sets want more */
    IMAP_COMMAND_MAX = 256 * 1024,  /* with collected literals */
    IMAP_LITERAL_MINUS_MAX = 4096,  /* of a non-synchronizing literal under LITERAL- */
};

enum imap_input_event {
    IMAP_INPUT_MORE,     /* nothing whole yet */
    IMAP_INPUT_COMMAND,  /* imap_input_command: the whole command */
    IMAP_INPUT_LITERAL,  /* a literal is announced: answer with imap_input_take, _stream or _refuse */
    IMAP_INPUT_BYTES,    /* imap_input_bytes: the next bytes of a streamed literal */
    IMAP_INPUT_STREAMED, /* the streamed literal is complete; the command's text goes on behind it */
    IMAP_INPUT_TOO_LONG, /* a command over the limits was thrown away; imap_input_tag says whose */
};

struct imap_literal {
    uint64_t size;
    bool synchronizing; /* the client waits for "+" */
    bool binary;        /* ~{n} */
};

struct imap_input {
    /* inside */
    struct buf command, line;
    struct imap_literal literal; /* announced last */
    uint64_t left;               /* of it */
    struct str view;
    int state;
    bool told;                   /* the owner knows that this command is thrown away */
    char tag[IMAP_TAG_MAX];
    size_t tag_length;
    bool tag_complete;
};

const struct imap_literal *imap_input_literal(const struct imap_input *in);
void imap_input_init(struct imap_input *in);
/* Smaller ceilings than IMAP_LINE_MAX and IMAP_COMMAND_MAX: for strangers, before login. */
void imap_input_limit(struct imap_input *in, size_t line, size_t command);
void imap_input_clear(struct imap_input *in);
/* Consumes from *bytes until something happened. Call again with what is left of *bytes. */
enum imap_input_event imap_input_next(struct imap_input *in, struct str *bytes);
/* COMMAND: the text; LITERAL and STREAMED: what there is of it so far (streamed literals stand as their
 * "{n}" CRLF alone). Valid until the next call of imap_input_next or imap_input_done. */
struct str imap_input_command(const struct imap_input *in);
struct str imap_input_bytes(const struct imap_input *in);
/* The tag of the command under way, or of the one thrown away; empty when it has none that can be answered. */
struct str imap_input_tag(const struct imap_input *in);
bool imap_input_asks(const struct imap_input *in); /* a LITERAL waits for one of these */
void imap_input_take(struct imap_input *in);   /* collect it */
void imap_input_stream(struct imap_input *in); /* give it out as BYTES, then STREAMED */
/* Throw it away (if it comes at all: a synchronizing one does not) with the rest of the command. No
 * COMMAND follows. Without a literal that waits nothing happens. */
void imap_input_refuse(struct imap_input *in);
/* Forgets the text handed out so far in a command that goes on (between two messages of an APPEND). */
void imap_input_forget(struct imap_input *in);
/* The COMMAND, or the tag of a TOO_LONG, was used; otherwise nothing happens. */
void imap_input_done(struct imap_input *in);
bool imap_input_is_between(const struct imap_input *in); /* nothing of a command has come yet */
/* Overwrites the text of the COMMAND: there was a secret in it. It is empty afterwards. */
void imap_input_wipe(struct imap_input *in);
