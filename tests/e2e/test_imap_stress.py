"""Many IMAP clients on one mailbox at once (imap_stress.py), for $STAFFETTA_STRESS_SECONDS (20)."""
import os
import socket

import imap_stress
from harness import PASSWORD, Case


class Stress(Case):
    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.account("ann@home.example")

    def test_every_client_knows_the_mailbox(self):
        context = self.server.trust()

        def connect():
            return context.wrap_socket(socket.create_connection(("127.0.0.1", self.server.ports["imaps"]), 60), server_hostname="localhost")

        seconds = int(os.environ.get("STAFFETTA_STRESS_SECONDS", "20"))
        said = imap_stress.stress(connect, "ann@home.example", PASSWORD, seconds)
        self.assertGreater(said, 100)
