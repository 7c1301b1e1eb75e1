/* The structure of a message (RFC 2045, 2046, 5322): pushed through in chunks, gives the tree of its parts with offsets
 * into the bytes. Nothing of a body is held; of header fields only what the tree keeps. Malformed mail gets the
 * structure a reader would expect: a multipart without a boundary, or whose boundary never comes, is text/plain; a
 * missing last boundary ends with its parent; a boundary line ends everything inside its multipart, headers too;
 * a line that can be no field ends a header; of duplicate fields the first counts (address lists are joined); at
 * most MIME_PARTS_MAX parts and MIME_DEPTH_MAX levels: what is deeper is application/octet-stream, and so is all the
 * rest of the message from the part that would be one too many. Line ends are CRLF or a bare LF.
 *
 * The line end before a boundary line belongs to the boundary. A boundary line is one that is the boundary and
 * blanks; failing that, one that begins with it (RFC 2046, section 5.1.1), the longest. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

enum {
    MIME_PARTS_MAX = 10000,
    MIME_DEPTH_MAX = 100,
    MIME_HEADER_MAX = 256 * 1024, /* what is read of one field; the rest of it is passed over */
    MIME_BOUNDARY_MAX = 1000,     /* a longer one is none */
    MIME_PARAMETERS_MAX = 128,    /* of one field */
};

struct mime_parameter {
    struct str name;    /* in lower case */
    struct str value;   /* decoded (RFC 2231, and RFC 2047 as many write it) to UTF-8 */
    struct str written; /* as it stood, without quotes and folding: the same as value unless that was decoded */
    bool extended;      /* it came with a charset (RFC 2231): name* */
    struct mime_parameter *next;
};

struct mime_part {
    struct mime_part *parent, *first, *next; /* first: of a multipart, or the message in a message/rfc822 */
    struct str type, subtype;     /* as written; "text", "plain" when there is none */
    struct mime_parameter *parameters;
    struct str id, description;   /* .p NULL: none; raw, unfolded */
    struct str encoding;          /* as written, "7BIT" when there is none */
    struct str disposition;       /* .p NULL: none */
    struct mime_parameter *disposition_parameters;
    struct str languages, location, md5; /* .p NULL: none; languages: comma separated as written */
    uint64_t header, body, end;   /* offsets: where its header begins, its body begins, its body ends */
    uint64_t header_lines, lines; /* line ends in the header, with the blank line; in the body */
    struct mime_envelope *envelope; /* of the message itself and of the one inside a message/rfc822 */
};

/* Address lists of an envelope keep groups, as IMAP tells them. Strings raw (not decoded), unfolded, without
 * quotes and comments. */
struct mime_address {
    /* .p NULL: NIL; a group: host NULL, mailbox its name, or both NULL at its end. A mailbox or host that an
     * address lacks is empty. */
    struct str name, route, mailbox, host;
    struct mime_address *next;
};
struct mime_envelope {
    struct str date, subject, in_reply_to, message_id; /* .p NULL: none */
    struct mime_address *from, *sender, *reply_to, *to, *cc, *bcc;
    struct str references; /* for threads; not part of ENVELOPE */
};

struct mime_parser;
/* The arena gets the tree; when it is full, the parser gives what fits as one opaque part
 * (application/octet-stream, with the envelope as far as it fitted). */
struct mime_parser *mime_parser_new(struct arena *arena);
void mime_parser_add(struct mime_parser *p, struct str bytes);
/* The root, owned by the arena (NULL when there was no room even for it); frees the parser. */
struct mime_part *mime_parser_end(struct mime_parser *p);

/* The part a path such as 1.2 names (RFC 9051, section 6.4.5.1); NULL when there is none. No path: the root. For the
 * HEADER and TEXT of a message/rfc822 part take its `first`. */
const struct mime_part *mime_part_find(const struct mime_part *root, const uint32_t *path, size_t depth);
/* The next part in the order of the message, first the children; NULL after the last. */
const struct mime_part *mime_part_next(const struct mime_part *part);
bool mime_part_is(const struct mime_part *p, const char *type, const char *subtype); /* subtype NULL: any */
/* A message in a message: message/rfc822 or message/global with its structure. */
bool mime_part_is_message(const struct mime_part *p);
/* The decoded value; the extended one when it is there both ways. .p NULL: none. */
struct str mime_parameter_find(const struct mime_parameter *list, const char *name);

/* Reads an address list (From, To ...) into the arena. *full is set when the arena has no more room. */
struct mime_address *mime_address_list(struct str value, struct arena *arena, bool *full);
/* Reads what stands behind the type of a Content-Type or Content-Disposition: "; name=value ...". */
struct mime_parameter *mime_parameter_list(struct str text, struct arena *arena, bool *full);
