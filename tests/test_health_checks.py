"""Probes and what traffic tells: peers are taken out, and brought back."""

import socket
import ssl
import subprocess
import time

import pytest

from support.upstreams import RawUpstream, dead_port, plain, serve
from support.waiting import eventually
from support.wire import Client, request_bytes

ACTIVE = {"healthy": {"interval": 0.2, "successes": 1}, "unhealthy": {"interval": 0.2, "tcp_failures": 1, "http_failures": 1, "timeouts": 1}}


def balance(gateway, peers, service=None, **fields):
    gateway.create("/upstreams", name="backend", **fields)
    for peer in peers:
        gateway.create("/upstreams/backend/targets", target=f"127.0.0.1:{peer if isinstance(peer, int) else peer.port}")
    gateway.route("http://backend", service=service)


def states(gateway):
    return {t["data"]["port"]: t["health"] for t in gateway.admin("GET", "/upstreams/backend/health").json["data"]}


def becomes(gateway, peer, state, timeout=10):
    port = peer if isinstance(peer, int) else peer.port
    return eventually(lambda: states(gateway)[port] == state, f"{port} {state}", timeout)


def answers(gateway, count=12):
    return [gateway.get().body.decode() for _ in range(count)]


# -- active

def test_probes_take_a_dead_peer_out_and_bring_it_back(gateway, processes):
    a, b = processes("a", "b")
    balance(gateway, [a, b], healthchecks={"active": ACTIVE})
    assert set(answers(gateway)) == {"a", "b"}
    b.kill()
    becomes(gateway, b, "UNHEALTHY")
    assert set(answers(gateway)) == {"a"}
    b.restart()
    becomes(gateway, b, "HEALTHY")
    assert set(answers(gateway)) == {"a", "b"}


def test_probes_look_at_statuses(gateway, processes):
    a, b = processes("a", "b")
    balance(gateway, [a, b], healthchecks={"active": ACTIVE})
    b.tell("/peer-status/500")
    becomes(gateway, b, "UNHEALTHY")
    b.tell("/peer-status/418")  # neither good nor bad: nothing changes
    time.sleep(0.6)
    assert states(gateway)[b.port] == "UNHEALTHY"
    b.tell("/peer-status/200")
    becomes(gateway, b, "HEALTHY")


def test_probes_time_out(gateway, processes):
    a, b = processes("a", "b")
    balance(gateway, [a, b], healthchecks={"active": {**ACTIVE, "timeout": 0.2}})
    b.freeze()
    becomes(gateway, b, "UNHEALTHY")
    b.thaw()
    becomes(gateway, b, "HEALTHY")


def test_limits_are_counted(gateway, processes):
    a, = processes("a")
    active = {"healthy": {"interval": 0.2, "successes": 3}, "unhealthy": {"interval": 0.2, "http_failures": 4}}
    seen = []
    origin = RawUpstream(serve(lambda message: (seen.append(time.monotonic()), plain(b"", "500 Oh"))[1]))
    with origin:
        balance(gateway, [a, origin], healthchecks={"active": active})
        becomes(gateway, origin, "UNHEALTHY")
        assert len(seen) >= 4


def test_what_a_probe_says(gateway, upstream):
    origin = upstream(plain(b"ok"))
    balance(gateway, [origin], host_header="shop.test",
            healthchecks={"active": {**ACTIVE, "http_path": "/up", "headers": {"X-Probe": ["one", "two"]}}})
    probe = origin.wait_for_requests(1)[0]
    assert probe.start == "GET /up HTTP/1.0"
    assert probe.headers.get("Host") == "shop.test" and probe.headers.get("X-Probe") == "one, two"


def test_no_probes_without_an_interval(gateway, upstream):
    origin = upstream(plain(b"ok"))
    balance(gateway, [origin], healthchecks={"active": {**ACTIVE, "healthy": {"interval": 0}}})
    time.sleep(0.6)
    assert origin.requests == []


def test_one_probe_per_node_and_interval(gateway, upstream):
    origin = upstream(plain(b"ok"))
    balance(gateway, [origin], healthchecks={"active": {**ACTIVE, "healthy": {"interval": 0.5, "successes": 1}}})
    time.sleep(2.6)
    assert 4 <= len(origin.requests) <= 6, "two workers, one node"


def test_probes_of_many_peers_go_side_by_side(gateway):
    """Thirty that do not answer cost one time-out with enough senders, not thirty."""
    silent = [RawUpstream(lambda peer: peer.wait_closed()) for _ in range(30)]
    try:
        balance(gateway, silent, healthchecks={"active": {**ACTIVE, "timeout": 1, "concurrency": 30}})
        started = time.monotonic()
        eventually(lambda: set(states(gateway).values()) == {"UNHEALTHY"}, "all out", 10)
        assert time.monotonic() - started < 5
    finally:
        for each in silent:
            each.stop()


def test_connections_alone_are_probed(gateway, upstream):
    held, port = dead_port()
    origin = upstream(lambda peer: peer.wait_closed())
    with held:
        balance(gateway, [origin, port], healthchecks={"active": {**ACTIVE, "type": "tcp"}})
        becomes(gateway, port, "UNHEALTHY")
        assert states(gateway)[origin.port] == "HEALTHY" and origin.received == b""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.test", "-addext",
                    "subjectAltName=DNS:shop.test", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


class TlsOrigin(RawUpstream):
    def __init__(self, folder):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.names = []
        context.sni_callback = lambda connection, name, _: self.names.append(name)

        def script(peer):
            with context.wrap_socket(peer.sock, server_side=True) as secure:
                if secure.recv(4096):
                    secure.sendall(plain(b"ok"))

        super().__init__(script)


@pytest.mark.parametrize("more, state", [({"https_verify_certificate": False}, "HEALTHY"), ({}, "UNHEALTHY")])
def test_probes_over_tls(gateway, certificate, more, state):
    with TlsOrigin(certificate) as origin:
        balance(gateway, [origin], host_header="shop.test", healthchecks={"active": {**ACTIVE, "type": "https", **more}})
        eventually(lambda: len(origin.names) >= 2, "two probes")
        becomes(gateway, origin, state)
        assert set(origin.names) == {"shop.test"}
        assert not origin.problems or state == "UNHEALTHY"


def test_probes_over_tls_name_whom_they_are_told_to(gateway, certificate):
    with TlsOrigin(certificate) as origin:
        balance(gateway, [origin], healthchecks={"active": {**ACTIVE, "type": "https", "https_sni": "other.test", "https_verify_certificate": False}})
        eventually(lambda: "other.test" in origin.names, "a probe")


def test_probes_show_the_certificate_of_the_upstream(gateway, certificate):
    shown = []

    def script(peer):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        context.load_verify_locations(certificate / "cert.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        with context.wrap_socket(peer.sock, server_side=True) as secure:
            if secure.recv(4096):
                shown.append(bool(secure.getpeercert()))
                secure.sendall(plain(b"ok"))

    with RawUpstream(script) as origin:
        made = gateway.create("/certificates", cert=(certificate / "cert.pem").read_text(), key=(certificate / "key.pem").read_text())
        checks = {"active": {**ACTIVE, "type": "https", "https_verify_certificate": False}}
        balance(gateway, [origin], healthchecks=checks)
        eventually(lambda: shown, "a probe")
        assert not any(shown)
        changed = gateway.admin("PATCH", "/upstreams/backend", json={"client_certificate": {"id": made["id"]}})
        assert changed.status == 200 and changed.json["client_certificate"] == {"id": made["id"]}
        eventually(lambda: any(shown), "a probe that shows who it is from")
        assert gateway.admin("GET", "/upstreams/backend/client_certificate").json["id"] == made["id"]
        assert [u["name"] for u in gateway.admin("GET", f"/certificates/{made['id']}/upstreams").json["data"]] == ["backend"]
        refused = gateway.admin("DELETE", f"/certificates/{made['id']}")
        assert refused.status == 400 and refused.json["code"] == 4


@pytest.mark.parametrize("how", ["stop", "stop_gracefully"])
def test_probes_that_hang_hold_up_no_end(private, how):
    silent = [RawUpstream(lambda peer: peer.wait_closed()) for _ in range(5)]
    gateway = private()
    try:
        balance(gateway, silent, healthchecks={"active": {**ACTIVE, "timeout": 60}})
        gateway.create("/upstreams/backend/targets", target="slow.invalid:80")
        silent[0].peer()
        started = time.monotonic()
        assert getattr(gateway, how)() == 0
        assert time.monotonic() - started < 3
    finally:
        for each in silent:
            each.stop()


def test_probes_end_with_their_upstream(gateway, upstream):
    origin = upstream(plain(b"ok"))
    balance(gateway, [origin], healthchecks={"active": ACTIVE})
    origin.wait_for_requests(1)
    gateway.admin("DELETE", "/upstreams/backend")
    time.sleep(0.5)
    before = len(origin.requests)
    time.sleep(0.8)
    assert len(origin.requests) == before


# -- passive

PASSIVE = {"unhealthy": {"tcp_failures": 1, "timeouts": 1, "http_failures": 2, "http_statuses": [500]}}


def test_traffic_takes_a_dead_peer_out(gateway, upstream):
    held, port = dead_port()
    with held:
        balance(gateway, [upstream(plain(b"a")), port], healthchecks={"passive": PASSIVE})
        assert set(answers(gateway)) == {"a"}
        becomes(gateway, port, "UNHEALTHY")
        # Nothing but a mark brings it back.
        assert gateway.admin("PUT", f"/upstreams/backend/targets/127.0.0.1:{port}/healthy").status == 204
        assert states(gateway)[port] == "HEALTHY"


def test_statuses_count_and_504_is_a_time_out(gateway, upstream):
    bad, late = upstream(plain(b"", "500 Oh")), upstream(plain(b"", "504 Late"))
    balance(gateway, [upstream(plain(b"a")), bad, late], healthchecks={"passive": PASSIVE})
    statuses = [gateway.get().status for _ in range(30)]
    assert statuses.count(500) == 2 and statuses.count(504) == 1 and statuses.count(200) == 27
    assert states(gateway)[bad.port] == states(gateway)[late.port] == "UNHEALTHY"


def test_a_time_out_counts(gateway, upstream):
    silent = upstream(lambda peer: peer.wait_closed())
    balance(gateway, [upstream(plain(b"a")), silent], service={"read_timeout": 200}, healthchecks={"passive": PASSIVE})
    assert set(answers(gateway)) == {"a"}
    becomes(gateway, silent, "UNHEALTHY")
    assert len(silent.requests + silent.peers) == 1


def test_probes_bring_back_what_traffic_took_out(gateway, processes):
    a, b = processes("a", "b")
    balance(gateway, [a, b], healthchecks={"passive": PASSIVE, "active": {"unhealthy": {"interval": 0.2}, "healthy": {"successes": 2}}})
    b.kill()
    answers(gateway)
    becomes(gateway, b, "UNHEALTHY")
    b.restart()
    becomes(gateway, b, "HEALTHY")


def test_too_few_that_are_healthy_are_none(gateway, upstream):
    origins = [upstream(plain(b"a")) for _ in range(4)]
    balance(gateway, origins, healthchecks={"passive": PASSIVE, "threshold": 50})
    for i, origin in enumerate(origins[:2]):
        assert gateway.get().status == 200
        assert gateway.admin("PUT", f"/upstreams/backend/targets/127.0.0.1:{origin.port}/unhealthy").status == 204
    answer = gateway.get()
    assert answer.status == 503 and answer.json["message"] == "failure to get a peer from the ring-balancer"
    assert gateway.admin("GET", "/upstreams/backend/health?balancer_health=1").json["data"]["health"] == "UNHEALTHY"
    gateway.admin("PUT", f"/upstreams/backend/targets/127.0.0.1:{origins[0].port}/healthy")
    assert gateway.get().status == 200


def test_all_marked_out_and_back(gateway, upstream):
    origins = [upstream(plain(b"a")) for _ in range(3)]
    balance(gateway, origins, healthchecks={"passive": PASSIVE})
    for state, status in (("unhealthy", 503), ("healthy", 200)):
        for origin in origins:
            gateway.admin("PUT", f"/upstreams/backend/targets/127.0.0.1:{origin.port}/{state}")
        assert gateway.get().status == status


# -- outliers

def test_a_peer_that_fails_more_than_others_is_left_out_for_a_while(gateway, processes):
    a, b, c = processes("a", "b", "c")
    balance(gateway, [a, b, c], outlier_detection={"interval": 0.5, "min_requests": 5, "error_rate": 50, "ejection_time": 1})
    c.tell("/peer-status/500")
    statuses = []
    eventually(lambda: (statuses.append(gateway.get().status), states(gateway)[c.port] == "UNHEALTHY")[1], "c left out")
    assert 500 in statuses
    assert [gateway.get().status for _ in range(12)] == [200] * 12
    c.tell("/peer-status/200")
    becomes(gateway, c, "HEALTHY")
    assert "c" in answers(gateway)


def test_a_peer_that_is_slower_than_others_is_left_out(gateway, processes):
    a, b, c = processes("a", "b", "c")
    balance(gateway, [a, b, c], outlier_detection={"interval": 0.5, "min_requests": 3, "error_rate": 0, "latency_factor": 3, "min_latency": 20, "ejection_time": 5})
    c.tell("/peer-delay/0.08")
    eventually(lambda: (gateway.get(), states(gateway)[c.port] == "UNHEALTHY")[1], "c left out")
    assert set(answers(gateway)) == {"a", "b"}


def test_not_more_than_their_share_is_left_out(gateway, processes):
    peers = processes("a", "b", "c", "d")
    balance(gateway, peers, outlier_detection={"interval": 0.3, "min_requests": 3, "error_rate": 50, "ejection_time": 10, "max_ejected": 50})
    for peer in peers:
        peer.tell("/peer-status/500")
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        gateway.get()
    assert list(states(gateway).values()).count("UNHEALTHY") == 2


# -- circuit breaker

def hold(gateway, count):
    clients = [Client(gateway.proxy) for _ in range(count)]
    for client in clients:
        client.send(request_bytes("GET", "/"))
    return clients


def test_an_open_circuit_refuses_at_once(gateway, processes):
    a, = processes("a", delay=1.5)
    balance(gateway, [a], circuit_breaker={"max_connections": 2, "retry_after": 7})
    clients = hold(gateway, 2)
    time.sleep(0.3)
    started = time.monotonic()
    refused = gateway.get()
    assert time.monotonic() - started < 0.5
    assert refused.status == 503 and refused.headers.get("Retry-After") == "7"
    assert refused.json["message"] == "the circuit breaker of the upstream is open"
    assert [client.answer().status for client in clients] == [200, 200]
    assert gateway.get().status == 200


def test_too_many_that_wait_for_a_connection(gateway, upstream):
    # A listener whose queue is full: connections to it are neither made nor refused.
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    balance(gateway, [port], service={"connect_timeout": 1500, "retries": 0}, circuit_breaker={"max_pending_requests": 2})
    clients = hold(gateway, 2)
    time.sleep(0.3)
    refused = gateway.get()
    assert refused.status == 503 and refused.headers.get("Retry-After") == "1"
    assert [client.answer().status for client in clients] == [504, 504]
    for each in fillers + [listener]:
        each.close()


def test_a_budget_of_retries(gateway, upstream):
    """Twenty requests at once, all of whose peers fail: without a limit each is tried three times more."""
    cutting = [upstream(lambda peer: (peer.request(), time.sleep(0.2))) for _ in range(2)]
    balance(gateway, cutting, service={"retries": 3}, circuit_breaker={"retry_budget": 10})
    clients = hold(gateway, 20)
    assert {client.answer().status for client in clients} == {502}
    tries = sum(len(each.requests) for each in cutting)
    assert 20 < tries <= 35, tries
