"""Watches a server under the mixed load of storm.py: memory of every role, descriptors, and whether the books are right."""
import collections
import os
import pathlib
import statistics
import time

from harness import until
from storm import Storm, USERS, integrity
from test_verify import verify


class Watch:
    """Figures of every process, by (role, number of its copy)."""

    def __init__(self, server):
        self.server = server
        self.memory, self.files = collections.defaultdict(list), collections.defaultdict(list)
        self.pids = self.processes()

    def processes(self):
        found = {("supervisor", 0): self.server.process.pid}
        for role, pids in self.server.roles().items():
            found.update({(role, i): pid for i, pid in enumerate(sorted(pids))})
        return found

    @staticmethod
    def own_memory(pid):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        return 0

    def count_files(self):
        return {k: len(os.listdir(f"/proc/{pid}/fd")) for k, pid in self.pids.items()}

    def sample(self):
        assert self.processes() == self.pids, "a role was restarted"
        for k, pid in self.pids.items():
            self.memory[k].append(self.own_memory(pid))
        for k, n in self.count_files().items():
            self.files[k].append(n)

    def growth(self, key):
        """KiB by which the last quarter is above the second, by medians: the first is for warming up."""
        m = self.memory[key]
        quarter = max(1, len(m) // 4)
        return statistics.median(m[-quarter:]) - statistics.median(m[quarter:2 * quarter])


def soak(server, seconds, pause, show=print, every=10):
    """Load for that long. Raises AssertionError for what is wrong; gives (Watch, Storm)."""
    storm = Storm(server, mx=3, submission=1, slow=0.05, pause=pause)
    try:
        storm.prepare()
        for user in USERS:  # every database is open and every path was gone once
            server.send("sender@far.example", [f"{user}@home.example", "warm@far.example"], f"Subject: id-9-{USERS.index(user)}-\r\n\r\nx\r\n")
            storm.sent[f"id-9-{USERS.index(user)}-"] = ("sender@far.example", [])
            server.mailbox_holds(f"{user}@home.example", 1)
        server.queue_empty()
        watch = Watch(server)
        idle = server_is_idle(watch)
        storm.start(readers=USERS)
        end, checks, before = time.monotonic() + seconds, 0, storm.progress.copy()
        try:
            while time.monotonic() < end:
                time.sleep(min(every, max(0.1, end - time.monotonic())))
                watch.sample()
                code, wrong, _ = verify(server)
                assert code == 0, wrong
                checks += 1
                assert all(storm.progress[n] > before[n] for n in before), f"a client stands still: {before} {storm.progress}"
                before = storm.progress.copy()
                show(f"{seconds - (end - time.monotonic()):6.0f} s {len(storm.taken):8} messages  " +
                     "  ".join(f"{role} {watch.memory[role, n][-1] / 1024:.1f}M/{watch.files[role, n][-1]}" for role, n in watch.pids))
        finally:
            storm.stop()
        storm.settle()
        code, wrong, _ = verify(server)
        assert code == 0, wrong
        until(lambda: left_open(watch, idle) == {}, f"descriptors to be closed: {left_open(watch, idle)}", 120)
        watch.idle = idle
        server.stop()
        assert storm.check() == {}, "sent twice although nobody was killed"
        integrity(server.data)
        show(f"{checks + 1} verifications, all right; {storm.summary()}")
        return watch, storm
    finally:
        storm.sink.close()


def server_is_idle(watch):
    """Descriptors of each process once they have stopped changing."""
    last = None
    while last != (now := watch.count_files()):
        last = now
        time.sleep(2)
    return now


def left_open(watch, idle):
    return {k: (idle[k], n) for k, n in watch.count_files().items() if n > idle[k]}
