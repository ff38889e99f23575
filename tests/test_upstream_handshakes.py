"""How connections over TLS to services are opened: handshakes that come to nothing, and HTTP/2."""

import os
import socket
import threading
import time

import pytest

from support.certificates import issued
from support.trust import VERIFIED, files, gateway, house, origin, over_http2  # noqa: F401, some are fixtures
from support.waiting import eventually
from support.wire import Client, request_bytes

MIB = 1024 * 1024


# -- handshakes that come to nothing

def silent(peer):
    peer.wait_closed()


def test_a_handshake_that_takes_too_long_is_a_time_out(gateway, upstream):
    there = upstream(silent)
    gateway.route(f"https://127.0.0.1:{there.port}", service={"connect_timeout": 300, "retries": 1})
    began = time.monotonic()
    answer = gateway.get("/")
    assert answer.status == 504 and "The upstream server is timing out" in answer.text
    assert 0.5 < time.monotonic() - began < 3
    assert len(there.peers) == 2
    eventually(lambda: all(p.closed.is_set() for p in there.peers), "the connections' end")


def test_many_requests_share_one_new_connection_over_http2(gateway, origin):
    there = origin(script=over_http2, alpn=("h2",))
    gateway.route(there.at("shop.test"), service={**VERIFIED, "http2": True})
    clients = [Client(gateway.proxy) for _ in range(40)]
    for client in clients:
        client.send(request_bytes())
    assert [client.answer().status for client in clients] == [200] * 40
    assert len(there.peers) == 1
    for client in clients:
        client.close()


def test_who_leaves_does_not_take_the_connection_of_others_along(gateway, upstream):
    there = upstream(silent)
    gateway.route(f"https://127.0.0.1:{there.port}", service={"http2": True, "connect_timeout": 1000, "retries": 0})
    leaves, stays = (Client(gateway.proxy).send(request_bytes()) for _ in range(2))
    peer = there.peer()
    time.sleep(0.1)
    leaves.close()
    time.sleep(0.2)
    assert not peer.closed.is_set() and len(there.peers) == 1
    assert stays.answer().status == 504
    stays.close()
    assert len(there.peers) == 1


@pytest.mark.parametrize("script", [
    lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
    lambda peer: peer.send(os.urandom(4096)),
    lambda peer: None,
    lambda peer: peer.send(b"\x15\x03\x03\x00\x02\x02\x28"),  # a fatal alert
    lambda peer: peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"),
], ids=["clear text", "noise", "closed", "alert", "reset"])
def test_what_is_no_tls_is_a_bad_answer(gateway, upstream, script):
    there = upstream(script)
    gateway.route(f"https://127.0.0.1:{there.port}", service={"retries": 1})
    assert gateway.get("/").status == 502
    assert len(there.peers) == 2
    assert gateway.fetch("POST", "/", body=b"x" * 10).status == 502  # of which nothing was sent: it may be tried again
    assert len(there.peers) == 4


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("bad", ["noise", "silence", "a stranger"])
def test_another_target_is_tried_where_a_handshake_fails(gateway, origin, upstream, bad, method):
    there = origin()
    if bad == "a stranger":
        other = origin(issued("shop.test", "stranger.test"))
    else:
        other = upstream(silent if bad == "silence" else lambda peer: peer.send(b"no TLS at all, but long enough to look at\r\n"))
    gateway.create("/upstreams", name="shop.internal", host_header="shop.test")
    for one in (there, other):
        gateway.create("/upstreams/shop.internal/targets", target=f"127.0.0.1:{one.port}")
    gateway.route("https://shop.internal", service={**VERIFIED, "connect_timeout": 300})
    answers = [gateway.fetch(method, "/", body=b"some" if method == "POST" else b"") for _ in range(6)]
    assert [a.status for a in answers] == [200] * 6
    assert len(there.requests) == 6 and len(other.peers) >= 2


@pytest.mark.parametrize("http2", [False, True])
def test_a_client_that_leaves_takes_an_unfinished_handshake_along(gateway, upstream, http2):
    there = upstream(silent)
    gateway.route(f"https://127.0.0.1:{there.port}", service={"http2": http2} if http2 else {})
    for leave in ("close", "reset"):
        before = len(there.peers)
        client = Client(gateway.proxy)
        client.send(request_bytes())
        peer = there.peer(before)
        time.sleep(0.1)
        assert not peer.closed.is_set()
        getattr(client, leave)()
        eventually(peer.closed.is_set, f"the end of the connection after {leave}", 5)
    assert len(there.peers) == 2
    eventually(lambda: gateway.log("access.log").count(" 499 ") >= 2, "two requests nobody waited for")


def test_many_clients_that_leave_leave_nothing_behind(gateway, upstream):
    there = upstream(silent)
    gateway.route(f"https://127.0.0.1:{there.port}")
    descriptors = lambda: len(os.listdir(f"/proc/{gateway.pid}/fd"))  # noqa: E731
    before = descriptors()
    for _ in range(3):
        clients = [Client(gateway.proxy).send(request_bytes()) for _ in range(30)]
        eventually(lambda: sum(not p.closed.is_set() for p in there.peers) == 30, "thirty handshakes")
        for client in clients:
            client.close()
        eventually(lambda: all(p.closed.is_set() for p in there.peers), "their end")
    eventually(lambda: descriptors() <= before + 3, "as many descriptors as before")


# -- HTTP/2

def test_http2_over_tls(gateway, origin):
    there = origin(script=over_http2, alpn=("h2",))
    gateway.route(there.at("shop.test"), service={**VERIFIED, "http2": True})
    for _ in range(3):
        answer = gateway.get("/a?b=c")
        assert answer.text == f"GET /a?b=c shop.test:{there.port} 0" and answer.headers["x-scheme"] == "https"
    body = b"y" * (3 * MIB)
    assert gateway.fetch("POST", "/", body=body).text.endswith(f" {len(body)}")
    assert [(h["alpn"], h["name"]) for h in there.handshakes] == [("h2", "shop.test")]


def test_http2_connections_are_apart_by_trust(gateway, origin):
    there = origin(issued("shop.test", "stranger.test"), over_http2, alpn=("h2",))
    gateway.route(there.at("shop.test"), "/open", service={"http2": True}, settle=False)
    gateway.route(there.at("shop.test"), "/strict", service={**VERIFIED, "http2": True})
    assert gateway.get("/open").status == 200
    assert gateway.get("/strict").status == 502
    assert gateway.get("/open").status == 200
    assert len(there.handshakes) == 1


def test_http2_resumes_too(gateway, origin):
    def one_each(peer):
        timer = threading.Timer(0.2, lambda: peer.sock.shutdown(socket.SHUT_RDWR))
        timer.start()
        try:
            over_http2(peer)
        finally:
            timer.cancel()

    there = origin(script=one_each, alpn=("h2",))
    gateway.route(there.at("shop.test"), service={"http2": True})
    for _ in range(3):
        assert gateway.get("/").status == 200
        time.sleep(0.5)
    assert [h["resumed"] for h in there.handshakes] == [False, True, True]


def test_who_does_not_speak_http2_is_told_as_a_bad_answer(gateway, origin):
    there = origin(alpn=("http/1.1",))
    gateway.route(there.at("shop.test"), service={"http2": True, "retries": 0})
    assert gateway.get("/").status == 502
    assert not there.requests
