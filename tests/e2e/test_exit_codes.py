"""Exit codes of the commands that move mailboxes (docs/commands.md): wrong arguments of each, and every other code of the table."""
import os
import shutil
import subprocess
import tempfile

from harness import TOP, Case, letter, stage
from test_migrate import Maildir, text

COMMANDS = ("mailbox import", "mailbox export", "mailbox check", "account backup", "account restore", "account verify")


def table():
    """The pairs of command and code that the page has."""
    page = (TOP / "docs" / "commands.md").read_text()
    lines = page.split("| code | `mailbox import`")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    return {(command, int(row[0])) for row in cells for command, cell in zip(COMMANDS, row[1:]) if cell}


class ExitCodes(Case):
    tried = set()

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in ("ann", "bob", "empty"):
            cls.server.account(f"{user}@home.example")
        cls.put("ann")
        cls.put("bob")
        cls.place = cls.server.folder / "data" / "place"
        cls.place.mkdir()
        good = Maildir(cls.place / "good")
        good.add(text("one"), "1600000001.M1.host:2,S")
        bad = Maildir(cls.place / "bad")
        bad.add(b"", "1600000002.M2.host:2,S")
        (cls.place / "text").write_text("no mail\n")
        cls.server.own()

    @classmethod
    def put(cls, user):
        with cls.server.imap(f"{user}@home.example") as c:
            c.append("INBOX", None, None, letter().encode())

    def ends(self, command, words, code, said="", **more):
        self.tried.add((command, code))
        more = {"input": "", "env": self.server.env(), **self.server.identity(), **more}
        done = subprocess.run(self.server.command(*command.split(), *words), capture_output=True, text=True, timeout=120, cwd=self.server.folder, **more)
        self.assertEqual(done.returncode, code, f"{command} {words}: {done.stdout}{done.stderr}")
        self.assertIn(said, done.stderr)
        if code == 64:
            self.assertIn("staffetta: ", done.stderr)

    def test_1_wrong_arguments(self):
        ann, place = "ann@home.example", self.place
        for command, lists in {
                "mailbox import": ([], [ann], [ann, "maildir"], [ann, "pigeon", place], [ann, "maildir", place, "more"], [ann, "maildir", place, "--fast"],
                                   [ann, "imap", "http://x"], [ann, "imap", "imaps://u:p@host"], [ann, "imap", "imaps://u@host", "--tls=none"],
                                   [ann, "maildir", place, "--folder"]),
                "mailbox export": ([], [ann], [ann, "mbox"], [ann, "imap", "imaps://u@host"], [ann, "mbox", place, "more"], [ann, "mbox", place, "--ca=x"]),
                "mailbox check": ([], [ann, "more"], [ann, "--deep"]),
                "account backup": ([], [ann], [ann, place / "x", "more"], [ann, place / "x", "--overwrite"]),
                "account restore": ([], [ann], [ann, place / "x", "more"], [ann, place / "x", "--fast"], [ann, place / "x", "--overwrite=yes"]),
                "account verify": ([], [place / "x", "more"], [place / "x", "--overwrite"])}.items():
            for words in lists:
                with self.subTest(command=command, words=words):
                    self.ends(command, words, 64)
        self.assertFalse((place / "x").exists())

    def test_2_the_others(self):
        ann, empty, place, port = "ann@home.example", "empty@home.example", self.place, self.server.ports["imaps"]
        url, ca = f"imaps://bob%40home.example@127.0.0.1:{port}", f"--ca={self.server.chain}"
        file = place / "ann.backup"
        for command, words, code, said in (
                ("mailbox check", [empty], 66, "no mailbox yet"),
                ("account backup", [ann, file], 0, ""), ("account backup", [ann, file], 73, "there already"),
                ("account backup", [ann, "/nowhere/x"], 74, "No such file"), ("account backup", ["x@home.example", place / "y"], 67, "x@home.example"),
                ("account verify", [file], 0, ""), ("account verify", ["/nowhere"], 66, "No such file"), ("account verify", [place / "text"], 65, "no backup"),
                ("account restore", [ann, file], 73, "--overwrite"), ("account restore", ["x@home.example", file], 67, "x@home.example"),
                ("account restore", [ann, "/nowhere"], 66, "No such file"), ("account restore", [ann, place / "text"], 65, "no backup"),
                ("account restore", [empty, file], 0, ""),
                ("mailbox import", [ann, "maildir", place / "good"], 0, ""), ("mailbox import", [ann, "maildir", place / "bad"], 65, "it is empty"),
                ("mailbox import", [ann, "maildir", "/nowhere"], 66, "No such file"), ("mailbox import", ["x@home.example", "maildir", place], 67, ""),
                ("mailbox import", [ann, "imap", url], 66, "no password"), ("mailbox import", [ann, "imap", "imaps://x@127.0.0.1:1"], 75, "refused"),
                ("mailbox import", [ann, "imap", url, ca], 77, "login"), ("mailbox import", [ann, "imap", url], 66, "not trusted"),
                ("mailbox export", [ann, "mbox", place / "out"], 0, ""), ("mailbox export", [ann, "mbox", place / "out2", "--folder=No"], 66, "no folder"),
                ("mailbox export", ["x@home.example", "mbox", place / "out3"], 67, ""), ("mailbox check", [ann], 0, ""),
                ("mailbox check", ["x@home.example"], 67, "")):
            with self.subTest(command=command, words=words):
                self.ends(command, words, code, said, input="" if said == "no password" else "wrong\n")
        with self.server.imap(ann) as c:
            c.create("n" * 300)
        self.ends("mailbox export", [ann, "mbox", place / "out4"], 65, "not exported")

    def test_3_no_program_and_no_administrator(self):
        file = self.place / "lonely.backup"
        self.server.cli("account", "backup", "ann@home.example", file)
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            shutil.copy(stage() / "staffetta", folder)
            self.ends("account verify", [file], 69, "No such file", env={**self.server.env(), "STAFFETTA_LIBEXEC": folder})
        if os.geteuid() == 0:
            os.chmod(self.server.file, 0o644)
            os.chmod(file, 0o644)
            other = {"user": 65533, "group": 65533, "extra_groups": []}
            for command, words in (("mailbox import", ["maildir", self.place]), ("mailbox export", ["mbox", "/tmp/x"]), ("mailbox check", []),
                                   ("account backup", ["/nowhere/x"]), ("account restore", [file])):
                self.ends(command, ["ann@home.example", *words], 77, "only root", **other)

    def test_4_damage_and_no_server(self):
        number = self.server.rows("account", "show", "ann@home.example")[0]["id"]
        path = self.server.data / "mailbox" / f"{number % 256:02x}" / f"{number}.db"
        file = self.place / "last.backup"
        self.server.cli("account", "backup", "ann@home.example", file)
        self.server.stop()
        for command, words in (("mailbox import", ["maildir", self.place / "good"]), ("mailbox export", ["mbox", self.place / "no"]),
                               ("account backup", [self.place / "no"]), ("account restore", [file])):
            self.ends(command, ["ann@home.example", *words], 75, "needs the running server")
        raw = bytearray(path.read_bytes())
        for page in range(8, len(raw) // 4096):  # behind the first pages, so that it opens
            raw[page * 4096:page * 4096 + 8] = b"\xff" * 8
        path.write_bytes(raw)
        self.server.start()
        self.ends("mailbox check", ["ann@home.example"], 65)

    def test_5_the_table(self):
        """What the page has is tried; but for what cannot be made here: a file that cannot be read to its end, a database that SQLite refuses to
        copy, a role that is down just then."""
        rare = {("account restore", 74), ("account verify", 74), ("account backup", 65), ("mailbox check", 75)}
        administrators = {(c, 77) for c in COMMANDS[:5]} - {("mailbox import", 77)} if os.geteuid() != 0 else set()
        self.assertEqual(table() - rare - administrators, self.tried - rare)
