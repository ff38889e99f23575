"""What clients and origins cannot do to plugins, to each other and to memory."""

import pytest

from support.waiting import eventually
from support.wire import Closed, chunks, request_bytes

KIB = 1024
MIB = 1024 * KIB


def test_header_names_with_underscores_pass_where_they_are_allowed(private, upstream):
    origin = upstream()
    gateway = private(underscores_in_headers="on")
    gateway.route(origin)
    gateway.get("/", {"x_custom": "1"})
    assert origin.wait_for_requests(1)[-1].headers["x_custom"] == "1"


def protected(gateway, origin, **config):
    gateway.route(origin, "/", settle=False)
    gateway.create("/plugins", name="key-auth", config=config)
    consumer = gateway.create("/consumers", username="someone")
    gateway.create(f"/consumers/{consumer['id']}/key-auth", key="the-key")
    gateway.settle()


def test_plugins_see_headers_beyond_the_hundredth(gateway, upstream):
    origin = upstream()
    protected(gateway, origin)
    headers = [(f"X-{n}", "1") for n in range(150)] + [("apikey", "the-key")]
    assert gateway.get("/", headers).status == 200
    assert len([n for n in origin.requests[-1].headers.names() if n.startswith("X-") and n[2:].isdigit()]) == 150


def test_plugins_see_arguments_beyond_the_hundredth(gateway, upstream):
    protected(gateway, upstream())
    query = "&".join(f"a{n}=1" for n in range(150))
    assert gateway.get(f"/?{query}&apikey=the-key").status == 200


def test_a_message_is_escaped_in_a_json_body(gateway, upstream):
    gateway.route(upstream(), "/", settle=False)
    said = 'say "no"\\ \t<b>'
    gateway.create("/plugins", name="request-termination", config={"status_code": 403, "message": said})
    gateway.settle()
    answer = gateway.get("/")
    assert answer.status == 403
    assert answer.json is not None, answer.body
    assert answer.json["message"] == said


def test_a_message_is_escaped_in_an_error_body(gateway, upstream):
    gateway.route(upstream(), "/", settle=False)
    said = 'say "no"\\'
    gateway.create("/plugins", name="rate-limiting",
                   config={"hour": 1, "policy": "local", "error_message": said})
    gateway.settle()
    answers = [gateway.get("/", {"Accept": "application/json"}) for _ in range(3)]
    assert answers[-1].status == 429
    assert answers[-1].json is not None, answers[-1].body
    assert answers[-1].json["message"] == said


SMUGGLED = b"GET /canary HTTP/1.1\r\nHost: gw\r\n\r\n"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("refusal", ["no route", "unauthorized", "forbidden", "redirected"])
def test_an_unread_body_never_becomes_the_next_request(gateway, upstream, framing, refusal):
    origin = upstream()
    gateway.route(origin, "/canary", strip_path=False, settle=False)
    gateway.route(origin, "/next", strip_path=False, settle=False)
    expected = 404
    if refusal != "no route":
        more = {"protocols": ["https"], "https_redirect_status_code": 301} if refusal == "redirected" else {}
        _, route = gateway.route(origin, "/guarded", settle=False, **more)
        expected = 301
        if refusal == "unauthorized":
            gateway.create(f"/routes/{route['id']}/plugins", name="key-auth")
            expected = 401
        elif refusal == "forbidden":
            gateway.create(f"/routes/{route['id']}/plugins", name="request-termination", config={"status_code": 403})
            expected = 403
    gateway.settle()
    head = [("Content-Length", str(len(SMUGGLED)))] if framing == "length" else [("Transfer-Encoding", "chunked")]
    body = SMUGGLED if framing == "length" else b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    with gateway.client() as client:
        answer = client.ask(request_bytes("POST", "/guarded", head, body), "POST")
        assert answer.status == expected
        try:
            client.send(request_bytes("GET", "/next"))
            assert client.answer().text == "/next"
            assert client.ask(request_bytes("GET", "/next")).text == "/next"
        except (Closed, OSError):
            pass
    assert not [m for m in origin.requests if "canary" in m.target]


@pytest.mark.parametrize("length", [10 * MIB, 500 * MIB])
def test_a_large_body_for_a_refused_request_costs_no_memory(gateway, length):
    gateway.get("/")
    before = gateway.memory()
    with gateway.client() as client:
        client.send(request_bytes("POST", "/nowhere", [("Content-Length", str(length))]))
        assert client.answer("POST").status == 404
        for _ in range(40):
            client.send_what_fits(b"x" * 256 * KIB)
        assert gateway.memory() - before < 4 * MIB


def test_connections_that_say_nothing_cost_little_memory(gateway):
    gateway.get("/")
    before = gateway.memory()
    clients = [gateway.client() for _ in range(500)]
    try:
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: gw\r\nX-Slow: ")
        eventually(lambda: gateway.get("/").status == 404)
        assert gateway.memory() - before < 500 * 40 * KIB
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("answer", [
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", id="two lengths"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", id="negative length"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n" + chunks(b"hello"), id="space before colon"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", id="NUL in a header"),
    pytest.param(b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n", id="unknown version"),
    pytest.param(b"HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n", id="status that is no number"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1024 * KIB + b"\r\nContent-Length: 0\r\n\r\n", id="huge header"),
    pytest.param(b"hello\r\n\r\n", id="no HTTP at all"),
])
def test_a_malformed_answer_of_an_origin_becomes_502(gateway, upstream, answer):
    gateway.route(upstream(answer), "/", service={"retries": 0})
    got = gateway.get("/")
    assert got.status == 502
    assert "An invalid response was received from the upstream server" in got.text
