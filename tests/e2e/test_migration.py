"""docs/migration.md, done as it stands there: every command of its steps is run, in the order of the page, against real sources: Debian's
Dovecot (Maildir and mdbox, master user), files, a second Staffetta. A step that the page has and this file does not know, or the other way
round, is a fault; so is a path or a host in a command that no test provides.

STAFFETTA_MESSAGES sets how many messages each source has (12)."""
import contextlib
import imaplib
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import unittest

from harness import PASSWORD, TOP, Server, may_mount, stage
from test_migrate import Maildir, Migration, crlf, text

PAGE = TOP / "docs" / "migration.md"
COUNT = int(os.environ.get("STAFFETTA_MESSAGES", 12))
DOMAIN = "example.org"


def steps():
    """The steps of the page: by heading, the fenced blocks as (kind, text)."""
    part = PAGE.read_text().split("\n## Steps\n")[1].split("\n## ")[0]
    found = {}
    for section in part.split("\n### ")[1:]:
        heading, body = section.split("\n", 1)
        found[heading] = re.findall(r"^```(\w+)\n(.*?)^```$", body, re.M | re.S)
    return found


def commands(block):
    """The commands of a shell script one by one: lines are taken together until the shell finds them complete."""
    waiting = ""
    for line in block.splitlines():
        waiting += line + "\n"
        if not line.endswith("\\") and subprocess.run(["sh", "-n", "-c", waiting], stderr=subprocess.DEVNULL).returncode == 0:
            yield waiting
            waiting = ""
    assert not waiting, f"not a whole command: {waiting}"


@unittest.skipUnless(may_mount(), "needs root with mount namespaces")
class Page(Migration):
    users = ()
    hostname = f"new.{DOMAIN}"

    @classmethod
    def prepare(cls):
        import dovecot
        cls.steps = steps()
        blocks = [b for found in cls.steps.values() for b in found]
        cls.master = next(t for kind, t in blocks if kind == "text")
        cls.dovecot = dovecot.Dovecot("".join(t for kind, t in blocks if kind == "conf"), {"/etc/dovecot/master-users": cls.master}, [f"dora@{DOMAIN}"])
        cls.cleanup.callback(cls.dovecot.close)
        cls.old = Server(hostname=f"old.{DOMAIN}")
        cls.cleanup.callback(cls.old.destroy)
        cls.old.start()
        cls.old.domain(DOMAIN)
        cls.place = cls.server.folder / "place"
        cls.place.mkdir()
        cls.make_programs()

    @classmethod
    def make_programs(cls):
        """The programs that the page names, as root would find them."""
        folder = cls.place / "bin"
        folder.mkdir()
        inside = " ".join(f"'{word}'" for word in cls.dovecot.enclosure.command(["/usr/bin/doveadm"]))
        for name, line in (("staffetta", f"'{stage()}/staffetta'"), ("doveadm", inside)):
            (folder / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
            (folder / name).chmod(0o755)

    # ---- the commands ----

    def here(self, command):
        """The command with the test's own names for those of the page."""
        names = {"imaps://": "imaps://", f"@old.{DOMAIN}": f"@localhost:{self.dovecot.port}", "/var/tmp/": f"{self.dovecot.mail}/tmp-",
                 f"/var/vmail/{DOMAIN}/": f"{self.place}/vmail-", "/srv/old/": f"{self.place}/"}
        for name, ours in names.items():
            command = command.replace(name, ours)
        for path in re.findall(r"(?<![\w:/])/[a-z]\S*", command):
            self.assertTrue(path.strip("'\"").startswith((str(self.place), str(self.dovecot.mail))), f"{path}: no test provides it")
        return command

    def do(self, heading, number=0, said="", server=None, code=0):
        """Runs the commands of one block; gives what each of them said."""
        blocks = [t for kind, t in self.steps[heading] if kind == "sh"]
        told = []
        self.done.add((heading, number))
        for command in commands(blocks[number]):
            env = {**(server or self.server).env(), "SSL_CERT_FILE": str(self.dovecot.chain)}
            env["PATH"] = f"{self.place}/bin:{env['PATH']}"
            done = subprocess.run(["sh", "-c", self.here(command)], input=said, capture_output=True, text=True, timeout=300, env=env, cwd=self.place)
            self.assertEqual(done.returncode, code, f"{heading}: {command}{done.stdout}{done.stderr}")
            told.append(done.stdout)
        return told

    # ---- sources ----

    def letters(self, word):
        return [crlf(text(f"{word} {i}", "x" * 50 + "\n" * (1 + i % 7))) for i in range(COUNT)]

    @contextlib.contextmanager
    def at_dovecot(self, user):
        context = ssl.create_default_context(cafile=str(self.dovecot.chain))
        with imaplib.IMAP4_SSL("localhost", self.dovecot.port, ssl_context=context) as c:
            c.login(f"{user}@{DOMAIN}", self.dovecot.password)
            yield c

    def fill(self, c, word, folder="Work", prefix=""):
        c.create(prefix + folder)
        for i, letter in enumerate(self.letters(word)):
            c.append("INBOX" if i % 2 else prefix + folder, "(\\Seen Project)", '"13-Sep-2020 12:26:40 +0000"', letter)

    def fill_dovecot(self, user, word):
        with self.at_dovecot(user) as c:
            self.fill(c, word, prefix="INBOX.")

    def account(self, user, server=None):
        (server or self.server).account(f"{user}@{DOMAIN}")

    def messages(self, user, folder="INBOX"):
        """As Migration has it, for this domain."""
        with self.server.imap(f"{user}@{DOMAIN}") as c:
            self.assertEqual(c.select(f'"{folder}"', readonly=True)[0], "OK")
            _, data = c.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])") if int(c.untagged_responses["EXISTS"][-1]) else (0, [])
        return [(i[1], i[0]) for i in data if isinstance(i, tuple)]

    def expect(self, user, word, flags=True, folders=("INBOX", "Work")):
        found = [m for folder in folders for m in self.messages(user, folder)]
        self.assertEqual(sorted(m[0] for m in found), sorted(self.letters(word)))
        for _, items in found if flags else ():
            self.assertIn(b"13-Sep-2020", items)
            self.assertIn(b"\\Seen", items)
            self.assertIn(b"Project", items)

    def numbers(self, told, column):
        """The sum of a column of a table."""
        lines = told.splitlines()
        at = re.split(r"\s{2,}", lines[0].strip().lower()).index(column)
        return sum(int(re.split(r"\s{2,}", line.strip())[at]) for line in lines[1:])

    # ---- the page ----

    def test_every_step(self):
        self.done = set()
        for step in (self.accounts, self.over_imap, self.master_user, self.dovecots_files, self.maildir, self.mailbox_files, self.staffetta, self.away):
            with self.subTest(step=step.__name__):
                step()
        there = {(heading, i) for heading, found in self.steps.items() for i in range(sum(kind == "sh" for kind, _ in found))}
        self.assertEqual(self.done, there, "steps of the page that are tried, and those it has")

    def accounts(self):
        self.do("Domain and accounts", said=PASSWORD + "\n")

    def over_imap(self):
        self.fill_dovecot("anna", "one")
        counted, brought, shown = self.do("From any server, over IMAP", said=self.dovecot.password + "\n")
        self.assertEqual(self.numbers(brought, "imported"), COUNT)
        self.assertIn("Work", shown)
        self.expect("anna", "one")
        _, again, _ = self.do("From any server, over IMAP", said=self.dovecot.password + "\n")
        self.assertEqual((self.numbers(again, "imported"), self.numbers(again, "present")), (0, COUNT))
        self.do("Is everything there?")

    def master_user(self):
        for user in ("gerd", "hans"):
            self.account(user)
            self.fill_dovecot(user, user)
        (self.place / "master-password").write_text(self.master.split("}")[1])
        (self.place / "addresses").write_text("".join(f"{u}@{DOMAIN}\n" for u in ("gerd", "nobody", "hans")))
        for _ in range(2):
            self.do("Everybody at once, with a master user")
            self.assertEqual((self.place / "incomplete").read_text(), f"nobody@{DOMAIN}\n")
            for user in ("gerd", "hans"):
                self.expect(user, user)

    def dovecots_files(self):
        self.account("dora")
        self.fill_dovecot("dora", "mdbox")
        self.assertTrue((self.dovecot.mail / f"dora@{DOMAIN}" / "mdbox").exists())
        self.assertIn("maildir:", self.do("From the files of Dovecot")[0])
        self.assertEqual(self.numbers(self.do("From the files of Dovecot", 1)[1], "imported"), COUNT)
        self.expect("dora", "mdbox")
        again = self.do("From the files of Dovecot", 1)[1]
        self.assertEqual((self.numbers(again, "imported"), self.numbers(again, "present")), (0, COUNT))

    def maildir(self):
        """As Dovecot has it on its disk, and copied as the page says."""
        self.account("bert")
        self.fill_dovecot("bert", "files")
        place = pathlib.Path(f"{self.place}/vmail-bert/Maildir")
        place.parent.mkdir()
        subprocess.run(["cp", "-a", self.dovecot.mail / f"bert@{DOMAIN}" / "Maildir", place], check=True)
        self.do("From a Maildir")
        self.expect("bert", "files")

    def mailbox_files(self):
        self.account("emil")
        letters = [m.replace(b"\r\n", b"\n") for m in self.letters("file")]
        mails = b"".join(b"From a@far.example Sun Sep 13 12:26:40 2020\n" + m + b"\n" for m in letters)
        pathlib.Path(f"{self.place}/emil.mbox").write_bytes(mails)
        folder = self.place / "Local Folders"
        (folder / "Old.sbd").mkdir(parents=True)
        (folder / "Old").write_bytes(mails)
        (folder / "Old.sbd" / "2020").write_bytes(mails)
        (folder / "Old.msf").write_text("// no mail\n")
        self.do("From mailbox files")
        for name in ("INBOX", "Old", "Old/2020"):
            self.expect("emil", "file", flags=False, folders=(name,))

    def staffetta(self):
        self.account("carl", self.old)
        with self.old.imap(f"carl@{DOMAIN}") as c:
            self.fill(c, "moved")
        self.do("From another Staffetta", 0, server=self.old)
        self.account("carl")
        self.do("From another Staffetta", 1)
        self.expect("carl", "moved")

    def away(self):
        """Other programs read what was exported."""
        import mailbox
        self.do("Taking it away")
        box = mailbox.Maildir(f"{self.dovecot.mail}/tmp-anna-maildir", create=False)
        self.assertEqual(len(box) + len(box.get_folder("Work")), COUNT)
        path = pathlib.Path(f"{self.dovecot.mail}/tmp-anna-mbox")
        self.assertEqual(sum(len(mailbox.mbox(path / f"{n}.mbox", create=False)) for n in ("INBOX", "Work")), COUNT)


del Migration
