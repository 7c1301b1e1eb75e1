"""kill -9 under load: every message that was answered with 250 is delivered or still queued, and none is stored twice.

STAFFETTA_ROUNDS (20 by default) kills happen while clients send: each role in turn, and now and then the whole tree.
"""
import collections
import contextlib
import os
import random
import re
import signal
import smtplib
import threading

from harness import ROLES, Case, letter, until

ROUNDS = int(os.environ.get("STAFFETTA_ROUNDS", "20"))
CLIENTS = 4


class Crash(Case):
    kills = True
    config = {"queue": {"retry": ["1s", "1s", "1s", "1s", "2s"]}, "relay": {"command_time": "20s"}}

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")
        cls.server.account("bob@home.example")

    def load(self, number, stop, taken, sent):
        """Sends without end; what got its 250 is noted only after the reply was read."""
        chance = random.Random(number)
        client, count = None, 0
        while not stop.is_set():
            count += 1
            mark = f"id-{number}-{count}-"
            local = [f"{u}@home.example" for u in ("ann", "bob") if chance.random() < 0.7]
            rcpts = local + ([f"r{count}@far.example"] if not local or chance.random() < 0.5 else [])
            body = "x" * 70 + "\r\n"
            try:
                if client is None:
                    client = smtplib.SMTP("127.0.0.1", self.server.ports["mx"], local_hostname="load.example", timeout=20)
                sent[mark] = rcpts
                refused = client.sendmail("ann@load.example", rcpts, letter("ann@load.example", rcpts[0], mark, body * chance.choice((1, 10, 2000))))
                taken[mark] = [r for r in rcpts if r not in refused]
            except (OSError, smtplib.SMTPException):
                if client is not None:
                    client.close()
                client = None
                stop.wait(0.02)
        if client is not None:
            client.close()

    def kill(self, victim):
        if victim == "tree":
            self.server.kill_tree()
            self.server.start()
            return
        pids = until(lambda: self.server.roles().get(victim), f"{victim} to run")
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(pids), signal.SIGKILL)

    def found(self, user):
        """How often each mark is in the mailbox."""
        counts = collections.Counter()
        client = self.server.pop3(user)
        for i in range(client.stat()[0]):
            head = b"\n".join(client.top(i + 1, 0)[1]).decode()
            counts[re.search(r"^Subject: (id-\d+-\d+-)", head, re.M)[1]] += 1
        client.quit()
        return counts

    def test_nothing_is_lost_and_nothing_doubled(self):
        far = self.sink("127.0.0.1", port=0)
        self.server.route("recipient:far.example", "smtp", f"127.0.0.1:{far.port}")
        stop, taken, sent = threading.Event(), {}, {}
        clients = [threading.Thread(target=self.load, args=(n, stop, taken, sent)) for n in range(CLIENTS)]
        for c in clients:
            c.start()
        try:
            victims = ["queue", "tree", "mailbox", "filter", "tree", "directory", "relay", "tree", "smtp", "queue", "tree", "events", "mailbox", "resolver",
                       "tree", "access", "web"]
            for i in range(ROUNDS):
                before = len(taken)
                until(lambda: len(taken) >= before + 20, f"20 more messages before kill {i}, of {victims[i % len(victims)]}")
                self.kill(victims[i % len(victims)])
        finally:
            stop.set()
            for c in clients:
                c.join()
        self.server.cli("queue", "retry", "--domain=home.example", check=False)
        self.server.cli("queue", "retry", "--domain=far.example", check=False)
        self.server.queue_empty()
        for user in ("ann@home.example", "bob@home.example"):
            counts = self.found(user)
            lost = [m for m, rcpts in taken.items() if user in rcpts and counts[m] == 0]
            double = [m for m, n in counts.items() if n > 1]
            self.assertEqual((lost, double), ([], []), f"{user}: {len(lost)} lost, {len(double)} doubled of {len(taken)} taken")
        remote = collections.Counter()
        for m in far.messages:
            mark = re.search(rb"^Subject: (id-\d+-\d+-)", m.data, re.M)[1].decode()
            remote[mark] += 1
        lost = [m for m, rcpts in taken.items() if any("far.example" in r for r in rcpts) and not remote[m]]
        self.assertEqual(lost, [], f"{len(lost)} lost on the way out")
        unknown = [m for m in remote if m not in sent]
        self.assertEqual(unknown, [])
        self.assertLessEqual(set(victims), {"tree", *ROLES})
        print(f"     {ROUNDS} kills while {len(taken)} messages were taken; {sum(n - 1 for n in remote.values() if n > 1)} went out twice, which RFC 5321 allows")
