"""Mail from strangers is judged: SPF, DKIM (signed by dkimpy), DMARC and iprev against a real name server; what is written, refused, filed as junk."""
import base64
import os
import re
import signal
import subprocess

import dkim
from harness import until
from mailcase import Mail

RSA = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], check=True, capture_output=True).stdout
PUBLIC = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=RSA, check=True, capture_output=True).stdout


def txt(name, text):
    return f"{name} TXT " + " ".join(f'"{text[i:i + 200]}"' for i in range(0, len(text), 200)) + "\n"


def domain(name, policy):
    """A domain that sends from 198.18.0.1 and signs with the key above."""
    return (txt(f"{name}.", "v=spf1 ip4:198.18.0.1 -all exp=why.%{d}") + txt(f"why.{name}.", "%{i} is none of ours") +
            txt(f"key._domainkey.{name}.", "v=DKIM1; p=" + base64.b64encode(PUBLIC).decode()) + txt(f"_dmarc.{name}.", f"v=DMARC1; p={policy}"))


ZONE = ("".join(domain(n, p) for n, p in {"strict.example": "reject", "soft.example": "quarantine", "mild.example": "none",
                                          "excused.example": "reject"}.items()) +
        "1.0.18.198.in-addr.arpa. PTR mx.strict.example.\nmx.strict.example. A 198.18.0.1\n")
OTHER = "198.51.100.9"


def letter(author, mark, more=""):
    return f"From: Somebody <x@{author}>\r\nTo: bob@home.example\r\nSubject: {mark}\r\n{more}\r\nSome text.\r\n  And more  \r\n\r\n".encode()


def signed(text, by):
    return dkim.sign(text, b"key", by.encode(), RSA, canonicalize=(b"relaxed", b"relaxed")) + text


def sealed(text, by):
    """Forwarded by a server that had found DMARC to pass."""
    found = b"Authentication-Results: mx.forwarder.example; dmarc=pass header.from=strict.example\r\n" + text
    return b"".join(dkim.arc_sign(found, b"key", by.encode(), RSA, b"mx.forwarder.example")) + found


class Stranger(Mail):
    listen = {"mx": {"xclient_from": ["127.0.0.1"]}}

    def hand_in(self, text, sender="x@strict.example", ip="198.18.0.1", **more):
        t = self.talk()
        self.assertEqual(t.code(f"XCLIENT ADDR={ip}"), 220)
        self.assertEqual(t.code("EHLO mx.strict.example"), 250)
        return self.deliver(t, text, sender, **more)

    def results(self, text):
        """The Authentication-Results of ours, unfolded."""
        fields = re.sub(r"\r?\n[ \t]+", " ", text.split("\r\n\r\n")[0]).split("\r\n")
        ours = [f for f in fields if f.startswith("Authentication-Results: mail.home.example;")]
        self.assertEqual(len(ours), 1, text)
        return ours[0]

    def look(self, mark, folder):
        with self.server.imap("bob@home.example") as client:
            client.select(folder, readonly=True)
            numbers = client.search(None, "SUBJECT", mark)[1][0].split()
            return [client.fetch(n, "(BODY.PEEK[])")[1][0][1].decode() for n in numbers]

    def arrived(self, mark, folder="INBOX"):
        """The message with this subject, byte for byte."""
        found = until(lambda: self.look(mark, folder), f"{mark} in {folder}")
        self.assertEqual(len(found), 1)
        return found[0]


class Judged(Stranger):
    zone = ZONE
    config = {"relay_networks": [], "auth": {"exempt": ["excused.example"], "trusted_sealers": ["mild.example"]}}
    kills = True

    def test_all_is_well(self):
        text = signed(letter("strict.example", "well"), "strict.example")
        self.assertEqual(self.hand_in(text)[0], 250)
        got = self.arrived("well")
        found = self.results(got)
        for part in ("dmarc=pass header.from=strict.example", "spf=pass", "smtp.mailfrom=strict.example", "iprev=pass policy.iprev=198.18.0.1",
                     "dkim=pass header.d=strict.example", "header.s=key", "header.a=rsa-sha256"):
            self.assertIn(part, found)
        self.assertTrue(got.endswith(text.decode()), "the message itself is as it came")
        above = got[:-len(text)]
        self.assertEqual(re.findall(r"(?m)^([A-Za-z-]+):", above), ["Return-Path", "Delivered-To", "Authentication-Results", "Received"])
        events = self.server.rows("trace", "bob@home.example")
        self.assertTrue([e for e in events if "dmarc=pass (strict.example)" in str(e)], events)

    def test_a_changed_body(self):
        text = signed(letter("mild.example", "changed"), "mild.example") + b"one line more\r\n"
        self.assertEqual(self.hand_in(text)[0], 250)
        found = self.results(self.arrived("changed"))
        self.assertIn("dkim=fail", found)
        self.assertIn("dmarc=fail", found)
        self.assertIn("policy.dmarc=none", found)

    def test_spf_fail_is_no_reason_of_its_own(self):
        text = signed(letter("strict.example", "elsewhere"), "strict.example")
        self.assertEqual(self.hand_in(text, ip=OTHER)[0], 250)
        found = self.results(self.arrived("elsewhere"))
        for part in ("spf=fail", "dmarc=pass", "dkim=pass", "iprev=permerror"):
            self.assertIn(part, found)

    def test_reject(self):
        for text in (letter("strict.example", "forged"), signed(letter("strict.example", "forged"), "mild.example"),
                     signed(letter("sub.strict.example", "forged"), "mild.example")):
            code, said = self.hand_in(text, sender="x@mild.example")
            self.assertEqual(code, 550)
            self.assertIn("5.7.1", said)
            self.assertIn("_dmarc.strict.example", said)
        self.assertTrue([e for e in self.server.rows("trace", "x@mild.example") if e["event"] == "rejected" and "_dmarc.strict.example" in str(e)])

    def test_quarantine(self):
        self.assertEqual(self.hand_in(letter("soft.example", "doubtful"), ip=OTHER)[0], 250)
        found = self.results(self.arrived("doubtful", "Junk"))
        self.assertIn("dmarc=fail", found)
        self.assertIn("policy.dmarc=quarantine", found)
        self.assertEqual(self.look("doubtful", "INBOX"), [])
        with self.server.imap("bob@home.example") as client:
            client.select("Junk", readonly=True)
            self.assertEqual(len(client.search(None, "SUBJECT", "doubtful", "KEYWORD", "$Junk")[1][0].split()), 1)

    def test_quarantine_outlives_a_crash(self):
        os.kill(self.server.roles()["mailbox"][0], signal.SIGSTOP)
        self.assertEqual(self.hand_in(letter("soft.example", "after-all"), ip=OTHER)[0], 250)
        self.server.kill_tree()
        self.server.start()
        self.arrived("after-all", "Junk")

    def test_who_is_excused(self):
        self.assertEqual(self.hand_in(letter("sub.excused.example", "excused"), ip=OTHER)[0], 250)
        self.assertIn("dmarc=fail", self.results(self.arrived("excused")))

    def test_a_trusted_sealer(self):
        self.assertEqual(self.hand_in(sealed(letter("strict.example", "sealed"), "mild.example"), "x@mild.example", OTHER)[0], 250)
        found = self.results(self.arrived("sealed"))
        self.assertIn("arc=pass", found)
        self.assertIn("dmarc=fail", found)
        self.assertEqual(self.hand_in(sealed(letter("strict.example", "not-trusted"), "soft.example"), "x@mild.example", OTHER)[0], 550)

    def test_the_null_sender(self):
        self.assertEqual(self.hand_in(letter("nowhere.example", "null"), sender="")[0], 250)
        found = self.results(self.arrived("null"))
        for part in ("spf=none", "smtp.helo=mx.strict.example", "dmarc=none", "dkim=none"):
            self.assertIn(part, found)

    def test_forged_results_are_removed(self):
        forged = ("Authentication-Results: mail.home.example; dmarc=pass header.from=bank.example\r\n"
                  "authentication-results: (x) \"MAIL.home.example\" 1;\r\n spf=pass\r\n"
                  "Authentication-Results: other.example; spf=pass smtp.mailfrom=y.example\r\n")
        text = forged.encode() + letter("nowhere.example", "own-words")
        self.assertEqual(self.hand_in(text)[0], 250)
        got = self.arrived("own-words")
        self.results(got)
        self.assertNotIn("bank.example", got)
        self.assertNotIn("MAIL.home.example", got)
        self.assertIn("other.example; spf=pass", got)

    def test_submitted_mail_is_not_judged(self):
        with self.server.smtp("submission", login="ann@home.example") as client:
            client.sendmail("ann@home.example", "bob@home.example", b"From: ann@home.example\r\nAuthentication-Results: mail.home.example; spf=pass\r\n"
                            b"Subject: submitted\r\n\r\nx\r\n")
        self.assertNotIn("Authentication-Results", self.arrived("submitted"))

    def test_a_large_body(self):
        text = signed(letter("strict.example", "large") + (b"0123456789" * 7 + b"\r\n") * 20000, "strict.example")
        self.assertEqual(self.hand_in(text)[0], 250)
        got = self.arrived("large")
        self.assertIn("dkim=pass", self.results(got))
        self.assertTrue(got.endswith(text.decode()))


class Refused(Stranger):
    """What a server may be told to do."""
    zone = ZONE
    config = {"relay_networks": [], "auth": {"refuse_spf_fail": True, "dmarc": "report"}}

    def test_spf_fail(self):
        code, said = self.hand_in(letter("strict.example", "no"), ip=OTHER)
        self.assertEqual(code, 550)
        self.assertIn("5.7.23", said)
        self.assertIn("strict.example explains: 198.51.100.9 is none of ours", said.replace("\n", " "))

    def test_dmarc_is_only_written_down(self):
        self.assertEqual(self.hand_in(letter("strict.example", "written"), sender="x@mild.example")[0], 250)
        self.assertIn("policy.dmarc=reject", self.results(self.arrived("written")))


class Silence(Stranger):
    """Nobody answers the questions: mail is taken all the same."""
    zone = ZONE
    config = {"relay_networks": [], "auth": {"time": "2s"}}

    @classmethod
    def before_start(cls):
        cls.nsd.silent()

    def test_dns_is_silent(self):
        text = signed(letter("strict.example", "silence"), "strict.example")
        self.assertEqual(self.hand_in(text)[0], 250)
        found = self.results(self.arrived("silence"))
        for part in ("spf=temperror", "dkim=temperror", "dmarc=temperror", "iprev=temperror"):
            self.assertIn(part, found)


class NoServer(Stranger):
    """No name server runs where the questions go to; then the resolver is killed with questions open."""
    config = {"relay_networks": [], "auth": {"check": True, "time": "2s"}}
    kills = True

    def test_dns_is_gone(self):
        self.assertEqual(self.hand_in(letter("strict.example", "gone"))[0], 250)
        self.assertIn("spf=temperror", self.results(self.arrived("gone")))

    def test_the_resolver_is_killed(self):
        t = self.talk()
        t.code("XCLIENT ADDR=198.18.0.1")
        self.assertEqual(t.lines("EHLO mx.strict.example", "MAIL FROM:<x@strict.example>", "RCPT TO:<bob@home.example>", "DATA"), [250, 250, 250, 354])
        os.kill(self.server.roles()["resolver"][0], signal.SIGKILL)
        t.raw(letter("strict.example", "killed"))
        self.assertEqual(t.code("."), 250)
        self.assertIn("spf=temperror", self.results(self.arrived("killed")))
