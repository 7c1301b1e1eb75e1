"""Seeds of ipc_fuzz: every message of messages.h as each pair of roles may exchange it, and what is refused."""
import re

from seeds_wire import FIELDS, MESSAGES, ROLES, frame


def roles_of(mask):
    """The first and the last of those the mask names."""
    names = [r for r in ROLES if r in re.findall(r"ROLE_BIT\((\w+)\)", mask)] if "ALL_BUT" not in mask and "ANY" not in mask else ROLES[1:]
    return names[0], names[-1]


def ends(sender, receiver):
    return bytes([ROLES.index(sender), ROLES.index(receiver)])


def seeds():
    out = {}
    for name, senders, receivers in MESSAGES:
        small = frame(name, *(1 if kind in "UI" else b"a@b" for kind in FIELDS[name]))
        large = frame(name, *(-1 if kind in "UI" else b"\xc3\xa4\x00\r\n" for kind in FIELDS[name]))
        out[name] = ends(roles_of(senders)[0], roles_of(receivers)[0]) + small
        out[name + "-last"] = ends(roles_of(senders)[1], roles_of(receivers)[1]) + large
    body, who = frame("drain", 5), ends("SUPERVISOR", "QUEUE")
    out |= {"bad-sender": ends("SMTP", "QUEUE") + body, "bad-receiver": who[:1] + ends("QUEUE", "SUPERVISOR")[1:] + body, "bad-short": who + body[:-1],
            "bad-long": who + body + b"x", "bad-type": who + b"\xff\xff", "bad-zero": who + b"\0\0", "bad-no-type": who + b"\x01",
            "bad-length": ends("SMTP", "FILTER") + frame("txn_chunk", 1, b"abc")[:-3], "bad-huge": ends("SMTP", "FILTER") + frame("txn_chunk", 1, b"x" * 65537)}
    return {"ipc": out}
