"""TLS for clients: certificates by name, versions and ciphers, resumption, bodies, endings, and what is no TLS."""

import hashlib
import itertools
import socket
import ssl
import subprocess
import threading
import time

import pytest

from support.certificates import certificate, digest, issued
from support.gateway import free_port
from support.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, Http2, RawHttp2, WINDOW_UPDATE, cpu_seconds, frame, tls_context
from support.records import Log
from support.tls import House, Records, TlsClient, shown
from support.upstreams import plain
from support.waiting import eventually
from support.wire import request_bytes

MIB = 1024 * 1024
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def node(private_for_module):
    return House(private_for_module)


@pytest.fixture
def own(private):
    return lambda **settings: House(private, **settings)


def s_client(address, *words, ask=b""):
    out = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % address, *words], input=ask, capture_output=True, timeout=30)
    return (out.stdout + out.stderr).decode("latin-1")


# -- what is agreed on

def test_the_default_listener_speaks_both_versions_of_http(house, echo):
    house.gateway.route(echo)
    assert "ALPN protocol: h2" in s_client(house.tls, "-alpn", "h2,http/1.1")
    assert "ALPN protocol: http/1.1" in s_client(house.tls, "-alpn", "http/1.1,h3")
    assert "No ALPN negotiated" in s_client(house.tls, "-alpn", "h3")
    out = subprocess.run(["curl", "-sSk", "-w", " %{http_version}", "https://%s:%d/x" % house.tls], capture_output=True, text=True)
    assert out.stdout.endswith(" 2"), out
    out = subprocess.run(["curl", "-sSk", "--http1.1", "-w", " %{http_version}", "https://%s:%d/x" % house.tls], capture_output=True, text=True)
    assert out.stdout.endswith(" 1.1"), out


def test_http_2_is_not_agreed_on_where_it_is_not_spoken(own, echo):
    house = own(flags="ssl")
    assert "ALPN protocol: http/1.1" in s_client(house.tls, "-alpn", "h2,http/1.1")


def test_the_upstream_learns_of_tls(house, echo):
    house.gateway.route(echo)
    seen = house.get("/x").json["headers"]
    assert seen["x-forwarded-proto"] == "https" and seen["x-forwarded-port"] == str(house.tls[1])


def test_routes_for_https_only(house, echo):
    house.gateway.route(echo, "/moved", protocols=["https"], https_redirect_status_code=301)
    house.gateway.route(echo, "/upgrade", protocols=["https"])
    assert house.get("/moved").status == 200 and house.get("/upgrade").status == 200
    with Http2(house.tls) as client:
        assert client.fetch(path="/moved").status == 200
    moved = house.gateway.get("/moved/on?a=b")
    assert (moved.status, moved.headers["location"]) == (301, "https://gate.test/moved/on?a=b")
    assert house.gateway.get("/upgrade").status == 426


@pytest.mark.parametrize("version, words", [(V12, "TLSv1.2"), (V13, "TLSv1.3")])
def test_versions(house, echo, version, words):
    house.gateway.route(echo)
    with house.open(version=version) as client:
        assert client.sock.version() == words
        assert client.ask(request_bytes()).status == 200


def handshakes(house, *words):
    out = s_client(house.tls, "-cipher", "ALL:@SECLEVEL=0", *words)
    return "Cipher is (NONE)" not in out and "New, " in out


def test_cipher_suites(own):
    modern, old = own(ssl_cipher_suite="modern"), own(ssl_cipher_suite="old")
    intermediate = own(ssl_cipher_suite="intermediate")
    assert [handshakes(house, "-tls1_3") for house in (modern, intermediate, old)] == [True, True, True]
    assert [handshakes(house, "-tls1_2") for house in (modern, intermediate, old)] == [False, True, True]
    assert [handshakes(house, "-tls1_1") for house in (modern, intermediate, old)] == [False, False, True]
    assert [handshakes(house, "-tls1") for house in (modern, intermediate, old)] == [False, False, True]
    for cipher, taken in (("ECDHE-RSA-AES128-GCM-SHA256", True), ("DHE-RSA-AES256-GCM-SHA384", True), ("ECDHE-RSA-AES128-SHA", False), ("AES128-SHA", False)):
        assert (f"New, TLSv1.2, Cipher is {cipher}" in s_client(intermediate.tls, "-tls1_2", "-cipher", cipher)) == taken, cipher
    assert "Cipher is AES128-SHA" in s_client(old.tls, "-tls1_2", "-cipher", "AES128-SHA")


def test_ciphers_and_versions_of_ones_own(own):
    house = own(ssl_cipher_suite="custom", ssl_protocols="TLSv1.2", ssl_ciphers="ECDHE-RSA-AES256-GCM-SHA384")
    assert "Cipher is ECDHE-RSA-AES256-GCM-SHA384" in s_client(house.tls)
    assert not handshakes(house, "-tls1_3")


# -- certificates

def test_a_node_without_certificates_makes_its_own_and_keeps_them(own):
    house = own()
    first = shown(house.tls, "any.test")
    files = sorted(p.name for p in (house.gateway.prefix / "ssl").iterdir())
    assert files and all(p.stat().st_mode & 0o077 == 0 for p in (house.gateway.prefix / "ssl").iterdir() if "key" in p.name)
    house.gateway.restart()
    assert shown(house.tls, "any.test") == first


def test_both_kinds_of_keys_are_there_by_default(house):
    for kind, name in (("ECDHE-RSA-AES128-GCM-SHA256", "rsaEncryption"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "id-ecPublicKey")):
        out = s_client(house.tls, "-tls1_2", "-cipher", kind)
        assert f"Cipher is {kind}" in out


def certify(house, *names, pair=None, **more):
    pair = pair or certificate(names[0])
    made = house.gateway.create("/certificates", cert=pair.cert, key=pair.key, snis=list(names), **more)
    house.gateway.settle()
    return digest(pair.cert), made


def test_the_name_picks_the_certificate_without_a_restart(house):
    default = shown(house.tls, "a.b.test")
    exact, made = certify(house, "a.b.test")
    assert shown(house.tls, "a.b.test") == exact
    assert shown(house.tls, "A.B.Test") == exact
    assert shown(house.tls, "other.b.test") == default
    first, _ = certify(house, "*.b.test")
    assert shown(house.tls, "other.b.test") == first
    assert shown(house.tls, "a.b.test") == exact
    assert shown(house.tls, "x.other.b.test") == default
    last, _ = certify(house, "b.*")
    assert shown(house.tls, "b.org") == last and shown(house.tls, "a.b.test") == exact
    star, _ = certify(house, "*")
    assert shown(house.tls, "quite.another") == star
    assert shown(house.tls, None) == default
    with Http2(house.tls, name="a.b.test") as client:
        assert hashlib.sha256(client.sock.getpeercert(binary_form=True)).hexdigest() == exact
    changed = certificate("a.b.test", number=1)
    assert house.gateway.admin("PATCH", f"/certificates/{made['id']}", json={"cert": changed.cert, "key": changed.key}).status == 200
    eventually(lambda: shown(house.tls, "a.b.test") == digest(changed.cert), "the new certificate")
    assert house.gateway.admin("DELETE", f"/certificates/{made['id']}").status == 204
    eventually(lambda: shown(house.tls, "a.b.test") == first, "the wildcard's certificate")


def test_a_connection_keeps_what_it_was_shown_while_certificates_change(house, echo):
    house.gateway.route(echo)
    _, made = certify(house, "a.b.test")
    with house.open(name="a.b.test") as client:
        assert client.ask(request_bytes()).status == 200
        house.gateway.admin("DELETE", f"/certificates/{made['id']}")
        house.gateway.settle()
        assert client.ask(request_bytes()).status == 200


def test_the_chain_is_shown_too(house):
    leaf, authority = issued("chain.test"), certificate("authority.test", ca=True)
    house.gateway.create("/certificates", cert=leaf.cert + authority.cert, key=leaf.key, snis=["chain.test"])
    house.gateway.settle()
    context = ssl.create_default_context(cadata=authority.cert)
    with TlsClient(house.tls, "chain.test", context=context) as client:
        assert client.digest == digest(leaf.cert)
    out = s_client(house.tls, "-servername", "chain.test", "-showcerts")
    assert out.count("BEGIN CERTIFICATE") >= 2


def test_rsa_and_ecdsa_side_by_side(house):
    ec, rsa = certificate("two.test"), certificate("two.test", key="rsa")
    certify(house, "two.test", pair=ec, cert_alt=rsa.cert, key_alt=rsa.key)
    for version, choice, pair in ((V12, "ECDHE-ECDSA-AES128-GCM-SHA256", ec), (V12, "ECDHE-RSA-AES128-GCM-SHA256", rsa)):
        context = tls_context(version=version)
        context.set_ciphers(choice)
        assert shown(house.tls, "two.test", context=context) == digest(pair.cert)
    for algorithm, pair in (("ECDSA+SHA256", ec), ("RSA-PSS+SHA256", rsa)):
        out = s_client(house.tls, "-servername", "two.test", "-tls1_3", "-sigalgs", algorithm)
        body = out[out.index("-----BEGIN"):out.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
        assert digest(body) == digest(pair.cert)


def test_nothing_is_stapled_to_a_certificate(house):
    assert "OCSP response: no response sent" in s_client(house.tls, "-servername", "gate.test", "-status")


# -- routes

def test_a_route_may_ask_for_a_name(house, upstream):
    """Of clients over TLS; others have none, and are turned away for another reason."""
    house.gateway.route(upstream(plain(b"named")), protocols=["https"], snis=["a.test", "*.b.test"])
    assert house.get(name="a.test").body == b"named"
    assert house.get(name="A.Test").body == b"named"
    assert house.get(name="x.b.test").body == b"named"
    assert house.get(name="c.test").status == 404
    with Http2(house.tls, name="a.test") as client:
        assert client.fetch().status == 200
    assert house.gateway.get("/").status == 426


def test_a_record_tells_of_the_connection(house, echo):
    _, route = house.gateway.route(echo)
    log = Log(house.gateway.directory / f"tls-{time.monotonic_ns()}.log")
    house.gateway.create(f"/routes/{route['id']}/plugins", name="file-log", config={"path": str(log.path)})
    house.gateway.settle()
    with house.open() as client:
        client.ask(request_bytes())
        agreed = {"version": client.sock.version(), "cipher": client.sock.cipher()[0], "client_verify": "NONE"}
    house.gateway.get("/")
    assert [r["request"].get("tls") for r in log.records(2)] == [agreed, None]


# -- requests and bodies

def test_many_requests_on_one_connection_and_pipelined(house, echo):
    house.gateway.route(echo)
    with house.open() as client:
        for n in range(200):
            assert client.ask(request_bytes("GET", f"/{n}")).json["target"] == f"/{n}"
        client.send(b"".join(request_bytes("POST", f"/{n}", body=b"b" * n) for n in range(100)))
        for n in range(100):
            assert client.answer().json["target"] == f"/{n}"


def test_a_request_in_records_of_one_byte(house, echo):
    house.gateway.route(echo)
    with Records(house.tls) as client:
        wire = b"".join(client.seal(bytes([b])) for b in request_bytes("POST", "/slowly", [("Connection", "close")], b"hello"))
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(wire), 7):
            client.sock.sendall(wire[at:at + 7])
        assert b'"body": "hello"' in client.rest()


@pytest.mark.slow
@pytest.mark.parametrize("version", [V12, V13])
def test_large_bodies_pass_in_flat_memory(own, upstream, version):
    size = 300 * MIB
    piece = bytes(range(256)) * 4096  # 1 MiB

    def script(peer):
        message = peer.head()
        if message.method == "POST":
            digest_of, left = hashlib.sha256(), int(message.headers["content-length"])
            while left > 0:
                if not peer.reader.buffer:
                    peer.reader.fill()
                digest_of.update(peer.reader.buffer)
                left -= len(peer.reader.buffer)
                peer.reader.buffer = b""
            peer.send(plain(digest_of.hexdigest().encode()))
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // MIB):
                peer.send(piece)

    house = own()
    house.gateway.route(upstream(script, remember=False))
    expected = hashlib.sha256(piece * (size // MIB)).hexdigest()
    before, cpu = house.gateway.memory("VmHWM"), cpu_seconds(house.gateway.pid)
    with house.open(version=version) as client:
        client.send(request_bytes("POST", "/up", [("Content-Length", str(size))]))
        for _ in range(size // MIB):
            client.send(piece)
        assert client.answer().text == expected
    up, cpu = cpu_seconds(house.gateway.pid) - cpu, cpu_seconds(house.gateway.pid)
    with house.open(version=version) as client:
        client.send(request_bytes("GET", "/down"))
        head = client.reader.head()
        assert head.status == 200
        seen, got = hashlib.sha256(client.reader.buffer), len(client.reader.buffer)
        while got < size:
            data = client.sock.recv(262144)
            assert data, f"ended after {got} bytes"
            seen.update(data)
            got += len(data)
        assert seen.hexdigest() == expected
    down = cpu_seconds(house.gateway.pid) - cpu
    grown = house.gateway.memory("VmHWM") - before
    print(f"{version.name}: peak memory +{grown / MIB:.1f} MiB; CPU per GiB: up {up * 1024 / 300:.2f} s, down {down * 1024 / 300:.2f} s")
    assert grown < 16 * MIB


def test_a_slow_reader_slows_the_sender(house, upstream):
    sent = [0]

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MIB))
        for _ in range(256):
            peer.send(b"s" * MIB)
            sent[0] += 1

    house.gateway.route(upstream(script, remember=False))
    before = house.gateway.memory()
    with house.open(receive_buffer=65536) as client:
        client.send(request_bytes())
        time.sleep(1.5)
        stuck = sent[0]
        time.sleep(0.5)
        assert sent[0] == stuck < 64
        assert house.gateway.memory() - before < 16 * MIB


# -- endings

def test_the_end_is_said_in_tls(house, echo):
    house.gateway.route(echo)
    for request in (request_bytes("GET", "/", [("Connection", "close")]), request_bytes(version="HTTP/1.0")):
        with house.open() as client:
            assert client.ask(request).status == 200
            assert client.sock.recv(1) == b""  # without close_notify: an error


def test_a_client_may_end_its_side_and_still_get_its_answer(house, echo):
    house.gateway.route(echo)
    with Records(house.tls) as client:
        client.sock.sendall(client.seal(request_bytes("GET", "/slow/300/x")) + client.close_notify())
        assert b"HTTP/1.1 200" in client.rest()


def test_close_notify_between_requests_ends_the_connection(house, echo):
    house.gateway.route(echo)
    with Records(house.tls) as client:
        client.sock.sendall(client.close_notify())
        begun = time.monotonic()
        client.rest()
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("notify", [True, False])
def test_an_end_that_comes_with_the_last_bytes_of_half_a_body_is_noticed(house, upstream, notify):
    """In one segment with them, and with no close_notify before it: no later event tells of it."""
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    house.gateway.route(origin, request_buffering=False)
    for _ in range(20):
        with Records(house.tls) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            data = client.seal(request_bytes("POST", "/", [("Content-Length", "100000")]) + b"half")
            client.sock.sendall(data + (client.close_notify() if notify else b""))
            client.sock.shutdown(socket.SHUT_WR)
            begun = time.monotonic()
            client.rest()
            assert time.monotonic() - begun < 3


def test_a_client_that_resets_cancels_its_request(house, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    house.gateway.route(origin)
    client = house.open()
    client.send(request_bytes())
    origin.wait_for_requests(1)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert origin.peer().closed.wait(5)


# -- what is no TLS

@pytest.mark.parametrize("bytes_sent", [b"\0" * 200, b"\xff" * 20000, b"SSH-2.0-x\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x16\x03\x01\0\5\1\0\0\0\0",
                                        b"\x16\x03\x01\0\0" * 50, b"\x15\x03\x01\0\2\2\x28"])
def test_garbage_is_no_client_hello(house, bytes_sent):
    with socket.create_connection(house.tls, timeout=10) as sock:
        try:
            sock.sendall(bytes_sent)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except OSError:
            pass
    assert house.get("/").status == 404


def test_plain_http_to_the_tls_port_is_told_so(house):
    with socket.create_connection(house.tls, timeout=10) as sock:
        sock.sendall(request_bytes("POST", "/", body=b"x" * 20000))
        out = b""
        while data := sock.recv(65536):
            out += data
    assert out.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert out.endswith(b"\r\n\r\nThe plain HTTP request was sent to HTTPS port.\n")


def test_handshakes_that_take_too_long_end(own):
    house = own(client_header_timeout="1s")
    hello = bytes.fromhex("160301020001")
    with socket.create_connection(house.tls, timeout=10) as quiet, socket.create_connection(house.tls, timeout=10) as dripping:
        begun = time.monotonic()
        ended = []

        def drip():
            try:
                for byte in hello + bytes(500):
                    dripping.sendall(bytes([byte]))
                    time.sleep(0.05)
            except OSError:
                ended.append(time.monotonic() - begun)

        thread = threading.Thread(target=drip)
        thread.start()
        assert quiet.recv(1) == b"" and time.monotonic() - begun < 3
        thread.join(10)
        assert ended and ended[0] < 3


def test_a_flood_of_handshakes_holds_up_nobody(own, echo):
    house = own(nginx_worker_processes=1)
    house.gateway.route(echo)
    stopping, counts = threading.Event(), [0]

    def flood():
        context = tls_context(version=V13)
        while not stopping.is_set():
            try:
                TlsClient(house.tls, context=context).close()
                counts[0] += 1
            except OSError:
                pass

    with house.open() as bystander:
        assert bystander.ask(request_bytes()).status == 200
        threads = [threading.Thread(target=flood) for _ in range(8)]
        half_open = [socket.create_connection(house.tls) for _ in range(200)]
        [thread.start() for thread in threads]
        slowest, end = 0.0, time.monotonic() + 3
        while time.monotonic() < end:
            begun = time.monotonic()
            assert bystander.ask(request_bytes()).status == 200
            slowest = max(slowest, time.monotonic() - begun)
        stopping.set()
        [thread.join() for thread in threads]
        [sock.close() for sock in half_open]
    print(f"{counts[0] / 3:.0f} handshakes/s, slowest answer beside them {slowest * 1000:.0f} ms")
    assert counts[0] > 100 and slowest < 1.0


# -- the other interfaces

def test_the_admin_and_status_apis_speak_tls(private):
    plain_admin, admin, status = (("127.0.0.1", free_port()) for _ in range(3))
    gateway = private(wait=False, admin_listen="%s:%d, %s:%d ssl http2" % (*plain_admin, *admin), status_listen="%s:%d ssl" % status)
    gateway.admin_address = plain_admin
    gateway.wait_ready()
    for address, path, word in ((admin, "/routes", '"data"'), (status, "/status", '"server"')):
        out = subprocess.run(["curl", "-sSk", "https://%s:%d%s" % (*address, path)], capture_output=True, text=True)
        assert word in out.stdout, out
    body = '{"name": "s", "url": "http://a.test"}'
    out = subprocess.run(["curl", "-sSk", "-H", "Content-Type: application/json", "-d", body, "https://%s:%d/services" % admin], capture_output=True, text=True)
    assert '"name":"s"' in out.stdout, out


def test_tickets_come_at_once(house, echo):
    """Clients that send in small pieces wait for a sign that their end of the handshake has come: the tickets are one."""
    house.gateway.route(echo)
    context = tls_context(("http/1.1",), V13)
    with Records(house.tls, context=context) as client:
        client.sock.settimeout(10)
        assert client.sock.recv(65536)
    with house.open(context=context) as client:
        assert client.ask(request_bytes()).status == 200
        assert client.sock.session.has_ticket


# -- memory

def terminating(gateway):
    """Answers without a service, ten of which fill a large buffer."""
    gateway.create("/services", name="none", url="http://127.0.0.1:9")
    gateway.create("/services/none/routes", paths=["/"])
    gateway.create("/services/none/plugins", name="request-termination", config={"status_code": 200, "body": "x" * 2000, "content_type": "text/plain"})
    gateway.settle()


def ask_ten(client, first):
    """Ten requests at a time, from stream `first` on."""
    client.send(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, stream, client.block()) for stream in range(first, first + 20, 2)))
    ended = (1 for kind, flags, _, _ in client.frames() if kind in (HEADERS, DATA) and flags & END_STREAM)
    assert sum(itertools.islice(ended, 10)) == 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["http/1.1", "http/2", "http/2 after 300 requests", "handshake"])
def test_idle_connections_take_little_memory(own, echo, kind):
    house = own(nginx_worker_processes=1)
    if "after" in kind:
        terminating(house.gateway)
    else:
        house.gateway.route(echo)
    context = tls_context(("h2",) if "http/2" in kind else ("http/1.1",))
    count, warm = 2000, 200
    held = []

    def open_one():
        if kind == "http/2":
            client = Http2(house.tls, context)
            assert client.fetch().status == 200
        elif "after" in kind:
            client = RawHttp2(house.tls, context)
            client.send(frame(WINDOW_UPDATE, payload=(1 << 30).to_bytes(4, "big")))
            for first in range(1, 600, 20):
                ask_ten(client, first)
        else:
            client = house.open(context=context)
            if kind == "http/1.1":
                assert client.ask(request_bytes()).status == 200
        held.append(client)

    try:
        for _ in range(warm):
            open_one()
        before = house.gateway.memory()
        for _ in range(count):
            open_one()
        time.sleep(3)  # then they rest
        each = (house.gateway.memory() - before) / count
        print(f"an idle connection ({kind}): {each / 1024:.1f} KiB")
        assert each < 40 * 1024
    finally:
        for client in held:
            client.close()
