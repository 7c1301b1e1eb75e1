"""Import from and export to places that belong to users, by root: links there lead to nothing the user may not read or write."""
import os
import socket
import subprocess
import threading
import unittest

from harness import letter
from test_migrate import Migration

USER = 65533


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class OthersPlaces(Migration):
    def place(self, name, owner=USER):
        path = self.server.folder / f"{self.id().rsplit('.', 1)[1]}-{name}"
        path.mkdir(mode=0o755)
        os.chown(path, owner, owner)
        return path

    def put(self, path, text, owner=USER):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.chown(path, owner, owner)
        return path

    def as_root(self, *words, code):
        argv = self.server.command("mailbox", *words)
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, env=self.server.env(), timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_a_maildir_with_links(self):
        secret = self.place("secret", 0)
        self.put(secret / "cur" / "1600000001.M1.host:2,S", letter(subject="secret"), 0)
        m = self.place("maildir")
        self.put(m / "cur" / "1600000000.M1.host:2,S", letter(subject="own"))
        (m / ".Work").symlink_to(secret)
        self.assertIn("belongs to another user", self.as_root("import", "ann@home.example", "maildir", m, code=65))
        self.assertEqual(len(self.messages("ann")), 1)
        self.assertEqual(self.messages("ann", "Work"), [])
        self.as_root("import", "bob@home.example", "maildir", secret, code=0)
        self.assertEqual(len(self.messages("bob")), 1)

    def test_mailbox_files_with_links(self):
        text = "From a@b.example Sat Jan  3 01:05:34 1996\n" + letter(subject="x").replace("\r\n", "\n") + "\n"
        secret = self.put(self.place("secret", 0) / "spool", text, 0)
        place = self.place("files")
        self.put(place / "A.mbox", text)
        (place / "B.mbox").symlink_to(secret)
        self.assertIn("belongs to another user", self.as_root("import", "carl@home.example", "mbox", place, code=65))
        self.assertEqual(len(self.messages("carl", "A")), 1)
        self.assertEqual(self.messages("carl", "B"), [])
        self.as_root("import", "carl@home.example", "mbox", secret, code=0)
        self.assertEqual(len(self.messages("carl")), 1)

    def test_no_waiting_for_pipes_and_no_walking_in_circles(self):
        m = self.place("maildir")
        self.put(m / "cur" / "1600000000.M1.host:2,S", letter(subject="own"))
        for name in ("subscriptions", "dovecot-keywords", "cur/1600000001.M2.host:2,S"):
            os.mkfifo(m / name)
        self.assertIn("it is no file", self.as_root("import", "emil@home.example", "maildir", m, code=65))
        self.assertEqual(len(self.messages("emil")), 1)
        files = self.place("files")
        self.put(files / "A.mbox", "From a@b.example Sat Jan  3 01:05:34 1996\n" + letter(subject="x").replace("\r\n", "\n") + "\n")
        os.mkfifo(files / ".subscriptions")
        for name in "bcdefg":
            (files / name).symlink_to(files)
        self.as_root("import", "emil@home.example", "mbox", files, code=0)
        self.assertEqual(len(self.messages("emil", "A")), 1)
        for kind, pipes in (("maildir", ("dovecot-keywords",)), ("mbox", ("INBOX.mbox", "A.mbox.state"))):
            place = self.place(f"{kind}-out")
            for name in pipes:
                os.mkfifo(place / name)
            self.as_root("export", "emil@home.example", kind, place, code=0 if kind == "maildir" else 65)

    def test_what_a_server_says_moves_no_cursor(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            s, _ = listener.accept()
            with s, s.makefile("rwb") as f:
                f.write(b"* OK ready\r\n")
                f.flush()
                for line in f:
                    f.write(line.split()[0] + b" NO \x1b]2;owned\x07 go away\r\n")
                    f.flush()

        threading.Thread(target=serve, daemon=True).start()
        secret = self.put(self.server.folder / "other-password", "x\n", 0)
        told = self.as_root("import", "emil@home.example", "imap", f"imap://x@127.0.0.1:{listener.getsockname()[1]}", "--tls=none",
                            f"--password-file={secret}", code=77)
        self.assertIn("go away", told)
        self.assertNotIn("\x1b", told)

    def test_export_through_no_link(self):
        with self.server.imap("dora@home.example") as c:
            for name in ("Work", "n" * 300, "Work/more"):
                c.create(name)
                c.append(name, "(word)", None, letter().encode())
            c.append("INBOX", None, None, letter().encode())
        victim = self.put(self.place("victim", 0) / "file", "untouched", 0)
        for kind, links in (("mbox", (".subscriptions", "INBOX.mbox.state.new")), ("maildir", ("subscriptions.new",))):
            place = self.place(kind)
            for name in links:
                (place / name).symlink_to(victim)
            (place / ("Work" if kind == "mbox" else ".Work")).symlink_to(victim.parent)
            told = self.as_root("export", "dora@home.example", kind, place, code=65)
            self.assertIn("n" * 300, told)
            self.assertEqual(victim.read_text(), "untouched")
            self.assertEqual([p.name for p in victim.parent.iterdir()], ["file"])
            if kind == "mbox":
                self.assertEqual((place / "INBOX.mbox").read_text().count("From "), 1)
            else:
                self.assertEqual(len(list((place / "cur").iterdir())), 1)


del Migration
