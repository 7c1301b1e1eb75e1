#!/usr/bin/python3
"""Writes a seed for every message of messages.h into corpus/ipc: run by hand after changing the list."""
import pathlib
import re
import struct

here = pathlib.Path(__file__).parent
text = (here / "../../src/lib/ipc/messages.h").read_text().replace("\\\n", " ")
roles = [r.strip() for r in re.search(r"enum role_id \{(.*?)ROLE_COUNT", text, re.S)[1].replace("ROLE_", "").split(",") if r.strip()]
fields = dict(re.findall(r"#define FIELDS_(\w+)\(U, I, S, T\)(.*)", text))
listing = re.search(r"#define MESSAGES\(M\)(.*)", text)[1]
rows = [re.match(r"(\w+), (.*?), (.*)\)", part.strip()).groups() for part in re.split(r"\bM\(", listing)[1:]]
out = here / "corpus" / "ipc"
out.mkdir(parents=True, exist_ok=True)


def one(mask):
    names = re.findall(r"ROLE_BIT\((\w+)\)", mask)
    return roles.index(names[0]) if names else roles.index("QUEUE")


for number, (name, senders, receivers) in enumerate(rows, 1):
    body = struct.pack("=H", number)
    for kind in re.findall(r"\b([UIST])\(", fields[name]):
        body += struct.pack("=Q", 1) if kind in "UI" else struct.pack("=I", 3) + b"a@b"
    sender = 0 if "SUPERVISOR)" in senders and "ALL" not in senders else one(senders)
    (out / name).write_bytes(bytes([sender, one(receivers)]) + body)
print(len(rows), "seeds")
