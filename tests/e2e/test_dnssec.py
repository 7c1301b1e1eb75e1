"""Answers that DNSSEC vouches for: REQUIRETLS may use them, forged ones are not believed."""
import pathlib
import shutil
import tempfile

import signing
import zone
from harness import Case, letter, make_certificate, until
from sink import EXTENSIONS, server_context

RECORDS = """
one.example. MX 10 mx1.one.example.
mx1.one.example. A 127.0.0.11
forged.example. MX 10 mx1.one.example.
"""


class SignedZone(zone.Nsd):
    def write(self, records):
        self.zone.write_text(records)


class Dnssec(Case):
    config = {"queue": {"retry": ["1s"]}, "relay": {"idle_time": "1s"}}

    @classmethod
    def before_start(cls):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-dnssec-"))
        cls.cleanup.callback(shutil.rmtree, folder, True)
        anchor, text = signing.sign(folder, RECORDS, spoil="forged.example. MX")
        cls.signed = cls.cleanup.enter_context(SignedZone(text))
        cls.certificate = make_certificate(cls.server.folder, "remote", ["mx1.one.example"])
        (cls.server.folder / "anchor").write_text(anchor)
        cls.server.dns_port = cls.signed.port
        cls.server.config = {**cls.config, "dnssec_anchor": str(cls.server.folder / "anchor"),
                             "relay": {**cls.config["relay"], "ca_file": str(cls.certificate[0])}}
        cls.server.write_config()
        cls.server.own()

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")

    def submit(self, rcpt, **more):
        with self.server.smtp("submission", login="ann@home.example") as client:
            client.ehlo()
            client.sendmail("ann@home.example", [rcpt], letter("ann@home.example", rcpt), **more)

    def test_signed_answers_are_used(self):
        with self.sink("127.0.0.11") as s:
            self.submit("x@one.example")
            until(lambda: s.messages, "the message")

    def test_signed_absence_is_final(self):
        self.submit("x@nowhere.example")
        until(lambda: [m for m in self.server.mailbox("ann@home.example") if b"x@nowhere.example" in m and b"5.1.2" in m], "a bounce")

    def test_forged_answers_are_not_believed(self):
        with self.sink("127.0.0.11") as s:
            self.submit("x@forged.example")
            until(lambda: [r for r in self.server.queue() if "forged.example" in str(r) and "4.4.3" in str(r)], "the message to wait")
            self.assertEqual(s.connections, 0)
        self.server.cli("queue", "delete", "--recipient=forged.example")

    def test_requiretls_over_a_signed_path(self):
        with self.sink("127.0.0.11", tls=server_context(*self.certificate), extensions=[*EXTENSIONS, "REQUIRETLS"]) as s:
            self.submit("x@one.example", mail_options=["REQUIRETLS"])
            until(lambda: s.messages, "the message")
            self.assertTrue(s.messages[0].tls)
            self.assertIn("REQUIRETLS", s.messages[0].mail_line)
