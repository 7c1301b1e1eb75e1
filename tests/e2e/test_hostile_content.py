"""What messages, envelopes and replies carry in: smuggled ends, injected headers, addresses from hell, loops, backscatter."""
import base64
import email
import itertools
import poplib
import re
import ssl

from harness import PASSWORD, Server, letter, until
from hostile import Case, Peer
from mailcase import Mail
from talk import Talk

NEXT = b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<ann@home.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
LINE_ENDS = (b"", b"\r", b"\n", b"\r\n", b"\r\r\n", b"\n\r", b"\0", b"\r\0\n", b"\x85", b"\xe2\x80\xa8")


class Inbound(Mail):
    """The only end of a message is CRLF.CRLF, however it is cut into packets."""

    def test_no_other_end_of_data(self):
        """Every mix of line ends around the dot, and what follows is content, never a command."""
        for before, behind in itertools.product(LINE_ENDS, LINE_ENDS):
            if (before, behind) in ((b"\r\n", b"\r\n"), (b"\r\r\n", b"\r\n")):
                continue  # an end indeed: CRLF.CRLF is in it
            with self.subTest(before + b"." + behind), Talk(self.server.ports["mx"]) as t:
                t.lines("EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
                t.raw(b"Subject: dot\r\n\r\nfirst" + before + b"." + behind + NEXT + b"NOOP\r\n")
                code, words = t.reply()
                self.assertIn(code, (250, 550, 554), words)
                self.assertEqual(t.reply()[0], 250)  # of NOOP; a smuggled MAIL would have answers of its own
                self.assertEqual(t.code("QUIT"), 221)
        self.assertFalse([m for m in self.server.mailbox("ann@home.example") if b"smuggled" in m.split(b"\n\n")[0]])

    def test_in_every_split(self):
        for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n"):
            for at in range(len(end) + 1):
                with self.subTest((end, at)), Talk(self.server.ports["mx"]) as t:
                    t.s.setsockopt(6, 1, 1)
                    t.lines("EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
                    t.raw(b"Subject: split\r\n\r\nfirst" + end[:at])
                    with Talk(self.server.ports["mx"]) as other:  # by now the first piece was read
                        other.code("NOOP")
                    t.raw(end[at:] + NEXT)
                    self.assertIn(t.reply()[0], (550, 554))
                    self.assertEqual(t.code("NOOP"), 250)

    def test_bdat(self):
        """Its bytes are content to the last one, and what cannot be counted ends the session."""
        head = ("EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>")
        content = b"Subject: bdat-dots\r\n\r\n.\r\nQUIT\r\n\r\n.\r\nMAIL FROM:<evil@b.example>\r\n"
        with Talk(self.server.ports["mx"]) as t:
            t.lines(*head)
            t.raw(b"BDAT %d LAST\r\n" % len(content) + content + b"NOOP\r\n")
            self.assertEqual([t.reply()[0], t.reply()[0]], [250, 250])
        self.assertIn("MAIL FROM:<evil@b.example>", self.in_mailbox("bob@home.example", "bdat-dots"))
        for size in ("-1", "+5", "0x5", "5 5", "5 LAST LAST", "99999999999999999999", "18446744073709551615", "5,", " ", "LAST"):
            with self.subTest(size), Talk(self.server.ports["mx"]) as t:
                t.lines(*head)
                t.raw(f"BDAT {size}\r\nRSET\r\nNOOP\r\n")
                self.assertEqual(t.reply()[0] // 100, 5)
                self.assertTrue(t.closed())

    def test_bdat_and_data(self):
        with Talk(self.server.ports["mx"]) as t:
            t.lines("EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>")
            t.raw(b"BDAT 22\r\nSubject: mixed\r\n\r\nab\r\nDATA\r\nRCPT TO:<ann@home.example>\r\nBDAT 0 LAST\r\nNOOP\r\n")
            self.assertEqual([t.reply()[0] for _ in range(5)], [250, 503, 503, 250, 250])

    def test_what_is_sent_behind_starttls_is_dropped(self):
        t = Talk(self.server.ports["mx"])
        self.addCleanup(t.s.close)
        t.code("EHLO c.example")
        t.raw(b"STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<injected@b.example>\r\nRCPT TO:<bob@home.example>\r\n")
        self.assertEqual(t.reply()[0], 220)
        context = ssl.create_default_context(cafile=str(self.server.chain))
        context.check_hostname = False
        t.s, t.buffer = context.wrap_socket(t.s), b""
        self.addCleanup(t.s.close)
        self.assertEqual(t.lines("MAIL FROM:<a@b.example>", "EHLO c.example", "RCPT TO:<bob@home.example>"), [503, 250, 503])


class Outbound(Mail):
    """Whatever came in, the relay says nothing that another server could take for another end."""
    config = {"relay_networks": ["127.0.0.0/8"], "queue": {"retry": ["1s"], "delay_notice": "0s"}, "relay": {"command_time": "5s"}}

    def setUp(self):
        self.peer = Peer(self.server.relay_port)
        self.addCleanup(self.peer.close)

    def bounce_of(self, rcpt):
        return until(lambda: [m for m in self.server.mailbox("ann@home.example") if rcpt.encode() in m], f"a report about {rcpt}")

    BODIES = (b".\r\n", b"..\r\n", b"a\r\n.\r\nb\r\n", b"a\r\n.", b"a\r\n..\r\n.\r\n", b".", b"x\r\n\r\n.\r\n\r\n.x", b"\r\n" * 5 + b".",
              b"x" * 1990 + b"\r\n." + b"y" * 1990, b"." * 1000 + b"\r\n." * 300)

    def clean(self, case, content):
        """One message came, whole, and nothing of it was taken for a command."""
        self.assertEqual(case.accepted, 1)
        body = case.bodies[0].replace(b"\r\n..", b"\r\n.") if "DATA" in case.lines else case.bodies[0]
        self.assertFalse(re.search(rb"\r(?!\n)|(?<!\r)\n|\0", body), "a bare CR or LF")
        self.assertTrue(body.endswith(content) or body.endswith(content + b"\r\n"), (content, body[-100:]))
        self.assertLessEqual({l.split(" ")[0] for l in case.lines}, {"EHLO", "MAIL", "RCPT", "DATA", "BDAT", "QUIT", "RSET"})

    def test_dots(self):
        for extensions in (("PIPELINING",), ("PIPELINING", "CHUNKING", "8BITMIME"), ()):
            cases = []
            for i, body in enumerate(self.BODIES):
                case = Case(f"{i} {extensions}", extensions=extensions)
                rcpt = self.peer.add(case)
                content = b"Subject: out\r\n\r\n" + body
                for port, hello in ((self.server.ports["mx"], "EHLO c.example"),):
                    with Talk(port) as t:
                        t.lines(hello, "MAIL FROM:<ann@home.example>", f"RCPT TO:<{rcpt}>")
                        t.raw(b"BDAT 7\r\n" + content[:7] + b"BDAT %d LAST\r\n" % (len(content) - 7) + content[7:])
                        self.assertEqual([t.reply()[0], t.reply()[0]], [250, 250])
                cases.append((case, body))
            until(lambda: all(c.accepted for c, _ in cases), "all to arrive")
            for case, body in cases:
                self.clean(case, body)

    def test_binary_is_sent_as_such_or_not_at_all(self):
        content = b"Subject: binary\r\nMIME-Version: 1.0\r\n\r\n\0\n.\n\r.\r\r\n.\nMAIL FROM:<evil@b.example>\r\n.\r\n"
        takes, does_not = Case("binary"), Case("text only", extensions=("PIPELINING", "8BITMIME", "CHUNKING"))
        for case in (takes, does_not):
            with Talk(self.server.ports["mx"]) as t:
                t.lines("EHLO c.example", "MAIL FROM:<ann@home.example> BODY=BINARYMIME", f"RCPT TO:<{self.peer.add(case)}>")
                t.raw(b"BDAT %d LAST\r\n" % len(content) + content)
                self.assertEqual(t.reply()[0], 250)
        until(lambda: takes.accepted, "the binary message")
        self.assertTrue(takes.bodies[0].endswith(content.split(b"\r\n\r\n", 1)[1]))
        self.bounce_of("5.6.3")
        self.assertEqual((does_not.accepted, does_not.bodies), (0, []))

    def test_sendmail(self):
        for i, (text, content) in enumerate(((b"Subject: s\n\na\n..\nb\n", b"a\r\n..\r\nb\r\n"), (b"Subject: s\n\na\n\r.\r\nb", b""), (b"Subject: s\n\na\r\n.\r\r\nb\n", b""))):
            case = Case(f"sendmail {i}", extensions=("PIPELINING",))
            rcpt = self.peer.add(case)
            done = self.server.cli("sendmail", "-i", "-f", "ann@home.example", rcpt, input=text.decode(), check=False)
            if done.returncode == 0:
                until(lambda: case.accepted, "the message")
                self.clean(case, content)

    def test_nothing_is_injected_into_reports(self):
        """ORCPT, ENVID, EHLO, the original's header, and what the remote says."""
        async def evil(session, line):
            return "550-5.1.1 no\r550-X-Injected: yes\n550 5.1.1 \x1b[31m\x00X-Injected: yes" + "\x85X-Injected: yes"

        case = Case("says evil things", {"RCPT": evil}, ("PIPELINING", "DSN"))
        rcpt = self.peer.add(case)
        with Talk(self.server.ports["mx"]) as t:
            self.assertEqual(t.code("EHLO (evil\x0bX-Injected:yes)") // 100, 5)
            t.code("EHLO evil.example")
            self.assertEqual(t.code("MAIL FROM:<ann@home.example> RET=HDRS ENVID=e+0D+0AX-Injected:+20yes"), 250)
            self.assertEqual(t.code(f"RCPT TO:<{rcpt}> ORCPT=rfc822;x+0D+0AX-Injected:+20yes@b.example"), 250)
            t.code("DATA")
            self.assertEqual(t.say("Subject: reported\r\nX-Long: " + "y" * 900 + "\r\n\r\n--=_boundary\r\nX-Injected: yes\r\n.")[0], 250)
        report = email.message_from_bytes(self.bounce_of(rcpt)[0])
        for part in report.walk():
            self.assertNotIn("X-Injected", part)
            if part.get_content_type() == "text/plain":
                self.assertNotIn("\x1b", part.get_payload())
                self.assertFalse(re.search(r"^X-Injected", part.get_payload(), re.M))
        self.assertEqual([p.get_content_type() for p in report.get_payload()], ["text/plain", "message/delivery-status", "text/rfc822-headers"])


CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
# Ends of a line, fields of our own, what a terminal obeys: raw, and as xtext hides it.
EVIL = ("\r\nX-Injected: yes", "\nX-Injected: yes", "\rX-Injected: yes", "\r\n X-Injected: yes", "\r\n\r\nX-Injected: yes", "\0X-Injected: yes", "\tX-Injected: yes",
        "\x0bX-Injected: yes", "\x85X-Injected: yes", "\u2028X-Injected: yes", "\x1b[2JX-Injected", "\x9b2JX-Injected", "\x7f\x08", "; X-Injected: yes", "> X-Injected: <yes")


def xtext(text):
    return "".join(c if c.isascii() and c.isalnum() else "".join(f"+{b:02X}" for b in c.encode()) for c in text)


class Fields(Mail):
    """Whatever a client says about itself and its envelope: the header of what is delivered or reported has our fields only,
    and neither it nor a log or a table holds a control character."""
    listen = {"mx": {"xclient_from": ["127.0.0.1"]}}
    config = {"relay_networks": ["127.0.0.0/8"], "queue": {"retry": ["1s"], "delay_notice": "0s"}}

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.server.domain("all.example", "catch_all=bob@home.example")
        cls.server.route("recipient:refused.example", "fail", text="5.7.1 no")

    def tearDown(self):
        for user in ("ann@home.example", "bob@home.example"):
            for message in self.messages(user):
                self.clean(message)
            for json in ((), ("--json",)):
                self.shows("trace", user, "--limit", "1000", *json)
        self.assertFalse(CONTROL.search(self.server.log_text().encode("utf-8", "surrogateescape")))

    def shows(self, *command):
        """What a terminal or a program is given."""
        done = self.server.cli(*command, check=False)
        self.assertIn(done.returncode, (0, 66), done.stderr)
        self.assertFalse(CONTROL.search((done.stdout + done.stderr).encode()), command)
        return done.stdout

    def messages(self, user):
        """As a client reads them that knows UTF8 (RFC 6856)."""
        client = poplib.POP3("127.0.0.1", self.server.ports["pop3"], timeout=60)
        try:
            client.stls(context=self.server.trust())
            client.utf8()
            client.user(user)
            client.pass_(PASSWORD)
            return [b"\n".join(client.retr(i + 1)[1]) + b"\n" for i in range(client.stat()[0])]
        finally:
            client.quit()

    def clean(self, message):
        for part in [message, *re.findall(rb"\n\n((?:Reporting-MTA|Final-Recipient): .*?\n)\n", message, re.S)]:
            header = part.split(b"\n\n")[0]
            self.assertFalse(CONTROL.search(header), header)
            self.assertFalse(re.search(rb"^X-Injected", header, re.M), header)
            for line in header.split(b"\n"):
                self.assertRegex(line, rb"^[!-9;-~]+:|^[ \t]+\S|^$")
            names = re.findall(rb"^([!-9;-~]+):", header, re.M)
            for name in (b"Return-Path", b"Delivered-To", b"From", b"Date", b"Message-ID", b"Reporting-MTA"):
                self.assertLessEqual(names.count(name), 1, header)

    def transaction(self, talk, number, sender="<a@far.example>", rcpt="<bob@home.example>", mail=""):
        """Whether the message was taken; if so it is there in the end."""
        for line in (f"MAIL FROM:{sender}{mail}", f"RCPT TO:{rcpt}", "DATA"):
            if talk.say(line.encode("utf-8", "surrogateescape"))[0] // 100 not in (2, 3):
                return False
        code, words = talk.say(f"Subject: fields-{number}\r\n\r\nx\r\n.")
        self.assertEqual(code, 250, words)
        return True

    def all_there(self, taken, user="bob@home.example"):
        until(lambda: all(any(b"fields-%s" % str(t).encode() + b"\n" in m for m in self.messages(user)) for t in taken), f"all of {taken}")

    def test_xclient(self):
        """Each attribute with everything that xtext can hide."""
        taken = []
        for attribute, good in (("NAME", "c.example"), ("REVERSE_NAME", "c.example"), ("HELO", "c.example"), ("LOGIN", "ann"), ("ADDR", "192.0.2.1"), ("PORT", "25"),
                                ("PROTO", "ESMTP"), ("DESTADDR", "192.0.2.2"), ("DESTPORT", "25")):
            for i, evil in enumerate(EVIL):
                for value in (xtext(good + evil), xtext(evil), good + "+", good + "+0", good + "+0d+0a"):
                    with self.subTest((attribute, value)), Talk(self.server.ports["mx"]) as t:
                        t.code("EHLO c.example")
                        if t.code(f"XCLIENT {attribute}={value}") // 100 != 2:
                            self.assertEqual(t.code("NOOP"), 250)
                        elif value == xtext(good + evil):
                            t.code("EHLO c.example")
                            name = f"xclient-{attribute}-{i}"
                            if self.transaction(t, name):
                                taken.append(name)
        self.assertTrue(taken)
        self.all_there(taken)

    def test_hello(self):
        taken = []
        for verb in ("EHLO", "HELO"):
            for i, evil in enumerate(EVIL):
                for j, name in enumerate(("c.example" + evil, evil, "[192.0.2.1]" + evil, "ü" + evil)):
                    with self.subTest((verb, name)), Talk(self.server.ports["mx"]) as t:
                        t.say((verb + " " + name).encode())
                        t.s.settimeout(10)
                        t.raw("\r\nRSET\r\n")  # whatever was left of the line is over
                        while t.reply()[1] != "2.0.0 Ok" and t.code("NOOP") != 250:
                            pass
                    with self.subTest((verb, name)), Talk(self.server.ports["mx"]) as t:
                        if t.say(re.split("[\r\n]", verb + " " + name)[0].encode())[0] == 250 and self.transaction(t, f"helo-{verb}-{i}-{j}", mail=" SMTPUTF8" * (verb == "EHLO")):
                            taken.append(f"helo-{verb}-{i}-{j}")
        self.assertTrue(taken)
        self.all_there(taken)

    def test_login(self):
        """A name that is none is logged, and only logged."""
        for i, evil in enumerate(EVIL):
            for words in (f"\0ann@home.example{evil}\0x", f"{evil}\0ann@home.example\0x", f"\0{evil}\0x")[i % 3:][:1]:
                with self.subTest(words), Talk(self.server.ports["submission"]) as t:
                    t.code("EHLO c.example")
                    self.assertEqual(t.code("AUTH PLAIN " + base64.b64encode(words.encode()).decode()) // 100, 5)
                    with Talk(self.server.ports["mx"]) as other:
                        other.code("EHLO c.example")
                        self.assertEqual(other.code("XCLIENT LOGIN=" + xtext(words[:300])) // 100, 5)

    LOCAL = ("\"a\\\"b\"", "\"X-Injected: yes\"", "\"> X-Injected: <\"", "\"a;b,c:d\"", "\"\\\\\"", "\" \"", "\"@\"", "\"\"", "ü", "\"ü \\ü\"")

    def test_addresses(self):
        """Quoted local parts: what is no control character comes through whole, what is one is refused."""
        taken = []
        for utf8 in ("", " SMTPUTF8"):
            for i, local in enumerate((*self.LOCAL, *(f'"a{evil}"' for evil in EVIL), *(f'"a\\{evil}"' for evil in EVIL), *("a" + evil for evil in EVIL))):
                for where in ("sender", "rcpt"):
                    with self.subTest((where, local)), Talk(self.server.ports["mx"]) as t:
                        t.code("EHLO c.example")
                        name = f"{where}-{i}{utf8.strip()}"
                        lines = re.split("\r\n|\n", local)
                        address = f"<{local}@{'far' if where == 'sender' else 'all'}.example>"
                        if len(lines) > 1:  # a line end ends the command
                            t.raw(f"MAIL FROM:{address}\r\nRSET\r\n".encode())
                            self.assertGreaterEqual(t.reply()[0], 500)
                        elif self.transaction(t, name, mail=utf8, **{where: address}):
                            self.assertFalse(CONTROL.search(local.encode()), local)
                            taken.append(name)
        self.assertGreater(len(taken), 20)
        self.all_there(taken)

    def test_reports(self):
        """The same names in Final-Recipient, Original-Recipient and the words around them."""
        rcpts = []
        for local in (*self.LOCAL, *(f'"a{evil}"' for evil in EVIL if not re.search("[\r\n]", evil))):
            for orcpt in ("", *(f" ORCPT={kind};{xtext(evil)}@b.example" for kind in ("rfc822", "utf-8", "x-y") for evil in EVIL[:3] + EVIL[8:12])):
                with self.subTest((local, orcpt)), Talk(self.server.ports["mx"]) as t:
                    t.code("EHLO c.example")
                    self.assertEqual(t.code(f"MAIL FROM:<ann@home.example> SMTPUTF8 ENVID={xtext(EVIL[len(rcpts) % len(EVIL)][:20])}"), 250)
                    if t.say(f"RCPT TO:<{local}@refused.example>{orcpt}".encode())[0] == 250:
                        t.code("DATA")
                        self.assertEqual(t.say(f"Subject: report-{len(rcpts)}\r\nMessage-ID: <\xc2\x85{len(rcpts)}@b.example>\r\n\r\nx\r\n.")[0], 250)
                        rcpts.append(f"report-{len(rcpts)}")
        self.assertGreater(len(rcpts), 20)
        until(lambda: all(any(r.encode() + b"\n" in m for m in self.messages("ann@home.example")) for r in rcpts), "all reports", 120)

    def test_tables(self):
        """What waits, as it is shown, with addresses and words of others in it."""
        async def evil(session, line):
            return "450-4.2.0 \x1b[2J\r\n450 4.2.0 \x9b2J later \x07\x85X-Injected: yes"

        peer = Peer(self.server.relay_port)
        self.addCleanup(peer.close)
        rcpt = peer.add(Case("says evil things later", {"RCPT": evil}, ("PIPELINING", "SMTPUTF8", "8BITMIME")))
        rcpts = [rcpt, *(f"{local}@{rcpt.partition('@')[2]}" for local in self.LOCAL)]
        for address in rcpts:
            with Talk(self.server.ports["mx"]) as t:
                t.code("EHLO c.example")
                t.code("MAIL FROM:<ann@home.example> SMTPUTF8")
                if t.say(f"RCPT TO:<{address}>".encode())[0] == 250:
                    t.code("DATA")
                    self.assertEqual(t.say("Subject: waits\r\n\r\nx\r\n.")[0], 250)
        until(lambda: "4.2.0" in self.shows("queue", "list", "--json"), "the words of the server")
        for row in self.server.queue():
            for json in ((), ("--json",)):
                self.assertTrue(self.shows("queue", "show", row["id"], *json))
                self.assertTrue(self.shows("trace", row["id"], *json))
        self.assertIn("X-Injected", self.shows("queue", "list"))
        self.server.queue_clear()

    def test_sendmail(self):
        """-f, -r, -F and recipients as a careless web page passes them on."""
        taken = []
        for i, evil in enumerate(e for e in EVIL if "\0" not in e):
            for j, args in enumerate((["-f", "a" + evil + "@far.example", "bob@home.example"], ["-r", evil, "bob@home.example"], ["-F", "Name" + evil, "-f", "a@far.example", "bob@home.example"],
                                      ["-f", "a@far.example", "bob@home.example" + evil], ["-V", "id" + evil, "-f", "a@far.example", "bob@home.example"], ["-f", f'"a{evil}"@far.example', "bob@home.example"])):
                with self.subTest(args):
                    done = self.server.cli("sendmail", "-i", *args, input=f"Subject: fields-sendmail-{i}-{j}\n\nx\n", check=False)
                    self.assertIn(done.returncode, (0, 64, 65, 67, 77))
                    if done.returncode == 0:
                        taken.append(f"sendmail-{i}-{j}")
        self.assertTrue(taken)
        self.all_there(taken)


HELL = ("<>", "<@>", "<@@>", "<a@b@c.example>", "<\"\\\0\"@c.example>", "<a b@c.example>", "<a@c.example>x", "<a@c.example> <b@c.example>",
        "<a@[127.0.0.1>", "<a@[IPv6:::1::]>", "<a@[999.1.1.1]>", "<a@-c.example>", "<a@c..example>", "<.a@c.example>", "<a.@c.example>", "<a..b@c.example>",
        "<\"@c.example>", "<\"a\"b@c.example>", "<a\\@c.example>", "<(comment)a@c.example>", "<a@c.example.>", "<@a,@b:c@d.example>", "<@a@b:c@d.example>",
        "<a@" + "x" * 64 + ".example>", "<a@" + "x." * 200 + "example>", "<" + "a" * 65 + "@c.example>", "<" + "(" * 500 + ">", "<\"" + "\\\"" * 200 + "\"@c.example>",
        "<a@c.example", "a@c.example", "<a\x7f@c.example>", "<a@c\xff.example>", "<|cat@c.example>", "<../../etc/passwd@c.example>", "<-f@c.example>", "<a%0d%0a@c.example>",
        "<a!b@c.example>", "<\"a@b.example\"@home.example>", "<bob@home.example\0>", "<bob@home.example\r>", "<%s%n@c.example>", "<a;b@home.example>", "<a=b@home.example>")


class Addresses(Mail):
    def test_addresses_from_hell(self):
        """Refused, or taken and delivered nowhere else; the session goes on."""
        for address in HELL:
            for line in (f"MAIL FROM:{address}", f"RCPT TO:{address}", f"VRFY {address}"):
                with self.subTest(line[:60]), Talk(self.server.ports["mx"]) as t:
                    t.code("EHLO c.example")
                    if line.startswith("RCPT"):
                        t.code("MAIL FROM:<x@far.example>")
                    code = t.say(line.encode("latin-1"))[0]
                    if line.startswith("RCPT"):
                        self.assertGreaterEqual(code, 450, line)
                    self.assertEqual(t.code("RSET"), 250)
        self.assertEqual(self.server.queue(), [])


class Loops(Mail):
    """Two servers that send to each other, aliases in a circle, reports about reports."""
    config = {"relay_networks": ["127.0.0.0/8"], "limits": {"received_fields": 8}, "queue": {"retry": ["1s"], "lifetime": "20s", "bounce_lifetime": "4s", "delay_notice": "0s"}}

    @classmethod
    def before_start(cls):
        cls.other = Server(cls.config, hostname="other.far.example")
        cls.cleanup.callback(cls.other.destroy)

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.other.start()
        cls.other.domain("far.example")
        cls.server.route("recipient:loop.example", "smtp", f"127.0.0.1:{cls.other.ports['mx']}")
        cls.other.route("recipient:loop.example", "smtp", f"127.0.0.1:{cls.server.ports['mx']}")

    def reports(self, word):
        return [m for m in self.server.mailbox("ann@home.example") if word.encode() in m]

    def test_two_servers(self):
        self.server.send("ann@home.example", "x@loop.example")
        until(lambda: self.reports("x@loop.example"), "the report")
        self.server.queue_empty()
        self.other.queue_empty()
        found = self.reports("x@loop.example")
        self.assertEqual(len(found), 1)
        self.assertIn(b"5.4.6", found[0])

    def test_a_report_that_loops_dies(self):
        """The null sender gets no report, so the circle ends."""
        self.server.send("", "y@loop.example")
        until(lambda: "5.4.6" in self.server.log_text() + self.other.log_text(), "the end of the circle")
        self.server.queue_empty()
        self.other.queue_empty()
        self.assertFalse(self.reports("y@loop.example"))

    def test_aliases_in_a_circle(self):
        for a, b in (("one", "two"), ("two", "three"), ("three", "one"), ("self", "self")):
            self.server.cli("alias", "add", f"{a}@home.example", f"{b}@home.example", check=False)
        for rcpt in ("one@home.example", "self@home.example"):
            with Talk(self.server.ports["mx"]) as t:
                t.lines("EHLO c.example", "MAIL FROM:<ann@home.example>")
                if t.code(f"RCPT TO:<{rcpt}>") == 250:
                    t.code("DATA")
                    self.assertIn(t.say(letter() + ".")[0], (250, 550, 554))
        self.server.queue_empty()

    def test_no_backscatter(self):
        """Unknown users are refused at RCPT, so that no report goes to a sender who never sent."""
        with Talk(self.server.ports["mx"]) as t:
            t.lines("EHLO c.example", "MAIL FROM:<innocent@victim.example>")
            self.assertEqual(t.lines("RCPT TO:<nobody@home.example>", "RCPT TO:<nobody+x@home.example>", "DATA"), [550, 550, 554])
        self.assertFalse([r for r in self.server.queue() if "victim" in str(r)])
