"""Debian's Dovecot, unpacked and run in a mount namespace of its own (bench/packages.py): the server that mail is brought from.
Maildir++ below `mail`, a namespace with the prefix INBOX., implicit TLS with a certificate of the test. Users of `mdbox` have their mail in that format."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import packages  # noqa: E402
from harness import free_port, listening, make_certificate, until  # noqa: E402

PASSWORD = "secret"

CONFIG = """
protocols = imap
base_dir = {data}/base
state_dir = {state}
log_path = {data}/dovecot.log
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
mail_location = maildir:~/Maildir
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
namespace inbox {{
    inbox = yes
    prefix = INBOX.
    separator = .
}}
passdb {{
    driver = static
    args = password={password}
}}
userdb {{
    driver = passwd-file
    args = /etc/dovecot/mdbox-users
}}
userdb {{
    driver = static
    args = uid=vmail gid=vmail home={mail}/%u allow_all_users=yes
}}
service anvil {{
    chroot =
}}
service imap-login {{
    chroot =
    inet_listener imap {{
        address = 127.0.0.1
        port = {plain}
    }}
    inet_listener imaps {{
        address = 127.0.0.1
        port = {port}
        ssl = yes
    }}
}}
"""


class Dovecot:
    password = PASSWORD

    def __init__(self, more="", files=None, mdbox=()):
        """more: configuration, which stands first; files: by path, what is to be there for it."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-dovecot-"))
        self.folder.chmod(0o755)
        self.port, self.plain = free_port(), free_port()
        package = packages.Packages(self.folder).get("dovecot")
        self.enclosure = e = packages.Enclosure(package, dict.fromkeys(("dovecot", "dovenull", "vmail"), "/nonexistent"))
        self.mail, state = e.folder_of("mail", "vmail"), e.folder_of("state")
        self.vmail = e.ids["vmail"]
        self.chain, key = make_certificate(self.folder, "dovecot", ["localhost"])
        config = CONFIG.format(data=e.data, state=state, chain=self.chain, key=key, password=PASSWORD, mail=self.mail, port=self.port, plain=self.plain)
        e.add("/etc/dovecot/dovecot.conf", more + config)
        e.add("/etc/dovecot/mdbox-users", "".join(
            f"{u}::{self.vmail}:{self.vmail}::{self.mail}/{u}::userdb_mail=mdbox:~/mdbox\n" for u in mdbox))
        for path, text in (files or {}).items():
            e.add(path, text)
        self.process = e.start(["/usr/sbin/dovecot", "-F"])
        until(lambda: self.process.poll() is not None or listening(self.port), "Dovecot to listen", 60)
        if self.process.poll() is not None:
            raise RuntimeError(f"Dovecot ended with {self.process.returncode}\n{e.said()}")

    def own(self, path):
        for p in [path, *path.rglob("*")]:
            os.chown(p, self.vmail, self.vmail)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.enclosure.close()
        shutil.rmtree(self.folder, True)
