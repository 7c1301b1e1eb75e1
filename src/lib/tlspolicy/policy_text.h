/* The records of MTA-STS (RFC 8461 3.1) and TLSRPT (RFC 8460 3): "v=VERSION; name=value; name=value". Pure views. */
#pragma once
#include "base/buf.h"

/* Begins with this version ("v=STSv1") and has fields behind it; *rest is what follows the version. */
bool policy_text_begins(struct str text, struct str version, struct str *rest);
/* The name of a field, as records and policy files have it (sts-ext-name, at most 32 octets). */
bool policy_text_is_name(struct str s);
enum policy_text_next { POLICY_TEXT_FIELD, POLICY_TEXT_END, POLICY_TEXT_BAD };
/* Cuts the next field off *rest. A last ';' may be there. */
enum policy_text_next policy_text_next(struct str *rest, struct str *name, struct str *value);

enum policy_found { POLICY_NONE, POLICY_FOUND, POLICY_BAD };
/* Of an answer's TXT records (as in dns_reply.records) the one of this version: others are left out, and if there are several
 * left they are POLICY_BAD (RFC 8461 3.1, RFC 8460 3). Its text is appended to `text`, which must have a ceiling. */
enum policy_found policy_text_choose(struct str records, struct str version, struct buf *text);
