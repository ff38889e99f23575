"""Signals: how a node ends, and what becomes of requests in flight."""

import resource
import signal
import socket
import threading
import time

from support.node import refuses, wait_for_request_at
from support.upstreams import Late, plain
from support.waiting import eventually
from support.wire import get, request_bytes


# -- signals


def test_sigterm_ends_at_once_whatever_is_in_flight(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private()
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)
    idle = [gateway.client() for _ in range(20)]
    started = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - started < 2
    assert client.is_closed_within(5) and all(each.is_closed_within(5) for each in idle)


def test_sigint_ends_like_sigterm(private):
    gateway = private()
    started = time.monotonic()
    assert gateway.end(signal.SIGINT) == 0
    assert time.monotonic() - started < 2


def test_sigquit_ends_after_the_requests_in_flight(private, upstream):
    late = Late()
    origin = upstream(late)
    gateway = private()
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)
    idle = gateway.client()
    gateway.process.send_signal(signal.SIGQUIT)
    eventually(lambda: refuses(gateway.proxy), "no more connections")
    assert idle.is_closed_within(5)
    assert gateway.alive()
    late.release()
    answer = client.answer()
    assert answer.status == 200 and answer.text == "late"
    assert answer.headers["connection"] == "close" or client.is_closed_within(5)
    assert gateway.process.wait(10) == 0


def test_sigquit_with_nothing_in_flight_ends_at_once(private, echo):
    gateway = private()
    gateway.route(echo)
    client = gateway.client()
    assert client.ask(request_bytes()).status == 200
    started = time.monotonic()
    assert gateway.stop_gracefully() == 0
    assert time.monotonic() - started < 3


def test_sigquit_with_thousands_of_idle_connections_ends_too(private):
    count = 5000  # of one worker, all told at once to end: more than an io_uring takes in one go
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gateway = private(nginx_worker_processes=1)
    idle = [gateway.client() for _ in range(count)]
    try:
        for client in idle:
            client.send(request_bytes())
        assert all(client.answer().status == 404 for client in idle)
        assert gateway.stop_gracefully() == 0
        assert all(client.is_closed_within(5) for client in idle)
    finally:
        for client in idle:
            client.close()


def test_a_sigterm_after_a_sigquit_ends_the_waiting(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private(shutdown_timeout="60s")
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)  # noqa: F841, it stays connected
    gateway.process.send_signal(signal.SIGQUIT)
    eventually(lambda: refuses(gateway.proxy), "no more connections")
    started = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - started < 3


def test_a_graceful_end_has_a_limit(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private(shutdown_timeout="1s")
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)  # noqa: F841, it stays connected
    started = time.monotonic()
    assert gateway.stop_gracefully() == 0
    assert 0.5 < time.monotonic() - started < 6


def test_many_signals_at_once_are_survived(private, echo):
    gateway = private()
    gateway.route(echo)
    for _ in range(20):
        gateway.process.send_signal(signal.SIGHUP)
        gateway.process.send_signal(signal.SIGUSR1)
    eventually(lambda: gateway.log("error.log").count("reloaded") >= 1, "a reload")
    assert gateway.get("/").status == 200
    assert gateway.stop() == 0


def test_a_reload_while_it_ends_changes_nothing(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private(shutdown_timeout="3s")
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)  # noqa: F841, it stays connected
    gateway.process.send_signal(signal.SIGQUIT)
    eventually(lambda: refuses(gateway.proxy), "no more connections")
    gateway.process.send_signal(signal.SIGHUP)
    assert gateway.process.wait(10) == 0
    assert refuses(gateway.proxy)


# -- what an end does to requests and to what was written


def test_a_graceful_stop_lets_requests_finish(private, upstream):
    proceed = threading.Event()

    def script(peer):
        peer.request()
        proceed.wait(10)
        peer.send(plain(b"finished"))

    origin = upstream(script)
    gateway = private()
    gateway.route(origin)
    with gateway.client() as client:
        client.send(get("/"))
        origin.wait_for_requests(1)
        gateway.process.send_signal(3)

        def refuses():
            try:
                socket.create_connection(gateway.proxy, 1).close()
                return False
            except ConnectionRefusedError:
                return True

        eventually(refuses, "the end of listening")
        proceed.set()
        assert client.answer().text == "finished"
    assert gateway.process.wait(10) == 0


def test_a_fast_stop_does_not_wait_for_requests(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private()
    gateway.route(origin)
    with gateway.client() as client:
        client.send(get("/"))
        origin.wait_for_requests(1)
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 5


def test_what_was_written_survives_a_kill(private, echo):
    gateway = private()
    gateway.route(echo, "/kept")
    gateway.kill()
    gateway.start()
    eventually(lambda: gateway.get("/kept").status == 200, "the route from before")
    assert [s["host"] for s in gateway.admin("GET", "/services").json["data"]] == ["127.0.0.1"]
