"""LMTP servers that answer for some recipients only, for more than there are, or go in between: each recipient gets its own
result, and nobody who was taken is sent the message again."""
import itertools

from harness import letter, until
from hostile import CLOSE, HANG, RESET, Case
from test_hostile_relay import Hostile

OK, LATER, NEVER = "250 2.0.0 taken", "451 4.3.0 later", "550 5.7.1 never"
NAMES = ("a", "b", "c")
# name: (what is said after the message at the first connection, who is refused for good)
CASES = {
    "all are taken": ((OK, OK, OK), ""),
    "one each": ((OK, NEVER, LATER), "b"),
    "all later": ((LATER, LATER, LATER), ""),
    "all refused": ((NEVER, NEVER, NEVER), "abc"),
    "nothing": ((HANG,), ""),
    "closes": ((CLOSE,), ""),
    "only the first": ((OK, HANG), ""),
    "only the first two": ((OK, OK, HANG), ""),
    "only a refusal": ((NEVER, HANG), "a"),
    "closes after the first": ((OK, CLOSE), ""),
    "closes after the second": ((OK, LATER, CLOSE), ""),
    "closes after a refusal": ((NEVER, CLOSE), "a"),
    "resets after the first": ((OK, RESET), ""),
    "one too many": ((OK, OK, OK, OK), ""),
    "many too many": ((OK,) * 50, ""),
    "too many refusals": ((OK, OK, OK, NEVER, NEVER), ""),
    "lines in one reply": (("250-first\n250 2.0.0 taken", OK, "250-a\n250-b\n250 c"), ""),
    "junk after the first": ((OK, b"\x00\xff what\r\n", CLOSE), ""),
    "421 after the first": ((OK, "421 4.3.2 going down", CLOSE), ""),
    "354 for the second": ((OK, "354 more?", CLOSE), ""),
    "one reply for all, and on": ((OK, "451 4.3.0 later", "550 5.7.1 never"), "c"),
}


class Lmtp(Hostile):
    numbers = itertools.count(1)

    def server_for(self, case):
        """The domain whose mail comes to this case over LMTP."""
        ip = self.peer.add(case).split("[")[1].rstrip("]")
        domain = f"lmtp{next(self.numbers)}.example"
        self.server.route(f"recipient:{domain}", "lmtp", f"{ip}:{self.server.relay_port}")
        return domain

    def test_each_recipient_gets_its_own(self):
        cases = {}
        for name, (verdicts, refused) in CASES.items():
            case = Case(name, verdicts=verdicts, bad=1)
            cases[self.server_for(case)] = (case, refused)
        for domain in cases:
            self.send([f"{n}@{domain}" for n in NAMES])
        self.server.queue_empty()
        for domain, (case, refused) in cases.items():
            with self.subTest(case.name):
                self.assertEqual(dict(case.taken), {n: 1 for n in NAMES if n not in refused})
                until(lambda: all(self.reported()[f"{n}@{domain}"] for n in refused), "the report")
                self.assertEqual({n: self.reported()[f"{n}@{domain}"] for n in NAMES}, {n: int(n in refused) for n in NAMES})

    def test_a_surplus_reply_is_not_taken_for_the_next_message(self):
        """It would promise what was not even sent. It is in the same piece as the reply: a refusal that came later would be, for
        all that can be known, the answer to the MAIL sent meanwhile."""
        for extra in (OK, "250-a\n250 b", NEVER, "354 go on"):
            with self.subTest(extra):
                case = Case("one too many", verdicts=(f"{OK}\n{extra}",), bad=1)
                domain = self.server_for(case)
                for i in range(20):
                    self.server.send("ann@home.example", [f"u{i}@{domain}"], letter())
                self.server.queue_empty()
                self.assertEqual(dict(case.taken), {f"u{i}": 1 for i in range(20)})
                self.assertEqual(len(case.bodies), 20)

    def test_never_a_word(self):
        """It never mends: the senders are told once the time is up; who was taken is not among them."""
        case = Case("only the first, always", verdicts=(OK, HANG))
        domain = self.server_for(case)
        self.send([f"{n}@{domain}" for n in NAMES])
        until(lambda: case.connections >= 3 or sum(case.taken.values()) == 3, "the next attempts")
        self.server.queue_empty()
        self.assertEqual(dict(case.taken), {n: 1 for n in NAMES})
