"""What a server costs: a control group of its own for its CPU time and its processes, memory from smaps_rollup, sync calls
by strace, and flushes and bytes as the disk itself counts them."""
import contextlib
import os
import pathlib
import re
import resource
import subprocess
import tempfile
import threading
import time

import harness

SYNCS = ("fsync", "fdatasync", "sync", "syncfs", "msync", "sync_file_range")
SECTOR = 512


class Group:
    """A cgroup (v2): everything started inside `with group:` belongs to it, with all its children, whatever becomes of their
    parents. Processes born there are counted after their end too, which a walk through /proc would miss."""

    def __init__(self, mount):
        self.home = mount / pathlib.Path("/proc/self/cgroup").read_text().split("0::/")[1].split("\n")[0]
        self.folder = mount / f"staffetta-bench-{os.getpid()}-{time.monotonic_ns()}"
        self.folder.mkdir()

    def __enter__(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def __exit__(self, *_):
        (self.home / "cgroup.procs").write_text(str(os.getpid()))

    def pids(self):
        return [int(p) for p in (self.folder / "cgroup.procs").read_text().split()]

    def cpu(self):
        """User and system seconds so far."""
        return int(re.search(r"^usage_usec (\d+)", (self.folder / "cpu.stat").read_text(), re.M)[1]) / 1e6

    def pss_each(self):
        """Megabytes by (pid, program), shared pages divided among those who share them."""
        found = {}
        for pid in self.pids():
            with contextlib.suppress(OSError, TypeError):
                kb = int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
                found[pid, pathlib.Path(f"/proc/{pid}/comm").read_text().strip()] = kb / 1024
        return found

    def pss(self):
        return sum(self.pss_each().values())

    def close(self):
        """Ends what is still in it."""
        if self.pids():
            (self.folder / "cgroup.kill").write_text("1")
        harness.until(lambda: not self.pids(), "the control group to be empty", 30)
        self.folder.rmdir()


@contextlib.contextmanager
def cgroups():
    """The mount point of the version 2 hierarchy; mounts it for the time being where nobody has."""
    found = re.search(r"^\S+ (\S+) cgroup2 ", pathlib.Path("/proc/mounts").read_text(), re.M)
    if found:
        yield pathlib.Path(found[1])
        return
    with tempfile.TemporaryDirectory(prefix="staffetta-cgroup-") as folder:
        subprocess.run(["mount", "-t", "cgroup2", "none", folder], check=True)
        try:
            yield pathlib.Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


class PeakMemory:
    """The largest PSS of a group while it is open. It is looked at as often as told (seconds), but never so often that looking
    costs more than a share of a core: one in `share`."""

    def __init__(self, group, every=0.2, share=50):
        self.group, self.every, self.share, self.peak, self.over = group, every, share, 0, threading.Event()
        self.first, self.most = group.pss_each(), {}
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def look(self):
        start = time.monotonic()
        with contextlib.suppress(OSError):
            each = self.group.pss_each()
            self.peak = max(self.peak, sum(each.values()))
            self.most |= {k: max(mb, self.most.get(k, 0)) for k, mb in each.items()}
        return time.monotonic() - start

    def watch(self):
        while not self.over.wait(max(self.every, self.share * self.look())):
            pass

    def close(self):
        self.over.set()
        self.thread.join()
        self.look()
        return self.peak

    def grown(self):
        """(megabytes, program), most first: by how much each process that was there at the start was larger at its peak."""
        return sorted(((self.most[k] - mb, k[1]) for k, mb in self.first.items() if k in self.most), reverse=True)


class SyncCalls:
    """Counts the sync calls of a group while it is open."""

    def __init__(self, group):
        self.file = tempfile.NamedTemporaryFile(mode="r", prefix="staffetta-syncs-")
        argv = ["strace", "-f", "-qq", "-o", self.file.name, "-e", "trace=" + ",".join(SYNCS), "-e", "signal=none"]
        pids = self.settled(group)
        for pid in pids:
            argv += ["-p", str(pid)]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.until(lambda: all(self.traced(p) for p in pids), "strace to attach", 30)

    @staticmethod
    def settled(group):
        """The processes once no more are started: one born while strace attaches would escape it."""
        while True:
            before = set(group.pids())
            time.sleep(1)
            if before == set(group.pids()):
                return before

    @staticmethod
    def traced(pid):
        try:
            return "TracerPid:\t0\n" not in pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return True

    def close(self):
        self.process.terminate()
        self.process.wait()
        text = self.file.read()
        self.file.close()
        return sum(1 for line in text.splitlines() if re.match(r"^\d+ +(" + "|".join(SYNCS) + r")\(", line))


class Disk:
    """Flush requests and bytes written of the device below a folder, of everybody on it. Not every device counts."""

    def __init__(self, folder):
        device = os.stat(folder).st_dev
        self.file = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
        os.sync()
        self.start = self.read()

    def read(self):
        with contextlib.suppress(OSError, IndexError):
            fields = [int(f) for f in self.file.read_text().split()]
            return fields[15], fields[6] * SECTOR
        return None

    def since(self):
        """(flushes, bytes) since it was made, what waits in the page cache written first; None where nobody counts."""
        flushes = self.read()
        os.sync()
        end = self.read()
        return (flushes[0] - self.start[0], end[1] - self.start[1]) if end and self.start else None


def fdatasync_limit(folder, seconds=2):
    """Median and 99th percentile, in microseconds, of appending 4 KB and fdatasync."""
    took, block = [], bytes(4096)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.monotonic_ns()
            file.write(block)
            os.fdatasync(file.fileno())
            took.append((time.monotonic_ns() - start) / 1000)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


def lift_files(count=65536):
    """More descriptors for everything started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # without the right to lift the hard limit: as far as it goes
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), max(hard, count)))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def machine(folder):
    cpu = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", cpu)
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 1024 / 1024
    kind = re.findall(r"^\S+ (\S+) (\S+) ", pathlib.Path("/proc/mounts").read_text(), re.M)
    below = max((m for m in kind if str(folder).startswith(m[0].rstrip("/") + "/") or m[0] == "/"), key=lambda m: len(m[0]))
    return (f"{os.cpu_count()} cores ({model[1] if model else 'unknown'}), {memory:.0f} GB, {os.uname().sysname} {os.uname().release}, "
            f"{below[1]}")
