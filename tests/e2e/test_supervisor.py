"""The supervisor: restarts, reload, drain, users, systemd."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import unittest

from harness import LIMIT, ROLES, Server, alive, free_port, greets, letter, listening, make_certificate, stage, until
from mailcase import Mail
from talk import Talk


def accepts(server, rcpt="bob@home.example", mark="x"):
    """Sends one message; False while the server cannot take it."""
    try:
        server.send("x@far.example", rcpt, letter(subject=mark))
        return True
    except Exception:  # whatever a client may see while a role is away
        return False


class Crashes(Mail):
    kills = True
    def test_every_role_comes_back_and_mail_flows(self):
        for role in ROLES:
            with self.subTest(role):
                old = until(lambda: self.server.roles().get(role), f"{role} to run")
                os.kill(old[0], signal.SIGKILL)
                until(lambda: not alive(old[0]) and len(self.server.roles().get(role, [])) == len(old), f"{role} to come back")
                until(lambda: accepts(self.server, mark=f"after-{role}."), f"mail to be taken after {role} died")
                self.in_mailbox("bob@home.example", f"after-{role}.")
                self.assertIsNone(self.server.process.poll())

    def test_all_at_once(self):
        pids = self.server.children()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: set(self.server.roles()) >= set(ROLES) and not set(pids) & set(self.server.children()), "all roles to come back")
        until(lambda: accepts(self.server, mark="after-all"), "mail to be taken")
        self.in_mailbox("bob@home.example", "after-all")

    def test_a_role_that_keeps_dying(self):
        for _ in range(4):
            pid = until(lambda: self.server.roles().get("events"), "events to run")[0]
            os.kill(pid, signal.SIGKILL)
            until(lambda: not alive(pid), "its end")
        until(lambda: self.server.roles().get("events"), "events to come back once more")
        until(lambda: accepts(self.server, mark="meanwhile"), "mail to be taken")
        pauses = [int(ms) for ms in re.findall(r" restart role=events copy=0 pause_ms=(\d+)", self.server.log_text())]
        self.assertGreaterEqual(len(pauses), 4)
        self.assertTrue(all(later == 2 * before for before, later in zip(pauses, pauses[1:])), pauses)


class Reload(Mail):
    def reload(self, word="reloaded"):
        before = self.server.log_text().count(word)
        self.server.process.send_signal(signal.SIGHUP)
        until(lambda: self.server.log_text().count(word) > before, f"'{word}' in the log")

    def seen(self, listener="submissions"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.server.ports[listener]), LIMIT) as s, context.wrap_socket(s) as t:
            return t.getpeercert(True)

    def test_a_new_certificate_under_an_open_transaction(self):
        t = self.talk()
        t.lines("MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
        t.raw("Subject: open-1\r\n\r\nfirst half\r\n")
        before = {name: self.seen(name) for name in ("submissions", "pop3s")}
        chain, _ = make_certificate(self.server.folder, "main", ["mail.home.example"])
        self.server.own()
        want = ssl.PEM_cert_to_DER_cert(chain.read_text())
        self.reload()
        for name in before:
            until(lambda: self.seen(name) == want, f"the new certificate on {name}")
        self.assertNotEqual(before["pop3s"], want)
        t.raw("second half\r\n")
        self.assertEqual(t.say(".")[0], 250)
        self.assertIn("second half", self.in_mailbox("bob@home.example", "open-1"))

    def test_new_limits_without_a_restart(self):
        pids = self.server.roles()
        self.server.write_config(limits={"message_size": "1234567"})
        self.reload()
        until(lambda: "SIZE 1234567" in self.talk(helo=None).say("EHLO c.example")[1], "the new limit")
        self.assertEqual(self.server.roles(), pids)
        self.server.config = {**self.config}
        self.server.write_config()
        self.reload()

    def test_a_new_listener_needs_a_restart_and_says_so(self):
        port = free_port()
        self.server.file.write_text(self.server.file.read_text() + f'listen "extra" {{\n service = "mx"\n address = {{"127.0.0.1"}}\n port = {port}\n}}\n')
        self.reload("reload-refused")
        self.assertFalse(greets(port))
        self.server.write_config()
        self.assertEqual(self.talk().code("NOOP"), 250)

    def test_a_broken_configuration_changes_nothing(self):
        self.server.file.write_text(self.server.file.read_text() + "nosuch = 1\n")
        self.reload("reload-refused")
        self.server.write_config()
        self.assertEqual(self.talk().code("NOOP"), 250)


class Drain(unittest.TestCase):
    def serve(self):
        server = Server({"relay_networks": []})
        self.addCleanup(server.destroy)
        server.start()
        server.domain("home.example")
        server.account("bob@home.example")
        return server

    def test_open_transactions_end_first(self):
        server = self.serve()
        t = Talk(server.ports["mx"])
        t.lines("EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
        t.raw("Subject: drain-1\r\n\r\nhalf\r\n")
        idle = Talk(server.ports["mx"])
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(idle.reply()[0], 421)
        t.raw("rest\r\n.\r\n")
        code = t.reply()[0]
        self.assertIn(code, (250, 421))
        self.assertEqual(server.stop(), 0)
        server.start()
        if code == 250:
            server.mailbox_holds("bob@home.example", 1)
        self.assertEqual(server.stop(), 0)

    def test_a_reload_while_stopping_changes_nothing(self):
        """Roles took it for a reason to open listeners they had closed: on descriptors that were their clients' by then."""
        server = self.serve()
        t = Talk(server.ports["mx"])
        t.lines("EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
        t.raw("Subject: drain-2\r\n\r\nhalf\r\n")
        idle = Talk(server.ports["mx"])
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(idle.reply()[0], 421)
        server.process.send_signal(signal.SIGHUP)
        t.raw("rest\r\n.\r\n")
        self.assertIn(t.reply()[0], (250, 421))
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("reloaded", server.log_text())

    def test_a_client_that_hangs_does_not_hold_the_end(self):
        server = self.serve()
        t = Talk(server.ports["mx"])
        t.lines("EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<bob@home.example>", "DATA")
        pop = Talk(server.ports["pop3"], greeting=False)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.stop(), 0)
        pop.s.close()

    def test_no_process_stays_behind(self):
        server = self.serve()
        pids = server.children()
        self.assertEqual(server.stop(), 0)
        self.assertFalse([p for p in pids if alive(p)])

    def test_the_roles_end_with_the_supervisor(self):
        server = self.serve()
        pids = server.children()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server.process = None
        until(lambda: not [p for p in pids if alive(p)], "the roles to end")


class Start(unittest.TestCase):
    def refused(self, server, *words):
        server.spawn()
        code = server.process.wait(LIMIT)
        server.process = None
        self.assertNotEqual(code, 0)
        for word in words:
            self.assertIn(word, server.log_text())
        return code

    def server(self, **more):
        s = Server(**more)
        self.addCleanup(s.destroy)
        return s

    def test_a_mistake_in_the_configuration(self):
        s = self.server()
        s.file.write_text("hostname = 'x\n")
        self.refused(s, "staffetta.conf:")

    def test_a_queue_shard_left_out_with_mail(self):
        """Fewer shards than hold mail is refused: nobody would deliver what is in the others."""
        s = self.server(config={"copies": {"queue": 2}})
        s.start()
        with smtplib.SMTP("127.0.0.1", s.ports["mx"]) as c:
            for i in range(8):
                c.sendmail("a@far.example", [f"b{i}@remote.example"], f"Subject: {i}\r\n\r\nx\r\n")
        shards = {row["domain"]: row["messages"] for row in s.rows("queue", "summary") if row["domain"].startswith("(shard")}
        self.assertEqual(shards, {"(shard 0)": 4, "(shard 1)": 4})
        s.stop()
        s.write_config(copies={"queue": 1})
        self.refused(s, "queue-1.db", "queue = 2")
        s.write_config()
        s.start()
        self.assertEqual(len(s.queue()), 8)

    def test_a_port_that_is_taken(self):
        s = self.server()
        with socket.create_server(("127.0.0.1", s.ports["mx"])):
            self.refused(s, str(s.ports["mx"]))

    def test_a_certificate_that_is_missing_or_wrong(self):
        s = self.server()
        s.certificates["main"] = (s.folder / "nosuch.pem", s.key)
        s.write_config()
        self.refused(s, "nosuch.pem")
        s = self.server()
        other = make_certificate(s.folder, "other", ["other.example"])
        s.certificates["main"] = (s.chain, other[1])
        s.write_config()
        s.own()
        self.refused(s)

    def test_a_second_one_on_the_same_data(self):
        s = self.server().start()
        other = self.server()
        other.config = {"data": s.data, "run": s.run_folder}
        other.write_config()
        other.own()
        self.refused(other)
        self.assertTrue(accepts_connection(s))

    def test_a_database_from_the_future(self):
        import sqlite3
        s = self.server().start()
        s.stop()
        file = s.data / "directory" / "directory.db"
        with contextlib.closing(sqlite3.connect(file)) as db:
            tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%migration%' OR name LIKE '%schema%'")]
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if tables:
                columns = [r[1] for r in db.execute(f"PRAGMA table_info({tables[0]})")]
                if "version" in columns:
                    db.execute(f"UPDATE {tables[0]} SET version = 9999")
                else:
                    db.execute(f"UPDATE {tables[0]} SET {columns[0]} = 9999")
            else:
                db.execute(f"PRAGMA user_version = {version + 9999}")
            db.commit()
        s.own()
        self.refused(s)

    def test_systemd_notify(self):
        s = self.server()
        path = s.folder / "notify.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
            n.bind(str(path))
            s.own()
            n.settimeout(LIMIT)
            s.environ = {"NOTIFY_SOCKET": str(path)}
            s.start()
            said = ""
            while "READY=1" not in said:
                said += n.recv(4096).decode() + "\n"
            self.assertIn("MAINPID=" + str(s.process.pid), said)
            s.process.send_signal(signal.SIGHUP)
            while "RELOADING=1" not in said:
                said += n.recv(4096).decode() + "\n"
            s.process.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in said:
                said += n.recv(4096).decode() + "\n"
            self.assertEqual(s.stop(), 0)

    def activated(self, listen, sockets):
        """A server that is handed these sockets as systemd does it, in this order from descriptor 3 on: [(name, socket)]."""
        s = Server(listen=listen)
        self.addCleanup(s.destroy)
        s.log_start = 0
        held = [os.dup(end.fileno()) for _, end in sockets]
        self.addCleanup(lambda: [os.close(fd) for fd in held])
        script = 'import os, sys; high = [os.dup2(int(fd), 100 + i, False) for i, fd in enumerate(sys.argv[1].split(","))]\n' \
                 'os.closerange(3, 100)\n' \
                 'for i, fd in enumerate(high): os.dup2(fd, 3 + i)\n' \
                 'os.environ["LISTEN_PID"] = str(os.getpid()); os.execv(sys.argv[2], sys.argv[2:])'
        with open(s.log, "ab") as log:
            s.process = subprocess.Popen([sys.executable, "-c", script, ",".join(map(str, held)), *s.command("serve", "-c", s.file)], stdout=log, stderr=log,
                                         stdin=subprocess.DEVNULL, pass_fds=held, cwd=s.folder, **s.identity(),
                                         env={**s.env(), "LISTEN_FDS": str(len(held)), "LISTEN_FDNAMES": ":".join(name for name, _ in sockets)})
        return s

    def test_socket_activation(self):
        """Several services at once, found by name in whatever order, some on IPv4 and IPv6, and one nobody asked for."""
        def ear(family):
            end = socket.create_server(("::1", 0) if family == socket.AF_INET6 else ("127.0.0.1", 0), family=family)
            self.addCleanup(end.close)
            return end

        names = ["pop3s.socket", "mx.socket", "stranger.socket", "submissions.socket", "mx.socket", "pop3s.socket", "submissions.socket",
                 "imap.socket", "imaps.socket", "imaps.socket"]
        kinds = [socket.AF_INET, socket.AF_INET, socket.AF_INET, socket.AF_INET6, socket.AF_INET6, socket.AF_INET6, socket.AF_INET,
                 socket.AF_INET, socket.AF_INET6, socket.AF_INET]
        sockets = [(name, ear(kind)) for name, kind in zip(names, kinds)]
        s = self.activated({n: {"systemd": f"{n}.socket"} for n in ("mx", "submissions", "pop3s", "imap", "imaps")}, sockets)
        s.wait_ready()
        for name, end in sockets:
            ip, port = end.getsockname()[:2]
            with self.subTest(name=name, ip=ip), socket.create_connection((ip, port), 30) as c:
                c.settimeout(1 if name == "stranger.socket" else 30)
                if name == "stranger.socket":
                    self.assertRaises(TimeoutError, c.recv, 100)  # nobody accepts there
                    continue
                greeting = {"pop3s.socket": b"+OK ", "imap.socket": b"* OK [CAPABILITY ", "imaps.socket": b"* OK [CAPABILITY "}.get(name, b"220 ")
                secure = c if name in ("mx.socket", "imap.socket") else s.trust().wrap_socket(c)
                self.assertTrue(secure.recv(100).startswith(greeting))
                secure.close()
        for name in ("mx", "submissions", "pop3s", "imap", "imaps"):
            self.assertFalse(listening(s.ports[name]), "the port of the configuration is not for a section that has a systemd socket")
        self.assertTrue(listening(s.ports["pop3"]), "the other sections bind their own")
        self.assertEqual(s.stop(), 0)

    def test_socket_activation_without_the_socket(self):
        end = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(end.close)
        s = self.activated({"mx": {"systemd": "mx.socket"}}, [("other.socket", end)])
        until(lambda: s.process.poll() is not None, "the server to give up")
        self.assertNotEqual(s.process.returncode, 0)
        self.assertIn("passed no socket named mx.socket", s.log_text())


def accepts_connection(server):
    return greets(server.ports["mx"])


@unittest.skipIf(os.geteuid() != 0, "needs root")
class Root(Mail):
    as_root = True
    kills = True

    def test_each_role_has_a_user_of_its_own(self):
        users = {}
        for role, pids in self.server.roles().items():
            for pid in pids:
                fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
                self.assertEqual(len(set(fields["Uid"].split())), 1)
                self.assertEqual(fields["Groups"].strip(), "")
                self.assertEqual(int(fields["CapEff"], 16), 0)
                users.setdefault(fields["Uid"].split()[0], set()).add(role)
        self.assertNotIn("0", users)
        self.assertTrue(all(len(roles) == 1 for roles in users.values()), users)
        self.assertEqual(set().union(*users.values()), set(ROLES))

    def test_data_belongs_to_its_role_alone(self):
        for role in ("directory", "queue", "mailbox", "events"):
            info = (self.server.data / role).stat()
            self.assertEqual(info.st_mode & 0o077, 0, role)
            self.assertNotEqual(info.st_uid, 0, role)

    def test_mail_flows_and_survives_a_restart(self):
        self.assertEqual(self.deliver(self.talk(), "Subject: root-1\r\n\r\nx\r\n")[0], 250)
        self.in_mailbox("bob@home.example", "root-1")
        pid = self.server.roles()["queue"][0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: accepts(self.server, mark="root-2"), "mail to be taken")
        self.in_mailbox("bob@home.example", "root-2")
        self.server.restart()
        self.assertEqual(self.deliver(self.talk(), "Subject: root-3\r\n\r\nx\r\n")[0], 250)
        self.in_mailbox("bob@home.example", "root-3")

    def test_sendmail_as_an_ordinary_user(self):
        done = self.server.cli("sendmail", "bob@home.example", input="Subject: root-4\n\nx\n", user=65534, group=65534, extra_groups=[])
        self.assertEqual(done.returncode, 0)
        self.in_mailbox("bob@home.example", "root-4")

    def test_other_users_may_not_administer(self):
        for args in (("domain", "add", "evil.example"), ("queue", "list"), ("account", "list")):
            done = self.server.cli(*args, check=False, user=65534, group=65534, extra_groups=[])
            self.assertNotEqual(done.returncode, 0, args)
        self.assertNotIn("evil.example", self.server.cli("domain", "list").stdout)


class Copies(Mail):
    kills = True
    config = {"relay_networks": [], "copies": {"smtp": 2, "filter": 2, "queue": 2, "relay": 2, "mailbox": 2, "access": 2, "directory": 3}}

    def test_mail_flows_through_all(self):
        for i in range(20):
            self.deliver(self.talk(), f"Subject: copies-{i}\r\n\r\nx\r\n", rcpt="sales@home.example")
        self.server.mailbox_holds("bob@home.example", 20)
        self.server.mailbox_holds("ann@home.example", 20)
        self.assertEqual({r: len(p) for r, p in self.server.roles().items()}["queue"], 2)

    def test_one_copy_dies(self):
        for role in ("smtp", "filter", "queue", "mailbox", "access", "directory"):
            with self.subTest(role):
                pid = until(lambda: self.server.roles().get(role), role)[-1]
                os.kill(pid, signal.SIGKILL)
                until(lambda: accepts(self.server, "ann@home.example", f"one-{role}."), f"mail to be taken after a copy of {role} died")
                self.in_mailbox("ann@home.example", f"one-{role}.")


class Programs(unittest.TestCase):
    def test_roles_refuse_to_be_started_by_hand(self):
        for role in ["supervisor", *ROLES]:
            with self.subTest(role):
                done = subprocess.run([str(stage() / f"staffetta-{role}")], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
                self.assertNotEqual(done.returncode, 0)
                self.assertTrue(done.stderr.strip())
        self.assertTrue(shutil.which(str(stage() / "staffetta")))
