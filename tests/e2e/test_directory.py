"""Domains, accounts, aliases, credentials, routes and pools: the commands, and what mail does about them."""
import contextlib
import os
import smtplib
import sqlite3
import unittest

from harness import PASSWORD, Case, letter, run, until, with_users
from mailcase import Mail, plain


class Commands(Case):
    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")

    def fails(self, *args, code=None, input=None):
        done = self.server.cli(*args, check=False, input=input)
        self.assertIn(done.returncode, [code] if code else range(64, 79), f"{args}: {done.stdout}{done.stderr}")
        self.assertTrue(done.stderr.strip(), f"{args}: says nothing")
        return done.stderr

    def test_domain(self):
        self.server.cli("domain", "add", "second.example")
        self.assertIn("second.example", self.server.cli("domain", "list").stdout)
        self.assertIn("second.example", [r["name"] for r in self.server.rows("domain", "list")])
        self.assertIn("second.example", self.server.cli("domain", "show", "second.example").stdout)
        self.fails("domain", "add", "second.example")
        self.server.cli("domain", "remove", "second.example")
        self.assertNotIn("second.example", self.server.cli("domain", "list").stdout)
        self.fails("domain", "remove", "second.example")

    def test_domain_names_that_are_none(self):
        for name in ("", "a b", "-x.example", "x..example", "a@b.example", "x" * 64 + ".example", "x." * 130 + "example"):
            with self.subTest(name):
                self.fails("domain", "add", name)

    def test_idn_domain(self):
        self.server.cli("domain", "add", "bücher.example")
        self.assertIn("xn--bcher-kva.example", self.server.cli("domain", "list").stdout)

    def test_a_domain_with_accounts_is_not_removed(self):
        self.server.cli("domain", "add", "full.example")
        self.server.account("x@full.example")
        self.fails("domain", "remove", "full.example")
        self.server.cli("account", "remove", "x@full.example")
        self.server.cli("domain", "remove", "full.example")

    def test_account(self):
        self.server.account("new@home.example", "--quota=10M")
        self.assertIn("new@home.example", self.server.cli("account", "list").stdout)
        shown = self.server.cli("account", "show", "new@home.example")
        self.assertNotIn("argon2", shown.stdout.lower())
        self.fails("account", "add", "new@home.example", input="x y z\n")
        self.fails("account", "add", "new@unknown.example", input="x y z\n")
        self.server.cli("account", "set", "new@home.example", "--password", input="another long one\n")
        self.server.pop3("new@home.example", "another long one").quit()
        self.server.cli("account", "remove", "new@home.example")
        self.fails("account", "show", "new@home.example")

    def test_addresses_that_are_none(self):
        for address in ("", "nobody", "a b@home.example", "@home.example", "a@", "a" * 65 + "@home.example", "a@b@home.example"):
            with self.subTest(address):
                self.fails("account", "add", address, input="some password\n")

    def test_alias(self):
        self.server.account("target@home.example")
        self.server.cli("alias", "add", "info@home.example", "target@home.example", "x@outside.example")
        self.assertIn("info@home.example", self.server.cli("alias", "list").stdout)
        self.fails("alias", "add", "info@home.example", "target@home.example")
        self.fails("alias", "add", "loop@home.example")
        self.server.cli("alias", "remove", "info@home.example")
        self.fails("alias", "remove", "info@home.example")

    def test_alias_set_and_show(self):
        self.server.account("first@home.example")
        self.server.cli("alias", "add", "help@home.example", "first@home.example")
        self.server.cli("alias", "set", "help@home.example", "first@home.example", "second@outside.example")
        shown = self.server.cli("alias", "show", "help@home.example").stdout
        self.assertIn("first@home.example", shown)
        self.assertIn("second@outside.example", shown)
        self.server.cli("alias", "remove", "help@home.example", "--to=first@home.example")
        self.assertNotIn("first@home.example", self.server.cli("alias", "show", "help@home.example").stdout)
        self.fails("alias", "show", "nosuch@home.example")
        self.fails("alias", "set", "nosuch@home.example", "first@home.example")

    def test_credential_set_and_show(self):
        self.server.account("owner@home.example")
        self.server.cli("credential", "add", "device1", "--account=owner@home.example", input="first device secret\n")
        self.server.cli("credential", "set", "device1", "--messages-per-hour=7", "--enabled=no")
        shown = self.server.rows("credential", "show", "device1")[0]
        self.assertEqual((shown["account"], int(shown["messages_per_hour"]), bool(shown["enabled"])), ("owner@home.example", 7, False))
        self.assertNotIn("secret", str(shown))
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.server.smtp("submission", login="device1", password="first device secret")
        self.server.cli("credential", "set", "device1", "--enabled=yes", "--password", input="second device secret\n")
        self.server.smtp("submission", login="device1", password="second device secret").quit()
        self.fails("credential", "show", "nosuch")
        self.fails("credential", "add", "device2", "--account=nosuch@home.example", input="some long secret\n")

    def test_route_set_and_show(self):
        self.server.route("recipient:routed.example", "smtp", "127.0.0.1:25", tls="verified", login="us", password="hidden words")
        self.server.cli("route", "set", "recipient:routed.example", "--tls=required", "--hosts=127.0.0.2:2525")
        shown = self.server.cli("route", "show", "recipient:routed.example").stdout
        self.assertIn("127.0.0.2:2525", shown)
        self.assertIn("required", shown)
        self.assertNotIn("hidden words", shown)
        self.assertIn("recipient:routed.example", self.server.cli("route", "list").stdout)
        self.server.cli("route", "remove", "recipient:routed.example")
        self.fails("route", "show", "recipient:routed.example")

    def test_pool_set_and_unbind(self):
        self.server.cli("pool", "add", "letters", "127.0.0.40", "--weight=2", "--ehlo=out.home.example")
        self.server.cli("pool", "set", "letters", "127.0.0.40", "--weight=5")
        row = self.server.rows("pool", "show", "letters")[0]
        self.assertEqual((row["address"], int(row["weight"])), ("127.0.0.40", 5))
        self.server.cli("pool", "bind", "class:bulk", "letters")
        self.fails("pool", "remove", "letters")
        self.assertIn("class:bulk", self.server.cli("pool", "bindings").stdout)
        self.server.cli("pool", "unbind", "class:bulk")
        self.server.cli("pool", "remove", "letters")
        self.fails("pool", "show", "letters")

    def test_unknown_commands_and_options(self):
        for args in (("frobnicate",), ("domain",), ("domain", "frobnicate"), ("account", "add", "y@home.example", "--nosuch=1"), ("account", "show"),
                     ("alias", "list", "--limit=banana"), ("route", "add", "recipient:x.example", "teleport"), ("route", "add", "nonsense", "mx"),
                     ("pool", "add", "p", "not-an-address")):
            with self.subTest(args):
                self.fails(*args, input="\n")

    def test_usage(self):
        done = self.server.cli("--help", check=False)
        self.assertEqual(done.returncode, 0)
        self.assertIn("domain", done.stdout)
        self.assertEqual(self.server.cli(check=False).returncode, 64)
        self.assertIn("0.", self.server.cli("--version").stdout)

    def test_usage_of_one_verb(self):
        """It is shown when asked for, and when that verb was called wrongly; no other is."""
        for args, code in ((("help", "queue", "salvage"), 0), (("queue", "salvage"), 64)):
            with self.subTest(args):
                done = self.server.cli(*args, check=False)
                said = done.stdout + done.stderr
                self.assertEqual(done.returncode, code)
                self.assertIn("usage: staffetta queue salvage FILE", said)
                self.assertNotIn("staffetta queue list", said)
        self.assertIn('mailbox has no "frobnicate"', self.fails("help", "mailbox", "frobnicate"))
        self.assertIn("-c needs a FILE", self.fails("-c"))

    def test_check_config(self):
        good = self.server.cli("check-config", "-c", self.server.file)
        self.assertEqual(good.returncode, 0)
        bad = self.server.folder / "bad.conf"
        text = self.server.file.read_text()
        for change, line in ((text + "nosuch = 1\n", text.count("\n") + 1), ("hostname = \n" + text, None), (text.replace('hostname = "', 'hostnam = "'), 1),
                             (text + 'limits { errors = "x" }\n', text.count("\n") + 1), (text + 'listen "z" { service = "gopher" }\n', None)):
            with self.subTest(change[-60:]):
                bad.write_text(change)
                bad.chmod(0o644)
                said = self.fails("check-config", "-c", bad)
                self.assertIn(f"bad.conf:{line}" if line else "bad.conf:", said)
        self.fails("check-config", "-c", self.server.folder / "missing.conf")

    def test_offline(self):
        self.server.stop()
        try:
            self.server.cli("domain", "add", "offline.example")
            self.assertIn("offline.example", self.server.cli("domain", "list").stdout)
            self.fails("domain", "add", "offline.example")
        finally:
            self.server.start()
        self.assertIn("offline.example", self.server.cli("domain", "list").stdout)


class Effects(Mail):
    def test_catch_all(self):
        self.server.cli("domain", "add", "all.example")
        self.server.account("box@all.example")
        self.server.cli("domain", "set", "all.example", "--catch-all=box@all.example")
        self.assertEqual(self.deliver(self.talk(), "Subject: catch-1\r\n\r\nx\r\n", rcpt="whoever@all.example")[0], 250)
        self.in_mailbox("box@all.example", "catch-1")

    def test_subaddress(self):
        self.assertEqual(self.deliver(self.talk(), "Subject: tag-1\r\n\r\nx\r\n", rcpt="Bob+shop@home.example")[0], 250)
        self.assertIn("+shop@home.example", self.in_mailbox("bob@home.example", "tag-1"))

    def test_alias_outside(self):
        with self.sink("127.0.0.1", port=0) as s:
            self.server.route("recipient:outside.example", "smtp", f"127.0.0.1:{s.port}")
            self.server.cli("alias", "add", "out@home.example", "friend@outside.example")
            self.assertEqual(self.deliver(self.talk(), "Subject: out-1\r\n\r\nx\r\n", rcpt="out@home.example")[0], 250)
            until(lambda: s.to("friend@outside.example"), "the message outside")

    def test_aliases_that_loop_lose_nothing(self):
        self.server.cli("alias", "add", "l1@home.example", "l2@home.example")
        done = self.server.cli("alias", "add", "l2@home.example", "l1@home.example", check=False)
        if done.returncode == 0:
            self.deliver(self.talk(), "Subject: loop-1\r\n\r\nx\r\n", sender="bob@home.example", rcpt="l1@home.example")
            self.in_mailbox("bob@home.example", "l1@home.example")

    def test_case_does_not_matter(self):
        self.assertEqual(self.talk().code("MAIL FROM:<a@b.example>"), 250)
        self.assertEqual(self.deliver(self.talk(), "Subject: case-1\r\n\r\nx\r\n", rcpt="BOB@Home.Example")[0], 250)
        self.in_mailbox("bob@home.example", "case-1")

    def test_credentials_send_and_end(self):
        self.server.cli("credential", "add", "app2", "--account=ann@home.example", input="application secret\n")
        with self.server.smtp("submission", login="app2", password="application secret") as c:
            c.sendmail("ann@home.example", "bob@home.example", letter("ann@home.example", "bob@home.example", "cred-1"))
        self.in_mailbox("bob@home.example", "cred-1")
        self.assertIn("app2", self.server.cli("credential", "list").stdout)
        self.server.cli("credential", "remove", "app2")
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.server.smtp("submission", login="app2", password="application secret")

    def test_disabled_accounts(self):
        self.server.account("off@home.example")
        self.server.cli("account", "set", "off@home.example", "--enabled=no")
        t = self.talk("submission")
        self.assertIn(t.code("AUTH PLAIN " + plain("off@home.example")), (535, 525))
        t = self.talk()
        t.code("MAIL FROM:<a@b.example>")
        code, text = t.say("RCPT TO:<off@home.example>")
        self.assertEqual((code, text[:5]), (550, "5.2.1"))

    def test_limits_of_an_account(self):
        self.server.account("few@home.example", "--messages-per-hour=2")
        t = self.talk("submission")
        t.code("AUTH PLAIN " + plain("few@home.example"))
        codes = []
        for i in range(3):
            t.code("MAIL FROM:<few@home.example>")
            codes.append(t.code("RCPT TO:<bob@home.example>"))
            if codes[-1] == 250:
                t.code("DATA")
                t.say("From: <few@home.example>\r\nSubject: x\r\n\r\nx\r\n.")
            t.code("RSET")
        self.assertEqual(codes[:2], [250, 250])
        self.assertIn(codes[2], (450, 452))

    def test_backup_mx_domains_are_taken(self):
        self.server.cli("domain", "add", "backup.example", "--backup-mx")
        t = self.talk()
        t.code("MAIL FROM:<a@b.example>")
        self.assertEqual(t.code("RCPT TO:<anybody@backup.example>"), 250)


class Usage(Mail):
    """What accounts hold, as the numbers of the mailbox role say: three copies, so that each account has to be found."""
    config = {"relay_networks": [], "copies": {"mailbox": 3}}

    def held(self, user):
        """Messages and bytes as the owner sees them."""
        c = self.server.pop3(user)
        try:
            return c.stat()
        finally:
            c.quit()

    def filled(self, user, count):
        self.server.account(user)
        for i in range(count):
            self.assertEqual(self.deliver(self.talk(), f"Subject: use-{i}\r\n\r\n" + "x" * 60 * i + "\r\n", rcpt=user)[0], 250)
        self.server.mailbox_holds(user, count)
        return self.held(user)

    def inbox(self, user):
        rows = self.server.rows("mailbox", "show", user)
        self.assertEqual({r["folder"] for r in rows}, {"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"})
        self.assertEqual(sum(r["messages"] for r in rows if r["folder"] != "INBOX"), 0)
        return next(r for r in rows if r["folder"] == "INBOX")

    def test_numbers_of_each_account(self):
        for n in (1, 2, 3, 4):
            count, size = self.filled(f"use{n}@home.example", n)
            self.assertEqual(count, n)
            inbox = self.inbox(f"use{n}@home.example")
            self.assertEqual((inbox["messages"], inbox["bytes"], inbox["unseen"]), (n, size, n))

    def test_for_people(self):
        self.filled("people@home.example", 2)
        lines = self.server.cli("mailbox", "show", "People@Home.Example").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["FOLDER", "MESSAGES", "BYTES", "UNSEEN"])
        inbox, total = (next(l.split() for l in lines if l.startswith(name)) for name in ("INBOX", "total"))
        self.assertEqual(inbox[1:], total[1:])
        self.assertEqual((total[1], total[3]), ("2", "2"))
        self.assertEqual(lines[-1].split(), total)

    def test_removed_messages_are_gone(self):
        self.filled("less@home.example", 2)
        c = self.server.pop3("less@home.example")
        c.dele(1)
        c.quit()
        count, size = self.held("less@home.example")
        inbox = self.inbox("less@home.example")
        self.assertEqual((inbox["messages"], inbox["bytes"]), (count, size))
        self.assertEqual(count, 1)

    def test_check(self):
        self.filled("sound@home.example", 3)
        self.assertIn("sound", self.server.cli("mailbox", "check", "sound@home.example").stdout)
        self.assertEqual([r["result"] for r in self.server.rows("mailbox", "check", "sound@home.example")], ["sound"])

    def test_check_finds_what_is_wrong(self):
        self.filled("hurt@home.example", 1)
        number = self.server.rows("account", "show", "hurt@home.example")[0]["id"]
        self.server.stop()
        try:
            with contextlib.closing(sqlite3.connect(self.server.data / "mailbox" / f"{number % 256:02x}" / f"{number}.db")) as db, db:
                db.execute("UPDATE folder SET bytes = bytes + 1 WHERE name = 'Sent'")
            self.server.own()
        finally:
            self.server.start()
        done = self.server.cli("mailbox", "check", "hurt@home.example", check=False)
        self.assertEqual((done.returncode, done.stdout), (65, ""))
        self.assertIn("1 folders with wrong totals", done.stderr)

    def test_account_show_tells_the_usage(self):
        self.server.account("q@home.example", "--quota=10M")
        row = self.server.rows("account", "show", "q@home.example")[0]
        self.assertEqual((row["quota"], row["used"], row["used_messages"]), (10 << 20, 0, 0))
        self.deliver(self.talk(), "Subject: q-1\r\n\r\nx\r\n", rcpt="q@home.example")
        self.server.mailbox_holds("q@home.example", 1)
        count, size = self.held("q@home.example")
        row = self.server.rows("account", "show", "q@home.example")[0]
        self.assertEqual((row["used"], row["used_messages"]), (size, count))
        names = [l.split(":")[0] for l in self.server.cli("account", "show", "q@home.example").stdout.splitlines()]
        at = names.index("quota")
        self.assertEqual(names[at:at + 4], ["quota", "quota_messages", "used", "used_messages"])

    def test_wrong_arguments(self):
        for args in ((), ("show",), ("check",), ("show", ""), ("stats",), ("frobnicate", "bob@home.example"), ("show", "a@home.example", "b@home.example"),
                     ("check", "bob@home.example", "--nosuch=1"), ("show", "bob@home.example", "account=1")):
            with self.subTest(args):
                done = self.server.cli("mailbox", *args, check=False)
                self.assertEqual(done.returncode, 64, done.stdout + done.stderr)
                self.assertIn("usage:", done.stderr)

    def test_unknown_accounts(self):
        for verb in ("show", "check"):
            done = self.server.cli("mailbox", verb, "nobody@home.example", check=False)
            self.assertEqual((done.returncode, done.stdout), (67, ""), done.stderr)
            self.assertIn("nobody@home.example", done.stderr)

    def test_account_without_a_mailbox(self):
        self.server.account("fresh@home.example")
        for verb in ("show", "check"):
            done = self.server.cli("mailbox", verb, "fresh@home.example", check=False)
            self.assertEqual((done.returncode, done.stdout), (66, ""), done.stderr)
            self.assertIn("no mailbox yet", done.stderr)

    def test_without_a_server(self):
        count, size = self.filled("quiet@home.example", 2)
        self.server.account("empty@home.example")
        self.server.stop()
        try:
            inbox = self.inbox("quiet@home.example")
            self.assertEqual((inbox["messages"], inbox["bytes"]), (count, size))
            self.assertIn("sound", self.server.cli("mailbox", "check", "quiet@home.example").stdout)
            self.assertEqual(self.server.rows("account", "show", "quiet@home.example")[0]["used"], size)
            self.assertEqual(self.server.cli("mailbox", "show", "nobody@home.example", check=False).returncode, 67)
            done = self.server.cli("account", "show", "empty@home.example")
            self.assertEqual(done.stderr, "")
            self.assertIn("used_messages:", done.stdout)
            (self.server.data / "mailbox").rename(self.server.data / "aside")
            done = self.server.cli("account", "show", "quiet@home.example")
            (self.server.data / "aside").rename(self.server.data / "mailbox")
            self.assertEqual(done.stderr, "")
            self.assertNotIn("used", done.stdout)
        finally:
            self.server.start()


@unittest.skipIf(os.geteuid() != 0, "needs root")
class UsageAsRoot(Mail):
    as_root = True

    def test_no_file_becomes_one_of_root(self):
        self.assertEqual(self.deliver(self.talk(), "Subject: own-1\r\n\r\nx\r\n", rcpt="ann@home.example")[0], 250)
        self.server.mailbox_holds("ann@home.example", 1)
        self.server.stop()
        try:
            for role in ("mailbox", "directory"):  # as if root had made them: they are given back
                os.chown(self.server.data / role, 0, 0)
            for args in (("mailbox", "show"), ("mailbox", "check"), ("account", "show")):
                done = run(*with_users(self.server.folder, self.server.command(*args, "ann@home.example")), env=self.server.env())
                self.assertTrue(done.stdout, args)
            self.assertIn("used_messages:", done.stdout)
            for role in ("mailbox", "directory"):
                for path in [self.server.data / role, *(self.server.data / role).rglob("*")]:
                    self.assertNotEqual(path.stat().st_uid, 0, path)
        finally:
            self.server.start()
        self.assertEqual(self.deliver(self.talk(), "Subject: own-2\r\n\r\nx\r\n", rcpt="ann@home.example")[0], 250)
        self.server.mailbox_holds("ann@home.example", 2)


class Quota(Mail):
    config = {"relay_networks": [], "queue": {"retry": ["1s"], "lifetime": "3s"}}

    def test_over_quota_becomes_a_bounce_in_time(self):
        self.server.account("small@home.example", "--quota=4K")
        for i in range(3):
            self.deliver(self.talk(), f"Subject: fill-{i}\r\n\r\n" + "x" * 70 + "\r\n", sender="bob@home.example", rcpt="small@home.example")
        self.deliver(self.talk(), "Subject: too-much\r\n\r\n" + ("x" * 70 + "\r\n") * 100, sender="bob@home.example", rcpt="small@home.example")
        got = until(lambda: [m for m in self.server.mailbox("bob@home.example") if b"small@home.example" in m and b"delivery-status" in m], "the bounce")[0]
        self.assertIn(b"4.2.2 Mailbox", got)
        self.assertEqual(len(self.server.mailbox("small@home.example")), 3)


class Postmaster(Mail):
    def test_postmaster_without_a_domain(self):
        self.server.cli("alias", "add", "postmaster@home.example", "bob@home.example", check=False)
        t = self.talk()
        t.code("MAIL FROM:<>")
        self.assertEqual(t.code("RCPT TO:<postmaster>"), 250)
        t.code("DATA")
        self.assertEqual(t.say("Subject: pm-1\r\n\r\nx\r\n.")[0], 250)
        self.in_mailbox("bob@home.example", "pm-1")

    def test_password_change_ends_the_old_one(self):
        self.server.account("pw@home.example")
        self.server.cli("account", "set", "pw@home.example", "--password", input="a fresh password\n")
        self.assertEqual(self.talk("submission").code("AUTH PLAIN " + plain("pw@home.example", PASSWORD)), 535)
        self.assertEqual(self.talk("submission").code("AUTH PLAIN " + plain("pw@home.example", "a fresh password")), 235)
