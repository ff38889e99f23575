"""Upstreams and targets in the Admin API: what Kong 3.9 takes, answers and refuses."""

import time
import uuid

import pytest

from support.waiting import eventually


@pytest.fixture
def upstream_of(gateway):
    def make(name="backend", **fields):
        return gateway.create("/upstreams", name=name, **fields)

    return make


def field_error(answer, *path):
    assert answer.status == 400, answer
    found = answer.json["fields"]
    for name in path:
        found = found[name]
    return found


# -- upstreams

def test_an_upstream_has_kongs_defaults(gateway):
    made = gateway.create("/upstreams", name="backend")
    assert uuid.UUID(made["id"]) and isinstance(made["created_at"], int) and isinstance(made["updated_at"], int)
    expected = {"name": "backend", "algorithm": "round-robin", "hash_on": "none", "hash_fallback": "none", "hash_on_header": None,
                "hash_fallback_header": None, "hash_on_cookie": None, "hash_on_cookie_path": "/", "hash_on_query_arg": None,
                "hash_fallback_query_arg": None, "hash_on_uri_capture": None, "hash_fallback_uri_capture": None, "slots": 10000,
                "host_header": None, "client_certificate": None, "use_srv_name": False, "tags": None}
    assert {k: made[k] for k in expected} == expected
    assert set(made) == set(expected) | {"id", "created_at", "updated_at", "healthchecks"}, "nothing that Kong does not show"
    assert made["healthchecks"] == {
        "threshold": 0,
        "active": {"type": "http", "timeout": 1, "concurrency": 10, "http_path": "/", "https_sni": None, "https_verify_certificate": True,
                   "headers": None, "healthy": {"interval": 0, "http_statuses": [200, 302], "successes": 0},
                   "unhealthy": {"interval": 0, "http_statuses": [429, 404, 500, 501, 502, 503, 504, 505], "tcp_failures": 0,
                                 "timeouts": 0, "http_failures": 0}},
        "passive": {"type": "http", "healthy": {"http_statuses": [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303,
                                                                 304, 305, 306, 307, 308], "successes": 0},
                    "unhealthy": {"http_statuses": [429, 500, 503], "tcp_failures": 0, "timeouts": 0, "http_failures": 0}}}


def test_an_upstream_goes_by_name_and_by_id(gateway, upstream_of):
    made = upstream_of()
    for key in (made["id"], "backend"):
        assert gateway.admin("GET", f"/upstreams/{key}").json == made
    assert gateway.admin("PATCH", "/upstreams/backend", json={"slots": 20}).json["slots"] == 20
    assert gateway.admin("PUT", "/upstreams/other", json={"tags": ["a"]}).json["name"] == "other"
    assert [u["name"] for u in gateway.admin("GET", "/upstreams?tags=a").json["data"]] == ["other"]
    again = gateway.admin("POST", "/upstreams", json={"name": "backend"})
    assert again.status == 409 and again.json["message"] == "UNIQUE violation detected on '{name=\"backend\"}'"
    assert gateway.admin("DELETE", "/upstreams/backend").status == 204
    assert gateway.admin("GET", "/upstreams/backend").status == 404


@pytest.mark.parametrize("name, why", [("1.2.3.4", "no ip addresses allowed"), ("1.2.3.4:80", "no ip addresses allowed"), ("::1", "no ip addresses allowed"),
                                       ("name:80", "no port allowed"), ("na me", "must be a valid hostname"), ("a..b", "must be a valid hostname")])
def test_names_are_host_names(gateway, name, why):
    assert field_error(gateway.admin("POST", "/upstreams", json={"name": name}), "name") == f"Invalid name ('{name}'); {why}"


@pytest.mark.parametrize("sent, algorithm, hash_on", [
    ({"algorithm": "least-connections"}, "least-connections", "none"),
    ({"algorithm": "latency", "hash_on": "ip"}, "latency", "none"),
    ({"hash_on": "ip"}, "consistent-hashing", "ip"),
    ({"hash_on": "ip", "algorithm": "round-robin"}, "consistent-hashing", "ip"),
    ({"hash_on": "none", "algorithm": "consistent-hashing"}, "round-robin", "none"),
    ({"hash_on": None, "algorithm": "consistent-hashing"}, "consistent-hashing", "none"),
    ({"algorithm": "consistent-hashing"}, "consistent-hashing", "none"),
])
def test_algorithm_and_hash_on_make_each_other(gateway, sent, algorithm, hash_on):
    made = gateway.create("/upstreams", name="backend", **sent)
    assert (made["algorithm"], made["hash_on"]) == (algorithm, hash_on)


@pytest.mark.parametrize("sent, field, error", [
    ({"hash_on": "header"}, "hash_on_header", "required field missing"),
    ({"hash_on": "cookie"}, "hash_on_cookie", "required field missing"),
    ({"hash_on": "query_arg"}, "hash_on_query_arg", "required field missing"),
    ({"hash_on": "uri_capture"}, "hash_on_uri_capture", "required field missing"),
    ({"hash_on": "ip", "hash_fallback": "header"}, "hash_fallback_header", "required field missing"),
    ({"hash_on": "cookie", "hash_on_cookie": "c", "hash_fallback": "ip"}, "hash_fallback", "expected one of: none"),
    ({"hash_fallback": "ip"}, "hash_fallback", "expected one of: none"),
    ({"slots": 9}, "slots", "value should be between 10 and 65536"),
    ({"algorithm": "random"}, "algorithm", "expected one of: consistent-hashing, least-connections, round-robin, latency"),
    ({"hash_on": "cookie", "hash_on_cookie": "a b"}, "hash_on_cookie", "bad cookie name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'"),
])
def test_what_hashing_needs(gateway, sent, field, error):
    assert field_error(gateway.admin("POST", "/upstreams", json={"name": "backend", **sent}), field) == error


def test_limits_of_health_checks(gateway):
    checks = {"active": {"healthy": {"successes": 256}, "concurrency": 0}, "threshold": 101}
    answer = gateway.admin("POST", "/upstreams", json={"name": "backend", "healthchecks": checks})
    assert field_error(answer, "healthchecks", "active", "healthy", "successes") == "value should be between 0 and 255"
    assert field_error(answer, "healthchecks", "active", "concurrency") == "value should be between 1 and 2147483648"
    assert field_error(answer, "healthchecks", "threshold") == "value should be between 0 and 100"


def test_a_change_of_one_limit_leaves_the_others(gateway, upstream_of):
    upstream_of(healthchecks={"passive": {"unhealthy": {"timeouts": 3}}})
    changed = gateway.admin("PATCH", "/upstreams/backend", json={"healthchecks": {"passive": {"unhealthy": {"tcp_failures": 2}}}}).json
    assert changed["healthchecks"]["passive"]["unhealthy"]["timeouts"] == 3
    assert changed["healthchecks"]["passive"]["unhealthy"]["tcp_failures"] == 2


def test_our_own_fields_show_once_they_are_set(gateway, upstream_of):
    made = upstream_of(circuit_breaker={"max_connections": 5}, outlier_detection={"error_rate": 20})
    assert made["circuit_breaker"] == {"max_connections": 5, "max_pending_requests": 0, "max_retries": 0, "retry_budget": 0, "retry_after": 1}
    assert made["outlier_detection"]["error_rate"] == 20 and made["outlier_detection"]["min_requests"] == 10
    gone = gateway.admin("PATCH", "/upstreams/backend", json={"circuit_breaker": None, "outlier_detection": None}).json
    assert "circuit_breaker" not in gone and "outlier_detection" not in gone
    wrong = gateway.admin("POST", "/upstreams", json={"name": "x", "outlier_detection": {"max_ejected": 101}})
    assert field_error(wrong, "outlier_detection", "max_ejected") == "value should be between 0 and 100"


# -- targets

@pytest.mark.parametrize("sent, stored", [
    ("10.0.0.1", "10.0.0.1:8000"), ("10.0.0.1:80", "10.0.0.1:80"), ("host.test", "host.test:8000"), ("host_1.test:1", "host_1.test:1"),
    ("::1", "[0000:0000:0000:0000:0000:0000:0000:0001]:8000"), ("[::1]:80", "[0000:0000:0000:0000:0000:0000:0000:0001]:80"),
    ("[fe80::A]", "[fe80:0000:0000:0000:0000:0000:0000:000a]:8000"),
])
def test_targets_are_written_one_way(gateway, upstream_of, sent, stored):
    upstream_of()
    made = gateway.create("/upstreams/backend/targets", target=sent)
    assert made["target"] == stored and made["weight"] == 100 and made["tags"] is None
    assert gateway.admin("GET", f"/upstreams/backend/targets/{sent}").json == made
    assert gateway.admin("GET", f"/upstreams/backend/targets/{stored}").json == made


@pytest.mark.parametrize("target", ["a b", "1.2.3.400", "1.2.3.4:99999", "host:", "a..b", "[::1", "[::g]:80", "host:80:90", "-a-.b-"])
def test_targets_that_are_neither_name_nor_address(gateway, upstream_of, target):
    upstream_of()
    answer = gateway.admin("POST", "/upstreams/backend/targets", json={"target": target})
    assert field_error(answer, "target") == f"Invalid target ('{target}'); not a valid hostname or ip address"


def test_weights_and_required_fields(gateway, upstream_of):
    upstream_of()
    wrong = gateway.admin("POST", "/upstreams/backend/targets", json={"target": "h:1", "weight": 65536})
    assert field_error(wrong, "weight") == "value should be between 0 and 65535"
    assert field_error(gateway.admin("POST", "/upstreams/backend/targets", json={}), "target") == "required field missing"
    assert gateway.admin("POST", "/upstreams/nobody/targets", json={"target": "h:1"}).status == 404


def test_a_target_is_there_once_per_upstream(gateway, upstream_of):
    first, second = upstream_of("one"), upstream_of("two")
    gateway.create("/upstreams/one/targets", target="host")
    gateway.create("/upstreams/two/targets", target="host")
    again = gateway.admin("POST", "/upstreams/one/targets", json={"target": "host:8000"})
    assert again.status == 409 and again.json["code"] == 5
    assert again.json["message"] == f"UNIQUE violation detected on '{{target=\"host:8000\",upstream={{id=\"{first['id']}\"}}}}'"
    assert second["id"] not in again.json["message"]


def test_times_of_targets_have_fractions(gateway, upstream_of):
    upstream_of()
    stamps = [gateway.create("/upstreams/backend/targets", target=f"h{i}")["created_at"] for i in range(5)]
    assert any(stamp != int(stamp) for stamp in stamps) and stamps == sorted(stamps)
    assert abs(stamps[0] - time.time()) < 60


def test_targets_are_listed_newest_first_and_by_pages(gateway, upstream_of):
    upstream_of()
    for i in range(5):
        gateway.create("/upstreams/backend/targets", target=f"h{i}:80", weight=0 if i == 2 else 1)
        time.sleep(0.002)
    names = [t["target"] for t in gateway.admin("GET", "/upstreams/backend/targets").json["data"]]
    assert names == ["h4:80", "h3:80", "h2:80", "h1:80", "h0:80"]
    page = gateway.admin("GET", "/upstreams/backend/targets?size=2").json
    assert page["offset"] == "2" and page["next"] == "/upstreams/backend/targets?offset=2"
    last = gateway.admin("GET", "/upstreams/backend/targets?size=2&offset=4").json
    assert [t["target"] for t in last["data"]] == ["h0:80"] and last["next"] is None and "offset" not in last
    assert len(gateway.admin("GET", "/upstreams/backend/targets/all").json["data"]) == 5
    assert gateway.admin("GET", "/upstreams/backend/targets?size=0").status == 400
    assert gateway.admin("GET", "/upstreams/backend/targets?offset=x").status == 400


def test_put_changes_a_target_and_makes_none(gateway, upstream_of):
    upstream_of()
    fresh = str(uuid.uuid4())
    for key in (fresh, "host:80"):
        assert gateway.admin("PUT", f"/upstreams/backend/targets/{key}", json={"target": "host:80", "weight": 5}).status == 404
    made = gateway.create("/upstreams/backend/targets", id=fresh, target="host:80")
    assert made["id"] == fresh
    for verb, weight in (("PUT", 7), ("PATCH", 8)):
        changed = gateway.admin(verb, f"/upstreams/backend/targets/{fresh}", json={"weight": weight})
        assert changed.status == 200 and changed.json["weight"] == weight and changed.json["target"] == "host:80"
    assert gateway.admin("PATCH", "/upstreams/backend/targets/host:80", form={"weight": "9"}).json["weight"] == 9
    assert gateway.admin("DELETE", "/upstreams/backend/targets/host:80").status == 204
    assert gateway.admin("GET", f"/upstreams/backend/targets/{fresh}").status == 404


def test_targets_are_found_below_their_upstream_alone(gateway, upstream_of):
    upstream_of("one"), upstream_of("two")
    made = gateway.create("/upstreams/one/targets", target="host:80")
    assert gateway.admin("GET", f"/upstreams/two/targets/{made['id']}").status == 404
    assert gateway.admin("DELETE", f"/upstreams/two/targets/{made['id']}").status == 404
    for path in ("/targets", f"/targets/{made['id']}", f"/targets/{made['id']}/upstream"):
        assert gateway.admin("GET", path).status == 404
    assert gateway.admin("GET", "/upstreams/one/targets/host:80").status == 200


def test_targets_go_with_their_upstream(gateway, upstream_of):
    upstream_of()
    gateway.create("/upstreams/backend/targets", target="host:80", tags=["x"])
    assert gateway.admin("DELETE", "/upstreams/backend").status == 204
    assert gateway.admin("GET", "/tags/x").json["data"] == []


def test_the_paths_are_told(gateway):
    paths = gateway.admin("GET", "/endpoints").json["data"]
    target = "/upstreams/{upstreams}/targets/{targets}"
    for path in ("/upstreams", "/upstreams/{upstreams}", "/upstreams/{upstreams}/health", "/upstreams/{upstreams}/targets/all", target,
                 f"{target}/healthy", f"{target}/unhealthy", target + "/{address}/healthy", target + "/{address}/unhealthy"):
        assert path in paths


# -- health

def checked(**more):
    return {"passive": {"unhealthy": {"tcp_failures": 1}}, **more}


def health(gateway, name="backend", **query):
    answer = gateway.admin("GET", f"/upstreams/{name}/health" + ("?balancer_health=1" if query else ""))
    assert answer.status == 200, answer
    return answer.json


def test_health_of_targets_without_checks(gateway, upstream_of):
    upstream_of()
    made = gateway.create("/upstreams/backend/targets", target="127.0.0.1:80")
    told = health(gateway)
    assert told["next"] is None and uuid.UUID(told["node_id"])
    assert told["data"] == [{**made, "health": "HEALTHCHECKS_OFF", "data": {
        "host": "127.0.0.1", "port": 80, "dns": "A", "nodeWeight": 100, "weight": {"total": 100, "available": 100, "unavailable": 0},
        "addresses": [{"ip": "127.0.0.1", "port": 80, "weight": 100, "health": "HEALTHCHECKS_OFF"}]}}]
    marked = gateway.admin("PUT", "/upstreams/backend/targets/127.0.0.1:80/unhealthy")
    assert marked.status == 400 and marked.json == {"message": "no healthchecker found for backend"}


def test_marks_by_hand(gateway, upstream_of):
    made = upstream_of(healthchecks=checked())
    for port in (81, 82):
        gateway.create("/upstreams/backend/targets", target=f"127.0.0.1:{port}")
    target = gateway.create("/upstreams/backend/targets", target="[::1]:83", weight=0)

    def states():
        return {t["target"]: t["health"] for t in health(gateway)["data"]}

    assert states() == {"127.0.0.1:81": "HEALTHY", "127.0.0.1:82": "HEALTHY", target["target"]: "HEALTHCHECKS_OFF"}
    assert gateway.admin("PUT", "/upstreams/backend/targets/127.0.0.1:81/unhealthy").status == 204
    assert states()["127.0.0.1:81"] == "UNHEALTHY"
    whole = health(gateway, balancer=1)
    assert whole["next"] is None and whole["data"]["id"] == made["id"] and whole["data"]["health"] == "HEALTHY"
    assert whole["data"]["details"]["weight"] == {"total": 200, "available": 100, "unavailable": 100}
    assert {h["port"]: [a["healthy"] for a in h["addresses"]] for h in whole["data"]["details"]["hosts"]} == {81: [False], 82: [True], 83: [True]}
    # Go clients still POST.
    assert gateway.admin("POST", "/upstreams/backend/targets/127.0.0.1:82/127.0.0.1:82/unhealthy").status == 204
    assert health(gateway, balancer=1)["data"]["balancer_health"] == "UNHEALTHY"
    assert gateway.admin("PUT", "/upstreams/backend/targets/127.0.0.1:82/10.0.0.1:82/healthy").status == 400
    assert gateway.admin("PUT", "/upstreams/backend/targets/127.0.0.1:82/nonsense/healthy").status == 400
    assert gateway.admin("PUT", "/upstreams/backend/targets/127.0.0.1:99/healthy").status == 404
    assert gateway.admin("GET", "/upstreams/backend/targets/127.0.0.1:82/healthy").status == 405
    for port in (81, 82):
        assert gateway.admin("PUT", f"/upstreams/backend/targets/127.0.0.1:{port}/healthy").status == 204
    assert set(states().values()) == {"HEALTHY", "HEALTHCHECKS_OFF"}


def test_health_that_nobody_checks_any_more_is_forgotten(gateway, upstream_of):
    upstream_of(healthchecks=checked())
    gateway.create("/upstreams/backend/targets", target="127.0.0.1:81")
    gateway.admin("PUT", "/upstreams/backend/targets/127.0.0.1:81/unhealthy")
    for limit in (0, 1):
        gateway.admin("PATCH", "/upstreams/backend", json={"healthchecks": {"passive": {"unhealthy": {"tcp_failures": limit}}}})
    assert health(gateway)["data"][0]["health"] == "HEALTHY"


def test_health_outlives_a_change_of_targets(gateway, upstream_of):
    upstream_of(healthchecks=checked())
    gateway.create("/upstreams/backend/targets", target="127.0.0.1:81")
    gateway.admin("PUT", "/upstreams/backend/targets/127.0.0.1:81/unhealthy")
    gateway.create("/upstreams/backend/targets", target="127.0.0.1:82")
    gateway.admin("PATCH", "/upstreams/backend/targets/127.0.0.1:81", json={"weight": 50})
    assert {t["target"]: t["health"] for t in health(gateway)["data"]} == {"127.0.0.1:81": "UNHEALTHY", "127.0.0.1:82": "HEALTHY"}
    # Gone, its weight counts no more: what is left is all healthy.
    gateway.admin("DELETE", "/upstreams/backend/targets/127.0.0.1:81")
    assert health(gateway, balancer=1)["data"]["details"]["weight"] == {"total": 100, "available": 100, "unavailable": 0}


def test_a_name_without_address_is_told(gateway, upstream_of):
    upstream_of(healthchecks=checked())
    gateway.create("/upstreams/backend/targets", target="nowhere.invalid:80")
    eventually(lambda: health(gateway)["data"][0]["health"] == "DNS_ERROR", "the failed look-up")
    row = health(gateway)["data"][0]
    assert row["data"]["addresses"] == [] and row["data"]["weight"] == {"total": 0, "available": 0, "unavailable": 0}
