"""IMAP clients that keep books: each has mailboxes of its own, does one thing at a time, and knows after every answer what must be
there. When the server is killed in the middle of a command, what is there afterwards must be what was before it or what it makes,
nothing between. A uid once told belongs to that message for ever, no modification sequence goes back, UIDVALIDITY stays.

`Ledger` appends, copies, moves, flags and removes; `Receiver` also takes what SMTP delivers to INBOX: nothing twice.
"""
import re
import smtplib
import time

from imap_stress import Client, Lost, Wrong

FLAGS = ("\\seen", "\\flagged", "\\answered", "\\draft", "k1", "k2")
MOST = 40  # messages in a mailbox, about
FETCH = re.compile(rb"^\* \d+ FETCH .*?UID (\d+)")


class Box:
    def __init__(self, name):
        self.name, self.validity, self.uidnext, self.modseq = name, None, 1, 0
        self.floor = 1      # uidnext when `messages` was right; uidnext itself may be told before that is found out
        self.messages = {}  # uid: (mark, flags): what must be there
        self.marks = {}     # uid: mark, of all that were ever told
        self.modseqs = {}   # uid: the highest that was told


class Change:
    """What a command makes of the mailboxes: messages taken away, other flags, and new ones behind all others."""

    def __init__(self):
        self.gone, self.flags, self.new = set(), {}, {}

    def after(self, box):
        kept = {uid: (mark, self.flags.get((box.name, uid), flags)) for uid, (mark, flags) in box.messages.items() if (box.name, uid) not in self.gone}
        return kept, self.new.get(box.name, [])


class Ledger(Client):
    def __init__(self, connect, user, password, seed, name, patient=0, boxes=2):
        self.name, self.made, self.confirmed, self.uncertain, self.reads = name, 0, 0, 0, 0
        self.boxes = [Box(f"{name}-{i}") for i in range(boxes)]
        super().__init__(connect, user, password, seed, "condstore", self.boxes[0].name, patient)

    def select(self):
        """At each connection: the mailboxes are there, and what is in them is right."""
        self.selected = None
        if not self.confirmed:
            for box in self.own():
                self.command(f"CREATE {box.name}", b"NO [ALREADYEXISTS")
        self.confirmed += 1

    def own(self):
        return self.boxes

    # ---- answers, with what their literals hold ----

    def whole_line(self):
        line = b""
        while True:
            while b"\r\n" not in self.buffer:
                self.more()
            part, self.buffer = self.buffer.split(b"\r\n", 1)
            line += part
            literal = re.search(rb"\{(\d+)\}$", part)
            if not literal:
                return line
            n = int(literal[1])
            while len(self.buffer) < n:
                self.more()
            line, self.buffer = line + self.buffer[:n], self.buffer[n:]

    def command(self, text, or_else=b"OK"):
        """All lines of the answer; the last one is the tagged one."""
        tag, lines = self.send(text), []
        while True:
            line = self.whole_line()
            if line.startswith(b"* BYE"):
                raise Lost(line.decode("latin-1"))
            lines.append(line)
            if line.startswith(tag):
                if self.patient and line[len(tag):].startswith(b"NO [UNAVAILABLE"):  # directory is not back yet
                    raise Lost(text[:100])
                if not line[len(tag):].startswith((b"OK", or_else)):
                    raise Wrong(f"{self.name}: {text[:100]}: {line!r}")
                return lines

    # ---- what is there ----

    def read(self, box):
        """The mailbox as the server tells it, held against all that was ever told of it: [(uid, mark, flags)]."""
        selected = b"\n".join(self.command(f"SELECT {box.name}"))
        self.selected = box
        self.reads += 1
        told = {name: int(n) for name, n in re.findall(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]", selected)}
        if box.validity not in (None, told[b"UIDVALIDITY"]):
            raise Wrong(f"{box.name}: UIDVALIDITY was {box.validity}, is {told[b'UIDVALIDITY']}")
        if told[b"UIDNEXT"] < box.uidnext or told[b"HIGHESTMODSEQ"] < box.modseq:
            raise Wrong(f"{box.name}: uidnext {box.uidnext} and modseq {box.modseq} went back: {told}")
        found = []
        for line in self.command("UID FETCH 1:* (FLAGS MODSEQ BODY.PEEK[HEADER.FIELDS (X-MARK)])"):
            if FETCH.match(line):
                found.append(self.message(box, line))
        box.validity, box.uidnext, box.modseq = told[b"UIDVALIDITY"], told[b"UIDNEXT"], max(told[b"HIGHESTMODSEQ"], *[0, *box.modseqs.values()])
        for uid, mark, _ in found:
            self.note(box, uid, mark)
        return found

    def message(self, box, line):
        uid, modseq = int(FETCH.match(line)[1]), int(re.search(rb"MODSEQ \((\d+)\)", line)[1])
        mark, flags = re.search(rb"X-Mark: (\S+)", line, re.I), re.search(rb"FLAGS \(([^)]*)\)", line)
        if modseq < box.modseqs.get(uid, 0):
            raise Wrong(f"{box.name}: uid {uid} had modseq {box.modseqs[uid]}, has {modseq}")
        box.modseqs[uid] = modseq
        return uid, mark[1].decode() if mark else None, frozenset(flags[1].decode().lower().split())

    def note(self, box, uid, mark):
        if box.marks.setdefault(uid, mark) != mark:
            raise Wrong(f"{box.name}: uid {uid} was {box.marks[uid]}, is {mark}")

    @staticmethod
    def fits(box, change, found):
        """What is there is what the change makes."""
        kept, new = change.after(box)
        old = {uid: (mark, flags) for uid, mark, flags in found if uid in box.messages}
        fresh = [(uid, mark, flags) for uid, mark, flags in found if uid not in box.messages]
        return old == kept and [f[1:] for f in fresh] == new and all(uid >= box.floor for uid, _, _ in fresh)

    def check(self, *changes):
        """All mailboxes are as one of the changes leaves them; they then count as that."""
        found = {box.name: self.found(box) for box in self.own()}
        for change in changes:
            if all(self.fits(box, change, found[box.name]) for box in self.own()):
                for box in self.own():
                    box.messages, box.floor = {uid: (mark, flags) for uid, mark, flags in found[box.name]}, box.uidnext
                return
        wrong = [box for box in self.own() if not any(self.fits(box, c, found[box.name]) for c in changes)] or self.own()
        raise Wrong(f"{self.name}: " + "; ".join(f"{b.name} must be {[c.after(b) for c in changes]}, is {found[b.name]}, from {b.floor}" for b in wrong))

    def found(self, box):
        return self.read(box)

    @staticmethod
    def nothing():
        return [Change()]

    # ---- what it does ----

    def do_change(self, box, text, change):
        """box: the mailbox to be selected, or None."""
        self.pending = None
        if box is not None and self.selected is not box:
            self.command(f"SELECT {box.name}")
            self.selected = box
        self.pending = change
        lines = self.command(text)
        self.pending = None
        self.confirmed += 1
        codes = re.findall(rb"\[(APPENDUID|COPYUID) (\d+) ([\d:,]+)(?: ([\d:,]+))?\]", b"\n".join(lines))
        self.enter(box, change, [list(self.memory.uids(c[3] or c[2])) for c in codes])

    def enter(self, source, change, uids):
        for box in self.own():
            kept, new = change.after(box)
            if new and (not uids or len(uids[0]) != len(new)):
                raise Wrong(f"{self.name}: {len(new)} new messages got the uids {uids}")
            for uid, (mark, flags) in zip(uids[0] if new else [], new):
                if uid < box.uidnext:
                    raise Wrong(f"{box.name}: new uid {uid}, below {box.uidnext}")
                box.uidnext = uid + 1
                self.note(box, uid, mark)
                kept[uid] = (mark, flags)
            box.messages, box.floor = kept, box.uidnext

    def append(self, box):
        many, text, change = self.chance.choice((1, 1, 1, 2, 5)), f"APPEND {box.name}", Change()
        for _ in range(many):
            self.made += 1
            mark, flags = f"{self.name}.{self.made}", frozenset(self.chance.sample(FLAGS, self.chance.randrange(3)))
            body = f"X-Mark: {mark}\r\nSubject: x\r\n\r\n" + "x" * self.chance.choice((10, 2000, 100000))
            text += f" ({' '.join(sorted(flags))}) {{{len(body)}+}}\r\n{body}"
            change.new.setdefault(box.name, []).append((mark, flags))
        self.do_change(None, text, change)

    def some(self, box):
        return sorted(self.chance.sample(sorted(box.messages), min(len(box.messages), self.chance.choice((1, 2, 10)))))

    def copy(self, box, to, moves):
        uids, change = self.some(box), Change()
        change.new[to.name] = [box.messages[u] for u in uids]
        change.gone = {(box.name, u) for u in uids} if moves else set()
        self.do_change(box, f"UID {'MOVE' if moves else 'COPY'} {','.join(map(str, uids))} {to.name}", change)

    def store(self, box):
        uids, flags, how = self.some(box), frozenset(self.chance.sample(FLAGS, 2)), self.chance.choice(("+", "-", ""))
        change = Change()
        for u in uids:
            was = box.messages[u][1]
            change.flags[box.name, u] = was | flags if how == "+" else was - flags if how == "-" else flags
        self.do_change(box, f"UID STORE {','.join(map(str, uids))} {how}FLAGS ({' '.join(sorted(flags))})", change)

    def expunge(self, box):
        uids, marked, gone = self.some(box), Change(), Change()
        for u in uids:
            marked.flags[box.name, u] = box.messages[u][1] | {"\\deleted"}
            gone.gone.add((box.name, u))
        numbers = ",".join(map(str, uids))
        self.do_change(box, f"UID STORE {numbers} +FLAGS.SILENT (\\Deleted)", marked)
        self.do_change(box, f"UID EXPUNGE {numbers}", gone)

    def targets(self):
        return self.boxes

    def step(self):
        box, to, what = self.chance.choice(self.own()), self.chance.choice(self.targets()), self.chance.randrange(20)
        if what == 0:
            self.check(Change())
        elif box in self.targets() and (not box.messages or (what < 7 and len(box.messages) < MOST)):
            self.append(box)
        elif not box.messages:
            self.check(Change())
        elif len(box.messages) >= MOST or what < 9:
            self.expunge(box)
        elif what < 14:
            self.store(box)
        elif box is not to:
            self.copy(box, to, what < 17 or len(to.messages) >= MOST)

    def try_step(self):
        self.pending = None
        try:
            self.step()
        except (Lost, OSError):
            if not self.patient:
                raise
            self.settle()

    def settle(self):
        """The server was killed: of a command under way everything is there, or nothing."""
        changes = [Change()] + ([self.pending] if self.pending else [])
        self.uncertain += len(changes) - 1
        while True:
            self.reopen()
            try:
                self.check(*changes)
                return
            except (Lost, OSError):
                pass


class Receiver(Ledger):
    """INBOX is its own too: it takes away what comes there. `came`: all marks that were delivered."""

    def __init__(self, *args, **more):
        self.inbox, self.came = Box("INBOX"), {}
        super().__init__(*args, **more)

    def own(self):
        return [self.inbox, *self.boxes]

    def found(self, box):
        """New messages in INBOX are no surprise, if they come once."""
        found = self.read(box)
        for uid, mark, flags in found if box is self.inbox else []:
            if uid in box.messages or mark in self.came and self.came[mark] == uid:
                continue
            if mark in self.came:
                raise Wrong(f"{mark} was delivered twice: uid {self.came[mark]} and {uid}")
            self.came[mark] = uid
            box.messages[uid] = (mark, flags)
        return found


class Sender:
    """Delivers to the receiver over SMTP. `sent`: what was answered with 250."""

    def __init__(self, port, to, chance):
        self.port, self.to, self.chance, self.sent, self.tried = port, to, chance, set(), 0

    def try_step(self):
        self.tried += 1
        mark = f"smtp.{self.tried}"
        body = ("y" * 70 + "\r\n") * self.chance.choice((1, 40, 1300))
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
                client.sendmail("s@far.example", [self.to], f"X-Mark: {mark}\r\nSubject: y\r\n\r\n{body}")
                self.sent.add(mark)
        except (OSError, smtplib.SMTPException):
            pass
        time.sleep(self.chance.random() / 5)
