"""Peers that die, hang, vanish, come and go while requests keep coming: what clients see of it, with numbers."""

import time

import pytest

from support.peers import Load
from support.waiting import eventually

CLIENTS = 12
PASSIVE = {"passive": {"unhealthy": {"tcp_failures": 1, "timeouts": 1}}}
# Seconds after which a peer counts as lost: more than a busy machine makes a healthy one wait.
PATIENCE = 1.0
QUICK = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), int(PATIENCE * 1000))


def upstream(gateway, peers, name="backend", **fields):
    gateway.create("/upstreams", name=name, **fields)
    for peer in peers:
        gateway.create(f"/upstreams/{name}/targets", target=peer.address)


def describe(what, load, after):
    slowest = max((a[3] for a in load.answers), default=0)
    print(f"\n{what}: {len(load.answers)} requests of {load.clients} clients, {len(load.failures)} failed, slowest {slowest * 1000:.0f} ms; "
          f"afterwards {load.shares(load.since(after))}")


@pytest.mark.parametrize("retries", [0, 5])
@pytest.mark.parametrize("harm", ["kill", "freeze", "cut_off"])
def test_a_peer_is_lost_under_load(gateway, processes, harm, retries):
    peers = processes("a", "b", "c", delay=0.01)
    upstream(gateway, peers, healthchecks=PASSIVE)
    gateway.route("http://backend", service={"retries": retries, **QUICK})
    with Load(gateway.proxy, CLIENTS) as load:
        eventually(lambda: len(load.answers) > 200, "load")
        harmed = time.monotonic()
        getattr(peers[2], harm)()
        known = harmed + 2 * PATIENCE
        eventually(lambda: len(load.since(known)) > 200, "load after the loss")
    describe(f"{harm}, retries {retries}", load, known)
    assert set(load.shares(load.since(known))) == {"a", "b"}
    if retries:
        assert load.failures == []
    else:
        # Those on their way to it, and those that set out before the first of them was known to have failed.
        assert len(load.failures) <= CLIENTS
        assert all(f[0] <= harmed + 1.5 * PATIENCE for f in load.failures)


def test_a_peer_that_dies_and_returns_under_load_with_probes(gateway, processes):
    peers = processes("a", "b", "c", delay=0.005)
    probes = {"healthy": {"interval": 0.2, "successes": 1}, "unhealthy": {"interval": 0.2, "tcp_failures": 1}}
    upstream(gateway, peers, healthchecks={**PASSIVE, "active": probes})
    gateway.route("http://backend", service=QUICK)
    with Load(gateway.proxy, CLIENTS) as load:
        eventually(lambda: len(load.answers) > 200, "load")
        peers[0].kill()
        eventually(lambda: gateway.admin("GET", "/upstreams/backend/health?balancer_health=1").json["data"]["details"]["weight"]["available"] == 200, "a out")
        peers[0].restart()
        returned = time.monotonic()
        eventually(lambda: "a" in load.shares(load.since(returned)), "a back")
    describe("killed and restarted, probes", load, returned)
    assert load.failures == []


def test_targets_come_and_go_under_load(gateway, processes):
    peers = processes("a", "b", "c")
    upstream(gateway, peers[:1])
    gateway.route("http://backend", service=QUICK)
    with Load(gateway.proxy, CLIENTS) as load:
        eventually(lambda: len(load.answers) > 100, "load")
        for peer in peers[1:]:
            gateway.create("/upstreams/backend/targets", target=peer.address)
        eventually(lambda: set(load.shares()) == {"a", "b", "c"}, "all three")
        assert gateway.admin("DELETE", f"/upstreams/backend/targets/{peers[0].address}").status == 204
        gateway.settle()
        gone = time.monotonic()
        eventually(lambda: len(load.since(gone)) > 200, "load without a")
    describe("added and removed", load, gone)
    assert set(load.shares(load.since(gone))) == {"b", "c"} and load.failures == []


def test_blue_green_by_weights(gateway, processes):
    blue, green = processes("blue", "green")
    upstream(gateway, [blue, green])
    gateway.admin("PATCH", f"/upstreams/backend/targets/{green.address}", json={"weight": 0})
    gateway.route("http://backend", service=QUICK)
    with Load(gateway.proxy, CLIENTS) as load:
        eventually(lambda: len(load.answers) > 200, "load")
        assert set(load.shares()) == {"blue"}
        # The new one first: at no moment is there nobody.
        gateway.admin("PATCH", f"/upstreams/backend/targets/{green.address}", json={"weight": 100})
        gateway.admin("PATCH", f"/upstreams/backend/targets/{blue.address}", json={"weight": 0})
        gateway.settle()
        switched = time.monotonic()
        eventually(lambda: len(load.since(switched)) > 200, "load after the switch")
    describe("blue/green by weights", load, switched)
    assert set(load.shares(load.since(switched))) == {"green"} and load.failures == []


def test_blue_green_by_upstream(gateway, processes):
    blue, green = processes("blue", "green")
    upstream(gateway, [blue], "blue.v1")
    upstream(gateway, [green], "green.v2")
    service, _ = gateway.route("http://blue.v1", service=QUICK)
    with Load(gateway.proxy, CLIENTS) as load:
        for name, shown in (("green.v2", "green"), ("blue.v1", "blue"), ("green.v2", "green")):
            gateway.admin("PATCH", f"/services/{service['id']}", json={"host": name})
            gateway.settle()
            switched = time.monotonic()
            eventually(lambda: len(load.since(switched)) > 200, "load after the switch")
            assert set(load.shares(load.since(switched))) == {shown}
        # What nobody points to any more may go.
        gateway.admin("DELETE", "/upstreams/blue.v1")
        gateway.settle()
        gone = time.monotonic()
        eventually(lambda: len(load.since(gone)) > 100, "load")
    describe("blue/green by upstream", load, gone)
    assert load.failures == []


def test_weights_change_under_load(gateway, processes):
    peers = processes("a", "b")
    upstream(gateway, peers)
    gateway.route("http://backend", service=QUICK)
    with Load(gateway.proxy, CLIENTS) as load:
        for i in range(20):
            gateway.admin("PATCH", f"/upstreams/backend/targets/{peers[i % 2].address}", json={"weight": 10 * (i % 7) + 10})
            time.sleep(0.05)
    assert load.failures == [] and set(load.shares()) == {"a", "b"}


def test_an_open_circuit_under_load_serves_what_it_can(gateway, processes):
    peers = processes("a", delay=0.05)
    upstream(gateway, peers, circuit_breaker={"max_connections": 4})
    gateway.route("http://backend", service=QUICK)
    with Load(gateway.proxy, CLIENTS, pause=0.01) as load:
        time.sleep(2)
    served = [a for a in load.answers if a[1] == 200]
    refused = [a for a in load.answers if a[1] == 503]
    assert len(served) + len(refused) == len(load.answers) and not load.broken
    assert len(served) > 60, "the four that fit are served all the time"
    assert refused and max(a[3] for a in refused) < 0.5
    # And once it is over, nothing is left of it.
    with Load(gateway.proxy, 2) as calm:
        time.sleep(0.5)
    assert calm.answers and not calm.failures
