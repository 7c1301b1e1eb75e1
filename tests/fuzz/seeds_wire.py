"""The wire form of messages between processes, from the lists of messages.h, and of the steps of the role targets."""
import pathlib
import re
import struct

TEXT = (pathlib.Path(__file__).resolve().parents[2] / "src/lib/ipc/messages.h").read_text().replace("\\\n", " ")
ROLES = [r.strip() for r in re.search(r"enum role_id \{(.*?)ROLE_COUNT", TEXT, re.S)[1].replace("ROLE_", "").split(",") if r.strip()]
FIELDS = {name: re.findall(r"\b([UIST])\(", rest) for name, rest in re.findall(r"#define FIELDS_(\w+)\(U, I, S, T\)(.*)", TEXT)}
# (name, senders, receivers) in the order of their numbers, which start at 1
MESSAGES = [re.match(r"(\w+), (.*?), (.*)\)", part.strip()).groups() for part in re.split(r"\bM\(", re.search(r"#define MESSAGES\(M\)(.*)", TEXT)[1])[1:]]
NUMBER = {name: i for i, (name, _, _) in enumerate(MESSAGES, 1)}


def frame(name, *fields):
    """The frame without its length; what does not fit the message is a mistake here, not a seed."""
    out = struct.pack("<H", NUMBER[name])
    assert len(fields) == len(FIELDS[name]), (name, len(fields), FIELDS[name])
    for kind, f in zip(FIELDS[name], fields):
        assert isinstance(f, int) == (kind in "UI"), (name, kind, f)
        out += struct.pack("<Q", f % 2**64) if isinstance(f, int) else struct.pack("<I", len(f)) + f
    return out


def word(name):
    """A message's number as a word of a dictionary."""
    return f"\\x{NUMBER[name]:02x}\\x00"
