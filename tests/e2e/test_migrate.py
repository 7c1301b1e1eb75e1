"""Bringing mail here and taking it away: `staffetta mailbox import` and `export` (docs/migration.md)."""
import imaplib
import json
import os
import pathlib
import re
import shutil

from harness import NOBODY, Case, until

FLAGS = {"S": "\\Seen", "R": "\\Answered", "F": "\\Flagged", "T": "\\Deleted", "D": "\\Draft"}


def text(subject, body="Hello.\n", more=""):
    return f"From: <a@far.example>\nTo: <ann@home.example>\nSubject: {subject}\n{more}\n{body}".encode()


def crlf(raw):
    return re.sub(rb"(?<!\r)\n", b"\r\n", raw)


class Maildir:
    """A Maildir as a test writes it."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def folder(self, name=""):
        for sub in ("cur", "new", "tmp"):
            (self.path / name / sub).mkdir(parents=True, exist_ok=True)
        return self.path / name

    def add(self, raw, name, folder="", sub="cur", when=1_600_000_000):
        path = self.folder(folder) / sub / name
        path.write_bytes(raw)
        os.utime(path, (when, when))
        return path

    def own(self):
        if os.geteuid() == 0:
            for path in [self.path, *self.path.rglob("*")]:
                os.chown(path, NOBODY, NOBODY)
        return self.path


class Migration(Case):
    users = ("ann", "bob", "carl", "dora", "emil", "fritz", "gerd", "hans", "ines")

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in cls.users:
            cls.server.account(f"{user}@home.example")

    def folder(self, name):
        path = self.server.folder / f"{self.id().rsplit('.', 1)[1]}-{name}"
        path.mkdir(mode=0o755)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        return path

    def migrate(self, verb, user, kind, place, *more, code=0, **extra):
        """The rows by folder, and what was said on standard error."""
        done = self.server.cli("mailbox", verb, f"{user}@home.example", kind, place, *more, "--json", check=False, **extra)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {r["folder"]: tuple(v for k, v in r.items() if k != "folder") for r in rows}, done.stderr

    def messages(self, user, folder="INBOX"):
        """Everything of a folder as the server tells it: [(bytes, flags, date)], by uid."""
        with self.server.imap(f"{user}@home.example") as c:
            kind, data = c.select(f'"{folder}"', readonly=True)
            self.assertEqual(kind, "OK", data)
            if data == [b"0"]:
                return []
            _, data = c.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
        found = []
        for item in data:
            if isinstance(item, tuple):
                flags = set(re.search(rb"FLAGS \(([^)]*)\)", item[0]).group(1).decode().split())
                date = re.search(rb'INTERNALDATE "([^"]+)"', item[0]).group(1).decode()
                found.append((item[1], flags, date))
        return found

    def folders(self, user):
        with self.server.imap(f"{user}@home.example") as c:
            _, lines = c.list()
            _, subscribed = c.lsub()
        names = lambda rows: {r.decode().rsplit('"/" ', 1)[1].strip('"') for r in rows if r}
        return names(lines), names(subscribed)


class FromMaildir(Migration):
    def source(self, name="source"):
        m = Maildir(self.folder(name))
        m.add(text("one"), "1600000001.M1P1.host,S=77,W=80:2,FSab")
        m.add(text("two"), "1600000002.M1P2.host", sub="new")
        m.add(crlf(text("three", "A\r\nB\r\n".replace("\r", ""))), "1600000003.M1P3.host:2,PR")
        m.add(text("deep", more="X-Deep: 1\n"), "1600000004.M1P4.host:2,DT", folder=".Work.2026")
        m.add(text("umlaut"), "1600000005.M1P5.host:2,S", folder=".Entw&APw-rfe", when=1_234_567_890)
        m.folder(".Empty")
        (m.path / "dovecot-keywords").write_text("0 $Label1\n1 Project/X\n")
        (m.path / "subscriptions").write_text("V\t2\n\nWork\t2026\nEmpty\n")
        m.own()
        return m

    def test_all_of_it_is_kept_and_comes_once(self):
        m = self.source()
        rows, _ = self.migrate("import", "ann", "maildir", m.path)
        self.assertEqual(rows, {"INBOX": (3, 0, 0), "Work/2026": (1, 0, 0), "Entw\u00fcrfe": (1, 0, 0), "Empty": (0, 0, 0)})
        found = self.messages("ann")
        self.assertEqual([f[0] for f in found], [crlf(text("one")), crlf(text("two")), crlf(text("three", "A\nB\n"))])
        self.assertEqual([f[1] for f in found], [{"\\Flagged", "\\Seen", "$Label1", "Project/X"}, set(), {"\\Answered", "$Forwarded"}])
        self.assertEqual(found[0][2], "13-Sep-2020 12:26:40 +0000")
        self.assertEqual(self.messages("ann", "Work/2026")[0][1], {"\\Draft", "\\Deleted"})
        self.assertEqual(self.messages("ann", "Entw&APw-rfe")[0][2], "13-Feb-2009 23:31:30 +0000")
        names, subscribed = self.folders("ann")
        self.assertLessEqual({"Work", "Work/2026", "Empty", "Entw&APw-rfe"}, names)
        self.assertLessEqual({"INBOX", "Work/2026", "Empty"}, subscribed)
        self.assertNotIn("Entw&APw-rfe", subscribed)
        # a second run brings what is new only, also when flags have changed or a message was read or removed here
        (m.path / "new" / "1600000002.M1P2.host").rename(m.path / "cur" / "1600000002.M1P2.host:2,S")
        with self.server.imap("ann@home.example") as c:
            c.select()
            c.store("1", "+FLAGS", "\\Deleted")
            c.expunge()
        m.add(text("four"), "1600000009.M1P9.host:2,")
        m.own()
        rows, _ = self.migrate("import", "ann", "maildir", m.path)
        self.assertEqual(rows["INBOX"], (1, 3, 0))
        self.assertEqual(len(self.messages("ann")), 3)
        self.server.cli("mailbox", "check", "ann@home.example")

    def test_dry_run_changes_nothing(self):
        m = self.source()
        rows, _ = self.migrate("import", "bob", "maildir", m.path, "--dry-run")
        self.assertEqual(rows["INBOX"], (3, 0, 0))
        self.assertEqual(self.messages("bob"), [])
        self.assertNotIn("Empty", self.folders("bob")[0])

    def test_there_and_back(self):
        m = self.source()
        odd = b"Subject: odd\r\n\r\nbare \n and \r\r\nend\r"
        m.add(odd, "1600000011.M1.host:2,S", folder=".Odd\\2ename")
        m.own()
        self.migrate("import", "carl", "maildir", m.path)
        out = self.folder("out") / "Maildir"
        rows, _ = self.migrate("export", "carl", "maildir", out)
        self.assertEqual(rows["INBOX"], (3, 0, 0))
        self.assertEqual(self.migrate("export", "carl", "maildir", out)[0]["INBOX"], (0, 3, 0))
        self.migrate("import", "dora", "maildir", out)
        for name in ("INBOX", "Work/2026", "Entw&APw-rfe", "Odd.name", "Empty"):
            self.assertEqual(self.messages("carl", name), self.messages("dora", name), name)
        self.assertEqual(self.folders("carl"), self.folders("dora"))
        # other programs read it
        import mailbox
        box = mailbox.Maildir(out, create=False)
        self.assertEqual(sorted(m["Subject"] for m in box), ["one", "three", "two"])
        self.assertIn("Work.2026", box.list_folders())

    def test_what_cannot_be_imported_is_named(self):
        m = Maildir(self.folder("source"))
        m.add(text("good"), "1600000001.M1.host:2,")
        m.add(b"", "1600000002.M1.host:2,")
        (m.path / "cur" / "1600000003.M1.host:2,").mkdir()
        m.add(text("also good"), "1600000004.M1.host:2,")
        m.own()
        rows, said = self.migrate("import", "emil", "maildir", m.path, code=65)
        self.assertEqual(rows["INBOX"], (2, 0, 2))
        self.assertIn("1600000002.M1.host:2,: not imported: it is empty", said)
        self.assertIn("1600000003.M1.host:2,: not imported: it is no file", said)

    def test_a_full_mailbox_stops_and_goes_on(self):
        m = Maildir(self.folder("source"))
        for i in range(250):
            m.add(text(f"number {i}", "x" * 1000), f"16000{i:05}.M1.host:2,")
        m.own()
        self.server.cli("account", "set", "fritz@home.example", "--quota-messages=120")
        _, said = self.migrate("import", "fritz", "maildir", m.path, code=75)
        self.assertIn("the mailbox is full; raise the quota", said)
        self.assertEqual(len(self.messages("fritz")), 120)
        self.server.cli("account", "set", "fritz@home.example", "--quota-messages=none")
        rows, _ = self.migrate("import", "fritz", "maildir", m.path)
        self.assertEqual(rows["INBOX"], (130, 120, 0))
        self.assertEqual([f[0] for f in self.messages("fritz")], [crlf(text(f"number {i}", "x" * 1000)) for i in range(250)])

    def test_marks_are_not_for_users(self):
        with self.server.imap("hans@home.example") as c:
            with self.assertRaises(imaplib.IMAP4.error):
                c.xatom("XMARKED", "0123456789abcdef0123456789abcdef")
            with self.assertRaises(imaplib.IMAP4.error):
                c._simple_command("APPEND", "INBOX", "() XMARK 0123456789abcdef0123456789abcdef {3+}\r\na\r\n")
            self.assertEqual(c.status("INBOX", "(MESSAGES)")[1], [b'"INBOX" (MESSAGES 0)'.replace(b'"', b"")])

    def test_wrong_words(self):
        def said(*words, code):
            done = self.server.cli("mailbox", *words, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stderr

        self.assertIn("too few arguments", said("import", "gerd@home.example", "maildir", code=64))
        self.assertIn("too many arguments", said("import", "gerd@home.example", "maildir", "/a", "/b", code=64))
        self.assertIn("unknown option --fast", said("import", "gerd@home.example", "maildir", "/a", "--fast", code=64))
        self.assertIn("pigeon", said("import", "gerd@home.example", "pigeon", "/a", code=64))
        self.assertIn("pigeon", said("export", "gerd@home.example", "pigeon", "/a", code=64))
        self.assertIn("nobody", said("import", "nobody@home.example", "maildir", "/a", code=67))
        self.assertIn("/nowhere: No such file", said("import", "gerd@home.example", "maildir", "/nowhere", code=66))
        self.assertIn("this is no Maildir", said("import", "gerd@home.example", "maildir", self.folder("empty"), code=66))
        self.assertIn('no folder "Nothing"', said("export", "gerd@home.example", "maildir", self.folder("out"), "--folder=Nothing", code=66))


class FromMbox(Migration):
    def write(self, name, raw):
        path = self.folder("source") / name
        path.write_bytes(raw)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        return path

    def test_all_of_it_is_kept_and_comes_once(self):
        long = b"x" * 5000
        path = self.write("old.mbox", b"".join([
            b"From ann@far.example Sun Sep 13 12:26:40 2020\nSubject: one\nStatus: RO\nX-Status: AF\nX-Keywords: $Label1 work   \n",
            b"X-UID: 17\nX-IMAPbase: 1234 99\n\nbody\n>From here on\n>>From there\n\n\nFrom is no separator\n\n",
            b"From MAILER-DAEMON Sun Sep 13 14:26:40 2020 +0200\nSubject: two\n" + b"X-Long: " + long + b"\n\n" + long + b"\n\n",
            b"From ann@far.example Sun Sep 13 12:26:40 2020\nSubject: same\n\nsame\n\n" * 2,
            b"From x Sun Sep 13 12:26:41 2020\r\nSubject: crlf\r\n\r\nlast line without end"]))
        rows, _ = self.migrate("import", "ann", "mbox", path, "--folder=Old mail/2020")
        self.assertEqual(rows, {"Old mail/2020": (5, 0, 0)})
        found = self.messages("ann", "Old mail/2020")
        self.assertEqual([f[0] for f in found], [
            b"Subject: one\r\n\r\nbody\r\nFrom here on\r\n>From there\r\n\r\n\r\nFrom is no separator\r\n",
            b"Subject: two\r\nX-Long: " + long + b"\r\n\r\n" + long + b"\r\n",
            b"Subject: same\r\n\r\nsame\r\n", b"Subject: same\r\n\r\nsame\r\n",
            b"Subject: crlf\r\n\r\nlast line without end\r\n"])
        self.assertEqual(found[0][1], {"\\Seen", "\\Answered", "\\Flagged", "$Label1", "work"})
        self.assertEqual({f[2] for f in found[:2]}, {"13-Sep-2020 12:26:40 +0000"})
        # another program marks one as read, and one comes
        path.write_bytes(path.read_bytes().replace(b"Subject: two", b"Subject: two\nStatus: R") +
                         b"\n\nFrom y Mon Sep 14 12:26:41 2020\nSubject: new\n\nnew\n")
        self.assertEqual(self.migrate("import", "ann", "mbox", path, "--folder=Old mail/2020")[0], {"Old mail/2020": (1, 5, 0)})

    def test_there_and_back(self):
        path = self.write("in.mbox", b"From a Sun Sep 13 12:26:40 2020\nSubject: one\nStatus: R\n\nbody\nFrom me\n\n"
                          b"From a Sun Sep 13 12:26:41 2020\nSubject: no body\nX-Keywords: a b\n\n\nFrom a Sun Sep 13 12:26:42 2020\nSubject: three\n\n\n\n\n")
        for folder in ("INBOX", "A/.hidden/../B", "A", "Entw\u00fcrfe 100"):
            self.migrate("import", "bob", "mbox", path, f"--folder={folder}")
        out = self.folder("out") / "export"
        self.assertEqual(self.migrate("export", "bob", "mbox", out)[0]["A"], (3, 0, 0))
        self.assertEqual(self.migrate("export", "bob", "mbox", out)[0]["A"], (0, 3, 0))
        self.assertTrue((out / "A" / "%2ehidden" / "%2e." / "B.mbox").exists())
        # what a broken run left is cut off, what is new is added
        with open(out / "INBOX.mbox", "ab") as f:
            f.write(b"From half a mess")
        self.migrate("import", "bob", "mbox", path, "--folder=Other")
        with self.server.imap("bob@home.example") as c:
            c.append("INBOX", "(\\Flagged)", '"14-Sep-2020 12:00:00 +0000"', b"Subject: late\r\n\r\nlate\r\n")
        self.assertEqual(self.migrate("export", "bob", "mbox", out)[0]["INBOX"], (1, 3, 0))
        self.migrate("import", "carl", "mbox", out)
        for name in ("INBOX", "A", "A/.hidden/../B", "Entw&APw-rfe 100", "Other"):
            self.assertEqual(self.messages("bob", name), self.messages("carl", name), name)
        import mailbox
        box = mailbox.mbox(out / "INBOX.mbox", create=False)
        self.assertEqual([(m["Subject"], m.get_flags()) for m in box], [("one", "RO"), ("no body", "O"), ("three", "O"), ("late", "OF")])

    def test_wrong_files(self):
        self.assertIn("no mailbox file", self.migrate("import", "dora", "mbox", self.write("x", b"Subject: one\n\n"), code=66)[1])
        self.assertIn("no mailbox files in it", self.migrate("import", "dora", "mbox", self.folder("nothing"), code=66)[1])
        self.assertIn("No such file", self.migrate("import", "dora", "mbox", "/nowhere", code=66)[1])
        place = self.folder("taken")
        (place / "INBOX.mbox").write_bytes(b"From a\n")
        if os.geteuid() == 0:
            os.chown(place / "INBOX.mbox", NOBODY, NOBODY)
        self.assertIn("was not made by an export", self.migrate("export", "dora", "mbox", place, code=66)[1])
