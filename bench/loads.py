"""The works: what load a server gets, and when it has done it."""
import json
import struct
import subprocess
import time

import harness
import peers

DRAIN = 600  # seconds a server may take for what it was given
WARM = 200   # recipients before a round
PERCENTILES = ("p50", "p95", "p99", "max")


def source(bench, port, **options):
    """Runs bench-source; gives what it printed."""
    argv = [bench.tool("bench-source"), f"--port={port}", f"--size={bench.size}"]
    argv += [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items() if value]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"bench-source: {done.stderr.strip()}")
    told = json.loads(done.stdout)
    if told["failed"]:
        raise RuntimeError(f"bench-source: {told['failed']} of {told['messages']} messages failed: {done.stderr.strip()}")
    return told


class Sink:
    """bench-sink at the port the servers relay to."""

    def __init__(self, bench, tls):
        self.counters = bench.folder / "counters"
        self.counters.unlink(missing_ok=True)
        argv = [bench.tool("bench-sink"), str(bench.sink_port), self.counters, *(bench.certificate if tls else ())]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        harness.until(lambda: harness.listening(bench.sink_port), "the sink to listen", 20)

    def read(self):
        return dict(zip(("messages", "recipients", "connections", "handshakes", "last"), struct.unpack("5Q", self.counters.read_bytes())))

    def close(self):
        """What it counted, once; its percentiles are of the whole way, from the connect (or MAIL) of the source to here."""
        if self.process.poll() is None:
            self.process.terminate()
            self.told = json.loads(self.process.communicate()[0])
        return self.told


def wait(condition, what):
    """Asks again after ten times what asking took, between 20 and 250 ms."""
    end = time.monotonic() + DRAIN
    while True:
        start = time.monotonic()
        if condition():
            return
        if start > end:
            raise RuntimeError(f"waited {DRAIN} s in vain for {what}")
        time.sleep(min(0.25, max(0.02, 10 * (time.monotonic() - start))))


def answered(told, count, seconds):
    return {"count": count, "seconds": seconds, "retries": told["retries"], **{p: told[p] / 1000 for p in PERCENTILES}}


def accept(bench, server, limit, **load):
    told = source(bench, server.port, rcpt=f"x@{peers.VOID}", **limit, **load)
    wait(server.idle, "the queue to be empty")
    return answered(told, told["messages"], told["seconds"])


def relay(bench, server, limit, starttls=False, **load):
    """Counted in recipients, until the last of them is at the sink."""
    sink = Sink(bench, starttls)
    try:
        told = source(bench, server.port, rcpt=f"r%d@{peers.FAR}", cycle=1000, starttls=starttls, **limit, **load)
        wait(lambda: sink.read()["recipients"] >= told["recipients"], "all messages at the sink")
        got = sink.read()
        if starttls and not got["handshakes"]:
            raise RuntimeError(f"{server.name} relayed without TLS")
        wait(server.idle, "the queue to be empty")
        if sink.read()["recipients"] != told["recipients"]:
            raise RuntimeError(f"{server.name} relayed {sink.read()['recipients']} of {told['recipients']}")
        way = {f"way_{p}": sink.close()[p] / 1000 for p in PERCENTILES}
        return answered(told, told["recipients"], (got["last"] - told["first"]) / 1e9) | way | {"connections out": got["connections"]}
    finally:
        sink.close()


def local(bench, server, limit, **load):
    told = source(bench, server.port, rcpt=f"u%d@{peers.LOCAL}", cycle=peers.USERS, **limit, **load)
    wait(server.idle, "all mail to be delivered")
    return answered(told, told["recipients"], (time.monotonic_ns() - told["first"]) / 1e9)


def limit_of(bench, server, work):
    """How much load a round is: a time, or with a hundred recipients a number of messages."""
    return {"messages": bench.fanout * server.pace} if "each" in WORKS[work][2] else {"seconds": bench.seconds}


def warm_up(bench, server, work):
    """The same load, a little of it: processes are started, mailboxes made, caches filled before anything is measured."""
    _, action, options = WORKS[work]
    action(bench, server, {"messages": max(1, WARM // options.get("each", 1))}, **options)


# name: (kind of work, function, its options)
WORKS = {
    "accept: 1 a connection, 20 sessions": ("accept", accept, {"sessions": 20}),
    "accept: 1 a connection, 100 sessions": ("accept", accept, {"sessions": 100}),
    "accept: 100 a connection, 20 sessions": ("accept", accept, {"sessions": 20, "many": 100}),
    "accept: 100 a connection, 100 sessions": ("accept", accept, {"sessions": 100, "many": 100}),
    "accept: 1 a connection after STARTTLS, 20 sessions": ("accept", accept, {"sessions": 20, "starttls": True}),
    "accept: 1 a connection, 1 session": ("accept", accept, {"sessions": 1}),
    "relay: 1 a connection, 20 sessions": ("relay", relay, {"sessions": 20}),
    "relay: 1 a connection, 100 sessions": ("relay", relay, {"sessions": 100}),
    "relay: 100 a connection, 20 sessions": ("relay", relay, {"sessions": 20, "many": 100}),
    "relay: 100 a connection, 100 sessions": ("relay", relay, {"sessions": 100, "many": 100}),
    "relay: 1 a connection after STARTTLS, and STARTTLS out, 20 sessions": ("relay", relay, {"sessions": 20, "starttls": True}),
    "relay: one message to 100 recipients, 20 sessions": ("relay", relay, {"sessions": 20, "each": 100}),
    "local: 100 mailboxes, 1 a connection, 20 sessions": ("local", local, {"sessions": 20}),
    "local: 100 mailboxes, 100 a connection, 20 sessions": ("local", local, {"sessions": 20, "many": 100}),
    "local: one message to 100 mailboxes, 20 sessions": ("local", local, {"sessions": 20, "each": 100}),
}
