"""Plugins on streams: file-log's record of each, which rows apply, and which plugins take none."""

import time

import pytest

from support.gateway import free_port
from support.records import Log
from support.stream_gateway import ask, connect, datagrams, exchange, is_closed, route, tls, to
from support.streams import TcpServer, UdpServer, server_context
from support.certificates import certificate
from support.upstreams import dead_port

STREAMS = ["tcp", "tls", "tls_passthrough", "udp"]
FIELDS = {"session", "upstream", "latencies", "tries", "route", "service", "client_ip", "started_at", "workspace", "workspace_name"}


@pytest.fixture
def log_at(streams):
    """log_at(place, protocols): file-log at a place ("/plugins", "/routes/x/plugins"); gives its log."""

    def make(place="/plugins", protocols=STREAMS, **more):
        log = Log(streams.directory / f"streams-{time.monotonic_ns()}.log")
        streams.create(place, name="file-log", protocols=protocols, config={"path": str(log.path)}, **more)
        streams.settle()
        return log

    return make


def test_a_connection_is_recorded_field_by_field(streams, log_at):
    before = time.time() * 1000
    with TcpServer() as server:
        service, made = route(streams, server.port, destinations=to(streams.ports.tcp))
        log = log_at(f"/routes/{made['id']}/plugins", ["tcp"])
        with connect(streams.ports.tcp) as sock:
            ask(sock, b"0123456789")
            time.sleep(0.2)
        [record] = log.records()
    assert set(record) == FIELDS
    assert record["session"] == {"received": 10, "sent": 10, "status": 200, "server_port": streams.ports.tcp}
    assert record["upstream"] == {"received": 10, "sent": 10}
    assert set(record["latencies"]) == {"kong", "session"}
    assert 0 <= record["latencies"]["kong"] < 150 < record["latencies"]["session"] < 10_000
    [attempt] = record["tries"]
    assert set(attempt) == {"ip", "port", "balancer_start", "balancer_start_ns", "balancer_latency", "balancer_latency_ns"}
    assert (attempt["ip"], attempt["port"]) == ("127.0.0.1", server.port)
    assert before - 1000 <= record["started_at"] <= attempt["balancer_start"] + 1 <= time.time() * 1000 + 1000
    assert record["route"] == streams.admin("GET", f"/routes/{made['id']}").json
    assert record["service"] == streams.admin("GET", f"/services/{service['id']}").json
    assert (record["client_ip"], record["workspace_name"]) == ("127.0.0.1", "default")


def test_tls_that_ends_here_is_told(streams, log_at):
    with TcpServer() as server:
        _, made = route(streams, server.port, protocols=["tls"], snis=["a.test"])
        log = log_at(f"/routes/{made['id']}/plugins", ["tls"])
        with tls(streams.ports.tls, "a.test") as session:
            ask(session, b"hello")
            version, cipher = session.version(), session.cipher()[0]
        record = log.records()[0]
    assert record["session"]["tls"] == {"version": version, "cipher": cipher, "client_verify": "NONE"}
    assert (record["session"]["received"], record["session"]["sent"]) == (5, 5), "of what was said inside TLS"


def test_tls_that_passes_through_is_only_bytes(streams, log_at):
    with TcpServer(context=server_context(certificate("b.test"))) as server:
        _, made = route(streams, server.port, protocols=["tls_passthrough"], snis=["b.test"])
        log = log_at(f"/routes/{made['id']}/plugins", ["tls_passthrough"])
        with tls(streams.ports.tls, "b.test") as session:
            ask(session, b"hello")
        record = log.records()[0]
    assert "tls" not in record["session"]
    assert record["session"]["received"] > 200


def test_a_udp_session_is_recorded_at_its_end(streams, log_at):
    with UdpServer() as server:
        _, made = route(streams, server.port, {"protocol": "udp", "read_timeout": 300}, protocols=["udp"], destinations=to(streams.ports.udp))
        log = log_at(f"/routes/{made['id']}/plugins", ["udp"])
        with datagrams(streams.ports.udp) as sock:
            exchange(sock, b"one")
            exchange(sock, b"three")
            record = log.records()[0]
    assert record["session"] == {"received": 8, "sent": 8, "status": 200, "server_port": streams.ports.udp}
    assert record["upstream"] == {"received": 8, "sent": 8}
    assert [t["port"] for t in record["tries"]] == [server.port]


def test_tries_that_failed_are_told(streams, log_at):
    sock, port = dead_port()
    with sock:
        _, made = route(streams, port, {"retries": 1}, destinations=to(streams.ports.tcp))
        log = log_at(f"/routes/{made['id']}/plugins", ["tcp"])
        with connect(streams.ports.tcp) as client:
            assert is_closed(client)
        record = log.records()[0]
    assert record["session"]["status"] == 502
    assert [(t["port"], t["state"], t["code"]) for t in record["tries"]] == [(port, "failed", 502)] * 2
    assert record["upstream"] == {"received": "0, 0", "sent": "0, 0"}


def test_datagrams_nobody_takes_are_told(streams, log_at):
    port = free_port()
    _, made = route(streams, port, {"protocol": "udp", "retries": 0}, protocols=["udp"], destinations=to(streams.ports.udp))
    log = log_at(f"/routes/{made['id']}/plugins", ["udp"])
    with datagrams(streams.ports.udp) as sock:
        sock.send(b"x")
        record = log.records()[0]
    assert (record["session"]["status"], record["session"]["received"]) == (502, 1)
    assert [t["code"] for t in record["tries"]] == [502]


def test_rows_for_all_tell_of_streams_without_a_route(streams, log_at):
    log = log_at()
    with connect(streams.ports.tcp) as sock:
        assert is_closed(sock)
    with connect(streams.ports.tls) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert is_closed(sock)
    with datagrams(streams.ports.udp) as sock:
        sock.send(b"x")
        records = log.records(3)
    assert [r["session"]["status"] for r in records] == [500, 400, 500]
    for record in records:
        assert set(record) == FIELDS - {"tries", "route", "service"}
        assert record["upstream"] == {}


def test_a_route_without_a_service_has_its_plugins(streams, log_at):
    made = streams.create("/routes", protocols=["tcp"], destinations=to(streams.ports.tcp))
    log = log_at(f"/routes/{made['id']}/plugins", ["tcp"])
    with connect(streams.ports.tcp) as sock:
        assert is_closed(sock)
    record = log.records()[0]
    assert (record["session"]["status"], record["route"]["id"]) == (503, made["id"])
    assert "service" not in record


def test_the_most_specific_row_runs(streams, log_at):
    """Route and service, route, service, all: one of them, as for requests."""
    with TcpServer() as server:
        service, made = route(streams, server.port, destinations=to(streams.ports.tcp))

        def grows(log):
            before = len(log.lines())
            with connect(streams.ports.tcp) as sock:
                ask(sock)
            log.records(before + 1)

        logs = []
        for place, more in (("/plugins", {}), (f"/services/{service['id']}/plugins", {}), (f"/routes/{made['id']}/plugins", {}),
                            (f"/routes/{made['id']}/plugins", {"service": {"id": service["id"]}})):
            log = log_at(place, ["tcp"], **more)
            grows(log)
            logs.append(log)
        assert [len(log.lines()) for log in logs] == [1, 1, 1, 1]


def test_a_row_for_http_does_not_hide_one_for_streams(streams, log_at):
    """A row without a stream protocol does not exist for streams: the broader one applies."""
    with TcpServer() as server:
        service, _ = route(streams, server.port, destinations=to(streams.ports.tcp))
        everywhere = log_at("/plugins", ["tcp", "http"])
        streams.create("/routes", service={"id": service["id"]}, protocols=["http"], paths=["/"])
        of_http = log_at(f"/services/{service['id']}/plugins", ["http"])
        streams.settle()
        with connect(streams.ports.tcp) as sock:
            ask(sock)
        everywhere.records(1)
        assert not of_http.lines()


def test_rows_for_a_consumer_never_apply(streams, log_at):
    consumer = streams.create("/consumers", username="nobody-logs-in")
    of_consumer = log_at(protocols=["tcp"], consumer={"id": consumer["id"]})
    everywhere = log_at(protocols=["tcp"])
    with TcpServer() as server:
        route(streams, server.port, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
            ask(sock)
        everywhere.records(1)
    assert not of_consumer.lines()


def test_a_session_keeps_the_plugins_it_began_with(streams, log_at):
    with TcpServer() as server:
        _, made = route(streams, server.port, destinations=to(streams.ports.tcp))
        log = log_at(f"/routes/{made['id']}/plugins", ["tcp"])
        with connect(streams.ports.tcp) as sock:
            ask(sock)
            row = streams.admin("GET", f"/routes/{made['id']}/plugins").json["data"][0]
            streams.admin("DELETE", f"/plugins/{row['id']}")
            streams.admin("DELETE", f"/routes/{made['id']}")
            streams.settle()
            ask(sock)
        assert log.records()[0]["route"]["id"] == made["id"]


def test_plugins_for_http_take_no_stream_protocols(streams):
    for name in ("key-auth", "correlation-id", "request-termination"):
        answer = streams.admin("POST", "/plugins", json={"name": name, "protocols": ["tcp"]})
        assert answer.status == 400
        assert answer.json["fields"] == {"protocols": ["expected one of: grpc, grpcs, http, https"]}
