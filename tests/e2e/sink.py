"""A scriptable SMTP and LMTP server: it takes messages, and at any step it can refuse, hang, vanish or talk nonsense.

    sink = Sink()
    sink.on("RCPT", "550 5.1.1 no such user", match="gone@")   # every RCPT whose line holds gone@
    sink.on("DOT", "451 4.3.0 later", times=1)                 # once, then the default
    sink.on("MAIL", HANG)
    sink.messages[0].data

Verbs: GREETING EHLO HELO LHLO STARTTLS AUTH MAIL RCPT DATA DOT BDAT RSET NOOP QUIT. An action is a reply (one or many
lines), HANG, CLOSE, bytes (sent as they are), or a function of the connection and the line that returns one of these.
"""
import base64
import dataclasses
import socket
import ssl
import threading
import time

HANG = object()
CLOSE = object()
EXTENSIONS = ("PIPELINING", "SIZE 100000000", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8", "CHUNKING", "BINARYMIME")


@dataclasses.dataclass
class Message:
    sender: str
    mail_line: str
    rcpts: list
    rcpt_lines: list
    data: bytes
    tls: bool
    helo: str
    connection: int
    login: str
    at: float
    ended: float     # wall time at which its end came
    answered: float  # and at which it was taken, as `at` is in monotonic time
    peer: str


@dataclasses.dataclass
class Rule:
    verb: str
    action: object
    match: str
    left: int


class Gone(Exception):
    pass


class Sink:
    def __init__(self, ip="127.0.0.1", port=0, tls=None, extensions=EXTENSIONS, lmtp=False, implicit_tls=False, users=None, keep=True):
        self.rules, self.messages, self.lines, self.connections = [], [], [], 0
        self.tls, self.extensions, self.lmtp, self.implicit_tls = tls, list(extensions), lmtp, implicit_tls
        self.users, self.keep, self.count = users, keep, 0
        self.trim = None  # bytes of a message to keep
        self.open_now = self.most_open = 0
        self.lock = threading.Lock()
        self.live = set()
        self.closing = False
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a reply behind another waits 40 ms for its acknowledgement
        self.socket.bind((ip, port))
        self.socket.listen(256)
        self.ip, self.port = ip, self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, verb, action, match="", times=1 << 60):
        with self.lock:
            self.rules.insert(0, Rule(verb, action, match, times))
        return self

    def calm(self):
        """Forgets all rules: from now on everything is taken."""
        with self.lock:
            self.rules.clear()

    def action(self, verb, line):
        with self.lock:
            for rule in self.rules:
                if rule.verb == verb and rule.match in line and rule.left > 0:
                    rule.left -= 1
                    return rule.action
        return None

    def said(self, text):
        """How many command lines so far held this text."""
        with self.lock:
            return sum(text in line for _, line in self.lines)

    def to(self, rcpt):
        with self.lock:
            return [m for m in self.messages if rcpt in m.rcpts]

    def close(self):
        self.closing = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        with self.lock:
            live = list(self.live)
        for s in live:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while not self.closing:
            try:
                s, peer = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open_now += 1
                self.most_open = max(self.most_open, self.open_now)
                self.live.add(s)
                number = self.connections
            threading.Thread(target=self._serve, args=(s, peer, number), daemon=True).start()

    def _serve(self, s, peer, number):
        session = Session(self, s, peer, number)
        try:
            session.run()
        except (Gone, OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.live.discard(s)
                self.live.discard(session.s)
                self.open_now -= 1
            session.s.close()


class Session:
    def __init__(self, sink, s, peer, number):
        self.sink, self.s, self.peer, self.number = sink, s, peer[0], number
        self.secure, self.helo, self.login, self.buffer = False, "", "", b""
        self.reset()

    def reset(self):
        self.mail, self.mail_line, self.rcpts, self.rcpt_lines, self.bdat = None, "", [], [], b""

    def more(self):
        data = self.s.recv(65536)
        if not data:
            raise Gone
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "replace")

    def take(self, n):
        got = bytearray(self.buffer)
        while len(got) < n:
            more = self.s.recv(1 << 20)
            if not more:
                raise Gone
            got += more
        data, self.buffer = bytes(got[:n]), bytes(got[n:])
        return data

    def say(self, text):
        self.s.sendall(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode() + b"\r\n")

    def scripted(self, verb, line):
        """Carries out a rule. Gives the reply that was sent (or None when no rule fits)."""
        action = self.sink.action(verb, line)
        if callable(action):
            action = action(self, line)
        if action is None:
            return None
        if action is HANG:
            while self.s.recv(65536):
                pass
            raise Gone
        if action is CLOSE:
            raise Gone
        self.say(action)
        return action if isinstance(action, str) else action.decode("latin-1")

    def secure_now(self):
        self.s = self.sink.tls.wrap_socket(self.s, server_side=True)
        with self.sink.lock:
            self.sink.live.add(self.s)
        self.secure, self.buffer = True, b""

    def run(self):
        self.s.settimeout(300)
        if self.sink.implicit_tls:
            self.secure_now()
        greeting = self.scripted("GREETING", "")
        if greeting is None:
            self.say("220 sink.example ESMTP")
        elif not greeting.startswith("2"):
            return
        while True:
            line = self.line()
            with self.sink.lock:
                if self.sink.trim is None:
                    self.sink.lines.append((self.number, line))
            verb = line.split(" ", 1)[0].upper()
            reply = self.scripted(verb, line)
            handler = getattr(self, "on_" + verb.lower(), None)
            if reply is not None:
                if verb == "QUIT":
                    return
                if verb == "BDAT":
                    self.take(int(line.split()[1]))
                if not reply.startswith(("2", "3")):
                    continue
            if handler is None:
                if reply is None:
                    self.say("500 5.5.1 what")
            elif handler(line, reply is not None) is False:
                return

    def on_ehlo(self, line, replied):
        self.reset()
        self.helo = line.split(" ", 1)[-1]
        if replied:
            return
        lines = ["sink.example"] + self.sink.extensions
        if self.sink.tls and not self.secure:
            lines.append("STARTTLS")
        if self.sink.users:
            lines.append("AUTH PLAIN LOGIN")
        self.say("\n".join(f"250{'-' if i + 1 < len(lines) else ' '}{l}" for i, l in enumerate(lines)))

    on_lhlo = on_ehlo

    def on_helo(self, line, replied):
        self.reset()
        self.helo = line.split(" ", 1)[-1]
        if not replied:
            self.say("250 sink.example")

    def on_starttls(self, line, replied):
        if not self.sink.tls:
            return replied or self.say("502 5.5.1 no")
        if not replied:
            self.say("220 2.0.0 go ahead")
        self.secure_now()

    def on_auth(self, line, replied):
        words = line.split()
        if words[1].upper() == "LOGIN":
            self.say("334 VXNlcm5hbWU6")
            user = base64.b64decode(self.line()).decode()
            self.say("334 UGFzc3dvcmQ6")
            secret = base64.b64decode(self.line()).decode()
        else:
            if len(words) < 3:
                self.say("334 ")
                words.append(self.line())
            _, user, secret = base64.b64decode(words[2]).decode().split("\0")
        if self.sink.users and self.sink.users.get(user) == secret:
            self.login = user
            self.say("235 2.7.0 welcome")
        else:
            self.say("535 5.7.8 no")

    def on_mail(self, line, replied):
        self.reset()
        self.mail, self.mail_line = line.split("<", 1)[1].split(">", 1)[0], line
        if not replied:
            self.say("250 2.1.0 ok")

    def on_rcpt(self, line, replied):
        if self.mail is None:
            return replied or self.say("503 5.5.1 MAIL first")
        self.rcpts.append(line.split("<", 1)[1].rsplit(">", 1)[0])
        self.rcpt_lines.append(line)
        if not replied:
            self.say("250 2.1.5 ok")

    def on_data(self, line, replied):
        if not self.rcpts:
            return replied or self.say("554 5.5.1 no valid recipients")
        if not replied:
            self.say("354 go on")
        data = self.body()
        self.finish(data.replace(b"\r\n..", b"\r\n.") if not data.startswith(b"..") else data[1:].replace(b"\r\n..", b"\r\n."))

    def body(self):
        """Everything up to the lone dot."""
        got = bytearray(self.buffer)
        looked = 0
        while True:
            if got.startswith(b".\r\n"):
                data, self.buffer = b"", bytes(got[3:])
                return data
            at = got.find(b"\r\n.\r\n", max(0, looked - 4))
            if at >= 0:
                data, self.buffer = bytes(got[:at + 2]), bytes(got[at + 5:])
                return data
            looked = len(got)
            more = self.s.recv(1 << 20)
            if not more:
                raise Gone
            got += more

    def on_bdat(self, line, replied):
        words = line.split()
        if not replied:
            data = self.take(int(words[1]))
            if not self.rcpts:
                return self.say("554 5.5.1 no valid recipients")
            self.bdat += data
        if len(words) > 2:
            self.finish(self.bdat)
        elif not replied:
            self.say("250 2.0.0 more")

    def finish(self, data):
        """The answer after the last byte; in LMTP one for each recipient."""
        self.ended = time.time()
        taken = []
        for rcpt in self.rcpts if self.sink.lmtp else [""]:
            reply = self.scripted("DOT", rcpt or self.mail_line)
            if reply is None:
                # It counts as ours only once it is stored; the answer comes after that.
                taken.append(rcpt)
                if not self.sink.lmtp:
                    self.keep(self.rcpts, data)
                self.say("250 2.0.0 taken")
            elif reply.startswith("2"):
                taken.append(rcpt)
                if not self.sink.lmtp:
                    self.keep(self.rcpts, data)
        if self.sink.lmtp and taken:
            self.keep(taken, data)
        self.reset()

    def keep(self, rcpts, data):
        with self.sink.lock:
            self.sink.count += 1
            if self.sink.keep:
                self.sink.messages.append(Message(self.mail, self.mail_line, list(rcpts), list(self.rcpt_lines), data[:self.sink.trim], self.secure,
                                                  self.helo, self.number, self.login, time.monotonic(), self.ended, time.time(), self.peer))

    def on_rset(self, line, replied):
        self.reset()
        if not replied:
            self.say("250 2.0.0 ok")

    def on_noop(self, line, replied):
        if not replied:
            self.say("250 2.0.0 ok")

    def on_quit(self, line, replied):
        self.say("221 2.0.0 bye")
        return False


def server_context(chain, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def main():
    """A sink for people: prints every message it takes (used by the demonstration)."""
    import argparse
    parser = argparse.ArgumentParser(description="take mail over SMTP and print it")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", help="write each message into this folder too")
    options = parser.parse_args()
    sink = Sink(options.address, options.port)
    print(f"sink on {sink.ip} port {sink.port}", flush=True)
    shown = 0
    while True:
        time.sleep(0.1)
        while shown < len(sink.messages):
            m = sink.messages[shown]
            shown += 1
            print(f"from <{m.sender}> to {', '.join('<' + r + '>' for r in m.rcpts)}, {len(m.data)} bytes", flush=True)
            if options.folder:
                with open(f"{options.folder}/{shown:04}.eml.part", "wb") as f:
                    f.write(m.data)
                import os
                os.rename(f"{options.folder}/{shown:04}.eml.part", f"{options.folder}/{shown:04}.eml")


if __name__ == "__main__":
    main()
