"""Disks that are full, too few file descriptors, too little memory, databases that are damaged: the real server."""
import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import re
import smtplib
import sqlite3
import subprocess
import unittest

from harness import Case, until
from talk import Talk


class Small(Case):
    """Some folders of data on small file systems of their own."""
    as_root = True
    config = {"queue": {"retry": ["1s"]}}
    sizes = {}

    @classmethod
    def before_start(cls):
        for name, size in cls.sizes.items():
            folder = cls.server.data / name
            folder.mkdir(exist_ok=True)
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder], capture_output=True, text=True)
            if done.returncode:
                raise unittest.SkipTest("cannot mount a file system: " + done.stderr.strip())
            cls.cleanup.callback(subprocess.run, ["umount", "-l", folder])

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")
        cls.server.account("bob@home.example")

    def fill(self, name):
        path = self.server.data / name / "filler"
        self.addCleanup(path.unlink, True)
        with open(path, "wb", buffering=0) as f:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError:
                    pass
        return path

    def send(self, rcpt, body="Hello.\r\n"):
        with self.server.smtp() as c:
            c.ehlo()
            return c.sendmail("x@far.example", [rcpt], f"Subject: x\r\n\r\n{body}")

    def logged(self, mark, start=0):
        return until(lambda: [l for l in self.server.log_text()[start:].splitlines() if mark in l], f"{mark} in the log")


class Full(Small):
    sizes = {"mailbox": "8m", "events": "3m", "directory": "3m"}

    def test_stories_wait_while_their_disk_is_full(self):
        pid, start = self.server.roles()["events"], len(self.server.log_text())
        self.send("ann@home.example", "before\r\n")
        until(lambda: "before" in str(self.server.mailbox("ann@home.example")), "the mail")
        until(lambda: self.server.cli("trace", "ann@home.example", check=False).returncode == 0, "its story")
        filler = self.fill("events")
        for i in range(80):  # more than fits into what the database has free inside
            self.send("ann@home.example", f"during {i}\r\n")
        line = self.logged("events-not-written", start)[0]
        self.assertIn("disk full", line)
        self.assertIn("events.db", line)
        until(lambda: len([m for m in self.server.mailbox("ann@home.example") if b"during" in m]) == 80, "mail to go on")
        self.assertIn(self.server.cli("trace", "ann@home.example", check=False).returncode, (0, 66))  # an answer
        self.assertEqual(self.server.roles()["events"], pid)
        filler.unlink()
        self.logged("events-written-again", start)

        def told():
            rows = self.server.rows("trace", "ann@home.example", "--limit", "1000")
            return len([r for r in rows if r.get("event") == "delivered" or r.get("kind") == "delivered"]) >= 81

        until(told, "every story to be written")

    def test_the_server_starts_while_the_disk_of_stories_is_full(self):
        self.fill("events")
        start = len(self.server.log_text())
        self.server.restart()
        self.send("bob@home.example", "started\r\n")
        until(lambda: "started" in str(self.server.mailbox("bob@home.example")), "mail to go on")
        self.assertNotIn("role-ended", "".join(l for l in self.server.log_text()[start:].splitlines() if "error" in l))

    def test_mail_waits_while_the_disk_of_mailboxes_is_full(self):
        pid = self.server.roles()["mailbox"]
        self.send("bob@home.example", "first\r\n")
        until(lambda: "first" in str(self.server.mailbox("bob@home.example")), "the mail")
        filler = self.fill("mailbox")
        body = "".join(f"large {i:060}\r\n" for i in range(4000))
        self.send("bob@home.example", body)
        until(lambda: any("4.3.1" in str(r) for r in self.server.queue()), "the delivery to be put off")
        self.assertTrue(any("first" in str(m) for m in self.server.mailbox("bob@home.example")))  # reading goes on
        filler.unlink()
        self.server.cli("queue", "retry", "--all", check=False)
        until(lambda: [m for m in self.server.mailbox("bob@home.example") if b"large" in m], "what waited")
        self.server.queue_empty()
        self.assertEqual(len([m for m in self.server.mailbox("bob@home.example") if b"large" in m]), 1)
        self.assertEqual(self.server.roles()["mailbox"], pid)
        self.assertIn("sound", self.server.cli("mailbox", "check", "bob@home.example").stdout)

    def test_the_directory_says_no_while_its_disk_is_full(self):
        filler = self.fill("directory")
        refused = None
        for i in range(200):
            done = self.server.cli("account", "add", f"n{i}@home.example", check=False, input="a long password\n")
            if done.returncode:
                refused = done
                break
        self.assertIsNotNone(refused, "200 accounts found room on a full disk")
        self.assertIn("disk full", refused.stderr)
        self.send("ann@home.example", "all the same\r\n")  # what is known is still known
        filler.unlink()
        self.server.cli("account", "add", f"n{i}@home.example", input="a long password\n")
        shown = self.server.cli("account", "list").stdout
        self.assertEqual(len(re.findall(rf"n{i}@home.example", shown)), 1)


class Damaged(Case):
    """A shard's database with damage in it: a refusal that says what to do, and the command that does it."""
    config = {"queue": {"retry": ["1h"], "active": 40000}}  # so many that nothing is put off because it goes to one that did not answer
    kills = True
    SMALL, LARGE = 300, 6

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")
        cls.server.route("recipient:far.example", "smtp", "127.0.0.1:1")

    def body(self, name):
        return "".join(f"{name} line {i:050}\r\n" for i in range(3000 if name.startswith("large") else 2))

    def setUp(self):
        self.file = self.server.data / "queue" / "queue-0.db"
        self.sent = [f"small{i}" for i in range(self.SMALL)] + [f"large{i}" for i in range(self.LARGE)]
        with self.server.smtp() as c:
            c.ehlo()
            for name in self.sent:
                c.sendmail("x@home.example", [f"{name}@far.example"], f"Subject: {name}\r\n\r\n{self.body(name)}")
        until(lambda: self.server.rows("queue", "summary"), "the queue")
        self.server.stop()
        self.pages = self.file.stat().st_size // 16384
        self.assertGreater(self.pages, 10)

    def tearDown(self):
        self.server.stop()
        for f in self.file.parent.iterdir():
            f.unlink()
        self.server.start()

    def damage(self, page, at=0, bytes_=b"\xa5" * 16384):
        with open(self.file, "r+b") as f:
            f.seek(page * 16384 + at)
            f.write(bytes_)

    def salvage(self):
        done = self.server.cli("queue", "salvage", self.file)
        lost = [l for l in done.stdout.splitlines() if l.startswith("lost ")]
        saved = int(re.search(r"^saved (\d+) messages", done.stdout, re.M).group(1))
        return saved, lost

    def everything_saved_is_delivered(self, saved):
        """Whole, each once; the books are right."""
        self.server.start()
        far = self.sink("127.0.0.1", port=0)
        self.server.cli("route", "remove", "recipient:far.example")
        self.server.route("recipient:far.example", "smtp", f"127.0.0.1:{far.port}")
        self.server.cli("queue", "retry", "--all")
        self.server.queue_empty()
        got = []
        for name in self.sent:
            mine = far.to(f"{name}@far.example")
            self.assertLessEqual(len(mine), 1)
            if mine:
                got.append(name)
                text = mine[0].data if hasattr(mine[0], "data") else mine[0]
                text = text.decode() if isinstance(text, bytes) else str(text)
                self.assertIn(self.body(name).replace("\r\n", "\n").strip(), text.replace("\r\n", "\n"))
        self.assertEqual(len(got), saved)
        self.server.cli("status", "--verify")
        far.close()
        self.server.cli("route", "remove", "recipient:far.example")
        self.server.route("recipient:far.example", "smtp", "127.0.0.1:1")
        return got

    def test_nothing_wrong_nothing_lost(self):
        self.assertEqual(self.salvage(), (self.SMALL + self.LARGE, []))
        self.assertTrue((self.file.parent / "queue-0.db.damaged").exists())
        self.everything_saved_is_delivered(self.SMALL + self.LARGE)

    def test_one_page_costs_what_was_on_it(self):
        for page in (self.pages // 3, self.pages // 2):
            self.damage(page)
        saved, lost = self.salvage()
        self.assertGreater(saved, (self.SMALL + self.LARGE) * 3 // 4)
        self.assertLess(saved, self.SMALL + self.LARGE + 1)
        self.everything_saved_is_delivered(saved)

    def test_a_truncated_file(self):
        os.truncate(self.file, self.file.stat().st_size // 2)
        saved, lost = self.salvage()
        self.assertGreater(saved, 0)
        self.everything_saved_is_delivered(saved)

    def test_bits_that_flipped(self):
        for i in range(40):
            self.damage(8 + i * 7 % (self.pages - 9), at=i * 397 % 16384, bytes_=bytes([i * 37 % 256]))
        saved, lost = self.salvage()
        self.assertGreater(saved, 0)
        self.server.start()
        until(lambda: self.server.rows("queue", "summary"), "the queue")
        self.server.stop()

    def test_one_process_at_a_time(self):
        """A server that starts meanwhile, or a command without one, holds the shard's lock, and the other way round."""
        with open(f"{self.file}.lock", "a") as lock, concurrent.futures.ThreadPoolExecutor(1) as pool:
            fcntl.flock(lock, fcntl.LOCK_EX)
            owner = os.stat(lock.fileno()).st_uid
            salvage = pool.submit(self.salvage)
            with self.assertRaises(concurrent.futures.TimeoutError):
                salvage.result(2)
            self.assertFalse((self.file.parent / "queue-0.db.damaged").exists())
            fcntl.flock(lock, fcntl.LOCK_UN)
            self.assertEqual(salvage.result(60), (self.SMALL + self.LARGE, []))
            self.assertEqual(os.stat(lock.fileno()).st_uid, owner)

    def test_the_file_is_there_at_any_time(self):
        """A server that finds no shard begins with an empty one; so what fails, or stops half way, leaves it in place."""
        log = pathlib.Path(f"{self.file}-wal")
        log.touch()
        os.chown(log, self.file.stat().st_uid, self.file.stat().st_gid)
        in_the_way = pathlib.Path(f"{self.file}.damaged-wal")
        in_the_way.mkdir()
        before = self.file.read_bytes()
        done = self.server.cli("queue", "salvage", self.file, check=False)
        in_the_way.rmdir()
        self.assertEqual(done.returncode, 65)
        self.assertEqual(self.file.read_bytes(), before)
        self.assertEqual(self.salvage(), (self.SMALL + self.LARGE, []))

    def test_a_date_with_a_flipped_bit(self):
        with contextlib.closing(sqlite3.connect(self.file)) as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            db.execute("UPDATE recipient SET due = due + (1 << 60) WHERE address = 'small7@far.example'")
            db.commit()
        self.assertEqual(self.salvage(), (self.SMALL + self.LARGE, []))
        self.everything_saved_is_delivered(self.SMALL + self.LARGE)

    def test_refusals(self):
        self.damage(0, bytes_=b"\0" * 100)
        before = self.file.read_bytes()
        done = self.server.cli("queue", "salvage", self.file, check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("queue-0.db", done.stderr)
        self.assertEqual(self.file.read_bytes(), before)
        start = len(self.server.log_text())
        self.server.spawn()
        line = until(lambda: [l for l in self.server.log_text()[start:].splitlines() if "queue salvage" in l], "the refusal")[0]
        self.assertIn("queue-0.db", line)
        self.server.kill_tree()
        with open(self.server.data / "lock", "r+") as held:  # as a server does that runs
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            done = self.server.cli("queue", "salvage", self.file, check=False)
        self.assertEqual(done.returncode, 75)
        self.server.log.write_text("")  # that queue ended was the point


class DamagedDirectory(Small):
    """A directory that cannot be trusted is refused, once and clearly; no mail is refused for good because of it."""
    PAGE, COUNT = 16384, 5000  # accounts: more than are kept in memory

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.server.cli("alias", "add", "all@home.example", "ann@home.example", "bob@home.example")
        cls.file = cls.server.data / "directory" / "directory.db"
        cls.server.stop()
        with contextlib.closing(sqlite3.connect(cls.file)) as db:
            rows = db.execute("SELECT * FROM account WHERE key = 'ann@home.example'")
            columns = [c[0] for c in rows.description]
            ann = dict(zip(columns, rows.fetchone()))
            for i in range(cls.COUNT):  # the command would take its time for each password
                ann.update(id=1000 + i, key=f"n{i}@home.example", address=f"n{i}@home.example")
                db.execute(f"INSERT INTO account ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", [ann[c] for c in columns])
            db.commit()
        cls.server.own()
        cls.server.start()

    def stopped(self):
        """The whole file, with nothing in its log: two copies that end at the same moment may leave it to the next start."""
        self.server.stop()
        with contextlib.closing(sqlite3.connect(self.file)) as db:
            self.assertEqual(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0], 0)
        self.assertFalse(pathlib.Path(f"{self.file}-wal").exists())
        self.server.own()
        return self.file.read_bytes()

    def leaves(self):
        """The pages with accounts, in their order, from 0."""
        with contextlib.closing(sqlite3.connect(self.file)) as db:
            return [n - 1 for n, in db.execute("SELECT pageno FROM dbstat WHERE name = 'account' AND pagetype = 'leaf' ORDER BY path")]

    def put_back(self, whole):
        """As docs/database.md has it."""
        for end in ("-wal", "-shm"):
            pathlib.Path(f"{self.file}{end}").unlink(missing_ok=True)
        about = self.file.parent.stat()
        self.file.write_bytes(whole)
        os.chown(self.file, about.st_uid, about.st_gid)

    def refused(self, what):
        """At start: a line with the file and what to do, exit code 65, and nothing written."""
        before = self.file.read_bytes() if self.file.exists() else None
        start = len(self.server.log_text())
        self.server.spawn()
        until(lambda: self.server.process.poll() is not None, f"the refusal ({what})")
        self.assertEqual(self.server.process.returncode, 65, what)
        self.server.process = None
        lines = self.server.log_text()[start:].splitlines()
        reasons = [l for l in lines if "directory.db" in l]
        self.assertTrue(reasons and all("restore it from a backup" in l and "docs/database.md" in l for l in reasons), (what, reasons))
        self.assertLess(len(lines), 60, what)
        self.assertEqual(self.file.read_bytes() if self.file.exists() else None, before, what)
        self.server.log.write_text("")  # that directory ended was the point

    def works(self, text):
        self.server.start()
        self.send("all@home.example", f"{text}\r\n")
        for user in ("ann", "bob"):
            until(lambda: text in str(self.server.mailbox(f"{user}@home.example")), "the mail")

    def test_refused_at_start_until_the_backup_is_back(self):
        whole = self.stopped()
        pages = len(whole) // self.PAGE
        self.assertGreater(pages, 10)
        one, other = self.leaves()[3:5]

        def page(n):
            return whole[n * self.PAGE:(n + 1) * self.PAGE]

        def overwritten(*numbers):
            damaged = bytearray(whole)
            for n in numbers:
                damaged[n * self.PAGE:(n + 1) * self.PAGE] = b"\xa5" * self.PAGE
            return bytes(damaged)

        damages = {"zero length": b"", "gone": None, "not a database": b"#!/bin/sh\n" * 3000, "the first page": overwritten(0),
                   "the last page": overwritten(pages - 1), "three pages": overwritten(2, pages // 2, pages - 2),
                   "half of it": whole[:pages // 2 * self.PAGE], "cut off in the last page but one": whole[:-self.PAGE - 100],
                   "a page in the place of another": whole[:one * self.PAGE] + page(other) + whole[(one + 1) * self.PAGE:]}
        for what, damaged in damages.items():
            if damaged is None:
                self.file.unlink()
            else:
                self.put_back(damaged)
            self.refused(what)
        self.put_back(whole)
        self.works("after the backup")

    def test_a_running_server_serves_what_it_can(self):
        """Pages with accounts go bad under it: those wait, the others go on, and the log does not fill."""
        whole = self.stopped()
        leaves = self.leaves()
        self.server.start()
        with open(self.file, "r+b") as f:
            for n in leaves[1:]:
                f.seek(n * self.PAGE)
                f.write(b"\xa5" * self.PAGE)
        start = len(self.server.log_text())
        refused = []
        asked = range(0, self.COUNT, self.COUNT // 100)
        for i in asked:
            try:
                self.send(f"n{i}@home.example", f"while it is damaged {i}\r\n")
            except smtplib.SMTPRecipientsRefused as e:
                refused += [code for code, _ in e.recipients.values()]
        self.assertIn(451, refused)
        self.assertEqual(set(refused), {451})
        self.assertLess(len(refused), len(asked))  # the others were taken
        lines = [l for l in self.server.log_text()[start:].splitlines() if "directory.db" in l]
        self.assertTrue(lines and "damaged" in lines[0])
        self.assertLess(len(lines), 10)
        self.server.stop()
        self.refused("still damaged")
        self.put_back(whole)
        self.works("after the damage")

    def test_a_copy_made_while_it_runs_is_a_backup(self):
        copy = self.server.folder / "directory.copy"
        with contextlib.closing(sqlite3.connect(self.file)) as db, contextlib.closing(sqlite3.connect(copy)) as to:
            db.backup(to)  # the .backup of the sqlite3 program
        self.server.account("later@home.example")
        self.server.kill_tree()  # with a log that is not empty
        self.server.log.write_text("")
        self.put_back(copy.read_bytes())
        self.works("from the copy")
        self.assertEqual(self.server.cli("account", "show", "later@home.example", check=False).returncode, 67)
        self.assertEqual(self.server.cli("account", "show", "n7@home.example").returncode, 0)

    def test_whoever_wants_none_begins_with_none(self):
        whole = self.stopped()
        self.file.unlink()
        pathlib.Path(f"{self.file}.kept").unlink()
        self.server.start()
        self.assertEqual(self.server.cli("account", "list").stdout.count("@"), 0)
        self.stopped()
        self.put_back(whole)
        self.works("again")


class DamagedEvents(Small):
    """Mail goes on, the file is set aside, new stories are told."""

    def works(self, text):
        self.send("ann@home.example", f"{text}\r\n")
        until(lambda: text in str(self.server.mailbox("ann@home.example")), "the mail")
        until(lambda: self.server.cli("trace", "ann@home.example", check=False).returncode == 0, "its story")

    def set_aside(self, start, damaged):
        line = self.logged("events-set-aside", start)[0]
        self.assertIn("events.db.damaged", line)
        self.assertEqual(pathlib.Path(f"{self.file}.damaged").read_bytes()[100:4096], damaged[100:4096])
        self.assertEqual(len([l for l in self.server.log_text()[start:].splitlines() if "events-set-aside" in l]), 1)
        self.assertNotIn("role-ended", "".join(l for l in self.server.log_text()[start:].splitlines() if "error" in l))
        with contextlib.closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])

    def setUp(self):
        self.file = self.server.data / "events" / "events.db"
        if self.server.process is None:
            self.server.start()
        self.works("before")

    def stopped(self, stories=0):
        """The whole file, with nothing in its log, which would heal it, and more stories than are kept in memory."""
        self.server.stop()
        with contextlib.closing(sqlite3.connect(self.file)) as db:
            db.execute("PRAGMA journal_mode = DELETE")
            for i in range(stories):
                db.execute("INSERT INTO event SELECT message - ?, time, kind, rcpt, sender, message_id, printf('%.900c', 'x') "
                           "FROM (SELECT * FROM event ORDER BY message DESC LIMIT 1)", [(stories - i) << 22])
            db.commit()
        self.server.own()
        return self.file.read_bytes()

    def test_at_start(self):
        whole = self.stopped()
        damages = (b"not a database\n" * 999, b"\xa5" * 4096 + whole[4096:], whole[:len(whole) // 2])
        for i, damaged in enumerate(damages):
            self.file.write_bytes(damaged)
            start = len(self.server.log_text())
            self.server.start()
            self.works(f"started {i}")
            self.set_aside(start, damaged)
            self.stopped()
        self.file.write_bytes(b"")  # nothing to set aside
        self.server.start()
        self.works("started with nothing")

    def test_while_it_runs(self):
        """Every page but the first goes bad under the process; what it was told since then is in the new file."""
        whole = self.stopped(3000)
        self.server.start()
        pid, start = self.server.roles()["events"], len(self.server.log_text())
        with open(self.file, "r+b") as f:
            f.seek(4096)
            f.write(b"\xa5" * (len(whole) - 4096))
        for i in range(40):
            self.send("ann@home.example", f"during {i}\r\n")
        until(lambda: len([m for m in self.server.mailbox("ann@home.example") if b"during" in m]) == 40, "mail to go on")
        self.logged("events-set-aside", start)

        def told():
            rows = self.server.cli("trace", "ann@home.example", "--limit", "1000", "--json", check=False).stdout
            return rows.count('"delivered"') >= 40

        until(told, "every story since then")
        self.set_aside(start, whole)
        self.assertEqual(self.server.roles()["events"], pid)


class DamagedMailbox(Small):
    def test_one_account_waits_the_others_go_on(self):
        for user in ("ann", "bob"):
            self.send(f"{user}@home.example", "first\r\n")
            until(lambda: "first" in str(self.server.mailbox(f"{user}@home.example")), "the mail")
        self.server.stop()
        file = self.server.data / "mailbox" / "02" / "2.db"
        whole = file.read_bytes()
        file.write_bytes(b"\0" * 4096 + whole[4096:])
        self.server.start()
        start = len(self.server.log_text())
        self.send("bob@home.example", "second\r\n")
        self.send("ann@home.example", "second\r\n")
        line = self.logged("mailbox-open", start)[0]
        self.assertIn("2.db", line)
        self.assertIn("restore it from a backup", line)
        until(lambda: "second" in str(self.server.mailbox("ann@home.example")), "mail of another account")
        until(lambda: any("4.3.1" in str(r) for r in self.server.queue()), "the delivery to wait")
        file.write_bytes(whole)  # the backup
        self.server.cli("queue", "retry", "--all", check=False)
        until(lambda: [m for m in self.server.mailbox("bob@home.example") if b"second" in m], "what waited")
        self.assertEqual(len([m for m in self.server.mailbox("bob@home.example") if b"second" in m]), 1)


class Short(Small):
    """Processes that may open hardly another file, or have hardly any memory left."""
    as_root = False  # a process may be limited by its own user only
    kills = True

    def limit(self, role, what, most):
        for pid in self.server.roles()[role]:
            done = subprocess.run(["prlimit", f"--pid={pid}", f"--{what}={most}:"], capture_output=True, text=True, **self.server.identity())
            if done.returncode:
                self.skipTest(done.stderr.strip())

    def most_files(self, pid):
        return int(re.search(r"Max open files\s+(\d+)", pathlib.Path(f"/proc/{pid}/limits").read_text()).group(1))

    def files(self, role):
        return max(int(f) for pid in self.server.roles()[role] for f in os.listdir(f"/proc/{pid}/fd")) + 1

    def test_no_file_descriptors(self):
        for i in range(12):
            self.server.account(f"n{i}@home.example")
        for role in ("mailbox", "queue", "events", "directory"):
            before = self.server.roles()[role]
            most = self.most_files(before[0])
            self.limit(role, "nofile", self.files(role) + 2)
            for i in range(12):
                self.send(f"n{i}@home.example", f"{role} {i}\r\n")
            self.limit(role, "nofile", most)
            self.server.cli("queue", "retry", "--all", check=False)
            for i in range(12):
                until(lambda: [m for m in self.server.mailbox(f"n{i}@home.example") if role.encode() in m], "the mail")
            for i in range(12):
                got = [m for m in self.server.mailbox(f"n{i}@home.example") if role.encode() in m]
                self.assertEqual(len(got), 1)
            self.assertEqual(self.server.roles()[role], before)

    def test_no_file_descriptors_for_clients(self):
        before = self.server.roles()["smtp"]
        most = self.most_files(before[0])
        self.limit("smtp", "nofile", self.files("smtp") + 3)
        talks = []
        for i in range(8):
            talks.append(Talk(self.server.ports["mx"], greeting=False))
            self.addCleanup(talks[-1].s.close)
        self.limit("smtp", "nofile", most)
        for t in talks:
            t.s.close()
        self.send("ann@home.example", "again\r\n")
        until(lambda: "again" in str(self.server.mailbox("ann@home.example")), "the mail")
        self.assertEqual(self.server.roles()["smtp"], before)

    def test_no_memory(self):
        """A process without memory ends, and the one after it finds what was promised."""
        sent = 0
        for role in ("mailbox", "queue", "filter"):
            for pid in self.server.roles()[role]:
                now = int(re.search(r"VmSize:\s*(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) * 1024
                self.limit(role, "as", now + 65536)
            for i in range(8):
                try:
                    self.send("bob@home.example", f"memory-{role}-{i}-\r\n" + "x" * 70 + ("\r\n" + "y" * 70) * 20000)
                    sent += 1
                except (OSError, EOFError, smtplib.SMTPException):
                    pass
        self.assertIn("role-ended", self.server.log_text())
        self.server.log.write_text("")  # that they ended was the point
        self.server.restart()
        self.server.cli("queue", "retry", "--all", check=False)
        self.server.queue_empty()
        texts = [m for m in self.server.mailbox("bob@home.example") if b"memory-" in m]
        marks = [re.search(rb"memory-\w+-\d+-", m).group() for m in texts]
        self.assertGreaterEqual(len(set(marks)), sent)
        self.assertEqual(len(set(marks)), len(marks))
        self.server.log.write_text("")


if __name__ == "__main__":
    unittest.main()
