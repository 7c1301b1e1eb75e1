"""The queue: retries, bounces, reports, notices of delay, and what an administrator can do with it."""
import email
import email.policy
import os
import pty
import subprocess
import unittest

from harness import Case, letter, until
from talk import Talk


class Queue(Case):
    config = {"queue": {"retry": ["1s"], "lifetime": "1h"}}
    routed = "far.example"

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")
        cls.server.account("bob@home.example")

    def setUp(self):
        self.far = self.sink("127.0.0.1", port=0)
        self.server.cli("route", "remove", "recipient:far.example", check=False)
        self.server.route("recipient:far.example", "smtp", f"127.0.0.1:{self.far.port}")

    def tearDown(self):
        self.doCleanups()
        self.server.queue_clear()

    def send(self, *rcpts, subject="x", sender="ann@home.example", mail=(), rcpt=(), more=""):
        with self.server.smtp() as c:
            c.ehlo()
            return c.sendmail(sender, list(rcpts), letter(sender, rcpts[0], subject, more=more), mail_options=list(mail), rcpt_options=list(rcpt))

    def reports(self, mark, user="ann@home.example"):
        return [email.message_from_bytes(m, policy=email.policy.default) for m in self.server.mailbox(user) if mark.encode() in m]

    def report(self, mark, user="ann@home.example"):
        return until(lambda: self.reports(mark, user), f"a report on {mark}")[0]

    def status(self, report):
        """The fields of the recipients in a report, as (action, status, final recipient)."""
        part = [p for p in report.walk() if p.get_content_type() in ("message/delivery-status", "message/global-delivery-status")][0]
        blocks = part.get_payload()
        return [(b["Action"], b["Status"], b["Final-Recipient"].split(";", 1)[1].strip()) for b in blocks if b["Action"]]


class Retry(Queue):
    def test_an_empty_list_says_so_on_a_terminal(self):
        self.server.queue_empty()
        ours, terminal = pty.openpty()
        done = subprocess.run(self.server.command("queue", "list"), env=self.server.env(), stdout=terminal, stderr=subprocess.PIPE, timeout=60,
                              **self.server.identity())
        os.close(terminal)
        os.close(ours)
        self.assertEqual((done.returncode, done.stderr), (0, b"nothing waits\n"))
        done = self.server.cli("queue", "list")
        self.assertEqual((done.stdout, done.stderr), ("", ""))

    def test_tried_again_until_it_goes(self):
        self.far.on("RCPT", "451 4.2.1 later", times=2)
        self.send("x@far.example", subject="retry-1")
        until(lambda: self.far.messages, "the third attempt")
        self.server.queue_empty()
        self.assertEqual(self.far.count, 1)
        self.assertEqual(self.far.said("RCPT"), 3)

    def test_a_bounce_after_a_refusal(self):
        self.far.on("RCPT", "550-5.1.1 no such\n550 5.1.1 user here", match="gone-a")
        self.send("gone-a@far.example", subject="bounce-1", more="X-Mark: original\r\n")
        report = self.report("gone-a@far.example")
        self.assertEqual(report["Return-Path"], "<>")
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report.get_param("report-type"), "delivery-status")
        self.assertEqual(self.status(report), [("failed", "5.1.1", "gone-a@far.example")])
        self.assertIn("X-Mark: original", report.as_string())
        self.assertIn("user here", report.as_string())
        self.assertTrue(report["Auto-Submitted"].startswith("auto-"))
        self.server.queue_empty()

    def test_no_bounce_of_a_bounce(self):
        self.far.on("RCPT", "550 5.1.1 no")
        self.send("gone-b@far.example", sender="nobody@far.example")
        self.send("gone-c@far.example", sender="")
        self.server.queue_empty()
        self.assertEqual(self.far.count, 0)

    def test_one_bounce_for_all_failed_recipients_of_a_message(self):
        self.far.on("RCPT", "550 5.1.1 no")
        self.send("gone-d@far.example", "gone-e@far.example")
        until(lambda: sum(len(self.status(r)) for r in self.reports("gone-d@far.example") + [r for r in self.reports("gone-e@far.example") if "gone-d" not in r.as_string()]) >= 2,
              "both recipients in reports")

    def test_connections_refused_are_retried(self):
        port = self.far.port
        self.far.close()
        self.send("x@far.example", subject="down-1")
        until(lambda: [r for r in self.server.queue() if r.get("attempts", 0) >= 1], "an attempt")
        from sink import Sink
        again = Sink("127.0.0.1", port)
        self.addCleanup(again.close)
        until(lambda: again.messages, "the message after the host came back")
        self.server.queue_empty()

    def test_a_restart_forgets_nothing(self):
        self.far.on("RCPT", "451 4.2.1 later")
        for i in range(5):
            self.send(f"r{i}@far.example", subject=f"restart-{i}")
        self.server.restart()
        self.assertEqual(len(self.server.queue()), 5)
        self.far.calm()
        until(lambda: self.far.count >= 5, "all messages")
        self.server.queue_empty()
        self.assertEqual(self.far.count, 5)


class Lifetime(Queue):
    config = {"queue": {"retry": ["1s"], "lifetime": "4s", "bounce_lifetime": "3s", "delay_notice": "2s"}, "relay": {"command_time": "2s"}}

    def test_a_notice_of_delay_then_a_bounce(self):
        self.far.on("RCPT", "451 4.2.1 come back")
        self.send("late@far.example", subject="late-1")
        until(lambda: [r for r in self.reports("late@far.example") if self.status(r)[0][0] == "delayed"], "a notice of delay")
        until(lambda: [r for r in self.reports("late@far.example") if self.status(r)[0][0] == "failed"], "the bounce")
        self.server.queue_empty()
        self.assertEqual(len([r for r in self.reports("late@far.example") if self.status(r)[0][0] == "delayed"]), 1)

    def test_never_stuck_when_the_host_hangs(self):
        from sink import HANG
        self.far.on("RCPT", HANG)
        self.send("hang@far.example")
        self.report("hang@far.example")
        self.server.queue_empty()

    def test_no_notice_when_the_sender_does_not_want_one(self):
        self.far.on("RCPT", "451 4.2.1 come back")
        self.send("quiet@far.example", rcpt=["NOTIFY=NEVER"])
        self.server.queue_empty()
        self.assertEqual(self.reports("quiet@far.example"), [])


class Dsn(Queue):
    def test_delivered_here(self):
        self.send("bob@home.example", mail=["ENVID=id-1"], rcpt=["NOTIFY=SUCCESS", "ORCPT=rfc822;Bobby@home.example"])
        report = self.report("Original-Envelope-Id: id-1")
        self.assertEqual(self.status(report)[0][:2], ("delivered", "2.0.0") if self.status(report)[0][1] == "2.0.0" else ("delivered", self.status(report)[0][1]))
        self.assertIn("rfc822;Bobby@home.example", report.as_string().replace("; ", ";"))

    def test_relayed_to_one_without_dsn(self):
        self.far.extensions = ["PIPELINING"]
        self.send("nodsn@far.example", rcpt=["NOTIFY=SUCCESS"])
        self.assertEqual(self.status(self.report("nodsn@far.example"))[0][0], "relayed")

    def test_success_is_the_business_of_one_with_dsn(self):
        self.send("withdsn@far.example", rcpt=["NOTIFY=SUCCESS"])
        until(lambda: self.far.messages, "the message")
        self.server.queue_empty()
        self.assertEqual(self.reports("withdsn@far.example"), [])

    def test_expanded(self):
        self.server.cli("alias", "add", "team@home.example", "bob@home.example", "x@far.example")
        self.send("team@home.example", rcpt=["NOTIFY=SUCCESS"])
        actions = until(lambda: [a for r in self.reports("team@home.example") for a in self.status(r)], "a report")
        self.assertEqual((actions[0][0], actions[0][2]), ("expanded", "team@home.example"))
        self.server.queue_empty()
        self.assertEqual(len(self.reports("team@home.example")), 1)

    def test_never(self):
        self.far.on("RCPT", "550 5.1.1 no")
        self.send("never@far.example", rcpt=["NOTIFY=NEVER"])
        self.server.queue_empty()
        self.assertEqual(self.reports("never@far.example"), [])

    def test_ret_hdrs_gives_back_the_header_only(self):
        self.far.on("RCPT", "550 5.1.1 no")
        with self.server.smtp() as c:
            c.ehlo()
            c.sendmail("ann@home.example", ["hdrs@far.example"], letter(subject="hdrs-1", body="the body itself\r\n"), mail_options=["RET=HDRS"])
        text = self.report("hdrs@far.example").as_string()
        self.assertIn("Subject: hdrs-1", text)
        self.assertNotIn("the body itself", text)

    def test_utf8_report(self):
        self.far.extensions = ["PIPELINING", "8BITMIME", "SMTPUTF8"]
        self.far.on("RCPT", "550 5.1.1 niemand")
        with self.server.smtp() as c:
            c.ehlo()
            c.sendmail("ann@home.example", ["jürgen@far.example"], "Subject: utf-1\r\n\r\nx\r\n", mail_options=["SMTPUTF8"])
        until(lambda: [m for m in self.server.mailbox("ann@home.example") if "jürgen@far.example".encode() in m or b"\\x{FC}rgen" in m], "a report in UTF-8")


class Hold(Queue):
    def test_future_release(self):
        with self.server.smtp("submission", login="ann@home.example") as c:
            c.ehlo()
            c.sendmail("ann@home.example", ["x@far.example"], letter("ann@home.example", "x@far.example", "future-1"), mail_options=["HOLDFOR=3600"])
        rows = until(self.server.queue, "the message in the queue")
        self.assertEqual(len(rows), 1)
        self.assertEqual(self.far.connections, 0)
        self.server.cli("queue", "delete", "--recipient=x@far.example")
        self.server.queue_empty()

    def test_future_release_ends(self):
        with self.server.smtp("submission", login="ann@home.example") as c:
            c.ehlo()
            c.sendmail("ann@home.example", ["soon@far.example"], letter("ann@home.example", "soon@far.example", "future-2"), mail_options=["HOLDFOR=2"])
        until(lambda: self.far.to("soon@far.example"), "the message after its time")
        self.server.queue_empty()

    def test_hold_until_a_moment(self):
        import datetime
        then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
        with self.server.smtp("submission", login="ann@home.example") as c:
            c.ehlo()
            c.sendmail("ann@home.example", ["moment@far.example"], letter("ann@home.example", "moment@far.example", "future-3"),
                       mail_options=[f"HOLDUNTIL={then:%Y-%m-%dT%H:%M:%SZ}"])
        until(lambda: self.far.to("moment@far.example"), "the message at its moment")
        self.assertGreaterEqual(datetime.datetime.now(datetime.timezone.utc), then.replace(microsecond=0))

    def test_deliver_by_tells_and_goes_on(self):
        self.far.on("RCPT", "451 4.2.1 later")
        with self.server.smtp() as c:
            c.ehlo()
            c.sendmail("ann@home.example", ["told@far.example"], letter("ann@home.example", "told@far.example", "by-2"), mail_options=["BY=2;N"])
        self.assertEqual(self.status(self.report("told@far.example"))[0][0], "delayed")
        self.far.calm()
        until(lambda: self.far.to("told@far.example"), "the message, late")
        self.server.queue_empty()

    def test_deliver_by_returns_in_time(self):
        self.far.on("RCPT", "451 4.2.1 later")
        with self.server.smtp() as c:
            c.ehlo()
            c.sendmail("ann@home.example", ["by@far.example"], letter("ann@home.example", "by@far.example", "by-1"), mail_options=["BY=2;R"])
        self.assertEqual(self.status(self.report("by@far.example"))[0][0], "failed")
        self.server.queue_empty()

    def test_bulk_does_not_delay_the_rest(self):
        from sink import HANG
        self.far.on("RCPT", HANG, match="bulk")
        for i in range(60):
            self.send(f"bulk{i}@far.example", subject=f"bulk-{i}", more="Precedence: bulk\r\n")
        until(lambda: len(self.server.queue("--class=bulk")) == 60, "sixty messages that hang")
        for i in range(5):
            self.send(f"quick{i}@far.example", subject=f"quick-{i}")
        until(lambda: len([m for m in self.far.messages if "quick" in m.rcpts[0]]) == 5, "the quick ones")

    def test_future_release_out_of_range(self):
        t = Talk(self.server.ports["submission"])
        self.addCleanup(t.s.close)
        import mailcase
        t.lines("EHLO c.example", "AUTH PLAIN " + mailcase.plain("ann@home.example"))
        self.assertEqual(t.code("MAIL FROM:<ann@home.example> HOLDFOR=x"), 501)
        self.assertEqual(t.code("MAIL FROM:<ann@home.example> HOLDFOR=99999999"), 501)


class Commands(Queue):
    config = {"queue": {"retry": ["1h"], "lifetime": "2h"}}

    def setUp(self):
        super().setUp()
        self.far.on("RCPT", "451 4.2.1 not now")
        for i in range(3):
            self.send(f"c{i}@far.example", subject=f"cmd-{i}", sender="ann@home.example" if i else "bob@home.example")
        until(lambda: sum(r.get("attempts", 0) >= 1 for r in self.server.queue()) == 3, "three recipients that wait")

    def test_summary(self):
        out = self.server.cli("queue", "summary").stdout
        self.assertIn("far.example", out)
        self.assertIn("3", out)

    def test_list_and_filters(self):
        self.assertEqual(len(self.server.queue()), 3)
        self.assertEqual(len(self.server.queue("--sender=bob@home.example")), 1)
        self.assertEqual(len(self.server.queue("--recipient=c1@far.example")), 1)
        self.assertEqual(len(self.server.queue("--domain=far.example")), 3)
        self.assertEqual(len(self.server.queue("--domain=near.example")), 0)
        self.assertEqual(len(self.server.queue("--reply=not now")), 3)
        self.assertEqual(len(self.server.queue("--class=bulk")), 0)
        self.assertEqual(len(self.server.queue("--older=1h")), 0)

    def test_show(self):
        row = self.server.queue("--recipient=c1@far.example")[0]
        out = self.server.cli("queue", "show", row["id"]).stdout
        for word in ("c1@far.example", "ann@home.example", "not now"):
            self.assertIn(word, out)

    def test_hold_release_retry(self):
        self.server.cli("queue", "hold", "--recipient=c1@far.example")
        self.far.calm()
        self.server.cli("queue", "retry", "--domain=far.example")
        until(lambda: self.far.to("c0@far.example") and self.far.to("c2@far.example"), "the two that are not held")
        rows = until(lambda: len(self.server.queue()) == 1 and self.server.queue(), "the held one alone")
        self.assertIn("c1@far.example", str(rows))
        self.assertFalse(self.far.to("c1@far.example"))
        self.server.cli("queue", "release", "--recipient=c1@far.example")
        until(lambda: self.far.to("c1@far.example"), "the released one")
        self.server.queue_empty()

    def test_delete(self):
        self.server.cli("queue", "delete", "--sender=bob@home.example")
        until(lambda: len(self.server.queue()) == 2, "two to remain")

    def test_export(self):
        row = self.server.queue("--recipient=c1@far.example")[0]
        out = self.server.cli("queue", "export", row["id"]).stdout
        self.assertIn("Subject: cmd-1", out)
        self.assertIn("Hello.", out)

    def test_wrong_arguments(self):
        for args in (("queue",), ("queue", "frobnicate"), ("queue", "show"), ("queue", "show", "no-such-id"), ("queue", "list", "--nosuch=1"),
                     ("queue", "list", "--older=banana"), ("queue", "delete")):
            with self.subTest(args):
                done = self.server.cli(*args, check=False)
                self.assertIn(done.returncode, range(64, 79), done.stdout + done.stderr)
                self.assertTrue(done.stderr.strip())

    def test_all_classes_survive_a_restart_held(self):
        self.server.cli("queue", "hold", "--domain=far.example")
        self.server.restart()
        self.assertEqual({str(r.get("state")) for r in self.server.queue()}, {"held"})
        self.server.cli("queue", "release", "--domain=far.example")


class Raised(Queue):
    """Taken with one shard, asked for with two: the number of a message does not say any more where it is."""
    config = {"queue": {"retry": ["1h"], "lifetime": "2h"}}

    def test_commands_find_older_messages(self):
        self.far.on("RCPT", "451 4.2.1 not now")
        for i in range(6):
            self.send(f"r{i}@far.example", subject=f"raised-{i}")
        until(lambda: sum(r.get("attempts", 0) >= 1 for r in self.server.queue()) == 6, "six recipients that wait")
        self.server.stop()
        self.server.write_config(copies={"queue": 2})
        self.server.start()
        for i in range(6, 10):
            self.send(f"r{i}@far.example", subject=f"raised-{i}")
        rows = until(lambda: len(self.server.queue()) == 10 and self.server.queue(), "all ten")
        ids = {r["recipient"]: r["id"] for r in rows}
        self.assertEqual({"0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(i[-1]) % 2 for i in ids.values()}, {0, 1})
        until(lambda: all(r["attempts"] >= 1 for r in self.server.queue()), "the new ones to wait too")
        for i in ids.values():
            self.server.cli("queue", "retry", i)
        until(lambda: all(r["attempts"] >= 2 and r["state"] == "deferred" for r in self.server.queue()), "another attempt of all")
        for rcpt, i in ids.items():
            with self.subTest(rcpt):
                self.assertIn(rcpt, self.server.cli("queue", "show", i).stdout)
                self.assertIn("Hello.", self.server.cli("queue", "export", i).stdout)
                self.server.cli("queue", "hold", i)
        self.assertEqual({r["state"] for r in self.server.queue()}, {"held"})
        self.far.calm()
        for rcpt in ("r0@far.example", "r1@far.example", "r8@far.example", "r9@far.example"):
            self.server.cli("queue", "release", ids[rcpt])
            until(lambda: self.far.to(rcpt), f"the released {rcpt}")
            ids.pop(rcpt)
        for i in ids.values():
            self.server.cli("queue", "delete", i)
            done = self.server.cli("queue", "show", i, check=False)
            self.assertEqual((done.returncode, done.stderr.count("no such message")), (66, 1), done.stderr)
        self.server.queue_empty()


class Full(Queue):
    """The data folder on a small file system of its own."""
    as_root = True
    config = {"queue": {"retry": ["1s"], "min_free_disk": "8M"}}

    @classmethod
    def before_start(cls):
        data = cls.server.data
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=755", "tmpfs", data], capture_output=True, text=True)
        if done.returncode:
            raise unittest.SkipTest("cannot mount a file system: " + done.stderr.strip())
        cls.cleanup.callback(subprocess.run, ["umount", "-l", data])

    def test_refused_when_full_and_taken_again_after(self):
        filler = self.server.data / "filler"
        self.far.on("RCPT", "451 4.2.1 later")
        self.send("bob@home.example", subject="before")
        self.send("waiting@far.example", subject="waiting")
        with open(filler, "wb") as f:
            space = os.statvfs(self.server.data)
            f.write(b"x" * (space.f_bavail * space.f_frsize - (4 << 20)))

        def refused():
            with self.server.smtp() as c:
                c.ehlo()
                return c.mail("a@b.example")

        code, text = until(lambda: (r := refused())[0] != 250 and r, "the server to notice")
        self.assertEqual((code, text[:5]), (452, b"4.3.1"))
        self.assertEqual(len(self.server.mailbox("bob@home.example")), 1)  # reading goes on
        self.far.calm()
        until(lambda: self.far.to("waiting@far.example"), "what waited to leave all the same")
        until(lambda: not self.server.queue(), "its end to be stored")
        self.assertEqual(refused()[0], 452)
        filler.unlink()
        until(lambda: refused()[0] == 250, "the server to take mail again")
        self.send("bob@home.example", subject="after")
        self.server.mailbox_holds("bob@home.example", 2)
