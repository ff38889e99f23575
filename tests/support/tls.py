"""TLS clients on which the test decides what happens between records, and origins that speak TLS."""

import hashlib
import pathlib
import socket
import ssl
import tempfile

from .gateway import free_port
from .http2 import tls_context
from .upstreams import RawUpstream, name_of_target, serve
from .wire import TIMEOUT, Reader, request_bytes


class TlsClient:
    """HTTP/1.1 over TLS. `session` is one to resume; `proxy` is sent before the handshake."""

    def __init__(self, address, name="gate.test", context=None, session=None, alpn=("http/1.1",), version=None, proxy=b"", timeout=TIMEOUT,
                 receive_buffer=None):
        raw = socket.socket()
        raw.settimeout(timeout)
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.connect(address)
        raw.sendall(proxy)
        self.context = context or tls_context(alpn, version)
        # An end without close_notify is an error here.
        self.sock = self.context.wrap_socket(raw, server_hostname=name, session=session, suppress_ragged_eofs=False)
        self.reader = Reader(self.sock)

    @property
    def digest(self):
        """SHA-256 of the certificate that was shown."""
        return hashlib.sha256(self.sock.getpeercert(binary_form=True)).hexdigest()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def answer(self, method="GET"):
        return self.reader.answer(method)

    def ask(self, data, method=None):
        self.send(data)
        return self.answer(method or data.split(b" ", 1)[0].decode("latin-1"))

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class House:
    """A gateway with a plain listener and one for TLS."""

    def __init__(self, start, flags="ssl http2", **settings):
        self.tls = ("127.0.0.1", free_port())
        clear = ("127.0.0.1", free_port())
        self.gateway = start(proxy_listen="%s:%d, %s:%d %s" % (*clear, *self.tls, flags), **settings)
        self.gateway.proxy = clear

    def open(self, **more):
        return TlsClient(self.tls, **more)

    def get(self, target="/", headers=(), **more):
        with self.open(**more) as client:
            return client.ask(request_bytes("GET", target, list(headers) + [("Connection", "close")]))


class Records:
    """TLS apart from its socket: the test sends the records when and how it likes."""

    def __init__(self, address, name="gate.test", context=None):
        self.sock = socket.create_connection(address, timeout=TIMEOUT)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or tls_context(("http/1.1",))).wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                self.incoming.write(self.sock.recv(65536))
        self.sock.sendall(self.outgoing.read())

    def seal(self, data):
        self.tls.write(data)
        return self.outgoing.read()

    def close_notify(self):
        """The record that says that nothing follows."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        return self.outgoing.read()

    def rest(self):
        """All that comes until the end of the connection."""
        out = b""
        while True:
            try:
                data = self.tls.read(65536)
                if not data:
                    return out
                out += data
            except ssl.SSLWantReadError:
                came = self.sock.recv(65536)
                if not came:
                    return out
                self.incoming.write(came)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def shown(address, name, **more):
    """Which certificate is shown for a name."""
    with TlsClient(address, name, **more) as client:
        return client.digest


def server_context(pair, clients=None, alpn=("http/1.1",), version=None):
    """What a server shows, and whose certificates (PEM) it takes from clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("cert", pair.cert), ("key", pair.key)):
            pathlib.Path(folder, name).write_text(text)
        context.load_cert_chain(pathlib.Path(folder, "cert"), pathlib.Path(folder, "key"))
    if clients:
        context.load_verify_locations(cadata=clients)
        context.verify_mode = ssl.CERT_OPTIONAL
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class TlsUpstream(RawUpstream):
    """An origin that speaks TLS. Every handshake that ends well is noted: server name, ALPN, resumed or not, the client's name."""

    def __init__(self, pair, script=None, port=0, **more):
        self.context = server_context(pair, **more)
        self.handshakes = []
        self.failed = []
        answer = serve(script) if isinstance(script, bytes) else script or serve(name_of_target)
        # By connection: python's ssl tells it to a callback only.
        names = {}
        self.context.sni_callback = lambda connection, name, _: names.__setitem__(id(connection), name)

        def secured(peer):
            peer.sock.settimeout(TIMEOUT)
            try:
                sock = self.context.wrap_socket(peer.sock, server_side=True, do_handshake_on_connect=False)
                peer.sock, peer.reader.sock = sock, sock
                sock.do_handshake()
            except OSError as problem:  # the client's right: it need not like us
                self.failed.append(problem)
                return
            subject = dict(field[0] for field in (sock.getpeercert() or {}).get("subject", ()))
            self.handshakes.append({"name": names.pop(id(sock), None), "alpn": sock.selected_alpn_protocol(), "resumed": sock.session_reused,
                                    "client": subject.get("commonName")})
            answer(peer)

        super().__init__(secured, port=port)
        self.url = f"https://127.0.0.1:{self.port}"
        self.remember = False

    def at(self, name):
        return f"https://{name}:{self.port}"
