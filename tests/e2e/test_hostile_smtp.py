"""Clients that hang, lie, drip, flood and vanish at every byte: what was answered with 250 is there once, what was not is
there once at most, half a message never, and the server neither grows nor keeps others waiting."""
import asyncio
import collections
import contextlib
import os
import pathlib
import re
import urllib.request

from harness import sanitized, until
from hostile import FOREVER, Client, Cut, Loop, around, client_context, in_crowd, tls_records
from mailcase import Mail, plain
from talk import Talk


class Hostile(Mail):
    config = {"relay_networks": [], "limits": {"idle_time": "2s", "connection_time": "6s", "errors": 20}}

    def setUp(self):
        self.loop = Loop()
        self.addCleanup(self.loop.close)
        self.tag = self._testMethodName[5:9].encode()
        self.sent = set()    # subjects whose end was sent
        self.taken = set()   # those that got their 250
        self.owed = set()    # those whose client read on until the end: they must get it

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
        self.assertEqual(self.owed - self.taken, set(), "no 250, though the client waited for it")
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
        subject = f"{self.tag.decode()}-{how:_<5}-{'bdat' if bdat else 'data'}-{'tls' if context else 'plain'}-{min(n, 99999):05}-{flip:05}"
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
                if how == "shut" and n == FOREVER and flip < 0:
                    self.owed.add(subject)
                await client.wire.send(text)
            else:
                if n >= end:
                    self.sent.add(subject)
                    self.owed |= {subject} if how in ("shut", "hang") else set()
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
        return client.raw

    def test_the_client_leaves_at_every_byte(self):
        for bdat in (False, True):
            whole = len(dialogue(f"{self.tag.decode()}-close-data-plain-00000--0001", bdat)[0])
            for how in ("close", "reset", "shut"):
                self.loop.run(in_crowd([self.leave(how, n, bdat) for n in range(whole + 1)], 50))
            self.loop.run(in_crowd([self.leave("hang", n, bdat) for n in range(0, whole + 1, 3)], 200))
        self.settle()
        self.assertGreater(len(self.taken), 4)

    def test_tls_breaks_at_every_record(self):
        context = client_context()
        start = self.loop.run(self.leave("close", 0, False, context)).sent
        good = self.loop.run(self.leave("shut", FOREVER, False, context))
        whole, records = good.sent - start, [p - start for p in tls_records(good.stream)]
        self.assertGreater(len(records), 3)
        limit = 1800 if os.environ.get("STAFFETTA_LONG") == "1" else 300
        for how in ("close", "reset", "shut"):
            self.loop.run(in_crowd([self.leave(how, n, False, context) for n in around(records, whole, 11)], 20), limit)
        self.loop.run(in_crowd([self.leave("shut", FOREVER, False, context, flip) for flip in around(records, whole - 1, 11)], 20), limit)
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

    def test_tls_by_single_bytes(self):
        """Each byte of handshake and mail alone: that is allowed. With a pause behind each it takes too long, and is cut."""
        async def come(subject, pace):
            client = await Client.open(self.server.ports["mx"])
            with contextlib.suppress(Cut, OSError):
                await client.reply()
                await client.say("EHLO c.example")
                await client.say("STARTTLS")
                client.raw.pace = pace
                await client.starttls(client_context())
                self.sent.add(subject)
                await client.wire.send(dialogue(subject)[0])
                while True:
                    code, words = await client.reply()
                    if code == 250 and "queued" in words:
                        self.taken.add(subject)
            client.close()

        names = [f"{self.tag.decode()}-{i}" for i in range(20)]
        self.loop.run(in_crowd([come(n, 0) for n in names] + [come(n + "-slow", 0.05) for n in names]))
        self.assertEqual(self.taken, set(names))
        self.settle()
        self.still_serves("after-slow-handshakes")
