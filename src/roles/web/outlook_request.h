/* What Outlook sends to autodiscover.xml (POX), as far as it matters: the address. Pure. */
#pragma once
#include "base/buf.h"

enum { OUTLOOK_ADDRESS_MAX = 320 };

/* The content of the first element EMailAddress, with its entities resolved. False: there is none, or it is no address one could
 * answer to. Not a whole parser of XML: nothing else of the document has a meaning here, so nothing else is looked at, and there is
 * nothing that could be expanded or fetched. */
bool outlook_request_read(struct str body, struct buf *address);
/* Is that a mail address as people have them: printable, one @, no quotes or blanks? domain: what follows the @. */
bool client_address_is_plain(struct str address, struct str *domain);
