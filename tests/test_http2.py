"""HTTP/2 for clients: requests, bodies and flow control, over TLS and by prior knowledge."""

import hashlib
import threading
import time

import pytest

from support.http2 import CANCEL, Doors, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, RST_STREAM, RawHttp2, SETTINGS, frame
from support.upstreams import hashing, plain, serve
from support.wire import chunks

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


# -- requests and answers

def test_a_request_reaches_the_origin_as_http_1(house, echo, tls):
    house.gateway.route(echo)
    with house.open(tls) as client:
        answer = client.fetch("GET", "/some/path?a=b", headers=[("x-one", "1"), ("user-agent", "tests")])
    assert answer.status == 200
    seen = answer.json
    assert (seen["method"], seen["target"]) == ("GET", "/some/path?a=b")
    assert seen["headers"]["x-one"] == "1"
    assert seen["headers"]["x-forwarded-proto"] == ("https" if tls else "http")
    assert seen["headers"]["x-forwarded-port"] == str((house.tls if tls else house.clear)[1])
    assert seen["headers"]["x-forwarded-host"] == "gate.test"
    assert not any(name.startswith(":") for name in seen["headers"])


def test_names_of_headers_are_small_and_those_of_the_connection_stay_away(house, upstream):
    origin = upstream(plain(b"x", headers=[("X-Camel-Case", "Yes"), ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5")]))
    house.gateway.route(origin)
    with house.open() as client:
        answer = client.fetch()
    names = answer.headers.names()
    assert all(name == name.lower() for name in names)
    assert answer.headers["x-camel-case"] == "Yes"
    assert not {"connection", "keep-alive", "transfer-encoding", "x-hop"} & set(names)
    assert "via" in names and "x-kong-proxy-latency" in names


def test_many_requests_run_at_once_on_one_connection(house, echo, tls):
    house.gateway.route(echo)
    with house.open(tls) as client:
        assert client.fetch().status == 200
        begun = time.monotonic()
        streams = [client.begin(path=f"/slow/500/{n}") for n in range(120)]
        for n, stream in enumerate(streams):
            answer = client.answer(stream)
            assert answer.status == 200 and answer.json["target"] == f"/slow/500/{n}"
        assert time.monotonic() - begun < 20


def test_many_requests_follow_each_other_on_one_connection(house, echo):
    house.gateway.route(echo)
    with house.open() as client:
        for n in range(1500):
            assert client.fetch(path=f"/{n}").status == 200


def test_how_many_streams_there_may_be_is_announced(house):
    with RawHttp2(house.clear, tls=False) as client:
        _, _, payload = client.first(SETTINGS)
    settings = {int.from_bytes(payload[i:i + 2], "big"): int.from_bytes(payload[i + 2:i + 6], "big") for i in range(0, len(payload), 6)}
    assert settings[3] == 128
    assert settings[6] == 32768  # longest header list
    assert settings[8] == 1  # extended CONNECT


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_end_with_their_head(house, echo, status):
    house.gateway.route(echo)
    with house.open() as client:
        answer = client.fetch(path=f"/status/{status}/x")
        assert (answer.status, bytes(answer.body), answer.ended) == (status, b"", True)
        assert client.fetch().status == 200


def test_head_tells_of_a_body_without_sending_it(house, upstream):
    origin = upstream(lambda peer: [peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n") for _ in iter(peer.request, None)])
    house.gateway.route(origin)
    with house.open() as client:
        answer = client.fetch("HEAD")
        assert (answer.status, answer.headers["content-length"], bytes(answer.body)) == (200, "1234", b"")
        assert client.fetch("HEAD").ended


def test_interim_answers_pass(house, upstream):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    house.gateway.route(upstream(hints + plain(b"done")))
    with house.open() as client:
        answer = client.fetch()
    assert [dict(each) for each in answer.interim] == [{":status": "103", "link": "</a.css>; rel=preload"}]
    assert bytes(answer.body) == b"done"


def test_cookie_crumbs_are_one_header_for_the_origin(house, echo):
    house.gateway.route(echo)
    with house.open() as client:
        answer = client.fetch(headers=[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")])
    assert answer.json["headers"]["cookie"] == "a=1; b=2; c=3"


def test_host_stands_in_for_a_missing_authority_but_may_not_differ_from_it(house, echo):
    house.gateway.route(echo, hosts=["one.test"])
    with house.open() as client:
        host_alone = client.fetch(pseudo=[(":method", "GET"), (":scheme", "https"), (":path", "/")], headers=[("host", "one.test")])
        assert host_alone.status == 200
        assert client.fetch(authority="one.test", headers=[("host", "ONE.test")]).status == 200
        assert client.fetch(authority="one.test", headers=[("host", "two.test")]).status == 400
        assert client.fetch(authority="one.test").status == 200


@pytest.mark.parametrize("authority", ["a b", "a/b", "a@b", "a:b:c", "a\tb"])
def test_a_malformed_authority_is_refused(house, echo, authority):
    house.gateway.route(echo)
    with house.open() as client:
        answer = client.fetch(authority=authority)
        assert answer.status == 400 or answer.reset == PROTOCOL_ERROR
        assert client.fetch().status == 200
    assert all(authority.encode() not in request.raw_head for request in echo.requests)


@pytest.mark.parametrize("path", ["/a%00b", "no/slash", "/a#b", "http://gate.test/"])
def test_a_malformed_path_is_refused(house, echo, path):
    house.gateway.route(echo)
    with house.open() as client:
        answer = client.fetch(path=path)
        assert answer.status == 400 or answer.reset == PROTOCOL_ERROR
        assert client.fetch().status == 200


@pytest.mark.parametrize("fields", [[("x", "a\r\nb")], [("x", "a\0b")], [("x y", "1")], [("X-Capital", "1")], [("connection", "close")],
                                    [("transfer-encoding", "chunked")], [("te", "gzip")], [("x", " led")]])
def test_malformed_and_forbidden_fields_never_reach_the_origin(house, echo, fields):
    house.gateway.route(echo)
    with house.open() as client:
        answer = client.fetch(headers=fields)
        if fields == [("x", " led")]:
            assert answer.status in (200, 400) or answer.reset == PROTOCOL_ERROR
        else:
            assert answer.status == 400 or answer.reset == PROTOCOL_ERROR, answer
        assert client.fetch().status == 200
    assert all(b"a\r\nb" not in request.raw_head for request in echo.requests)


def test_heads_that_are_too_large_are_refused_and_the_connection_lives(house, echo):
    house.gateway.route(echo)
    with house.open() as client:
        too_large = client.fetch(headers=[(f"x-{n}", "v" * 1000) for n in range(40)])
        assert too_large.status == 431
        assert client.fetch(path="/" + "a" * 9000).status == 414
        assert client.fetch(headers=[("x-large", "v" * 20000)]).status == 200
    assert len(echo.requests) == 1


def test_too_many_headers_are_refused(own, echo):
    house = own(client_max_headers=20)
    house.gateway.route(echo)
    with house.open() as client:
        assert client.fetch(headers=[(f"x-{n}", "v") for n in range(30)]).status == 431
        assert client.fetch().status == 200


# -- bodies

@pytest.mark.parametrize("declared", [True, False])
def test_bodies_are_carried_up_whole(house, upstream, tls, declared):
    house.gateway.route(upstream(hashing, remember=False))
    body = bytes(range(256)) * (4 * 4096 * 5)  # 20 MiB
    with house.open(tls) as client:
        headers = [("content-length", str(len(body)))] if declared else []
        answer = client.fetch("POST", headers=headers, body=body)
        assert answer.headers["x-length"] == str(len(body))
        assert bytes(answer.body).decode() == hashlib.sha256(body).hexdigest()
        for size in (0, 1, 16383, 16384, 65535, 65536, 65537):
            answer = client.fetch("POST", body=body[:size])
            assert bytes(answer.body).decode() == hashlib.sha256(body[:size]).hexdigest()


@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
def test_bodies_are_carried_down_whole(house, upstream, tls, framing):
    body = bytes(range(256)) * (4 * 4096 * 5)

    def script(peer):
        peer.request()
        if framing == "length":
            peer.send(plain(body))
        elif framing == "chunks":
            pieces = [body[i:i + 50000] for i in range(0, len(body), 50000)]
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(*pieces))
        else:
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + body)

    house.gateway.route(upstream(script, remember=False))
    with house.open(tls) as client:
        answer = client.fetch()
        assert answer.ended and hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()


def test_a_stream_that_is_not_read_holds_up_no_other(house, upstream, tls):
    big = b"b" * (4 * MIB)
    house.gateway.route(upstream(serve(lambda m: plain(big if m.target == "/big" else b"small")), remember=False))
    with house.open(tls) as client:
        client.unread.add(1)
        stuck = client.begin(path="/big")
        client.until(lambda: len(client.answers[stuck].body) == 65535, "a window's worth of the big body")
        for _ in range(50):
            assert bytes(client.fetch(path="/small").body) == b"small"
        assert len(client.answers[stuck].body) == 65535
        client.unread.clear()
        client.h2.increment_flow_control_window(8 * MIB, stuck)
        client.flush()
        assert bytes(client.answer(stuck).body) == big


def test_an_upload_that_nobody_reads_holds_up_no_other(house, upstream, tls):
    released = threading.Event()

    def script(peer):
        while True:  # closing after an answer would meet the next upload, which nobody can send again
            message = peer.head()
            if message.target == "/stuck":
                released.wait(20)
            body = peer.reader.exactly(int(message.headers["content-length"]))
            peer.send(plain(hashlib.sha256(body).hexdigest().encode() if message.target == "/stuck" else b"free"))

    house.gateway.route(upstream(script, remember=False, receive_buffer=65536), request_buffering=False)
    body = b"u" * (32 * MIB)
    with house.open(tls) as client:
        stuck = client.begin("POST", "/stuck", headers=[("content-length", str(len(body)))], end=False)
        sent = 0
        quiet = 0
        while quiet < 20:  # as much as the windows and the sockets on the way hold
            room = min(client.h2.local_flow_control_window(stuck), client.h2.max_outbound_frame_size)
            if room > 0:
                client.h2.send_data(stuck, body[sent:sent + room])
                client.flush()
                sent += room
                quiet = 0
            else:
                client.take(0.02)
                quiet += 1
        assert sent < 16 * MIB
        for _ in range(20):
            assert bytes(client.fetch("POST", "/free", headers=[("content-length", "70000")], body=b"x" * 70000).body) == b"free"
        released.set()
        client.send(stuck, body[sent:], end=True)
        assert bytes(client.answer(stuck).body).decode() == hashlib.sha256(body).hexdigest()


def test_a_window_of_zero_holds_the_body_back_and_not_the_head(house, upstream, tls):
    house.gateway.route(upstream(plain(b"body")))
    with house.open(tls, settings={4: 0}) as client:
        stream = client.begin()
        assert client.head(stream).status == 200
        client.take(0.3)
        assert bytes(client.answers[stream].body) == b""
        client.h2.increment_flow_control_window(2, stream)
        client.flush()
        client.until(lambda: bytes(client.answers[stream].body) == b"bo", "two bytes")
        client.h2.update_settings({4: 100})
        client.flush()
        assert bytes(client.answer(stream).body) == b"body"


def test_windows_of_a_single_byte_carry_a_body_too(house, upstream):
    body = bytes(range(200))
    house.gateway.route(upstream(plain(body)))
    with house.open(settings={4: 1}, unread=[1]) as client:
        stream = client.begin()
        for n in range(1, 201):
            client.until(lambda n=n: len(client.answers[stream].body) >= n, f"byte {n}")
            if n < 200:
                client.h2.increment_flow_control_window(1, stream)
                client.flush()
        assert bytes(client.answer(stream).body) == body


def test_a_client_that_updates_its_windows_for_every_4_kib_may_go_on(house, upstream):
    """Go's client does: two updates for each of its reads."""
    body = b"d" * (24 * MIB)
    house.gateway.route(upstream(plain(body), remember=False))
    with RawHttp2(house.tls) as client:
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, client.block()))
        got = 0
        for kind, flags, stream, payload in client.frames():
            assert kind != 7, payload
            if kind == 0:
                got += len(payload)
                for at in range(0, len(payload), 4096):
                    size = min(4096, len(payload) - at).to_bytes(4, "big")
                    client.send(frame(8, 0, 0, size) + frame(8, 0, 1, size))
                if flags & END_STREAM:
                    break
        assert got == len(body)


def test_a_client_may_measure_the_way_with_every_message(house, upstream):
    """gRPC's clients do: a ping for each small message that comes."""
    count = 4000

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(count):
            peer.send(b"3\r\nabc\r\n")
            time.sleep(0.0002)
        peer.send(b"0\r\n\r\n")

    house.gateway.route(upstream(script))
    with house.open() as client:
        stream = client.begin()
        handle = client.handle
        pings = 0

        def ping_back(event):
            nonlocal pings
            handle(event)
            if type(event).__name__ == "DataReceived":
                client.h2.ping(b"12345678")
                pings += 1

        client.handle = ping_back
        assert len(client.answer(stream).body) == 3 * count
        assert client.goaway is None and pings > 500


def test_trailers_pass_both_ways(house, upstream, tls):
    def script(peer):
        while True:
            message = peer.request()
            told = "/".join(f"{n}={v}" for n, v in message.trailers)
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunks(message.body, trailers=f"X-Sum: {told}\r\n"))

    house.gateway.route(upstream(script))
    with house.open(tls) as client:
        answer = client.fetch("POST", headers=[("te", "trailers"), ("trailer", "x-check")], body=b"hello", trailers=[("x-check", "42")])
        assert bytes(answer.body) == b"hello"
        assert dict(answer.trailers) == {"x-sum": "x-check=42"}
        large = client.fetch("POST", headers=[("te", "trailers")], body=b"h" * 200000, trailers=[("x-check", "43")])
        assert len(large.body) == 200000 and dict(large.trailers) == {"x-sum": "x-check=43"}


def test_trailers_that_are_too_large_end_the_stream(house, echo):
    house.gateway.route(echo)
    with house.open() as client:
        answer = client.fetch("POST", body=b"hello", trailers=[(f"x-{n}", "v" * 2000) for n in range(30)])
        assert answer.reset is not None or answer.status in (400, 431)
        assert client.fetch().status == 200


def test_expect_is_answered_when_the_body_is_wanted(house, echo):
    house.gateway.route(echo)
    with house.open() as client:
        stream = client.begin("POST", "/wanted", headers=[("expect", "100-continue"), ("content-length", "5")], end=False)
        client.until(lambda: client.answers[stream].interim, "100 (Continue)")
        client.send(stream, b"hello", end=True)
        answer = client.answer(stream)
        assert answer.json["body"] == "hello"
        assert [dict(i)[":status"] for i in answer.interim] == ["100"]
    house.gateway.clear()
    with house.open() as client:
        stream = client.begin("POST", "/unwanted", headers=[("expect", "100-continue"), ("content-length", "5")], end=False)
        answer = client.answer(stream)
        assert answer.status == 404 and answer.interim == []
        assert client.fetch("POST", headers=[("expect", "tea")], body=b"x").status == 417


@pytest.mark.parametrize("declared, sent", [("5", b"hell"), ("5", b"hello!"), ("0", b"x")])
def test_a_body_that_is_not_as_long_as_it_says_ends_the_stream(house, upstream, declared, sent):
    origin = upstream()
    house.gateway.route(origin)
    with house.open() as client:
        stream = client.begin("POST", headers=[("content-length", declared)], end=False)
        client.h2.streams[stream]._expected_content_length = None
        client.h2.send_data(stream, sent, end_stream=True)
        client.flush()
        assert client.answer(stream).reset == PROTOCOL_ERROR
        assert client.fetch().status == 200
    assert [r for r in origin.requests if r.method == "POST" and r.complete] == []


@pytest.mark.parametrize("value", ["-1", "+5", "5, 5", "0x5", "5 5", "99999999999999999999"])
def test_a_length_that_is_no_number_is_refused(house, echo, value):
    house.gateway.route(echo)
    with house.open() as client:
        stream = client.begin("POST", headers=[("content-length", "5")], end=False)
        client.send(stream, b"hello", end=True)
        assert client.answer(stream).status == 200
    with RawHttp2(house.tls) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, client.block("POST", more=[("content-length", value)])))
        for kind, _, _, payload in client.frames(5):
            if kind == HEADERS:
                assert dict(client.decoder.decode(payload))[":status"] == "400"
                break
            if kind == RST_STREAM:
                assert int.from_bytes(payload, "big") == PROTOCOL_ERROR
                break
        else:
            pytest.fail("no answer")
    assert len(echo.requests) == 1


def test_a_body_beyond_the_limit_is_refused(own, echo):
    house = own(client_max_body_size="100k")
    house.gateway.route(echo)
    with house.open() as client:
        assert client.answer(client.begin("POST", headers=[("content-length", "200000")], end=False)).status == 413
        stream = client.begin("POST", end=False)
        client.send(stream, b"x" * 200000, end=True)
        assert client.answer(stream).status == 413
        assert client.fetch("POST", body=b"y" * 50000).status == 200


def test_a_body_that_stops_coming_times_out(own, echo):
    house = own(client_body_timeout="1s")
    house.gateway.route(echo)
    with house.open() as client:
        stream = client.begin("POST", headers=[("content-length", "10")], end=False)
        client.send(stream, b"12345")
        other = client.fetch()
        assert other.status == 200
        assert client.answer(stream, 5).status == 408
        assert client.fetch().status == 200


def test_an_answer_that_is_not_read_times_out_alone(own, upstream):
    house = own(client_send_timeout="1s")
    origin = upstream(plain(b"b" * MIB), remember=False)
    house.gateway.route(origin)
    with house.open() as client:
        client.unread.add(1)
        stuck = client.begin()
        client.until(lambda: client.answers[stuck].reset is not None, "a reset", 6)
        assert client.answers[stuck].reset == CANCEL
        assert client.fetch().status == 200


def test_a_head_that_does_not_end_ends_the_connection(own, echo):
    house = own(client_header_timeout="1s")
    house.gateway.route(echo)
    with RawHttp2(house.tls) as client:
        block = client.block()
        client.send(frame(HEADERS, END_STREAM, 1, block[:3]))
        list(client.frames(6))
        assert client.ended
