/* Senders of forwarded mail, rewritten so that SPF fits the forwarder and bounces find their way back (the Sender
 * Rewriting Scheme): pure functions over canonical addresses (smtp/address.h).
 *
 *   user@example.org                        SRS0=MAC=DD=example.org=user@forwarder
 *   SRS0=x=dd=example.org=user@first        SRS1=MAC=first==x=dd=example.org=user@forwarder
 *   SRS1=y=first==x=dd=...@second           SRS1=MAC=first==x=dd=...@forwarder
 *
 * MAC is 40 bits in base 32, DD the day modulo 1024: letters whose case may be changed on the way. SRS1 is as long as it
 * is however many forwarders there were. Of an SRS0 made by others, the separator after "SRS0" may be '+' or '-'. */
#pragma once
#include "path_key.h"

enum { SRS_DAYS = 21 }; /* how long a bounce may come after its message was forwarded */

/* What the sender becomes. The null sender stays what it is: out is left empty. False: it has no such form, since it is no
 * address or the local part would have over ADDRESS_LOCAL_MAX octets. (Over 64 octets it is made all the same: others
 * need not take them by RFC 5321 4.5.3.1.1, but do.) */
bool srs_forward(const struct path_keys *keys, struct str sender, struct str forwarder, int64_t now_seconds, struct buf *out);
/* Whom a bounce to this address goes to; out holds it for PATH_GOOD only. */
enum path_result srs_reverse(const struct path_keys *keys, struct str rcpt, int64_t now_seconds, struct buf *out);
