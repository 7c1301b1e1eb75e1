"""Seeing it work: status, metrics, the story of a message, logs."""
import http.client
import json
import re
import unittest

from harness import ROLES, letter, sanitized, until
from mailcase import Mail


class Seeing(Mail):
    kills = True
    config = {"queue": {"retry": ["1s"]}}

    def fetch(self, path="/metrics"):
        c = http.client.HTTPConnection("127.0.0.1", self.server.ports["metrics"], timeout=30)
        self.addCleanup(c.close)
        c.request("GET", path)
        r = c.getresponse()
        return r.status, r.read().decode()

    def total(self, pattern):
        """The sum of all samples whose name fits."""
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.fetch()[1].splitlines() if re.match(pattern, line))

    def test_metrics_are_prometheus_text(self):
        status, text = self.fetch()
        self.assertEqual(status, 200)
        for line in text.splitlines():
            self.assertRegex(line, r"^(# (HELP|TYPE) \w+ .*|\w+(\{[^}]*\})? [-+0-9.eE]+(inf|NaN)?|)$")
        for role in ROLES:
            self.assertIn(f'"{role}"', text)
            self.assertRegex(text, rf'(?m)^staffetta_\w+_bucket\{{role="{role}"')
        self.assertIn("oldest_overdue_seconds", text)

    def test_histograms_move(self):
        names = ("smtp_reply", "filter_message", "events_commit", "access_session", "web_command", "web_request")
        counts = lambda: {n: self.total(rf"staffetta_{n}_seconds_count\{{") for n in names}
        before = counts()
        self.deliver(self.talk(), "Subject: timed-1\r\n\r\nx\r\n")
        self.in_mailbox("bob@home.example", "timed-1")
        self.server.rows("status")
        until(lambda: all(n > before[k] for k, n in counts().items()), "all histograms to move")

    def test_metrics_refuse_nonsense(self):
        self.assertEqual(self.fetch("/etc/passwd")[0], 404)
        self.assertEqual(self.fetch("/../../x")[0], 404)

    def test_counters_move(self):
        names = [n for n in set(re.findall(r"^(\w+)", self.fetch()[1], re.M)) if "deliver" in n or "accepted" in n or "messages" in n]
        self.assertTrue(names)
        before = {n: self.total(n) for n in names}
        self.deliver(self.talk(), "Subject: counted-1\r\n\r\nx\r\n")
        self.in_mailbox("bob@home.example", "counted-1")
        until(lambda: any(self.total(n) > before[n] for n in names), "a counter to move")

    def test_status(self):
        out = self.server.cli("status").stdout
        for role in ROLES:
            self.assertIn(role, out)
        rows = self.server.rows("status")
        self.assertTrue(rows)

    def test_status_counts_restarts(self):
        import os
        import signal
        os.kill(self.server.roles()["resolver"][0], signal.SIGKILL)
        until(lambda: any(r.get("role") == "resolver" and int(r.get("restarts", 0)) >= 1 for r in self.server.rows("status")), "the restart in the status")

    def story(self, key):
        return self.server.cli("trace", key).stdout

    def test_the_whole_story(self):
        with self.sink("127.0.0.1", port=0) as s:
            s.on("RCPT", "451 4.2.1 not just now", times=1)
            self.server.route("recipient:story.example", "smtp", f"127.0.0.1:{s.port}")
            with self.server.smtp("submission", login="ann@home.example") as c:
                c.sendmail("ann@home.example", ["reader@story.example", "bob@home.example"],
                           letter("ann@home.example", "reader@story.example", "story-1", more="Message-ID: <story-1@home.example>\r\n"))
            until(lambda: s.messages, "the message")
            self.server.queue_empty()
            text = until(lambda: "relayed" in (t := self.story("story-1@home.example")) and t, "the end of the story")
            for word in ("accepted", "127.0.0.1", "TLS", "ann@home.example", "deferred", "not just now", "delivered", "bob@home.example", "relayed", "taken"):
                self.assertIn(word, text)
            self.assertLess(text.index("accepted"), text.index("deferred"))
            self.assertLess(text.index("deferred"), text.index("relayed"))
            queue_id = re.search(r"with ESMTPSA (?:\([^)]*\) )?id (\S+?);?\s", self.in_mailbox("bob@home.example", "story-1").replace("\n\t", " "))[1]
            self.assertIn("not just now", self.story(queue_id))
            self.assertIn("not just now", self.story("reader@story.example"))

    def test_the_story_names_the_remote_host_and_its_tls(self):
        from sink import server_context
        with self.sink("127.0.0.1", port=0, tls=server_context(self.server.chain, self.server.key)) as s:
            s.on("RCPT", "550 5.7.1 not to him", match="refused@")
            self.server.route("recipient:secure.example", "smtp", f"127.0.0.1:{s.port}", tls="required")
            for user in ("reader", "refused"):
                self.server.send("ann@home.example", f"{user}@secure.example")
            text = until(lambda: "relayed" in (t := self.story("reader@secure.example")) and t, "the end of the story")
            line = [l for l in text.splitlines() if "relayed" in l][0]
            for word in ("127.0.0.1", "TLSv1.3", "2.0.0 taken"):
                self.assertIn(word, line)
            text = until(lambda: "failed" in (t := self.story("refused@secure.example")) and t, "the end of the other story")
            line = [l for l in text.splitlines() if "failed" in l][0]
            for word in ("127.0.0.1", "TLSv1.3", "not to him"):
                self.assertIn(word, line)
            self.server.queue_empty()

    def test_a_missing_configuration_is_named(self):
        done = self.server.cli("-c", "/nonexistent/staffetta.conf", "status", check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("/nonexistent/staffetta.conf: No such file", done.stderr)

    def test_trace_of_nothing(self):
        done = self.server.cli("trace", "nosuch@nowhere.example", check=False)
        self.assertIn(done.returncode, (0, 1, *range(64, 79)))
        self.assertNotIn("accepted", done.stdout)


class JsonLog(Mail):
    config = {"log_format": "json"}

    def test_every_line_is_an_object(self):
        self.deliver(self.talk(), "Subject: log-1\r\n\r\nx\r\n")
        self.in_mailbox("bob@home.example", "log-1")
        for line in self.server.log_text().splitlines():
            if line.startswith("{"):
                json.loads(line)
            else:
                self.fail(f"no JSON: {line}")

    def test_no_password_in_the_log(self):
        import poplib
        import scram
        from harness import PASSWORD
        from mailcase import b64, plain
        wrong = "wrong but still nobody's business"
        self.server.smtp("submission", login="ann@home.example").quit()
        for password, code in ((PASSWORD, 235), (wrong, 535)):
            self.assertEqual(self.talk("submission").code("AUTH PLAIN " + plain("ann@home.example", password)), code)
            self.assertEqual(self.talk("submission").lines("AUTH LOGIN", b64("ann@home.example"), b64(password))[2], code)
            self.assertEqual(self.talk("submission").lines("AUTH LOGIN " + b64("ann@home.example"), b64(password))[1], code)
            self.assertEqual(scram.converse(self.talk("submission"), "SCRAM-SHA-256", scram.Scram("ann@home.example", password))[0], code)
        self.server.pop3("ann@home.example").quit()
        with self.assertRaises(poplib.error_proto):
            self.server.pop3("ann@home.example", wrong)
        said = self.server.log_text() + self.server.cli("trace", "ann@home.example", check=False).stdout
        for password in (PASSWORD, wrong):
            self.assertNotIn(password, said)
            self.assertNotIn(b64(password), said)


class Memory(Mail):
    config = {"relay_networks": [], "limits": {"message_size": "200M"}}

    def peak(self):
        """Highest memory of each role so far, in MB."""
        found = {}
        for role, pids in self.server.roles().items():
            text = open(f"/proc/{pids[0]}/status").read()
            found[role] = int(re.search(r"VmHWM:\s+(\d+)", text)[1]) // 1024
        return found

    @unittest.skipIf(sanitized(), "a sanitizer keeps freed memory")
    def test_a_hundred_megabytes_need_no_more_memory_than_a_little(self):
        with self.sink("127.0.0.1", port=0, keep=False, extensions=["PIPELINING"]) as s:
            self.server.route("recipient:big.example", "smtp", f"127.0.0.1:{s.port}")
            self.server.cli("alias", "add", "both@home.example", "bob@home.example", "x@big.example")
            self.deliver(self.talk(), "Subject: little\r\n\r\nx\r\n", rcpt="both@home.example")
            self.in_mailbox("bob@home.example", "little")
            until(lambda: s.count == 1, "the little one outside")
            before = self.peak()
            t = self.talk()
            t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<both@home.example>", "DATA")
            block = b"0123456789" * 7 + b"\r\n"
            t.raw(b"Subject: huge\r\n\r\n")
            for _ in range(1400):
                t.raw(block * 1024)
            self.assertEqual(t.say(".")[0], 250)
            until(lambda: s.count == 2, "the huge one outside")
            self.server.queue_empty()
            c = self.server.pop3("bob@home.example")
            self.assertGreater(int(c.list(2)[1].split()[-1] if isinstance(c.list(2), tuple) else c.list(2).split()[-1]), 100_000_000)
            c.quit()
            grown = {r: n - before[r] for r, n in self.peak().items()}
            self.assertLess(max(grown.values()), 40, grown)
