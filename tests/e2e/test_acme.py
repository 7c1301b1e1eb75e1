"""Certificates by ACME from Debian's pebble: both ways to show that a name is ours, renewal while clients are connected, and what goes wrong."""
import contextlib
import imaplib
import json
import os
import shutil
import socket
import ssl
import subprocess
import unittest

from harness import LIMIT, Case, free_port, listening, make_certificate, run, until

ZONE = """mail.home.example. A 127.0.0.1
mta-sts.home.example. A 127.0.0.1
elsewhere.home.example. A 127.0.0.99
"""


@unittest.skipUnless(shutil.which("pebble"), "needs pebble")
class Acme(Case):
    zone = ZONE
    kills = True

    @classmethod
    def before_start(cls):
        server = cls.server
        cls.ports = {name: free_port() for name in ("https", "http", "ca", "management")}
        cls.ca_file, cls.ca_key = make_certificate(server.folder, "pebble", ["localhost"])
        server.config = {
            "log_level": "debug",
            'listen "https"': {"service": "https", "address": ["127.0.0.1"], "port": cls.ports["https"]},
            'listen "http"': {"service": "http", "address": ["127.0.0.1"], "port": cls.ports["http"]},
        }
        cls.configure()
        server.own()
        cls.pebble = None
        cls.cleanup.callback(cls.stop_pebble)
        cls.start_pebble()

    @classmethod
    def configure(cls, **acme):
        cls.server.write_config(acme={"agree": True, "directory": f"https://localhost:{cls.ports['ca']}/dir", "ca_file": cls.ca_file, "contact": "admin@home.example",
                                      "domains": False, "names": ["mta-sts.home.example"], **acme})

    @classmethod
    def start_pebble(cls):
        file = cls.server.folder / "pebble.json"
        file.write_text(json.dumps({"pebble": {"listenAddress": f"127.0.0.1:{cls.ports['ca']}", "managementListenAddress": f"127.0.0.1:{cls.ports['management']}",
                                               "certificate": str(cls.ca_file), "privateKey": str(cls.ca_key), "httpPort": cls.ports["http"], "tlsPort": cls.ports["https"],
                                               "domainBlocklist": ["blocked-domain.example"]}}))
        log = open(cls.server.folder / "pebble.log", "ab")
        cls.pebble = subprocess.Popen(["pebble", "-config", file, "-dnsserver", f"127.0.0.1:{cls.nsd.port}"], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                      env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_WFE_NONCEREJECT": "20"})
        log.close()
        until(lambda: listening(cls.ports["ca"]), "pebble to be up")

    @classmethod
    def stop_pebble(cls):
        if cls.pebble is not None:
            cls.pebble.kill()
            cls.pebble.wait()
            cls.pebble = None

    def setUp(self):
        self.configure()
        with contextlib.suppress(FileNotFoundError):
            (self.server.data / "acme" / "state").unlink()

    def renew(self, *more, expect=0):
        done = self.server.cli("certificate", "renew", *more, check=False)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr + self.server.log_tail(10))
        return done.stderr

    def served(self, port=None, name="mail.home.example"):
        """The certificate a listener shows: (issuer, serial, public key)."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", port or self.server.ports["imaps"]), LIMIT) as plain, context.wrap_socket(plain, server_hostname=name) as s:
            pem = ssl.DER_cert_to_PEM_cert(s.getpeercert(True))
        out = run("openssl", "x509", "-noout", "-issuer", "-serial", "-pubkey", "-ext", "subjectAltName", input=pem).stdout
        lines = out.splitlines()
        return lines[0], lines[1], out[out.index("-----BEGIN"):out.index("-----END")], out

    def is_in_force(self, before):
        return until(lambda: (now := self.served())[1] != before[1] and now, "the new certificate")

    def test_both_ways_while_clients_are_connected(self):
        self.server.domain("home.example")
        self.server.account("ann@home.example")
        before = self.served()
        with imaplib.IMAP4_SSL("127.0.0.1", self.server.ports["imaps"], ssl_context=self.server.trust(), timeout=LIMIT) as client:
            client.login("ann@home.example", "correct horse battery")
            self.renew()
            first = self.is_in_force(before)
            self.assertIn("Pebble", first[0])
            self.assertEqual(first[2], before[2])  # the key stays, and with it TLSA records
            self.assertIn("mta-sts.home.example", first[3])
            self.assertEqual(client.noop()[0], "OK")
            self.renew()  # nothing is due
            self.assertEqual(self.served(), first)
            self.configure(challenge="tls-alpn-01")
            self.renew("--now")
            second = self.is_in_force(first)
            self.assertIn("Pebble", second[0])
            self.assertEqual(client.noop()[0], "OK")
        until(lambda: self.served(self.ports["https"], "mta-sts.home.example")[1] == second[1], "web to show it")
        rows = {r["name"]: r for r in self.server.rows("status") if r["kind"] == "certificate"}
        self.assertGreater(rows["main"]["days_left"], 10)
        text = run("curl", "-sS", f"http://127.0.0.1:{self.server.ports['metrics']}/metrics").stdout
        self.assertRegex(text, r"staffetta_certificate_days_left\{[^}]*\} [1-9]")

    def test_names_that_lead_elsewhere_are_left_out(self):
        self.configure(names=["elsewhere.home.example", "mta-sts.home.example"])
        before = self.served()
        said = self.renew("--now")
        self.assertIn("going on without elsewhere.home.example", said)
        after = self.is_in_force(before)
        self.assertIn("mta-sts.home.example", after[3])
        self.assertNotIn("elsewhere", after[3])

    def test_refused_and_away(self):
        before = self.served()
        self.configure(names=["blocked-domain.example"])
        self.assertIn("rejectedIdentifier", self.renew("--now", expect=75))
        self.configure(names=["another.home.example"])
        self.stop_pebble()
        try:
            self.assertIn("no certificate: ", self.renew("--now", expect=75))
            trouble = [r for r in self.server.rows("status") if r["kind"] == "trouble"]
            self.assertIn("localhost", trouble[0]["reason"])
            self.renew()  # due, but the last attempt failed only now: nothing is asked
        finally:
            self.start_pebble()
        self.assertEqual(self.served(), before)
        shown = self.server.rows("certificate", "show")[0]
        self.assertIn("localhost", shown["failed"])
        self.configure()
        self.renew("--now")
        self.is_in_force(before)
        self.assertFalse([r for r in self.server.rows("status") if r["kind"] == "trouble"])

    def test_nobody_agreed(self):
        self.configure(agree=False)
        self.assertIn("agree = true", self.renew("--now", expect=78))

    def test_challenges_are_gone_afterwards(self):
        status = run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{self.ports['http']}/.well-known/acme-challenge/x").stdout
        self.assertEqual(status, "404")
        context = ssl.create_default_context(cafile=str(self.server.chain))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["acme-tls/1"])
        with socket.create_connection(("127.0.0.1", self.ports["https"]), LIMIT) as plain, context.wrap_socket(plain, server_hostname="mail.home.example") as s:
            self.assertIsNone(s.selected_alpn_protocol())  # no challenge: as anybody


if __name__ == "__main__":
    unittest.main()
