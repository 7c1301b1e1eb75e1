"""The servers under test, each with fresh folders and its own cgroup: start, port, idle(), close(). Staffetta, Postfix and the
limit are here; the others are in other_peers.py."""
import contextlib
import re
import shutil
import subprocess
import urllib.request

import harness
import measure
import postfix

USERS = 100
LOCAL = "home.example"     # its mailboxes are u0 ... u99
VOID = "void.example"      # taken, queued, thrown away
FAR = "far.example"        # relayed to the sink


class Peer:
    """name: in the table. works: kinds of work it can do; tls: also with STARTTLS. pace: how many times the messages of the others it is given where a
    work is a number of messages and not a time."""
    name, works, tls, pace = "", {"accept", "relay", "local"}, True, 1

    def __init__(self, bench, kind):
        self.bench, self.kind = bench, kind
        self.group = measure.Group(bench.cgroups)
        try:
            with self.group:
                self.start()
        except BaseException:
            with contextlib.suppress(Exception):  # as far as it came; the first failure is the one to tell
                self.stop()
            self.group.close()
            raise

    def close(self):
        try:
            self.stop()
        finally:
            self.group.close()


class Staffetta(Peer):
    name, pace, config = "Staffetta", 5, {}
    template = None  # the data folder with the hundred accounts, made once

    def server(self):
        return harness.Server({"log_level": "info", "queue": {"active": 10000}, **self.config})

    def start(self):
        self.process = self.server()
        if self.kind == "local":
            if not Staffetta.template:
                Staffetta.template = self.make_template()
            shutil.copytree(Staffetta.template, self.process.data, dirs_exist_ok=True)
            self.process.own()
        self.process.start()
        self.port = self.process.ports["mx"]
        if self.kind != "local":
            self.process.route(f"recipient:{VOID}", "discard")
            self.process.route(f"recipient:{FAR}", "smtp", f"127.0.0.1:{self.bench.sink_port}")

    def make_template(self):
        server = self.server().start()
        server.domain(LOCAL)
        harness.in_parallel([lambda i=i: server.account(f"u{i}@{LOCAL}") for i in range(USERS)], 2)
        server.stop()
        shutil.copytree(server.data, self.bench.folder / "template")
        server.destroy()
        return self.bench.folder / "template"

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.process.ports['metrics']}/metrics") as answer:
            return answer.read().decode()

    def idle(self):
        """No message in the queue, by its metric: asking costs the server next to nothing."""
        found = re.findall(r"^staffetta_queue_messages\{.*?\} (\d+)", self.metrics(), re.M)
        return bool(found) and not any(map(int, found))

    def stop(self):
        self.process.stop()
        self.process.destroy()


class Postfix(Peer):
    name = "Postfix"
    # As Debian has it, but for more connections a destination at once, and no brake on input while the queue is full: with the
    # defaults these are what one measures. More processes than the hundred of the default made it slower.
    tuning = {"in_flow_delay": "0", "initial_destination_concurrency": "20", "default_destination_concurrency_limit": "50"}

    def settings(self):
        chain, key = self.bench.certificate
        return {"transport_maps": "inline:{%s=discard:, %s=smtp:[127.0.0.1]:%d}" % (VOID, FAR, self.bench.sink_port),
                "smtpd_tls_security_level": "may", "smtpd_tls_chain_files": f"{key}, {chain}", "smtp_tls_security_level": "may",
                **self.tuning}

    def start(self):
        boxes = [f"u{i}@{LOCAL}" for i in range(USERS)]
        self.process = postfix.Postfix(self.bench.unpacked("postfix"), main=self.settings(), domains=[LOCAL], mailboxes=boxes)
        self.port = self.process.port

    def idle(self):
        return self.process.queued() == 0

    def stop(self):
        self.process.close()


class Limit(Peer):
    """bench-sink as the server: the same exchange with no work behind it."""
    name, works, pace = "limit: same exchange, no work", {"accept"}, 5

    def start(self):
        self.port = harness.free_port()
        self.process = subprocess.Popen([self.bench.tool("bench-sink"), str(self.port), self.bench.folder / "limit-counters", *self.bench.certificate],
                                        stdout=subprocess.DEVNULL)
        harness.until(lambda: harness.listening(self.port), "the limit to listen", 20)

    def idle(self):
        return True

    def stop(self):
        self.process.terminate()
        self.process.wait()
