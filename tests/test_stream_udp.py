"""Stream routes over udp."""

import socket

import pytest

from support.dns import NameServer
from support.gateway import free_port
from support.stream_gateway import datagrams, exchange, new_lines, own, parsed, route, to
from support.streams import UdpServer
from support.waiting import eventually


# -- udp

def test_datagrams_go_there_and_back(streams):
    with UdpServer() as server:
        route(streams, server.port, {"protocol": "udp", "read_timeout": 700}, protocols=["udp"], destinations=to(streams.ports.udp))
        lines = new_lines(streams)
        with datagrams(streams.ports.udp) as a, datagrams(streams.ports.udp) as b:
            for size in (1, 0, 100, 1472, 9000, 60_000):
                exchange(a, b"a" * size)
            exchange(b, b"bb")
        assert len({peer for peer, _ in server.seen}) == 2, "one session for each client"
        found = sorted((parsed(line) for line in lines(2)), key=lambda each: each[3])
        assert [each[1:5] for each in found] == [("UDP", 200, 2, 2), ("UDP", 200, 70573, 70573)]
        assert all(0.6 < each[5] < 4 for each in found)


def test_several_answers_to_one_datagram(streams):
    with UdpServer(lambda data: [data + b"%d" % i for i in range(20)]) as server:
        route(streams, server.port, protocols=["udp"], destinations=to(streams.ports.udp))
        with datagrams(streams.ports.udp) as sock:
            sock.send(b"x")
            assert [sock.recv(100) for _ in range(20)] == [b"x%d" % i for i in range(20)]


def test_a_session_outlives_its_configuration_until_it_is_idle(streams):
    with UdpServer() as server:
        made, found = route(streams, server.port, protocols=["udp"], destinations=to(streams.ports.udp))
        with datagrams(streams.ports.udp) as sock, datagrams(streams.ports.udp) as other:
            exchange(sock, b"before")
            streams.admin("DELETE", f"/routes/{found['id']}")
            streams.admin("DELETE", f"/services/{made['id']}")
            streams.settle()
            exchange(sock, b"after")
            other.settimeout(0.3)
            other.send(b"new")
            with pytest.raises(TimeoutError):
                other.recv(10)


def test_datagrams_that_nobody_wants_are_logged(streams):
    lines = new_lines(streams)
    with datagrams(streams.ports.udp) as sock:
        sock.send(b"12345")
        assert parsed(lines()[0])[1:5] == ("UDP", 500, 0, 5)


def test_a_udp_service_that_is_gone_ends_the_session_and_the_next_is_a_new_one(streams):
    with UdpServer() as server:
        made, _ = route(streams, free_port(), protocols=["udp"], destinations=to(streams.ports.udp))
        lines = new_lines(streams)
        with datagrams(streams.ports.udp) as sock:
            sock.send(b"x")
            assert parsed(lines()[0])[1:3] == ("UDP", 502)
            streams.admin("PATCH", f"/services/{made['id']}", json={"port": server.port})
            streams.settle()
            exchange(sock, b"y")


def test_many_udp_clients(streams):
    with UdpServer() as server:
        route(streams, server.port, {"read_timeout": 1000}, protocols=["udp"], destinations=to(streams.ports.udp))
        socks = [datagrams(streams.ports.udp) for _ in range(300)]
        for i, sock in enumerate(socks):
            exchange(sock, b"%d" % i)
        assert len({peer for peer, _ in server.seen}) == 300
        before = streams.admin("GET", "/status").json["server"]["connections_active"]
        assert before >= 300
        eventually(lambda: streams.admin("GET", "/status").json["server"]["connections_active"] < 10, "the end of idle sessions")
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
