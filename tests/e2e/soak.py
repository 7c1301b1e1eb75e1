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


class Progress:
    """Every client gets on: none stands still for PATIENCE seconds, however busy the machine is."""
    PATIENCE = 60

    def __init__(self, counts):
        self.counts, self.since = counts, {}
        self.seen = {}

    def check(self):
        now = time.monotonic()
        for client, n in list(self.counts.items()):
            if self.seen.get(client) != n:
                self.seen[client], self.since[client] = n, now
            assert now - self.since[client] < self.PATIENCE, f"client {client} stands still: {dict(self.counts)}"


def warm_up(server, storm):
    """Every database is open and every path was gone once."""
    for i, user in enumerate(USERS):
        server.send("sender@far.example", [f"{user}@home.example", "warm@far.example"], f"Subject: id-9-{i}-\r\n\r\nx\r\n")
        storm.sent[f"id-9-{i}-"] = ("sender@far.example", [])
        server.mailbox_holds(f"{user}@home.example", 1)
    server.queue_empty()


def books_are_right(server):
    code, wrong, _ = verify(server)
    assert code == 0, wrong


def watch_load(server, storm, watch, seconds, every, show):
    """Gives how often the books were right."""
    start, checks, progress = time.monotonic(), 0, Progress(storm.progress)
    while (left := start + seconds - time.monotonic()) > 0:
        time.sleep(min(every, max(0.1, left)))
        watch.sample()
        books_are_right(server)
        checks += 1
        progress.check()
        show(f"{time.monotonic() - start:6.0f} s {len(storm.taken):8} messages  " +
             "  ".join(f"{role} {watch.memory[role, n][-1] / 1024:.1f}M/{watch.files[role, n][-1]}" for role, n in watch.pids))
    return checks


def soak(server, seconds, pause, show=print, every=10):
    """Load for that long. Raises AssertionError for what is wrong; gives the Watch, with what was seen."""
    storm = Storm(server, mx=3, submission=1, slow=0.05, pause=pause)
    storm.sink.trim = 2048  # an hour of them is kept
    try:
        storm.prepare()
        warm_up(server, storm)
        watch = Watch(server)
        watch.idle = server_is_idle(watch)
        storm.start(readers=USERS)
        try:
            checks = watch_load(server, storm, watch, seconds, every, show)
        finally:
            storm.stop()
        storm.settle(300)
        books_are_right(server)
        until(lambda: left_open(watch, watch.idle) == {}, f"descriptors to be closed: {left_open(watch, watch.idle)}", 120)
        server.stop()
        assert storm.check() == {}, "sent twice although nobody was killed"
        sound = integrity(server.data)
        watch.summary = f"{storm.summary()}; {checks + 1} verifications, all right; {sound} databases sound; nothing lost, nothing twice"
        show(watch.summary)
        return watch
    finally:
        storm.sink.close()


def grows(watch, kib):
    """The processes whose own memory grew by more than that."""
    return [key for key in watch.pids if watch.growth(key) > kib]


def table(watch):
    """What docs/reliability.md shows: RssAnon in KiB and descriptors of every process."""
    def median(m):
        return round(statistics.median(m))

    copies = collections.Counter(role for role, _ in watch.pids)
    lines = ["| role | start | 2nd quarter | 4th quarter | descriptors idle | most |", "| --- | --- | --- | --- | --- | --- |"]
    for key in watch.pids:
        m, quarter = watch.memory[key], max(1, len(watch.memory[key]) // 4)
        name = f"{key[0]} {key[1]}" if copies[key[0]] > 1 else key[0]
        lines.append(f"| {name} | {m[0]} | {median(m[quarter:2 * quarter] or m)} | {median(m[-quarter:])} | {watch.idle[key]} | {max(watch.files[key])} |")
    return "\n".join(lines)


def server_is_idle(watch):
    """Descriptors of each process once they have stopped changing."""
    last = None
    while last != (now := watch.count_files()):
        last = now
        time.sleep(2)
    return now


def left_open(watch, idle):
    return {k: (idle[k], n) for k, n in watch.count_files().items() if n > idle[k]}
