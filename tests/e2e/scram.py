"""A SCRAM-SHA-256 client (RFC 5802, RFC 7677), with channel binding (RFC 5929, tls-unique) when asked for."""
import base64
import hashlib
import hmac
import os


class Scram:
    def __init__(self, user, password, binding=None, kind="tls-unique"):
        self.password = password
        self.header = f"p={kind},," if binding is not None else "n,,"
        self.binding = base64.b64encode(self.header.encode() + (binding or b"")).decode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"

    def first(self):
        return (self.header + self.bare).encode()

    def stretch(self, salt, rounds):
        return hashlib.pbkdf2_hmac("sha256", self.password.encode(), salt, rounds)

    def final(self, server_first):
        text = server_first.decode()
        parts = dict(p.split("=", 1) for p in text.split(","))
        assert parts["r"].startswith(self.nonce), "the server changed our nonce"
        salted = self.stretch(base64.b64decode(parts["s"]), int(parts["i"]))
        without = f"c={self.binding},r={parts['r']}"
        signed = f"{self.bare},{text},{without}".encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.expect = base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")).decode()
        return f"{without},p={proof}".encode()

    def proven(self, server_final):
        """Did the server prove that it knows the password too?"""
        return server_final.decode() == "v=" + self.expect


def converse(talk, mechanism, scram, ok="235", go="334"):
    """AUTH over a bare connection (talk.Talk) of SMTP; gives the last reply."""
    code, text = talk.say(f"AUTH {mechanism} {base64.b64encode(scram.first()).decode()}")
    if code != 334:
        return code, text
    code, text = talk.say(base64.b64encode(scram.final(base64.b64decode(text))).decode())
    if code == 334:
        assert scram.proven(base64.b64decode(text)), "the server does not know the password"
        code, text = talk.say("")
    return code, text
