"""IMAP COMPRESS=DEFLATE and UNAUTHENTICATE through imaplib: over TLS, with large bodies, and one connection for several users."""
import imaplib
import socket
import struct
import zlib

from harness import LIMIT, PASSWORD, Case, letter

imaplib.Commands.update(COMPRESS=("AUTH", "SELECTED"), UNAUTHENTICATE=("AUTH", "SELECTED"))


class Deflated:
    """What imaplib takes for its socket and its file, with raw deflate on both ways."""

    def __init__(self, sock):
        self.sock, self.buffer, self.read_bytes, self.wrote_bytes = sock, b"", 0, 0
        self.sends, self.hears = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)

    def sendall(self, data):
        packed = self.sends.compress(data) + self.sends.flush(zlib.Z_SYNC_FLUSH)
        self.wrote_bytes += len(packed)
        self.sock.sendall(packed)

    def more(self):
        packed = self.sock.recv(65536)
        if not packed:
            raise EOFError
        self.read_bytes += len(packed)
        self.buffer += self.hears.decompress(packed)

    def read(self, n):
        while len(self.buffer) < n:
            self.more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def readline(self, limit=-1):
        while b"\n" not in self.buffer:
            self.more()
        return self.read(self.buffer.index(b"\n") + 1)

    def shutdown(self, how):
        self.sock.shutdown(how)

    def close(self):
        pass


class Compress(Case):
    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in ("ann", "bob"):
            cls.server.account(f"{user}@home.example")

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def compressed(self, c):
        self.assertIn("COMPRESS=DEFLATE", self.ok(c.capability())[0].decode().split())
        plain = c.sock, c.file if hasattr(c, "file") else c._file
        self.ok(c._simple_command("COMPRESS", "DEFLATE"))
        wire = Deflated(c.sock)
        c.sock = wire
        for name in ("file", "_file"):
            if hasattr(c, name):
                setattr(c, name, wire)
        return wire, plain

    def plain_again(self, c, plain):
        c.sock = plain[0]
        for name in ("file", "_file"):
            if hasattr(c, name):
                setattr(c, name, plain[1])

    def test_tls_does_not_compress(self):
        """A client that offers DEFLATE in its first TLS message hears null: what is compressed together with a secret gives it away."""
        def extension(number, body):
            return struct.pack("!HH", number, len(body)) + body

        extensions = extension(10, b"\0\4\0\x1d\0\x17") + extension(11, b"\1\0") + extension(13, b"\0\x0a\4\1\4\3\x08\4\5\1\6\1")
        suites = b"\xc0\x2f\xc0\x30\xc0\x2b\xc0\x2c\xcc\xa8\xcc\xa9"
        hello = b"\3\3" + b"r" * 32 + b"\0" + struct.pack("!H", len(suites)) + suites + b"\2\1\0" + struct.pack("!H", len(extensions)) + extensions
        hello = b"\1" + len(hello).to_bytes(3, "big") + hello
        with socket.create_connection(("127.0.0.1", self.server.ports["imaps"]), LIMIT) as s:
            s.sendall(b"\x16\3\1" + struct.pack("!H", len(hello)) + hello)
            stream = s.makefile("rb")
            answer = stream.read(5 + 4 + 2 + 32 + 1)
            self.assertEqual((answer[0], answer[5]), (22, 2), answer)
            chosen = stream.read(answer[-1] + 3)
        self.assertIn(chosen[-3:-1], [suites[i:i + 2] for i in range(0, len(suites), 2)])
        self.assertEqual(chosen[-1], 0)

    def test_a_session(self):
        body = letter(subject="large", body="The same line again and again.\r\n" * 20000)
        for listener in ("imap", "imaps"):
            with self.subTest(listener=listener):
                c = self.server.imap("ann@home.example", listener=listener)
                wire, _ = self.compressed(c)
                self.assertNotIn("COMPRESS=DEFLATE", self.ok(c.capability())[0].decode().split())
                self.ok(c.append("INBOX", None, None, body.encode() if isinstance(body, str) else body))
                self.assertLess(wire.wrote_bytes, 20000)
                count = int(self.ok(c.select("INBOX"))[0])
                got = self.ok(c.fetch(str(count), "(BODY.PEEK[])"))[0][1]
                self.assertEqual(len(got), len(body))
                self.assertLess(wire.read_bytes, 60000)
                self.assertEqual(c.uid("SEARCH", "SUBJECT", "large")[0], "OK")
                c.logout()

    def test_a_stream_that_is_none(self):
        c = self.server.imap("ann@home.example")
        wire, _ = self.compressed(c)
        wire.sock.sendall(b"\x07 no deflate\r\n")
        self.assertTrue(wire.readline().startswith(b"* BYE"))
        with self.assertRaises(EOFError):
            wire.readline()
        self.ok(self.server.imap("ann@home.example").noop())

    def test_one_connection_for_two(self):
        c = self.server.imap("ann@home.example")
        self.ok(c.create("of-ann"))
        for round in range(3):
            _, plain = self.compressed(c)
            self.ok(c.select("INBOX"))
            self.ok(c._simple_command("UNAUTHENTICATE"))
            self.plain_again(c, plain)
            c.state = "NONAUTH"
            before = self.ok(c.capability())[0].decode().split()
            self.assertIn("AUTH=PLAIN", before)
            self.assertNotIn("COMPRESS=DEFLATE", before)
            with self.assertRaises(imaplib.IMAP4.error):
                c.login("bob@home.example", "wrong")
            user = ("bob", "ann")[round % 2]
            self.ok(c.login(f"{user}@home.example", PASSWORD))
            names = b" ".join(self.ok(c.list()))
            self.assertEqual(b"of-ann" in names, user == "ann", names)
        c.logout()

    def test_in_one_breath(self):
        c = self.server.imap("ann@home.example")
        c.send(b"a UNAUTHENTICATE\r\nb LOGIN bob@home.example \"" + PASSWORD.encode() + b"\"\r\nc SELECT INBOX\r\nd UNAUTHENTICATE\r\ne LOGOUT\r\n")
        answers, line = [], c.readline()
        while line:
            if line[:2] in (b"a ", b"b ", b"c ", b"d ", b"e "):
                answers.append(line[:4])
            line = c.readline()
        self.assertEqual(answers, [b"a OK", b"b OK", b"c OK", b"d OK", b"e OK"])
