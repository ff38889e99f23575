"""What happens to the bytes of requests and answers on their way through."""

import hashlib
import os
import socket
import threading
import time

import pytest

from support.gateway import free_port
from support.upstreams import Echo, dead_port, plain, serve
from support.waiting import eventually
from support.wire import Closed, chunks, fetch, request_bytes

MIB = 1024 * 1024
BAD_GATEWAY = "An invalid response was received from the upstream server"


def get(target="/", *lines):
    return request_bytes("GET", target, [tuple(line.split(": ", 1)) for line in lines])


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


# -- upgrade


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


# -- failures of the origin


def test_a_dead_origin_becomes_502(gateway):
    held, port = dead_port()
    gateway.route(f"http://127.0.0.1:{port}")
    answer = gateway.get("/", {"Accept": "application/json"})
    assert answer.status == 502
    assert answer.json == {"message": BAD_GATEWAY, "request_id": answer.headers["x-kong-request-id"]}
    held.close()


def failing_then_good(failures):
    count = [0]
    lock = threading.Lock()

    def script(peer):
        message = peer.request()
        with lock:
            count[0] += 1
            fail = count[0] <= failures
        if not fail:
            peer.send(plain(message.body or b"good"))
            peer.wait_closed()

    return script


def test_a_failed_attempt_is_repeated(gateway, upstream):
    origin = upstream(failing_then_good(2))
    gateway.route(origin, service={"retries": 2})
    assert gateway.get("/").text == "good"
    assert len(origin.requests) == 3


def test_attempts_end_after_the_retries_of_the_service(gateway, upstream):
    origin = upstream(failing_then_good(100))
    gateway.route(origin, service={"retries": 2})
    assert gateway.get("/").status == 502
    assert len(origin.requests) == 3


def test_put_is_repeated_with_its_body(gateway, upstream):
    origin = upstream(failing_then_good(1))
    gateway.route(origin, service={"retries": 1})
    assert gateway.fetch("PUT", "/", body=b"precious").text == "precious"
    assert [m.body for m in origin.requests] == [b"precious"] * 2


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_method_that_is_not_idempotent_is_not_repeated_once_sent(gateway, upstream, method):
    origin = upstream(failing_then_good(1))
    gateway.route(origin, service={"retries": 5})
    assert gateway.fetch(method, "/", body=b"once").status == 502
    assert len(origin.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 404])
def test_an_error_of_the_origin_passes_unchanged_and_is_not_repeated(gateway, upstream, status):
    origin = upstream(plain(b"as it is", f"{status} Whatever", [("Content-Type", "text/odd")]))
    gateway.route(origin)
    answer = gateway.get("/", {"Accept": "application/json"})
    assert (answer.status, answer.text, answer.headers["content-type"]) == (status, "as it is", "text/odd")
    assert len(origin.requests) == 1


def test_an_origin_that_takes_too_long_becomes_504(gateway, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway.route(origin, service={"read_timeout": 200, "retries": 0})
    began = time.monotonic()
    answer = gateway.get("/")
    assert 0.15 < time.monotonic() - began < 3
    assert answer.status == 504
    assert answer.text == f"The upstream server is timing out\nrequest_id: {answer.headers['x-kong-request-id']}\n"
    assert origin.peer().closed.wait(5)


def test_a_slow_origin_that_keeps_sending_does_not_time_out(gateway, upstream):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            time.sleep(0.1)
            peer.send(b"x")

    gateway.route(upstream(script), service={"read_timeout": 500})
    assert gateway.get("/").text == "x" * 10


def test_an_origin_that_cannot_be_reached_in_time_becomes_504(gateway):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        filling = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
            filling.append(sock)
        gateway.route(f"http://127.0.0.1:{full.getsockname()[1]}", service={"connect_timeout": 300, "retries": 0})
        assert gateway.get("/").status == 504
        for sock in filling:
            sock.close()


def test_a_name_that_does_not_exist_becomes_503(gateway):
    gateway.route("http://does-not-exist.invalid", service={"retries": 0})
    answer = gateway.get("/")
    assert answer.status == 503
    assert answer.json == {"message": "name resolution failed", "request_id": answer.headers["x-kong-request-id"]}
    assert "x-kong-response-latency" in answer.headers and "via" not in answer.headers


# -- much data


def sink(digests):
    """Reads a request without keeping it, and answers with its length."""

    def script(peer):
        message = peer.head()
        left = int(message.headers["content-length"])
        total, digest = left, hashlib.sha256()
        data, peer.reader.buffer = peer.reader.buffer, b""
        while True:
            digest.update(data)
            left -= len(data)
            if left <= 0 or not (data := peer.sock.recv(1 << 18)):
                break
        digests.append(digest.hexdigest())
        peer.send(plain(str(total - left).encode()))

    return script


def watch_memory(gateway, work):
    """The most memory in use while work() runs, above that before it."""
    before = most = gateway.memory()
    done = threading.Event()
    result = []

    def run():
        try:
            result.append(work())
        except BaseException as problem:
            result.append(problem)
        done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not done.wait(0.02):
        most = max(most, gateway.memory())
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return max(most, gateway.memory()) - before, result[0]


BLOCK = os.urandom(MIB)


@pytest.mark.slow
@pytest.mark.parametrize("buffering", [True, False])
def test_an_upload_of_200_megabytes_needs_no_memory(gateway, upstream, buffering):
    digests = []
    gateway.route(upstream(sink(digests), remember=False), request_buffering=buffering)
    gateway.fetch("POST", "/", body=b"warm")
    digests.clear()

    def upload():
        with gateway.client(timeout=120) as client:
            client.send(request_bytes("POST", "/", [("Content-Length", str(200 * MIB))]))
            for _ in range(200):
                client.send(BLOCK)
            return client.answer()

    grown, answer = watch_memory(gateway, upload)
    assert (answer.status, answer.text) == (200, str(200 * MIB))
    assert digests == [hashlib.sha256(BLOCK * 200).hexdigest()]
    assert grown < 16 * MIB, f"{grown / MIB:.1f} MiB more"


def source(peer):
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MIB))
    for _ in range(200):
        peer.send(BLOCK)


@pytest.mark.slow
def test_a_download_of_200_megabytes_needs_no_memory(gateway, upstream):
    gateway.route(upstream(source))

    def download():
        with gateway.client(timeout=120) as client:
            client.send(get("/"))
            client.reader.remember = False
            answer = client.reader.head()
            digest, left = hashlib.sha256(client.reader.buffer), 200 * MIB - len(client.reader.buffer)
            while left and (data := client.sock.recv(1 << 18)):
                digest.update(data)
                left -= len(data)
            return answer.status, left, digest.hexdigest()

    grown, outcome = watch_memory(gateway, download)
    assert outcome == (200, 0, hashlib.sha256(BLOCK * 200).hexdigest())
    assert grown < 16 * MIB, f"{grown / MIB:.1f} MiB more"


@pytest.mark.slow
def test_a_client_that_does_not_read_holds_back_the_origin(gateway, upstream):
    sent = [0]

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MIB))
        for _ in range(3200):
            peer.send(BLOCK[:65536])
            sent[0] += 65536

    gateway.route(upstream(script), response_buffering=False)
    before = gateway.memory()
    with gateway.client(receive_buffer=65536) as client:
        client.send(get("/"))
        last = [-1]

        def stalled():
            now, was = sent[0], last[0]
            last[0] = now
            return now > 0 and now == was

        eventually(stalled, "the origin being held back", timeout=20, every=0.5)
        assert sent[0] < 60 * MIB
        assert gateway.memory() - before < 16 * MIB
        client.reader.remember = False
        answer = client.reader.head()
        left = int(answer.headers["content-length"]) - len(client.reader.buffer)
        while left and (data := client.sock.recv(1 << 18)):
            left -= len(data)
        assert left == 0
    assert sent[0] == 200 * MIB


@pytest.mark.slow
def test_an_origin_that_does_not_read_holds_back_the_client(gateway, upstream):
    proceed = threading.Event()

    def script(peer):
        peer.head()
        proceed.wait(60)
        left = 200 * MIB - len(peer.reader.buffer)
        while left and (data := peer.sock.recv(1 << 18)):
            left -= len(data)
        peer.send(plain(str(left).encode()))

    gateway.route(upstream(script, remember=False, receive_buffer=65536), request_buffering=False)
    before = gateway.memory()
    with gateway.client() as client:
        client.send(request_bytes("POST", "/", [("Content-Length", str(200 * MIB))]))
        client.sock.settimeout(1.0)
        sent = 0
        try:
            while sent < 200 * MIB:
                sent += client.sock.send(BLOCK[:65536])
        except (socket.timeout, TimeoutError):
            pass
        assert sent < 60 * MIB
        assert gateway.memory() - before < 16 * MIB
        proceed.set()
        client.sock.settimeout(60)
        while sent < 200 * MIB:
            sent += client.sock.send(BLOCK[:min(65536, 200 * MIB - sent)])
        assert client.answer().text == "0"


# -- heads


def test_header_spelling_and_order_reach_the_origin(gateway, upstream):
    origin = upstream()
    gateway.route(origin)
    sent = [("X-First", "1"), ("x-second", "2"), ("X-THIRD", "3"), ("X-First", "4"), ("Accept", "a,  b"), ("X-Empty", "")]
    gateway.get("/", sent)
    arrived = [(n, v) for n, v in origin.requests[0].headers if n in {"X-First", "x-second", "X-THIRD", "Accept", "X-Empty"}]
    assert arrived == sent


def test_header_spelling_and_order_reach_the_client(gateway, upstream):
    sent = [("X-First", "1"), ("x-second", "2"), ("X-THIRD", "3"), ("Set-Cookie", "a=1"), ("X-First", "4"),
            ("Set-Cookie", "b=2")]
    gateway.route(upstream(plain(b"", headers=sent)))
    names = {n for n, _ in sent}
    assert [(n, v) for n, v in gateway.get("/").headers if n in names] == sent


def test_hop_by_hop_headers_of_the_origin_stay_behind(gateway, upstream):
    gateway.route(upstream(plain(b"", headers=[("Connection", "X-Private, keep-alive"), ("X-Private", "1"),
                                               ("Keep-Alive", "timeout=5"), ("Upgrade", "h2c"), ("X-Public", "1")])))
    with gateway.client() as client:
        answer = client.ask(get("/"))
        assert "x-private" not in answer.headers and "upgrade" not in answer.headers
        assert answer.headers["x-public"] == "1"
        assert client.ask(get("/")).status == 200


def test_a_status_line_without_reason_is_understood(gateway, upstream):
    gateway.route(upstream(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"))
    assert gateway.get("/").text == "ok"


def test_the_server_of_the_origin_is_kept_and_filled_in(gateway, upstream):
    gateway.route(upstream(plain(b"", headers=[("Server", "mine/1")])), "/named", settle=False)
    gateway.route(upstream(plain(b"")), "/unnamed")
    assert gateway.get("/named").headers.all("server") == ["mine/1"]
    assert gateway.get("/unnamed").headers["server"].startswith("sluice/")


def test_the_via_of_the_origin_is_extended(gateway, upstream):
    gateway.route(upstream(plain(b"", headers=[("Via", "1.1 inner")])))
    assert gateway.get("/").headers["via"].startswith("1.1 inner, 1.1 sluice/")


def test_the_origin_and_the_client_learn_the_same_request_id(gateway, upstream):
    origin = upstream()
    gateway.route(origin)
    answer = gateway.get("/")
    assert answer.headers["x-kong-request-id"] == origin.requests[0].headers["x-kong-request-id"]
    assert gateway.get("/").headers["x-kong-request-id"] != answer.headers["x-kong-request-id"]


# -- paths


@pytest.mark.parametrize("service, route, strip, asked, target", [
    ("/", "/route", True, "/route", "/"),
    ("/", "/route", True, "/routereq", "/req"),
    ("/srv", "/rou", False, "/roureq", "/srv/roureq"),
    ("/srv", "/rou", True, "/roureq", "/srv/req"),
    ("/srv/", "/rou", True, "/rou", "/srv"),
    ("/service", "/", True, "/route", "/service/route"),
    ("/service", "/", False, "/route", "/service/route"),
    ("/service", "/", True, "/", "/service"),
    ("/service", "/route", True, "/route/", "/service/"),
    ("/service", "/route/", True, "/route/", "/service/"),
    ("/service/", "/route", True, "/route", "/service"),
    ("/service/", "/route", False, "/routereq", "/service/routereq"),
    ("/service", None, True, "/route/", "/service/route/"),
    ("/service", "/route", True, "/route../req", "/service/req"),
    ("/", "/route", True, "/route?", "/?"),
    ("/", "/route", False, "//route/%7Eb/../c", "/route/c"),
    ("/", "~/v\\d+/", True, "/v12/rest", "/rest"),
])
def test_the_path_for_the_origin(gateway, echo, service, route, strip, asked, target):
    more = {"hosts": ["gate.test"]} if route is None else {}
    gateway.route(echo.url + service, route, strip_path=strip, **more)
    assert gateway.get(asked).json["target"] == target


@pytest.mark.parametrize("service, route, strip, handling, asked, target", [
    ("/srv", "/rou", False, "v0", "/roureq", "/srv/roureq"),
    ("/srv", "/rou", False, "v1", "/roureq", "/srvroureq"),
    ("/srv", "/rou", True, "v1", "/roureq", "/srvreq"),
    ("/srv/", "/rou", True, "v1", "/rou", "/srv/"),
    ("/service", "/", True, "v1", "/route", "/serviceroute"),
    ("/service", "/route/", True, "v1", "/route/", "/service"),
    ("/service/", "/route", True, "v1", "/route", "/service/"),
])
def test_path_handling_of_the_traditional_router(traditional, echo, service, route, strip, handling, asked, target):
    traditional.clear()
    traditional.route(echo.url + service, route, strip_path=strip, path_handling=handling)
    assert traditional.get(asked).json["target"] == target


@pytest.fixture(scope="module")
def traditional(private_for_module):
    return private_for_module(router_flavor="traditional")


# -- who asked, and for what


def test_the_host_of_the_service_is_sent_by_default(gateway, echo):
    gateway.route(echo)
    assert gateway.get("/", host="Asked.test:81").json["headers"]["host"] == f"127.0.0.1:{echo.port}"


def test_preserve_host_keeps_the_host_of_the_client(gateway, echo):
    gateway.route(echo, preserve_host=True)
    assert gateway.get("/", host="Asked.test:81").json["headers"]["host"] == "Asked.test:81"


def test_forwarded_headers_for_an_untrusted_client(gateway, echo):
    gateway.route(echo, "/prefix")
    sent = {"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil",
            "X-Forwarded-Port": "1", "X-Forwarded-Path": "/evil", "X-Forwarded-Prefix": "/evil", "X-Real-IP": "8.8.8.8"}
    seen = gateway.get("/prefix/a?b=c", sent, host="Gate.Test:8000").json["headers"]
    assert {n: v for n, v in seen.items() if n.startswith("x-forwarded") or n == "x-real-ip"} == {
        "x-forwarded-for": "9.9.9.9, 127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-host": "gate.test",
        "x-forwarded-port": str(gateway.proxy[1]), "x-forwarded-path": "/prefix/a", "x-forwarded-prefix": "/prefix",
        "x-real-ip": "127.0.0.1"}


def test_forwarded_headers_for_a_trusted_client(private, echo):
    gateway = private(trusted_ips="127.0.0.0/8", real_ip_header="X-Real-IP")
    gateway.route(echo, "/prefix")
    sent = {"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "outer",
            "X-Forwarded-Port": "1", "X-Forwarded-Path": "/outer", "X-Forwarded-Prefix": "/pre", "X-Real-IP": "8.8.8.8"}
    seen = gateway.get("/prefix/a", sent).json["headers"]
    assert {n: v for n, v in seen.items() if n.startswith("x-forwarded") or n == "x-real-ip"} == {
        "x-forwarded-for": "9.9.9.9, 127.0.0.1", "x-forwarded-proto": "https", "x-forwarded-host": "outer",
        "x-forwarded-port": "1", "x-forwarded-path": "/outer", "x-forwarded-prefix": "/pre", "x-real-ip": "8.8.8.8"}


def test_several_forwarded_for_lines_become_one(gateway, echo):
    gateway.route(echo)
    seen = gateway.get("/", [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")]).json["headers"]
    assert seen["x-forwarded-for"] == "1.1.1.1, 2.2.2.2, 127.0.0.1"


# -- error bodies


FORMS = {
    "application/json; charset=utf-8": '{{\n  "message":"{0}",\n  "request_id":"{1}"\n}}',
    "text/plain; charset=utf-8": "{0}\nrequest_id: {1}\n",
    "application/xml; charset=utf-8": '<?xml version="1.0" encoding="UTF-8"?>\n<error>\n  <message>{0}</message>\n'
                                      "  <requestid>{1}</requestid>\n</error>\n",
    "text/html; charset=utf-8": '<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>Error</title>\n'
                                "  </head>\n  <body>\n    <h1>Error</h1>\n    <p>{0}.</p>\n"
                                "    <p>request_id: {1}</p>\n  </body>\n</html>\n",
}


@pytest.mark.parametrize("accept, kind", [
    (None, "application/json"), ("*/*", "application/json"), ("application/*", "application/json"),
    ("application/json", "application/json"), ("image/png", "application/json"),
    ("text/*", "text/plain"), ("text/plain", "text/plain"), ("text/html", "text/html"),
    ("application/xml", "application/xml"), ("text/html;q=0.1, application/xml;q=0.9", "application/xml"),
])
def test_an_error_of_the_gateway_has_the_form_that_accept_prefers(gateway, accept, kind):
    answer = gateway.get("/nowhere", {"Accept": accept} if accept else {})
    kind += "; charset=utf-8"
    assert answer.status == 404
    assert answer.headers["content-type"] == kind
    assert answer.text == FORMS[kind].format("no Route matched with those values", answer.headers["x-kong-request-id"])


@pytest.mark.parametrize("headers, kind", [
    ({}, "text/plain"), ({"Accept": "*/*"}, "application/json"), ({"Accept": "text/html"}, "text/html"),
    ({"Content-Type": "application/json"}, "application/json"), ({"Accept": "application/xml"}, "application/xml"),
])
def test_an_error_of_the_connection_to_the_origin_has_the_form_that_the_client_prefers(gateway, headers, kind):
    held, port = dead_port()
    gateway.route(f"http://127.0.0.1:{port}", service={"retries": 0})
    answer = gateway.get("/", headers)
    kind += "; charset=utf-8"
    assert (answer.status, answer.headers["content-type"]) == (502, kind)
    assert answer.text == FORMS[kind].format(BAD_GATEWAY, answer.headers["x-kong-request-id"])
    held.close()


# -- listening


def serves(address):
    return fetch(address, "GET", "/nowhere").status == 404


def test_it_listens_on_a_unix_socket(private, tmp_path):
    path = f"/tmp/sluice-{os.getpid()}-{free_port()}.sock"
    gateway = private(proxy_listen=f"unix:{path}")
    assert serves(path)
    gateway.stop()
    if os.path.exists(path):
        os.unlink(path)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_it_listens_on_ipv6(private):
    port = free_port("::1")
    gateway = private(proxy_listen=f"[::1]:{port}")
    with Echo() as echo:
        gateway.proxy = ("::1", port)
        gateway.route(echo)
        seen = gateway.get("/").json["headers"]
        assert (seen["x-forwarded-for"], seen["x-forwarded-port"]) == ("::1", str(port))


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_it_reaches_an_origin_on_ipv6(gateway):
    with Echo("::1") as echo:
        gateway.route(echo)
        assert gateway.get("/").json["headers"]["host"] == f"[::1]:{echo.port}"


def test_it_listens_on_several_addresses(private):
    ports = [free_port() for _ in range(3)]
    private(proxy_listen=", ".join(f"127.0.0.1:{port}" for port in ports))
    for port in ports:
        assert serves(("127.0.0.1", port))


def test_the_port_in_forwarded_port_is_that_of_the_listener(private, echo):
    ports = [free_port() for _ in range(2)]
    gateway = private(proxy_listen=", ".join(f"127.0.0.1:{port}" for port in ports))
    gateway.proxy = ("127.0.0.1", ports[0])
    gateway.route(echo)
    for port in ports:
        assert fetch(("127.0.0.1", port)).json["headers"]["x-forwarded-port"] == str(port)


def test_port_zero_listens_somewhere(private):
    gateway = private(wait=False, admin_listen="127.0.0.1:0")

    def sockets():
        assert gateway.alive(), gateway.log()
        inodes = set()
        for entry in os.listdir(f"/proc/{gateway.pid}/fd"):
            try:
                inodes.add(os.readlink(f"/proc/{gateway.pid}/fd/{entry}"))
            except OSError:
                pass
        lines = open(f"/proc/{gateway.pid}/net/tcp").read().splitlines()[1:]
        ports = {int(f[1].split(":")[1], 16) for f in map(str.split, lines) if f[3] == "0A" and f"socket:[{f[9]}]" in inodes}
        return ports - {gateway.proxy[1]}

    eventually(lambda: any(fetch(("127.0.0.1", p), "GET", "/status").status == 200 for p in sockets()),
               "an Admin API on a port of the system's choice")


def test_settings_come_from_the_environment_too(private):
    port = free_port()
    private(environment={"SLUICE_PROXY_LISTEN": f"127.0.0.1:{port}"})
    assert serves(("127.0.0.1", port))


@pytest.mark.parametrize("backend", ["epoll", "io_uring", "auto"])
def test_every_event_backend_serves(private, upstream, backend):
    gateway = private(event_backend=backend, wait=False)
    try:
        gateway.wait_ready()
    except RuntimeError:
        if backend == "io_uring":
            pytest.skip("io_uring is not to be had here")
        raise
    origin = upstream()
    gateway.route(origin)
    with gateway.client() as client:
        for number in range(20):
            assert client.ask(get(f"/{number}")).text == f"/{number}"
        body = os.urandom(300000)
        assert client.ask(request_bytes("POST", "/", body=body)).status == 200
    assert origin.requests[-1].body == body


# -- limits


def test_a_body_up_to_the_limit_passes_and_one_beyond_it_is_413(private, echo):
    gateway = private(nginx_http_client_max_body_size="1k")
    gateway.route(echo)
    assert gateway.fetch("POST", "/", body=b"x" * 1024).status == 200
    answer = gateway.fetch("POST", "/", body=b"x" * 1025)
    assert answer.status == 413
    assert answer.text.startswith("Payload too large\n")
    assert len(echo.requests) == 1


def test_a_chunked_body_beyond_the_limit_is_413(private, upstream):
    gateway = private(nginx_http_client_max_body_size="1k")
    origin = upstream()
    gateway.route(origin)
    answer = gateway.fetch("POST", "/", {"Transfer-Encoding": "chunked"}, chunks(b"x" * 1000, b"x" * 1000))
    assert answer.status == 413
    assert not any(m.complete for m in origin.requests)


def test_a_target_beyond_the_limit_is_414(gateway, echo):
    gateway.route(echo)
    with gateway.client() as client:
        client.send_what_fits(get("/" + "a" * 40000))
        answer = client.answer()
        assert answer.status == 414
        assert answer.text.startswith("URI too long")
        assert client.is_closed_within(5)


def test_a_target_of_4_kilobytes_passes(gateway, echo):
    gateway.route(echo)
    assert gateway.get("/" + "a" * 4000).json["target"] == "/" + "a" * 4000


def test_headers_beyond_the_limit_are_431(gateway, echo):
    gateway.route(echo)
    with gateway.client() as client:
        client.send_what_fits(request_bytes("GET", "/", [("X-Large", "a" * 100000)]))
        answer = client.answer()
        assert answer.status in (400, 431)
        assert answer.text.startswith("Request header or cookie too large")
        assert client.is_closed_within(5)


def test_a_header_of_7_kilobytes_passes(gateway, echo):
    gateway.route(echo)
    assert gateway.get("/", {"Cookie": "a" * 7000}).json["headers"]["cookie"] == "a" * 7000


def test_a_head_that_does_not_end_is_closed_in_time(private):
    gateway = private(nginx_http_client_header_timeout="500ms")
    with gateway.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: gate.test\r\n")
        stop = threading.Event()

        def trickle():
            while not stop.wait(0.1):
                client.send_what_fits(b"X-More: 1\r\n")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert client.is_closed_within(10), "a slow head holds its connection"
        finally:
            stop.set()
            thread.join()


def test_an_idle_connection_is_closed_after_the_keepalive_timeout(private):
    gateway = private(nginx_http_keepalive_timeout="300ms")
    with gateway.client() as client:
        assert client.ask(get("/nowhere")).status == 404
        assert client.is_closed_within(10)
        assert client.rest() == b""


def test_a_connection_ends_after_its_number_of_requests(private):
    gateway = private(nginx_http_keepalive_requests=3)
    with gateway.client() as client:
        answers = [client.ask(get("/nowhere")) for _ in range(3)]
        assert [a.headers.get("connection", "keep-alive").lower() for a in answers] == ["keep-alive", "keep-alive", "close"]
        assert client.is_closed_within(5)


# -- stopping


def test_a_graceful_stop_lets_requests_finish(private, upstream):
    proceed = threading.Event()

    def script(peer):
        peer.request()
        proceed.wait(10)
        peer.send(plain(b"finished"))

    origin = upstream(script)
    gateway = private()
    gateway.route(origin)
    with gateway.client() as client:
        client.send(get("/"))
        origin.wait_for_requests(1)
        gateway.process.send_signal(3)

        def refuses():
            try:
                socket.create_connection(gateway.proxy, 1).close()
                return False
            except ConnectionRefusedError:
                return True

        eventually(refuses, "the end of listening")
        proceed.set()
        assert client.answer().text == "finished"
    assert gateway.process.wait(10) == 0


def test_a_fast_stop_does_not_wait_for_requests(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private()
    gateway.route(origin)
    with gateway.client() as client:
        client.send(get("/"))
        origin.wait_for_requests(1)
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 5


def test_what_was_written_survives_a_kill(private, echo):
    gateway = private()
    gateway.route(echo, "/kept")
    gateway.kill()
    gateway.start()
    eventually(lambda: gateway.get("/kept").status == 200, "the route from before")
    assert [s["host"] for s in gateway.admin("GET", "/services").json["data"]] == ["127.0.0.1"]
