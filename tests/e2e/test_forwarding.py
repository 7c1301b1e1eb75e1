"""Mail that an alias sends on to another server: the sender rewritten so that SPF fits, bounces that find their way back, forged and looping ones,
DSN, crashes; and our own return paths, signed. A stranger's server is played here, with a real zone; what comes out is judged by the server
itself, as another one would."""
import os
import re
import signal

import dkim
from harness import until
from test_strangers import OTHER, PUBLIC, RSA, Stranger, domain, letter, sealed, signed, txt

OURS = "198.18.0.77"  # the address that the world sees mail of home.example come from
ZONE = ("".join(domain(n, p) for n, p in {"strict.example": "reject", "mild.example": "none"}.items()) +
        "1.0.18.198.in-addr.arpa. PTR mx.strict.example.\nmx.strict.example. A 198.18.0.1\nstrict.example. MX 10 mx.back.example.\n"
        "mx.back.example. A 127.0.0.12\nfar.example. MX 10 mx.far.example.\nmx.far.example. A 127.0.0.11\n" +
        txt("home.example.", f"v=spf1 ip4:{OURS} -all") + txt("_dmarc.home.example.", "v=DMARC1; p=reject"))


class Onward(Stranger):
    zone = ZONE
    config = {"relay_networks": [], "queue": {"retry": ["1s"]}, "dkim": {"publish_wait": "0s"}, "auth": {"trusted_sealers": ["home.example"]}}
    kills = True

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.server.cli("alias", "add", "friend@home.example", "friend@far.example")
        cls.server.cli("alias", "add", "both@home.example", "friend@far.example", "bob@home.example")

    def setUp(self):
        self.far, self.back = self.sink("127.0.0.11"), self.sink("127.0.0.12")

    def forwarded(self, text, n=1, rcpt="friend@home.example", **more):
        self.assertEqual(self.hand_in(text, rcpt=rcpt, **more)[0], 250)
        until(lambda: len(self.far.messages) >= n, "the message to be forwarded")
        return self.far.messages[n - 1]

    def rcpt(self, address, sender=""):
        t = self.talk()
        self.assertEqual(t.code(f"MAIL FROM:<{sender}>"), 250)
        return t.say(f"RCPT TO:<{address}>")

    def bounce(self, address, mark, sender=""):
        """Another server returns a message to that address."""
        t = self.talk()
        text = f"From: MAILER-DAEMON@far.example\r\nTo: {address}\r\nSubject: {mark}\r\n\r\nNo such user.\r\n"
        self.assertEqual(self.deliver(t, text.encode(), sender, rcpt=address)[0], 250)

    def returned(self, mark):
        found = until(lambda: [m for m in self.back.messages if mark.encode() in m.data], f"{mark} to come back")
        self.assertEqual(len(found), 1)
        return found[0]


class Forwarding(Onward):
    def test_spf_fits_at_the_next_server(self):
        m = self.forwarded(letter("strict.example", "srs"))
        self.assertRegex(m.sender, r"^SRS0=[a-z2-7]{8}=[a-z2-7]{2}=strict\.example=x@home\.example$")
        self.assertEqual(m.rcpts, ["friend@far.example"])
        self.assertEqual(self.hand_in(letter("mild.example", "as-another"), sender=m.sender, ip=OURS)[0], 250)
        self.assertIn('spf=pass reason="matched ip4:198.18.0.77" smtp.mailfrom=home.example', self.results(self.arrived("as-another")))
        self.assertEqual(self.hand_in(letter("mild.example", "unchanged"), sender="x@strict.example", ip=OURS)[0], 250)
        self.assertIn("spf=fail", self.results(self.arrived("unchanged")))
        events = until(lambda: [e for e in self.server.rows("trace", "friend@far.example") if e["event"] == "relayed"], "the story")
        self.assertTrue([e for e in events if e["details"].get("mail_from") == m.sender], events)

    def test_a_bounce_comes_back(self):
        m = self.forwarded(letter("strict.example", "comes-back"))
        self.bounce(m.sender, "returned")
        back = self.returned("returned")
        self.assertEqual((back.sender, back.rcpts), ("", ["x@strict.example"]))
        self.bounce(m.sender.upper().replace("HOME.EXAMPLE", "home.example"), "shouted")
        self.assertEqual(self.returned("shouted").rcpts[0].lower(), "x@strict.example")

    def test_forged_ones_are_refused(self):
        m = self.forwarded(letter("strict.example", "true"))
        spoilt = m.sender[:5] + ("b" if m.sender[5] == "a" else "a") + m.sender[6:]
        for address in (spoilt, m.sender.replace("=x@", "=victim@"), "SRS0=aaaaaaaa=aa=victim.example=x@home.example", "SRS1=aaaaaaaa=a.example==x=y=z@home.example"):
            code, said = self.rcpt(address)
            self.assertEqual(code, 550, address)
            self.assertIn("5.1.1 This is no return path of mail that was forwarded here", said)

    def test_our_own_report_goes_to_the_sender_himself(self):
        self.far.on("RCPT", "550 5.1.1 no such user")
        t = self.talk()
        t.code("XCLIENT ADDR=198.18.0.1")
        self.assertEqual(t.lines("EHLO mx.strict.example", "MAIL FROM:<x@strict.example> RET=HDRS ENVID=envelope7",
                                 "RCPT TO:<friend@home.example> NOTIFY=FAILURE ORCPT=rfc822;first@strict.example", "DATA"), [250, 250, 250, 354])
        t.raw(letter("strict.example", "reported"))
        self.assertEqual(t.code("."), 250)
        report = self.returned("Original-Envelope-Id: envelope7")
        self.assertEqual((report.sender, report.rcpts), ("", ["x@strict.example"]))
        self.assertIn(b"Original-Recipient: rfc822; first@strict.example", report.data)
        self.assertNotIn(b"SRS0", report.data.split(b"Content-Type: text/rfc822-headers")[0])

    def test_dsn_parameters_go_along(self):
        t = self.talk()
        self.assertEqual(t.lines("MAIL FROM:<x@mild.example> ENVID=e1 RET=HDRS", "RCPT TO:<friend@home.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;o@mild.example",
                                 "DATA"), [250, 250, 354])
        t.raw(letter("mild.example", "dsn"))
        self.assertEqual(t.code("."), 250)
        m = until(lambda: self.far.messages, "the message")[0]
        self.assertIn("ENVID=e1", m.mail_line)
        self.assertRegex(m.rcpt_lines[0], "NOTIFY=(FAILURE,DELAY|DELAY,FAILURE)")
        self.assertIn("ORCPT=rfc822;o@mild.example", m.rcpt_lines[0])

    def test_who_is_ours_stays(self):
        with self.server.smtp("submission", login="ann@home.example") as client:
            client.sendmail("ann@home.example", "friend@home.example", b"From: ann@home.example\r\nSubject: ours\r\n\r\nx\r\n")
        self.assertEqual(until(lambda: self.far.messages, "the message")[0].sender, "ann@home.example")

    def test_a_copy_at_home_keeps_its_return_path(self):
        m = self.forwarded(letter("strict.example", "both-ways"), rcpt="both@home.example")
        self.assertTrue(m.sender.startswith("SRS0="))
        self.assertIn("Return-Path: <x@strict.example>", self.arrived("both-ways"))

    def test_forwarders_in_a_row(self):
        m = self.forwarded(letter("mild.example", "one"), sender="SRS0=abcd=xy=strict.example=x@mild.example")
        self.assertRegex(m.sender, r"^SRS1=[a-z2-7]{8}=mild\.example==abcd=xy=strict\.example=x@home\.example$")
        again = self.forwarded(letter("mild.example", "two"), n=2, sender=m.sender)
        self.assertEqual(again.sender, m.sender, "our own is ours already")
        first = self.forwarded(letter("strict.example", "three"), n=3)
        self.assertEqual(self.forwarded(letter("mild.example", "four"), n=4, sender=first.sender).sender, first.sender)

    def test_kills_change_no_address_for_good(self):
        m = self.forwarded(letter("strict.example", "before"))
        self.server.kill_tree()
        self.server.start()
        self.bounce(m.sender, "after-a-crash")
        self.assertEqual(self.returned("after-a-crash").rcpts, ["x@strict.example"])
        self.far.on("RCPT", "451 4.3.0 later", times=1)
        self.assertEqual(self.hand_in(letter("strict.example", "deferred"), rcpt="friend@home.example")[0], 250)
        until(lambda: [line for line in self.server.rows("trace", "friend@far.example") if line["event"] == "deferred"], "a first attempt")
        os.kill(self.server.roles()["directory"][0], signal.SIGKILL)
        again = until(lambda: [f for f in self.far.messages if b"deferred" in f.data], "the second attempt")[0]
        self.assertEqual(again.sender, m.sender)


class Sealing(Onward):
    """What goes on is sealed with the key of home.example, as it was published; dkimpy and we ourselves look at it."""

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.published = ZONE + "".join(l + "\n" for l in cls.server.cli("dkim", "make", "home.example").stdout.splitlines() if not l.startswith(";"))
        cls.nsd.change(cls.published)
        until(lambda: cls.server.cli("dkim", "check", "home.example", check=False).returncode == 0, "the keys to be in use")

    def look_up(self, name, timeout=5):
        found = [l for l in self.published.splitlines() if l.split()[:1] == [name.decode()] and "TXT" in l]
        return "".join(re.findall(r'"([^"]*)"', found[0])).encode() if found else None

    def chain(self, m, instance):
        """By dkimpy: the status of the whole, and what the newest seal says."""
        status, _, why = dkim.arc_verify(m.data, dnsfunc=self.look_up)
        seals = [f for f in re.findall(rb"^ARC-Seal:(.*?)\r?\n(?![ \t])", m.data, re.M | re.S) if b"d=home.example" in f]
        self.assertEqual(len(seals), 1, why)
        self.assertRegex(re.sub(rb"\s", b"", seals[0]), b"^i=%d;" % instance)
        return status, re.search(rb"cv=(\w+)", seals[0]).group(1)

    def as_another(self, m, mark):
        """Another server takes what we sent, and judges it."""
        self.assertEqual(self.hand_in(m.data, sender=m.sender, ip=OURS)[0], 250)
        return self.results(self.arrived(mark))

    def test_a_new_chain(self):
        m = self.forwarded(signed(letter("strict.example", "chain"), "strict.example"))
        self.assertEqual(self.chain(m, 1), (b"pass", b"none"))
        self.assertTrue(dkim.verify(m.data, dnsfunc=self.look_up), "the author's signature is still good")
        self.assertIn(b"dmarc=pass header.from=strict.example", m.data.split(b"ARC-Authentication-Results: i=1; mail.home.example;")[1].split(b"\r\nAuth")[0])
        found = self.as_another(m, "chain")
        for part in ("arc=pass", "dkim=pass", "dmarc=pass", "smtp.mailfrom=home.example"):
            self.assertIn(part, found)
        self.assertTrue([e for e in self.server.rows("trace", "friend@home.example") if "sealed=home.example" in str(e)])

    def test_the_seal_speaks_for_mail_without_a_signature(self):
        m = self.forwarded(letter("strict.example", "spoken-for"))
        found = self.as_another(m, "spoken-for")
        self.assertIn("dmarc=fail", found)
        bare = re.sub(rb"^ARC-[A-Za-z-]+:.*?\r?\n(?![ \t])", b"", m.data, flags=re.M | re.S)
        self.assertEqual(self.hand_in(bare, sender=m.sender, ip=OURS)[0], 550)

    def test_a_chain_of_others(self):
        m = self.forwarded(sealed(letter("mild.example", "second"), "mild.example"))
        self.assertEqual(self.chain(m, 2), (b"pass", b"pass"))
        self.assertIn("arc=pass", self.as_another(m, "second"))

    def test_a_broken_chain(self):
        m = self.forwarded(sealed(letter("mild.example", "broken"), "mild.example") + b"one line more\r\n")
        status, said = self.chain(m, 2)
        self.assertNotEqual(status, b"pass")
        self.assertEqual(said, b"fail")
        again = self.forwarded(m.data, n=2, sender="x@mild.example")
        self.assertEqual(len(re.findall(rb"(?m)^ARC-Seal:", again.data)), 2, "nothing is added to what is called broken")

    def test_a_large_message(self):
        m = self.forwarded(letter("mild.example", "large") + (b"0123456789" * 7 + b"\r\n") * 20000)
        self.assertEqual(self.chain(m, 1), (b"pass", b"none"))

    def test_what_is_not_sealed(self):
        self.assertEqual(self.hand_in(letter("mild.example", "stays"))[0], 250)
        self.assertNotIn("ARC-", self.arrived("stays"))
        with self.server.smtp("submission", login="ann@home.example") as client:
            client.sendmail("ann@home.example", "friend@home.example", b"From: ann@home.example\r\nSubject: ours\r\n\r\nx\r\n")
        data = until(lambda: self.far.messages, "the message")[0].data
        self.assertNotIn(b"ARC-", data)
        self.assertTrue(dkim.verify(data, dnsfunc=self.look_up))


class ReturnPaths(Onward):
    """Return paths of our own mail."""

    def mode(self, mode):
        self.server.cli("domain", "set", "home.example", f"--return-path={mode}")

    def submit(self):
        with self.server.smtp("submission", login="ann@home.example") as client:
            client.sendmail("ann@home.example", "x@far.example", b"From: ann@home.example\r\nSubject: mine\r\n\r\nx\r\n")
        return until(lambda: self.far.messages, "the message")[0].sender

    def test_plain_is_the_default(self):
        self.mode("plain")
        self.assertEqual(self.submit(), "ann@home.example")
        self.bounce("ann@home.example", "usual")
        self.in_mailbox("ann@home.example", "usual")

    def test_forged_mail_does_not_bounce_here(self):
        self.mode("refuse")
        path = self.submit()
        self.assertRegex(path, r"^prvs=\d{4}[0-9a-f]{6}=ann@home\.example$")
        code, said = self.rcpt("ann@home.example")
        self.assertEqual((code, said.split()[0]), (550, "5.7.1"))
        spoilt = path.replace("=ann@", "=bob@")
        self.assertEqual(self.rcpt(spoilt)[0], 550)
        self.assertEqual([self.rcpt(a, s)[0] for a, s in (("postmaster@home.example", ""), ("ann@home.example", "x@far.example"), (path, "x@far.example"))], [250] * 3)
        self.bounce(path, "true-bounce")
        got = self.in_mailbox("ann@home.example", "true-bounce")
        self.assertIn("Delivered-To: ann@home.example", got)
        self.assertEqual([b"true-bounce" in m for m in self.server.mailbox("bob@home.example")].count(True), 0)

    def test_or_is_filed_as_junk(self):
        self.mode("junk")
        path = self.submit()
        self.bounce("bob@home.example", "not-mine")
        self.arrived("not-mine", "Junk")
        self.bounce(path, "mine-after-all")
        self.in_mailbox("ann@home.example", "mine-after-all")

    def test_a_kill_changes_nothing(self):
        self.mode("refuse")
        path = self.submit()
        self.server.kill_tree()
        self.server.start()
        self.bounce(path, "survivor")
        self.in_mailbox("ann@home.example", "survivor")
        self.assertEqual(self.rcpt("ann@home.example")[0], 550)
