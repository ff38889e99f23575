"""canary: a share of the requests goes elsewhere, and it may grow by itself."""

import time

import pytest

from support.gateway import free_port
from support.peers import Load, PeerProcess
from support.upstreams import plain, serve
from support.waiting import eventually


def named(name):
    """An origin that tells its name, what it was asked for, and as whom."""
    return lambda request: plain(f"{name} {request.target} {request.headers.get('host')}".encode(), headers=[("X-Peer", name)])


@pytest.fixture
def two(gateway, upstream):
    """two(**config): a service at `now` with a canary; two.now and two.next are the origins."""
    def make(service=None, route=None, **config):
        make.now = upstream(serve(named("now")))
        make.next = upstream(serve(named("next")))
        config.setdefault("upstream_host", "127.0.0.1")
        config.setdefault("upstream_port", make.next.port)
        make.service, make.route = gateway.route(make.now, "/", service=service, settle=False, **(route or {}))
        make.row = gateway.create(f"/services/{make.service['id']}/plugins", name="canary", config={k: v for k, v in config.items() if v is not ...})
        gateway.settle()
        return make.row

    def ask(count=1, target="/", headers=(), **more):
        answers = [gateway.get(target, headers, **more) for _ in range(count)]
        assert all(a.status == 200 for a in answers), answers
        return [a.text.split()[0] for a in answers]

    make.ask = ask
    return make


def test_the_schema_is_there_with_its_defaults(gateway):
    fields = {k: v for f in gateway.admin("GET", "/schemas/plugins/canary").json["fields"] for k, v in f.items()}
    config = {k: v for f in fields["config"]["fields"] for k, v in f.items()}
    assert list(config) == ["start", "hash", "hash_header", "duration", "steps", "percentage", "upstream_host", "upstream_port", "upstream_uri",
                            "upstream_fallback", "groups", "canary_by_header_name"]
    assert (config["duration"]["default"], config["steps"]["default"], config["hash"]["default"]) == (3600, 1000, "consumer")
    assert config["upstream_fallback"]["default"] is False
    assert gateway.admin("GET", "/").json["plugins"]["available_on_server"]["canary"]["priority"] == 20


@pytest.mark.parametrize("config, field, message", [
    ({}, "@entity", "at least one of these fields must be non-empty: 'config.upstream_uri', 'config.upstream_host', 'config.upstream_port'"),
    ({"upstream_port": 1, "upstream_fallback": True}, "upstream_host", "required field missing"),
    ({"upstream_port": 1, "hash": "header"}, "hash_header", "required field missing"),
    ({"upstream_port": 1, "percentage": 101}, "percentage", "value should be between 0 and 100"),
    ({"upstream_port": 1, "steps": 0}, "steps", "value must be at least 1"),
    ({"upstream_uri": "no slash"}, "upstream_uri", "should start with: /"),
    ({"upstream_port": 1, "percentage": None, "duration": None}, "@entity",
     "at least one of these fields must be non-empty: 'config.percentage', 'config.duration'"),
])
def test_what_makes_no_sense_is_refused(gateway, config, field, message):
    refused = gateway.admin("POST", "/plugins", json={"name": "canary", "config": config})
    if field == "@entity" and "duration" in config:
        # The default takes the place of a null at once; a later null does not.
        made = gateway.create("/plugins", name="canary", config={"upstream_port": 1})
        refused = gateway.admin("PATCH", f"/plugins/{made['id']}", json={"config": {"duration": None}})
        message = "when updating, " + message
    assert refused.status == 400, refused
    fields = refused.json["fields"]
    assert (fields["@entity"] if field == "@entity" else [fields["config"][field]]) == [message], refused


def test_it_cannot_be_bound_to_a_consumer(gateway):
    consumer = gateway.create("/consumers", username="ann")
    assert gateway.admin("POST", "/plugins", json={"name": "canary", "consumer": {"id": consumer["id"]}, "config": {"upstream_port": 1}}).status == 400


def test_nobody_and_everybody(gateway, two):
    row = two(percentage=0)
    assert set(two.ask(20)) == {"now"}
    gateway.admin("PATCH", f"/plugins/{row['id']}", json={"config": {"percentage": 100}})
    gateway.settle()
    assert set(two.ask(20)) == {"next"}
    # Without it all go back at once.
    assert gateway.admin("DELETE", f"/plugins/{row['id']}").status == 204
    gateway.settle()
    assert set(two.ask(20)) == {"now"}


def test_a_share_by_chance(two):
    two(percentage=30, hash="none")
    assert 70 < two.ask(400).count("next") < 170


def test_a_share_by_header_stays_on_its_side(two):
    two(percentage=50, hash="header", hash_header="X-Tenant")
    sides = {n: two.ask(1, headers={"X-Tenant": f"t{n}"})[0] for n in range(40)}
    assert 5 < list(sides.values()).count("next") < 35
    for n, side in sides.items():
        assert set(two.ask(3, headers={"x-tenant": f"t{n}"})) == {side}


def test_a_share_by_address(private, upstream):
    gateway = private(trusted_ips="127.0.0.1", real_ip_header="X-Real-IP")
    now, after = upstream(serve(named("now"))), upstream(serve(named("next")))
    service, _ = gateway.route(now, "/", settle=False)
    gateway.create(f"/services/{service['id']}/plugins", name="canary",
                   config={"hash": "ip", "percentage": 50, "upstream_host": "127.0.0.1", "upstream_port": after.port})
    gateway.settle()

    def side(n):
        return gateway.get("/", {"X-Real-IP": f"10.0.0.{n}"}).text.split()[0]

    sides = [side(n) for n in range(40)]
    assert 5 < sides.count("next") < 35
    assert [side(n) for n in range(40)] == sides


def test_a_share_by_consumer(gateway, two):
    two(percentage=50)
    gateway.create(f"/services/{two.service['id']}/plugins", name="key-auth")
    for n in range(30):
        gateway.create("/consumers", username=f"c{n}")
        gateway.create(f"/consumers/c{n}/key-auth", key=f"k{n}")
    gateway.settle()
    sides = [two.ask(1, headers={"apikey": f"k{n}"})[0] for n in range(30)]
    assert 3 < sides.count("next") < 27
    assert [two.ask(1, headers={"apikey": f"k{n}"})[0] for n in range(30)] == sides


@pytest.mark.parametrize("hash, friend, stranger", [("allow", "next", "now"), ("deny", "now", "next")])
def test_groups(gateway, two, hash, friend, stranger):
    two(hash=hash, groups=["friends"])
    gateway.create(f"/services/{two.service['id']}/plugins", name="key-auth")
    for name in ("ann", "bob"):
        gateway.create("/consumers", username=name)
        gateway.create(f"/consumers/{name}/key-auth", key=name)
    membership = gateway.create("/consumers/ann/acls", group="friends")
    gateway.settle()
    assert two.ask(3, headers={"apikey": "ann"}) == [friend] * 3
    assert two.ask(3, headers={"apikey": "bob"}) == [stranger] * 3
    assert gateway.admin("DELETE", f"/consumers/ann/acls/{membership['id']}").status == 204
    eventually(lambda: two.ask(1, headers={"apikey": "ann"}) == [stranger], "ann on the other side")


def test_groups_need_the_plugin_acl(private, upstream):
    gateway = private(plugins="canary")
    now = upstream(plain(b"now"))
    service, _ = gateway.route(now, "/", settle=False)
    gateway.create(f"/services/{service['id']}/plugins", name="canary", config={"hash": "deny", "groups": ["friends"], "upstream_port": free_port()})
    gateway.settle()
    assert gateway.get("/").text == "now"
    assert "acl: it is not enabled" in gateway.log()


def test_clients_may_choose(two):
    two(percentage=50, canary_by_header_name="X-Canary")
    assert set(two.ask(10, headers={"X-Canary": "always"})) == {"next"}
    assert set(two.ask(10, headers={"X-Canary": "never"})) == {"now"}


def test_only_the_path_may_be_another(two):
    two(upstream_host=..., upstream_port=..., upstream_uri="/v2/all", percentage=100)
    assert two.ask(1) == ["now"]
    assert two.now.requests[-1].target == "/v2/all"
    two.ask(1, target="/deep/path?a=b")
    assert two.now.requests[-1].target == "/v2/all?a=b"


def test_only_the_port_may_be_another(two):
    two(upstream_host=..., percentage=100)
    assert two.ask(2) == ["next", "next"]


def test_only_the_host_may_be_another(two):
    two(upstream_host="localhost", upstream_port=..., percentage=100)
    assert two.ask(1) == ["now"]  # the same port there
    assert two.now.requests[-1].headers["Host"] == f"localhost:{two.now.port}"


def test_host_is_that_of_the_place(gateway, two):
    two(upstream_host="localhost", percentage=100)
    two.ask(1)
    assert two.next.requests[-1].headers["Host"] == f"localhost:{two.next.port}"
    gateway.admin("PATCH", f"/routes/{two.route['id']}", json={"preserve_host": True})
    gateway.settle()
    two.ask(1)
    assert two.next.requests[-1].headers["Host"] == "gate.test"


def test_a_place_that_does_not_exist_is_told(gateway, two):
    two(upstream_host="nobody.invalid", percentage=100)
    answer = gateway.get("/")
    assert answer.status == 503 and answer.json["message"] == "name resolution failed"


def test_an_upstream_balances_over_its_targets(gateway, two, upstream):
    others = [upstream(serve(named(n))) for n in ("a", "b")]
    gateway.create("/upstreams", name="next.internal")
    for other in others:
        gateway.create("/upstreams/next.internal/targets", target=f"127.0.0.1:{other.port}")
    two(upstream_host="next.internal", upstream_port=..., percentage=100)
    eventually(lambda: set(two.ask(20)) == {"a", "b"}, "both targets")


CHECKED = {"passive": {"unhealthy": {"tcp_failures": 1, "http_failures": 1, "http_statuses": [500]}}}


@pytest.mark.parametrize("falls_back", [True, False])
def test_an_unhealthy_canary(gateway, two, upstream, falls_back):
    other = upstream(serve(named("next")))
    gateway.create("/upstreams", name="next.internal", healthchecks=CHECKED)
    target = gateway.create("/upstreams/next.internal/targets", target=f"127.0.0.1:{other.port}")
    two(upstream_host="next.internal", upstream_port=..., upstream_uri="/v2", percentage=100, upstream_fallback=falls_back, canary_by_header_name="X-Canary")
    eventually(lambda: two.ask(3) == ["next"] * 3, "the canary")
    assert other.requests[-1].target == "/v2"
    base = f"/upstreams/next.internal/targets/{target['id']}"
    assert gateway.admin("PUT", f"{base}/unhealthy").status == 204
    if falls_back:
        assert set(two.ask(20, target="/own")) == {"now"}
        assert two.now.requests[-1].target == "/own"  # nor the path of the canary
        assert two.now.requests[-1].headers["Host"] == f"127.0.0.1:{two.now.port}"
    else:
        assert gateway.get("/").status == 503
    assert gateway.get("/", {"X-Canary": "always"}).status == 503
    assert gateway.admin("PUT", f"{base}/healthy").status == 204
    assert set(two.ask(20)) == {"next"}


def test_a_canary_that_dies_under_load(gateway):
    now, after = PeerProcess("now"), PeerProcess("next")
    try:
        gateway.create("/upstreams", name="next.internal", healthchecks={"passive": {"unhealthy": {"tcp_failures": 1}}})
        gateway.create("/upstreams/next.internal/targets", target=after.address)
        service, _ = gateway.route(f"http://{now.address}", "/", settle=False)
        gateway.create(f"/services/{service['id']}/plugins", name="canary",
                       config={"percentage": 50, "hash": "none", "upstream_host": "next.internal", "upstream_fallback": True})
        gateway.settle()
        with Load(gateway.proxy, clients=4) as load:
            eventually(lambda: set(load.shares()) == {"now", "next"}, "both versions")
            after.kill()
            killed = time.monotonic()
            eventually(lambda: time.monotonic() > killed + 1.5, "some time under load")
        # What was on its way to the one target may fail; then everybody stays with the service.
        late = [a for a in load.failures if a[0] > killed + 0.5]
        assert not late and len(load.failures) <= 8, load.failures
        assert set(load.shares(load.since(killed + 0.5))) == {"now"}
    finally:
        now.stop()
        after.stop()


def test_a_ramp_moves_everyone_without_a_failed_request(gateway):
    now, after = PeerProcess("now"), PeerProcess("next")
    try:
        service, _ = gateway.route(f"http://{now.address}", "/", settle=False)
        row = gateway.create(f"/services/{service['id']}/plugins", name="canary",
                             config={"hash": "none", "duration": 5, "start": int(time.time()) + 2, "steps": 50,
                                     "upstream_host": "127.0.0.1", "upstream_port": after.port})
        gateway.settle()
        start = row["config"]["start"]
        with Load(gateway.proxy, clients=4, pause=0.005) as load:
            clock = time.time() - time.monotonic()
            eventually(lambda: time.time() > start + 6, "the end of the ramp", 20)
        assert not load.failures
        shares = [load.shares([a for a in load.answers if lower <= a[0] + clock - start < lower + 1]) for lower in range(-1, 6)]
        share = [s.get("next", 0) / max(1, sum(s.values())) for s in shares]
        assert share[0] == 0 and share[-1] == 1, share
        assert share == sorted(share), share
        assert 0.02 < share[1] < 0.25 and 0.75 < share[5] < 0.98, share
    finally:
        now.stop()
        after.stop()


def test_a_ramp_keeps_those_who_have_moved(two):
    two(hash="header", hash_header="X-Tenant", duration=4)
    moved, rounds = set(), 0
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for n in range(20):
            side = two.ask(1, headers={"X-Tenant": f"t{n}"})[0]
            assert side == "next" or n not in moved, f"{n} came back"
            if side == "next":
                moved.add(n)
        rounds += 1
    assert len(moved) == 20 and rounds > 5


def test_a_ramp_begins_when_it_is_written_and_keeps_its_beginning(gateway):
    before = int(time.time())
    row = gateway.create("/plugins", name="canary", config={"upstream_port": 1})
    assert before <= row["config"]["start"] <= time.time()
    again = gateway.admin("PATCH", f"/plugins/{row['id']}", json={"tags": ["x"]}).json
    assert again["config"]["start"] == row["config"]["start"]
    moved = gateway.admin("PUT", f"/plugins/{row['id']}", json={"name": "canary", "config": {"upstream_port": 1, "percentage": 5}}).json
    assert moved["config"]["start"] is None
    ramped = gateway.admin("PATCH", f"/plugins/{row['id']}", json={"config": {"percentage": None}}).json
    assert ramped["config"]["start"] >= before
