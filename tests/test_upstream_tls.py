"""TLS towards services: whom the gateway trusts, as whom it comes, and what of that connections are kept for."""

import hashlib
import os
import ssl
import time
import uuid

import pytest

from support.certificates import Pair, certificate, issued, signed
from support.trust import VERIFIED, files, gateway, house, origin  # noqa: F401, some are fixtures
from support.upstreams import plain, serve
from support.waiting import eventually
from support.websocket import BINARY, TEXT, client_frame, handshake
from support.wire import Client, chunks, request_bytes

MIB = 1024 * 1024
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def authority(gateway, name="authority.test"):
    return gateway.create("/ca_certificates", cert=certificate(name, ca=True).cert)["id"]


def shown_by(gateway, pair):
    return {"id": gateway.create("/certificates", cert=pair.cert, key=pair.key)["id"]}


# -- names

@pytest.mark.parametrize("host, preserve, asked, name", [
    ("shop.test", False, "gate.test", "shop.test"),
    ("shop.test", True, "gate.test", "gate.test"),
    ("shop.test", True, "gate.test:8443", "gate.test"),
    ("shop.test.", False, "gate.test", "shop.test"),
    ("127.0.0.1", False, "gate.test", None),
    ("shop.test", True, "10.0.0.1", None),
])
def test_the_name_asked_for_is_host_without_its_port(gateway, origin, host, preserve, asked, name):
    there = origin()
    gateway.route(there.at(host), preserve_host=preserve)
    assert gateway.get("/", host=asked).status == 200
    assert [h["name"] for h in there.handshakes] == [name]
    assert there.requests[0].headers["Host"] == (asked if preserve else f"{host}:{there.port}")
    assert there.handshakes[0]["alpn"] == "http/1.1"


def test_with_an_upstream_the_target_is_asked_for(gateway, origin):
    there = origin()
    gateway.create("/upstreams", name="shop.internal")
    gateway.create("/upstreams/shop.internal/targets", target=f"shop.test:{there.port}")
    gateway.route("https://shop.internal")
    eventually(lambda: gateway.get("/").status == 200, "the target")
    assert {h["name"] for h in there.handshakes} == {"shop.test"}


# -- who is trusted

OLD = ("20200101000000Z", "20210101000000Z")


def expired():
    return signed("www.shop.test", certificate("authority.test", ca=True), start=OLD[0], end=OLD[1])


@pytest.mark.parametrize("pair, service, status", [
    (lambda: issued("www.shop.test"), {}, 200),
    (lambda: issued("www.shop.test"), VERIFIED, 200),
    (lambda: issued("other.test"), VERIFIED, 502),
    (lambda: issued("*.shop.test"), VERIFIED, 200),
    (lambda: issued("ww*.shop.test"), VERIFIED, 502),
    (lambda: issued("*.test"), VERIFIED, 502),
    (lambda: issued("www.shop.test", "stranger.test"), VERIFIED, 502),
    (lambda: certificate("www.shop.test"), VERIFIED, 502),
    (expired, VERIFIED, 502),
    (lambda: issued("other.test"), {"tls_verify": False}, 200),
    (lambda: issued("www.shop.test", "stranger.test"), {}, 200),
    (lambda: certificate("www.shop.test"), {}, 200),
    (expired, {}, 200),
])
def test_verification(gateway, origin, pair, service, status):
    there = origin(pair())
    gateway.route(there.at("www.shop.test"), service={**service, "retries": 0})
    answer = gateway.get("/")
    assert answer.status == status, gateway.log()[-2000:]
    assert len(there.requests) == (1 if status == 200 else 0)
    if status != 200:
        assert "An invalid response was received from the upstream server" in answer.text


@pytest.mark.parametrize("names, status", [(["stranger.test"], 200), (["authority.test"], 502), (["authority.test", "stranger.test"], 200)])
def test_a_service_may_name_whom_it_trusts(gateway, origin, names, status):
    there = origin(issued("shop.test", "stranger.test"))
    gateway.route(there.at("shop.test"), service={**VERIFIED, "ca_certificates": [authority(gateway, n) for n in names]})
    assert gateway.get("/").status == status


def test_naming_authorities_leaves_out_those_of_the_node(gateway, origin):
    there = origin(issued("shop.test", "authority.test"))
    gateway.route(there.at("shop.test"), service={**VERIFIED, "ca_certificates": [authority(gateway, "stranger.test")]})
    assert gateway.get("/").status == 502


def test_what_is_verified_is_host(gateway, origin):
    there = origin(issued("gate.test"))
    gateway.route(there.at("shop.test"), "/kept", service=VERIFIED, preserve_host=True)
    gateway.route(there.at("shop.test"), "/own", service=VERIFIED)
    assert gateway.get("/kept", host="gate.test").status == 200
    assert gateway.get("/own", host="gate.test").status == 502
    assert gateway.get("/kept", host="evil.test").status == 502


def test_the_node_may_verify_all_services(private, files, origin):
    there = origin(issued("shop.test", "stranger.test"))
    gateway = private(dns_hostsfile=files / "hosts", upstream_ssl_verify="on", upstream_ssl_trusted_certificate=files / "authority")
    gateway.route(there.at("shop.test"), "/", settle=False)
    gateway.route(there.at("shop.test"), "/not", service={"tls_verify": False})
    assert gateway.get("/").status == 502
    assert gateway.get("/not").status == 200


@pytest.mark.parametrize("depth, status", [(0, 502), (1, 200), (2, 200)])
def test_how_long_a_chain_may_be(gateway, origin, depth, status):
    root = certificate("authority.test", ca=True)
    middle = signed("middle.test", root, ca=True)
    leaf = signed("shop.test", middle)
    there = origin(Pair(leaf.cert + middle.cert, leaf.key))
    gateway.route(there.at("shop.test"), service={**VERIFIED, "tls_verify_depth": depth})
    assert gateway.get("/").status == status


def test_a_service_whose_authority_is_not_there_is_closed(gateway, origin):
    there = origin()
    missing = str(uuid.uuid4())
    gateway.route(there.at("shop.test"), service={**VERIFIED, "ca_certificates": [missing]})
    answer = gateway.get("/")
    assert answer.status == 500 and not there.peers, answer
    assert missing in gateway.log()
    # It opens when the authority comes, and closes when it goes.
    made = gateway.admin("PUT", f"/ca_certificates/{missing}", json={"cert": certificate("authority.test", ca=True).cert})
    assert made.status == 200, made
    gateway.settle()
    assert gateway.get("/").status == 200


# -- as whom the gateway comes

def accepting(origin, **more):
    return origin(clients=certificate("clients.test", ca=True).cert, script=plain(b"ok", headers=[("Connection", "close")]), **more)


def test_whose_certificate_is_shown(gateway, origin):
    there = accepting(origin)
    gateway.create("/upstreams", name="shop.internal")
    gateway.create("/upstreams/shop.internal/targets", target=f"127.0.0.1:{there.port}")
    service, _ = gateway.route("https://shop.internal")

    def came_as():
        assert gateway.get("/").status == 200
        return there.handshakes[-1]["client"]

    eventually(lambda: gateway.get("/").status == 200, "the target")
    assert came_as() == "node.test"
    gateway.admin("PATCH", "/upstreams/shop.internal", json={"client_certificate": shown_by(gateway, issued("upstream.test", "clients.test"))})
    gateway.settle()
    assert came_as() == "upstream.test"
    gateway.admin("PATCH", f"/services/{service['id']}", json={"client_certificate": shown_by(gateway, issued("service.test", "clients.test"))})
    gateway.settle()
    assert came_as() == "service.test"
    gateway.admin("PATCH", f"/services/{service['id']}", json={"client_certificate": None})
    gateway.settle()
    assert came_as() == "upstream.test"
    gateway.admin("PATCH", "/upstreams/shop.internal", json={"client_certificate": None})
    gateway.settle()
    assert came_as() == "node.test"


def test_a_canary_is_shown_the_certificate_of_its_own_upstream(gateway, origin):
    there = accepting(origin)
    for name in ("shop.internal", "shop.green"):
        gateway.create("/upstreams", name=name, client_certificate=shown_by(gateway, issued(f"{name}.test", "clients.test")))
        gateway.create(f"/upstreams/{name}/targets", target=f"127.0.0.1:{there.port}")
    service, _ = gateway.route("https://shop.internal")
    eventually(lambda: gateway.get("/").status == 200, "the target")

    def came_as():
        gateway.settle()
        assert gateway.get("/").status == 200
        return there.handshakes[-1]["client"]

    assert came_as() == "shop.internal.test"
    row = gateway.create(f"/services/{service['id']}/plugins", name="canary", config={"upstream_host": "shop.green", "percentage": 100})
    assert came_as() == "shop.green.test"
    # One that begins to show another.
    gateway.admin("PATCH", "/upstreams/shop.green", json={"client_certificate": shown_by(gateway, issued("newer.test", "clients.test"))})
    assert came_as() == "newer.test"
    # To what is no upstream the gateway comes as itself, not as the upstream that was left.
    gateway.admin("PATCH", f"/plugins/{row['id']}", json={"config": {"upstream_host": "127.0.0.1", "upstream_port": there.port}})
    assert came_as() == "node.test"
    gateway.admin("PATCH", f"/plugins/{row['id']}", json={"config": {"upstream_host": "shop.green"}})
    gateway.admin("PATCH", f"/services/{service['id']}", json={"client_certificate": shown_by(gateway, issued("service.test", "clients.test"))})
    assert came_as() == "service.test", "the service's own goes before any upstream's"
    gateway.admin("DELETE", f"/plugins/{row['id']}")
    gateway.admin("PATCH", f"/services/{service['id']}", json={"client_certificate": None})
    assert came_as() == "shop.internal.test"


def test_an_upstream_takes_its_certificate_along_to_another_name(gateway, origin):
    there = accepting(origin)
    shown = shown_by(gateway, issued("upstream.test", "clients.test"))
    row = gateway.create("/upstreams", name="old.internal", client_certificate=shown)
    gateway.create("/upstreams/old.internal/targets", target=f"127.0.0.1:{there.port}")
    gateway.route("https://new.internal")
    assert gateway.admin("PATCH", f"/upstreams/{row['id']}", json={"name": "new.internal"}).status == 200
    gateway.settle()
    eventually(lambda: gateway.get("/").status == 200, "the target")
    assert there.handshakes[-1]["client"] == "upstream.test"


def test_a_certificate_that_changes_is_shown_in_the_next_handshake(gateway, origin):
    there = accepting(origin)
    shown = shown_by(gateway, issued("first.test", "clients.test"))
    gateway.route(there, service={"client_certificate": shown})
    assert gateway.get("/").status == 200 and there.handshakes[-1]["client"] == "first.test"
    second = issued("second.test", "clients.test")
    assert gateway.admin("PATCH", f"/certificates/{shown['id']}", json={"cert": second.cert, "key": second.key}).status == 200
    gateway.settle()
    assert gateway.get("/").status == 200 and there.handshakes[-1]["client"] == "second.test"
    assert not there.handshakes[-1]["resumed"]


def test_a_server_that_wants_another_certificate_is_told_as_a_bad_answer(gateway, origin):
    there = origin(clients=certificate("stranger.test", ca=True).cert)
    gateway.route(there, service={"retries": 0})
    assert gateway.get("/").status == 502
    assert not there.requests


# -- connections that are kept

def test_a_connection_serves_those_who_trust_alike_and_no_others(gateway, origin):
    there = origin(issued("shop.test", "stranger.test"))
    trusted = authority(gateway, "stranger.test")
    url = there.at("shop.test")
    gateway.route(url, "/open", settle=False)
    gateway.route(url, "/open-too", settle=False)
    gateway.route(url, "/strict", service={**VERIFIED, "ca_certificates": [authority(gateway)]}, settle=False)
    gateway.route(url, "/satisfied", service={**VERIFIED, "ca_certificates": [trusted]}, settle=False)
    gateway.route(url, "/satisfied-too", service={**VERIFIED, "ca_certificates": [trusted]}, settle=False)
    gateway.route(url, "/named", preserve_host=True, settle=False)
    gateway.route(url, "/known", service={"client_certificate": shown_by(gateway, issued("service.test", "clients.test"))}, settle=False)
    gateway.route(f"http://shop.test:{there.port}", "/clear")
    used = []
    with Client(gateway.proxy) as client:
        def ask(path):
            answer = client.ask(request_bytes("GET", path, host="other.test"))
            used.append(len(there.peers))
            return answer.status

        assert (ask("/open"), ask("/open"), ask("/open-too")) == (200, 200, 200)
        assert used == [1, 1, 1]
        seen = len(there.requests)
        assert ask("/strict") == 502
        assert len(there.requests) == seen, "a request came over a connection that nobody had verified"
        connections = len(there.handshakes)
        for path, more in (("/satisfied", 1), ("/satisfied-too", 0), ("/open", 0), ("/named", 1), ("/known", 1), ("/satisfied", 0), ("/known", 0)):
            assert ask(path) == 200
            connections += more
            assert len(there.handshakes) == connections, path
        # Not in clear text over TLS, nor the other way round.
        assert ask("/clear") == 502


def test_a_session_made_without_verification_is_not_resumed_by_those_who_verify(gateway, origin):
    there = origin(issued("shop.test", "stranger.test"), plain(b"ok", headers=[("Connection", "close")]))
    url = there.at("shop.test")
    gateway.route(url, "/open", settle=False)
    gateway.route(url, "/strict", service={**VERIFIED, "retries": 0})
    assert gateway.get("/open").status == 200
    assert gateway.get("/open").status == 200 and there.handshakes[-1]["resumed"]
    assert gateway.get("/strict").status == 502
    assert len(there.requests) == 2


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("service", [{}, VERIFIED])
@pytest.mark.parametrize("end", ["keep-alive", "close"])
def test_sessions_are_resumed(gateway, origin, version, service, end):
    def one_each(peer):
        peer.request()
        peer.send(plain(b"ok", headers=[("Connection", end)]))

    there = origin(script=one_each, version=version)
    gateway.route(there.at("shop.test"), service=service)
    for _ in range(4):
        assert gateway.get("/").status == 200
        time.sleep(0.05)
    resumed = [h["resumed"] for h in there.handshakes]
    assert len(resumed) >= 4 and resumed[0] is False and all(resumed[1:]), resumed


def test_a_server_that_forgot_its_sessions_is_no_trouble(gateway, origin):
    there = origin(script=plain(b"ok", headers=[("Connection", "close")]))
    gateway.route(there.at("shop.test"))
    assert gateway.get("/").status == 200
    there.stop()
    again = origin(script=plain(b"ok"), port=there.port)
    assert gateway.get("/").status == 200
    assert [h["resumed"] for h in again.handshakes] == [False]


# -- what goes over it

@serve
def digesting(message):
    """Answers with the size and digest of what it got, and with as many bytes as the path says."""
    told = f"{len(message.body)} {hashlib.sha256(message.body).hexdigest()}"
    return plain(b"0123456789abcdef" * (int(message.target[1:]) // 16), headers=[("X-Got", told)])


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_both_ways(gateway, origin, version, chunked):
    there = origin(script=digesting, version=version)
    gateway.route(there.at("shop.test"), service=VERIFIED)
    body = os.urandom(MIB) * 16
    told = f"{len(body)} {hashlib.sha256(body).hexdigest()}"
    with Client(gateway.proxy, timeout=60) as client:
        for _ in range(2):
            if chunked:
                pieces = [body[i:i + 100000] for i in range(0, len(body), 100000)]
                answer = client.ask(request_bytes("PUT", f"/{16 * MIB}", [("Transfer-Encoding", "chunked")]) + chunks(*pieces))
            else:
                answer = client.ask(request_bytes("PUT", f"/{16 * MIB}", body=body))
            assert answer.status == 200 and answer.headers["X-Got"] == told
            assert answer.body == b"0123456789abcdef" * MIB
    assert len(there.handshakes) == 1


def test_an_answer_that_ends_with_the_connection(gateway, origin):
    def until_close(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300000)
        peer.sock.unwrap()

    there = origin(script=until_close)
    gateway.route(there.at("shop.test"))
    assert len(gateway.get("/").body) == 300000


def test_an_answer_that_ends_without_a_word_is_not_taken_for_whole(gateway, origin):
    """RFC 9112, 9.8: who ends the connection must say so, or the rest may have been cut off by anybody."""
    there = origin(script=lambda peer: (peer.request(), peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)))
    gateway.route(there.at("shop.test"))
    with Client(gateway.proxy) as client:
        client.send(request_bytes())
        assert not client.rest().endswith(b"0\r\n\r\n")


def test_a_connection_that_breaks_in_the_middle_is_told(gateway, origin):
    there = origin(script=lambda peer: (peer.request(), peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")))
    gateway.route(there.at("shop.test"))
    with Client(gateway.proxy) as client:
        client.send(request_bytes())
        assert client.rest().endswith(b"\r\n\r\nhalf")


def test_websocket_over_tls(gateway, origin):
    def echo(peer):
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
        while True:
            data = peer.sock.recv(65536)
            if not data:
                return
            peer.send(data)

    there = origin(script=echo)
    gateway.route(there.at("shop.test"), service=VERIFIED)
    with Client(gateway.proxy) as client:
        client.send(handshake()[0])
        assert client.answer().status == 101
        for sent in (client_frame("hello", TEXT), client_frame(os.urandom(300000), BINARY)):
            client.send(sent)
            assert client.reader.exactly(len(sent)) == sent
    assert there.handshakes[0]["alpn"] == "http/1.1"
    eventually(lambda: there.peers[0].closed.is_set(), "the tunnel's end")


# -- probes

@pytest.mark.parametrize("issuer, state", [("authority.test", "HEALTHY"), ("stranger.test", "UNHEALTHY")])
def test_probes_trust_whom_the_node_trusts(gateway, origin, issuer, state):
    there = origin(issued("shop.test", issuer), plain(b"ok", headers=[("Connection", "close")]))
    checks = {"type": "https", "https_verify_certificate": True, "healthy": {"interval": 0.1, "successes": 1},
              "unhealthy": {"interval": 0.1, "tcp_failures": 1, "timeouts": 1, "http_failures": 1}}
    gateway.create("/upstreams", name="shop.internal", host_header="shop.test", healthchecks={"active": checks})
    gateway.create("/upstreams/shop.internal/targets", target=f"127.0.0.1:{there.port}")
    eventually(lambda: len(there.peers) >= 4, "some probes")

    def is_so():
        return gateway.admin("GET", "/upstreams/shop.internal/health").json["data"][0]["health"] == state

    eventually(is_so, state)
    eventually(lambda: len(there.peers) >= 10, "more probes")
    assert is_so()
