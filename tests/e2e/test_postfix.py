"""Debian's Postfix as the server on the other side, in both directions."""
import os
import pathlib
import shutil
import tempfile
import unittest

import postfix
from harness import Case, letter, may_mount, until

ZONE = """
remote.example. MX 10 postfix.remote.example.
postfix.remote.example. A 127.0.0.31
"""


@unittest.skipUnless(may_mount(), "needs root with mount namespaces")
class Postfix(Case):
    zone = ZONE

    @classmethod
    def prepare(cls):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-postfix-"))
        os.chmod(folder, 0o755)
        cls.cleanup.callback(shutil.rmtree, folder, True)
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")
        main = {"relayhost": f"[127.0.0.1]:{cls.server.ports['mx']}", "smtpd_tls_cert_file": cls.server.chain, "smtpd_tls_key_file": cls.server.key,
                "smtpd_tls_security_level": "may", "smtp_tls_security_level": "encrypt", "smtpd_tls_received_header": "yes"}
        root = postfix.unpack(folder)
        cls.postfix = postfix.Postfix(root, cls.server.relay_port, "127.0.0.31", main, ["remote.example"], ["bob@remote.example", "utf@remote.example"])
        cls.cleanup.callback(cls.postfix.close)

    def test_to_postfix(self):
        for i in range(20):
            self.server.send("ann@home.example", "bob@remote.example", letter("ann@home.example", "bob@remote.example", f"to-postfix-{i}"))
        def arrived():
            return [m for m in self.postfix.messages("bob@remote.example") if b"to-postfix-" in m]

        until(lambda: len(arrived()) >= 20, "twenty messages")
        self.server.queue_empty()
        got = arrived()
        self.assertEqual(len(got), 20)
        self.assertTrue(all(b"using TLSv1.3" in m for m in got))

    def test_from_postfix(self):
        import smtplib
        with smtplib.SMTP("127.0.0.31", self.postfix.port) as c:
            for i in range(20):
                c.sendmail("x@remote.example", ["ann@home.example"], letter("x@remote.example", "ann@home.example", f"from-postfix-{i}"))
        got = until(lambda: len(m := [m for m in self.server.mailbox("ann@home.example") if b"from-postfix-" in m]) >= 20 and m, "twenty messages")
        self.assertEqual(len(got), 20)
        self.assertTrue(all(b"ESMTPS" in m for m in got))

    def test_a_refusal_by_postfix_becomes_a_bounce(self):
        self.server.send("ann@home.example", "nobody@remote.example")
        bounce = until(lambda: [m for m in self.server.mailbox("ann@home.example") if b"nobody@remote.example" in m], "the bounce")[0].decode()
        self.assertIn("User unknown", bounce)
        self.assertIn("Status: 5.1.1", bounce)

    def test_a_bounce_by_postfix_is_taken(self):
        import smtplib
        with smtplib.SMTP("127.0.0.31", self.postfix.port) as c:
            c.sendmail("ann@home.example", ["nobody@home.example"], letter("ann@home.example", "nobody@home.example", "bounce-back"))
        got = until(lambda: [m for m in self.server.mailbox("ann@home.example") if b"nobody@home.example" in m and b"MAILER-DAEMON" in m], "Postfix's report")
        self.assertIn(b"550 5.1.1", got[0].replace(b"\n   ", b" "))

    def test_big_and_eight_bit(self):
        body = "Grüße " * 10 + "\r\n"
        self.server.send("ann@home.example", "utf@remote.example", letter("ann@home.example", "utf@remote.example", "big", body * 50000).encode(),
                         mail_options=["BODY=8BITMIME"])
        got = until(lambda: self.postfix.messages("utf@remote.example"), "the message")[0].decode()
        self.assertTrue(got.endswith(body.replace("\r\n", "\n") * 50000))

    def test_dsn_travels(self):
        with self.server.smtp() as c:
            c.ehlo()
            c.sendmail("ann@home.example", ["bob@remote.example"], letter("ann@home.example", "bob@remote.example", "dsn"),
                       mail_options=["ENVID=travels-1"], rcpt_options=["NOTIFY=SUCCESS"])
        got = until(lambda: [m for m in self.server.mailbox("ann@home.example") if b"travels-1" in m], "Postfix's report of success")[0]
        self.assertIn(b"Action: delivered", got)
