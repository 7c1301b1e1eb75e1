"""`staffetta account verify`: whether a backup could be restored (docs/backup.md)."""
import contextlib
import json
import random
import resource
import shutil
import sqlite3
import subprocess

from harness import Case, letter, sanitized, stage
from test_restore import Backup

PAGE = 4096


class Verify(Backup, Case):
    """One backup, made once; what the tests do to it."""
    users = ("ann",)

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.server.cli("account", "set", "ann@home.example", "--quota=none")
        with cls.server.imap("ann@home.example") as c:
            c.create("Work")
            for i in range(30):
                c.append("INBOX", "(\\Seen work)", None, letter(subject=f"one {i}", body="x" * 60 + "\r\n").encode())
            c.append("Work", None, None, letter(subject="large", body=("y" * 70 + "\r\n") * 6000).encode())
            c.select()
            c.copy("1:5", "Work")
            c.store("6:8", "+FLAGS", "\\Deleted")
            c.expunge()
        cls.whole = cls.server.folder / "data" / "whole.backup"
        cls.server.cli("account", "backup", "ann@home.example", cls.whole)
        cls.bytes = cls.whole.read_bytes()
        cls.database = cls.bytes[:-1024]

    def refused(self, name, raw, why):
        self.file(name).write_bytes(raw)
        self.assertIn(why, self.say("verify", self.file(name), code=65))

    def test_a_sound_one(self):
        row, = self.server.rows("account", "verify", self.whole)
        self.assertEqual((row["result"], row["messages"], row["size"]), ("sound", 33, len(self.database)))
        self.assertGreater(row["bytes"], 6000 * 72)

    def test_it_reads_and_nothing_else(self):
        """Without a server, without its configuration, in a folder that cannot be written."""
        place = self.server.folder / "closed"
        place.mkdir()
        shutil.copy(self.whole, place / "what?is%20it#.backup")
        (place / "what?is%20it#.backup").chmod(0o444)
        place.chmod(0o555)
        try:
            done = subprocess.run([stage() / "staffetta", "-c", "/nowhere", "--json", "account", "verify", place / "what?is%20it#.backup"],
                                  capture_output=True, text=True, env=self.server.env(), **self.server.identity())
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(json.loads(done.stdout)["result"], "sound")
            self.assertEqual(len(list(place.iterdir())), 1)
        finally:
            place.chmod(0o755)
        self.assertIn("No such file", self.say("verify", "/nowhere", code=66))
        self.assertIn("no backup of an account", self.say("verify", place, code=65))

    def test_memory_does_not_grow_with_it(self):
        """A message of 150 MB in 96 MB of address space."""
        if sanitized():
            self.skipTest("a sanitizer takes as much as it likes")
        with contextlib.closing(self.open("large")) as db:
            content, = db.execute("SELECT content FROM message ORDER BY size DESC").fetchone()
            start, = db.execute("SELECT MAX(start + LENGTH(data)) FROM content_chunk WHERE content = ?", (content,)).fetchone()
            db.executemany("INSERT INTO content_chunk SELECT account, ?1, ?2, zeroblob(65536) FROM folder LIMIT 1",
                           [(content, start + i * 65536) for i in range(2400)])
            for table, column in (("content", "id"), ("message", "content")):
                db.execute(f"UPDATE {table} SET size = size + 2400 * 65536 WHERE {column} = ?", (content,))
            db.execute("DELETE FROM flag_block")
            db.execute("UPDATE folder SET bytes = (SELECT SUM(size) FROM message m WHERE m.folder = folder.id) WHERE messages > 0")
            db.commit()
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (96 << 20, 96 << 20))
        done = self.server.cli("account", "verify", self.sealed("large"), check=False, preexec_fn=limit)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    # ---- files that are not what was written ----

    def test_cut_at_any_place(self):
        chance = random.Random(1)
        for n in (0, 1, 1023, 1024, 1025, PAGE, len(self.bytes) - 1024, len(self.bytes) - 1, *(chance.randrange(len(self.bytes)) for _ in range(6))):
            with self.subTest(n=n):
                self.refused("cut", self.bytes[:n], "no backup of an account")
        self.refused("middle", self.bytes[:PAGE] + self.bytes[2 * PAGE:], "not the length")

    def test_a_bit_in_every_region(self):
        """One in each part of the database, and every byte of what is behind it."""
        chance = random.Random(2)
        step = len(self.database) // 12
        places = [i * step + chance.randrange(step) for i in range(12)]
        for at in [*places, *(len(self.database) + i for i in (*range(0, 60, 20), *range(60, 460, 50), 700, 1023))]:
            with self.subTest(at=at):
                raw = bytearray(self.bytes)
                raw[at] ^= 1 << chance.randrange(8)
                self.file("bit").write_bytes(raw)
                self.say("verify", self.file("bit"), code=65)

    def test_swapped(self):
        a, b = 3 * PAGE, 7 * PAGE
        raw = bytearray(self.database)
        raw[a:a + PAGE], raw[b:b + PAGE] = raw[b:b + PAGE], raw[a:a + PAGE]
        self.refused("swapped", bytes(raw) + self.bytes[-1024:], "checksum is wrong")
        # of another account
        self.server.account("bob@home.example")
        with self.server.imap("bob@home.example") as c:
            c.append("INBOX", None, None, letter().encode())
        self.say("backup", "bob@home.example", self.file("bob"))
        other = self.file("bob").read_bytes()
        self.refused("mixed", self.database + other[-1024:], "not the length")
        # with a right checksum: the pages tell
        for pages in ((3, 7), (2, len(raw) // PAGE - 1)):
            x, y = (p * PAGE for p in pages)
            raw = bytearray(self.database)
            raw[x:x + PAGE], raw[y:y + PAGE] = raw[y:y + PAGE], raw[x:x + PAGE]
            self.assertIn("cannot be restored", self.say("verify", self.seal("sealed", bytes(raw)), code=65))
        self.assertIn("cannot be restored", self.say("verify", self.seal("short", self.database[:-5 * PAGE]), code=65))

    # ---- mailboxes with mistakes, and of other versions ----

    def open(self, name):
        self.file(f"{name}.db").write_bytes(self.database)
        return sqlite3.connect(self.file(f"{name}.db"))

    def sealed(self, name):
        with contextlib.closing(sqlite3.connect(self.file(f"{name}.db"))) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self.seal(name, self.file(f"{name}.db").read_bytes())

    def test_mistakes_that_a_restore_would_bring_back(self):
        for n, (statement, why) in enumerate((
                ("DELETE FROM content WHERE id = (SELECT MAX(content) FROM message)", "without their content"),
                ("DELETE FROM content_chunk WHERE start = (SELECT MIN(start) FROM content_chunk)", "missing pieces"),
                ("DELETE FROM content_chunk WHERE start = (SELECT MAX(start) FROM content_chunk)", "missing pieces"),
                ("UPDATE content_chunk SET start = start + 1 WHERE start = (SELECT MAX(start) FROM content_chunk)", "missing pieces"),
                ("DELETE FROM message WHERE folder = 1 AND uid = 2", "block of uids"),
                ("UPDATE folder SET bytes = bytes + 1 WHERE id = 1", "wrong totals"),
                ("UPDATE folder SET unseen = unseen + 1 WHERE id = 1", "wrong totals of flags"),
                ("DELETE FROM content_shared", "wrong references"),
                ("UPDATE content_shared SET extra = extra + 1", "wrong references"),
                ("DELETE FROM uid_block WHERE folder = 1", "blocks of uids"),
                ("UPDATE uid_block SET bits = zeroblob(128) WHERE folder = 1", "block of uids"),
                ("DELETE FROM keyword", "keywords without a name"),
                ("UPDATE content_tree SET tree = x'ff'", "structures that are damaged"),
                ("INSERT INTO expunged SELECT account, folder, modseq, uid FROM message WHERE folder = 1 AND uid = 1", "removed messages that are there"),
                ("INSERT INTO loose SELECT account, content FROM message LIMIT 1", "would be swept"))):
            with self.subTest(statement=statement):
                with contextlib.closing(self.open(f"n{n}")) as db:
                    db.execute(statement)
                    db.commit()
                told = self.say("verify", self.sealed(f"n{n}"), code=65)
                self.assertIn("could be restored, but there is a mistake in it", told)
                self.assertIn(why, told)

    def test_of_a_newer_version(self):
        with contextlib.closing(self.open("newer")) as db:
            db.execute("UPDATE staffetta_schema SET version = version + 1")
            db.commit()
        self.assertIn("made by a newer Staffetta", self.say("verify", self.sealed("newer"), code=65))
