"""Where the gateway listens, and on which event loop."""

import os
import socket

import pytest

from support.gateway import free_port
from support.upstreams import Echo
from support.waiting import eventually
from support.wire import fetch, get, request_bytes


def serves(address):
    return fetch(address, "GET", "/nowhere").status == 404


def test_it_listens_on_a_unix_socket(private, tmp_path):
    path = f"/tmp/sluice-{os.getpid()}-{free_port()}.sock"
    gateway = private(proxy_listen=f"unix:{path}")
    assert serves(path)
    gateway.stop()
    if os.path.exists(path):
        os.unlink(path)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_it_listens_on_ipv6(private):
    port = free_port("::1")
    gateway = private(proxy_listen=f"[::1]:{port}")
    with Echo() as echo:
        gateway.proxy = ("::1", port)
        gateway.route(echo)
        seen = gateway.get("/").json["headers"]
        assert (seen["x-forwarded-for"], seen["x-forwarded-port"]) == ("::1", str(port))


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_it_reaches_an_origin_on_ipv6(gateway):
    with Echo("::1") as echo:
        gateway.route(echo)
        assert gateway.get("/").json["headers"]["host"] == f"[::1]:{echo.port}"


def test_it_listens_on_several_addresses(private):
    ports = [free_port() for _ in range(3)]
    private(proxy_listen=", ".join(f"127.0.0.1:{port}" for port in ports))
    for port in ports:
        assert serves(("127.0.0.1", port))


def test_the_port_in_forwarded_port_is_that_of_the_listener(private, echo):
    ports = [free_port() for _ in range(2)]
    gateway = private(proxy_listen=", ".join(f"127.0.0.1:{port}" for port in ports))
    gateway.proxy = ("127.0.0.1", ports[0])
    gateway.route(echo)
    for port in ports:
        assert fetch(("127.0.0.1", port)).json["headers"]["x-forwarded-port"] == str(port)


def test_port_zero_listens_somewhere(private):
    gateway = private(wait=False, admin_listen="127.0.0.1:0")

    def sockets():
        assert gateway.alive(), gateway.log()
        inodes = set()
        for entry in os.listdir(f"/proc/{gateway.pid}/fd"):
            try:
                inodes.add(os.readlink(f"/proc/{gateway.pid}/fd/{entry}"))
            except OSError:
                pass
        lines = open(f"/proc/{gateway.pid}/net/tcp").read().splitlines()[1:]
        ports = {int(f[1].split(":")[1], 16) for f in map(str.split, lines) if f[3] == "0A" and f"socket:[{f[9]}]" in inodes}
        return ports - {gateway.proxy[1]}

    eventually(lambda: any(fetch(("127.0.0.1", p), "GET", "/status").status == 200 for p in sockets()),
               "an Admin API on a port of the system's choice")


def test_settings_come_from_the_environment_too(private):
    port = free_port()
    private(environment={"SLUICE_PROXY_LISTEN": f"127.0.0.1:{port}"})
    assert serves(("127.0.0.1", port))


@pytest.mark.parametrize("backend", ["epoll", "io_uring", "auto"])
def test_every_event_backend_serves(private, upstream, backend):
    gateway = private(event_backend=backend, wait=False)
    try:
        gateway.wait_ready()
    except RuntimeError:
        if backend == "io_uring":
            pytest.skip("io_uring is not to be had here")
        raise
    origin = upstream()
    gateway.route(origin)
    with gateway.client() as client:
        for number in range(20):
            assert client.ask(get(f"/{number}")).text == f"/{number}"
        body = os.urandom(300000)
        assert client.ask(request_bytes("POST", "/", body=body)).status == 200
    assert origin.requests[-1].body == body
