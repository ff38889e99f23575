"""Stream routes on real sockets: tcp, tls, tls_passthrough and udp."""

import json
import os
import pathlib
import re
import selectors
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from support.certificates import certificate, issued
from support.dns import NameServer
from support.gateway import free_port
from support.streams import OpensslServer, TcpServer, UdpServer, echo, s_client, says, server_context
from support.waiting import eventually

TIMEOUT = 15


class Ports:
    """Where a gateway takes streams."""

    def __init__(self):
        self.tcp, self.tls, self.told, self.udp, self.told_tls = (free_port() for _ in range(5))

    @property
    def listen(self):
        return ", ".join(("127.0.0.1:%d" % self.tcp, "127.0.0.1:%d ssl backlog=4096" % self.tls, "127.0.0.1:%d proxy_protocol" % self.told,
                          "127.0.0.1:%d udp reuseport" % self.udp, "127.0.0.1:%d ssl proxy_protocol" % self.told_tls))


@pytest.fixture(scope="module")
def everything(private_for_module):
    ports = Ports()
    gateway = private_for_module(stream_listen=ports.listen, client_header_timeout="700ms", trusted_ips="127.0.0.0/8")
    gateway.ports = ports
    return gateway


@pytest.fixture
def node(everything):
    """The gateway that the tests share, without entities."""
    everything.clear()
    yield everything
    assert everything.alive(), everything.log()[-8000:]


def own(private, stream=None, **settings):
    """A gateway of a test's own."""
    ports = Ports()
    settings.setdefault("stream_listen", stream or ports.listen)
    gateway = private(**settings)
    gateway.ports = ports
    return gateway


def route(gateway, port, service=None, settle=True, **fields):
    """A service at `port` and a stream route to it; returns both."""
    if settle and not gateway.marked:
        gateway.settle()
    made = gateway.create("/services", **{"protocol": "tcp", "host": "127.0.0.1", "port": port, **(service or {})})
    fields.setdefault("protocols", ["tcp"])
    found = gateway.create("/routes", service={"id": made["id"]}, **fields)
    if settle:
        gateway.settle()
    return made, found


def to(port):
    return [{"port": port}]


def connect(port, **more):
    sock = socket.create_connection(("127.0.0.1", port), TIMEOUT, **more)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        assert more, f"closed after {len(data)} of {size} bytes: {data[:100]!r}"
        data += more
    return data


def ask(sock, data=b"hello"):
    sock.sendall(data)
    assert read_exactly(sock, len(data)) == data


def is_closed(sock):
    """Whether the other side has ended the connection, at the end or by a reset."""
    try:
        return sock.recv(65536) == b""
    except ConnectionResetError:
        return True


def tls(port, name=None, sock=None, alpn=None):
    """A TLS connection that takes any certificate; `certificate()` of it is the one it was shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context.wrap_socket(sock or connect(port), server_hostname=name)


def shown(session):
    return ssl.DER_cert_to_PEM_cert(session.getpeercert(True)).split()


def access_lines(gateway, wanted=1, name="prefix/logs/access.log"):
    """The lines of the stream's access log, once there are as many as are wanted."""
    path = gateway.directory / name

    def lines():
        found = path.read_text().splitlines() if path.exists() else []
        return found if len(found) >= wanted else None

    return eventually(lines, f"{wanted} lines in {path}")


def new_lines(gateway):
    """A function that waits for lines added from now on."""
    path = gateway.directory / "prefix/logs/access.log"
    time.sleep(1.2)  # lines of what came before are written once a second
    before = len(path.read_text().splitlines()) if path.exists() else 0
    return lambda wanted=1: access_lines(gateway, before + wanted)[before:]


BASIC = re.compile(r"(\S+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] (TCP|UDP) (\d{3}) (\d+) (\d+) (\d+\.\d{3})")


def parsed(line):
    found = BASIC.fullmatch(line)
    assert found, line
    ip, protocol, status, sent, received, seconds = found.groups()
    return ip, protocol, int(status), int(sent), int(received), float(seconds)


# -- tcp

def test_a_connection_is_carried_both_ways_and_logged(node):
    with TcpServer() as server:
        route(node, server.port, destinations=to(node.ports.tcp))
        lines = new_lines(node)
        with connect(node.ports.tcp) as sock:
            ask(sock, b"0123456789")
            ask(sock, b"abc")
        ip, protocol, status, sent, received, seconds = parsed(lines()[0])
        assert (ip, protocol, status, sent, received) == ("127.0.0.1", "TCP", 200, 13, 13)
        assert 0 <= seconds < 5


def test_a_server_that_speaks_first_is_heard(node):
    with TcpServer(says(b"220 ready\r\n")) as server:
        route(node, server.port, destinations=to(node.ports.tcp))
        with connect(node.ports.tcp) as sock:
            assert read_exactly(sock, 11) == b"220 ready\r\n"


def test_sources_destinations_and_their_precedence(node):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b, TcpServer(says(b"C")) as c:
        def answer(host):
            with connect(node.ports.tcp, source_address=(host, 0)) as sock:
                return read_exactly(sock, 1)

        route(node, a.port, destinations=to(node.ports.tcp))
        route(node, b.port, sources=[{"ip": "127.0.7.0/24"}], destinations=to(node.ports.tcp))
        route(node, c.port, sources=[{"ip": "127.0.7.9"}], destinations=[{"ip": "127.0.0.1", "port": node.ports.tcp}])
        assert answer("127.0.0.1") == b"A"
        assert answer("127.0.7.1") == b"B"
        assert answer("127.0.7.9") == b"C"


def test_a_source_port_can_be_asked_for(node):
    with TcpServer(says(b"A")) as server:
        wanted = free_port()
        route(node, server.port, sources=to(wanted))
        with connect(node.ports.tcp, source_address=("127.0.0.1", wanted)) as sock:
            assert read_exactly(sock, 1) == b"A"
        with connect(node.ports.tcp) as sock:
            assert is_closed(sock)


def test_without_a_route_or_a_service_the_connection_is_closed(node):
    lines = new_lines(node)
    with connect(node.ports.tcp) as sock:
        assert is_closed(sock)
    assert parsed(lines(1)[0])[2] == 500
    assert "no Route found with those values" in node.log("error.log")
    node.create("/routes", protocols=["tcp"], destinations=to(node.ports.tcp))
    node.settle()
    with connect(node.ports.tcp) as sock:
        assert is_closed(sock)
    assert parsed(lines(2)[1])[2] == 503
    assert "no Service found with those values" in node.log("error.log")


def test_routes_of_a_disabled_service_do_not_exist(node):
    with TcpServer() as server:
        made, _ = route(node, server.port, destinations=to(node.ports.tcp))
        node.admin("PATCH", f"/services/{made['id']}", json={"enabled": False})
        node.settle()
        with connect(node.ports.tcp) as sock:
            assert is_closed(sock)
        node.admin("PATCH", f"/services/{made['id']}", json={"enabled": True})
        node.settle()
        with connect(node.ports.tcp) as sock:
            ask(sock)


def test_routes_for_http_and_for_streams_do_not_meet(node, echo):
    with TcpServer() as server:
        node.route(echo)
        route(node, server.port, destinations=to(node.ports.tcp))
        assert node.get("/").status == 200
        with connect(node.ports.tcp) as sock:
            ask(sock, b"GET / HTTP/1.1\r\n\r\n")


def test_a_half_closed_connection_goes_on(node):
    def count(connection):
        total = 0
        while data := connection.recv(65536):
            total += len(data)
        connection.sendall(b"%d" % total)

    with TcpServer(count) as server:
        route(node, server.port, destinations=to(node.ports.tcp))
        with connect(node.ports.tcp) as sock:
            sock.sendall(b"x" * 100_000)
            sock.shutdown(socket.SHUT_WR)
            assert sock.makefile("rb").read() == b"100000"


def test_a_server_may_end_first_and_still_be_told(node):
    told = []

    def serve(connection):
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        told.append(connection.makefile("rb").read())

    with TcpServer(serve) as server:
        route(node, server.port, destinations=to(node.ports.tcp))
        with connect(node.ports.tcp) as sock:
            assert sock.makefile("rb").read() == b"bye"
            sock.sendall(b"late words")
        eventually(lambda: told == [b"late words"], "the server's having heard the client out")


def test_a_killed_upstream_ends_its_connections_at_once(node):
    with TcpServer() as server:
        route(node, server.port, destinations=to(node.ports.tcp))
        with connect(node.ports.tcp) as sock:
            ask(sock)
            started = time.monotonic()
            server.stop()
            assert is_closed(sock)
            assert time.monotonic() - started < 2


def test_a_client_that_resets_ends_the_upstream_connection(node):
    ended = []

    def serve(connection):
        try:
            echo(connection)
        except OSError:
            pass
        ended.append(True)

    with TcpServer(serve) as server:
        route(node, server.port, destinations=to(node.ports.tcp))
        sock = connect(node.ports.tcp)
        ask(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        eventually(lambda: ended, "the end of the upstream connection", 3)


def test_an_upstream_that_refuses_is_502(node):
    route(node, free_port(), {"retries": 1}, destinations=to(node.ports.tcp))
    lines = new_lines(node)
    with connect(node.ports.tcp) as sock:
        assert is_closed(sock)
    assert parsed(lines()[0])[2] == 502


def test_a_connection_has_to_be_made_in_time(node):
    # A full queue of connections drops what comes: as good as a host that is not there.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fill = []
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
            fill.append(sock)
        time.sleep(0.1)
        route(node, full.getsockname()[1], {"retries": 1, "connect_timeout": 300}, destinations=to(node.ports.tcp))
        lines = new_lines(node)
        with connect(node.ports.tcp) as sock:
            started = time.monotonic()
            assert is_closed(sock)
            assert 0.5 < time.monotonic() - started < 3, "two tries of 300 ms"
        assert parsed(lines()[0])[2] == 502
        for sock in fill:
            sock.close()


def test_what_is_idle_for_too_long_is_ended(node):
    with TcpServer() as server:
        route(node, server.port, {"read_timeout": 600}, destinations=to(node.ports.tcp))
        with connect(node.ports.tcp) as sock:
            for _ in range(4):
                time.sleep(0.35)
                ask(sock)  # words in time keep it open
            started = time.monotonic()
            assert is_closed(sock)
            assert 0.4 < time.monotonic() - started < 2.5


def test_retries_go_to_the_next_address_of_a_name(private):
    with NameServer() as names, TcpServer() as server:
        names.answers["two.test"] = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
        gateway = own(private, dns_resolver=names.address)
        route(gateway, server.port, {"host": "two.test"}, destinations=to(gateway.ports.tcp))
        for _ in range(6):
            with connect(gateway.ports.tcp) as sock:
                ask(sock)


def test_a_name_that_leads_nowhere_is_503(private):
    with NameServer() as names:
        gateway = own(private, dns_resolver=names.address)
        route(gateway, 1, {"host": "none.test"}, destinations=to(gateway.ports.tcp))
        with connect(gateway.ports.tcp) as sock:
            assert is_closed(sock)
        assert parsed(access_lines(gateway)[0])[2] == 503


# -- balancing

def upstream_of(gateway, targets, **fields):
    made = gateway.create("/upstreams", name="peers", **fields)
    for port in targets:
        gateway.create(f"/upstreams/{made['id']}/targets", target="127.0.0.1:%d" % port)
    return made


def test_connections_are_balanced_over_an_upstreams_targets(node):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b:
        upstream_of(node, [a.port, b.port])
        route(node, 1, {"host": "peers"}, destinations=to(node.ports.tcp))
        heard = []
        for _ in range(20):
            with connect(node.ports.tcp) as sock:
                heard.append(read_exactly(sock, 1))
        assert heard.count(b"A") == heard.count(b"B") == 10


def test_a_dead_target_costs_no_connection_and_is_left_out(node):
    with TcpServer(says(b"A")) as alive:
        made = upstream_of(node, [alive.port, free_port()], healthchecks={"passive": {"type": "tcp", "unhealthy": {"tcp_failures": 2}}})
        route(node, 1, {"host": "peers"}, destinations=to(node.ports.tcp))
        for _ in range(12):
            with connect(node.ports.tcp) as sock:
                assert read_exactly(sock, 1) == b"A"
        health = node.admin("GET", f"/upstreams/{made['id']}/health").json["data"]
        assert sorted(each["health"] for each in health) == ["HEALTHY", "UNHEALTHY"]


def test_open_connections_count_for_least_connections(node):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b:
        upstream_of(node, [a.port, b.port], algorithm="least-connections")
        route(node, 1, {"host": "peers"}, destinations=to(node.ports.tcp))
        open_ones, heard = [], []
        for _ in range(10):
            sock = connect(node.ports.tcp)
            heard.append(read_exactly(sock, 1))
            open_ones.append(sock)
        assert heard.count(b"A") == heard.count(b"B") == 5
        for sock, said in zip(open_ones, heard):
            if said == b"A":
                sock.close()
        time.sleep(0.3)
        more = []
        for _ in range(4):
            sock = connect(node.ports.tcp)
            more.append(read_exactly(sock, 1))
            open_ones.append(sock)
        assert more == [b"A"] * 4
        for sock in open_ones:
            sock.close()


def test_a_client_keeps_its_target_by_its_address(node):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b:
        upstream_of(node, [a.port, b.port], algorithm="consistent-hashing", hash_on="ip")
        route(node, 1, {"host": "peers"}, destinations=to(node.ports.tcp))
        heard = {}
        for last in range(1, 17):
            for _ in range(2):
                with connect(node.ports.tcp, source_address=("127.0.9.%d" % last, 0)) as sock:
                    heard.setdefault(last, set()).add(read_exactly(sock, 1))
        assert all(len(each) == 1 for each in heard.values())
        assert {next(iter(each)) for each in heard.values()} == {b"A", b"B"}


# -- tls

def test_tls_is_ended_here_with_the_certificate_of_the_name(node):
    pair = certificate("db.test")
    node.create("/certificates", cert=pair.cert, key=pair.key, snis=["db.test"])
    with TcpServer() as server:
        route(node, server.port, protocols=["tls"], snis=["db.test"])
        with tls(node.ports.tls, "db.test", alpn=["h2", "x/1"]) as session:
            assert shown(session) == pair.cert.split()
            assert session.selected_alpn_protocol() is None
            ask(session, b"x" * 30_000)
        printed = s_client(node.ports.tls, "-servername", "db.test", said=b"level\n")
        assert "CN = db.test" in printed and "level" in printed


def test_tls_routes_are_told_apart_by_name(node):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b:
        route(node, a.port, protocols=["tls"], snis=["a.test"])
        route(node, b.port, protocols=["tls"], snis=["*.b.test"])
        for name, answer in (("a.test", b"A"), ("A.TEST", b"A"), ("x.b.test", b"B")):
            with tls(node.ports.tls, name) as session:
                assert read_exactly(session, 1) == answer
        for name in ("c.test", None):
            with pytest.raises(OSError):
                tls(node.ports.tls, name)


def test_a_route_for_tls_takes_no_plain_text(node):
    with TcpServer() as server:
        route(node, server.port, protocols=["tls"], sources=[{"ip": "127.0.0.1"}])
        with connect(node.ports.tcp) as sock:
            assert is_closed(sock)
        with tls(node.ports.tls) as session:
            ask(session)


def test_an_end_within_tls_is_passed_on(node):
    with TcpServer(lambda connection: connection.sendall(b"all of it")) as server:
        route(node, server.port, protocols=["tls"], snis=["a.test"])
        with tls(node.ports.tls, "a.test") as session:
            assert session.makefile("rb").read() == b"all of it"


def test_passthrough_leads_to_two_real_servers_by_name(node):
    a, b = certificate("a.test"), certificate("b.test")
    with OpensslServer(a) as first, OpensslServer(b) as second:
        route(node, first.port, protocols=["tls_passthrough"], snis=["a.test"])
        route(node, second.port, protocols=["tls_passthrough"], snis=["b.test"])
        for name, pair in (("a.test", a), ("b.test", b)):
            printed = s_client(node.ports.tls, "-servername", name)
            assert f"CN = {name}" in printed and "cba" in printed, printed
            with tls(node.ports.tls, name) as session:
                assert shown(session) == pair.cert.split()
                session.sendall(b"drawer\n")
                assert read_exactly(session, 7) == b"reward\n"


def test_passthrough_and_termination_share_a_listener(node):
    passed = certificate("a.test")
    with OpensslServer(passed) as far, TcpServer() as near:
        route(node, far.port, protocols=["tls_passthrough"], snis=["a.test"])
        route(node, near.port, protocols=["tls"], snis=["b.test"])
        with tls(node.ports.tls, "a.test") as session:
            assert shown(session) == passed.cert.split()
        with tls(node.ports.tls, "b.test") as session:
            assert shown(session) != passed.cert.split()
            ask(session)


def greeting(name, padding=0):
    """The bytes a TLS client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if padding:
        context.set_alpn_protocols(["p" * 200 + str(i) for i in range(padding // 200)])
    out = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()


def test_a_greeting_in_small_pieces_and_many_records_is_read_and_passed_on_untouched(node):
    with TcpServer() as server:
        route(node, server.port, protocols=["tls_passthrough"], snis=["a.test"])
        whole = greeting("a.test")
        message = whole[5:]
        records = b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part
                           for part in (message[at:at + 50] for at in range(0, len(message), 50)))
        with connect(node.ports.tls) as sock:
            for byte in records[:60]:
                sock.sendall(bytes([byte]))
            sock.sendall(records[60:])
            assert read_exactly(sock, len(records)) == records


def test_a_large_greeting_is_read(node):
    with TcpServer() as server:
        route(node, server.port, protocols=["tls_passthrough"], snis=["a.test"])
        large = greeting("a.test", padding=12_000)
        assert len(large) > 12_000
        with connect(node.ports.tls) as sock:
            sock.sendall(large)
            assert read_exactly(sock, len(large)) == large


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x80\x2e\x01\x03\x01", b"\x16\x03\x01\x00\x00", bytes(range(256)),
                                     b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x16\x03\x01\x40\x00\x01\xff\xff\xff"])
def test_what_is_no_greeting_is_closed_at_once(node, garbage):
    with TcpServer() as server:
        route(node, server.port, settle=False, protocols=["tls"], sources=[{"ip": "127.0.0.1"}])
        with connect(node.ports.tls) as sock:
            started = time.monotonic()
            sock.sendall(garbage)
            assert is_closed(sock)
            assert time.monotonic() - started < 0.5
        assert server.seen == []


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01\x02"])
def test_a_greeting_that_does_not_come_is_not_waited_for(node, begin):
    with connect(node.ports.tls) as sock:
        sock.sendall(begin)
        started = time.monotonic()
        assert is_closed(sock)
        assert 0.4 < time.monotonic() - started < 3


def test_one_byte_at_a_time_does_not_stretch_the_time(node):
    whole = greeting("a.test")
    with connect(node.ports.tls) as sock:
        started = time.monotonic()
        with pytest.raises(OSError):
            for byte in whole:
                sock.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - started < 4


# -- tls towards the service

def test_a_service_may_be_spoken_to_over_tls(node):
    pair = issued("db.test")
    authority = node.create("/ca_certificates", cert=certificate("authority.test", ca=True).cert)
    with TcpServer(context=server_context(pair)) as server:
        made, _ = route(node, server.port, {"protocol": "tls"}, destinations=to(node.ports.tcp))
        with connect(node.ports.tcp) as sock:
            ask(sock, b"y" * 50_000)
        # Verified by the name of the service, which its certificate does not have.
        node.admin("PATCH", f"/services/{made['id']}", json={"tls_verify": True, "ca_certificates": [authority["id"]], "retries": 0})
        node.settle()
        with connect(node.ports.tcp) as sock:
            assert is_closed(sock)


def test_a_services_certificate_is_verified_for_the_clients_name_where_that_is_kept(node):
    pair = issued("db.test")
    authority = node.create("/ca_certificates", cert=certificate("authority.test", ca=True).cert)
    with TcpServer(context=server_context(pair)) as server:
        route(node, server.port, {"protocol": "tls", "tls_verify": True, "ca_certificates": [authority["id"]], "retries": 0},
              protocols=["tls"], snis=["db.test", "other.test"], preserve_host=True)
        with tls(node.ports.tls, "db.test") as session:
            ask(session)
        assert server.names[-1] == "db.test"
        with tls(node.ports.tls, "other.test") as session:
            assert is_closed(session)


def test_an_openssl_server_behind_plain_text(node):
    with OpensslServer(certificate("a.test")) as server:
        route(node, server.port, {"protocol": "tls"}, destinations=to(node.ports.tcp))
        with connect(node.ports.tcp) as sock:
            sock.sendall(b"drawer\n")
            assert read_exactly(sock, 7) == b"reward\n"


def test_plain_text_where_tls_is_wanted_is_502(node):
    with TcpServer(says(b"220 hello\r\n")) as server:
        route(node, server.port, {"protocol": "tls", "retries": 0}, destinations=to(node.ports.tcp))
        lines = new_lines(node)
        with connect(node.ports.tcp) as sock:
            assert is_closed(sock)
        assert parsed(lines()[0])[2] == 502


# -- PROXY protocol

def test_a_trusted_peer_says_who_the_client_is(node):
    with TcpServer(says(b"A")) as server:
        route(node, server.port, sources=[{"ip": "203.0.113.9", "port": 777}])
        lines = new_lines(node)
        with connect(node.ports.told) as sock:
            sock.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.1 777 443\r\nhello")
            assert read_exactly(sock, 6) == b"Ahello"
        assert parsed(lines()[0])[0] == "203.0.113.9"


def test_the_second_version_of_the_header_before_a_greeting(node):
    with TcpServer() as server:
        route(node, server.port, protocols=["tls"], snis=["a.test"], sources=[{"ip": "203.0.113.0/24"}])
        header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("203.0.113.9") + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 777, 443)
        sock = connect(node.ports.told_tls)
        sock.sendall(header)
        with tls(None, "a.test", sock=sock) as session:
            ask(session)


def test_who_is_not_trusted_speaks_for_himself(private):
    with TcpServer(says(b"A")) as server:
        gateway = own(private)
        route(gateway, server.port, sources=[{"ip": "127.0.0.1"}])
        with connect(gateway.ports.told) as sock:
            sock.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.1 777 443\r\nhello")
            assert read_exactly(sock, 6) == b"Ahello"


@pytest.mark.parametrize("begin", [b"hello, hello", b"PROXY TCP4 nowhere\r\n", b"PROXY " + b"x" * 200])
def test_without_the_header_nothing_is_taken(node, begin):
    with TcpServer() as server:
        route(node, server.port, settle=False, sources=[{"ip": "127.0.0.1"}])
        with connect(node.ports.told) as sock:
            sock.sendall(begin)
            assert is_closed(sock)
        assert server.seen == []


# -- udp

def datagrams(port=None):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.bind(("127.0.0.1", 0))
    if port:
        sock.connect(("127.0.0.1", port))
    return sock


def exchange(sock, data):
    sock.send(data)
    assert sock.recv(65536) == data


def test_datagrams_go_there_and_back(node):
    with UdpServer() as server:
        route(node, server.port, {"protocol": "udp", "read_timeout": 700}, protocols=["udp"], destinations=to(node.ports.udp))
        lines = new_lines(node)
        with datagrams(node.ports.udp) as a, datagrams(node.ports.udp) as b:
            for size in (1, 0, 100, 1472, 9000, 60_000):
                exchange(a, b"a" * size)
            exchange(b, b"bb")
        assert len({peer for peer, _ in server.seen}) == 2, "one session for each client"
        found = sorted((parsed(line) for line in lines(2)), key=lambda each: each[3])
        assert [each[1:5] for each in found] == [("UDP", 200, 2, 2), ("UDP", 200, 70573, 70573)]
        assert all(0.6 < each[5] < 4 for each in found)


def test_several_answers_to_one_datagram(node):
    with UdpServer(lambda data: [data + b"%d" % i for i in range(20)]) as server:
        route(node, server.port, protocols=["udp"], destinations=to(node.ports.udp))
        with datagrams(node.ports.udp) as sock:
            sock.send(b"x")
            assert [sock.recv(100) for _ in range(20)] == [b"x%d" % i for i in range(20)]


def test_a_session_outlives_its_configuration_until_it_is_idle(node):
    with UdpServer() as server:
        made, found = route(node, server.port, protocols=["udp"], destinations=to(node.ports.udp))
        with datagrams(node.ports.udp) as sock, datagrams(node.ports.udp) as other:
            exchange(sock, b"before")
            node.admin("DELETE", f"/routes/{found['id']}")
            node.admin("DELETE", f"/services/{made['id']}")
            node.settle()
            exchange(sock, b"after")
            other.settimeout(0.3)
            other.send(b"new")
            with pytest.raises(TimeoutError):
                other.recv(10)


def test_datagrams_that_nobody_wants_are_logged(node):
    lines = new_lines(node)
    with datagrams(node.ports.udp) as sock:
        sock.send(b"12345")
        assert parsed(lines()[0])[1:5] == ("UDP", 500, 0, 5)


def test_a_udp_service_that_is_gone_ends_the_session_and_the_next_is_a_new_one(node):
    with UdpServer() as server:
        made, _ = route(node, free_port(), protocols=["udp"], destinations=to(node.ports.udp))
        lines = new_lines(node)
        with datagrams(node.ports.udp) as sock:
            sock.send(b"x")
            assert parsed(lines()[0])[1:3] == ("UDP", 502)
            node.admin("PATCH", f"/services/{made['id']}", json={"port": server.port})
            node.settle()
            exchange(sock, b"y")


def test_many_udp_clients(node):
    with UdpServer() as server:
        route(node, server.port, {"read_timeout": 1000}, protocols=["udp"], destinations=to(node.ports.udp))
        socks = [datagrams(node.ports.udp) for _ in range(300)]
        for i, sock in enumerate(socks):
            exchange(sock, b"%d" % i)
        assert len({peer for peer, _ in server.seen}) == 300
        before = node.admin("GET", "/status").json["server"]["connections_active"]
        assert before >= 300
        eventually(lambda: node.admin("GET", "/status").json["server"]["connections_active"] < 10, "the end of idle sessions")
        for sock in socks:
            sock.close()


def test_the_number_of_udp_sessions_has_a_limit(private):
    with UdpServer() as server:
        gateway = own(private, client_max_connections=10, nginx_worker_processes=1)
        route(gateway, server.port, {"read_timeout": 1000}, protocols=["udp"], destinations=to(gateway.ports.udp))
        socks = [datagrams(gateway.ports.udp) for _ in range(12)]
        for sock in socks[:10]:
            exchange(sock, b"x")
        for sock in socks[10:]:
            sock.settimeout(0.2)
            sock.send(b"y")
            with pytest.raises(TimeoutError):
                sock.recv(10)
        for sock in socks[:10]:
            exchange(sock, b"x")  # those that are in stay in
        assert gateway.log("error.log").count("streams are open") == 1

        def again():
            socks[10].send(b"z")
            return socks[10].recv(10)

        eventually(again, "room when the others are idle")


def test_udp_by_a_name_waits_for_its_address(private):
    with NameServer() as names, UdpServer() as server:
        names.answers["u.test"] = ["127.0.0.1"]
        gateway = own(private, dns_resolver=names.address)
        route(gateway, server.port, {"host": "u.test"}, protocols=["udp"], destinations=to(gateway.ports.udp))
        with datagrams(gateway.ports.udp) as sock:
            for i in range(5):
                sock.send(b"%d" % i)
            assert [sock.recv(10) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_an_answer_comes_from_the_address_that_was_asked(private):
    port = free_port()
    with UdpServer() as server:
        gateway = own(private, stream=f"0.0.0.0:{port} udp")
        route(gateway, server.port, protocols=["udp"], destinations=[{"ip": "127.0.3.3"}])
        with datagrams() as sock:
            sock.sendto(b"x", ("127.0.3.3", port))
            assert sock.recvfrom(10) == (b"x", ("127.0.3.3", port))


def test_udp_over_ipv6(private):
    port = free_port()
    with UdpServer() as server:
        gateway = own(private, stream=f"[::]:{port} udp ipv6only=off")
        route(gateway, server.port, protocols=["udp"], destinations=to(port))
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.sendto(b"six", ("::1", port))
            assert sock.recvfrom(10)[0] == b"six"
        with datagrams(port) as sock:
            exchange(sock, b"four")


# -- life

def test_connections_live_through_configuration_changes(node):
    with TcpServer() as server:
        made, found = route(node, server.port, destinations=to(node.ports.tcp))
        with connect(node.ports.tcp) as sock:
            ask(sock)
            node.admin("DELETE", f"/routes/{found['id']}")
            node.admin("DELETE", f"/services/{made['id']}")
            node.settle()
            ask(sock, b"still here")
            with connect(node.ports.tcp) as other:
                assert is_closed(other)
            ask(sock, b"and here")


def test_connections_live_through_a_reload_and_new_ones_are_taken_meanwhile(private):
    with TcpServer() as server, UdpServer() as answers:
        gateway = own(private)
        route(gateway, server.port, destinations=to(gateway.ports.tcp))
        route(gateway, answers.port, protocols=["udp"], destinations=to(gateway.ports.udp))
        with connect(gateway.ports.tcp) as old, datagrams(gateway.ports.udp) as sock:
            ask(old)
            exchange(sock, b"1")
            for _ in range(3):
                gateway.process.send_signal(signal.SIGHUP)
                for _ in range(20):
                    with connect(gateway.ports.tcp) as new:
                        ask(new)
            eventually(lambda: gateway.log("error.log").count(": reloaded") >= 3, "three reloads")
            ask(old, b"old")
            exchange(sock, b"2")
            with connect(gateway.ports.tcp) as new:
                ask(new)


def test_a_listener_can_be_added_and_taken_away_by_a_reload(private):
    with TcpServer() as server:
        first, second = free_port(), free_port()
        gateway = own(private, stream=f"127.0.0.1:{first}")
        route(gateway, server.port, sources=[{"ip": "127.0.0.1"}])
        gateway.settings["stream_listen"] = f"127.0.0.1:{second}"
        config = gateway.directory / "sluice.conf"
        config.write_text("".join(f"{k} = {v}\n" for k, v in gateway.settings.items() if v is not None))
        gateway.process.send_signal(signal.SIGHUP)

        def moved():
            with connect(second) as sock:
                ask(sock)
            try:
                connect(first).close()
            except ConnectionRefusedError:
                return True

        eventually(moved, "the other port")


def test_quit_waits_for_connections_and_term_does_not(private):
    with TcpServer() as server:
        gateway = own(private)
        route(gateway, server.port, destinations=to(gateway.ports.tcp))
        with connect(gateway.ports.tcp) as sock:
            ask(sock)
            gateway.process.send_signal(signal.SIGQUIT)
            eventually(lambda: refuses(gateway.ports.tcp), "the closed port")
            ask(sock, b"to the end")
            time.sleep(0.5)
            assert gateway.alive()
        assert gateway.process.wait(10) == 0
        gateway.start()
        gateway.marked = False
        gateway.settle()
        with connect(gateway.ports.tcp) as sock, UdpServer() as answers:
            ask(sock)
            route(gateway, answers.port, protocols=["udp"], destinations=to(gateway.ports.udp))
            with datagrams(gateway.ports.udp) as asking:
                exchange(asking, b"x")
                started = time.monotonic()
                assert gateway.stop() == 0
                assert time.monotonic() - started < 3
            assert is_closed(sock)


def refuses(port):
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True


def test_what_is_still_being_opened_ends_soon_after_quit(private):
    gateway = own(private)
    with connect(gateway.ports.tls):
        time.sleep(0.2)
        started = time.monotonic()
        assert gateway.stop_gracefully() == 0
        assert time.monotonic() - started < 4


# -- much

@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_much_data_with_flat_memory(node, kind):
    size = 256 << 20

    def swallow(connection):
        got = 0
        while data := connection.recv(1 << 20):
            got += len(data)
        connection.sendall(b"%d" % got)

    def pour(connection):
        block = b"z" * (1 << 20)
        for _ in range(size >> 20):
            connection.sendall(block)

    with TcpServer(swallow) as sink, TcpServer(pour) as source:
        listener = node.ports.tls if kind == "tls" else node.ports.tcp
        names = {"snis": ["up.test"]} if kind == "tls" else {"sources": [{"ip": "127.0.8.1"}]}
        route(node, sink.port, protocols=[kind], **names)
        names = {"snis": ["down.test"]} if kind == "tls" else {"sources": [{"ip": "127.0.8.2"}]}
        route(node, source.port, protocols=[kind], **names)

        def opened(name, host):
            sock = connect(listener, source_address=(host, 0))
            return tls(None, name, sock=sock) if kind == "tls" else sock

        before = node.memory()
        with opened("up.test", "127.0.8.1") as sock:
            block = b"y" * (1 << 20)
            started = time.monotonic()
            for _ in range(size >> 20):
                sock.sendall(block)
            if kind == "tcp":  # in TLS nobody but the end of the connection says that all is there
                sock.shutdown(socket.SHUT_WR)
                assert sock.makefile("rb").read() == b"%d" % size
            up = size / (time.monotonic() - started) / 1e6
        with opened("down.test", "127.0.8.2") as sock:
            started = time.monotonic()
            got = 0
            while data := sock.recv(1 << 20):
                got += len(data)
            down = size / (time.monotonic() - started) / 1e6
        assert got == size
        grown = node.memory() - before
        print(f"{kind}: up {up:.0f} MB/s, down {down:.0f} MB/s, memory +{grown >> 10} KiB")
        assert grown < 6 << 20


@pytest.mark.slow
def test_a_reader_that_stops_holds_its_writer_and_no_memory(node):
    sent = []

    def pour(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.settimeout(1)
        block = b"z" * 65536
        try:
            while True:
                connection.sendall(block)
                sent.append(len(block))
        except TimeoutError:
            pass

    with TcpServer(pour) as server:
        route(node, server.port, destinations=to(node.ports.tcp))
        before = node.memory()
        socks = []
        for _ in range(8):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            sock.connect(("127.0.0.1", node.ports.tcp))
            socks.append(sock)
        time.sleep(2.5)
        assert sum(sent) < 8 * (12 << 20), "what the kernel's buffers hold, and no more"
        assert node.memory() - before < 4 << 20
        for sock in socks:
            sock.close()


@pytest.mark.slow
def test_a_thousand_connections_at_once(node):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    listener.setblocking(False)
    picked = selectors.DefaultSelector()
    picked.register(listener, selectors.EVENT_READ)
    stopping = threading.Event()

    def serve():
        while not stopping.is_set():
            for key, _ in picked.select(0.1):
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    picked.register(connection, selectors.EVENT_READ)
                    continue
                data = key.fileobj.recv(4096)
                if data:
                    key.fileobj.sendall(data)
                else:
                    picked.unregister(key.fileobj)
                    key.fileobj.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        route(node, listener.getsockname()[1], destinations=to(node.ports.tcp))
        before = node.memory()
        socks = [connect(node.ports.tcp) for _ in range(1000)]
        for turn in range(3):
            for i, sock in enumerate(socks):
                sock.sendall(b"%d/%d" % (turn, i))
            for i, sock in enumerate(socks):
                expected = b"%d/%d" % (turn, i)
                assert read_exactly(sock, len(expected)) == expected
        held = (node.memory() - before) / 1000
        print(f"{held / 1024:.1f} KiB for a connection")
        assert held < 24 * 1024
        assert node.admin("GET", "/status").json["server"]["connections_active"] >= 1000
        for sock in socks:
            sock.close()
        eventually(lambda: node.admin("GET", "/status").json["server"]["connections_active"] < 10, "the end of all connections")
    finally:
        stopping.set()
        server.join()
        listener.close()


# -- settings

@pytest.mark.parametrize("listen, reason", [
    ("127.0.0.1:1 http2", "stream_listen must be of form"),
    ("127.0.0.1:1 deferred", "stream_listen must be of form"),
    ("127.0.0.1", "stream_listen must be of form"),
    ("127.0.0.1:1 udp ssl", "udp and ssl do not go together"),
    ("127.0.0.1:1 udp proxy_protocol", "udp and proxy_protocol do not go together"),
    ("127.0.0.1:1 udp so_keepalive=on", "udp and so_keepalive do not go together"),
])
def test_listeners_that_cannot_be(program, listen, reason, tmp_path):
    config = tmp_path / "sluice.conf"
    config.write_text(f"prefix = {tmp_path}\nstream_listen = {listen}\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    done = subprocess.run([str(program), "check", str(config)], capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert reason in done.stdout + done.stderr and "stream_listen" in done.stdout + done.stderr


def test_flags_of_connections_are_taken(private):
    port = free_port()
    with TcpServer() as server:
        gateway = own(private, stream=f"127.0.0.1:{port} so_keepalive=5m:10s:4 bind reuseport backlog=64 ipv6only=on")
        route(gateway, server.port, sources=[{"ip": "127.0.0.1"}])
        with connect(port) as sock:
            ask(sock)
            timers = pathlib.Path("/proc/net/tcp").read_text()
            mine = "%04X" % sock.getsockname()[1]
            line = next(each for each in timers.splitlines() if each.split()[1].endswith(":%04X" % port) and each.split()[2].endswith(":" + mine))
            assert line.split()[5].startswith("02:"), "a keep-alive timer runs"


def test_streams_are_logged_as_json_where_requests_are(private):
    with TcpServer() as server:
        gateway = own(private, access_log_format="json", proxy_stream_access_log="logs/streams.log basic")
        pair = certificate("a.test")
        gateway.create("/certificates", cert=pair.cert, key=pair.key, snis=["a.test"])
        route(gateway, server.port, {"name": "s"}, protocols=["tls"], snis=["a.test"], name="r")
        with tls(gateway.ports.tls, "a.test") as session:
            ask(session)
        entry = json.loads(access_lines(gateway, name="prefix/logs/streams.log")[0])
        assert {k: entry[k] for k in ("client_ip", "protocol", "status", "bytes_sent", "bytes_received", "sni", "service", "route", "upstream")} == {
            "client_ip": "127.0.0.1", "protocol": "TCP", "status": 200, "bytes_sent": 5, "bytes_received": 5, "sni": "a.test", "service": "s",
            "route": "r", "upstream": "127.0.0.1:%d" % server.port}


def test_connections_over_a_unix_socket(private):
    with tempfile.TemporaryDirectory() as folder, TcpServer() as server:
        path = f"{folder}/s.sock"
        gateway = own(private, stream=f"unix:{path}")
        route(gateway, server.port, destinations=to(0))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(path)
            ask(sock)
        assert parsed(access_lines(gateway)[0])[0] == "unix:"
