"""What the Admin API tells about the node, and what the status listener tells to those who only watch."""

import os

import pytest

from support.gateway import free_port
from support.waiting import eventually
from support.wire import fetch


@pytest.fixture(scope="module")
def watched(private_for_module):
    """A gateway with a status listener, which nothing in this module changes for good."""
    port = free_port()
    gateway = private_for_module(status_listen=f"127.0.0.1:{port}", nginx_worker_processes=3, pg_password="very#secret")
    gateway.status_address = ("127.0.0.1", port)
    return gateway


def watch(gateway, path, method="GET", **more):
    return fetch(gateway.status_address, method, path, **more)


# -- the root


def test_the_root_has_what_clients_decide_by(watched):
    answer = watched.admin("GET", "/")
    assert answer.status == 200
    told = answer.json
    assert told["version"] == "3.9.1"
    assert told["edition"] == "community"
    assert told["configuration"]["database"] == "postgres"
    assert told["configuration"]["portal"] is False
    assert told["configuration"]["rbac"] == "off"
    assert told["lua_version"].startswith("LuaJIT")
    assert told["tagline"].startswith("Welcome to ")
    assert set(told["timers"]) >= {"running", "pending"}


def test_the_root_names_the_program_itself(watched):
    told = watched.admin("GET", "/").json["sluice"]
    assert told["event_backend"] in ("epoll", "io_uring")
    assert told["store"] == "sqlite"
    assert isinstance(told["version"], str) and told["version"]


def test_the_root_tells_host_name_and_node_id(watched):
    told = watched.admin("GET", "/").json
    assert told["hostname"] == os.uname().nodename
    assert len(told["node_id"]) == 36
    assert watched.admin("GET", "/").json["node_id"] == told["node_id"]


def test_the_root_tells_its_processes(watched):
    pids = watched.admin("GET", "/").json["pids"]
    assert pids["master"] == watched.pid
    assert len(pids["workers"]) == 3


def test_the_root_lists_plugins_with_version_and_priority(watched):
    available = watched.admin("GET", "/").json["plugins"]["available_on_server"]
    assert {"key-auth", "acl", "rate-limiting"} <= set(available)
    assert available["key-auth"]["priority"] == 1250
    assert available["acl"]["priority"] == 950
    assert isinstance(available["key-auth"]["version"], str)


def test_the_root_lists_each_plugin_in_use_once(gateway):
    assert gateway.admin("GET", "/").json["plugins"]["enabled_in_cluster"] == []
    for name in ("a", "b"):
        service = gateway.create("/services", name=name, host="h.test")
        gateway.create("/plugins", name="key-auth", service={"id": service["id"]})
    gateway.create("/plugins", name="correlation-id")
    assert sorted(gateway.admin("GET", "/").json["plugins"]["enabled_in_cluster"]) == ["correlation-id", "key-auth"]


def test_the_root_shows_settings_without_secrets(watched):
    answer = watched.admin("GET", "/")
    assert answer.json["configuration"]["pg_password"] == "******"
    assert "very" not in answer.text
    assert answer.json["configuration"]["prefix"] == str(watched.prefix)
    assert answer.json["configuration"]["proxy_listen"] == ["%s:%d" % watched.proxy]


def test_the_node_id_stays_the_same_over_a_restart(private):
    gateway = private()
    before = gateway.admin("GET", "/").json["node_id"]
    gateway.restart()
    assert gateway.admin("GET", "/").json["node_id"] == before


# -- headers of every answer


def test_every_answer_is_json_and_may_be_read_from_other_sites(watched):
    for path in ("/", "/services", "/nothing", "/services/nothing"):
        answer = watched.admin("GET", path)
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["x-kong-admin-latency"].isdigit()
        assert int(answer.headers["content-length"]) == len(answer.body)


def test_the_origin_that_asked_is_allowed(watched):
    answer = watched.admin("GET", "/status", headers={"Origin": "http://board.test"})
    assert answer.headers["access-control-allow-origin"] == "http://board.test"


def test_only_the_pages_of_the_gui_are_allowed_where_it_is_known(private):
    gateway = private(admin_gui_url="https://gui.test:8443/manager, http://other.test")
    for asking, allowed in [(None, "https://gui.test:8443"), ("http://board.test", "https://gui.test:8443"),
                            ("https://gui.test:8443", "https://gui.test:8443"), ("http://other.test", "http://other.test")]:
        answer = gateway.admin("GET", "/status", headers={"Origin": asking} if asking else {})
        assert answer.headers["access-control-allow-origin"] == allowed, asking


@pytest.mark.parametrize("tokens, shown", [
    ("off", set()), ("server_tokens", {"server"}), ("latency_tokens", {"x-kong-admin-latency"}), ("X-Kong-Admin-Latency", {"x-kong-admin-latency"})])
def test_the_program_and_its_latency_are_told_as_the_settings_say(private, tokens, shown):
    answer = private(headers=tokens).admin("GET", "/status")
    assert {name for name in ("server", "x-kong-admin-latency") if name in answer.headers} == shown


def test_robots_are_sent_away(watched):
    answer = watched.admin("GET", "/robots.txt")
    assert answer.status == 200 and answer.text == "User-agent: *\nDisallow: /"


# -- status


def test_the_status_counts_connections_and_requests(gateway, echo):
    gateway.route(echo)
    before = gateway.admin("GET", "/status").json["server"]
    with gateway.client() as client:
        for _ in range(5):
            assert client.ask(b"GET / HTTP/1.1\r\nHost: x.test\r\n\r\n").status == 200

        def counted():
            now = gateway.admin("GET", "/status").json["server"]
            return (now["total_requests"] - before["total_requests"] >= 5
                    and now["connections_accepted"] - before["connections_accepted"] >= 1
                    and now["connections_active"] >= 1)

        eventually(counted, "five requests on one connection in the status")
    server = gateway.admin("GET", "/status").json["server"]
    assert set(server) >= {"connections_active", "connections_reading", "connections_writing", "connections_waiting",
                           "connections_accepted", "connections_handled", "total_requests"}
    assert all(isinstance(v, int) for v in server.values())


def test_the_status_tells_that_the_database_is_reachable(watched):
    answer = watched.admin("GET", "/status").json
    assert answer["database"] == {"reachable": True}
    assert "configuration_hash" not in answer


def test_the_status_has_memory_for_every_worker(watched):
    memory = watched.admin("GET", "/status").json["memory"]
    assert len(memory["workers_lua_vms"]) == 3
    for each in memory["workers_lua_vms"]:
        assert isinstance(each["pid"], int)
        assert each["http_allocated_gc"].endswith(" MiB")
    assert isinstance(memory["lua_shared_dicts"], dict)


@pytest.mark.parametrize("unit, ending", [("k", "KiB"), ("K", "KiB"), ("m", "MiB"), ("M", "MiB"), ("g", "GiB"), ("G", "GiB")])
def test_memory_is_told_in_the_unit_asked_for(watched, unit, ending):
    text = watched.admin("GET", f"/status?unit={unit}").json["memory"]["workers_lua_vms"][0]["http_allocated_gc"]
    number, told = text.split(" ")
    assert told == ending
    assert len(number.split(".")[1]) == 2


def test_memory_in_bytes_is_a_number(watched):
    for unit in "bB":
        memory = watched.admin("GET", f"/status?unit={unit}").json["memory"]
        assert isinstance(memory["workers_lua_vms"][0]["http_allocated_gc"], int)


@pytest.mark.parametrize("scale", [1, 3, 5])
def test_memory_has_the_decimals_asked_for(watched, scale):
    text = watched.admin("GET", f"/status?unit=k&scale={scale}").json["memory"]["workers_lua_vms"][0]["http_allocated_gc"]
    assert len(text.split(" ")[0].split(".")[1]) == scale


def test_an_unknown_unit_is_refused(watched):
    answer = watched.admin("GET", "/status?unit=z")
    assert answer.status == 400
    assert answer.json == {"message": "invalid unit 'z' (expected 'k/K', 'm/M', or 'g/G')"}


@pytest.mark.parametrize("scale", ["x", "-1", "99999999999999999999", ""])
def test_a_senseless_scale_breaks_nothing(watched, scale):
    assert watched.admin("GET", f"/status?scale={scale}").status in (200, 400)


# -- lists of what there is


def test_the_endpoints_are_listed_in_order(watched):
    paths = watched.admin("GET", "/endpoints").json["data"]
    assert {"/", "/services", "/services/{services}", "/services/{services}/routes/{routes}", "/routes/{routes}/service",
            "/plugins/enabled", "/schemas/{name}", "/consumers/{consumers}/plugins", "/tags/{tags}"} <= set(paths)
    assert len(paths) == len(set(paths))
    assert [p.split("/") for p in paths] == sorted(p.split("/") for p in paths)


def test_every_listed_endpoint_is_there(watched):
    for path in watched.admin("GET", "/endpoints").json["data"]:
        answer = watched.admin("OPTIONS", path.replace("{", "").replace("}", ""))
        assert answer.status == 204, path
        assert "OPTIONS" in answer.headers["allow"], path


def test_the_enabled_plugins_are_those_available(watched):
    enabled = watched.admin("GET", "/plugins/enabled").json["enabled_plugins"]
    assert sorted(enabled) == sorted(watched.admin("GET", "/").json["plugins"]["available_on_server"])


def test_a_choice_of_plugins_is_what_is_enabled(private):
    gateway = private(plugins="key-auth,acl")
    assert sorted(gateway.admin("GET", "/plugins/enabled").json["enabled_plugins"]) == ["acl", "key-auth"]
    refused = gateway.admin("POST", "/plugins", json={"name": "rate-limiting", "config": {"second": 1}})
    assert refused.status == 400
    assert refused.json["fields"] == {
        "name": "plugin 'rate-limiting' not enabled; add it to the 'plugins' configuration property"}
    assert gateway.admin("GET", "/schemas/plugins/rate-limiting").status == 404


def test_no_plugins_at_all_can_be_chosen(private):
    gateway = private(plugins="off")
    assert gateway.admin("GET", "/plugins/enabled").json["enabled_plugins"] == []


# -- schemas


@pytest.mark.parametrize("entity", ["services", "routes", "consumers", "plugins", "keyauth_credentials", "acls"])
def test_a_schema_is_a_list_of_objects_with_one_key(watched, entity):
    answer = watched.admin("GET", f"/schemas/{entity}")
    assert answer.status == 200
    assert all(isinstance(each, dict) and len(each) == 1 for each in answer.json["fields"])
    names = [next(iter(each)) for each in answer.json["fields"]]
    assert {"id", "created_at", "tags"} <= set(names)
    assert isinstance(answer.json["entity_checks"], list)


def test_a_schema_tells_types_and_defaults(watched):
    fields = {k: v for each in watched.admin("GET", "/schemas/services").json["fields"] for k, v in each.items()}
    assert fields["retries"]["type"] == "integer" and fields["retries"]["default"] == 5
    assert fields["retries"]["between"] == [0, 32767]
    assert fields["protocol"]["default"] == "http" and "grpcs" in fields["protocol"]["one_of"]
    assert fields["tags"]["type"] == "set" and fields["tags"]["elements"]["type"] == "string"


def test_an_unknown_schema_is_not_found(watched):
    answer = watched.admin("GET", "/schemas/toasters")
    assert answer.status == 404 and answer.json == {"message": "No entity named 'toasters'"}


@pytest.mark.parametrize("name", ["key-auth", "acl", "rate-limiting", "correlation-id"])
def test_the_schema_of_a_plugin_has_config_and_protocols(watched, name):
    fields = {k: v for each in watched.admin("GET", f"/schemas/plugins/{name}").json["fields"] for k, v in each.items()}
    assert fields["config"]["type"] == "record"
    assert all(len(each) == 1 for each in fields["config"]["fields"])
    assert fields["protocols"]["default"] == ["grpc", "grpcs", "http", "https"]


def test_the_schema_of_a_plugin_tells_old_names_and_what_replaced_them(watched):
    fields = {k: v for each in watched.admin("GET", "/schemas/plugins/rate-limiting").json["fields"] for k, v in each.items()}
    old = {k: v for each in fields["config"]["shorthand_fields"] for k, v in each.items()}
    assert old["redis_host"]["deprecation"]["replaced_with"][0]["path"] == ["redis", "host"]


def test_the_schema_of_an_unknown_plugin_is_not_found(watched):
    for path in ("/schemas/plugins/nothing", "/plugins/schema/nothing"):
        answer = watched.admin("GET", path)
        assert answer.status == 404 and answer.json == {"message": "No plugin named 'nothing'"}


def test_the_old_path_of_plugin_schemas_tells_the_config_alone(watched):
    answer = watched.admin("GET", "/plugins/schema/key-auth")
    assert answer.status == 200
    assert {"key_names", "hide_credentials"} <= {next(iter(each)) for each in answer.json["fields"]}


def test_validation_finds_a_good_entity_good(watched):
    for path, body in [("/schemas/services/validate", {"host": "h.test"}),
                       ("/schemas/routes/validate", {"paths": ["/a"]}),
                       ("/schemas/consumers/validate", {"username": "someone"}),
                       ("/schemas/plugins/validate", {"name": "key-auth"})]:
        answer = watched.admin("POST", path, json=body)
        assert answer.status == 200, (path, answer)
        assert answer.json == {"message": "schema validation successful"}


def test_validation_tells_what_is_wrong(watched):
    answer = watched.admin("POST", "/schemas/services/validate", json={"host": "h.test", "port": "80"})
    assert answer.status == 400
    assert answer.json == {"code": 2, "name": "schema violation", "message": "schema violation (port: expected an integer)",
                           "fields": {"port": "expected an integer"}}


def test_validation_of_a_plugin_looks_into_its_config(watched):
    answer = watched.admin("POST", "/schemas/plugins/validate", json={"name": "key-auth", "config": {"nothing": 1}})
    assert answer.status == 400 and answer.json["fields"] == {"config": {"nothing": "unknown field"}}
    answer = watched.admin("POST", "/schemas/plugins/validate", json={"name": "nothing"})
    assert answer.status == 400 and "not enabled" in answer.json["fields"]["name"]


def test_validation_stores_nothing_and_knows_no_neighbours(gateway):
    gateway.create("/services", name="taken", host="h.test")
    body = {"name": "taken", "host": "h.test"}
    assert gateway.admin("POST", "/schemas/services/validate", json=body).status == 200
    elsewhere = {"paths": ["/"], "service": {"id": "00000000-0000-4000-8000-000000000001"}}
    assert gateway.admin("POST", "/schemas/routes/validate", json=elsewhere).status == 200
    assert gateway.admin("GET", "/routes").json["data"] == []


def test_validation_of_an_unknown_entity_is_not_found(watched):
    answer = watched.admin("POST", "/schemas/toasters/validate", json={})
    assert answer.status == 404


# -- smaller endpoints


def test_timers_are_told_of(watched):
    told = watched.admin("GET", "/timers").json
    assert told["worker"]["count"] == 3 and isinstance(told["worker"]["id"], int)
    assert set(told["stats"]["sys"]) >= {"total", "runs", "running", "pending", "waiting"}


def test_the_cache_is_asked_and_emptied(watched):
    assert watched.admin("GET", "/cache/nothing").json == {"message": "Not found"}
    assert watched.admin("GET", "/cache/nothing").status == 404
    assert watched.admin("DELETE", "/cache/nothing").status == 204
    assert watched.admin("DELETE", "/cache").status == 204
    assert watched.admin("GET", "/cache").status == 405


def test_what_this_node_is_not_is_refused_with_its_reason(watched):
    for path, reason in [("/config", "not use a database"), ("/clustering/data-planes", "Control Plane"),
                         ("/clustering/status", "Control Plane")]:
        answer = watched.admin("GET", path)
        assert answer.status == 400 and reason in answer.json["message"], path


# -- the level of the log


@pytest.fixture
def level(watched):
    yield watched
    watched.admin("PUT", "/debug/node/log-level/info")


def test_the_level_of_the_log_is_told_and_changed(level):
    assert level.admin("GET", "/debug/node/log-level").json == {"message": "log level: info"}
    answer = level.admin("PUT", "/debug/node/log-level/debug")
    assert answer.status == 200 and answer.json == {"message": "log level changed"}
    assert level.admin("GET", "/debug/node/log-level").json == {"message": "log level: debug"}


def test_the_root_shows_the_level_of_the_log_as_it_is(level):
    level.admin("PUT", "/debug/node/log-level/warn")
    assert level.admin("GET", "/").json["configuration"]["log_level"] == "warn"


def test_the_level_that_it_has_already_is_no_change(level):
    answer = level.admin("PUT", "/debug/node/log-level/info")
    assert answer.status == 200 and answer.json == {"message": "log level is already info"}


def test_an_unknown_level_is_refused(level):
    answer = level.admin("PUT", "/debug/node/log-level/loud")
    assert answer.status == 400 and answer.json == {"message": "unknown log level: loud"}


def test_a_changed_level_comes_back_after_its_timeout(level):
    answer = level.admin("PUT", "/debug/node/log-level/warn", form={"timeout": "1"})
    assert answer.json == {"message": "log level changed"}
    eventually(lambda: level.admin("GET", "/debug/node/log-level").json == {"message": "log level: info"},
               "the level of before", timeout=5)


def test_a_negative_timeout_of_a_level_is_refused(level):
    answer = level.admin("PUT", "/debug/node/log-level/warn", form={"timeout": "-1"})
    assert answer.status == 400 and answer.json == {"message": "timeout must be greater than or equal to 0"}


def test_the_level_decides_what_is_logged(private):
    gateway = private(log_level="notice")
    assert " [info] " not in gateway.log("error.log")
    gateway = private(log_level="crit")
    assert " [notice] " not in gateway.log("error.log")


# -- the status listener


def test_the_status_listener_tells_the_status(watched):
    answer = watch(watched, "/status")
    assert answer.status == 200
    assert set(answer.json) == set(watched.admin("GET", "/status").json)


def test_the_status_listener_tells_readiness(watched):
    answer = watch(watched, "/status/ready")
    assert answer.status == 200 and answer.json == {"message": "ready"}


def test_readiness_can_be_asked_with_head_and_a_trailing_slash(watched):
    answer = watch(watched, "/status/ready", "HEAD")
    assert answer.status == 200 and answer.body == b""
    assert watch(watched, "/status/ready/").status == 200


@pytest.mark.parametrize("path", ["/", "/services", "/routes", "/plugins", "/apis", "/schemas/services", "/debug/node/log-level",
                                  "/status/nothing", "/endpoints", "/cache", "/config", "/../services", "//services",
                                  "/status/../services"])
def test_there_is_nothing_else_on_the_status_listener(watched, path):
    answer = watch(watched, path)
    assert answer.status in (400, 404), answer


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_written_through_the_status_listener(watched, method):
    body = b'{"name":"x","host":"h.test"}'
    answer = watch(watched, "/services", method, headers={"Content-Type": "application/json"}, body=body)
    assert answer.status == 404
    assert watched.admin("GET", "/services/x").status == 404
    assert watch(watched, "/status", method).status == 405


def test_a_node_that_drains_is_not_ready_and_goes_on_serving(private, echo):
    port = free_port()
    gateway = private(status_listen=f"127.0.0.1:{port}")
    gateway.status_address = ("127.0.0.1", port)
    gateway.route(echo)
    json = {"Content-Type": "application/json"}
    for wrong in (b'{"status":"sleeping"}', b"{}", b"nonsense", b"[]"):
        answer = watch(gateway, "/status/ready", "POST", headers=json, body=wrong)
        assert answer.status == 400, wrong
    assert watch(gateway, "/status/ready").status == 200
    answer = watch(gateway, "/status/ready", "POST", headers=json, body=b'{"status":"draining"}')
    assert answer.status == 204 and answer.body == b""
    answer = watch(gateway, "/status/ready")
    assert answer.status == 503 and answer.json == {"message": "draining"}
    assert gateway.get("/").status == 200
    assert watch(gateway, "/status").status == 200


def test_the_readiness_is_not_on_the_admin_listener(watched):
    assert watched.admin("GET", "/status/ready").status == 404


def test_a_status_listener_that_is_off_listens_nowhere(gateway):
    assert gateway.admin("GET", "/").json["configuration"]["status_listen"] == ["off"]
