"""Many IMAP clients on one account at once (imap_stress.py, imap_kills.py), for $STAFFETTA_STRESS_SECONDS each (20: a minute in all)."""
import os
import random
import socket

import imap_kills
import imap_stress
from harness import PASSWORD, Case

SECONDS = int(os.environ.get("STAFFETTA_STRESS_SECONDS", "20"))
SEED = int(os.environ.get("STAFFETTA_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)


class Crowded(Case):
    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        for user in ("ann", "bob"):
            cls.server.account(f"{user}@home.example")
        print(f"     seed {SEED}", flush=True)

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.server.ports["imaps"]), 60)
        return self.server.trust().wrap_socket(s, server_hostname="localhost")


class Stress(Crowded):
    def test_every_client_knows_the_mailbox(self):
        said = imap_stress.stress(self.connect, "ann@home.example", PASSWORD, SECONDS, seed=SEED)
        self.assertGreater(said, 100)

    def test_books_are_right_while_clients_leave(self):
        print("     " + imap_kills.run(self.server, self.connect, "bob@home.example", PASSWORD, SECONDS, SEED, kills=False), flush=True)


class Kills(Crowded):
    kills = True
    config = {"log_level": "info"}

    def test_what_was_confirmed_survives(self):
        print("     " + imap_kills.run(self.server, self.connect, "ann@home.example", PASSWORD, SECONDS, SEED, kills=True), flush=True)
