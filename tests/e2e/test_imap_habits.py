"""How mail programs that cannot run here speak, by what is publicly known of them: a conversation a file in tests/e2e/habits.

A conversation is held line by line, from the connect on, with an account that has three messages in its INBOX:

    # ...            a remark
    C: text          the client says a line          $USER, $PASSWORD, $PLAIN (base64), $size(MARK), $(name) of a line before
    L: MARK          the client sends a literal, a letter with that subject, and the end of the line
    S: text          the server's next line          `...` is anything, $(name) is kept for later
    S: ...           any lines, up to one that is the next S: line
    TLS              both begin TLS
    MAIL: MARK       meanwhile a letter with that subject is delivered by SMTP
    ELSEWHERE: text  meanwhile another client, with the INBOX selected, gives a command
"""
import pathlib
import re

import harness
from harness import PASSWORD, letter
from imap_clients import Clients, message
from imap_line import Line
from mailcase import plain

HABITS = pathlib.Path(harness.TOP) / "tests" / "e2e" / "habits"
NAMES = sorted(p.stem for p in HABITS.glob("*.txt"))


class Conversation:
    def __init__(self, case, name, secure):
        self.case, self.user = case, f"{name}@home.example"
        self.known = {"USER": self.user, "PASSWORD": PASSWORD, "PLAIN": plain(self.user)}
        self.t = Line(case.server.ports["imaps" if secure else "imap"], greeting=False)
        case.addCleanup(lambda: self.t.s.close())
        if secure:
            self.tls()
        self.other = None

    def tls(self):
        self.t.s = self.case.server.trust().wrap_socket(self.t.s, server_hostname="mail.home.example")
        self.t.buffer = b""

    def fill_in(self, text):
        text = re.sub(r"\$size\(([^)]*)\)", lambda m: str(len(message(m[1]))), text)
        return re.sub(r"\$(?:\((\w+)\)|(USER|PASSWORD|PLAIN))", lambda m: self.known[m[1] or m[2]], text)

    def fits(self, pattern, line):
        expected = re.escape(re.sub(r"\$(USER|PASSWORD)", lambda m: self.known[m[1]], pattern)).replace(r"\.\.\.", ".*")
        found = re.fullmatch(re.sub(r"\\\$\\\((\w+)\\\)", lambda m: f"(?P<{m[1]}>[^ )\\]]+)", expected), line, re.I)
        if found:
            self.known.update(found.groupdict())
        return found

    def elsewhere(self, command):
        if self.other is None:
            self.other = Line(self.case.server.ports["imap"])
            self.case.addCleanup(self.other.s.close)
            self.other.ok(f'LOGIN {self.user} "{PASSWORD}"')
            self.other.ok("SELECT INBOX")
        self.other.ok(self.fill_in(command))

    def expect(self, pattern, skip):
        """The next line, or with `skip` the next that fits."""
        before = "nothing"
        while True:
            try:
                line = self.t.line()
            except TimeoutError:
                raise AssertionError(f"expected {pattern!r} after {before!r}, but nothing came") from None
            if self.fits(pattern, line):
                return
            if not skip:
                raise AssertionError(f"expected {pattern!r}, the server said {line!r}")
            before = line

    def step(self, kind, rest, skip):
        if kind == "S":
            self.expect(rest, skip)
        elif kind == "C":
            self.t.raw(self.fill_in(rest) + "\r\n")
        elif kind == "L":
            self.t.raw(message(rest) + b"\r\n")
        elif kind == "MAIL":
            self.case.server.send("x@far.example", self.user, letter(subject=rest))
        elif kind == "ELSEWHERE":
            self.elsewhere(rest)
        elif kind == "TLS":
            self.tls()
        else:
            raise AssertionError("no line of a conversation")

    def hold(self, text):
        skip = False
        for number, row in enumerate(text.splitlines(), 1):
            kind, _, rest = row.partition(": ")
            if not row or row.startswith("#"):
                continue
            if (kind, rest) != ("S", "..."):
                try:
                    self.step(kind, rest, skip)
                except (AssertionError, EOFError) as failure:
                    raise AssertionError(f"line {number}: {row}: {failure}") from None
            skip = (kind, rest) == ("S", "...")


class Habits(Clients):
    users = NAMES

    def setUp(self):
        super().setUp()
        self.assertGreaterEqual(len(NAMES), 5)

    def hold(self, name):
        text = (HABITS / f"{name}.txt").read_text()
        with self.line(name) as t:
            t.append("INBOX", [message("m-1"), message("m-2"), message("m-3", 3000)])
        conversation = Conversation(self, name, secure=not re.search("^TLS$", text, re.M))
        conversation.hold(text)


def add(name):
    setattr(Habits, f"test_{name}", lambda self: self.hold(name))


for each in NAMES:
    add(each)
