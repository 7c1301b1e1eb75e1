"""`staffetta account backup`, `restore`, `verify` (docs/backup.md), and what is left of an account that was removed."""
import contextlib
import os
import re
import signal
import sqlite3

from harness import Case, letter, until
from test_restore import Backup


class Backups(Backup, Case):
    users = ("ann", "bob", "carl", "dora", "emil", "fritz", "gerd", "hanna")

    def files(self, number):
        return sorted(p.name for p in (self.server.data / "mailbox").rglob(f"{number}.*"))

    def fill(self, user, n, folder="INBOX", flags="(\\Seen work)"):
        with self.server.imap(f"{user}@home.example") as c:
            c.create(folder)
            for i in range(n):
                c.append(folder, flags, None, letter(subject=f"{folder} {i}").encode())

    def state(self, user, folder="INBOX"):
        """uidvalidity, uidnext, highest modseq, and the messages: uid -> (flags, bytes)."""
        with self.server.imap(f"{user}@home.example") as c:
            _, data = c.status(folder, "(UIDVALIDITY UIDNEXT HIGHESTMODSEQ)")
            numbers = [int(re.search(rb"%s (\d+)" % k, data[0])[1]) for k in (b"UIDVALIDITY", b"UIDNEXT", b"HIGHESTMODSEQ")]
            if c.select(folder, readonly=True)[1] == [b"0"]:
                return numbers, {}
            _, data = c.fetch("1:*", "(UID FLAGS BODY.PEEK[])")
        items = [i for i in data if isinstance(i, tuple)]
        return numbers, {int(re.search(rb"UID (\d+)", i[0])[1]): (set(re.search(rb"FLAGS \(([^)]*)\)", i[0])[1].split()), i[1]) for i in items}

    def test_what_was_backed_up_comes_back(self):
        self.fill("ann", 5)
        self.fill("ann", 3, "Work")
        before, messages = self.state("ann")
        self.assertIn("written", self.say("backup", "ann@home.example", self.file()))
        self.assertIn("sound", self.say("verify", self.file()))
        # the file is the database too
        with sqlite3.connect(f"file:{self.file()}?mode=ro&immutable=1", uri=True) as db:
            self.assertEqual(db.execute("SELECT COUNT(*) FROM message").fetchone(), (8,))
        # afterwards: one is removed, others come, a folder is made
        with self.server.imap("ann@home.example") as c:
            c.select()
            c.store("1", "+FLAGS", "\\Deleted")
            c.expunge()
        self.fill("ann", 4, flags="()")
        self.fill("ann", 1, "Later")
        after, _ = self.state("ann")
        self.assertIn("--overwrite", self.say("restore", "ann@home.example", self.file(), code=73))
        self.assertEqual(len(self.state("ann")[1]), 8)
        watcher = self.server.imap("ann@home.example")
        watcher.select()
        self.assertIn("restored", self.say("restore", "ann@home.example", self.file(), "--overwrite"))
        with self.assertRaises(Exception):  # its session ended
            watcher.noop()
        restored, again = self.state("ann")
        self.assertEqual(again, messages)
        self.assertGreater(restored[0], after[0])       # uidvalidity
        self.assertGreaterEqual(restored[1], after[1])  # uidnext
        self.assertGreaterEqual(restored[2], after[2])  # modseq
        self.server.cli("mailbox", "check", "ann@home.example")
        self.fill("ann", 1)
        self.assertGreaterEqual(max(self.state("ann")[1]), after[1])
        with self.server.imap("ann@home.example") as c:
            self.assertNotIn(b"Later", b"".join(c.list()[1]))
        self.server.send("x@far.example", "ann@home.example")
        until(lambda: len(self.state("ann")[1]) == 7, "mail to be delivered into it")

    def test_into_another_account(self):
        """As after an account was removed by mistake and added anew: it has another number then."""
        self.fill("bob", 3)
        self.say("backup", "bob@home.example", self.file())
        self.say("remove", "bob@home.example", "--force")
        self.server.account("bob@home.example")
        self.say("restore", "bob@home.example", self.file())
        self.assertEqual(len(self.state("bob")[1]), 3)
        self.fill("bob", 2)
        self.server.send("x@far.example", "bob@home.example")
        until(lambda: len(self.state("bob")[1]) == 6, "mail to be delivered into it")
        self.server.cli("mailbox", "check", "bob@home.example")
        # and from that one once more
        self.say("backup", "bob@home.example", self.file("second"))
        self.say("restore", "carl@home.example", self.file("second"))
        self.assertEqual(len(self.state("carl")[1]), 6)

    def test_while_mail_comes(self):
        self.fill("dora", 20)
        with self.server.smtp() as c:
            for i in range(40):
                c.sendmail("x@far.example", ["dora@home.example"], letter(subject=f"s{i}", body="x" * 60 + "\r\n" * 2000))
                if i % 10 == 5:
                    self.say("backup", "dora@home.example", self.file(f"copy{i}"))
                    self.say("verify", self.file(f"copy{i}"))
                    self.say("restore", "emil@home.example", self.file(f"copy{i}"), "--overwrite")
                    self.server.cli("mailbox", "check", "emil@home.example")
        until(lambda: len(self.state("dora")[1]) == 60, "all of the mail")

    def test_damaged_files(self):
        self.fill("emil", 2)
        self.say("backup", "emil@home.example", self.file())
        whole = self.file().read_bytes()
        self.assertIn("there already", self.say("backup", "emil@home.example", self.file(), code=73))
        for name, raw, why in (("short", whole[:-1], "no backup of an account"), ("middle", whole[:4096] + b"x" + whole[4097:], "checksum is wrong"),
                               ("less", whole[:8192] + whole[-1024:], "not the length"), ("other", b"x" * 5000, "no backup of an account"),
                               ("empty", b"", "no backup of an account")):
            self.file(name).write_bytes(raw)
            self.assertIn(why, self.say("verify", self.file(name), code=65))
            self.assertIn(why, self.say("restore", "emil@home.example", self.file(name), "--overwrite", code=65))
        self.assertEqual(len(self.state("emil")[1]), 2)
        self.assertIn("No such file", self.say("verify", "/nowhere", code=66))
        self.say("restore", "nobody@home.example", self.file(), code=67)
        self.say("backup", "nobody@home.example", self.file("nobody"), code=67)
        self.say("backup", "emil@home.example", code=64)
        self.say("restore", "emil@home.example", self.file(), "--fast", code=64)
        self.say("verify", code=64)
        self.assertIn("No such file", self.say("backup", "emil@home.example", "/nowhere/x", code=74))

    def test_another_program_has_the_database(self):
        """docs/database.md: it is locked out while the server has a mailbox open, and the other way round, one account only."""
        number = self.number("gerd")
        path = self.server.data / "mailbox" / f"{number % 256:02x}" / f"{number}.db"
        self.fill("gerd", 1)
        with self.server.imap("gerd@home.example") as c, contextlib.closing(sqlite3.connect(path, timeout=0)) as db:
            c.select()
            with self.assertRaisesRegex(sqlite3.OperationalError, "locked"):
                db.execute("SELECT COUNT(*) FROM message")
        self.server.restart()
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as db:
            db.execute("BEGIN")
            self.assertEqual(db.execute("SELECT COUNT(*) FROM message").fetchone(), (1,))
            start = len(self.server.log_text())
            with self.assertRaisesRegex(Exception, "UNAVAILABLE"):
                self.server.imap("gerd@home.example")
            self.assertIn("locked by another process", self.server.log_text()[start:])
            self.fill("hanna", 1)
        self.assertEqual(len(self.state("gerd")[1]), 1)

    def test_a_removed_account_leaves_nothing(self):
        number = self.number("fritz")
        self.fill("fritz", 2)
        self.assertIn(f"{number}.db", self.files(number))
        # mailbox is down at that moment, and stays down for a while
        pid = self.server.roles()["mailbox"][0]
        os.kill(pid, signal.SIGSTOP)
        try:
            self.say("remove", "fritz@home.example", "--force")
        finally:
            os.kill(pid, signal.SIGKILL)
        until(lambda: self.files(number) == [], "the files to be gone")
        self.server.account("fritz@home.example")
        self.assertEqual(self.state("fritz")[1], {})

    def test_a_removed_account_leaves_nothing_when_the_server_was_down(self):
        self.server.account("gone@home.example")
        number = self.number("gone")
        self.fill("gone", 2)
        self.server.stop()
        self.server.cli("account", "remove", "gone@home.example", "--force")
        self.server.start()
        until(lambda: self.files(number) == [], "the files to be gone")
