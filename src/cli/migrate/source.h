/* Where messages are imported from: a Maildir, a mailbox file, another server. One folder after the other, in each its
 * messages in an order that is the same in every run; a message is named by a mark, so that a second run knows it. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum { MARK_LENGTH = 32, ITEMS_WINDOW = 200 };

enum item_state { ITEM_NEW, ITEM_PRESENT, ITEM_STORED, ITEM_FAILED };

struct item {
    char mark[MARK_LENGTH + 1]; /* hexadecimal */
    struct str name;            /* owned: for people, and for the source */
    struct str keywords;        /* owned: words, blanks between */
    unsigned flags;             /* enum imap_flag */
    int64_t received;           /* microseconds, 0: unknown */
    uint64_t size;              /* as far as it is known */
    uint64_t at;                /* the source's: an offset, a uid */
    enum item_state state;
};
void item_clear(struct item *item);

/* The special uses that are kept, with the folder here that has them. */
enum { SPECIALS = 5 };
extern const char *const special_uses[SPECIALS];

struct source_folder {
    struct str name;    /* UTF-8, '/' between levels; valid until the next one */
    struct str special; /* "\\Sent" ..., or empty */
    bool subscribed;
    bool only_name;     /* it holds no messages, only other folders */
    bool failed;        /* it cannot be read: that was said */
};

struct source;
/* All return false with err when the import cannot go on. */
struct source_type {
    /* *there false: that was the last one. */
    bool (*next_folder)(void *source, struct source_folder *folder, bool *there, struct err *err);
    /* The next at most `max` messages of the folder; *n 0: its end. */
    bool (*next_items)(void *source, struct item *items, size_t max, size_t *n, struct err *err);
    /* These will be read one after the other; may be NULL. */
    bool (*want)(void *source, const struct item *item, struct err *err);
    /* Opens one for reading. *size: bytes that read will give, lines ended by CRLF. Leaves *size 0 when this one cannot be
     * had: `why` then says why not. */
    bool (*open)(void *source, const struct item *item, uint64_t *size, struct err *why, struct err *err);
    /* The next piece, empty at the end. */
    bool (*read)(void *source, struct str *piece, struct err *err);
    void (*free)(void *source);
};

struct source {
    const struct source_type *type;
    void *state;
    bool denied; /* it could not be opened: the login was refused for good */
};

struct migration;
/* NULL state after a failure: *code and a message on standard error. */
MUST_CHECK bool maildir_source_new(struct source *source, const struct migration *m, struct err *err);
MUST_CHECK bool mbox_source_new(struct source *source, const struct migration *m, struct err *err);
MUST_CHECK bool imap_source_new(struct source *source, const struct migration *m, struct err *err);

/* The mark of a message: a hash over what names it at its source. */
void mark_of(char mark[MARK_LENGTH + 1], const struct str *parts, size_t n);
