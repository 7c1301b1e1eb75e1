"""What the tests with real IMAP clients share: a case with accounts, mail to fill mailboxes with, a look at a mailbox that
does not go through the client under test, and Maildirs.

STAFFETTA_MESSAGES=5000 gives test_imap_sync the size it is meant for; by default it is smaller, so that the suite stays short.
"""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import harness
from harness import PASSWORD, Case, until
from imap_line import Line

SIZE = int(os.environ.get("STAFFETTA_MESSAGES", "300" if harness.sanitized() else "1000"))
SUBJECT = re.compile(rb"^Subject: (\S+)", re.M)


def message(mark, size=0, more=""):
    """A letter with this subject, of plain text, or of text and HTML for every third mark that ends in a digit."""
    head = (f"From: Carla Far <carla@far.example>\r\nTo: Ann Home <ann@home.example>\r\nSubject: {mark}\r\n"
            f"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{mark}@far.example>\r\nMIME-Version: 1.0\r\n{more}")
    text = f"This is {mark}.\r\n" + "Some more words of it, in a line of text.\r\n" * (size // 43)
    if not mark[-1].isdigit() or int(mark[-1]) % 3:
        return f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}".encode()
    return (f'{head}Content-Type: multipart/alternative; boundary="=_b"\r\n\r\n--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}'
            f"\r\n--=_b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{text}</p>\r\n--=_b--\r\n").encode()


class Clients(Case):
    config = {"limits": {"login_failures": 1000, "connections_per_address": 1000}}
    users = ("ann",)

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in cls.users:
            cls.server.account(f"{user}@home.example")

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-client-"))
        self.addCleanup(harness.shutil.rmtree, self.folder, True)

    def line(self, user="ann", login=True):
        t = Line(self.server.ports["imap"])
        self.addCleanup(t.s.close)
        if login:
            t.ok(f'LOGIN {user}@home.example "{PASSWORD}"')
        return t

    def look(self, folder="INBOX", user="ann"):
        """What is in a folder, uid by uid: {uid: (subject, flags)}."""
        with self.line(user) as t:
            t.ok(f'EXAMINE "{folder}"')
            found, uid = {}, None
            for line in t.ok("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"):
                if line.startswith("* "):
                    uid = int(re.search(r"UID (\d+)", line)[1])
                    found[uid] = [None, frozenset(re.search(r"FLAGS \(([^)]*)\)", line)[1].split()) - {r"\Recent"}]
                elif line.startswith("Subject: "):
                    found[uid][0] = line[9:]
            return {uid: tuple(v) for uid, v in found.items()}

    def subjects(self, folder="INBOX", user="ann"):
        return sorted(subject for subject, _ in self.look(folder, user).values())

    def flags_of(self, folder="INBOX", user="ann"):
        return dict(self.look(folder, user).values())

    def folders(self, user="ann"):
        with self.line(user) as t:
            return sorted(re.search(r' "/" "?([^"]*)"?$', l)[1] for l in t.ok('LIST "" "*"'))

    def kill(self, role):
        for pid in self.server.roles().get(role, []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def back(self, user="ann"):
        """Waits until mailbox answers again."""
        def attempt():
            with contextlib.suppress(AssertionError, OSError, EOFError):
                return self.line(user)

        return until(attempt, "a session")

    def count(self, user="ann", folder="INBOX"):
        """Messages there, 0 while mailbox is away."""
        with contextlib.suppress(AssertionError, OSError, EOFError):
            with self.line(user) as t:
                return int(re.search(r"MESSAGES (\d+)", t.ok(f'STATUS "{folder}" (MESSAGES)')[0])[1])
        return 0

    def program(self, *argv, code=0, **more):
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=600,
                              env={**os.environ, "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, **more)
        if code is not None:
            self.assertEqual(done.returncode, code, f"{argv[0]}: {(done.stdout + done.stderr)[-3000:]}\n{self.server.log_tail(15)}")
        return done


class Maildir:
    """A folder of a Maildir, as another program of the same user would change it."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        for part in ("cur", "new", "tmp"):
            (self.path / part).mkdir(parents=True, exist_ok=True)

    def add(self, mark, flags=""):
        (self.path / "cur" / f"{mark}.M1.home:2,{flags}").write_bytes(message(mark).replace(b"\r\n", b"\n"))

    def all(self):
        """[(subject, flags, path)] of every file."""
        found = []
        for path in [*(self.path / "new").iterdir(), *(self.path / "cur").iterdir()]:
            found.append((SUBJECT.search(path.read_bytes())[1].decode(), "".join(sorted(path.name.rpartition(":2,")[2])) if ":2," in path.name else "", path))
        return found

    def subjects(self):
        return sorted(s for s, _, _ in self.all())

    def flags(self):
        return {s: f for s, f, _ in self.all()}

    def set_flags(self, subjects, flags):
        for subject, _, path in self.all():
            if subject in subjects:
                path.rename(self.path / "cur" / (path.name.split(":2,")[0] + ":2," + flags))

    def remove(self, subjects):
        for subject, _, path in self.all():
            if subject in subjects:
                path.unlink()
