"""Never stuck: DNS that says nothing, routes that lead nowhere or to a server that says nothing, source addresses that do not
exist, roles killed all the while, a restart in the middle. Every recipient ends with its lifetime, its sender is told, and
staffetta_queue_oldest_overdue_seconds stays 0."""
import contextlib
import datetime
import http.client
import json
import os
import random
import re
import signal
import socket
import time

from harness import ROLES, Case, free_port, letter, until
from sink import HANG
from test_verify import verify

LIFETIME, GRACE = 12, 3 + 3 + 5  # a quarter each for a result under way and until the sweep comes, and what a busy machine needs


class Stuck(Case):
    kills = True
    config = {"queue": {"lifetime": f"{LIFETIME}s", "bounce_lifetime": f"{LIFETIME}s", "retry": ["1s", "2s", "1s"], "delay_notice": "5s"},
              "relay": {"connect_time": "2s", "command_time": "3s"}}

    @classmethod
    def setUpClass(cls):
        cls.dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        cls.dns.bind(("127.0.0.1", free_port(socket.SOCK_DGRAM)))  # takes questions, never answers
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        cls.dns.close()
        super().tearDownClass()

    @classmethod
    def before_start(cls):
        cls.server.dns_port = cls.dns.getsockname()[1]
        cls.server.write_config()

    @classmethod
    def prepare(cls):
        s = cls.server
        for domain in ("home.example", "pooled.example"):
            s.domain(domain)
        s.account("ann@home.example")
        s.account("bob@pooled.example")
        s.route("recipient:down.example", "smtp", f"127.0.0.1:{free_port()}")
        s.cli("pool", "add", "gone", "203.0.113.9")
        s.cli("pool", "add", "off", "127.0.0.1", "--weight=0")
        s.cli("pool", "bind", "sender:pooled.example", "gone")
        s.cli("pool", "bind", "sender:off.example", "off")

    def overdue(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            c = http.client.HTTPConnection("127.0.0.1", self.server.ports["metrics"], timeout=5)
            c.request("GET", "/metrics")
            text = c.getresponse().read().decode()
            c.close()
            return [float(n) for n in re.findall(r"^staffetta_queue_oldest_overdue_seconds\{.*\} (\S+)$", text, re.M)]
        return []

    def late(self):
        """Recipients that should be gone."""
        listed = self.server.cli("queue", "list", "--json", check=False)
        now = datetime.datetime.now(datetime.timezone.utc)
        rows = [json.loads(l) for l in listed.stdout.splitlines() if l.startswith("{")]
        return [r for r in rows if (now - datetime.datetime.fromisoformat(r["expires"].replace("Z", "+00:00"))).total_seconds() > GRACE]

    def send_all(self):
        taken = set()
        for n in range(3):
            for sender, rcpt in (("ann@home.example", f"x{n}@silent-dns.example"), ("ann@home.example", f"x{n}@down.example"),
                                 ("ann@home.example", f"x{n}@hang.example"), ("bob@pooled.example", f"x{n}@hang.example")):
                with contextlib.suppress(OSError):
                    with self.server.smtp("submission", login=sender) as client:
                        client.sendmail(sender, [rcpt, "x@other-silent.example"], letter(sender, rcpt))
                    taken |= {(sender, rcpt), (sender, "x@other-silent.example")}
        return taken

    def test_nobody_outlives_his_lifetime(self):
        chance = random.Random(5)
        hang = self.sink(port=0)
        hang.on("GREETING", HANG)
        self.server.route("recipient:hang.example", "smtp", f"127.0.0.1:{hang.port}")
        taken, end, n = self.send_all(), time.monotonic() + LIFETIME + 8, 0
        self.assertGreater(len(taken), 10)
        while time.monotonic() < end:
            n += 1
            victim = chance.choice([r for r in ROLES if r not in ("web", "directory")])
            for pid in self.server.roles().get(victim, []):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if n == 8:
                self.server.restart()
            time.sleep(0.7)
            self.assertEqual(self.late(), [])
            self.assertEqual([o for o in self.overdue() if o > 0], [])
        self.server.queue_empty()
        self.assertEqual([o for o in until(self.overdue, "the metrics") if o > 0], [])
        told = {u: b"\n".join(self.server.mailbox(u)) for u in ("ann@home.example", "bob@pooled.example")}
        untold = [(s, r) for s, r in taken if not re.search(rb"Final-Recipient: rfc822; ?" + re.escape(r.encode()) + rb"\s+(?:\S+: .*\s+)*?Action: failed", told[s])]
        self.assertEqual(untold, [])
        self.assertEqual(verify(self.server)[:2], (0, []))
