"""IMAP clients that mean harm: they do not read, drip, announce and do not send, send without end, nest, come by the thousand
and leave in the middle. Whoever behaves is served meanwhile, access and mailbox stay small, and a session that is not over can be
used. STAFFETTA_LONG=1: the full sizes, and what takes minutes of waiting (docs/reliability.md has the figures)."""
import asyncio
import contextlib
import os
import socket
import time
import unittest

from harness import PASSWORD, sanitized, until
from hostile import Client, Cut, client_context, in_crowd
from imap_clients import message
from imap_line import Line
from test_hostile_crowd import Crowd, with_files

LONG = os.environ.get("STAFFETTA_LONG") == "1"
MB = 1 << 20
LIMIT = 2 * MB  # of a message
GROWTH = 32     # MB that each role may grow by in a test
EACH = 1        # ... or so many for each that does not read, whatever it is owed
PATIENCE = 300


class Imap(Client):
    """A session of which only the tagged answers are looked at."""

    def __init__(self, wire):
        super().__init__(wire)
        self.buffer = b"\n"  # everything looked for stands behind a line end

    async def starttls(self, context):
        await super().starttls(context)
        self.buffer = b"\n"

    async def begins(self, mark):
        """Reads up to the line that begins with this; gives it."""
        while True:
            at = self.buffer.find(b"\n" + mark)
            end = self.buffer.find(b"\n", at + 1) if at >= 0 else -1
            if end >= 0:
                line, self.buffer = self.buffer[at + 1:end], self.buffer[end:]
                return line.strip().decode("latin-1")
            if at < 0:
                self.buffer = self.buffer[-len(mark) - 1:]
            self.buffer += await asyncio.wait_for(self.wire.recv(), PATIENCE)

    async def answer(self, tag="t"):
        return (await self.begins(tag.encode() + b" "))[len(tag) + 1:]

    async def say(self, command, tag="t"):
        await self.send(f"{tag} {command}\r\n")
        return await self.answer(tag)

    async def ok(self, command):
        answer = await self.say(command)
        assert answer.startswith("OK"), f"{command[:100]}: {answer}"

    async def send(self, data):
        await asyncio.wait_for(self.wire.send(data.encode() if isinstance(data, str) else data), PATIENCE)

    async def ends(self):
        """Reads until the server closes."""
        with contextlib.suppress(Cut, OSError):
            while True:
                await asyncio.wait_for(self.wire.recv(), PATIENCE)
        return True


class Attacked(Crowd):
    config = {"relay_networks": [], "limits": {"connections": 12000, "connections_per_address": 20000, "connections_per_account": 5000,
                                               "message_size": str(LIMIT), "login_failures": 1000000}}

    def setUp(self):
        self.addCleanup(self.all_quiet)
        super().setUp()
        self.mine, self.unread = [], 0
        self.addCleanup(lambda: [c.close() for c in self.mine])
        self.others()  # what any use costs is not counted
        self.before = {role: self.most_memory(role) for role in ("access", "mailbox")}

    def all_quiet(self):
        """Nobody is left, and nobody needed much."""
        self.all_gone("access")
        until(lambda: self.metric("staffetta_mailbox_sessions") == 0, "every session to end")
        self.others()
        grown = {role: self.most_memory(role) - mb for role, mb in self.before.items()}
        if LONG:
            print("     " + ", ".join(f"{role} grew by {mb:.1f} MB" for role, mb in grown.items()), flush=True)
        if not sanitized():
            self.assertLess(max(grown.values()), max(GROWTH, EACH * self.unread), grown)

    def others(self):
        """Who behaves is served, in the account under attack and in another one."""
        for user in ("ann", "bob"):
            with Line(self.server.ports["imap"]) as t:
                t.ok(f'LOGIN {user}@home.example "{PASSWORD}"')
                t.ok("CREATE good")
                t.append("good", [message("good-1", 200)])
                t.ok("SELECT good")
                self.assertIn("Subject: good-1", t.ok("FETCH 1 BODY[]"))
                t.ok("STORE 1 +FLAGS (\\Deleted)")
                self.assertEqual(t.ok("SEARCH SUBJECT good DELETED"), ["* SEARCH 1"])
                t.ok("EXPUNGE")
                t.ok("DELETE good")
                t.ok("LOGOUT")

    async def enter(self, user="ann", select="INBOX", tls=False):
        """Logged in, unless user is None."""
        client = await Imap.open(self.server.ports["imaps" if tls else "imap"])
        self.mine.append(client)
        if tls:
            await client.starttls(client_context())
        await client.begins(b"* OK")
        if user:
            await client.ok(f'LOGIN {user}@home.example "{PASSWORD}"')
            await client.ok(f"SELECT {select}")
        return client

    async def every(self, n, act, **how):
        """The same by so many at once."""
        async def one(i):
            client = await self.enter(**how)
            await act(client)
            return client

        return await in_crowd([one(i) for i in range(n)], 500)

    def goes_on(self, clients):
        """Each of these sessions can be used."""
        async def noop(client):
            await client.ok("NOOP")
            client.close()

        self.loop.run(in_crowd([noop(c) for c in clients]))


class HostileImap(Attacked):
    @classmethod
    def prepare(cls):
        """INBOX of ann: 256 messages of 1 MB."""
        super().prepare()
        with Line(cls.server.ports["imap"]) as t:
            t.ok(f'LOGIN ann@home.example "{PASSWORD}"')
            t.append("INBOX", [message(f"large-{c}", MB) for c in "abcd"])
            t.ok("SELECT INBOX")
            for _ in range(6):
                t.ok("COPY 1:* INBOX")

    # ---- who does not read ----

    async def wants_all(self, client):
        await client.send("t FETCH 1:* BODY.PEEK[]\r\n")

    async def wants_some(self, client):
        await client.send("t FETCH 1:32 BODY.PEEK[]\r\n")

    def test_never_reads(self):
        """Each is owed 256 MB, in clear and in TLS. Two read on at last, and get all of it; the others go in the middle of it."""
        n = 100 if LONG else 10
        self.unread = 2 * n
        held = [*self.loop.run(self.every(n, self.wants_all)), *self.loop.run(self.every(n, self.wants_all, tls=True))]
        late = [*self.loop.run(self.every(1, self.wants_all if LONG else self.wants_some)),
                *self.loop.run(self.every(1, self.wants_all if LONG else self.wants_some, tls=True))]
        self.others()
        for client in late:
            self.assertTrue(self.loop.run(client.answer()).startswith("OK"))
        self.goes_on(late)
        for i, client in enumerate(held):
            client.close(reset=i % 2)

    def test_gone_in_the_middle(self):
        """The connection is reset, cut off or half closed while messages are on the way."""
        async def leave(i):
            client = await self.enter(tls=i % 4 == 3)
            await self.wants_all(client)
            for _ in range(i % 50):
                await client.raw.recv()
            if i % 3 == 2:
                client.raw.s.shutdown(socket.SHUT_WR)
            client.close(reset=i % 3 == 0)

        self.loop.run(in_crowd([leave(i) for i in range(1000 if LONG else 100)], 50))

    def test_half_closed(self):
        """Who has closed his side is gone: the session ends, with or without the answers, and nothing is left of it."""
        async def come(text):
            client = await self.enter()
            await client.send(text)
            client.raw.s.shutdown(socket.SHUT_WR)
            return await client.ends()

        texts = ("t NOOP\r\n", "t FETCH 1:* BODY.PEEK[]\r\n", "t IDLE\r\n", "t APPEND INBOX {100}\r\n", "t APPEND INBOX {100+}\r\nSubject", "t LOGOUT\r\n", "t")
        self.assertTrue(all(self.loop.run(in_crowd([come(t) for t in texts for _ in range(10)]))))

    # ---- who says too much, or too little at a time ----

    def flood(self, n, line, user, read):
        """So many commands at once. Who reads gets every answer; who does not is not read on either, until he does."""
        async def work():
            client = await self.enter(user)
            writer = asyncio.create_task(client.send(line * n + b"last NOOP\r\n"))
            return client, writer

        client, writer = self.loop.run(work())
        if not read:
            self.others()
        self.assertTrue(self.loop.run(client.answer("last")).startswith("OK"))
        self.loop.run(asyncio.wait_for(writer, PATIENCE))
        client.close()

    def test_a_hundred_thousand_commands(self):
        for line, user, read in ((b"a NOOP\r\n", "ann", False), (b"a UID FETCH 1 FLAGS\r\n", "ann", False), (b"a NOOP\r\n", None, False),
                                 (b"a NOOP\r\n", "ann", True), (b"a NOOP\r\n", None, True)):
            with self.subTest(line=line, user=user, read=read):
                self.flood(100000 if LONG or (user and b"NOOP" in line and not read) else 20000, line, user, read)

    def test_nothing_but_mistakes(self):
        """Every line is BAD: that is cut, before login and after it."""
        async def work(user):
            client = await self.enter(user)
            with contextlib.suppress(Cut, OSError):
                await client.send(b"a WHAT\r\n" * 100000)
            return await client.ends()

        for user in (None, "ann"):
            self.assertTrue(self.loop.run(work(user)))

    def test_one_byte_at_a_time(self):
        """Slow is allowed, with a literal in it too."""
        async def drip(text, tag):
            client = await self.enter()
            for byte in text:
                await client.send(bytes([byte]))
                await asyncio.sleep(0.002)
            return await client.answer(tag)

        texts = [b"t NOOP\r\n", b"t UID FETCH 1 (FLAGS)\r\n", b"t STATUS {5}\r\nINBOX (MESSAGES)\r\n", b"t APPEND INBOX {12+}\r\nSubject: x\r\n\r\n"]
        jobs = asyncio.run_coroutine_threadsafe(in_crowd([drip(t, "t") for t in texts for _ in range(10)]), self.loop.loop)
        self.others()
        self.assertTrue(all(a.startswith("OK") for a in jobs.result(PATIENCE)))

    @unittest.skipUnless(LONG, "takes three minutes of waiting: STAFFETTA_LONG=1")
    def test_one_byte_a_second_before_login(self):
        """That ends when the time for the login is over; by a byte a minute the first of the limits is the one for silence."""
        async def drip(pause):
            client, began = await self.enter(None), time.monotonic()
            with contextlib.suppress(Cut, OSError):
                while time.monotonic() < began + 600:
                    await client.send(b"x")
                    await asyncio.sleep(pause)
            return await client.ends()

        self.assertTrue(all(self.loop.run(in_crowd([drip(p) for p in (1, 70) for _ in range(10)]), 700)))

    def test_endless_lines_and_tags(self):
        """Thrown away, and answered BAD once: without the tag when that was endless too."""
        async def come(user, begin, block, answer):
            client = await self.enter(user)
            await client.send(begin)
            for _ in range(512 if LONG else 64):
                await client.send(block)
            await client.send("\r\n")
            await client.begins(answer)
            await client.ok("NOOP")

        texts = ((b"t NOOP ", b"x" * (MB // 4), b"t BAD"), (b"", b"x" * (MB // 4), b"* BAD"), (b"t SEARCH 1", b",1:2" * (MB // 16), b"t BAD"))
        jobs = asyncio.run_coroutine_threadsafe(in_crowd([come(u, *t) for t in texts for u in ("ann", None)]), self.loop.loop)
        self.others()
        jobs.result(PATIENCE)

    def test_nested(self):
        """10,000 deep where the grammar nests, and where it does not."""
        deep, commands = 10000, []
        for begin, end in (("(", ")"), ("NOT ", ""), ("OR ALL ", ""), ("FUZZY (", ")")):
            n = min(deep, 60000 // (len(begin) + len(end)))
            commands += [f"SEARCH {begin * n}ALL{end * n}", f"SEARCH {begin * n}", f"SORT (DATE) UTF-8 {begin * n}ALL{end * n}",
                         f"THREAD REFERENCES UTF-8 {begin * n}ALL{end * n}"]
        for head in ("FETCH 1 ", 'LIST "" ', "LIST ", "STORE 1 FLAGS ", "STATUS INBOX ", "ID ", "NOTIFY SET ", "GETMETADATA ", "APPEND INBOX ",
                     "SETQUOTA INBOX ", "SELECT INBOX ", "FETCH 1 BODY[HEADER.FIELDS "):
            commands += [head + "(" * deep, head + "(" * deep + "x" + ")" * deep]
        commands += ["FETCH 1 BODY[" + "1." * deep + "1]", 'LIST "" ' + "*%" * deep, "CREATE " + "a/" * deep + "a"]

        async def work():
            client = await self.enter()
            for command in commands:
                answer = await client.say(command)
                self.assertIn(answer.split(" ")[0], ("OK", "NO", "BAD"), command[:40])
                await client.ok("NOOP")

        job = asyncio.run_coroutine_threadsafe(work(), self.loop.loop)
        self.others()
        job.result(PATIENCE)

    # ---- literals ----

    def test_announced_and_never_sent(self):
        """By a hundred, and by a hundred who send all but the end; what they sent is nowhere when they are gone."""
        async def announce(client):
            await client.send(f"t APPEND INBOX {{{LIMIT}}}\r\n")
            await client.begins(b"+ ")

        async def send_most(client):
            await announce(client)
            await client.send(b"x" * (LIMIT - 1 if LONG else LIMIT // 8))

        self.loop.run(self.every(100, announce))
        self.loop.run(self.every(100, send_most))
        self.others()
        with Line(self.server.ports["imap"]) as t:
            t.ok(f'LOGIN ann@home.example "{PASSWORD}"')
            self.assertEqual(t.ok("STATUS INBOX (MESSAGES)"), ["* STATUS INBOX (MESSAGES 256)"])

    def test_sent_slowly(self):
        """A hundred at once, some bytes at a time; all of them arrive."""
        whole = message("slow-1", 3000)

        async def drip(client):
            await client.send(b"t APPEND slow {%d+}\r\n" % len(whole))
            for at in range(0, len(whole), 100):
                await client.send(whole[at:at + 100])
                await asyncio.sleep(0.005)
            await client.send("\r\n")
            self.assertRegex(await client.answer(), "^OK")

        with Line(self.server.ports["imap"]) as t:
            t.ok(f'LOGIN ann@home.example "{PASSWORD}"')
            t.ok("CREATE slow")
            jobs = asyncio.run_coroutine_threadsafe(self.every(100, drip), self.loop.loop)
            self.others()
            self.goes_on(jobs.result(PATIENCE))
            self.assertEqual(t.ok("STATUS slow (MESSAGES)"), ["* STATUS slow (MESSAGES 100)"])
            t.ok("DELETE slow")

    def test_too_large(self):
        """Refused before it is sent, or read and thrown away; a number that is none of a literal's is none that ends."""
        async def waits(command, answers):
            client = await self.enter()
            answer = await client.say(command)
            self.assertRegex(answer, answers, command)
            await client.ok("NOOP")

        async def sends(head, size, answers):
            client = await self.enter()
            await client.send(f"t {head}{{{size}+}}\r\n")
            answer = asyncio.create_task(client.answer())
            for at in range(0, size, MB):
                await client.send(b"x" * min(MB, size - at))
            await client.send("\r\n")
            self.assertRegex(await answer, answers)
            await client.ok("NOOP")

        async def never_ends(head, size, user):
            """The answer comes at once; nothing of what follows is a command."""
            client = await self.enter(user)
            await client.send(f"t {head}{{{size}+}}\r\nx DELETE INBOX\r\ny NOOP\r\n")
            answer = await client.answer()
            self.assertRegex(answer, "^(NO|BAD)")
            with contextlib.suppress(Cut, OSError):
                await client.send(b"z NOOP\r\n" * 1000)
                client.raw.s.shutdown(socket.SHUT_WR)
                with self.assertRaises((Cut, OSError)):
                    await client.begins(b"y ")

        heads = ("APPEND INBOX ", "STATUS ", "SEARCH SUBJECT ", 'SETMETADATA "" (/private/comment ', "REPLACE 1 INBOX ", "APPEND INBOX CATENATE (TEXT ")
        numbers = (LIMIT + 1, 1 << 32, (1 << 63) - 1, 1 << 63, 10 ** 20, 10 ** 1000)
        jobs = [waits(f"{head}{{{n}}}", "^(NO|BAD)") for head in heads for n in numbers]
        jobs += [sends(head, LIMIT + 1, "^(NO|BAD)") for head in heads]
        jobs += [never_ends(head, n, user) for n in numbers[1:] for head, user in [*((h, "ann") for h in heads), ("LOGIN ", None), ("LOGIN ann ", None)]]
        together = asyncio.run_coroutine_threadsafe(in_crowd(jobs, 20), self.loop.loop)
        self.others()
        together.result(PATIENCE)


class Silence(Attacked):
    THOUSANDS = 10000 if LONG else 1000

    def test_thousands_say_nothing(self):
        """Connections without a word, and a tenth as many sessions that do nothing."""
        n = min(self.THOUSANDS, with_files(self.THOUSANDS + 2000) - 1500)
        before = self.most_memory("access")
        self.crowd(n, lambda i: f"127.{40 + i % 7}.{i // 250 % 250}.{1 + i % 250}", b"", "imap")
        until(lambda: self.metric("staffetta_access_connections") >= n, "the crowd")
        sessions = self.loop.run(self.every(n // 10, self.says_nothing))
        self.others()
        each = (self.most_memory("access") - before) * 1024 / n
        if LONG:
            print(f"     {n} connections, {each:.1f} KB each in access", flush=True)
        if not sanitized():
            self.assertLess(each, 16, "KB a connection")
        self.before["access"] = self.most_memory("access")
        self.goes_on(sessions)
        for c in self.clients:
            c.close()

    async def says_nothing(self, client):
        """It has logged in, that is all."""
