"""Debian's Postfix, unpacked into a folder of its own: nothing is installed, no service is started, no user is added.

The users it wants exist for its process tree only (a mount namespace, so root is needed). It is used as the server on the
other side in the tests, and as the one to compare with in bench/.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import debs
from harness import free_port, listening, until, with_users

USERS = ["postfix", "postdrop"]
QUEUE_FOLDERS = "active bounce corrupt defer deferred flush hold incoming private public saved trace maildrop pid"
MASTER = """
{port}    inet  n  -  n  -  -  smtpd
pickup    unix  n  -  n  60 1  pickup
cleanup   unix  n  -  n  -  0  cleanup
qmgr      unix  n  -  n  300 1 qmgr
tlsmgr    unix  -  -  n  1000? 1 tlsmgr
rewrite   unix  -  -  n  -  -  trivial-rewrite
bounce    unix  -  -  n  -  0  bounce
defer     unix  -  -  n  -  0  bounce
trace     unix  -  -  n  -  0  bounce
verify    unix  -  -  n  -  1  verify
proxymap  unix  -  -  n  -  -  proxymap
smtp      unix  -  -  n  -  -  smtp
relay     unix  -  -  n  -  -  smtp
lmtp      unix  -  -  n  -  -  lmtp
showq     unix  n  -  n  -  -  showq
error     unix  -  -  n  -  -  error
retry     unix  -  -  n  -  -  error
discard   unix  -  -  n  -  -  discard
virtual   unix  -  n  n  -  -  virtual
anvil     unix  -  -  n  -  1  anvil
scache    unix  -  -  n  -  1  scache
postlog   unix-dgram n - n  -  1  postlogd
"""


def unpack(folder):
    """Debian's postfix package below folder."""
    return debs.unpack(pathlib.Path(folder) / "postfix", "postfix")


def tool(root, name):
    """argv and environment of a program of the package (smtp-source, smtp-sink, postqueue ...)."""
    return str(root / "usr/sbin" / name), environment(root)


def environment(root):
    return {**os.environ, "LD_LIBRARY_PATH": str(root / "usr/lib/postfix"), "LC_ALL": "C"}


class Postfix:
    """A running instance on 127.0.0.1. main: lines for main.cf; users: for local recipients, see `virtual`."""

    def __init__(self, root, port=None, ip="127.0.0.1", main=None, domains=None, mailboxes=()):
        self.root, self.port, self.ip = pathlib.Path(root), port or free_port(), ip
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-postfix-"))
        os.chmod(self.folder, 0o755)
        self.config, self.queue, self.mail = (self.folder / n for n in ("etc", "queue", "mail"))
        self.data = self.folder / "data"
        for f in (self.config, self.queue, self.data, self.mail):
            f.mkdir()
        self.ids = {name: 61000 + i for i, name in enumerate(USERS)}
        self.prepare_queue()
        self.write(main or {}, domains or [], mailboxes)
        self.log = self.folder / "postfix.log"
        env = {**environment(self.root), "MAIL_CONFIG": str(self.config), "MAIL_LOGTAG": "postfix"}
        self.process = subprocess.Popen(
            with_users(self.folder, [str(self.root / "usr/lib/postfix/sbin/master"), "-c", str(self.config), "-d"], USERS),
            stdin=subprocess.DEVNULL, stdout=open(self.folder / "stdout", "wb"), stderr=subprocess.STDOUT, env=env)
        try:
            until(lambda: self.process.poll() is not None or listening(self.port, self.ip), "Postfix to listen", 30)
            if self.process.poll() is not None:
                raise AssertionError(f"Postfix ended with {self.process.returncode}")
        except AssertionError as failure:
            text = self.text()
            self.close()
            raise AssertionError(f"{failure}\n{text}")

    def prepare_queue(self):
        owner = self.ids["postfix"]
        for name in QUEUE_FOLDERS.split():
            path = self.queue / name
            path.mkdir()
            os.chmod(path, {"maildrop": 0o1730, "public": 0o2710, "pid": 0o755}.get(name, 0o700))
            os.chown(path, 0 if name == "pid" else owner, self.ids["postdrop"] if name in ("maildrop", "public") else 0)
        os.chown(self.data, owner, owner)
        os.chown(self.mail, owner, owner)
        os.chmod(self.queue, 0o755)

    def write(self, main, domains, mailboxes):
        lib = self.root / "usr/lib/postfix"
        settings = {
            "compatibility_level": "3.6", "queue_directory": self.queue, "data_directory": self.data, "mail_owner": "postfix",
            "setgid_group": "postdrop", "daemon_directory": lib / "sbin", "command_directory": self.root / "usr/sbin",
            "shlib_directory": lib, "meta_directory": self.root / "etc/postfix", "maillog_file": self.folder / "postfix.log",
            "maillog_file_prefixes": self.folder, "import_environment": "MAIL_CONFIG MAIL_LOGTAG LD_LIBRARY_PATH TZ LC_ALL",
            "myhostname": "postfix.remote.example", "mydestination": "", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8", "alias_maps": "", "alias_database": "", "local_recipient_maps": "", "biff": "no",
            "smtp_dns_support_level": "disabled", "smtputf8_enable": "yes", "minimal_backoff_time": "5s", "queue_run_delay": "5s",
            "default_database_type": "texthash", "smtpd_peername_lookup": "no",
        }
        if domains:
            names = "\n".join(f"{m} {m}/" for m in mailboxes)
            (self.config / "mailboxes").write_text(names + "\n")
            settings |= {"virtual_mailbox_domains": " ".join(domains), "virtual_mailbox_base": self.mail,
                         "virtual_mailbox_maps": f"texthash:{self.config}/mailboxes", "virtual_uid_maps": f"static:{self.ids['postfix']}",
                         "virtual_gid_maps": f"static:{self.ids['postfix']}", "virtual_minimum_uid": "1", "virtual_mailbox_limit": "0"}
        settings |= main
        (self.config / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in settings.items()))
        (self.config / "master.cf").write_text(MASTER.format(port=f"{self.ip}:{self.port}"))

    def text(self):
        parts = [p.read_text(errors="replace") for p in (self.folder / "stdout", self.folder / "postfix.log") if p.exists()]
        return "\n".join("".join(parts).splitlines()[-60:])

    def messages(self, mailbox):
        """The messages of a maildir."""
        return [p.read_bytes() for p in sorted((self.mail / mailbox / "new").glob("*"))]

    def queued(self):
        return sum(1 for q in ("incoming", "active", "deferred", "maildrop") for p in (self.queue / q).rglob("*") if p.is_file())

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
