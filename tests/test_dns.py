"""Services by name: what a name server says moves traffic, and its silence does not stop it."""

import socket
import struct
import time

import pytest

from support.dns import A, SERVER_FAILURE, NameServer
from support.gateway import free_port
from support.http2 import Http2
from support.upstreams import plain, serve
from support.waiting import eventually
from support.wire import fetch, request_bytes

NOT_A_PORT_OF_OURS = 9


def started(private, names, **more):
    return private(dns_resolver=names.address, dns_hostsfile="/dev/null", nginx_worker_processes=1, **more)


def named(label):
    """An origin's script: it tells who it is."""
    return serve(plain(label))


def test_traffic_moves_when_a_record_has_changed_and_stays_while_dns_is_down(private, upstream):
    blue, green = upstream(named(b"blue")), upstream(named(b"green"))
    with NameServer(ttl=1) as names:
        names.answers["service.test"] = [(0, 0, blue.port, "here.test")]
        names.answers["here.test"] = ["127.0.0.1"]
        gateway = started(private, names)
        gateway.route(f"http://service.test:{NOT_A_PORT_OF_OURS}")
        assert gateway.get("/").text == "blue"

        names.answers["service.test"] = [(0, 0, green.port, "here.test")]
        eventually(lambda: gateway.get("/").text == "green", "traffic on the changed record")

        for name in list(names.answers):
            names.answers[name] = SERVER_FAILURE
        time.sleep(1.2)  # the TTL
        asked = len(names.asked)
        assert [gateway.get("/").text for _ in range(5)] == ["green"] * 5
        eventually(lambda: len(names.asked) > asked, "another question")
        for name in list(names.answers):
            names.answers[name] = None
        time.sleep(1.2)
        began = time.monotonic()
        assert [gateway.get("/").text for _ in range(5)] == ["green"] * 5
        assert time.monotonic() - began < 1

        names.answers["service.test"], names.answers["here.test"] = [(0, 0, blue.port, "here.test")], ["127.0.0.1"]
        eventually(lambda: gateway.get("/").text == "blue", "traffic on the new record", timeout=30)


def test_srv_records_bring_ports_weights_and_priorities(private, upstream):
    light, heavy, spare = (upstream(named(label)) for label in (b"light", b"heavy", b"spare"))
    with NameServer() as names:
        names.answers["service.test"] = [(20, 9, spare.port, "here.test"), (10, 1, light.port, "here.test"), (10, 3, heavy.port, "here.test")]
        names.answers["here.test"] = ["127.0.0.1"]
        gateway = started(private, names)
        gateway.route(f"http://service.test:{NOT_A_PORT_OF_OURS}")
        seen = [gateway.get("/").text for _ in range(40)]
        assert (seen.count("light"), seen.count("heavy")) == (10, 30)


def test_a_ttl_of_zero_asks_for_each_request(private, upstream):
    origin = upstream(named(b"here"))
    with NameServer(ttl=0) as names:
        names.answers["service.test"] = ["127.0.0.1"]
        gateway = started(private, names, dns_order="A")
        gateway.route(f"http://service.test:{origin.port}")
        for asked in (1, 2, 3):
            assert gateway.get("/").text == "here"
            assert len(names.asked) == asked


def test_the_name_of_a_service_record_is_what_host_says_where_it_is_wanted(private, echo):
    with NameServer(ttl=1) as names:
        names.answers["service.test"] = [(0, 0, echo.port, "blue.test")]
        names.answers["blue.test"] = names.answers["green.test"] = ["127.0.0.1"]
        gateway = started(private, names)
        gateway.create("/upstreams", name="shop.internal")
        gateway.create("/upstreams/shop.internal/targets", target="service.test")
        gateway.route("http://shop.internal")

        def host():
            answer = gateway.get("/")
            return answer.status == 200 and answer.json["headers"]["host"]

        eventually(lambda: host() == f"service.test:{echo.port}", "the target's name")
        gateway.admin("PATCH", "/upstreams/shop.internal", json={"use_srv_name": True})
        eventually(lambda: host() == f"blue.test:{echo.port}", "the record's name")
        # The same address under another name is a change too.
        names.answers["service.test"] = [(0, 0, echo.port, "green.test")]
        eventually(lambda: host() == f"green.test:{echo.port}", "the new record's name")
        gateway.admin("PATCH", "/upstreams/shop.internal", json={"host_header": "told.test"})
        eventually(lambda: host() == f"told.test:{echo.port}", "what is told")


# -- clients that leave while a name is looked up

def leave(client, kind):
    """A reset, or an end that leaves an answer possible for a second."""
    sock = client.sock
    if kind == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("kind", ["reset", "end", "stream"])
def test_a_client_that_leaves_does_not_wait_for_name_servers(private, kind):
    with NameServer() as names:
        names.answers["service.test"] = None
        gateway = started(private, names, proxy_listen="127.0.0.1:%d http2" % free_port())
        gateway.proxy = ("127.0.0.1", int(gateway.settings["proxy_listen"].split()[0].split(":")[1]))
        gateway.route("http://service.test:80")
        client = Http2(gateway.proxy, tls=False) if kind == "stream" else gateway.client()
        if kind == "stream":
            stream = client.begin()
        else:
            client.send(request_bytes())
        eventually(lambda: names.asked, "a question")
        if kind == "stream":
            client.reset(stream)
        else:
            leave(client, kind)
        eventually(lambda: " 499 " in gateway.log("access.log"), "the end of the request", timeout=4)
        client.close()


def test_those_who_stay_get_what_was_asked_for_those_who_left(private, upstream):
    origin = upstream(named(b"here"))
    with NameServer() as names:
        names.answers["service.test"] = None
        gateway = started(private, names, dns_order="A")
        gateway.route(f"http://service.test:{origin.port}")
        leaves, stays = gateway.client(), gateway.client()
        leaves.send(request_bytes())
        eventually(lambda: names.asked, "a question")
        stays.send(request_bytes("GET", "/stays"))
        leave(leaves, "reset")
        eventually(lambda: " 499 " in gateway.log("access.log"), "the end of the first request", timeout=4)
        names.answers["service.test"] = ["127.0.0.1"]
        assert stays.answer().text == "here"
        assert [message.target for message in origin.requests] == ["/stays"]
        stays.close()


# -- what is shown of the cache


def test_the_cache_is_shown_name_by_name(private, upstream):
    origin = upstream(named(b"here"))
    with NameServer(ttl=1) as names:
        names.answers["service.test"] = [(0, 2, origin.port, "here.test")]
        names.answers["here.test"] = ["127.0.0.1"]
        gateway = started(private, names)
        gateway.route("http://service.test")
        assert gateway.get("/").text == "here"
        for name in names.answers:
            names.answers[name] = SERVER_FAILURE
        answer = gateway.admin("GET", "/debug/node/dns?name=SERVICE.test")
        assert answer.status == 200
        line, = answer.json["data"]
        assert 0 < line.pop("ttl") <= 1
        assert line == {"worker": 0, "name": "service.test", "type": "SRV", "addresses": [f"127.0.0.1:{origin.port}"],
                        "stale": False, "hosts_file": False}
        time.sleep(1.1)
        assert gateway.get("/").text == "here"


        def failed():
            line, = gateway.admin("GET", "/debug/node/dns?name=service.test").json["data"]
            return line["stale"] and line["addresses"] and line.get("error") == "dns server error: 2 server failure"
        eventually(failed, "a failed look-up that leaves the address")
        everything = gateway.admin("GET", "/debug/node/dns").json["data"]
        assert {line["name"] for line in everything} == {"localhost", "service.test", "here.test."}
        assert gateway.admin("GET", "/status/dns").json == {"message": "not implemented with the legacy DNS client"}
        assert gateway.admin("GET", "/status/dns").status == 501


def test_the_newer_client_tells_statistics_on_both_interfaces(private, upstream):
    origin, status = upstream(named(b"here")), free_port()
    with NameServer() as names:
        names.answers["service.test"] = ["127.0.0.1"]
        gateway = private(new_dns_client="on", resolver_address=names.address, resolver_hosts_file="/dev/null", nginx_worker_processes=2,
                          status_listen=f"127.0.0.1:{status}")
        gateway.route(f"http://service.test:{origin.port}")
        for _ in range(10):
            assert gateway.get("/").text == "here"
        for answer in (gateway.admin("GET", "/status/dns"), fetch(("127.0.0.1", status), "GET", "/status/dns")):
            assert answer.status == 200
            assert answer.json["worker"] == {"id": 0, "count": 2}
            told = answer.json["stats"]["service.test|A"]
            assert told["runs"] == 10 and told["query"] == told["query_succ"] == 10 - told.get("cache_hit", 0) <= 2
        assert {kind for _, kind in names.asked} == {A}


def test_every_worker_tells_its_names(private):
    gateway = private(nginx_worker_processes=4)
    answers = [gateway.admin("GET", "/debug/node/dns").json["data"] for _ in range(20)]
    assert all({line["worker"] for line in answer} == {0, 1, 2, 3} for answer in answers)
