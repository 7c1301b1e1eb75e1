"""`staffetta setup`: from an empty folder to a server that runs, whatever interrupts it; `staffetta dns`: the records, as a zone that nsd takes."""
import json
import os
import shutil
import stat
import subprocess
import tempfile
import unittest

import harness
from own import Own

ADDRESSES = ("--address=192.0.2.1", "--address=2001:db8::1")


def checkzone(text, zone):
    with tempfile.NamedTemporaryFile("w", suffix=".zone") as f:
        f.write(text)
        f.flush()
        program = shutil.which("nsd-checkzone") or "/usr/sbin/nsd-checkzone"
        done = subprocess.run([program, zone, f.name], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


class Setup(unittest.TestCase):
    def setUp(self):
        self.server = Own()
        self.addCleanup(self.server.destroy)

    def files(self):
        return {p.relative_to(self.server.folder): p.read_bytes() for p in self.server.folder.rglob("*") if p.is_file()}

    def test_everything_is_there(self):
        done = self.server.setup(*ADDRESSES)
        modes = {p: stat.S_IMODE(os.stat(self.server.folder / p).st_mode) for p in ("staffetta.conf", "key.pem", "chain.pem", "data", "data/directory")}
        self.assertEqual(modes, {"staffetta.conf": 0o644, "key.pem": 0o600, "chain.pem": 0o644, "data": 0o711, "data/directory": 0o700})
        self.assertEqual(self.server.cli("check-config").returncode, 0)
        self.assertEqual([d["name"] for d in self.server.rows("domain", "list")], ["example.org"])
        self.assertEqual([a["address"] for a in self.server.rows("account", "list")], ["ann@example.org"])
        self.assertEqual({k["state"] for k in self.server.rows("dkim", "list")}, {"waiting"})
        now = self.server.cli("dns", "example.org").stdout
        self.assertEqual([l for l in done.stdout.splitlines() if "SRV" not in l], [l for l in now.splitlines() if "SRV" not in l])
        self.server.start()
        with self.server.smtp("submission", login="ann@example.org") as client:
            self.assertEqual(client.noop()[0], 250)
        self.assertEqual(self.server.stop(), 0)

    def test_a_finished_setup_is_left_alone(self):
        self.server.setup(*ADDRESSES)
        before = self.files()
        again = self.server.setup(*ADDRESSES, password="another one", check=False)
        self.assertEqual(again.returncode, 73)
        self.assertIn("is there already, for mail.example.org with 7 listeners", again.stderr)
        self.assertEqual(self.files(), before)

    def test_an_interrupted_setup_goes_on(self):
        """The program of directory fails at the 1st, 2nd, 3rd ... command."""
        programs = self.server.folder / "programs"
        programs.mkdir()
        real = harness.stage() / "staffetta-directory"
        (programs / "staffetta-directory").write_text(
            f'#!/bin/sh\ncd "$(dirname "$0")"\necho x >>calls\n[ "$(wc -l <calls)" -lt "$(cat limit)" ] || kill -9 $$\nexec {real} "$@"\n')
        (programs / "staffetta-directory").chmod(0o755)
        self.server.own()
        for limit in range(1, 30):
            (programs / "limit").write_text(f"{limit}\n")
            (programs / "calls").unlink(missing_ok=True)
            done = self.server.setup(*ADDRESSES, check=False, environ={"STAFFETTA_LIBEXEC": str(programs)}, password=f"password {limit}")
            if done.returncode == 0:
                break
            self.assertIn("run it again", done.stderr)
            self.assertFalse(self.server.file.exists())
        self.assertGreater(limit, 5)
        self.assertEqual(len(self.server.rows("dkim", "list")), 2)
        self.assertFalse(list(self.server.folder.glob("*.unfinished")) + list(self.server.folder.glob("*.part")))
        self.server.start()
        with self.server.smtp("submission", login="ann@example.org", password=f"password {limit}"):
            pass
        self.assertEqual(self.server.stop(), 0)

    def test_a_certificate_that_is_there(self):
        other = Own()
        self.addCleanup(other.destroy)
        chain, key = harness.make_certificate(other.folder, "given", ["mail.example.org"])
        other.own()
        self.server.setup(*ADDRESSES, f"--certificate={chain}", f"--key={key}")
        self.assertFalse((self.server.folder / "key.pem").exists())
        public = subprocess.run(["openssl", "x509", "-in", chain, "-noout", "-pubkey"], capture_output=True, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, capture_output=True, check=True).stdout
        digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout.split()[0].decode()
        self.assertIn(f"_25._tcp.mail.example.org. 3600 IN TLSA 3 1 1 {digest}", self.server.cli("dns", "example.org").stdout)

    def test_anothers_certificate_is_not_overwritten(self):
        chain, key = harness.make_certificate(self.server.folder, "chain", ["other.example"])
        key.rename(self.server.folder / "key.pem")
        self.server.own()
        done = self.server.setup(*ADDRESSES, check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("is not for mail.example.org", done.stderr)
        self.assertFalse(self.server.file.exists())

    def test_wrong_answers(self):
        for more, words in ((("--address=300.1.1.1",), "no IP address"), (("--certificate=/x",), "go together"), (("--port-offset=x",), "expected a number"),
                            (("--domain=org",), "is no domain"), (("--account=x@other.example", *ADDRESSES), "is not in example.org")):
            with self.subTest(more):
                done = self.server.setup(*more, check=False)
                self.assertEqual(done.returncode, 65, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertEqual(self.files(), {})

    def test_the_records(self):
        self.server.setup(*ADDRESSES)
        zone = self.server.cli("dns", "example.org", "--name-server=ns.example.net").stdout
        code, said = checkzone(zone, "example.org")
        self.assertEqual(code, 0, said)
        rows = [json.loads(line) for line in self.server.cli("dns", "example.org", "--json").stdout.splitlines()]
        self.assertEqual({r["for"] for r in rows}, {"address", "ptr", "mx", "spf", "helo-spf", "dkim", "dmarc", "tlsrpt", "tlsa", "srv", "caa"})
        lines = {l.removeprefix("; ") for l in zone.splitlines()}
        for r in rows:
            self.assertIn(f"{r['name']}. 3600 IN {r['type']} {r['data']}", lines)
        for label, name in (("_imaps", "imaps"), ("_imap", "imap"), ("_submissions", "submissions"), ("_submission", "submission"), ("_pop3s", "pop3s")):
            self.assertRegex(zone, rf"(?m)^{label}\._tcp\.example\.org\. 3600 IN SRV \d+ 1 {self.server.ports[name]} mail\.example\.org\.$")
        # A second domain: what belongs to the server stands in another zone.
        self.server.domain("second.example")
        self.server.cli("dkim", "make", "second.example")
        zone = self.server.cli("dns", "second.example", "--name-server=ns.example.net").stdout
        self.assertEqual(checkzone(zone, "second.example")[0], 0)
        self.assertRegex(zone, r"(?m)^; mail\.example\.org\. 3600 IN A 192\.0\.2\.1$")
        self.assertEqual(self.server.cli("dns", "nobody.example", check=False).returncode, 68)


@unittest.skipUnless(harness.may_mount(), "needs root with mount namespaces")
class AsRoot(unittest.TestCase):
    def test_whose_files_they_are(self):
        """The directory belongs to its user, everything else to root; a setup without those users can be run again."""
        server = Own()
        self.addCleanup(server.destroy)
        server.as_root = True
        os.chown(server.folder, 0, 0)
        self.assertNotEqual(server.setup(*ADDRESSES, check=False).returncode, 0)
        self.assertFalse(server.file.exists())
        words = server.command("setup", server.hostname, *ADDRESSES, f"--folder={server.folder}", "--account=ann")
        subprocess.run(harness.with_users(server.folder, words), input="a password\n", text=True, env=server.env(), check=True, capture_output=True, timeout=120)
        owners = {p: os.stat(server.folder / p).st_uid for p in ("staffetta.conf", "key.pem", "data", "run")}
        self.assertEqual(set(owners.values()), {0}, owners)
        self.assertNotEqual(os.stat(server.data / "directory" / "directory.db").st_uid, 0)
        self.assertEqual(stat.S_IMODE(os.stat(server.folder / "key.pem").st_mode), 0o600)
        self.assertIn('listen "mx" { service = "mx" }', server.file.read_text())


if __name__ == "__main__":
    unittest.main()
