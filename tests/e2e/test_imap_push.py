"""What one client does, and mail that comes, is heard by the others without asking: in IDLE (plain and QRESYNC) and by NOTIFY, also of
mailboxes that are not selected. How soon, bench/imap measures; here it comes before the test loses patience."""
import re

from harness import LIMIT, letter
from test_imap import Imap

PATIENCE = LIMIT / 4


class Push(Imap):
    def listener(self, user, *before, idles=True, listener="imap"):
        t = self.line(listener, secure=listener == "imap", user=user)
        t.s.settimeout(PATIENCE)
        for command in before:
            self.assertIn("OK", t.say(command)[1])
        self.assertIn("OK", t.say("SELECT INBOX")[1])
        if idles:
            t.raw("i IDLE\r\n")
            self.assertTrue(t.line().startswith("+ "))
        return t

    def crowd(self, user):
        """(who listens, does it hear VANISHED, does it hear of other mailboxes)"""
        plain = self.listener(user)
        resync = self.listener(user, "ENABLE QRESYNC")
        notified = self.listener(user, "NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange)) (PERSONAL (MessageNew MessageExpunge MailboxName))", idles=False)
        return [(plain, False, False), (resync, True, False), (notified, False, True)]

    def all_hear(self, crowd, what, gone=None, elsewhere=None):
        """what: for all; gone: (number, uid) that vanishes; elsewhere: for those with NOTIFY, before or behind it."""
        for t, vanished, notified in crowd:
            wanted = [what] if what else []
            if gone:
                wanted.append(rf"^\* VANISHED {gone[1]}$" if vanished else rf"^\* {gone[0]} EXPUNGE$")
            if notified and elsewhere:
                wanted.append(elsewhere)
            lines = [t.line() for _ in wanted]
            for pattern in wanted:
                self.assertTrue(any(re.search(pattern, line) for line in lines), f"{pattern}: {lines}")

    def test_everything_reaches_everybody(self):
        self.fill("emil", 3)
        crowd = self.crowd("emil")
        actor = self.imap("emil")
        self.server.send("x@far.example", "emil@home.example", letter(subject="delivered"))
        self.all_hear(crowd, r"^\* 4 EXISTS$")
        self.ok(actor.noop())
        self.ok(actor.store("2", "+FLAGS", "(\\Flagged)"))
        self.all_hear(crowd, r"^\* 2 FETCH \(.*FLAGS \(\\Flagged\)")
        self.ok(actor.fetch("1", "(BODY[])"))
        self.all_hear(crowd, r"^\* 1 FETCH \(.*FLAGS \(\\Seen\)")
        self.ok(actor._simple_command("MOVE", "2", "Sent"))
        self.all_hear(crowd, None, gone=(2, 2), elsewhere=r"^\* STATUS Sent \(.*MESSAGES 1")
        self.ok(actor.append("INBOX", None, None, letter().encode()))
        self.all_hear(crowd, r"^\* 4 EXISTS$")
        self.ok(actor.copy("1", "INBOX"))
        self.all_hear(crowd, r"^\* 5 EXISTS$")
        self.ok(actor.store("1", "+FLAGS.SILENT", "(\\Deleted)"))
        self.all_hear(crowd, r"^\* 1 FETCH \(.*FLAGS \(\\Seen \\Deleted\)")
        self.ok(actor.expunge())
        self.all_hear(crowd, None, gone=(1, 1))
        self.ok(actor.create("Later"))
        self.assertRegex(crowd[2][0].line(), r'^\* LIST \(.*\) "/" Later$')
        actor.logout()
        for t, _, notified in crowd:
            if not notified:
                t.raw("DONE\r\n")
                self.assertTrue(t.answer("i")[1].startswith("OK"))

    def test_what_pop3_removes(self):
        self.fill("fritz", 2)
        crowd = self.crowd("fritz")
        pop = self.server.pop3("fritz@home.example")
        pop.dele(1)
        pop.quit()
        self.all_hear(crowd, None, gone=(1, 1))

    def test_a_hundred_deliveries_reach_all(self):
        """Whatever is told together, the last number is the number of messages."""
        crowd = self.crowd("gerd")
        with self.server.smtp() as c:
            for i in range(100):
                c.sendmail("x@far.example", ["gerd@home.example"], letter(subject=f"n{i}"))
        for t, _, _ in crowd:
            told = 0
            while told < 100:
                line = t.line()
                self.assertRegex(line, r"^\* \d+ EXISTS$")
                self.assertGreater(int(line.split()[1]), told)
                told = int(line.split()[1])
            self.assertEqual(told, 100)
