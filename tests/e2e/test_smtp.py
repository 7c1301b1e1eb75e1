"""The SMTP server: commands, extensions, smuggling, limits and errors, spoken to by a bare client."""
import socket

from harness import until
from mailcase import Mail, plain


class Session(Mail):
    def test_greeting_names_the_server(self):
        self.assertIn("mail.home.example", self.talk(helo=None).greeting[1])
        self.assertEqual(self.talk(helo=None).greeting[0], 220)

    def test_ehlo_offers_every_extension(self):
        text = self.talk(helo=None).say("EHLO client.example")[1].upper()
        for word in ("PIPELINING", "SIZE", "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "STARTTLS", "LIMITS",
                     "DELIVERBY", "MT-PRIORITY"):
            with self.subTest(word):
                self.assertIn(word, text)

    def test_submission_offers_future_release(self):
        self.assertIn("FUTURERELEASE", self.talk("submission", helo=None).say("EHLO c.example")[1].upper())

    def test_requiretls_is_offered_under_tls_only(self):
        t = self.talk(helo=None)
        self.assertNotIn("REQUIRETLS", t.say("EHLO c.example")[1])
        t.starttls(self.server.trust())
        self.assertIn("REQUIRETLS", t.say("EHLO c.example")[1])

    def test_helo_and_order_of_commands(self):
        t = self.talk(helo=None)
        self.assertEqual(t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA"), [503, 503, 503])
        self.assertEqual(t.lines("HELO client.example", "RCPT TO:<bob@home.example>", "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>"),
                         [250, 503, 250, 503])
        self.assertEqual(t.lines("RSET", "RCPT TO:<bob@home.example>", "NOOP", "QUIT"), [250, 503, 250, 221])
        self.assertTrue(t.closed())

    def test_ehlo_and_helo_need_a_name(self):
        t = self.talk(helo=None)
        self.assertEqual(t.lines("EHLO", "HELO"), [501, 501])

    def test_vrfy_help_and_unknown_commands(self):
        t = self.talk()
        self.assertIn(t.code("VRFY bob@home.example"), (250, 252))
        self.assertEqual(t.code("HELP"), 214)
        self.assertIn(t.code("EXPN list"), (500, 502))
        self.assertEqual(t.code("HULLO"), 500)

    def test_addresses_that_are_none(self):
        t = self.talk()
        for line in ("MAIL FROM:", "MAIL FROM:a@b.example", "MAIL FROM:<a@b.example", "MAIL FROM:<a b@c.example>", "MAIL TO:<a@b.example>",
                     "MAIL FROM:<@>", "MAIL FROM:<a@-b.example>", "MAIL FROM:<" + "a" * 300 + "@b.example>"):
            with self.subTest(line[:40]):
                self.assertIn(t.code(line), (501, 553), line)
                t.code("RSET")
        self.assertEqual(t.code("MAIL FROM:<>"), 250)
        for line in ("RCPT TO:", "RCPT TO:<>", "RCPT TO:<bob@home.example", "RCPT FROM:<bob@home.example>"):
            with self.subTest(line):
                self.assertIn(t.code(line), (501, 550, 553), line)

    def test_parameters(self):
        t = self.talk()
        for line, codes in (("MAIL FROM:<a@b.example> SIZE=10", (250,)), ("MAIL FROM:<a@b.example> SIZE=x", (501,)),
                            ("MAIL FROM:<a@b.example> BODY=8BITMIME", (250,)), ("MAIL FROM:<a@b.example> BODY=9BIT", (501, 504)),
                            ("MAIL FROM:<a@b.example> NOSUCH=1", (555,)), ("MAIL FROM:<a@b.example> RET=HDRS ENVID=x+2By", (250,)),
                            ("MAIL FROM:<a@b.example> RET=SOME", (501,)), ("MAIL FROM:<a@b.example> SMTPUTF8", (250,)),
                            ("MAIL FROM:<a@b.example> SIZE=99999999999", (552,)), ("MAIL FROM:<a@b.example> BY=120;R", (250,)),
                            ("MAIL FROM:<a@b.example> BY=0;R", (501,)), ("MAIL FROM:<a@b.example> MT-PRIORITY=3", (250,)),
                            ("MAIL FROM:<a@b.example> MT-PRIORITY=12", (501,)), ("MAIL FROM:<a@b.example> REQUIRETLS", (530, 550, 555, 501))):
            with self.subTest(line):
                self.assertIn(t.code(line), codes, line)
                t.code("RSET")
        t.code("MAIL FROM:<a@b.example>")
        for line, codes in (("RCPT TO:<bob@home.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob@home.example", (250,)),
                            ("RCPT TO:<bob@home.example> NOTIFY=NEVER,SUCCESS", (501,)), ("RCPT TO:<bob@home.example> NOTIFY=SOMETIMES", (501,)),
                            ("RCPT TO:<bob@home.example> NOSUCH=1", (555,))):
            with self.subTest(line):
                self.assertIn(t.code(line), codes, line)

    def test_pipelining_answers_in_order(self):
        t = self.talk()
        t.raw("MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@home.example>\r\nRCPT TO:<nobody@home.example>\r\nRCPT TO:<ann@home.example>\r\nDATA\r\n")
        self.assertEqual([t.reply()[0] for _ in range(5)], [250, 250, 550, 250, 354])
        t.raw("Subject: pipelined-1\r\n\r\nx\r\n.\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n")
        self.assertEqual([t.reply()[0] for _ in range(3)], [250, 250, 221])
        self.in_mailbox("bob@home.example", "pipelined-1")
        self.in_mailbox("ann@home.example", "pipelined-1")

    def test_replies_carry_enhanced_codes(self):
        t = self.talk()
        self.assertTrue(t.say("MAIL FROM:<a@b.example>")[1].startswith("2.1.0"))
        self.assertTrue(t.say("RCPT TO:<nobody@home.example>")[1].startswith("5.1.1"))
        self.assertTrue(t.say("RCPT TO:<bob@home.example>")[1].startswith("2.1.5"))
        self.assertTrue(t.say("RSET")[1].startswith("2.0.0"))

    def test_bdat(self):
        t = self.talk()
        self.assertEqual(t.lines("MAIL FROM:<a@b.example> BODY=BINARYMIME", "RCPT TO:<bob@home.example>"), [250, 250])
        first, last = b"Subject: chunked-1\r\nMIME-Version: 1.0\r\n", b"\r\n\x00 bare \n and \r stay\r\n.\r\nend\r\n"
        t.raw(b"BDAT %d\r\n" % len(first) + first)
        self.assertEqual(t.reply()[0], 250)
        t.raw(b"BDAT %d LAST\r\n" % len(last) + last)
        self.assertEqual(t.reply()[0], 250)
        self.assertEqual(t.code("NOOP"), 250)
        self.in_mailbox("bob@home.example", "chunked-1")

    def test_bdat_out_of_place(self):
        t = self.talk()
        t.raw("BDAT 5\r\nhello")
        self.assertEqual(t.reply()[0], 503)
        t.code("MAIL FROM:<a@b.example> BODY=BINARYMIME")
        t.code("RCPT TO:<bob@home.example>")
        self.assertIn(t.code("DATA"), (503,))
        t.raw("BDAT 3\r\nA: ")
        self.assertEqual(t.reply()[0], 250)
        self.assertEqual(t.code("MAIL FROM:<a@b.example>"), 503)
        self.assertEqual(t.code("RSET"), 250)
        t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>")
        self.assertEqual(t.code("BDAT x"), 501)  # nobody knows where the next command begins
        self.assertTrue(t.closed())

    def test_smtputf8(self):
        t = self.talk()
        self.assertEqual(t.code("MAIL FROM:<jürgen@far.example> SMTPUTF8"), 250)
        t.code("RSET")
        self.assertIn(t.code("MAIL FROM:<jürgen@far.example>"), (501, 553, 550))

    def test_the_received_field(self):
        t = self.talk(helo="EHLO teller.example")
        code, text = self.deliver(t, "Subject: trace-1\r\n\r\nx\r\n")
        self.assertEqual(code, 250)
        got = self.in_mailbox("bob@home.example", "trace-1")
        head = got.split("\n\n")[0]
        self.assertIn("Received: from teller.example", head)
        self.assertIn("127.0.0.1", head)
        self.assertIn("by mail.home.example", head)
        self.assertIn("with ESMTP id ", head.replace("\n\t", " "))
        queue_id = head.replace("\n\t", " ").split("with ESMTP id ")[1].split()[0].strip(";")
        self.assertIn(queue_id, text)
        self.assertTrue(got.startswith("Return-Path: <x@far.example>\n"))
        self.assertIn("Delivered-To: bob@home.example", head)

    def test_null_sender_and_postmaster(self):
        t = self.talk()
        self.assertEqual(self.deliver(t, "Subject: null-1\r\n\r\nx\r\n", sender="")[0], 250)
        self.assertTrue(self.in_mailbox("bob@home.example", "null-1").startswith("Return-Path: <>"))

    def test_alias_reaches_all(self):
        self.assertEqual(self.deliver(self.talk(), "Subject: alias-1\r\n\r\nx\r\n", rcpt="sales@home.example")[0], 250)
        self.in_mailbox("bob@home.example", "alias-1")
        self.in_mailbox("ann@home.example", "alias-1")

    def test_ipv6(self):
        t = self.talk(ip="::1")
        self.assertEqual(self.deliver(t, "Subject: six-1\r\n\r\nx\r\n")[0], 250)
        self.assertIn("IPv6:::1", self.in_mailbox("bob@home.example", "six-1"))

    def test_a_client_that_vanishes_in_data_leaves_nothing(self):
        t = self.talk()
        t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
        t.raw("Subject: vanished-1\r\n\r\nhalf a mess")
        t.s.close()
        self.assertEqual(self.deliver(self.talk(), "Subject: after-vanished\r\n\r\nx\r\n")[0], 250)
        self.in_mailbox("bob@home.example", "after-vanished")
        self.assertFalse([m for m in self.server.mailbox("bob@home.example") if b"vanished-1" in m])


class Smuggling(Mail):
    """Nothing but CRLF.CRLF ends a message (and a bare CR or LF refuses it)."""

    def refused(self, end):
        t = self.talk()
        t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
        t.raw(b"Subject: smuggle\r\n\r\nfirst" + end + b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<ann@home.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n")
        code, text = t.reply()
        self.assertEqual(code, 550 if code != 554 else 554, text)
        t.s.settimeout(1)
        with self.assertRaises((TimeoutError, EOFError, ConnectionError), msg="a second reply: it was smuggled"):
            t.reply()

    def test_no_other_end_of_data(self):
        for end in (b"\n.\r\n", b"\n.\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r.\r", b"\n\n.\r\n", b"\r\n\x00.\r\n\n.\r\n"):
            with self.subTest(end):
                self.refused(end)

    def test_bare_cr_and_lf_are_refused(self):
        for text in (b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\nb\r\n", b"\n\r\n"):
            with self.subTest(text):
                code, words = self.deliver(self.talk(), b"Subject: x\r\n\r\n" + text)
                self.assertIn(code, (550, 554), words)

    def test_split_writes_do_not_help(self):
        t = self.talk()
        t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
        t.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"Subject: slow-1\r\n\r\n..dot\r\n.x\r\nend\r\n.\r\n":
            t.raw(bytes([byte]))
        self.assertEqual(t.reply()[0], 250)
        got = self.in_mailbox("bob@home.example", "slow-1")
        self.assertTrue(got.endswith("\n\n.dot\nx\nend\n"), got)

    def test_commands_with_bare_lf_are_no_commands(self):
        t = self.talk()
        t.raw("NOOP\nNOOP\r\n")
        self.assertIn(t.reply()[0], (500, 501))


class Limits(Mail):
    config = {"relay_networks": [], "limits": {"message_size": "100K", "header_size": "8K", "recipients": 100, "received_fields": 10, "errors": 8,
                                               "unknown_commands": 3, "messages_per_connection": 4}}

    def test_size_announced(self):
        t = self.talk(helo=None)
        self.assertIn("SIZE 102400", t.say("EHLO c.example")[1])
        self.assertEqual(t.code("MAIL FROM:<a@b.example> SIZE=102401"), 552)

    def test_size_of_the_message(self):
        t = self.talk()
        code, text = self.deliver(t, "Subject: big\r\n\r\n" + ("x" * 76 + "\r\n") * 1500)
        self.assertEqual(code, 552, text)
        self.assertEqual(t.code("NOOP"), 250)

    def test_size_by_bdat(self):
        t = self.talk()
        t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>")
        t.raw(b"BDAT 202016 LAST\r\nSubject: big\r\n\r\n" + (b"x" * 98 + b"\r\n") * 2020)
        self.assertEqual(t.reply()[0], 552)
        self.assertEqual(t.code("NOOP"), 250)

    def test_header_size(self):
        code, text = self.deliver(self.talk(), ("X-A: " + "x" * 70 + "\r\n") * 200 + "\r\nx\r\n")
        self.assertIn(code, (552, 554), text)

    def test_recipients(self):
        t = self.talk()
        t.code("MAIL FROM:<a@b.example>")
        codes = t.lines(*[f"RCPT TO:<bob+{i}@home.example>" for i in range(102)])
        self.assertEqual(codes[:100], [250] * 100)
        self.assertIn(codes[100], (452, 552))

    def test_loop(self):
        received = "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        self.assertEqual(self.deliver(self.talk(), received * 9 + "Subject: loop-ok\r\n\r\nx\r\n")[0], 250)
        code, text = self.deliver(self.talk(), received * 12 + "Subject: loop\r\n\r\nx\r\n")
        self.assertEqual(code, 554)
        self.assertTrue(text.startswith("5.4.6"), text)

    def test_line_length(self):
        t = self.talk()
        code, text = self.deliver(t, "Subject: long\r\n\r\n" + "x" * 5000 + "\r\n")
        self.assertEqual((code, text[:5]), (554, "5.6.0"))
        self.assertEqual(self.deliver(t, "Subject: long-1\r\n\r\n" + "x" * 1998 + "\r\n")[0], 250)
        self.assertIn("x" * 1998, self.in_mailbox("bob@home.example", "long-1"))

    def test_command_length(self):
        t = self.talk()
        self.assertEqual(t.code("NOOP " + "x" * 5000), 500)
        self.assertEqual(t.code("NOOP"), 250)

    def test_endless_command_line(self):
        t = self.talk()
        try:
            for _ in range(200):
                t.raw(b"x" * 65536)
        except OSError:
            return  # cut off
        t.raw("\r\n")
        self.assertIn(t.reply()[0], (421, 500))

    def test_errors(self):
        t = self.talk()
        codes = []
        try:
            for _ in range(30):
                codes.append(t.code("RCPT TO:<bob@home.example>"))
        except (EOFError, ConnectionError):
            pass
        self.assertLess(len(codes), 12)
        self.assertEqual(codes[-1], 421)

    def test_unknown_commands(self):
        t = self.talk()
        codes = []
        try:
            for _ in range(10):
                codes.append(t.code("HULLO"))
        except (EOFError, ConnectionError):
            pass
        self.assertLessEqual(len(codes), 5)
        self.assertEqual(codes[-1], 421)

    def test_messages_of_a_connection(self):
        t = self.talk(helo=None)
        self.assertIn("MAILMAX=4", t.say("EHLO c.example")[1])
        for i in range(4):
            self.assertEqual(self.deliver(t, f"Subject: many-{i}\r\n\r\nx\r\n")[0], 250)
        self.assertIn(t.code("MAIL FROM:<a@b.example>"), (421, 452))

    def test_header_that_is_none(self):
        for data in ("no header here\r\n", "\r\nbody only\r\n", ": x\r\n\r\n", "Subject\x01: x\r\n\r\nx\r\n", ""):
            with self.subTest(data):
                code, text = self.deliver(self.talk(), data)
                self.assertIn(code, (250, 550, 554), text)


class Relaying(Mail):
    def test_no_open_relay(self):
        t = self.talk()
        t.code("MAIL FROM:<a@b.example>")
        for rcpt in ("x@elsewhere.example", "x%elsewhere.example@home.example", "\"x@elsewhere.example\"@home.example", "@home.example:x@elsewhere.example",
                     "elsewhere.example!x@home.example", "x@[127.0.0.9]", "x@elsewhere.example@home.example"):
            with self.subTest(rcpt):
                code, text = t.say(f"RCPT TO:<{rcpt}>")
                self.assertIn(code, (501, 550, 553, 554), f"{rcpt}: {text}")

    def test_relaying_is_refused_with_5_7_1(self):
        t = self.talk()
        t.code("MAIL FROM:<a@b.example>")
        code, text = t.say("RCPT TO:<x@elsewhere.example>")
        self.assertEqual((code // 100, text[:5]), (5, "5.7.1"))

    def test_submission_needs_a_login(self):
        t = self.talk("submission")
        code, text = t.say("MAIL FROM:<ann@home.example>")
        self.assertEqual(code, 530, text)

    def test_sender_must_be_ours(self):
        t = self.talk("submission")
        self.assertEqual(t.code("AUTH PLAIN " + plain("ann@home.example")), 235)
        code, text = t.say("MAIL FROM:<bob@other.example>")
        self.assertEqual((code, text[:5]), (553, "5.7.1"))
        self.assertEqual(t.code("MAIL FROM:<ann@home.example>"), 250)
        t.code("RSET")
        self.assertEqual(t.code("MAIL FROM:<sales@home.example>"), 250)

    def test_from_must_be_ours(self):
        t = self.talk("submission")
        t.code("AUTH PLAIN " + plain("ann@home.example"))
        code, text = self.deliver(t, "From: <boss@bank.example>\r\nSubject: x\r\n\r\nx\r\n", sender="ann@home.example")
        self.assertEqual((code, text[:5]), (553, "5.7.1"))

    def test_listed_networks_relay(self):
        with self.sink() as s:
            self.server.write_config(relay_networks=["127.0.0.0/8"])
            self.server.restart()
            try:
                self.server.cli("route", "add", "recipient:elsewhere.example", "smtp", f"127.0.0.1:{s.port}")
                t = self.talk()
                self.assertEqual(self.deliver(t, "Subject: printer\r\n\r\nx\r\n", sender="printer@lan.example", rcpt="x@elsewhere.example")[0], 250)
                until(lambda: s.messages, "the message at the sink")
            finally:
                self.server.write_config()
                self.server.restart()
