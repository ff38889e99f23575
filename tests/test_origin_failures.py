"""Origins that fail, are tried again, or take too long, and what the client is told."""

import socket
import threading
import time

import pytest

from support.upstreams import dead_port, plain

BAD_GATEWAY = "An invalid response was received from the upstream server"


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
