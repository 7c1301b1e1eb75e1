"""The SMTP client: where a message goes, in what order hosts are tried, and what becomes of it when they misbehave."""
import os
import signal
import socket
import ssl
import threading

from harness import PASSWORD, Case, Server, letter, make_certificate, until
from sink import CLOSE, HANG, server_context

ZONE = """
one.example. MX 10 mx1.one.example.
mx1.one.example. A 127.0.0.11
order.example. MX 20 mx2.order.example.
order.example. MX 10 mx1.order.example.
order.example. MX 30 mx3.order.example.
mx1.order.example. A 127.0.0.11
mx2.order.example. A 127.0.0.12
mx3.order.example. A 127.0.0.13
bare.example. A 127.0.0.11
six.example. MX 10 mx.six.example.
mx.six.example. AAAA ::1
both.example. MX 10 mx.both.example.
mx.both.example. AAAA ::1
mx.both.example. A 127.0.0.11
null.example. MX 0 .
noaddress.example. MX 10 nowhere.example.
ours.example. MX 10 mail.home.example.
backup.example. MX 10 mx1.order.example.
backup.example. MX 20 mail.home.example.
mail.home.example. A 127.0.0.1
shared1.example. MX 10 mx1.order.example.
shared2.example. MX 10 mx1.order.example.
xn--bcher-kva.example. MX 10 mx1.one.example.
cname.example. CNAME one.example.
broken1.example. MX 10 mx.broken1.example.
mx.broken1.example. A 127.0.0.16
broken2.example. MX 10 mx.broken2.example.
mx.broken2.example. A 127.0.0.17
"""


class Relay(Case):
    zone = ZONE
    config = {"queue": {"retry": ["1s"], "lifetime": "1h"}, "relay": {"idle_time": "2s", "command_time": "2s", "connect_time": "2s"}}

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")
        cls.server.account("bob@home.example")

    def tearDown(self):
        self.doCleanups()  # the sinks close, so that nothing hangs on them
        self.server.queue_clear()

    def send(self, *rcpts, subject="x", sender="ann@home.example", **more):
        self.server.send(sender, list(rcpts), letter(sender, rcpts[0], subject), **more)

    def bounce_of(self, mark):
        def find():
            return [m for m in self.server.mailbox("ann@home.example") if mark.encode() in m]

        return until(find, f"a bounce that names {mark}")[0].decode()


class Mx(Relay):
    def test_by_mx(self):
        s = self.sink("127.0.0.11")
        self.send("x@one.example", subject="mx-1")
        until(lambda: s.messages, "the message")
        m = s.messages[0]
        self.assertEqual((m.sender, m.rcpts, m.helo), ("ann@home.example", ["x@one.example"], "mail.home.example"))
        self.assertIn(b"Subject: mx-1\r\n", m.data)
        self.assertIn(b"Received: from client.example", m.data)
        self.server.queue_empty()
        self.assertEqual(len(s.messages), 1)

    def test_lowest_preference_first(self):
        first, second, third = (self.sink(f"127.0.0.{i}") for i in (11, 12, 13))
        self.send("x@order.example")
        until(lambda: first.messages, "the message at the first")
        self.assertEqual((second.connections, third.connections), (0, 0))

    def test_next_when_the_first_is_down(self):
        second = self.sink("127.0.0.12")
        self.send("x@order.example")
        until(lambda: second.messages, "the message at the second")

    def test_next_when_the_first_says_later(self):
        for step in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT"):
            with self.subTest(step), self.sink("127.0.0.11") as first, self.sink("127.0.0.12") as second:
                first.on(step, "421 4.3.2 later" if step in ("GREETING", "EHLO") else "451 4.3.0 later")
                self.send("x@order.example", subject=step)
                until(lambda: second.messages, f"the message at the second after {step}")
                self.server.queue_empty()

    def test_next_when_the_first_hangs_or_vanishes(self):
        for action in (HANG, CLOSE):
            for step in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA"):
                with self.subTest(f"{step} {action is HANG}"), self.sink("127.0.0.11") as first, self.sink("127.0.0.12") as second:
                    first.on(step, action)
                    self.send("x@order.example", subject=step)
                    until(lambda: first.count + second.count, f"the message after {step}")
                    self.server.queue_empty()

    def test_permanent_refusal_is_final(self):
        first, second = self.sink("127.0.0.11"), self.sink("127.0.0.12")
        first.on("RCPT", "550 5.1.1 no such person here")
        self.send("gone-1@order.example")
        bounce = self.bounce_of("gone-1@order.example")
        self.assertIn("no such person here", bounce)
        self.assertIn("Status: 5.1.1", bounce)
        self.assertEqual(second.count, 0)

    def test_address_when_there_is_no_mx(self):
        s = self.sink("127.0.0.11")
        self.send("x@bare.example")
        until(lambda: s.messages, "the message")

    def test_cname(self):
        s = self.sink("127.0.0.11")
        self.send("x@cname.example")
        until(lambda: s.messages, "the message")

    def test_ipv6(self):
        s = self.sink("::1")
        self.send("x@six.example")
        until(lambda: s.messages, "the message")

    def test_ipv4_when_ipv6_is_down(self):
        s = self.sink("127.0.0.11")
        self.send("x@both.example")
        until(lambda: s.messages, "the message")

    def test_address_literal(self):
        s = self.sink("127.0.0.11")
        self.send("x@[127.0.0.11]")
        until(lambda: s.messages, "the message")

    def test_null_mx(self):
        self.send("x@null.example")
        bounce = self.bounce_of("x@null.example")
        self.assertIn("5.1.10", bounce)

    def test_no_such_domain(self):
        self.send("x@nosuchdomain.example")
        bounce = self.bounce_of("x@nosuchdomain.example")
        self.assertRegex(bounce, r"Status: 5\.(1\.2|4\.4)")

    def test_mx_without_address_stays_queued(self):
        self.send("x@noaddress.example", subject="noaddress-1")
        rows = until(lambda: [r for r in self.server.queue() if "noaddress.example" in str(r) and r["attempts"] > 1], "the message to wait")
        self.assertRegex(str(rows[0]), r"\b4\.\d\.\d")

    def test_loop_to_ourselves(self):
        self.send("x@ours.example")
        bounce = self.bounce_of("x@ours.example")
        self.assertIn("5.4.6", bounce)

    def test_backup_mx_never_goes_down_to_itself(self):
        self.server.cli("domain", "add", "backup.example", "--backup-mx")
        s = self.sink("127.0.0.11")
        s.on("GREETING", "421 4.3.2 later", times=2)
        self.server.send("x@far.example", "y@backup.example")
        until(lambda: s.messages, "the message at the first")
        self.server.queue_empty()

    def test_idn(self):
        s = self.sink("127.0.0.11")
        self.server.send("ann@home.example", "x@bücher.example", "Subject: idn-1\r\n\r\nx\r\n", mail_options=["SMTPUTF8"])
        until(lambda: s.messages, "the message")

    def test_partial_recipients(self):
        s = self.sink("127.0.0.11")
        s.on("RCPT", "550 5.1.1 nobody", match="<gone@").on("RCPT", "451 4.2.1 later", match="<later@", times=1)
        self.send("good@one.example", "gone@one.example", "later@one.example", subject="partial-1")
        until(lambda: s.to("later@one.example"), "the second attempt")
        self.assertIn("gone@one.example", self.bounce_of("gone@one.example"))
        self.server.queue_empty()
        self.assertEqual((len(s.to("good@one.example")), len(s.to("later@one.example")), len(s.to("gone@one.example"))), (1, 1, 0))

    def test_garbage(self):
        for step, junk in (("GREETING", b"\x00\xff\x16nonsense\r\n"), ("EHLO", b"hello\r\n"), ("MAIL", b"999 what\r\n"), ("RCPT", b"250-endless\r\n" * 3000),
                           ("DOT", b"2xx\r\n")):
            with self.subTest(step), self.sink("127.0.0.11") as first:
                first.on(step, junk, times=1)
                self.send("x@one.example", subject="junk " + step)
                until(lambda: first.count, f"the message after junk at {step}")
                self.server.queue_empty()

    def test_dns_that_is_silent_loses_nothing(self):
        s = self.sink("127.0.0.11")
        records = self.nsd
        records.silent()
        try:
            self.send("x@silent1.example", "y@silent2.example", subject="silent-1")
            until(lambda: len([r for r in self.server.queue() if "silent" in str(r)]) >= 1, "the message to wait")
        finally:
            records.mute.close()
            records.__init__(ZONE)  # another port: the configuration follows
            self.server.dns_port = records.port
            self.server.write_config()
            self.server.restart()
        self.send("x@one.example", subject="spoken-1")
        until(lambda: s.messages, "a message after DNS came back")


class Reuse(Relay):
    config = {"queue": {"retry": ["1s"]}, "relay": {"idle_time": "10s", "connections_per_destination": 1, "messages_per_connection": 5}}

    def test_connections_are_reused_up_to_the_limit(self):
        s = self.sink("127.0.0.11")
        with self.server.smtp() as c:
            for i in range(12):
                c.sendmail("ann@home.example", ["x@one.example"], letter(subject=f"reuse-{i}"))
        until(lambda: s.count == 12, "all messages")
        self.assertLessEqual(max(sum(m.connection == n for m in s.messages) for n in range(1, s.connections + 1)), 5)
        self.assertLess(s.connections, 12)
        self.assertEqual(s.most_open, 1)

    def test_destinations_that_share_their_hosts_are_one(self):
        s = self.sink("127.0.0.11")
        with self.server.smtp() as c:
            for i in range(6):
                c.sendmail("ann@home.example", [f"x@shared{i % 2 + 1}.example"], letter(subject=f"shared-{i}"))
        until(lambda: s.count == 6, "all messages")
        self.assertEqual(s.most_open, 1)

    def test_recipients_of_a_message_are_grouped(self):
        s = self.sink("127.0.0.11")
        self.send(*[f"r{i}@one.example" for i in range(50)], subject="group-1")
        until(lambda: sum(len(m.rcpts) for m in s.messages) == 50, "all recipients")
        self.assertEqual(s.count, 1)

    def test_announced_limits_are_kept(self):
        s = self.sink("127.0.0.11", extensions=["PIPELINING", "LIMITS RCPTMAX=10"])
        self.send(*[f"l{i}@one.example" for i in range(30)], subject="limits-1")
        until(lambda: sum(len(m.rcpts) for m in s.messages) == 30, "all recipients")
        self.assertLessEqual(max(len(m.rcpts) for m in s.messages), 10)

    def test_a_server_that_closes_after_each_message(self):
        s = self.sink("127.0.0.11")
        s.on("RSET", CLOSE).on("MAIL", lambda session, line: CLOSE if any(m.connection == session.number for m in s.messages) else None)
        with self.server.smtp() as c:
            for i in range(4):
                c.sendmail("ann@home.example", ["x@one.example"], letter(subject=f"closing-{i}"))
        until(lambda: s.count == 4, "all messages")
        self.server.queue_empty()
        self.assertEqual(s.count, 4)


class Extensions(Relay):
    def test_without_pipelining_and_ehlo(self):
        s = self.sink("127.0.0.11", extensions=[])
        s.on("EHLO", "502 5.5.1 what")
        self.send("x@one.example", subject="helo-1")
        until(lambda: s.messages, "the message")

    def test_smtputf8_where_it_is_not_offered(self):
        s = self.sink("127.0.0.11", extensions=["8BITMIME"])
        self.server.send("ann@home.example", "jürgen@one.example", "Subject: x\r\n\r\nx\r\n", mail_options=["SMTPUTF8"])
        until(lambda: [m for m in self.server.mailbox("ann@home.example") if b"5.6.7" in m], "a bounce that says so")
        self.assertEqual(s.count, 0)

    def test_eight_bit_where_it_is_not_offered(self):
        s = self.sink("127.0.0.11", extensions=["PIPELINING"])
        body = "From: <ann@home.example>\r\nSubject: eight-2\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n".encode()
        self.server.send("ann@home.example", "x@one.example", body, mail_options=["BODY=8BITMIME"])
        until(lambda: s.messages or [m for m in self.server.mailbox("ann@home.example") if b"5.6.3" in m], "a message in seven bits or a bounce")
        for m in s.messages:
            self.assertTrue(all(b < 128 for b in m.data))

    def test_dsn_is_passed_on(self):
        s = self.sink("127.0.0.11")
        with self.server.smtp() as c:
            c.ehlo()
            c.sendmail("ann@home.example", ["x@one.example"], letter(), mail_options=["RET=HDRS", "ENVID=env-77"],
                       rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;orig@one.example"])
        until(lambda: s.messages, "the message")
        self.assertIn("ENVID=env-77", s.messages[0].mail_line)
        self.assertIn("RET=HDRS", s.messages[0].mail_line)
        self.assertIn("NOTIFY=SUCCESS,FAILURE", s.messages[0].rcpt_lines[0])
        self.assertIn("ORCPT=rfc822;orig@one.example", s.messages[0].rcpt_lines[0])

    def test_dots_and_long_messages_arrive_as_they_were(self):
        body = "..\r\n.\x2e.x\r\n" + ".dots\r\n" * 10000 + "end"
        s = self.sink("127.0.0.11", extensions=["PIPELINING"])
        self.send("x@one.example", subject="dots-1")
        self.server.send("ann@home.example", "x@one.example", letter(subject="dots-2", body=body))
        until(lambda: s.count == 2, "both")
        big = [m for m in s.messages if b"dots-2" in m.data][0]
        self.assertTrue(big.data.decode().endswith("\r\n\r\n" + body + "\r\n"))

    def test_binary_needs_chunking(self):
        s = self.sink("127.0.0.11")
        from talk import Talk
        t = Talk(self.server.ports["mx"])
        self.addCleanup(t.s.close)
        t.lines("EHLO c.example", "MAIL FROM:<ann@home.example> BODY=BINARYMIME", "RCPT TO:<x@one.example>")
        data = b"Subject: binary-1\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\x01\n\r.\n"
        t.raw(b"BDAT %d LAST\r\n" % len(data) + data)
        self.assertEqual(t.reply()[0], 250)
        until(lambda: s.messages, "the message")
        self.assertTrue(s.messages[0].data.endswith(b"\x00\x01\n\r.\n"))


class Tls(Relay):
    @classmethod
    def before_start(cls):
        import pathlib
        import tempfile
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-tls-"))
        cls.cleanup.callback(__import__("shutil").rmtree, cls.folder, True)
        cls.other = make_certificate(cls.folder, "other", ["mx1.one.example"])
        cls.named = make_certificate(cls.server.folder, "named", ["smart.example", "localhost"])
        cls.server.config = {**cls.config, "relay": {**cls.config["relay"], "ca_file": str(cls.named[0])}}
        cls.server.write_config()
        cls.server.own()

    def secure(self, ip="127.0.0.11", files=None, **more):
        return self.sink(ip, tls=server_context(*(files or self.other)), **more)

    def test_opportunistic(self):
        s = self.secure()
        self.send("x@one.example")
        until(lambda: s.messages, "the message")
        self.assertTrue(s.messages[0].tls)

    def test_plain_when_tls_fails(self):
        s = self.secure("127.0.0.16")
        s.on("STARTTLS", "454 4.7.0 not now")
        self.send("x@broken1.example", subject="refused")
        until(lambda: s.count == 1, "the message after a refusal")
        s = self.secure("127.0.0.17")
        s.on("STARTTLS", lambda session, line: session.say("220 go") or session.s.sendall(b"garbage" * 20) or CLOSE, times=1)
        self.send("x@broken2.example", subject="garbage")
        until(lambda: s.count == 1, "the message after a broken handshake")
        self.server.queue_empty()

    def test_required_by_the_route(self):
        s = self.sink("127.0.0.14", port=0)
        self.server.route("recipient:secret.example", "smtp", f"127.0.0.14:{s.port}", tls="required")
        self.send("x@secret.example", subject="never in the clear")
        until(lambda: s.said("EHLO"), "an attempt")
        until(lambda: [r for r in self.server.queue() if "secret.example" in str(r)], "the message to wait")
        self.assertEqual(s.count, 0)
        s.tls = server_context(*self.other)
        until(lambda: s.messages, "the message under TLS")
        self.assertTrue(s.messages[0].tls)

    def test_verified_by_the_route(self):
        bad = self.secure("127.0.0.15", port=0)
        self.server.route("recipient:bad.example", "smtp", f"127.0.0.15:{bad.port}", tls="verified")
        self.send("x@bad.example", subject="wrong certificate")
        good = self.secure("127.0.0.1", port=0, files=self.named)
        self.server.route("recipient:good.example", "smtp", f"127.0.0.1:{good.port}", tls="verified")
        self.send("x@good.example", subject="right certificate")
        until(lambda: good.messages, "the message at the one that proves itself")
        until(lambda: bad.connections, "an attempt")
        self.assertEqual(bad.count, 0)

    def test_implicit_tls(self):
        s = self.secure("127.0.0.1", port=0, files=self.named, implicit_tls=True)
        self.server.route("recipient:implicit.example", "smtp", f"127.0.0.1:{s.port}", tls="implicit")
        self.send("x@implicit.example")
        until(lambda: s.messages, "the message")
        self.assertTrue(s.messages[0].tls)

    def test_requiretls_is_enforced(self):
        plain_only = self.sink("127.0.0.11")
        client = self.server.smtp("submission", login="ann@home.example")
        client.ehlo()
        client.sendmail("ann@home.example", ["requiretls@one.example"], letter("ann@home.example", "x@one.example"), mail_options=["REQUIRETLS"])
        client.quit()
        bounce = self.bounce_of("requiretls@one.example")
        self.assertRegex(bounce, r"5\.7\.(30|4|10)")
        self.assertEqual(plain_only.count, 0)

    def test_tls_versions_are_modern(self):
        context = server_context(*self.other)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        s = self.sink("127.0.0.11", tls=context)
        self.send("x@one.example")
        until(lambda: s.messages, "the message")
        self.assertTrue(s.messages[0].tls)


class Routes(Relay):
    def test_smart_host_with_login(self):
        with self.sink("127.0.0.1", port=0, users={"smart": "s3cret"}, tls=server_context(*self.certificate())) as s:
            self.server.route("recipient:viasmart.example", "smtp", f"127.0.0.1:{s.port}", tls="required", login="smart", password="s3cret")
            self.send("x@viasmart.example")
            until(lambda: s.messages, "the message")
            self.assertEqual((s.messages[0].login, s.messages[0].tls), ("smart", True))

    def certificate(self):
        return self.server.chain, self.server.key

    def test_by_sender(self):
        s = self.sink("127.0.0.1", port=0)
        self.server.domain("sending.example")
        self.server.route("sender:sending.example", "smtp", f"127.0.0.1:{s.port}")
        self.server.send("any@sending.example", "x@anywhere.example")
        until(lambda: s.messages, "the message")

    def test_by_class(self):
        bulk, far = self.sink("127.0.0.1", port=0), self.sink("127.0.0.1", port=0)
        self.server.route("recipient:mixed.example", "smtp", f"127.0.0.1:{far.port}")
        self.server.route("class:bulk", "smtp", f"127.0.0.1:{bulk.port}")
        try:
            for rcpt, more in (("news@letters.example", "Precedence: bulk\r\n"), ("person@mixed.example", "")):
                self.server.send("ann@home.example", rcpt, letter("ann@home.example", rcpt, more=more))
            until(lambda: bulk.messages and far.messages, "one message each way")
        finally:
            self.server.cli("route", "remove", "class:bulk")
        self.assertEqual((bulk.messages[0].rcpts, far.messages[0].rcpts), (["news@letters.example"], ["person@mixed.example"]))
        self.assertEqual((bulk.count, far.count), (1, 1))

    def test_lmtp(self):
        s = self.sink("127.0.0.1", port=0, lmtp=True)
        s.on("DOT", "550 5.2.2 full", match="full@")
        self.server.route("recipient:store.example", "lmtp", f"127.0.0.1:{s.port}")
        self.send("a@store.example", "full@store.example", subject="lmtp-out")
        until(lambda: s.to("a@store.example"), "the message")
        self.assertIn("5.2.2", self.bounce_of("full@store.example"))
        self.server.queue_empty()
        self.assertEqual(len(s.to("a@store.example")), 1)

    def test_discard_and_fail(self):
        self.server.route("recipient:void.example", "discard")
        self.server.route("recipient:closed.example", "fail", text="5.7.1 this domain is closed")
        self.send("x@void.example", "y@closed.example")
        bounce = self.bounce_of("y@closed.example")
        self.assertIn("this domain is closed", bounce)
        self.assertNotIn("x@void.example", bounce.split("Content-Type: message/delivery-status")[1].split("Content-Type:")[0])
        self.server.queue_empty()

    def test_second_host_of_a_route(self):
        s = self.sink("127.0.0.1", port=0)
        self.server.route("recipient:two.example", "smtp", f"127.0.0.1:1 127.0.0.1:{s.port}")
        self.send("x@two.example")
        until(lambda: s.messages, "the message")


class Pools(Relay):
    def test_source_addresses_and_names(self):
        s = self.sink("127.0.0.11")
        self.server.cli("pool", "add", "marketing", "127.0.0.21", "--weight=1", "--ehlo=a.pool.example")
        self.server.cli("pool", "add", "marketing", "127.0.0.22", "--weight=1", "--ehlo=b.pool.example")
        self.server.cli("domain", "add", "pooled.example")
        self.server.cli("pool", "bind", "sender:pooled.example", "marketing")
        for i in range(8):
            self.server.send("any@pooled.example", "x@one.example", letter(subject=f"pool-{i}"))
        until(lambda: s.count == 8, "all messages")
        self.assertLessEqual({(m.peer, m.helo) for m in s.messages}, {("127.0.0.21", "a.pool.example"), ("127.0.0.22", "b.pool.example")})
        self.send("x@one.example", subject="not pooled")
        until(lambda: s.count == 9, "the other message")
        self.assertEqual(s.messages[-1].helo, "mail.home.example")

    def test_a_class_has_its_pool(self):
        s = self.sink("127.0.0.11")
        self.server.cli("pool", "add", "letters", "127.0.0.23", "--ehlo=letters.pool.example")
        self.server.cli("pool", "bind", "class:bulk", "letters")
        for subject, more in (("bulk-1", "Precedence: bulk\r\n"), ("single-1", "")):
            self.server.send("ann@home.example", "x@one.example", letter("ann@home.example", "x@one.example", subject, more=more))
        until(lambda: s.count == 2, "both messages")
        found = {"bulk" if b"bulk-1" in m.data else "single": (m.peer, m.helo) for m in s.messages}
        self.assertEqual(found["bulk"], ("127.0.0.23", "letters.pool.example"))
        self.assertEqual(found["single"][1], "mail.home.example")


class Tap:
    """A wire between two servers that writes down what the client says."""

    def __init__(self, port):
        self.port_behind, self.heard, self.open = port, bytearray(), []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port_behind))
            self.open += [client, server]
            threading.Thread(target=self.copy, args=(client, server, self.heard), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, bytearray()), daemon=True).start()

    def copy(self, source, target, heard):
        try:
            while data := source.recv(65536):
                heard += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.socket.close()
        for s in self.open:
            s.close()


class SmartHost(Relay):
    """A second Staffetta is the smart host, so that a login means what it means elsewhere."""

    @classmethod
    def before_start(cls):
        cls.smart = Server({"relay_networks": []}, hostname="smart.far.example")
        cls.cleanup.callback(cls.smart.destroy)
        cls.server.config = {**cls.config, "relay": {**cls.config["relay"], "ca_file": str(cls.smart.chain)}}
        cls.server.write_config()

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.smart.start()
        cls.smart.domain("far.example")
        cls.smart.account("box@far.example")
        cls.smart.account("node@far.example", "--send-as=any")

    def route(self, port, password=PASSWORD, **options):
        self.server.route("recipient:far.example", "smtp", f"127.0.0.1:{port}", login="node@far.example", password=password, **options)
        self.addCleanup(self.server.cli, "route", "remove", "recipient:far.example")

    def arrived(self, subject):
        found = until(lambda: [m for m in self.smart.mailbox("box@far.example") if subject.encode() in m], f"{subject} at the smart host")
        self.assertEqual(len(found), 1)
        return found[0].decode().replace("\n\t", " ")

    def test_scram_within_tls(self):
        self.route(self.smart.ports["submission"], tls="required")
        self.send("box@far.example", subject="scram-tls-1")
        self.assertRegex(self.arrived("scram-tls-1"), r"by smart\.far\.example with ESMTPSA ")
        self.server.queue_empty()
        self.assertIn("login node@far.example", until(lambda: self.smart.cli("trace", "box@far.example", check=False).stdout, "the story at the smart host"))

    def test_scram_within_implicit_tls(self):
        self.route(self.smart.ports["submissions"], tls="implicit")
        self.send("box@far.example", subject="scram-tls-2")
        self.assertRegex(self.arrived("scram-tls-2"), r"with ESMTPSA ")

    def test_scram_keeps_the_password_to_itself(self):
        tap = Tap(self.smart.ports["submission"])
        self.addCleanup(tap.close)
        self.route(tap.port, tls="none")
        self.send("box@far.example", subject="scram-clear-1")
        self.assertRegex(self.arrived("scram-clear-1"), r"with ESMTPA ")
        self.assertIn(b"AUTH SCRAM-SHA-256 ", tap.heard)
        self.assertNotIn(PASSWORD.encode(), tap.heard)

    def test_a_wrong_password_waits_and_is_told(self):
        self.route(self.smart.ports["submission"], password="wrong", tls="required")
        self.send("box@far.example", subject="scram-wrong-1")
        until(lambda: [r for r in self.server.queue() if "535" in str(r) or "5.7.8" in str(r)], "the refusal in the queue")
        self.assertFalse([m for m in self.smart.mailbox("box@far.example") if b"scram-wrong-1" in m])

    def test_login_where_nothing_better_is_offered(self):
        s = self.sink("127.0.0.1", port=0, users={"node@far.example": PASSWORD}, tls=server_context(self.server.chain, self.server.key))
        s.on("EHLO", lambda session, line: "250-sink.example\n250 AUTH LOGIN" if session.secure else None)
        self.route(s.port, tls="required")
        self.send("box@far.example", subject="login-1")
        until(lambda: s.messages, "the message")
        self.assertEqual((s.messages[0].login, s.messages[0].tls), ("node@far.example", True))
        self.assertEqual(s.said("AUTH LOGIN"), 1)


class Stuck(Relay):
    """Whatever is broken, a message ends with its lifetime and its sender hears of it."""
    config = {"queue": {"retry": ["1s"], "lifetime": "4s", "bounce_lifetime": "4s", "delay_notice": "0s"}, "relay": {"command_time": "30s", "connect_time": "30s"}}
    kills = True

    def test_dns_is_silent(self):
        self.nsd.silent()
        self.send("silent-2@silent.example")
        self.assertIn("Action: failed", self.bounce_of("silent-2@silent.example"))
        self.server.queue_empty()

    def test_every_host_of_the_route_is_down(self):
        self.server.route("recipient:down.example", "smtp", "127.0.0.1:1 127.0.0.1:2")
        self.send("down-2@down.example")
        self.assertIn("Action: failed", self.bounce_of("down-2@down.example"))
        self.server.queue_empty()

    def test_the_host_hangs_and_relay_dies(self):
        s = self.sink("127.0.0.1", port=0, extensions=["PIPELINING"])
        s.on("DATA", HANG)
        self.server.route("recipient:hanging.example", "smtp", f"127.0.0.1:{s.port}")
        self.send("hang-2@hanging.example")
        until(lambda: s.said("DATA"), "an attempt")
        os.kill(self.server.roles()["relay"][0], signal.SIGKILL)
        self.assertIn("Action: failed", self.bounce_of("hang-2@hanging.example"))
        self.server.queue_empty()
