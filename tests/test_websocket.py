"""WebSocket through the gateway: over HTTP/1.1 in clear text and TLS, and over HTTP/2 (RFC 8441), on both sides."""

import socket

import pytest

from support.certificates import issued
from support.http2 import Doors, Http2, tls_context
from support.tls import TlsUpstream
from support.upstreams import RawUpstream, plain
from support.waiting import eventually
from support.websocket import BINARY, CLOSE, PING, PONG, TEXT, BothVersions, EchoServer, client_frame, handshake, parse_frame
from support.wire import Reader


@pytest.fixture(scope="module")
def node(private_for_module):
    return Doors(private_for_module)


@pytest.fixture
def server():
    server = EchoServer()
    yield server
    server.stop()


class OverHttp1:
    def __init__(self, house, tls, path="/chat", more="Sec-WebSocket-Protocol: chat\r\n"):
        address = house.tls if tls else house.clear
        self.sock = socket.create_connection(address, timeout=15)
        if tls:
            self.sock = tls_context(alpn=["http/1.1"]).wrap_socket(self.sock, server_hostname="gate.test")
        opening, accept = handshake(path, more=more)
        self.sock.sendall(opening)
        self.reader = Reader(self.sock)
        self.head = self.reader.head()
        assert self.head.status == 101, self.head
        assert self.head.headers["sec-websocket-accept"] == accept
        self.protocol = self.head.headers.get("sec-websocket-protocol")

    def send(self, data):
        self.sock.sendall(data)

    def frame(self):
        while True:
            found = parse_frame(self.reader.buffer)
            if found:
                self.reader.buffer = found[2]
                return found[:2]
            assert self.reader.fill(), "the connection ended"

    def ended(self):
        return self.reader.rest() == b""

    def close(self):
        self.sock.close()


class OverHttp2:
    def __init__(self, house, tls, path="/chat", more=(("sec-websocket-protocol", "chat"),)):
        self.client = Http2(house.tls if tls else house.clear, tls)
        self.client.until(lambda: self.client.h2.remote_settings.enable_connect_protocol == 1, "the server's settings")
        self.stream = self.client.begin(pseudo=[(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "gate.test"),
                                                (":path", path)], headers=[("sec-websocket-version", "13"), *more], end=False)
        answer = self.client.head(self.stream)
        assert answer.status == 200, answer
        assert "sec-websocket-accept" not in answer.headers and "upgrade" not in answer.headers
        self.protocol = answer.headers.get("sec-websocket-protocol")

    def send(self, data):
        assert self.client.send(self.stream, data)

    def frame(self):
        body = self.client.answers[self.stream].body
        self.client.until(lambda: parse_frame(body), "a frame", 15)
        kind, payload, rest = parse_frame(body)
        body[:] = rest
        return kind, payload

    def ended(self):
        return self.client.answer(self.stream).ended

    def close(self):
        self.client.close()


@pytest.fixture(params=["http/1.1 in clear", "http/1.1 over tls", "http/2 in clear", "http/2 over tls"])
def opened(request):
    kind = OverHttp1 if "1.1" in request.param else OverHttp2
    return lambda house, **more: kind(house, "tls" in request.param, **more)


def test_messages_pass_both_ways(house, server, opened):
    house.gateway.route(server.url)
    peer = opened(house)
    assert peer.protocol == "chat"
    for message in ("a", "b" * 125, "c" * 126, "d" * 70000, "e" * 1000000):
        peer.send(client_frame(message))
        assert peer.frame() == (TEXT, message.encode())
    peer.send(client_frame(b"\0\1\2", BINARY))
    assert peer.frame() == (BINARY, b"\0\1\2")
    peer.send(client_frame(b"are you there", PING))
    assert peer.frame() == (PONG, b"are you there")
    path, headers = server.requests[0]
    assert path == "/chat" and headers["X-Forwarded-Host"] == "gate.test"
    peer.close()


def test_a_client_says_good_bye(house, server, opened):
    house.gateway.route(server.url)
    peer = opened(house)
    peer.send(client_frame((1000).to_bytes(2, "big"), CLOSE))
    kind, payload = peer.frame()
    assert kind == CLOSE and payload[:2] == (1000).to_bytes(2, "big")
    assert peer.ended()
    peer.close()
    assert eventually(lambda: server.closed, "the close at the server") == [1000]


def test_a_server_says_good_bye(house, server, opened):
    house.gateway.route(server.url)
    peer = opened(house)
    peer.send(client_frame("bye"))
    kind, payload = peer.frame()
    assert kind == CLOSE and payload[:2] == (1000).to_bytes(2, "big")
    peer.send(client_frame((1000).to_bytes(2, "big"), CLOSE))
    assert peer.ended()
    peer.close()


def test_a_client_that_vanishes_is_told_to_the_server(house, server, opened):
    house.gateway.route(server.url)
    peer = opened(house)
    peer.send(client_frame("hello"))
    peer.frame()
    peer.close()
    assert eventually(lambda: server.closed, "the end at the server") == [1006]


def test_a_burst_of_messages_keeps_its_order(house, server, opened):
    house.gateway.route(server.url)
    peer = opened(house)
    peer.send(client_frame("count 5000"))
    assert [peer.frame()[1] for _ in range(5000)] == [str(n).encode() for n in range(5000)]
    peer.close()


def test_a_tunnel_outlives_a_change_of_configuration(house, server, echo, opened):
    service, _ = house.gateway.route(server.url)
    peer = opened(house)
    peer.send(client_frame("before"))
    assert peer.frame() == (TEXT, b"before")
    house.gateway.clear()
    house.gateway.route(echo)
    peer.send(client_frame("after"))
    assert peer.frame() == (TEXT, b"after")
    peer.close()


def test_a_server_that_does_not_upgrade_answers_as_it_likes(house, upstream):
    house.gateway.route(upstream(plain(b"no sockets here", "403 Forbidden")))
    opening, _ = handshake("/chat")
    with house.gateway.client() as client:
        answer = client.ask(opening, "GET")
        assert (answer.status, answer.body) == (403, b"no sockets here")
    with Http2(house.tls) as client:
        stream = client.begin(pseudo=[(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "gate.test"), (":path", "/")],
                              headers=[("sec-websocket-version", "13")], end=False)
        client.until(lambda: client.answers[stream].ended, "the answer")
        assert (client.answers[stream].status, bytes(client.answers[stream].body)) == (403, b"no sockets here")


def test_tunnels_share_a_connection_with_requests(house, server, echo):
    house.gateway.route(server.url, "/chat")
    house.gateway.route(echo, "/echo")
    peer = OverHttp2(house, True)
    other = peer.client.begin(pseudo=[(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "gate.test"), (":path", "/chat")],
                              headers=[("sec-websocket-version", "13")], end=False)
    assert peer.client.head(other).status == 200
    for n in range(20):
        peer.send(client_frame(f"one {n}"))
        peer.client.send(other, client_frame(f"two {n}"))
        assert peer.client.fetch(path=f"/echo/{n}").json["target"] == f"/{n}"
        assert peer.frame() == (TEXT, f"one {n}".encode())
    body = peer.client.answers[other].body
    peer.client.until(lambda: len(body) == sum(len(f"two {n}") + 2 for n in range(20)), "the other's messages")
    peer.close()


@pytest.mark.parametrize("pseudo", [
    [(":method", "CONNECT"), (":authority", "gate.test:443")],
    [(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "https"), (":authority", "gate.test"), (":path", "/")],
    [(":method", "GET"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "gate.test"), (":path", "/")],
    [(":method", "CONNECT"), (":protocol", "websocket"), (":authority", "gate.test")],
])
def test_other_kinds_of_connect_are_refused(house, server, pseudo):
    house.gateway.route(server.url)
    with Http2(house.tls) as client:
        stream = client.begin(pseudo=pseudo, end=False)
        client.until(lambda: client.answers[stream].status or client.answers[stream].over, "an answer")
        assert client.answers[stream].status in (400, 405) or client.answers[stream].reset == 1
    assert server.requests == []


# -- services that ask for HTTP/2

@pytest.fixture(params=["in clear", "over tls"])
def http2_service(request):
    """Start a service that speaks both versions of HTTP: http2_service(script) -> url."""
    started = []

    def start(script, alpn=("h2", "http/1.1")):
        started.append(RawUpstream(script) if request.param == "in clear" else TlsUpstream(issued("shop.test"), script, alpn=alpn))
        return started[-1].url

    yield start
    problems = [problem for origin in started for problem in origin.problems]
    [origin.stop() for origin in started]
    assert not problems, f"an origin broke: {problems!r}"


def converse(peer):
    assert peer.protocol == "chat"
    for message in ("a", "c" * 126, "d" * 300000):
        peer.send(client_frame(message))
        assert peer.frame() == (TEXT, message.encode())
    peer.send(client_frame(b"are you there", PING))
    assert peer.frame() == (PONG, b"are you there")


def part(peer, first):
    """The client closes first, or the server."""
    good_bye = client_frame((1000).to_bytes(2, "big"), CLOSE)
    peer.send(good_bye if first == "client" else client_frame("bye"))
    assert peer.frame() == (CLOSE, (1000).to_bytes(2, "big"))
    if first == "server":
        peer.send(good_bye)
    assert peer.ended()
    peer.close()


@pytest.mark.parametrize("first", ["client", "server"])
def test_a_service_that_takes_it_over_http_2(house, opened, http2_service, first):
    script = BothVersions()
    house.gateway.route(http2_service(script), service={"http2": True})
    for _ in range(2):
        peer = opened(house, path="/chat?room=1")
        converse(peer)
        part(peer, first)
    eventually(lambda: script.closed == [1000, 1000], "the closes at the service")
    for version, fields in script.requests:
        assert version == "2"
        assert (fields[":method"], fields[":protocol"], fields[":path"]) == ("CONNECT", "websocket", "/chat?room=1")
        assert fields["sec-websocket-version"] == "13" and fields["x-forwarded-host"] == "gate.test"
        assert not {"sec-websocket-key", "upgrade", "connection", "host"} & set(fields)
    assert script.resets == []


@pytest.mark.parametrize("first", ["client", "server"])
def test_a_service_that_does_not_offer_it_is_asked_over_http_1(house, opened, http2_service, first):
    script = BothVersions(offers=False)
    house.gateway.route(http2_service(script), service={"http2": True})
    peer = opened(house)
    converse(peer)
    part(peer, first)
    eventually(lambda: script.closed == [1000], "the close at the service")
    assert [version for version, _ in script.requests] == ["1.1"]
    assert script.requests[0][1]["upgrade"] == "websocket"


def test_a_service_without_http_2_is_asked_over_http_1(house, opened):
    script = BothVersions()
    with TlsUpstream(issued("shop.test"), script, alpn=("http/1.1",)) as origin:
        house.gateway.route(origin, service={"http2": True})
        peer = opened(house)
        converse(peer)
        part(peer, "client")
        assert [version for version, _ in script.requests] == ["1.1"]


def test_a_client_that_vanishes_ends_the_stream_to_its_service(house, opened, http2_service):
    script = BothVersions()
    house.gateway.route(http2_service(script), service={"http2": True})
    peer = opened(house)
    converse(peer)
    peer.close()
    eventually(lambda: len(script.closed) == 1, "the end at the service")


def test_tunnels_to_a_service_share_a_connection(house, opened):
    script = BothVersions()
    with RawUpstream(script) as origin:
        house.gateway.route(origin, service={"http2": True})
        peers = [opened(house) for _ in range(6)]
        for n, peer in enumerate(peers):
            peer.send(client_frame(f"from {n}"))
        assert [peer.frame()[1] for peer in peers] == [b"from %d" % n for n in range(6)]
        [peer.close() for peer in peers]
        assert len(origin.peers) <= 2, "one for each worker"


def test_a_refusal_over_http_2_is_passed_on(house, http2_service):
    house.gateway.route(http2_service(BothVersions(status="403")), service={"http2": True})
    opening, _ = handshake("/chat")
    with house.gateway.client() as client:
        assert client.ask(opening, "GET").status == 403
    with Http2(house.tls) as client:
        stream = client.begin(pseudo=[(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "gate.test"), (":path", "/")],
                              headers=[("sec-websocket-version", "13")], end=False)
        client.until(lambda: client.answers[stream].ended, "the answer")
        assert client.answers[stream].status == 403


def test_a_service_that_never_greets_is_not_waited_for_longer_than_its_time(house, upstream):
    house.gateway.route(upstream(lambda peer: peer.wait_closed()), service={"http2": True, "connect_timeout": 300, "retries": 0})
    opening, _ = handshake("/chat")
    with house.gateway.client() as client:
        assert client.ask(opening, "GET").status == 504
