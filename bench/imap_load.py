"""Mail for bench/imap, and an IMAP client that reads at full speed: it looks for nothing but the tagged answer."""
import base64
import random
import re
import socket
import textwrap
import time

WORDS = ("meeting report invoice schedule budget update review question answer project release server customer contract travel "
         "holiday lunch printer network password backup ticket delivery order shipment warehouse deadline minutes agenda").split()
NAMES = "Anna Bert Carla Dieter Elena Franz Greta Hugo Ines Jonas Klara Ludwig Maria Nora Otto Paula".split()
RARE = "quokkafeather"


class Mail:
    """Message i of a mailbox: 5 KB, a third with text and HTML, a third with an attachment, a third plain; in threads of about six."""

    def __init__(self, seed=1):
        r = self.random = random.Random(seed)
        self.texts = ["\r\n".join(textwrap.wrap(" ".join(r.choices(WORDS, k=n)), 72)) + "\r\n" for n in (150, 250, 300) for _ in range(40)]
        self.blobs = ["\r\n".join(textwrap.wrap(base64.b64encode(r.randbytes(1700)).decode(), 76)) + "\r\n" for _ in range(40)]
        self.subjects = [" ".join(r.choices(WORDS, k=4)) for _ in range(5000)]

    def make(self, i):
        r, thread, rare = self.random, i // 6, f"{RARE}\r\n" if i % 10000 == 777 else ""
        when = time.strftime("%a, %d %b %Y %H:%M:%S +0100", time.gmtime(1600000000 + (i * 7919 % 1000003) * 60))
        who, to = r.choice(NAMES), r.choice(NAMES)
        head = (f"Return-Path: <{who.lower()}@far.example>\r\nReceived: from mx{i % 9}.far.example (mx{i % 9}.far.example [192.0.2.{i % 250}])\r\n"
                f"\tby mail.home.example with ESMTPS id {i:011x}; {when}\r\nFrom: {who} Example <{who.lower()}@far.example>\r\n"
                f"To: {to} Home <{to.lower()}@home.example>, team@home.example\r\nSubject: {'Re: ' if i % 6 else ''}{self.subjects[thread % 5000]} {thread}\r\n"
                f"Date: {when}\r\nMessage-ID: <{i}.{thread}@far.example>\r\nMIME-Version: 1.0\r\nUser-Agent: Bench/1.0\r\n")
        if i % 6:
            ids = [f"<{k}.{thread}@far.example>" for k in range(thread * 6, i)]
            head += f"In-Reply-To: {ids[-1]}\r\nReferences: " + "\r\n\t".join(ids) + "\r\n"
        text, bound = rare + r.choice(self.texts[80:]), f"=_{i:08x}"
        if i % 3 == 0:
            return f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{text}{r.choice(self.texts[80:])}".encode()
        if i % 3 == 1:
            return (f'{head}Content-Type: multipart/alternative; boundary="{bound}"\r\n\r\n--{bound}\r\nContent-Type: text/plain; charset=utf-8\r\n'
                    f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{text}\r\n--{bound}\r\nContent-Type: text/html; charset=utf-8\r\n"
                    f"Content-Transfer-Encoding: quoted-printable\r\n\r\n<html><body><p>{text}</p></body></html>\r\n--{bound}--\r\n").encode()
        return (f'{head}Content-Type: multipart/mixed; boundary="{bound}"\r\n\r\n--{bound}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n'
                f'{text}\r\n--{bound}\r\nContent-Type: application/pdf; name="report{i}.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
                f'Content-Disposition: attachment; filename="report{i}.pdf"\r\n\r\n{r.choice(self.blobs)}--{bound}--\r\n').encode()


class Client:
    def __init__(self, port, user, password):
        self.s = socket.create_connection(("127.0.0.1", port), 300)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.n, self.room = 0, bytearray(1 << 20)
        self.s.recv(4096)
        self.do(f'LOGIN {user} "{password}"')

    def begin(self, command):
        self.n += 1
        self.tag = b"t%06d" % self.n
        self.s.sendall(self.tag + b" " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")

    def end(self, keep=False):
        """Reads to the tagged answer: the bytes, or all of them with `keep`."""
        total, tail, kept = 0, b"", []
        while True:
            n = self.s.recv_into(self.room)
            if n == 0:
                raise ConnectionError("closed")
            total += n
            if keep:
                kept.append(bytes(self.room[:n]))
            tail = (tail + bytes(self.room[max(0, n - 4000):n]))[-4000:]
            if tail.endswith(b"\r\n"):
                found = re.search(rb"(?:^|\r\n)" + self.tag + rb" (\w+)[^\r\n]*\r\n$", tail)
                if found:
                    if found[1] != b"OK":
                        raise RuntimeError(tail.decode(errors="replace"))
                    return b"".join(kept) if keep else total

    def do(self, command, keep=False):
        self.begin(command)
        return self.end(keep)

    def timed(self, command):
        start = time.perf_counter()
        size = self.do(command)
        return time.perf_counter() - start, size


def fill(client, mailbox, mail, first, count, each=200):
    """MULTIAPPEND with literals that need no answer."""
    for begin in range(first, first + count, each):
        command = [b"APPEND " + mailbox.encode()]
        for i in range(begin, min(begin + each, first + count)):
            m = mail.make(i)
            command.append(b" {%d+}\r\n" % len(m) + m)
        client.do(b"".join(command))
