/* staffetta.conf(5) from the tables, as mdoc. */
#include "config/table.h"

#include <string.h>

static const char head[] =
    ".Dd November 22, 2026\n"
    ".Dt STAFFETTA.CONF 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm staffetta.conf\n"
    ".Nd configuration of a Staffetta mail server\n"
    ".Sh DESCRIPTION\n"
    "The file says what belongs to this machine: names, listeners, TLS, folders, limits.\n"
    "Domains, accounts, aliases, routes and keys are in the directory database and are managed with\n"
    ".Xr staffetta 1 .\n"
    ".Pp\n"
    "A directive is written\n"
    ".Ic name = value ,\n"
    "a list\n"
    ".Ic name = { value , value } .\n"
    "Text with blanks or special characters stands in double or single quotes.\n"
    "Comments begin with # or // and run to the end of the line, or stand between /* and */.\n"
    "An unknown directive is an error, and so is one given twice.\n"
    ".Pp\n"
    "Times are written with a unit: 30s, 5m, 4h, 5d.\n"
    "Sizes are bytes, or have one of the letters K, M, G, T (powers of 1024).\n"
    "Switches are true or false.\n"
    "Networks are written 10.0.0.0/8 or 2001:db8::/32; an address alone stands for itself.\n"
    ".Pp\n"
    "After a change, test the file with\n"
    ".Ql staffetta check-config\n"
    "and send SIGHUP to the supervisor; nothing is interrupted.\n"
    ".Sh DIRECTIVES\n";

static const char tail[] =
    ".Sh TLS\n"
    "The server's certificates come from sections\n"
    ".Ic certificate .\n"
    "Without any, STARTTLS and STLS are not offered, and a listener with\n"
    ".Ic tls = implicit\n"
    "is an error.\n"
    "Logging in needs TLS, except from this machine.\n"
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa /etc/staffetta/staffetta.conf\n"
    "Read by default.\n"
    ".El\n"
    ".Sh EXAMPLES\n"
    ".Bd -literal -offset indent\n"
    "hostname = \"mail.example.org\"\n"
    "listen \"mx\" { service = \"mx\" }\n"
    "listen \"submission\" { service = \"submission\" }\n"
    "listen \"submissions\" { service = \"submission\" tls = \"implicit\" }\n"
    "listen \"imap\" { service = \"imap\" }\n"
    "listen \"imaps\" { service = \"imap\" tls = \"implicit\" }\n"
    "listen \"pop3\" { service = \"pop3\" }\n"
    "listen \"pop3s\" { service = \"pop3\" tls = \"implicit\" }\n"
    "listen \"metrics\" { service = \"metrics\" }\n"
    "certificate \"main\" {\n"
    "    chain = \"/etc/staffetta/mail.example.org.pem\"\n"
    "    key = \"/etc/staffetta/mail.example.org.key\"\n"
    "}\n"
    "relay_networks = { \"127.0.0.0/8\", \"::1\", \"192.168.7.0/24\" }\n"
    "limits { message_size = 100M }\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr staffetta 1 ,\n"
    ".Xr staffetta-sendmail 8\n";

/* Text inside a line of mdoc: backslashes, and no accidental request or macro at the start. */
static void add_text(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            buf_add(out, STR("\\e"));
        else if (*p == '\n' || *p == '\t')
            buf_add_char(out, ' ');
        else
            buf_add_char(out, *p);
        if (*p == '.' && p[1] == ' ' && p[2] != 0 && !(p[2] >= 'a' && p[2] <= 'z')) {
            buf_add_char(out, '\n'); /* new sentence, new line */
            p++;
        }
    }
    buf_add_char(out, '\n');
}

static void add_quoted(struct buf *out, const char *text)
{
    bool quote = strpbrk(text, " /@#") != NULL || *text == 0;

    buf_addf(out, quote ? "\\(dq%s\\(dq" : "%s", text);
}

static void add_default(struct buf *out, const struct config_directive *d)
{
    struct str rest = str_of(d->standard), word;
    bool first = true;

    if (d->kind != KIND_LIST && d->kind != KIND_SPANS) {
        add_quoted(out, d->standard);
        return;
    }
    buf_add(out, STR("{"));
    while (str_next_word(&rest, &word)) {
        buf_addf(out, first ? " %.*s" : ", %.*s", STR_ARG(word));
        first = false;
    }
    buf_add(out, STR(" }"));
}

static void add_directive(struct buf *out, const struct config_directive *d)
{
    static const char *const kinds[] = {"text", "number", "switch", "time", "size", "list", "times"};

    buf_addf(out, ".It Ic %s = Ar %s\n", d->name, kinds[d->kind]);
    add_text(out, d->doc);
    if (d->standard[0] == 0 || strcmp(d->standard, "0") == 0)
        return;
    buf_add(out, STR("Default:\n.Li "));
    add_default(out, d);
    buf_add(out, STR(" .\n"));
}

void config_write_manual(struct buf *out)
{
    buf_add(out, str_of(head));
    for (size_t i = 0; i < CONFIG_SECTIONS; i++) {
        const struct config_section *s = &config_sections[i];

        buf_addf(out, ".Ss %s\n", s->doc);
        if (s->name[0])
            buf_addf(out, "Section\n.Ic %s%s { No ... Ic } .\n", s->name, s->many ? " \\(dqname\\(dq" : "");
        buf_add(out, STR(".Bl -tag -width Ds\n"));
        for (size_t k = 0; k < s->n; k++)
            add_directive(out, &s->directives[k]);
        buf_add(out, STR(".El\n"));
    }
    buf_add(out, str_of(tail));
}
