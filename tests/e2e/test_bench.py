"""The load generator and the sink of bench/, and bench/run itself: what they count is what happened. How fast, no test says."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import tempfile
import unittest

import harness
import hostile
from harness import Case, TOP, free_port, listening, run, until

COUNTERS = ("messages", "recipients", "connections", "handshakes", "last")


def tool(name):
    return pathlib.Path(os.environ.get("STAFFETTA_BUILD", TOP / "build")) / "bench" / name


def load(port, **options):
    argv = [tool("bench-source"), f"--port={port}", *(f"--{k}" if v is True else f"--{k}={v}" for k, v in options.items())]
    return json.loads(run(*argv).stdout)


class Tools(unittest.TestCase):
    """bench-source against bench-sink."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="staffetta-bench-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.certificate = harness.make_certificate(cls.folder, "bench", ["sink.example"])

    def setUp(self):
        self.port, self.counters = free_port(), self.folder / f"counters-{self.id()}"
        self.process = subprocess.Popen([tool("bench-sink"), str(self.port), self.counters, *self.certificate], stdout=subprocess.PIPE, text=True)
        until(lambda: listening(self.port), "the sink to listen")
        self.before = self.count()["connections"]

    def tearDown(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def count(self):
        return dict(zip(COUNTERS, struct.unpack("5Q", self.counters.read_bytes())))

    def told(self):
        self.process.send_signal(signal.SIGTERM)
        return json.loads(self.process.communicate()[0])

    def test_one_message_a_connection(self):
        told, counted = load(self.port, messages=300, sessions=7), self.count()
        self.assertEqual((told["messages"], told["failed"], counted["messages"]), (300, 0, 300))
        self.assertGreaterEqual(counted["connections"] - self.before, 300)
        self.assertTrue(0 < told["p50"] <= told["p95"] <= told["p99"] <= told["max"])

    def test_many_messages_and_recipients_after_starttls(self):
        told, counted = load(self.port, messages=60, sessions=3, many=20, each=5, rcpt="u%d@home.example", cycle=100, starttls=True), self.count()
        self.assertEqual((told["recipients"], counted["messages"], counted["recipients"], counted["handshakes"]), (300, 60, 300, told["connections"]))
        self.assertLessEqual(told["connections"], 6)

    def test_sizes_around_a_line_and_a_buffer(self):
        for size in (1, 361, 441, 5000, 65535, 65536, 65537, 300001):
            self.assertEqual(load(self.port, messages=1, size=size)["failed"], 0, size)
        self.assertEqual(self.count()["messages"], 8)
        told = self.told()
        self.assertEqual(told["messages"], 8)
        self.assertTrue(0 < told["p50"] <= told["max"], "every message carried its time")


class Hostile(unittest.TestCase):
    """What bench/hostile needs: servers that hang, clients that drip."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="staffetta-bench-test-")
        self.addCleanup(folder.cleanup)
        self.port, counters = free_port(), pathlib.Path(folder.name) / "counters"
        self.read = lambda: struct.unpack("5Q", counters.read_bytes())[0]
        process = subprocess.Popen([tool("bench-sink"), "--tarpits", str(self.port), counters], stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        until(lambda: listening(self.port), "the sink to listen")

    def silent_at(self, last):
        """Where the server of 127.10.0.`last` says no more."""
        with socket.create_connection((f"127.10.0.{last}", self.port)) as s:
            s.settimeout(0.3)
            heard = []
            with contextlib.suppress(TimeoutError):
                for step, line in (("greeting", ""), ("EHLO", "EHLO x\r\n"), ("MAIL", "MAIL FROM:<>\r\n"), ("RCPT", "RCPT TO:<x@x>\r\n"),
                                   ("DATA", "DATA\r\n"), ("dot", "A: b\r\n\r\nx\r\n.\r\n")):
                    s.sendall(line.encode())
                    heard.append(step)
                    s.recv(1000)
                return "nowhere"
            return heard[-1]

    def test_tarpits_hang(self):
        self.assertEqual([self.silent_at(i) for i in (5, 1, 2, 3, 4, 10)], ["greeting", "EHLO", "MAIL", "DATA", "dot", "greeting"])
        self.assertEqual(self.read(), 0)
        self.assertEqual(load(self.port, messages=3)["failed"], 0)

    def test_clients_drip(self):
        heard = []

        async def collect(session, line):
            await session.wire.send(b"354 go on\r\n")
            while True:
                heard.append(await session.wire.recv())

        peer = hostile.Peer(free_port())
        self.addCleanup(peer.close)
        case = peer.by_ip["127.0.0.1"] = hostile.Case("listens", {"DATA": collect})
        argv = [tool("bench-source"), f"--port={peer.port}", "--sessions=5", "--sources=5", "--hold", "--drip"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            self.assertEqual(process.stdout.readline(), "holding 5\n")
            until(lambda: len(heard) >= 10, "two bytes of each")
            process.stdin.close()
        self.assertEqual((process.returncode, case.connections, b"".join(heard).strip(b"x")), (0, 5, b""))


class Load(Case):
    """bench-source against the server."""

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for i in range(3):
            cls.server.account(f"u{i}@home.example")

    def test_recipients_in_turn(self):
        told = load(self.server.ports["mx"], messages=6, sessions=2, rcpt="u%d@home.example", cycle=3, starttls=True)
        self.assertEqual((told["messages"], told["failed"]), (6, 0))
        for i in range(3):
            for text in self.server.mailbox_holds(f"u{i}@home.example", 2):
                self.assertIn(b"X-Bench-Time: ", text)
                self.assertTrue(all(len(line) <= 200 for line in text.split(b"\n")))

    def test_a_refusal_is_no_message(self):
        told = load(self.server.ports["mx"], messages=2, rcpt="nobody@home.example")
        self.assertEqual((told["messages"], told["failed"], told["connections"]), (0, 2, 2))

    def test_connections_held(self):
        argv = [tool("bench-source"), f"--port={self.server.ports['mx']}", "--sessions=50", "--hold", "--starttls"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            self.assertEqual(holder.stdout.readline(), "holding 50\n")
            holder.stdin.close()
            self.assertEqual(holder.wait(harness.LIMIT), 0)


@unittest.skipUnless(harness.may_mount(), "bench/run needs root with mount namespaces")
class Run(unittest.TestCase):
    def test_a_table(self):
        with tempfile.TemporaryDirectory(prefix="staffetta-bench-test-") as folder:
            saved = pathlib.Path(folder) / "saved"
            argv = [TOP / "bench/run", "--peers=staffetta,limit", "--work=accept: 100 a connection, 20", "--rounds=1", "--seconds=1", "--no-syncs"]
            said = run("/usr/bin/python3", *argv, "--build", tool("").parent, "--save", saved).stdout
            rounds = [json.loads(line) for line in saved.read_text().splitlines()]
            self.assertEqual([r["program"].split(":")[0] for r in rounds], ["Staffetta", "limit"])
            for figures in rounds:
                self.assertGreater(figures["count"], 0)
                self.assertGreater(figures["cpu"], 0)
                self.assertIn(f"| {figures['program']} | {figures['rate']:,.0f} ", said)
            self.assertIn(f"{rounds[0]['rate']:,.0f}", run("/usr/bin/python3", TOP / "bench/run", "--show", saved).stdout)

    def test_the_way_to_the_sink(self):
        with tempfile.TemporaryDirectory(prefix="staffetta-bench-test-") as folder:
            saved = pathlib.Path(folder) / "saved"
            argv = [TOP / "bench/run", "--peers=staffetta", "--work=relay: 100 a connection, 100", "--rounds=1", "--seconds=1", "--no-syncs"]
            run("/usr/bin/python3", *argv, "--build", tool("").parent, "--save", saved)
            figures = json.loads(saved.read_text())
            self.assertTrue(0 < figures["way_p50"] <= figures["way_p95"] <= figures["way_p99"] <= figures["way_max"])
            self.assertGreaterEqual(figures["way_max"], figures["p50"], "none is there before it is answered")
