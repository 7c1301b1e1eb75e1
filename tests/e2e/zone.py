"""DNS for the tests: nsd on a high port of 127.0.0.1, serving everything from one zone, the root.

    with Nsd("remote.example. MX 10 mx.remote.example.\\nmx.remote.example. A 127.0.0.11\\n") as nsd: ...
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

from harness import free_port, until

HEAD = """$TTL 1
. SOA ns.example. admin.example. %d 60 60 60 1
. NS ns.example.
ns.example. A 127.0.0.1
"""


def ask(port, name, kind=6):
    """One question over UDP; the response code, or None when nobody answered."""
    wire = b"".join(bytes([len(l)]) + l.encode() for l in name.strip(".").split(".") if l) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.5)
        with contextlib.suppress(OSError):
            s.sendto(struct.pack("!6H", 77, 0x0100, 1, 0, 0, 0) + wire + struct.pack("!2H", kind, 1), ("127.0.0.1", port))
            return s.recv(4096)[3] & 15
    return None


class Nsd:
    def __init__(self, records, others=()):
        """others: (name, records) of zones beside the root."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-nsd-"))
        self.port, self.serial = free_port(socket.SOCK_DGRAM), 0
        self.zone = self.folder / "root.zone"
        self.write(records)
        conf = self.folder / "nsd.conf"
        conf.write_text(f"""server:
    ip-address: 127.0.0.1@{self.port}
    server-count: 1
    username: ""
    database: ""
    chroot: ""
    zonesdir: "{self.folder}"
    pidfile: "{self.folder}/nsd.pid"
    xfrdfile: "{self.folder}/xfrd.state"
    zonelistfile: "{self.folder}/zone.list"
    xfrdir: "{self.folder}"
    logfile: "{self.folder}/nsd.log"
    rrl-ratelimit: 0
    verbosity: 1
remote-control:
    control-enable: no
zone:
    name: "."
    zonefile: "root.zone"
""")
        with conf.open("a") as f:
            for i, (name, text) in enumerate(others):
                (self.folder / f"other{i}.zone").write_text(HEAD.replace("\n.", f"\n{name}").replace("ns.example. A 127.0.0.1\n", "") % 1 + text)
                f.write(f'zone:\n    name: "{name}"\n    zonefile: "other{i}.zone"\n')
        program = shutil.which("nsd") or "/usr/sbin/nsd"
        self.process = subprocess.Popen([program, "-d", "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: ask(self.port, ".") == 0, "nsd to answer", 20)
        except AssertionError:
            log = self.folder / "nsd.log"
            text = log.read_text() if log.exists() else "no log"
            self.close()
            raise AssertionError(f"nsd does not answer: {text}")

    def write(self, records):
        self.serial += 1
        self.zone.write_text(HEAD % self.serial + records)

    def change(self, records):
        """Serves other records from now on (time to live is one second)."""
        self.write(records + f"\nserial{self.serial + 1}.example. A 127.0.0.1\n")
        os.kill(self.process.pid, signal.SIGHUP)
        until(lambda: ask(self.port, f"serial{self.serial}.example", 1) == 0, "nsd to read its zone again", 20)

    def silent(self):
        """From now on nobody answers, but the port stays taken."""
        self.process.terminate()
        self.process.wait()
        self.mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.mute.bind(("127.0.0.1", self.port))

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        if hasattr(self, "mute"):
            self.mute.close()
        shutil.rmtree(self.folder, True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
