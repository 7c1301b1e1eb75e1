/* How a mail program is to be set up for this server, in the three forms programs ask for. Pure: from the configuration to text.
 * Nothing here knows accounts: what comes out for an address depends on its domain alone. */
#pragma once
#include "base/buf.h"
#include "config/config.h"

/* Mozilla's form (config-v1.1.xml). The program itself puts the address in. */
void client_settings_mozilla(const struct config *config, struct str domain, struct buf *out);
/* Microsoft's (POX, outlook/responseschema/2006a); address: as the program sent it. */
void client_settings_outlook(const struct config *config, struct str address, struct buf *out);
/* The answer to a request nothing can be made of. */
void client_settings_outlook_error(struct buf *out);
/* Apple's profile (.mobileconfig). address: may be empty, then the program asks for it. */
void client_settings_apple(const struct config *config, struct str domain, struct str address, struct buf *out);

/* Text as content or attribute value of XML; bytes XML cannot have (control characters, broken UTF-8) become '?'. */
void xml_add_escaped(struct buf *out, struct str text);
