"""Which of a plugin's configurations runs for a request, and in which order plugins do."""

import itertools

import pytest

from support.waiting import eventually


@pytest.fixture
def scoped(gateway, echo):
    """scoped(names): a route with key-auth, and rate-limiting rows bound to what each name says: r, s, c, g.

    Each row has a limit of its own, by which an answer tells which row ran; gives ask(key).
    """
    service, route = gateway.route(echo, "/scoped", settle=False)
    consumer = gateway.create("/consumers", username="ann")
    gateway.create("/consumers/ann/key-auth", key="secret")
    gateway.create("/consumers", username="bob")
    gateway.create("/consumers/bob/key-auth", key="other")
    gateway.create(f"/routes/{route['id']}/plugins", name="key-auth")
    bound = {"r": ("route", route), "s": ("service", service), "c": ("consumer", consumer)}

    def make(names):
        rows = {}
        for name in names:
            references = {bound[letter][0]: {"id": bound[letter][1]["id"]} for letter in name if letter != "g"}
            rows[name] = gateway.create("/plugins", name="rate-limiting", config={"year": 1000 + ORDER.index(name)},
                                        **references)
        gateway.settle()
        return rows

    def ask(key="secret"):
        limit = gateway.get("/scoped", {"apikey": key}).headers.get("X-RateLimit-Limit-Year")
        return limit and ORDER[int(limit) - 1000]

    make.ask = ask
    return make


ORDER = ["rsc", "rc", "sc", "rs", "c", "r", "s", "g"]


def test_the_most_specific_row_runs(gateway, scoped):
    rows = scoped(ORDER)
    for name, after in itertools.pairwise([*ORDER, None]):
        assert scoped.ask() == name
        if name == "rsc":
            assert scoped.ask("other") == "rs", "rows of a consumer are for nobody else"
        gateway.admin("DELETE", f"/plugins/{rows[name]['id']}")
        gateway.settle()
        assert scoped.ask() == after


def test_a_disabled_row_counts_as_absent(gateway, scoped):
    rows = scoped(["r", "g"])
    assert scoped.ask() == "r"
    gateway.admin("PATCH", f"/plugins/{rows['r']['id']}", json={"enabled": False})
    gateway.settle()
    assert scoped.ask() == "g"
    gateway.admin("PATCH", f"/plugins/{rows['g']['id']}", json={"enabled": False})
    gateway.settle()
    assert scoped.ask() is None
    gateway.admin("PATCH", f"/plugins/{rows['r']['id']}", json={"enabled": True})
    gateway.settle()
    assert scoped.ask() == "r"


def test_rows_go_with_what_they_are_bound_to(gateway, scoped):
    scoped(["c", "g"])
    assert scoped.ask() == "c"
    assert gateway.admin("DELETE", "/consumers/ann").status == 204
    gateway.settle()
    assert scoped.ask("other") == "g"
    assert len(gateway.admin("GET", "/plugins").json["data"]) == 2


def test_a_plugin_before_authentication_knows_no_consumer(gateway, echo):
    _, route = gateway.route(echo, "/early", settle=False)
    consumer = gateway.create("/consumers", username="ann")
    gateway.create("/consumers/ann/key-auth", key="secret")
    gateway.create(f"/routes/{route['id']}/plugins", name="key-auth")
    gateway.create("/plugins", name="correlation-id", consumer={"id": consumer["id"]}, config={"header_name": "X-Consumer"})
    gateway.create("/plugins", name="correlation-id", config={"header_name": "X-All"})
    gateway.settle()
    seen = gateway.get("/early", {"apikey": "secret"}).json["headers"]
    assert "x-all" in seen and "x-consumer" not in seen


def test_plugins_run_by_priority_whatever_the_order_they_came_in(gateway, echo):
    """correlation-id, key-auth, acl, rate-limiting, request-termination."""
    _, route = gateway.route(echo, "/ordered", settle=False)
    gateway.create("/consumers", username="ann")
    gateway.create("/consumers/ann/key-auth", key="secret")
    for name, config in (("request-termination", {"status_code": 418, "message": "tea"}), ("rate-limiting", {"year": 1}),
                         ("acl", {"allow": ["friends"]}), ("key-auth", {}), ("correlation-id", {"echo_downstream": True})):
        gateway.create(f"/routes/{route['id']}/plugins", name=name, config=config)
    gateway.settle()
    ask = lambda headers={}: gateway.get("/ordered", headers)  # noqa: E731
    assert ask().status == 401
    assert "X-RateLimit-Limit-Year" not in ask().headers
    assert ask({"apikey": "secret"}).status == 403
    gateway.create("/consumers/ann/acls", group="friends")
    gateway.settle()
    answer = ask({"apikey": "secret"})
    assert answer.status == 418
    assert answer.headers["X-RateLimit-Remaining-Year"] == "0"
    assert ask({"apikey": "secret"}).status == 429
    assert "Kong-Request-ID" in ask().headers, "header_filter runs for refusals too"


def test_plugins_after_the_one_that_refused_still_log(gateway, echo):
    _, route = gateway.route(echo, "/refused", settle=False)
    log = gateway.directory / "refused.log"
    gateway.create(f"/routes/{route['id']}/plugins", name="file-log", config={"path": str(log)})
    gateway.create(f"/routes/{route['id']}/plugins", name="request-termination", config={"status_code": 410})
    gateway.settle()
    assert gateway.get("/refused").status == 410
    eventually(lambda: log.exists() and '"status":410' in log.read_text(), "the record")


def test_a_row_for_streams_does_not_run_for_http(gateway, echo):
    gateway.route(echo, "/http", settle=False)
    log = gateway.directory / "stream.log"
    gateway.create("/plugins", name="file-log", config={"path": str(log)}, protocols=["tcp"])
    gateway.settle()
    assert gateway.get("/http").status == 200
    gateway.settle()
    assert not log.exists()


def test_nothing_reorders_plugins(gateway):
    answer = gateway.admin("POST", "/plugins", json={"name": "key-auth", "ordering": {"before": {"access": ["acl"]}}})
    assert answer.status == 400
    assert answer.json["fields"] == {"ordering": "unknown field"}


def test_an_instance_has_a_name_of_its_own(gateway):
    made = gateway.create("/plugins", name="key-auth", instance_name="front-door")
    assert gateway.admin("GET", "/plugins/front-door").json == made
    again = gateway.admin("POST", "/plugins", json={"name": "acl", "instance_name": "front-door", "config": {"allow": ["a"]}})
    assert again.status == 409
