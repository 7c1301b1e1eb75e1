"""A throw-away Staffetta for the end-to-end tests: the built programs, a folder, free high ports on loopback, a
certificate, a configuration; accounts are made with the command line, as everybody makes them.

    class Submission(Case):
        config = {"limits": {"message_size": "1M"}}
        def prepare(self):                 # once a class, the server is running
            self.server.domain("home.example")
            self.server.account("ann@home.example")

A wait is on a condition with a limit (`until`), never a pause for its own sake, and no test asserts how long a thing took.
Run as root the server runs as `nobody` unless the class says as_root = True. What was started is ended by its pid.
"""
import atexit
import contextlib
import imaplib
import json
import os
import pathlib
import poplib
import random
import re
import shutil
import signal
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
ROLES = ["resolver", "directory", "smtp", "filter", "queue", "relay", "access", "mailbox", "events", "web"]
NOBODY = 65534
PASSWORD = "correct horse battery"
LIMIT = float(os.environ.get("STAFFETTA_TEST_LIMIT", "60"))
SANITIZER = ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer", "UndefinedBehaviorSanitizer")


def until(condition, what="the condition", limit=None):
    """Waits for a condition; gives its (true) value."""
    end = time.monotonic() + (limit or LIMIT)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit or LIMIT:.0f} s in vain for {what}")
        time.sleep(0.02)


_given = set()
PORTS = range(*map(int, os.environ.get("STAFFETTA_PORTS", "10000 32000").split()))  # tests/e2e/run gives each that runs at the same time its own


def free_port(kind=socket.SOCK_STREAM):
    """A port below the range the kernel takes outgoing ports from, free on every address, never the same twice."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        if port in _given:
            continue
        with socket.socket(socket.AF_INET6, kind) as s:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            with contextlib.suppress(OSError):
                s.bind(("::", port))
                _given.add(port)
                return port


def listening(port, ip="127.0.0.1"):
    with contextlib.suppress(OSError), socket.create_connection((ip, port), 5):
        return True
    return False


def as_user():
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


_stage = None


def stage():
    """The programs in a flat folder that every user may read: {'bin': ..., 'libexec': ...}."""
    global _stage
    if _stage:
        return _stage
    folder = os.environ.get("STAFFETTA_STAGE")
    if not folder:
        folder = make_stage(os.environ.get("STAFFETTA_BUILD", TOP / "build"))
        atexit.register(shutil.rmtree, folder, True)
    _stage = pathlib.Path(folder)
    return _stage


def make_stage(build, folder=None):
    """Copies what was built into a folder of its own: below a private home the server's user could not reach it."""
    folder = folder or tempfile.mkdtemp(prefix="staffetta-stage-")
    os.chmod(folder, 0o755)
    for program in pathlib.Path(build).glob("src/**/staffetta*"):
        if program.is_file() and os.access(program, os.X_OK):
            shutil.copy2(program, folder)
    if not (pathlib.Path(folder) / "staffetta").exists():
        sys.exit(f"{build}: no programs there; build first, or say --build FOLDER")
    return folder


def sanitized():
    """Is this a build with AddressSanitizer? Then figures of memory say nothing."""
    return b"__asan_init" in (stage() / "staffetta-smtp").read_bytes()


def run(*args, check=True, **more):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=120, **more)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def make_certificate(folder, name, names=(), days=30, by=None):
    """EC: folder/name.pem and name.key. Self-signed, or by the certificate and key `by`, whose certificate is then in the file too."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    alt = ",".join([f"DNS:{n}" for n in names] + ["IP:127.0.0.1", "IP:::1"])
    issuer = ("-CA", by[0], "-CAkey", by[1], "-addext", "basicConstraints=critical,CA:FALSE") if by else ()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days, "-keyout", key,
        "-out", chain, "-subj", f"/CN={names[0] if names else name}", "-addext", f"subjectAltName={alt}", *issuer)
    if by:
        chain.write_text(chain.read_text() + by[0].read_text())
    return chain, key


def value(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, (list, tuple)):
        return "{" + ", ".join(f'"{x}"' for x in v) + "}"
    return str(v) if isinstance(v, int) else f'"{v}"'


def section(head, directives):
    return f"{head} {{\n" + "".join(f"    {k} = {value(v)}\n" for k, v in directives.items()) + "}\n"


class Server:
    SERVICES = {
        "mx": {"service": "mx"}, "submission": {"service": "submission"},
        "submissions": {"service": "submission", "tls": "implicit"}, "lmtp": {"service": "lmtp", "tls": "none"},
        "imap": {"service": "imap"}, "imaps": {"service": "imap", "tls": "implicit"},
        "pop3": {"service": "pop3"}, "pop3s": {"service": "pop3", "tls": "implicit"}, "metrics": {"service": "metrics", "tls": "none"},
    }

    def __init__(self, config=None, listen=None, dns_port=None, as_root=False, hostname="mail.home.example", relay_port=None, environ=None, folder=None,
                 ports=None):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="staffetta-e2e-"))
        self.as_root, self.hostname, self.process = as_root, hostname, None
        self.environ = environ or {}
        self.config, self.listen, self.dns_port = config or {}, listen or {}, dns_port
        self.ports = ports or {name: free_port() for name in self.SERVICES}
        self.relay_port = relay_port or free_port()
        self.chain, self.key = make_certificate(self.folder, "main", [hostname, "localhost"])
        self.certificates = {"main": (self.chain, self.key)}
        self.data, self.run_folder = self.folder / "data", self.folder / "run"
        for f in (self.data, self.run_folder):
            f.mkdir()
        self.file, self.log = self.folder / "staffetta.conf", self.folder / "server.log"
        self.write_config()
        self.own()

    def own(self):
        """The folder belongs to whom the server runs as."""
        os.chmod(self.folder, 0o755)
        if os.geteuid() == 0 and not self.as_root:
            for path in [self.folder, *self.folder.rglob("*")]:
                with contextlib.suppress(FileNotFoundError):
                    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def write_config(self, **changes):
        node = {"hostname": self.hostname, "data": self.data, "run": self.run_folder, "dnssec_anchor": "", "log_level": "debug"}
        if self.dns_port:
            node["dns"] = [f"127.0.0.1@{self.dns_port}"]
        else:
            node["dns"] = [f"127.0.0.1@{self.relay_port}"]  # nobody there: no question leaves this machine
        sections = {"relay": {"port": self.relay_port, "connect_time": "5s"}, "queue": {"retry": ["1s", "1s", "2s"], "min_free_disk": "1M"},
                    "auth": {"check": bool(self.dns_port)},  # without DNS every stranger's message would wait for it
                    "check": {"every": "0s"}}  # nobody is asked, and no mail comes by itself
        for name, v in {**self.config, **changes}.items():
            if isinstance(v, dict):
                sections.setdefault(name, {}).update(v)
            else:
                node[name] = v
        text = "".join(f"{k} = {value(v)}\n" for k, v in node.items())
        for name, directives in self.SERVICES.items():
            text += section(f'listen "{name}"', {"address": ["127.0.0.1", "::1"], "port": self.ports[name], **directives, **self.listen.get(name, {})})
        for name, (chain, key) in self.certificates.items():
            text += section(f'certificate "{name}"', {"chain": chain, "key": key})
        for name, directives in sections.items():
            text += section(name, directives)
        self.file.write_text(text)
        if os.geteuid() == 0 and not self.as_root:
            os.chown(self.file, NOBODY, NOBODY)

    def env(self, leaks=False):
        """leaks: in a build with AddressSanitizer, look for them at the end. In a sandbox that is refused."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "STAFFETTA_LIBEXEC": str(stage()),
                "STAFFETTA_CONFIG": str(self.file), "TZ": "UTC",
                "ASAN_OPTIONS": f"detect_leaks={int(leaks)}:symbolize=0:abort_on_error=1:handle_segv=1", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:symbolize=0",
                **self.environ}

    def command(self, *args):
        return [str(stage() / "staffetta"), *map(str, args)]

    def identity(self):
        return {} if self.as_root else as_user()

    def spawn(self):
        log = open(self.log, "ab")
        self.log_start = len(self.log_text())
        argv = self.command("serve", "-c", self.file)
        if self.as_root:
            argv = with_users(self.folder, argv)
        self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env(), cwd=self.folder, **self.identity())
        log.close()

    def start(self):
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}\n{self.log_tail()}")
            return re.search(r"\bready\b.*\bprocesses\b", self.log_text()[self.log_start:]) and self.cli("status", check=False).returncode == 0

        until(ready, "the server to be up")

    def stop(self, limit=None):
        """Ends the server as an administrator does; gives its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(limit or LIMIT)
            except subprocess.TimeoutExpired:
                self.kill_tree()
                raise AssertionError("the server did not end after SIGTERM")
        code, self.process = self.process.returncode, None
        return code

    def restart(self):
        self.stop()
        return self.start()

    def kill_tree(self):
        """kill -9 of the supervisor and all its children, at once."""
        if self.process is None:
            return
        pids = [self.process.pid, *self.children()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        until(lambda: not any(alive(p) for p in pids[1:]), "the roles to be gone")

    def children(self):
        return [pid for pid, parent in processes() if parent == self.process.pid]

    def roles(self):
        """Role name to pids of its copies."""
        found = {}
        for pid in self.children():
            with contextlib.suppress(OSError, IndexError):
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                name = os.path.basename(words[0].decode()).removeprefix("staffetta-").split(":")[0]
                found.setdefault(name, []).append(pid)
        return found

    def destroy(self):
        self.kill_tree()
        shutil.rmtree(self.folder, True)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines=60):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def complaints(self, kills=False):
        """Lines of a sanitizer in the log, and of roles that ended without being asked to (or being killed by the test)."""
        lines = self.log_text().splitlines()
        return [l for l in lines if any(s in l for s in SANITIZER) or "role-ended" in l and "error" in l and not (kills and "signal=9" in l)]

    # ---- the command line ----

    def cli(self, *args, check=True, input=None, **more):
        argv = self.command(*args)
        starts_role = self.process is None or args[:2] in (("account", "verify"), ("account", "restore"), ("certificate", "renew"))
        leaks = not starts_role  # a role has its sandbox, which LeakSanitizer does not survive
        done = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=120, env=self.env(leaks), cwd=self.folder,
                              **{**self.identity(), **more})
        if any(s in done.stderr for s in SANITIZER):
            raise AssertionError(f"staffetta {' '.join(map(str, args))}: exit {done.returncode}\n{done.stderr}")
        if check and done.returncode:
            raise AssertionError(f"staffetta {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.log_tail(20)}")
        return done

    def rows(self, *args):
        """The rows of a command as dictionaries."""
        out = self.cli(*args, "--json").stdout
        rows = [json.loads(line) for line in out.splitlines() if line.strip()]
        return rows[0] if len(rows) == 1 and isinstance(rows[0], list) else rows

    def domain(self, name, *more):
        self.cli("domain", "add", name, *more)

    def account(self, address, *more, password=PASSWORD):
        self.cli("account", "add", address, *more, input=password + "\n")

    def route(self, match, kind, hosts="", **options):
        """match: recipient:DOMAIN, sender:DOMAIN, class:bulk; kind: mx, smtp, lmtp, discard, fail."""
        self.cli("route", "add", match, kind, *hosts.split(), *(f"--{k.replace('_', '-')}={v}" for k, v in options.items()))

    def queue(self, *filters):
        return self.rows("queue", "list", *filters)

    def queue_clear(self):
        """Deletes what a test left behind, also what is just being tried."""
        def gone():
            ids = {r["id"] for r in self.queue()}
            for i in ids:
                self.cli("queue", "delete", i, check=False)
            return not ids

        until(gone, "the queue to be cleared")

    def queue_empty(self):
        until(lambda: not self.queue(), "the queue to be empty")

    # ---- clients ----

    def smtp(self, listener="mx", tls=False, login=None, password=PASSWORD, ip="127.0.0.1", helo="client.example"):
        kind = smtplib.LMTP if listener == "lmtp" else smtplib.SMTP
        if listener == "submissions":
            client = smtplib.SMTP_SSL(ip, self.ports[listener], local_hostname=helo, timeout=LIMIT, context=self.trust())
        else:
            client = kind(ip, self.ports[listener], local_hostname=helo, **({} if kind is smtplib.LMTP else {"timeout": LIMIT}))
        if tls or (login and listener == "submission"):
            client.starttls(context=self.trust())
        if login:
            client.login(login, password)
        return client

    def send(self, sender, rcpts, text=None, listener="mx", login=None, **more):
        rcpts = [rcpts] if isinstance(rcpts, str) else rcpts
        with self.smtp(listener, login=login) as client:
            return client.sendmail(sender, rcpts, text or letter(sender, rcpts[0]), **more)

    def trust(self):
        context = ssl.create_default_context(cafile=str(self.chain))
        context.check_hostname = False
        return context

    def pop3(self, user, password=PASSWORD, listener="pop3"):
        if listener == "pop3s":
            client = poplib.POP3_SSL("127.0.0.1", self.ports[listener], timeout=LIMIT, context=self.trust())
        else:
            client = poplib.POP3("127.0.0.1", self.ports[listener], timeout=LIMIT)
            client.stls(context=self.trust())
        client.user(user)
        client.pass_(password)
        return client

    def imap(self, user, password=PASSWORD, listener="imap"):
        if listener == "imaps":
            client = imaplib.IMAP4_SSL("127.0.0.1", self.ports[listener], ssl_context=self.trust(), timeout=LIMIT)
        else:
            client = imaplib.IMAP4("127.0.0.1", self.ports[listener], timeout=LIMIT)
            client.starttls(self.trust())
        client.login(user, password)
        return client

    def try_pop3(self, user, password=PASSWORD):
        try:
            return self.pop3(user, password)
        except (poplib.error_proto, OSError, EOFError) as failure:
            if isinstance(failure, poplib.error_proto) and b"[AUTH]" in failure.args[0]:
                raise
            return None

    def mailbox(self, user, password=PASSWORD):
        """All messages of a mailbox, as bytes with LF. Waits while its role is being restarted."""
        client = until(lambda: self.try_pop3(user, password), f"the mailbox of {user} to open")
        try:
            count = client.stat()[0]
            return [b"\n".join(client.retr(i + 1)[1]) + b"\n" for i in range(count)]
        finally:
            client.quit()

    def mailbox_databases(self):
        """Each mailbox there is as an open SQLite database: while the server runs a copy, as it keeps others out of its own."""
        addresses = {row["id"]: row["address"] for row in self.rows("account", "list")} if self.process else {}
        for path in self.data.glob("mailbox/*/*.db"):
            copy = self.folder / f"copy-{path.name}"
            if self.process:
                self.cli("account", "backup", addresses[int(path.stem)], copy)
            with contextlib.closing(sqlite3.connect(f"file:{copy}?mode=ro&immutable=1" if self.process else f"file:{path}?mode=ro", uri=True)) as db:
                yield db
            copy.unlink(missing_ok=True)

    def mailbox_holds(self, user, count, password=PASSWORD):
        until(lambda: len(self.mailbox(user, password)) >= count, f"{count} messages in {user}")
        return self.mailbox(user, password)


def letter(sender="a@b.example", to="c@d.example", subject="Test", body="Hello.\r\n", more=""):
    return f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n{more}\r\n{body}"


def greets(port, ip="127.0.0.1"):
    """Does a server answer with its greeting here?"""
    with contextlib.suppress(OSError), socket.create_connection((ip, port), 5) as s:
        s.settimeout(5)
        return s.recv(4)[:3] in (b"220", b"+OK", b"* O")
    return False


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def processes():
    """(pid, parent) of every process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                if fields[0] != "Z":
                    found.append((int(entry), int(fields[1])))
    return found


def extra_users(folder, names, first=61000):
    """passwd and group files with more users in them: bound over those of the system for one process tree only."""
    passwd, group = folder / "passwd", folder / "group"
    rows = pathlib.Path("/etc/passwd").read_text()
    groups = pathlib.Path("/etc/group").read_text()
    for i, name in enumerate(names):
        rows += f"{name}:x:{first + i}:{first + i}::/nonexistent:/usr/sbin/nologin\n"
        groups += f"{name}:x:{first + i}:\n"
    passwd.write_text(rows)
    group.write_text(groups)
    return passwd, group


def may_mount():
    """Root with mount namespaces? Containers may forbid them; what needs users of its own is then skipped, visibly."""
    return os.geteuid() == 0 and run("unshare", "--mount", "--propagation", "private", "true", check=False).returncode == 0


def with_users(folder, argv, names=None):
    """argv as it has to be run so that the users exist, for it alone (a mount namespace of its own)."""
    passwd, group = extra_users(folder, names or [f"staffetta-{r}" for r in ROLES])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            f'mount --bind "{passwd}" /etc/passwd && mount --bind "{group}" /etc/group && exec "$@"', "sh", *argv]


class Case(unittest.TestCase):
    """One server for a class; its tests share it."""
    config, listen, as_root, hostname, environ = {}, {}, False, "mail.home.example", {}
    zone = None      # text of a DNS zone, see zone.py
    server = nsd = None
    kills = False    # the tests kill roles (signal 9), so that such ends in the log are no fault
    expect_exit = 0

    @classmethod
    def setUpClass(cls):
        if cls.as_root and not may_mount():
            raise unittest.SkipTest("needs root with mount namespaces")
        cls.cleanup = contextlib.ExitStack()
        try:
            if cls.zone is not None:
                import zone
                cls.nsd = cls.cleanup.enter_context(zone.Nsd(cls.zone))
            cls.server = Server(cls.config, cls.listen, cls.nsd and cls.nsd.port, cls.as_root, cls.hostname, environ=cls.environ)
            cls.cleanup.callback(cls.server.destroy)
            cls.before_start()
            cls.server.start()
            cls.prepare()
        except BaseException:
            if cls.server:
                print(cls.server.log_tail(), file=sys.stderr)
            cls.cleanup.close()
            raise

    @classmethod
    def before_start(cls):
        """Once, before the server starts."""

    @classmethod
    def prepare(cls):
        """Once, with the server running."""

    @classmethod
    def tearDownClass(cls):
        try:
            running = cls.server.process is not None
            code = cls.server.stop()
            complaints = cls.server.complaints(cls.kills)
            if complaints:
                raise AssertionError("roles that crashed, or a sanitizer:\n" + "\n".join(complaints[:20]) + "\n" + cls.server.log_tail())
            if running and code != cls.expect_exit:
                raise AssertionError(f"the server ended with {code}\n{cls.server.log_tail()}")
        finally:
            cls.cleanup.close()

    def sink(self, ip="127.0.0.1", port=None, **more):
        import sink
        s = sink.Sink(ip, self.server.relay_port if port is None else port, **more)
        self.addCleanup(s.close)
        return s


def in_parallel(jobs, width=8):
    """Runs functions at the same time; raises the first failure."""
    failures = []
    queue = list(jobs)
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if not queue:
                    return
                job = queue.pop(0)
            try:
                job()
            except BaseException as failure:  # handed to the caller below
                failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(width)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]
