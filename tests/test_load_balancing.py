"""Requests over the targets of an upstream: who gets which, and what they see of it."""

import collections
import json
import re
import signal
import socket
import threading
import time

import pytest

from support.dns import NameServer
from support.upstreams import Echo, dead_port, plain, serve
from support.waiting import eventually
from support.wire import Client, request_bytes


def named(name):
    return serve(lambda message: plain(name.encode(), headers=[("X-Peer", name)]))


@pytest.fixture
def peers(upstream):
    """Start peers that answer with their names: peers("a", "b")."""
    return lambda *names: {name: upstream(named(name)) for name in names}


@pytest.fixture
def balance(gateway):
    """An upstream over peers, a service and a route to it: balance({"a": origin}, weights={"a": 10}, algorithm=...)."""

    def make(peers, weights=None, service=None, route=None, **fields):
        upstream = gateway.create("/upstreams", name="backend", **fields)
        for name, peer in peers.items():
            port = peer if isinstance(peer, int) else peer.port
            gateway.create("/upstreams/backend/targets", target=f"127.0.0.1:{port}", weight=(weights or {}).get(name, 100))
        gateway.route("http://backend:1234", service=service, **(route or {}))
        return upstream

    return make


def shares(gateway, count, target="/", **more):
    out = collections.Counter()
    with gateway.client() as client:
        for i in range(count):
            answer = client.ask(request_bytes("GET", target(i) if callable(target) else target, **{k: v(i) if callable(v) else v for k, v in more.items()}))
            out[answer.body.decode() if answer.status == 200 else answer.status] += 1
    return out


# -- algorithms

def test_round_robin_gives_each_its_exact_share(gateway, peers, balance):
    balance(peers("a", "b", "c"), {"a": 50, "b": 30, "c": 20})
    assert shares(gateway, 100) == {"a": 50, "b": 30, "c": 20}


def test_a_weight_of_zero_takes_nothing(gateway, peers, balance):
    balance(peers("a", "b"), {"a": 100, "b": 0})
    assert shares(gateway, 20) == {"a": 20}


def test_least_connections_avoids_the_busy(gateway, upstream, balance):
    held = threading.Event()
    slow = upstream(lambda peer: (peer.request(), held.wait(20), peer.send(plain(b"slow"))))
    quick = upstream(named("quick"))
    balance({"slow": slow, "quick": quick}, algorithm="least-connections")
    waiting = []
    try:
        # Until one of them hangs at the slow one, any may go there; then none does.
        for _ in range(20):
            client = Client(gateway.proxy)
            client.send(request_bytes("GET", "/"))
            waiting.append(client)
            time.sleep(0.1)
            if slow.requests:
                break
            client.answer()
        slow.wait_for_requests(1)
        assert shares(gateway, 30) == {"quick": 30}
    finally:
        held.set()
        for client in waiting:
            client.close()


def test_latency_prefers_the_quick(gateway, upstream, balance):
    slow = upstream(serve(lambda message: (time.sleep(0.1), plain(b"slow"))[1]))
    quick = upstream(named("quick"))
    balance({"slow": slow, "quick": quick}, algorithm="latency")
    shares(gateway, 4)
    assert shares(gateway, 40)["quick"] >= 38


@pytest.mark.parametrize("upstream_fields, more", [
    ({"hash_on": "header", "hash_on_header": "X-User"}, {"headers": lambda i: [("x-user", f"user-{i}")]}),
    ({"hash_on": "query_arg", "hash_on_query_arg": "user"}, {"target": lambda i: f"/?a=1&user=user-{i}"}),
    ({"hash_on": "path"}, {"target": lambda i: f"/user-{i}"}),
    ({"hash_on": "cookie", "hash_on_cookie": "user"}, {"headers": lambda i: [("Cookie", f"a=b; user=user-{i}; c=d")]}),
    ({"hash_on": "consumer", "hash_fallback": "header", "hash_fallback_header": "X-User"}, {"headers": lambda i: [("X-User", f"user-{i}")]}),
])
def test_what_is_alike_goes_to_one_peer_and_the_rest_spreads(gateway, peers, balance, upstream_fields, more):
    balance(peers("a", "b", "c", "d"), **upstream_fields)
    chosen = [shares(gateway, 3, **{k: (lambda _, v=v, i=i: v(i)) for k, v in more.items()}) for i in range(40)]
    assert all(len(one) == 1 for one in chosen), chosen
    spread = collections.Counter(next(iter(one)) for one in chosen)
    assert len(spread) == 4 and max(spread.values()) < 25, spread


def test_a_part_of_the_path_is_hashed(gateway, peers, balance):
    balance(peers("a", "b", "c", "d"), hash_on="uri_capture", hash_on_uri_capture="user", route={"path": r"~/(?<kind>\w+)/(?<user>[\w-]+)"})
    seen = {i: {next(iter(shares(gateway, 1, f"/{kind}/user-{i}"))) for kind in ("x", "y", "z")} for i in range(30)}
    assert all(len(one) == 1 for one in seen.values()), seen
    assert len({next(iter(one)) for one in seen.values()}) == 4


def test_consumers_stay_with_their_peer(gateway, peers, balance):
    balance(peers("a", "b", "c", "d"), hash_on="consumer", hash_fallback="ip")
    gateway.create("/plugins", name="key-auth")
    for i in range(20):
        gateway.create("/consumers", username=f"user-{i}")
        gateway.create(f"/consumers/user-{i}/key-auth", key=f"key-{i}")
    eventually(lambda: all(gateway.get().status == 401 for _ in range(8)), "the plugin in every worker")
    chosen = [shares(gateway, 3, headers=lambda _, i=i: [("apikey", f"key-{i}")]) for i in range(20)]
    assert all(len(one) == 1 for one in chosen), chosen
    assert len({next(iter(one)) for one in chosen}) > 2


def test_the_client_address_is_hashed(gateway, peers, balance):
    balance(peers("a", "b", "c"), hash_on="ip")
    assert len(shares(gateway, 30)) == 1


def test_nothing_to_hash_goes_to_one_peer(gateway, peers, balance):
    balance(peers("a", "b", "c"), hash_on="header", hash_on_header="X-User")
    assert len(shares(gateway, 30)) == 1


def test_a_missing_cookie_is_made_and_sticks(gateway, peers, balance):
    balance(peers("a", "b", "c", "d"), hash_on="cookie", hash_on_cookie="session", hash_on_cookie_path="/app")
    seen = set()
    for _ in range(20):
        answer = gateway.get()
        cookie = re.fullmatch(r"session=([0-9a-f-]{36}); Path=/app; Same-Site=Lax; HttpOnly", answer.headers.get("Set-Cookie"))
        again = gateway.get(headers=[("Cookie", f"session={cookie.group(1)}")])
        assert again.body == answer.body and again.headers.get("Set-Cookie") is None
        seen.add(answer.body)
    assert len(seen) > 1


def test_a_cookie_of_the_balancer_stands_beside_those_of_the_service(gateway, upstream, balance):
    answer = plain(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    balance({"a": upstream(serve(answer))}, hash_on="cookie", hash_on_cookie="session")
    cookies = gateway.get().headers.all("Set-Cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == ["a", "b", "session"]


# -- what peers see

def test_hosts_are_the_targets_own(gateway, echo, balance):
    balance({"a": echo})
    assert gateway.get().json["headers"]["host"] == f"127.0.0.1:{echo.port}"


def test_host_of_a_name_and_of_the_upstream(gateway, echo):
    gateway.create("/upstreams", name="backend")
    gateway.create("/upstreams/backend/targets", target=f"localhost:{echo.port}")
    gateway.route("http://backend")
    assert gateway.get().json["headers"]["host"] == f"localhost:{echo.port}"
    gateway.admin("PATCH", "/upstreams/backend", json={"host_header": "shop.test"})
    gateway.settle()
    assert gateway.get().json["headers"]["host"] == f"shop.test:{echo.port}"


def test_preserved_hosts_stay(gateway, echo, balance):
    balance({"a": echo}, route={"preserve_host": True}, host_header="shop.test")
    assert gateway.get(host="own.test").json["headers"]["host"] == "own.test"


def test_an_ipv6_target(gateway):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with Echo("::1") as echo:
        gateway.create("/upstreams", name="backend")
        gateway.create("/upstreams/backend/targets", target=f"[::1]:{echo.port}")
        gateway.route("http://backend")
        assert gateway.get().json["headers"]["host"] == f"[0000:0000:0000:0000:0000:0000:0000:0001]:{echo.port}"


# -- tries

def test_a_refused_connection_is_tried_at_another_peer(gateway, peers, balance):
    holder, port = dead_port()
    with holder:
        balance({**peers("a"), "dead": port})
        assert shares(gateway, 20) == {"a": 20}


def test_a_retry_goes_where_the_try_before_did_not(gateway, peers, balance):
    holders = [dead_port() for _ in range(4)]
    balance({**peers("a"), **{f"dead{i}": port for i, (_, port) in enumerate(holders)}}, service={"retries": 4})
    assert shares(gateway, 20) == {"a": 20}
    for holder, _ in holders:
        holder.close()


@pytest.mark.parametrize("algorithm", ["round-robin", "least-connections", "latency", "consistent-hashing"])
def test_every_algorithm_tries_another_peer(gateway, peers, balance, algorithm):
    holder, port = dead_port()
    with holder:
        balance({**peers("a", "b"), "dead": port}, **({"hash_on": "path"} if algorithm == "consistent-hashing" else {"algorithm": algorithm}))
        got = shares(gateway, 60, lambda i: f"/{i}")
        assert set(got) == {"a", "b"}, got


def test_the_host_is_the_one_of_the_peer_that_is_tried(gateway, echo, balance):
    holder, port = dead_port()
    with holder:
        balance({"a": echo, "dead": port})
        for _ in range(6):
            assert gateway.get().json["headers"]["host"] == f"127.0.0.1:{echo.port}"


def test_a_post_that_reached_a_peer_is_not_sent_again(gateway, upstream, balance):
    cutting = upstream(lambda peer: peer.request())
    other = upstream(lambda peer: peer.request())
    balance({"a": cutting, "b": other})
    assert gateway.fetch("POST", body=b"pay").status == 502
    assert len(cutting.requests) + len(other.requests) == 1
    assert gateway.get().status == 502
    assert len(cutting.requests) + len(other.requests) > 3


def test_a_post_that_reached_nobody_is(gateway, peers, balance):
    holder, port = dead_port()
    with holder:
        balance({**peers("a"), "dead": port})
        assert all(gateway.fetch("POST", body=b"pay").status == 200 for _ in range(6))


def test_statuses_are_passed_on_and_not_tried_again(gateway, upstream, balance):
    bad = upstream(plain(b"no", "503 Unavailable"))
    balance({"a": bad})
    assert gateway.get().status == 503 and len(bad.requests) == 1


# -- nobody

def test_an_upstream_without_targets(gateway, balance):
    balance({})
    answer = gateway.get()
    assert answer.status == 503 and answer.json["message"] == "failure to get a peer from the ring-balancer"
    assert answer.headers.get("X-Kong-Response-Latency") is not None and answer.headers.get("X-Kong-Upstream-Latency") is None
    assert answer.headers.get("Via") is None


def test_no_peer_left_for_a_retry(gateway, balance):
    holder, port = dead_port()
    with holder:
        balance({"dead": port}, healthchecks={"passive": {"unhealthy": {"tcp_failures": 1}}})
        first, second = gateway.get(), gateway.get()
        assert first.status == 503 and "ring-balancer" not in first.body.decode()
        assert second.status == 503 and second.json["message"] == "failure to get a peer from the ring-balancer"


def test_a_service_that_names_no_upstream_is_looked_up(gateway, echo):
    gateway.create("/upstreams", name="backend")
    gateway.route(f"http://localhost:{echo.port}")
    assert gateway.get().status == 200


def test_upstreams_come_and_go_under_their_names(gateway, peers, balance):
    two = peers("a", "b")
    balance({"a": two["a"]})
    assert gateway.get().body == b"a"
    gateway.admin("PATCH", "/upstreams/backend", json={"name": "renamed"})
    gateway.create("/upstreams", name="backend")
    gateway.create("/upstreams/backend/targets", target=f"127.0.0.1:{two['b'].port}")
    gateway.settle()
    assert gateway.get().body == b"b"
    gateway.admin("DELETE", "/upstreams/backend")
    gateway.settle()
    assert gateway.get().status == 503  # now a name that does not exist


def test_upstreams_outlive_a_restart(private, upstream):
    gateway = private()
    origin = upstream(named("a"))
    gateway.create("/upstreams", name="backend")
    gateway.create("/upstreams/backend/targets", target=f"127.0.0.1:{origin.port}")
    gateway.create("/upstreams", name="named")
    gateway.create("/upstreams/named/targets", target=f"localhost:{origin.port}")
    gateway.route("http://backend", path="/a")
    gateway.route("http://named", path="/b")
    gateway.restart()
    # The name is looked up anew; requests that are here before wait for it.
    assert [gateway.get("/a").status, gateway.get("/b").status] == [200, 200]


def test_names_are_looked_up_by_our_servers(private, peers):
    with NameServer(ttl=1) as names:
        names.answers["one.test"] = ["127.0.0.1"]
        gateway = private(dns_resolver=names.address, dns_hostsfile="/dev/null")
        origin = peers("a")["a"]
        gateway.create("/upstreams", name="backend")
        gateway.create("/upstreams/backend/targets", target=f"one.test:{origin.port}")
        gateway.route("http://backend")
        assert gateway.get().body == b"a"
        told = gateway.admin("GET", "/upstreams/backend/health").json["data"][0]["data"]
        assert told["dns"] == "A" and told["addresses"][0]["ip"] == "127.0.0.1"


def test_a_changed_record_moves_requests(private, upstream):
    with NameServer(ttl=1) as names:
        names.answers["moving.test"] = ["127.0.0.1"]
        gateway = private(dns_resolver=names.address, dns_hostsfile="/dev/null")
        first = upstream(named("first"))
        upstream(named("second"), host="127.0.0.2", port=first.port)
        gateway.create("/upstreams", name="backend")
        gateway.create("/upstreams/backend/targets", target=f"moving.test:{first.port}")
        gateway.route("http://backend")
        assert gateway.get().body == b"first"
        names.answers["moving.test"] = ["127.0.0.2"]
        eventually(lambda: gateway.get().body == b"second", "the new address")
        # Name servers that are gone change nothing.
        names.answers["moving.test"] = None
        assert all(gateway.get().body == b"second" for _ in range(20))


def test_every_address_of_a_name_has_the_weight_of_the_target(private, upstream):
    with NameServer(ttl=60) as names:
        names.answers["many.test"] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        gateway = private(dns_resolver=names.address, dns_hostsfile="/dev/null")
        first = upstream(named("name"))
        for host in ("127.0.0.2", "127.0.0.3"):
            upstream(named("name"), host=host, port=first.port)
        single = upstream(named("single"))
        gateway.create("/upstreams", name="backend")
        gateway.create("/upstreams/backend/targets", target=f"many.test:{first.port}")
        gateway.create("/upstreams/backend/targets", target=f"127.0.0.1:{single.port}")
        gateway.route("http://backend")
        eventually(lambda: gateway.get().body == b"name", "the name")
        assert shares(gateway, 40) == {"name": 30, "single": 10}
        rows = {t["target"].split(":")[0]: t["data"] for t in gateway.admin("GET", "/upstreams/backend/health").json["data"]}
        assert len(rows["many.test"]["addresses"]) == 3 and rows["many.test"]["weight"]["total"] == 300


def test_services_bring_their_own_ports_and_weights(private, peers):
    with NameServer(ttl=60) as names:
        three = peers("heavy", "light", "reserve")
        names.answers["service.test"] = [(0, 3, three["heavy"].port, "here.test"), (0, 1, three["light"].port, "here.test"),
                                         (1, 5, three["reserve"].port, "here.test")]
        names.answers["here.test"] = ["127.0.0.1"]
        gateway = private(dns_resolver=names.address, dns_hostsfile="/dev/null")
        gateway.create("/upstreams", name="backend")
        gateway.create("/upstreams/backend/targets", target="service.test:9")
        gateway.route("http://backend")
        assert shares(gateway, 40) == {"heavy": 30, "light": 10}
        told = gateway.admin("GET", "/upstreams/backend/health").json["data"][0]["data"]
        assert told["dns"] == "SRV" and {a["port"]: a["weight"] for a in told["addresses"]} == {three["heavy"].port: 3, three["light"].port: 1}


def test_a_name_that_is_gone_has_no_peers(private, peers):
    with NameServer(ttl=1) as names:
        names.answers["going.test"] = ["127.0.0.1"]
        gateway = private(dns_resolver=names.address, dns_hostsfile="/dev/null", dns_not_found_ttl=1)
        origin = peers("a")["a"]
        gateway.create("/upstreams", name="backend")
        gateway.create("/upstreams/backend/targets", target=f"going.test:{origin.port}")
        gateway.route("http://backend")
        assert gateway.get().status == 200
        del names.answers["going.test"]
        eventually(lambda: gateway.get().status == 503, "the end of the name", 15)
        names.answers["going.test"] = ["127.0.0.1"]
        eventually(lambda: gateway.get().status == 200, "its return", 15)


def test_other_name_servers_after_a_reload(private, peers):
    with NameServer(ttl=1) as old, NameServer(ttl=1) as new:
        origin = peers("a")["a"]
        new.answers["late.test"] = ["127.0.0.1"]
        gateway = private(dns_resolver=old.address, dns_hostsfile="/dev/null")
        gateway.create("/upstreams", name="backend")
        gateway.create("/upstreams/backend/targets", target=f"late.test:{origin.port}")
        gateway.route("http://backend")
        assert gateway.get().status == 503
        gateway.settings["dns_resolver"] = new.address
        config = gateway.directory / "sluice.conf"
        config.write_text("".join(f"{k} = {v}\n" for k, v in gateway.settings.items() if v is not None))
        gateway.process.send_signal(signal.SIGHUP)
        eventually(lambda: gateway.get().status == 200, "what the new server says")


def test_the_log_tells_of_every_try(gateway, peers, balance, tmp_path):
    holder, port = dead_port()
    with holder:
        balance({**peers("a"), "dead": port})
        path = tmp_path / "requests.log"
        gateway.create("/plugins", name="file-log", config={"path": str(path)})
        gateway.settle()
        shares(gateway, 4)
        rows = eventually(lambda: [r for r in map(json.loads, path.read_text().splitlines()) if "tries" in r] if path.exists() else None, "log records")
        twice = [r["tries"] for r in rows if len(r["tries"]) == 2]
        assert twice, rows
        assert twice[0][0]["port"] == port and twice[0][0]["state"] == "failed" and twice[0][0]["code"] == 502
        assert all(isinstance(each["balancer_latency_ns"], int) for each in twice[0])
