"""What hostile HTTP/2 clients do ends their connection, is told in the log, and costs the others nothing."""

import threading
import time

import pytest

from support.http2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, RST_STREAM,
                           SETTINGS, WINDOW_UPDATE, Doors, Http2, RawHttp2, cpu_seconds, frame)
from support.upstreams import plain
from support.waiting import eventually

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def node(private_for_module):
    return Doors(private_for_module, nginx_worker_processes=1)


class Bystander:
    """Asks all the while on a connection of its own; how long the slowest answer took."""

    def __init__(self, house):
        self.client = Http2(house.tls)
        assert self.client.fetch(path="/bystander").status == 200
        self.stopping = False
        self.slowest = 0.0
        self.count = 0
        self.problem = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.stopping:
                begun = time.monotonic()
                assert self.client.fetch(path="/bystander").status == 200
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.count += 1
                time.sleep(0.002)
        except Exception as problem:
            self.problem = problem

    def stop(self):
        self.stopping = True
        self.thread.join(10)
        self.client.close()


@pytest.fixture
def costs(house, upstream):
    """Fails when what happens in between costs too much, or when others are served late."""
    origin = upstream(plain(b"hello"), remember=False)
    house.gateway.route(origin)
    bystander = Bystander(house)
    memory, cpu = house.gateway.memory(), cpu_seconds(house.gateway.pid)
    yield house
    bystander.stop()
    spent, grown = cpu_seconds(house.gateway.pid) - cpu, house.gateway.memory() - memory
    print(f"cpu {spent:.2f} s, memory +{grown / MIB:.1f} MiB, bystander: {bystander.count} answers, slowest {bystander.slowest * 1000:.1f} ms")
    assert bystander.problem is None
    assert bystander.slowest < 1.0
    assert spent < 2.0
    # A sanitizer keeps what was freed, to see who uses it still.
    assert grown < (128 if house.gateway.sanitized else 24) * MIB


def request(client, stream, **more):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, client.block(**more))


def resets(client):
    for stream in range(1, 2601, 2):  # 1,300
        yield request(client, stream) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")


def continuations(client):
    yield frame(HEADERS, END_STREAM, 1, client.block())
    for n in range(1999):
        yield frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b")


def empty_continuations(client):
    yield frame(HEADERS, END_STREAM, 1, client.block())
    for n in range(1999):
        yield frame(CONTINUATION, 0, 1)


def settings(client):
    for n in range(2000):
        yield frame(SETTINGS, payload=b"\0\4\0\1\0\0")


def pings(client):
    for n in range(2000):
        yield frame(PING, payload=b"12345678")


def unasked_pongs(client):
    for n in range(2000):
        yield frame(PING, 1, payload=b"12345678")


def priorities(client):
    for n in range(2000):
        yield frame(PRIORITY, 0, 2 * n + 1, b"\0\0\0\0\x10")


def empty_data(client):
    yield frame(HEADERS, END_HEADERS, 1, client.block(method="POST"))
    for n in range(1999):
        yield frame(DATA, 0, 1)


def padding_alone(client):
    yield frame(HEADERS, END_HEADERS, 1, client.block(method="POST"))
    for n in range(1999):
        yield frame(DATA, 8, 1, b"\x00")


def tiny_window_updates(client):
    for n in range(2000):
        yield frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")


def unknown_frames(client):
    for n in range(2000):
        yield frame(0x20, 0, 0, b"x")


def ignored_data(client):
    """On a stream that the gateway has reset: nghttp2 does not even tell of it."""
    yield frame(HEADERS, END_HEADERS, 1, client.block(method="POST", more=[("content-length", "1")])) + frame(DATA, 0, 1, b"xyz")
    for n in range(1999):
        yield frame(DATA, 0, 1)


def ignored_heads(client):
    yield frame(HEADERS, END_HEADERS, 1, client.block(method="POST", more=[("content-length", "1")])) + frame(DATA, 0, 1, b"xyz")
    for n in range(1999):
        yield frame(HEADERS, END_HEADERS, 1, b"\x82")


def refused_streams(client):
    """Beyond the limit, before the client could know of it."""
    for n in range(2000):
        yield frame(HEADERS, END_HEADERS, 2 * n + 1, client.block(method="POST"))


def windows_that_overflow(client):
    """Every one makes us reset the stream: a rapid reset in disguise."""
    for n in range(1300):
        yield frame(HEADERS, END_HEADERS, 2 * n + 1, client.block(method="POST")) + frame(WINDOW_UPDATE, 0, 2 * n + 1, b"\x7f\xff\xff\xff")


def bodies_that_are_too_long(client):
    for n in range(1300):
        yield frame(HEADERS, END_HEADERS, 2 * n + 1, client.block(method="POST", more=[("content-length", "1")])) + frame(DATA, 0, 2 * n + 1, b"xyz")


def malformed_requests(client):
    for n in range(1300):
        yield frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, client.block(more=[("connection", "close")]))


FLOODS = [resets, continuations, empty_continuations, settings, pings, unasked_pongs, priorities, empty_data, padding_alone, tiny_window_updates,
          unknown_frames, ignored_data, ignored_heads, windows_that_overflow, bodies_that_are_too_long, malformed_requests]


RESET_BY_US = [windows_that_overflow, bodies_that_are_too_long, malformed_requests]


def wait_for_reset(client, stream):
    """Until the stream is reset; the error code, where the connection ends instead."""
    for kind, _, of, payload in client.frames():
        if kind == GOAWAY:
            return int.from_bytes(payload[4:8], "big")
        if kind == RST_STREAM and of == stream:
            return None
    return None


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "clear"])
@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
def test_a_flood_ends_its_connection(costs, flood, tls):
    with RawHttp2(costs.tls if tls else costs.clear, tls) as client:
        before = costs.gateway.log().count("closed an HTTP/2 connection")
        batch, ended = b"", None
        for n, frames in enumerate(flood(client)):
            batch += frames
            if n % 40 == 39:
                client.send(batch)
                batch = b""
                # More streams at once than there may be are another offence.
                ended = wait_for_reset(client, 2 * n + 1) if flood in RESET_BY_US else time.sleep(0.003)
            if ended is not None:
                break
        client.send(batch)
        assert (client.goaway() if ended is None else ended) == ENHANCE_YOUR_CALM
    eventually(lambda: costs.gateway.log().count("closed an HTTP/2 connection") == before + 1, "the line of the log")


def test_a_flood_of_an_old_connection_ends_it_as_soon(costs):
    with RawHttp2(costs.clear, tls=False) as client:
        client.send(frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"))
        time.sleep(3)
        client.send(b"".join(resets(client)))
        assert client.goaway() == ENHANCE_YOUR_CALM


def test_streams_beyond_the_limit_are_refused_and_many_end_the_connection(costs):
    with RawHttp2(costs.clear, tls=False, greet=False) as client:
        client.send(PREFACE + frame(SETTINGS))  # ours is never confirmed
        opening = list(refused_streams(client))
        client.send(b"".join(opening[:140]))
        refused = 0
        for kind, _, _, payload in client.frames(3):
            if kind == RST_STREAM and payload == b"\0\0\0\7":
                refused += 1
            if refused == 12:
                break
        assert refused == 12
        client.send(b"".join(opening[140:]))
        assert client.goaway() == ENHANCE_YOUR_CALM
    with RawHttp2(costs.clear, tls=False) as client:  # who knows of the limit breaks the protocol
        client.send(b"".join(opening[:200]))
        assert client.goaway() in (PROTOCOL_ERROR, ENHANCE_YOUR_CALM)


def test_single_bytes_drawn_from_a_body_end_the_connection(house, upstream):
    house.gateway.route(upstream(plain(b"b" * MIB), remember=False))
    with RawHttp2(house.clear, tls=False, settings=b"\0\4\0\0\0\0") as client:
        client.send(request(client, 1))
        for n in range(2000):
            if not client.send(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1")):
                break
        assert client.goaway() == ENHANCE_YOUR_CALM


def test_a_few_bytes_that_stand_for_many_end_the_connection(costs):
    """An HPACK bomb: one entry of the table, named again and again."""
    with RawHttp2(costs.clear, tls=False) as client:
        head = client.block()
        entry = b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000  # a literal of 4,000 bytes that goes into the table
        block = head + entry + b"\xbe" * (16000 - len(head) - len(entry))
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
        assert client.goaway() == ENHANCE_YOUR_CALM


def test_a_head_far_beyond_the_limit_is_answered_or_ends_the_connection(costs):
    for size, answers in ((16, "431"), (4000, "431"), (1, None)):
        with RawHttp2(costs.clear, tls=False) as client:
            field = b"\x00\x01a" + (bytes([size]) if size < 127 else b"\x7f" + bytes([(size - 127) & 127 | 128, (size - 127) >> 7])) + b"v" * size
            block = client.block() + field * ((120000 if size == 4000 else 60 * 1000 if size == 16 else 200000) // len(field))
            pieces = [block[i:i + 16384] for i in range(0, len(block), 16384)]
            out = frame(HEADERS, END_STREAM, 1, pieces[0])
            for n, piece in enumerate(pieces[1:], 2):
                out += frame(CONTINUATION, END_HEADERS if n == len(pieces) else 0, 1, piece)
            client.send(out)
            for kind, _, _, payload in client.frames():
                if kind == HEADERS:
                    assert dict(client.decoder.decode(payload))[":status"] == "431"
                    break
                if kind == 7:
                    assert int.from_bytes(payload[4:8], "big") == ENHANCE_YOUR_CALM
                    break
            else:
                pytest.fail("neither an answer nor an end")


def test_who_asks_and_never_reads_is_bounded(costs):
    """Requests as fast as they go, nothing read: what waits for this client stays small (see `costs`)."""
    with RawHttp2(costs.clear, tls=False) as client:
        client.sock.settimeout(0.5)
        sent = 0
        try:
            for stream in range(1, 200001, 2):
                client.sock.sendall(request(client, stream, path="/nothing"))
                sent += 1
        except OSError:
            pass
        time.sleep(0.5)
        assert sent > 1000


def test_an_honest_client_is_never_taken_for_another(house, upstream):
    """Cancelled requests among answered ones, pings, settings and priorities, for a while."""
    house.gateway.route(upstream(plain(b"x" * 3000), remember=False))
    with Http2(house.tls) as client:
        for n in range(2500):
            stream = client.begin(path=f"/{n}")
            if n % 3 == 0:
                client.h2.reset_stream(stream, 8)
            elif n % 3 == 1:
                client.h2.ping(b"12345678")
                assert client.answer(stream).status == 200
            else:
                assert client.answer(stream).status == 200
        assert client.goaway is None
        assert client.fetch().status == 200
