"""Writes the first corpora of the grammar's fuzz targets: python3 seeds_grammar.py, in this folder."""
import os

SEEDS = {
    "address": [b"\x07<a@b.example>", b"\x01<@x.example,@y.example:\"a b\"@[IPv6:2001:db8::1]>", b"\x07user+tag@example.org",
        b"\x01j\xc3\xb6rg@b\xc3\xbccher.example", b"\x02<postmaster>", b"\x04<>", b"\x00\"a\\\"b\"@[192.0.2.1]",
        b"\x01a@xn--bcher-kva.example", b"\x00<a@b>SIZE=1"],
    "command": [b"\x01MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=a+2Bb AUTH=<>",
        b"\x01MAIL FROM:<> HOLDUNTIL=2026-11-22T03:30:00.5+01:00 BY=-30;NT MT-PRIORITY=-3 REQUIRETLS",
        b"\x01MAIL FROM:<a@b> HOLDFOR=60", b"\x01RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c",
        b"\x07RCPT TO:<j\xc3\xb6rg@b> ORCPT=utf-8;\\x{F6}@x", b"\x01BDAT 100 LAST", b"\x01EHLO [192.0.2.1]", b"\x01RCPT TO:<postmaster>"],
    "reply": [b"\x05250-mx.example\r\n250-SIZE 100\r\n250-AUTH PLAIN LOGIN\r\n250-LIMITS RCPTMAX=1\r\n250 DSN\r\n",
        b"\x03550 5.1.1 no such user\r\n354 go\r\n", b"\x02421 4.7.0 try again later\r\n", b"\x01250-a\r\n251 b\r\n", b"\x01+OK\r\n"],
    "header": [b"\x0aFrom: A <a@b.example>, \"x, y\" <c@d>\r\nReceived: x\r\n\ty\r\nDate: Sun, 22 Nov 2026 03:30:00 +0000\r\n\r\nbody",
        b"\x05From me Sun\nA: b\n\nx", b"\x03To: g:a@b,c@d;, (c (d) \\) e) <@r.x,@s.x:f . g @ [1.2.3.4]>\r\n\r\n", b"\x02no header\r\n",
        b"\x01Message-ID : <a@b>\r\n"],
    "filter_message": [b"\x02\x10From: me@a.example\r\nBcc: x@y,\r\n z@y\r\nSubject: a\r\n\r\nbody\r\n",
        b"\x03\x05From: A <b@c.example>, d@e.example\r\nReturn-Path: <x>\r\n\r\n", b"\x06\x01From: b@c.example\r\n\r\nx",
        b"\x00\x02just text", b"\x00\x02A: 1\r\nno field\r\n", b"\x00\x04From me Sun\r\nPrecedence: bulk\r\nList-Id: <x>\r\n\r\n",
        b"\x00\x00" + b"Received: x\r\n" * 7 + b"\r\n",
        b"\x08\x40\x41\0\x0a\x09v=spf1 -all\r\nFrom: x@a.example\r\nAuthentication-Results: mx.example; spf=pass\r\nDKIM-Signature: v=1; "
        b"a=rsa-sha256; d=a.example; s=k; h=from; bh=YQ==; b=YQ==\r\n\r\nbody\r\n",
        b"\x08\x01\x44\0\x12\x11v=DMARC1;p=reject\r\nFrom: x@a.example\r\n\r\nx", b"\x08\x05\0\0\0\0\0From: x@a.example, y@b.example\r\nFrom:\r\n\r\nx",
        b"8\x05From: x@a.example\r\nSubject: goes on\r\n\r\nbody\r\n",
        b"9 From: x@a.example\r\nARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=k; t=1; b=YQ==\r\nARC-Message-Signature: i=1; a=rsa-sha256; d=a.example; s=k; h=from; bh=YQ==; b=YQ==\r\nARC-Authentication-Results: i=1; a.example; none\r\n\r\nx",
        b")\x01From: x@a.example\r\n\r\nno key"],
    "dsn": [b"\x01mx.example|me@a.example|a+2Bb|Hello|<i@d>|0123|x@y.example|rfc822;a+2Bb|5.1.1 no such user|mx.y.example|z@y|utf-8;\\x{F6}@x|4.4.1 x|h",
        b"\x0fmx|j\xc3\xb6@a|+0D+0A|a\r\nb|<>||\xff|utf-8;\xc3\xb6|\r\n--report-ID-1--\r\n|h|||||"],
}
for target, seeds in SEEDS.items():
    folder = os.path.join("corpus", target)
    os.makedirs(folder, exist_ok=True)
    for i, seed in enumerate(seeds):
        with open(os.path.join(folder, "seed-%02d" % i), "wb") as f:
            f.write(seed)
