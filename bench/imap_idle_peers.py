"""The servers of bench/imap_idle: any number of accounts, plain and TLS listeners, and the processes that belong to connections."""
import base64
import hashlib
import hmac
import sqlite3

import harness
import other_peers
import packages

PASSWORD = "correct horse battery"
SALT, ROUNDS = b"sixteen bytes of", 4096


class Peer:
    """roles: the programs a connection is held by, for a figure of their own."""

    def __init__(self, group):
        self.group = group

    def close(self):
        self.stop()
        self.group.close()


class Staffetta(Peer):
    name, roles = "Staffetta", ("staffetta-acces", "staffetta-mailb")

    def __init__(self, bench, group, accounts):
        super().__init__(group)
        with group:
            self.server = harness.Server({"log_level": "warning", "limits": {"connections": 50000, "connections_per_account": 50000}})
            self.server.start()
            self.server.domain("home.example")
            self.server.account("u0@home.example", password=PASSWORD)
            self.server.stop()
            self.multiply(accounts)
            self.server.start()
        self.port, self.tls_port = self.server.ports["imap"], self.server.ports["imaps"]
        self.users = [f"u{i}@home.example" for i in range(accounts)]

    def multiply(self, accounts):
        """u1, u2 ... with the credentials of u0: ten thousand times the command line would hash ten thousand passwords."""
        with sqlite3.connect(self.server.data / "directory" / "directory.db") as db:
            rows = [d[1] for d in db.execute("PRAGMA table_info(account)")]
            one = dict(zip(rows, db.execute("SELECT * FROM account WHERE key = 'u0@home.example'").fetchone()))
            for i in range(1, accounts):
                mail = f"u{i}@home.example"
                db.execute(f"INSERT INTO account ({', '.join(rows)}) VALUES ({', '.join('?' * len(rows))})",
                           [{"id": one["id"] + i, "key": mail, "address": mail}.get(r, one[r]) for r in rows])
            db.execute("UPDATE sequence SET last = last + ? WHERE name = 'principal'", (accounts,))
        db.close()
        self.server.own()

    def stop(self):
        self.server.stop()
        self.server.destroy()


def scram_of(password):
    """A password as a SCRAM-SHA-256 server keeps it (RFC 7677)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return "{SCRAM-SHA-256}%d,%s" % (ROUNDS, ",".join(base64.b64encode(b).decode() for b in (SALT, stored, server)))


class Dovecot(Peer):
    """Debian's package. A process a connection is its way; `lean` is what its manual offers against that: login processes that serve many
    connections, and clients in IDLE put to sleep in one process (imap-hibernate)."""
    name, roles, lean = "Dovecot", ("imap", "imap-login", "imap-hibernate"), False

    def __init__(self, bench, group, accounts):
        super().__init__(group)
        self.port, self.tls_port = harness.free_port(), harness.free_port()
        self.users = [f"u{i}@home.example" for i in range(accounts)]
        self.enclosure = e = packages.Enclosure(bench.unpacked("dovecot"), dict.fromkeys(("dovecot", "dovenull", "vmail"), "/nonexistent"))
        self.mail, self.state = e.folder_of("mail", "vmail"), e.folder_of("state")
        kept = scram_of(PASSWORD)
        e.add("/etc/dovecot/users", "".join(f"{u}:{kept}\n" for u in self.users))
        chain, key = bench.certificate
        e.add("/etc/dovecot/bench.conf", self.text(e, chain, key))
        with group:
            self.process = e.start(["/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/bench.conf"])
            other_peers.await_port(self.process, self.port, e, "Dovecot")

    def text(self, e, chain, key):
        lean = """
imap_hibernate_timeout = 1s
service imap {
    unix_listener imap-master {
        user = dovecot
        mode = 0666
    }
}
service imap-hibernate {
    chroot =
    unix_listener imap-hibernate {
        mode = 0666
    }
}
""" if self.lean else ""
        return f"""
protocols = imap
base_dir = {e.data}/base
state_dir = {self.state}
log_path = {e.data}/dovecot.log
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain scram-sha-256
auth_cache_size = 20M
mail_location = mdbox:~/mdbox
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
mail_max_userip_connections = 100000
default_process_limit = 2000
default_client_limit = 20000
passdb {{
    driver = passwd-file
    args = /etc/dovecot/users
}}
userdb {{
    driver = static
    args = uid=vmail gid=vmail home={self.mail}/%u allow_all_users=yes
}}
service anvil {{
    chroot =
}}
service imap-login {{
    chroot =
    {"service_count = 0" if self.lean else ""}
    {"process_min_avail = 2" if self.lean else ""}
    inet_listener imap {{
        address = 127.0.0.1
        port = {self.port}
    }}
    inet_listener imaps {{
        address = 127.0.0.1
        port = {self.tls_port}
        ssl = yes
    }}
}}
{lean}"""

    def stop(self):
        other_peers.end(self.process)
        self.enclosure.close()


class DovecotLean(Dovecot):
    name, lean = "Dovecot, login processes shared and IDLE hibernated", True
