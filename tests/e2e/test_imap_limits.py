"""IMAP and those who want too much: connections of an address and of an account, bans after failed logins, no password in clear from
outside, time limits before the login."""
import os
import unittest

from harness import PASSWORD, until
from imap_clients import Clients
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
