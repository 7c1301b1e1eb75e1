/* staffetta(1) as mdoc, made from the tables, so that it cannot say something else than the program
 * does: `staffetta help --mdoc`, run by the build. */
#include "cli/manual.h"
#include "cli/verb.h"

#include <stdio.h>
#include <string.h>

static const char head[] =
    ".Dd November 22, 2026\n"
    ".Dt STAFFETTA 1\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm staffetta\n"
    ".Nd run and manage a Staffetta mail server\n"
    ".Sh SYNOPSIS\n"
    ".Nm\n"
    ".Op Fl c Ar file\n"
    ".Op Fl -json\n"
    ".Ar command ...\n"
    ".Sh DESCRIPTION\n"
    ".Nm\n"
    "runs the mail server and manages what it knows: domains, accounts, aliases, routes, the queue.\n"
    "The commands speak to the running server through its local socket.\n"
    "While it does not run, those that look at domains, accounts and the like, at mailboxes, the queue and stories\n"
    "work on the data folder themselves; its owner (or root) may do that.\n"
    ".Pp\n"
    "The options are:\n"
    ".Bl -tag -width Ds\n"
    ".It Fl c Ar file , Fl -config Ar file\n"
    "The configuration file, see\n"
    ".Xr staffetta.conf 5 .\n"
    ".It Fl -json\n"
    "Print one JSON object a line instead of tables, with times in UTC and sizes in bytes.\n"
    ".It Fl -help , Fl -version\n"
    "Print the list of commands, or the version.\n"
    ".El\n"
    ".Pp\n"
    "An option of a command is written\n"
    ".Fl -name Ns = Ns Ar value ,\n"
    ".Fl -name Ar value\n"
    "or\n"
    ".Ar name Ns = Ns Ar value .\n"
    "Words after\n"
    ".Fl -\n"
    "are no options.\n"
    "Called as\n"
    ".Nm sendmail ,\n"
    ".Nm mailq\n"
    "or\n"
    ".Nm newaliases ,\n"
    "the program does what these do.\n"
    ".Pp\n"
    "A password is asked for on the terminal, without echo, or is the first line of standard input.\n"
    ".Sh COMMANDS\n";

static const char tail[] =
    ".Sh ENVIRONMENT\n"
    ".Bl -tag -width Ds\n"
    ".It Ev STAFFETTA_CONFIG\n"
    "The configuration file, when\n"
    ".Fl c\n"
    "is not given.\n"
    ".It Ev STAFFETTA_RUN\n"
    "The folder of the local sockets, for users who may not read the configuration file.\n"
    ".It Ev STAFFETTA_LIBEXEC\n"
    "The folder of the programs of the roles.\n"
    ".El\n"
    ".Sh EXIT STATUS\n"
    "0 for success, else a code of\n"
    ".Xr sysexits 3 :\n"
    "64 wrong arguments;\n"
    "65 a wrong value, something is still in use, a record that\n"
    ".Ic dkim check\n"
    "misses in DNS, or\n"
    ".Ic status --verify\n"
    "found a fault;\n"
    "66 no such message, story, mailbox or file;\n"
    "67 no such account, alias, credential, route, pool or DKIM key, and of\n"
    ".Ic sendmail\n"
    "an unknown recipient;\n"
    "68 no such domain;\n"
    "69 a program of the server is missing, or the server does not run;\n"
    "70 a fault of the program;\n"
    "73 it exists already;\n"
    "74 a file could not be written;\n"
    "75 not now, try again;\n"
    "77 not allowed;\n"
    "78 a mistake in the configuration.\n"
    ".Pp\n"
    "What they mean of\n"
    ".Ic mailbox import , export , check\n"
    "and\n"
    ".Ic account backup , restore , verify :\n"
    ".Bl -tag -width 64\n"
    ".It 0\n"
    "All of it is done, or sound.\n"
    ".It 64\n"
    "Wrong arguments, a kind or an address of a server that is none.\n"
    ".It 65\n"
    "import, export: all but the messages or folders that were named.\n"
    "restore, verify: the file is no backup, is damaged, or could not be restored.\n"
    "backup, check: the mailbox has a mistake.\n"
    ".It 66\n"
    "No such file, folder or mailbox, it may not be read, or the other server cannot be trusted.\n"
    ".It 67\n"
    "No such account.\n"
    ".It 69\n"
    "verify: the program\n"
    ".Pa staffetta-mailbox\n"
    "is missing.\n"
    ".It 73\n"
    "backup: the file is there already; restore: the mailbox is not empty.\n"
    ".It 74\n"
    "backup, restore: a file cannot be written or read to its end; verify: the same.\n"
    ".It 75\n"
    "The server does not run, was stopped or is busy with the same, the mailbox is full, the other server is not there.\n"
    "What was done is kept or undone, nothing is half; give the command again.\n"
    ".It 77\n"
    "The other server refused the login, or whoever asks is not the administrator.\n"
    ".El\n"
    ".Sh EXAMPLES\n"
    ".Bd -literal -offset indent\n"
    "staffetta domain add example.org\n"
    "staffetta account add anna@example.org --quota=2G\n"
    "staffetta mailbox show anna@example.org\n"
    "staffetta alias add sales@example.org anna@example.org bob@example.net\n"
    "staffetta route add 'recipient:*' smtp smart.example.net:587 --tls=verified --login=me --password\n"
    "staffetta queue list --domain=example.net --older=1h\n"
    "staffetta trace anna@example.org --since=2d\n"
    "staffetta report show example.org --days=30\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr staffetta.conf 5 ,\n"
    ".Xr staffetta-sendmail 8\n";

/* Text in a line of mdoc: a word that is the name of a macro must not be taken for one. */
static void print_text(const char *text)
{
    printf("\\&");
    for (const char *p = text; *p; p++)
        if (*p == '\\')
            printf("\\e");
        else
            putchar(*p);
    putchar('\n');
}

static void print_option(const struct verb_option *o)
{
    if (o->hint == NULL)
        printf(".Op Fl -%s\n", o->name);
    else
        printf(".Op Fl -%s Ns = Ns Ar %s\n", o->name, o->hint);
}

static void print_verb(const struct command *command, const struct verb *v)
{
    printf(".It Xo\n.Ic %s%s%s\n", command->name, v->name[0] ? " " : "", v->name);
    if (v->words[0])
        printf(".Ar %s\n", v->words);
    for (const struct verb_option *o = v->options; o != NULL && o->name != NULL; o++)
        print_option(o);
    if (v->flags & VERB_MAY_PASSWORD)
        printf(".Op Fl -password\n");
    printf(".Xc\n");
    print_text(v->summary);
}

static void print_command(const struct command *command)
{
    if (command->verbs == NULL) {
        printf(".It Ic %s\n", command->usage);
        print_text(command->summary);
    }
    for (const struct verb *v = command->verbs; v != NULL && v->name != NULL; v++)
        print_verb(command, v);
}

void manual_print(void)
{
    size_t n;
    const struct command *all = cli_commands(&n);

    fputs(head, stdout);
    printf(".Bl -tag -width Ds\n");
    for (size_t i = 0; i < n; i++)
        print_command(&all[i]);
    printf(".El\n");
    fputs(tail, stdout);
}
