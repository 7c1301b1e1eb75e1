"""What messages, envelopes and replies carry in: smuggled ends, injected headers, addresses from hell, loops, backscatter."""
import email
import itertools
import re
import ssl

from harness import Server, Talk, letter, until
from hostile import Case, Peer
from mailcase import Mail

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
