"""Ordinary services over HTTP/2: heads that come together, connections that lead nowhere, clients that leave early."""

import threading

import pytest

from support.http2 import END_HEADERS, HEADERS, Doors, RawHttp2, frame, h2
from support.waiting import eventually
from support.wire import request_bytes


@pytest.fixture(scope="module")
def node(private_for_module):
    return Doors(private_for_module, nginx_worker_processes=1)


def over_http2(answer):
    """An origin's script: answer(connection, stream, fields) for each request, as soon as its head has come."""

    def script(peer):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        peer.send(connection.data_to_send())
        while data := peer.sock.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    peer.upstream.requests.append(dict(event.headers))
                    answer(connection, event.stream_id, dict(event.headers))
            peer.send(connection.data_to_send())

    return script


def test_interim_heads_that_come_with_the_final_one_stay_apart(house, upstream):
    def hinting(connection, stream, _):
        connection.send_headers(stream, [(":status", "103"), ("link", "</one.css>")])
        connection.send_headers(stream, [(":status", "100")])
        connection.send_headers(stream, [(":status", "103"), ("link", "</two.css>")])
        connection.send_headers(stream, [(":status", "200"), ("x-final", "yes")])
        connection.send_data(stream, b"here", end_stream=True)

    house.gateway.route(upstream(over_http2(hinting)), service={"http2": True})
    with house.open() as client:
        answer = client.fetch()
        assert answer.status == 200 and bytes(answer.body) == b"here"
        assert answer.headers["x-final"] == "yes" and "link" not in answer.headers
        assert [head["link"] for head in answer.interim] == ["</one.css>", "</two.css>"]


def test_interim_heads_without_end_are_no_answer(house, upstream):
    def endless(connection, stream, _):
        for _ in range(40):
            connection.send_headers(stream, [(":status", "103"), ("link", "</one.css>")])

    house.gateway.route(upstream(over_http2(endless)), service={"http2": True, "retries": 0})
    assert house.gateway.get("/").status == 502


def test_a_connection_on_which_nothing_comes_any_more_gets_no_more_requests(house, upstream):
    silent = threading.Event()

    def once(connection, stream, _):
        if not silent.is_set():
            connection.send_headers(stream, [(":status", "200")], end_stream=True)

    def script(peer):
        if silent.is_set():
            silent.clear()
        over_http2(once)(peer)

    origin = upstream(script)
    house.gateway.route(origin, service={"http2": True, "read_timeout": 300, "retries": 0})
    assert house.gateway.get("/").status == 200
    silent.set()
    assert house.gateway.get("/").status == 504
    assert house.gateway.get("/").status == 200
    assert len(origin.peers) == 2
    eventually(lambda: origin.peers[0].closed.is_set(), "the end of the silent connection")


def test_an_answer_that_is_slow_on_a_connection_that_lives_does_not_end_it(house, upstream):
    def unless_slow(connection, stream, fields):
        if fields[":path"] != "/slow":
            connection.send_headers(stream, [(":status", "200")], end_stream=True)

    origin = upstream(over_http2(unless_slow))
    house.gateway.route(origin, service={"http2": True, "read_timeout": 400, "retries": 0})
    with house.open() as client:
        slow = client.begin(path="/slow")
        eventually(lambda: origin.requests, "the slow request")
        assert client.fetch().status == 200
        assert client.answer(slow).status == 504
        assert client.fetch().status == 200
    assert len(origin.peers) == 1


def test_a_client_that_leaves_before_its_body_is_asked_for_harms_nobody(house, upstream):
    origin = upstream()
    house.gateway.route(origin, settle=False)
    house.gateway.create("/plugins", name="key-auth")
    house.gateway.create("/consumers", username="someone")
    keys = [f"key-{n}" for n in range(60)]
    for key in keys:
        house.gateway.create("/consumers/someone/key-auth", key=key)
    house.gateway.settle()
    for key in keys:
        # The key is looked up in the datastore; meanwhile the connection ends.
        with RawHttp2(house.clear, tls=False) as client:
            client.send(frame(HEADERS, END_HEADERS, 1, client.block(method="POST", more=[("apikey", key), ("expect", "100-continue"), ("content-length", "5")])))
    with house.gateway.client() as client:
        assert client.ask(request_bytes("GET", "/", [("apikey", keys[0])])).status == 200
    assert house.gateway.alive()
