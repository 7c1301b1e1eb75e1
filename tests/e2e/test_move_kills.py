"""Commands that move mailboxes, broken off: the command or a role is killed (signal 9) at any moment of backup, restore, import and export; the
account is removed in the middle; the configuration is read anew; the server is restarted. After each nothing is half in place, the command
has said what happened, and the same command finishes.

STAFFETTA_KILLS sets how often each is tried (2), STAFFETTA_SEED what is chosen."""
import contextlib
import hashlib
import mailbox
import os
import random
import shutil
import signal
import subprocess

from harness import alive, until
from test_migrate import Maildir, Migration, text
from test_restore import Session

KILLS = int(os.environ.get("STAFFETTA_KILLS", 2))
COUNT = int(os.environ.get("STAFFETTA_MESSAGES", 150))
ROLES = ("cli", "mailbox", "web", "directory")


class Broken(Migration):
    kills = True
    users = ("ann", "bob", "carl")

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.chance = random.Random(int(os.environ.get("STAFFETTA_SEED", "1")))
        cls.place = cls.server.folder / "data" / "place"
        cls.place.mkdir()
        cls.source = Maildir(cls.place / "source")
        for i in range(COUNT):
            cls.source.add(text(f"number {i}", "x" * 60 + "\n" * (40 * (i % 60))), f"16000{i:05}.M{i}.host:2,S", folder=("", ".Work")[i % 2])
        cls.source.own()
        cls.server.own()
        cls.server.cli("mailbox", "import", "ann@home.example", "maildir", cls.source.path)

    # ---- breaking off ----

    @contextlib.contextmanager
    def running(self, *words):
        with subprocess.Popen(self.server.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=self.server.env(), cwd=self.server.folder, **self.server.identity()) as p:
            try:
                yield p
            finally:
                with contextlib.suppress(ProcessLookupError):
                    p.kill()

    def kill(self, victim, p):
        for pid in [p.pid] if victim == "cli" else self.server.roles().get(victim, []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def break_off(self, victim, begun, *words):
        """Its exit code and what it said; killed some turns after `begun`, or when it has ended."""
        with self.running(*words) as p:
            until(lambda: p.poll() is not None or begun(), "the command to begin")
            for _ in range(self.chance.choice((0, 0, 3, 30, 300))):
                begun()
            self.kill(victim, p)
            said = p.communicate(timeout=120)[0]
        if p.returncode not in (0, -signal.SIGKILL):
            self.assertIn("staffetta: ", said)
            self.assertIn(p.returncode, (74, 75), said)
        until(lambda: self.server.cli("mailbox", "check", "ann@home.example", check=False).returncode == 0, "the roles to be back")
        return p.returncode, said

    def rounds(self):
        first = self.chance.randrange(len(ROLES))
        for i in range(KILLS):
            victim = ROLES[(first + i) % len(ROLES)]
            with self.subTest(victim=victim, round=i):
                yield victim

    def number(self, user):
        return self.server.rows("account", "show", f"{user}@home.example")[0]["id"]

    def files(self, number):
        return {p.name for p in (self.server.data / "mailbox").rglob(f"{number}.*") if not p.name.endswith(("-wal", "-shm", ".search"))}

    def all_messages(self, user):
        names = [n for n in self.folders(user)[0] if n in ("INBOX", "Work")]
        return sorted(m[:2] for n in names for m in [(raw, sorted(flags)) for raw, flags, _ in self.messages(user, n)])

    # ---- tests ----

    def test_backup(self):
        number = self.number("ann")
        for n, victim in enumerate(self.rounds()):
            file = self.place / f"backup{n}"
            part = self.place / f"backup{n}.part"
            copy = self.server.data / "mailbox" / f"{number % 256:02x}" / f"{number}.db.backup"
            code, said = self.break_off(victim, lambda: part.exists() or copy.exists(), "account", "backup", "ann@home.example", file)
            if code == 0:
                self.assertTrue(file.exists(), said)
            if not file.exists():  # else it was killed behind its last step
                self.server.cli("account", "backup", "ann@home.example", file)
            self.assertFalse(part.exists())
            self.server.cli("account", "verify", file)
            self.assertEqual(self.files(number), {f"{number}.db"})

    def test_restore(self):
        """Each time into an account that has nothing, so that half of it would be seen."""
        file = self.place / "whole"
        self.server.cli("account", "backup", "ann@home.example", file)
        for n, victim in enumerate(self.rounds()):
            user = f"fresh{n}"
            self.server.account(f"{user}@home.example")
            number = self.number(user)
            fresh = self.server.data / "mailbox" / f"{number % 256:02x}" / f"{number}.db.restore"
            code, said = self.break_off(victim, fresh.exists, "account", "restore", f"{user}@home.example", file)
            there = self.all_messages(user) if f"{number}.db" in self.files(number) else []
            self.assertIn(len(there), (0, COUNT), said)
            if code == 0:
                self.assertEqual(len(there), COUNT)
            self.server.cli("account", "restore", f"{user}@home.example", file, "--overwrite")
            self.assertEqual(self.all_messages(user), self.all_messages("ann"))
            self.server.cli("mailbox", "check", f"{user}@home.example")
            self.assertEqual(self.files(number), {f"{number}.db"})

    def test_import(self):
        for n, victim in enumerate(self.rounds()):
            user = f"import{n}"
            self.server.account(f"{user}@home.example")
            number = self.number(user)
            begun = lambda: f"{number}.db" in self.files(number)
            words = ("mailbox", "import", f"{user}@home.example", "maildir", self.source.path)
            self.break_off(victim, begun, *words)
            self.server.cli(*words)
            self.assertEqual(self.all_messages(user), self.all_messages("ann"))
            self.server.cli("mailbox", "check", f"{user}@home.example")

    def test_export(self):
        for n, victim in enumerate(self.rounds()):
            kind = ("mbox", "maildir")[n // 2 % 2]
            out = self.place / f"export{n}"
            words = ("mailbox", "export", "ann@home.example", kind, out)
            self.break_off(victim, lambda: any(out.rglob("*")), *words)
            self.server.cli(*words)
            if kind == "mbox":
                boxes = [mailbox.mbox(out / f"{name}.mbox", create=False) for name in ("INBOX", "Work")]
            else:
                box = mailbox.Maildir(out, create=False)
                boxes = [box, box.get_folder("Work")]
            found = sorted(m["Subject"] for b in boxes for m in b)
            self.assertEqual(found, sorted(f"number {i}" for i in range(COUNT)))
            self.assertEqual([p for p in out.rglob("*.new")], [])

    def test_the_account_is_removed(self):
        """In the middle of its backup, and of its restore: nothing of it is left, and who works hears so."""
        file = self.place / "removed"
        self.server.cli("account", "backup", "ann@home.example", file)
        database = file.read_bytes()[:-1024]
        for protocol in ("backup", "restore"):
            with self.subTest(protocol=protocol):
                self.server.account("gone@home.example")
                self.server.cli("account", "restore", "gone@home.example", file)
                number = self.number("gone")
                s = Session(self.server, number, protocol)
                if protocol == "restore":
                    s.send(f"RESTORE {len(database)} overwrite {hashlib.sha256(database).hexdigest()}\n".encode())
                    self.assertEqual(s.line(), "READY")
                    s.send(database[:len(database) // 2])
                self.server.cli("account", "remove", "gone@home.example", "--force")
                with contextlib.suppress(ConnectionError):
                    while s.socket.recv(65536):
                        pass
                s.close()
                until(lambda: not self.files(number), f"the files of {number} to be gone: {self.files(number)}")

    def test_the_configuration_is_read_anew(self):
        """An import and a session in the middle go on."""
        self.server.account("reload@home.example")
        number = self.number("reload")
        with self.running("mailbox", "import", "reload@home.example", "maildir", self.source.path) as p:
            until(lambda: p.poll() is not None or f"{number}.db" in self.files(number), "the import to begin")
            for _ in range(3):
                self.server.process.send_signal(signal.SIGHUP)
            said = p.communicate(timeout=120)[0]
        self.assertEqual(p.returncode, 0, said)
        s = Session(self.server, number, "imap")
        self.assertTrue(s.line().startswith("0 OK"))
        before = self.server.log_text().count("reloaded")
        self.server.process.send_signal(signal.SIGHUP)
        until(lambda: self.server.log_text().count("reloaded") > before, "the configuration to be read")
        s.send(b"a STATUS INBOX (MESSAGES)\r\n")
        self.assertIn("MESSAGES", s.line())
        s.close()
        self.assertEqual(self.all_messages("reload"), self.all_messages("ann"))

    def test_a_role_is_started_again_in_the_middle(self):
        """A session whose mailbox goes ends; the next one works; nothing hangs."""
        for victim in ("mailbox", "web"):
            s = Session(self.server, self.number("ann"), "imap")
            pids = self.server.roles()[victim]
            self.kill(victim, None)
            with contextlib.suppress(ConnectionError):
                while s.socket.recv(65536):
                    pass
            s.close()
            until(lambda: not any(alive(pid) for pid in pids) and self.server.roles().get(victim), f"{victim} to be back")
            until(lambda: self.server.cli("mailbox", "check", "ann@home.example", check=False).returncode == 0, "an answer")
        place = self.place / "after"
        self.server.cli("mailbox", "export", "ann@home.example", "maildir", place)
        shutil.rmtree(place)


del Migration
