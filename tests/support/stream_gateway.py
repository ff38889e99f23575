"""What tests of streams have in common: a gateway that takes them, and clients."""

import re
import socket
import ssl
import time

from .gateway import free_port
from .waiting import eventually

TIMEOUT = 15


class Ports:
    """Where a gateway takes streams."""

    def __init__(self):
        self.tcp, self.tls, self.told, self.udp, self.told_tls = (free_port() for _ in range(5))

    @property
    def listen(self):
        return ", ".join(("127.0.0.1:%d" % self.tcp, "127.0.0.1:%d ssl backlog=4096" % self.tls, "127.0.0.1:%d proxy_protocol" % self.told,
                          "127.0.0.1:%d udp reuseport" % self.udp, "127.0.0.1:%d ssl proxy_protocol" % self.told_tls))


def own(private, stream=None, **settings):
    """A gateway of a test's own."""
    ports = Ports()
    settings.setdefault("stream_listen", stream or ports.listen)
    gateway = private(**settings)
    gateway.ports = ports
    return gateway


def route(gateway, port, service=None, settle=True, **fields):
    """A service at `port` and a stream route to it; returns both."""
    if settle and not gateway.marked:
        gateway.settle()
    made = gateway.create("/services", **{"protocol": "tcp", "host": "127.0.0.1", "port": port, **(service or {})})
    fields.setdefault("protocols", ["tcp"])
    found = gateway.create("/routes", service={"id": made["id"]}, **fields)
    if settle:
        gateway.settle()
    return made, found


def to(port):
    return [{"port": port}]


def connect(port, **more):
    sock = socket.create_connection(("127.0.0.1", port), TIMEOUT, **more)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        assert more, f"closed after {len(data)} of {size} bytes: {data[:100]!r}"
        data += more
    return data


def ask(sock, data=b"hello"):
    sock.sendall(data)
    assert read_exactly(sock, len(data)) == data


def is_closed(sock):
    """Whether the other side has ended the connection, at the end or by a reset."""
    try:
        return sock.recv(65536) == b""
    except ConnectionResetError:
        return True


def tls(port, name=None, sock=None, alpn=None):
    """A TLS connection that takes any certificate; `certificate()` of it is the one it was shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context.wrap_socket(sock or connect(port), server_hostname=name)


def shown(session):
    return ssl.DER_cert_to_PEM_cert(session.getpeercert(True)).split()


def access_lines(gateway, wanted=1, name="prefix/logs/access.log"):
    """The lines of the stream's access log, once there are as many as are wanted."""
    path = gateway.directory / name

    def lines():
        found = path.read_text().splitlines() if path.exists() else []
        return found if len(found) >= wanted else None

    return eventually(lines, f"{wanted} lines in {path}")


def new_lines(gateway):
    """A function that waits for lines added from now on."""
    path = gateway.directory / "prefix/logs/access.log"
    time.sleep(1.2)  # lines of what came before are written once a second
    before = len(path.read_text().splitlines()) if path.exists() else 0
    return lambda wanted=1: access_lines(gateway, before + wanted)[before:]


BASIC = re.compile(r"(\S+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] (TCP|UDP) (\d{3}) (\d+) (\d+) (\d+\.\d{3})")


def parsed(line):
    found = BASIC.fullmatch(line)
    assert found, line
    ip, protocol, status, sent, received, seconds = found.groups()
    return ip, protocol, int(status), int(sent), int(received), float(seconds)


def datagrams(port=None):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.bind(("127.0.0.1", 0))
    if port:
        sock.connect(("127.0.0.1", port))
    return sock


def exchange(sock, data):
    sock.send(data)
    assert sock.recv(65536) == data
