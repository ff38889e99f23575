"""The PROXY protocol on listeners, and whom the gateway takes for the client."""

import socket
import struct

import pytest

from support.gateway import free_port
from support.http2 import Http2, tls_context
from support.tls import TlsClient
from support.waiting import eventually
from support.wire import Client, request_bytes

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n"


def v2(command=0x21, family=0x11, source="192.0.2.7", destination="192.0.2.1", ports=(56324, 443), more=b""):
    kind = socket.AF_INET6 if ":" in source else socket.AF_INET
    addresses = socket.inet_pton(kind, source) + socket.inet_pton(kind, destination) + struct.pack(">HH", *ports)
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(addresses + more)) + addresses + more


class House:
    def __init__(self, start, **settings):
        self.plain, self.bare, self.tls, self.http2 = (("127.0.0.1", free_port()) for _ in range(4))
        listen = "%s:%d, %s:%d proxy_protocol, %s:%d ssl http2 proxy_protocol, %s:%d http2 proxy_protocol" % (*self.plain, *self.bare, *self.tls, *self.http2)
        self.gateway = start(proxy_listen=listen, **settings)
        self.gateway.proxy = self.plain


@pytest.fixture(scope="module")
def node(private_for_module):
    return House(private_for_module, trusted_ips="127.0.0.1", real_ip_header="proxy_protocol")


@pytest.fixture
def house(node, echo):
    node.gateway.clear()
    node.gateway.route(echo)
    yield node
    assert node.gateway.alive(), node.gateway.log()[-8000:]


def client_of(answer):
    assert answer.status == 200, answer
    return answer.json["headers"]["x-real-ip"]


def ask(address, header, target="/"):
    with Client(address) as client:
        return client.ask(header + request_bytes("GET", target), "GET")


@pytest.mark.parametrize("header, client", [
    (V1, "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (b"PROXY UNKNOWN ffff:f...f:ffff whatever 1 2\r\n", "127.0.0.1"),
    (v2(), "192.0.2.7"),
    (v2(source="2001:db8::7", destination="::1", family=0x21), "2001:db8::7"),
    (v2(family=0x12), "192.0.2.7"),
    (v2(command=0x20), "127.0.0.1"),
    (SIGNATURE + b"\x20\x00\0\0", "127.0.0.1"),
    (SIGNATURE + b"\x21\x00\0\0", "127.0.0.1"),
    (SIGNATURE + b"\x21\x31" + struct.pack(">H", 216) + bytes(216), "127.0.0.1"),
    (v2(more=b"\x04\0\x05hello" + b"\x02\0\x04a.b."), "192.0.2.7"),
    (v2(more=bytes([4, 15, 253]) + b"n" * 4069), "192.0.2.7"),
])
def test_the_client_is_the_one_the_proxy_speaks_for(house, header, client):
    assert client_of(ask(house.bare, header)) == client
    with TlsClient(house.tls, proxy=header) as tls:
        assert client_of(tls.ask(request_bytes())) == client


def test_http_2_behind_the_header(house):
    for address, tls in ((house.http2, False), (house.tls, True)):
        sock = socket.create_connection(address, timeout=10)
        sock.sendall(v2())
        if tls:
            sock = tls_context(("h2",)).wrap_socket(sock, server_hostname="gate.test")
        with Http2(address, sock=sock) as client:
            for _ in range(3):
                answer = client.fetch()
                assert answer.status == 200 and answer.json["headers"]["x-real-ip"] == "192.0.2.7"


@pytest.mark.parametrize("header", [V1, v2(), v2(more=b"\x04\0\x64" + b"n" * 100)], ids=["v1", "v2", "v2 with more"])
def test_a_header_in_single_bytes(house, header):
    with Client(house.bare) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header + request_bytes():
            client.send(bytes([byte]))
        assert client_of(client.answer()) == "192.0.2.7"


def test_a_header_is_good_for_all_requests_of_its_connection(house):
    with Client(house.bare) as client:
        client.send(V1)
        for _ in range(5):
            assert client_of(client.ask(request_bytes())) == "192.0.2.7"
        # A second one is no request.
        assert client.ask(V1 + request_bytes(), "GET").status == 400


@pytest.mark.parametrize("header", [
    b"", b"PROXY\r\n", b"PROXY TCP4\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 56324\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443 1\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 65536 443\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 -1 443\r\n", b"PROXY TCP4 192.0.2.300 192.0.2.1 1 443\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", b"PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n", b"PROXY TCP5 192.0.2.7 192.0.2.1 1 2\r\n",
    b"PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n", b"proxy TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 " + b"1" * 200 + b"\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443" + b" " * 100 + b"\r\n",
    v2(command=0x11), v2(command=0x22), v2(command=0x2F), v2(family=0x41), v2(family=0x13), SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
    SIGNATURE + b"\x21\x21\0\x0c" + bytes(12), SIGNATURE + b"\x21\x11\xff\xff" + bytes(1000), b"\r\n\r\n\0\r\nQUIX\n" + bytes(20),
])
def test_a_malformed_header_or_none_ends_the_connection(house, header):
    with Client(house.bare) as client:
        client.send_what_fits(header + request_bytes())
        assert client.rest() == b""
    with socket.create_connection(house.tls, timeout=10) as sock:
        sock.sendall(header + b"\x16\x03\x01\0\5\1\0\0\0\0")
        try:
            assert sock.recv(100) == b""
        except ConnectionResetError:
            pass


def test_an_unfinished_header_times_out(private, echo):
    house = House(private, client_header_timeout="1s")
    for start in (V1[:20], v2()[:14], SIGNATURE, b"P"):
        with Client(house.bare) as client:
            client.send(start)
            assert client.is_closed_within(4)


def test_a_peer_that_is_not_trusted_is_not_believed(private, echo):
    house = House(private, trusted_ips="10.0.0.0/8", real_ip_header="proxy_protocol")
    house.gateway.route(echo)
    assert client_of(ask(house.bare, V1)) == "127.0.0.1"


def test_the_header_counts_only_where_it_is_the_real_ip_header(private, echo):
    house = House(private, trusted_ips="127.0.0.1")
    house.gateway.route(echo)
    assert client_of(ask(house.bare, V1)) == "127.0.0.1"
    with Client(house.bare) as client:
        assert client_of(client.ask(V1 + request_bytes(headers=[("X-Real-IP", "192.0.2.99")]), "GET")) == "192.0.2.99"


@pytest.mark.parametrize("recursive, forwarded, client", [
    ("off", "192.0.2.1, 10.1.1.1", "10.1.1.1"), ("on", "192.0.2.1, 10.1.1.1", "192.0.2.1"), ("on", "192.0.2.1, 192.0.2.2, 10.1.1.1, 127.0.0.1", "192.0.2.2"),
    ("on", "10.1.1.2, 10.1.1.1", "10.1.1.2"), ("on", "nobody, 10.1.1.1", "10.1.1.1"), ("on", "[2001:db8::1]:80, 10.1.1.1:1234", "2001:db8::1"),
])
def test_the_client_among_those_it_was_forwarded_for(private_for_module, echo, recursive, forwarded, client):
    house = nodes.get(recursive) or House(private_for_module, trusted_ips="127.0.0.1, 10.0.0.0/8", real_ip_header="X-Forwarded-For", real_ip_recursive=recursive)
    nodes[recursive] = house
    house.gateway.clear()
    house.gateway.route(echo)
    with Client(house.plain) as connection:
        answer = connection.ask(request_bytes(headers=[("X-Forwarded-For", forwarded)]))
        assert client_of(answer) == client
        assert answer.json["headers"]["x-forwarded-for"].startswith(forwarded)


nodes = {}


def test_the_access_log_names_the_client(house):
    ask(house.bare, v2(source="192.0.2.123"), "/who-asks")
    lines = eventually(lambda: [line for line in house.gateway.log("access.log").splitlines() if "/who-asks" in line], "the line")
    assert lines[0].startswith("192.0.2.123 ")
