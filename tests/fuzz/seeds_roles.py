"""Seeds of mailbox_fuzz, access_fuzz and smtp_server_fuzz: steps that the role's peers, its clients and its disk take."""
import struct
import zlib

from seeds_wire import frame, word


def item(who, data=b"", act=0, around=0):
    return struct.pack("<H", len(data)) + bytes([who | act << 2 | around << 5]) + data


def deflated(text):
    """As a client of IMAP sends it after COMPRESS: with a flush at the end."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)


def mailbox():
    queue, directory, access, web = range(4)
    run, flush, sweep, queue_gone, access_gone, directory_gone = range(1, 7)
    queue_back, queue_away, fails_once, fails, fails_no_more, directory_back, access_away = range(1, 8)

    def deliver(id, message, account, body, size=None, flags=0, act=0, around=0, sender=b"s@f.test", rcpt=b"r@h.test"):
        return item(queue, frame("deliver_local", id, message, account, 1, len(body) if size is None else size, flags, 0, sender, rcpt, rcpt, body), act, around)

    def account(id, number, found=1, quota=0, messages=0, act=0, around=0):
        return item(directory, frame("account_reply", id, number, found, quota, messages, b"r@h.test"), act, around)

    def chunk(id, offset, data, act=0, around=0):
        return item(queue, frame("body_chunk", id, offset, data), act, around)

    def name(id, number, address, failed=0, asker=b"r@h.test"):
        return item(directory, frame("name_reply", id, number, failed, address, asker))

    def owners(id, lines, failed=0, asker=b"r@h.test"):
        return item(directory, frame("shares_reply", id, failed, asker, lines))

    def changed(number, removed, act=0):
        return item(directory, frame("account_changed", number, removed), act)

    def session(id, number, text, flags=0, protocol=0, act=run, around=0, tag=b""):
        return item(access, frame("session_open", id, protocol, flags, number, b"r@h.test", b"192.0.2.1", tag, text), act, around)

    def imap(id, number, text):
        return session(id, number, text, 1, 1, tag=b"a1")

    def data(id, text, act=run, around=0):
        return item(access, frame("session_data", id, text), act, around)

    def more(id, n, act=run):
        return item(access, frame("session_more", id, n), act)

    def command(id, args):
        return item(web, frame("control_ask", id, 0, b"mailbox", args))

    def failing(n):
        """The n-th operation on the disk after this one fails, and all that follow."""
        return item(3, b"\0" * (n - 1), around=fails)

    small = b"A: b\r\n\r\nx\r\n"
    one = [deliver(1, 100, 1, small), account(1, 1, act=flush)]
    many = [deliver(n, 100 + n, 1, b"A: %d\r\n\r\n" % n + b"x\r\n" * n) for n in range(2, 9)] + [item(queue, act=flush)]
    pull = [deliver(1, 100, 1, b"", size=20), account(1, 1)]
    out = {
        "deliver": [*one, deliver(2, 100, 1, small, act=flush), session(9, 1, b"STAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n"), item(queue, act=sweep), item(queue, act=flush)],
        "pull": [*pull, chunk(1, 0, b"x" * 15, flush), chunk(1, 15, b"y" * 5), chunk(1, 20, b"", flush)],
        "pull-lost": [*pull, chunk(1, 0, b"x" * 15, queue_gone), item(queue, act=sweep), deliver(1, 100, 1, b"abc", act=flush)],
        "pull-repeated": [deliver(1, 100, 1, b"", size=5), account(1, 1), deliver(2, 100, 1, b"abcde", act=flush), chunk(1, 0, b"abcde"), chunk(1, 5, b"", flush)],
        "pull-too-long": [*pull, chunk(1, 0, b"x" * 21, flush)],
        "pull-too-short": [*pull, chunk(1, 0, b"x" * 15), chunk(1, 15, b"", flush)],
        "pull-wrong-place": [*pull, chunk(1, 5, b"x"), chunk(1, 0, b"x" * 20), chunk(1, 0, b"x" * 20), chunk(1, 20, b"", flush)],
        "pull-quota": [deliver(1, 100, 1, b"", size=200), account(1, 1, 1, 100)],
        "pull-quota-late": [deliver(1, 100, 1, b"", size=50), account(1, 1, 1, 160), deliver(2, 101, 1, b"y" * 30, act=flush), chunk(1, 0, b"x" * 50), chunk(1, 50, b"", flush)],
        "pull-queue-away": [*pull, chunk(1, 0, b"x" * 5, around=queue_away), item(queue, around=queue_back), chunk(1, 5, b"x", flush)],
        "queue-away": [deliver(1, 100, 1, small), item(3, around=queue_away), account(1, 1, act=flush), item(3, around=queue_back), deliver(1, 100, 1, small, act=flush)],
        "same-number": [deliver(1, 100, 1, small), deliver(1, 101, 1, small), account(1, 1, act=flush)],
        "quota": [deliver(1, 100, 1, b"x" * 50), account(1, 1, 1, 150, 1), deliver(2, 101, 1, b"y" * 50, act=flush), changed(1, 0), deliver(3, 102, 1, b"z"),
                  account(2, 1, act=flush)],
        "removed": [deliver(1, 100, 1, b"x"), account(1, 1, act=flush), session(1, 1, b"STAT\r\n"), deliver(2, 101, 1, b"", size=99), changed(1, 1, flush),
                    deliver(3, 102, 1, b"x"), account(2, 1, 0)],
        "sessions": [session(1, 1, b"NOOP\r\n"), session(2, 1, b""), data(1, b"LIST\r\nUIDL\r\n"), more(1, 500), item(access, frame("session_close", 1)),
                     session(3, 1, b"CAPA\r\nQUIT\r\n", 3), item(access, act=access_gone)],
        "reading": [*one, *many, session(1, 1, b"STAT\r\nLIST\r\nUIDL\r\nLIST 3\r\nUIDL 3\r\nTOP 2 1\r\nRETR 8\r\nRETR 99\r\nDELE 1\r\nDELE 2\r\nRSET\r\nDELE 3\r\n"), more(1, 100), more(1, 60000),
                    data(1, b"DELE 4\r\nLAST\r\nNOOP\r\nQUIT\r\n"), item(access, act=run), session(2, 1, b"STAT\r\nQUIT\r\n")],
        "credit": [*one, session(1, 1, b"RETR 1\r\n"), more(1, 65537), session(2, 1, b"STAT\r\n"), *[more(2, 65536)] * 3],
        "flood": [session(1, 1, b"x" * 65000, act=0), data(1, b"y" * 1000, act=0), data(1, b"STAT\r\n")],
        "protocols": [session(1, 1, b"a NOOP\r\n", protocol=1), session(2, 1, b"x", protocol=99), session(3, 0, b"x"), session(4, 2**63, b"x"), session(1, 1, b"again")],
        "access-away": [*one, session(1, 1, b"RETR 1\r\n", around=access_away), item(queue, act=run), session(2, 1, b"STAT\r\n", around=access_away), item(queue, act=run, around=access_away)],
        "removing-while-gone": [*one, *many, session(1, 1, b"DELE 1\r\nDELE 2\r\nQUIT\r\n", act=0), item(queue, act=run), item(access, act=access_gone), item(queue, act=flush)],
        "imap": [deliver(1, 100, 1, small), account(1, 1, act=flush), imap(9, 1, b"b SELECT INBOX\r\nc FETCH 1 (FLAGS BODY[])\r\nd STORE 1 +FLAGS (\\Deleted)\r\n"),
                 item(access, act=flush), data(9, b"e EXPUNGE\r\nf IDLE\r\n", flush), deliver(2, 101, 1, small, act=flush),
                 item(access, frame("session_finish", 9), run)],
        "imap-shared": [*one, imap(9, 1, b"b SETACL INBOX x@h.test lr\r\n"), name(2, 2, b"x@h.test"), item(access, act=flush), imap(10, 2, b"c LIST \"\" *\r\n"), owners(3, b"1 r@h.test\n"),
                        data(10, b"d SELECT \"Other Users/r@h.test/INBOX\"\r\n"), name(4, 1, b"r@h.test"), item(access, act=flush), data(10, b"e COPY 1 Sent\r\n", flush),
                        name(9, 1, b""), owners(9, b"0 x\n1\n-1 y\n99999999999999999999 z\n"), changed(1, 1), data(10, b"f NOOP\r\n", flush)],
        "acl": [*one, command(1, b"acl\0account=1\0folder=INBOX\0identifier=anyone\0rights=lr\0"), item(queue, act=flush), command(2, b"acl\0account=1\0folder=INBOX\0identifier=-x@h.test\0rights=+w\0"),
                name(2, 2, b"x@h.test"), item(queue, act=flush), account(3, 2), command(3, b"acl\0account=1\0folder=INBOX\0"), account(4, 2, found=0), command(4, b"acl\0account=1\0")],
        "imap-compress": [imap(9, 1, b"b COMPRESS DEFLATE\r\n"), item(access, act=flush), data(9, deflated(b"c NOOP\r\nd UNAUTHENTICATE\r\n") + b"e LOGIN a b\r\n", flush),
                          item(access, frame("session_stopped", 9), run)],
        "imap-unauthenticate": [item(access, frame("session_stopped", 9)), imap(9, 1, b"b UNAUTHENTICATE\r\nc LOGIN"), item(access, act=flush), data(9, b" a b\r\n", flush),
                                item(access, frame("session_stopped", 9), run), data(9, b"x", run)],
        "unreachable": [deliver(1, 100, 1, b"x", act=directory_gone), deliver(2, 100, 2, b"x"), account(2, 2), item(queue, act=flush)],
        "directory-back": [*one, item(3, around=directory_back), deliver(2, 101, 1, small), account(2, 1, act=flush)],
        "utf8": [deliver(1, 100, 1, "S: é\r\n\r\nx\r\n".encode(), flags=2), account(1, 1, act=flush), session(1, 1, b"RETR 1\r\nTOP 1 1\r\nQUIT\r\n"), session(2, 1, b"RETR 1\r\nQUIT\r\n", 2)],
        "addresses": [deliver(1, 100, 1, small, sender=b"\"a\r\nX-Injected: y\"@f.test", rcpt="ü@\x7fh.test\r\n".encode()), account(1, 1, act=flush), session(1, 1, b"TOP 1 0\r\n"), more(1, 999)],
        "command": [deliver(1, 100, 1, b"x"), account(1, 1, act=flush), command(1, b"show\0account=1\0"), command(2, b"check\0account=1\0"), command(3, b"stats\0"),
                    command(4, b"show\0account=x\0"), command(5, b"list\0account=1\0"), command(6, b"\0"), command(7, b"show\0account=3\0")],
        "nonsense": [item(queue, b"\0\0\0\0\xff\xff"), item(directory, frame("deliver_local", 1, 1, 1, 1, 1, 0, 0, b"", b"", b"", b"")),
                     deliver(2**63 + 1, 2**63 + 1, 2**64 - 1, b"x"), more(5, 2**64 - 1), chunk(7, 2**64 - 1, b"")],
    }
    for n in range(1, 31):
        out[f"disk-fails-{n:02}"] = [*one, failing(n), deliver(2, 101, 1, small), deliver(3, 102, 2, small), account(2, 2), deliver(4, 103, 1, b"", size=5),
            session(1, 1, b"STAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n"), chunk(4, 0, b"abcde"), chunk(4, 5, b"", flush), item(3, around=fails_no_more, act=sweep),
            deliver(5, 104, 1, small, act=flush)]
    for n in range(1, 16, 2):
        out[f"disk-fails-once-{n:02}"] = [*one, *many, session(1, 1, b"RETR 2\r\n"), more(1, 900), item(3, b"\0" * (n - 1), around=fails_once), data(1, b"DELE 1\r\nDELE 2\r\nQUIT\r\n"),
            item(queue, act=run), item(queue, act=flush), deliver(20, 120, 1, small, act=flush)]
    return out


def access():
    client, directory, mailbox = range(3)
    listen, here, far, other, directory_gone, mailbox_gone, full, drained = range(8)
    late, implicit, mailbox_away, directory_away, both_back, stranger, certificates = range(1, 8)

    def done(id, result=0, account=5, rights=3, data=b"", act=0, around=0):
        return item(directory, frame("auth_done", id, result, account, rights, b"ann", data, b"text"), act, around)

    def data(id, text, act=0):
        return item(mailbox, frame("session_data", id, text), act)

    def behind(text):
        return [item(client, act=far), item(client, b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 110\r\n" + text)]

    login = item(client, b"USER ann\r\nPASS x\r\n")
    imap = [item(client, act=other), item(client, act=here)]
    return {
        "imap": [*imap, item(client, b"a LOGIN ann {1}\r\nx\r\n"), done(2), data(3, b"a OK\r\n"), item(client, b"b IDLE\r\n"), data(3, b"+ idling\r\n"),
                 item(client, b"DONE\r\n"), item(mailbox, frame("session_more", 3, 12)), item(mailbox, frame("session_close", 3))],
        "imap_scram": [*imap, item(client, b"a AUTHENTICATE SCRAM-SHA-256\r\n"), item(directory, frame("auth_challenge", 2, b"")), item(client, b"biws\r\n"),
                       item(directory, frame("auth_challenge", 2, b"r=1")), item(client, b"cD0x\r\n"), done(2, data=b"v=1"), item(client, b"\r\n", mailbox_gone)],
        "imap_failures": [*imap, item(client, b"a LOGIN a b\r\n"), done(2, 1), item(client, b"", here), item(client, b"a LOGIN a b\r\n", directory_gone)],
        "imap_given_back": [*imap, item(client, b"a LOGIN ann {1}\r\nx\r\n"), done(2), item(client, b"b UNAUTHENTICATE\r\nc LO"), data(3, b"b OK\r\n"),
                            item(mailbox, frame("session_back", 3, b"x")), item(mailbox, frame("session_return", 3)), item(client, b"GIN ann {1}\r\ny\r\n"),
                            item(mailbox, frame("session_back", 3, b"c LO")), done(4), item(mailbox, frame("session_return", 5)),
                            item(mailbox, frame("session_back", 5, b"d LOGIN ann {1}\r\ny\r\ne NOOP\r\nf AUTHENTICATE PLAIN\r\nAG")), done(6)],
        "session": [login, done(2), data(3, b"+OK\r\n"), item(client, b"STAT\r\nQUIT\r\n"), item(mailbox, frame("session_more", 3, 12)), data(3, b"+OK bye\r\n"),
                    item(mailbox, frame("session_close", 3))],
        "scram": [item(client, b"AUTH SCRAM-SHA-256 biws\r\n"), item(directory, frame("auth_challenge", 2, b"r=1")), item(client, b"cD0x\r\n"), done(2, data=b"v=1"), item(client, b"\r\n"),
                  data(3, b"+OK\r\n")],
        "failures": [login, done(2, 1), item(client, b"NOOP\r\n", here), login, done(4, 2), item(client, b"", far)],
        "failures-late": [*[step for n in range(4) for step in (login, done(2 + n * 2, 1), item(client, around=late))], item(client, b"QUIT\r\n")],
        "banned": [step for n in range(5) for step in (*behind(b"USER ann\r\nPASS x\r\n"), done(2 + n * 2, 1), item(client, around=late))],
        "crowded": [*behind(b""), *behind(b""), *behind(b""), *behind(b"")],
        "results": [step for r in range(7) for step in (item(client, act=here), login, done(2 + r * 2, r), item(client, around=late))],
        "no-right": [login, done(2, rights=1), item(client, around=late)],
        "no-mailbox": [item(3, around=mailbox_away), login, done(2), item(client, b"QUIT\r\n", around=both_back)],
        "no-directory": [item(3, around=directory_away), login, item(client, b"AUTH PLAIN AGEAYg==\r\n", around=both_back)],
        "step-without-directory": [item(client, b"AUTH SCRAM-SHA-256 biws\r\n"), item(directory, frame("auth_challenge", 2, b"r=1")), item(client, b"cD0x\r\n", around=directory_away)],
        "leaves-while-asking": [login, item(client, act=here), item(client, act=here), item(client, act=here), done(2)],
        "implicit": [item(3, around=implicit), item(client, b"x", here), item(client, b"", far)],
        "cancelled": [item(client, b"AUTH SCRAM-SHA-256 biws\r\n"), item(directory, frame("auth_challenge", 2, b"r=1")), item(client, b"*\r\nQUIT\r\n")],
        "stranger": [item(3, act=here, around=stranger), item(client, b"USER ann\r\nPASS x\r\nSTLS\r\n"), item(client, b"AUTH PLAIN AGEAYg==\r\n")],
        "more-than-it-may": [login, done(2), *[data(3, b"z" * 65000)] * 3],
        "waits-for-credit": [login, done(2), item(client, b"x" * 65000), item(client, b"y" * 2000), item(mailbox, frame("session_more", 3, 30000)), item(client, b"z")],
        "metrics": [item(3, around=certificates), login],
        "directory_gone": [login, item(client, act=directory_gone), item(client, b"QUIT\r\n")],
        "mailbox_gone": [login, done(2), item(client, act=mailbox_gone)],
        "full": [login, done(2), item(client, b"x" * 300, full), item(mailbox, frame("session_more", 3, 100)), item(client, act=drained), data(3, b"y" * 400)],
        "proxy": [item(client, act=far), item(client, b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 110\r\nCAPA\r\n"), item(client, b"STLS\r\n", far),
                  item(client, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\1\2\3\4\5\6\7\x08\0\1\0\2NOOP\r\n")],
        "proxy-bad": [item(client, act=far), item(client, b"PROXY TCP9 x\r\n"), item(client, act=far), item(client, b"PROX"), item(client, b"Y UNKNOWN\r\nQUIT\r\n")],
        "strangers": [data(1, b"x"), item(mailbox, frame("session_more", 3, 2**63)), done(1), item(directory, b"\xff\xff"), login, done(2),
                      item(mailbox, frame("session_more", 3, 2**64 - 1)), data(3, b"z" * 60000)],
    }


def queue_role():
    """Bytes are numbers; see queue_role_fuzz.c. Address 1 is x@remote.test."""
    release, hours, relay_goes, relay_back = bytes([7, 5]), bytes([7, 9]), bytes([7, 0x40 + 2]), bytes([7, 0xc0])

    def message(number, address=1):
        return [bytes([0, 1, 0, number, 0, 1, 0, 9, 0, 0, 0]), bytes([0, 1, 1, 0, address, 0]), bytes([0, 1, 3, 0, 0, 0]), release]

    def told(number, status, n=1, address=1, id=1):
        return bytes([4, 0, 250, id, number, n, address, status, 2, 250, 5]) + b"2.0.0" + bytes([2]) + b"mx"

    def told_all(n):
        return bytes([4, 0, 251, n])

    out = {f"told-{status}": [*message(50), told(50, status), told(50, status), told_all(1), release, release, hours] for status in range(5)}
    return out | {"told-strangers": [told(50, 1), *message(50), told(50, 1, n=9), told(50, 1, address=3), told(255, 1), told(50, 255), told_all(0), release, hours],
                  "told-while-gone": [*message(50), relay_goes, release, relay_back, told(50, 1), told_all(1), release, told_all(1), told(50, 1)],
                  "told-and-the-disk-fails": [*message(50), bytes([7, 4]), told(50, 1), told_all(1), release, bytes([7, 10]), told(50, 1), release, hours],
                  "told-without-end": [*message(50), *[told(50, n % 4, n=n % 3, id=n) for n in range(20)], hours, hours]}


def seeds():
    return {target: {name: b"".join(items) for name, items in made().items()} for target, made in (("mailbox", mailbox), ("access", access), ("queue_role", queue_role))}


def dictionaries():
    lines = {"mailbox": ["STAT", "LIST", "UIDL", "RETR 1", "TOP 1 1", "DELE 1", "QUIT"], "access": ["USER ann", "PASS x", "AUTH PLAIN AGEAYg==", "AUTH LOGIN", "STLS", "CAPA", "QUIT",
             "PROXY TCP4 1.2.3.4 5.6.7.8 1 2"]}
    words = {"mailbox": ["account=1", "show", "check", "stats", "mailbox", "acl", "folder=INBOX", "identifier=anyone", "rights=lr"], "access": []}
    numbers = {"mailbox": ["deliver_local", "body_chunk", "account_reply", "account_changed", "name_reply", "shares_reply", "session_open", "session_data", "session_more", "session_close", "session_finish", "session_stopped",
                           "control_ask"],
               "access": ["auth_challenge", "auth_done", "session_data", "session_more", "session_close", "session_return", "session_back"]}
    return {t: [l + "\\x0d\\x0a" for l in lines[t]] + words[t] + [word(n) for n in numbers[t]] for t in lines}
