/* The command line of /usr/sbin/sendmail, as programs have used it for forty years. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum sendmail_mode {
    SENDMAIL_DELIVER,  /* a message on standard input */
    SENDMAIL_SMTP,     /* -bs: SMTP on standard input and output */
    SENDMAIL_LIST,     /* -bp, mailq */
    SENDMAIL_NOTHING,  /* -q, -bi, newaliases: there is nothing to be done */
};

struct sendmail_options {
    enum sendmail_mode mode;
    bool from_header;      /* -t: To, Cc and Bcc name recipients */
    bool ignore_dots;      /* -i, -oi: a lone dot does not end the message */
    bool verbose;          /* -v */
    bool sender_given;
    struct str sender;     /* -f, -r; empty or <> is the null sender */
    struct str full_name;  /* -F */
    const char *ret;       /* -R: "FULL" or "HDRS" */
    struct str envid;      /* -V */
    struct str notify;     /* -N, upper or lower case: "never" or a list of success,failure,delay */
    char **recipients;     /* the words after the options */
    int recipient_count;
};

/* argv[0] is the program's name. False with what is wrong. */
MUST_CHECK bool sendmail_parse(struct sendmail_options *o, int argc, char **argv, struct err *err);
