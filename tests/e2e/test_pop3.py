"""POP3: reading the mailbox with poplib, curl and fetchmail, and with a bare client."""
import base64
import poplib
import ssl
import subprocess

import scram
from harness import PASSWORD, Case, letter, until
from mailcase import plain
from talk import Talk


class Line(Talk):
    """A bare POP3 client: replies are +OK or -ERR lines."""

    def reply(self):
        return self.line()

    def many(self, command):
        first = self.say(command)
        assert first.startswith("+OK"), first
        lines = []
        while (line := self.line()) != ".":
            lines.append(line[1:] if line.startswith("..") else line)
        return lines

    def starttls_pop(self, context):
        assert self.say("STLS").startswith("+OK")
        self.s = context.wrap_socket(self.s)
        self.buffer = b""


class Pop(Case):
    config = {"limits": {"login_failures": 1000}}

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in ("ann", "bob", "carl", "dora", "emil", "fritz", "gerd", "hans"):
            cls.server.account(f"{user}@home.example")

    def fill(self, user, count, body="Hello.\r\n"):
        with self.server.smtp() as c:
            for i in range(count):
                c.sendmail("x@far.example", [f"{user}@home.example"], letter(subject=f"number-{i}", body=body))
        self.server.mailbox_holds(f"{user}@home.example", count)

    def line(self, listener="pop3"):
        t = Line(self.server.ports[listener])
        self.addCleanup(t.s.close)
        return t

    def login(self, user):
        t = self.line()
        t.starttls_pop(self.server.trust())
        self.assertTrue(t.say(f"USER {user}@home.example").startswith("+OK"))
        self.assertTrue(t.say(f"PASS {PASSWORD}").startswith("+OK"))
        return t


class Reading(Pop):
    def test_poplib(self):
        self.fill("ann", 3)
        c = self.server.pop3("ann@home.example")
        count, size = c.stat()
        self.assertEqual(count, 3)
        listing = [line.split() for line in c.list()[1]]
        self.assertEqual(sum(int(n) for _, n in listing), size)
        ids = [line.split()[1] for line in c.uidl()[1]]
        self.assertEqual(len(set(ids)), 3)
        raw = b"\r\n".join(c.retr(1)[1]) + b"\r\n"
        self.assertEqual(len(raw), int(listing[0][1]))
        self.assertIn(b"Subject: number-0", raw)
        self.assertEqual(c.top(1, 0)[1][-1], b"")
        c.dele(1)
        c.rset()
        c.dele(2)
        c.quit()
        c = self.server.pop3("ann@home.example")
        self.assertEqual([line.split()[1] for line in c.uidl()[1]], [ids[0], ids[2]])
        c.quit()

    def test_curl(self):
        self.fill("bob", 2)
        for listener, scheme, more in (("pop3", "pop3", ["--ssl-reqd"]), ("pop3s", "pop3s", [])):
            done = subprocess.run(["curl", "-sS", *more, "--cacert", self.server.chain, f"{scheme}://127.0.0.1:{self.server.ports[listener]}/2", "--user",
                                   f"bob@home.example:{PASSWORD}"], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("Subject: number-1", done.stdout)

    def test_fetchmail_twice_leaves_mail_and_fetches_new_only(self):
        self.fill("carl", 2)
        folder = self.server.folder / "fetchmail"
        folder.mkdir(exist_ok=True)
        rc = folder / "rc"
        rc.write_text(f"""poll 127.0.0.1 with proto POP3 port {self.server.ports['pop3']} uidl
    user "carl@home.example" with password "{PASSWORD}" is "root" here
    options keep sslproto "TLS1.2+" no sslcertck mda "cat >> {folder}/got"
""")
        rc.chmod(0o600)

        def fetch():
            return subprocess.run(["fetchmail", "-f", rc, "--idfile", folder / "ids", "--pidfile", folder / "pid", "-v", "--nosyslog"], capture_output=True,
                                  text=True, timeout=60, env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "FETCHMAILHOME": str(folder), "LC_ALL": "C"})

        done = fetch()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual((folder / "got").read_text().count("Subject: number-"), 2)
        self.assertEqual(fetch().returncode, 1)  # no new mail
        self.fill("carl", 3)
        self.assertEqual(fetch().returncode, 0)
        self.assertEqual((folder / "got").read_text().count("Subject: number-"), 5)

    def test_a_big_mailbox(self):
        self.fill("dora", 400)
        c = self.server.pop3("dora@home.example")
        self.assertEqual(len(c.uidl()[1]), 400)
        for i in range(1, 401):
            c.dele(i)
        c.quit()
        self.assertEqual(self.server.mailbox("dora@home.example"), [])

    def test_a_big_message(self):
        body = ("." + "0123456789" * 7 + "\r\n") * 200000
        self.fill("emil", 1, body)
        got = self.server.mailbox("emil@home.example")[0].decode().replace("\n", "\r\n")
        self.assertTrue(got.endswith(body))


class Protocol(Pop):
    def test_capa(self):
        t = self.line()
        words = "\n".join(t.many("CAPA")).upper()
        for word in ("USER", "UIDL", "TOP", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "STLS", "SASL", "UTF8", "LANG", "IMPLEMENTATION"):
            with self.subTest(word):
                self.assertIn(word, words)
        t.starttls_pop(self.server.trust())
        self.assertNotIn("STLS", "\n".join(t.many("CAPA")).upper())

    def test_commands_of_the_other_state(self):
        t = self.line()
        for command in ("STAT", "LIST", "RETR 1", "UIDL", "DELE 1", "PASS x", "NOSUCH", "USER"):
            self.assertTrue(t.say(command).startswith("-ERR"), command)
        t = self.login("dora")
        for command in ("USER ann", "PASS x", "STLS", "RETR", "RETR x", "RETR 99", "RETR 0", "RETR -1", "TOP 1", "TOP 99 1", "DELE 99", "LIST 99", "UIDL 99", "NOSUCH"):
            self.assertTrue(t.say(command).startswith("-ERR"), command)
        self.assertTrue(t.say("NOOP").startswith("+OK"))
        self.assertTrue(t.say("QUIT").startswith("+OK"))

    def test_wrong_password_has_its_code(self):
        for user in ("ann", "nobody"):
            t = self.line()
            t.say(f"USER {user}@home.example")
            self.assertTrue(t.say("PASS wrong").startswith("-ERR [AUTH]"))

    def test_auth(self):
        t = self.line()
        t.starttls_pop(self.server.trust())
        self.assertEqual(t.say("AUTH PLAIN"), "+ ")
        self.assertTrue(t.say(plain("ann@home.example")).startswith("+OK"))
        t = self.line()
        self.assertTrue(t.say("AUTH PLAIN " + plain("bob@home.example")).startswith("+OK"))
        t = self.line()
        client = scram.Scram("carl@home.example", PASSWORD)
        challenge = t.say("AUTH SCRAM-SHA-256 " + base64.b64encode(client.first()).decode())
        reply = t.say(base64.b64encode(client.final(base64.b64decode(challenge[2:]))).decode())
        self.assertTrue(client.proven(base64.b64decode(reply[2:])), reply)
        self.assertTrue(t.say("").startswith("+OK"))
        t = self.line()
        self.assertTrue(t.say("AUTH PLAIN").startswith("+"))
        self.assertTrue(t.say("*").startswith("-ERR"))
        self.assertTrue(t.say("AUTH NOSUCH").startswith("-ERR"))

    def test_auth_scram_plus(self):
        context = self.server.trust()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        for spoil, said in ((b"", "+OK"), (b"x", "-ERR [AUTH]")):
            with self.subTest(said):
                t = self.line()
                t.starttls_pop(context)
                self.assertIn("SCRAM-SHA-256-PLUS", "\n".join(t.many("CAPA")))
                client = scram.Scram("ann@home.example", PASSWORD, t.s.get_channel_binding("tls-unique") + spoil)
                challenge = t.say("AUTH SCRAM-SHA-256-PLUS " + base64.b64encode(client.first()).decode())
                reply = t.say(base64.b64encode(client.final(base64.b64decode(challenge[2:]))).decode())
                if not spoil:
                    self.assertTrue(client.proven(base64.b64decode(reply[2:])), reply)
                    reply = t.say("")
                self.assertTrue(reply.startswith(said), reply)

    def test_auth_login(self):
        t = self.line()
        self.assertTrue(t.say("AUTH LOGIN").startswith("+ "))
        self.assertTrue(t.say(base64.b64encode(b"bob@home.example").decode()).startswith("+ "))
        self.assertTrue(t.say(base64.b64encode(PASSWORD.encode()).decode()).startswith("+OK"))

    def test_ipv6(self):
        t = Line(self.server.ports["pop3"], "::1")
        self.addCleanup(t.s.close)
        self.assertTrue(t.say("AUTH PLAIN " + plain("ann@home.example")).startswith("+OK"))
        self.assertTrue(t.say("QUIT").startswith("+OK"))

    def test_plaintext_before_the_handshake_is_dropped(self):
        t = self.line()
        t.raw("STLS\r\nUSER evil\r\n")
        self.assertTrue(t.reply().startswith("+OK"))
        t.buffer = b""
        try:
            t.s = self.server.trust().wrap_socket(t.s)
        except (ssl.SSLError, OSError):
            return
        self.assertTrue(t.say(f"PASS {PASSWORD}").startswith("-ERR"))

    def test_pipelining(self):
        self.fill("fritz", 2)
        t = self.login("fritz")
        t.raw("STAT\r\nUIDL 1\r\nDELE 1\r\nSTAT\r\nNOOP\r\nQUIT\r\n")
        replies = [t.reply() for _ in range(6)]
        self.assertTrue(all(r.startswith("+OK") for r in replies), replies)
        self.assertTrue(replies[3].startswith("+OK 1 "))

    def test_a_locked_maildrop(self):
        first = self.login("gerd")
        t = self.line()
        t.say("USER gerd@home.example")
        reply = t.say(f"PASS {PASSWORD}")
        self.assertTrue(reply.startswith("-ERR [IN-USE]"), reply)
        first.say("QUIT")
        first.s.close()
        until(lambda: self.opens("gerd"), "the maildrop to be free")

    def opens(self, user):
        try:
            self.server.pop3(f"{user}@home.example").quit()
            return True
        except poplib.error_proto:
            return False

    def test_a_client_that_vanishes_deletes_nothing(self):
        self.fill("hans", 1)
        t = self.login("hans")
        self.assertTrue(t.say("DELE 1").startswith("+OK"))
        t.s.close()
        until(lambda: self.opens("hans"), "the maildrop to be free")
        self.assertEqual(len(self.server.mailbox("hans@home.example")), 1)

    def test_utf8_and_lang(self):
        t = self.line()
        t.starttls_pop(self.server.trust())
        self.assertTrue(t.say("UTF8").startswith("+OK"))
        self.assertTrue(t.many("LANG"))
        self.assertTrue(t.say("LANG xx-nosuch").startswith("-ERR"))

    def test_endless_line(self):
        t = self.line()
        try:
            for _ in range(100):
                t.raw(b"x" * 65536)
        except OSError:
            return
        t.raw("\r\n")
        self.assertTrue(t.reply().startswith("-ERR"))

    def test_sending_only_accounts_read_nothing(self):
        self.server.cli("credential", "add", "app1", "--account=ann@home.example", input="app secret word\n")
        t = self.line()
        t.starttls_pop(self.server.trust())
        t.say("USER app1")
        self.assertTrue(t.say("PASS app secret word").startswith("-ERR"))


class Time(Pop):
    """The idle limit cannot be set below the ten minutes of the RFC: access_role_test has it."""
    config = {"limits": {"login_failures": 1000, "pop3_session_time": "4s"}}

    def test_a_session_that_is_cut_deletes_nothing(self):
        self.fill("ann", 2)
        t = self.login("ann")
        self.assertTrue(t.say("DELE 1").startswith("+OK"))
        with self.assertRaises((EOFError, OSError)):
            while True:  # talking does not lengthen it
                self.assertTrue(t.say("NOOP").startswith("+OK"))
        until(lambda: "reason=timeout" in self.server.log_text(), "the cut in the log")
        self.server.mailbox_holds("ann@home.example", 2)

    def test_the_floor_of_the_idle_limit(self):
        file = self.server.folder / "idle.conf"
        for span, good in (("9m", False), ("10m", True)):
            file.write_text(self.server.file.read_text().replace("limits {\n", f'limits {{\n    pop3_idle_time = "{span}"\n'))
            done = self.server.cli("check-config", "-c", file, check=False)
            self.assertEqual(done.returncode == 0, good, done.stderr)
            self.assertEqual("pop3_idle_time" in done.stderr, not good)


class Gate(Pop):
    """Behind a proxy, and who takes too long before the login."""
    config = {"limits": {"login_failures": 3, "ban_time": "1h", "connections_per_address": 3}}
    listen = {"pop3": {"proxy_from": ["127.0.0.1"]}}

    def through(self, ip):
        t = Line(self.server.ports["pop3"], greeting=False)
        self.addCleanup(t.s.close)
        t.raw(f"PROXY TCP4 {ip} 127.0.0.1 4444 110\r\n")
        t.greeting = t.reply()
        return t

    def test_no_password_without_tls_from_outside(self):
        t = self.through("192.0.2.60")
        words = "\n".join(t.many("CAPA"))
        self.assertNotIn("USER", words)
        self.assertNotIn("PLAIN", words)
        self.assertTrue(t.say("USER ann@home.example").startswith("-ERR"))
        self.assertTrue(t.say("AUTH PLAIN " + plain("ann@home.example")).startswith("-ERR"))
        t.starttls_pop(self.server.trust())
        self.assertTrue(t.say("AUTH PLAIN " + plain("ann@home.example")).startswith("+OK"))

    def test_connections_of_an_address(self):
        held = [self.through("192.0.2.61") for _ in range(3)]
        self.assertTrue(all(t.greeting.startswith("+OK") for t in held))
        self.assertTrue(self.through("192.0.2.61").greeting.startswith("-ERR"))
        self.assertTrue(self.through("192.0.2.62").greeting.startswith("+OK"))

    def test_after_failures_the_address_is_banned(self):
        for _ in range(3):
            t = self.through("192.0.2.63")
            t.starttls_pop(self.server.trust())
            self.assertTrue(t.say("AUTH PLAIN " + plain("bob@home.example", "wrong")).startswith("-ERR [AUTH]"))
            t.s.close()
        self.assertTrue(self.through("192.0.2.63").greeting.startswith("-ERR"))
        self.assertTrue(self.through("192.0.2.64").greeting.startswith("+OK"))

    def test_who_takes_too_long_is_cut(self):
        """A proxy that says nothing (10 s), a client that never logs in (60 s); one that has logged in stays."""
        inside = self.through("192.0.2.65")
        inside.starttls_pop(self.server.trust())
        self.assertTrue(inside.say("AUTH PLAIN " + plain("carl@home.example")).startswith("+OK"))
        silent = Line(self.server.ports["pop3"], greeting=False)
        self.addCleanup(silent.s.close)
        idle = self.through("192.0.2.66")
        secure = Line(self.server.ports["pop3s"], greeting=False)  # never begins its handshake
        self.addCleanup(secure.s.close)
        for t in (silent, secure, idle):
            t.s.settimeout(120)
            self.assertTrue(t.closed())
        self.assertTrue(inside.say("NOOP").startswith("+OK"))
