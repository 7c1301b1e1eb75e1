"""DANE (RFC 7672): signed TLSA records decide with whom mail is spoken and how; what is forged or past is never taken for absent."""
import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile

import signing
import zone
from harness import Case, letter, make_certificate, until
from sink import EXTENSIONS, server_context

# A server for each domain, 127.0.0.(11 + place in this list), and what is published for it.
DOMAINS = ["good", "anchor", "mismatch", "unusable", "spoiled", "expired", "absent", "plain", "alias", "waived"]


def digest(path):
    der = subprocess.run(["openssl", "x509", "-outform", "DER", "-in", path], check=True, capture_output=True).stdout
    return hashlib.sha256(der).hexdigest()


class Signed(zone.Nsd):
    def write(self, records):
        self.zone.write_text(records)


class Dane(Case):
    config = {"queue": {"retry": ["1h"]}, "relay": {"idle_time": "1s"}}

    @classmethod
    def before_start(cls):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-dane-"))
        cls.cleanup.callback(shutil.rmtree, folder, True)
        cls.certificate = make_certificate(cls.server.folder, "named", [f"mx.{d}.example" for d in DOMAINS])
        cls.other = make_certificate(cls.server.folder, "other", ["elsewhere.example"])
        cls.authority = make_certificate(cls.server.folder, "authority")
        cls.issued = make_certificate(cls.server.folder, "issued", ["mx.anchor.example"], by=cls.authority)
        port = cls.server.relay_port
        anchor, text = signing.sign(folder, cls.records(), spoil=f"_{port}._tcp.mx.spoiled.example. TLSA", expired=f"_{port}._tcp.mx.expired.example. TLSA")
        unsigned = "unsigned.example. MX 10 mx.unsigned.example.\nmx.unsigned.example. A 127.0.0.10\n" + cls.tlsa("unsigned", digest(cls.certificate[0]))
        cls.signed = cls.cleanup.enter_context(Signed(text, [("unsigned.example.", unsigned)]))
        (cls.server.folder / "anchor").write_text(anchor)
        cls.server.dns_port = cls.signed.port
        cls.server.config = {**cls.config, "dnssec_anchor": str(cls.server.folder / "anchor")}
        cls.server.write_config()
        cls.server.own()

    @classmethod
    def tlsa(cls, domain, data, kind="3 0 1"):
        return f"_{cls.server.relay_port}._tcp.mx.{domain}.example. TLSA {kind} {data}\n"

    @classmethod
    def records(cls):
        own, text = digest(cls.certificate[0]), "unsigned.example. NS ns.example.\n"
        for i, domain in enumerate(DOMAINS):
            text += f"{domain}.example. MX 10 mx.{domain}.example.\n"
            if domain == "alias":
                text += f"mx.alias.example. CNAME host.alias.example.\nhost.alias.example. A 127.0.0.{11 + i}\n"
                text += cls.tlsa("alias", own).replace("mx.alias", "host.alias")
            else:
                text += f"mx.{domain}.example. A 127.0.0.{11 + i}\n"
        for domain in ("good", "mismatch", "spoiled", "expired", "plain", "waived"):
            text += cls.tlsa(domain, own)
        return text + cls.tlsa("anchor", digest(cls.authority[0]), "2 0 1") + cls.tlsa("unusable", own, "1 0 1")

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")

    def server_of(self, domain, certificate=None, **more):
        ip = "127.0.0.10" if domain == "unsigned" else f"127.0.0.{11 + DOMAINS.index(domain)}"
        return self.sink(ip, tls=certificate and server_context(*certificate), **more)

    def submit(self, rcpt, header="", **more):
        with self.server.smtp("submission", login="ann@home.example") as client:
            client.ehlo()
            client.sendmail("ann@home.example", [rcpt], letter("ann@home.example", rcpt, more=header), **more)

    def story(self, rcpt, kind):
        """What trace says of the first attempt."""
        def found():
            out = self.server.cli("trace", rcpt, "--json", check=False).stdout
            return [e["details"] for e in map(json.loads, out.splitlines()) if e["event"] == kind]
        return until(found, f"{rcpt} to be {kind}")[0]

    def arrives(self, domain, certificate, policy, tls=True):
        with self.server_of(domain, certificate) as s:
            self.submit(f"x@{domain}.example")
            until(lambda: s.messages, "the message")
            self.assertEqual(s.messages[0].tls, tls)
            self.assertIn(policy, self.story(f"x@{domain}.example", "relayed")["tls_policy"])

    def waits(self, domain, certificate, policy, text):
        with self.server_of(domain, certificate) as s:
            self.submit(f"x@{domain}.example")
            details = self.story(f"x@{domain}.example", "deferred")
            self.assertIn(policy, details["tls_policy"])
            self.assertIn(text, details["text"])
            self.assertFalse(s.messages)
        self.server.cli("queue", "delete", f"--recipient={domain}.example")

    def test_a_certificate_that_is_named(self):
        self.arrives("good", self.certificate, "dane: signed TLSA records of mx.good.example")

    def test_an_authority_that_is_named(self):
        self.arrives("anchor", self.issued, "dane: ")

    def test_the_name_an_alias_leads_to(self):
        self.arrives("alias", self.certificate, "dane: signed TLSA records of host.alias.example")

    def test_another_certificate(self):
        self.waits("mismatch", self.other, "dane: signed TLSA records of mx.mismatch.example; validation-failure", "4.7.5 TLS failed")

    def test_no_starttls(self):
        self.waits("plain", None, "dane: ", "4.7.10")

    def test_records_that_cannot_be_used(self):
        self.arrives("unusable", self.other, "none of which can be used")

    def test_a_spoiled_signature(self):
        self.waits("spoiled", self.certificate, "dane: ", "4.7.5 the TLSA records of mx.spoiled.example cannot be had")

    def test_an_expired_signature(self):
        self.waits("expired", self.certificate, "dane: ", "4.7.5 the TLSA records of mx.expired.example cannot be had")

    def test_no_records(self):
        self.arrives("absent", None, "none: no signed TLSA records of mx.absent.example", tls=False)

    def test_an_unsigned_zone(self):
        self.arrives("unsigned", None, "none: MX records not signed by DNSSEC", tls=False)

    def test_tls_required_no(self):
        with self.server_of("waived", self.other) as s:
            self.submit("x@waived.example", "TLS-Required: No\r\n")
            until(lambda: s.messages, "the message")
            self.assertTrue(s.messages[0].tls)
            self.assertIn(b"TLS-Required: No", s.messages[0].data)
            self.assertIn("waived: ", self.story("x@waived.example", "relayed")["tls_policy"])

    def test_requiretls_that_nobody_can_keep(self):
        with self.server_of("good", self.other, extensions=[*EXTENSIONS, "REQUIRETLS"]) as s:
            self.submit("never@good.example", mail_options=["REQUIRETLS"])
            until(lambda: [m for m in self.server.mailbox("ann@home.example") if b"never@good.example" in m and b"5.7.10" in m], "a bounce")
            self.assertFalse(s.messages)

    def test_requiretls(self):
        with self.server_of("good", self.certificate, extensions=[*EXTENSIONS, "REQUIRETLS"]) as s:
            self.submit("strict@good.example", mail_options=["REQUIRETLS"])
            until(lambda: s.messages, "the message")
            self.assertIn("REQUIRETLS", s.messages[0].mail_line)
            self.assertIn("requiretls: signed TLSA records", self.story("strict@good.example", "relayed")["tls_policy"])
