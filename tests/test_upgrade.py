"""Connections that become tunnels (101)."""

import contextlib

import pytest

from support.upstreams import plain
from support.waiting import eventually
from support.wire import get


def websocket_origin(peer):
    peer.head()
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nwelcome")
    while True:
        data, peer.reader.buffer = peer.reader.buffer, b""
        if data:
            peer.send(data.upper())
        elif not peer.reader.fill():
            return


UPGRADE = get("/socket", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


def test_a_websocket_is_a_tunnel_both_ways(gateway, upstream):
    origin = upstream(websocket_origin)
    gateway.route(origin)
    with gateway.client() as client:
        answer = client.ask(UPGRADE)
        assert answer.status == 101
        assert answer.headers["upgrade"].lower() == "websocket"
        assert "upgrade" in answer.headers["connection"].lower()
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert client.reader.exactly(7) == b"welcome"
        for number in range(20):
            text = b"message %d;" % number
            client.send(text)
            assert client.reader.exactly(len(text)) == text.upper()
    sent = origin.requests[0].headers
    assert sent["upgrade"] == "websocket"
    assert sent["connection"] == "keep-alive, Upgrade"
    assert origin.peer().closed.wait(10), "the origin was not told that the client is gone"


@pytest.mark.slow
def test_a_quiet_tunnel_holds_nothing_of_its_last_large_message(private, upstream):
    mib = 1024 * 1024
    gateway = private(nginx_worker_processes=1)
    gateway.route(upstream(websocket_origin))
    before = gateway.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            client = stack.enter_context(gateway.client())
            assert client.ask(UPGRADE).status == 101
            assert client.reader.exactly(7) == b"welcome"
            for _ in range(8):
                client.send(b"x" * 131072)
                assert client.reader.exactly(131072) == b"X" * 131072
        eventually(lambda: gateway.memory() - before < 40 * mib, "the end of large blocks", 30)
        client.send(b"still here")
        assert client.reader.exactly(10) == b"STILL HERE"


def test_bytes_sent_with_the_upgrade_reach_the_origin(gateway, upstream):
    gateway.route(upstream(websocket_origin))
    with gateway.client() as client:
        client.send(UPGRADE + b"early")
        assert client.answer().status == 101
        assert client.reader.exactly(12) == b"welcomeEARLY"


def test_the_client_of_a_tunnel_is_told_when_the_origin_closes(gateway, upstream):
    def script(peer):
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbye")

    gateway.route(upstream(script))
    with gateway.client() as client:
        assert client.ask(UPGRADE).status == 101
        assert client.rest() == b"bye"


def test_an_origin_may_refuse_to_upgrade(gateway, upstream):
    gateway.route(upstream(plain(b"no", "403 Forbidden")))
    with gateway.client() as client:
        answer = client.ask(UPGRADE)
        assert (answer.status, answer.text) == (403, "no")


def test_101_that_nobody_asked_for_is_a_bad_answer(gateway, upstream):
    gateway.route(upstream(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
                  service={"retries": 0})
    assert gateway.get("/").status == 502
