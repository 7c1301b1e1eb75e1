"""A bare IMAP client for the tests: a command, its untagged lines, its answer."""
from talk import Talk


class Line(Talk):
    """A bare IMAP client: each command has a tag of its own; gives the untagged lines and the tagged answer."""

    def reply(self):
        return self.line()

    def say(self, command, tag=None):
        self.count = getattr(self, "count", 0) + 1
        tag = tag or f"t{self.count}"
        self.raw(f"{tag} {command}\r\n" if isinstance(command, str) else f"{tag} ".encode() + command + b"\r\n")
        return self.answer(tag)

    def answer(self, tag):
        lines = []
        while True:
            line = self.line()
            if line.startswith(tag + " "):
                return lines, line[len(tag) + 1:]
            lines.append(line)

    def ok(self, command):
        lines, answer = self.say(command)
        assert answer.startswith("OK"), f"{command[:200]!r}: {answer}"
        return lines

    def starttls(self, context, name=None):
        assert self.say("STARTTLS")[1].startswith("OK")
        self.s = context.wrap_socket(self.s)
        self.buffer = b""

    def append(self, folder, messages, flags=""):
        """MULTIAPPEND, a hundred at a time."""
        for at in range(0, len(messages), 100):
            self.ok(f'APPEND "{folder}"'.encode() + b"".join(b" (%s) {%d+}\r\n%s" % (flags.encode(), len(m), m) for m in messages[at:at + 100]))
