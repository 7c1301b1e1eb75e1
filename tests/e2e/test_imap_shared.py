"""IMAP: mailboxes of others with Python's imaplib: granting, finding, reading, changing, moving between accounts; the administrator's
command; what is left when a role dies, when an account is removed, and behind a backup."""
import imaplib
import os
import signal

from harness import Case, letter, until

imaplib.Commands.setdefault("MOVE", ("SELECTED",))
imaplib.Commands.setdefault("NOTIFY", ("AUTH", "SELECTED"))
ANN, BOB = "ann@home.example", "bob@home.example"
OF_ANN = '"Other Users/ann@home.example/%s"'


class Shared(Case):
    kills = True
    config = {"sharing": "anyone"}

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in (ANN, BOB):
            cls.server.account(user)
        cls.server.cli("alias", "add", "friend@home.example", BOB)
        with cls.server.smtp() as c:
            for i in range(3):
                c.sendmail("x@far.example", [ANN], letter(subject=f"number-{i}"))
        cls.server.mailbox_holds(ANN, 3)

    def imap(self, user):
        c = self.server.imap(user)
        self.addCleanup(lambda: c.shutdown() if c.state != "LOGOUT" else None)
        return c

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return [line for line in answer[1] if line is not None]

    def names(self, c, pattern='"Other Users/*"'):
        return [line.decode().split(' "/" ')[1].strip('"') for line in self.ok(c.list('""', pattern)) if b"\\NonExistent" not in line]

    def test_sharing(self):
        ann, bob = self.imap(ANN), self.imap(BOB)
        offered = self.ok(ann.capability())[0].split()
        for word in (b"ACL", b"RIGHTS=texk", b"LIST-MYRIGHTS"):
            self.assertIn(word, offered)
        self.assertEqual(self.names(bob), [])
        self.assertEqual(bob.select(OF_ANN % "INBOX")[0], "NO")
        self.ok(ann.create("Projects"))
        self.ok(ann.setacl("Projects", BOB, "lrswite"))
        self.ok(ann.setacl("INBOX", BOB, "lr"))
        self.assertEqual(ann.setacl("INBOX", "friend@home.example", "lr")[0], "NO")
        self.assertEqual(self.ok(ann.getacl("INBOX")), [b"INBOX ann@home.example lrswipkxtecda bob@home.example lr"])
        self.assertEqual(self.names(bob), ["Other Users/ann@home.example/INBOX", "Other Users/ann@home.example/Projects"])
        self.assertEqual(self.ok(bob.myrights(OF_ANN % "Projects")), [b'"Other Users/ann@home.example/Projects" lrswited'])
        with self.assertRaises(imaplib.IMAP4.readonly):
            bob.select(OF_ANN % "INBOX")
        self.assertEqual(self.ok(bob.select(OF_ANN % "INBOX", readonly=True)), [b"3"])
        self.ok(bob.copy("1:2", OF_ANN % "Projects"))
        self.ok(bob.copy("3", "Archive"))
        self.assertEqual(self.ok(bob.select("Archive")), [b"1"])
        self.ok(bob._simple_command("MOVE", "1", OF_ANN % "Projects"))
        self.assertEqual(self.ok(ann.select("Projects")), [b"3"])
        subjects = [part[1] for part in self.ok(ann.fetch("1:3", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")) if isinstance(part, tuple)]
        self.assertEqual(subjects, [b"Subject: number-%d\r\n\r\n" % i for i in range(3)])
        self.ok(bob.select(OF_ANN % "Projects"))
        self.ok(ann.deleteacl("Projects", BOB))
        self.assertEqual(self.names(bob), ["Other Users/ann@home.example/INBOX"])
        self.assertEqual(bob.fetch("1", "(FLAGS)")[0], "NO")
        self.ok(ann.deleteacl("INBOX", BOB))

    def test_the_administrator_grants_and_it_outlives_everything(self):
        cli = self.server.cli
        self.assertEqual(self.server.rows("mailbox", "acl", ANN, "Sent"), [])
        cli("mailbox", "acl", ANN, "Sent", BOB, "lrs")
        cli("mailbox", "acl", ANN, "Sent", "anyone", "l")
        self.assertEqual(self.server.rows("mailbox", "acl", ANN, "Sent", BOB, "+i"),
            [{"identifier": "anyone", "rights": "l"}, {"identifier": BOB, "rights": "lrsi"}])
        for words in (["nobody@home.example", "l"], [BOB, "q"], [ANN, "l"], ["friend@home.example", "l"], [BOB]):
            self.assertNotEqual(cli("mailbox", "acl", ANN, "Sent", *words, check=False).returncode, 0, words)
        self.assertNotEqual(cli("mailbox", "acl", ANN, "Nowhere", check=False).returncode, 0)
        kept = os.path.join(self.server.folder, "kept")
        cli("account", "backup", ANN, kept)
        cli("mailbox", "acl", ANN, "Sent", BOB, "none")
        for pid in self.server.roles()["mailbox"] + self.server.roles()["directory"]:
            os.kill(pid, signal.SIGKILL)
        until(lambda: cli("mailbox", "acl", ANN, "Sent", check=False).returncode == 0, "both roles are there again")
        self.assertEqual(self.server.rows("mailbox", "acl", ANN, "Sent"), [{"identifier": "anyone", "rights": "l"}])
        cli("account", "restore", ANN, kept, "--overwrite")
        self.assertEqual([row["rights"] for row in self.server.rows("mailbox", "acl", ANN, "Sent")], ["l", "lrsi"])
        self.assertEqual(self.names(self.imap(BOB)), [(OF_ANN % "Sent").strip('"')])

    def test_notify(self):
        ann, bob = self.imap(ANN), self.imap(BOB)
        self.ok(ann.create("Heard"))
        self.ok(ann.setacl("Heard", BOB, "lr"))
        self.ok(bob._simple_command("NOTIFY", "SET", '(SUBTREE "Other Users" (MessageNew MessageExpunge MailboxName))'))
        self.ok(ann.append("Heard", None, None, letter().encode()))

        def heard(kind):
            self.ok(bob.noop())
            return [line for line in bob.response(kind)[1] if line is not None]
        told = []
        until(lambda: told.extend(heard("STATUS")) or told, "a STATUS of the other's mailbox")
        self.assertIn(b'"Other Users/ann@home.example/Heard" (MESSAGES 1 ', told[0])
        self.ok(ann.deleteacl("Heard", BOB))
        until(lambda: any(b"NonExistent" in line and b"Heard" in line for line in heard("LIST")), "that it is gone")

    def test_a_removed_account_takes_its_mailboxes_along(self):
        carl = "carl@home.example"
        self.server.account(carl)
        c = self.imap(carl)
        self.ok(c.setacl("INBOX", "anyone", "lr"))
        bob = self.imap(BOB)
        self.assertIn("Other Users/carl@home.example/INBOX", self.names(bob))
        self.ok(bob.select('"Other Users/carl@home.example/INBOX"', readonly=True))
        self.server.cli("account", "remove", carl)
        again = self.imap(BOB)
        until(lambda: self.names(again, '"Other Users/carl*"') == [], "the removal")
        self.server.account(carl)
        self.assertEqual(self.names(again, '"Other Users/carl*"'), [])
        self.assertEqual(again.select('"Other Users/carl@home.example/INBOX"')[0], "NO")


class HowFar(Case):
    """`sharing`: the default, then everything, then the default again, with sessions that stay."""
    eve = "eve@other.example"

    @classmethod
    def prepare(cls):
        for name in ("home.example", "other.example"):
            cls.server.domain(name)
        for user in (ANN, BOB, cls.eve):
            cls.server.account(user)

    def imap(self, user):
        c = self.server.imap(user)
        self.addCleanup(lambda: c.shutdown() if c.state != "LOGOUT" else None)
        return c

    def set(self, how):
        self.server.write_config(sharing=how)
        self.server.process.send_signal(signal.SIGHUP)

    def admin(self, *words):
        return self.server.cli("mailbox", "acl", ANN, *words, check=False)

    def test_what_may_be_granted_and_what_it_is_worth(self):
        ann, bob, eve = self.imap(ANN), self.imap(BOB), self.imap(self.eve)
        self.assertEqual(ann.append("INBOX", None, None, letter().encode())[0], "OK")
        refused = (("anyone", "lr"), (self.eve, "lr"), ("nobody@other.example", "lr"))
        for who, rights in refused:
            answer = ann.setacl("INBOX", who, rights)
            self.assertEqual((answer[0], b"[NOPERM]" in answer[1][0]), ("NO", True), answer)
        for who, rights in refused[:2]:
            done = self.admin("INBOX", who, rights)
            self.assertEqual((done.returncode, "sharing" in done.stderr), (77, True), done)
        self.assertEqual(ann.setacl("INBOX", BOB, "lr")[0], "OK")
        self.assertEqual(bob.select(OF_ANN % "INBOX", readonly=True)[0], "OK")
        self.set("anyone")
        until(lambda: ann.setacl("INBOX", "anyone", "lr")[0] == "OK", "the new configuration")
        until(lambda: eve.select(OF_ANN % "INBOX", readonly=True)[0] == "OK", "it in directory too")
        self.assertEqual(self.admin("INBOX", self.eve, "lr").returncode, 0)
        self.set("domain")
        until(lambda: eve.fetch("1:*", "(FLAGS)")[0] == "NO", "the old configuration")
        self.assertEqual(bob.fetch("1:*", "(FLAGS)")[0], "OK")
        self.assertEqual(eve.list('""', '"Other Users/*"'), ("OK", [None]))
        self.assertEqual(eve.select(OF_ANN % "INBOX", readonly=True)[0], "NO")
        self.assertEqual(ann.getacl("INBOX")[1], [b"INBOX ann@home.example lrswipkxtecda anyone lr bob@home.example lr eve@other.example lr"])
        self.assertIn("no effect", self.admin("INBOX").stderr)
        for who in ("anyone", self.eve):
            self.assertEqual(ann.deleteacl("INBOX", who)[0], "OK")
        self.assertEqual(self.admin("INBOX").stderr, "")


class TwoCopies(Case):
    """Owner and grantee in different processes of the role: nothing is reached, nothing breaks, and the administrator is told."""
    config = {"copies": {"mailbox": 2}}
    users = [f"u{i}@home.example" for i in range(4)]

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in cls.users:
            cls.server.account(user)

    def of(self, owner, folder="INBOX"):
        return f'"Other Users/{owner}/{folder}"'

    def imap(self, user):
        c = self.server.imap(user)
        self.addCleanup(lambda: c.shutdown() if c.state != "LOGOUT" else None)
        return c

    def test_who_is_elsewhere(self):
        owner = self.imap(self.users[0])
        near, far = [], []
        for user in self.users[1:]:
            answer = owner.setacl("INBOX", user, "lrswite")
            self.assertEqual(answer[0], "OK", answer)
            (far if b"another process" in answer[1][0] else near).append(user)
        self.assertTrue(near and far, (near, far))
        warned = self.server.cli("mailbox", "acl", self.users[0], "INBOX")
        self.assertIn("copies { mailbox = 1 }", warned.stderr)
        for user in near:
            c = self.imap(user)
            self.assertTrue(any(b"INBOX" in line for line in c.list('""', '"Other Users/*"')[1]))
            self.assertEqual(c.select(self.of(self.users[0]))[0], "OK")
            self.assertEqual(c.append(self.of(self.users[0]), None, None, letter().encode())[0], "OK")
        for user in far:
            self.of_another_process(self.imap(user), self.of(self.users[0]))
        self.server.restart()
        until(lambda: "shares-split" in self.server.log_text(), "the warning at the start")
        self.of_another_process(self.imap(far[0]), self.of(self.users[0]))

    def of_another_process(self, c, name):
        self.assertEqual(c.list('""', '"Other Users/*"'), ("OK", [None]))
        self.assertEqual(c.append("INBOX", None, None, letter().encode())[0], "OK")
        self.assertEqual(c.select("INBOX")[0], "OK")
        for command in (lambda: c.select(name), lambda: c.status(name, "(MESSAGES)"), lambda: c.copy("1", name), lambda: c.myrights(name),
                        lambda: c.append(name, None, None, letter().encode()), lambda: c.setacl(name, "anyone", "lr"), lambda: c.getacl(name)):
            if c.state != "SELECTED": # a SELECT that fails leaves nothing selected
                self.assertEqual(c.select("INBOX")[0], "OK")
            kind, text = command()
            self.assertEqual(kind, "NO")
            self.assertIn(b"[UNAVAILABLE]", text[0])
            self.assertIn(b"another process", text[0])
        self.assertEqual(c.noop()[0], "OK")
