"""One system call at a time fails in one process of a running server, sandbox on, while a small set of everything is
done: mail in by MX and submission, into mailboxes, out by route and by MX, a report, POP3 reading and removing, IMAP, commands.
What was answered with 250 must be where it belongs, once (storm.py has the account), and the server well by itself.

    sweep = Sweep(server, tool)
    sweep.prepare()
    plan = sweep.survey()                # which calls each process makes in a set, and so what there is to fail
    for injection in plan: sweep.inject(injection)
    sweep.check()                        # every so often

tests/sweep/inject.c is the tool: a tracer that changes one call and lets go.
"""
import collections
import contextlib
import dataclasses
import errno
import imaplib
import os
import pathlib
import poplib
import random
import re
import shutil
import signal
import smtplib
import subprocess
import threading
import time

from harness import ROLES, TOP, alive, letter, until
from storm import MARK, Storm, integrity
from test_verify import verify

imaplib.Commands.setdefault("MOVE", ("SELECTED",))
PATIENCE = 20  # seconds until something hangs

NUMBERS = {"read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "brk": 12, "ioctl": 16, "pread64": 17,
           "pwrite64": 18, "readv": 19, "writev": 20, "mremap": 25, "socket": 41, "connect": 42, "sendto": 44, "recvfrom": 45, "sendmsg": 46,
           "recvmsg": 47, "shutdown": 48, "bind": 49, "getsockname": 51, "getpeername": 52, "socketpair": 53, "setsockopt": 54, "getsockopt": 55,
           "clone": 56, "wait4": 61, "fcntl": 72, "flock": 73, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "rename": 82, "mkdir": 83,
           "rmdir": 84, "unlink": 87, "readlink": 89, "chown": 92, "getdents64": 217, "epoll_ctl": 233, "openat": 257, "mkdirat": 258,
           "newfstatat": 262, "unlinkat": 263, "fallocate": 285, "accept4": 288, "renameat2": 316, "syncfs": 306, "getrandom": 318, "epoll_wait": 232,
           "sendmmsg": 307, "recvmmsg": 299}
NAMES = {n: name for name, n in NUMBERS.items()}

# What may happen to each call. "short" is less than was asked for; "after" fails although it was done.
SOCKET = [("error", "ENOBUFS"), ("error", "ECONNRESET"), ("error", "EINTR"), ("error", "EAGAIN"), ("short", "")]
FAILURES = {
    "read": [("error", "EIO"), ("error", "EINTR"), ("error", "ENOMEM"), ("error", "EAGAIN"), ("short", "")],
    "write": [("error", "ENOSPC"), ("error", "EIO"), ("error", "EINTR"), ("error", "ENOMEM"), ("error", "EAGAIN"), ("short", "")],
    "readv": [("error", "EIO")], "writev": [("error", "EIO"), ("error", "ENOBUFS")],
    "pread64": [("error", "EIO"), ("error", "EINTR"), ("short", "")],
    "pwrite64": [("error", "ENOSPC"), ("error", "EIO"), ("error", "EINTR"), ("short", "")],
    "fdatasync": [("error", "EIO"), ("after", "EIO"), ("error", "ENOSPC")], "fsync": [("error", "EIO"), ("after", "EIO")],
    "syncfs": [("error", "EIO"), ("after", "ENOSPC")], "ftruncate": [("error", "EIO"), ("error", "ENOSPC")], "fallocate": [("error", "ENOSPC")],
    "openat": [("error", "EMFILE"), ("error", "ENFILE"), ("error", "ENOSPC"), ("error", "ENOMEM"), ("error", "EIO")],
    "unlink": [("error", "EIO")], "unlinkat": [("error", "EIO")], "rename": [("error", "ENOSPC")], "renameat2": [("error", "ENOSPC")],
    "mkdir": [("error", "ENOSPC")], "mkdirat": [("error", "ENOSPC")], "rmdir": [("error", "EIO")], "chown": [("error", "EIO")],
    "fcntl": [("error", "ENOLCK"), ("error", "EINTR")], "flock": [("error", "EINTR"), ("error", "ENOLCK")],
    "mmap": [("error", "ENOMEM")], "mremap": [("error", "ENOMEM")], "brk": [("error", "ENOMEM")],
    "sendto": SOCKET, "recvfrom": SOCKET, "sendmsg": SOCKET[:-1], "recvmsg": SOCKET[:-1], "sendmmsg": SOCKET[:1], "recvmmsg": SOCKET[:1],
    "accept4": [("error", "EMFILE"), ("error", "ENFILE"), ("error", "ENOMEM"), ("error", "ECONNABORTED"), ("error", "EINTR"), ("error", "EPERM")],
    "connect": [("error", "ETIMEDOUT"), ("error", "EADDRNOTAVAIL"), ("error", "ENETUNREACH"), ("error", "EINTR")],
    "socket": [("error", "EMFILE"), ("error", "ENOBUFS")], "socketpair": [("error", "EMFILE"), ("error", "ENOMEM")], "bind": [("error", "EADDRINUSE")],
    "setsockopt": [("error", "ENOBUFS")], "getsockopt": [("error", "ENOBUFS")], "getsockname": [("error", "ENOBUFS")],
    "getpeername": [("error", "ENOTCONN")], "shutdown": [("error", "ENOTCONN")],
    "epoll_ctl": [("error", "ENOMEM"), ("error", "ENOSPC")], "epoll_wait": [("error", "EINTR")], "poll": [("error", "EINTR"), ("error", "ENOMEM")],
    "close": [("after", "EIO"), ("after", "EINTR")], "getrandom": [("error", "EINTR"), ("error", "EAGAIN")],
    "fstat": [("error", "EIO")], "newfstatat": [("error", "EIO")], "lseek": [("error", "EIO")], "ioctl": [("error", "EIO")],
    "readlink": [("error", "EIO")], "getdents64": [("error", "EIO")], "clone": [("error", "EAGAIN"), ("error", "ENOMEM")],
    "wait4": [("error", "EINTR")],
}
MEMORY = ("mmap", "mremap", "brk")


@dataclasses.dataclass(frozen=True)
class Injection:
    role: str
    copy: int
    call: str
    at: int
    how: str
    error: str
    starting: bool = False  # of a process that is just being started

    def __str__(self):
        return f"{self.role}[{self.copy}] {'starting ' if self.starting else ''}{self.call} {self.at} {self.how} {self.error}".rstrip()


def build_tool(folder):
    """Compiles the tracer; None where it cannot be."""
    tool = pathlib.Path(folder) / "inject"
    done = subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", tool, TOP / "tests" / "sweep" / "inject.c"], capture_output=True, text=True)
    return tool if done.returncode == 0 else None


class Tracer:
    def __init__(self, tool, pid, *plan):
        self.process = subprocess.Popen([str(tool), str(pid), *map(str, plan)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.armed = self.process.stdout.readline().strip() == "armed"

    def ended(self):
        return self.process.poll() is not None

    def result(self):
        """hit, missed, gone or the counts."""
        while self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.3)
        text = self.process.stdout.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return text.split("\n")


class Sweep(Storm):
    def __init__(self, server, tool, seed=1):
        super().__init__(server, seed, slow=0.0, port=server.relay_port)
        self.tool, self.number, self.done = tool, 0, []
        self.hits = collections.Counter()
        self.accounts, self.unsure = set(), set()
        self.ends = collections.Counter()  # role processes that ended, by role
        self.slowest = (0, "")

    def prepare(self):
        super().prepare()
        self.server.account("eve@home.example", "--messages-per-hour=none", "--recipients-per-hour=none")

    def begin_anew(self):
        """After a fault: a server with nothing in it."""
        self.server.kill_tree()
        for entry in self.server.data.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for kept in (self.sent, self.taken, self.read, self.read_reports, self.maybe_read, self.accounts, self.unsure, self.sink.messages, self.done):
            kept.clear()
        self.server.log.write_text("")
        self.server.start()
        self.prepare()

    # ---- the set ----

    def mail(self, client, mark, sender, rcpts, size=1):
        self.sent[mark] = (sender, rcpts)
        refused = client.sendmail(sender, rcpts, letter(sender, rcpts[0], mark, ("x" * 70 + "\r\n") * size))
        self.taken[mark] = (sender, [r for r in rcpts if r not in refused])

    def incoming(self):
        n = self.number
        with smtplib.SMTP("127.0.0.1", self.server.ports["mx"], local_hostname="load.example", timeout=PATIENCE) as client:
            self.mail(client, f"id-{n}-1-", "sender@far.example", ["ann@home.example", "dan@home.example"])
            self.mail(client, f"id-{n}-2-", "sender@far.example", [f"r-id-{n}-2-@far.example", "bob@home.example"], 300)
            self.mail(client, f"id-{n}-3-", "sender@far.example", [f"m-id-{n}-3-@x{n}.dns.example", "both@home.example"])

    def outgoing(self):
        n = self.number
        with smtplib.SMTP("127.0.0.1", self.server.ports["submission"], local_hostname="load.example", timeout=PATIENCE) as client:
            client.starttls(context=self.server.trust())
            client.login("ann@home.example", "correct horse battery")
            self.mail(client, f"id-{n}-4-", "ann@home.example", [f"refused-id-{n}-4-@far.example", "cat@home.example"])
            self.mail(client, f"id-{n}-5-", "ann@home.example", [f"later-id-{n}-5-@far.example"])

    def fetching(self):
        """Fetches and removes what is in one mailbox."""
        user, got, client = "dan@home.example", [], poplib.POP3("127.0.0.1", self.server.ports["pop3"], timeout=PATIENCE)
        client.stls(context=self.server.trust())
        client.user(user)
        client.pass_("correct horse battery")
        try:
            for i in range(client.stat()[0]):
                text = b"\n".join(client.retr(i + 1)[1])
                got.append((MARK.search(text)[1].decode(), b"multipart/report" in text.split(b"\n\n", 1)[0]))
                client.dele(i + 1)
        except BaseException:
            client.close()  # nothing is removed without QUIT
            raise
        try:
            client.quit()
        except (OSError, EOFError, poplib.error_proto):
            self.maybe_read |= {(user, mark) for mark, _ in got}
            raise
        for mark, report in got:
            (self.read_reports if report else self.read)[user, mark] += 1

    def sorting(self):
        """What an IMAP client does: appends, flags, searches, reads, moves into a folder, and removes there what is older."""
        user, n = "eve@home.example", self.number
        mark = f"id-{n}-7-"
        client = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"], timeout=PATIENCE)
        try:
            client.starttls(ssl_context=self.server.trust())
            client.login(user, "correct horse battery")
            client.create("Kept")
            self.sent[mark] = (user, [user])
            text = f"Delivered-To: {user}\r\n".encode() + letter(user, user, mark, ("y" * 70 + "\r\n") * (1 if n % 2 else 300)).encode()
            if client.append("INBOX", "(\\Draft)", None, text)[0] == "OK":
                self.taken[mark] = (user, [user])
            client.select("INBOX")
            for uid in (client.uid("SEARCH", "HEADER", "Subject", "id-")[1][0] or b"").split():
                client.uid("STORE", uid, "+FLAGS", "(\\Flagged kept)")
                client.uid("FETCH", uid, "(FLAGS ENVELOPE BODY.PEEK[])")
                client.uid("MOVE", uid, "Kept")
            client.select("Kept")
            self.remove_older(client, user)
        except BaseException:
            client.shutdown()
            raise
        client.logout()

    def remove_older(self, client, user):
        rows = [r for r in client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1] if isinstance(r, tuple)]
        old = [(re.search(rb"UID (\d+)", head)[1], MARK.search(subject)[1].decode()) for head, subject in rows][:-2]
        if not old:
            return
        uids, removed = b",".join(uid for uid, _ in old), False
        try:
            marked = client.uid("STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK"
            removed = client.uid("EXPUNGE", uids)[0] == "OK" and marked  # what is not marked stays, and that is OK
        finally:
            if removed:
                self.read.update((user, mark) for _, mark in old)
            else:
                self.maybe_read |= {(user, mark) for _, mark in old}

    def commanding(self):
        name = f"n{self.number}@home.example"
        made = self.server.cli("account", "add", name, check=False, input="a long password\n").returncode
        (self.unsure if made else self.accounts).add(name)
        old = f"n{self.number - 2}@home.example"
        if old in self.accounts:
            self.accounts.discard(old)
            if self.server.cli("account", "remove", old, check=False).returncode:
                self.unsure.add(old)
        for words in (["queue", "hold", "--domain=far.example", "--limit=3"], ["queue", "list", "--limit=20"], ["queue", "release", "--all"]):
            self.server.cli(*words, check=False)

    def supervising(self):
        """What makes the supervisor work: a reload and the death of a role, of another one each time, for the pause grows."""
        self.server.process.send_signal(signal.SIGHUP)
        victim = sorted(set(ROLES) - {"directory"})[self.number % (len(ROLES) - 1)]
        for pid in self.server.roles().get(victim, [])[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid), f"{victim} to be dead")
        until(lambda: self.server.process.poll() is not None or self.server.roles().get(victim), f"{victim} to be started again", PATIENCE * 2)

    def one_set(self, supervisor=False):
        """Everything once, at the same time. What a client is refused is no fault; that it waits in vain is one."""
        self.number += 1
        hung = []

        def run(part):
            try:
                part()
            except (TimeoutError, AssertionError) as slow:
                hung.append(f"{part.__name__}: {slow}")
            except subprocess.TimeoutExpired as slow:
                hung.append(str(slow))
            except (OSError, EOFError, smtplib.SMTPException, poplib.error_proto, imaplib.IMAP4.error):
                pass

        parts = [self.incoming, self.outgoing, self.fetching, self.sorting, self.commanding] + ([self.supervising] if supervisor else [])
        threads = [threading.Thread(target=run, args=(p,)) for p in parts]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return hung

    # ---- the plan ----

    def targets(self):
        """(role, copy) to pid."""
        found = {("supervisor", 0): self.server.process.pid}
        for role, pids in self.server.roles().items():
            for copy, pid in enumerate(sorted(pids)):
                found[role, copy] = pid
        return found

    def survey(self, sets=3):
        """(role, copy, call) to how often it is made in a set."""
        counts = {}
        for supervisor in (False, True):
            tracers = {key: Tracer(self.tool, pid) for key, pid in self.targets().items() if (key[0] == "supervisor") == supervisor}
            for _ in range(sets):
                self.one_set(supervisor)
            self.settle()
            for (role, copy), tracer in tracers.items():
                for line in tracer.result():
                    words = line.split()
                    if len(words) == 2 and int(words[0]) in NAMES:
                        counts[role, copy, NAMES[int(words[0])]] = max(1, int(words[1]) // sets)
        return counts

    def started_anew(self, role):
        """Kills a process of this role; the pid of the one in its place, as soon as it is there."""
        before = until(lambda: self.server.roles().get(role), f"{role} to run", PATIENCE * 2)
        os.kill(before[0], signal.SIGKILL)
        end = time.monotonic() + PATIENCE * 2
        while time.monotonic() < end:
            for pid in set(self.server.roles().get(role, [])) - set(before):
                return pid
        raise AssertionError(f"{role} is not started again")

    def survey_start(self):
        """The same for the start of each role."""
        counts = {}
        for role in ROLES:
            tracer = Tracer(self.tool, self.started_anew(role))
            self.well(f"a start of {role}")
            for line in tracer.result():
                words = line.split()
                if len(words) == 2 and int(words[0]) in NAMES:
                    counts[role, 0, NAMES[int(words[0])]] = int(words[1])
        return counts

    @staticmethod
    def places(count, most, spread):
        """1, 2, 3 ... of a call that is made `count` times in a set; of one made often the first ones, and then ever fewer, the
        same for every count, since no two sets make equally many."""
        places = list(range(1, min(count, most // 2 if spread else most) + 1))
        while spread and places[-1] < count:
            places.append(places[-1] + max(1, places[-1] // max(1, most // 6) if len(places) >= most // 2 else 1))
        return [at for at in places if at <= count]

    @staticmethod
    def plan(counts, most, starting=False, spread=True):
        """Every failure of every call, at each of its places in a set."""
        found = []
        for (role, copy, call), count in sorted(counts.items()):
            found += [Injection(role, copy, call, at, how, error, starting) for at in Sweep.places(count, most, spread)
                      for how, error in FAILURES.get(call, [])]
        return found

    # ---- one ----

    def inject(self, injection):
        """One failing call under one set, then a server that is well. Gives hit, missed or gone."""
        targets = self.targets()
        if injection.starting:
            pid = self.started_anew(injection.role)
        else:
            pid = until(lambda: self.targets().get((injection.role, injection.copy)), f"{injection.role} to run", PATIENCE * 2)
        self.done.append((self.number + 1, str(injection)))
        tracer = Tracer(self.tool, pid, NUMBERS[injection.call], injection.at, injection.how, getattr(errno, injection.error, 0))
        began = time.monotonic()
        hung = self.one_set(injection.role == "supervisor")
        if not tracer.ended():
            time.sleep(0.05)
        result = "".join(tracer.result()) or "gone"
        self.hits[result] += 1
        assert not hung, f"after {injection} ({result}): {hung}"
        if self.server.process.poll() is not None:
            assert injection.role == "supervisor", f"after {injection}: the server ended"
            self.ends["supervisor"] += 1
            until(lambda: not any(alive(p) for p in targets.values()), "the roles to end with it", PATIENCE)
            self.server.start()
        self.well(injection)
        took = time.monotonic() - began
        self.slowest = max(self.slowest, (took, f"{injection} ({result})"))
        return result

    def well(self, injection):
        """Every process runs and a message, a mailbox by POP3 and by IMAP and a command work."""
        def works():
            self.number += 1
            before = len(self.taken)
            try:
                with smtplib.SMTP("127.0.0.1", self.server.ports["mx"], local_hostname="load.example", timeout=PATIENCE) as client:
                    self.mail(client, f"id-{self.number}-6-", "sender@far.example", ["bob@home.example"])
                self.fetching()
                with self.server.imap("eve@home.example") as client:
                    if client.select("INBOX")[0] != "OK":
                        return False
            except TimeoutError:
                raise
            except (smtplib.SMTPException, poplib.error_proto, imaplib.IMAP4.error, EOFError, OSError):
                return False
            return len(self.taken) > before and self.server.cli("status", check=False).returncode == 0

        try:
            until(works, "the server to be well", PATIENCE * 2)
        except (AssertionError, TimeoutError) as fault:
            raise AssertionError(f"after {injection}: {fault}") from fault

    def stutter(self, sets):
        """Every process is stopped and goes on all the time, for at most 20 ms: real interruptions, real short reads, and peers
        that do not answer for a moment."""
        over = threading.Event()

        def stop_and_go(pid, chance):
            while not over.wait(chance.random() * 0.03):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(chance.random() * 0.02)
                    os.kill(pid, signal.SIGCONT)

        threads = [threading.Thread(target=stop_and_go, args=(pid, random.Random(pid))) for pid in self.targets().values()]
        for t in threads:
            t.start()
        try:
            hung = [h for _ in range(sets) for h in self.one_set()]
        finally:
            over.set()
            for t in threads:
                t.join()
        assert not hung, hung
        self.well("stops")

    # ---- the check ----

    def spinning(self, within=1.0):
        """Roles that compute although nothing is to do."""
        def used():
            found = {}
            for key, pid in self.targets().items():
                with contextlib.suppress(OSError):
                    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                    found[key, pid] = int(fields[11]) + int(fields[12])
            return found

        before = used()
        time.sleep(within)
        return [key for key, ticks in used().items() if ticks - before.get(key, ticks) > 0.25 * within * os.sysconf("SC_CLK_TCK")]

    def log_faults(self):
        """A process may end because of a call that failed, but with a line that says why, not by a signal of its own."""
        faults, said, lines = [], set(), self.server.log_text().splitlines()
        for number, line in enumerate(lines):
            if m := re.search(r"\S+ (\w+)\[(\d+)\] (?:error fatal|warning exit) reason=", line):
                said.add((m[1], m[2]))
            if (m := re.search(r"role-ended role=(\w+) copy=(\d+) signal=(\d+) exit=(\d+)", line)) and "error" in line:
                self.ends[m[1]] += 1
                by_loader = m[4] == "127"  # which has said on standard error what it misses
                if m[3] not in ("0", "9") or (m[3] == "0" and not by_loader and (m[1], m[2]) not in said):
                    # with what it said last, and what a library wrote beside the log
                    faults.append("\n".join(l for l in [*lines[max(0, number - 60):number], line] if f" {m[1]}[{m[2]}] " in l or not re.match(r"20\S+Z ", l) or l is line))
                said.discard((m[1], m[2]))
        return faults

    def check(self):
        """Stops the server; raises when anything is lost, doubled, unsound, computing for nothing, or was not said."""
        window = "\n".join(f"  {n}: {i}" for n, i in self.done)
        try:
            self.settle(60)
            code, wrong, _ = verify(self.server)
            assert (code, wrong) == (0, []), f"verify: {wrong}"
            shown = self.server.cli("account", "list").stdout
            there = set(re.findall(r"\bn\d+@home\.example", shown))
            assert self.accounts <= there and there <= self.accounts | self.unsure, f"accounts: {self.accounts ^ there} (unsure {self.unsure})"
            assert not self.spinning(), f"these compute for nothing: {self.spinning()}"
            code = self.server.stop()
            assert code == 0, f"the server ended with {code}"
            faults = self.log_faults()
            assert not faults, "ended without a reason in the log:\n" + "\n".join(faults)
            super().check()
            integrity(self.server.data)
        except AssertionError as fault:
            raise AssertionError(f"{fault}\nsince the last check, by the number of their set:\n{window}") from fault
        self.done = []
        self.server.log.write_text("")
