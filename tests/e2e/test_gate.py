"""Who comes in how: PROXY, XCLIENT, LMTP, limits of an address, time limits."""
import socket

from harness import letter, until
from mailcase import Mail, plain
from talk import Talk


class Proxy(Mail):
    config = {"relay_networks": [], "limits": {"connections_per_address": 3, "messages_per_address": 5, "recipients_per_address": 8}}
    listen = {"mx": {"proxy_from": ["127.0.0.1"]}, "submission": {"proxy_from": ["127.0.0.1"]}, "lmtp": {"xclient_from": ["127.0.0.1"]}}

    def through(self, header, listener="mx"):
        t = Talk(self.server.ports[listener], greeting=False)
        self.addCleanup(t.s.close)
        t.raw(header)
        t.greeting = t.reply()
        return t

    def v1(self, ip, listener="mx"):
        family = "TCP6" if ":" in ip else "TCP4"
        own = "::1" if ":" in ip else "127.0.0.1"
        return self.through(f"PROXY {family} {ip} {own} 5555 25\r\n", listener)

    def test_v1(self):
        t = self.v1("192.0.2.10")
        t.code("EHLO proxied.example")
        self.assertEqual(self.deliver(t, "Subject: proxy-1\r\n\r\nx\r\n")[0], 250)
        self.assertIn("192.0.2.10", self.in_mailbox("bob@home.example", "proxy-1"))

    def test_v2(self):
        address = socket.inet_aton("192.0.2.11") + socket.inet_aton("127.0.0.1") + (5555).to_bytes(2, "big") + (25).to_bytes(2, "big")
        t = self.through(b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(address).to_bytes(2, "big") + address)
        t.code("EHLO proxied.example")
        self.assertEqual(self.deliver(t, "Subject: proxy-2\r\n\r\nx\r\n")[0], 250)
        self.assertIn("192.0.2.11", self.in_mailbox("bob@home.example", "proxy-2"))

    def test_nonsense_is_cut(self):
        for header in (b"EHLO x.example\r\n", b"PROXY TCP4 1.2.3 x y z\r\n", b"PROXY " + b"x" * 300, b"\r\n\r\n\0\r\nQUIT\n\x31\x11\xff\xff" + b"x" * 600):
            with self.subTest(header[:20]):
                t = Talk(self.server.ports["mx"], greeting=False)
                self.addCleanup(t.s.close)
                t.raw(header)
                self.assertTrue(t.closed())

    def test_connections_of_an_address(self):
        held = [self.v1("192.0.2.20") for _ in range(3)]
        self.assertTrue(all(t.greeting[0] == 220 for t in held))
        self.assertEqual(self.v1("192.0.2.20").greeting[0], 421)
        self.assertEqual(self.v1("192.0.2.21").greeting[0], 220)
        held[0].code("QUIT")
        held[0].s.close()
        until(lambda: self.v1("192.0.2.20").greeting[0] == 220, "the place to be free again")

    def test_ipv6_counts_by_its_network(self):
        held = [self.v1(f"2001:db8:1:1::{i}") for i in range(1, 4)]
        self.assertTrue(all(t.greeting[0] == 220 for t in held))
        self.assertEqual(self.v1("2001:db8:1:1:ffff::9").greeting[0], 421)
        self.assertEqual(self.v1("2001:db8:1:2::1").greeting[0], 220)

    def test_messages_of_an_address(self):
        t = self.v1("192.0.2.30")
        t.code("EHLO c.example")
        codes = []
        for _ in range(7):
            codes.append(t.code("MAIL FROM:<a@b.example>"))
            if codes[-1] == 250:
                t.lines("RCPT TO:<bob@home.example>", "DATA", "Subject: x\r\n\r\nx\r\n.")
        self.assertEqual(codes[:5], [250] * 5)
        self.assertIn(codes[5], (421, 450, 451, 452))

    def test_recipients_of_an_address(self):
        t = self.v1("192.0.2.31")
        t.code("EHLO c.example")
        t.code("MAIL FROM:<a@b.example>")
        codes = t.lines(*[f"RCPT TO:<bob+{i}@home.example>" for i in range(10)])
        self.assertEqual(codes[:8], [250] * 8)
        self.assertIn(codes[8], (421, 450, 451, 452))

    def test_auth_needs_tls_outside_loopback(self):
        t = self.v1("192.0.2.40", "submission")
        self.assertNotIn("AUTH", t.say("EHLO c.example")[1])
        self.assertIn(t.code("AUTH PLAIN " + plain("ann@home.example")), (503, 530, 538))
        t.starttls(self.server.trust())
        self.assertIn("AUTH", t.say("EHLO c.example")[1])
        self.assertEqual(t.code("AUTH PLAIN " + plain("ann@home.example")), 235)


class Strangers(Mail):
    """Nobody is listed: whoever claims to be a proxy is what he is."""
    listen = {"mx": {"proxy_from": ["192.0.2.0/24"], "xclient_from": ["192.0.2.0/24"]}}

    def test_proxy(self):
        t = Talk(self.server.ports["mx"])
        self.addCleanup(t.s.close)
        self.assertEqual(t.code("PROXY TCP4 192.0.2.70 127.0.0.1 5555 25"), 500)
        t.code("EHLO stranger.example")
        self.assertEqual(self.deliver(t, "Subject: stranger-1\r\n\r\nx\r\n")[0], 250)
        self.assertNotIn("192.0.2.70", self.in_mailbox("bob@home.example", "stranger-1"))

    def test_xclient(self):
        t = self.talk(helo=None)
        self.assertNotIn("XCLIENT", t.say("EHLO stranger.example")[1])
        self.assertEqual(t.code("XCLIENT ADDR=192.0.2.71") // 100, 5)


class Xclient(Mail):
    listen = {"mx": {"xclient_from": ["127.0.0.1"]}}

    def test_xclient(self):
        t = self.talk(helo=None)
        self.assertIn("XCLIENT", t.say("EHLO gate.example")[1])
        self.assertEqual(t.code("XCLIENT ADDR=192.0.2.50 NAME=far.example HELO=far.example"), 220)
        t.code("EHLO far.example")
        self.assertEqual(self.deliver(t, "Subject: xclient-1\r\n\r\nx\r\n")[0], 250)
        self.assertIn("192.0.2.50", self.in_mailbox("bob@home.example", "xclient-1"))

    def test_nonsense(self):
        t = self.talk()
        for line in ("XCLIENT", "XCLIENT NOSUCH=1", "XCLIENT ADDR=banana"):
            self.assertEqual(t.code(line), 501, line)

    def test_not_for_everybody(self):
        self.assertIn(self.talk("submission").code("XCLIENT ADDR=192.0.2.50"), (500, 502, 503, 550))


class Lmtp(Mail):
    def test_lmtp_answers_for_each_recipient(self):
        t = self.talk("lmtp", helo="LHLO client.example")
        t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<ann@home.example>", "RCPT TO:<bob@home.example>")
        self.assertEqual(t.code("RCPT TO:<nobody@home.example>"), 550)
        t.code("DATA")
        t.raw("Subject: lmtp-1\r\n\r\nx\r\n.\r\n")
        self.assertEqual([t.reply()[0], t.reply()[0]], [250, 250])
        self.in_mailbox("ann@home.example", "lmtp-1")
        self.in_mailbox("bob@home.example", "lmtp-1")
        self.assertEqual(t.code("QUIT"), 221)

    def test_no_ehlo_and_no_lhlo(self):
        self.assertEqual(self.talk("lmtp", helo=None).code("EHLO c.example"), 500)
        self.assertEqual(self.talk("mx", helo=None).code("LHLO c.example"), 500)

    def test_smtplib(self):
        with self.server.smtp("lmtp") as c:
            c.sendmail("a@b.example", ["ann@home.example"], letter(subject="lmtp-2"))
        self.in_mailbox("ann@home.example", "lmtp-2")


class Time(Mail):
    config = {"relay_networks": [], "limits": {"idle_time": "2s", "connection_time": "6s", "greeting_delay": "1s"}}

    def test_idle_clients_are_cut(self):
        t = self.talk()
        self.assertEqual(t.reply()[0], 421)
        self.assertTrue(t.closed())

    def test_slow_clients_are_cut(self):
        t = self.talk()
        t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
        t.s.settimeout(0.5)
        end = None
        for _ in range(120):
            try:
                t.raw("x")
                end = t.s.recv(100)
                break
            except TimeoutError:
                continue
            except OSError:
                end = b""
                break
        self.assertIsNotNone(end, "a client that drips a byte at a time was never cut")

    def test_early_talkers_are_cut(self):
        t = Talk(self.server.ports["mx"], greeting=False)
        self.addCleanup(t.s.close)
        t.raw("EHLO spam.example\r\nMAIL FROM:<a@b.example>\r\n")
        code, _ = t.reply()
        self.assertIn(code, (421, 554))
