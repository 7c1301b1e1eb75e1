"""Submission: completing a message, logging in, TLS, and real clients: smtplib, swaks, msmtp, curl."""
import smtplib
import ssl
import subprocess

import scram
from harness import PASSWORD, in_parallel, letter, make_certificate, run
from mailcase import Mail, b64, plain
from mitm import Mitm
from talk import Talk


class Submission(Mail):
    def submit(self, data, **more):
        t = self.talk("submission", helo="EHLO [192.168.7.7]")
        self.assertEqual(t.code("AUTH PLAIN " + plain("ann@home.example")), 235)
        code, text = self.deliver(t, data, sender="ann@home.example", **more)
        self.assertEqual(code, 250, text)

    def test_completes_a_message(self):
        self.submit("Subject: bare-1\r\nX: 1\r\n\r\nx\r\n")
        got = self.in_mailbox("bob@home.example", "bare-1")
        for field in ("\nDate: ", "\nMessage-I", "\nFrom: "):
            self.assertIn(field, got)
        self.assertIn("ann@home.example", got.split("\nFrom: ")[1].split("\n")[0])

    def test_removes_bcc_and_nothing_else(self):
        self.submit(letter("ann@home.example", "bob@home.example", "bcc-1", more="Bcc: <secret@home.example>,\r\n <other@home.example>\r\nX-Keep: yes\r\n"))
        got = self.in_mailbox("bob@home.example", "bcc-1")
        self.assertNotIn("secret@", got)
        self.assertNotIn("other@home.example", got)
        self.assertIn("X-Keep: yes", got)

    def test_hides_the_clients_name_and_address(self):
        self.submit(letter("ann@home.example", "bob@home.example", "trace-2"))
        self.assertNotIn("192.168.7.7", self.in_mailbox("bob@home.example", "trace-2"))

    def test_a_complete_message_stays_as_it_is(self):
        body = letter("ann@home.example", "bob@home.example", "whole-1", more="Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <mine@home.example>\r\n")
        self.submit(body)
        got = self.in_mailbox("bob@home.example", "whole-1")
        self.assertEqual(got.count("\nDate:"), 1)
        self.assertIn("Message-ID: <mine@home.example>", got)
        self.assertTrue(got.replace("\n", "\r\n").endswith(body), got)

    def test_mx_does_not_complete(self):
        t = self.talk()
        self.deliver(t, "Subject: raw-1\r\n\r\nx\r\n")
        got = self.in_mailbox("bob@home.example", "raw-1").split("\n\n")[0]
        self.assertNotIn("\nDate:", got)

    def test_unknown_local_recipient(self):
        t = self.talk("submission")
        t.code("AUTH PLAIN " + plain("ann@home.example"))
        t.code("MAIL FROM:<ann@home.example>")
        code, text = t.say("RCPT TO:<nobody@home.example>")
        self.assertEqual((code, text[:5]), (550, "5.1.1"))


class Auth(Mail):
    config = {"relay_networks": [], "limits": {"login_failures": 1000}}

    def test_plain_with_and_without_initial_response(self):
        t = self.talk("submission")
        self.assertEqual(t.code("AUTH PLAIN " + plain("ann@home.example")), 235)
        self.assertEqual(t.code("AUTH PLAIN " + plain("ann@home.example")), 503)
        t = self.talk("submission")
        self.assertEqual(t.code("AUTH PLAIN"), 334)
        self.assertEqual(t.code(plain("ann@home.example")), 235)

    def test_login(self):
        t = self.talk("submission")
        self.assertEqual(t.lines("AUTH LOGIN", b64("ann@home.example"), b64(PASSWORD)), [334, 334, 235])

    def test_login_with_initial_response(self):
        """The password that follows was taken for the name, refused, and logged."""
        t = self.talk("submission")
        self.assertEqual(t.say("AUTH LOGIN " + b64("ann@home.example")), (334, b64("Password")))
        self.assertEqual(t.code(b64(PASSWORD)), 235)
        self.assertNotIn(PASSWORD, self.server.log_text())

    def test_scram_sha_256(self):
        t = self.talk("submission")
        self.assertEqual(scram.converse(t, "SCRAM-SHA-256", scram.Scram("ann@home.example", PASSWORD))[0], 235)
        t = self.talk("submission")
        self.assertEqual(scram.converse(t, "SCRAM-SHA-256", scram.Scram("ann@home.example", "wrong"))[0], 535)

    def test_scram_sha_256_plus(self):
        context = self.server.trust()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        t = self.talk("submission")
        t.starttls(context)
        self.assertIn("SCRAM-SHA-256-PLUS", t.say("EHLO c.example")[1])
        binding = t.s.get_channel_binding("tls-unique")
        self.assertEqual(scram.converse(t, "SCRAM-SHA-256-PLUS", scram.Scram("ann@home.example", PASSWORD, binding))[0], 235)

    def test_scram_plus_refuses_a_wrong_binding(self):
        context = self.server.trust()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        t = self.talk("submission")
        t.starttls(context)
        t.code("EHLO c.example")
        self.assertEqual(scram.converse(t, "SCRAM-SHA-256-PLUS", scram.Scram("ann@home.example", PASSWORD, b"0123456789ab"))[0], 535)

    def gsasl(self, port, password=PASSWORD):
        """GNU SASL's own client; built on GnuTLS, it binds with tls-exporter (RFC 9266) where TLS 1.3 is spoken."""
        return run("gsasl", "--smtp", "--starttls", f"--connect=127.0.0.1:{port}", "--hostname=mail.home.example", "--mechanism=SCRAM-SHA-256-PLUS",
                   "--authentication-id=ann@home.example", f"--password={password}", f"--x509-ca-file={self.server.chain}",
                   "--priority=NORMAL:-VERS-ALL:+VERS-TLS1.3", check=False, input="")

    def test_scram_plus_over_tls_1_3(self):
        done = self.gsasl(self.server.ports["submission"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("\n235 ", done.stdout)
        done = self.gsasl(self.server.ports["submission"], password="wrong")
        self.assertIn("\n535 ", done.stdout)

    def test_scram_plus_over_tls_1_3_sees_a_man_in_the_middle(self):
        """The password is right, the certificate is trusted, every byte is passed on: only the binding is not the same."""
        middle = Mitm(self.server.ports["submission"], self.server.chain, self.server.key)
        self.addCleanup(middle.close)
        done = self.gsasl(middle.port)
        self.assertIn("\n535 ", done.stdout)
        self.assertNotIn("\n235 ", done.stdout)
        self.assertIn(b"AUTH SCRAM-SHA-256-PLUS", b"".join(middle.passed))

    def test_wrong_passwords_and_users_look_alike(self):
        t = self.talk("submission")
        wrong = t.say("AUTH PLAIN " + plain("ann@home.example", "no"))
        t = self.talk("submission")
        self.assertEqual(wrong, t.say("AUTH PLAIN " + plain("nobody@home.example", "no")))
        self.assertEqual(wrong[0], 535)

    def test_nonsense(self):
        t = self.talk("submission")
        self.assertEqual(t.code("AUTH"), 501)
        self.assertEqual(t.code("AUTH NOSUCH"), 504)
        self.assertEqual(t.code("AUTH PLAIN !!!"), 501)
        self.assertEqual(t.lines("AUTH LOGIN", "*"), [334, 501])
        self.assertIn(t.code("AUTH PLAIN " + b64("no zeros")), (501, 535))
        self.assertEqual(t.lines("AUTH PLAIN", "!!!"), [334, 501])
        self.assertEqual(t.code("NOOP"), 250)

    def test_not_within_a_transaction(self):
        t = self.talk("submission")
        t.code("AUTH PLAIN " + plain("ann@home.example"))
        t.code("MAIL FROM:<ann@home.example>")
        self.assertEqual(t.code("AUTH PLAIN " + plain("ann@home.example")), 503)

    def test_the_received_field_says_esmtpsa(self):
        with self.server.smtp("submission", login="ann@home.example") as c:
            c.sendmail("ann@home.example", "bob@home.example", letter("ann@home.example", "bob@home.example", "esmtpsa-1"))
        got = self.in_mailbox("bob@home.example", "esmtpsa-1").replace("\n\t", " ")
        self.assertRegex(got, r"with ESMTPSA (\([^)]*\) )?id ")
        self.assertRegex(got, r"TLSv1.3 TLS_\w+")


class Ban(Mail):
    config = {"relay_networks": [], "limits": {"login_failures": 3, "ban_time": "1h"}}
    listen = {"submission": {"proxy_from": ["127.0.0.1"]}}

    def login(self, ip, password):
        t = Talk(self.server.ports["submission"], greeting=False)
        self.addCleanup(t.s.close)
        t.raw(f"PROXY TCP4 {ip} 127.0.0.1 4444 587\r\n")
        code = t.reply()[0]
        if code != 220:
            return code
        t.code("EHLO c.example")
        t.starttls(self.server.trust())
        t.code("EHLO c.example")
        return t.code("AUTH PLAIN " + plain("ann@home.example", password))

    def test_after_failures_the_address_is_banned(self):
        codes = [self.login("192.0.2.7", "no") for _ in range(5)]
        self.assertEqual(codes[:3], [535] * 3)
        self.assertNotIn(self.login("192.0.2.7", PASSWORD), (235,))
        self.assertEqual(self.login("192.0.2.8", PASSWORD), 235)


class Webmail(Mail):
    """Many people behind one address: this machine."""
    config = {"limits": {"login_failures": 2, "ban_time": "1h"}}

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.server.account("kim@home.example")

    def login(self, user, password):
        t = self.talk("submission")
        code = t.code("AUTH PLAIN " + plain(user, password))
        t.s.close()
        return code

    def test_one_user_does_not_shut_out_the_others(self):
        """A login has five times as many tries as an address, then it is refused, also with the right password."""
        in_parallel([lambda: self.login("bob@home.example", "wrong") for _ in range(10)], 10)
        self.assertNotEqual(self.login("bob@home.example", PASSWORD), 235)
        self.assertEqual(self.login("ann@home.example", PASSWORD), 235)
        self.server.pop3("ann@home.example").quit()

    def test_another_spelling_is_no_other_login(self):
        spelled = [f"{k}{i}{m}@{h}ome.example" for k in "kK" for i in "iI" for m in "mM" for h in "hH"][:10]
        in_parallel([lambda u=u: self.login(u, "wrong") for u in spelled], 10)
        self.assertNotEqual(self.login("kim@home.example", PASSWORD), 235)


class Tls(Mail):
    @classmethod
    def before_start(cls):
        for name, host in (("second", "second.example"), ("wild", "*.wild.example")):
            cls.server.certificates[name] = make_certificate(cls.server.folder, name, [host])
        cls.server.write_config()
        cls.server.own()

    def peer_certificate(self, name, listener="mx"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        t = self.talk(listener)
        t.starttls(context, name)
        return t.s.getpeercert(True)

    def test_the_name_chooses_the_certificate(self):
        for name, file in ((None, "main"), ("mail.home.example", "main"), ("second.example", "second"), ("x.wild.example", "wild"), ("unknown.example", "main")):
            with self.subTest(name):
                want = ssl.PEM_cert_to_DER_cert((self.server.folder / f"{file}.pem").read_text())
                self.assertEqual(self.peer_certificate(name), want)

    def test_versions(self):
        for version, works in ((ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
            with self.subTest(version.name):
                context = self.server.trust()
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.minimum_version = context.maximum_version = version
                t = self.talk()
                if works:
                    t.starttls(context)
                    self.assertEqual(t.code("EHLO c.example"), 250)
                else:
                    with self.assertRaises((ssl.SSLError, OSError)):
                        t.starttls(context)

    def test_sessions_are_resumed(self):
        context = self.server.trust()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        t = self.talk()
        t.starttls(context)
        t.code("NOOP")
        session = t.s.session
        t = self.talk()
        t.say("STARTTLS")
        s = context.wrap_socket(t.s, session=session)
        self.assertTrue(s.session_reused)

    def test_plaintext_before_the_handshake_is_dropped(self):
        t = self.talk()
        t.raw("STARTTLS\r\nMAIL FROM:<evil@b.example>\r\n")
        self.assertEqual(t.reply()[0], 220)
        t.buffer = b""
        try:
            t.s = self.server.trust().wrap_socket(t.s)
        except (ssl.SSLError, OSError):
            return  # refusing altogether is right as well
        self.assertEqual(t.code("EHLO c.example"), 250)
        self.assertEqual(t.code("RCPT TO:<bob@home.example>"), 503)

    def test_starttls_forgets_the_session(self):
        t = self.talk()
        t.code("MAIL FROM:<a@b.example>")
        self.assertEqual(t.code("STARTTLS"), 503)
        t.code("RSET")
        t.starttls(self.server.trust())
        self.assertEqual(t.code("MAIL FROM:<a@b.example>"), 503)
        self.assertNotIn("STARTTLS", t.say("EHLO c.example")[1])
        self.assertIn(t.code("STARTTLS"), (502, 503))

    def test_a_failed_handshake_costs_only_its_connection(self):
        t = self.talk()
        t.say("STARTTLS")
        t.raw(b"this is no handshake" * 10)
        self.assertTrue(t.closed())
        self.assertEqual(self.talk().code("NOOP"), 250)

    def test_implicit_tls(self):
        with self.server.smtp("submissions", login="ann@home.example") as c:
            c.sendmail("ann@home.example", "bob@home.example", letter("ann@home.example", "bob@home.example", "implicit-1"))
        self.in_mailbox("bob@home.example", "implicit-1")


class Clients(Mail):
    def test_smtplib(self):
        with self.server.smtp("submission", login="ann@home.example") as c:
            refused = c.sendmail("ann@home.example", ["bob@home.example", "nobody@home.example"], letter("ann@home.example", "bob@home.example", "smtplib-1"))
        self.assertEqual(list(refused), ["nobody@home.example"])
        self.in_mailbox("bob@home.example", "smtplib-1")

    def test_swaks(self):
        run("swaks", "--server", "127.0.0.1", "--port", self.server.ports["submission"], "--tls", "--auth", "LOGIN", "--auth-user", "ann@home.example",
            "--auth-password", PASSWORD, "--from", "ann@home.example", "--to", "bob@home.example", "--h-Subject", "swaks-1")
        self.in_mailbox("bob@home.example", "swaks-1")

    def test_swaks_pipelining_and_implicit_tls(self):
        run("swaks", "--server", "127.0.0.1", "--port", self.server.ports["submissions"], "--tlsc", "--pipeline", "--auth", "PLAIN", "--auth-user", "ann@home.example",
            "--auth-password", PASSWORD, "--from", "ann@home.example", "--to", "bob@home.example", "--h-Subject", "swaks-2")
        self.in_mailbox("bob@home.example", "swaks-2")

    def test_swaks_unknown_recipient(self):
        done = run("swaks", "--server", "127.0.0.1", "--port", self.server.ports["mx"], "--to", "nobody@home.example", "--quit-after", "RCPT", check=False)
        self.assertEqual(done.returncode, 24, done.stdout)

    def msmtp(self, method, subject):
        done = subprocess.run(
            ["msmtp", "--host=127.0.0.1", f"--port={self.server.ports['submission']}", "--tls=on", "--tls-starttls=on", f"--tls-trust-file={self.server.chain}",
             f"--auth={method}", "--user=ann@home.example", f"--passwordeval=echo '{PASSWORD}'", "--from=ann@home.example", "--protocol=smtp", "bob@home.example"],
            input=letter("ann@home.example", "bob@home.example", subject).replace("\r\n", "\n"), text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.in_mailbox("bob@home.example", subject)

    def test_msmtp_plain(self):
        self.msmtp("plain", "msmtp-1")

    def test_msmtp_scram(self):
        self.msmtp("scram-sha-256", "msmtp-2")

    def test_curl(self):
        done = subprocess.run(
            ["curl", "-sS", "--ssl-reqd", "--cacert", self.server.chain, f"smtp://127.0.0.1:{self.server.ports['submission']}/client.example", "--user",
             f"ann@home.example:{PASSWORD}", "--mail-from", "ann@home.example", "--mail-rcpt", "bob@home.example", "--upload-file", "-"],
            input=letter("ann@home.example", "bob@home.example", "curl-1"), text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.in_mailbox("bob@home.example", "curl-1")

    def test_big_message(self):
        body = ("0123456789" * 7 + "\r\n") * 300000
        with self.server.smtp("submission", login="ann@home.example") as c:
            c.sendmail("ann@home.example", ["bob@home.example"], letter("ann@home.example", "bob@home.example", "big-1", body))
        got = self.in_mailbox("bob@home.example", "big-1")
        self.assertTrue(got.replace("\n", "\r\n").endswith(body))

    def test_eight_bit(self):
        with self.server.smtp() as c:
            c.sendmail("a@b.example", ["bob@home.example"], "Subject: eight-1\r\n\r\nGrüße\r\n".encode(), mail_options=["BODY=8BITMIME"])
        self.assertIn("Grüße", self.in_mailbox("bob@home.example", "eight-1"))

    def test_smtplib_errors(self):
        with self.server.smtp() as c, self.assertRaises(smtplib.SMTPRecipientsRefused):
            c.sendmail("a@b.example", ["x@elsewhere.example"], letter())
