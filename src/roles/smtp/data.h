/* The content of a message as it comes from the client: the end of DATA, dot-unstuffing, and the
 * checks that make SMTP smuggling impossible. A pure machine; input may be split anywhere.
 *
 * DATA ends at CRLF "." CRLF and nowhere else. A CR without LF, a LF without CR, a NUL or a line of
 * more than DATA_LINE_MAX octets makes the message refused, but reading goes on to the real end: what
 * looked like an end to somebody else is still content here. With BDAT the same is checked, except
 * for BODY=BINARYMIME, where every octet is content. */
#pragma once
#include "base/str.h"

/* RFC 5321 4.5.3.1.6 says 1000 with CRLF; many generators of HTML write a little more. */
enum { DATA_LINE_MAX = 2000 };

enum data_fault {
    DATA_FINE,
    DATA_BARE_CR,
    DATA_BARE_LF,
    DATA_NUL,
    DATA_LONG_LINE,
    DATA_TOO_BIG,
};

struct data_reader {
    bool dots;   /* DATA: unstuff, look for the end */
    bool binary; /* BINARYMIME: no checks */
    bool done;   /* the end of DATA was read */
    enum data_place { DATA_LINE_START, DATA_IN_LINE, DATA_AFTER_CR, DATA_AFTER_DOT, DATA_AFTER_DOT_CR } place;
    size_t line;    /* octets of this line so far */
    uint64_t total; /* octets of content */
    uint64_t most;  /* of total */
    enum data_fault fault; /* the first one; content is not passed on any more */
};

typedef void data_sink(void *to, struct str content);

void data_begin(struct data_reader *r, bool dots, bool binary, uint64_t most);
/* Takes bytes up to the end of DATA; returns how many. Content goes to the sink in views. */
size_t data_take(struct data_reader *r, struct str bytes, data_sink *sink, void *to);
/* The last chunk of BDAT is over: a CR at its very end was a bare one. */
void data_end(struct data_reader *r);
