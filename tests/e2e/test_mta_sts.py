"""MTA-STS (RFC 8461): policies fetched over HTTPS, kept, obeyed; and what goes wrong on the way to them."""
import json
import sqlite3

from harness import Case, free_port, letter, make_certificate, until
from policies import PolicyServer, policy
from sink import server_context

GOOD = ["enforced", "mismatch", "badcert", "plain", "testing", "none", "kept", "changed", "reload"]
ODD = ["missing", "redirect", "media", "large", "header", "rubbish"]          # policy servers that answer, but with no policy
DOMAINS = [*GOOD, *ODD, "wrongname", "unreachable"]


def zone_of(ids):
    text = ""
    for i, d in enumerate(DOMAINS):
        text += f"{d}.example. MX 10 mx.{d}.example.\nmx.{d}.example. A 127.0.0.{11 + i}\n"
        text += f"mta-sts.{d}.example. A {'127.0.0.250' if d == 'unreachable' else '127.0.0.9'}\n"
        if ids.get(d, "1"):
            text += f'_mta-sts.{d}.example. TXT "v=STSv1; id={ids.get(d, "1")};"\n'
    return text


class MtaSts(Case):
    config = {"queue": {"retry": ["1h"]}, "relay": {"idle_time": "1s"}}
    zone = zone_of({})

    @classmethod
    def before_start(cls):
        cls.authority = make_certificate(cls.server.folder, "authority")
        names = [f"{w}.{d}.example" for d in DOMAINS for w in ("mx", "mta-sts") if (w, d) != ("mta-sts", "wrongname")]
        cls.certificate = make_certificate(cls.server.folder, "named", names, by=cls.authority)
        cls.other = make_certificate(cls.server.folder, "other", ["elsewhere.example"])
        cls.port = free_port()
        cls.policies = cls.cleanup.enter_context(PolicyServer("127.0.0.9", cls.port, *cls.certificate))
        for d in DOMAINS:
            cls.policies.policies[f"{d}.example"] = policy("enforce", f"mx.{d}.example")
        cls.policies.policies.update({
            "mismatch.example": policy("enforce", "*.elsewhere.example"), "testing.example": policy("testing", "mx.testing.example"),
            "none.example": policy("none"), "redirect.example": (301, {"Location": "https://mta-sts.enforced.example/.well-known/mta-sts.txt"}, ""),
            "media.example": (200, {"Content-Type": "text/html"}, policy("enforce", "mx.media.example")),
            "header.example": (200, {"Content-Type": "text/plain", **{f"X-{i}": "y" * 1000 for i in range(80)}}, policy("enforce", "mx.header.example")),
            "large.example": policy("enforce", "mx.large.example") + "x: " + "y" * 70000, "rubbish.example": "Hello.\r\n"})
        del cls.policies.policies["missing.example"]
        cls.server.config = {**cls.config, "relay": {**cls.config["relay"], "ca_file": str(cls.authority[0]), "mta_sts_port": cls.port}}
        cls.server.write_config()
        cls.server.own()

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")

    def server_of(self, domain, certificate=None):
        return self.sink(f"127.0.0.{11 + DOMAINS.index(domain)}", tls=certificate and server_context(*certificate))

    def submit(self, rcpt):
        with self.server.smtp("submission", login="ann@home.example") as client:
            client.ehlo()
            client.sendmail("ann@home.example", [rcpt], letter("ann@home.example", rcpt))

    def story(self, rcpt, kind):
        def found():
            out = self.server.cli("trace", rcpt, "--json", check=False).stdout
            return [e["details"] for e in map(json.loads, out.splitlines()) if e["event"] == kind]
        return until(found, f"{rcpt} to be {kind}")[0]

    def arrives(self, domain, certificate, words, tls, name="x"):
        with self.server_of(domain, certificate) as s:
            self.submit(f"{name}@{domain}.example")
            until(lambda: s.messages, "the message")
            self.assertEqual(s.messages[0].tls, tls)
            self.assertIn(words, self.story(f"{name}@{domain}.example", "relayed")["tls_policy"])

    def waits(self, domain, certificate, text, name="x"):
        with self.server_of(domain, certificate) as s:
            self.submit(f"{name}@{domain}.example")
            details = self.story(f"{name}@{domain}.example", "deferred")
            self.assertIn("sts: ", details["tls_policy"])
            self.assertIn(text, details["text"])
            self.assertFalse(s.messages)
        self.server.cli("queue", "delete", f"--recipient={domain}.example")

    def test_enforced(self):
        self.arrives("enforced", self.certificate, "sts: an MTA-STS policy that allows mx.enforced.example", True)

    def test_a_server_that_is_not_allowed(self):
        self.waits("mismatch", self.certificate, "4.7.5 mx.mismatch.example is not among the servers of the MTA-STS policy")

    def test_a_bad_certificate(self):
        self.waits("badcert", self.other, "4.7.5 TLS failed")

    def test_no_starttls(self):
        self.waits("plain", None, "4.7.10")

    def test_testing(self):
        self.arrives("testing", self.other, "sts-testing: an MTA-STS policy that allows mx.testing.example; certificate-", True)

    def test_mode_none(self):
        self.arrives("none", None, "MTA-STS policy of mode none", False)

    def test_policy_servers_that_have_none(self):
        for d in ODD:
            with self.subTest(d):
                self.arrives(d, None, "none: MX records not signed by DNSSEC, no MTA-STS policy", False)
        self.assertNotIn("enforced.example", self.policies.asked[self.policies.asked.index("redirect.example") + 1:][:1])

    def test_the_certificate_of_the_policy_server(self):
        self.arrives("wrongname", None, "no MTA-STS policy", False)
        self.assertIn("domain=wrongname.example result=sts-webpki-invalid", self.server.log_text())

    def test_a_policy_server_that_cannot_be_reached(self):
        self.arrives("unreachable", None, "no MTA-STS policy", False)
        self.assertIn("domain=unreachable.example result=sts-policy-fetch-error", self.server.log_text())

    def test_a_policy_is_kept(self):
        self.arrives("kept", self.certificate, "sts: ", True)
        self.policies.policies["kept.example"] = (500, {}, "")
        self.nsd.change(zone_of({"kept": ""}))
        self.server.restart()
        self.waits("kept", None, "4.7.10", "y")
        self.assertEqual(self.policies.asked.count("kept.example"), 1)

    def test_a_policy_that_changes(self):
        self.arrives("changed", self.certificate, "sts: ", True)
        self.policies.policies["changed.example"] = policy("none")
        self.nsd.change(zone_of({"changed": "2"}))
        self.server.restart()  # relay keeps what it knows for as long as DNS allows
        self.arrives("changed", None, "MTA-STS policy of mode none", False, "y")
        # The next one cannot be fetched: this one stays.
        self.policies.policies["changed.example"] = (500, {}, "")
        self.nsd.change(zone_of({"changed": "3"}))
        self.server.restart()
        self.arrives("changed", None, "MTA-STS policy of mode none", False, "z")

    def test_results_are_counted_for_reports(self):
        self.arrives("enforced", self.certificate, "sts: ", True, "counted")
        self.arrives("testing", self.other, "sts-testing: ", True, "counted")
        path = self.server.folder / "data" / "events" / "events.db"

        def counted():
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                good = db.execute("SELECT SUM(successful) FROM tls_domain WHERE domain = 'enforced.example' AND type = 1").fetchone()[0]
                bad = db.execute("SELECT SUM(count) FROM tls_failure WHERE domain = 'testing.example' AND result LIKE 'certificate-%' AND mx = 'mx.testing.example'")
                return good and bad.fetchone()[0]

        until(counted, "both to be counted")

    def test_a_damaged_database_of_policies(self):
        self.arrives("reload", self.certificate, "sts: ", True)
        self.server.stop()
        path = self.server.folder / "data" / "events" / "policies.db"
        path.write_bytes(b"rubbish" * 2000)
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        self.server.start()
        self.arrives("reload", self.certificate, "sts: ", True, "y")
        self.assertEqual(self.policies.asked.count("reload.example"), 2)
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            self.assertEqual(db.execute("SELECT COUNT(*) FROM sts_policy WHERE domain = 'reload.example'").fetchone(), (1,))
