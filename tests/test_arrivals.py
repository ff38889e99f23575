"""Bytes that come when nobody is waiting for them, in pieces of any size, on connections that are used many times."""

import hashlib
import os
import threading

import pytest

from support.upstreams import hashing, name_of_target, plain, serve
from support.waiting import eventually
from support.wire import chunks, get, request_bytes

KIB = 1024
# Around what a read may bring at a time: two kilobytes, four, sixteen, sixty-four.
SIZES = [0, 1, 100, *(size + off for size in (2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB, 64 * KIB) for off in (-300, -1, 0, 1, 300)), 300 * KIB]


@pytest.fixture
def single(private):
    return private(nginx_worker_processes=1)


def held(which="/"):
    """An answer to serve() that names the target, and what those wait for whose target begins so."""
    proceed = threading.Event()

    def answer(message):
        if message.target.startswith(which):
            proceed.wait(60)
        return name_of_target(message)

    return proceed, answer


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_requests_of_every_size_arrive_whole_on_one_connection(single, upstream, framing):
    single.route(upstream(hashing))
    with single.client() as client:
        for size in SIZES + SIZES[::-1]:
            body = os.urandom(size)
            if framing == "length":
                client.send(request_bytes("POST", "/", body=body))
            else:
                pieces = [piece for piece in (body[:1000], body[1000:]) if piece]
                client.send(request_bytes("POST", "/", [("Transfer-Encoding", "chunked")], chunks(*pieces)))
            answer = client.answer()
            assert (answer.headers["x-length"], answer.text) == (str(size), hashlib.sha256(body).hexdigest())


def test_heads_of_every_size_arrive_whole_on_one_connection(single, echo):
    single.route(echo)
    with single.client() as client:
        for size in [each for each in SIZES if each <= 16 * KIB]:
            answer = client.ask(get("/", f"X-Filling: {'f' * size}")) if size else client.ask(get("/"))
            assert answer.status == 200 and answer.json["headers"].get("x-filling", "") == "f" * size


def test_answers_of_every_size_arrive_whole_from_one_connection(single, upstream):
    bodies = [os.urandom(size) for size in SIZES]
    origin = upstream(serve(lambda message: plain(bodies[int(message.target[1:])])))
    single.route(origin)
    with single.client() as client:
        for number in [*range(len(bodies)), *reversed(range(len(bodies)))]:
            assert client.ask(get(f"/{number}")).body == bodies[number]
    assert len(origin.peers) == 1


@pytest.mark.parametrize("size", [10, 1500, 5000])
def test_requests_sent_ahead_are_all_answered_in_order(single, upstream, size):
    proceed, answer = held()
    origin = upstream(serve(answer))
    single.route(origin)
    requests = [get(f"/{number}", f"X-Filling: {'f' * size}") for number in range(300)]
    with single.client() as client:
        client.send(requests[0])
        origin.wait_for_requests(1)
        sending = threading.Thread(target=lambda: [client.send(each) for each in requests[1:]])  # one by one, and waits when nobody reads
        sending.start()
        proceed.set()
        assert [client.answer().text for _ in requests] == [f"/{number}" for number in range(300)]
        sending.join()


def test_many_who_send_ahead_leave_room_for_others(single, upstream):
    proceed, answer = held("/held")
    origin = upstream(serve(answer))
    single.route(origin)
    ahead = get("/ahead", f"X-Filling: {'f' * 1500}")
    count = 700
    early = [single.client(timeout=60) for _ in range(count)]
    try:
        for client in early:
            client.send(get("/held"))
        origin.wait_for_requests(count, timeout=30)
        for client in early:
            client.send(ahead)
            client.send(ahead)
        with single.client() as other:
            for number in range(100):
                assert other.ask(request_bytes("POST", f"/{number}", body=b"b" * 3000)).text == f"/{number}"
        proceed.set()
        for client in early:
            assert [client.answer().text for _ in range(3)] == ["/held", "/ahead", "/ahead"]
    finally:
        proceed.set()
        for client in early:
            client.close()


def test_who_leaves_with_something_unread_is_let_go(single, upstream):
    proceed, answer = held()
    origin = upstream(serve(answer))
    single.route(origin)
    clients = [single.client() for _ in range(600)]
    for client in clients:
        client.send(get())
    origin.wait_for_requests(len(clients), timeout=30)
    for number, client in enumerate(clients):
        client.send(get("/ahead", f"X-Filling: {'f' * 1500}"))
        client.reset() if number % 2 else client.close()
    proceed.set()
    eventually(lambda: single.admin("GET", "/status").json["server"]["connections_active"] < 10, "the ends of their connections", timeout=20)
    with single.client() as client:
        for number in range(200):
            assert client.ask(get(f"/{number}")).text == f"/{number}"


@pytest.mark.parametrize("size", [10, 1900, 3000])
def test_an_answer_behind_the_one_asked_for_is_nobodys(single, upstream, size):
    single.route(upstream(serve(plain(b"a" * size) + plain(b"poison" * 100))))
    with single.client() as client:
        for _ in range(50):
            assert client.ask(get()).text == "a" * size


def test_the_end_of_sending_right_behind_a_request_is_seen_on_a_unix_socket(private, echo, tmp_path):
    path = f"{tmp_path}/s"
    gateway = private(proxy_listen=f"unix:{path}")
    gateway.proxy = path
    gateway.route(echo)
    for _ in range(50):
        with gateway.client() as client:
            client.send(get()).finish_sending()
            assert client.answer().status == 200
            assert client.is_closed_within(5)
