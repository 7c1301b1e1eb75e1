"""Clients that hang, lie, drip, flood and vanish at every byte: what was answered with 250 is there once, what was not is
there once at most, half a message never, and the server neither grows nor keeps others waiting."""
import asyncio
import collections
import contextlib
import pathlib
import re
import resource
import urllib.request

from harness import Talk, sanitized, until
from hostile import FOREVER, Client, Cut, Loop, client_context, in_crowd
from mailcase import Mail, plain


def with_files(n):
    """Room for so many descriptors in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, n), hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Hostile(Mail):
    config = {"relay_networks": [], "limits": {"idle_time": "2s", "connection_time": "6s", "errors": 20}}

    def setUp(self):
        self.loop = Loop()
        self.addCleanup(self.loop.close)
        self.tag = self._testMethodName[5:9].encode()
        self.sent = set()    # subjects whose end was sent
        self.taken = set()   # those that got their 250

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.ports['metrics']}/metrics") as answer:
            return sum(map(int, re.findall(rf"^{name}(?:\{{.*?\}})? (\d+)", answer.read().decode(), re.M)))

    def most_memory(self, role):
        pid = self.server.roles()[role][0]
        return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024

    def all_gone(self, role="smtp"):
        until(lambda: self.metric(f"staffetta_{role}_connections") == 0, "every connection to end")

    def still_serves(self, mark):
        """An ordinary client is served."""
        with Talk(self.server.ports["mx"]) as t:
            t.code("EHLO client.example")
            self.assertEqual(self.deliver(t, f"Subject: {mark}\r\n\r\nx\r\n")[0], 250)
        self.in_mailbox("bob@home.example", mark)

    def settle(self):
        """Everything has ended: compares what came with what was promised."""
        self.all_gone()
        self.server.queue_empty()
        found = collections.Counter(s for m in self.server.mailbox("bob@home.example") for s in re.findall(rb"^Subject: (%s\S+)" % self.tag, m, re.M))
        self.assertEqual([s for s, n in found.items() if n > 1], [], "twice")
        self.assertEqual([s for s in self.taken if found[s.encode()] != 1], [], "promised and lost")
        halves = [s for s in found if s.decode() not in self.sent]
        self.assertEqual(halves, [], "half a message")


def dialogue(subject, bdat=False):
    """A whole session, said in one go; and where the end of the message is."""
    message = f"Subject: {subject}\r\n\r\nA line.\r\n..\r\n"
    head = "MAIL FROM:<x@far.example>\r\nRCPT TO:<bob@home.example>\r\n"
    body = f"BDAT {len(message)} LAST\r\n{message}" if bdat else f"DATA\r\n{message}.\r\n"
    text = f"EHLO c.example\r\n{head}{body}".encode()
    return text + b"QUIT\r\n", len(text)


class EveryByte(Hostile):
    async def leave(self, how, n, bdat, context=None, flip=-1):
        """Says the first n bytes of a session (of what goes over the wire, with TLS), then leaves as told."""
        subject = f"{self.tag.decode()}-{how}-{'bdat' if bdat else 'data'}-{'tls' if context else 'plain'}-{n}-{flip}"
        text, end = dialogue(subject, bdat)
        client = await Client.open(self.server.ports["mx"])
        try:
            await client.reply()
            if context:
                await client.say("EHLO c.example")
                await client.say("STARTTLS")
                client.raw.cut_out, client.raw.flip = client.raw.sent + n, client.raw.sent + flip if flip >= 0 else -1
                await client.starttls(context)
                self.sent.add(subject)
                await client.wire.send(text)
            else:
                if n >= end:
                    self.sent.add(subject)
                await client.wire.send(text[:n])
            if how == "shut":
                client.raw.s.shutdown(1)
            if how in ("shut", "hang"):
                for _ in range(100):
                    code, words = await client.reply()
                    if code == 250 and "queued" in words:
                        self.taken.add(subject)
        except (Cut, OSError):
            pass
        finally:
            client.close(how == "reset")
        return client.raw.sent

    def test_the_client_leaves_at_every_byte(self):
        for bdat in (False, True):
            whole = len(dialogue("close-data-plain-100--1", bdat)[0])
            for how in ("close", "reset", "shut"):
                self.loop.run(in_crowd([self.leave(how, n, bdat) for n in range(whole + 1)], 50))
            self.loop.run(in_crowd([self.leave("hang", n, bdat) for n in range(0, whole + 1, 3)], 200))
        self.settle()
        self.assertGreater(len(self.taken), 4)

    def test_tls_breaks_at_every_record(self):
        context = client_context()
        start = self.loop.run(self.leave("close", 0, False, context))
        whole = self.loop.run(self.leave("shut", FOREVER, False, context)) - start
        for how in ("close", "reset", "shut"):
            self.loop.run(in_crowd([self.leave(how, n, False, context) for n in range(1, whole + 1, 11)], 20))
        self.loop.run(in_crowd([self.leave("shut", FOREVER, False, context, flip) for flip in range(5, whole, 11)], 20))
        self.loop.run(in_crowd([self.leave("hang", n, False, context) for n in range(1, whole, 40)], 100))
        self.settle()

    def test_pop3_is_left_at_every_byte(self):
        self.assertEqual(self.deliver(self.talk(), "Subject: pop-1\r\n\r\nx\r\n")[0], 250)
        self.in_mailbox("bob@home.example", "pop-1")
        before = len(self.server.mailbox("bob@home.example"))
        text = b"CAPA\r\nAUTH PLAIN " + plain("bob@home.example").encode() + b"\r\nSTAT\r\nLIST\r\nRETR 1\r\nDELE 1\r\nQUIT"

        async def leave(how, n):
            client = await Client.open(self.server.ports["pop3"])
            with contextlib.suppress(Cut, OSError):
                await client.wire.send(text[:n])
                if how == "shut":
                    client.raw.s.shutdown(1)
                    while True:
                        await client.raw.recv()
            client.close(how == "reset")

        for how in ("close", "reset", "shut"):
            self.loop.run(in_crowd([leave(how, n) for n in range(len(text) + 1)], 20))
        self.all_gone("access")
        self.assertEqual(len(self.server.mailbox("bob@home.example")), before)  # QUIT was never said


BINARY = bytes(range(256)) * 64


class Nonsense(Hostile):
    STEPS = (b"", b"EHLO c.example\r\n", b"EHLO c.example\r\nMAIL FROM:<x@far.example>\r\n",
             b"EHLO c.example\r\nMAIL FROM:<x@far.example>\r\nRCPT TO:<bob@home.example>\r\n",
             b"EHLO c.example\r\nMAIL FROM:<x@far.example>\r\nRCPT TO:<bob@home.example>\r\nDATA\r\nSubject: nonsense\r\n\r\n")

    async def flood(self, port, head, pieces, read=False):
        """Sends for as long as it is taken; gives how much that was."""
        client = await Client.open(port)
        sent = 0

        async def swallow():
            with contextlib.suppress(Cut, OSError):
                while True:
                    await client.raw.recv()

        reader = asyncio.create_task(swallow()) if read else None
        with contextlib.suppress(Cut, OSError, asyncio.TimeoutError):
            await client.wire.send(head)
            for piece in pieces:
                await asyncio.wait_for(client.wire.send(piece), 20)
                sent += len(piece)
        if reader:
            reader.cancel()
        client.close()
        return sent

    def test_floods_at_every_step(self):
        """100 MB of binary, of a line without end, of commands whose replies are read, and of such that are not."""
        before = {role: self.most_memory(role) for role in ("smtp", "access", "filter", "queue")}
        noops = b"NOOP\r\n" * 10000
        jobs = []
        for head in self.STEPS:
            for block in (BINARY, b"x" * 65536, noops):
                for read in (True, False):
                    jobs.append(self.flood(self.server.ports["mx"], head, [block] * (100 * (1 << 20) // len(block)), read))
        for block in (BINARY, b"x" * 65536, noops, b"CAPA\r\n" * 10000):
            jobs += [self.flood(self.server.ports["pop3"], b"", [block] * (100 * (1 << 20) // len(block)), read) for read in (True, False)]
        self.loop.run(in_crowd(jobs, 8))
        self.all_gone()
        self.all_gone("access")
        self.still_serves("after-floods")
        if not sanitized():
            for role, mb in before.items():
                self.assertLess(self.most_memory(role) - mb, 24, role)

    def test_tls_floods(self):
        """Handshakes begun over and over, endless empty records, plain text after STARTTLS."""
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"h" * 509
        for tail in (b"EHLO injected.example\r\n" * 100, b"\x16\x03\x01\xff\xff" + BINARY, b"\x17\x03\x03\x00\x00" * 20000, hello * 50,
                     b"\x14\x03\x03\x00\x01\x01" * 20000, b"\x15\x03\x03\x00\x02\x01\x00" * 20000):
            self.loop.run(self.flood(self.server.ports["mx"], b"EHLO c.example\r\nSTARTTLS\r\n", [tail] * 20))
            self.loop.run(self.flood(self.server.ports["pop3s"], b"", [tail] * 20))
        self.all_gone()
        self.still_serves("after-tls-floods")

    def test_one_byte_at_a_time(self):
        """Whoever drips is cut when connection_time is over, wherever it is."""
        async def drip(text):
            client = await Client.open(self.server.ports["mx"])
            ended = False
            with contextlib.suppress(Cut, OSError):
                for i in range(200):
                    await client.wire.send(text[i % len(text):i % len(text) + 1])
                    await asyncio.sleep(0.1)
            with contextlib.suppress(Cut, OSError, asyncio.TimeoutError):
                while True:
                    await asyncio.wait_for(client.raw.recv(), 20)
            ended = True
            client.close()
            return ended

        texts = [s + b"x" * 200 for s in self.STEPS] + [b"\x16\x03\x01\x02\x00" + b"x" * 200]
        self.assertTrue(all(self.loop.run(in_crowd([drip(t) for t in texts for _ in range(10)]))))
        self.all_gone()
        self.still_serves("after-drips")


class Crowds(Hostile):
    """Thousands at once; idle_time is long, so that nobody goes by himself."""
    config = {"relay_networks": [], "limits": {"connections": 3000, "idle_time": "10m"}}
    THOUSANDS = 3000

    def crowd(self, n, sources, head, context=None):
        """So many connections that stay; gives them."""
        async def come(i):
            with contextlib.suppress(Cut, OSError, asyncio.TimeoutError):
                client = await Client.open(self.server.ports["mx"], sources(i))
                self.clients.append(client)
                await asyncio.wait_for(client.reply(), 30)
                await client.wire.send(head)

        self.clients = []
        self.loop.run(in_crowd([come(i) for i in range(n)], 500))
        self.addCleanup(lambda: [c.close() for c in self.clients])

    def test_thousands_from_many_addresses(self):
        n = min(self.THOUSANDS, with_files(self.THOUSANDS + 500) - 300)
        before = self.most_memory("smtp")
        self.crowd(n - 100, lambda i: f"127.{20 + i % 7}.{i // 250 % 250}.{1 + i % 250}", Nonsense.STEPS[-1])
        until(lambda: self.metric("staffetta_smtp_connections") >= n - 200, "the crowd")
        self.still_serves("beside-thousands")
        if not sanitized():
            self.assertLess((self.most_memory("smtp") - before) * 1024 / n, 16, "KB a connection")
        for c in self.clients:
            c.close(True)
        self.all_gone()

    def test_all_places_taken(self):
        """The slow ones make room: an ordinary client gets in, a user who has logged in stays."""
        with_files(self.THOUSANDS + 1000)
        user = self.talk("submission")
        self.assertEqual(user.code("AUTH PLAIN " + plain("ann@home.example")), 235)
        self.crowd(self.THOUSANDS + 300, lambda i: f"127.30.{i // 250 % 250}.{1 + i % 250}", b"EHLO slow.example\r\n")
        self.still_serves("among-the-slow")
        self.assertGreater(self.metric("staffetta_smtp_slow_total"), 0)
        self.assertEqual(user.code("NOOP"), 250)
        for c in self.clients:
            c.close(True)
