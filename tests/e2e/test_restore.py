"""Restores that meet each other, that find what an earlier one left, that are given files no server made, and that are killed.

STAFFETTA_KILLS sets how often the last is tried (6)."""
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import unittest

from harness import Case, letter, until

NOBODY = 65534


class Session:
    """A session of the administrator, as the program opens one (roles/web/tunnel.h)."""

    def __init__(self, server, account, protocol):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(server.run_folder / "control.sock"))
        self.file = self.socket.makefile("rb")
        self.send(json.dumps({"command": "mailbox", "args": ["session", f"account={account}", f"protocol={protocol}"]}).encode() + b"\n")
        assert self.line() == json.dumps({"session": protocol}, separators=(",", ":")), "no session"

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        return self.file.readline().decode().rstrip("\n")

    def close(self):
        self.file.close()
        self.socket.close()


class Backup:
    """What tests of backups share: accounts, files, and files that no server made."""
    kills = True
    users = ("ann", "bob", "carl", "dora", "emil")

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in cls.users:
            cls.server.account(f"{user}@home.example")

    def say(self, *words, code=0):
        done = self.server.cli("account", *words, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def file(self, name="backup"):
        return self.server.folder / "data" / f"{self.id().rsplit('.', 1)[1]}.{name}"

    def number(self, user):
        return self.server.rows("account", "show", f"{user}@home.example")[0]["id"]

    def database(self, user, suffix=""):
        number = self.number(user)
        return self.server.data / "mailbox" / f"{number % 256:02x}" / f"{number}.db{suffix}"

    def seal(self, name, database):
        """A file with a right checksum, as somebody else could make one."""
        text = f"\n\nSTAFFETTA BACKUP 1\naddress x@y.example\naccount 1\ntime 2026-01-01T00:00:00Z\nsize {len(database)}\n" \
               f"sha256 {hashlib.sha256(database).hexdigest()}\n"
        self.file(name).write_bytes(database + text.encode().ljust(1024, b"\n"))
        return self.file(name)

    def edited(self, name, database, *statements):
        path = self.file(f"{name}.db")
        path.write_bytes(database)
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA writable_schema = ON")
            for s in statements:
                db.execute(s)
            db.commit()
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self.seal(name, path.read_bytes())


class Restores(Backup, Case):
    def fill(self, user, n, word="one"):
        with self.server.imap(f"{user}@home.example") as c:
            for i in range(n):
                c.append("INBOX", "(work)", None, letter(subject=f"{word} {i}").encode())

    def subjects(self, user):
        with self.server.imap(f"{user}@home.example") as c:
            if c.select(readonly=True)[1] == [b"0"]:
                return []
            _, data = c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return sorted(re.search(rb"Subject: (.*)\r", i[1])[1].decode() for i in data if isinstance(i, tuple))

    def backup(self, user, name="backup"):
        """The file, and the database in it."""
        self.say("backup", f"{user}@home.example", self.file(name))
        return self.file(name).read_bytes()[:-1024]

    def test_two_at_once(self):
        """The second does nothing to the first: not with its answer, and not with its end."""
        self.fill("ann", 5)
        database = self.backup("ann")
        first = Session(self.server, self.number("ann"), "restore")
        first.send(f"RESTORE {len(database)} overwrite {hashlib.sha256(database).hexdigest()}\n".encode())
        self.assertEqual(first.line(), "READY")
        half = len(database) // 2
        first.send(database[:half])
        self.assertIn("--overwrite", self.say("restore", "ann@home.example", self.file(), code=73))
        self.assertIn("under way", self.say("restore", "ann@home.example", self.file(), "--overwrite", code=75))
        other = Session(self.server, self.number("ann"), "restore")
        other.close()
        first.send(database[half:])
        self.assertRegex(first.line(), r"^DONE 5 ")
        first.close()
        self.assertEqual(len(self.subjects("ann")), 5)
        self.assertIn("restored", self.say("restore", "ann@home.example", self.file(), "--overwrite"))
        self.server.cli("mailbox", "check", "ann@home.example")

    def test_the_log_of_one_that_was_broken_off(self):
        self.fill("bob", 3, "old")
        database = self.backup("bob")
        place = self.file("left.db")
        place.write_bytes(database)
        with contextlib.closing(sqlite3.connect(place)) as db:  # as when the process was killed before the rename
            db.execute("UPDATE folder SET name = 'Changed' WHERE name = 'Sent'")
            db.commit()
            log = self.database("bob", ".restore-wal")
            shutil.copy(f"{place}-wal", log)
        self.assertGreater(log.stat().st_size, 0)
        if os.geteuid() == 0:
            os.chown(log, NOBODY, NOBODY)
        self.say("restore", "bob@home.example", self.file(), "--overwrite")
        self.assertNotIn("Changed", self.server.cli("mailbox", "show", "bob@home.example").stdout)
        self.assertEqual(len(self.subjects("bob")), 3)
        self.server.cli("mailbox", "check", "bob@home.example")

    def test_a_damaged_mailbox_with_a_log(self):
        """It is replaced when that is wanted, whatever it left."""
        self.fill("carl", 4)
        self.backup("carl")
        self.server.stop()
        path = self.database("carl")
        path.write_bytes(b"garbage " * 4096)
        self.database("carl", "-wal").write_bytes(b"more garbage " * 1000)
        self.server.own()
        self.server.start()
        self.assertNotEqual(self.server.cli("mailbox", "check", "carl@home.example", check=False).returncode, 0)
        self.say("restore", "carl@home.example", self.file(), code=75)
        self.assertIn("restored", self.say("restore", "carl@home.example", self.file(), "--overwrite"))
        self.assertEqual(len(self.subjects("carl")), 4)
        self.server.cli("mailbox", "check", "carl@home.example")

    def test_files_that_no_server_made(self):
        self.fill("dora", 2)
        whole = self.backup("dora")
        with contextlib.closing(sqlite3.connect(self.file("other.db"))) as db:
            db.execute("CREATE TABLE folder (account, id)")
            db.commit()
        files = [self.seal("nothing", b""), self.seal("text", b"x" * 8192), self.seal("short", whole[:4096]),
                 self.seal("other", self.file("other.db").read_bytes())]
        for n, statements in enumerate((
                ["DROP TABLE imported", "CREATE VIEW imported AS SELECT 1 AS account, 2 AS mark"],
                ["ALTER TABLE folder RENAME TO f2",
                 "CREATE VIEW folder AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"],
                ["CREATE TRIGGER t AFTER INSERT ON message BEGIN DELETE FROM message; END"],
                ["CREATE VIRTUAL TABLE more USING fts5(x)"],
                ["CREATE TABLE more (x)"],
                ["CREATE INDEX more ON message (abs(size))"],
                ["ALTER TABLE message ADD COLUMN twice AS (size * 2)"],
                ["UPDATE staffetta_schema SET version = -1"],
                ["UPDATE staffetta_schema SET version = 1"],
                ["UPDATE folder SET uidvalidity = 9223372036854775807"],
                ["UPDATE folder SET uidvalidity = -1"],
                ["UPDATE folder SET modseq = 9223372036854775807"],
                ["UPDATE folder SET uidnext = 1 WHERE id = 1"],
                ["UPDATE folder SET messages = -5"],
                ["UPDATE folder SET id = 9223372036854775807 WHERE name = 'Sent'"],
                ["UPDATE folder SET name = 'a' || char(13, 10) || '* BYE' WHERE name = 'Sent'"],
                ["UPDATE folder SET name = CAST(x'ff41' AS TEXT) WHERE name = 'Sent'"],
                ["UPDATE folder SET special = '\\Sent) x' WHERE name = 'Sent'"],
                ["UPDATE keyword SET name = 'a)' || char(13, 10)"],
                ["UPDATE message SET uid = 4294967296 WHERE uid = 2"],
                ["UPDATE message SET uid = -1 WHERE uid = 2"],
                ["UPDATE message SET size = -1"],
                ["INSERT INTO flag_block SELECT account, id, 0, x'00' FROM folder WHERE id = 1"],
                ["INSERT INTO flag_block SELECT account, id, 0, x'0200000000000000000000000000000001feffffffff7f0001' FROM folder WHERE id = 1"],
                ["DELETE FROM folder WHERE id = 1"])):
            files.append(self.edited(f"n{n}", whole, *statements))
        for file in files:
            with self.subTest(file=file.name):
                self.say("restore", "dora@home.example", file, "--overwrite", code=65)
                self.assertIn("cannot be restored", self.say("verify", file, code=65))
        self.assertEqual(len(self.subjects("dora")), 2)
        self.assertIn("restored", self.say("restore", "dora@home.example", self.edited("same", whole, "SELECT 1"), "--overwrite"))
        self.assertEqual(len(self.subjects("dora")), 2)
        self.server.cli("mailbox", "check", "dora@home.example")

    @unittest.skipUnless(os.environ.get("STAFFETTA_LONG"), "takes half a minute of waiting: STAFFETTA_LONG=1")
    def test_who_does_not_read_the_end(self):
        """Mailbox has said all: the client has 30 seconds to take it."""
        with self.server.imap("ann@home.example") as c:
            c.append("INBOX", None, None, letter(subject="long", body="x" * 70 + "\r\n" * 250_000).encode())
        s = Session(self.server, self.number("ann"), "imap")
        s.send(b"a SELECT INBOX\r\nb FETCH 1:* BODY.PEEK[]<0.400000>\r\nc LOGOUT\r\n")
        time.sleep(40)
        self.assertNotIn(b"c OK", s.file.read())
        s.close()

    @unittest.skipUnless(os.environ.get("STAFFETTA_LONG"), "takes two minutes of waiting: STAFFETTA_LONG=1")
    def test_who_stops_in_the_middle(self):
        """It is told after two minutes, and another restore may begin."""
        self.fill("bob", 2)
        database = self.backup("bob", "stopped")
        s = Session(self.server, self.number("bob"), "restore")
        s.socket.settimeout(200)
        s.send(f"RESTORE {len(database)} overwrite {hashlib.sha256(database).hexdigest()}\n".encode())
        self.assertEqual(s.line(), "READY")
        s.send(database[:5000])
        self.assertIn("ERROR 75 nothing came for 2 minutes", s.line())
        self.assertEqual(s.line(), "")
        s.close()
        self.assertIn("session-silent", self.server.log_text())
        until(lambda: not self.database("bob", ".restore").exists(), "what it had sent to be removed")
        self.say("restore", "bob@home.example", self.file("stopped"), "--overwrite")

    def test_killed_in_the_middle(self):
        """The old mailbox or the new one, and the next restore does what it says."""
        chance = random.Random(int(os.environ.get("STAFFETTA_SEED", "1")))
        self.fill("emil", 40, "one")
        self.backup("emil", "one")
        self.fill("emil", 40, "two")
        self.backup("emil", "two")
        states = {"one": 40, "two": 80}
        now = "two"
        for turn in range(int(os.environ.get("STAFFETTA_KILLS", "6"))):
            wanted = ("one", "two")[turn % 2]
            argv = self.server.command("account", "restore", "emil@home.example", self.file(wanted), "--overwrite")
            with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.server.env(), **self.server.identity()) as p:
                fresh = self.database("emil", ".restore")
                until(lambda: p.poll() is not None or fresh.exists(), "the restore to begin")
                for _ in range(chance.choice((0, 10, 100, 1000, 3000))):
                    fresh.exists()
                victim = [p.pid] if turn % 3 == 2 else self.server.roles()["mailbox"]
                for pid in victim:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                code = p.wait(60)
            until(lambda: self.server.cli("mailbox", "check", "emil@home.example", check=False).returncode == 0, "a sound mailbox")
            is_there = len(self.subjects("emil"))
            self.assertIn(is_there, {states[now], states[wanted]}, (turn, code))
            if code == 0:
                self.assertEqual(is_there, states[wanted])
            self.say("restore", "emil@home.example", self.file(wanted), "--overwrite")
            self.assertEqual(len(self.subjects("emil")), states[wanted])
            self.server.cli("mailbox", "check", "emil@home.example")
            now = wanted
