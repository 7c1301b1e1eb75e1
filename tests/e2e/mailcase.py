"""A case with one domain and two accounts, and helpers to speak SMTP to it line by line."""
import base64

from harness import PASSWORD, Case, until
from talk import Talk


def plain(user, password=PASSWORD):
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Mail(Case):
    """What most classes need: one domain, two accounts, nobody may relay for being local."""
    config = {"relay_networks": []}

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")
        cls.server.account("bob@home.example")
        cls.server.cli("alias", "add", "sales@home.example", "ann@home.example", "bob@home.example")

    def talk(self, listener="mx", helo="EHLO client.example", **more):
        t = Talk(self.server.ports[listener], **more)
        self.addCleanup(t.s.close)
        if helo:
            self.assertEqual(t.code(helo), 250)
        return t

    def deliver(self, talk, data, sender="x@far.example", rcpt="bob@home.example", mail=""):
        self.assertEqual(talk.code(f"MAIL FROM:<{sender}>{mail}"), 250)
        self.assertEqual(talk.code(f"RCPT TO:<{rcpt}>"), 250)
        self.assertEqual(talk.code("DATA"), 354)
        talk.raw(data)
        return talk.say(".")

    def in_mailbox(self, user, mark):
        found = until(lambda: [m for m in self.server.mailbox(user) if mark.encode() in m], f"{mark} in the mailbox of {user}")
        self.assertEqual(len(found), 1, "delivered twice")
        return found[0].decode("utf-8", "surrogateescape")
