"""Bytes that a gateway must refuse, or must handle in exactly one way."""

import itertools
import socket
import ssl
import time

import pytest

from support.upstreams import RawUpstream, plain
from support.waiting import eventually
from support.wire import Client, Closed

HOST = b"Host: gw\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
CANARY = b"GET /canary HTTP/1.1\r\n" + HOST + b"\r\n"
KIB = 1024
MIB = 1024 * KIB

_numbers = itertools.count(1)


def origin_script(peer):
    while True:
        message = peer.request()
        if not message.complete:
            return
        if message.target.endswith("/answers-204-with-body"):
            peer.send(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")
            peer.wait_closed()
            return
        if message.target.endswith("/chunked"):
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      + (b"" if message.method == "HEAD" else HELLO))
            continue
        body = message.target.encode("latin-1")
        peer.send(plain(body) if message.method != "HEAD" else
                  b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))


class World:
    """The gateway under attack and the origin behind it."""

    def __init__(self, gateway, origin):
        self.gateway = gateway
        self.origin = origin

    def client(self):
        return Client(self.gateway.proxy)

    def forget(self):
        self.origin.requests.clear()

    def seen(self):
        """What arrived at the origin, once requests sent after it have arrived too."""
        for _ in range(4):
            target = f"/sentinel-{next(_numbers)}"
            with self.client() as client:
                answer = client.ask(b"GET %s HTTP/1.1\r\nHost: gw\r\n\r\n" % target.encode())
                assert (answer.status, answer.text) == (200, target), "a later request got a wrong answer"
        return [m for m in list(self.origin.requests) if not m.target.startswith("/sentinel-")]


@pytest.fixture(scope="module")
def world_of_module(private_for_module):
    with RawUpstream(origin_script) as origin:
        gateway = private_for_module(
            nginx_http_client_header_timeout="1s", nginx_http_client_body_timeout="1s")
        gateway.settle()
        service = gateway.create("/services", name="origin", url=origin.url, retries=0)
        gateway.create("/services/origin/routes", hosts=["gw"])
        for name in "ab":
            gateway.create("/services", name=f"service-{name}", url=f"{origin.url}/from-{name}")
            gateway.create(f"/services/service-{name}/routes", hosts=[name], preserve_host=True)
        gateway.create(f"/services/{service['id']}/routes", hosts=["only.test"])
        gateway.settle()
        yield World(gateway, origin)


@pytest.fixture
def world(world_of_module):
    world_of_module.forget()
    yield world_of_module
    assert world_of_module.gateway.alive(), world_of_module.gateway.log()[-8000:]


# -- what must be seen


def refused(*statuses, aborted=False, finish=False, within=10):
    """One answer with one of the statuses, the connection closed, nothing whole at the origin."""

    def check(world, data):
        with world.client() as client:
            client.send_what_fits(data)
            if finish:
                client.finish_sending()
            answer = client.answer("GET")
            assert answer.status in (statuses or (400,)), answer
            assert client.is_closed_within(within), "the connection stayed open"
            assert client.rest() == b"", "something followed the refusal"
        seen = world.seen()
        if aborted:
            assert not any(m.complete for m in seen), seen
        else:
            assert not seen, seen

    return check


def was_refused(client, answer, statuses=(400,)):
    if answer.status not in statuses:
        return False
    assert client.is_closed_within(10), "the connection stayed open after a refusal"
    return True


def flat_memory(check, allowed):
    def checked(world, data):
        world.seen()
        before = world.gateway.memory()
        check(world, data)
        grown = world.gateway.memory() - before
        assert grown <= allowed, f"{grown} bytes more memory in use"

    return checked


def one(test=lambda message: None, refusal=()):
    """The origin sees one request and the next on the connection gets its own answer; or a refusal."""

    def check(world, data):
        with world.client() as client:
            client.send(data)
            answer = client.answer()
            if refusal and was_refused(client, answer, refusal):
                assert not world.seen()
                return
            assert answer.status == 200, answer
            following = client.ask(b"GET /following HTTP/1.1\r\n" + HOST + b"\r\n")
            assert following.text == "/following"
        seen = world.seen()
        assert [m.target for m in seen][1:] == ["/following"], seen
        test(seen[0])

    return check


def single_length(message):
    assert message.headers.all("content-length") == ["5"] and message.body == b"hello"


def both_framings(world, data):
    with world.client() as client:
        client.send_what_fits(data)
        answer = client.answer()
        assert answer.status in (200, 400), answer
        assert client.is_closed_within(10), "the connection stayed open"
    seen = world.seen()
    assert not any("canary" in m.target for m in seen)
    if answer.status == 400:
        assert not seen
    for message in seen:
        assert not message.headers.all("content-length") or not message.headers.all("transfer-encoding"), message
        assert message.headers.get("content-length", "0") == "0" and message.body == b""


def silence_after_a_length(world, data):
    world.seen()
    before = world.gateway.memory()
    with world.client() as client:
        client.send(data)
        try:
            assert client.answer().status == 408
        except (Closed, ConnectionResetError):
            pass
        assert client.is_closed_within(10), "the connection stayed open"
        assert world.gateway.memory() - before <= MIB
    assert not any(m.complete for m in world.seen())


def cut_off(world, data):
    with world.client() as client:
        client.send(data).finish_sending()
        answer = client.rest()
    assert b" 2" not in answer.split(b"\r\n")[0][8:10], answer
    assert not any(m.complete for m in world.seen())


def no_host_matched(world, data):
    with world.client() as client:
        client.send(data)
        assert client.answer().status in (400, 404)
    assert not world.seen()


def escaped_or_refused(world, data):
    with world.client() as client:
        answer = client.ask(data)
        if was_refused(client, answer):
            assert not world.seen()
            return
    assert answer.status == 200
    assert [m.target for m in world.seen()] == ["/%C3%A9"]


def star(world, data):
    get, options = data
    refused()(world, get)
    world.forget()
    with world.client() as client:
        answer = client.ask(options, "OPTIONS")
        assert answer.status < 500
    assert not world.seen()


def connect(world, data):
    refused(400, 405)(world, data)


def trace(world, data):
    with world.client() as client:
        answer = client.ask(data, "TRACE")
        assert answer.status == 405
        assert b"secret" not in answer.body and "secret" not in repr(answer.headers)
    assert not world.seen()


def expectation(world, data):
    with world.client() as client:
        assert client.ask(data).status == 417
    assert not world.seen()


def old_client(world, data):
    with world.client() as client:
        client.send(data)
        answer = client.answer()
        assert "transfer-encoding" not in answer.headers
        assert client.is_closed_within(10)


def absolute_target(world, data):
    with world.client() as client:
        answer = client.ask(data)
        if was_refused(client, answer):
            assert not world.seen()
            return
    assert answer.status == 200
    [message] = world.seen()
    assert message.target.startswith("/from-b"), "routed by the Host line"
    assert message.headers.all("host") == ["b"], "forwarded with the Host line"
    assert message.headers.all("x-forwarded-host") == ["b"]


def no_upgrade(world, data):
    with world.client() as client:
        assert client.ask(data).status != 101
    for message in world.seen():
        assert "upgrade" not in message.headers
        assert "upgrade" not in message.headers.get("connection", "").lower()


def in_order(world, data):
    with world.client() as client:
        client.send(data)
        assert [client.answer().text for _ in range(3)] == ["/1", "/2", "/3"]
    assert [m.target for m in world.seen()] == ["/1", "/2", "/3"]


def head_without_body(world, data):
    with world.client() as client:
        answer = client.ask(data, "HEAD")
        assert answer.status == 200
        assert client.ask(b"GET /following HTTP/1.1\r\n" + HOST + b"\r\n").text == "/following"


def body_after_204(world, data):
    with world.client() as client:
        answer = client.ask(data)
        assert answer.status == 204 and "transfer-encoding" not in answer.headers
        assert answer.headers.get("content-length", "0") == "0"
        assert client.ask(b"GET /following HTTP/1.1\r\n" + HOST + b"\r\n").text == "/following"
    peers = [p for p in world.origin.peers if p.requests and p.requests[-1].target == "/answers-204-with-body"]
    assert peers, "the origin connection was used again"
    assert peers[-1].closed.wait(5), "the origin connection was kept"


def whole_body(message):
    assert message.method == "GET" and message.body == b"hello"


def silence(world, data):
    before = world.gateway.log().count("\n")
    with world.client() as client:
        client.send(data)
        assert client.is_closed_within(10), "the connection stayed open"
    assert world.gateway.log().count("\n") - before <= 1
    assert not world.seen()


def not_http(world, data):
    def seconds_until_closed():
        with world.client() as client:
            began = time.monotonic()
            client.send_what_fits(data)
            client.sock.settimeout(1.0)
            try:
                answer = client.rest()
            except (socket.timeout, TimeoutError):
                pytest.fail("neither answered nor closed")
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 "), answer
            return time.monotonic() - began

    assert min(seconds_until_closed() for _ in range(3)) <= 0.1  # the best of three: the machine may be busy
    assert not world.seen()


def post(lines, body=b""):
    return b"POST / HTTP/1.1\r\n" + HOST + lines + b"\r\n" + body


def chunk(data):
    return post(CHUNKED, data)


def get(lines):
    return b"GET / HTTP/1.1\r\n" + HOST + lines + b"\r\n"


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="gw").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


CLIENT_HELLO = client_hello()

CASES = [
    ("A01", "two different Content-Lengths", post(b"Content-Length: 5\r\nContent-Length: 10\r\n", b"helloworld"),
     refused()),
    ("A02", "a list of equal Content-Lengths", post(b"Content-Length: 5, 5\r\n", b"hello"),
     one(single_length, refusal=(400,))),
    ("A03", "Content-Length with a plus", post(b"Content-Length: +5\r\n", b"hello"), refused()),
    ("A04", "Content-Length with a minus", post(b"Content-Length: -1\r\n", b"hello"), refused()),
    ("A05", "Content-Length in hexadecimal", post(b"Content-Length: 0x5\r\n", b"hello"), refused()),
    ("A06", "Content-Length with an underscore", post(b"Content-Length: 1_0\r\n", b"helloworld"), refused()),
    ("A07", "Content-Length with a space inside", post(b"Content-Length: 1 0\r\n", b"helloworld"), refused()),
    ("A08", "an empty Content-Length", post(b"Content-Length: \r\n"), refused()),
    ("A09", "a Content-Length beyond 64 bits", post(b"Content-Length: 18446744073709551616\r\n"),
     flat_memory(refused(), MIB)),
    ("A10", "a large Content-Length and then silence", post(b"Content-Length: 999999999\r\n"),
     silence_after_a_length),
    ("A11", "Content-Length and chunked", post(b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n" + CANARY),
     both_framings),
    ("A12", "an unknown transfer coding", post(b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", b"hello"),
     refused(400, 501)),
    ("A13", "chunked is not the last coding",
     post(b"Transfer-Encoding: chunked, identity\r\nContent-Length: 5\r\n", b"hello"), refused(400, 501)),
    ("A14", "the identity coding", post(b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", b"hello"),
     refused(400, 501)),
    ("A15", "chunked from an HTTP 1.0 client", b"POST / HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n" + HELLO, refused()),
    ("A16", "a space before the colon", post(b"Transfer-Encoding : chunked\r\n", HELLO), refused()),
    ("A17", "a folded Transfer-Encoding", post(b"Transfer-Encoding:\r\n chunked\r\n", HELLO), refused()),
    ("A18", "two Transfer-Encoding lines", post(CHUNKED + CHUNKED, HELLO), refused()),
    ("A19", "a chunk size that is no number", chunk(b"g\r\nhello\r\n0\r\n\r\n"), refused()),
    ("A20", "a negative chunk size", chunk(b"-1\r\nhello\r\n0\r\n\r\n"), refused()),
    ("A21", "a chunk size with 0x", chunk(b"0x5\r\nhello\r\n0\r\n\r\n"), refused()),
    ("A22", "a chunk size with a space after it", chunk(b"5 \r\nhello\r\n0\r\n\r\n"), refused()),
    ("A23", "a chunk size beyond 64 bits", chunk(b"FFFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n"),
     flat_memory(refused(), MIB)),
    ("A24", "no CRLF after a chunk", chunk(b"5\r\nhelloXX0\r\n\r\n"), refused(aborted=True)),
    ("A25", "a chunk size line ended by LF", chunk(b"5\nhello\r\n0\r\n\r\n"), refused()),
    ("A26", "a chunked body that ends early", chunk(b"5\r\nhello\r\n"), cut_off),
    ("A27", "no Host", b"GET / HTTP/1.1\r\n\r\n", refused()),
    ("A28a", "two different Hosts", get(b"Host: other\r\n"), refused()),
    ("A28b", "two equal Hosts", get(HOST), refused()),
    ("A29a", "a Host with a user", b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", refused()),
    ("A29b", "a Host with a slash", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", refused()),
    ("A29c", "a Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", refused()),
    ("A29d", "a Host with a comma", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", refused()),
    ("A30", "an empty Host", b"GET / HTTP/1.1\r\nHost: \r\n\r\n", no_host_matched),
    ("A31", "an unknown version", b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", refused(400, 505)),
    ("A32", "a version in lower case", b"GET / http/1.1\r\n" + HOST + b"\r\n", refused()),
    ("A33", "two spaces in the request line", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", refused()),
    ("A34", "tabs in the request line", b"GET\t/\tHTTP/1.1\r\n" + HOST + b"\r\n", refused()),
    ("A35", "NUL in the target", b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n", refused()),
    ("A36", "raw UTF-8 in the target", b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", escaped_or_refused),
    ("A37", "a space in the target", b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", refused()),
    ("A38", "a fragment in the target", b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", refused()),
    ("A39", "a header line without colon", get(b"Xa\r\n"), refused()),
    ("A40", "an empty header name", get(b": x\r\n"), refused()),
    ("A41", "NUL in a header value", get(b"X: a\0b\r\n"), refused()),
    ("A42", "a bare CR in a header value", get(b"X: a\rb\r\n"), refused()),
    ("A43", "a control character in a header name", get(b"X\x01: a\r\n"), refused()),
    ("A44", "a space before the first header", b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", refused()),
    ("A45", "a header of 100 KiB", get(b"X: " + b"a" * 100 * KIB + b"\r\n"), refused(431, 400)),
    ("A46", "ten thousand headers", get(b"".join(b"X-%d: a\r\n" % n for n in range(10000))),
     flat_memory(refused(431), MIB)),
    ("A47", "a target of 100 KiB", b"GET /" + b"a" * 100 * KIB + b" HTTP/1.1\r\n" + HOST + b"\r\n", refused(414)),
    ("A48", "a method of 100 KiB", b"G" * 100 * KIB + b" / HTTP/1.1\r\n" + HOST + b"\r\n", refused()),
    ("A49", "the target star", (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n"),
     star),
    ("A50", "CONNECT and then TLS", b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n" + CLIENT_HELLO, connect),
    ("A51", "TRACE with a cookie", b"TRACE / HTTP/1.1\r\n" + HOST + b"Cookie: secret\r\n\r\n", trace),
    ("A52", "an unknown expectation", get(b"Expect: foo\r\n"), expectation),
    ("A53", "HTTP 1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", old_client),
    ("A54", "an absolute target and another Host", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", absolute_target),
    ("A55", "Upgrade that Connection does not name",
     get(b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
     no_upgrade),
    ("A56", "three requests in one packet",
     b"".join(b"GET /%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in (1, 2, 3)), in_order),
    ("A57", "HEAD of a chunked resource", b"HEAD /chunked HTTP/1.1\r\n" + HOST + b"\r\n", head_without_body),
    ("A58", "an origin that sends 204 with a body",
     b"GET /answers-204-with-body HTTP/1.1\r\n" + HOST + b"\r\n", body_after_204),
    ("A59", "GET with a body", get(b"Content-Length: 5\r\n") + b"hello", one(whole_body)),
    ("A60", "silence", b"", silence),
    ("A61", "a TLS hello on the plain port", CLIENT_HELLO, not_http),
    ("A62", "an HTTP 2 preface on a port without HTTP 2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused(400, 505)),
]


@pytest.mark.parametrize("data, check", [pytest.param(data, check, id=f"{number}-{name.replace(' ', '-')}")
                                         for number, name, data, check in CASES])
def test_hostile_bytes_do_no_harm(world, data, check):
    check(world, data)


def dribble(world, data):
    """The same bytes, one at a time."""
    with world.client() as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            client.send_what_fits(bytes([byte]))
        try:
            status = client.answer().status
        except ConnectionResetError:
            status = 400
        assert status in (400, 501, 505), status
        assert client.is_closed_within(10)
    assert not any(m.complete for m in world.seen())


@pytest.mark.parametrize("data", [pytest.param(data, id=f"{number}-{name.replace(' ', '-')}")
                                  for number, name, data, _ in CASES
                                  if number in ("A01", "A12", "A16", "A17", "A18", "A24", "A25", "A28a", "A42", "A44")])
def test_bytes_that_are_refused_whole_are_refused_one_at_a_time(world, data):
    dribble(world, data)


# -- rules beside the table


@pytest.mark.parametrize("name", ["Content-Length", "Host", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
                                  "X-Forwarded-Port", "X-Real-IP", "Via", "X-Kong-Request-Id"])
def test_connection_cannot_remove_what_the_gateway_relies_on(world, name):
    with world.client() as client:
        answer = client.ask(post(b"Content-Length: 5\r\nConnection: close, " + name.encode() + b"\r\n", b"hello"))
        assert answer.status == 200
    [message] = world.seen()
    assert message.body == b"hello"
    assert len(message.headers.all(name)) == 1, message


def test_connection_removes_the_other_headers_it_names(world):
    with world.client() as client:
        client.ask(get(b"Connection: x-private\r\nX-Private: 1\r\nX-Public: 1\r\n"))
    [message] = world.seen()
    assert "x-private" not in message.headers and "x-public" in message.headers


def test_header_names_with_underscores_do_not_reach_the_origin(world):
    with world.client() as client:
        answer = client.ask(get(b"X_Forwarded_For: 6.6.6.6\r\nx_custom: 1\r\n"))
        assert answer.status in (200, 400)
    for message in world.seen():
        assert not [n for n in message.headers.names() if "_" in n]
        assert "6.6.6.6" not in message.headers["x-forwarded-for"]


def test_a_head_refused_late_is_not_logged_with_what_others_sent(private):
    gateway = private(nginx_worker_processes=1)
    other = gateway.client()

    def others():  # the worker has seen what was sent before, and its blocks have gone round
        assert other.ask(get(b"Cookie: " + b"SECRET;" * 500 + b"\r\n")).status == 404

    head = get(b"User-Agent: " + b"U" * 1500 + b"\r\nX: ")[:-2]
    with other, gateway.client() as refused:
        refused.send(head + b"x" * (4096 - len(head)))  # fills a block,
        others()
        refused.send(b"y" * 100)  # so that these go to another
        others()
        others()
        refused.send(b"\n")
        assert refused.answer().status == 400
    line = eventually(lambda: next((line for line in gateway.log("access.log").splitlines() if " 400 " in line), None), "the line of the refusal")
    assert "SECRET" not in line, line
