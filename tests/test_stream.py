"""Stream routes on real sockets: tcp, over one service and over the targets of an upstream; life, crowds, settings."""

import json
import os
import pathlib
import selectors
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from support.certificates import certificate
from support.dns import NameServer
from support.gateway import free_port
from support.stream_gateway import TIMEOUT, access_lines, ask, connect, datagrams, exchange, is_closed, new_lines, own, parsed, read_exactly, route, tls, to
from support.streams import TcpServer, UdpServer, echo, says
from support.waiting import eventually


# -- tcp

def test_a_connection_is_carried_both_ways_and_logged(streams):
    with TcpServer() as server:
        route(streams, server.port, destinations=to(streams.ports.tcp))
        lines = new_lines(streams)
        with connect(streams.ports.tcp) as sock:
            ask(sock, b"0123456789")
            ask(sock, b"abc")
        ip, protocol, status, sent, received, seconds = parsed(lines()[0])
        assert (ip, protocol, status, sent, received) == ("127.0.0.1", "TCP", 200, 13, 13)
        assert 0 <= seconds < 5


def test_a_server_that_speaks_first_is_heard(streams):
    with TcpServer(says(b"220 ready\r\n")) as server:
        route(streams, server.port, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
            assert read_exactly(sock, 11) == b"220 ready\r\n"


def test_sources_destinations_and_their_precedence(streams):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b, TcpServer(says(b"C")) as c:
        def answer(host):
            with connect(streams.ports.tcp, source_address=(host, 0)) as sock:
                return read_exactly(sock, 1)

        route(streams, a.port, destinations=to(streams.ports.tcp))
        route(streams, b.port, sources=[{"ip": "127.0.7.0/24"}], destinations=to(streams.ports.tcp))
        route(streams, c.port, sources=[{"ip": "127.0.7.9"}], destinations=[{"ip": "127.0.0.1", "port": streams.ports.tcp}])
        assert answer("127.0.0.1") == b"A"
        assert answer("127.0.7.1") == b"B"
        assert answer("127.0.7.9") == b"C"


def test_a_source_port_can_be_asked_for(streams):
    with TcpServer(says(b"A")) as server:
        wanted = free_port()
        route(streams, server.port, sources=to(wanted))
        with connect(streams.ports.tcp, source_address=("127.0.0.1", wanted)) as sock:
            assert read_exactly(sock, 1) == b"A"
        with connect(streams.ports.tcp) as sock:
            assert is_closed(sock)


def test_without_a_route_or_a_service_the_connection_is_closed(streams):
    lines = new_lines(streams)
    with connect(streams.ports.tcp) as sock:
        assert is_closed(sock)
    assert parsed(lines(1)[0])[2] == 500
    assert "no Route found with those values" in streams.log("error.log")
    streams.create("/routes", protocols=["tcp"], destinations=to(streams.ports.tcp))
    streams.settle()
    with connect(streams.ports.tcp) as sock:
        assert is_closed(sock)
    assert parsed(lines(2)[1])[2] == 503
    assert "no Service found with those values" in streams.log("error.log")


def test_routes_of_a_disabled_service_do_not_exist(streams):
    with TcpServer() as server:
        made, _ = route(streams, server.port, destinations=to(streams.ports.tcp))
        streams.admin("PATCH", f"/services/{made['id']}", json={"enabled": False})
        streams.settle()
        with connect(streams.ports.tcp) as sock:
            assert is_closed(sock)
        streams.admin("PATCH", f"/services/{made['id']}", json={"enabled": True})
        streams.settle()
        with connect(streams.ports.tcp) as sock:
            ask(sock)


def test_routes_for_http_and_for_streams_do_not_meet(streams, echo):
    with TcpServer() as server:
        streams.route(echo)
        route(streams, server.port, destinations=to(streams.ports.tcp))
        assert streams.get("/").status == 200
        with connect(streams.ports.tcp) as sock:
            ask(sock, b"GET / HTTP/1.1\r\n\r\n")


def test_a_half_closed_connection_goes_on(streams):
    def count(connection):
        total = 0
        while data := connection.recv(65536):
            total += len(data)
        connection.sendall(b"%d" % total)

    with TcpServer(count) as server:
        route(streams, server.port, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
            sock.sendall(b"x" * 100_000)
            sock.shutdown(socket.SHUT_WR)
            assert sock.makefile("rb").read() == b"100000"


def test_a_server_may_end_first_and_still_be_told(streams):
    told = []

    def serve(connection):
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        told.append(connection.makefile("rb").read())

    with TcpServer(serve) as server:
        route(streams, server.port, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
            assert sock.makefile("rb").read() == b"bye"
            sock.sendall(b"late words")
        eventually(lambda: told == [b"late words"], "the server's having heard the client out")


def test_a_killed_upstream_ends_its_connections_at_once(streams):
    with TcpServer() as server:
        route(streams, server.port, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
            ask(sock)
            started = time.monotonic()
            server.stop()
            assert is_closed(sock)
            assert time.monotonic() - started < 2


def test_a_client_that_resets_ends_the_upstream_connection(streams):
    ended = []

    def serve(connection):
        try:
            echo(connection)
        except OSError:
            pass
        ended.append(True)

    with TcpServer(serve) as server:
        route(streams, server.port, destinations=to(streams.ports.tcp))
        sock = connect(streams.ports.tcp)
        ask(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        eventually(lambda: ended, "the end of the upstream connection", 3)


def test_an_upstream_that_refuses_is_502(streams):
    route(streams, free_port(), {"retries": 1}, destinations=to(streams.ports.tcp))
    lines = new_lines(streams)
    with connect(streams.ports.tcp) as sock:
        assert is_closed(sock)
    assert parsed(lines()[0])[2] == 502


def test_a_connection_has_to_be_made_in_time(streams):
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
        route(streams, full.getsockname()[1], {"retries": 1, "connect_timeout": 300}, destinations=to(streams.ports.tcp))
        lines = new_lines(streams)
        with connect(streams.ports.tcp) as sock:
            started = time.monotonic()
            assert is_closed(sock)
            assert 0.5 < time.monotonic() - started < 3, "two tries of 300 ms"
        assert parsed(lines()[0])[2] == 502
        for sock in fill:
            sock.close()


def test_what_is_idle_for_too_long_is_ended(streams):
    with TcpServer() as server:
        route(streams, server.port, {"read_timeout": 600}, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
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


def test_connections_are_balanced_over_an_upstreams_targets(streams):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b:
        upstream_of(streams, [a.port, b.port])
        route(streams, 1, {"host": "peers"}, destinations=to(streams.ports.tcp))
        heard = []
        for _ in range(20):
            with connect(streams.ports.tcp) as sock:
                heard.append(read_exactly(sock, 1))
        assert heard.count(b"A") == heard.count(b"B") == 10


def test_a_dead_target_costs_no_connection_and_is_left_out(streams):
    with TcpServer(says(b"A")) as alive:
        made = upstream_of(streams, [alive.port, free_port()], healthchecks={"passive": {"type": "tcp", "unhealthy": {"tcp_failures": 2}}})
        route(streams, 1, {"host": "peers"}, destinations=to(streams.ports.tcp))
        for _ in range(12):
            with connect(streams.ports.tcp) as sock:
                assert read_exactly(sock, 1) == b"A"
        health = streams.admin("GET", f"/upstreams/{made['id']}/health").json["data"]
        assert sorted(each["health"] for each in health) == ["HEALTHY", "UNHEALTHY"]


def test_open_connections_count_for_least_connections(streams):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b:
        upstream_of(streams, [a.port, b.port], algorithm="least-connections")
        route(streams, 1, {"host": "peers"}, destinations=to(streams.ports.tcp))
        open_ones, heard = [], []
        for _ in range(10):
            sock = connect(streams.ports.tcp)
            heard.append(read_exactly(sock, 1))
            open_ones.append(sock)
        assert heard.count(b"A") == heard.count(b"B") == 5
        for sock, said in zip(open_ones, heard):
            if said == b"A":
                sock.close()
        time.sleep(0.3)
        more = []
        for _ in range(4):
            sock = connect(streams.ports.tcp)
            more.append(read_exactly(sock, 1))
            open_ones.append(sock)
        assert more == [b"A"] * 4
        for sock in open_ones:
            sock.close()


def test_a_client_keeps_its_target_by_its_address(streams):
    with TcpServer(says(b"A")) as a, TcpServer(says(b"B")) as b:
        upstream_of(streams, [a.port, b.port], algorithm="consistent-hashing", hash_on="ip")
        route(streams, 1, {"host": "peers"}, destinations=to(streams.ports.tcp))
        heard = {}
        for last in range(1, 17):
            for _ in range(2):
                with connect(streams.ports.tcp, source_address=("127.0.9.%d" % last, 0)) as sock:
                    heard.setdefault(last, set()).add(read_exactly(sock, 1))
        assert all(len(each) == 1 for each in heard.values())
        assert {next(iter(each)) for each in heard.values()} == {b"A", b"B"}


# -- life

def test_connections_live_through_configuration_changes(streams):
    with TcpServer() as server:
        made, found = route(streams, server.port, destinations=to(streams.ports.tcp))
        with connect(streams.ports.tcp) as sock:
            ask(sock)
            streams.admin("DELETE", f"/routes/{found['id']}")
            streams.admin("DELETE", f"/services/{made['id']}")
            streams.settle()
            ask(sock, b"still here")
            with connect(streams.ports.tcp) as other:
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
            for n in range(3):
                gateway.process.send_signal(signal.SIGHUP)
                for _ in range(20):
                    with connect(gateway.ports.tcp) as new:
                        ask(new)
                # Signals that come while one is waiting are one.
                eventually(lambda: gateway.log("error.log").count(": reloaded") > n, "the reload")
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
def test_much_data_with_flat_memory(streams, kind):
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
        listener = streams.ports.tls if kind == "tls" else streams.ports.tcp
        names = {"snis": ["up.test"]} if kind == "tls" else {"sources": [{"ip": "127.0.8.1"}]}
        route(streams, sink.port, protocols=[kind], **names)
        names = {"snis": ["down.test"]} if kind == "tls" else {"sources": [{"ip": "127.0.8.2"}]}
        route(streams, source.port, protocols=[kind], **names)

        def opened(name, host):
            sock = connect(listener, source_address=(host, 0))
            return tls(None, name, sock=sock) if kind == "tls" else sock

        before = streams.memory()
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
        grown = streams.memory() - before
        print(f"{kind}: up {up:.0f} MB/s, down {down:.0f} MB/s, memory +{grown >> 10} KiB")
        assert grown < 6 << 20


@pytest.mark.slow
def test_a_reader_that_stops_holds_its_writer_and_no_memory(streams):
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
        route(streams, server.port, destinations=to(streams.ports.tcp))
        before = streams.memory()
        socks = []
        for _ in range(8):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            sock.connect(("127.0.0.1", streams.ports.tcp))
            socks.append(sock)
        time.sleep(2.5)
        assert sum(sent) < 8 * (12 << 20), "what the kernel's buffers hold, and no more"
        assert streams.memory() - before < 4 << 20
        for sock in socks:
            sock.close()


@pytest.mark.slow
def test_a_thousand_connections_at_once(streams):
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
        route(streams, listener.getsockname()[1], destinations=to(streams.ports.tcp))
        before = streams.memory()
        socks = [connect(streams.ports.tcp) for _ in range(1000)]
        for turn in range(3):
            for i, sock in enumerate(socks):
                sock.sendall(b"%d/%d" % (turn, i))
            for i, sock in enumerate(socks):
                expected = b"%d/%d" % (turn, i)
                assert read_exactly(sock, len(expected)) == expected
        held = (streams.memory() - before) / 1000
        print(f"{held / 1024:.1f} KiB for a connection")
        assert held < 24 * 1024
        assert streams.admin("GET", "/status").json["server"]["connections_active"] >= 1000
        for sock in socks:
            sock.close()
        eventually(lambda: streams.admin("GET", "/status").json["server"]["connections_active"] < 10, "the end of all connections")
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
