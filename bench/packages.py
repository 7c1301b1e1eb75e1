"""Programs of Debian packages without installing them: downloaded, unpacked into a folder, and run in a mount namespace of
their own in which that folder lies, read only, over the system's. So each finds its libraries, its users and its compiled-in
paths, and nothing else on the machine sees any of it."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import debs
import harness
import postfix

PLACES = ("etc", "usr", "var/lib", "var/spool")  # what is laid over
PACKAGES = {"opensmtpd": ["opensmtpd"], "exim": ["exim4-daemon-light"], "dovecot": ["dovecot-core", "dovecot-lmtpd", "dovecot-imapd"]}


class Packages:
    """Unpacks each once a run; what was downloaded stays in the cache of tests/e2e/debs.py."""

    def __init__(self, folder):
        self.folder, self.known = folder, {}

    def get(self, name):
        if name not in self.known:
            self.known[name] = postfix.unpack(self.folder) if name == "postfix" else self.unpack(name)
        return self.known[name]

    def unpack(self, name):
        target = debs.unpack(self.folder / name, *self.missing(PACKAGES[name]))
        # On a system where /lib is a link, a folder of that name on top would hide it.
        if (target / "lib").is_dir():
            shutil.copytree(target / "lib", target / "usr/lib", dirs_exist_ok=True)
            shutil.rmtree(target / "lib")
        return target

    @staticmethod
    def missing(names):
        """The packages themselves and the libraries they need that this machine lacks."""
        argv = ["apt-get", "install", "--print-uris", "-qq", "-y", "--no-install-recommends", *names]
        files = re.findall(r"' ([^_ ]+)_", harness.run(*argv).stdout)
        return [f for f in files if f in names or f.startswith("lib") or f == "exim4-base"]


class Enclosure:
    """The system's folders, a package over them, and a few files over that; users by name and home."""

    def __init__(self, package, users):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-peer-"))
        self.folder.chmod(0o755)
        self.package, self.layer, self.data, self.binds = package, self.folder / "layer", self.folder / "data", []
        for f in (self.layer / "etc", self.data):
            f.mkdir(parents=True)
        self.ids = {name: 61000 + i for i, name in enumerate(users)}
        self.add_users(users)
        self.add("/etc/resolv.conf", "lookup file\nnameserver 127.0.0.1\n")  # nobody there: no question leaves this machine

    def add(self, path, text):
        target = self.layer / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def add_users(self, users):
        passwd, group = (pathlib.Path(f"/etc/{n}").read_text() for n in ("passwd", "group"))
        for name, home in users.items():
            passwd += f"{name}:x:{self.ids[name]}:{self.ids[name]}::{home}:/usr/sbin/nologin\n"
            group += f"{name}:x:{self.ids[name]}:\n"
        self.add("/etc/passwd", passwd)
        self.add("/etc/group", group)

    def folder_of(self, name, owner=None, mode=0o755, at=None):
        """A writable folder below data; at: the path it has inside."""
        path = self.data / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        if owner:
            os.chown(path, self.ids[owner], self.ids[owner])
        if at:
            (self.layer / at.lstrip("/")).mkdir(parents=True, exist_ok=True)
            self.binds.append((path, pathlib.Path(at)))
        return path

    def command(self, argv):
        """argv as it has to be run so that it runs inside."""
        script = []
        for place in PLACES:
            above = [str(f / place) for f in (self.layer, self.package) if (f / place).is_dir()]
            if above:
                script.append(f'mount -t overlay overlay -o "lowerdir={":".join(above)}:/{place}" /{place}')
        script += ["mount -t tmpfs tmpfs /run", *(f'mount --bind "{source}" "{target}"' for source, target in self.binds), 'exec "$@"']
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", " && ".join(script), "sh", *map(str, argv)]

    def start(self, argv, **more):
        """Runs it inside; what it says is in the file `stdout`."""
        with open(self.folder / "stdout", "ab") as out:
            return subprocess.Popen(self.command(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **more)

    def said(self):
        return "\n".join((self.folder / "stdout").read_text(errors="replace").splitlines()[-30:])

    def close(self):
        shutil.rmtree(self.folder, True)
