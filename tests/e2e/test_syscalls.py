"""Every system call of every process fails, one at a time: see sweep.py. Here some of them, always the same; tests/sweep/run
does them all, and finds what nobody has tried.

STAFFETTA_INJECTIONS says how many (50 by default, 10 in a build with sanitizers; 0: all), STAFFETTA_SEED which ones and in which order (1),
STAFFETTA_STARTING=1 calls of processes that are just being started instead,
STAFFETTA_PART one part of them (3/10), STAFFETTA_DONE a file that tells what was tried, which is not tried again and to which is added,
STAFFETTA_SECONDS when to stop, STAFFETTA_MOST at how many places a call made often fails (40), STAFFETTA_SWEEP which processes and calls ("queue", "queue:pwrite64,fdatasync smtp", or one as a failure prints it: "smtp[0] accept4 1 error EMFILE").
"""
import collections
import os
import pathlib
import platform
import random
import re
import tempfile
import time
import unittest

from harness import Case, sanitized
from sweep import FAILURES, MEMORY, Injection, Sweep, build_tool

LONG = os.environ.get("STAFFETTA_INJECTIONS") is not None
STARTING = bool(os.environ.get("STAFFETTA_STARTING"))
SEED = int(os.environ.get("STAFFETTA_SEED", "0")) or 1
SHORT = 12  # places of one call, without the sweep: all of them were tried by it

# What each of these once did: a client waited for ever, a listener was deaf, a role stayed dead, an account was shut.
MENDED = [Injection("access", 0, "write", at, "error", "EIO") for at in (1, 2, 4)]
MENDED += [Injection("smtp", 0, "write", at, "error", "ENOBUFS") for at in (1, 3)]
MENDED += [Injection("filter", 0, "read", at, "error", "EIO") for at in (1, 3)]
MENDED += [Injection("supervisor", 0, "wait4", 1, "error", "EINTR"), Injection("supervisor", 0, "epoll_ctl", 1, "error", "ENOMEM")]
MENDED += [Injection("supervisor", 0, "recvmsg", 1, "error", "ENOMEM"), Injection("smtp", 0, "epoll_ctl", 1, "error", "ENOSPC")]
MENDED += [Injection("mailbox", 0, "fdatasync", at, "error", "EIO") for at in (1, 2, 3)]
MENDED += [Injection("access", 0, "read", at, "error", "EAGAIN") for at in (2, 3, 4)]
ZONE = "*.dns.example. MX 10 mx.dns.example.\nmx.dns.example. A 127.0.0.1\n"


class Done:
    """What was tried: a line for each, "hit queue[0] pwrite64 3 error ENOSPC"."""

    def __init__(self, path):
        self.path = pathlib.Path(path) if path else None

    def done(self):
        lines = self.path.read_text().splitlines() if self.path and self.path.exists() else []
        return {words: result for result, _, words in (line.partition(" ") for line in lines)}

    def add(self, results):
        if self.path:
            with self.path.open("a") as file:
                file.writelines(f"{result} {injection}\n" for injection, result in results)


DONE, SECONDS = Done(os.environ.get("STAFFETTA_DONE")), int(os.environ.get("STAFFETTA_SECONDS", "0"))


def injections():
    return int(os.environ.get("STAFFETTA_INJECTIONS", "10" if sanitized() else "50"))


def chosen(plan, words):
    """What STAFFETTA_SWEEP asks for."""
    if m := re.fullmatch(r"(\w+)\[(\d+)\] (starting )?(\w+) (\d+) (\w+) ?(\w*)", words):
        return [Injection(m[1], int(m[2]), m[4], int(m[5]), m[6], m[7], bool(m[3]))]
    wanted = {role: calls.split(",") if calls else None for role, _, calls in (w.partition(":") for w in words.split())}
    return [i for i in plan if not wanted or i.role in wanted and (wanted[i.role] is None or i.call in wanted[i.role])]


@unittest.skipUnless(platform.machine() == "x86_64", "the tracer knows the registers of x86-64 only")
@unittest.skipUnless(os.geteuid() == 0, "only root may trace processes that have dropped their rights")
class Syscalls(Case):
    kills = True
    zone = ZONE
    config = {"queue": {"retry": ["1s", "1s", "1s", "1s", "2s"]}, "relay": {"command_time": "5s", "idle_time": "1s"}, "log_level": "info",
              "copies": {"directory": 2, "smtp": 1, "filter": 1, "queue": 1, "relay": 1, "access": 1, "mailbox": 1}}
    CHECK_EVERY = 25

    @classmethod
    def prepare(cls):
        folder = cls.cleanup.enter_context(tempfile.TemporaryDirectory())
        tool = build_tool(folder)
        if tool is None:
            raise unittest.SkipTest("no C compiler for the tracer")
        cls.sweep = Sweep(cls.server, tool, SEED)
        cls.cleanup.callback(cls.sweep.sink.close)
        cls.sweep.prepare()

    def plan(self, starting=False):
        counts = self.sweep.survey_start() if starting else self.sweep.survey()
        everything = Sweep.plan(counts, int(os.environ.get("STAFFETTA_MOST", "40")) if LONG else SHORT, starting, spread=LONG)
        if sanitized():  # its own allocator ends the process, not ours
            everything = [i for i in everything if i.call not in MEMORY]
        plan = chosen(everything, os.environ.get("STAFFETTA_SWEEP", ""))
        missing = sorted({call for _, _, call in counts if call not in FAILURES})
        print(f"     seed {SEED}; {sum(counts.values())} calls in a set, {len(everything)} ways to fail, {len(plan)} asked for; not made to fail: {missing}", flush=True)
        plan.sort(key=lambda i: random.Random(f"{SEED} {i}").random())  # each by itself: what a set makes more or less changes few
        part, parts = map(int, os.environ.get("STAFFETTA_PART", "1/1").split("/"))
        done = set(DONE.done())
        left = [i for i in plan if str(i) not in done and int(random.Random(f"part {i}").random() * parts) == part - 1]
        print(f"     {len(left)} of them left to try in part {part} of {parts}", flush=True)
        return left[:injections() or None]

    def sweep_through(self, plan, check_every=CHECK_EVERY):
        """Gives how many hit, by role. A fault ends it, but in the long run, which finds them all."""
        by_role, faults, unchecked, ends = collections.Counter(), [], [], time.monotonic() + SECONDS
        for i, injection in enumerate(plan):
            over = SECONDS and time.monotonic() > ends
            try:
                unchecked.append((injection, self.sweep.inject(injection)))
                if len(unchecked) == check_every or i == len(plan) - 1 or over:
                    self.sweep.check()
                    print(f"     {i + 1} of {len(plan)} done, {self.sweep.hits['hit']} hit", flush=True)
                    self.server.start()
                    DONE.add(unchecked)
                    by_role.update(tried.role for tried, result in unchecked if result == "hit")
                    unchecked = []
            except AssertionError as fault:
                if not LONG:
                    raise
                faults.append(str(fault))
                print(f"FAULT after {i + 1}: {fault}\n{self.server.log_tail(15)}", flush=True)
                self.sweep.begin_anew()
                unchecked = []  # what it was is not certain: all of them are tried again, the next time
            if over:
                break
        self.assertEqual(faults, [])
        return by_role

    @unittest.skipIf(LONG, "only what was asked for")
    def test_faults_that_were_mended(self):
        self.sweep_through(MENDED)

    @unittest.skipUnless(STARTING, "in the long version")
    def test_no_failing_call_at_a_start_loses_anything(self):
        plan = self.plan(starting=True)
        by_role = self.sweep_through(plan, 4)  # the pause between starts of a role grows until the server is started again
        print(f"     {len(plan)} injections at a start: {dict(self.sweep.hits)}; hit by role {dict(by_role)}; {self.sweep.summary()}", flush=True)

    @unittest.skipIf(LONG, "only what was asked for")
    def test_processes_that_stop_and_go_on(self):
        before, taken = self.sweep.targets(), len(self.sweep.taken)
        self.sweep.stutter(15)
        self.assertEqual(self.sweep.targets(), before)  # nobody ended
        self.assertGreater(len(self.sweep.taken), taken + 60)
        self.sweep.check()
        self.server.start()

    @unittest.skipIf(STARTING, "starts only")
    def test_no_failing_call_loses_anything(self):
        plan = self.plan()
        self.assertTrue(plan or DONE.path)
        by_role = self.sweep_through(plan)
        print(f"     {len(plan)} injections: {dict(self.sweep.hits)}; hit by role {dict(by_role)}; processes that ended and were started again {dict(self.sweep.ends)}; "
              f"slowest {self.sweep.slowest[0]:.1f} s, {self.sweep.slowest[1]}; {self.sweep.summary()}", flush=True)


if __name__ == "__main__":
    unittest.main()
