"""A client that says single lines and bytes, right or wrong, to any server of the tests."""
import socket
import ssl

from harness import LIMIT


class Talk:
    """A bare line-by-line client, for what no well-behaved library would say."""

    def __init__(self, port, ip="127.0.0.1", greeting=True, source=None):
        self.s = socket.create_connection((ip, port), LIMIT, source_address=source)
        self.s.settimeout(LIMIT)
        self.buffer = b""
        self.greeting = self.reply() if greeting else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def raw(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        while b"\n" not in self.buffer:
            data = self.s.recv(65536)
            if not data:
                raise EOFError(f"closed after {self.buffer!r}")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def reply(self):
        """A whole SMTP reply: (code, text with newlines)."""
        lines = []
        while True:
            line = self.line()
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(lines)

    def say(self, line):
        self.raw(line + "\r\n" if isinstance(line, str) else line + b"\r\n")
        return self.reply()

    def code(self, line):
        return self.say(line)[0]

    def lines(self, *lines):
        return [self.code(l) for l in lines]

    def starttls(self, context, name=None):
        code, text = self.say("STARTTLS")
        assert code == 220, text
        self.s = context.wrap_socket(self.s, server_hostname=name)
        self.buffer = b""

    def closed(self):
        """Waits until the server closes; True when it did."""
        try:
            while self.s.recv(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            return True
        except TimeoutError:
            return False
        return True
