"""IMAP and those who want too much: connections of an address and of an account, bans after failed logins, no password in clear from
outside, time limits before the login; MESSAGELIMIT; a directory that hangs."""
import os
import signal
import unittest

from harness import PASSWORD, until
from imap_clients import Clients, message
from imap_line import Line
from mailcase import plain


class Gate(Clients):
    """Behind a proxy, which lends everybody an address of their own."""
    users = ("ann", "bob")
    config = {"limits": {"login_failures": 3, "ban_time": "1h", "connections_per_address": 3, "connections_per_account": 4}}
    listen = {"imap": {"proxy_from": ["127.0.0.1"]}, "imaps": {"proxy_from": ["127.0.0.1"]}}

    def through(self, ip, user=None, listener="imap"):
        t = Line(self.server.ports[listener], greeting=False)
        self.addCleanup(lambda: t.s.close())
        t.raw(f"PROXY TCP4 {ip} 127.0.0.1 4444 143\r\n")
        if listener == "imaps":
            t.s = self.server.trust().wrap_socket(t.s)
        t.greeting = t.reply()
        if user:
            if listener == "imap":
                t.starttls(self.server.trust())
            t.answered = t.say("AUTHENTICATE PLAIN " + plain(f"{user}@home.example"))[1]
        return t

    def test_no_password_in_clear_from_outside(self):
        t = self.through("192.0.2.60")
        self.assertIn("LOGINDISABLED", t.greeting)
        self.assertNotIn("AUTH=PLAIN", t.greeting)
        self.assertTrue(t.say(f'LOGIN ann@home.example "{PASSWORD}"')[1].startswith("NO [PRIVACYREQUIRED]"))
        t.starttls(self.server.trust())
        self.assertTrue(t.say(f'LOGIN ann@home.example "{PASSWORD}"')[1].startswith("OK"))

    def test_connections_of_an_address(self):
        held = [self.through("192.0.2.61") for _ in range(3)]
        self.assertTrue(all(t.greeting.startswith("* OK") for t in held))
        self.assertTrue(self.through("192.0.2.61").greeting.startswith("* BYE"))
        self.assertTrue(self.through("192.0.2.62").greeting.startswith("* OK"))
        held.pop().s.close()
        until(lambda: self.through("192.0.2.61").greeting.startswith("* OK"), "the place of who left")

    def test_connections_of_an_account(self):
        held = [self.through(f"192.0.2.{70 + i}", "bob", ("imap", "imaps")[i % 2]) for i in range(4)]
        self.assertTrue(all(t.answered.startswith("OK") for t in held), [t.answered for t in held])
        fifth = self.through("192.0.2.80", "bob")
        self.assertTrue(fifth.answered.startswith("NO [LIMIT]"), fifth.answered)
        self.assertTrue(fifth.line().startswith("* BYE"))
        self.assertTrue(fifth.closed())
        self.assertTrue(self.through("192.0.2.81", "ann").answered.startswith("OK"), "another account")
        for t in held:
            t.ok("SELECT INBOX")
        held.pop().s.close()
        until(lambda: self.through("192.0.2.82", "bob").answered.startswith("OK"), "the place of who left")

    def test_after_failures_the_address_is_banned(self):
        inside = self.through("192.0.2.63", "ann")
        for way in ("LOGIN bob@home.example wrong", "AUTHENTICATE PLAIN " + plain("bob@home.example", "wrong"), "LOGIN nobody@home.example wrong"):
            t = self.through("192.0.2.63", listener="imaps")
            self.assertTrue(t.say(way)[1].startswith("NO [AUTHENTICATIONFAILED]"))
            t.s.close()
        for listener in ("imap", "imaps"):
            with self.subTest(listener):
                try:
                    self.assertTrue(self.through("192.0.2.63", listener=listener).greeting.startswith("* BYE"))
                except (OSError, EOFError):
                    self.assertEqual(listener, "imaps")  # without a handshake there is no word to say
        self.assertTrue(self.through("192.0.2.64").greeting.startswith("* OK"))
        inside.ok("NOOP")  # who is in stays in

    @unittest.skipUnless(os.environ.get("STAFFETTA_LONG"), "takes a minute of waiting: STAFFETTA_LONG=1; test_pop3 has the same of the same code")
    def test_who_takes_too_long_is_cut(self):
        """A proxy that says nothing, a handshake that is never begun, a client that never logs in; one that idles stays."""
        inside = self.through("192.0.2.65", "ann")
        inside.ok("SELECT INBOX")
        inside.raw("i IDLE\r\n")
        self.assertTrue(inside.line().startswith("+"))
        silent, secure = (Line(self.server.ports[l], greeting=False) for l in ("imap", "imaps"))
        secure.raw("PROXY TCP4 192.0.2.66 127.0.0.1 4444 993\r\n")
        idle = self.through("192.0.2.66")
        for t in (silent, secure, idle):
            self.addCleanup(t.s.close)
            t.s.settimeout(120)
            self.assertTrue(t.closed())
        inside.raw("DONE\r\n")
        self.assertTrue(inside.answer("i")[1].startswith("OK"))


class Messages(Clients):
    """MESSAGELIMIT: a client that asks for everything hears how far it came, and goes on from there."""
    config = {"limits": {"imap_message_limit": 5}}

    def test_a_client_that_goes_on_where_it_was_stopped(self):
        c = self.server.imap("ann@home.example")
        self.addCleanup(c.shutdown)
        self.assertIn(b"MESSAGELIMIT=5", c.capability()[1][0].split())
        for i in range(1, 13):
            self.assertEqual(c.append("INBOX", None, None, message(f"m{i}"))[0], "OK")
        self.assertEqual(c.select("INBOX"), ("OK", [b"12"]))
        seen, up_to, rounds = [], 2 ** 32 - 1, 0
        while up_to:
            done, lines = c.uid("FETCH", f"1:{up_to}", "(UID)")
            self.assertEqual(done, "OK", lines)
            seen += [int(line.split()[2].rstrip(b")")) for line in lines]
            limit = c.response("MESSAGELIMIT")[1][0]
            up_to = int(limit.split()[1]) - 1 if limit else 0
            self.assertTrue(limit is None or limit.split()[0] == b"5", limit)
            rounds += 1
        self.assertEqual((sorted(seen), rounds), (list(range(1, 13)), 3))
        self.assertEqual(c.copy("1:*", "Archive")[0], "NO")
        self.assertEqual(c.response("MESSAGELIMIT")[1], [b"5 8"])
        self.assertEqual(c.copy("8:*", "Archive")[0], "OK")
        self.assertEqual(c.store("1:*", "+FLAGS.SILENT", "(\\Flagged)")[0], "OK")
        self.assertEqual(c.response("MESSAGELIMIT")[1], [b"5 8"])
        self.assertEqual(c.search(None, "UIDBEFORE", "8", "FLAGGED"), ("OK", [b""]))
        self.assertEqual(c.select("Archive"), ("OK", [b"5"]))


class Directory(Clients):
    """directory hangs: what asks it is refused after 20 s, everything else goes on."""
    users = ("ann", "bob")

    def stop(self, how):
        for pid in self.server.roles()["directory"]:
            os.kill(pid, how)

    def test_one_that_hangs(self):
        c, idle = self.server.imap("ann@home.example"), self.line("bob")
        self.addCleanup(c.shutdown)
        self.assertEqual(c.append("INBOX", None, None, message("m1"))[0], "OK")
        self.assertEqual(c.select("INBOX"), ("OK", [b"1"]))
        self.stop(signal.SIGSTOP)
        try:
            idle.raw('a LIST "" "Other Users/*"\r\n')
            answer = c.setacl("INBOX", "bob@home.example", "lr")
            self.assertEqual((answer[0], b"[UNAVAILABLE]" in answer[1][0]), ("NO", True), answer)
            lines, done = idle.answer("a")
            self.assertTrue(done.startswith("OK") and any("[UNAVAILABLE]" in line for line in lines), (lines, done))
            self.assertEqual(c.fetch("1", "(FLAGS)"), ("OK", [b"1 (FLAGS ())"]))
            self.assertEqual(c.store("1", "+FLAGS", "(\\Seen)")[0], "OK")
            self.assertEqual(c.append("INBOX", None, None, message("m2"))[0], "OK") # its quota is known
            self.assertEqual(c.noop()[0], "OK")
        finally:
            self.stop(signal.SIGCONT)
        until(lambda: c.setacl("INBOX", "bob@home.example", "lr")[0] == "OK", "directory to answer again")
        self.assertTrue(any("INBOX" in line for line in idle.say('LIST "" "Other Users/*"')[0]))
