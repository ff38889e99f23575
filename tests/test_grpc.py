"""gRPC through the gateway: a real client, a real server, every kind of call."""

import queue

import grpc
import pytest

from support.certificates import certificate
from support.gateway import free_port
from support.grpc_peers import Server, Stub
from support.waiting import eventually
from support.wire import fetch


@pytest.fixture
def server():
    started = Server()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def http2(private_for_module):
    """A gateway that speaks HTTP/2, in the clear and over TLS."""
    tls = ("127.0.0.1", free_port())
    plain = ("127.0.0.1", free_port())
    gateway = private_for_module(proxy_listen="%s:%d, %s:%d http2 ssl" % (*plain, *tls))
    gateway.proxy, gateway.tls = plain, tls
    return gateway


@pytest.fixture
def gateway(http2):
    http2.clear()
    return http2


def stub_of(gateway, *options):
    return Stub(grpc.insecure_channel("%s:%d" % gateway.proxy, options=options))


def grpc_route(gateway, server, **fields):
    fields.setdefault("protocols", ["grpc", "grpcs"])
    fields.setdefault("paths", ["/test.Echo"])
    return gateway.route(server, path=None, strip_path=False, **fields)


def test_every_kind_of_call(gateway, server):
    grpc_route(gateway, server)
    stub = stub_of(gateway)
    answer, call = stub.unary.with_call(b"hello", metadata=(("x-mine", "1"),), timeout=10)
    assert answer == b"<hello>"
    assert dict(call.trailing_metadata())["x-trailer"] == "came"
    headers = dict(call.initial_metadata())
    assert headers["via"].startswith("1.1 sluice/") or headers["via"].startswith("2 sluice/")
    seen = server.metadata[-1]
    assert seen["x-mine"] == "1" and seen["x-forwarded-proto"] == "http" and "connection" not in seen
    assert stub.collect(iter([b"a" * 1000] * 100), timeout=10) == b"100000"
    assert list(stub.count(b"500", timeout=10)) == [b"%d" % i for i in range(500)]


def test_both_sides_speak_in_turn(gateway, server):
    grpc_route(gateway, server)
    words = queue.Queue()
    replies = stub_of(gateway).chat(iter(words.get, None), timeout=10)
    for word in (b"one", b"two", b"three"):
        words.put(word)
        assert next(replies) == word.upper()
    words.put(None)
    with pytest.raises(StopIteration):
        next(replies)


def test_large_messages_both_ways(gateway, server):
    grpc_route(gateway, server)
    stub = stub_of(gateway, ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    big = bytes(3_900_000)
    assert stub.unary(big, timeout=30) == b"<" + big + b">"


def test_many_calls_at_a_time(gateway, server):
    grpc_route(gateway, server)
    stub = stub_of(gateway)
    calls = [stub.unary.future(b"%d" % i, timeout=20) for i in range(300)]
    assert [c.result() for c in calls] == [b"<%d>" % i for i in range(300)]


def test_a_status_of_the_service_passes_as_it_is(gateway, server):
    grpc_route(gateway, server)
    with pytest.raises(grpc.RpcError) as failed:
        stub_of(gateway).fail(b"", timeout=10)
    assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert failed.value.details() == "not today, 100 % sure"


def test_over_tls_on_both_sides(gateway):
    pair = certificate("localhost")
    server = Server(pair)
    try:
        grpc_route(gateway, server)
        certificates = b"".join(file.read_bytes() for file in (gateway.prefix / "ssl").glob("*.crt"))
        credentials = grpc.ssl_channel_credentials(certificates)
        channel = grpc.secure_channel("localhost:%d" % gateway.tls[1], credentials)
        assert Stub(channel).unary(b"x", timeout=10) == b"<x>"
        assert server.metadata[-1]["x-forwarded-proto"] == "https"
    finally:
        server.stop()


def test_gateway_errors_are_statuses(gateway, server):
    stub = stub_of(gateway)
    with pytest.raises(grpc.RpcError) as failed:
        stub.unary(b"", timeout=10)
    assert failed.value.code() == grpc.StatusCode.NOT_FOUND and "no Route matched" in failed.value.details()

    service, _ = grpc_route(gateway, server)
    gateway.create(f"/services/{service['id']}/plugins", name="key-auth")
    gateway.settle()
    with pytest.raises(grpc.RpcError) as failed:
        stub.unary(b"", timeout=10)
    assert failed.value.code() == grpc.StatusCode.UNAUTHENTICATED
    gateway.create("/consumers", username="me")
    gateway.create("/consumers/me/key-auth", key="secret")
    gateway.settle()
    assert stub.unary(b"y", metadata=(("apikey", "secret"),), timeout=10) == b"<y>"


def test_a_dead_service_is_unavailable(gateway):
    gateway.route(f"grpc://127.0.0.1:{free_port()}", path=None, strip_path=False, protocols=["grpc"], paths=["/test.Echo"])
    with pytest.raises(grpc.RpcError) as failed:
        stub_of(gateway).unary(b"", timeout=10)
    # 502 has no line of its own in the table.
    assert failed.value.code() == grpc.StatusCode.INTERNAL


def test_the_clients_deadline_ends_the_call_at_the_service(gateway, server):
    grpc_route(gateway, server)
    with pytest.raises(grpc.RpcError) as failed:
        stub_of(gateway).slow(b"", timeout=0.5)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.cancelled.wait(5), "the service was not told"


def test_the_services_read_timeout_is_a_deadline(gateway, server):
    grpc_route(gateway, server, service={"read_timeout": 300})
    with pytest.raises(grpc.RpcError) as failed:
        stub_of(gateway).slow(b"", timeout=10)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.cancelled.wait(5)


def test_a_service_that_comes_back_is_used_again(gateway):
    server = Server()
    _, route = grpc_route(gateway, server)
    stub = stub_of(gateway)
    assert stub.unary(b"1", timeout=10) == b"<1>"
    server.stop()

    def gone():
        try:
            stub.unary(b"2", timeout=5)
            return False
        except grpc.RpcError:
            return True

    eventually(gone, "the end of the service")
    again = Server()
    try:
        gateway.admin("PATCH", f"/services/{route['service']['id']}", json={"port": again.port})
        gateway.settle()
        assert stub.unary(b"3", timeout=10) == b"<3>"
    finally:
        again.stop()


def test_what_is_no_grpc_is_told_so(gateway, server):
    grpc_route(gateway, server)
    assert fetch(gateway.proxy, "GET", "/test.Echo/unary").status == 415
    answer = fetch(gateway.proxy, "POST", "/test.Echo/unary", headers={"Content-Type": "application/grpc", "Content-Length": "0"})
    assert answer.status == 426 and answer.headers.get("Upgrade") == "HTTP/2"


def test_an_ordinary_service_over_http2(gateway, server):
    made, _ = gateway.route(f"http://127.0.0.1:{server.port}", "/h2", service={"http2": True})
    assert gateway.admin("GET", f"/services/{made['id']}").json["http2"] is True
    # The gRPC server answers over HTTP/2 and nothing else.
    assert fetch(gateway.proxy, "GET", "/h2").status in (200, 415, 404, 405)


def test_a_request_that_a_broken_connection_may_have_brought_is_not_sent_again(gateway, upstream):
    def script(peer):
        peer.send(b"\0\0\0\4\0\0\0\0\0")  # SETTINGS
        while b"take it" not in peer.reader.buffer:
            if not peer.reader.fill():
                return
        # It has been read; then the connection breaks.

    origin = upstream(script)
    gateway.route(origin, "/", service={"http2": True, "retries": 5})
    answer = fetch(gateway.proxy, "POST", "/", headers={"Content-Length": "7"}, body=b"take it")
    assert answer.status == 502
    assert len(origin.peers) == 1
