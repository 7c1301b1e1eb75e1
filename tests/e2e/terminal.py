"""A terminal to drive a program in: keys go in, what it shows is a screen of text (python3-pyte reads the control sequences)."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import pyte

from harness import LIMIT


class Terminal:
    """A program in a terminal of its own; what it shows is kept as a screen of text."""

    def __init__(self, argv, columns=100, rows=30, **environ):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(argv[0], [str(a) for a in argv], {**os.environ, "TERM": "linux", "LC_ALL": "C.UTF-8", **environ})
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.code = None

    def read(self, wait):
        """Takes in what the program says; False when it is gone."""
        if not select.select([self.fd], [], [], wait)[0]:
            return True
        with contextlib.suppress(OSError):
            data = os.read(self.fd, 65536)
            if data:
                self.stream.feed(data)
                return True
        return False

    def text(self):
        return "\n".join(self.screen.display)

    def expect(self, pattern):
        """Waits until the screen shows it."""
        end = time.monotonic() + LIMIT
        while not re.search(pattern, self.text()):
            if time.monotonic() > end or not self.read(0.2):
                raise AssertionError(f"no {pattern!r} on the screen:\n{self.text()}")

    def type(self, keys, then=None):
        os.write(self.fd, keys.encode())
        if then:
            self.expect(then)

    def wait(self):
        """Waits for the program's own end; gives its exit code."""
        while self.read(0.2) and not self.ended():
            pass
        return self.ended(block=True)

    def ended(self, block=False):
        if self.code is None:
            pid, status = os.waitpid(self.pid, 0 if block else os.WNOHANG)
            self.code = (os.waitstatus_to_exitcode(status),) if pid else None
        return self.code

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            self.ended(block=True)
        os.close(self.fd)
