"""What decK and go-kong ask of the Admin API, in the order in which they ask."""

import uuid

import pytest

# Lists that a dump reads and gives up on when they are not found.
NEEDED = ["services", "routes", "plugins", "certificates", "snis", "upstreams", "consumers"]
# Those that it goes on without.
OPTIONAL = ["filter-chains", "ca_certificates", "vaults", "partials", "keys", "key-sets", "consumer_groups", "key-auths", "hmac-auths",
            "jwts", "basic-auths", "oauth2", "acls", "mtls-auths"]


def dump(gateway):
    """Every list, paged until `offset` is gone."""
    found = {}
    for name in NEEDED + OPTIONAL:
        rows, path = [], f"/{name}?size=1000"
        while path:
            answer = gateway.admin("GET", path)
            if name in OPTIONAL and answer.status in (400, 404):
                break
            assert answer.status == 200, (name, answer)
            rows += answer.json["data"]
            offset = answer.json.get("offset")
            path = offset and f"/{name}?size=1000&offset={offset}"
        found[name] = rows
    return found


def test_a_dump_of_an_empty_node(gateway):
    assert all(rows == [] for rows in dump(gateway).values())


def test_proxies_in_wasm_are_told_to_be_off(gateway):
    for method, path in [("GET", "/filter-chains"), ("POST", "/filter-chains"), ("DELETE", "/filter-chains/x"), ("GET", "/routes/x/filter-chains")]:
        answer = gateway.admin(method, path, json={} if method == "POST" else None)
        assert answer.status == 400 and answer.json == {"message": "this endpoint is only available when wasm is enabled"}


@pytest.mark.parametrize("name", ["services", "routes", "upstreams", "targets"])
def test_defaults_are_read_from_the_schemas_of_every_kind(gateway, name):
    fields = gateway.admin("GET", f"/schemas/{name}").json["fields"]
    assert all(len(field) == 1 for field in fields)
    assert fields[0] == {"id": {**fields[0]["id"], "type": "string", "uuid": True, "auto": True}}


def test_the_defaults_of_an_upstream_and_a_target(gateway):
    def field(schema, *path):
        for name in path:
            schema = next(each[name] for each in schema["fields"] if name in each)
        return schema

    upstreams, targets = (gateway.admin("GET", f"/schemas/{name}").json for name in ("upstreams", "targets"))
    assert field(upstreams, "slots")["default"] == 10000 and field(upstreams, "algorithm")["default"] == "round-robin"
    checks = field(upstreams, "healthchecks")
    assert checks["default"]["active"]["healthy"] == {"http_statuses": [200, 302], "interval": 0, "successes": 0}
    assert checks["default"]["passive"]["unhealthy"] == {"http_failures": 0, "http_statuses": [429, 500, 503], "tcp_failures": 0, "timeouts": 0}
    assert field(upstreams, "healthchecks", "active", "concurrency")["default"] == 10
    assert field(targets, "weight")["default"] == 100 and field(targets, "weight")["between"] == [0, 65535]
    assert {"distinct": ["hash_on_header", "hash_fallback_header"]} in upstreams["entity_checks"]


def test_the_schema_of_the_view_of_tags(gateway):
    names = [next(iter(field)) for field in gateway.admin("GET", "/schemas/tags").json["fields"]]
    assert names == ["tag", "entity_name", "entity_id"]


def test_a_sync_writes_by_id_and_the_next_one_finds_nothing_to_do(gateway):
    service, route, consumer, plugin, key, group = (str(uuid.uuid4()) for _ in range(6))
    wanted = [
        (f"/consumers/{consumer}", {"username": "c", "tags": ["team"]}),
        (f"/services/{service}", {"name": "s", "host": "h.test", "port": 80, "protocol": "http", "retries": 5, "connect_timeout": 60000,
                                  "read_timeout": 60000, "write_timeout": 60000, "enabled": True, "tags": ["team"]}),
        (f"/consumers/{consumer}/key-auth/{key}", {"key": "k", "tags": ["team"]}),
        (f"/consumers/{consumer}/acls/{group}", {"group": "g", "tags": ["team"]}),
        (f"/routes/{route}", {"name": "r", "paths": ["/r"], "service": {"id": service}, "tags": ["team"]}),
        (f"/plugins/{plugin}", {"name": "rate-limiting", "config": {"second": 5}, "route": {"id": route}, "tags": ["team"]}),
    ]
    for path, body in wanted:
        collection = "/" + path.split("/")[1] + "/" + path.split("/")[-1]
        assert "key-auth" in path or "acls" in path or gateway.admin("GET", collection).status == 404
        answer = gateway.admin("PUT", path, json={"id": path.split("/")[-1], **body})
        assert answer.status == 200 and answer.json["id"] == path.split("/")[-1], answer
    first = dump(gateway)
    assert {name: len(rows) for name, rows in first.items() if rows} == {
        "services": 1, "routes": 1, "plugins": 1, "consumers": 1, "key-auths": 1, "acls": 1}
    for rows in first.values():
        for row in rows:
            assert type(row["created_at"]) is int and type(row.get("updated_at", 0)) is int
            assert gateway.admin("GET", f"/{row and next(n for n, r in first.items() if row in r)}?tags=team").json["data"] == [row]
    for path, body in wanted:
        again = gateway.admin("PUT", path, json=body).json
        assert all(again[name] == value for name, value in body.items() if name != "config")
    assert gateway.admin("GET", f"/plugins/{plugin}").json["config"] == first["plugins"][0]["config"]
    for path, _ in reversed(wanted):
        assert gateway.admin("DELETE", path).status == 204
    assert all(rows == [] for rows in dump(gateway).values())


def test_upstreams_and_targets_are_written_as_decK_does(gateway):
    upstream, target = str(uuid.uuid4()), str(uuid.uuid4())
    body = {"id": upstream, "name": "backend.test", "algorithm": "round-robin", "slots": 10000, "hash_on": "none", "tags": ["team"],
            "healthchecks": {"active": {"type": "http", "healthy": {"interval": 5, "successes": 2}}, "threshold": 20}}
    assert gateway.admin("PUT", f"/upstreams/{upstream}", json=body).status == 200
    row = {"id": target, "target": "10.0.0.1:80", "weight": 10, "upstream": {"id": upstream}, "tags": ["team"]}
    # An unknown target is looked for with PUT, and then made.
    assert gateway.admin("PUT", f"/upstreams/{upstream}/targets/{target}", json=row).status == 404
    assert gateway.admin("POST", f"/upstreams/{upstream}/targets", json=row).status == 201
    listed = gateway.admin("GET", f"/upstreams/{upstream}/targets?size=1000&tags=team").json
    assert [t["id"] for t in listed["data"]] == [target] and listed["next"] is None
    assert gateway.admin("PUT", f"/upstreams/{upstream}/targets/{target}", json={**row, "weight": 20}).json["weight"] == 20
    shown = gateway.admin("GET", f"/upstreams/{upstream}/health?balancer_health=1&size=1000").json["data"]
    assert shown["id"] == upstream and shown["details"]["weight"]["total"] == 20
    assert gateway.admin("DELETE", f"/upstreams/{upstream}/targets/{target}").status == 204
    assert gateway.admin("DELETE", f"/upstreams/{upstream}").status == 204


def test_every_entity_of_a_file_is_validated(gateway):
    for name, body in [("services", {"name": "s", "host": "h.test"}), ("routes", {"paths": ["/r"]}), ("consumers", {"username": "c"}),
                       ("plugins", {"name": "key-auth"}), ("keyauth_credentials", {"key": "k", "consumer": {"id": str(uuid.uuid4())}}),
                       ("acls", {"group": "g", "consumer": {"id": str(uuid.uuid4())}})]:
        answer = gateway.admin("POST", f"/schemas/{name}/validate", json=body)
        assert answer.status == 200 and answer.json == {"message": "schema validation successful"}, (name, answer)
