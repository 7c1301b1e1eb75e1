"""The wall clock is set an hour forward and back under the real server, under load and with mail waiting: nothing is lost,
doubled, returned early or kept back, and nobody notices."""
import base64
import collections
import os
import pathlib
import re
import shutil
import struct
import time
import unittest
import urllib.request

from harness import PASSWORD, TOP, Case, sanitized, until
from storm import Storm, integrity
from talk import Talk
from test_verify import verify

HOUR = 3600


def library():
    return pathlib.Path(os.environ.get("STAFFETTA_BUILD", TOP / "build")) / "tests" / "unit" / "libfakeclock.so"


class Set(Case):
    """A server whose wall clock the test sets."""

    @classmethod
    def setUpClass(cls):
        if sanitized():
            raise unittest.SkipTest("a sanitizer wants to be the first library")
        super().setUpClass()

    @classmethod
    def before_start(cls):
        cls.offset, cls.ahead = cls.server.folder / "offset", 0
        shutil.copy(library(), cls.server.folder)
        cls.jump(0)
        cls.server.environ = {"LD_PRELOAD": str(cls.server.folder / library().name), "FAKECLOCK_FILE": str(cls.offset)}
        cls.server.own()

    @classmethod
    def jump(cls, hours):
        cls.ahead += hours * HOUR
        with open(cls.offset, "r+b" if cls.offset.exists() else "wb") as f:
            f.write(struct.pack("q", cls.ahead * 1000000))


class Clock(Set):
    """The lifetime is less than a step."""
    config = {"queue": {"retry": ["1s", "1s", "1s", "1s", "2s"], "lifetime": "50m", "delay_notice": "0"}, "log_level": "info"}

    @classmethod
    def prepare(cls):
        cls.storm = Storm(cls.server, 3)
        cls.cleanup.callback(cls.storm.sink.close)
        cls.storm.prepare()
        cls.server.route("recipient:closed.example", "smtp", "127.0.0.1:1")

    def mail_goes_on(self):
        taken, out = len(self.storm.taken), len(self.storm.sink.messages)
        until(lambda: len(self.storm.taken) > taken + 30 and len(self.storm.sink.messages) > out + 10, "mail to go on")

    def attempts(self):
        rows = self.server.queue("--domain=closed.example")
        self.assertEqual(len(rows), 1, "returned early")
        return rows[0]["attempts"]

    def tried_again(self):
        before = self.attempts()
        until(lambda: self.attempts() > before + 1, "what waits to be tried again")

    def overdue(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.ports['metrics']}/metrics") as answer:
            return [int(n) for n in re.findall(r"^staffetta_queue_oldest_(?:overdue|due)_seconds\{.*?\} (\d+)", answer.read().decode(), re.M)]

    def cpu(self):
        ticks = 0
        for pid in [self.server.process.pid, *self.server.children()]:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def ids_are_unique(self):
        marks = collections.defaultdict(set)
        for m in self.storm.sink.messages:
            id, mark = re.search(rb"^\tid (\w+)", m.data, re.M), re.search(rb"^Subject: (id-\S+)", m.data, re.M)
            if id and mark:
                marks[id[1]].add(mark[1])
        self.assertGreater(len(marks), 30)
        self.assertEqual([i for i, m in marks.items() if len(m) > 1], [])

    def uids_grow(self):
        """Each message has a uid above and a modseq not below all before it, whatever its date."""
        backwards = 0
        for db in self.server.mailbox_databases():
            rows = db.execute("SELECT uid, modseq, received FROM message ORDER BY uid").fetchall()
            self.assertEqual([m for _, m, _ in rows], sorted(m for _, m, _ in rows))  # those of one commit share theirs
            backwards += sum(a[2] > b[2] + HOUR * 500000 for a, b in zip(rows, rows[1:]))
        self.assertGreater(backwards, 0)  # so the clock did go back

    def test_an_hour_forward_and_back(self):
        processes = self.server.roles()
        self.server.send("x@far.example", "waits@closed.example")
        until(lambda: self.attempts() > 0, "the first attempt")
        self.storm.start()
        try:
            for hours in (1, -1, -1, 1, 1):
                self.mail_goes_on()
                self.jump(hours)
                self.mail_goes_on()
                self.tried_again()
                self.assertEqual(verify(self.server)[:2], (0, []))
        finally:
            self.storm.stop()
        self.assertTrue(self.server.mailbox("ann@home.example"))  # POP3
        self.assertTrue(all(n < 60 for n in self.overdue()), self.overdue())
        self.jump(-1)
        self.server.restart()
        self.tried_again()  # also by processes that know nothing of the steps
        self.server.cli("queue", "delete", "--domain=closed.example")
        self.storm.settle()
        self.assertEqual(verify(self.server)[:2], (0, []))
        before = self.cpu()
        time.sleep(2)
        self.assertLess(self.cpu() - before, 1.0, "a process does not come to rest")
        self.assertEqual(set(self.server.roles()), set(processes))
        self.assertNotIn("restart role=", self.server.log_text())
        self.server.stop()
        self.assertEqual(self.storm.check(), {})
        self.ids_are_unique()
        self.uids_grow()
        self.assertGreater(integrity(self.server.data), 0)
        print(f"     {self.storm.summary()}")


class Bans(Set):
    """Bans of addresses and limits of accounts: time that has passed counts, not what the clock shows."""
    config = {"relay_networks": [], "limits": {"login_failures": 3, "ban_time": "30m"}, "log_level": "info"}
    listen = {"submission": {"proxy_from": ["127.0.0.1"]}}

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example", "--messages-per-hour=2")

    def submission(self, ip):
        t = Talk(self.server.ports["submission"], greeting=False)
        self.addCleanup(lambda: t.s.close())  # in TLS by then
        t.raw(f"PROXY TCP4 {ip} 127.0.0.1 4444 587\r\n")
        return t, t.reply()[0]

    def login(self, ip, password=PASSWORD):
        t, code = self.submission(ip)
        if code == 220:
            t.code("EHLO c.example")
            t.starttls(self.server.trust())
            t.code("EHLO c.example")
            code = t.code("AUTH PLAIN " + base64.b64encode(b"\0ann@home.example\0" + password.encode()).decode())
        return t, code

    def ban(self, ip):
        self.assertEqual([self.login(ip, "wrong")[1] for _ in range(3)], [535] * 3)

    def test_a_ban_and_a_limit_outlast_a_step(self):
        self.ban("192.0.2.7")
        t, code = self.login("192.0.2.8")
        self.assertEqual(code, 235)
        for i in range(2):
            self.assertEqual(t.lines("MAIL FROM:<ann@home.example>", "RCPT TO:<ann@home.example>", "RSET"), [250, 250, 250])
        for hours in (0, 1, 1, -4, 2):
            self.jump(hours)
            self.assertEqual(self.submission("192.0.2.7")[1], 421)
            self.assertEqual(t.code("MAIL FROM:<ann@home.example>"), 250)
            self.assertIn(t.code("RCPT TO:<ann@home.example>"), (450, 451, 452))
            t.code("RSET")
        self.assertEqual(self.login("192.0.2.9")[1], 235)


class ShortBans(Bans):
    """With the clock set back an hour a ban of seconds ends after seconds."""
    config = {**Bans.config, "limits": {"login_failures": 3, "ban_time": "2s"}}

    def test_a_ban_and_a_limit_outlast_a_step(self):
        self.ban("192.0.2.7")
        self.jump(-1)
        until(lambda: self.login("192.0.2.7")[1] == 235, "the ban to end")


if __name__ == "__main__":
    unittest.main()
