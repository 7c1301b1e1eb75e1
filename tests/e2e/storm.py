"""Mixed load on one server, for the crash and soak tests: mail in by MX and submission, out to a sink, into mailboxes,
by aliases, refused ones that become bounces, deferred ones; commands to the queue all the while; and the account of it:
what got its 250 is where it belongs, once.

    storm = Storm(server, seed)
    storm.prepare(); storm.start() ... storm.stop()
    storm.settle()                       # the queue runs empty
    server.stop(); storm.check(kills)    # raises AssertionError
"""
import collections
import contextlib
import poplib
import random
import re
import smtplib
import sqlite3
import threading
import time

from harness import free_port, letter, until
from sink import Sink

USERS = ("ann", "bob", "cat", "dan")
MARK = re.compile(rb"^Subject: (id-\d+-\d+-)", re.M)


class Storm:
    def __init__(self, server, seed=1, mx=4, submission=1, slow=0.2, pause=0.0, port=None):
        self.server, self.seed, self.mx, self.submission = server, seed, mx, submission
        self.slow, self.pause = slow, pause
        self.sent, self.taken, self.commands = {}, {}, 0
        self.progress = collections.Counter()  # messages taken, by client
        self.stopping, self.threads, self.faults = threading.Event(), [], []
        self.chance = random.Random(seed)
        self.sink = Sink(port=port or free_port())
        self.sink.on("RCPT", "550 5.1.1 no such user", match="refused-")
        self.sink.on("RCPT", "451 4.2.1 never", match="junk-")
        self.sink.on("RCPT", self.later, match="later-")
        self.sink.on("DOT", self.dot)
        self.sink.trim = 4096
        self.put_off = set()
        self.read, self.read_reports = collections.Counter(), collections.Counter()
        self.maybe_read = set()  # the answer to QUIT was lost

    def prepare(self):
        s = self.server
        s.domain("home.example")
        for user in USERS:
            s.account(f"{user}@home.example", "--messages-per-hour=none", "--recipients-per-hour=none")
        s.cli("alias", "add", "both@home.example", "ann@home.example", "bob@home.example")
        s.cli("alias", "add", "list@home.example", "cat@home.example", "list@far.example")
        s.route("recipient:far.example", "smtp", f"127.0.0.1:{self.sink.port}")

    # ---- the sink ----

    def later(self, session, line):
        """Deferred once."""
        address = line.split("<", 1)[1]
        with self.sink.lock:
            if address in self.put_off:
                return None
            self.put_off.add(address)
        return "451 4.2.1 later"

    def dot(self, session, line):
        if random.random() < self.slow:
            time.sleep(random.random() * 0.2)
        return None

    # ---- the clients ----

    def choose(self, chance, mark, count):
        kind = chance.random()
        if kind < 0.35:
            return [f"{u}@home.example" for u in chance.sample(USERS, chance.choice((1, 1, 2)))]
        if kind < 0.65:
            return [f"r-{mark}@far.example"] + ([f"{chance.choice(USERS)}@home.example"] if chance.random() < 0.3 else [])
        if kind < 0.75:
            return ["both@home.example"]
        if kind < 0.82:
            return ["list@home.example"]
        if kind < 0.92:
            return [f"later-{mark}@far.example"]
        return [f"refused-{mark}@far.example"] + (["dan@home.example"] if chance.random() < 0.3 else [])

    def connect(self, number, local):
        if local:
            return self.server.smtp("submission", login=f"{USERS[number % 2]}@home.example"), f"{USERS[number % 2]}@home.example"
        return smtplib.SMTP("127.0.0.1", self.server.ports["mx"], local_hostname="load.example", timeout=20), "sender@far.example"

    def load(self, number, local):
        chance = random.Random(self.seed * 1000 + number)
        client, count = None, 0
        while not self.stopping.is_set():
            count += 1
            mark = f"id-{number}-{count}-"
            try:
                if client is None:
                    client, sender = self.connect(number, local)
                junk = chance.random() < 0.05
                rcpts = [f"junk-{mark}@far.example"] if junk else self.choose(chance, mark, count)
                self.sent[mark] = (sender, rcpts)
                text = letter(sender, rcpts[0], mark, ("x" * 70 + "\r\n") * chance.choice((1, 1, 10, 10, 100, 2000)))
                refused = client.sendmail("junk@far.example" if junk and not local else sender, rcpts, text)
                self.progress[number] += 1
                if not junk:
                    self.taken[mark] = (sender, [r for r in rcpts if r not in refused])
                self.stopping.wait(self.pause)
            except (OSError, smtplib.SMTPException):
                with contextlib.suppress(OSError, AttributeError):
                    client.close()
                client = None
                self.stopping.wait(0.02)
        with contextlib.suppress(OSError, AttributeError, smtplib.SMTPException):
            client.quit()

    def command(self):
        """What an administrator does. Only junk is deleted."""
        chance = random.Random(self.seed + 7)
        while not self.stopping.wait(0.15):
            words = chance.choice((["hold", "--domain=far.example", "--limit=3"], ["hold", "--domain=home.example", "--limit=2"], ["release", "--all"],
                                   ["release", "--all"], ["retry", "--domain=far.example", "--limit=20"], ["delete", "--recipient=junk-*", "--limit=50"],
                                   ["list", "--limit=20"], ["summary"]))
            self.server.cli("queue", *words, check=False)
            self.commands += 1

    def reader(self, user):
        """Fetches and removes what is in a mailbox, over POP3."""
        while not self.stopping.wait(1.0):
            client = self.server.try_pop3(f"{user}@home.example")
            if client is None:
                continue
            got = []
            try:
                for i in range(min(client.stat()[0], 200)):
                    text = b"\n".join(client.retr(i + 1)[1])
                    got.append((MARK.search(text)[1].decode(), b"multipart/report" in text.split(b"\n\n", 1)[0]))
                    client.dele(i + 1)
                client.quit()
            except (OSError, EOFError, poplib.error_proto):
                self.maybe_read |= {(f"{user}@home.example", mark) for mark, _ in got}
                continue
            for mark, report in got:
                (self.read_reports if report else self.read)[f"{user}@home.example", mark] += 1

    def guarded(self, work, *args):
        def run():
            try:
                work(*args)
            except BaseException as fault:  # shown by stop()
                self.faults.append(fault)

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def start(self, readers=()):
        self.stopping.clear()
        for n in range(self.mx + self.submission):
            self.progress[n] = 0
            self.guarded(self.load, n, n >= self.mx)
        self.guarded(self.command)
        for user in readers:
            self.guarded(self.reader, user)

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join()
        self.threads = []
        if self.faults:
            raise self.faults[0]

    # ---- afterwards ----

    def settle(self, limit=120):
        """Until nothing is left but junk, which is deleted."""
        def empty():
            self.server.cli("queue", "release", "--all", check=False)
            self.server.cli("queue", "delete", "--recipient=junk-*", check=False)
            self.server.cli("queue", "retry", "--all", check=False)
            left = self.server.cli("queue", "list", "--limit=5", "--json", check=False)
            return left.returncode == 0 and not left.stdout.strip()

        until(empty, "the queue to run empty", limit)

    def stored(self):
        """((user, mark) to how often it is in his mailbox or was read, the same of reports about it), from the files."""
        mails, reports = self.read.copy(), self.read_reports.copy()
        for db in self.server.mailbox_databases():
            for head, more in db.execute("SELECT substr(head, 1, 8192), (SELECT substr(data, 1, 8192) FROM content_chunk AS c WHERE c.content = "
                                         "content.id ORDER BY start LIMIT 1) FROM message JOIN content ON content.id = message.content"):
                head += more or b""
                user = re.search(rb"^Delivered-To: (\S+)", head, re.M)[1].decode().strip()
                mark = MARK.search(head)
                assert mark, f"a message without its mark: {head!r}"
                mark = mark[1].decode()
                (reports if b"multipart/report" in head.split(b"\r\n\r\n", 1)[0] else mails)[user, mark] += 1
        return mails, reports

    def remote(self):
        """(mark, recipient) to the messages the sink took, in the order of their final dots; reports are left out."""
        copies = collections.defaultdict(list)
        for m in self.sink.messages:
            if m.sender:
                for r in m.rcpts:
                    copies[MARK.search(m.data)[1].decode(), r].append(m)
        return copies

    def expected(self):
        """((user, mark) that must be in a mailbox, (mark, recipient) at the sink, (sender, mark) of reports)."""
        local, out, reports = set(), set(), set()
        for mark, (sender, rcpts) in self.taken.items():
            for r in rcpts:
                user, domain = r.split("@")
                if user in ("both", "list"):
                    local |= {(f"{u}@home.example", mark) for u in (("ann", "bob") if user == "both" else ("cat",))}
                    out |= {(mark, "list@far.example")} if user == "list" else set()
                elif domain == "home.example":
                    local.add((r, mark))
                elif user.startswith("refused-"):
                    reports |= {(sender, mark)} if sender.endswith("@home.example") else set()
                else:
                    out.add((mark, r))
        return local, out, reports

    def check(self):
        """After the server was stopped: nothing is lost, nothing is in a mailbox twice. Gives what went out more than once."""
        local, out, reports = self.expected()
        mails, told = self.stored()
        copies = self.remote()
        faults = {
            "lost on the way into a mailbox": [k for k in local if not mails[k] and k not in self.maybe_read],
            "twice in a mailbox": [k for k, n in mails.items() if n > 1],
            "lost on the way out": [k for k in out if not copies[k]],
            "not reported": [k for k in reports if not told[k] and k not in self.maybe_read],
            "reported twice": [k for k, n in told.items() if n > 1],
            "of unknown origin": [k for k in [m for _, m in mails] + [m for m, _ in copies] if k not in self.sent],
        }
        wrong = {what: (len(keys), keys[:5]) for what, keys in faults.items() if keys}
        assert not wrong, f"of {len(self.taken)} messages taken: {wrong}\n{self.server.log_tail(5)}"
        return {k: c for k, c in copies.items() if len(c) > 1}

    def summary(self):
        local, out, reports = self.expected()
        return f"{len(self.taken)} messages taken: {len(local)} into mailboxes, {len(out)} out, {len(reports)} bounces to read; {self.commands} queue commands"


def integrity(folder):
    """PRAGMA integrity_check of every database below; gives how many there were."""
    count = 0
    for path in sorted(folder.rglob("*.db")):
        with contextlib.closing(sqlite3.connect(path)) as db:
            result = db.execute("PRAGMA integrity_check").fetchone()[0]
            assert result == "ok", f"{path}: {result}"
            assert not db.execute("PRAGMA foreign_key_check").fetchall()
        count += 1
    return count
