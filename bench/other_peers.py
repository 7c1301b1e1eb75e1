"""OpenSMTPD, Exim, and Postfix that delivers to Dovecot. Accepting, the first two only queue (their mail waits for a runner that
never comes); Postfix and Staffetta also throw the mail away afterwards, which is the larger work."""
import contextlib
import os
import shutil
import signal
import subprocess

import harness
import packages
import peers


class Enclosed(peers.Peer):
    """A peer in a root of its own: give the enclosure and the command."""

    def start(self):
        self.port = harness.free_port()
        self.prepare()
        self.process = self.enclosure.start(self.command())
        await_port(self.process, self.port, self.enclosure, self.name)

    def stop(self):
        try:
            end(self.process)
        finally:
            self.enclosure.close()


def await_port(process, port, enclosure, name):
    harness.until(lambda: process.poll() is not None or harness.listening(port), f"{name} to listen", 30)
    if process.poll() is not None:
        raise RuntimeError(f"{name} ended with {process.returncode}\n{enclosure.said()}")


def end(process):
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    if process.poll() is None:
        process.kill()
        process.wait()


class OpenSMTPD(Enclosed):
    # In Debian 12 its key process, made for an older OpenSSL, signs neither with an EC nor with an RSA key here.
    name, tls = "OpenSMTPD", False

    def prepare(self):
        home = "/nonexistent"
        self.enclosure = e = packages.Enclosure(self.bench.unpacked("opensmtpd"), {"opensmtpd": home, "opensmtpq": home, "vmail": "/var/spool/vmail"})
        self.mail = e.folder_of("mail", "vmail")
        self.spool = e.folder_of("spool", mode=0o711, at="/var/spool/smtpd")
        e.folder_of("empty", at="/var/lib/opensmtpd/empty")
        e.folder_of("home", "vmail", at="/var/spool/vmail")
        e.add("/etc/mailname", "smtpd.bench.example\n")
        e.add("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")  # nobody there: no question takes long
        boxes = ", ".join(f'"u{i}@{peers.LOCAL}" = "vmail"' for i in range(peers.USERS))
        # More connections to a host at a time, at once and not one every 2 or 5 s; more messages in a connection.
        e.add("/etc/smtpd.conf", f"""
smtp limit max-mails 1000
mta limit max-conn-per-host 50
mta limit max-conn-per-relay 50
mta limit max-conn-per-route 50
mta limit max-conn-per-source 50
mta limit max-conn-per-connector 50
mta limit conn-delay-route 0
mta limit conn-delay-relay 0
table boxes {{ {boxes} }}
listen on 127.0.0.1 port {self.port}
action "far" relay host smtp://127.0.0.1:{self.bench.sink_port}
action "local" maildir "{self.mail}/%{{rcpt.user}}" virtual <boxes>
match from any for domain "{peers.LOCAL}" action "local"
match from any for any action "far"
""")

    def command(self):
        return ["/usr/sbin/smtpd", "-d", *(["-P", "mta"] if self.kind == "accept" else [])]

    def idle(self):
        return self.kind == "accept" or not any(files for _, _, files in os.walk(self.spool / "queue"))


class Exim(Enclosed):
    name = "Exim"

    def prepare(self):
        self.enclosure = e = packages.Enclosure(self.bench.unpacked("exim"), {"Debian-exim": "/nonexistent", "vmail": "/nonexistent"})
        self.spool, log, mail = (e.folder_of(n, u) for n, u in (("spool", "Debian-exim"), ("log", "Debian-exim"), ("mail", "vmail")))
        for file in self.bench.certificate:
            os.chown(shutil.copy(file, e.data), e.ids["Debian-exim"], 0)
        chain, key = (e.data / f.name for f in self.bench.certificate)
        e.add("/etc/exim4/boxes", "".join(f"u{i}: u{i}\n" for i in range(peers.USERS)))
        e.add("/etc/exim4/exim4.conf", f"""
primary_hostname = exim.bench.example
disable_ipv6
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
spool_directory = {self.spool}
split_spool_directory
log_file_path = {log}/%slog
pid_file_path = {e.data}/exim.pid
acl_smtp_rcpt = take
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = {chain}
tls_privatekey = {key}
smtp_accept_max = 300
smtp_connect_backlog = 1000
smtp_accept_queue_per_connection = 0
queue_run_max = 20
{"queue_only" if self.kind == "accept" else ""}
begin acl
take:
    accept
begin routers
far:
    driver = manualroute
    domains = {peers.FAR} : {peers.VOID}
    route_list = * 127.0.0.1
    self = send
    transport = far
local:
    driver = accept
    domains = {peers.LOCAL}
    local_parts = lsearch;/etc/exim4/boxes
    transport = maildir
begin transports
far:
    driver = smtp
    port = {self.bench.sink_port}
    allow_localhost
maildir:
    driver = appendfile
    directory = {mail}/$local_part_data
    create_directory
    maildir_format
    user = vmail
    group = vmail
""")

    def command(self):
        return ["/usr/sbin/exim4", "-bdf", *([] if self.kind == "accept" else ["-q5s"])]

    def idle(self):
        return self.kind == "accept" or not any(files for _, _, files in os.walk(self.spool / "input"))


class PostfixDovecot(peers.Postfix):
    """Postfix, and Dovecot's LMTP server with its fastest mailbox format as the place it delivers to."""
    name, works = "Postfix + Dovecot LMTP, sdbox", {"local"}

    def settings(self):
        return super().settings() | {"virtual_transport": f"lmtp:inet:127.0.0.1:{self.lmtp_port}"}

    def start(self):
        self.lmtp_port = harness.free_port()
        self.enclosure = e = packages.Enclosure(self.bench.unpacked("dovecot"), dict.fromkeys(("dovecot", "dovenull", "vmail"), "/nonexistent"))
        mail, state = e.folder_of("mail", "vmail"), e.folder_of("state")
        e.add("/etc/dovecot/bench.conf", f"""
protocols = lmtp
base_dir = {e.data}/base
state_dir = {state}
log_path = {e.data}/dovecot.log
ssl = no
mail_location = sdbox:~/sdbox
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
postmaster_address = postmaster@{peers.LOCAL}
passdb {{
    driver = static
    args = nopassword=y
}}
userdb {{
    driver = static
    args = uid=vmail gid=vmail home={mail}/%n allow_all_users=yes
}}
service lmtp {{
    process_min_avail = 4
    inet_listener lmtp {{
        address = 127.0.0.1
        port = {self.lmtp_port}
    }}
}}
""")
        self.dovecot = e.start(["/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/bench.conf"])
        await_port(self.dovecot, self.lmtp_port, e, "Dovecot")
        super().start()

    def stop(self):
        try:
            super().stop()
        finally:
            end(self.dovecot)
            self.enclosure.close()


ALL = {"opensmtpd": OpenSMTPD, "exim": Exim, "dovecot": PostfixDovecot}
