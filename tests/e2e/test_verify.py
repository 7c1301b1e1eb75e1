"""`staffetta status --verify`: everything adds up, under load too; and when it does not, that is said."""
import contextlib
import fcntl
import json
import os
import poplib
import signal
import smtplib
import sqlite3
import subprocess
import threading

from harness import PASSWORD, ROLES, Case, free_port, letter, until


def verify(server, *args):
    """(exit code, rows that are not right, all rows); asks again while a role is being started."""
    def ask():
        done = server.cli("status", "--verify", "--json", *args, check=False)
        return done if done.returncode != 75 else None

    done = until(ask, "every role to answer")
    rows = [json.loads(l) for l in done.stdout.splitlines() if l.strip()]
    return done.returncode, [r for r in rows if r["kind"] == "check" and r["result"] != "right"], rows


class Books(Case):
    kills = True
    config = {"queue": {"retry": ["1s"]}, "copies": {"queue": 2, "smtp": 2, "mailbox": 2}}

    @classmethod
    def prepare(cls):
        s = cls.server
        s.domain("home.example")
        for user in ("ann", "bob"):
            s.account(f"{user}@home.example")
        cls.far_port = free_port()
        s.route("recipient:far.example", "smtp", f"127.0.0.1:{cls.far_port}")
        s.cli("alias", "add", "both@home.example", "ann@home.example", "bob@home.example")

    def setUp(self):
        self.far = self.sink(port=self.far_port)

    def load(self, stop):
        client, n = None, 0
        while not stop.is_set():
            n += 1
            try:
                client = client or smtplib.SMTP("127.0.0.1", self.server.ports["mx"], timeout=20)
                rcpts = [["ann@home.example"], ["both@home.example", f"x{n}@far.example"], ["bob@home.example", "ann@home.example"]][n % 3]
                client.sendmail("sender@far.example", rcpts, letter(body="x" * (100 if n % 5 else 150000) + "\r\n"))
            except (OSError, smtplib.SMTPException):
                with contextlib.suppress(OSError, AttributeError):
                    client.close()
                client = None
                stop.wait(0.05)

    def under_load(self, work, clients=4):
        stop = threading.Event()
        threads = [threading.Thread(target=work, args=(stop,)) for work in [self.load] * clients + [self.readers]]
        for t in threads:
            t.start()
        try:
            work()
        finally:
            stop.set()
            for t in threads:
                t.join()

    def readers(self, stop):
        """Log in, look, leave; or get the password wrong, or just go."""
        n = 0
        while not stop.wait(0.05):
            n += 1
            with contextlib.suppress(OSError, EOFError, poplib.error_proto), contextlib.ExitStack() as stack:
                client = poplib.POP3("127.0.0.1", self.server.ports["pop3"], timeout=20)
                stack.callback(client.close)
                client.stls(self.server.trust())
                client.user("ann@home.example")
                client.pass_("wrong" if n % 7 == 0 else PASSWORD)
                client.stat()
                if n % 3:
                    client.quit()

    def assert_right(self):
        code, wrong, rows = verify(self.server)
        self.assertEqual((code, wrong), (0, []))
        return rows

    def book(self, rows, name):
        return sum(r["value"] for r in rows if r["kind"] == "book" and r["book"] == name)

    def test_while_mail_is_running(self):
        def work():
            before = self.book(self.assert_right(), "messages accepted")
            for _ in range(20):
                rows = self.assert_right()
            until(lambda: self.book(self.assert_right(), "messages accepted") > before, "messages to be booked")
            checks = " ".join(r["check"] for r in rows if r["kind"] == "check")
            for what in ("250s said to smtp", "250s said to filter", "deliveries into mailboxes to queue", "events to events",
                         "sessions of users to mailbox", "sessions handed to mailbox", "logins asked of directory", "logins begun",
                         "recipients asked about", "destinations asked for", "TLS signatures asked for", "TLS signatures asked of directory",
                         "DNS questions that came"):
                self.assertIn(what, checks)

        self.under_load(work)
        self.server.queue_empty()
        rows = self.assert_right()
        self.assertEqual(self.book(rows, "recipients waiting"), 0)
        self.assertGreater(self.book(rows, "taken by other servers"), 0)
        self.assertGreater(self.book(rows, "replaced by those of an alias"), 0)

    def test_while_roles_are_killed(self):
        def work():
            for role in [r for r in ROLES if r != "web"] + ["queue", "relay", "mailbox"]:
                for pid in until(lambda r=role: self.server.roles().get(r), f"{role} to run"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self.assert_right()

        self.under_load(work)
        self.server.queue_empty()
        self.assert_right()

    def test_a_start_waits_for_a_command_without_a_server(self):
        """Each would keep in memory what the other changes. Who is first when the shard is free is chance: a command that finds
        it taken by the server for half a minute says so, for each shard."""
        self.server.stop()
        with open(self.server.data / "queue" / "queue-1.db.lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            command = subprocess.Popen(self.server.command("queue", "summary"), env=self.server.env(), stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, **self.server.identity())
            self.server.spawn()
            self.assertRaises(AssertionError, until, lambda: "ready" in self.server.log_text()[self.server.log_start:], "nothing", 2)
            self.assertIsNone(command.poll())
        self.server.wait_ready()
        out, complaint = command.communicate(timeout=240)
        if b"shard 1" not in out:
            self.assertIn(b"another process works on this database; try again", complaint)
            self.assertNotEqual(command.returncode, 0)
        self.assert_right()

    def test_a_bounce_is_booked(self):
        self.far.on("RCPT", "550 5.1.1 no such user", match="nobody@")
        before = self.assert_right()
        with self.server.smtp("submission", login="ann@home.example") as client:
            client.sendmail("ann@home.example", ["nobody@far.example"], letter("ann@home.example"))
        self.server.queue_empty()
        after = self.assert_right()
        for name in ("failed", "failures the sender was told", "reports made", "recipients of reports"):
            self.assertEqual(self.book(after, name), self.book(before, name) + 1, name)

    def test_a_row_taken_away_is_missed_until_it_is_written_off(self):
        with self.server.smtp() as client:
            client.sendmail("a@x.example", ["ann@home.example"], letter())
        self.server.queue_empty()
        before = self.book(self.assert_right(), "recipients written off")
        self.far.on("MAIL", "451 4.3.0 later")
        self.server.send("a@x.example", ["one@far.example", "two@far.example"])
        until(lambda: [r for r in self.server.queue() if r["recipient"].startswith("one@") and r["attempts"] > 0], "the deferral")
        taken = 0
        for shard in range(2):
            with contextlib.closing(sqlite3.connect(self.server.data / "queue" / f"queue-{shard}.db", timeout=30)) as db, db:
                taken += db.execute("DELETE FROM recipient WHERE address = 'one@far.example'").rowcount
        self.assertEqual(taken, 1)
        for restart in (False, True):
            if restart:
                self.server.restart()
            code, wrong, _ = verify(self.server)
            self.assertEqual(code, 65)
            self.assertTrue([r for r in wrong if r["check"].startswith("recipients: in minus out") and r["expected"] == r["found"] + 1], wrong)
            self.assertTrue(all(r["advice"] for r in wrong))
        text = self.server.cli("status", "--verify", check=False)
        self.assertIn("wrong", text.stdout)
        self.assertIn("checks failed", text.stderr)
        alone = self.server.cli("status", "--accept", check=False)
        self.assertEqual((alone.returncode, alone.stdout), (64, ""))
        self.assertIn("--verify", alone.stderr)
        self.server.cli("status", "--accept", "--verify", check=False)
        self.assertEqual(self.book(self.assert_right(), "recipients written off"), before + 1)
        self.server.queue_clear()
        self.assert_right()
