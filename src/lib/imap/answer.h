/* What an IMAP server says (RFC 9051, section 7; RFC 3501), read by a client: `staffetta mailbox import` and `export`.
 * imap/input.h makes whole responses of the bytes; this makes a struct of the text. Tolerant of what it does not know:
 * unknown responses and items are passed over. */
#pragma once
#include "parse.h"

enum imap_answer_kind {
    IMAP_SAYS_OTHER, /* also what is malformed */
    IMAP_SAYS_CONTINUE,
    IMAP_SAYS_OK, IMAP_SAYS_NO, IMAP_SAYS_BAD, IMAP_SAYS_BYE, IMAP_SAYS_PREAUTH, /* code, text */
    IMAP_SAYS_CAPABILITY, /* text: words */
    IMAP_SAYS_LIST, IMAP_SAYS_LSUB,
    IMAP_SAYS_NAMESPACE,  /* name: prefix of the first personal one */
    IMAP_SAYS_EXISTS,     /* number */
    IMAP_SAYS_FETCH,
    IMAP_SAYS_STATUS,     /* text: the name and the items */
    IMAP_SAYS_XMARKED,    /* text: words */
};

/* The items of FETCH that were in the answer. */
enum imap_told { IMAP_TOLD_UID = 1, IMAP_TOLD_FLAGS = 2, IMAP_TOLD_DATE = 4, IMAP_TOLD_SIZE = 8, IMAP_TOLD_BODY = 16 };

struct imap_answer {
    enum imap_answer_kind kind;
    struct str tag;       /* empty: untagged */
    struct str code, text;
    struct str flags;     /* LIST: its attributes; FETCH: FLAGS; the inside of the parentheses */
    char delimiter;       /* LIST: 0 for NIL */
    struct str name;      /* as on the wire, unquoted */
    uint64_t number;      /* FETCH: the sequence number */
    unsigned told;        /* enum imap_told */
    uint32_t uid;
    uint64_t size;
    int64_t received;     /* INTERNALDATE, microseconds */
};

/* Views of `text`, or in the arena. streamed: the literal of BODY[] was handed out: only its "{n}" CRLF is in the text. */
void imap_answer_parse(struct str text, bool streamed, struct arena *arena, struct imap_answer *answer);
/* The text of a response so far ends with the announcement of BODY[], which may be streamed. */
bool imap_answer_begins_body(struct str text);
/* The next of the flags, cut off *flags: a system flag's bit in *system (enum imap_flag; 0 for those unknown, \Recent
 * among them), or a keyword. False: none is left. */
bool imap_answer_next_flag(struct str *flags, unsigned *system, struct str *keyword);
/* A word among `words`, ASCII case folded. */
bool imap_answer_has(struct str words, const char *word);
/* The code is this word, or begins with it. */
bool imap_answer_code_is(const struct imap_answer *answer, const char *word);
