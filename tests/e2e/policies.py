"""A server of MTA-STS policies on loopback: https://mta-sts.DOMAIN/.well-known/mta-sts.txt, each domain with what a test sets.

    with PolicyServer("127.0.0.1", port, chain, key) as s:
        s.policies["x.example"] = policy("enforce", "mx.x.example")
        s.asked  # domains, in order
"""
import http.server
import ssl
import threading


def policy(mode, *mx, max_age=86400):
    return "".join(f"{line}\r\n" for line in ["version: STSv1", f"mode: {mode}", *(f"mx: {m}" for m in mx), f"max_age: {max_age}"])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        domain = self.headers["Host"].split(":")[0].removeprefix("mta-sts.")
        s = self.server
        s.asked.append(domain)
        text = s.policies.get(domain) if self.path == "/.well-known/mta-sts.txt" else None
        if isinstance(text, tuple):  # status, headers, body
            status, headers, body = text
        else:
            status, headers, body = (200 if text is not None else 404), {"Content-Type": "text/plain"}, text or ""
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class PolicyServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, ip, port, chain, key):
        super().__init__((ip, port), Handler, bind_and_activate=False)
        self.allow_reuse_address = True
        self.policies, self.asked = {}, []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        self.server_bind()
        self.server_activate()
        self.context = context
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def get_request(self):
        s, peer = super().get_request()
        return self.context.wrap_socket(s, server_side=True, do_handshake_on_connect=False), peer

    def handle_error(self, *_):
        pass  # a client that does not like the certificate

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
