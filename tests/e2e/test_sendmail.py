"""`staffetta sendmail` as cron, PHP and mail(1) use /usr/sbin/sendmail."""
import os

from harness import Talk, until
from mailcase import Mail


class Sendmail(Mail):
    config = {}

    def sendmail(self, *args, text="Subject: sm\n\nHello.\n", **more):
        return self.server.cli("sendmail", *args, input=text, check=False, **more)

    def sends(self, mark, *args, text=None, user="bob@home.example"):
        done = self.sendmail(*args, text=text or f"To: bob@home.example\nSubject: {mark}\n\nHello.\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.in_mailbox(user, mark)

    def test_recipients_as_arguments(self):
        self.assertIn("Hello.", self.sends("sm-01", "bob@home.example"))

    def test_t_takes_them_from_the_header_and_drops_bcc(self):
        text = "To: bob@home.example,\n ann@home.example\nBcc: ann@home.example\nSubject: sm-02\n\nHello.\n"
        self.assertNotIn("Bcc", self.sends("sm-02", "-t", text=text))
        self.in_mailbox("ann@home.example", "sm-02")

    def test_f_and_capital_f(self):
        got = self.sends("sm-03", "-f", "ann@home.example", "-F", "Ann Example", "bob@home.example", text="Subject: sm-03\n\nx\n")
        self.assertTrue(got.startswith("Return-Path: <ann@home.example>"))
        self.assertIn("Ann Example", got.split("\nFrom: ")[1].split("\n")[0])
        self.assertIn("sm-04", self.sends("sm-04", "-fann@home.example", "bob@home.example"))

    def test_i_and_dots(self):
        self.assertIn("\n.\nafter\n", self.sends("sm-05", "-i", "bob@home.example", text="Subject: sm-05\n\nbefore\n.\nafter\n"))
        self.assertNotIn("after", self.sends("sm-06", "bob@home.example", text="Subject: sm-06\n\nbefore\n.\nafter\n"))
        self.assertIn("after", self.sends("sm-07", "-oi", "bob@home.example", text="Subject: sm-07\n\nbefore\n.\nafter\n"))

    def test_crlf_and_missing_last_newline(self):
        self.assertTrue(self.sends("sm-08", "-i", "bob@home.example", text="Subject: sm-08\r\n\r\nline\r\nlast").endswith("\n\nline\nlast\n"))

    def test_options_programs_use(self):
        self.sends("sm-09", "-oem", "-oi", "-odb", "-t")
        self.sends("sm-10", "-i", "-t", "-f", "ann@home.example")
        self.sends("sm-11", "-G", "-i", "-B8BITMIME", "--", "bob@home.example")

    def test_unqualified_users_get_the_host_name(self):
        done = self.sendmail("nosuchuser")
        self.assertIn(done.returncode, (0, 67, 69), done.stderr)

    def test_exit_codes(self):
        self.assertEqual(self.sendmail("--nosuchoption").returncode, 64)
        self.assertEqual(self.sendmail().returncode, 64)
        self.assertEqual(self.sendmail("nobody@home.example").returncode, 67)
        self.assertIn(self.sendmail("-t", text="Subject: none\n\nx\n").returncode, (64, 65, 67))
        self.assertIn(self.sendmail("not an address@home.example").returncode, (64, 65, 67))

    def test_bs(self):
        done = self.server.cli("sendmail", "-bs", input="EHLO local\r\nMAIL FROM:<ann@home.example>\r\nRCPT TO:<bob@home.example>\r\nDATA\r\nSubject: sm-bs\r\n\r\nx\r\n.\r\nQUIT\r\n")
        codes = [line[:3] for line in done.stdout.splitlines() if line[3:4] != "-"]
        self.assertEqual(codes, ["220", "250", "250", "250", "354", "250", "221"])
        self.in_mailbox("bob@home.example", "sm-bs")

    def test_as_its_name(self):
        link = self.server.folder / "sendmail"
        if not link.exists():
            os.symlink(self.server.command()[0], link)
        import subprocess
        done = subprocess.run([link, "-t"], input="To: bob@home.example\nSubject: sm-12\n\nx\n", text=True, capture_output=True, env=self.server.env(),
                              timeout=60, **self.server.identity())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.in_mailbox("bob@home.example", "sm-12")

    def test_durable_before_it_returns(self):
        self.server.cli("account", "add", "durable@home.example", input="some password here\n")
        for i in range(3):
            self.assertEqual(self.sendmail("durable@home.example", text=f"Subject: durable-{i}\n\nx\n").returncode, 0)
            self.server.kill_tree()
            self.server.start()
        until(lambda: len(self.server.mailbox("durable@home.example", "some password here")) == 3, "all three")

    def test_server_down(self):
        self.server.stop()
        try:
            done = self.sendmail("bob@home.example")
            self.assertIn(done.returncode, (69, 75))
            self.assertTrue(done.stderr.strip())
        finally:
            self.server.start()

    def test_eight_bit_and_big(self):
        got = self.sends("sm-13", "-i", "bob@home.example", text="Subject: sm-13\n\n" + "Grüße aus Köln\n" * 20000)
        self.assertEqual(got.count("Grüße aus Köln"), 20000)

    def test_the_local_socket_is_smtp(self):
        self.assertTrue((self.server.run_folder / "smtp.sock").is_socket())
        self.assertEqual(Talk(self.server.ports["mx"]).greeting[0], 220)
