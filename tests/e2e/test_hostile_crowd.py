"""Crowds: thousands of connections at once, from many addresses and from one, to SMTP and to POP3. Whoever has a limit hears of
it, the others are served, and who was there with a name stays."""
import asyncio
import contextlib
import resource

from harness import sanitized, until
from hostile import Client, Cut, in_crowd
from mailcase import plain
from test_hostile_smtp import Hostile, Nonsense

IN_DATA = Nonsense.STEPS[-1]
del Nonsense  # its tests have their own file


def with_files(n):
    """Room for so many descriptors in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, n), hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Crowd(Hostile):
    """idle_time is long, so that nobody goes by himself."""
    THOUSANDS = 3000

    def crowd(self, n, sources, head, listener="mx"):
        """So many connections that stay, in self.clients."""
        async def come(i):
            with contextlib.suppress(Cut, OSError, asyncio.TimeoutError):
                client = await Client.open(self.server.ports[listener], sources(i))
                self.clients.append(client)
                await asyncio.wait_for(client.reply(), 30)
                await client.wire.send(head)

        self.clients = []
        self.loop.run(in_crowd([come(i) for i in range(n)], 500))
        self.addCleanup(lambda: [c.close() for c in self.clients])


class Thousands(Crowd):
    config = {"relay_networks": [], "limits": {"connections": 3000, "idle_time": "10m"}}

    def test_thousands_from_many_addresses(self):
        n = min(self.THOUSANDS, with_files(self.THOUSANDS + 500) - 300)
        before = self.most_memory("smtp")
        self.crowd(n - 100, lambda i: f"127.{20 + i % 7}.{i // 250 % 250}.{1 + i % 250}", IN_DATA)
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


class OneAddress(Crowd):
    """A proxy tells the address: loopback itself has no limit."""
    config = {"relay_networks": [], "limits": {"connections": 3000, "connections_per_address": 40, "idle_time": "10m"}}
    listen = {"mx": {"proxy_from": ["127.0.0.0/8"]}, "pop3": {"proxy_from": ["127.0.0.0/8"]}}
    THOUSANDS = 2000

    async def come(self, listener, ip, port):
        """What it hears, and whether that was the end."""
        client = await Client.open(self.server.ports[listener])
        self.clients.append(client)
        with contextlib.suppress(Cut, OSError, asyncio.TimeoutError):
            await client.wire.send(f"PROXY TCP4 {ip} 127.0.0.1 {port} 25\r\n".encode())
            heard = (await asyncio.wait_for(client.reply(), 30))[1]
            ended = False
            if heard[:3] not in ("220", "+OK"):
                with contextlib.suppress(Cut):
                    await asyncio.wait_for(client.raw.recv(), 30)
                ended = await self.is_closed(client)
            return heard, ended
        return "nothing", True

    @staticmethod
    async def is_closed(client):
        try:
            await asyncio.wait_for(client.raw.recv(), 30)
        except (Cut, OSError):
            return True
        return False

    def all_at_once(self, listener, refusal):
        with_files(self.THOUSANDS + 500)
        self.clients = []
        self.addCleanup(lambda: [c.close(True) for c in self.clients])
        heard = self.loop.run(in_crowd([self.come(listener, "198.51.100.7", 1000 + i) for i in range(self.THOUSANDS)], 500))
        good = [words for words, ended in heard if not ended]
        self.assertEqual(len(good), 40)
        self.assertEqual({h for h in heard if h[1]}, {(refusal, True)})
        other = self.loop.run(self.come(listener, "198.51.100.8", 1))
        self.assertFalse(other[1], other)
        for c in self.clients:
            c.close(True)
        until(lambda: not self.loop.run(self.come(listener, "198.51.100.7", 2))[1], "the address to be let in again")

    def test_smtp(self):
        self.all_at_once("mx", "421 4.7.0 Too many connections from your address")

    def test_pop3(self):
        self.all_at_once("pop3", "-ERR [SYS/TEMP] Not now, try again later")


class BeforeLogin(Crowd):
    """POP3: all places taken by those who never log in."""
    config = {"relay_networks": [], "limits": {"connections": 300}}

    def test_they_make_room(self):
        with_files(1000)
        user = self.server.pop3("ann@home.example")
        self.crowd(350, lambda i: f"127.31.{i // 250}.{1 + i % 250}", b"CAPA\r\n", "pop3")
        other = self.server.pop3("bob@home.example")
        self.assertTrue(other.noop().startswith(b"+OK"))
        self.assertTrue(user.noop().startswith(b"+OK"))
        self.assertGreater(self.metric("staffetta_access_slow_total"), 0)
        other.quit()
        user.quit()
