"""HTTP/2 for clients: how streams and connections end, what plugins and logs see, and clients that others have written."""

import hashlib
import re
import signal
import subprocess
import threading
import time

import pytest

from support.http2 import (CANCEL, DATA, Doors, END_HEADERS, END_STREAM, HEADERS, INTERNAL_ERROR, NO_ERROR, RST_STREAM, RawHttp2, STREAM_CLOSED,
                           frame)
from support.tools import peer
from support.upstreams import hashing, plain
from support.waiting import eventually

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def node(private_for_module):
    return Doors(private_for_module)


@pytest.fixture
def own(private):
    return lambda **settings: Doors(private, **settings)


@pytest.fixture(params=["tls", "clear"])
def tls(request):
    return request.param == "tls"


# -- one side leaves

def test_a_reset_by_the_client_cancels_the_request_upstream(house, upstream, tls):
    for error in (CANCEL, NO_ERROR):
        origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
        house.gateway.clear()
        house.gateway.route(origin)
        with house.open(tls) as client:
            stream = client.begin()
            peer = origin.peer()
            eventually(lambda: origin.requests, "the request")
            client.reset(stream, error)
            assert peer.closed.wait(5), f"not cancelled by {error}"
    eventually(lambda: " 499 " in house.gateway.log("access.log"), "the line of the access log")


def test_a_client_that_leaves_cancels_all_its_requests(house, upstream, tls):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    house.gateway.route(origin)
    client = house.open(tls)
    for _ in range(20):
        client.begin()
    origin.wait_for_requests(20)
    client.close()
    assert all(peer.closed.wait(5) for peer in origin.peers)


def test_a_request_that_is_taken_back_at_once_does_not_reach_the_origin(house, upstream):
    origin = upstream()
    house.gateway.route(origin)
    with RawHttp2(house.tls) as client:
        out = b""
        for stream in range(1, 201, 2):
            out += frame(HEADERS, END_HEADERS | END_STREAM, stream, client.block(path="/taken-back")) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
        client.send(out + frame(HEADERS, END_HEADERS | END_STREAM, 201, client.block(path="/kept")))
        assert client.first(HEADERS)[1] == 201
    assert len([r for r in origin.requests if r.target == "/taken-back"]) <= 10


def test_an_origin_that_fails_in_the_middle_resets_the_stream_alone(house, upstream):
    def script(peer):
        message = peer.request()
        if message.target == "/broken":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        else:
            peer.send(plain(b"fine"))

    house.gateway.route(upstream(script))
    with house.open() as client:
        answer = client.fetch(path="/broken")
        assert (answer.status, bytes(answer.body), answer.reset) == (200, b"only this", INTERNAL_ERROR)
        assert bytes(client.fetch(path="/other").body) == b"fine"


def test_an_origin_that_gives_no_answer_is_a_502(house, upstream):
    house.gateway.route(upstream(lambda peer: peer.request()))
    with house.open() as client:
        answer = client.fetch()
        assert answer.status == 502
        assert client.fetch("POST", body=b"x").status == 502


def test_an_early_answer_ends_the_upload(house, upstream):
    def script(peer):
        peer.head()
        peer.send(plain(b"no", "403 Forbidden", [("Connection", "close")]))
        peer.wait_closed()

    house.gateway.route(upstream(script), request_buffering=False)
    with house.open() as client:
        stream = client.begin("POST", end=False)
        client.send(stream, b"x" * 10000)
        client.until(lambda: client.answers[stream].ended, "the answer")
        assert client.answers[stream].status == 403
        client.until(lambda: client.answers[stream].reset is not None, "the end of the upload")
        assert client.answers[stream].reset == NO_ERROR


def test_the_end_of_a_body_may_come_after_the_answer_to_it(house, upstream):
    """In a frame of its own, as many clients send it: that is no reason to reset the stream."""
    house.gateway.route(upstream(plain(b"thanks")), request_buffering=False)
    with house.open() as client:
        stream = client.begin("POST", headers=[("content-length", "5")], end=False)
        client.send(stream, b"hello")
        client.until(lambda: client.answers[stream].ended, "the answer")
        client.take(0.5)
        assert client.answers[stream].reset is None
        client.h2.end_stream(stream)
        client.flush()
        assert client.fetch().status == 200
        late = client.begin("POST", headers=[("content-length", "5")], end=False)
        client.send(late, b"hello")
        client.until(lambda: client.answers[late].reset is not None, "the end of patience", 10)
        assert client.answers[late].reset == NO_ERROR


# -- the end of connections

def test_an_idle_connection_ends_with_goodbye(own, echo):
    house = own(client_keepalive_timeout="1s")
    house.gateway.route(echo)
    with house.open() as client:
        assert client.fetch().status == 200
        assert client.end(5) == (NO_ERROR, 1)
    with house.open() as client:  # a request that lasts longer is no idleness
        assert client.fetch(path="/slow/2000/x").status == 200
        assert client.end(5) == (NO_ERROR, 1)


def test_a_connection_ends_after_so_many_requests(own, echo):
    house = own(client_keepalive_requests="10")
    house.gateway.route(echo)
    with house.open() as client:
        streams = [client.begin(path=f"/slow/300/{n}") for n in range(12)]
        assert all(client.answer(stream).status == 200 for stream in streams)
        error, last = client.end(10)
        assert error == NO_ERROR and last >= 19


@pytest.mark.parametrize("how", ["reload", "quit"])
def test_requests_in_flight_are_answered_when_the_node_reloads_or_quits(own, upstream, how):
    released = threading.Event()
    body = b"b" * (3 * MIB)

    def script(peer):
        while True:
            message = peer.request()
            if message.target.startswith("/wait"):
                released.wait(15)
            peer.send(plain(body))

    house = own()
    origin = upstream(script, remember=False)
    house.gateway.route(origin)
    with house.open() as client, house.open(tls=False) as idle:
        assert client.fetch().status == 200
        assert idle.fetch().status == 200
        waiting = [client.begin(path=f"/wait/{n}") for n in range(20)]
        origin.wait_for_requests(22)
        house.gateway.process.send_signal(signal.SIGHUP if how == "reload" else signal.SIGQUIT)
        client.until(lambda: client.goaway, "GOAWAY", 10)
        assert client.goaway[0] == NO_ERROR
        assert idle.end(10)[0] == NO_ERROR
        released.set()
        for stream in waiting:
            assert bytes(client.answer(stream).body) == body
        assert client.end(10) == (NO_ERROR, waiting[-1])
        if how == "reload":
            with house.open() as after:
                assert after.fetch().status == 200
        else:
            assert house.gateway.process.wait(15) == 0


def test_the_end_of_an_answer_is_not_lost_when_the_connection_ends_behind_it(own, upstream):
    """What the client still says about its windows must not reset the connection under its last bytes."""
    body = b"e" * (6 * MIB)
    house = own(client_keepalive_requests="1", nginx_worker_processes=1)
    house.gateway.route(upstream(plain(body), remember=False))
    for tls in (True, False):
        with house.open(tls, settings={4: 2**30}, window=2**30) as client:
            stream = client.begin()
            client.head(stream)
            time.sleep(1.5)  # all that fits is in the sockets, and goodbye said
            for _ in range(50):
                client.h2.ping(b"12345678")
                client.flush_what_fits()
                time.sleep(0.01)
            assert len(client.answer(stream).body) == len(body)


# -- plugins and logs

def test_plugins_work_the_same(house, echo):
    service, route = house.gateway.route(echo)
    house.gateway.create("/consumers", username="ann")
    house.gateway.create("/consumers/ann/key-auth", key="secret")
    plugins = f"/routes/{route['id']}/plugins"
    house.gateway.create(plugins, name="key-auth")
    house.gateway.create(plugins, name="correlation-id", config={"echo_downstream": True, "generator": "uuid"})
    house.gateway.create(plugins, name="rate-limiting", config={"minute": 2, "policy": "local"})
    house.gateway.settle()
    with house.open() as client:
        assert client.fetch().status == 401
        first = client.fetch(headers=[("apikey", "secret")])
        assert first.status == 200 and first.headers["x-ratelimit-remaining-minute"] == "1"
        assert first.json["headers"]["x-consumer-username"] == "ann"
        assert first.headers["kong-request-id"] == first.json["headers"]["kong-request-id"]
        assert client.fetch("POST", headers=[("apikey", "secret")], body=b"x").status == 200
        limited = client.fetch(headers=[("apikey", "secret")])
        assert limited.status == 429 and b"API rate limit exceeded" in limited.body


def test_a_plugin_may_end_a_request(house, echo):
    _, route = house.gateway.route(echo)
    house.gateway.create(f"/routes/{route['id']}/plugins", name="request-termination", config={"status_code": 503, "message": "So long"})
    house.gateway.settle()
    with house.open() as client:
        stream = client.begin("POST", headers=[("content-length", "1000000")], end=False)
        answer = client.answer(stream)
        assert answer.status == 503 and answer.json["message"] == "So long"
        assert client.fetch().status == 503


def test_the_access_log_tells_the_version(house, echo, tls):
    house.gateway.route(echo)
    name = "over-tls" if tls else "in-clear"
    with house.open(tls) as client:
        client.fetch("POST", f"/logged/{name}", body=b"x")
    line = eventually(lambda: [each for each in house.gateway.log("access.log").splitlines() if f"/logged/{name}" in each], "the line")[0]
    assert f'"POST /logged/{name} HTTP/2.0" 200' in line


# -- real clients

def test_curl_nghttp_and_h2load_do_their_work(house, upstream):
    body = b"n" * 300000
    house.gateway.route(upstream(plain(body), remember=False))
    clear, tls = "http://%s:%d/" % house.clear, "https://%s:%d/" % house.tls
    for words in (["--http2", "-k", tls], ["--http2-prior-knowledge", clear]):
        out = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}", *words], capture_output=True, text=True)
        assert out.stdout == "2 200 300000", out
    for url in (tls, clear):
        out = subprocess.run(["nghttp", "-nv", url], capture_output=True, text=True, timeout=30)
        assert out.returncode == 0 and ":status: 200" in out.stdout, out
        out = subprocess.run(["h2load", "-n2000", "-c4", "-m50", url], capture_output=True, text=True, timeout=120)
        assert "2000 succeeded, 0 failed, 0 errored" in out.stdout, out.stdout


def test_curl_uploads(house, upstream, tmp_path):
    house.gateway.route(upstream(hashing, remember=False))
    content = bytes(range(256)) * 40000
    (tmp_path / "body").write_bytes(content)
    out = subprocess.run(["curl", "-sSk", "--http2", "-T", str(tmp_path / "body"), "https://%s:%d/" % house.tls], capture_output=True, text=True)
    assert out.stdout == hashlib.sha256(content).hexdigest(), out


@pytest.mark.parametrize("answer", [b"HTTP/1.1 204 No Content\r\n\r\n", plain(b"", "403 Forbidden"), plain(b"no", "403 Forbidden")],
                         ids=["204", "empty", "body"])
def test_an_answer_before_the_end_of_its_request_comes_whole(house, upstream, tls, answer):
    house.gateway.route(upstream(lambda peer: (peer.head(), peer.send(answer), peer.wait_closed())), request_buffering=False)
    with house.open(tls) as client:
        is_answered_early(client, int(answer.split()[1]))


def test_an_answer_of_the_gateway_before_the_end_of_its_request_comes_whole(house, echo, tls):
    service, _ = house.gateway.route(echo, settle=False)
    house.gateway.create(f"/services/{service['id']}/plugins", name="request-termination", config={"status_code": 204})
    house.gateway.settle()
    with house.open(tls) as client:
        is_answered_early(client, 204)


def is_answered_early(client, status):
    stream = client.begin(method="POST", end=False)
    client.until(lambda: client.answers[stream].reset is not None, "the reset")
    assert (client.answers[stream].status, client.answers[stream].ended, client.answers[stream].reset) == (status, True, NO_ERROR)


@pytest.mark.parametrize("ended_by", ["end of stream", "reset"])
@pytest.mark.parametrize("more", [DATA, HEADERS], ids=["data", "headers"])
def test_what_comes_on_a_stream_that_its_client_has_ended_ends_the_connection(house, upstream, tls, ended_by, more):
    house.gateway.route(upstream(plain(b"hello")))
    with RawHttp2(house.tls if tls else house.clear, tls) as client:
        for stream in range(1, 13, 2):
            if ended_by == "reset":
                client.send(frame(HEADERS, END_HEADERS, stream, client.block(method="POST")) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08"))
            else:
                client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, client.block()))
                client.first(HEADERS)
        client.send(frame(more, END_HEADERS if more == HEADERS else 0, 5, client.block() if more == HEADERS else b"late"))
        assert client.goaway() == STREAM_CLOSED


def test_what_was_on_its_way_to_a_stream_that_the_gateway_ended_is_let_pass(house, upstream, tls):
    house.gateway.route(upstream(plain(b"hello")))
    with RawHttp2(house.tls if tls else house.clear, tls) as client:
        # More than it said: the gateway resets the stream.
        client.send(frame(HEADERS, END_HEADERS, 1, client.block(method="POST", more=[("content-length", "1")])) + frame(DATA, 0, 1, b"xyz"))
        assert client.first(RST_STREAM)[1] == 1
        client.send(frame(DATA, 0, 1, b"more") + frame(DATA, END_STREAM, 1, b"the end"))
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, client.block()))
        assert client.first(HEADERS)[1] == 3


def test_h2spec_passes_completely(house, upstream, tls):
    house.gateway.route(upstream(plain(b"hello")))
    host, port = house.tls if tls else house.clear
    words = [peer("h2spec"), "-S", "-h", host, "-p", str(port), "-o", "5"]
    out = subprocess.run(words + (["-t", "-k"] if tls else []), capture_output=True, text=True, timeout=300)
    assert re.search(r"146 tests, 146 passed, 0 skipped, 0 failed", out.stdout), out.stdout[-4000:]
