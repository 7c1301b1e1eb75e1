/* IMAP: mailboxes of others (RFC 4314, RFC 2342): finding, reading, changing them as far as the owner allows. Client 0 is r, the owner;
 * 1 is ann, 2 is bob. */
#include "roles/mailbox/store_acl.h"
#include "shared_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALL "lrswipkxtecda"

static int setup(void **state)
{
    (void)state;
    shared_world_open("imap_shared_test");
    return 0;
}

static void listing(void **state)
{
    (void)state;
    CONVERSE(0, {"a CREATE p/q/s\r\n", "a OK [%] Created\r\n"}, {"b CREATE hidden\r\n", "b OK [%] Created\r\n"});
    owner_grants("p/q/s", "ann@home.example", "lr");
    owner_grants("INBOX", "ann@home.example", "l");
    owner_grants("hidden", "ann@home.example", "rswite");
    CONVERSE(1, {"a LIST \"\" \"Other Users*\"\r\n",
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users\"\r\n"
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users/r@home.example\"\r\n"
        "* LIST (\\HasNoChildren) \"/\" " OF_R "INBOX\"\r\n"
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" " OF_R "p\"\r\n"
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" " OF_R "p/q\"\r\n"
        "* LIST (\\HasNoChildren) \"/\" " OF_R "p/q/s\"\r\na OK Done\r\n"},
        {"b LIST \"\" \"Other Users/%\"\r\n", "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users/r@home.example\"\r\nb OK Done\r\n"},
        {"c LIST \"Other Users/r@home.example/\" %\r\n", "* LIST (\\HasNoChildren) \"/\" " OF_R "INBOX\"\r\n"
            "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" " OF_R "p\"\r\nc OK Done\r\n"},
        {"d LIST \"\" (INBOX " OF_R "INBOX\")\r\n", "* LIST (\\HasNoChildren) \"/\" INBOX\r\n* LIST (\\HasNoChildren) \"/\" " OF_R "INBOX\"\r\nd OK Done\r\n"},
        {"e LIST \"\" " OF_R "p/q/s\" RETURN (MYRIGHTS STATUS (MESSAGES) METADATA (/shared/comment))\r\n",
            "* LIST (\\HasNoChildren) \"/\" " OF_R "p/q/s\"\r\n* MYRIGHTS " OF_R "p/q/s\" lr\r\n* STATUS " OF_R "p/q/s\" (MESSAGES 0)\r\n"
            "* METADATA " OF_R "p/q/s\" (/shared/comment NIL)\r\ne OK Done\r\n"},
        {"f LIST \"\" " OF_R "INBOX\" RETURN (STATUS (MESSAGES) METADATA (/shared/comment) MYRIGHTS)\r\n",
            "* LIST (\\HasNoChildren) \"/\" " OF_R "INBOX\"\r\n* MYRIGHTS " OF_R "INBOX\" l\r\nf OK Done\r\n"},
        {"g LIST \"\" Sen%\r\n", "* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\ng OK Done\r\n"});
    client_expect(2, "a LIST \"\" \"Other Users*\"\r\n", "a OK Done\r\n");
    client_expect(0, "a LIST \"\" \"Other Users*\"\r\n", "a OK Done\r\n");
    owner_grants("INBOX", "anyone", "l");
    client_expect(2, "b LIST \"\" \"Other Users/*\"\r\n", "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users/r@home.example\"\r\n"
        "* LIST (\\HasNoChildren) \"/\" " OF_R "INBOX\"\r\nb OK Done\r\n");
}

/* A "/" in an address is no end of it. */
static void owner_with_a_slash(void **state)
{
    (void)state;
    client_open_as(3, SLASH);
    client_expect(3, "a SETACL Sent ann@home.example lri\r\n", "a OK Done\r\n");
    CONVERSE(1, {"a LIST \"\" \"Other Users*\"\r\n",
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users\"\r\n"
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users/f\"\r\n"
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users/f/g@home.example\"\r\n"
        "* LIST (\\HasNoChildren) \"/\" \"Other Users/f/g@home.example/Sent\"\r\na OK Done\r\n"},
        {"b STATUS \"Other Users/f/g@home.example/Sent\" (MESSAGES)\r\n", "* STATUS \"Other Users/f/g@home.example/Sent\" (MESSAGES 0)\r\nb OK Done\r\n"},
        {"c APPEND \"Other Users/f/g@home.example/Sent\" {4+}\r\na: b\r\n", "c OK [APPENDUID %] Stored\r\n"},
        {"d STATUS \"Other Users/f/g@home.example\" (MESSAGES)\r\n", "d NO [NONEXISTENT] %\r\n"},
        {"e STATUS \"Other Users/f/x@y\" (MESSAGES)\r\n", "e NO [NONEXISTENT] %\r\n"}, {"f STATUS \"Other Users//x\" (MESSAGES)\r\n", "f NO [NONEXISTENT] %\r\n"},
        {"g STATUS \"Other Users/f/x\" (MESSAGES)\r\n", "g NO [NONEXISTENT] %\r\n"}, {"h STATUS \"Other Users/@/x\" (MESSAGES)\r\n", "h NO [NONEXISTENT] %\r\n"});
}

static void subscriptions(void **state)
{
    (void)state;
    owner_grants("Sent", "ann@home.example", "lr");
    CONVERSE(1, {"a SUBSCRIBE " OF_R "Sent\"\r\n", "a OK Done\r\n"},
        {"b LSUB \"\" \"Other Users*\"\r\n", "* LSUB () \"/\" " OF_R "Sent\"\r\nb OK Done\r\n"},
        {"c LIST (SUBSCRIBED) \"\" O*\r\n", "* LIST (\\Subscribed \\HasNoChildren) \"/\" " OF_R "Sent\"\r\nc OK Done\r\n"},
        {"d LIST (SUBSCRIBED RECURSIVEMATCH) \"\" O%\r\n",
            "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\nd OK Done\r\n"});
    owner_grants("Sent", "ann@home.example", "-l");
    CONVERSE(1, {"e LIST (SUBSCRIBED) \"\" O*\r\n", "* LIST (\\NonExistent \\Noselect \\Subscribed \\HasNoChildren) \"/\" " OF_R "Sent\"\r\ne OK Done\r\n"},
        {"f UNSUBSCRIBE " OF_R "Sent\"\r\n", "f OK Done\r\n"}, {"g LSUB \"\" O*\r\n", "g OK Done\r\n"});
}

static void reading(void **state)
{
    (void)state;
    world_fill(2);
    client_expect(0, "a STORE 1 +FLAGS (\\Seen)\r\n", "a BAD %\r\n");
    owner_grants("INBOX", "ann@home.example", "lr");
    CONVERSE(1, {"a SELECT \"other users/r@home.example/INBOX\"\r\n", "a NO [NONEXISTENT] %\r\n"},
        {"b SELECT \"Other Users/R@home.Example/inbox\"\r\n",
            "* FLAGS (%)\r\n* OK [PERMANENTFLAGS ()] %\r\n* 2 EXISTS\r\n* 0 RECENT\r\n* OK [UNSEEN 1] %\r\n* OK [UIDVALIDITY %] %\r\n"
            "* OK [UIDNEXT 3] %\r\n* OK [HIGHESTMODSEQ %] %\r\n* OK [MAILBOXID (F261-1)] %\r\nb OK [READ-ONLY] Selected\r\n"},
        {"c FETCH 1 (BODY[TEXT] FLAGS)\r\n", "* 1 FETCH (BODY[TEXT] {12}\r\nText of 1.\r\n FLAGS ())\r\nc OK Done\r\n"},
        {"d SEARCH SUBJECT m2\r\n", "* SEARCH 2\r\nd OK Done\r\n"}, {"e SORT (REVERSE SUBJECT) UTF-8 ALL\r\n", "* SORT 2 1\r\ne OK Done\r\n"},
        {"f THREAD REFERENCES UTF-8 ALL\r\n", "* THREAD (1)(2)\r\nf OK Done\r\n"},
        {"g STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 0)\r\ng OK Done\r\n"},
        {"h STATUS " OF_R "INBOX\" (MESSAGES MAILBOXID)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 2 MAILBOXID (F261-1))\r\nh OK Done\r\n"},
        {"i MYRIGHTS " OF_R "INBOX\"\r\n", "* MYRIGHTS " OF_R "INBOX\" lr\r\ni OK Done\r\n"},
        {"j STORE 1 +FLAGS (\\Flagged)\r\n", "j NO [NOPERM] %\r\n"}, {"k STORE 1 FLAGS ()\r\n", "k NO [NOPERM] %\r\n"},
        {"l EXPUNGE\r\n", "l NO [NOPERM] %\r\n"}, {"m MOVE 1 Sent\r\n", "m NO [NOPERM] %\r\n"},
        {"n COPY 1 " OF_R "INBOX\"\r\n", "n NO [NOPERM] %\r\n"}, {"o GETACL " OF_R "INBOX\"\r\n", "o NO [NOPERM] %\r\n"},
        {"p SETACL " OF_R "INBOX\" ann@home.example +a\r\n", "p NO [NOPERM] %\r\n"}, {"q DELETE " OF_R "INBOX\"\r\n", "q NO [NOPERM] %\r\n"},
        {"r CLOSE\r\n", "r OK %\r\n"}, {"s FETCH 1 FLAGS\r\n", "s BAD %\r\n"});
    CONVERSE(1, {"t ENABLE IMAP4rev2\r\n", "* ENABLED %\r\nt OK %\r\n"}, {"u EXAMINE " OF_R "INBOX\"\r\n", "* FLAGS %\r\n* OK [PERMANENTFLAGS ()] %\r\n* 2 EXISTS\r\n"
        "* OK [UIDVALIDITY %] %\r\n* OK [UIDNEXT 3] %\r\n* OK [HIGHESTMODSEQ %] %\r\n* OK [MAILBOXID (F261-1)] %\r\n* LIST () \"/\" " OF_R "INBOX\"\r\n"
        "u OK [READ-ONLY] Selected\r\n"});
}

/* What is told while it is selected, idling too. */
static void together(void **state)
{
    (void)state;
    world_fill(1);
    owner_grants("INBOX", "ann@home.example", "lrs");
    client_say(1, "a SELECT " OF_R "INBOX\"\r\n");
    client_say(0, "a SELECT INBOX\r\n");
    world_flush();
    (void)client_got(0);
    (void)client_got(1);
    client_expect(1, "b IDLE\r\n", "+ idling\r\n");
    world_fill(1);
    client_expect(1, "", "* 2 EXISTS\r\n");
    client_expect(0, "b STORE 1 +FLAGS (\\Answered)\r\n", "* 1 FETCH (FLAGS (\\Answered))\r\n* 2 EXISTS\r\nb OK Done\r\n");
    client_expect(1, "", "* 1 FETCH (FLAGS (\\Answered))\r\n");
    client_expect(1, "DONE\r\n", "b OK %\r\n");
    client_expect(1, "c STORE 2 +FLAGS (\\Seen)\r\n", "* 2 FETCH (FLAGS (\\Seen))\r\nc OK Done\r\n");
    client_expect(0, "c NOOP\r\n", "* 2 FETCH (FLAGS (\\Seen))\r\nc OK Done\r\n");
    client_expect(1, "d FETCH 1 BODY[TEXT]\r\n", "* 1 FETCH (BODY[TEXT] {12}\r\nText of 1.\r\n)\r\n* 1 FETCH (FLAGS (\\Seen \\Answered))\r\nd OK Done\r\n");
    client_expect(0, "d STORE 1 +FLAGS (\\Deleted)\r\n", "* 1 FETCH (FLAGS (\\Seen \\Answered \\Deleted))\r\nd OK Done\r\n");
    client_expect(0, "e EXPUNGE\r\n", "* 1 EXPUNGE\r\ne OK Done\r\n");
    client_expect(1, "e NOOP\r\n", "* 1 EXPUNGE\r\ne OK Done\r\n");
    /* Meanwhile his own mailboxes are what they are. */
    CONVERSE(1, {"f APPEND INBOX {10}\r\n", "+ %\r\n"}, {"Subject: x\r\n", "f OK [APPENDUID % 1] %\r\n"}, {"g FETCH 1 UID\r\n", "* 1 FETCH (UID 2)\r\ng OK Done\r\n"},
        {"h SELECT INBOX\r\n", "* FLAGS %\r\n* OK [PERMANENTFLAGS (%)] %\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK [UNSEEN 1] %\r\n* OK [UIDVALIDITY %] %\r\n"
            "* OK [UIDNEXT 2] %\r\n* OK [HIGHESTMODSEQ %] %\r\n* OK [MAILBOXID (F1)] %\r\nh OK [READ-WRITE] Selected\r\n"});
}

/* STORE: each flag by its right. */
static void flags_by_right(void **state)
{
    (void)state;
    world_fill(1);
    client_say(0, "a SELECT INBOX\r\nb STORE 1 FLAGS (\\Answered \\Seen kept)\r\nc UNSELECT\r\n");
    world_flush();
    (void)client_got(0);
    owner_grants("INBOX", "ann@home.example", "lrst");
    client_expect(1, "a SELECT " OF_R "INBOX\"\r\n", "* FLAGS (%)\r\n* OK [PERMANENTFLAGS (\\Seen \\Deleted)] %\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %] %\r\n"
        "* OK [UIDNEXT 2] %\r\n* OK [HIGHESTMODSEQ %] %\r\n* OK [MAILBOXID (F261-1)] %\r\na OK [READ-WRITE] Selected\r\n");
    CONVERSE(1, {"b STORE 1 +FLAGS (\\Flagged \\Deleted new)\r\n", "* 1 FETCH (FLAGS (\\Seen \\Answered \\Deleted kept))\r\nb OK Done\r\n"},
        {"c STORE 1 FLAGS (\\Flagged other)\r\n", "* 1 FETCH (FLAGS (\\Answered kept))\r\nc OK Done\r\n"},
        {"d STORE 1 -FLAGS (\\Answered kept)\r\n", "d NO [NOPERM] %\r\n"}, {"e STORE 1 +FLAGS (new)\r\n", "e NO [NOPERM] %\r\n"},
        {"f STORE 1 FLAGS.SILENT (\\Deleted)\r\n", "f OK Done\r\n"}, {"g FETCH 1 FLAGS\r\n", "* 1 FETCH (FLAGS (\\Answered \\Deleted kept))\r\ng OK Done\r\n"},
        {"h EXPUNGE\r\n", "h NO [NOPERM] %\r\n"}, {"i UID EXPUNGE 1\r\n", "i NO [NOPERM] %\r\n"}, {"j MOVE 1 Sent\r\n", "j NO [NOPERM] %\r\n"});
    owner_grants("INBOX", "ann@home.example", "lrwe");
    CONVERSE(1, {"k NOOP\r\n", "k OK Done\r\n"},
        {"l STORE 1 FLAGS (\\Seen \\Draft other)\r\n",
            "* FLAGS (%)\r\n* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Draft kept \\*)] %\r\n* FLAGS (%)\r\n* OK [PERMANENTFLAGS (%)] %\r\n"
            "* 1 FETCH (FLAGS (\\Deleted \\Draft other))\r\nl OK Done\r\n"},
        {"m EXPUNGE\r\n", "* 1 EXPUNGE\r\nm OK Done\r\n"});
}

static void closing_without_the_right(void **state)
{
    (void)state;
    world_fill(1);
    owner_grants("INBOX", "ann@home.example", "lrt");
    client_say(1, "a SELECT " OF_R "INBOX\"\r\n");
    world_flush();
    (void)client_got(1);
    CONVERSE(1, {"b STORE 1 +FLAGS (\\Deleted)\r\n", "* 1 FETCH (FLAGS (\\Deleted))\r\nb OK Done\r\n"}, {"c CLOSE\r\n", "c OK %\r\n"},
        {"d STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 1)\r\nd OK Done\r\n"});
    owner_grants("INBOX", "ann@home.example", "+e");
    client_say(1, "e SELECT " OF_R "INBOX\"\r\n");
    world_flush();
    (void)client_got(1);
    CONVERSE(1, {"f CLOSE\r\n", "f OK %\r\n"}, {"g STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 0)\r\ng OK Done\r\n"});
}

static void appending(void **state)
{
    (void)state;
    owner_grants("Sent", "ann@home.example", "lri");
    CONVERSE(1, {"a APPEND " OF_R "Sent\" (\\Seen \\Flagged word) {4}\r\n", "+ %\r\n"}, {"a: b\r\n", "a OK [APPENDUID % 1] Stored\r\n"},
        {"b APPEND " OF_R "INBOX\" {4}\r\n", "b NO [TRYCREATE] %\r\n"}, {"c APPEND " OF_R "nowhere\" {4}\r\n", "c NO [TRYCREATE] %\r\n"},
        {"d APPEND \"Other Users/nobody@home.example/Sent\" {4}\r\n", "d NO [TRYCREATE] %\r\n"},
        {"e APPEND \"Other Users/ann@home.example/Sent\" {4}\r\n", "e NO [TRYCREATE] %\r\n"});
    owner_grants("Sent", "ann@home.example", "lriw");
    CONVERSE(1, {"f APPEND " OF_R "Sent\" (\\Seen \\Flagged word) {4}\r\n", "+ %\r\n"}, {"a: b\r\n", "f OK [APPENDUID % 2] Stored\r\n"},
        {"g APPEND " OF_R "Sent\" {4+}\r\na: b (\\Deleted) {4+}\r\na: c\r\n", "g OK [APPENDUID % 3:4] Stored\r\n"});
    owner_grants("Sent", "ann@home.example", "lr");
    client_expect(1, "h APPEND " OF_R "Sent\" {4}\r\n", "h NO [NOPERM] %\r\n");
    client_say(0, "a SELECT Sent\r\n");
    world_flush();
    (void)client_got(0);
    client_expect(0, "b FETCH 1:* FLAGS\r\n", "* 1 FETCH (FLAGS ())\r\n* 2 FETCH (FLAGS (\\Flagged word))\r\n* 3 FETCH (FLAGS ())\r\n* 4 FETCH (FLAGS ())\r\nb OK Done\r\n");
}

/* A right that is taken away while the message is being sent. */
static void appending_and_taken_away(void **state)
{
    (void)state;
    owner_grants("Sent", "ann@home.example", "lri");
    client_expect(1, "a APPEND " OF_R "Sent\" {4}\r\n", "+ %\r\n");
    owner_grants("Sent", "ann@home.example", "lr");
    client_expect(1, "a: b\r\n", "a NO [NOPERM] %\r\n");
    client_expect(1, "b STATUS " OF_R "Sent\" (MESSAGES)\r\n", "* STATUS " OF_R "Sent\" (MESSAGES 0)\r\nb OK Done\r\n");
}

static void copying(void **state)
{
    (void)state;
    world_fill(3);
    client_say(0, "a SELECT INBOX\r\nb STORE 1 +FLAGS (\\Seen \\Flagged one)\r\nc STORE 2 +FLAGS (\\Deleted two)\r\n");
    world_flush();
    (void)client_got(0);
    owner_grants("INBOX", "ann@home.example", "lr");
    client_say(1, "a SELECT " OF_R "INBOX\"\r\n");
    world_flush();
    (void)client_got(1);
    CONVERSE(1, {"b COPY 1:3 Archive\r\n", "b OK [COPYUID % 1:3 1:3] Done\r\n"}, {"c UID COPY 3,1 Archive\r\n", "c OK [COPYUID % 1,3 4:5] Done\r\n"},
        {"d UID COPY 99 Archive\r\n", "d OK Done\r\n"}, {"e COPY 1 nowhere\r\n", "e NO [TRYCREATE] %\r\n"},
        {"f COPY 1 " OF_R "Sent\"\r\n", "f NO [TRYCREATE] %\r\n"});
    client_say(1, "g SELECT Archive\r\n");
    world_flush();
    (void)client_got(1);
    client_expect(1, "h FETCH 1:3 (FLAGS BODY.PEEK[TEXT] ENVELOPE)\r\n",
        "* 1 FETCH (FLAGS (\\Seen \\Flagged one) BODY[TEXT] {12}\r\nText of 1.\r\n ENVELOPE (NIL \"m1\" %))\r\n"
        "* 2 FETCH (FLAGS (\\Deleted two) BODY[TEXT] {12}\r\nText of 2.\r\n ENVELOPE (NIL \"m2\" %))\r\n"
        "* 3 FETCH (FLAGS () BODY[TEXT] {12}\r\nText of 3.\r\n ENVELOPE (NIL \"m3\" %))\r\nh OK Done\r\n");
    /* The other way round, flags as far as they may be set; and from one mailbox of r to another. */
    owner_grants("Sent", "ann@home.example", "lrit");
    client_expect(1, "i COPY 1:2 " OF_R "Sent\"\r\n", "i OK [COPYUID % 1:2 1:2] Done\r\n");
    client_say(1, "j SELECT " OF_R "INBOX\"\r\n");
    world_flush();
    (void)client_got(1);
    client_expect(1, "k COPY 1:2 " OF_R "Sent\"\r\n", "k OK [COPYUID % 1:2 3:4] Done\r\n");
    owner_grants("Sent", "ann@home.example", "+sw");
    client_expect(1, "l COPY 1:2 " OF_R "Sent\"\r\n", "l OK [COPYUID % 1:2 5:6] Done\r\n");
    client_say(0, "d SELECT Sent\r\n");
    world_flush();
    (void)client_got(0);
    client_expect(0, "e FETCH 1:* FLAGS\r\n", "* 1 FETCH (FLAGS ())\r\n* 2 FETCH (FLAGS (\\Deleted))\r\n* 3 FETCH (FLAGS ())\r\n* 4 FETCH (FLAGS (\\Deleted))\r\n"
        "* 5 FETCH (FLAGS (\\Seen \\Flagged one))\r\n* 6 FETCH (FLAGS (\\Deleted two))\r\ne OK Done\r\n");
}

static void moving(void **state)
{
    (void)state;
    world_fill(3);
    owner_grants("INBOX", "ann@home.example", "lrte");
    client_say(1, "a SELECT " OF_R "INBOX\"\r\n");
    world_flush();
    (void)client_got(1);
    CONVERSE(1, {"b MOVE 1:2 Archive\r\n", "* OK [COPYUID % 1:2 1:2] Copied\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nb OK Done\r\n"},
        {"c UID MOVE 1 Archive\r\n", "c OK Done\r\n"}, {"d STATUS Archive (MESSAGES)\r\n", "* STATUS Archive (MESSAGES 2)\r\nd OK Done\r\n"},
        {"e STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 1)\r\ne OK Done\r\n"});
    owner_grants("INBOX", "ann@home.example", "+i");
    client_say(1, "f SELECT Archive\r\n");
    world_flush();
    (void)client_got(1);
    CONVERSE(1, {"g MOVE 2 " OF_R "INBOX\"\r\n", "* OK [COPYUID % 2 4] Copied\r\n* 2 EXPUNGE\r\ng OK Done\r\n"},
        {"h STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 2)\r\nh OK Done\r\n"},
        {"i EXAMINE Archive\r\n", "* %\r\n* OK [PERMANENTFLAGS ()] %\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK [UNSEEN 1] %\r\n* OK %\r\n* OK %\r\n* OK %\r\n* OK %\r\ni OK [READ-ONLY] Selected\r\n"},
        {"j MOVE 1 " OF_R "INBOX\"\r\n", "j NO [READ-ONLY] %\r\n"});
}

static void making_mailboxes(void **state)
{
    (void)state;
    client_expect(0, "a CREATE p\r\n", "a OK [%] Created\r\n");
    owner_grants("p", "ann@home.example", "lrk");
    CONVERSE(1, {"a CREATE " OF_R "p/q/s\"\r\n", "a OK [MAILBOXID (F261-%)] Created\r\n"}, {"b CREATE " OF_R "other\"\r\n", "b NO [NOPERM] %\r\n"},
        {"c CREATE " OF_R "Sent/x\"\r\n", "c NO [NOPERM] %\r\n"}, {"d MYRIGHTS " OF_R "p/q/s\"\r\n", "* MYRIGHTS " OF_R "p/q/s\" lrkc\r\nd OK Done\r\n"},
        {"e CREATE " OF_R "p/q\"\r\n", "e NO [ALREADYEXISTS] %\r\n"}, {"e CREATE " OF_R "p/u\" (USE (\\Trash))\r\n", "e NO [USEATTR] %\r\n"}, {"f DELETE " OF_R "p/q/s\"\r\n", "f NO [NOPERM] %\r\n"},
        {"g RENAME " OF_R "p/q\" " OF_R "p/t\"\r\n", "g NO [NOPERM] %\r\n"});
    client_expect(0, "b GETACL p/q/s\r\n", "* ACL p/q/s r@home.example " ALL " ann@home.example lrkc\r\nb OK Done\r\n");
    owner_grants("p/q", "ann@home.example", "+x");
    client_expect(1, "h RENAME " OF_R "p/q\" " OF_R "p/t\"\r\n", "h NO [NOPERM] %\r\n"); /* what is below it */
    owner_grants("p/q/s", "ann@home.example", "+x");
    CONVERSE(1, {"i RENAME " OF_R "p/q\" " OF_R "top\"\r\n", "i NO [NOPERM] %\r\n"}, {"j RENAME " OF_R "p/q\" mine\r\n", "j NO [CANNOT] %\r\n"},
        {"k RENAME " OF_R "p/q\" \"Other Users/bob@home.example/p/q\"\r\n", "k NO [CANNOT] %\r\n"},
        {"l RENAME " OF_R "p/q\" " OF_R "p/t\"\r\n", "l OK Done\r\n"}, {"m DELETE " OF_R "p/t/s\"\r\n", "m OK Done\r\n"});
    client_expect(0, "c LIST \"\" p*\r\n", "* LIST (\\HasChildren) \"/\" p\r\n* LIST (\\HasNoChildren) \"/\" p/t\r\nc OK Done\r\n");
}

static void administering(void **state)
{
    (void)state;
    owner_grants("Sent", "ann@home.example", "la");
    CONVERSE(1, {"a GETACL " OF_R "Sent\"\r\n", "* ACL " OF_R "Sent\" r@home.example " ALL " ann@home.example la\r\na OK Done\r\n"},
        {"b SETACL " OF_R "Sent\" bob@home.example lr\r\n", "b OK Done\r\n"},
        {"c LISTRIGHTS " OF_R "Sent\" bob@home.example\r\n", "* LISTRIGHTS " OF_R "Sent\" bob@home.example \"\" l r s w i p k x t e c d a\r\nc OK Done\r\n"},
        {"d SETACL " OF_R "Sent\" r@home.example \"\"\r\n", "d NO [CANNOT] %\r\n"}, {"e DELETEACL " OF_R "Sent\" r@home.example\r\n", "e NO [CANNOT] %\r\n"});
    client_expect(2, "a LIST \"\" " OF_R "*\" RETURN (MYRIGHTS)\r\n", "* LIST (\\HasNoChildren) \"/\" " OF_R "Sent\"\r\n* MYRIGHTS " OF_R "Sent\" lr\r\na OK Done\r\n");
    client_expect(1, "f DELETEACL " OF_R "Sent\" ann@home.example\r\n", "f OK Done\r\n");
    client_expect(1, "g GETACL " OF_R "Sent\"\r\n", "g NO [NONEXISTENT] %\r\n");
}

static void negative_rights(void **state)
{
    (void)state;
    owner_grants("Sent", "anyone", "lrs");
    owner_grants("Sent", "ann@home.example", "w");
    owner_grants("Sent", "-ann@home.example", "s");
    owner_grants("Sent", "-bob@home.example", "lr");
    client_expect(1, "a MYRIGHTS " OF_R "Sent\"\r\n", "* MYRIGHTS " OF_R "Sent\" lrw\r\na OK Done\r\n");
    client_expect(2, "a MYRIGHTS " OF_R "Sent\"\r\n", "a NO [NONEXISTENT] %\r\n");
    client_expect(2, "b LIST \"\" \"Other Users/*\"\r\n", "b OK Done\r\n");
    owner_grants("Sent", "-anyone", "w");
    client_expect(1, "b MYRIGHTS " OF_R "Sent\"\r\n", "* MYRIGHTS " OF_R "Sent\" lr\r\nb OK Done\r\n");
}

static void quota_of_the_owner(void **state)
{
    (void)state;
    owner_grants("Sent", "ann@home.example", "lrite");
    world_quota_messages = 1;
    client_expect(1, "a GETQUOTAROOT " OF_R "Sent\"\r\n",
        "* QUOTAROOT " OF_R "Sent\" \"Other Users/r@home.example\"\r\n* QUOTA \"Other Users/r@home.example\" (MESSAGE 0 1)\r\na OK Done\r\n");
    CONVERSE(1, {"b APPEND " OF_R "Sent\" {4+}\r\na: b\r\n", "b OK %\r\n"}, {"c APPEND " OF_R "Sent\" {4}\r\n", "c NO [OVERQUOTA] %\r\n"},
        {"d APPEND INBOX {4+}\r\na: b\r\n", "d OK %\r\n"}, {"e APPEND INBOX {4}\r\n", "e NO [OVERQUOTA] %\r\n"});
    client_say(1, "f SELECT INBOX\r\n");
    world_flush();
    (void)client_got(1);
    client_expect(1, "g COPY 1 " OF_R "Sent\"\r\n", "g NO [OVERQUOTA] %\r\n");
    client_expect(1, "h GETQUOTAROOT " OF_R "INBOX\"\r\n", "h NO [NONEXISTENT] %\r\n");
    client_expect(1, "i GETQUOTA \"Other Users/r@home.example\"\r\n", "i NO [NONEXISTENT] %\r\n");
}

static void annotations(void **state)
{
    (void)state;
    client_expect(0, "a SETMETADATA Sent (/private/comment \"r\" /shared/comment \"all\")\r\n", "a OK Done\r\n");
    owner_grants("Sent", "ann@home.example", "lr");
    CONVERSE(1, {"a GETMETADATA " OF_R "Sent\" (/private/comment /shared/comment /private/specialuse)\r\n",
        "* METADATA " OF_R "Sent\" (/private/comment NIL)\r\n* METADATA " OF_R "Sent\" (/shared/comment \"all\")\r\n"
        "* METADATA " OF_R "Sent\" (/private/specialuse NIL)\r\na OK Done\r\n"},
        {"b SETMETADATA " OF_R "Sent\" (/private/comment \"a\")\r\n", "b OK Done\r\n"}, {"c SETMETADATA " OF_R "Sent\" (/shared/comment \"a\")\r\n", "c NO [NOPERM] %\r\n"},
        {"d SETMETADATA " OF_R "Sent\" (/private/specialuse NIL)\r\n", "d NO [NOPERM] %\r\n"},
        {"e GETMETADATA " OF_R "Sent\" /private/comment\r\n", "* METADATA " OF_R "Sent\" (/private/comment \"a\")\r\ne OK Done\r\n"});
    /* However many of their own others keep there, the owner has room for his. */
    for (unsigned i = 1; i < 200; i++) {
        char say[100];

        snprintf(say, sizeof say, "f SETMETADATA " OF_R "Sent\" (/private/vendor/v/n%u \"x\")\r\n", i);
        client_expect(1, say, "f OK Done\r\n");
    }
    client_expect(1, "g SETMETADATA " OF_R "Sent\" (/private/x \"x\")\r\n", "g NO [METADATA TOOMANY] %\r\n");
    client_expect(0, "g SETMETADATA Sent (/private/x \"x\" /shared/x \"x\")\r\n", "g OK Done\r\n");
    client_expect(0, "b GETMETADATA Sent /private/comment\r\n", "* METADATA Sent (/private/comment \"r\")\r\nb OK Done\r\n");
    owner_grants("Sent", "ann@home.example", "lw");
    client_expect(1, "f SETMETADATA " OF_R "Sent\" (/shared/comment \"a\")\r\n", "f OK Done\r\n");
    owner_grants("Sent", "ann@home.example", "la");
    client_expect(1, "g GETMETADATA " OF_R "Sent\" /private/comment\r\n", "g NO [NOPERM] %\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(listing, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(owner_with_a_slash, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(subscriptions, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(reading, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(together, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(flags_by_right, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(closing_without_the_right, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(appending, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(appending_and_taken_away, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(copying, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(moving, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(making_mailboxes, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(administering, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(negative_rights, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(quota_of_the_owner, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(annotations, setup, imap_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
