"""The search index over the real server: filled in the background, used, kept over kill -9, thrown away and removed."""
import contextlib
import imaplib
import os
import signal

from harness import PASSWORD, Case, letter, until

MESSAGES = 150


class Index(Case):
    config = {"limits": {"search_index_from": 100}}
    kills = True

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in ("ann", "bob"):
            cls.server.account(f"{user}@home.example")

    def imap(self, user):
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        self.addCleanup(lambda: contextlib.suppress(OSError, imaplib.IMAP4.error).__enter__() or c.shutdown())
        c.login(f"{user}@home.example", PASSWORD)
        c.select("INBOX")
        return c

    def again(self, user):
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            return self.imap(user)

    def found(self, c, *keys):
        status, data = c.search(None, *keys)
        self.assertEqual(status, "OK", data)
        return [int(n) for n in data[0].split()]

    def indexed(self, user):
        return int(self.server.rows("mailbox", "check", f"{user}@home.example")[0]["indexed"])

    def file(self, user):
        number = int(self.server.rows("mailbox", "check", f"{user}@home.example")[0]["account"])
        database = next(self.server.folder.rglob(f"{number % 256:02x}/{number}.db"))
        return database.with_suffix(".search")

    def test_life(self):
        c = self.imap("ann")
        for i in range(MESSAGES):
            c.append("INBOX", None, None, letter(subject=f"s{i}", body=f"Text{i:04}x of ann.\r\n").encode())
        until(lambda: self.indexed("ann") == MESSAGES, "the index to be full")
        self.assertTrue(self.file("ann").exists())
        self.assertEqual(self.found(c, "TEXT", "text0077X"), [78])
        self.assertEqual(self.found(c, "OR", "BODY", "text0010x", "SUBJECT", "s149"), [11, 150])
        c.append("INBOX", None, None, letter(subject="new", body="And text0077x again.\r\n").encode())
        self.assertEqual(self.found(c, "TEXT", "text0077x"), [78, MESSAGES + 1])
        before = self.server.roles()["mailbox"]
        os.kill(before[0], signal.SIGKILL)
        until(lambda: self.server.roles().get("mailbox", before) != before, "mailbox to be there again")
        c = until(lambda: self.again("ann"), "a login")
        self.assertEqual(self.found(c, "TEXT", "text0077x"), [78, MESSAGES + 1])
        until(lambda: self.indexed("ann") == MESSAGES + 1, "the index to be full")
        self.server.cli("mailbox", "reindex", "ann@home.example")
        self.assertEqual(self.found(c, "TEXT", "text0077x"), [78, MESSAGES + 1])
        until(lambda: self.indexed("ann") == MESSAGES + 1, "the index to be full again")
        file = self.file("ann")
        self.server.cli("account", "remove", "ann@home.example")
        until(lambda: not file.exists(), "the index to be removed")

    def test_small_accounts_have_none(self):
        c = self.imap("bob")
        c.append("INBOX", None, None, letter(subject="one", body="Only one.\r\n").encode())
        self.assertEqual(self.found(c, "TEXT", '"only one"'), [1])
        self.assertEqual(self.indexed("bob"), 0)
        self.assertFalse(self.file("bob").exists())
