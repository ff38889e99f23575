"""What the origin learns of a request and the client of an answer: headers, paths, who asked."""

import pytest

from support.upstreams import plain
from support.wire import get


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
