"""`staffetta sendmail` as cron, PHP and mail(1) use /usr/sbin/sendmail."""
import os
import subprocess
import unittest

import debs
from harness import may_mount, stage, until
from mailcase import Mail
from talk import Talk


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


class Programs(Mail):
    """Real programs that hand their mail to /usr/sbin/sendmail."""
    as_root = os.geteuid() == 0  # as on a machine; the programs themselves run as nobody
    config = {}

    def setUp(self):
        self.sendmail = self.server.folder / "sendmail"
        if not self.sendmail.exists():
            os.symlink(stage() / "staffetta", self.sendmail)

    def unpacked(self, *packages):
        folder = self.server.folder / "programs"
        folder.mkdir(mode=0o755, exist_ok=True)
        try:
            return debs.unpack(folder, *packages)
        except RuntimeError as e:
            raise unittest.SkipTest(str(e))

    def program(self, *argv, input="", **environ):
        """Runs it as nobody who has nothing but the server's configuration."""
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.run([str(a) for a in argv], input=input, capture_output=True, text=True, timeout=60, cwd="/", env={**self.server.env(), **environ}, **user)

    def mailx(self, *argv, input="Hello.\n"):
        root = self.unpacked("bsd-mailx", "liblockfile1")
        (self.server.folder / "mailrc").write_text(f"set sendmail={self.sendmail}\n")
        return self.program(root / "usr/bin/bsd-mailx", *argv, input=input, MAILRC=str(self.server.folder / "mailrc"),
                            LD_LIBRARY_PATH=str(next(root.glob("usr/lib/*-linux-gnu"))))

    def test_mail(self):
        done = self.mailx("-s", "mailx-1", "bob@home.example", input="Hello.\n.hidden\nend\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        got = self.in_mailbox("bob@home.example", "mailx-1")
        self.assertIn("Hello.\n.hidden\nend\n", got)
        self.assertTrue(got.startswith("Return-Path: <nobody@mail.home.example>"), got[:80])

    def test_mail_with_copies_and_a_sender(self):
        done = self.mailx("-s", "mailx-2", "-c", "ann@home.example", "-b", "sales@home.example", "-a", "X-Mark: 7", "-r", "ann@home.example", "bob@home.example")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        got = self.in_mailbox("ann@home.example", "mailx-2")
        self.assertIn("\nX-Mark: 7\n", got)
        self.assertNotIn("sales@", got.split("\n\n")[0].split("\nFrom:")[1])
        self.assertTrue(got.startswith("Return-Path: <ann@home.example>"), got[:80])
        self.in_mailbox("bob@home.example", "mailx-2")

    def test_mail_says_what_went_wrong(self):
        done = self.mailx("-s", "mailx-3", "nosuch@home.example")
        self.assertIn("nosuch@home.example", done.stdout + done.stderr)

    def php(self, code, *options):
        return self.program("php", "-n", "-d", f"sendmail_path={self.sendmail} -t -i", *options, "-r", code)

    def test_php(self):
        done = self.php('var_dump(mail("bob@home.example", "php-1", "Hello.\\n.\\nend\\n", "From: ann@home.example\\r\\nBcc: ann@home.example", "-fann@home.example"));')
        self.assertEqual((done.stdout, done.stderr), ("bool(true)\n", ""))
        got = self.in_mailbox("bob@home.example", "php-1")
        self.assertIn("Hello.\n.\nend\n", got)
        self.assertNotIn("Bcc", got)
        self.assertTrue(got.startswith("Return-Path: <ann@home.example>"), got[:80])
        self.in_mailbox("ann@home.example", "php-1")

    def test_php_is_told_of_a_failure(self):
        self.assertEqual(self.php('var_dump(@mail("nosuch@home.example", "php-2", "x"));').stdout, "bool(false)\n")

    def test_the_call_of_cron(self):
        done = self.program(self.sendmail, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "bob@home.example",
                            input="From: root (Cron Daemon)\nTo: bob@home.example\nSubject: cron-1\nMIME-Version: 1.0\n\nout\n.\nput\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("out\n.\nput\n", self.in_mailbox("bob@home.example", "cron-1"))

    @unittest.skipUnless(may_mount(), "needs root with mount namespaces")
    def test_cron(self):
        """Debian's cron in a mount namespace of its own: its tables, /run and /usr/sbin/sendmail are ours there, nothing else sees them."""
        root = self.unpacked("cron")
        tables, wrapper = self.server.folder / "crontabs", self.server.folder / "wrapper"
        tables.mkdir()
        (tables / "root").write_text("MAILTO=bob@home.example\n@reboot echo cron-2 says hello\n")
        os.chmod(tables / "root", 0o600)
        keep = " ".join(f"{k}='{self.server.env()[k]}'" for k in ("STAFFETTA_CONFIG", "STAFFETTA_LIBEXEC", "ASAN_OPTIONS"))
        wrapper.write_text(f'#!/bin/sh\nexec env {keep} "{self.sendmail}" "$@"\n')
        os.chmod(wrapper, 0o755)
        script = ('for d in /run /var/spool /usr/sbin /etc/cron.d; do [ ! -d $d ] || mount -t tmpfs none $d || exit 1; done; '
                  '[ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab || exit 1; '
                  'mkdir -p /var/spool/cron/crontabs && cp -p "$1/root" /var/spool/cron/crontabs/root && cp "$2" /usr/sbin/sendmail && exec "$3" -f')
        cron = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", tables, wrapper, root / "usr/sbin/cron"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.assertIn("cron-2 says hello", self.in_mailbox("bob@home.example", "cron-2 says"))
        finally:
            cron.terminate()
            cron.wait()
