"""From nothing to a domain whose `staffetta check` is all green: setup, the zone it printed loaded into nsd as it is, mail sent from it verified by
dkimpy and pyspf; then what is broken is told, with the record to publish."""
import contextlib
import email
import json
import signal
import subprocess
import unittest
import urllib.request

import dkim
import spf

import harness
from harness import letter, until
from own import Own
from sink import Sink
from zone import Nsd

ADDRESSES = ["127.0.0.2", "::1"]
OTHERS = "far.example. MX 10 mx.far.example.\nmx.far.example. A 127.0.0.11\n"
CHECKS = {"address", "ptr", "helo", "helo-spf", "certificate", "tlsa", "port-out", "port-in", "open-relay", "dnsbl", "mx", "spf", "dkim", "dmarc", "tlsrpt", "srv", "caa"}


def authority(folder, name):
    """A certificate for the name, signed by an authority made for it: the chain and the key."""
    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, cwd=folder)

    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-days", 90, "-subj", "/O=Let's Encrypt/CN=Test")
    openssl("req", *ec, "-keyout", "given.key", "-out", "given.csr", "-subj", f"/CN={name}")
    (folder / "ext").write_text(f"subjectAltName=DNS:{name}\n")
    openssl("x509", "-req", "-in", "given.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 60, "-extfile", "ext", "-out", "given.pem")
    (folder / "chain-given.pem").write_text((folder / "given.pem").read_text() + (folder / "ca.pem").read_text())
    return folder / "chain-given.pem", folder / "given.key"


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with contextlib.ExitStack() as stack:
            cls.server = server = Own()
            stack.callback(server.destroy)
            server.relay_port = harness.free_port()
            chain, key = authority(server.folder, server.hostname)
            server.own()
            server.chain = server.folder / "ca.pem"
            server.setup(*(f"--address={a}" for a in ADDRESSES), f"--certificate={chain}", f"--key={key}", listen=None)
            cls.nsd = stack.enter_context(Nsd(OTHERS))
            text = server.file.read_text().replace("check {", 'check {\n    outbound = {"far.example"}\n    dnsbl = {"bl.example"}\n    every = "0s"')
            server.file.write_text(text + f'dns = {{"127.0.0.1@{cls.nsd.port}"}}\ndnssec_anchor = ""\nrelay_networks = {{}}\nauth {{ check = false }}\n'
                                   f'relay {{ port = {server.relay_port} connect_time = "5s" }}\nqueue {{ min_free_disk = "1M" }}\n')
            server.own()
            cls.zone = cls.with_reverse(server.cli("dns", "example.org").stdout)
            cls.sink = Sink("127.0.0.11", server.relay_port)
            stack.callback(cls.sink.close)
            server.start()
            cls.cleanup = stack.pop_all()

    @classmethod
    def tearDownClass(cls):
        with cls.cleanup:
            code = cls.server.stop()
            if code or cls.server.complaints():
                raise AssertionError(f"the server ended with {code}\n{cls.server.log_tail()}")

    @staticmethod
    def with_reverse(zone):
        """What was printed, as it is; nsd has the zones of the addresses as well, so their records count too."""
        return zone + "".join(l.removeprefix("; ") + "\n" for l in zone.splitlines() if l.startswith("; ") and " IN PTR " in l)

    def publish(self, zone):
        self.nsd.change(OTHERS + zone)
        seen = len(self.server.log_text())
        self.server.process.send_signal(signal.SIGHUP)  # forgets what DNS has said
        until(lambda: "reload" in self.server.log_text()[seen:], "the reload")

    def check(self, *words, code=None):
        done = self.server.cli("check", *words, "--json", check=False)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertTrue(rows, done.stderr)
        rows = [r for r in rows if r["check"] != "clock"]  # that is this machine's own
        worst = max(["ok", "warning", "error"].index(r["level"]) for r in rows)
        self.assertIn(done.returncode, {worst, max(worst, 1)})
        return rows

    def until_green(self):
        def bad():
            rows = self.check()
            return [r for r in rows if r["level"] != "ok"]

        last = []
        try:
            until(lambda: not (last.__setitem__(slice(None), bad()) or last), "all to be green")
        except AssertionError:
            self.fail(json.dumps(last, indent=1))

    def records(self):
        return [l for l in self.zone.splitlines() if l and not l.startswith((";", "$"))]

    def test_1_before_anything_is_published(self):
        rows = self.check()
        told = {r.get("publish") for r in rows if r["level"] != "ok"}
        missing = [l for l in self.records() if l not in told]
        self.assertEqual([l for l in missing if " TLSA " not in l], [])  # TLSA is of no use without DNSSEC
        for r in rows:
            self.assertTrue(r["level"] == "ok" or (r["text"] and r["why"]), r)

    def test_2_all_green_and_mail_verifies(self):
        self.publish(self.zone)
        self.until_green()
        rows = self.check()
        self.assertEqual({r["check"] for r in rows}, CHECKS)
        self.assertEqual({r["level"] for r in self.check("example.org")}, {"ok"})
        text = self.server.cli("check", check=False).stdout
        self.assertRegex(text, r"(?m)^ok +spf +example\.org: mail from 2 addresses passes$")
        self.assertRegex(text, r"(?m)^\d+ ok, [01] warnings?, 0 errors$")
        self.mail_verifies()

    def mail_verifies(self):
        with self.server.smtp("submission", login="ann@example.org") as client:
            client.sendmail("ann@example.org", ["x@far.example"], letter("ann@example.org", "x@far.example", "all green"))
        m = until(lambda: self.sink.messages, "the message at the other server")[0]
        count = email.message_from_bytes(m.data).get_all("DKIM-Signature")
        self.assertEqual(len(count), 2)
        for i in range(2):
            self.assertTrue(dkim.DKIM(m.data).verify(idx=i, dnsfunc=lambda name, timeout=5: self.text_of(name.decode())))
        self.assertEqual(self.spf_of("127.0.0.2", m.sender, "mail.example.org"), "pass")
        self.assertEqual(self.spf_of("::1", m.sender, "mail.example.org"), "pass")
        self.assertEqual(self.spf_of("127.0.0.11", m.sender, "mail.example.org"), "fail")

    def text_of(self, name):
        """Of nsd, put together; by another resolver than ours."""
        return b"".join(self.ask(name.rstrip("."), "TXT")[0]) if self.ask(name.rstrip("."), "TXT") else b""

    def ask(self, name, kind):
        import dns.message
        import dns.query
        import dns.rdatatype
        answer = dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", port=self.nsd.port, timeout=10)
        if kind == "TXT":
            return [r.strings for rrset in answer.answer for r in rrset if r.rdtype == dns.rdatatype.TXT]
        return [r for rrset in answer.answer for r in rrset]

    def spf_of(self, ip, sender, helo):
        def lookup(name, kind, *_args, **_more):
            found = []
            for r in self.ask(name, kind) if kind != "SPF" else []:
                value = tuple(r) if kind == "TXT" else (r.preference, r.exchange.to_text(True)) if kind == "MX" else r.address.encode() if kind == "A" else r.to_text()
                if kind in ("A", "AAAA"):
                    value = r.address
                found.append(((name, kind), value))
            return found

        before, spf.DNSLookup = spf.DNSLookup, lookup
        try:
            return spf.check2(i=ip, s=sender, h=helo)[0]
        finally:
            spf.DNSLookup = before

    def test_3_wrong_records_are_told(self):
        """Each says something else than it should."""
        wrong = {" MX 10 mail.example.org.": " MX 10 elsewhere.example.", "v=spf1 mx -all": "v=spf1 ip4:192.0.2.9 -all", "p=quarantine; ": "p=everything; ",
                 "v=TLSRPTv1; rua=mailto:": "v=TLSRPTv1; rua=ftp:", " TLSA 3 1 1 ": " TLSA 3 1 1 00", " IN SRV 0 1 ": " IN SRV 0 1 1", "k=ed25519; p=": "k=ed25519; p=AAAA",
                 " CAA 0 issue \"letsencrypt.org\"": " CAA 0 issue \";\"", " A 127.0.0.2": " A 127.0.0.3", " PTR mail.example.org.": " PTR nobody.example.",
                 "v=spf1 a -all": "v=spf1 a:far.example -all"}
        text = "\n".join(self.records()) + "\n"
        for right, instead in wrong.items():
            self.assertIn(right, text)
            text = text.replace(right, instead)
        text = "".join((l[:-2] if " TLSA " in l else l) + "\n" for l in text.splitlines())  # a digest of its right length, of something else
        self.publish(text + "2.0.0.127.bl.example. 3600 IN A 127.0.0.4\n")
        rows = self.check()
        bad = {r["check"] for r in rows if r["level"] != "ok"}
        self.assertEqual(bad, {"address", "ptr", "helo", "helo-spf", "mx", "spf", "dkim", "dmarc", "tlsrpt", "tlsa", "srv", "caa", "dnsbl"})
        told = {r.get("publish") for r in rows if r["level"] != "ok"}
        for line in self.records():
            if line not in text.splitlines():
                self.assertIn(line, told)

    def test_4_without_the_server(self):
        """DNS is asked by a resolver of its own; what needs the server is said not to be tried."""
        self.publish(self.zone)
        self.assertEqual(self.server.stop(), 0)
        try:
            rows = self.check()
            self.assertEqual({r["check"] for r in rows if r["level"] != "ok"}, {"port-in", "port-out"})
            self.assertTrue(all(r["unknown"] for r in rows if r["level"] != "ok"))
            row = self.server.rows("lookup", "example.org/MX")[0]
            self.assertEqual((row["status"], row["records"]), ("ok", "10 mail.example.org."))
        finally:
            self.server.start()

    def test_5_lookup(self):
        rows = self.server.rows("lookup", "example.org/MX", "nobody.example", "_dmarc.example.org/TXT", "example.org/TYPE65400")
        self.assertEqual({(r["name"], r["type"], r["status"]) for r in rows},
                         {("example.org", "MX", "ok"), ("nobody.example", "A", "nxdomain"), ("_dmarc.example.org", "TXT", "ok"), ("example.org", "TYPE65400", "nodata")})
        self.assertEqual(self.server.cli("lookup", "a..b", check=False).returncode, 64)
        self.assertEqual(self.server.cli("lookup", "example.org/NONSENSE", check=False).returncode, 64)


class Daily(unittest.TestCase):
    """The same check in the running server, here every second: changes are mailed once, and shown."""

    def setUp(self):
        self.server = server = Own()
        self.addCleanup(server.destroy)
        server.setup("--address=127.0.0.2", listen=None)
        self.nsd = Nsd(OTHERS)
        self.addCleanup(self.nsd.close)
        port = harness.free_port()
        text = server.file.read_text().replace("check {", 'check {\n    outbound = {}\n    dnsbl = {}\n    every = "1s"')
        server.file.write_text(text + f'dns = {{"127.0.0.1@{self.nsd.port}"}}\ndnssec_anchor = ""\nrelay_networks = {{}}\nauth {{ check = false }}\n'
                               f'relay {{ port = {port} connect_time = "5s" }}\nqueue {{ min_free_disk = "1M" }}\n')
        server.own()
        self.zone = Check.with_reverse(server.cli("dns", "example.org").stdout)
        server.start()

    def letters(self):
        """All that came, joined lines as they are."""
        with self.server.imap("ann@example.org") as client:
            count = int(client.select("INBOX", readonly=True)[1][0])
            return [client.fetch(str(i + 1), "(BODY.PEEK[])")[1][0][1].decode() for i in range(count)]

    def metric(self, name, label=""):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.ports['metrics']}/metrics", timeout=10) as f:
            return sum(int(float(l.rsplit(" ", 1)[1])) for l in f.read().decode().splitlines() if l.startswith(name + "{") and label in l)

    def errors(self):
        return self.metric("staffetta_web_check_problems", 'level="error"')

    def another_round(self):
        last = self.metric("staffetta_web_check_time_seconds")
        until(lambda: self.metric("staffetta_web_check_time_seconds") > last + 1, "another check")

    def test_changes_are_told_once(self):
        first = until(lambda: len(t := self.letters()) >= 2 and t, "what is wrong at first to be told")
        text = "".join(first).replace("\r\n", "\n")
        self.assertIn("error: mx: example.org: the domain has no MX record\n    publish: example.org. 3600 IN MX 10 mail.example.org.\n    why: ", text)
        self.assertIn("error: address: mail.example.org", text)
        self.assertIn("Auto-Submitted: auto-generated", text)
        until(lambda: self.errors() > 5, "the problems to be counted")
        shown = self.server.rows("status")
        self.assertIn(("example.org", "mx", "error"), {(r.get("subject"), r.get("check"), r.get("level")) for r in shown if r["kind"] == "problem"})
        self.another_round()
        self.assertEqual(len(self.letters()), 2)
        self.nsd.change(OTHERS + self.zone)
        self.server.process.send_signal(signal.SIGHUP)
        until(lambda: self.errors() == 0, "all to be mended")
        later = until(lambda: len(t := self.letters()[2:]) >= 2 and t, "the news to be told")
        self.assertIn("mended: mx: example.org", "".join(later))
        self.server.restart()
        known = len(self.letters())
        self.another_round()
        self.assertEqual(len(self.letters()), known)
        problems = [r for r in self.server.rows("status") if r["kind"] == "problem"]
        self.assertEqual({(r["check"], r["level"]) for r in problems} - {("clock", "warning")}, {("certificate", "warning")})
        self.assertEqual(self.server.stop(), 0)
        self.assertEqual(self.server.complaints(), [])


if __name__ == "__main__":
    unittest.main()
