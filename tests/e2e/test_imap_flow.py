"""imapflow, the IMAP client of many web mails and services written for Node: tests/e2e/imapflow/session.mjs over both kinds of TLS.

`npm ci` brings it, in the versions of package-lock.json, into the cache folder of these tests, once."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import debs
import harness
from harness import PASSWORD
from imap_clients import Clients

HERE = pathlib.Path(harness.TOP) / "tests" / "e2e" / "imapflow"


def installed():
    """The folder where imapflow of package-lock.json is."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = debs.cache() / ("imapflow-" + hashlib.sha256(lock).hexdigest()[:16])
    if not folder.exists():
        fresh = pathlib.Path(tempfile.mkdtemp(prefix="imapflow-", dir=folder.parent))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, fresh)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=fresh, capture_output=True, text=True, timeout=300)
        if done.returncode:
            shutil.rmtree(fresh)
            raise RuntimeError(f"npm ci: {done.stderr.strip()}")
        try:
            os.rename(fresh, folder)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
    return folder


class Imapflow(Clients):
    users = ("implicit", "starttls")

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.modules = installed()

    def session(self, tls):
        port = self.server.ports["imaps" if tls == "implicit" else "imap"]
        done = self.program("node", HERE / "session.mjs", port, tls, f"{tls}@home.example", PASSWORD, self.server.chain, cwd=self.modules)
        self.assertIn("held: all 10", done.stdout)

    def test_over_implicit_tls(self):
        self.session("implicit")

    def test_over_starttls(self):
        self.session("starttls")
