"""IMAP under kill -9: clients that share a mailbox and know what they were told (imap_stress.py), clients that keep books of their own
mailboxes (imap_ledger.py), clients that go in the middle of commands, and mail that comes by SMTP, all in one account; the mailbox
role, or the whole tree, is killed at random moments."""
import contextlib
import os
import random
import signal
import threading
import time

from harness import alive, until
from imap_ledger import Ledger, Receiver, Sender
from imap_stress import Client, Lost, Wrong, compare

KINDS = ("plain", "condstore", "qresync")
PATIENT = 60  # seconds until the server is back
MANY = 1024   # messages in the mailbox of the one that leaves


class Leaver(Client):
    """Begins something long and goes away."""

    def __init__(self, *args, **more):
        self.left = 0
        super().__init__(*args, **more)

    def fill(self):
        self.do(f"APPEND {self.box} {{3+}}\r\nabc")
        self.do("NOOP")
        while len(self.memory.messages) < MANY:
            self.do(f"COPY 1:* {self.box}")

    def step(self):
        flag = self.chance.choice(("\\Seen", "\\Flagged", "k3"))
        commands = (f"STORE 1:* +FLAGS.SILENT ({flag})", f"STORE 1:* -FLAGS.SILENT ({flag})", f"UID MOVE 1:* {self.box}", f"COPY 1:200 {self.box}",
                    "FETCH 1:100 BODY[]")
        self.send(self.chance.choice(commands))
        time.sleep(self.chance.random() / 20)
        self.left += 1
        self.reopen()
        if len(self.memory.messages) > 2 * MANY:
            self.do(f"STORE 1:{len(self.memory.messages) - MANY} +FLAGS.SILENT (\\Deleted)")
            self.do("EXPUNGE")


class Crowd:
    """Everybody, on a server of harness.py. `kills`: how the server dies, or none."""

    def __init__(self, server, connect, address, password, seed, kills, count=6):
        self.server, self.chance, self.kills = server, random.Random(f"{seed}-kills"), kills
        patient = PATIENT if kills else 0
        log = (connect, address, password)
        first = Client(*log, f"{seed}-first", "plain")
        for name in ("Shared", "Many"):
            first.do(f"CREATE {name}")
        first.s.close()
        self.shared = [Client(*log, f"{seed}-{i}", KINDS[i % 3], "Shared", patient) for i in range(count)]
        self.receiver = Receiver(*log, f"{seed}-receiver", "receiver", patient)
        self.ledgers = [self.receiver] + [Ledger(*log, f"{seed}-ledger{i}", f"ledger{i}", patient) for i in range(2)]
        self.leavers = [Leaver(*log, f"{seed}-leaver", "plain", "Many", patient)]
        self.leavers[0].fill()
        self.sender = Sender(server.ports["mx"], address, random.Random(f"{seed}-sender"))
        self.log, self.failures, self.killed, self.rounds = log, [], {"mailbox": 0, "tree": 0}, 0

    def clients(self):
        return [*self.shared, *self.ledgers, *self.leavers]

    def work(self, who, until_when):
        try:
            while time.monotonic() < until_when and not self.failures:
                who.try_step()
        except Exception as e:  # whatever it is ends the run
            self.failures.append(f"{getattr(who, 'name', type(who).__name__)}: {type(e).__name__}: {e}")

    def kill_now(self):
        victim = "tree" if sum(self.killed.values()) % 5 == 4 else "mailbox"
        self.killed[victim] += 1
        if victim == "tree":
            self.server.kill_tree()
            self.server.start()
            return
        pids = until(lambda: self.server.roles().get("mailbox"), "mailbox to run")
        pid = self.chance.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid), "mailbox to be dead")

    def kill_until(self, until_when):
        try:
            while not self.failures:
                time.sleep(0.3 + 1.2 * self.chance.random())
                if time.monotonic() > until_when:
                    return
                self.kill_now()
        except Exception as e:
            self.failures.append(f"kill: {type(e).__name__}: {e}")

    def round(self, seconds):
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self.work, args=(who, end)) for who in [*self.clients(), self.sender]]
        if self.kills:
            threads.append(threading.Thread(target=self.kill_until, args=(end,)))
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.rounds += 1
        self.raise_failures()
        self.compare()

    def raise_failures(self):
        if self.failures:
            raise Wrong("; ".join(self.failures))

    def quiet(self, client):
        try:
            client.do("NOOP")
        except (Lost, OSError):
            if not self.kills:
                raise
            client.reopen()

    def compare(self):
        for c in self.clients():
            if isinstance(c, Ledger):
                c.settle() if self.kills else c.check(*c.nothing())
            else:
                self.quiet(c)
        truth = Client(*self.log, "truth", "plain", "Shared")
        truth.do("UID FETCH 1:* (UID FLAGS)")
        compare(self.shared, truth)
        truth.s.close()

    def end(self):
        """All that SMTP took has come."""
        def all_came():
            self.receiver.check(*self.receiver.nothing())
            return self.sender.sent <= set(self.receiver.came)

        until(all_came, f"what was sent to come: {sorted(self.sender.sent - set(self.receiver.came))[:10]}")
        for c in self.clients():
            c.s.close()

    def figures(self):
        return (f"{sum(c.commands for c in self.clients())} commands over {sum(c.connections for c in self.clients())} connections, "
                f"{self.killed['mailbox']} kills of mailbox and {self.killed['tree']} of the tree, {sum(c.left for c in self.leavers)} clients gone in the middle; "
                f"{sum(c.confirmed for c in self.ledgers)} changes confirmed and {sum(c.uncertain for c in self.ledgers)} in doubt, held against the books "
                f"{sum(c.reads for c in self.ledgers)} times; {len(self.sender.sent)} of {self.sender.tried} messages taken by SMTP, "
                f"{len(self.receiver.came)} came; {self.rounds} rounds")


def run(server, connect, address, password, seconds, seed, kills):
    """Rounds of at most ten seconds, compared after each; gives the figures in a line."""
    crowd = Crowd(server, connect, address, password, seed, kills)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        crowd.round(min(10, max(3, end - time.monotonic())))
    crowd.end()
    return crowd.figures()
