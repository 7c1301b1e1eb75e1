"""Thunderbird itself, without a screen, told what to do over Marionette: the account is set up by its own preferences, its own code
speaks IMAP. It is large, so that packaging/install-needed leaves it out: where it is not installed, this test says skip."""
import json
import os
import shutil
import socket
import subprocess
import unittest

import harness
from harness import LIMIT, PASSWORD, letter, until
from imap_clients import Clients, message

# What every script below begins with.
BEGIN = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const server = MailServices.accounts.accounts[0].incomingServer, root = server.rootFolder;
const pause = () => new Promise(r => setTimeout(r, 50));
const until = async (what, f) => {
    for (let i = 0; i < 1200; i++) {
        if (f())
            return;
        await pause();
    }
    throw new Error("waited in vain for " + what);
};
const child = name => root.subFolders.find(f => f.name == name);
const inbox = root.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const hdr = subject => [...inbox.messages].find(h => h.mime2DecodedSubject == subject);
"""


class Thunderbird:
    def __init__(self, folder, server, user):
        self.port, self.buffer, self.serial = harness.free_port(), b"", 0
        prefs = {
            "marionette.port": self.port, "mail.provider.suppress_dialog_on_startup": True, "mailnews.start_page.enabled": False,
            "datareporting.policy.dataSubmissionEnabled": False, "app.update.enabled": False, "network.proxy.type": 0, "mail.biff.show_alert": False,
            "mail.accountmanager.accounts": "account1", "mail.accountmanager.defaultaccount": "account1",
            "mail.account.account1.identities": "id1", "mail.account.account1.server": "server1",
            "mail.identity.id1.useremail": user, "mail.identity.id1.fullName": "Ann", "mail.server.server1.type": "imap",
            "mail.server.server1.hostname": "127.0.0.1", "mail.server.server1.port": server.ports["imap"], "mail.server.server1.userName": user,
            "mail.server.server1.name": "home", "mail.server.server1.socketType": 0, "mail.server.server1.authMethod": 3,
            "mail.server.server1.login_at_startup": False, "mail.server.server1.max_cached_connections": 5,
        }
        (folder / "user.js").write_text("".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in prefs.items()))
        with open(folder / "said", "w") as said:
            self.process = subprocess.Popen(["thunderbird", "--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", folder],
                                            env={**os.environ, "HOME": str(folder)}, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        until(lambda: harness.listening(self.port), "Marionette")
        self.s = socket.create_connection(("127.0.0.1", self.port), 3 * LIMIT)
        self.receive()
        self.command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {}}})
        self.command("Marionette:SetContext", {"value": "chrome"})

    def receive(self):
        """A message: its length in decimal, a colon, JSON."""
        while b":" not in self.buffer:
            self.buffer += self.s.recv(65536)
        length, self.buffer = self.buffer.split(b":", 1)
        while len(self.buffer) < int(length):
            self.buffer += self.s.recv(65536)
        text, self.buffer = self.buffer[:int(length)], self.buffer[int(length):]
        return json.loads(text)

    def command(self, name, parameters):
        self.serial += 1
        text = json.dumps([0, self.serial, name, parameters]).encode()
        self.s.sendall(b"%d:%s" % (len(text), text))
        _, _, failure, result = self.receive()
        if failure:
            raise AssertionError(f"{name}: {failure}")
        return result

    def run(self, script, **values):
        """The value a script returns; what it may use by name stands in `values`."""
        given = "".join(f"const {k} = {json.dumps(v)};\n" for k, v in values.items())
        whole = ("const done = arguments[arguments.length - 1];\n(async () => {" + BEGIN + given + script +
                 "})().then(v => done({value: v}), e => done({failure: String(e) + e.stack}));")
        result = self.command("WebDriver:ExecuteAsyncScript", {"script": whole, "args": [], "scriptTimeout": 120000})["value"]
        if "failure" in result:
            raise AssertionError(result["failure"])
        return result.get("value")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.s.close()


@unittest.skipUnless(shutil.which("thunderbird"), "Thunderbird is not installed")
class RealThunderbird(Clients):
    def test_a_day_with_thunderbird(self):
        self.line().append("INBOX", [message(f"tb-{i}") for i in range(1, 21)])
        t = Thunderbird(self.folder, self.server, "ann@home.example")
        self.addCleanup(t.close)
        t.run("server.password = password;", password=PASSWORD)
        self.assertEqual(t.run("""
            server.performExpand(null);
            await until("the folders", () => child("Trash") && child("Archive"));
            inbox.updateFolder(null);
            await until("the messages", () => inbox.getTotalMessages(false) == 20);
            return root.subFolders.filter(f => f.flags & Ci.nsMsgFolderFlags.SpecialUse).map(f => f.name).sort();"""),
            ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"])
        self.assertIn("This is tb-7.", t.run("""
            const uri = inbox.getUriForMsg(hdr("tb-7"));
            return await new Promise((resolve, reject) => {
                let text = "";
                MailServices.messageServiceFromURI(uri).streamMessage(uri, {
                    QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
                    onStartRequest() {},
                    onDataAvailable(request, stream, offset, count) {
                        const reader = Cc["@mozilla.org/scriptableinputstream;1"].createInstance(Ci.nsIScriptableInputStream);
                        reader.init(stream);
                        text += reader.read(count);
                    },
                    onStopRequest(request, status) { status ? reject(new Error("status " + status)) : resolve(text); },
                }, null, null, false, "", false);
            });"""))
        t.run("""
            inbox.markMessagesRead([hdr("tb-7")], true);
            inbox.markMessagesFlagged([hdr("tb-2"), hdr("tb-3")], true);
            inbox.addKeywordsToMessages([hdr("tb-3")], "$label1");""")
        until(lambda: self.flags_of().get("tb-3") == frozenset({r"\Flagged", "$label1"}), "a label")
        until(lambda: self.flags_of()["tb-7"] == frozenset({r"\Seen"}), "what was read")
        t.run("""
            root.createSubfolder("Größe", null);
            await until("the new folder", () => child("Größe"));
            const copy = (subject, to, move) => new Promise((resolve, reject) => MailServices.copy.copyMessages(inbox, [hdr(subject)], to, move, {
                QueryInterface: ChromeUtils.generateQI(["nsIMsgCopyServiceListener"]),
                onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() { return null; },
                onStopCopy(status) { status ? reject(new Error("status " + status)) : resolve(); },
            }, null, false));
            await copy("tb-4", child("Größe"), false);
            await copy("tb-5", child("Archive"), true);""")
        until(lambda: "Gr&APYA3w-e" in self.folders() and self.subjects("Gr&APYA3w-e") == ["tb-4"], "the copy")
        until(lambda: self.subjects("Archive") == ["tb-5"], "the move")
        t.run("""inbox.deleteMessages([hdr("tb-6")], null, false, true, null, false);""")
        until(lambda: self.subjects("Trash") == ["tb-6"], "the deletion")
        # Told in IDLE: mail that comes, and what another client does.
        self.server.send("x@far.example", "ann@home.example", letter(subject="fresh"))
        t.run("""await until("new mail", () => hdr("fresh"));""")
        with self.line() as other:
            other.ok("SELECT INBOX")
            other.ok(r"UID STORE 8 +FLAGS (\Flagged)")
            other.ok(r"UID STORE 9 +FLAGS (\Deleted)")
            other.ok("EXPUNGE")
        t.run("""
            await until("a flag of another client", () => hdr("tb-8").isFlagged);
            await until("a deletion of another client", () => !hdr("tb-9"));""")
        self.assertEqual(sorted(t.run("return [...inbox.messages].map(h => h.mime2DecodedSubject);")), self.subjects())
