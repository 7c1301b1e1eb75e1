"""neomutt and mutt driven in a terminal: open, read, flag, copy, delete, search on the server, new mail while idle, quit; and once
more with the header cache, where neomutt asks with CONDSTORE and QRESYNC only for what changed."""
import re

from harness import PASSWORD, letter
from imap_clients import Clients, message
from terminal import Terminal


class Mutt(Clients):
    users = ("neo", "plain", "cached")

    def configure(self, user, secure, more=""):
        """Certificates are those of this server, everything is asked without a question."""
        scheme, port = ("imaps", self.server.ports["imaps"]) if secure else ("imap", self.server.ports["imap"])
        file = self.folder / "rc"
        (self.folder / "cache").mkdir()
        file.write_text(f"""
set folder = "{scheme}://127.0.0.1:{port}/"
set spoolfile = "+INBOX"
set imap_user = "{user}@home.example"
set imap_pass = "{PASSWORD}"
set imap_idle = yes
set mail_check = 1
set timeout = 1
set certificate_file = "{self.server.chain}"
set ssl_starttls = yes
set ssl_force_tls = yes
set sort = mailbox-order
set index_format = "%C %Z %s"
set record = ""
set move = no
set delete = yes
set quit = yes
set mark_old = no
set confirmappend = no
set confirmcreate = no
set wait_key = no
set markers = no
set pager_index_lines = 0
{more}
""")
        return file

    def open(self, *argv):
        t = Terminal([*argv], HOME=str(self.folder), MAIL="/nonexistent")
        self.addCleanup(t.close)
        return t

    def go(self, t, number):
        """The cursor to message N of the index."""
        t.type(str(number), "Jump to message: ")
        t.type("\r")

    def line_of(self, t, mark):
        return next(l for l in t.text().splitlines() if re.search(rf"\b{mark}\b", l))

    def walk(self, t, user):
        """What somebody does of a morning."""
        t.expect(r"\b12 +N? *\w? *n-12\b|n-12")
        t.type("\r", "This is n-1\\.")
        t.type("i", r"n-12")
        self.go(t, 3)
        t.type("F", r"! +n-3\b|!.* n-3\b")
        self.go(t, 5)
        t.type("C", "Copy to mailbox")
        t.type("\x15=Archive\r", "n-5")
        self.go(t, 7)
        t.type("d", r"D.* n-7\b")
        t.type("$", r"n-8")
        t.expect(r"(?s)n-6\b(?!.*n-7\b).*n-8")
        # On the server: =b is a SEARCH BODY, the rest a limit of what is shown.
        t.type("l", "Limit to messages matching: ")
        t.type("=b needle\r", r"n-9")
        t.expect(r"(?s)^(?!.*n-8\b).*n-9")
        t.type("l", "Limit to messages matching: ")
        t.type("\x15~A\r", r"n-12")
        t.type("/", "Search for: ")
        t.type("~s n-10\r")
        t.type("\r", r"This is n-10\.")
        t.type("i", "n-12")
        # Delivered while it shows the index.
        self.server.send("x@far.example", f"{user}@home.example", letter(subject="fresh"))
        t.expect(r"\bfresh\b")
        t.type("q")
        self.assertEqual(t.wait(), (0,), t.text())

    def check(self, user):
        flags = self.flags_of(user=user)
        self.assertEqual(sorted(flags), sorted(["fresh", *(f"n-{i}" for i in range(1, 13) if i != 7)]))
        self.assertEqual(flags["n-3"], frozenset({r"\Flagged"}))
        for mark in ("n-1", "n-10"):
            self.assertIn(r"\Seen", flags[mark])
        self.assertEqual(flags["n-2"], frozenset())
        self.assertEqual(self.subjects("Archive", user), ["n-5"])

    def fill(self, user):
        with self.line(user) as t:
            t.append("INBOX", [message(f"n-{i}") if i != 9 else message("n-9", more="X-Note: hay\r\n").replace(b"Some more", b"needle").replace(b"This is", b"This is the needle,") for i in range(1, 13)])

    def test_neomutt(self):
        self.fill("neo")
        self.walk(self.open("neomutt", "-n", "-F", self.configure("neo", True)), "neo")
        self.check("neo")

    def test_mutt(self):
        self.fill("plain")
        self.walk(self.open("mutt", "-n", "-F", self.configure("plain", False)), "plain")
        self.check("plain")

    def test_neomutt_asks_with_qresync_for_what_changed(self):
        self.fill("cached")
        rc = self.configure("cached", True, f'set imap_condstore = yes\nset imap_qresync = yes\nset header_cache = "{self.folder}/cache"\n')
        argv = ["neomutt", "-n", "-F", rc, "-d", "3", "-l", self.folder / "log"]
        t = self.open(*argv)
        t.expect("n-12")
        t.type("q")
        self.assertEqual(t.wait(), (0,))
        other = self.line("cached")
        other.ok("SELECT INBOX")
        other.ok(r"STORE 2 +FLAGS (\Flagged)")
        other.ok(r"STORE 4 +FLAGS (\Deleted)")
        other.ok("EXPUNGE")
        other.append("INBOX", [message("n-13")])
        t = self.open(*argv)
        t.expect("n-13")
        self.assertIn("!", self.line_of(t, "n-2"))
        self.assertNotRegex(t.text(), r"\bn-4\b")
        self.go(t, 4)
        t.type("\r", r"This is n-5\.")
        t.type("q")
        t.type("q")
        self.assertEqual(t.wait(), (0,))
        said = (self.folder / "log0").read_text(errors="replace")  # of the last run
        self.assertRegex(said, r"ENABLE QRESYNC")
        self.assertRegex(said, r"UID FETCH 1:12 \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)")
        self.assertRegex(said, r"Handling VANISHED")
