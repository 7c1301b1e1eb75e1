"""Reports about authentication: a day of mail from strangers, the clock set to the next day, and what their domains are sent: read by
libxml2 with the schema of the standard, and verified by dkimpy."""
import contextlib
import email
import email.message
import email.policy
import gzip
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
import unittest.mock
import urllib.request
import zipfile
import xml.etree.ElementTree as ElementTree

import dkim
from harness import TOP, until
from sink import Sink
from test_clock import Set
from test_strangers import OTHER, Stranger, domain, letter, signed, txt

SCHEMA = TOP / "tests" / "vectors" / "dmarc" / "dmarc-xml-0.2.xsd"
NS = "{urn:ietf:params:xml:ns:dmarc-2.0}"
ZONE = (domain("a.example", "reject; sp=quarantine; rua=mailto:agg@a.example,mailto:far@external.example!10m,mailto:no@unwilling.example,"
                            "mailto:tiny@external.example!1k") +
        domain("b.example", "none; rua=mailto:agg@b.example") + domain("silent.example", "none") +
        txt("a.example._report._dmarc.external.example.", "v=DMARC1"))
SUBJECT = re.compile(r"Report\s+Domain:\s+(\S+)\s+Submitter:\s+(\S+)\s+Report-ID:\s+<(\S+)>")
FILE = re.compile(r"home\.example!(\S+)!(\d+)!(\d+)\.xml\.gz")


class Day(Set, Stranger):
    """A server that reports, and whose clock can be set."""
    zone = ZONE
    config = {"relay_networks": [], "dkim": {"publish_wait": "0s"}, "log_level": "info", "queue": {"retry": ["1s"]},
              "auth": {"report_from": "reports@home.example", "report_organisation": "Home & Sons"}}

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.sink = Sink()
        cls.cleanup.callback(cls.sink.close)
        for name in ("a.example", "b.example", "external.example", "unwilling.example", "silent.example"):
            cls.server.route(f"recipient:{name}", "smtp", f"127.0.0.1:{cls.sink.port}")
        cls.keys = "".join(line + "\n" for line in cls.server.cli("dkim", "make", "home.example").stdout.splitlines() if not line.startswith(";"))
        cls.nsd.change(ZONE + cls.keys)
        until(lambda: cls.server.cli("dkim", "check", "home.example", check=False).returncode == 0, "the keys to be seen")

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.ports['metrics']}/metrics") as answer:
            return sum(int(float(n)) for n in re.findall(rf"^{name}(?:\{{.*?\}})? (\S+)", answer.read().decode(), re.M))

    def to(self, address):
        return [m for m in self.sink.messages if f"<{address}>" in m.rcpt_lines[0]]

    def lookup(self, name, timeout=5):
        """For dkimpy: the TXT record as the zone has it."""
        for line in (ZONE + self.keys).splitlines():
            if line.split()[0].lower() == name.decode().lower():
                return "".join(re.findall(r'"([^"]*)"', line)).encode()
        return b""

    def opened(self, message):
        """The report in a message, after everything about the message is as it must be."""
        self.assertEqual(message.sender, "")
        now = time.time() + self.ahead
        with unittest.mock.patch("dkim.time.time", lambda: now):
            self.assertTrue(dkim.verify(message.data, dnsfunc=self.lookup), message.data[:2000])
        mail = email.message_from_bytes(message.data, policy=email.policy.default)
        self.assertEqual(mail["From"], "reports@home.example")
        subject, parts = SUBJECT.fullmatch(" ".join(mail["Subject"].split())), list(mail.iter_attachments())
        self.assertEqual(len(parts), 1)
        self.assertEqual(parts[0].get_content_type(), "application/gzip")
        name = FILE.fullmatch(parts[0].get_filename())
        text = gzip.decompress(parts[0].get_content())
        path = self.server.folder / "report.xml"
        path.write_bytes(text)
        done = subprocess.run(["xmllint", "--noout", "--schema", SCHEMA, path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr + text.decode())
        report = ElementTree.fromstring(text)
        self.assertEqual(report.find(f"{NS}report_metadata/{NS}report_id").text, subject[3])
        self.assertEqual((subject[1], subject[2]), (name[1], "home.example"))
        self.assertEqual((int(name[3]) + 1 - int(name[2]), int(name[2]) % 86400), (86400, 0))
        self.assertEqual(report.find(f"{NS}report_metadata/{NS}date_range/{NS}begin").text, name[2])
        return report

    @staticmethod
    def lines(report):
        """One tuple a record."""
        def get(record, path):
            found = record.find("/".join(NS + p for p in path.split("/")))
            return found.text if found is not None else None
        return sorted((get(r, "row/source_ip"), int(get(r, "row/count")), get(r, "row/policy_evaluated/disposition"), get(r, "row/policy_evaluated/dkim"),
                       get(r, "row/policy_evaluated/spf"), get(r, "identifiers/header_from"), get(r, "auth_results/dkim/result"),
                       get(r, "auth_results/spf/result")) for r in report.iter(NS + "record"))


class Sent(Day):
    def test_a_day(self):
        for mark in ("one", "two"):
            self.assertEqual(self.hand_in(signed(letter("a.example", mark), "a.example"), "x@a.example")[0], 250)
        self.assertEqual(self.hand_in(letter("a.example", "forged"), "x@silent.example", OTHER)[0], 550)
        self.assertEqual(self.hand_in(letter("sub.a.example", "doubtful"), "x@silent.example", OTHER)[0], 250)
        self.assertEqual(self.hand_in(letter("b.example", "mild"), "x@b.example")[0], 250)
        self.assertEqual(self.hand_in(letter("silent.example", "nothing"), "x@silent.example")[0], 250)
        until(lambda: self.metric("staffetta_events_results_total") == 5, "the results to be counted")
        self.jump(27)
        until(lambda: self.metric("staffetta_events_reports_sent_total") == 3 and self.metric("staffetta_events_reports_given_up_total") == 1,
              "the reports to be sent")
        until(lambda: len(self.sink.messages) == 3, "the reports to arrive")
        self.assertEqual([self.to("no@unwilling.example"), self.to("tiny@external.example")], [[], []])
        wanted = [("198.18.0.1", 2, "pass", "pass", "pass", "a.example", "pass", "pass"),
                  (OTHER, 1, "quarantine", "fail", "fail", "sub.a.example", None, "fail"), (OTHER, 1, "reject", "fail", "fail", "a.example", None, "fail")]
        for address in ("agg@a.example", "far@external.example"):
            report = self.opened(self.to(address)[0])
            self.assertEqual(self.lines(report), wanted)
            self.assertEqual([report.find(f"{NS}policy_published/{NS}{t}").text for t in ("domain", "p", "sp")], ["a.example", "reject", "quarantine"])
            self.assertEqual(report.find(f"{NS}report_metadata/{NS}org_name").text, "Home & Sons")
        self.assertEqual(self.lines(self.opened(self.to("agg@b.example")[0])), [("198.18.0.1", 1, "none", "fail", "pass", "b.example", None, "pass")])
        self.assertEqual(len(re.findall("report-not-wanted.*no@unwilling.example", self.server.log_text())), 1)


class Killed(Day):
    """events dies with a report handed over and not answered: its reader gets it once."""
    kills = True

    def states(self):
        with contextlib.closing(sqlite3.connect(self.server.folder / "data" / "events" / "events.db")) as db:
            return [row[0] for row in db.execute("SELECT state FROM report_due")]

    def once(self, stopped):
        self.assertEqual(self.hand_in(letter("b.example", "mild"), "x@b.example")[0], 250)
        until(lambda: self.metric("staffetta_events_results_total") >= 1, "the result to be counted")
        before = len(self.sink.messages)
        os.kill(self.server.roles()[stopped][0], signal.SIGSTOP)
        self.jump(27)
        until(lambda: 1 in self.states(), "the report to be handed over")
        os.kill(self.server.roles()["events"][0], signal.SIGKILL)
        os.kill(self.server.roles()[stopped][0], signal.SIGCONT)
        until(lambda: "events" in self.server.roles() and self.metric("staffetta_events_results_total") == 0, "events to be back")
        self.jump(1)
        until(lambda: 1 not in self.states() and 0 not in self.states(), "the report to be settled")
        self.server.queue_empty()
        self.assertEqual(len(self.sink.messages), before + 1)
        self.opened(self.sink.messages[-1])

    def test_before_queue_has_it(self):
        self.once("queue")

    def test_before_filter_has_it(self):
        self.once("filter")


def report(report_id, records, name="home.example", head=""):
    rows = "".join(f"<record><row><source_ip>{ip}</source_ip><count>{n}</count><policy_evaluated><disposition>{what}</disposition><dkim>{d}</dkim>"
                   f"<spf>fail</spf></policy_evaluated></row><identifiers><header_from>{name}</header_from></identifiers><auth_results/></record>"
                   for ip, n, what, d in records)
    now = int(time.time()) // 86400 * 86400
    return (f'<?xml version="1.0"?>{head}<feedback><report_metadata><org_name>Far</org_name><email>a@far.example</email><report_id>{report_id}</report_id>'
            f"<date_range><begin>{now - 86400}</begin><end>{now - 1}</end></date_range></report_metadata><policy_published><domain>{name}</domain>"
            f"<p>reject</p></policy_published>{rows}</feedback>").encode()


def zipped(text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("far.example!home.example!1!2.xml", text)
    return out.getvalue()


class Read(Stranger):
    """Reports that come to us, good ones and hostile ones."""
    config = {"relay_networks": [], "log_level": "info", "auth": {"reports_to": ["reports@home.example"]}}

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.server.cli("alias", "add", "reports@home.example", "bob@home.example")

    def bring(self, mark, content, kind="application/gzip", rcpt="reports@home.example"):
        mail = email.message.EmailMessage(policy=email.policy.SMTP)
        mail["From"], mail["To"], mail["Subject"] = "a@far.example", "reports@home.example", mark
        mail.set_content("A report.")
        mail.add_attachment(content, *kind.split("/"), filename="report")
        self.assertEqual(self.hand_in(mail.as_bytes(), "a@far.example", rcpt=rcpt)[0], 250)

    def refused(self, mark, content, reason):
        self.bring(mark, content)
        until(lambda: re.search(f"report-not-read.*{reason}", self.server.log_text()), f"{mark} to be refused for {reason}")

    def test_reports(self):
        self.bring("gzip", gzip.compress(report("1", [("192.0.2.1", 5, "none", "pass"), ("192.0.2.2", 2, "reject", "fail")])))
        self.bring("zip", zipped(report("2", [("192.0.2.1", 3, "none", "pass")])), "application/zip")
        self.bring("again", gzip.compress(report("1", [("192.0.2.9", 5, "none", "pass")])))
        self.bring("plain", report("3", [("2001:db8::1", 1, "none", "pass")], "sub.home.example"), "application/octet-stream")
        self.bring("not-for-reports", gzip.compress(report("9", [("192.0.2.9", 5, "none", "pass")])), rcpt="bob@home.example")
        until(lambda: sum(r["kind"] == "dmarc" for r in self.server.rows("report", "list")) == 3, "the reports to be read")
        rows = [(r["domain"], r["source"], r["result"], r["messages"], r["reports"]) for r in self.server.rows("report", "show", "home.example")
                if r["kind"] == "dmarc"]
        self.assertEqual(rows, [("home.example", "192.0.2.1", "none dkim=pass spf=fail", 8, 2), ("home.example", "192.0.2.2", "reject dkim=fail spf=fail", 2, 1),
                                ("sub.home.example", "2001:db8::1", "none dkim=pass spf=fail", 1, 1)])
        self.assertLessEqual({"1", "2", "3"}, {r["report_id"] for r in self.server.rows("report", "list", "home.example")})
        self.assertIn("192.0.2.2", self.server.cli("report", "show", "home.example").stdout)
        self.arrived("gzip")  # delivered as well

    def test_tls(self):
        day = time.strftime("%Y-%m-%d", time.gmtime())
        self.bring("tls", gzip.compress(json.dumps({
            "organization-name": "Far", "report-id": "t1", "contact-info": "a@far.example",
            "date-range": {"start-datetime": day + "T00:00:00Z", "end-datetime": day + "T23:59:59Z"},
            "policies": [{"policy": {"policy-type": "sts", "policy-domain": "home.example"},
                          "summary": {"total-successful-session-count": 8, "total-failure-session-count": 2},
                          "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.7",
                                               "receiving-mx-hostname": "mail.home.example", "failed-session-count": 2}]}]}).encode()), "application/tlsrpt+gzip")
        rows = until(lambda: [r for r in self.server.rows("report", "show", "home.example") if r["kind"] == "tls"], "the report to be read")
        self.assertEqual([(r["source"], r["name"], r["result"], r["messages"]) for r in rows],
                         [("", "home.example", "sts successful", 8), ("192.0.2.7", "mail.home.example", "sts certificate-expired", 2)])

    def test_hostile(self):
        good = report("7", [("192.0.2.1", 1, "none", "pass")])
        self.refused("bomb", gzip.compress(b"<feedback>" + b"\n" * 40000000), "too large")
        self.refused("entities", gzip.compress(report("7", [("192.0.2.1", 1, "none", "pass")], head='<!DOCTYPE feedback [<!ENTITY a "b">]>')), "document type")
        self.refused("cut", gzip.compress(good)[:100], "damaged")
        self.refused("broken", gzip.compress(good[:300]), "no element found")
        self.refused("foreign", gzip.compress(report("7", [("192.0.2.1", 1, "none", "pass")], "elsewhere.example")), "domain of ours")
        self.assertEqual([r for r in self.server.rows("report", "list") if r["report_id"] == "7"], [])
        self.assertEqual(self.hand_in(letter("far.example", "still-here"), "a@far.example")[0], 250)
