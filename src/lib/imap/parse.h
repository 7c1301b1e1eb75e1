/* Tokens of IMAP (RFC 9051, section 9), for the parsers of commands in this folder. Every function cuts what it read
 * off `rest`; false: something else stands there, and `why` says what was expected (the first one told stays). */
#pragma once
#include "command.h"

struct imap_parser {
    struct str rest;
    struct arena *arena;
    bool utf8;       /* mailbox names come as UTF-8 (ENABLE IMAP4rev2 or UTF8=ACCEPT), not as modified UTF-7 */
    const char *why; /* for the client */
    unsigned mailboxes; /* names read so far */
    struct str written; /* the first of them as it was written, when that is another; .p NULL: it is the same */
    bool normalized;    /* some of them were written in another way */
};

/* Always false. */
bool imap_expected(struct imap_parser *p, const char *why);
bool imap_at_end(const struct imap_parser *p);
/* One given character; optional. */
bool imap_take(struct imap_parser *p, char c);
bool imap_need(struct imap_parser *p, char c);
bool imap_space(struct imap_parser *p);
bool imap_end(struct imap_parser *p);
/* A name of the grammar (letters, digits and what else an atom may have, but for '['), and the same looked at only. */
bool imap_word(struct imap_parser *p, struct str *word);
struct str imap_peek_word(const struct imap_parser *p);
/* Takes that word when it stands there (ASCII case folded). */
bool imap_take_word(struct imap_parser *p, const char *word);
bool imap_atom(struct imap_parser *p, struct str *atom);
bool imap_string(struct imap_parser *p, struct str *text); /* quoted or literal */
bool imap_astring(struct imap_parser *p, struct str *text);
bool imap_nstring(struct imap_parser *p, struct str *text); /* .p NULL: NIL */
bool imap_mailbox(struct imap_parser *p, struct str *name); /* as UTF-8; INBOX in capitals */
bool imap_mailbox_name(struct imap_parser *p, struct str *name); /* the same of what was written in another way */
bool imap_list_mailbox(struct imap_parser *p, struct str *pattern);
bool imap_number(struct imap_parser *p, uint64_t max, uint64_t *number);
bool imap_set(struct imap_parser *p, struct imap_set *set);
bool imap_flag_list(struct imap_parser *p, struct imap_flags *flags); /* "(...)" */
bool imap_one_flag(struct imap_parser *p, struct imap_flags *flags);  /* into room made by imap_flags_room */
bool imap_flags_room(struct imap_parser *p, struct imap_flags *flags);
bool imap_date(struct imap_parser *p, int64_t *day);        /* "1-Feb-1994": days since 1970 */
bool imap_date_time(struct imap_parser *p, int64_t *time);  /* "17-Jul-1996 02:44:25 -0700": microseconds */
/* "from:to" of PARTIAL (RFC 9394): both positive or both negative. */
bool imap_partial(struct imap_parser *p, int64_t *from, int64_t *to);

/* "[1.2.HEADER.FIELDS (FROM)]" */
bool imap_section(struct imap_parser *p, struct imap_section *section);

/* An array in the arena with room for as many elements as the text can still hold: it has at least `each` bytes for
 * each. NULL over the ceiling, with `why` set. */
void *imap_room(struct imap_parser *p, size_t each, size_t size);
/* The same for a list that may have at most so many. */
void *imap_room_for(struct imap_parser *p, size_t most, size_t each, size_t size);

/* The parsers of arguments; `rest` begins with the blank behind the verb, if there is one. */
bool imap_parse_fetch(struct imap_parser *p, struct imap_command *c);
bool imap_parse_store(struct imap_parser *p, struct imap_command *c);
bool imap_parse_search(struct imap_parser *p, struct imap_command *c);
bool imap_parse_sort(struct imap_parser *p, struct imap_command *c);
bool imap_parse_thread(struct imap_parser *p, struct imap_command *c);
bool imap_parse_list(struct imap_parser *p, struct imap_command *c);
bool imap_parse_lsub(struct imap_parser *p, struct imap_command *c);
bool imap_parse_status(struct imap_parser *p, struct imap_command *c);
bool imap_parse_select(struct imap_parser *p, struct imap_command *c);
bool imap_parse_getmetadata(struct imap_parser *p, struct imap_command *c);
bool imap_parse_setmetadata(struct imap_parser *p, struct imap_command *c);
/* What FETCH gets: one item, a macro, or several in parentheses. */
bool imap_fetch_items(struct imap_parser *p, struct imap_fetch *fetch);
/* The name of an entry of METADATA, in small letters. */
bool imap_entry_name(struct imap_parser *p, struct str *name);
/* "(MESSAGES UIDNEXT ...)" */
bool imap_status_items(struct imap_parser *p, unsigned *items);
