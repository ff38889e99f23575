"""Connections on both sides: who may end them, who waits for whom, and what they cost."""

import socket
import threading
import time

import pytest

from support.upstreams import plain
from support.waiting import eventually
from support.wire import Client, Closed, chunks, request_bytes

KIB = 1024
MIB = 1024 * KIB


def get(target="/", headers=()):
    return request_bytes("GET", target, headers)


# -- the end of a client's sending


def test_a_client_that_has_finished_sending_gets_a_long_answer_whole(gateway, upstream):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.3)
            peer.send(b"x")

    gateway.route(upstream(script))
    with gateway.client() as client:
        client.send(get()).finish_sending()
        assert client.answer().text == "xxxxxxxx"


def test_a_slow_client_that_has_finished_sending_gets_its_answer_whole(gateway, upstream):
    def script(peer):
        peer.request()
        peer.send(plain(b"x" * 20 * MIB))

    gateway.route(upstream(script))
    with gateway.client(receive_buffer=64 * KIB) as client:
        client.send(get()).finish_sending()
        time.sleep(2.5)
        assert len(client.answer().body) == 20 * MIB


def test_requests_before_the_end_of_sending_are_all_answered(gateway, upstream):
    gateway.route(upstream(), strip_path=False)
    with gateway.client() as client:
        client.send(b"".join(get(f"/{n}") for n in range(20))).finish_sending()
        assert [client.answer().text for _ in range(20)] == [f"/{n}" for n in range(20)]
        assert client.rest() == b""


@pytest.mark.parametrize("requests", [1, 2])
def test_a_silent_origin_is_left_some_time_after_the_client_has_finished_sending(gateway, upstream, requests):
    def script(peer):
        while True:
            message = peer.request()
            if message.target == "/silent":
                return peer.wait_closed()
            peer.send(plain(b"first"))

    origin = upstream(script)
    gateway.route(origin, strip_path=False)
    with gateway.client() as client:
        client.send(get("/first") * (requests - 1) + get("/silent")).finish_sending()
        eventually(lambda: any(p.closed.is_set() for p in origin.peers), "the end of the wait for the origin", timeout=10)


def test_the_answer_to_an_upload_that_nobody_reads_ends_the_connection(private, upstream):
    """Reading the request must not keep the writing of its answer alive for ever."""
    gateway = private(nginx_http_send_timeout="1s")
    body = 4 * MIB

    def script(peer):
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (500 * MIB))

        def drain():
            try:
                while peer.sock.recv(1 << 16):
                    pass
            except OSError:
                pass

        threading.Thread(target=drain, daemon=True).start()
        try:
            while True:
                peer.send(b"x" * 65536)
        except OSError:
            peer.closed.set()

    origin = upstream(script)
    gateway.route(origin, request_buffering=False)
    with gateway.client(receive_buffer=64 * KIB) as client:
        client.send(request_bytes("POST", "/", [("Content-Length", str(body))]))
        for _ in range(64):
            client.send_what_fits(b"x" * (body // 64))
            time.sleep(0.02)
        assert origin.peer().closed.wait(10), "a client that reads nothing keeps its connection"


def test_an_origin_is_not_blamed_for_a_client_that_takes_its_time(gateway, upstream):
    gateway.route(upstream(plain(b"x" * 20 * MIB)), service={"read_timeout": 500})
    with gateway.client(receive_buffer=64 * KIB) as client:
        client.send(get())
        time.sleep(1.5)
        assert len(client.answer().body) == 20 * MIB


def test_a_reset_right_behind_an_unfinished_answer_is_noticed_at_once(gateway, upstream):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.sock.close()

    gateway.route(upstream(script), service={"retries": 0})
    for _ in range(40):
        with gateway.client() as client:
            client.send(get())
            assert client.is_closed_within(5), "the end of the origin went unnoticed"


def test_a_reset_right_behind_a_request_is_noticed_at_once(gateway, upstream):
    def script(peer):
        peer.request()
        peer.wait_closed()

    origin = upstream(script)
    gateway.route(origin)
    for _ in range(50):
        client = gateway.client()
        client.send(get())
        client.reset()
    time.sleep(0.1)
    eventually(lambda: all(p.closed.is_set() for p in origin.peers), "the end of requests whose clients are gone", timeout=5)


# -- tunnels

UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
           ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_a_tunnel_goes_on_in_one_direction_when_the_other_has_ended(gateway, upstream):
    def script(peer):
        peer.head()
        peer.send(SWITCHED)
        said = peer.reader.rest()
        time.sleep(2)
        peer.send(b"heard " + said)

    gateway.route(upstream(script))
    with gateway.client() as client:
        assert client.ask(get("/", UPGRADE)).status == 101
        client.send(b"all of this").finish_sending()
        assert client.rest() == b"heard all of this"


def test_a_tunnel_in_which_nothing_moves_ends(gateway, upstream):
    def script(peer):
        peer.head()
        peer.send(SWITCHED)
        peer.wait_closed()

    origin = upstream(script)
    gateway.route(origin, service={"read_timeout": 500})
    with gateway.client() as client:
        assert client.ask(get("/", UPGRADE)).status == 101
        assert client.is_closed_within(5)
    assert origin.peer().closed.wait(5)


def test_a_tunnel_whose_client_does_not_read_ends(private, upstream):
    def script(peer):
        peer.head()
        peer.send(SWITCHED)
        try:
            while True:
                peer.send(b"x" * 65536)
        except OSError:
            peer.closed.set()

    origin = upstream(script)
    gateway = private(client_send_timeout="500ms")
    gateway.route(origin)
    with gateway.client(receive_buffer=64 * KIB) as client:
        client.send(get("/", UPGRADE))
        assert origin.peer().closed.wait(10), "the tunnel stays, though nothing can move in it"


def test_a_fast_stop_ends_tunnels_that_are_stuck(private, upstream):
    def script(peer):
        peer.head()
        peer.send(SWITCHED)
        peer.closed.wait(30)

    gateway = private()
    gateway.route(upstream(script))
    with gateway.client() as client:
        assert client.ask(get("/", UPGRADE)).status == 101
        client.sock.settimeout(1.0)
        try:
            while True:
                client.send(b"x" * 65536)  # until the origin's buffers are full
        except TimeoutError:
            pass
        began = time.monotonic()
        gateway.stop()
        assert time.monotonic() - began < 5


def test_an_upgrade_with_a_body_is_an_ordinary_request(gateway, upstream):
    origin = upstream()
    gateway.route(origin)
    with gateway.client() as client:
        answer = client.ask(get("/", [*UPGRADE, ("Content-Length", "5")]) + b"hello")
        assert answer.status == 200
    [message] = origin.requests
    assert "upgrade" not in message.headers and message.body == b"hello"


# -- bodies


def test_a_body_that_comes_in_parts_is_sent_again_whole(gateway, upstream):
    seen = []

    def script(peer):
        seen.append(peer.request().body)
        if len(seen) > 1:
            peer.send(plain(b"good"))

    gateway.route(upstream(script), service={"retries": 1})
    body = b"0123456789abcdef" * 2 * KIB
    with gateway.client() as client:
        client.send(request_bytes("PUT", "/", [("Content-Length", str(len(body)))]) + body[:5000])
        time.sleep(0.1)
        client.send(body[5000:])
        assert client.answer().text == "good"
    assert seen == [body, body]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [1, 60 * KIB, 64 * KIB, 70 * KIB, 300 * KIB])
def test_a_body_that_comes_in_parts_arrives_whole(gateway, upstream, framing, size):
    origin = upstream()
    gateway.route(origin)
    body = bytes(i * 7 % 251 for i in range(size))
    with gateway.client() as client:
        for _ in range(2):
            if framing == "length":
                wire = request_bytes("POST", "/", [("Content-Length", str(size))]) + body
            else:
                pieces = [body[i:i + 999] for i in range(0, size, 999)]
                wire = request_bytes("POST", "/", [("Transfer-Encoding", "chunked")]) + chunks(*pieces)
            cuts = sorted(min(n, len(wire)) for n in (0, 150, len(wire) // 3, len(wire) // 2, len(wire)))
            for begin, end in zip(cuts, cuts[1:]):
                client.send(wire[begin:end])
                time.sleep(0.02)
            assert client.answer().status == 200
    assert [m.body for m in origin.requests] == [body, body]


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_an_upstream_connection_is_used_again_after_a_streamed_answer(private, upstream, framing):
    body = b"x" * 100000
    wire = chunks(*[body[i:i + 5000] for i in range(0, len(body), 5000)]) if "chunked" in framing else body

    def script(peer):
        while True:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\n" + framing.encode() + b"\r\n\r\n" + wire[:60000])
            time.sleep(0.01)
            peer.send(wire[60000:])

    origin = upstream(script)
    gateway = private(nginx_worker_processes=1)
    gateway.route(origin)
    with gateway.client() as client:
        for _ in range(5):
            assert client.ask(get()).body == body
    assert len(origin.peers) == 1


def test_a_body_whose_upload_was_given_up_never_becomes_the_next_request(gateway, upstream):
    """The origin answers at some point of an upload; what of the body was on its way then must not be left behind."""
    canary = get("/canary")

    def script(peer):
        message = peer.head()
        if message.target != "/upload":
            return peer.send(plain(message.target.encode()))
        peer.send(plain(b"early", headers=[("Connection", "close")]))

    origin = upstream(script)
    gateway.route(origin, strip_path=False, request_buffering=False)
    upload = request_bytes("POST", "/upload", [("Content-Length", str(len(canary)))])
    for attempt in range(200):
        with gateway.client() as client:
            client.send(upload)
            time.sleep(0.0001 * (attempt % 20))
            client.send_what_fits(canary)
            try:
                client.answer("POST")  # mostly "early"; the origin's reset may overtake that
                client.send(get("/next"))
                assert client.answer().text == "/next"
            except (Closed, OSError):
                pass
    assert not [m for m in origin.requests if m.target == "/canary"]


def test_a_body_of_tiny_chunks_is_not_passed_on_chunk_by_chunk(gateway, upstream):
    origin = upstream()
    gateway.route(origin)
    with gateway.client() as client:
        wire = request_bytes("POST", "/", [("Transfer-Encoding", "chunked")]) + chunks(*[b"x"] * 200000)
        assert client.ask(wire).status == 200
    [message] = origin.requests
    assert message.body == b"x" * 200000
    assert len(origin.received) < 1.2 * 200000, "hardly less framing than it came with"


def test_an_answer_of_tiny_chunks_is_not_passed_on_chunk_by_chunk(gateway, upstream):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(*[b"x"] * 200000)
    gateway.route(upstream(answer))
    with gateway.client() as client:
        assert client.ask(get()).body == b"x" * 200000
        assert len(client.reader.seen) < 1.2 * 200000, "hardly less framing than it came with"


@pytest.mark.slow
def test_connections_do_not_keep_the_memory_their_bodies_took(gateway, upstream):
    gateway.route(upstream(remember=False))
    body = b"x" * 200 * KIB
    assert gateway.fetch("POST", "/", body=body).status == 200
    before = gateway.memory()
    clients = [gateway.client() for _ in range(400)]
    try:
        for client in clients:
            client.send(request_bytes("POST", "/", body=body))
            assert client.answer("POST").status == 200
        assert gateway.memory() - before < 400 * 20 * KIB
    finally:
        for client in clients:
            client.close()


# -- rules for hostile clients


@pytest.mark.parametrize("name", ["X-Consumer-ID", "X-Consumer-Username", "X-Credential-Identifier"])
def test_connection_cannot_remove_what_a_plugin_says_of_the_client(gateway, upstream, name):
    origin = upstream()
    gateway.route(origin, settle=False)
    gateway.create("/plugins", name="key-auth")
    consumer = gateway.create("/consumers", username="someone")
    gateway.create(f"/consumers/{consumer['id']}/key-auth", key="the-key")
    gateway.settle()
    answer = gateway.get("/", [("apikey", "the-key"), ("Connection", f"close, {name}"), (name, "forged")])
    assert answer.status == 200
    [value] = origin.requests[-1].headers.all(name)
    assert value != "forged"


def test_a_credential_that_connection_names_reaches_the_gateway_and_no_further(gateway, upstream):
    origin = upstream()
    gateway.route(origin, settle=False)
    gateway.create("/plugins", name="key-auth")
    consumer = gateway.create("/consumers", username="someone")
    gateway.create(f"/consumers/{consumer['id']}/key-auth", key="the-key")
    gateway.settle()
    answer = gateway.get("/", [("apikey", "the-key"), ("Connection", "close, apikey")])
    assert answer.status == 200
    assert "apikey" not in origin.requests[-1].headers


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_unread_body_of_a_limited_request_never_becomes_the_next(gateway, upstream, framing):
    origin = upstream()
    gateway.route(origin, settle=False)
    gateway.create("/plugins", name="rate-limiting", config={"hour": 1, "policy": "local"})
    gateway.settle()
    smuggled = get("/canary")
    while gateway.get("/").status != 429:
        pass
    origin.requests.clear()
    if framing == "length":
        wire = request_bytes("POST", "/", [("Content-Length", str(len(smuggled)))], smuggled)
    else:
        wire = request_bytes("POST", "/", [("Transfer-Encoding", "chunked")]) + chunks(smuggled)
    with Client(gateway.proxy) as client:
        client.send(wire)
        assert client.answer("POST").status == 429
        try:
            client.send(get("/next"))
            assert client.answer().status == 429
        except (Closed, OSError):
            pass
        client.close()
    assert not origin.requests


@pytest.mark.parametrize("data", [b"\rt\r\n\r\n", b"\r\n\rt\r\n\r\n", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_bare_return_before_the_request_line_is_refused(gateway, data):
    with gateway.client() as client:
        client.send(data)
        assert client.answer().status == 400
        assert client.is_closed_within(5)
