"""Signs a zone for the tests (RFC 4033 to 4035, ECDSA P-256): everything is in one zone, the root, with one key.

    anchor, text = sign(folder, "x.example. MX 10 mx.x.example.\\nmx.x.example. A 127.0.0.1\\n", spoil="bad.example. MX")

A name other than the root with NS records is delegated without DS: what is below it is in an unsigned zone of its own.
"""
import base64
import hashlib
import ipaddress
import struct
import subprocess
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "TLSA": 52}
TTL, ALGORITHM = 5, 13


def labels(name):
    return [l.lower().encode() for l in name.strip(".").split(".") if l]


def wire(name):
    return b"".join(bytes([len(l)]) + l for l in labels(name)) + b"\0"


def rdata(kind, words):
    if kind == "A" or kind == "AAAA":
        return ipaddress.ip_address(words[0]).packed
    if kind == "MX":
        return struct.pack("!H", int(words[0])) + wire(words[1])
    if kind in ("NS", "CNAME"):
        return wire(words[0])
    if kind == "TLSA":
        return bytes(map(int, words[:3])) + bytes.fromhex(words[3])
    if kind == "TXT":
        text = " ".join(words).strip('"').encode()
        return bytes([len(text)]) + text
    return wire(words[0]) + wire(words[1]) + struct.pack("!5I", *map(int, words[2:]))


def bitmap(kinds):
    bits = bytearray(32)
    for k in kinds:
        bits[TYPES[k] // 8] |= 0x80 >> TYPES[k] % 8
    while bits and not bits[-1]:
        bits.pop()
    return bytes([0, len(bits)]) + bytes(bits)


def key_tag(data):
    total = sum(b if i & 1 else b << 8 for i, b in enumerate(data))
    return (total + (total >> 16)) & 0xFFFF


class Key:
    def __init__(self, folder):
        self.file = folder / "zone.key"
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.file], check=True)
        der = subprocess.run(["openssl", "ec", "-in", self.file, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.rdata = struct.pack("!HBB", 257, 3, ALGORITHM) + der[-64:]
        self.tag = key_tag(self.rdata)

    def sign(self, data):
        """r and s, 32 bytes each, out of the DER that openssl writes."""
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.file], input=data, check=True, capture_output=True).stdout
        r_size = der[3]
        r, s = der[4:4 + r_size], der[6 + r_size:]
        return r.lstrip(b"\0").rjust(32, b"\0") + s.lstrip(b"\0").rjust(32, b"\0")


def sign(folder, records, spoil="", expired=""):
    """The text of a DS record to trust, and of the signed zone. The signature over `spoil` ("name TYPE") is made wrong, that over `expired`
    ended an hour ago."""
    key = Key(folder)
    sets, shown = {}, {}
    zone = f". SOA ns.example. admin.example. 1 60 60 60 {TTL}\n. NS ns.example.\nns.example. A 127.0.0.1\n" + records
    for line in zone.splitlines():
        words = line.split()
        if words:
            name, kind = words[0], words[1]
            sets.setdefault(name, {}).setdefault(kind, []).append(rdata(kind, words[2:]))
            shown.setdefault((name, kind), []).append(" ".join(words[2:]))
    sets["."]["DNSKEY"] = [key.rdata]
    shown[".", "DNSKEY"] = [f"257 3 {ALGORITHM} " + base64.b64encode(key.rdata[4:]).decode()]
    names = sorted(sets, key=lambda n: labels(n)[::-1])
    for i, name in enumerate(names):
        after = names[(i + 1) % len(names)]
        kinds = sorted([*sets[name], "NSEC", "RRSIG"], key=TYPES.get)
        sets[name]["NSEC"] = [wire(after) + bitmap(kinds)]
        shown[name, "NSEC"] = [f"{after} {' '.join(kinds)}"]
    now, out = int(time.time()), [f"$TTL {TTL}"]
    for (name, kind), texts in shown.items():
        out += [f"{name} {TTL} IN {kind} {t}" for t in texts]
        if kind == "NS" and name != ".":
            continue
        begin, end = (now - 7200, now - 3600) if expired == f"{name} {kind}" else (now - 3600, now + 86400)
        head = struct.pack("!HBBIIIH", TYPES[kind], ALGORITHM, len(labels(name)), TTL, end, begin, key.tag) + wire(".")
        body = b"".join(wire(name) + struct.pack("!HHIH", TYPES[kind], 1, TTL, len(d)) + d for d in sorted(sets[name][kind]))
        signature = key.sign(head + body + (b"spoiled" if spoil == f"{name} {kind}" else b""))
        times = [time.strftime("%Y%m%d%H%M%S", time.gmtime(t)) for t in (end, begin)]
        out.append(f"{name} {TTL} IN RRSIG {kind} {ALGORITHM} {len(labels(name))} {TTL} {times[0]} {times[1]} {key.tag} . "
                   + base64.b64encode(signature).decode())
    digest = hashlib.sha256(wire(".") + key.rdata).hexdigest()
    return f". IN DS {key.tag} {ALGORITHM} 2 {digest}\n", "\n".join(out) + "\n"
