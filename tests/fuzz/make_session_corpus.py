#!/usr/bin/python3
"""Writes the seeds of mailbox_fuzz and access_fuzz; to be run again when src/lib/ipc/messages.h changes the order of messages."""
import pathlib
import re
import struct

HERE = pathlib.Path(__file__).resolve().parent
MESSAGES = re.findall(r"^\s+M\((\w+),", (HERE.parents[1] / "src/lib/ipc/messages.h").read_text(), re.M)
NUMBER = {name: i + 1 for i, name in enumerate(MESSAGES)}


def frame(name, *fields):
    out = struct.pack("<H", NUMBER[name])
    for f in fields:
        out += struct.pack("<Q", f) if isinstance(f, int) else struct.pack("<I", len(f)) + f
    return out


def item(who, data=b"", act=0):
    return struct.pack("<H", len(data)) + bytes([who | act << 2]) + data


def write(target, seeds, words):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, items in seeds.items():
        (folder / name).write_bytes(b"".join(items))
    numbers = [f"\\x{NUMBER[w]:02x}\\x00" if w in NUMBER else w for w in words]
    (HERE / f"{target}.dict").write_text("".join(f'"{w}"\n' for w in numbers))


def mailbox():
    queue, directory, access, web = range(4)
    run, flush, sweep, queue_gone, access_gone, directory_gone = range(1, 7)

    def deliver(id, message, account, body, size=None, flags=0, act=0):
        return item(queue, frame("deliver_local", id, message, account, 1, len(body) if size is None else size, flags, 0, b"s@f.test", b"r@h.test",
                                 b"r@h.test", body), act)

    def account(id, number, found=1, quota=0, messages=0, act=0):
        return item(directory, frame("account_reply", id, number, found, quota, messages, b"r@h.test"), act)

    def chunk(id, offset, data, act=0):
        return item(queue, frame("body_chunk", id, offset, data), act)

    def changed(number, removed, act=0):
        return item(directory, frame("account_changed", number, removed), act)

    def session(id, number, text, flags=0):
        return item(access, frame("session_open", id, 0, flags, number, b"r@h.test", b"192.0.2.1", b"", text), run)

    def imap(id, number, text):
        return item(access, frame("session_open", id, 1, 1, number, b"r@h.test", b"192.0.2.1", b"a1", text), run)

    def more(id, n):
        return item(access, frame("session_more", id, n), run)

    def command(id, args):
        return item(web, frame("control_ask", id, 0, b"mailbox", args))

    small = b"A: b\r\n\r\nx\r\n"
    write("mailbox", {
        "deliver": [deliver(1, 100, 1, small), account(1, 1, act=flush), deliver(2, 100, 1, small, act=flush),
                    session(9, 1, b"STAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n"), item(queue, act=sweep), item(queue, act=flush)],
        "pull": [deliver(1, 100, 1, b"", size=20), account(1, 1), chunk(1, 0, b"x" * 15, flush), chunk(1, 15, b"y" * 5), chunk(1, 20, b"", flush)],
        "pull_lost": [deliver(1, 100, 1, b"", size=20), account(1, 1), chunk(1, 0, b"x" * 15, queue_gone), item(queue, act=sweep),
                      deliver(1, 100, 1, b"abc", act=flush)],
        "quota": [deliver(1, 100, 1, b"x" * 50), account(1, 1, 1, 150, 1), deliver(2, 101, 1, b"y" * 50, act=flush), changed(1, 0),
                  deliver(3, 102, 1, b"z"), account(2, 1, act=flush)],
        "removed": [deliver(1, 100, 1, b"x"), account(1, 1, act=flush), session(1, 1, b"STAT\r\n"), deliver(2, 101, 1, b"", size=99),
                    changed(1, 1, flush), deliver(3, 102, 1, b"x"), account(2, 1, 0)],
        "sessions": [session(1, 1, b"NOOP\r\n"), session(2, 1, b""), item(access, frame("session_data", 1, b"LIST\r\nUIDL\r\n"), run), more(1, 500),
                     item(access, frame("session_close", 1)), session(3, 1, b"CAPA\r\nQUIT\r\n", 3), item(access, act=access_gone)],
        "imap": [deliver(1, 100, 1, small), account(1, 1, act=flush), imap(9, 1, b"b SELECT INBOX\r\nc FETCH 1 (FLAGS BODY[])\r\nd STORE 1 +FLAGS (\\Deleted)\r\n"),
                 item(access, act=flush), item(access, frame("session_data", 9, b"e EXPUNGE\r\nf IDLE\r\n"), flush), deliver(2, 101, 1, small, act=flush),
                 item(access, frame("session_finish", 9), run)],
        "unreachable": [deliver(1, 100, 1, b"x", act=directory_gone), deliver(2, 100, 2, b"x"), account(2, 2), item(queue, act=flush)],
        "utf8": [deliver(1, 100, 1, "S: é\r\n\r\nx\r\n".encode(), flags=2), account(1, 1, act=flush),
                 session(1, 1, b"RETR 1\r\nTOP 1 1\r\nQUIT\r\n"), session(2, 1, b"RETR 1\r\nQUIT\r\n", 2)],
        "command": [deliver(1, 100, 1, b"x"), account(1, 1, act=flush), command(1, b"show\0account=1\0"), command(2, b"check\0account=1\0"),
                    command(3, b"stats\0"), command(4, b"show\0account=x\0")],
        "nonsense": [item(queue, b"\0\0\0\0\xff\xff"), item(directory, frame("deliver_local", 1, 1, 1, 1, 1, 0, 0, b"", b"", b"", b"")),
                     deliver(2**63 + 1, 2**63 + 1, 2**64 - 1, b"x"), more(5, 2**64 - 1), chunk(7, 2**64 - 1, b"")],
    }, ["STAT\\x0d\\x0a", "LIST\\x0d\\x0a", "UIDL\\x0d\\x0a", "RETR 1\\x0d\\x0a", "TOP 1 1\\x0d\\x0a", "DELE 1\\x0d\\x0a", "QUIT\\x0d\\x0a", "account=1", "show",
        "check", "stats", "mailbox", "deliver_local", "body_chunk", "account_reply", "account_changed", "session_open", "session_data", "session_more",
        "session_close", "session_finish", "control_ask"])


def access():
    client, directory, mailbox = range(3)
    listen, here, far, other, directory_gone, mailbox_gone, full, drained = range(8)

    def done(id, result=0, account=5, rights=3, data=b""):
        return item(directory, frame("auth_done", id, result, account, rights, b"ann", data, b"text"))

    def data(id, text, act=0):
        return item(mailbox, frame("session_data", id, text), act)

    imap = [item(client, act=other), item(client, act=here)]
    login = item(client, b"USER ann\r\nPASS x\r\n")
    write("access", {
        "session": [login, done(2), data(3, b"+OK\r\n"), item(client, b"STAT\r\nQUIT\r\n"), item(mailbox, frame("session_more", 3, 12)),
                    data(3, b"+OK bye\r\n"), item(mailbox, frame("session_close", 3))],
        "scram": [item(client, b"AUTH SCRAM-SHA-256 biws\r\n"), item(directory, frame("auth_challenge", 2, b"r=1")), item(client, b"cD0x\r\n"),
                  done(2, data=b"v=1"), item(client, b"\r\n"), data(3, b"+OK\r\n")],
        "failures": [login, done(2, 1), item(client, b"NOOP\r\n", here), login, done(4, 2), item(client, b"", far)],
        "directory_gone": [login, item(client, act=directory_gone), item(client, b"QUIT\r\n")],
        "mailbox_gone": [login, done(2), item(client, act=mailbox_gone)],
        "full": [login, done(2), item(client, b"x" * 300, full), item(mailbox, frame("session_more", 3, 100)), item(client, act=drained),
                 data(3, b"y" * 400)],
        "proxy": [item(client, act=far), item(client, b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 110\r\nCAPA\r\n"), item(client, b"STLS\r\n", far),
                  item(client, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\1\2\3\4\5\6\7\x08\0\1\0\2NOOP\r\n")],
        "imap": [*imap, item(client, b"a LOGIN ann {1}\r\nx\r\n"), done(2), data(3, b"a OK\r\n"), item(client, b"b IDLE\r\n"), data(3, b"+ idling\r\n"),
                 item(client, b"DONE\r\n"), item(mailbox, frame("session_more", 3, 12)), item(mailbox, frame("session_close", 3))],
        "imap_scram": [*imap, item(client, b"a AUTHENTICATE SCRAM-SHA-256\r\n"), item(directory, frame("auth_challenge", 2, b"")), item(client, b"biws\r\n"),
                       item(directory, frame("auth_challenge", 2, b"r=1")), item(client, b"cD0x\r\n"), done(2, data=b"v=1"), item(client, b"\r\n", mailbox_gone)],
        "imap_failures": [*imap, item(client, b"a LOGIN a b\r\n"), done(2, 1), item(client, b"", here), item(client, b"a LOGIN a b\r\n", directory_gone)],
        "strangers": [data(1, b"x"), item(mailbox, frame("session_more", 3, 2**63)), done(1), item(directory, b"\xff\xff"), login, done(2),
                      item(mailbox, frame("session_more", 3, 2**64 - 1)), data(3, b"z" * 60000), data(3, b"z" * 60000)],
    }, ["USER ann\\x0d\\x0a", "PASS x\\x0d\\x0a", "AUTH PLAIN AGEAYg==\\x0d\\x0a", "AUTH LOGIN\\x0d\\x0a", "STLS\\x0d\\x0a", "CAPA\\x0d\\x0a", "QUIT\\x0d\\x0a",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\\x0d\\x0a", "auth_challenge", "auth_done", "session_data", "session_more", "session_close"])


mailbox()
access()
