"""Plugins through the Admin API: their configs, and where the same one may stand."""

from support.admin import refused, service


def test_a_plugin_is_filled_with_the_defaults_of_its_config(gateway):
    made = gateway.create("/plugins", name="key-auth")
    assert made["enabled"] is True and made["instance_name"] is None
    assert made["protocols"] == ["grpc", "grpcs", "http", "https"]
    assert made["route"] is made["service"] is made["consumer"] is None
    assert made["config"]["key_names"] == ["apikey"] and made["config"]["hide_credentials"] is False


def test_a_form_changes_a_plugin_with_the_types_of_its_stored_name(gateway):
    made = gateway.create("/plugins", name="rate-limiting", config={"second": 5, "minute": 10})
    answer = gateway.admin("PATCH", f"/plugins/{made['id']}", form={"config.second": "7", "config.hide_client_headers": "true"})
    assert answer.status == 200
    assert answer.json["config"]["second"] == 7 and answer.json["config"]["hide_client_headers"] is True
    assert answer.json["config"]["minute"] == 10


def test_a_json_change_merges_records_and_replaces_lists(gateway):
    made = gateway.create("/plugins", name="rate-limiting",
                          config={"second": 5, "policy": "local", "redis": {"host": "r.test", "port": 1234}})
    answer = gateway.admin("PATCH", f"/plugins/{made['id']}", json={"config": {"redis": {"port": 4321}}})
    assert answer.status == 200
    config = answer.json["config"]
    assert config["second"] == 5 and config["redis"]["host"] == "r.test" and config["redis"]["port"] == 4321
    made = gateway.create("/plugins", name="key-auth", config={"key_names": ["a", "b"]})
    answer = gateway.admin("PATCH", f"/plugins/{made['id']}", json={"config": {"key_names": ["c"]}})
    assert answer.json["config"]["key_names"] == ["c"]


def test_null_clears_a_field_of_a_config(gateway):
    made = gateway.create("/plugins", name="rate-limiting", config={"second": 5, "minute": 10})
    answer = gateway.admin("PATCH", f"/plugins/{made['id']}", json={"config": {"second": None}})
    assert answer.status == 200
    assert answer.json["config"]["second"] is None and answer.json["config"]["minute"] == 10
    refused(gateway.admin("PATCH", f"/plugins/{made['id']}", json={"config": {"minute": None}}))


def test_put_replaces_a_plugin_and_its_config(gateway):
    made = gateway.create("/plugins", name="rate-limiting", config={"second": 5, "hide_client_headers": True}, tags=["a"])
    answer = gateway.admin("PUT", f"/plugins/{made['id']}", json={"name": "rate-limiting", "config": {"minute": 9}})
    assert answer.status == 200 and answer.json["id"] == made["id"]
    config = answer.json["config"]
    assert (config["second"], config["minute"], config["hide_client_headers"]) == (None, 9, False)
    assert answer.json["tags"] is None


def test_old_names_of_redis_settings_are_taken_and_shown(gateway):
    made = gateway.create("/plugins", name="rate-limiting",
                          config={"second": 5, "policy": "redis", "redis_host": "r.test", "redis_port": 7000})
    config = made["config"]
    assert config["redis"]["host"] == config["redis_host"] == "r.test"
    assert config["redis"]["port"] == config["redis_port"] == 7000
    answer = gateway.admin("PATCH", f"/plugins/{made['id']}", json={"config": {"redis_port": 7001}})
    assert answer.status == 200, answer
    assert answer.json["config"]["redis"]["port"] == answer.json["config"]["redis_port"] == 7001


def test_an_old_name_and_its_new_one_must_agree(gateway):
    body = {"name": "rate-limiting", "config": {"second": 5, "redis_host": "a.test", "redis": {"host": "b.test"}}}
    answer = gateway.admin("POST", "/plugins", json=body)
    refused(answer)
    assert "both deprecated and new field are used but their values mismatch" in answer.json["message"]
    body["config"]["redis"]["host"] = "a.test"
    assert gateway.admin("POST", "/plugins", json=body).status == 201


def test_an_unknown_plugin_is_refused(gateway):
    why = "plugin 'nothing' not enabled; add it to the 'plugins' configuration property"
    refused(gateway.admin("POST", "/plugins", json={"name": "nothing"}), {"name": why})
    refused(gateway.admin("POST", "/plugins", json={}), {"name": "required field missing"})
    refused(gateway.admin("POST", "/plugins", json={"name": 1}), {"name": "expected a string"})


def test_complaints_about_a_config_are_nested(gateway):
    answer = gateway.admin("POST", "/plugins", json={"name": "key-auth", "config": {"key_names": "x", "nothing": 1}})
    refused(answer, {"config": {"key_names": "expected an array", "nothing": "unknown field"}})
    answer = gateway.admin("POST", "/plugins", json={"name": "key-auth", "config": {"hide_credentials": "true"}})
    refused(answer, {"config": {"hide_credentials": "expected a boolean"}},
            "schema violation (config.hide_credentials: expected a boolean)")


def test_the_same_plugin_is_refused_twice_at_the_same_place(gateway):
    made = service(gateway)
    gateway.create("/plugins", name="key-auth")
    gateway.create("/plugins", name="key-auth", service={"id": made["id"]})
    refused(gateway.admin("POST", "/plugins", json={"name": "key-auth"}),
            {"name": "key-auth", "route": None, "service": None, "consumer": None},
            "UNIQUE violation detected on '{consumer=null,name=\"key-auth\",route=null,service=null}'", code=5, status=409)
    refused(gateway.admin("POST", "/plugins", json={"name": "key-auth", "service": {"id": made["id"]}}), code=5, status=409)


def test_moving_a_plugin_where_the_same_one_stands_is_refused(gateway):
    made = service(gateway)
    gateway.create("/plugins", name="key-auth")
    other = gateway.create("/plugins", name="key-auth", service={"id": made["id"]})
    refused(gateway.admin("PATCH", f"/plugins/{other['id']}", json={"service": None}), code=5, status=409)
    assert gateway.admin("GET", f"/plugins/{other['id']}").json["service"] == {"id": made["id"]}


def test_a_plugin_has_a_name_of_its_own(gateway):
    made = gateway.create("/plugins", name="key-auth", instance_name="my-keys")
    assert gateway.admin("GET", "/plugins/my-keys").json == made
    answer = gateway.admin("PATCH", "/plugins/my-keys", json={"enabled": False})
    assert answer.status == 200 and answer.json["enabled"] is False
    refused(gateway.admin("POST", "/plugins", json={"name": "acl", "instance_name": "my-keys", "config": {"allow": ["a"]}}),
            {"instance_name": "my-keys"}, code=5, status=409)
    answer = gateway.admin("PUT", "/plugins/other", json={"name": "correlation-id"})
    assert answer.status == 200 and answer.json["instance_name"] == "other"
    assert gateway.admin("DELETE", "/plugins/my-keys").status == 204
    assert gateway.admin("GET", "/plugins/my-keys").status == 404


def test_a_plugin_must_share_a_protocol_with_its_route(gateway):
    route = gateway.create("/routes", paths=["/"], protocols=["https"])
    answer = gateway.admin("POST", "/plugins", json={"name": "key-auth", "route": {"id": route["id"]}, "protocols": ["http"]})
    refused(answer, {"protocols": "must match the associated route's protocols"})
    assert gateway.admin("POST", f"/routes/{route['id']}/plugins", json={"name": "key-auth", "protocols": ["https"]}).status == 201


def test_a_plugin_must_share_a_protocol_with_a_route_of_its_service(gateway):
    made = service(gateway)
    body = {"name": "key-auth", "service": {"id": made["id"]}, "protocols": ["http"]}
    bare = gateway.admin("POST", "/plugins", json=body)
    assert bare.status == 201  # a service without routes lets every protocol be
    gateway.admin("DELETE", f"/plugins/{bare.json['id']}")
    gateway.create("/routes", paths=["/"], protocols=["https"], service={"id": made["id"]})
    refused(gateway.admin("POST", "/plugins", json=body),
            {"protocols": "must match the protocols of at least one route pointing to this Plugin's service"})


def test_key_auth_cannot_be_bound_to_a_consumer(gateway):
    consumer = gateway.create("/consumers", username="a")
    answer = gateway.admin("POST", "/plugins", json={"name": "key-auth", "consumer": {"id": consumer["id"]}})
    refused(answer, {"consumer": "value must be null"})


def test_a_plugin_may_change_what_it_is_when_its_config_fits(gateway):
    made = gateway.create("/plugins", name="correlation-id")
    answer = gateway.admin("PUT", f"/plugins/{made['id']}", json={"name": "key-auth"})
    assert answer.status == 200 and answer.json["config"]["key_names"] == ["apikey"]
