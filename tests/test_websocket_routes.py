"""ws and wss as protocols of services and routes, which Kong's enterprise edition has: what they take, and what goes with them."""

import json
import socket

import pytest

from support.certificates import certificate
from support.http2 import Doors, tls_context
from support.records import Log
from support.tls import TlsUpstream
from support.upstreams import plain
from support.websocket import TEXT, EchoServer, client_frame, handshake, parse_frame
from support.wire import Reader, request_bytes


@pytest.fixture(scope="module")
def node(private_for_module):
    return Doors(private_for_module, trusted_ips="127.0.0.1")


@pytest.fixture
def server():
    server = EchoServer()
    yield server
    server.stop()


def pair(gateway, port, protocols, paths=("/",), protocol="ws", **fields):
    """A service that speaks WebSocket, and a route to it."""
    service = gateway.create("/services", protocol=protocol, host="127.0.0.1", port=port)
    route = gateway.create("/routes", service={"id": service["id"]}, protocols=protocols, paths=list(paths), **fields)
    gateway.settle()
    return service, route


def ask(address, tls, opening=None, sni="gate.test"):
    """What comes back for a handshake (or `opening`): the head, and the reader and socket."""
    sock = socket.create_connection(address, timeout=15)
    if tls:
        sock = tls_context(alpn=["http/1.1"]).wrap_socket(sock, server_hostname=sni)
    sock.sendall(opening or handshake("/chat")[0])
    reader = Reader(sock)
    return reader.head(), reader, sock


def opens(house, tls, **more):
    """Whether a WebSocket can be had, one that works."""
    head, reader, sock = ask(house.tls if tls else house.clear, tls, **more)
    with sock:
        if head.status != 101:
            assert head.status == 404, head
            return False
        sock.sendall(client_frame("hello"))
        while not (found := parse_frame(reader.buffer)):
            assert reader.fill()
        assert found[:2] == (TEXT, b"hello")
        return True


@pytest.mark.parametrize("protocols, clear, tls", [(["ws"], True, False), (["wss"], False, True), (["ws", "wss"], True, True)])
def test_a_route_takes_websockets_of_its_kind_alone(house, server, protocols, clear, tls):
    pair(house.gateway, server.port, protocols)
    assert (opens(house, False), opens(house, True)) == (clear, tls)
    for door, secured in ((house.clear, False), (house.tls, True)):
        head, _, sock = ask(door, secured, request_bytes("GET", "/chat"))
        sock.close()
        assert head.status == 404, "a request that asks for none does not match"


def test_websocket_over_http2(house, server):
    pair(house.gateway, server.port, ["wss"])
    pseudo = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "gate.test"), (":path", "/chat")]
    for tls, status in ((True, 200), (False, 404)):
        with house.open(tls) as client:
            stream = client.begin(pseudo=pseudo, headers=[("sec-websocket-version", "13")], end=False)
            assert client.head(stream).status == status


def test_tls_may_have_ended_before_the_gateway(house, server):
    pair(house.gateway, server.port, ["wss"])
    assert opens(house, False, opening=handshake("/chat", more="X-Forwarded-Proto: https\r\n")[0])
    assert opens(house, False, opening=handshake("/chat", more="X-Forwarded-Proto: wss\r\n")[0])
    assert not opens(house, True, opening=handshake("/chat", more="X-Forwarded-Proto: http\r\n")[0])


@pytest.mark.parametrize("first", ["ws", "http"])
def test_on_one_path_a_route_for_websockets_goes_before_one_for_all(house, server, upstream, first):
    origin = upstream(plain(b"a page"))
    for kind in ("ws", "http") if first == "ws" else ("http", "ws"):
        if kind == "ws":
            pair(house.gateway, server.port, ["ws", "wss"])
        else:
            house.gateway.route(origin, "/")
    assert opens(house, False) and opens(house, True)
    assert house.gateway.get("/chat").body == b"a page"


def test_routes_for_http_take_websockets_too(house, server):
    house.gateway.route(server.url)
    assert opens(house, False) and opens(house, True)


def test_a_service_over_tls(house):
    def serve(peer):
        peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi")
        peer.wait_closed()

    there = TlsUpstream(certificate("shop.test"), serve)
    try:
        pair(house.gateway, there.port, ["ws"], protocol="wss")
        head, reader, sock = ask(house.clear, False)
        with sock:
            assert head.status == 101
            while not (found := parse_frame(reader.buffer)):
                assert reader.fill()
            assert found[:2] == (TEXT, b"hi")
    finally:
        there.stop()


def test_plugins_for_requests_run(house, server):
    _, route = pair(house.gateway, server.port, ["ws"])
    log = Log(house.gateway.directory / "websocket.log")
    house.gateway.create(f"/routes/{route['id']}/plugins", name="file-log", config={"path": str(log.path)})
    house.gateway.create(f"/routes/{route['id']}/plugins", name="correlation-id", protocols=["ws"], config={"echo_downstream": True})
    house.gateway.settle()
    head, _, sock = ask(house.clear, False)
    sock.close()
    assert head.status == 101 and head.headers["Kong-Request-ID"]
    assert log.records()[0]["response"]["status"] == 101


def test_a_name_asked_for_in_tls_is_matched(house, server):
    """Of routes for wss, as of those for https."""
    service, _ = pair(house.gateway, server.port, ["wss"], snis=["a.gate.test"])
    house.gateway.create("/routes", service={"id": service["id"]}, protocols=["wss"], snis=["*.b.test"])
    house.gateway.settle()
    assert opens(house, True, sni="a.gate.test") and opens(house, True, sni="A.Gate.Test") and opens(house, True, sni="x.b.test")
    assert not opens(house, True, sni="other.test")


# -- what is taken and refused

def test_the_url_may_say_it(house):
    gateway = house.gateway
    for url, protocol, port in (("ws://a.test/chat", "ws", 80), ("wss://a.test/chat", "wss", 443), ("wss://a.test:9000/chat", "wss", 9000)):
        made = gateway.create("/services", url=url)
        assert (made["protocol"], made["host"], made["port"], made["path"]) == (protocol, "a.test", port, "/chat")
        assert gateway.admin("GET", f"/services/{made['id']}").json == made


def test_services_over_tls_may_name_certificates(house):
    made = house.gateway.create("/services", url="wss://a.test", tls_verify=True, tls_verify_depth=2)
    assert made["tls_verify"] is True
    answer = house.gateway.admin("POST", "/services", json={"url": "ws://a.test", "tls_verify": True})
    assert answer.status == 400 and answer.json["fields"]["tls_verify"] == "value must be null"


MIXED = "these sets are mutually exclusive: "


@pytest.mark.parametrize("fields, complaint", [
    ({"protocols": ["http", "ws"], "paths": ["/"]}, {"protocols": MIXED + "('http', 'https'), ('ws', 'wss')"}),
    ({"protocols": ["wss", "grpcs"], "paths": ["/"]}, {"protocols": MIXED + "('grpc', 'grpcs'), ('ws', 'wss')"}),
    ({"protocols": ["ws", "tcp"], "paths": ["/"]}, {"protocols": MIXED + "('tcp', 'tls', 'udp'), ('ws', 'wss')"}),
    ({"protocols": ["ws"]}, {"@entity": ["must set one of 'hosts', 'headers', 'paths' when 'protocols' is 'ws'"]}),
    ({"protocols": ["wss"]}, {"@entity": ["must set one of 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'wss'"]}),
    ({"protocols": ["ws"], "paths": ["/"], "methods": ["GET"]}, {"methods": "cannot set 'methods' when 'protocols' is 'ws' or 'wss'"}),
    ({"protocols": ["ws"], "paths": ["/"], "sources": [{"port": 1}]}, {"sources": "cannot set 'sources' when 'protocols' is 'ws' or 'wss'"}),
    ({"protocols": ["ws"], "paths": ["/"], "snis": ["a.test"]},
     {"@entity": ["'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"], "snis": "length must be 0"}),
])
def test_what_does_not_go_together_is_refused(house, fields, complaint):
    answer = house.gateway.admin("POST", "/routes", json=fields)
    assert answer.status == 400
    assert answer.json["fields"] == complaint


def test_services_and_routes_must_agree(house):
    gateway = house.gateway
    of = {protocol: gateway.create("/services", protocol=protocol, host="a.test") for protocol in ("ws", "wss", "http", "tcp")}

    def made(service, **fields):
        return gateway.admin("POST", "/routes", json={"service": {"id": of[service]["id"]}, **fields})

    refusal = {"protocols": "must match the associated service's protocol"}
    for service, fields in (("ws", {"paths": ["/"]}), ("wss", {"protocols": ["tcp"], "destinations": [{"port": 1}]}),
                            ("http", {"protocols": ["ws"], "paths": ["/"]}), ("tcp", {"protocols": ["wss"], "paths": ["/"]})):
        answer = made(service, **fields)
        assert (answer.status, answer.json["fields"]) == (400, refusal)
    route = made("ws", protocols=["ws", "wss"], paths=["/"]).json
    assert made("wss", protocols=["ws"], paths=["/"]).status == 201, "each with each: TLS on one side says nothing about the other"
    answer = gateway.admin("PATCH", f"/routes/{route['id']}", json={"protocols": ["http"]})
    assert (answer.status, answer.json["fields"]) == (400, refusal)
    answer = gateway.admin("PATCH", f"/services/{of['ws']['id']}", json={"protocol": "http"})
    assert (answer.status, answer.json["fields"]) == (400, {"protocol": "must match the protocols of the service's routes"})
    assert gateway.admin("PATCH", f"/services/{of['ws']['id']}", json={"protocol": "wss"}).status == 200
    assert gateway.admin("POST", "/routes", json={"protocols": ["ws"], "paths": ["/none"]}).status == 201, "a route need not have a service"


def test_messages_name_what_kong_names(house):
    """Clients compare schemas and messages with those of the open edition."""
    gateway = house.gateway
    listed = "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp"
    assert gateway.admin("POST", "/services", json={"protocol": "ftp", "host": "a"}).json["fields"] == {"protocol": listed}
    assert gateway.admin("POST", "/routes", json={"protocols": ["ftp"], "paths": ["/"]}).json["fields"]["protocols"] == [listed]
    for entity in ("services", "routes", "plugins", "plugins/key-auth"):
        assert "wss" not in json.dumps(gateway.admin("GET", f"/schemas/{entity}").json)


def test_plugins_may_name_it_and_go_with_routes_for_it(house, server):
    _, route = pair(house.gateway, server.port, ["wss"])
    make = lambda **fields: house.gateway.admin("POST", f"/routes/{route['id']}/plugins", json={"name": "key-auth", **fields})
    refused = make(protocols=["http"])
    assert (refused.status, refused.json["fields"]) == (400, {"protocols": "must match the associated route's protocols"})
    assert make(protocols=["wss", "https"]).json["protocols"] == ["wss", "https"]
