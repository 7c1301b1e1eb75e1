"""The kernel kills roles because the memory of the server's control group is used up, under mixed load: what was answered with 250
is where it belongs, once, and the server comes back by itself as soon as there is memory."""
import contextlib
import os
import pathlib
import random
import re

import memgroup
from harness import Case, sanitized, until
from storm import Storm, integrity
from test_verify import verify

SEED = int(os.environ.get("STAFFETTA_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
VICTIMS = ("queue", "mailbox", "relay", "filter", "smtp", "directory", "events", "supervisor")  # of the kernel's choice it would be two


def rounds():
    return int(os.environ.get("STAFFETTA_ROUNDS", "3" if sanitized() else "10"))


class OutOfMemory(Case):
    kills = True
    config = {"queue": {"retry": ["1s", "1s", "1s", "1s", "2s"]}, "relay": {"command_time": "20s"}, "log_level": "info"}

    @classmethod
    def before_start(cls):
        cls.group = cls.cleanup.enter_context(memgroup.opened())
        cls.cleanup.callback(cls.server.kill_tree)  # before the group is closed
        start = cls.server.start

        def inside():
            with cls.group.inside():
                return start()

        cls.server.start = inside

    @classmethod
    def prepare(cls):
        cls.storm = Storm(cls.server, SEED)
        cls.cleanup.callback(cls.storm.sink.close)
        cls.storm.prepare()

    def back(self):
        """Answers again; where the kernel chose the supervisor it is started as the system's service manager does. Gives how often."""
        starts = 0

        def again():
            nonlocal starts
            if self.server.process.poll() is not None:
                starts += 1
                self.server.kill_tree()
                self.server.start()
            return self.server.cli("status", check=False).returncode == 0

        until(again, "the server to be back")
        return starts

    def prefer(self, role):
        """The kernel takes a process of this role first."""
        pids = [self.server.process.pid] if role == "supervisor" else until(lambda: self.server.roles().get(role), f"{role} to run")
        for pid in pids:
            with contextlib.suppress(OSError):  # it has just ended
                pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("1000")

    def strike(self, role):
        before, taken = self.group.kills(), len(self.storm.taken)
        until(lambda: len(self.storm.taken) > taken + 10, "mail to be taken")
        self.prefer(role)

        def struck():
            self.group.squeeze()
            with contextlib.suppress(AssertionError):
                return until(lambda: self.group.kills() > before, limit=1)

        until(struck, f"the kernel to kill a process ({role} first)")
        self.group.relax()

    def test_the_kernel_kills_and_nothing_is_lost(self):
        print(f"     seed {SEED}", flush=True)
        victims, supervisors = random.Random(SEED).sample(VICTIMS, len(VICTIMS)), 0
        self.storm.start()
        try:
            for i in range(rounds()):
                self.strike(victims[i % len(victims)])
                supervisors += self.back()
            taken = len(self.storm.taken)
            until(lambda: len(self.storm.taken) > taken + 50, "mail to be taken after the last of them")
        finally:
            self.group.relax()
            self.storm.stop()
        self.storm.settle()
        self.assertEqual(verify(self.server)[:2], (0, []))
        self.assertGreaterEqual(self.group.kills(), rounds())
        killed = re.findall(r"role-ended role=(\w+)\S* .*signal=9", self.server.log_text())
        self.server.stop()
        self.storm.check()
        self.assertGreater(integrity(self.server.data), 0)
        print(f"     {self.group.kills()} kills by the kernel (roles: {', '.join(sorted(set(killed)))}; supervisor: {supervisors}); {self.storm.summary()}")
