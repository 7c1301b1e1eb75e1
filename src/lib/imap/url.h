/* Relative IMAP URLs that name a message or a part of one (RFC 5092, sections 5 and 7; what CATENATE of RFC 4469 takes):
 *
 *   [/]mailbox[;UIDVALIDITY=n]/;UID=n[/;SECTION=section][/;PARTIAL=offset[.length]]
 *   ;UID=n...                                      in the mailbox that is selected
 *
 * Those with a scheme or a server, with a search, or with URLAUTH are none of these. */
#pragma once
#include "command.h"

struct imap_url {
    struct str mailbox;       /* UTF-8 in NFC, as of a command; empty: the one that is selected */
    bool absolute;            /* it began with a slash; otherwise it is beside the mailbox that is selected */
    uint32_t uidvalidity;     /* 0: not given */
    uint32_t uid;
    struct imap_section section;
    bool partial;
    uint64_t offset, length;  /* without a length: INT64_MAX */
};

/* Everything lives in the arena, or is a view of the text. */
bool imap_url_parse(struct str text, struct arena *arena, struct imap_url *url);
/* As the response code BADURL may have it: what cannot stand there is percent-encoded; at most IMAP_URL_SHOWN bytes of it. */
enum { IMAP_URL_SHOWN = 1000 };
void imap_url_write(struct buf *out, struct str text);
