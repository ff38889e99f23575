"""Stream routes over TLS: ended here, passed through, towards the service; and the PROXY protocol."""

import socket
import ssl
import struct
import time

import pytest

from support.certificates import certificate, issued
from support.stream_gateway import ask, connect, is_closed, new_lines, own, parsed, read_exactly, route, shown, tls, to
from support.streams import OpensslServer, TcpServer, s_client, says, server_context


# -- tls

def test_tls_is_ended_here_with_the_certificate_of_the_name(streams):
    pair = certificate("db.test")
    streams.create("/certificates", cert=pair.cert, key=pair.key, snis=["db.test"])
    with TcpServer() as server:
        route(streams, server.port, protocols=["tls"], snis=["db.test"])
        with tls(streams.ports.tls, "db.test", alpn=["h2", "x/1"]) as session:
            assert shown(session) == pair.cert.split()
            assert session.selected_alpn_protocol() is None
            ask(session, b"x" * 30_000)
        printed = s_client(streams.ports.tls, "-servername", "db.test", said=b"level\n")
        assert "CN = db.test" in printed and "level" in printed


def test_tls_routes_are_told_apart_by_name(streams):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b:
        route(streams, a.port, protocols=["tls"], snis=["a.test"])
        route(streams, b.port, protocols=["tls"], snis=["*.b.test"])
        for name, answer in (("a.test", b"A"), ("A.TEST", b"A"), ("x.b.test", b"B")):
            with tls(streams.ports.tls, name) as session:
                assert read_exactly(session, 1) == answer
        for name in ("c.test", None):
            with pytest.raises(OSError):
                tls(streams.ports.tls, name)


def test_a_route_for_tls_takes_no_plain_text(streams):
    with TcpServer() as server:
        route(streams, server.port, protocols=["tls"], sources=[{"ip": "127.0.0.1"}])
        with connect(streams.ports.tcp) as sock:
            assert is_closed(sock)
        with tls(streams.ports.tls) as session:
            ask(session)


def test_an_end_within_tls_is_passed_on(streams):
    with TcpServer(lambda connection: connection.sendall(b"all of it")) as server:
        route(streams, server.port, protocols=["tls"], snis=["a.test"])
        with tls(streams.ports.tls, "a.test") as session:
            assert session.makefile("rb").read() == b"all of it"


def test_passthrough_leads_to_two_real_servers_by_name(streams):
    a, b = certificate("a.test"), certificate("b.test")
    with OpensslServer(a) as first, OpensslServer(b) as second:
        route(streams, first.port, protocols=["tls_passthrough"], snis=["a.test"])
        route(streams, second.port, protocols=["tls_passthrough"], snis=["b.test"])
        for name, pair in (("a.test", a), ("b.test", b)):
            printed = s_client(streams.ports.tls, "-servername", name)
            assert f"CN = {name}" in printed and "cba" in printed, printed
            with tls(streams.ports.tls, name) as session:
                assert shown(session) == pair.cert.split()
                session.sendall(b"drawer\n")
                assert read_exactly(session, 7) == b"reward\n"


@pytest.mark.parametrize("protocol", ["tcp", "tls", "https"])
def test_what_passes_through_is_touched_by_no_protocol_of_the_service(streams, protocol):
    """A service that says tls gets the client's TLS, not another one around it."""
    pair = certificate("a.test")
    with TcpServer(context=server_context(pair)) as server:
        route(streams, server.port, {"protocol": protocol}, protocols=["tls_passthrough"], snis=["a.test"])
        with tls(streams.ports.tls, "a.test") as session:
            assert shown(session) == pair.cert.split()
            ask(session)


@pytest.mark.parametrize("protocol", ["tls", "https"])
def test_services_over_tls_are_spoken_to_over_tls(streams, protocol):
    with TcpServer(context=server_context(certificate("a.test"))) as server:
        route(streams, server.port, {"protocol": protocol}, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
            ask(sock)


def test_passthrough_and_termination_share_a_listener(streams):
    passed = certificate("a.test")
    with OpensslServer(passed) as far, TcpServer() as near:
        route(streams, far.port, protocols=["tls_passthrough"], snis=["a.test"])
        route(streams, near.port, protocols=["tls"], snis=["b.test"])
        with tls(streams.ports.tls, "a.test") as session:
            assert shown(session) == passed.cert.split()
        with tls(streams.ports.tls, "b.test") as session:
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


def test_a_greeting_in_small_pieces_and_many_records_is_read_and_passed_on_untouched(streams):
    with TcpServer() as server:
        route(streams, server.port, protocols=["tls_passthrough"], snis=["a.test"])
        whole = greeting("a.test")
        message = whole[5:]
        records = b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part
                           for part in (message[at:at + 50] for at in range(0, len(message), 50)))
        with connect(streams.ports.tls) as sock:
            for byte in records[:60]:
                sock.sendall(bytes([byte]))
            sock.sendall(records[60:])
            assert read_exactly(sock, len(records)) == records


def test_a_large_greeting_is_read(streams):
    with TcpServer() as server:
        route(streams, server.port, protocols=["tls_passthrough"], snis=["a.test"])
        large = greeting("a.test", padding=12_000)
        assert len(large) > 12_000
        with connect(streams.ports.tls) as sock:
            sock.sendall(large)
            assert read_exactly(sock, len(large)) == large


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x80\x2e\x01\x03\x01", b"\x16\x03\x01\x00\x00", bytes(range(256)),
                                     b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x16\x03\x01\x40\x00\x01\xff\xff\xff"])
def test_what_is_no_greeting_is_closed_at_once(streams, garbage):
    with TcpServer() as server:
        route(streams, server.port, settle=False, protocols=["tls"], sources=[{"ip": "127.0.0.1"}])
        with connect(streams.ports.tls) as sock:
            started = time.monotonic()
            sock.sendall(garbage)
            assert is_closed(sock)
            assert time.monotonic() - started < 0.5
        assert server.seen == []


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01\x02"])
def test_a_greeting_that_does_not_come_is_not_waited_for(streams, begin):
    with connect(streams.ports.tls) as sock:
        sock.sendall(begin)
        started = time.monotonic()
        assert is_closed(sock)
        assert 0.4 < time.monotonic() - started < 3


def test_one_byte_at_a_time_does_not_stretch_the_time(streams):
    whole = greeting("a.test")
    with connect(streams.ports.tls) as sock:
        started = time.monotonic()
        with pytest.raises(OSError):
            for byte in whole:
                sock.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - started < 4


# -- tls towards the service

def test_a_service_may_be_spoken_to_over_tls(streams):
    pair = issued("db.test")
    authority = streams.create("/ca_certificates", cert=certificate("authority.test", ca=True).cert)
    with TcpServer(context=server_context(pair)) as server:
        made, _ = route(streams, server.port, {"protocol": "tls"}, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
            ask(sock, b"y" * 50_000)
        # Verified by the name of the service, which its certificate does not have.
        streams.admin("PATCH", f"/services/{made['id']}", json={"tls_verify": True, "ca_certificates": [authority["id"]], "retries": 0})
        streams.settle()
        with connect(streams.ports.tcp) as sock:
            assert is_closed(sock)


def test_a_services_certificate_is_verified_for_the_clients_name_where_that_is_kept(streams):
    pair = issued("db.test")
    authority = streams.create("/ca_certificates", cert=certificate("authority.test", ca=True).cert)
    with TcpServer(context=server_context(pair)) as server:
        route(streams, server.port, {"protocol": "tls", "tls_verify": True, "ca_certificates": [authority["id"]], "retries": 0},
              protocols=["tls"], snis=["db.test", "other.test"], preserve_host=True)
        with tls(streams.ports.tls, "db.test") as session:
            ask(session)
        assert server.names[-1] == "db.test"
        with tls(streams.ports.tls, "other.test") as session:
            assert is_closed(session)


def test_an_openssl_server_behind_plain_text(streams):
    with OpensslServer(certificate("a.test")) as server:
        route(streams, server.port, {"protocol": "tls"}, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
            sock.sendall(b"drawer\n")
            assert read_exactly(sock, 7) == b"reward\n"


def test_plain_text_where_tls_is_wanted_is_502(streams):
    with TcpServer(says(b"220 hello\r\n")) as server:
        route(streams, server.port, {"protocol": "tls", "retries": 0}, destinations=to(streams.ports.tcp))
        lines = new_lines(streams)
        with connect(streams.ports.tcp) as sock:
            assert is_closed(sock)
        assert parsed(lines()[0])[2] == 502


# -- PROXY protocol

def test_a_trusted_peer_says_who_the_client_is(streams):
    with TcpServer(says(b"A")) as server:
        route(streams, server.port, sources=[{"ip": "203.0.113.9", "port": 777}])
        lines = new_lines(streams)
        with connect(streams.ports.told) as sock:
            sock.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.1 777 443\r\nhello")
            assert read_exactly(sock, 6) == b"Ahello"
        assert parsed(lines()[0])[0] == "203.0.113.9"


def test_the_second_version_of_the_header_before_a_greeting(streams):
    with TcpServer() as server:
        route(streams, server.port, protocols=["tls"], snis=["a.test"], sources=[{"ip": "203.0.113.0/24"}])
        header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton("203.0.113.9") + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 777, 443)
        sock = connect(streams.ports.told_tls)
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
def test_without_the_header_nothing_is_taken(streams, begin):
    with TcpServer() as server:
        route(streams, server.port, settle=False, sources=[{"ip": "127.0.0.1"}])
        with connect(streams.ports.told) as sock:
            sock.sendall(begin)
            assert is_closed(sock)
        assert server.seen == []
