"""The servers of bench/imap: Staffetta, and Dovecot from its unpacked packages. `port` is that of IMAP, `lmtp` that of LMTP."""
import time

import harness
import other_peers
import packages

USER, PASSWORD = "ann@home.example", harness.PASSWORD


class Staffetta:
    name = "Staffetta"

    def __init__(self, bench, options, accounts):
        limits = {"connections": 1000}
        self.server = harness.Server({"log_level": "warning", "limits": limits, "copies": {"mailbox": options.copies}})
        self.server.start()
        self.server.domain("home.example")
        for user in (USER, *(f"u{i}@home.example" for i in range(accounts))):
            self.server.account(user)
        self.port, self.lmtp = self.server.ports["imap"], self.server.ports["lmtp"]

    def settle(self):
        pass

    def indexed(self, messages):
        """Waits until that many are in the search index; how long that took. To ask costs the server a second, so it is asked seldom."""
        began = time.monotonic()
        while self.server.rows("mailbox", "check", USER)[0]["indexed"] < messages:
            time.sleep(10)
        return time.monotonic() - began

    def stored(self):
        """Until the queue is empty: with LMTP a message is in the queue when it is answered, and in its mailbox a moment later."""
        harness.until(lambda: not self.server.cli("queue", "list", "--limit=1").stdout.strip(), "all mail to be in the mailboxes", 60)

    def close(self):
        self.server.stop()
        self.server.destroy()


class Dovecot:
    """From its unpacked packages; filled without fsync, then started anew with it."""
    name = "Dovecot"

    def __init__(self, bench, options, accounts):
        self.port, self.lmtp, self.format = harness.free_port(), harness.free_port(), options.format
        self.enclosure = packages.Enclosure(bench.unpacked("dovecot"), dict.fromkeys(("dovecot", "dovenull", "vmail"), "/nonexistent"))
        self.mail, self.state = self.enclosure.folder_of("mail", "vmail"), self.enclosure.folder_of("state")
        self.start("never")

    def start(self, fsync):
        e = self.enclosure
        e.add("/etc/dovecot/bench.conf", f"""
protocols = imap lmtp
postmaster_address = postmaster@home.example
base_dir = {e.data}/base
state_dir = {self.state}
log_path = {e.data}/dovecot.log
ssl = no
disable_plaintext_auth = no
mail_fsync = {fsync}
mail_location = {self.format}:~/{self.format}
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
mail_max_userip_connections = 100
passdb {{
    driver = static
    args = nopassword=y
}}
userdb {{
    driver = static
    args = uid=vmail gid=vmail home={self.mail}/%u allow_all_users=yes
}}
service lmtp {{
    process_min_avail = 4
    inet_listener lmtp {{
        address = 127.0.0.1
        port = {self.lmtp}
    }}
}}
service anvil {{
    chroot =
}}
service imap-login {{
    chroot =
    inet_listener imap {{
        address = 127.0.0.1
        port = {self.port}
    }}
    inet_listener imaps {{
        port = 0
    }}
}}
""")
        self.process = e.start(["/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/bench.conf"])
        other_peers.await_port(self.process, self.port, e, "Dovecot")

    def settle(self):
        other_peers.end(self.process)
        self.start("optimized")

    def stored(self):
        """LMTP answers when the message is in the mailbox."""

    def close(self):
        other_peers.end(self.process)
        self.enclosure.close()


PEERS = {"staffetta": Staffetta, "dovecot": Dovecot}
