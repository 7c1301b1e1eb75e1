"""A server that `staffetta setup` made, in a folder of its own: nothing of it comes from the harness."""
import pathlib
import shutil
import subprocess
import tempfile

import harness

PORTS = {"mx": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "pop3s": 995, "metrics": 9225}


OFFSET = 20000


class Own(harness.Server):
    def __init__(self, hostname="mail.example.org"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-own-"))
        self.hostname, self.process, self.as_root, self.environ = hostname, None, False, {}
        self.file, self.log = self.folder / "staffetta.conf", self.folder / "server.log"
        self.data, self.chain = self.folder / "data", self.folder / "chain.pem"
        self.ports = {name: harness.free_port() for name in PORTS}
        self.own()

    def setup(self, *more, password=harness.PASSWORD, check=True, environ=None, account="ann", listen="127.0.0.1"):
        options = [*more, f"--folder={self.folder}", f"--port-offset={OFFSET}", f"--account={account}"]  # the first of two counts
        options += [f"--listen={listen}"] if listen else []
        done = subprocess.run(self.command("setup", self.hostname, *options), input=password + "\n", capture_output=True, text=True, timeout=120,
                              env={**self.env(), **(environ or {})}, cwd=self.folder, **self.identity())
        if check and done.returncode:
            raise AssertionError(f"setup: exit {done.returncode}\n{done.stdout}{done.stderr}")
        if done.returncode == 0:  # ports that nobody else has
            text = self.file.read_text()
            for name, port in PORTS.items():
                text = text.replace(f"port = {port + OFFSET} ", f"port = {self.ports[name]} ")
            self.file.write_text(text)
        return done

    def destroy(self):
        self.kill_tree()
        shutil.rmtree(self.folder, True)
