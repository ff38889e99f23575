"""What happens to the bytes of requests and answers on their way through."""

import os
import socket
import threading
import time

import pytest

from support.upstreams import plain, serve
from support.wire import Closed, chunks, get, request_bytes

MIB = 1024 * 1024
BAD_GATEWAY = "An invalid response was received from the upstream server"


# -- connections and framing


def test_a_connection_serves_many_requests(gateway, echo):
    gateway.route(echo)
    with gateway.client() as client:
        for number in range(50):
            answer = client.ask(get(f"/{number}"))
            assert answer.json["target"] == f"/{number}"
            assert answer.headers.get("connection", "keep-alive").lower() == "keep-alive"


def test_connection_close_is_honoured(gateway, echo):
    gateway.route(echo)
    with gateway.client() as client:
        answer = client.ask(get("/", "Connection: close"))
        assert answer.headers["connection"] == "close"
        assert client.is_closed_within(5)


def test_upstream_connections_are_used_again(private, upstream):
    origin = upstream()
    gateway = private(nginx_worker_processes=1)
    gateway.route(origin)
    with gateway.client() as client:
        for _ in range(20):
            assert client.ask(get("/")).status == 200
    assert len(origin.peers) == 1


def test_a_kept_upstream_connection_that_the_origin_closed_is_not_an_error(private, upstream):
    def once(peer):
        peer.send(plain(peer.request().target.encode()))

    origin = upstream(once)
    gateway = private(nginx_worker_processes=1)
    gateway.route(origin)
    for number in range(10):
        assert gateway.get(f"/{number}").text == f"/{number}"


def test_pipelined_requests_are_answered_in_order(gateway, upstream):
    def slow_first(message):
        if message.target == "/0":
            time.sleep(0.2)
        return plain(message.target.encode())

    gateway.route(upstream(serve(slow_first)))
    with gateway.client() as client:
        client.send(b"".join(get(f"/{n}") for n in range(20)))
        assert [client.answer().text for _ in range(20)] == [f"/{n}" for n in range(20)]


def test_pipelined_bodies_are_kept_apart(gateway, echo):
    gateway.route(echo)
    with gateway.client() as client:
        client.send(request_bytes("POST", "/a", body=b"first")
                    + request_bytes("POST", "/b", [("Transfer-Encoding", "chunked")], chunks(b"sec", b"ond"))
                    + get("/c"))
        assert [client.answer().json["body"] for _ in range(3)] == ["first", "second", ""]


def test_a_request_that_arrives_byte_by_byte_is_served(gateway, echo):
    gateway.route(echo)
    with gateway.client() as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request_bytes("POST", "/", [("Transfer-Encoding", "chunked")], chunks(b"hel", b"lo")):
            client.send(bytes([byte]))
        assert client.answer().json["body"] == "hello"


def test_a_chunked_request_reaches_the_origin_whole(gateway, upstream):
    origin = upstream()
    gateway.route(origin)
    pieces = [os.urandom(n) for n in (1, 100, 20000, 7)]
    answer = gateway.fetch("POST", "/", {"Transfer-Encoding": "chunked"}, chunks(*pieces))
    assert answer.status == 200
    [message] = origin.requests
    assert message.body == b"".join(pieces)
    assert len(message.headers.all("content-length")) + len(message.headers.all("transfer-encoding")) == 1


def test_chunk_extensions_are_ignored(gateway, upstream):
    origin = upstream()
    gateway.route(origin)
    gateway.fetch("POST", "/", {"Transfer-Encoding": "chunked"}, b'5;a=b;c="d"\r\nhello\r\n0;last\r\n\r\n')
    assert origin.requests[0].body == b"hello"


def test_a_chunked_answer_reaches_the_client_whole(gateway, upstream):
    pieces = [os.urandom(n) for n in (1, 100, 20000, 7)]
    gateway.route(upstream(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(*pieces)))
    with gateway.client() as client:
        for _ in range(3):
            answer = client.ask(get("/"))
            assert answer.body == b"".join(pieces)
            assert answer.headers["transfer-encoding"] == "chunked"
            assert "content-length" not in answer.headers


def test_an_answer_that_ends_with_the_connection_reaches_the_client_whole(gateway, upstream):
    body = os.urandom(100000)

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + body)

    gateway.route(upstream(script))
    with gateway.client() as client:
        assert client.ask(get("/")).body == body


def test_parts_of_an_answer_arrive_before_its_end(gateway, upstream):
    proceed = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        proceed.wait(10)
        peer.send(b"6\r\nsecond\r\n0\r\n\r\n")

    gateway.route(upstream(script), response_buffering=False)
    with gateway.client() as client:
        client.send(get("/"))
        while b"first" not in client.reader.buffer:
            assert client.reader.fill()
        proceed.set()
        assert client.answer().text == "firstsecond"


def test_parts_of_a_request_arrive_before_its_end_without_request_buffering(gateway, upstream):
    started = threading.Event()

    def script(peer):
        message = peer.head()
        while b"first" not in peer.reader.buffer:
            peer.reader.fill()
        started.set()
        peer.reader.chunked(message) if "transfer-encoding" in message.headers else peer.reader.exactly(11)
        peer.send(plain(b"done"))

    gateway.route(upstream(script), request_buffering=False)
    with gateway.client() as client:
        client.send(request_bytes("POST", "/", [("Content-Length", "11")]) + b"first")
        assert started.wait(10), "nothing reached the origin before the body was complete"
        client.send(b"second")
        assert client.answer().text == "done"


def test_trailers_of_an_answer_pass_to_a_client_that_asked_for_them(gateway, upstream):
    origin = upstream(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                      + chunks(b"hello", trailers="X-Sum: 5\r\n"))
    gateway.route(origin)
    with gateway.client() as client:
        answer = client.ask(get("/", "TE: trailers", "Connection: keep-alive, TE"))
        assert answer.text == "hello"
        assert answer.trailers.get("x-sum") == "5"
        assert client.ask(get("/")).text == "hello"
    assert origin.requests[0].headers["te"] == "trailers"


def test_trailers_of_a_request_do_not_disturb_the_next(gateway, echo):
    gateway.route(echo)
    with gateway.client() as client:
        answer = client.ask(request_bytes("POST", "/", [("Transfer-Encoding", "chunked")],
                                          chunks(b"hello", trailers="X-Sum: 5\r\nHost: evil\r\n")))
        assert answer.json["body"] == "hello"
        assert answer.json["headers"]["host"] != "evil"
        assert client.ask(get("/next")).json["target"] == "/next"


def test_expect_100_continue_is_answered_before_the_body(gateway, echo):
    gateway.route(echo)
    with gateway.client() as client:
        client.send(request_bytes("POST", "/", [("Content-Length", "5"), ("Expect", "100-continue")]))
        while b"\r\n\r\n" not in client.reader.buffer:
            assert client.reader.fill()
        assert client.reader.buffer.startswith(b"HTTP/1.1 100 ")
        client.send(b"hello")
        answer = client.answer()
        assert answer.json["body"] == "hello"
        assert [m.status for m in answer.interim] == [100]


def test_expect_100_continue_for_no_route_is_refused_without_the_body(gateway):
    with gateway.client() as client:
        client.send(request_bytes("POST", "/", [("Content-Length", "5"), ("Expect", "100-continue")]))
        answer = client.answer()
        assert answer.status == 404 or answer.interim


def test_head_has_the_headers_of_get_and_no_body(gateway, upstream):
    gateway.route(upstream(serve(
        lambda m: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + (b"" if m.method == "HEAD" else b"hello"))))
    with gateway.client() as client:
        answer = client.ask(request_bytes("HEAD", "/"))
        assert answer.headers["content-length"] == "5"
        assert client.ask(get("/")).text == "hello"


def test_an_error_for_head_has_no_body(gateway):
    with gateway.client() as client:
        assert client.ask(request_bytes("HEAD", "/nowhere")).status == 404
        assert client.ask(get("/nowhere")).json["message"] == "no Route matched with those values"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_end_with_their_head(gateway, upstream, status):
    gateway.route(upstream(f"HTTP/1.1 {status}\r\nX-Sort: empty\r\n\r\n".encode()))
    with gateway.client() as client:
        for _ in range(3):
            answer = client.ask(get("/"))
            assert answer.status == int(status[:3]) and answer.headers["x-sort"] == "empty"
            assert "transfer-encoding" not in answer.headers


def test_304_keeps_its_content_length(gateway, upstream):
    gateway.route(upstream(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n"))
    with gateway.client() as client:
        for _ in range(2):
            answer = client.ask(get("/"))
            assert answer.status == 304 and answer.headers["etag"] == '"x"'


def test_early_hints_of_the_origin_pass(gateway, upstream):
    gateway.route(upstream(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
                           b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    with gateway.client() as client:
        answer = client.ask(get("/"))
        assert answer.text == "ok"
        assert [(m.status, m.headers.get("link")) for m in answer.interim] == [(103, "</a.css>; rel=preload")]


def test_100_continue_of_the_origin_does_not_end_the_answer(gateway, upstream):
    gateway.route(upstream(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    assert gateway.fetch("POST", "/", body=b"hello").text == "ok"


def test_an_http_1_0_client_gets_an_answer_without_chunks(gateway, upstream):
    gateway.route(upstream(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"hello")))
    with gateway.client() as client:
        answer = client.ask(request_bytes("GET", "/", version="HTTP/1.0"))
        assert "transfer-encoding" not in answer.headers
        assert answer.text == "hello"
        assert client.is_closed_within(5)


def test_an_http_1_0_client_may_keep_its_connection(gateway, echo):
    gateway.route(echo)
    with gateway.client() as client:
        for _ in range(3):
            answer = client.ask(request_bytes("GET", "/", [("Connection", "keep-alive")], version="HTTP/1.0"))
            assert answer.headers["connection"].lower() == "keep-alive"
            assert answer.json["headers"]["via"].startswith("1.0 sluice/")


def test_an_http_1_0_origin_is_understood(gateway, upstream):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nhello")

    gateway.route(upstream(script))
    answer = gateway.get("/")
    assert (answer.version, answer.text, answer.headers["x-old"]) == ("HTTP/1.1", "hello", "1")


def test_requests_to_the_origin_are_http_1_1_and_keep_the_connection(gateway, upstream):
    origin = upstream()
    gateway.route(origin)
    gateway.fetch("GET", "/", version="HTTP/1.0")
    assert origin.requests[0].start == "GET / HTTP/1.1"
    assert origin.requests[0].headers["connection"] == "keep-alive"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X-CUSTOM"])
def test_methods_pass(gateway, echo, method):
    gateway.route(echo)
    assert gateway.fetch(method, "/").json["method"] == method


# -- one side gives up


def refuse(peer):
    peer.request()


def half_a_head(peer):
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")


@pytest.mark.parametrize("script", [refuse, half_a_head])
def test_an_origin_that_closes_before_its_answer_becomes_502(gateway, upstream, script):
    gateway.route(upstream(script), service={"retries": 0})
    answer = gateway.get("/")
    assert answer.status == 502
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    lines = answer.text.split("\n")
    assert lines[0] == BAD_GATEWAY
    assert lines[1] == f"request_id: {answer.headers['x-kong-request-id']}" and lines[2:] == [""]
    assert answer.headers["via"].startswith("1.1 sluice/")
    assert "x-kong-upstream-latency" in answer.headers and "x-kong-proxy-latency" in answer.headers


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
                                   b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n"])
def test_an_answer_that_breaks_off_is_not_made_whole(gateway, upstream, start):
    def script(peer):
        peer.request()
        peer.send(start)

    gateway.route(upstream(script), service={"retries": 0})
    with gateway.client() as client:
        client.send(get("/"))
        try:
            answer = client.answer()
        except (Closed, ConnectionResetError):
            return
        assert answer.status == 502, "a cut answer was passed on as a whole one"


def test_the_origin_is_left_when_the_client_goes(gateway, upstream):
    def script(peer):
        peer.request()
        peer.wait_closed()

    origin = upstream(script)
    gateway.route(origin)
    client = gateway.client()
    client.send(get("/"))
    origin.wait_for_requests(1)
    client.reset()
    assert origin.peer().closed.wait(10), "the origin still works for a client that is gone"


def test_the_origin_is_left_when_the_client_goes_during_an_answer(gateway, upstream):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            peer.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    origin = upstream(script)
    gateway.route(origin)
    client = gateway.client()
    client.send(get("/"))
    while len(client.reader.buffer) < 10000:
        assert client.reader.fill()
    client.reset()
    assert origin.peer().closed.wait(10), "the origin still sends to a client that is gone"


def test_a_client_that_has_finished_sending_still_gets_its_answer(gateway, upstream):
    proceed = threading.Event()

    def script(peer):
        peer.request()
        proceed.wait(10)
        peer.send(plain(b"late"))

    origin = upstream(script)
    gateway.route(origin)
    with gateway.client() as client:
        client.send(get("/")).finish_sending()
        origin.wait_for_requests(1)
        proceed.set()
        assert client.answer().text == "late"


def test_an_answer_that_comes_before_the_whole_request_is_passed_on(gateway, upstream):
    def script(peer):
        peer.head()
        peer.send(plain(b"too much", "413 Payload Too Large", [("Connection", "close")]))
        peer.wait_closed()

    gateway.route(upstream(script), request_buffering=False)
    with gateway.client() as client:
        client.send(request_bytes("POST", "/", [("Content-Length", str(50 * MIB))]) + b"x" * 1000)
        assert client.answer().text == "too much"
