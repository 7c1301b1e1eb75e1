"""kill -9 under mixed load: every message that was answered with 250 is delivered, none is twice in a mailbox, and what
went out twice did so because relay (or the whole tree) was killed between the final dot and the commit of its result.

STAFFETTA_ROUNDS says how many kills (240 by default, 20 in a build with sanitizers), STAFFETTA_SEED which; tests/crash/run
does thousands.
"""
import collections
import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import random
import re
import shutil
import signal
import tempfile
import threading
import time

from harness import ROLES, Case, alive, free_port, sanitized, until
from storm import Storm, integrity
from test_verify import verify

SEED = int(os.environ.get("STAFFETTA_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
VERIFY_EVERY = 20


def rounds():
    return int(os.environ.get("STAFFETTA_ROUNDS", "20" if sanitized() else "240"))


class Kill:
    """connections: how many the sink had seen when the victim was dead; later ones are of a new process."""

    def __init__(self, victim):
        self.victim, self.at, self.connections = victim, time.time(), 0

    def parts(self, first, again):
        return first.connection <= self.connections < again.connection


class Killing(Case):
    kills = True
    config = {"queue": {"retry": ["1s", "1s", "1s", "1s", "2s"]}, "relay": {"command_time": "20s"}, "log_level": "info"}
    victims, tree_every = (), 0

    @classmethod
    def setUpClass(cls):
        if cls is Killing:
            return
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        if cls is not Killing:
            super().tearDownClass()

    @classmethod
    def prepare(cls):
        cls.storm = Storm(cls.server, SEED)
        cls.cleanup.callback(cls.storm.sink.close)
        cls.storm.prepare()

    def check_queue_files(self):
        """A copy of the queue's database as the death left it, log and all, is sound. A command without a server, or a process
        that was just being started, may still have it open: it is waited for."""
        with tempfile.TemporaryDirectory() as folder:
            for path in (self.server.data / "queue").glob("queue-*.db"):
                with open(f"{path}.lock", "rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    for file in (path, pathlib.Path(f"{path}-wal")):
                        if file.exists():
                            shutil.copy(file, folder)
            self.assertGreater(integrity(pathlib.Path(folder)), 0)

    def kill(self, victim):
        if victim == "tree":
            done = Kill(victim)
            self.server.kill_tree()
            done.connections = self.storm.sink.connections
            self.check_queue_files()
            self.server.start()
            return done
        pids = until(lambda: self.server.roles().get(victim), f"{victim} to run")
        done = Kill(victim)
        pid = random.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid), f"{victim} to be dead")
        done.connections = self.storm.sink.connections
        return done

    def storm_through(self, count):
        chance = random.Random(SEED)
        kills, since = [], 0
        print(f"     seed {SEED}", flush=True)
        self.storm.start()
        try:
            for i in range(count):
                before = len(self.storm.taken)
                until(lambda: len(self.storm.taken) >= before + chance.choice((1, 5, 20)), f"more messages before kill {i}, after {[k.victim for k in kills[-5:]]}")
                time.sleep(chance.random() * 0.2)
                since += 1
                tree = self.tree_every and since >= self.tree_every
                kills.append(self.kill("tree" if tree else chance.choice(self.victims)))
                since = 0 if tree else since
                if i % VERIFY_EVERY == VERIFY_EVERY - 1:
                    self.assert_books_right()
        finally:
            self.storm.stop()
        self.storm.settle()
        self.assert_books_right()
        return kills

    def assert_books_right(self):
        self.assertEqual(verify(self.server)[:2], (0, []))

    def stored_at(self):
        """(queue id, recipient) to when queue logged, after its commit, that the recipient was relayed."""
        found = {}
        for line in self.server.log_text().splitlines():
            m = re.match(r"(\S+)Z queue\[\d\] info relayed message=(\w+) to=(\S+)", line)
            if m:
                found[m[2], m[3]] = datetime.datetime.fromisoformat(m[1] + "+00:00").timestamp()
        return found

    def explain(self, twice, kills, guilty):
        """Each repetition belongs to a kill that came while its first copy had no stored result. Gives them by victim."""
        stored, causes, unexplained = self.stored_at(), collections.Counter(), []
        self.answered = []  # seconds between the sink's 250 and the kill, where that came first
        for (mark, rcpt), copies in twice.items():
            copies = sorted(copies, key=lambda c: c.ended)  # the sink's verdict on the first may come after that on the second
            for first, again in zip(copies, copies[1:]):
                id = re.search(rb"^\tid (\w+)", first.data, re.M)
                was_stored = stored.get((id[1].decode(), rcpt), 1e12) if id else 1e12
                between = [k for k in kills if k.parts(first, again)]
                cause = [k for k in between if k.victim in guilty and k.at < was_stored + 0.01]
                if cause:
                    causes[cause[0].victim] += 1
                    self.answered += [cause[0].at - first.answered] if first.answered < cause[0].at else []
                else:
                    unexplained.append((mark, rcpt, again.ended - first.ended, [k.victim for k in between]))
        self.assertEqual(unexplained, [])
        return causes

    def finish(self, kills, guilty):
        self.server.stop()
        twice = self.storm.check()
        causes = self.explain(twice, kills, guilty)
        sound = integrity(self.server.data)
        by_victim = collections.Counter(k.victim for k in kills)
        print(f"     {len(kills)} kills ({', '.join(f'{n} {v}' for v, n in by_victim.most_common())}); {self.storm.summary()}")
        print(f"     sent twice: {sum(causes.values())} ({', '.join(f'{n} by a kill of {v}' for v, n in causes.items()) or 'none'}), "
              f"{len(self.answered)} of them answered before the kill, at most {max(self.answered, default=0) * 1000:.0f} ms; {sound} databases sound")
        self.note(by_victim, causes, sound)
        return causes

    def note(self, by_victim, causes, sound):
        """For tests/crash/run, which adds up many lives."""
        path = os.environ.get("STAFFETTA_FIGURES")
        if not path:
            return
        local, out, reports = self.storm.expected()
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"test": type(self).__name__, "kills": by_victim, "taken": len(self.storm.taken), "local": len(local), "out": len(out),
                                   "reports": len(reports), "twice": causes, "answered": len(self.answered),
                                   "most_ms": max(self.answered, default=0) * 1000, "databases": sound}) + "\n")


class Crash(Killing):
    victims, tree_every = [r for r in ROLES], 10

    def test_nothing_is_lost_and_nothing_doubled(self):
        self.finish(self.storm_through(rounds()), {"relay", "tree"})


class QueueAlone(Killing):
    """Relay and mailbox survive, and know what they delivered: then nothing at all is sent twice. With so few places much is put back."""
    victims, tree_every = ["queue"], 0
    config = {**Killing.config, "copies": {"queue": 2}, "queue": {**Killing.config["queue"], "active": 20}}

    def test_the_death_of_queue_sends_nothing_twice(self):
        kills = self.storm_through(max(4, rounds() // 20))
        self.assertEqual(self.finish(kills, set()), {})


class StopWithoutQueue(Case):
    """The server is stopped when a process of queue has just died, and relay alone knows what other servers took: nothing is sent
    twice afterwards, with another number of relays either."""
    kills = True
    config = {"queue": {"retry": ["1s"]}, "copies": {"relay": 2}}

    def test_what_relay_knows_is_stored_before_it_goes(self):
        far, verdict = self.sink(port=free_port()), threading.Event()
        far.on("DOT", lambda session, line: verdict.wait(60) and None)
        self.server.route("recipient:far.example", "smtp", f"127.0.0.1:{far.port}")
        for _ in range(4):  # each time the next start comes later
            pid = until(lambda: self.server.roles().get("queue"), "queue to run")[0]
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid), "queue to be dead")
        pid = until(lambda: self.server.roles().get("queue"), "queue to run")[0]
        until(lambda: self.server.cli("status", "--verify", check=False).returncode == 0, "all to be up")
        for n in range(10):
            self.server.send("a@x.example", [f"r{n}@far.example"])
        until(lambda: far.live, "the first to be sent")
        time.sleep(1)  # more of them, their number is chance
        os.kill(pid, signal.SIGSTOP)
        verdict.set()
        until(lambda: far.count > 0, "verdicts")
        time.sleep(0.5)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid), "queue to be dead")
        self.server.stop()
        self.server.write_config(copies={"relay": 3})
        self.server.start()
        self.server.queue_empty()
        taken = collections.Counter(r for m in far.messages for r in m.rcpts)
        self.assertEqual(taken, {f"r{n}@far.example": 1 for n in range(10)})
