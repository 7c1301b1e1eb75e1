"""Remote servers that hang, lie, drip, flood and vanish at every step, and what becomes of the mail: it arrives once, or
its sender is told once, and the relay neither grows nor stays behind."""
import collections
import contextlib
import itertools
import pathlib
import re

from harness import Case as ServerCase
from harness import letter, make_certificate, sanitized, until
from hostile import CLOSE, EXTENSIONS, FOREVER, HANG, RESET, Case, Peer, after, around, drip, flood, tls_records
from sink import server_context

FRUGAL = ()
networks = itertools.count(10)
LISTS = {"pipelining and BDAT": EXTENSIONS, "pipelining and DATA": ("PIPELINING", "8BITMIME"), "one by one": FRUGAL}


class Hostile(ServerCase):
    config = {"queue": {"retry": ["1s"], "lifetime": "1h", "delay_notice": "0s"}, "limits": {"recipients": 5000},
              "relay": {"idle_time": "1s", "command_time": "2s", "connect_time": "2s"}}

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example", "--recipients-per-hour=1000000", "--messages-per-hour=1000000", "--quota=0")

    def setUp(self):
        self.peer = Peer(self.server.relay_port, next(networks))  # no address twice: reports are counted by address
        self.addCleanup(self.peer.close)

    def tearDown(self):
        self.doCleanups()
        self.server.queue_clear()

    def send(self, rcpts, subject="hostile", **more):
        rcpts = list(rcpts)
        for i in range(0, len(rcpts), 500):
            self.server.send("ann@home.example", rcpts[i:i + 500], letter("ann@home.example", "x@far.example", subject), **more)

    def relay_memory(self):
        """The most the relay ever held, in MB."""
        pid = self.server.roles()["relay"][0]
        return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024

    def reported(self):
        """How often each recipient was reported as failed."""
        text = b"".join(self.server.mailbox("ann@home.example")).decode("utf-8", "replace")
        return collections.Counter(re.findall(r"^Final-Recipient: rfc822; *(\S+)", text, re.M))

    def arrive_once(self, limit=None):
        """Every case ends with its message at the peer, once."""
        cases = self.peer.cases.values()
        self.all_of([c.name for c in cases], lambda: [c.name for c in cases if c.accepted], limit)
        self.server.queue_empty()
        twice = [(c.name, c.accepted, c.connections) for c in cases if c.accepted != 1]
        self.assertEqual(twice, [])
        self.nothing_left()

    def all_of(self, wanted, found, limit=None):
        """Waits until all are there; says which were not."""
        with contextlib.suppress(AssertionError):
            until(lambda: not set(wanted) - set(found()), "", limit)
        self.assertEqual(sorted(set(wanted) - set(found())), [])

    def nothing_left(self):
        """No connection stays, and nobody is told of a failure."""
        until(lambda: self.peer.open_now == 0, "the connections to end")


class EveryByte(Hostile):
    def good(self, **more):
        """A whole good connection."""
        good = Case("good", **more)
        self.send([self.peer.add(good)])
        until(lambda: good.accepted and self.peer.open_now == 0, "a good connection")
        return good

    def test_the_server_closes_at_every_byte(self):
        for name, extensions in LISTS.items():
            with self.subTest(name):
                good = self.good(extensions=extensions)
                read, sent = good.read, good.sent
                cases = [Case(f"{name}: after reading {n}", extensions=extensions, bad=1, cut_in=n) for n in range(1, read + 8)]
                cases += [Case(f"{name}: after sending {n}", extensions=extensions, bad=1, cut_out=n) for n in range(sent + 1)]
                self.send([self.peer.add(c) for c in cases])
                self.arrive_once(180)
        self.assertFalse(self.reported())

    def test_tls_breaks_at_every_record(self):
        """Cut and falsified: before, inside and after each record, in both directions (STAFFETTA_LONG=1: at every byte)."""
        context = server_context(self.server.chain, self.server.key)
        good = self.good(tls=context)
        read, sent = list(tls_records(good.came)), list(tls_records(good.stream))
        self.assertGreater(min(len(read), len(sent)), 5)
        cases = [Case(f"cut after reading {n}", tls=context, bad=1, cut_in=n) for n in around(read, good.read, 7)]
        cases += [Case(f"cut after sending {n}", tls=context, bad=1, cut_out=n) for n in around(sent, good.sent, 7)]
        cases += [Case(f"byte {n} is another", tls=context, bad=1, flip=n) for n in around(sent, good.sent - 1, 7)]
        self.send([self.peer.add(c) for c in cases])
        self.all_of([c.name for c in cases], lambda: [c.name for c in cases if c.accepted], 180 if len(cases) < 3000 else 1800)
        self.server.queue_empty()
        # A falsified byte in the last records may come after a 250 that was read; before it nothing counts as taken.
        self.assertEqual([(c.name, c.accepted) for c in cases if c.accepted != 1 and c.flip < 0], [])
        self.assertEqual([(c.name, c.accepted) for c in cases if c.accepted > 2], [])


    def test_a_handshake_by_single_bytes(self):
        """As long as it ends in time it is one; else the message goes without TLS, where that is allowed."""
        context = server_context(self.server.chain, self.server.key)
        quick, slow = Case("every byte alone", tls=context, pace=0), Case("too slow", tls=context, pace=0.02)
        self.send([self.peer.add(quick), self.peer.add(slow)])
        self.arrive_once()
        self.assertEqual((quick.in_clear, quick.connections), (0, 1))
        self.assertEqual(slow.in_clear, 1)


LATER = "451 4.3.0 later"
NEVER = "550 5.7.1 never"
JUNK = b"\x00\xff\x16\x03nonsense\r\n"
ENDLESS = b"2" * 80
STEPS = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT")

# name: (what the server does, its extensions)
WAITS = {f"{how} at {step}{'' if extensions else ', one by one'}": ({step: action} | ({"HELO": action} if step == "EHLO" else {}), extensions)
         for step in STEPS
         for extensions in ((FRUGAL,) if step == "DATA" else (EXTENSIONS, FRUGAL))
         for how, action in (("hangs", HANG), ("closes", CLOSE), ("resets", RESET), ("junk", JUNK), ("999", b"999 what\r\n"), ("no code", b"ok\r\n"),
                             ("two codes", b"550-a\r\n250 b\r\n"), ("says later", LATER),
                             ("drips", drip("250 2.0.0 slowly, slowly, slowly, slowly", 0.5)),
                             ("empty", b"\r\n"), ("nothing but dots", b".\r\n" * 50))}
WAITS |= {
    "354 to MAIL": ({"MAIL": "354 what"}, EXTENSIONS),
    "354 to RCPT": ({"RCPT": "354 what"}, FRUGAL),
    "250 to DATA": ({"DATA": "250 what"}, FRUGAL),
    "354 to the message": ({"DOT": "354 more?"}, FRUGAL),
    "421 after RCPT": ({"RCPT": "421 4.3.2 changed my mind"}, FRUGAL),
    "421 after DATA": ({"DATA": "421 4.3.2 changed my mind"}, FRUGAL),
    "421 after the message": ({"DOT": "421 4.3.2 changed my mind"}, EXTENSIONS),
    "452 to the first recipient": ({"RCPT": "452 4.5.3 too many"}, EXTENSIONS),
    "a greeting that never ends": ({"GREETING": flood(b"220-on\r\n", 1 << 20)}, EXTENSIONS),
    "only HELO, and that later": ({"EHLO": "502 5.5.1 what", "HELO": LATER}, FRUGAL),
}
FAILS = {f"refuses at {step}": ({step: NEVER}, extensions) for step, extensions in (("MAIL", EXTENSIONS), ("RCPT", FRUGAL), ("RCPT", EXTENSIONS),
                                                                                 ("DATA", FRUGAL), ("DOT", EXTENSIONS), ("DOT", FRUGAL))}
FAILS |= {
    "takes SIZE for nothing": ({"MAIL": "555 5.5.4 what is SIZE"}, EXTENSIONS),
    "announces a size that is too small": ({}, ("SIZE 10",)),
    "takes BDAT for nothing": ({"DOT": "500 5.5.1 what is BDAT"}, EXTENSIONS),
}
ARRIVES = {
    "never answers QUIT": ({"QUIT": HANG}, EXTENSIONS),
    "junk to QUIT": ({"QUIT": JUNK}, EXTENSIONS),
    "announces nonsense": ({}, ("\x01\x02", "SIZE banana", "LIMITS RCPTMAX=0 MAILMAX=x", "AUTH", "XYZZY " + "x" * 400)),
    "announces STARTTLS and refuses it": ({"STARTTLS": "454 4.7.0 not now"}, (*EXTENSIONS, "STARTTLS")),
    "announces STARTTLS and does not know it": ({"STARTTLS": "502 5.5.1 what"}, (*EXTENSIONS, "STARTTLS")),
    "speaks on in plain after STARTTLS": ({"STARTTLS": after("220 go\n250-peer\n250 AUTH PLAIN")}, (*EXTENSIONS, "STARTTLS")),
    "junk instead of a handshake": ({"STARTTLS": after(b"220 go\r\n" + b"\x16\x03\x01\xff\xff" + b"x" * 300)}, (*EXTENSIONS, "STARTTLS")),
    "lines end with a bare LF": ({v: t + b" x\n" for v, t in (("GREETING", b"220"), ("MAIL", b"250"), ("RCPT", b"250"), ("DATA", b"354"))}, FRUGAL),
    "only HELO": ({"EHLO": "502 5.5.1 what"}, FRUGAL),
    "a reply at a time, slowly": ({v: drip(t + "\r\n", 0.02, None) for v, t in (("GREETING", "220 x"), ("MAIL", "250 x"), ("RCPT", "250 x"))}, FRUGAL),
}


class EveryStep(Hostile):
    """Servers that never mend: the sender is told, once, when the time is up or the answer is final."""
    config = {**Hostile.config, "queue": {"retry": ["1s"], "lifetime": "9s", "delay_notice": "0s"}}

    def play(self, table):
        return {self.peer.add(Case(name, dict(on), extensions)): name for name, (on, extensions) in table.items()}

    def test_who_waits_is_returned_in_the_end(self):
        names = self.play(WAITS)
        self.send(names, "waits")
        until(self.peer.all_read, "all to be tried")
        self.told_once(names)

    def test_who_refuses_fails_at_once(self):
        names = self.play(FAILS)
        self.send(names, "fails")
        self.told_once(names)
        tries = {c.name: c.connections for c in self.peer.cases.values() if c.connections != 1}
        self.assertEqual(tries, {})

    def told_once(self, names):
        self.server.queue_empty()
        self.all_of(names.values(), lambda: [names[r] for r in self.reported() if r in names])
        told = self.reported()
        self.assertEqual({names[r]: n for r, n in told.items() if r in names and n != 1}, {})
        self.assertEqual([c.name for c in self.peer.cases.values() if c.accepted], [])
        self.nothing_left()

    def test_oddities_do_no_harm(self):
        names = self.play(ARRIVES)
        self.send(names, "oddities")
        self.arrive_once()
        self.assertFalse(set(self.reported()) & set(names))

    def test_a_hundred_megabytes_of_reply(self):
        before = self.relay_memory()
        for step in STEPS:
            for i, line in enumerate((b"250-on and on and on and on and on and on and on and on\r\n", ENDLESS)):
                extensions = FRUGAL if step == "DATA" else EXTENSIONS
                self.peer.add(Case(f"{step} {i}", {step: flood(line)}, extensions, bad=1))
        self.send(self.peer.cases, "flood")
        self.arrive_once()
        if not sanitized():
            self.assertLess(self.relay_memory() - before, 16)


class MindChangers(Hostile):
    def test_after_some_recipients(self):
        """One is taken, one refused, one put off, one limit hit, in one transaction: each gets its own verdict."""
        case = Case("picky", {}, EXTENSIONS)
        rcpt = self.peer.add(case)
        host = rcpt.split("@")[1]
        seen = collections.Counter()

        async def picky(session, line):
            name = re.search(r"<(\w+)@", line)[1]
            seen[name] += 1
            return {"bad": NEVER, "slow": LATER, "limit": "452 4.5.3 too many recipients"}.get(name) if seen[name] == 1 else None

        case.on = {"RCPT": picky}
        self.server.send("ann@home.example", [f"{n}@{host}" for n in ("good", "bad", "slow", "limit")], letter())
        self.server.queue_empty()
        self.assertEqual(dict(seen), {"good": 1, "bad": 1, "slow": 2, "limit": 2})
        until(lambda: self.reported()[f"bad@{host}"], "the report")
        self.assertEqual(self.reported()[f"bad@{host}"], 1)

    def test_taken_and_never_answered(self):
        """The doubtful window: tried again later, by nobody else, and told in the log."""
        case = Case("silent after the dot", {"DOT": HANG}, bad=2)
        self.send([self.peer.add(case)])
        until(lambda: case.accepted, "the third attempt")
        self.server.queue_empty()
        self.assertEqual((case.doubtful, case.accepted), (2, 1))
        self.assertIn("it may arrive twice", self.server.log_text())


class NeverInTheClear(Hostile):
    """A route that asks for TLS: wherever it breaks, nothing goes out without it."""

    def test_required_tls_breaks(self):
        context = server_context(*make_certificate(self.server.folder, "far", ["far.example"]))
        good = Case("good", tls=context)
        self.send([self.peer.add(good)])
        until(lambda: good.accepted and self.peer.open_now == 0, "a good connection")
        domains = []
        for n in range(30, good.sent, max(1, good.sent // 40)):
            case = Case(f"byte {n}", tls=context, flip=n, bad=FOREVER)
            ip = self.peer.add(case).split("[")[1].rstrip("]")
            domains.append((f"tls{n}.example", case))
            self.server.route(f"recipient:tls{n}.example", "smtp", f"{ip}:{self.server.relay_port}", tls="required")
        self.send([f"x@{d}" for d, _ in domains])
        self.all_of([c.name for _, c in domains], lambda: [c.name for _, c in domains if c.connections >= 2 or c.accepted])
        self.assertEqual([(c.name, c.lines) for _, c in domains if c.in_clear], [])
        self.assertGreater(sum(c.connections for _, c in domains), 2 * len(domains) - 10)


class Tarpits(Hostile):
    """More servers that take for ever than there are connections, with more mail than there is memory: other mail goes."""
    config = {**Hostile.config, "queue": {"retry": ["1s"], "active": 200}, "relay": {"connections": 16, "command_time": "10m", "connect_time": "2s"}}

    def test_other_mail_goes(self):
        steps = ("GREETING", "EHLO", "MAIL", "DATA")
        tarpits = [self.peer.add(Case(f"tarpit {i}", {steps[i % 4]: HANG}, FRUGAL)) for i in range(20)]
        known = self.peer.add(Case("known to be good"))
        self.send([known])
        until(lambda: self.peer.cases[known].accepted, "the first message")
        for i in range(10):
            self.send(tarpits, f"tarpit {i}")
        until(lambda: self.peer.open_now >= 8, "the tarpits to be busy")
        new = [self.peer.add(Case(f"new {i}")) for i in range(5)]
        self.send([known, *new])
        self.all_of([self.peer.cases[r].name for r in [known, *new]],
                    lambda: [c.name for r, c in self.peer.cases.items() if c.accepted >= (2 if r == known else 1)], 150)
        self.assertLessEqual(self.peer.most_open, 16)
