"""offlineimap, which keeps a Maildir and an account alike both ways, getmail and fetchmail, which only take, and c-client through PHP."""
import os
import pathlib
import re

from harness import NOBODY, PASSWORD, as_user
from imap_clients import SIZE, Clients, Maildir, message


class Offlineimap(Clients):
    users = ("ann",)

    def configure(self, user):
        file = self.folder / "offlineimaprc"
        file.write_text(f"""
[general]
accounts = home
metadata = {self.folder}/metadata
socktimeout = 60
fsync = false

[Account home]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {self.folder}/mail
sep = .

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {self.server.ports["imaps"]}
remoteuser = {user}@home.example
remotepass = {PASSWORD}
auth_mechanisms = PLAIN
ssl = yes
sslcacertfile = {self.server.chain}
maxconnections = 2
""")
        return ["offlineimap", "-c", file, "-o", "-u", "basic"]

    def test_two_way_sync_twice(self):
        sync = self.configure("ann")
        near = Maildir(self.folder / "mail" / "INBOX")
        names = [f"far-{i}" for i in range(SIZE // 5)] + [f"near-{i}" for i in range(SIZE // 10)]
        self.line().append("INBOX", [message(n) for n in names if n.startswith("far")])
        for n in names:
            if n.startswith("near"):
                near.add(n, "S")
        self.program(*sync)
        self.assertEqual(self.subjects(), sorted(names))
        self.assertEqual(near.subjects(), sorted(names))
        before = self.look()
        self.program(*sync)
        self.assertEqual(self.look(), before)
        self.assertEqual(near.subjects(), sorted(names))

        t = self.line()
        t.ok("SELECT INBOX")
        t.ok(r"STORE 1:10 +FLAGS (\Flagged)")
        t.ok(r"STORE 11:20 +FLAGS (\Deleted)")
        t.ok("EXPUNGE")
        t.ok("CREATE Work/Plans")
        t.append("Work/Plans", [message("plan-1")], r"\Seen")
        near.set_flags({f"near-{i}" for i in range(5)}, "RS")
        near.remove({f"near-{i}" for i in range(5, 10)})
        Maildir(self.folder / "mail" / "Lists").add("list-1")
        self.program(*sync)
        self.program(*sync)
        left = sorted(set(names) - {f"far-{i}" for i in range(10, 20)} - {f"near-{i}" for i in range(5, 10)})
        self.assertEqual((self.subjects(), near.subjects()), (left, left))
        flags = self.flags_of()
        self.assertEqual({flags[f"near-{i}"] for i in range(5)}, {frozenset({r"\Seen", r"\Answered"})})
        self.assertEqual({near.flags()[f"far-{i}"] for i in range(10)}, {"F"})
        self.assertEqual(Maildir(self.folder / "mail" / "Work.Plans").subjects(), ["plan-1"])
        self.assertEqual(self.subjects("Lists"), ["list-1"])


class Getmail(Clients):
    users = ("bob",)

    def own(self):
        """getmail delivers for an ordinary user only."""
        if os.geteuid() == 0:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, NOBODY, NOBODY)

    def configure(self, number):
        """The command, and the Maildir it fills, as if for the first time."""
        there = Maildir(self.folder / f"taken-{number}")
        home = self.folder / f"getmail-{number}"
        home.mkdir(mode=0o700)
        rc = home / "getmailrc"
        rc.write_text(f"""
[retriever]
type = SimpleIMAPSSLRetriever
server = 127.0.0.1
port = {self.server.ports["imaps"]}
username = bob@home.example
password = {PASSWORD}
mailboxes = ("INBOX", "Archive")
ca_certs = {self.server.chain}
timeout = 15

[destination]
type = Maildir
path = {there.path}/

[options]
read_all = false
delete = false
""")
        os.chmod(rc, 0o600)
        self.own()
        return ["getmail", f"--getmaildir={home}", "--rcfile=getmailrc"], there

    def takes(self, command):
        """Runs it. False: it waits in vain for a child of its own that had ended before it began to wait; it has no lock against that."""
        done = self.program(*command, code=None, **as_user())
        if "waiting child pid" in done.stdout + done.stderr:
            return False
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return True

    def test_takes_each_message_once(self):
        t = self.line("bob")
        t.append("INBOX", [message(f"in-{i}") for i in range(20)])
        t.append("Archive", [message(f"old-{i}") for i in range(5)])
        names = [f"in-{i}" for i in range(20)] + [f"old-{i}" for i in range(5)]
        for number in range(5):
            command, there = self.configure(number)
            if not self.takes(command):
                continue
            self.assertEqual(there.subjects(), sorted(names))
            names.append(f"in-{20 + number}")
            t.append("INBOX", [message(names[-1])])
            if self.takes(command):
                self.assertEqual(there.subjects(), sorted(names))
                return
        self.fail("getmail lost a child of its own each time")


class Fetchmail(Clients):
    users = ("carl",)

    def fetch(self, protocol, ssl):
        there = self.folder / "taken"
        there.write_text("")
        listener = "imaps" if ssl else "imap"
        rc = self.folder / "fetchmailrc"
        rc.write_text(f"""poll localhost protocol {protocol} port {self.server.ports[listener]}
    user "carl@home.example" password "{PASSWORD}"
    {"ssl" if ssl else 'sslproto "TLS1.2+"'} sslcertfile "{self.server.chain}"
    folder INBOX, Archive fetchall
    mda "cat >>{there}"
""")
        os.chmod(rc, 0o600)
        self.program("fetchmail", "--fetchmailrc", rc, "--pidfile", self.folder / "pid", "--nosyslog")
        return sorted(re.findall(r"^Subject: (\S+)", there.read_text(), re.M))

    def test_takes_what_is_there_and_deletes_it(self):
        for ssl in (True, False):
            t = self.line("carl")
            t.append("INBOX", [message(f"in-{i}") for i in range(5)], r"\Seen")
            t.append("Archive", [message("old-1")])
            self.assertEqual(self.fetch("imap", ssl), [*(f"in-{i}" for i in range(5)), "old-1"])
            self.assertEqual((self.subjects(user="carl"), self.subjects("Archive", "carl")), ([], []))


class CClient(Clients):
    users = ("ann",)

    def test_a_session_of_php(self):
        """Over implicit TLS: its STARTTLS knows TLS 1.0 only, which this server does not speak."""
        script = pathlib.Path(__file__).parent / "imap_session.php"
        where = f"{{127.0.0.1:{self.server.ports['imaps']}/imap/ssl/novalidate-cert}}"
        done = self.program("php", "-d", "display_errors=stderr", script, where, "ann@home.example", PASSWORD)
        self.assertIn("held: all", done.stdout)
