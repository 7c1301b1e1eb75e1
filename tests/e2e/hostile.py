"""Peers that mean harm, by the thousand: servers for the relay and clients for the servers, told by a table what to do.

    peer = Peer(server.relay_port)
    rcpt = peer.add(Case("hangs at RCPT", {"RCPT": HANG}))     # x@[127.10.0.1]: every case is a server of its own
    peer.cases[rcpt].accepted                                  # messages it said 250 to

One event loop in one thread serves every address of 127.0.0.0/8 on one port; a case is known by the address the
connection came to. A case misbehaves for its first `bad` connections and is a good server after that.
"""
import asyncio
import collections
import contextlib
import dataclasses
import os
import re
import socket
import ssl
import struct
import threading

HANG, CLOSE, RESET = object(), object(), object()
EXTENSIONS = ("PIPELINING", "SIZE 100000000", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8", "CHUNKING", "BINARYMIME")
FOREVER = 1 << 60
STREAM_MAX = 1 << 16


class Cut(Exception):
    """The end of a connection as the case wants it."""


@dataclasses.dataclass
class Case:
    name: str
    on: dict = dataclasses.field(default_factory=dict)  # verb -> reply, bytes, HANG, CLOSE, RESET, or async function(session, line)
    extensions: tuple = EXTENSIONS
    bad: int = FOREVER        # so many connections misbehave
    cut_in: int = FOREVER     # closes after it read so many bytes
    cut_out: int = FOREVER    # closes after it sent so many bytes
    tls: object = None        # a context: STARTTLS is offered
    flip: int = -1            # inverts this byte of what it sends
    pace: float = None        # from STARTTLS on it sends single bytes, so many seconds apart
    verdicts: tuple = None    # LMTP: what is said after the message, for one recipient after the other; or more, or less
    # what happened
    connections: int = 0
    accepted: int = 0         # messages whose 250 was sent to its last byte
    doubtful: int = 0         # messages read to their end, with the 250 not sent to its last byte
    in_clear: int = 0         # MAIL without TLS
    bodies: list = dataclasses.field(default_factory=list)
    lines: list = dataclasses.field(default_factory=list)
    read: int = 0             # bytes of the longest connection
    sent: int = 0
    taken: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # LMTP: 250s by recipient
    stream: bytes = b""       # all bytes of the longest connection as on the wire: those it sent
    came: bytes = b""         # ... and those that came


class Said(str):
    """A reply that was sent already."""


def drip(text, pause=1.0, then=HANG):
    """One byte at a time; then this, or (None) the dialogue goes on."""
    async def action(session, line):
        for byte in text if isinstance(text, bytes) else text.encode():
            await session.wire.send(bytes([byte]))
            await asyncio.sleep(pause)
        return Said(text) if then is None else then
    return action


def flood(line=b"250-and on and on and on and on and on and on and on and on and on and on\r\n", size=100 << 20):
    """So many bytes of reply."""
    async def action(session, _):
        block = line * 1000
        for _ in range(size // len(block) + 1):
            await session.wire.send(block)
        return None
    return action


def after(*actions):
    """One thing after another, each at its time that this verb comes."""
    left = list(actions)

    async def action(session, line):
        return left.pop(0) if left else None
    return action


class Wire:
    """A socket that breaks where it is told to."""

    def __init__(self, loop, s, cut_in=FOREVER, cut_out=FOREVER, flip=-1):
        self.loop, self.s, self.cut_in, self.cut_out, self.flip = loop, s, cut_in, cut_out, flip
        self.read, self.sent, self.stream, self.came = 0, 0, b"", b""
        self.pace = None  # seconds between single bytes

    async def recv(self):
        if self.read >= self.cut_in:
            raise Cut
        data = await self.loop.sock_recv(self.s, min(65536, self.cut_in - self.read))
        self.read += len(data)
        self.came += data[:max(0, STREAM_MAX - len(self.came))]
        if not data or self.read >= self.cut_in:
            raise Cut
        return data

    async def send(self, data):
        room = self.cut_out - self.sent
        part = bytearray(data[:room])
        if self.sent <= self.flip < self.sent + len(part):
            part[self.flip - self.sent] ^= 0xff
        if self.pace is None:
            await self.loop.sock_sendall(self.s, part)
        for byte in part if self.pace is not None else b"":
            await self.loop.sock_sendall(self.s, bytes([byte]))
            await asyncio.sleep(self.pace)
        self.sent += len(part)
        self.stream += part[:max(0, STREAM_MAX - len(self.stream))]
        if len(part) < len(data):
            raise Cut

    def exhausted(self):
        return self.sent >= self.cut_out

    def close(self, reset=False):
        if self.s.fileno() >= 0:  # the loop may still wait for it, and must not for the next socket of this number
            self.loop.remove_reader(self.s)
            self.loop.remove_writer(self.s)
        with contextlib.suppress(OSError):
            if reset:
                self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.s.close()


class TlsWire:
    """TLS over a wire, so that it can break inside a record."""

    def __init__(self, wire, context, server_side, name=None):
        self.wire, self.incoming, self.outgoing = wire, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, server_hostname=name)

    async def step(self, call, *args):
        while True:
            try:
                result = call(*args)
                await self.push()
                return result
            except ssl.SSLWantReadError:
                await self.push()
                self.incoming.write(await self.wire.recv())
            except ssl.SSLError:
                with contextlib.suppress(OSError, Cut):
                    await self.push()
                raise Cut from None

    async def push(self):
        data = self.outgoing.read()
        if data:
            await self.wire.send(data)

    async def handshake(self):
        await self.step(self.tls.do_handshake)

    async def recv(self):
        data = await self.step(self.tls.read, 65536)
        if not data:
            raise Cut
        return data

    async def send(self, data):
        await self.step(self.tls.write, data)

    def exhausted(self):
        return self.wire.exhausted()


class Session:
    """One connection of the server side."""

    def __init__(self, case, wire, good):
        self.case, self.wire, self.raw, self.good = case, wire, wire, good
        self.buffer, self.mail, self.rcpts, self.chunks, self.secure = b"", False, 0, b"", False
        self.lmtp, self.names = False, []

    async def more(self):
        self.buffer += await self.wire.recv()

    async def line(self):
        while b"\r\n" not in self.buffer:
            await self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    async def say(self, text):
        await self.wire.send(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode() + b"\r\n")

    async def act(self, verb, line, usual):
        """What the case wants here, or the usual reply. Gives the reply that was sent."""
        action = None if self.good else self.case.on.get(verb)
        if callable(action):
            action = await action(self, line)
        await self.misbehave(action)
        reply = usual if action is None else action
        if not isinstance(reply, Said):
            await self.say(reply)
        return reply if isinstance(reply, str) else reply.decode("latin-1")

    async def misbehave(self, action):
        if action is HANG:
            while True:
                await self.raw.recv()
        if action in (CLOSE, RESET):
            self.reset = action is RESET
            raise Cut

    reset = False

    async def run(self):
        if not (await self.act("GREETING", "", "220 peer.example ESMTP")).startswith("2"):
            return
        while True:
            line = await self.line()
            self.case.lines.append(line)
            verb = line.split(" ", 1)[0].upper()
            handler = getattr(self, "on_" + verb.lower(), None)
            if handler is None:
                await self.act(verb, line, "500 5.5.1 what")
            elif await handler(line) is False:
                return

    async def on_ehlo(self, line):
        self.mail, self.rcpts, self.chunks = False, 0, b""
        words = ["peer.example", *self.case.extensions] + (["STARTTLS"] if self.case.tls and not self.secure else [])
        await self.act("EHLO", line, "\n".join(f"250{'-' if i + 1 < len(words) else ' '}{w}" for i, w in enumerate(words)))

    async def on_lhlo(self, line):
        self.lmtp = True
        await self.on_ehlo(line)

    async def on_helo(self, line):
        await self.act("HELO", line, "250 peer.example")

    async def on_starttls(self, line):
        if (await self.act("STARTTLS", line, "220 2.0.0 go")).startswith("2") and self.case.tls:
            self.raw.pace = self.case.pace
            self.wire = TlsWire(self.raw, self.case.tls, True)
            await self.wire.handshake()
            self.secure, self.buffer = True, b""

    async def on_mail(self, line):
        self.case.in_clear += not self.secure
        self.mail = (await self.act("MAIL", line, "250 2.1.0 ok")).startswith("2")
        self.rcpts, self.chunks, self.names = 0, b"", []

    async def on_rcpt(self, line):
        before = self.rcpts
        self.rcpts += (await self.act("RCPT", line, "250 2.1.5 ok" if self.mail else "503 5.5.1 MAIL first")).startswith("2")

        if self.rcpts > before:
            self.names.append(re.search(r"<([^@>]*)", line)[1])

    async def on_data(self, line):
        if not (await self.act("DATA", line, "354 go on" if self.rcpts else "554 5.5.1 no valid recipients")).startswith("3"):
            return
        while b"\r\n.\r\n" not in b"\r\n" + self.buffer:
            await self.more()
        body, self.buffer = (b"\r\n" + self.buffer).split(b"\r\n.\r\n", 1)
        await self.finish("DOT", line, body[2:] + b"\r\n")

    async def on_bdat(self, line):
        words = line.split()
        while len(self.buffer) < int(words[1]):
            await self.more()
        self.chunks, self.buffer = self.chunks + self.buffer[:int(words[1])], self.buffer[int(words[1]):]
        if len(words) < 3:
            await self.act("BDAT", line, "250 2.0.0 more" if self.rcpts else "503 5.5.1 no valid recipients")
        else:
            await self.finish("DOT", line, self.chunks)

    async def finish(self, verb, line, body):
        """Says 250, then counts: a reply that was cut short promised nothing."""
        if not self.rcpts:
            return await self.act(verb, line, "554 5.5.1 no valid recipients")
        self.case.bodies.append(body)
        if self.lmtp:
            return await self.judge()
        self.case.doubtful += 1
        if (await self.act(verb, line, "250 2.0.0 taken")).startswith("250"):
            self.case.accepted += 1
            self.case.doubtful -= 1
        self.mail, self.rcpts, self.chunks = False, 0, b""

    async def judge(self):
        """LMTP: a verdict for each recipient (RFC 2033), or what the case makes of that."""
        usual = self.good or self.case.verdicts is None
        for i, verdict in enumerate(["250 2.0.0 taken"] * len(self.names) if usual else self.case.verdicts):
            await self.misbehave(verdict)
            await self.say(verdict)
            if str(verdict).startswith("250") and i < len(self.names):
                self.case.taken[self.names[i]] += 1
        self.mail, self.rcpts, self.chunks = False, 0, b""

    async def on_rset(self, line):
        self.mail, self.rcpts, self.chunks = False, 0, b""
        await self.act("RSET", line, "250 2.0.0 ok")

    async def on_quit(self, line):
        await self.act("QUIT", line, "221 2.0.0 bye")
        return False


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine, limit=300):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(limit)

    def close(self):
        async def end():
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for t in tasks:
                t.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class Peer(Loop):
    """Servers, one for each case."""

    def __init__(self, port, network=10):
        super().__init__()
        self.cases, self.by_ip, self.network, self.open_now, self.most_open = {}, {}, network, 0, 0
        self.socket = socket.create_server(("", port), backlog=4096)
        self.socket.setblocking(False)
        self.port = port
        asyncio.run_coroutine_threadsafe(self.accept(), self.loop)

    def add(self, case):
        """Gives the address whose mail comes to this case."""
        n = len(self.cases) + 1
        ip = f"127.{self.network + (n >> 16)}.{n >> 8 & 255}.{n & 255}"
        rcpt = f"x@[{ip}]"
        self.cases[rcpt] = self.by_ip[ip] = case
        return rcpt

    def all_read(self):
        return all(c.connections for c in self.cases.values())

    def close(self):
        super().close()
        self.socket.close()

    async def accept(self):
        while True:
            s, _ = await self.loop.sock_accept(self.socket)
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asyncio.create_task(self.serve(s))

    async def serve(self, s):
        case = self.by_ip.get(s.getsockname()[0])
        if case is None:
            s.close()
            return
        case.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        good = case.connections > case.bad
        wire = Wire(self.loop, s) if good else Wire(self.loop, s, case.cut_in, case.cut_out, case.flip)
        session = Session(case, wire, good)
        try:
            await session.run()
        except (Cut, OSError, ValueError):
            pass
        finally:
            self.open_now -= 1
            if wire.sent > case.sent:
                case.stream, case.came = wire.stream, wire.came
            case.read, case.sent = max(case.read, wire.read), max(case.sent, wire.sent)
            # What was sent must arrive: unread input would turn the end into a reset.
            if not session.reset:
                with contextlib.suppress(OSError, asyncio.TimeoutError):
                    s.shutdown(socket.SHUT_WR)
                    await asyncio.wait_for(self.drain(s), 2)
            wire.close(session.reset)

    async def drain(self, s):
        while await self.loop.sock_recv(s, 65536):
            pass


# ---- clients ----

class Client:
    """One connection of the client side: raw bytes with a wire that breaks where it is told to."""

    def __init__(self, wire):
        self.wire, self.raw, self.buffer = wire, wire, b""

    @classmethod
    async def open(cls, port, source=None, **cuts):
        loop = asyncio.get_running_loop()
        s = socket.socket()
        s.setblocking(False)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            s.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port belongs to the pair of addresses
            s.bind((source, 0))
        await loop.sock_connect(s, ("127.0.0.1", port))
        return cls(Wire(loop, s, **cuts))

    async def reply(self):
        """(code, text) of SMTP, or ("+OK", line) and ("-ERR", line) of POP3."""
        lines = []
        while True:
            while b"\n" not in self.buffer:
                self.buffer += await self.wire.recv()
            line, self.buffer = self.buffer.split(b"\n", 1)
            lines.append(line.rstrip(b"\r").decode("latin-1"))
            if not re.match(r"\d{3}-", lines[-1]):
                word = lines[-1].split(" ")[0]
                return int(word) if word.isdigit() else word, "\n".join(lines)

    async def say(self, line):
        await self.wire.send(line.encode() + b"\r\n" if isinstance(line, str) else line)
        return await self.reply()

    async def starttls(self, context):
        self.wire = TlsWire(self.raw, context, False)
        await self.wire.handshake()
        self.buffer = b""

    def close(self, reset=False):
        self.raw.close(reset)


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def tls_records(stream):
    """Where the TLS records of a stream begin and end, from its first one on (what is before it is plain text)."""
    at = stream.find(b"\x16\x03")
    while 0 <= at <= len(stream):
        yield at
        if at + 5 > len(stream):
            return
        at += 5 + int.from_bytes(stream[at + 3:at + 5], "big")


def around(records, whole, rest):
    """Places to break TLS at: beside each border of a record and inside its head, and every so many bytes else
    (STAFFETTA_LONG=1: every byte)."""
    step = 1 if os.environ.get("STAFFETTA_LONG") == "1" else rest
    places = {p + d for p in records for d in (-1, 0, 1, 3, 5, 6)} | set(range(records[0], whole + 1, step))
    return sorted(p for p in places if 0 <= p <= whole)


async def in_crowd(jobs, width=200):
    """Runs coroutines, so many at a time; gives their results in order."""
    gate = asyncio.Semaphore(width)

    async def one(job):
        async with gate:
            return await job

    return await asyncio.gather(*(one(j) for j in jobs))
