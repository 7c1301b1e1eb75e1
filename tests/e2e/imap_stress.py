#!/usr/bin/python3
"""Many IMAP clients on one mailbox at once, each doing what chance says. Each keeps in memory what it was told and nothing
else; when all are quiet, each memory must be the mailbox.

usage: tests/e2e/imap_stress.py HOST PORT USER PASSWORD [SECONDS [CLIENTS [SEED]]]     (TLS from the first byte, not verified)
"""
import random
import re
import socket
import ssl
import sys
import threading
import time

FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Draft", "k1", "k2", "")
ITEM = re.compile(rb"(?:UID (\d+)|FLAGS \(([^)]*)\)|MODSEQ \((\d+)\))")
NO_EXPUNGE = ("FETCH", "STORE", "SEARCH")


class Wrong(Exception):
    pass


class Lost(Wrong):
    """The connection is gone."""


class Memory:
    """The mailbox as it was told: [uid or None, flags or None] a message."""

    def __init__(self):
        self.messages, self.validity, self.told, self.seen, self.saved, self.old = [], None, 0, 0, 0, None

    def uids(self, text):
        for part in text.split(b","):
            low, _, high = part.partition(b":")
            yield from range(int(low), int(high or low) + 1)

    def vanished(self, uid, earlier):
        messages = self.messages if self.old is None else self.old
        place = None  # or where it could be: among those whose uids were not told, between its neighbours
        for i, m in enumerate(messages):
            if m[0] == uid:
                del messages[i]
                return
            if (m[0] or 0) > uid:
                break
            place = i if m[0] is None else None
        if not earlier and place is None:
            raise Wrong(f"VANISHED {uid}, which was not there")
        if not earlier:
            del messages[place]

    def fetched(self, number, items):
        if not 1 <= number <= len(self.messages):
            raise Wrong(f"FETCH of {number}, there are {len(self.messages)}")
        m = self.messages[number - 1]
        for uid, flags, modseq in ITEM.findall(items):
            if uid:
                if m[0] not in (None, int(uid)):
                    raise Wrong(f"number {number} had uid {m[0]}, has {int(uid)}")
                m[0] = int(uid)
            elif modseq:
                self.seen = max(self.seen, int(modseq))
            else:
                m[1] = frozenset(flags.lower().split())

    def begin_select(self, resync):
        self.old = [m for m in self.messages if None not in m] if resync else []
        self.messages, self.told, self.seen = [], 0, 0

    def end_select(self):
        known, self.old = self.old, None
        told = {m[0] for m in self.messages}
        known = iter([m for m in known if m[0] not in told])
        for m in self.messages:
            if m[0] is None:
                old = next(known, None)
                if old is None:
                    break
                m[:] = old
        if next(known, None) is not None:
            raise Wrong("QRESYNC did not tell that a message is gone")

    def end_command(self):
        now = self.told or max(self.seen, self.saved)
        if self.messages is not None and all(None not in m for m in self.messages):
            self.saved = now
        self.told = self.seen = 0


class Client:
    """patient: so many seconds it tries to connect again when the server is killed; 0: losing the connection is a fault."""

    def __init__(self, connect, user, password, seed, kind, box="INBOX", patient=0):
        self.connect, self.user, self.password, self.box, self.patient = connect, user, password, box, patient
        self.chance, self.kind, self.memory = random.Random(seed), kind, Memory()
        self.count, self.commands, self.connections = 0, 0, 0
        self.open()

    def open(self):
        end = time.monotonic() + self.patient
        while True:
            try:
                self.open_once()
                return
            except (Lost, OSError):
                if time.monotonic() > end:
                    raise
                if self.memory.old is not None:  # in the middle of SELECT: what is known is no state that ever was
                    self.memory = Memory()
                time.sleep(0.1)

    def open_once(self):
        self.s, self.buffer = self.connect(), b""
        self.connections += 1
        self.read_line()
        if not self.wait(self.send(f'LOGIN {self.user} "{self.password}"')).startswith(b"OK"):
            raise Lost("no login")
        if self.kind != "plain":
            self.do(f"ENABLE {self.kind.upper()}")
        self.select()

    def try_step(self):
        try:
            self.step()
        except (Lost, OSError):
            if not self.patient:
                raise
            self.reopen()

    def reopen(self):
        self.s.close()
        if self.memory.old is not None:
            self.memory = Memory()
        self.open()

    # ---- lines ----

    def more(self):
        data = self.s.recv(65536)
        if not data:
            raise Lost("the connection was closed")
        self.buffer += data

    def read_line(self):
        line = b""
        while True:
            while b"\r\n" not in self.buffer:
                self.more()
            part, self.buffer = self.buffer.split(b"\r\n", 1)
            line += part
            literal = re.search(rb"\{(\d+)\}$", part)
            if not literal:
                return line
            while len(self.buffer) < int(literal[1]):
                self.more()
            self.buffer = self.buffer[int(literal[1]):]

    def untagged(self, line, no_expunge):
        m = self.memory
        word = line[2:].split(b" ", 2)
        if line.startswith(b"* BYE"):
            raise Lost(line.decode("latin-1"))
        if word[0].isdigit():
            n = int(word[0])
            if word[1] == b"EXISTS":
                if n < len(m.messages):
                    raise Wrong("EXISTS fell")
                m.messages += [[None, None] for _ in range(n - len(m.messages))]
            elif word[1] == b"EXPUNGE":
                if no_expunge or not 1 <= n <= len(m.messages):
                    raise Wrong(f"EXPUNGE of {n} at the wrong time")
                del m.messages[n - 1]
            elif word[1] == b"FETCH":
                m.fetched(n, word[2])
        elif word[0] == b"VANISHED":
            earlier = word[1] == b"(EARLIER)"
            if no_expunge and not earlier:
                raise Wrong("VANISHED at the wrong time")
            for uid in m.uids(word[2] if earlier else word[1]):
                m.vanished(uid, earlier)
        elif found := re.match(rb"\* OK \[(UIDVALIDITY|HIGHESTMODSEQ) (\d+)\]", line):
            if found[1] == b"UIDVALIDITY":
                m.validity = int(found[2])
            else:
                m.told = int(found[2])

    def send(self, command):
        self.count += 1
        self.commands += 1
        self.s.sendall(f"t{self.count} {command}\r\n".encode())
        return b"t%d " % self.count

    def wait(self, tag, no_expunge=False, end=None):
        while True:
            line = self.read_line()
            if line.startswith(tag):
                if found := re.match(rb"\[HIGHESTMODSEQ (\d+)\]", line[len(tag) + 3:]):
                    self.memory.told = int(found[1])
                return line[len(tag):]
            if line.startswith(b"* "):
                self.untagged(line, no_expunge)
            elif not line.startswith(b"+"):
                raise Wrong(f"neither tagged nor untagged: {line!r}")

    def do(self, command):
        answer = self.wait(self.send(command), command.split()[0] in NO_EXPUNGE)
        if self.patient and answer.startswith(b"NO [UNAVAILABLE"):  # directory is not back yet: another time
            raise Lost(command)
        if not answer.startswith((b"OK", b"NO [")) or answer.startswith(b"NO [UNAVAILABLE"):
            raise Wrong(f"{command}: {answer!r}")
        self.memory.end_command()
        return answer

    # ---- commands ----

    def select(self):
        m = self.memory
        resync = self.kind == "qresync" and m.saved and m.validity
        how = f" (QRESYNC ({m.validity} {m.saved}))" if resync else ""
        m.begin_select(resync)
        answer = self.wait(self.send(f"SELECT {self.box}{how}"))
        if not answer.startswith(b"OK"):
            raise Wrong(f"SELECT: {answer!r}")
        m.end_select()
        m.end_command()

    def set(self, uid):
        top = max([m[0] or 0 for m in self.memory.messages] + [1]) + 3 if uid else len(self.memory.messages)
        a, b = self.chance.randint(1, top), self.chance.randint(1, top)
        return self.chance.choice((f"{a}", f"{a}:{b}", f"{a},{b}", f"{a}:*"))

    def idle(self):
        tag = self.send("IDLE")
        time.sleep(self.chance.random() / 20)
        self.s.sendall(b"DONE\r\n")
        self.wait(tag)
        self.memory.end_command()

    def with_set(self):
        uid = self.chance.random() < 0.5
        word, numbers = "UID " if uid else "", self.set(uid)
        what = self.chance.randrange(6)
        if what < 2:
            how, flag = self.chance.choice(("FLAGS", "+FLAGS", "-FLAGS")), self.chance.choice(FLAGS)
            self.do(f"{word}STORE {numbers} {how} ({flag})")
        elif what < 4:
            self.do(f"{word}FETCH {numbers} (UID FLAGS{' MODSEQ' if self.kind != 'plain' else ''})")
        elif what == 4 and len(self.memory.messages) < 60:
            self.do(f"{word}COPY {numbers} {self.chance.choice((self.box, 'Sent'))}")
        else:
            self.do(f"{word}MOVE {self.chance.randint(1, len(self.memory.messages)) if not uid else numbers} Sent")

    def step(self):
        what = self.chance.randrange(20)
        if what == 0:
            self.do("EXPUNGE")
        elif what == 1:
            self.idle()
        elif what == 2 and self.kind == "qresync":
            self.reopen()
        elif what == 3:
            self.do("UNSELECT")
            self.select()
        elif what < 7 and len(self.memory.messages) < 60:
            self.do(f"APPEND {self.box} ({self.chance.choice(FLAGS)}) {{3+}}\r\nabc")
        elif what < 9 or not self.memory.messages:
            self.do("NOOP")
        else:
            self.with_set()


def compare(clients, truth):
    want = [tuple(m) for m in truth.memory.messages]
    for c in clients:
        have = c.memory.messages
        if len(have) != len(want):
            raise Wrong(f"a {c.kind} client knows {len(have)} messages, there are {len(want)}")
        for (uid, flags), (is_uid, is_flags) in zip(have, want):
            if uid not in (None, is_uid) or flags not in (None, is_flags):
                raise Wrong(f"a {c.kind} client has uid {uid} {flags}, it is {is_uid} {is_flags}")


def stress(connect, user, password, seconds, count=8, seed=1):
    """Rounds of a few seconds, compared after each; gives how many commands were said. `connect` makes a connection."""
    kinds = ("plain", "condstore", "qresync")
    clients = [Client(connect, user, password, f"{seed}-{i}", kinds[i % 3]) for i in range(count)]
    end, failures = time.monotonic() + seconds, []

    def work(client, until):
        try:
            while time.monotonic() < until and not failures:
                client.try_step()
        except Exception as e:  # whatever it is ends the run
            failures.append(f"{client.kind}: {type(e).__name__}: {e}")

    while time.monotonic() < end:
        until = min(end, time.monotonic() + 5)
        threads = [threading.Thread(target=work, args=(c, until)) for c in clients]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failures:
            raise Wrong("; ".join(failures))
        for c in clients:
            c.do("NOOP")
        truth = Client(connect, user, password, "truth", "plain")
        truth.do("UID FETCH 1:* (UID FLAGS)")
        compare(clients, truth)
        truth.s.close()
    for c in clients:
        c.s.close()
    return sum(c.commands for c in clients)


def main():
    host, port, user, password, *rest = sys.argv[1:]
    seconds, count, seed = [int(x) for x in rest + ["3600", "8", "1"][len(rest):]]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    said = stress(lambda: context.wrap_socket(socket.create_connection((host, int(port)), 60)), user, password, seconds, count, seed)
    print(f"{said} commands, every client knew the mailbox")


if __name__ == "__main__":
    main()
