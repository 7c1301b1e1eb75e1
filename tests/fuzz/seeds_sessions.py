"""Seeds of smtp_session_fuzz, relay_client_fuzz, smtp_server_fuzz and config_fuzz, beside those that were made by hand."""
from seeds_wire import frame

# ---- smtp_session_fuzz: byte 0 is the listener and who is there, byte 1 how the input comes ----
MX, SUBMISSION, LMTP, LOCAL = range(4)
STARTTLS, STRICT, GREETING, TRUSTED, LOOPBACK, MAY_XCLIENT = (1 << n for n in range(2, 8))
LATE, DRAIN, WHOLE = 1, 2, 0xfc


def session(listener, lines, how=WHOLE):
    text = lines if isinstance(lines, bytes) else "".join(line + "\r\n" for line in lines).encode("latin-1")
    return bytes([listener, how]) + text


def smtp_session():
    begin = ["EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<x@home.example>"]
    secure = ["EHLO c", "STARTTLS", "EHLO c"]
    mail = [f"MAIL FROM:<a@b.example>{more}" for more in (
        " SIZE=100", " SIZE=99999", " BODY=8BITMIME SMTPUTF8", " BODY=BINARYMIME", " RET=FULL ENVID=a+2Bb", " RET=HDRS", " AUTH=<>", " AUTH=a+40b", " HOLDFOR=60", " HOLDFOR=999999999",
        " HOLDUNTIL=2026-11-22T04:00:00Z", " HOLDUNTIL=2030-01-01T00:00:00Z", " BY=100;RT", " BY=-5;N", " BY=0;R", " MT-PRIORITY=3", " MT-PRIORITY=-9", " REQUIRETLS", " ODD=1", " SIZE=x")]
    rcpt = [f"RCPT TO:<x@home.example>{more}" for more in (" NOTIFY=NEVER", " NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+2Bb@c", " NOTIFY=ODD", " ORCPT=utf-8;\\x{F6}@x", " ORCPT=x", " ODD", " BY=1")]
    syntax = ["MAIL", "MAIL FROM:", "MAIL FROM:a@b", "RCPT", "RCPT TO:<>", "RCPT TO:<postmaster>", "RCPT TO:<@a,@b:x@home.example>", "DATA x", "DATA", "BDAT", "BDAT x", "NOOP x", "HELP", "HELP MAIL",
              "VRFY", "VRFY x@home.example", "EXPN x", "RSET x", "STARTTLS x", "STARTTLS", "AUTH", "AUTH PLAIN", "EHLO", "HELO", "EHLO bad(name", "LHLO c", "XCLIENT", "XCLIENT ADDR=192.0.2.1", "ODD", "QUIT x"]
    logins = ["AUTH PLAIN AHUAcA==", "NOOP", "AUTH LOGIN", "dXNlcg==", "cGFzcw==", "NOOP", "AUTH SCRAM-SHA-256 biws", "cj0x", "cD0x", "", "AUTH SCRAM-SHA-256-PLUS =", "*", "AUTH PLAIN", "AHUAcA==", "AUTH PLAIN ***", "AUTH ODD",
              "AUTH LOGIN", "no base64", "AUTH PLAIN a b"]
    xclient = ["NAME=x+2Ey", "ADDR=192.0.2.9", "ADDR=IPV6:2001:db8::2", "ADDR=banana", "ADDR=[UNAVAILABLE]", "PORT=9", "PORT=99999", "PORT=[TEMPUNAVAIL]", "PROTO=SMTP", "PROTO=ODD", "HELO=c.example", "HELO=a+0D+0Ab",
               "HELO=[UNAVAILABLE]", "LOGIN=ann", "LOGIN=a+0Ab", "LOGIN=a+C2+9B", "LOGIN=+FF", "LOGIN=[UNAVAILABLE]", "LOGIN=" + "x" * 600, "DESTADDR=1.2.3.4", "DESTPORT=1", "ODD=1", "=x", "NAME", "NAME=+", "NAME=a ADDR=192.0.2.1 HELO=b"]
    out = {
        "mail-parameters": session(MX | TRUSTED, ["EHLO c"] + [line for m in mail for line in (m, "RSET")]),
        "mail-parameters-tls": session(SUBMISSION | STARTTLS | TRUSTED | LOOPBACK, secure + ["AUTH PLAIN AHUAcA=="] * 3 + [line for m in mail for line in (m, "RSET")]),
        "rcpt-parameters": session(MX, ["EHLO c", "MAIL FROM:<a@b.example>", *rcpt, "DATA", "x", ".", "QUIT"]),
        "syntax": session(MX | STARTTLS, ["EHLO c", *syntax]), "syntax-lmtp": session(LMTP, ["LHLO c", *syntax]), "syntax-transaction": session(MX | MAY_XCLIENT, [*begin, *syntax]),
        "syntax-submission": session(SUBMISSION, ["EHLO c", *syntax]), "syntax-bdat": session(MX, [*begin, "BDAT 1", "x" + syntax[0], *syntax]),
        "two-hellos": session(MX, ["EHLO c", "EHLO c", "HELO c", "MAIL FROM:<a@b.example> SIZE=1", "MAIL FROM:<a@b.example>", "MAIL FROM:<>", "EHLO c", "RCPT TO:<x@home.example>"]),
        "many-recipients": session(MX, begin + [f"RCPT TO:<x{n}@home.example>" for n in range(14)] + ["RCPT TO:<x1@home.example>", "DATA", "x", "."]),
        "recipients-later": session(LMTP, ["LHLO c", "MAIL FROM:<>", *(f"RCPT TO:<x{n}@home.example>" for n in range(30)), "DATA", "x", "."], LATE | WHOLE),
        "many-messages": session(MX, [*begin, "DATA", "x", "."] + ["MAIL FROM:<a@b.example>", "RCPT TO:<x@home.example>", "DATA", "x", "."] * 25),
        "many-errors": session(MX, ["RCPT TO:<x>"] * 60), "many-unknown": session(MX, ["ODD"] * 60), "http": session(MX, ["GET / HTTP/1.1", "Host: x"]),
        "unknown-is-cut": session(SUBMISSION | STARTTLS, b"EHLO c\r\nSTARTTLS\r\n\x16\x03\x01\0\r\n\r\nEHLO c\r\n"),
        "long-line": session(MX, b"EHLO " + b"x" * 5000 + b"\r\nNOOP\r\n" + b"y" * 20000 + b"\r\nQUIT\r\n"), "long-line-bytewise": session(MX, b"NOOP " + b"x" * 2100 + b"\r\nNOOP\r\n", DRAIN),
        "long-line-in-auth": session(SUBMISSION | LOOPBACK | TRUSTED, b"EHLO c\r\nAUTH LOGIN\r\n" + b"x" * 30000 + b"\r\nNOOP\r\n"),
        "nul": session(MX, b"EHLO c\r\nNO\0OP\r\nMAIL FROM:<a\0@b>\r\nQUIT\r\n"), "drain": session(MX, [*begin, "DATA", "x"], DRAIN | WHOLE), "drain-idle": session(MX, ["EHLO c"], DRAIN | WHOLE),
        "early-talker": session(MX | STRICT | GREETING, ["EHLO c"]), "early-pipelining": session(MX | STRICT, ["EHLO c", "MAIL FROM:<a@b>"]), "strict-waits": session(MX | STRICT | GREETING, ["EHLO c", "QUIT"], DRAIN),
        "bdat": session(MX, b"EHLO c\r\nMAIL FROM:<a@b.example> BODY=BINARYMIME\r\nRCPT TO:<x@home.example>\r\nBDAT 4\r\n\0\n.\nBDAT 3\r\nabcDATA\r\nBDAT 0 LAST\r\nNOOP\r\n"),
        "bdat-too-big": session(MX, b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@home.example>\r\nBDAT 1500\r\n" + b"a" * 1500 + b"BDAT 1500\r\n" + b"b" * 1500 + b"BDAT 1 LAST\r\nxNOOP\r\n"),
        "bdat-huge": session(MX, b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@home.example>\r\nBDAT 99999999999\r\nxx"), "bdat-early": session(MX, b"EHLO c\r\nBDAT 3\r\nabcBDAT 3 LAST\r\nabcNOOP\r\n"),
        "bdat-bare": session(MX, b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@home.example>\r\nBDAT 6 LAST\r\na\rb\nc\rMAIL FROM:<>\r\n"),
        "data-faults": session(MX, b"".join(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@home.example>\r\nDATA\r\n" + content + b"\r\n.\r\n" for content in (
            b"a\nb", b"a\rb", b"a\r\r\nb", b"a\0b", b"x" * 2100, b"\r\n..\r\n.x", b"\r\n.\n\r\n.\r", b"y" * 900 + b"\r\n" + b"z" * 1300, b"\xff\xfe"))),
        "data-end-in-cr": session(LMTP, b"LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<x@home.example>\r\nRCPT TO:<y@home.example>\r\nDATA\r\nabc\r", DRAIN),
        "starttls-twice": session(SUBMISSION | STARTTLS, [*secure, "STARTTLS", "MAIL FROM:<a@b>", "QUIT"]), "local": session(LOCAL, [*begin, "DATA", "x", ".", "QUIT"]),
        "logins": session(SUBMISSION | LOOPBACK | TRUSTED, ["EHLO c"] + logins * 8), "logins-tls": session(SUBMISSION | STARTTLS, secure + logins * 8), "logins-late": session(SUBMISSION | STARTTLS, secure + logins * 6, LATE | WHOLE),
        "logins-in-clear": session(SUBMISSION | STARTTLS, ["EHLO c", *logins]), "logins-where-none": session(MX, ["EHLO c", *logins]),
        "xclient": session(MX | MAY_XCLIENT, [line for x in xclient for line in ("EHLO c", "XCLIENT " + x)] + begin + ["DATA", "x", "."]), "xclient-refused": session(MX, ["EHLO c", "XCLIENT ADDR=192.0.2.1"]),
    }
    for n in range(1, 7):  # the answers depend on how much was asked before
        out[f"answers-{n}"] = session(SUBMISSION | LOOPBACK | TRUSTED, ["EHLO c"] + ["AUTH PLAIN AHUAcA=="] * n + ["MAIL FROM:<a@b.example>", *(f"RCPT TO:<x{m}@home.example>" for m in range(n)), "DATA", "x", ".", "RSET"] * 4)
    for n in range(12):
        before = ["EHLO c", "MAIL FROM:<a@b.example>", *(f"RCPT TO:<x{m}@home.example>" for m in range(n)), "RSET"]
        out[f"logins-{n:02}"] = session(SUBMISSION | LOOPBACK | TRUSTED, before + logins * 2)
        out[f"logins-step-{n:02}"] = session(SUBMISSION | LOOPBACK | TRUSTED, before + ["AUTH LOGIN", "dXNlcg==", "cGFzcw==", "AUTH SCRAM-SHA-256 biws", "cj0x", "no base64", "AUTH PLAIN", "*", "AUTH PLAIN", "x" * 20000], LATE | WHOLE)
    return out


# ---- relay_client_fuzz: byte 0 is the session, byte 1 the message; replies follow, a piece ends at NUL ----
IS_LMTP, NO_TLS, REQUIRED, IMPLICIT, REQUIRETLS, LOGIN, EIGHT, BY, VERIFIED = 1, 2, 4, 6, 8, 16, 32, 64, 128
UTF8_WHOLE, M_8BIT, M_BINARY, M_REQUIRETLS, M_FULL, M_HDRS, M_BULK, M_RETURN = (1 << n for n in range(8))


def server(kind, message, *pieces):
    return bytes([kind, message]) + b"".join(p.encode("latin-1") + b"\0" for p in pieces)


def ehlo(*extensions):
    return "".join(f"250{'-' if i < len(extensions) else ' '}{word}\r\n" for i, word in enumerate(("mx.test", *extensions)))


def relay_client():
    hi, ok = "220 hi\r\n", "250 2.0.0 ok\r\n"
    full = ("PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN", "DELIVERBY 10", "MT-PRIORITY MIXER", "REQUIRETLS", "STARTTLS", "ENHANCEDSTATUSCODES", "LIMITS RCPTMAX=2 MAILMAX=3",
            "AUTH PLAIN LOGIN SCRAM-SHA-256")
    no_tls = tuple(e for e in full if e != "STARTTLS")
    plain, pipelined = ("8BITMIME", "SMTPUTF8"), ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN")
    accept = ok * 4 + "354 go\r\n"
    out = {
        "everything": server(NO_TLS | EIGHT | BY, M_8BIT | M_FULL | M_RETURN, hi, ehlo(*no_tls), ok * 3, ok, ok, ok * 3, ok, ok), "everything-tls": server(VERIFIED, M_8BIT | M_HDRS | M_REQUIRETLS, hi, ehlo(*full), "220 go\r\n", ehlo(*no_tls), ok * 3, ok, ok),
        "binary": server(NO_TLS | EIGHT, M_BINARY | M_HDRS, hi, ehlo(*no_tls), ok * 3, ok, ok, ok, ok), "binary-refused-in-between": server(NO_TLS | EIGHT, M_BINARY, hi, ehlo(*no_tls), ok * 3, "552 5.3.4 no\r\n", ok, ok),
        "binary-nonsense": server(NO_TLS, M_BINARY, hi, ehlo(*no_tls), ok * 3, "354 what\r\n"), "no-binary": server(NO_TLS, M_BINARY, hi, ehlo("CHUNKING")), "no-8bit": server(NO_TLS | EIGHT, M_8BIT, hi, ehlo("PIPELINING")),
        "no-utf8": server(NO_TLS | EIGHT, UTF8_WHOLE, hi, ehlo("8BITMIME"), ok * 3, ok), "by": server(NO_TLS | BY, M_RETURN, hi, ehlo("DELIVERBY 50"), ok * 4, "354 go\r\n", ok), "by-not": server(NO_TLS | BY, M_RETURN, hi, ehlo("PIPELINING")),
        "by-too-short": server(NO_TLS | BY, M_RETURN, hi, ehlo("DELIVERBY 5000")), "too-big": server(NO_TLS, 0, hi, ehlo("SIZE 10")), "priority": server(NO_TLS, M_BULK, hi, ehlo("MT-PRIORITY", "SIZE"), ok * 4, "354 go\r\n", ok),
        "pipelined": server(NO_TLS, UTF8_WHOLE, hi, ehlo(*pipelined), accept, ok, accept, ok), "asks-for-body": server(NO_TLS, 0, hi, ehlo(*pipelined), accept, ok, ok), "one-by-one": server(NO_TLS, 0, hi, ehlo(*plain), *[ok] * 4, "354 go\r\n", ok),
        "mail-refused": server(NO_TLS, 0, hi, ehlo(*pipelined), "550 5.7.1 no\r\n" + "503 x\r\n" * 4, ok, ok), "mail-nonsense": server(NO_TLS, 0, hi, ehlo(*plain), "354 what\r\n"),
        "rcpt-nonsense": server(NO_TLS, 0, hi, ehlo(*plain), ok, "354 what\r\n"), "rcpt-all-refused": server(NO_TLS, 0, hi, ehlo(*pipelined), ok + "550 5.1.1 no\r\n" * 3 + "354 go\r\n", "554 none\r\n", ok),
        "rcpt-all-refused-lmtp": server(NO_TLS | IS_LMTP, 0, hi, ehlo(*pipelined), ok + "550 5.1.1 no\r\n" * 3 + "354 go\r\n"), "rcpt-too-many": server(NO_TLS, 0, hi, ehlo(*pipelined), ok * 2 + "452 4.5.3 many\r\n552 5.5.3 many\r\n354 go\r\n", ok, accept, ok),
        "rcpt-too-many-first": server(NO_TLS, 0, hi, ehlo(*plain), ok, "452 4.5.3 many\r\n", "452 full\r\n", "550 x\r\n", ok), "data-refused": server(NO_TLS, 0, hi, ehlo(*pipelined), ok * 4 + "451 4.3.0 later\r\n", ok, ok),
        "data-nonsense": server(NO_TLS, 0, hi, ehlo(*plain), *[ok] * 4, "250 what\r\n"), "end-nonsense": server(NO_TLS, UTF8_WHOLE, hi, ehlo(*plain), *[ok] * 3, "354 go\r\n", "354 what\r\n"),
        "rset-refused": server(NO_TLS, 0, hi, ehlo(*pipelined), ok + "550 5.1.1 no\r\n" * 3 + "554 no\r\n", "500 no\r\n"), "early-verdict": server(NO_TLS, 0, hi, ehlo(*plain), *[ok] * 3, "354 go\r\n552 5.3.4 enough\r\n", ok, ok),
        "lost-in-the-end": server(NO_TLS, UTF8_WHOLE, hi, ehlo(*pipelined), accept), "nonsense-in-the-end": server(NO_TLS, UTF8_WHOLE, hi, ehlo(*pipelined), accept, "what?\r\n"), "421": server(NO_TLS, 0, hi, ehlo(*plain), "421 4.3.2 bye\r\n"),
        "unasked": server(NO_TLS, 0, hi, ehlo(*plain), ok * 20), "greeting": server(NO_TLS, 0, "554 5.7.1 go away\r\n"), "greeting-521": server(0, 0, "521 no mail\r\n"), "greeting-temporary": server(0, 0, "421 busy\r\n"),
        "helo": server(0, UTF8_WHOLE, hi, "502 what\r\n", ok, ok, ok, ok, "354 go\r\n", ok), "helo-refused": server(0, 0, hi, "502 what\r\n", "502 what\r\n"), "ehlo-temporary": server(0, 0, hi, "451 later\r\n"), "lhlo-refused": server(IS_LMTP, 0, hi, "502 no\r\n"),
        "tls-missing": server(REQUIRED, 0, hi, ehlo(*plain)), "tls-missing-requiretls": server(REQUIRETLS, M_REQUIRETLS, hi, ehlo(*plain)), "tls-refused": server(0, 0, hi, ehlo("STARTTLS", "8BITMIME"), "454 no\r\n", ok * 4, "354 go\r\n", ok),
        "tls-refused-required": server(REQUIRED, 0, hi, ehlo("STARTTLS"), "454 no\r\n"), "requiretls-not-beyond": server(VERIFIED | REQUIRETLS, M_REQUIRETLS, hi, ehlo("STARTTLS"), "220 go\r\n", ehlo("8BITMIME")),
        "lmtp": server(NO_TLS | IS_LMTP, UTF8_WHOLE, hi, ehlo(*pipelined), accept, ok + "550 5.2.2 full\r\n" + "451 4.0.0 later\r\n", ok), "lmtp-two": server(NO_TLS | IS_LMTP, 0, hi, ehlo(*pipelined), accept, ok + "354 x\r\n"),
        "login-plain": server(NO_TLS | LOGIN, 0, hi, ehlo("AUTH PLAIN"), "235 ok\r\n", *[ok] * 4), "login-refused": server(NO_TLS | LOGIN, 0, hi, ehlo("AUTH LOGIN"), "334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n", "535 5.7.8 no\r\n"),
        "login-none": server(NO_TLS | LOGIN, 0, hi, ehlo("AUTH ODD")), "login-nonsense": server(NO_TLS | LOGIN, 0, hi, ehlo("AUTH SCRAM-SHA-256"), "334 ***\r\n"), "login-unproved": server(NO_TLS | LOGIN, 0, hi, ehlo("AUTH SCRAM-SHA-256"), "235 ok\r\n"),
        "long": server(NO_TLS, 0, hi, "250-" + "x" * 3000 + "\r\n", "250-y\r\n" * 300), "quit": server(NO_TLS, 0, hi, ehlo(*plain), "\x01q", "221 bye\r\n"), "quit-later": server(NO_TLS, UTF8_WHOLE, hi, ehlo(*pipelined), (accept + ok) * 4, "\x01q", "221 bye\r\n"),
        "bits-unknown": server(NO_TLS, M_8BIT, "\x01u", hi, ehlo("PIPELINING")), "bits-unknown-utf8": server(NO_TLS, UTF8_WHOLE, "\x01u", hi, ehlo("8BITMIME")),
        "bad-sender": server(NO_TLS, 0, "\x01s<a>\r\nX: y", hi, ehlo(*pipelined)), "bad-rcpt": server(NO_TLS, 0, "\x01ra b@c\r\n", hi, ehlo(*pipelined), ok * 2, ok), "utf8-sender": server(NO_TLS, 0, "\x01s\xc3\xa4@x", hi, ehlo(*plain), ok, ok),
    }
    return out


# ---- smtp_server_fuzz: steps of a byte, a length byte, and so many bytes ----
CLIENT, FRAME, ANSWER, DIES, RETURNS, HANGS_UP, SWEEP = range(7)
A_RCPT, A_SENDER, A_CHALLENGE, A_DONE, A_TXN = range(5)


def step(what, which=0, data=b""):
    data = data.encode() if isinstance(data, str) else data
    return bytes([what + 7 * which, len(data)]) + data


def answer(kind, value=0, text=""):
    return step(ANSWER, 0, bytes([kind, value]) + text.encode())


def around(what, data=b""):
    """Steps beside those of role peers and clients: 0xf0 and up."""
    return bytes([0xf0 + what, len(data)]) + data


RELOADED, TIME_PASSES, IS_TOLD_TO_DRAIN = range(3)


def smtp_server():
    directory, directory2, filter_, filter2, events = range(5)
    login = [step(CLIENT, 0, "EHLO c\r\nAUTH LOGIN\r\n"), answer(A_CHALLENGE, 0, "user?"), step(CLIENT, 0, "am9l\r\n"), answer(A_DONE, 0)]
    envelope = [step(CLIENT, 0, "MAIL FROM:<u@x.example>\r\n"), answer(A_SENDER, 1), step(CLIENT, 0, "RCPT TO:<a@b.example>\r\n"), answer(A_RCPT, 0)]
    relay = [step(CLIENT, 0, "EHLO c\r\nMAIL FROM:<u@x.example>\r\nRCPT TO:<a@b.example>\r\n"), answer(A_RCPT, 1)]
    content = [step(CLIENT, 0, "DATA\r\n"), step(CLIENT, 0, "A: b\r\n\r\nx\r\n.\r\n")]

    def told(which, *message):
        return step(FRAME, which, frame(*message))

    def state(which, shard, shards, accepting, why=b"4.3.1 full"):
        return told(which, "queue_state", shard, shards, accepting, why)

    return {
        "queue-full": [state(filter_, 0, 2, 0), state(filter_, 1, 2, 0, b"reason"), *relay, state(filter_, 1, 2, 1), *relay, *content, answer(A_TXN, 1, "2.0.0 ok")],
        "queue-states": [state(filter_, 0, 0, 0), state(filter_, 5, 2, 1), state(filter2, 0, 10**9, 1), state(directory, 0, 1, 0)],
        "acknowledged": [told(events, "event_ack", 1), told(events, "event_ack", 2**63), told(filter_, "txn_done", 1, 250, b"2.0.0 ok"), told(directory, "rcpt_reply", 1, 0, 0, 0, b"")],
        "directory-dies-rcpt": [*login, *envelope[:3], step(DIES, directory), *envelope], "directory-dies-sender": [*login, envelope[0], step(DIES, directory), step(RETURNS, directory)],
        "directory-dies-auth": [step(CLIENT, 0, "EHLO c\r\nAUTH LOGIN\r\n"), step(DIES, directory2), step(DIES, directory), step(CLIENT, 0, "EHLO c\r\nAUTH LOGIN\r\n"), *relay],
        "filters-die": [step(DIES, filter_), *relay, *content, step(DIES, filter2), *content, step(RETURNS, filter_)], "filter-dies-late": [*relay, *content, step(DIES, filter_), step(DIES, filter2), step(CLIENT, 0, "QUIT\r\n")],
        "no-answer": [*relay[:1], around(TIME_PASSES, b"x" * 2), step(SWEEP), step(CLIENT, 0, "RSET\r\n")], "no-answer-sender": [*login, envelope[0], around(TIME_PASSES, b"x" * 2), step(SWEEP)],
        "no-answer-auth": [step(CLIENT, 0, "EHLO c\r\nAUTH LOGIN\r\n"), around(TIME_PASSES, b"x" * 2), step(SWEEP)], "no-answer-filter": [*relay, *content, around(TIME_PASSES, b"x" * 11), step(SWEEP), step(CLIENT, 0, "QUIT\r\n")],
        "failed-logins": [s for n in range(6) for s in (step(CLIENT, n % 2, "EHLO c\r\nAUTH PLAIN AHUAeA==\r\n"), answer(A_DONE, 1), around(TIME_PASSES, b"x"))], "login-results": [s for n in range(7) for s in (step(CLIENT, 0, "EHLO c\r\nAUTH PLAIN AHUAeA==\r\n"), answer(A_DONE, n))],
        "login-cancelled": [step(CLIENT, 0, "EHLO c\r\nAUTH LOGIN\r\n"), answer(A_CHALLENGE, 0, "user?"), step(CLIENT, 0, "*\r\n"), step(CLIENT, 0, "AUTH LOGIN\r\n"), step(HANGS_UP, 0)],
        "backlog": [*relay, step(CLIENT, 0, "DATA\r\n"), step(RETURNS, 16 + filter_), step(CLIENT, 0, "x\r\n" * 80), step(RETURNS, 16 + filter2), step(CLIENT, 0, "y\r\n" * 80), step(RETURNS, filter_), step(RETURNS, filter2), step(CLIENT, 0, ".\r\n")],
        "does-not-read": [step(CLIENT, 0, "HELP\r\n" * 40)] * 60, "drain": [*relay, step(CLIENT, 1, "EHLO c\r\n"), around(IS_TOLD_TO_DRAIN), step(CLIENT, 0, "DATA\r\n")], "drain-waiting": [*relay[:1], around(IS_TOLD_TO_DRAIN), answer(A_RCPT, 0)],
        "mx": [around(RELOADED, b"x"), step(HANGS_UP), *relay, answer(A_RCPT, 0), *content, answer(A_TXN, 1, "2.0.0 ok")], "lmtp": [around(RELOADED, b"xx"), step(HANGS_UP), step(CLIENT, 0, "LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n"), answer(A_RCPT, 0), *content, answer(A_TXN, 1, "2.0.0 ok")],
        "proxy": [around(RELOADED, b"xxx"), step(HANGS_UP), step(CLIENT, 0, "PROXY TCP4 198.51.100.7 127.0.0.1 5 25\r\n"), *relay, *content], "proxy-bad": [around(RELOADED, b"xxx"), step(HANGS_UP), step(CLIENT, 0, "EHLO c\r\n"), step(HANGS_UP), step(CLIENT, 0, "PROX"), step(CLIENT, 0, "Y UNKNOWN\r\n")],
        "proxy-limits": [around(RELOADED, b"xxx")] + [s for n in range(4) for s in (step(HANGS_UP, n % 2), step(CLIENT, n % 2, "PROXY TCP4 198.51.100.7 127.0.0.1 5 25\r\n"), step(CLIENT, n % 2, "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@b.example>\r\n"), answer(A_RCPT, 0),
                         step(CLIENT, n % 2, "RCPT TO:<y@b.example>\r\nRCPT TO:<z@b.example>\r\n"), answer(A_RCPT, 0))],
        "banned": [around(RELOADED, b"xxxx")] + [s for n in range(5) for s in (step(HANGS_UP, 0), step(CLIENT, 0, "PROXY TCP4 198.51.100.7 127.0.0.1 5 25\r\n"), step(CLIENT, 0, "EHLO c\r\nAUTH PLAIN AHUAeA==\r\n"), answer(A_DONE, 1), around(TIME_PASSES, b"x"))],
        "xclient": [around(RELOADED, b"x"), step(HANGS_UP), step(CLIENT, 0, "EHLO c\r\nXCLIENT ADDR=198.51.100.7 HELO=x\r\nEHLO c\r\n"), *relay], "greeting-late": [around(RELOADED, b"xxxxx"), step(HANGS_UP), step(CLIENT, 0, "PROXY TCP4 198.51.100.7 127.0.0.1 5 25\r\n"), around(TIME_PASSES, b"x"), step(CLIENT, 0, "EHLO c\r\n")],
        "greeting-early": [around(RELOADED, b"xxxxx"), step(HANGS_UP), step(CLIENT, 0, "PROXY TCP4 198.51.100.7 127.0.0.1 5 25\r\nEHLO c\r\n")],
    }


# ---- config_fuzz ----
def config():
    base = 'hostname = "mail.test"\n'
    wrong = ('hostname = ""', 'hostname = "bad name"', 'hostname = "a.b"\nhostname = "c.d"', 'hostnam = "x"', 'odd { }', 'listen "x" { }', 'listen "" { service = "mx" }', 'listen "x" { service = "odd" }',
             'listen "x" { service = "mx" address = {} }', 'listen "x" { service = "mx" address = {"banana"} }', 'listen "x" { service = "mx" port = 99999 }', 'listen "x" { service = "mx" tls = "odd" }',
             'listen "x" { service = "submission" tls = "implicit" }', 'listen "x" { service = "metrics" tls = "implicit" }', 'listen "x" { service = "mx" }\nlisten "y" { service = "mx" }',
             'listen "x" { service = "mx" address = {"0.0.0.0"} }\nlisten "y" { service = "mx" address = {"127.0.0.1"} }', 'certificate "c" { chain = "/x" }', 'certificate "c" { key = "/x" }', 'certificate "" { chain = "/x" key = "/y" }',
             'limits { header_size = 10M message_size = 1M }', 'queue { retry = {} }', 'queue { retry = {"x"} }', 'limits { recipients = 5 }', 'limits { message_size = 99999T }', 'limits { ban_time = 400d }', 'limits { odd = 1 }',
             'user = "1bad"', 'user = "toolongtoolongtoolongtoo"', 'user = "ok_user-1"', 'log_level = "odd"', 'log_level = debug', 'log_format = json', 'log_format = "odd"', 'relay_networks = {"192.0.2.0/24", "2001:db8::/32"}',
             'relay_networks = {"192.0.2.0/99"}', 'relay_networks = {"x"}', 'postmaster = "me@here.example"', 'postmaster = "me"', 'dns = {"127.0.0.1@53", "::1"}', 'dns = {"x"}', 'copies { smtp = 0 }', 'copies { smtp = 999 }', 'relay { ipv6 = perhaps }',
             'data = "relative"', 'subaddress = "+"', 'subaddress = "ab"', 'subaddress = ""', 'dnssec = "if-available"', 'dnssec = "odd"', '"', "'", '/*', '/* x */', '{', '}', 'a = "x\\', 'a = "\\x41"', 'x = {', '\x01', 'hostname', 'hostname =', 'listen "x" {\nlisten "y" {}\n}',
             'queue { retry = {"5m"} retry += {"1h"} }', 'sandbox = perhaps', 'section "x" "y" {}', 'listen "x" { service = "mx" service = "mx" }', '# comment only', '// comment', 'include("x")', 'function(1)')
    out = {f"wrong-{n:02}": base + text + "\n" for n, text in enumerate(wrong)}
    return out | {"near-misses": base + "queu { }\nlimit { }\n", "near-miss": base + "relay_network = {}\n", "near-miss-in-section": base + "limits { mesage_size = 1M }\n", "long-name": base + "x" * 100 + " = 1\n",
                  "far-miss": base + "zzzzzz = 1\n", "far-miss-in-section": base + "limits { zzzzzz = 1 }\n", "nothing": ""}


def seeds():
    return {"smtp_session": smtp_session(), "relay_client": relay_client(), "smtp_server": {name: b"".join(steps) for name, steps in smtp_server().items()},
            "config": {name: text.encode("latin-1") for name, text in config().items()}}
