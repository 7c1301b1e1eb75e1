"""DKIM: keys published in a real zone as the commands print them, mail signed by the running server, and verified by others: dkimpy and opendkim."""
import contextlib
import pathlib
import re
import subprocess
import tempfile

import dkim

from harness import Case, letter, until

ZONE = "far.example. MX 10 mx.far.example.\nmx.far.example. A 127.0.0.11\n"
TEXTS = {
    "plain": "To: x@far.example\r\nSubject: plain\r\n\r\nHello.\r\n",
    "bare": "Subject: bare\r\n\r\n.\r\n..\r\n. \r\n",
    "folded": "SUBJECT:  two\t blanks \r\n  and folding\r\nTo:\r\n x@far.example,\r\n\ty@far.example\r\nBcc: secret@far.example\r\n\r\n \t \r\na \t b \r\n\r\n\r\n",
    "eight": "Subject: =?utf-8?q?=C3=A4?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngr\u00fc\u00df\r\n" + "\u00e4" * 400 + "\r\n",
    "empty": "Subject: empty\r\n\r\n",
    "long": "Subject: long\r\n\r\n" + "".join(f"line {i} {'x' * (i % 900)} \r\n" for i in range(2000)),
}


class Dkim(Case):
    zone = ZONE
    config = {"dkim": {"publish_wait": "0s", "retire_keep": "0s"}, "relay_networks": [], "queue": {"retry": ["1s"]}}

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.domain("plain.example")
        cls.server.account("ann@home.example", "--send-as=any")
        cls.server.account("bob@home.example")
        cls.published = {}

    @classmethod
    def publish(cls, lines):
        """The zone gets what a command printed, as it stands there."""
        for line in lines.splitlines():
            if not line.startswith(";"):
                cls.published[line.split()[0]] = line + "\n"
        cls.nsd.change(ZONE + "".join(cls.published.values()))

    def keys(self, domain="home.example"):
        return {k["selector"]: k for k in self.server.rows("dkim", "list", domain)}

    def in_use(self, domain="home.example"):
        return {s for s, k in self.keys(domain).items() if k["state"] == "active"}

    def check(self, domain="home.example"):
        """Until DNS is seen as it is: what was asked before is remembered for a second."""
        until(lambda: self.server.cli("dkim", "check", domain, check=False).returncode == 0, "the records to be seen")

    def ready(self):
        if not self.in_use():
            self.publish(self.server.cli("dkim", "make", "home.example").stdout)
            self.check()
            self.assertEqual(len(self.in_use()), 2)

    def submit(self, text, sender="ann@home.example", author=None, login="ann@home.example"):
        """Through the submission listener to another server; what arrives there."""
        with contextlib.closing(self.sink("127.0.0.11")) as sink, self.server.smtp("submission", login=login) as client:
            text = (f"From: <{author or sender}>\r\n" if author != "" else "") + text
            options = ["BODY=8BITMIME"] if not text.isascii() else []
            client.sendmail(sender, ["x@far.example"], text.encode(), mail_options=options)
            until(lambda: sink.messages, "the message to arrive")
            self.server.queue_empty()
            return sink.messages[0].data

    def record(self, name):
        """What the zone says, the strings put together."""
        line = self.published.get(name.rstrip(".") + ".", "")
        return "".join(re.findall(r'"([^"]*)"', line)).encode()

    def signatures(self, data):
        return [dict(t.strip().split("=", 1) for t in re.sub(rb"\s+", b" ", f).decode().strip(" ;").split(";"))
                for f in re.findall(rb"^DKIM-Signature:(.*?)\r?\n(?![ \t])", data, re.M | re.S)]

    def verifies(self, data):
        """By dkimpy, each signature; by opendkim, the one by RSA."""
        found = self.signatures(data)
        self.assertEqual([(s["a"], s["d"], s["c"]) for s in found],
                         [("rsa-sha256", "home.example", "relaxed/relaxed"), ("ed25519-sha256", "home.example", "relaxed/relaxed")])
        for i, s in enumerate(found):
            self.assertNotIn("l", s)
            named = [n.strip().lower() for n in s["h"].split(":")]
            for name in ("from", "subject", "date", "to"):
                have = len(re.findall(rb"(?mi)^%s[ \t]*:" % name.encode(), data.split(b"\r\n\r\n")[0]))
                self.assertEqual(named.count(name), have + 1, name)
            self.assertTrue(dkim.DKIM(data).verify(idx=i, dnsfunc=lambda name, timeout=5: self.record(name.decode())), s)
            self.assertFalse(dkim.DKIM(data.replace(b"\r\n\r\n", b"\r\nSubject: more\r\n\r\n", 1)).verify(
                idx=i, dnsfunc=lambda name, timeout=5: self.record(name.decode())))
        self.opendkim(data, found[0])

    def opendkim(self, data, signature):
        name = f"{signature['s']}._domainkey.{signature['d']}"
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "keys").write_text(f"{name} {self.record(name).decode()}\n")
            (folder / "conf").write_text(f"Mode v\nTestPublicKeys {folder}/keys\nSyslog no\nRequireSafeKeys no\n")
            (folder / "message").write_bytes(data[data.index(b"DKIM-Signature: v=1; a=rsa"):data.index(b"DKIM-Signature: v=1; a=ed")] +
                                             re.sub(rb"^(DKIM-Signature:.*?\r\n(?![ \t]))+", b"", data, flags=re.S))
            done = subprocess.run(["opendkim", "-x", folder / "conf", "-vv", "-t", folder / "message"], capture_output=True, text=True)
            self.assertIn("2048-bit key) succeeded", done.stdout + done.stderr)

    def test_what_is_sent_verifies(self):
        self.ready()
        for name, text in TEXTS.items():
            with self.subTest(name):
                data = self.submit(text)
                self.assertNotIn(b"secret@", data)
                self.verifies(data)

    def test_what_lacks_fields_verifies(self):
        self.ready()
        data = self.submit("Subject: no author\r\n\r\nx\r\n", author="")
        self.assertIn(b"From: <ann@home.example>", data)
        self.verifies(data)

    def test_local_programs_are_signed_for(self):
        self.ready()
        with contextlib.closing(self.sink("127.0.0.11")) as sink:
            self.server.cli("sendmail", "-f", "ann@home.example", "x@far.example", input="From: ann@home.example\nSubject: local\n\nHello\n")
            until(lambda: sink.messages, "the message to arrive")
            self.verifies(sink.messages[0].data)

    def test_a_strangers_mail_is_not_signed(self):
        self.ready()
        self.server.send("ann@home.example", "bob@home.example", letter("ann@home.example", "bob@home.example", "forged-1"))
        got = until(lambda: [m for m in self.server.mailbox("bob@home.example") if b"forged-1" in m], "the mail to arrive")[0]
        self.assertNotIn(b"DKIM-Signature", got)

    def test_only_domains_with_keys_are_signed_for(self):
        self.ready()
        for author in ("ann@plain.example", "ann@elsewhere.example", "ann@sub.home.example"):
            self.assertEqual(self.signatures(self.submit("Subject: x\r\n\r\nx\r\n", author=author)), [], author)

    def test_rotation(self):
        self.ready()
        old = self.in_use()
        lines = self.server.cli("dkim", "rotate", "home.example").stdout
        self.assertEqual(self.server.cli("dkim", "check", "home.example", check=False).returncode, 65)
        self.assertEqual(self.in_use(), old)
        self.verifies(self.submit("Subject: before\r\n\r\nx\r\n"))  # the new ones are not in DNS yet
        self.publish(lines)
        until(lambda: self.server.cli("dkim", "check", "home.example", check=False).returncode == 0 and not self.in_use() & old, "the new keys to be in use")
        new = self.in_use()
        self.assertEqual(len(new), 2)
        data = self.submit("Subject: after\r\n\r\nx\r\n")
        self.verifies(data)
        self.assertEqual({s["s"] for s in self.signatures(data)}, new)
        self.check()
        self.assertEqual({self.keys()[s]["state"] for s in old}, {"expired"})

    def test_revocation(self):
        self.ready()
        lost = next(s for s in self.in_use() if s.startswith("rsa"))
        lines = self.server.cli("dkim", "revoke", "home.example", lost).stdout
        self.assertEqual(self.keys()[lost]["state"], "revoked")
        self.assertEqual([s["a"] for s in self.signatures(self.submit("Subject: one left\r\n\r\nx\r\n"))], ["ed25519-sha256"])
        self.publish(lines)
        self.assertTrue(self.record(f"{lost}._domainkey.home.example").endswith(b"p="))
        self.check()
        self.verifies(self.submit("Subject: both again\r\n\r\nx\r\n"))

    def test_a_key_of_somebody_else_is_not_used(self):
        self.server.domain("other.example")
        lines = self.server.cli("dkim", "make", "other.example").stdout
        self.publish(re.sub(r'(p=.{20})(.)', lambda m: m[1] + ("A" if m[2] != "A" else "B"), lines))
        until(lambda: {k["dns"] for k in self.keys("other.example").values()} <= {"other"} if self.server.cli(
            "dkim", "check", "other.example", check=False).returncode == 65 else False, "the wrong records to be seen")
        self.assertEqual(self.in_use("other.example"), set())
        self.server.cli("dkim", "confirm", "other.example")  # whoever says so knows better
        self.assertEqual(len(self.in_use("other.example")), 2)

    def test_keys_outlive_a_crash(self):
        self.ready()
        keys = self.keys()
        self.server.kill_tree()
        self.server.start()
        self.assertEqual({s: k["state"] for s, k in self.keys().items()}, {s: k["state"] for s, k in keys.items()})
        self.verifies(self.submit("Subject: after a crash\r\n\r\nx\r\n"))

    def test_commands_without_a_server(self):
        self.ready()
        self.server.stop()
        try:
            self.assertGreaterEqual(len(self.keys()), 2)
            done = self.server.cli("dkim", "check", "home.example", check=False)
            self.assertEqual((done.returncode, "running server" in done.stderr), (75, True), done.stderr)
        finally:
            self.server.start()

    def test_private_keys_stay_inside(self):
        self.ready()
        for path in self.server.data.joinpath("directory").iterdir():
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        for pid in self.server.roles()["directory"]:
            self.assertRegex(pathlib.Path(f"/proc/{pid}/limits").read_text(), r"Max core file size +0 +0 ")
        said = self.server.cli("dkim", "show", "home.example", "--json").stdout + self.server.cli("dkim", "list", "--json").stdout + self.server.log_text()
        self.assertNotIn("PRIVATE", said)
        self.assertNotIn('"private"', said)
