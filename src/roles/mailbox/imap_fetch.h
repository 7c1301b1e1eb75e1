/* FETCH, shared by imap_fetch.c (which messages, the short items) and imap_body.c (bytes of messages). */
#pragma once
#include "imap.h"
#include "mime/part.h"
#include "mime/transfer.h"

/* The bytes an item asks for. */
struct body_range {
    bool exists;
    uint64_t from, to; /* of the content */
    bool made;         /* they were made, in `text` instead */
    enum body_form { BODY_RAW, BODY_SIZED, BODY_DECODED } form; /* sized: it is decoded to learn how much that will be */
    const struct mime_part *part;
};

enum { FETCH_AHEAD = 16 };

struct fetch {
    uint32_t at;         /* the next uid to look at */
    struct imap_set set;
    bool needs_bytes, flags_only;
    bool tells_changes;  /* flags, or what has changed: only what is on disk */
    bool must_wait;      /* for that */
    bool unseen_wanted;  /* some item marks what it shows as seen */
    struct uid_set seen; /* to be marked */
    bool is_partial;
    struct uid_set chosen; /* then: what PARTIAL leaves of the set */

    /* The message under way, when its items take several steps. */
    bool open;
    bool begins;         /* nothing of its answer is written yet */
    bool unknown_encoding; /* BINARY was asked of one that nobody can decode */
    struct store_message message;
    struct buf more;     /* its later keywords */
    struct content_pin pin;
    size_t item;         /* the next */
    size_t begun;        /* where its answer begins in the output ... */
    bool has_left;       /* ... unless a part of it was sent */
    bool first;          /* nothing stands in the parentheses yet */
    struct arena tree_arena;
    struct mime_part *tree;
    struct content_info info;

    /* Rows of the messages that come next, read by one statement; of this turn only, because flags may change after it. */
    struct store_message ahead[FETCH_AHEAD];
    size_t ahead_at, ahead_n;

    /* The item under way. */
    bool streaming;
    struct body_range range;
    uint64_t offset;     /* the next byte */
    struct buf text;
    struct mime_decoder decoder;
    bool lines, after_cr; /* it is text: line ends are told as CRLF; the last byte was a CR */
    uint64_t skip, left; /* of what is decoded: not to be shown, still to be shown */
};

/* Makes the tree of the message under way known. False: the storage failed, err is set. */
MUST_CHECK bool fetch_tree(struct imap *im, struct fetch *f, struct err *err);
/* Finds the bytes of BODY[...], RFC822...: f->range, with the partial cut out of it. */
MUST_CHECK bool fetch_find_body(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err);
/* The next bytes of f->range from f->offset on, at least one. */
MUST_CHECK bool fetch_read(struct imap *im, struct fetch *f, struct str *piece, struct err *err);
void fetch_open(struct imap *im, struct fetch *f, const struct store_message *m); /* makes it the message under way; pins its bytes */
void fetch_clear(struct imap *im, struct fetch *f);
void fetch_init(struct fetch *f);
/* Begins BODY[...], RFC822..., BINARY[...]: writes its name and the size; f->streaming when bytes follow. */
MUST_CHECK bool fetch_begin_body(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err);
/* Goes on with the bytes; f->streaming is false at their end. */
MUST_CHECK bool fetch_stream(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err);
/* BINARY and BINARY.SIZE, inside of the two above (imap_binary.c). */
/* Whether all that the command asks of BINARY in the message under way can be decoded. */
MUST_CHECK bool fetch_knows_encodings(struct imap *im, struct fetch *f, bool *known, struct err *err);
void fetch_begin_binary(struct fetch *f, const struct imap_item *item);
MUST_CHECK bool fetch_stream_binary(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err);
