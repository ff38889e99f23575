"""Many routes that differ in one thing only: each finds its own, before and after changes and a restart."""

import threading

import pytest

from support.gateway import Gateway
from support.upstreams import RawUpstream, plain
from support.waiting import eventually
from support.wire import request_bytes

EACH = 60
WRITERS = 4

# How route number n of a kind is told from the others, and a request that only it takes.
KINDS = {
    "host": (lambda n: {"hosts": [f"h{n}.test"]}, lambda n: {"host": f"h{n}.test"}),
    "wildcard": (lambda n: {"hosts": [f"*.w{n}.test"]}, lambda n: {"host": f"any.w{n}.test"}),
    "path": (lambda n: {"paths": [f"/p{n}/"]}, lambda n: {"target": f"/p{n}/x"}),
    "long-path": (lambda n: {"paths": ["/" + "l" * 80 + f"{n}/"]}, lambda n: {"target": "/" + "l" * 80 + f"{n}/x"}),
    "pattern": (lambda n: {"paths": [f"~/r{n}/\\d+$"]}, lambda n: {"target": f"/r{n}/17"}),
    "pattern-end": (lambda n: {"paths": [f"~/users/\\d+/item{n}$"]}, lambda n: {"target": f"/users/17/item{n}"}),
    "header-name": (lambda n: {"headers": {f"x-{n}": ["yes"]}}, lambda n: {"headers": {f"X-{n}": "Yes"}}),
    "header-value": (lambda n: {"headers": {"x-tenant": [f"t{n}", f"u{n}"]}}, lambda n: {"headers": {"X-Tenant": f"u{n}"}}),
    "header-pattern": (lambda n: {"headers": {"x-form": [f"~*^f{n}-"]}}, lambda n: {"headers": {"X-Form": f"F{n}-x"}}),
}


def ask(client, request):
    """The name of the route that took the request, or the status."""
    data = request_bytes("GET", request.get("target", "/"), request.get("headers", ()), host=request.get("host", "gate.test"))
    answer = client.ask(data)
    return answer.headers["kong-route-name"] if answer.status == 200 else answer.status


@pytest.fixture(scope="module")
def crowd(program):
    origin = RawUpstream(lambda peer: serve(peer))
    gateway = Gateway({"allow_debug_header": "on"})
    try:
        gateway.start()
        service = gateway.create("/services", name="all", url=origin.url)
        names = [(kind, n) for n in range(EACH) for kind in KINDS]

        def write(share):
            for kind, n in share:
                gateway.create("/routes", name=f"{kind}-{n}", service={"id": service["id"]}, **KINDS[kind][0](n))

        threads = [threading.Thread(target=write, args=(names[i::WRITERS],)) for i in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gateway.settle()
        yield gateway
    finally:
        gateway.discard()
        origin.stop()


def serve(peer):
    while peer.request().complete:
        peer.send(plain(b"ok"))


def debug(request):
    return {**request, "headers": {**dict(request.get("headers", {})), "Kong-Debug": "1"}}


def wrong(gateway, numbers=range(EACH)):
    """Requests that another route took than theirs, over one connection to each of several workers."""
    found = []
    for _ in range(3):
        with gateway.client() as client:
            for kind, (_, request) in KINDS.items():
                for n in numbers:
                    taken = ask(client, debug(request(n)))
                    if taken != f"{kind}-{n}":
                        found.append((kind, n, taken))
    return found


def test_each_request_finds_its_route(crowd):
    assert wrong(crowd) == []
    with crowd.client() as client:
        for request in ({}, {"host": "w1.test"}, {"target": "/p1"}, {"target": "/users/17/item"}, {"target": "/users/x/item1"},
                        {"headers": {"X-1": "no"}}, {"headers": {"X-Tenant": "t"}}, {"headers": {"X-Form": "xf1-"}}):
            assert ask(client, debug(request)) == 404, request


def test_changes_of_some_fail_no_request_of_the_others(crowd):
    failed, asked, ending = [], [0], threading.Event()

    def traffic():
        with crowd.client() as client:
            while not ending.is_set():
                for kind, (_, request) in KINDS.items():
                    taken = ask(client, debug(request(asked[0] % 30)))
                    if not str(taken).startswith(kind):
                        failed.append((kind, taken))
                asked[0] += 1

    threads = [threading.Thread(target=traffic) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for n in range(30, 40):
            for kind in KINDS:
                changed = crowd.admin("PATCH", f"/routes/{kind}-{n}", json={"hosts": [f"{kind}.moved{n}.test"]})
                assert changed.status == 200, changed
        for n in range(40, 50):
            for kind in KINDS:
                assert crowd.admin("DELETE", f"/routes/{kind}-{n}").status == 204

        def in_force():
            with crowd.client() as client:
                return all(ask(client, debug(request(n))) == 404 for n in range(30, 50) for _, request in KINDS.values())

        for _ in range(4):
            eventually(in_force, "the changes in every worker")
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert failed == [] and asked[0] > 0
    with crowd.client() as client:
        for kind, (_, request) in KINDS.items():
            moved = debug({**request(35), "host": f"{kind}.moved35.test"})
            if kind not in ("host", "wildcard"):  # whose hosts are replaced and nothing else is asked for
                assert ask(client, moved) == f"{kind}-35"
    assert wrong(crowd, range(50, EACH)) == []


def test_a_restart_brings_them_all_back(crowd):
    crowd.restart()
    assert wrong(crowd, [0, 7, 29, 50, EACH - 1]) == []
