"""mbsync keeps a Maildir and an account alike: both ways, twice, with flags, deletions and folders; no message is lost or doubled, also when mailbox is killed in the middle."""
import os
import subprocess
import threading

from harness import PASSWORD, until
from imap_clients import SIZE, Clients, Maildir, message


class Mbsync(Clients):
    users = ("ann", "bob", "carl")
    kills = True

    def configure(self, user, tls="STARTTLS", more=""):
        """One account, one store of each kind; every folder on either side is to be on both."""
        file = self.folder / "mbsyncrc"
        listener = "imaps" if tls == "IMAPS" else "imap"
        file.write_text(f"""
FSync no
IMAPAccount home
Host localhost
Port {self.server.ports[listener]}
User {user}@home.example
Pass "{PASSWORD}"
SSLType {tls}
CertificateFile {self.server.chain}
AuthMechs PLAIN

IMAPStore far
Account home

MaildirStore near
Path {self.folder}/mail/
Inbox {self.folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
{more}
""")
        self.near = Maildir(self.folder / "mail" / "INBOX")
        return ["mbsync", "-c", file, "-a"]

    def same(self, user, folder="INBOX"):
        near = Maildir(self.folder / "mail" / folder)
        far = self.look(folder, user)
        self.assertEqual(near.subjects(), sorted(s for s, _ in far.values()))
        told = {r"\Seen": "S", r"\Flagged": "F", r"\Answered": "R", r"\Draft": "D", r"\Deleted": "T"}
        self.assertEqual(near.flags(), {s: "".join(sorted(told[f] for f in flags if f in told)) for s, flags in far.values()})
        return near.subjects()

    def test_two_way_sync_twice(self):
        sync = self.configure("ann")
        names = [f"far-{i}" for i in range(SIZE // 2)] + [f"near-{i}" for i in range(SIZE - SIZE // 2)]
        self.line().append("INBOX", [message(n) for n in names if n.startswith("far")])
        for n in names:
            if n.startswith("near"):
                self.near.add(n, "S")
        self.program(*sync)
        self.assertEqual(self.same("ann"), sorted(names))
        before = self.look()
        files = sorted(p.name for _, _, p in self.near.all())
        self.program(*sync)
        self.assertEqual(self.look(), before, "the second run changed the server's side")
        self.assertEqual(sorted(p.name for _, _, p in self.near.all()), files, "the second run changed the Maildir")

        # Flags and deletions of both sides at once.
        uids = {subject: uid for uid, (subject, _) in before.items()}
        t = self.line()
        t.ok("SELECT INBOX")
        for names_of, change in ((range(0, 40), r"+FLAGS (\Flagged)"), (range(20, 60), r"+FLAGS.SILENT (\Seen \Answered)"), (range(60, 80), r"+FLAGS (\Deleted)")):
            t.ok("UID STORE " + ",".join(str(uids[f"far-{i}"]) for i in names_of) + " " + change)
        t.ok("EXPUNGE")
        self.near.set_flags({f"near-{i}" for i in range(30)}, "FS")
        self.near.set_flags({f"near-{i}" for i in range(30, 60)}, "")
        self.near.set_flags({f"near-{i}" for i in range(60, 70)}, "ST")
        self.near.remove({f"near-{i}" for i in range(70, 80)})
        self.program(*sync)
        gone = {f"far-{i}" for i in range(60, 80)} | {f"near-{i}" for i in range(60, 80)}
        self.assertEqual(self.same("ann"), sorted(set(names) - gone))
        flags = self.flags_of()
        self.assertEqual({flags[f"far-{i}"] for i in range(20, 40)}, {frozenset({r"\Flagged", r"\Seen", r"\Answered"})})
        self.assertEqual({flags[f"near-{i}"] for i in range(30)}, {frozenset({r"\Flagged", r"\Seen"})})
        self.assertEqual({flags[f"near-{i}"] for i in range(30, 60)}, {frozenset()})

        # New folders on both sides, and one that goes.
        t.ok('CREATE "Work/2026 plans"')
        t.append("Work/2026 plans", [message(f"plan-{i}") for i in range(5)], r"\Seen")
        t.ok("CREATE Entw&APw-rfe")
        there = Maildir(self.folder / "mail" / "Lists" / "c-users")
        for i in range(5):
            there.add(f"list-{i}", "F")
        self.program(*sync)
        self.assertEqual(len(self.same("ann", "Work/2026 plans")), 5)
        self.assertEqual(len(self.same("ann", "Lists/c-users")), 5)
        self.assertTrue((self.folder / "mail" / "Entw&APw-rfe").is_dir() or (self.folder / "mail" / "Entwürfe").is_dir())
        self.assertEqual(self.flags_of("Lists/c-users"), {f"list-{i}": frozenset({r"\Flagged"}) for i in range(5)})
        t.ok("UNSELECT")
        t.ok("DELETE Entw&APw-rfe")
        before = self.look(), self.look("Lists/c-users")
        self.program(*sync)
        self.assertEqual((self.look(), self.look("Lists/c-users")), before)
        self.assertFalse(list((self.folder / "mail").glob("Entw*")), "a folder deleted on the server stays in the Maildir")

    def cut(self, sync, ready):
        """One run, with mailbox killed as soon as `ready` says so. False: it ended well, that was too late."""
        p = subprocess.Popen([str(a) for a in sync], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**os.environ, "HOME": str(self.folder)})
        reader = threading.Thread(target=p.stdout.read)
        reader.start()
        until(lambda: ready() or p.poll() is not None, "the middle of the run")
        if p.poll() is None:
            self.kill("mailbox")
        p.wait(120)
        reader.join()
        p.stdout.close()
        return p.returncode != 0

    def cut_at(self, marks, user, sync, add, count):
        """For each mark one run that is cut when so many have come over; `add` sees to it that there are enough."""
        for mark in marks:
            for _ in range(5):
                before = count()
                done = self.cut(sync, lambda: count() >= before + mark)
                self.back(user)
                if done:
                    break
                add()
            self.assertTrue(done, "each run was over before its middle")

    def test_mailbox_is_killed_while_the_maildir_is_being_uploaded(self):
        """mbsync does not know which of its APPENDs were done: it looks for them by a field of their header."""
        sync = self.configure("bob", "IMAPS")
        names = []

        def add():
            new = [f"up-{len(names) + i}" for i in range(SIZE // 2)]
            for n in new:
                self.near.add(n)
            names.extend(new)

        add()
        self.cut_at((1, SIZE // 5, SIZE // 8), "bob", sync, add, lambda: self.count("bob"))
        self.program(*sync)
        self.assertEqual(self.same("bob"), sorted(names), "lost or doubled")

    def test_mailbox_is_killed_while_the_account_is_being_downloaded(self):
        sync = self.configure("carl", "IMAPS")
        names = []

        def add():
            new = [f"down-{len(names) + i}" for i in range(SIZE // 2)]
            self.line("carl").append("INBOX", [message(n) for n in new])
            names.extend(new)

        add()
        self.cut_at((1, SIZE // 5), "carl", sync, add, lambda: len(self.near.all()))
        self.program(*sync)
        self.assertEqual(self.same("carl"), sorted(names), "lost or doubled")
        uids = self.look(user="carl")
        self.program(*sync)
        self.assertEqual(self.look(user="carl"), uids)
