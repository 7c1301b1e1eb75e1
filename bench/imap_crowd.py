"""Crowds of IMAP clients for bench/imap_idle: thousands that sit in IDLE, a hundred that watch one mailbox, logins one after another on
many connections. Bare clients that look for no more than they need."""
import base64
import functools
import hashlib
import selectors
import socket
import ssl
import threading
import time

import harness
import scram

WAIT = 120


def context():
    c = ssl.create_default_context()
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c


class Client:
    def __init__(self, port, secure=None):
        self.s = socket.create_connection(("127.0.0.1", port), WAIT)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            self.s = secure.wrap_socket(self.s)
        self.buffer = b""
        self.line()

    def line(self):
        while b"\n" not in self.buffer:
            data = self.s.recv(65536)
            if not data:
                raise ConnectionError(f"closed after {self.buffer!r}")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def do(self, command, tag=b"a"):
        self.s.sendall(tag + b" " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        while True:
            line = self.line()
            if line.startswith(tag + b" "):
                if not line.startswith(tag + b" OK"):
                    raise RuntimeError(f"{command!r}: {line!r}")
                return line

    def login(self, user, password, mechanism="SCRAM-SHA-256"):
        machine = Login(user, password, mechanism)
        said = machine.next(b"")
        while not machine.done:
            self.s.sendall(said)
            said = machine.next(self.line().rstrip(b"\r"))
        return self

    def idle(self, user, password):
        """By SCRAM, which costs a server less than the first PLAIN of an account, by design."""
        self.login(user, password)
        self.do("SELECT INBOX")
        self.s.sendall(b"i IDLE\r\n")
        while not self.line().startswith(b"+"):
            pass
        return self


def hold(port, users, password, secure, width=8):
    """A connection in IDLE for each of the users."""
    waiting, held, failures = list(reversed(users)), [], []

    def work():
        while waiting and not failures:
            try:
                held.append(Client(port, secure).idle(waiting.pop(), password))
            except IndexError:
                return
            except Exception as failure:  # told to whoever asked for the crowd
                failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(width)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        for c in held:
            c.s.close()
        raise failures[0]
    return held


def first_logins(port, users, password, mechanism):
    """Logins a second when each of the users comes for the first time, eight at once."""
    began = time.perf_counter()
    harness.in_parallel([lambda u=u: Client(port).login(u, password, mechanism).s.close() for u in users], 8)
    return len(users) / (time.perf_counter() - began)


def told(held, count, act):
    """Seconds from `act` until each of the held clients has been told something: the first and the last."""
    selector, heard = selectors.DefaultSelector(), set()
    for c in held:
        c.s.setblocking(False)
        selector.register(c.s, selectors.EVENT_READ, c)
    began = time.perf_counter()
    act()
    times = []
    while len(heard) < count:
        events = selector.select(WAIT)
        if not events:
            raise TimeoutError(f"{len(heard)} of {count} were told")
        for key, _ in events:
            try:
                data = key.data.s.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                continue
            if not data:
                raise ConnectionError("a watcher was cut off")
            if key.data not in heard and b"* " in data:
                heard.add(key.data)
                times.append(time.perf_counter() - began)
    selector.close()
    return times[0], times[-1]


class Login:
    """One login as a machine: lines in, lines out; over when `done`."""

    def __init__(self, user, password, mechanism):
        self.user, self.password, self.mechanism, self.step, self.done = user, password, mechanism, 0, False

    def plain(self):
        return base64.b64encode(f"\0{self.user}\0{self.password}".encode())

    def next(self, line):
        """What to send for this line."""
        self.step += 1
        if self.step == 1:
            if self.mechanism == "PLAIN":
                return b"a AUTHENTICATE PLAIN " + self.plain() + b"\r\n"
            self.scram = Remembering(self.user, self.password)
            return b"a AUTHENTICATE SCRAM-SHA-256 " + base64.b64encode(self.scram.first()) + b"\r\n"
        if line.startswith(b"a "):
            if not line.startswith(b"a OK"):
                raise RuntimeError(f"{self.user}: {line!r}")
            self.done = True
            return None
        if line.startswith(b"+ "):
            given = base64.b64decode(line[2:])
            return (base64.b64encode(self.scram.final(given)) if given.startswith(b"r=") else b"") + b"\r\n"
        return b""


@functools.lru_cache(100000)
def salted(password, salt, rounds):
    return hashlib.pbkdf2_hmac("sha256", password, salt, rounds)


class Remembering(scram.Scram):
    """A client that keeps its salted password (RFC 5802, section 3), as one that logs in often does."""

    def stretch(self, salt, rounds):
        return salted(self.password.encode(), salt, rounds)


def logins(port, users, password, mechanism, seconds, width=20):
    """Logins a second on so many connections, each connects, logs in, and leaves for the next user."""
    selector, done, at = selectors.DefaultSelector(), 0, 0

    def begin():
        nonlocal at
        s = socket.create_connection(("127.0.0.1", port), WAIT)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ, [Login(users[at % len(users)], password, mechanism), b""])
        at += 1

    for _ in range(width):
        begin()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for key, _ in selector.select(WAIT):
            login, kept = key.data
            data = key.fileobj.recv(65536)
            if not data:
                raise ConnectionError(f"closed in the middle of a login after {kept!r}")
            *lines, key.data[1] = (kept + data).split(b"\r\n")
            for line in lines:
                if not login.done and (answer := login.next(line)):
                    key.fileobj.send(answer)
            if login.done:
                done += 1
                selector.unregister(key.fileobj)
                key.fileobj.close()
                begin()
    rate = done / (time.perf_counter() - began)
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    selector.close()
    return rate
