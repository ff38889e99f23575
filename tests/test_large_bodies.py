"""Large bodies pass with little memory, and whoever does not read holds back whoever sends."""

import hashlib
import os
import socket
import subprocess
import threading

import pytest

from support.http2 import Doors
from support.upstreams import plain
from support.waiting import eventually
from support.wire import get, request_bytes

MIB = 1024 * 1024
BLOCK = os.urandom(MIB)


def sink(digests):
    """Reads a request without keeping it, and answers with its length."""

    def script(peer):
        message = peer.head()
        left = int(message.headers["content-length"])
        total, digest = left, hashlib.sha256()
        data, peer.reader.buffer = peer.reader.buffer, b""
        while True:
            digest.update(data)
            left -= len(data)
            if left <= 0 or not (data := peer.sock.recv(1 << 18)):
                break
        digests.append(digest.hexdigest())
        peer.send(plain(str(total - left).encode()))

    return script


def watch_memory(gateway, work):
    """The most memory in use while work() runs, above that before it."""
    before = most = gateway.memory()
    done = threading.Event()
    result = []

    def run():
        try:
            result.append(work())
        except BaseException as problem:
            result.append(problem)
        done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not done.wait(0.02):
        most = max(most, gateway.memory())
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return max(most, gateway.memory()) - before, result[0]


@pytest.mark.slow
@pytest.mark.parametrize("buffering", [True, False])
def test_an_upload_of_200_megabytes_needs_no_memory(gateway, upstream, buffering):
    digests = []
    gateway.route(upstream(sink(digests), remember=False), request_buffering=buffering)
    gateway.fetch("POST", "/", body=b"warm")
    digests.clear()

    def upload():
        with gateway.client(timeout=120) as client:
            client.send(request_bytes("POST", "/", [("Content-Length", str(200 * MIB))]))
            for _ in range(200):
                client.send(BLOCK)
            return client.answer()

    grown, answer = watch_memory(gateway, upload)
    assert (answer.status, answer.text) == (200, str(200 * MIB))
    assert digests == [hashlib.sha256(BLOCK * 200).hexdigest()]
    assert grown < 16 * MIB, f"{grown / MIB:.1f} MiB more"


def source(peer):
    """Sends 200 MiB to whoever asks."""
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MIB))
    for _ in range(200):
        peer.send(BLOCK)


@pytest.mark.slow
def test_a_download_of_200_megabytes_needs_no_memory(gateway, upstream):
    gateway.route(upstream(source))

    def download():
        with gateway.client(timeout=120) as client:
            client.send(get("/"))
            client.reader.remember = False
            answer = client.reader.head()
            digest, left = hashlib.sha256(client.reader.buffer), 200 * MIB - len(client.reader.buffer)
            while left and (data := client.sock.recv(1 << 18)):
                digest.update(data)
                left -= len(data)
            return answer.status, left, digest.hexdigest()

    grown, outcome = watch_memory(gateway, download)
    assert outcome == (200, 0, hashlib.sha256(BLOCK * 200).hexdigest())
    assert grown < 16 * MIB, f"{grown / MIB:.1f} MiB more"


@pytest.mark.slow
def test_a_client_that_does_not_read_holds_back_the_origin(gateway, upstream):
    sent = [0]

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MIB))
        for _ in range(3200):
            peer.send(BLOCK[:65536])
            sent[0] += 65536

    gateway.route(upstream(script), response_buffering=False)
    before = gateway.memory()
    with gateway.client(receive_buffer=65536) as client:
        client.send(get("/"))
        last = [-1]

        def stalled():
            now, was = sent[0], last[0]
            last[0] = now
            return now > 0 and now == was

        eventually(stalled, "the origin being held back", timeout=20, every=0.5)
        assert sent[0] < 60 * MIB
        assert gateway.memory() - before < 16 * MIB
        client.reader.remember = False
        answer = client.reader.head()
        left = int(answer.headers["content-length"]) - len(client.reader.buffer)
        while left and (data := client.sock.recv(1 << 18)):
            left -= len(data)
        assert left == 0
    assert sent[0] == 200 * MIB


@pytest.mark.slow
def test_an_origin_that_does_not_read_holds_back_the_client(gateway, upstream):
    proceed = threading.Event()

    def script(peer):
        peer.head()
        proceed.wait(60)
        left = 200 * MIB - len(peer.reader.buffer)
        while left and (data := peer.sock.recv(1 << 18)):
            left -= len(data)
        peer.send(plain(str(left).encode()))

    gateway.route(upstream(script, remember=False, receive_buffer=65536), request_buffering=False)
    before = gateway.memory()
    with gateway.client() as client:
        client.send(request_bytes("POST", "/", [("Content-Length", str(200 * MIB))]))
        client.sock.settimeout(1.0)
        sent = 0
        try:
            while sent < 200 * MIB:
                sent += client.sock.send(BLOCK[:65536])
        except (socket.timeout, TimeoutError):
            pass
        assert sent < 60 * MIB
        assert gateway.memory() - before < 16 * MIB
        proceed.set()
        client.sock.settimeout(60)
        while sent < 200 * MIB:
            sent += client.sock.send(BLOCK[:min(65536, 200 * MIB - sent)])
        assert client.answer().text == "0"


# -- over HTTP/2


@pytest.mark.slow
@pytest.mark.parametrize("tls", [True, False])
def test_bodies_of_200_megabytes_over_http2_need_no_memory(private, upstream, tmp_path, tls):
    house, digests = Doors(private), []
    house.gateway.route(upstream(sink(digests), remember=False), "/up")
    house.gateway.route(upstream(source), "/down")
    url = "https://127.0.0.1:%d" % house.tls[1] if tls else "http://127.0.0.1:%d" % house.clear[1]
    words = ["curl", "-sSk", "--http2" if tls else "--http2-prior-knowledge", "-m", "120", "-w", "%{http_version} %{http_code}"]
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(BLOCK * 200)
    sent_digest = hashlib.sha256(BLOCK * 200).hexdigest()

    def ask(*more):
        return subprocess.run([*words, *more], capture_output=True, text=True).stdout

    grown, told = watch_memory(house.gateway, lambda: ask("-T", str(sent), f"{url}/up"))
    assert told == f"{200 * MIB}2 200" and digests == [sent_digest]
    print(f"up: +{grown / MIB:.1f} MiB")
    assert grown < 16 * MIB
    grown, told = watch_memory(house.gateway, lambda: ask("-o", str(got), f"{url}/down"))
    assert told == "2 200" and hashlib.sha256(got.read_bytes()).hexdigest() == sent_digest
    print(f"down: +{grown / MIB:.1f} MiB")
    assert grown < 16 * MIB
