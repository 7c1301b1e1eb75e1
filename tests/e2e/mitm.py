"""A man in the middle: an SMTP relay that ends STARTTLS itself, with a certificate the client trusts, and opens a TLS
connection of its own to the server. Every byte passes unchanged: only channel binding can see that it is there."""
import contextlib
import select
import socket
import ssl
import threading


class Mitm:
    def __init__(self, port, chain, key):
        self.target = port
        self.server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.server_side.load_cert_chain(chain, key)
        self.client_side = ssl.create_default_context(cafile=chain)
        self.client_side.check_hostname = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.passed = []  # what the client said in TLS: the proof that it went through here
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        server = socket.create_connection(("127.0.0.1", self.target), 30)
        with contextlib.suppress(OSError), client, server:
            self.until_tls(client, server)
            inside = self.server_side.wrap_socket(client, server_side=True)
            outside = self.client_side.wrap_socket(server)
            with inside, outside:
                self.pass_on(inside, outside)

    def pass_on(self, inside, outside):
        """Both ways from one thread: OpenSSL takes no two calls at once on one connection, and Python's ssl does not keep them apart."""
        other = {inside: outside, outside: inside}
        while ready := select.select(list(other), [], [], 60)[0]:
            for source in ready:
                source.setblocking(False)
                with contextlib.suppress(ssl.SSLWantReadError):
                    while data := source.recv(65536):
                        if source is inside:
                            self.passed.append(data)
                        other[source].setblocking(True)
                        other[source].sendall(data)
                    return

    @staticmethod
    def until_tls(client, server):
        """Commands and replies in turn, up to the reply to STARTTLS."""
        said = b""
        while True:
            reply = b""
            while not reply.endswith(b"\r\n") or reply.split(b"\r\n")[-2][3:4] == b"-":
                reply += Mitm.more(server)
            client.sendall(reply)
            if said.upper().startswith(b"STARTTLS"):
                return
            said = b""
            while not said.endswith(b"\n"):  # a command may come in pieces
                said += Mitm.more(client)
            server.sendall(said)

    @staticmethod
    def more(end):
        data = end.recv(65536)
        if not data:
            raise ConnectionError("closed")
        return data
