"""Seeds of directory_fuzz: questions about addresses, and the commands that change the answers."""
import base64
import hashlib
import hmac

RCPT, RESOLVE, SENDER, LOGIN, COMMAND = range(5)


def ask(question, text, how=0):
    return bytes([question + 5 * how]) + (text if isinstance(text, bytes) else text.encode())


def rcpt(address, account=0, first=True, bounce=False):
    return ask(RCPT, address, account + 4 * first + 8 * bounce)


def resolve(address, sender="", bulk=False, expanded=False, submitted=False):
    return ask(RESOLVE, address + "\0" + sender, bulk + 4 * expanded + 8 * submitted)


def sender(address, account=1):
    return ask(SENDER, address, account - 1)


def command(line):
    """Words split at blanks; '~' stands for a blank."""
    return ask(COMMAND, "".join(word.replace("~", " ") + "\0" for word in line.split()))


def both(*addresses):
    return [step for a in addresses for step in (rcpt(a), resolve(a, "s@far.example"), rcpt(a))]


def commands():
    say = lambda *lines: [command(line) for line in lines]  # noqa: E731
    return {
        "catch-all": [*say("domain set example.org catch_all=any@outside.example"), *both("who@example.org"), *say("domain set example.org catch_all=anna@example.org"), *both("x@example.org"),
                      *say("domain set example.org catch_all=all@example.org"), *both("x@example.org"), *say("domain set example.org catch_all=any@b.example"), *both("x@example.org"),
                      *say("domain set example.org catch_all=none", "domain set example.org catch_all=nonsense", "domain set example.org catch_all=x@example.org")],
        "domains": say("domain add new.example kind=local enabled=no", "domain add new.example", "domain set new.example kind=backup-mx", "domain set new.example enabled=yes", "domain show new.example",
                       "domain list", "domain list new limit=1", "domain list limit=0", "domain set none.example enabled=no", "domain add bad..name", "domain add x.example kind=odd",
                       "domain add x.example enabled=odd", "domain add x.example odd=1", "domain add", "domain add [192.0.2.1]", "domain remove example.org", "domain remove b.example", "domain remove b.example",
                       "domain show nowhere.example", "domain nosuch x", "nosuch add x", "domain add bücher.example", "domain show xn--bcher-kva.example"),
        "domain-off": [*say("domain set example.org enabled=no"), *both("anna@example.org", "x@example.org"), sender("anna@example.org")],
        "accounts": say("account add bob@example.org quota=1G quota_messages=5 messages_per_hour=3 recipients_per_hour=none send_as=domain kind=normal", "account show bob@example.org", "account list",
                        "account list bob limit=2 domain=example.org", "account list domain=none.example", "account set bob@example.org quota=none quota_messages=none messages_per_hour=default send_as=any",
                        "account set bob@example.org quota=1X", "account set bob@example.org quota=99999999T", "account set bob@example.org messages_per_hour=0", "account set bob@example.org send_as=odd",
                        "account set bob@example.org enabled=no kind=sending-only", "account remove bob@example.org", "account remove bob@example.org", "account add bob+tag@example.org", "account add x@b.example",
                        "account add x@none.example", "account add none", "account remove anna@example.org", "account remove anna@example.org force=yes", "account set nobody@example.org enabled=yes",
                        "account add c@example.org password=secret", "account set c@example.org password=other", "account add Ü@example.org"),
        "account-off": [*say("account set anna@example.org enabled=no"), *both("anna@example.org", "all@example.org"), sender("anna@example.org"), ask(LOGIN, "anna@example.org")],
        "account-sends-only": [*say("account set anna@example.org kind=sending-only"), *both("anna@example.org"), ask(LOGIN, "anna@example.org")],
        "aliases": say("alias add a@example.org b@example.org c@example.org", "alias add b@example.org a@example.org anna@example.org x@far.example", "alias show a@example.org", "alias list",
                       "alias list a limit=1 domain=example.org", "alias set a@example.org enabled=no", "alias set a@example.org enabled=yes", "alias set a@example.org d@far.example",
                       "alias remove b@example.org to=x@far.example", "alias remove b@example.org", "alias remove b@example.org", "alias add d@example.org d@example.org", "alias add e@example.org f@example.org",
                       "alias add f@example.org e@example.org", "alias add g@example.org nonsense", "alias add h@none.example x@y.example", "alias add i@example.org", "alias add all@example.org more@far.example",
                       "alias add anna@example.org x@far.example", "alias add sub+tag@example.org x@far.example", "alias show nobody@example.org", "alias set nobody@example.org x@y.example"),
        "alias-chains": [*say("alias add a@example.org b@example.org anna@example.org", "alias add b@example.org c@example.org anna@example.org", "alias add c@example.org a@example.org b@far.example anna+c@example.org",
                              "account add bob@example.org", "alias add bob@example.org bob@example.org x@far.example"), *both("a@example.org", "b@example.org", "bob@example.org", "A+tag@example.org"),
                         resolve("a@example.org", "s@far.example", expanded=True), resolve("bob@example.org", "", expanded=True), *say("alias set b@example.org enabled=no"), *both("a@example.org")],
        "postmaster": [*both("postmaster", "postmaster@example.org", "postmaster@[127.0.0.1]", "POSTMASTER@b.example"), *say("alias add postmaster@example.org anna@example.org"), *both("postmaster", "postmaster@example.org"),
                       *say("alias remove all@example.org", "alias remove postmaster@example.org", "account remove anna@example.org force=yes"), *both("postmaster", "postmaster@mail.test")],
        "limits": [*say("account set anna@example.org messages_per_hour=2 recipients_per_hour=3"), *[rcpt("x@far.example", 1, first) for first in (True, False, True, True, False)],
                   *say("credential add app account=anna@example.org password=x messages_per_hour=1", "account set anna@example.org messages_per_hour=none recipients_per_hour=none"),
                   *[rcpt("x@far.example", account) for account in (2, 2, 3, 1, 1)]],
        "credentials": [*say("credential add site domain=example.org password=x", "credential add box account=anna@example.org password=y recipients_per_hour=2", "credential list", "credential list s limit=1",
                             "credential list account=anna@example.org", "credential list domain=example.org", "credential show site", "credential set site password=z", "credential add site domain=example.org password=x",
                             "credential add bad domain=none.example password=x", "credential add bad account=none@example.org password=x", "credential add bad password=x", "credential add a@b.example domain=example.org password=x",
                             "credential add both domain=example.org account=anna@example.org password=x", "credential show none"),
                        *[sender(a, n) for n in (1, 2, 3, 4) for a in ("anna@example.org", "anna+tag@example.org", "x@example.org", "all@example.org", "x@far.example", "", "nonsense")],
                        ask(LOGIN, "site"), ask(LOGIN, "box"), ask(LOGIN, "none"), *say("credential set site enabled=no"), sender("x@example.org", 2), ask(LOGIN, "site"), *say("credential remove site", "credential remove site",
                        "account remove anna@example.org force=yes"), sender("x@example.org", 3), rcpt("x@far.example", 3)],
        "send-as": [*say("account set anna@example.org send_as=domain"), sender("x@example.org"), sender("x@far.example"), *say("account set anna@example.org send_as=any"), sender("x@far.example"), sender("all@example.org")],
        "routes": [*say("route add recipient:far.example smtp 192.0.2.1:25 [::1]:2525 tls=required", "route add recipient:* mx", "route add sender:example.org lmtp 127.0.0.1:24 login=u password=p tls=none",
                        "route add class:bulk discard", "route add recipient:gone.example fail text=5.7.1~no", "route show recipient:far.example", "route list", "route list far limit=1"),
                   *[resolve(a, s, bulk, expanded) for a in ("x@far.example", "x@sub.far.example", "x@gone.example", "x@b.example", "x@[192.0.2.9]", "anna@example.org") for s in ("", "s@example.org", "s@far.example")
                     for bulk, expanded in ((False, False), (True, False), (False, True))],
                   *say("route set recipient:far.example kind=mx", "route set recipient:far.example hosts=192.0.2.7:25~192.0.2.8 kind=smtp tls=verified", "route set sender:example.org login=", "route remove recipient:far.example",
                        "route remove recipient:far.example", "route add recipient:far.example odd", "route add odd:x mx", "route add recipient:x.example smtp", "route add recipient:x.example smtp bad:port:here",
                        "route add recipient:x.example mx 192.0.2.1:25", "route add recipient:x.example fail text=4.0.0~x", "route add recipient:x.example smtp host.example:99999", "route add class:odd mx",
                        "route add recipient:x.example smtp h:25 tls=odd", "route add recipient:x.example smtp h:25 login=u", "route add recipient: mx", "route set recipient:none.example kind=mx")],
        "pools": [*say("pool add web 192.0.2.10 weight=3 ehlo=out.example", "pool add web 2001:db8::1", "pool set web 192.0.2.10 weight=0", "pool show web", "pool list", "pool list w limit=1", "pool bind sender:example.org web",
                       "pool bind class:bulk web", "pool bindings", "pool bindings x limit=1"), resolve("x@far.example", "s@example.org"), resolve("x@far.example", "s@far.example", bulk=True),
                  *say("pool add bad~name 192.0.2.1", "pool add web nonsense", "pool add web 192.0.2.11 weight=-1", "pool add web 192.0.2.11 ehlo=bad..name", "pool bind odd:x web", "pool bind sender:x.example none",
                       "pool remove web 192.0.2.10", "pool remove web", "pool unbind sender:example.org", "pool unbind class:bulk", "pool unbind class:bulk", "pool remove web", "pool show none", "pool set none 192.0.2.1 weight=1")],
        "dkim": [*say("dkim make example.org algorithm=ed25519", "dkim make example.org algorithm=ed25519 selector=mine", "dkim show example.org", "dkim show example.org mine", "dkim list", "dkim list exam limit=1",
                      "dkim check example.org", "dkim confirm example.org mine", "dkim confirm example.org", "dkim rotate example.org algorithm=ed25519", "dkim revoke example.org mine", "dkim revoke example.org mine",
                      "dkim show none.example", "dkim make b.example algorithm=ed25519 selector=Bad_one", "dkim make example.org selector=x", "dkim make example.org algorithm=odd", "dkim revoke example.org none",
                      "dkim confirm b.example", "dkim list limit=0", "dkim", "domain remove example.org")],
        "many-rows": say(*(f"alias add n{i}@example.org x@far.example" for i in range(80)), "alias list", "alias list limit=3"),
        "words": say("account", "account add", "account list =", "account list limit=x", "alias add a@example.org to=b@far.example", "account add name=x@example.org", "domain add name=a=b"),
    }


def srs1(host, rest):
    """Signed with the key that directory_fuzz puts into its database; this form holds no day."""
    texts = "".join(f"{len(t)}:{t.lower()}" for t in ("srs1", host, rest))
    mac = base64.b32encode(hmac.digest(bytes(32), texts.encode(), hashlib.sha256)).decode().lower()[:8]
    return f"SRS1={mac}={host}={rest}@example.org"


def paths():
    """Addresses that directory signs: good, forged, of others; senders rewritten and signed."""
    good = srs1("first.example", "=ab=cd=far.example=x")
    bad = ("SRS0=abcdefgh=ab=far.example=x@example.org", "SRS0+a@example.org", "SRS1=a=b==c@example.org", "srs1-@b.example", "SRS0=x@far.example", "prvs=1234abcdef=anna@example.org", good.replace("first", "other"))
    modes = [command(f"domain set example.org return_path={mode}") for mode in ("sign", "junk", "refuse", "odd", "plain")]
    return {"srs": [*both(good, good.upper(), *bad), *[resolve("x@far.example", s, expanded=True) for s in ("s@far.example", good, *bad, "anna@example.org", "a" * 250 + "@far.example", "", "odd")]],
            "return-paths": [step for mode in modes for step in (mode, rcpt("anna@example.org", bounce=True), rcpt("postmaster@example.org", bounce=True), rcpt(bad[5], bounce=True),
                                                                 resolve("x@far.example", "anna@example.org", submitted=True), resolve("x@far.example", "anna@example.org", expanded=True), command("domain show example.org"))]}


def questions():
    addresses = ("anna@example.org", "Anna+tag@Example.ORG", "nobody@example.org", "all@example.org", "x@b.example", "x@far.example", "", "nonsense", "@", "\"an na\"@example.org", "x@[192.0.2.1]",
                 "x@[IPv6:2001:db8::1]", "ü@bücher.example", "x@xn--bcher-kva.example", "anna", "a" * 300 + "@example.org", "postmaster")
    return {"questions": both(*addresses), "questions-of-an-account": [rcpt(a, 1) for a in addresses[:6]] * 2, "senders": [sender(a) for a in addresses], "logins": [ask(LOGIN, a) for a in addresses if a]}


def seeds():
    return {"directory": {name: b"\n".join(lines) for name, lines in (commands() | paths() | questions()).items()}}
