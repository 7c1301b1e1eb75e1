"""What web shows the world: MTA-STS policies and settings for mail programs, asked with curl; TLS with openssl; strangers who misbehave."""
import contextlib
import json
import os
import plistlib
import re
import signal
import socket
import ssl
import unittest
import xml.etree.ElementTree as ElementTree

from harness import LIMIT, Case, free_port, make_certificate, run, until

NAMES = ["mail.home.example", "mta-sts.home.example", "autoconfig.home.example", "autodiscover.home.example", "mta-sts.strict.example",
         "mta-sts.foreign.example", "autoconfig.foreign.example", "home.example"]
OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
MOZILLA = "/mail/config-v1.1.xml"


class World(Case):
    kills = True

    @classmethod
    def before_start(cls):
        server = cls.server
        cls.https, cls.http = free_port(), free_port()
        cls.chain, key = make_certificate(server.folder, "web", NAMES)
        server.certificates["web"] = (cls.chain, key)
        server.config = {
            'listen "https"': {"service": "https", "address": ["127.0.0.1", "::1"], "port": cls.https, "proxy_from": ["127.0.0.9"]},
            'listen "http"': {"service": "http", "address": ["127.0.0.1"], "port": cls.http},
            'mta_sts "strict.example"': {"mode": "enforce", "max_age": "30d", "mx": ["mx.strict.example", "*.strict.example"]},
        }
        server.write_config()
        server.own()

    @classmethod
    def prepare(cls):
        cls.server.domain("home.example")
        cls.server.domain("strict.example")
        cls.server.domain("backup.example", "--kind=backup-mx")
        cls.server.account("ann@home.example")

    def curl(self, url, *more):
        """(status, headers and body)"""
        host = url.split("/")[2]
        done = run("curl", "-sS", "--max-time", LIMIT, "-D-", "--cacert", self.chain, "--connect-to", f"{host}:443:127.0.0.1:{self.https}",
                   "--connect-to", f"{host}:80:127.0.0.1:{self.http}", *more, url)
        head, _, body = done.stdout.rpartition("HTTP/1.1 ")[2].partition("\n\n")
        return int(head[:3]), head.lower(), body

    def policy(self, domain):
        return self.curl(f"https://mta-sts.{domain}/.well-known/mta-sts.txt")

    def test_policy(self):
        status, head, body = self.policy("home.example")
        self.assertEqual((status, body), (200, "version: STSv1\nmode: testing\nmx: mail.home.example\nmax_age: 604800\n"))
        self.assertIn("content-type: text/plain", head)
        self.assertIn("mode: enforce\nmx: mx.strict.example\nmx: *.strict.example\nmax_age: 2592000\n", self.policy("strict.example")[2])
        self.assertEqual(self.policy("foreign.example")[0], 404)
        self.assertEqual(self.curl("https://home.example/.well-known/mta-sts.txt")[0], 404)

    def test_policy_changes_with_the_configuration(self):
        self.server.write_config(**{'mta_sts "home.example"': {"mode": "none"}})
        self.server.process.send_signal(signal.SIGHUP)
        until(lambda: "mode: none" in self.policy("home.example")[2], "the new policy")
        self.server.write_config()
        self.server.process.send_signal(signal.SIGHUP)
        until(lambda: "mode: testing" in self.policy("home.example")[2], "the old policy")

    def test_mozilla(self):
        _, _, body = self.curl(f"https://autoconfig.home.example{MOZILLA}?emailaddress=ann%40home.example")
        tree = ElementTree.fromstring(body)
        self.assertEqual(tree.find("emailProvider").get("id"), "home.example")
        found = {(s.get("type"), s.find("socketType").text): (s.find("hostname").text, int(s.find("port").text))
                 for kind in ("incomingServer", "outgoingServer") for s in tree.iter(kind)}
        for key, listener in ((("imap", "SSL"), "imaps"), (("imap", "STARTTLS"), "imap"), (("smtp", "SSL"), "submissions"), (("smtp", "STARTTLS"), "submission")):
            self.assertEqual(found[key], ("mail.home.example", self.server.ports[listener]))
        nobody = self.curl(f"https://autoconfig.home.example{MOZILLA}?emailaddress=nobody%40home.example")
        self.assertEqual(nobody[2], body)  # who asks learns nothing about accounts
        self.assertEqual(self.curl("https://home.example/.well-known/autoconfig/mail/config-v1.1.xml")[2], body)
        self.assertEqual(self.curl(f"https://autoconfig.foreign.example{MOZILLA}")[0], 404)
        self.assertEqual(self.curl(f"https://autoconfig.home.example{MOZILLA}?emailaddress=x%40foreign.example")[0], 404)
        self.assertEqual(self.curl(f"https://autoconfig.home.example{MOZILLA}?emailaddress=%3Cx%3E%00%22%26")[2], body)

    def outlook(self, address, path="/autodiscover/autodiscover.xml"):
        request = ('<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>'
                   f"<EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{OUTLOOK}</AcceptableResponseSchema></Request></Autodiscover>")
        return self.curl(f"https://autodiscover.home.example{path}", "-H", "Content-Type: text/xml", "--data-binary", request)

    def test_outlook(self):
        status, _, body = self.outlook("ann@home.example", "/Autodiscover/Autodiscover.xml")
        self.assertEqual(status, 200)
        found = {p.find(f"{{{OUTLOOK}}}Type").text: p for p in ElementTree.fromstring(body).iter(f"{{{OUTLOOK}}}Protocol")}
        self.assertEqual(set(found), {"IMAP", "POP3", "SMTP"})
        self.assertEqual(found["IMAP"].find(f"{{{OUTLOOK}}}Port").text, str(self.server.ports["imaps"]))
        self.assertEqual(found["SMTP"].find(f"{{{OUTLOOK}}}LoginName").text, "ann@home.example")
        self.assertEqual(self.outlook("nobody@home.example")[2], body.replace("ann@", "nobody@"))
        self.assertIn("&amp;", self.outlook("a&amp;b@home.example")[2])
        for bad in ("ann@foreign.example", "ann@backup.example", "", "x", "&lt;x@home.example"):
            self.assertIn("<ErrorCode>600</ErrorCode>", self.outlook(bad)[2], bad)
        self.assertEqual(self.outlook("a" * 20000)[0], 413)
        self.assertEqual(self.curl("https://autodiscover.home.example/autodiscover/autodiscover.xml")[0], 405)

    def test_outlook_json(self):
        base = "https://autodiscover.home.example/autodiscover/autodiscover.json"
        for url in (f"{base}?Email=ann%40home.example&Protocol=AutodiscoverV1", f"{base}/v1.0/ann@home.example?Protocol=AutodiscoverV1"):
            self.assertEqual(json.loads(self.curl(url)[2]),
                             {"Protocol": "AutodiscoverV1", "Url": "https://mail.home.example/autodiscover/autodiscover.xml"})
        self.assertEqual(self.curl(f"{base}?Email=x%40foreign.example")[0], 404)
        self.assertEqual(self.curl(base)[0], 400)

    def test_apple(self):
        status, head, body = self.curl("https://home.example/mail.mobileconfig?emailaddress=ann%2Bx%40home.example")
        self.assertEqual(status, 200)
        self.assertIn("content-type: application/x-apple-aspen-config", head)
        account = plistlib.loads(body.encode())["PayloadContent"][0]
        self.assertEqual((account["EmailAddress"], account["IncomingMailServerPortNumber"], account["OutgoingMailServerPortNumber"]),
                         ("ann+x@home.example", self.server.ports["imaps"], self.server.ports["submissions"]))
        self.assertEqual(self.curl("https://home.example/mail.mobileconfig?emailaddress=x%40foreign.example")[0], 404)

    def test_plain_leads_to_tls(self):
        status, head, _ = self.curl(f"http://autoconfig.home.example{MOZILLA}?emailaddress=ann%2Bx%40home.example")
        self.assertEqual(status, 302)
        self.assertIn(f"location: https://autoconfig.home.example{MOZILLA}?emailaddress=ann%2bx@home.example", head)
        for host, path in (("a b", "/"), ("x.example", "/%0d%0aSet-Cookie:x"), ("x.example", "/%22")):
            self.assertEqual(self.curl(f"http://x.example{path}", "-H", f"Host: {host}")[0], 400, (host, path))

    def test_certificate_and_name(self):
        out = run("openssl", "s_client", "-connect", f"127.0.0.1:{self.https}", "-servername", "mta-sts.home.example", "-CAfile", self.chain,
                  "-verify_hostname", "mta-sts.home.example", input="").stdout
        self.assertIn("Verification: OK", out)
        self.assertRegex(out, "TLSv1.3")

    def raw(self, family=ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(family)
        context.load_verify_locations(self.chain)
        plain = socket.create_connection(("127.0.0.1", self.https), LIMIT)
        return context.wrap_socket(plain, server_hostname="home.example")

    def test_hostile_requests(self):
        for request in (b"GET / HTTP/1.1\r\nHost: " + b"a" * 40000 + b"\r\n\r\n", b"GET " + b"/" * 40000 + b" HTTP/1.1\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: home.example\r\n" + b"X: y\r\n" * 10000 + b"\r\n",
                        b"POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: home.example\r\nContent-Length: 99999999999999999999\r\n\r\n"):
            with self.raw() as s, contextlib.suppress(OSError):
                s.sendall(request)
                answer = s.recv(12)
                self.assertRegex(answer, rb"^(HTTP/1\.1 4..|$)")
        with socket.create_connection(("127.0.0.1", self.https), LIMIT) as s:
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")  # no TLS
            with contextlib.suppress(OSError):
                self.assertNotIn(b"HTTP", s.recv(100))
        self.assertEqual(self.policy("home.example")[0], 200)

    def test_many_requests_on_one_connection(self):
        with self.raw() as s:
            f = s.makefile("rb")
            for _ in range(50):
                s.sendall(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.home.example\r\n\r\n")
                size = 0
                self.assertIn(b"200", f.readline())
                while (line := f.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                self.assertIn(b"STSv1", f.read(size))

    def test_counted(self):
        self.policy("home.example")
        text = run("curl", "-sS", f"http://127.0.0.1:{self.server.ports['metrics']}/metrics").stdout
        self.assertGreater(int(re.search(r"staffetta_web_connections_total\{[^}]*\} (\d+)", text)[1]), 0)

    def test_without_directory(self):
        """Its process stopped in its tracks, in the middle of a visit: an answer all the same."""
        pid = min(self.server.roles()["directory"])
        with self.raw() as s:
            os.kill(pid, signal.SIGSTOP)
            try:
                s.sendall(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.home.example\r\n\r\n")
                self.assertIn(b"503", s.recv(100).splitlines()[0])
            finally:
                os.kill(pid, signal.SIGCONT)
        self.assertEqual(until(lambda: self.policy("home.example"), "an answer")[0], 200)


if __name__ == "__main__":
    unittest.main()
