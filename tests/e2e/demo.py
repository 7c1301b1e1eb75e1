"""What ./start shows: a whole mail server in a folder, one message into a mailbox, one to another server.

usage: demo.py --build FOLDER --folder FOLDER [--once]
"""
import argparse
import atexit
import imaplib
import os
import pathlib
import shlex
import shutil
import signal
import smtplib
import sys
import tempfile
import threading

import harness
from harness import until
from sink import Sink

USERS = {"ann@demo.example": "ann's password", "bob@demo.example": "bob's password"}
PORTS = {"mx": 2525, "submission": 2587, "submissions": 2465, "lmtp": 2024, "imap": 2143, "imaps": 2993, "pop3": 2110, "pop3s": 2995, "metrics": 2925}


def reachable(folder):
    """May every user pass through to this folder?"""
    return all(os.stat(p).st_mode & 0o001 for p in [folder, *folder.parents] if p.exists())


def fresh_folder(wanted):
    """The folder, empty; elsewhere when root asked for it below a private folder, since the server does not run as root."""
    folder = pathlib.Path(wanted).resolve()
    if os.geteuid() == 0 and not reachable(folder.parent):
        private, folder = folder.parent, pathlib.Path(tempfile.mkdtemp(prefix="staffetta-demo-"))
        print(f"   (only root may pass through to {private}, so it is in {folder}, which goes away at the end)")
        atexit.register(shutil.rmtree, folder, True)
        return folder
    if folder.exists():
        if not (folder / "staffetta.conf").exists() and any(folder.iterdir()):
            sys.exit(f"{folder} exists and is not a demonstration: move it away first")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def choose_ports():
    return {name: harness.free_port() if harness.listening(port) or harness.listening(port, "::1") else port for name, port in PORTS.items()}


def write_wrapper(server, programs):
    """demo/staffetta: the command line, for this server."""
    script = server.folder / "staffetta"
    drop = f"setpriv --reuid={harness.NOBODY} --regid={harness.NOBODY} --clear-groups " if os.geteuid() == 0 else ""
    config, folder = shlex.quote(str(server.file)), shlex.quote(str(programs))
    script.write_text(f'#!/bin/sh\nexport STAFFETTA_CONFIG={config} STAFFETTA_LIBEXEC={folder}\nexec {drop}{folder}/staffetta "$@"\n')
    script.chmod(0o755)
    return script


def show_local(server):
    print("-> Ann logs in (STARTTLS, port %d) and writes to Bob ..." % server.ports["submission"])
    text = harness.letter("ann@demo.example", "bob@demo.example", "Hello from Staffetta", "Dear Bob, this came through submission,\r\nthe queue and into your mailbox.\r\n")
    with server.smtp("submission", login="ann@demo.example", password=USERS["ann@demo.example"]) as c:
        c.sendmail("ann@demo.example", ["bob@demo.example"], text)
    got = server.mailbox_holds("bob@demo.example", 1, USERS["bob@demo.example"])[0].decode()
    print("-> Bob reads it over POP3 (STLS, port %d):\n" % server.ports["pop3"])
    print("\n".join("     " + line for line in got.splitlines()))
    show_imap(server)


def show_imap(server):
    c = server.imap("bob@demo.example", USERS["bob@demo.example"])
    count = int(c.select()[1][0])
    envelope = c.fetch("1", "(UID FLAGS RFC822.SIZE ENVELOPE)")[1][0].decode()
    c.logout()
    print("\n-> and over IMAP (STARTTLS, port %d), where INBOX has %d message:\n\n     %s" % (server.ports["imap"], count, envelope))


def show_relayed(server, sink):
    print("\n-> Ann writes to friend@far.example, another server (a sink on port %d) ..." % sink.port)
    text = harness.letter("ann@demo.example", "friend@far.example", "Out into the world", "This one left the house.\r\n")
    with server.smtp("submission", login="ann@demo.example", password=USERS["ann@demo.example"]) as c:
        c.sendmail("ann@demo.example", ["friend@far.example"], text)
    until(lambda: sink.messages, "the message at the sink")
    m = sink.messages[0]
    print(f"-> The sink took it: from <{m.sender}> to <{m.rcpts[0]}>, {len(m.data)} bytes, and Staffetta tells its story:\n")
    story = until(lambda: "relayed" in (t := server.cli("trace", "friend@far.example").stdout) and t, "the story of the message")
    print("\n".join("     " + line for line in story.splitlines()))


def show_connect(server, script):
    rows = [("submission", "STARTTLS, login"), ("submissions", "TLS, login"), ("imap", "STARTTLS"), ("imaps", "TLS"), ("pop3", "STLS"), ("pop3s", "TLS"), ("mx", "mail from other servers"),
            ("lmtp", "LMTP"), ("metrics", "http://127.0.0.1:%d/metrics" % server.ports["metrics"])]
    print("\nIt is up. Point a mail program at 127.0.0.1:")
    for name, what in rows:
        print(f"     {name:12} port {server.ports[name]:<6} {what}")
    for user, password in USERS.items():
        print(f"     user {user}   password {password}")
    print(f"   The certificate is self-signed ({server.chain}). Mail to far.example goes to the sink and is shown here.")
    typed = shlex.quote(str(script))
    print(f"   Try:  {typed} status\n         {typed} queue summary\n         {typed} account add carl@demo.example")
    print(f"   Everything is in {server.folder}; the log is server.log there. Ctrl-C stops it.", flush=True)


def stay(server, sink):
    stop = threading.Event()
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, lambda *_: stop.set())
    shown = len(sink.messages)
    while not stop.wait(0.2):
        while shown < len(sink.messages):
            m = sink.messages[shown]
            shown += 1
            print(f"-> the sink took a message from <{m.sender}> to {', '.join(m.rcpts)}", flush=True)
        if server.process.poll() is not None:
            sys.exit(f"the server ended with {server.process.returncode}:\n{server.log_tail()}")
    print("\n-> Stopping ...")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    print("-> A server of its own, in a folder:", options.folder)
    folder = fresh_folder(options.folder)
    programs = folder / "programs"
    programs.mkdir()
    harness.make_stage(options.build, programs)
    os.environ["STAFFETTA_STAGE"] = str(programs)
    server = harness.Server({"log_level": "info"}, hostname="mail.demo.example", folder=folder, ports=choose_ports())
    sink = Sink()
    try:
        server.start()
        script = write_wrapper(server, programs)
        server.domain("demo.example")
        for user, password in USERS.items():
            server.account(user, password=password)
        server.route("recipient:far.example", "smtp", f"127.0.0.1:{sink.port}")
        print("-> It runs: domain demo.example, accounts " + " and ".join(USERS), flush=True)
        show_local(server)
        show_relayed(server, sink)
        show_connect(server, script)
        if not options.once:
            stay(server, sink)
    except (AssertionError, OSError, imaplib.IMAP4.error, smtplib.SMTPException) as failure:
        print(f"\nThat did not work: {failure}\n\nThe end of its log ({server.log}):\n{server.log_tail()}", file=sys.stderr)
        server.kill_tree()
        return 1
    code = server.stop()
    print("-> Stopped, exit code", code)
    return code


sys.exit(main())
