"""IMAP with Python's imaplib, curl and a bare client: logging in, reading and changing mailboxes, IDLE, two sessions at once,
the same mail over POP3, and roles that die in the middle."""
import base64
import contextlib
import imaplib
import os
import re
import signal
import ssl
import subprocess

import scram
from harness import PASSWORD, Case, letter, until
from imap_line import Line
from mailcase import plain

imaplib.Commands.setdefault("MOVE", ("SELECTED",))
USERS = ("ann", "bob", "carl", "dora", "emil", "fritz", "gerd", "hans", "ida")


class Imap(Case):
    config = {"limits": {"login_failures": 1000}}

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in USERS:
            cls.server.account(f"{user}@home.example")

    def fill(self, user, count, first=0, body="Hello.\r\n"):
        before = len(self.server.mailbox(f"{user}@home.example"))
        with self.server.smtp() as c:
            for i in range(first, first + count):
                c.sendmail("x@far.example", [f"{user}@home.example"], letter(subject=f"number-{i}", body=body))
        self.server.mailbox_holds(f"{user}@home.example", before + count)

    def imap(self, user, listener="imap", select="INBOX"):
        c = self.server.imap(f"{user}@home.example", listener=listener)
        self.addCleanup(quietly, c.shutdown)
        if select:
            self.ok(c.select(select))
        return c

    def line(self, listener="imap", secure=True, user=None):
        t = Line(self.server.ports[listener])
        self.addCleanup(lambda: t.s.close())
        self.assertTrue(t.greeting.startswith("* OK [CAPABILITY IMAP4rev2 IMAP4rev1 "), t.greeting)
        if secure:
            t.starttls(self.server.trust())
        if user:
            self.assertTrue(t.say(f'LOGIN {user}@home.example "{PASSWORD}"')[1].startswith("OK"))
        return t

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def subjects(self, c, numbers="1:*"):
        rows = self.ok(c.fetch(numbers, "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
        return [re.search(rb"Subject: (\S+)", r[1])[1].decode() for r in rows if isinstance(r, tuple)]

    def flags(self, c, numbers="1:*"):
        rows = [r for r in self.ok(c.fetch(numbers, "(FLAGS)")) if r]
        return [set(imaplib.ParseFlags(r)) - {rb"\Recent"} for r in rows]


def quietly(f):
    with contextlib.suppress(Exception):
        f()


class Logins(Imap):
    def test_login_over_starttls_and_implicit_tls(self):
        for listener in ("imap", "imaps"):
            c = self.imap("ann", listener)
            self.assertIn("IMAP4REV2", c.capabilities)
            self.ok(c.noop())
            self.assertEqual(c.logout()[0], "BYE")

    def test_without_tls_passwords_are_taken_on_loopback_only_and_wrong_ones_never(self):
        t = self.line(secure=False)
        self.assertTrue(t.say("LOGIN ann@home.example wrong")[1].startswith("NO [AUTHENTICATIONFAILED]"))
        self.assertTrue(t.say("SELECT INBOX")[1].startswith("BAD"))
        self.assertTrue(t.say(f'LOGIN ann@home.example "{PASSWORD}"')[1].startswith("OK [CAPABILITY "))
        self.assertTrue(t.say("LOGIN a b")[1].startswith("BAD"))

    def test_authenticate_plain(self):
        c = imaplib.IMAP4_SSL("127.0.0.1", self.server.ports["imaps"], ssl_context=self.server.trust(), timeout=60)
        self.ok(c.authenticate("PLAIN", lambda _: f"\0ann@home.example\0{PASSWORD}".encode()))
        self.ok(c.select())
        c.logout()
        t = self.line()
        self.assertTrue(t.say(f"AUTHENTICATE PLAIN {plain('ann@home.example')}")[1].startswith("OK"))
        t = self.line()
        t.raw("a AUTHENTICATE PLAIN\r\n")
        self.assertEqual(t.line(), "+ ")
        t.raw("*\r\n")
        self.assertTrue(t.line().startswith("a BAD"))

    def test_literals(self):
        t = self.line()
        user = "ann@home.example"
        t.raw(f"a LOGIN {{{len(user)}}}\r\n")
        self.assertTrue(t.line().startswith("+"))
        t.raw(f"{user} {{{len(PASSWORD)}+}}\r\n{PASSWORD}\r\n")
        self.assertTrue(t.line().startswith("a OK"))

    def scram(self, t, mechanism, binding=None, kind="tls-exporter"):
        s = scram.Scram("ann@home.example", PASSWORD, binding, kind)
        t.raw(f"a AUTHENTICATE {mechanism} {base64.b64encode(s.first()).decode()}\r\n")
        first = t.line()
        self.assertTrue(first.startswith("+ "), first)
        t.raw(base64.b64encode(s.final(base64.b64decode(first[2:]))) + b"\r\n")
        final = t.line()
        self.assertTrue(final.startswith("+ "), final)
        self.assertTrue(s.proven(base64.b64decode(final[2:])))
        t.raw("\r\n")
        return t.line()

    def test_scram(self):
        for secure in (True, False):
            t = self.line(secure=secure)
            self.assertTrue(self.scram(t, "SCRAM-SHA-256").startswith("a OK [CAPABILITY"))
            self.assertTrue(t.say("SELECT INBOX")[1].startswith("OK [READ-WRITE]"))

    def test_scram_with_channel_binding(self):
        context = self.server.trust()
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # Python knows tls-unique only
        t = Line(self.server.ports["imap"])
        self.addCleanup(lambda: t.s.close())
        t.starttls(context)
        self.assertTrue(self.scram(t, "SCRAM-SHA-256-PLUS", t.s.get_channel_binding("tls-unique"), "tls-unique").startswith("a OK"))

    def test_gsasl(self):
        for mechanism in ("SCRAM-SHA-256-PLUS", "PLAIN", "LOGIN"):
            done = subprocess.run(["gsasl", "--imap", "--connect", f"127.0.0.1:{self.server.ports['imap']}", "--mechanism", mechanism, "--starttls",
                                   "--priority=NORMAL:-VERS-ALL:+VERS-TLS1.3", f"--x509-ca-file={self.server.chain}", "--hostname", "mail.home.example", "-a", "ann@home.example", "-p", PASSWORD,
                                   "--quiet"], input="", capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, mechanism + done.stdout + done.stderr)

    def test_what_was_sent_behind_starttls_in_clear_is_dropped(self):
        t = self.line(secure=False)
        t.raw("a STARTTLS\r\nb NOOP\r\n")
        self.assertTrue(t.line().startswith("a OK"))
        t.s = self.server.trust().wrap_socket(t.s)
        self.assertEqual(t.say("NOOP", "c")[0], [], "the command from before TLS was answered")

    def test_pipelined_behind_the_login(self):
        t = self.line()
        t.raw(f'a LOGIN ann@home.example "{PASSWORD}"\r\nb SELECT INBOX\r\nc LOGOUT\r\n')
        self.assertTrue(t.answer("a")[1].startswith("OK"))
        self.assertTrue(t.answer("b")[1].startswith("OK"))
        self.assertEqual(t.answer("c")[0], ["* BYE Logging out"])
        self.assertTrue(t.closed())


class Reading(Imap):
    def test_list_select_fetch(self):
        self.fill("ann", 3)
        c = self.imap("ann", select=None)
        self.assertIn(b'"/" INBOX', b" ".join(self.ok(c.list())).replace(b'"INBOX"', b"INBOX"))
        self.assertEqual(self.ok(c.select()), [b"3"])
        self.assertEqual(self.subjects(c), ["number-0", "number-1", "number-2"])
        whole = self.ok(c.fetch("2", "(UID RFC822.SIZE BODY[])"))[0]
        size = int(re.search(rb"RFC822.SIZE (\d+)", whole[0])[1])
        self.assertEqual(len(whole[1]), size)
        self.assertTrue(whole[1].endswith(b"\r\n\r\nHello.\r\n"))
        self.assertEqual(self.flags(c), [set(), {rb"\Seen"}, set()])
        envelope = self.ok(c.fetch("1", "(ENVELOPE BODYSTRUCTURE)"))[0]
        self.assertIn(b'"number-0"', envelope)
        self.assertIn(b'"TEXT" "PLAIN"', envelope.upper())
        self.assertEqual(self.ok(c.fetch("1", "BODY[TEXT]<1.3>"))[0][1], b"ell")

    def test_the_same_over_pop3(self):
        self.fill("bob", 2)
        c = self.imap("bob")
        over_imap = [r[1] for r in self.ok(c.fetch("1:*", "BODY.PEEK[]")) if isinstance(r, tuple)]
        over_pop3 = self.server.mailbox("bob@home.example")
        self.assertEqual([m.replace(b"\r\n", b"\n") for m in over_imap], over_pop3)
        self.ok(c.store("1", "+FLAGS", r"(\Deleted)"))
        self.ok(c.expunge())
        self.assertEqual(self.server.mailbox("bob@home.example"), over_pop3[1:])

    def test_curl(self):
        self.fill("carl", 2)
        for listener, more in (("imap", ["--ssl-reqd"]), ("imaps", [])):
            def curl(path, *args):
                done = subprocess.run(["curl", "-sS", *more, "--cacert", self.server.chain, f"{listener}://127.0.0.1:{self.server.ports[listener]}/{path}",
                                       "--user", f"carl@home.example:{PASSWORD}", *args], capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                return done.stdout

            self.assertIn("INBOX", curl(""))
            self.assertIn("Subject: number-1", curl("INBOX;MAILINDEX=2"))
            self.assertIn("Subject: number-0", curl("INBOX;UID=1;SECTION=HEADER"))
            self.assertEqual(curl("INBOX?ALL").split(), ["*", "SEARCH", "1", "2"])
            (self.server.folder / "up.eml").write_text(letter(subject="from-curl"))
            os.chmod(self.server.folder / "up.eml", 0o644)
            curl("", "-X", f"CREATE Up-{listener}")
            curl(f"Up-{listener}", "-T", self.server.folder / "up.eml")
            self.assertIn("from-curl", curl(f"Up-{listener};MAILINDEX=1"))

    def test_search(self):
        self.fill("dora", 3)
        c = self.imap("dora")
        self.assertEqual(self.ok(c.search(None, "ALL")), [b"1 2 3"])
        self.assertEqual(self.ok(c.search(None, "SUBJECT", "number-1")), [b"2"])
        self.assertEqual(self.ok(c.search(None, "NOT", "SUBJECT", "number-1")), [b"1 3"])
        self.assertEqual(self.ok(c.search(None, "BODY", "hello")), [b"1 2 3"])
        self.assertEqual(self.ok(c.search(None, "BODY", '"nothing like that"')), [b""])
        self.ok(c.store("3", "+FLAGS", r"(\Flagged)"))
        self.assertEqual(self.ok(c.search(None, "FLAGGED")), [b"3"])
        self.assertEqual(self.ok(c.uid("SEARCH", None, "UNFLAGGED")), [b"1 2"])


class Changing(Imap):
    def test_append_store_copy_move_expunge(self):
        c = self.imap("ann")
        for i in range(4):
            answer = self.ok(c.append("INBOX", r"(\Seen $Mine)" if i == 0 else None, '"22-Nov-2026 03:30:00 +0100"', letter(subject=f"a-{i}").encode()))
            self.assertRegex(answer[0], rb"\[APPENDUID \d+ %d\]" % (i + 1))
        self.ok(c.noop())
        self.assertEqual(self.subjects(c), ["a-0", "a-1", "a-2", "a-3"])
        self.assertEqual(self.flags(c, "1"), [{rb"\Seen", b"$Mine"}])
        self.assertIn(b"22-Nov-2026 02:30:00 +0000", self.ok(c.fetch("1", "INTERNALDATE"))[0])
        self.ok(c.create("Archive/2026"))
        self.ok(c.copy("1:2", "Archive/2026"))
        self.ok(c.uid("MOVE", "4", "Archive/2026"))
        self.assertEqual(self.subjects(c), ["a-0", "a-1", "a-2"])
        self.ok(c.store("1", "+FLAGS", r"(\Deleted)"))
        self.ok(c.store("2", "-FLAGS", r"(\Seen)"))
        self.ok(c.store("3", "FLAGS", r"(\Answered)"))
        self.assertEqual(self.ok(c.expunge())[-1:], [b"1"])
        self.assertEqual(self.flags(c), [set(), {rb"\Answered"}])
        self.assertEqual(self.ok(c.select("Archive/2026")), [b"3"])
        self.assertEqual(self.subjects(c), ["a-0", "a-1", "a-3"])
        self.assertEqual(self.flags(c, "1"), [{rb"\Seen", b"$Mine"}])
        self.assertIn(b"22-Nov-2026 02:30:00 +0000", self.ok(c.fetch("1", "INTERNALDATE"))[0])
        self.ok(c.close())
        self.ok(c.rename("Archive", "Old"))
        self.assertIn(b"MESSAGES 3", self.ok(c.status("Old/2026", "(MESSAGES UIDNEXT)"))[0])
        self.ok(c.delete("Old/2026"))
        self.assertEqual(c.select("Old/2026")[0], "NO")
        self.assertEqual(c.logout()[0], "BYE")

    def test_names_beyond_ascii(self):
        c = self.imap("bob", select=None)
        self.ok(c.create("Entw&APw-rfe"))
        self.ok(c.subscribe("Entw&APw-rfe"))
        self.assertIn(b"Entw&APw-rfe", b" ".join(self.ok(c.lsub())))
        self.ok(c.enable("UTF8=ACCEPT"))
        self.assertIn("Entwürfe".encode(), b" ".join(self.ok(c.list())))
        self.ok(c.select("Entwürfe"))

    def test_a_big_message_comes_back_byte_by_byte(self):
        body = "".join(f"line {i} " + "x" * (i % 70) + "\r\n" for i in range(60000))
        text = letter(subject="big", body=body).encode()
        c = self.imap("carl")
        self.ok(c.append("INBOX", None, None, text))
        self.ok(c.noop())
        self.assertEqual(self.ok(c.fetch("1", "BODY[]"))[0][1], text)
        got = b"".join(self.ok(c.fetch("1", f"BODY.PEEK[]<{at}.500000>"))[0][1] for at in range(0, len(text), 500000))
        self.assertEqual(got, text)

    def test_what_is_answered_ok_is_there_after_kill_9_of_everything(self):
        c = self.imap("dora")
        for i in range(5):
            self.ok(c.append("INBOX", None, None, letter(subject=f"k-{i}").encode()))
        self.ok(c.store("2", "+FLAGS", r"(\Flagged \Deleted)"))
        self.ok(c.create("Kept"))
        self.ok(c.copy("1", "Kept"))
        self.server.kill_tree()
        self.server.start()
        c = self.imap("dora")
        self.assertEqual(self.subjects(c), [f"k-{i}" for i in range(5)])
        self.assertEqual(self.flags(c, "2"), [{rb"\Flagged", rb"\Deleted"}])
        self.assertEqual(self.ok(c.select("Kept")), [b"1"])


class Together(Imap):
    def untagged(self, c, kind):
        return [v for v in c.untagged_responses.get(kind, [])]

    def test_two_sessions_on_one_mailbox(self):
        self.fill("ann", 3)
        one, two = self.imap("ann"), self.imap("ann", "imaps")
        self.ok(one.store("2", "+FLAGS", r"(\Flagged)"))
        self.ok(two.noop())
        self.assertTrue(any(b"2 (FLAGS" in v and rb"\Flagged" in v for v in self.untagged(two, "FETCH")), two.untagged_responses)
        self.ok(one.store("1", "+FLAGS", r"(\Deleted)"))
        self.ok(one.expunge())
        self.assertEqual(self.subjects(two, "2"), ["number-1"], "a message number changed before the client was told")
        self.ok(two.noop())
        self.assertEqual(self.untagged(two, "EXPUNGE"), [b"1"])
        self.assertEqual(self.subjects(two), ["number-1", "number-2"])
        self.ok(two.append("INBOX", None, None, letter(subject="number-3").encode()))
        self.ok(one.noop())
        self.assertEqual(self.untagged(one, "EXISTS")[-1:], [b"3"])
        self.assertEqual(self.subjects(one), ["number-1", "number-2", "number-3"])

    def test_idle_sees_a_delivery(self):
        t = self.line(user="bob")
        lines, _ = t.say("SELECT INBOX")
        self.assertIn("* 0 EXISTS", lines)
        t.raw("i IDLE\r\n")
        self.assertTrue(t.line().startswith("+"))
        for i in range(1, 4):
            self.server.send("x@far.example", "bob@home.example", letter(subject=f"idle-{i}"))
            until(lambda: t.line() == f"* {i} EXISTS", "the delivery to be told")
        t.raw("DONE\r\n")
        self.assertTrue(t.answer("i")[1].startswith("OK"))
        self.assertTrue(t.say("NOOP")[1].startswith("OK"))

    def test_notify_tells_of_all_mailboxes_without_a_command(self):
        listener, other = self.line(user="gerd"), self.line(user="gerd")
        self.assertTrue(listener.say("SELECT Sent")[1].startswith("OK"))
        events = "MessageNew MessageExpunge FlagChange MailboxName MailboxMetadataChange"
        self.assertTrue(listener.say(f"NOTIFY SET (SELECTED (MessageNew (UID FLAGS) MessageExpunge)) (PERSONAL ({events}))")[1].startswith("OK"))
        self.server.send("x@far.example", "gerd@home.example", letter(subject="told"))
        self.assertRegex(listener.line(), r"^\* STATUS INBOX \(MESSAGES 1 UIDNEXT 2 UIDVALIDITY \d+ UNSEEN 1\)$")
        for command, told in (
            ("SELECT INBOX", None),
            ("STORE 1 +FLAGS (\\Seen)", r"^\* STATUS INBOX \(UIDVALIDITY \d+ UNSEEN 0\)$"),
            ("CREATE Projects", r"^\* LIST \(\\HasNoChildren\) \"/\" Projects$"),
            ('SETMETADATA Projects (/shared/comment "all of them")', r"^\* METADATA Projects /shared/comment$"),
            ("COPY 1 Sent", r"^\* 1 EXISTS$"),
        ):
            self.assertTrue(other.say(command)[1].startswith("OK"), command)
            if told:
                self.assertRegex(listener.line(), told)
        self.assertEqual(listener.line(), r"* 1 FETCH (UID 1 FLAGS (\Seen))")
        self.assertEqual(listener.say("GETMETADATA Projects /shared/comment")[0], ['* METADATA Projects (/shared/comment "all of them")'])

    def test_a_crowd_changes_one_mailbox(self):
        """Each session keeps its own numbers; all see the same in the end."""
        self.fill("carl", 20)
        sessions = [self.imap("carl") for _ in range(6)]
        for step in range(30):
            c = sessions[step % 6]
            if step % 3 == 0:
                self.ok(c.append("INBOX", None, None, letter(subject=f"crowd-{step}").encode()))
            elif step % 3 == 1:
                self.ok(c.noop())
                self.ok(c.store("1", "+FLAGS", r"(\Deleted)"))
                self.ok(c.expunge())
            else:
                self.ok(c.store("1:3", "+FLAGS", f"(step{step})"))
        for c in sessions:
            self.ok(c.noop())
        seen = [list(zip(self.subjects(c), self.flags(c))) for c in sessions]
        self.assertEqual(len(seen[0]), 20)
        for other in seen[1:]:
            self.assertEqual(other, seen[0])


class Ends(Imap):
    kills = True

    def kill(self, role):
        pids = self.server.roles()[role]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda: set(self.server.roles().get(role, pids)).isdisjoint(pids), f"{role} to be back")

    def back(self, user):
        """A session once the role is up again."""
        def attempt():
            with contextlib.suppress(imaplib.IMAP4.error, OSError, EOFError):
                return self.imap(user)

        return until(attempt, "a session")

    def test_mailbox_dies(self):
        for when in ("idle", "append", "fetch"):
            with self.subTest(when):
                user = {"idle": "ann", "append": "bob", "fetch": "carl"}[when]
                c = self.imap(user)
                self.ok(c.append("INBOX", None, None, letter(subject="confirmed", body="x\r\n" * 700000).encode()))
                t = self.line(user=user)
                t.say("SELECT INBOX")
                if when == "idle":
                    t.raw("i IDLE\r\n")
                    t.line()
                elif when == "append":
                    t.raw("i APPEND INBOX {1000000+}\r\n" + "x" * 500000)
                else:
                    t.raw("i FETCH 1 BODY[]\r\n")
                    t.line()
                self.kill("mailbox")
                self.assertTrue(t.closed())
                c = self.back(user)
                self.assertEqual(self.subjects(c), ["confirmed"])

    def test_access_dies(self):
        c = self.imap("dora")
        self.ok(c.append("INBOX", None, None, letter(subject="confirmed").encode()))
        t = self.line(user="dora")
        t.say("SELECT INBOX")
        t.raw("i APPEND INBOX {1000000+}\r\n" + "x" * 500000)
        self.kill("access")
        self.assertTrue(t.closed())
        c = self.back("dora")
        self.assertEqual(self.subjects(c), ["confirmed"])

    def test_a_client_that_leaves_in_the_middle_leaves_nothing(self):
        for what in (b"i APPEND INBOX {1000000+}\r\n" + b"x" * 500000, b"i APPEND INBOX {10}\r\n", b"i FETCH 1 (BODY[", b"i IDLE\r\n", b"i SELECT {5}\r\n"):
            t = self.line(user="emil")
            t.say("SELECT INBOX")
            t.raw(what)
            t.s.close()
        c = self.imap("emil")
        self.assertEqual(self.ok(c.select()), [b"0"])

    def test_shutting_down_does_not_wait_for_idling_clients(self):
        t = self.line(user="fritz")
        t.say("SELECT INBOX")
        t.raw("i IDLE\r\n")
        t.line()
        other = self.line(user="fritz")
        before = self.line()
        self.server.process.send_signal(signal.SIGTERM)
        for client in (t, other, before):
            self.assertTrue(client.line().startswith("* BYE"))
            self.assertTrue(client.closed())
        self.server.stop()
        self.assertNotIn("the time is over", self.server.log_text())
        self.server.start()
