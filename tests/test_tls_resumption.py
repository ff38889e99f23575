"""How clients come back without a full handshake: by tickets, and by what the gateway remembers."""

import signal
import socket
import ssl
import time

import pytest

from support.http2 import tls_context
from support.tls import House
from support.upstreams import plain
from support.waiting import eventually
from support.wire import request_bytes

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture
def own(private):
    return lambda **settings: House(private, **settings)


def resume(house, version, times=1, name="gate.test", options=0):
    """A full handshake, and how many of the next ones were resumed."""
    context = tls_context(("http/1.1",), version)
    context.options |= options

    def ask(session=None):
        with house.open(context=context, session=session, name=name) as client:
            client.ask(request_bytes())
            return client.sock.session_reused, client.sock.session

    reused, session = ask()
    assert not reused
    count = 0
    for _ in range(times):
        reused, newer = ask(session)
        count += reused
    return count, lambda: ask(session)[0]


@pytest.mark.parametrize("version", [V12, V13])
def test_clients_come_back_without_a_full_handshake_to_any_worker(private, echo, version):
    house = House(private, nginx_worker_processes=4)
    house.gateway.route(echo)
    assert resume(house, version, times=20)[0] == 20


@pytest.mark.parametrize("version, options", [(V12, 0), (V12, ssl.OP_NO_TICKET), (V13, 0)])
def test_who_comes_back_is_known_by_name(own, upstream, version, options):
    house = own()
    house.gateway.route(upstream(plain(b"named")), protocols=["https"], snis=["gate.test"])
    house.gateway.settle()
    context = tls_context(("http/1.1",), version)
    context.options |= options
    session = None
    for reused in (False, True):
        with house.open(context=context, session=session, name="gate.test") as client:
            assert client.ask(request_bytes()).body == b"named"
            assert client.sock.session_reused is reused
            session = client.sock.session


@pytest.mark.parametrize("version", [V12, V13])
def test_tickets_are_good_after_a_reload(own, version):
    house = own()
    count, again = resume(house, version)
    assert count == 1
    house.gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reloaded" in house.gateway.log(), "the reload")
    time.sleep(0.3)
    assert again()


@pytest.mark.parametrize("version", [V12, V13])
def test_without_tickets_the_gateway_remembers(private, echo, version):
    """As nginx does: by session id, in whichever worker, and after a reload."""
    house = House(private, nginx_worker_processes=4, ssl_session_tickets="off")
    house.gateway.route(echo)
    count, again = resume(house, version, times=20)
    assert count == 20
    house.gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reloaded" in house.gateway.log(), "the reload")
    time.sleep(0.3)
    assert again()


def test_a_client_that_knows_no_tickets_comes_back_by_session_id(private, echo):
    house = House(private, nginx_worker_processes=4)
    house.gateway.route(echo)
    assert resume(house, V12, times=20, options=ssl.OP_NO_TICKET)[0] == 20


@pytest.mark.parametrize("version", [V12, V13])
def test_nothing_is_remembered_where_there_is_no_room(own, version):
    assert resume(own(ssl_session_tickets="off", ssl_session_cache_size="0"), version, times=3)[0] == 0


def test_with_tickets_the_cache_holds_nothing(own):
    """Sessions that tickets hold would only push out others."""
    house = own(ssl_session_cache_size="16k")  # room for a few in each of its parts
    count, again = resume(house, V12, options=ssl.OP_NO_TICKET)
    assert count == 1
    for version in (V12, V13):
        for _ in range(100):
            resume(house, version, times=0)
    assert again()


def test_the_oldest_sessions_go_first(own):
    house = own(ssl_session_cache_size="16k")
    count, again = resume(house, V12, options=ssl.OP_NO_TICKET)
    assert count == 1
    for _ in range(200):
        resume(house, V12, times=0, options=ssl.OP_NO_TICKET)
    assert not again()
    assert resume(house, V12, options=ssl.OP_NO_TICKET)[0] == 1


def test_a_connection_that_was_cut_off_can_be_resumed(own):
    house = own(ssl_session_tickets="off")
    context = tls_context(("http/1.1",), V12)
    client = house.open(context=context)
    client.ask(request_bytes())
    session = client.sock.session
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    time.sleep(0.2)
    with house.open(context=context, session=session) as again:
        again.ask(request_bytes())
        assert again.sock.session_reused


@pytest.mark.parametrize("version", [V12, V13])
def test_what_is_remembered_ends(own, version):
    count, again = resume(own(ssl_session_tickets="off", ssl_session_timeout="2s"), version)
    assert count == 1
    time.sleep(3.5)
    assert not again()


@pytest.mark.parametrize("version", [V12, V13])
def test_tickets_end(own, version):
    count, again = resume(own(ssl_session_timeout="2s"), version)
    assert count == 1
    time.sleep(3.5)
    assert not again()
