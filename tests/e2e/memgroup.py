"""A control group with a limit of memory, of version 2 (memory.max) or 1 (memory.limit_in_bytes), whichever the machine has.

    with memgroup.opened() as group:       # raises unittest.SkipTest, with the reason, where none can be made
        with group.inside():
            server.start()                 # and whatever it starts later
        group.squeeze(); group.relax(); group.kills()
"""
import contextlib
import errno
import os
import pathlib
import re
import tempfile
import unittest

from harness import until


def number(file, name):
    found = re.search(rf"^{name} (\d+)", file.read_text(), re.M)
    return int(found[1]) if found else 0


class Group:
    """folder: of the group. home: where this process belongs."""
    limit_file = usage_file = events = unlimited = None
    reclaimable = ()

    def __init__(self, folder, home):
        self.folder, self.home = folder, home

    @contextlib.contextmanager
    def inside(self):
        """Processes started meanwhile belong to the group, with all their children."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            (self.home / "cgroup.procs").write_text(str(os.getpid()))

    def kills(self):
        """How often the kernel killed a process of the group because the limit was reached."""
        return number(self.folder / self.events, "oom_kill")

    def needed(self):
        """Bytes that cannot be given back by dropping what is on disk as well."""
        used = int((self.folder / self.usage_file).read_text())
        return used - sum(number(self.folder / "memory.stat", name) for name in self.reclaimable)

    def squeeze(self, room=128 * 1024):
        """Leaves hardly more than what is needed now. Where the kernel says it cannot be that little, a little more."""
        for _ in range(40):
            try:
                (self.folder / self.limit_file).write_text(str(self.needed() + room))
                return
            except OSError as failure:
                if failure.errno != errno.EBUSY:
                    raise
                room += 128 * 1024
        raise AssertionError("the kernel lets the limit be set to no value")

    def relax(self):
        (self.folder / self.limit_file).write_text(self.unlimited)

    def close(self):
        until(lambda: not (self.folder / "cgroup.procs").read_text(), "the control group to be empty")
        self.folder.rmdir()


class Version1(Group):
    limit_file, usage_file, events, unlimited = "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control", "-1"
    reclaimable = ("inactive_file", "active_file")


class Version2(Group):
    limit_file, usage_file, events, unlimited = "memory.max", "memory.current", "memory.events", "max"
    reclaimable = ("inactive_file", "active_file")


def own_path(controller):
    """The group of this process in the hierarchy of a controller ('' is version 2), from its root."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.lstrip("/")
    return ""


def mount_point(kind, option=""):
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, where, fs, options = line.split()[:4]
        if fs == kind and (not option or option in options.split(",")):
            return pathlib.Path(where)
    return None


def make():
    name = f"staffetta-test-{os.getpid()}-{os.path.basename(tempfile.mktemp())}"
    two, one = mount_point("cgroup2"), mount_point("cgroup", "memory")
    if two and "memory" in (two / "cgroup.controllers").read_text().split():
        (two / "cgroup.subtree_control").write_text("+memory")
        kind, root, home = Version2, two, own_path("")
    elif one:
        kind, root, home = Version1, one, own_path("memory")
    else:
        raise unittest.SkipTest("no control groups with a limit of memory here")
    group = kind(root / name, root / home)
    group.folder.mkdir()
    return group


@contextlib.contextmanager
def opened():
    try:
        group = make()
        with group.inside():
            pass  # may this process move?
    except OSError as failure:
        raise unittest.SkipTest(f"cannot make a control group: {failure}")
    try:
        yield group
    finally:
        group.relax()
        group.close()
