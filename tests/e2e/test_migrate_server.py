"""Bringing mail from another server: Staffetta itself and Debian's Dovecot; with the program or the server killed in the middle."""
import contextlib
import imaplib
import os
import random
import shutil
import signal
import ssl
import subprocess
import unittest

from harness import PASSWORD, may_mount, until
from test_migrate import Maildir, Migration, crlf, text


def fill(c, prefix="", delimiter="/"):
    """Messages with all that shall be kept, over imaplib."""
    work = f"{prefix}Work{delimiter}Entw&APw-rfe"
    assert c.create(work)[0] == "OK"
    c.subscribe(work)
    c.append("INBOX", "(\\Seen \\Flagged $Label1 Project)", '"13-Sep-2020 12:26:40 +0000"', crlf(text("one")))
    c.append("INBOX", "()", '"14-Sep-2020 01:00:00 +0200"', crlf(text("two", "x" * 300000 + "\n")))
    c.append(work, "(\\Answered \\Draft)", '"15-Sep-2020 12:26:40 +0000"', crlf(text("three")))
    c.append(work, "(\\Deleted)", '"16-Sep-2020 12:26:40 +0000"', b"no header\r\n")
    return work


class FromStaffetta(Migration):
    def url(self, user, scheme="imaps", host="127.0.0.1"):
        return f"{scheme}://{user}%40home.example@{host}:{self.server.ports['imap' if scheme == 'imap' else 'imaps']}"

    def bring(self, to, url, *more, code=0, password=PASSWORD):
        return self.migrate("import", to, "imap", url, "--ca", self.server.chain, *more, code=code, input=password + "\n")

    def test_all_of_it_is_kept_and_comes_once(self):
        with self.server.imap("ann@home.example") as c:
            work = fill(c)
        rows, _ = self.bring("bob", self.url("ann"))
        self.assertEqual((rows["INBOX"], rows["Work/Entw\u00fcrfe"]), ((2, 0, 0), (2, 0, 0)))
        for folder in ("INBOX", work):
            self.assertEqual(self.messages("ann", folder), self.messages("bob", folder))
        self.assertEqual(self.folders("ann"), self.folders("bob"))
        with self.server.imap("ann@home.example") as c:
            c.append("INBOX", None, None, crlf(text("new")))
            c.select()
            c.store("1", "+FLAGS", "\\Deleted")
            c.expunge()
        self.assertEqual(self.bring("bob", self.url("ann", "imap"))[0]["INBOX"], (1, 1, 0))
        self.assertEqual(len(self.messages("bob")), 3)
        rows, _ = self.bring("carl", self.url("ann"), "--folder=Work/Entw\u00fcrfe", "--dry-run")
        self.assertEqual(rows, {"Work/Entw\u00fcrfe": (2, 0, 0)})

    def test_special_uses_are_found_by_what_they_are_for(self):
        """The folder for sent mail goes into ours, whatever it is called there."""
        with self.server.imap("ann@home.example") as c:
            for folder, use in (("Sent", "Gesendet"), ("Trash", "Papierkorb")):
                c.rename(folder, use)
            c.append("Gesendet", "(\\Seen)", None, crlf(text("sent")))
            c.append("Papierkorb", None, None, crlf(text("gone")))
        with self.server.imap("emil@home.example") as c:
            c.delete("Trash")
        self.bring("emil", self.url("ann"))
        self.assertEqual(self.messages("emil", "Sent"), self.messages("ann", "Gesendet"))
        self.assertEqual(self.messages("emil", "Papierkorb"), self.messages("ann", "Papierkorb"))
        with self.server.imap("emil@home.example") as c:
            named = b" ".join(c.list()[1])
            self.assertNotIn(b"Gesendet", named)
            self.assertRegex(c._simple_command("LIST", "(SPECIAL-USE)", '""', "*")[0], "OK")
            self.assertIn(b"Papierkorb", b" ".join(l for l in c.untagged_responses["LIST"] if b"Trash" in l))
        self.assertEqual(sum(n[0] for n in self.bring("emil", self.url("ann"))[0].values()), 0)

    def test_refusals(self):
        self.assertIn("the login of ann@home.example failed", self.bring("dora", self.url("ann"), code=77, password="wrong")[1])
        self.assertIn("no password", self.bring("dora", self.url("ann"), code=66, password="")[1])
        said = self.migrate("import", "dora", "imap", self.url("ann"), code=66, input=PASSWORD + "\n")[1]
        self.assertIn("its certificate is not trusted", said)
        self.assertIn("its certificate is not trusted", self.bring("dora", self.url("ann", host="[::ffff:127.0.0.1]"), code=66)[1])
        self.assertIn('no folder "Nothing"', self.bring("dora", self.url("ann"), "--folder=Nothing", code=66)[1])
        self.assertIn("Connection refused", self.bring("dora", "imaps://x@127.0.0.1:1", code=75)[1])
        for url in ("http://x@y", "imaps://host.example", "imaps://a:b@host.example", "imaps://x@:99", "imaps://x@y:0", "imaps://x%zz@y"):
            self.bring("dora", url, code=64)
        self.bring("dora", self.url("ann"), "--tls=none", code=64)
        path = self.folder("secret") / "password"
        path.write_text(PASSWORD + "\nmore\n")
        self.server.own()
        self.bring("dora", self.url("carl"), "--password-file", path, password="")
        self.assertIn("No such file", self.bring("dora", self.url("carl"), "--password-file=/nowhere", code=66)[1])


class Killed(Migration):
    kills = True
    count = int(os.environ.get("STAFFETTA_MESSAGES", 300))

    def source(self):
        m = Maildir(self.folder("source"))
        for i in range(self.count):
            m.add(text(f"number {i}", "x" * random.Random(i).randrange(9000) + "\n"), f"16000{i:05}.M1.host:2,S", when=1_600_000_000 + i)
        return m.own()

    def run_and_kill(self, victim, *words):
        """Starts it, and ends the victim once some messages are there."""
        before = self.count_of()
        argv = self.server.command("mailbox", *words)
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.server.env(),
                              **self.server.identity()) as p:
            until(lambda: p.poll() is not None or self.count_of() > before, "some progress")
            for pid in [p.pid] if victim == "cli" else self.server.roles()[victim]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            p.wait(60)

    def count_of(self):
        done = self.server.cli("mailbox", "show", "ann@home.example", "--json", check=False)
        if done.returncode == 66:
            return 0
        return sum(int(line.split('"messages":')[1].split(",")[0]) for line in done.stdout.splitlines()) if done.returncode == 0 else -1

    def test_no_message_twice_and_none_missing(self):
        place = self.source()
        for victim in ("cli", "mailbox", "web", "cli"):
            self.run_and_kill(victim, "import", "ann@home.example", "maildir", place)
            until(lambda: self.count_of() >= 0, "the mailbox to answer")
        rows, _ = self.migrate("import", "ann", "maildir", place)
        self.assertEqual(sum(rows["INBOX"][:2]), self.count)
        self.assertEqual(rows["INBOX"][2], 0)
        subjects = [f[0].split(b"Subject: ")[1].split(b"\r")[0].decode() for f in self.messages("ann")]
        self.assertEqual(sorted(subjects), sorted(f"number {i}" for i in range(self.count)))
        self.server.cli("mailbox", "check", "ann@home.example")
        # and away again
        for kind in ("maildir", "mbox"):
            out = self.folder(kind) / "out"
            for victim in ("cli", "cli"):
                argv = self.server.command("mailbox", "export", "ann@home.example", kind, out)
                with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=self.server.env(), **self.server.identity()) as p:
                    until(lambda: p.poll() is not None or any(f.is_file() and f.stat().st_size > 4000 for f in out.rglob("*")), "a file")
                    p.kill()
            self.migrate("export", "ann", kind, out)
            again = {"maildir": "bob", "mbox": "carl"}[kind]
            self.migrate("import", again, kind, out)
            self.assertEqual(sorted(self.messages(again)), sorted(self.messages("ann")), kind)


@unittest.skipUnless(may_mount(), "needs root with mount namespaces")
class FromDovecot(Migration):
    @classmethod
    def prepare(cls):
        super().prepare()
        import dovecot
        cls.dovecot = dovecot.Dovecot()
        cls.cleanup.callback(cls.dovecot.close)

    @contextlib.contextmanager
    def at_dovecot(self, user):
        context = ssl.create_default_context(cafile=str(self.dovecot.chain))
        c = imaplib.IMAP4_SSL("localhost", self.dovecot.port, ssl_context=context)
        c.login(user, self.dovecot.password)
        try:
            yield c
        finally:
            c.logout()

    def told_by_dovecot(self, user, folder):
        with self.at_dovecot(user) as c:
            self.assertEqual(c.select(f'"{folder}"', readonly=True)[0], "OK")
            _, data = c.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
        return sorted(self.parts(item) for item in data if isinstance(item, tuple))

    @staticmethod
    def parts(item):
        import re
        flags = sorted(set(re.search(rb"FLAGS \(([^)]*)\)", item[0]).group(1).decode().split()) - {"\\Recent"})
        when = imaplib.Internaldate2tuple(item[0])
        return item[1], flags, when

    def here(self, user, folder="INBOX"):
        return sorted((raw, sorted(flags), imaplib.Internaldate2tuple(f'INTERNALDATE "{date}"'.encode())) for raw, flags, date in self.messages(user, folder))

    def test_over_imap_from_its_maildir_and_back(self):
        with self.at_dovecot("remote") as c:
            work = fill(c, "INBOX.", ".")
        url = f"imaps://remote@localhost:{self.dovecot.port}"
        bring = lambda: self.migrate("import", "ann", "imap", url, "--ca", self.dovecot.chain, input=self.dovecot.password + "\n")[0]
        rows = bring()
        self.assertEqual((rows["INBOX"], rows["Work/Entw\u00fcrfe"]), ((2, 0, 0), (2, 0, 0)))
        self.assertEqual(self.here("ann"), self.told_by_dovecot("remote", "INBOX"))
        self.assertEqual(self.here("ann", "Work/Entw&APw-rfe"), self.told_by_dovecot("remote", work))
        self.assertIn("Work/Entw&APw-rfe", self.folders("ann")[1])
        self.assertEqual(bring()["INBOX"], (0, 2, 0))
        # the same from its files
        place = self.folder("copy") / "Maildir"
        shutil.copytree(self.dovecot.mail / "remote" / "Maildir", place)
        Maildir(place).own()
        self.migrate("import", "bob", "maildir", place)
        self.assertEqual(self.here("bob"), self.here("ann"))
        self.assertEqual(self.here("bob", "Work/Entw&APw-rfe"), self.here("ann", "Work/Entw&APw-rfe"))
        self.assertEqual(self.folders("bob")[1] - {"Drafts", "Sent", "Junk", "Trash", "Archive"}, {"INBOX", "Work/Entw&APw-rfe"})
        # and Dovecot reads what is exported
        out = self.folder("out") / "Maildir"
        self.migrate("export", "ann", "maildir", out)
        home = self.dovecot.mail / "back"
        home.mkdir()
        shutil.copytree(out, home / "Maildir")
        self.dovecot.own(home)
        self.assertEqual(self.told_by_dovecot("back", "INBOX"), self.told_by_dovecot("remote", "INBOX"))
        self.assertEqual(self.told_by_dovecot("back", work), self.told_by_dovecot("remote", work))
        with self.at_dovecot("back") as c:
            self.assertIn(work.encode(), b" ".join(c.lsub()[1]))
