/* The certificates of the played servers, and TLSA records of them. */
#pragma once
#include "base/buf.h"

/* DER; the same for the whole run. */
struct str tls_certificate(bool bad);
/* The rdata of "usage selector matching good": of the digest or the whole of the good certificate or its key. */
void tls_record(struct buf *out, struct str text);
void tls_certificates_clear(void);
