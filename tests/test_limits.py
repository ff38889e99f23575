"""Sizes, times and numbers beyond which a client is refused."""

import threading

from support.wire import chunks, get, request_bytes


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
