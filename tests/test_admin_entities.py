"""What entities have in common in the Admin API: how they hang together, how they are found."""

import time
import urllib.parse
import uuid

import pytest

from support.admin import NOWHERE, refused, service


# -- consumers


def test_a_consumer_needs_a_name_of_some_kind(gateway):
    why = "at least one of these fields must be non-empty: 'custom_id', 'username'"
    refused(gateway.admin("POST", "/consumers", json={}), {"@entity": [why]}, f"schema violation ({why})")
    refused(gateway.admin("POST", "/consumers", json={"username": None}), {"@entity": [why]})
    assert gateway.create("/consumers", custom_id="1")["username"] is None
    assert gateway.create("/consumers", username="1")["custom_id"] is None


def test_consumers_have_any_name_and_are_found_by_it(gateway):
    for name in ("alice", "Ålice Ünder", "a/b", "a b@c.test", "日本", "100%", "a+b", "?q=1"):
        made = gateway.create("/consumers", username=name)
        found = gateway.admin("GET", "/consumers/" + urllib.parse.quote(name, safe=""))
        assert found.status == 200, name
        assert found.json == made


def test_names_of_consumers_are_unique(gateway):
    gateway.create("/consumers", username="a", custom_id="b")
    refused(gateway.admin("POST", "/consumers", json={"username": "a"}), {"username": "a"},
            "UNIQUE violation detected on '{username=\"a\"}'", code=5, status=409)
    refused(gateway.admin("POST", "/consumers", json={"custom_id": "b"}), {"custom_id": "b"}, code=5, status=409)
    assert len(gateway.admin("GET", "/consumers").json["data"]) == 1


def test_a_consumer_is_found_by_its_custom_id(gateway):
    made = gateway.create("/consumers", username="a", custom_id="c d")
    gateway.create("/consumers", username="c d")
    found = gateway.admin("GET", "/consumers?custom_id=c%20d")
    assert found.json == {"data": [made], "next": None}
    assert gateway.admin("GET", "/consumers?custom_id=x").json == {"data": [], "next": None}
    answer = gateway.admin("GET", "/consumers?custom_id=")
    assert answer.status == 400 and answer.json == {"message": "custom_id must be an unempty string"}


def test_a_consumer_can_lose_one_of_its_names(gateway):
    gateway.create("/consumers", username="a", custom_id="b")
    answer = gateway.admin("PATCH", "/consumers/a", json={"custom_id": None})
    assert answer.status == 200 and answer.json["custom_id"] is None
    answer = gateway.admin("PATCH", "/consumers/a", json={"username": None})
    why = "when updating, at least one of these fields must be non-empty: 'custom_id', 'username'"
    assert answer.status == 400 and answer.json["fields"] == {"@entity": [why]} and answer.json["message"] == f"schema violation ({why})"


# -- nested and foreign paths


def test_children_are_made_and_listed_below_their_parent(gateway):
    one, other = service(gateway, "one"), service(gateway, "other")
    made = gateway.create("/services/one/routes", paths=["/a"])
    assert made["service"] == {"id": one["id"]}
    gateway.create("/services/other/routes", paths=["/b"])
    assert gateway.admin("GET", "/services/one/routes").json == {"data": [made], "next": None}
    assert gateway.admin("GET", f"/services/{one['id']}/routes/{made['id']}").json == made
    assert gateway.admin("GET", f"/services/{other['id']}/routes/{made['id']}").status == 404


def test_the_parent_in_the_path_wins_over_the_one_in_the_body(gateway):
    one, other = service(gateway, "one"), service(gateway, "other")
    made = gateway.create("/services/one/routes", paths=["/a"], service={"id": other["id"]})
    assert made["service"] == {"id": one["id"]}


def test_there_are_no_children_below_a_missing_parent(gateway):
    for method, path in [("GET", "/services/no/routes"), ("POST", "/services/no/routes"), ("GET", f"/services/{NOWHERE}/routes"),
                         ("GET", "/consumers/no/plugins"), ("POST", "/consumers/no/key-auth"), ("PUT", "/services/no/routes/r")]:
        answer = gateway.admin(method, path, json={"paths": ["/"]} if method != "GET" else None)
        assert answer.status == 404 and answer.json == {"message": "Not found"}, (method, path)


def test_a_child_is_changed_replaced_and_deleted_below_its_parent(gateway):
    one = service(gateway, "one")
    answer = gateway.admin("PUT", "/services/one/routes/r", json={"paths": ["/a"]})
    assert answer.status == 200 and answer.json["name"] == "r" and answer.json["service"] == {"id": one["id"]}
    answer = gateway.admin("PATCH", "/services/one/routes/r", json={"paths": ["/b"]})
    assert answer.status == 200 and answer.json["paths"] == ["/b"]
    assert gateway.admin("DELETE", "/services/one/routes/r").status == 204
    assert gateway.admin("GET", "/routes/r").status == 404


def test_a_child_of_another_parent_is_neither_changed_nor_deleted(gateway):
    service(gateway, "one"), service(gateway, "other")
    made = gateway.create("/services/one/routes", name="r", paths=["/a"])
    for path in ("/services/other/routes/r", f"/services/other/routes/{made['id']}", f"/services/other/routes/{uuid.uuid4()}"):
        for method, body in [("GET", None), ("PATCH", {"paths": ["/b"]}), ("DELETE", None)]:
            answer = gateway.admin(method, path, json=body)
            assert answer.status == 404 and answer.json == {"message": "Not found"}, (method, path)
    assert gateway.admin("GET", "/routes/r").json == made


def test_replacing_a_child_below_another_parent_moves_it_there(gateway):
    service(gateway, "one"), service(gateway, "other")
    made = gateway.create("/services/one/routes", name="r", paths=["/a"])
    answer = gateway.admin("PUT", "/services/other/routes/r", json={"paths": ["/b"]})
    assert answer.status == 200 and answer.json["id"] == made["id"]
    assert gateway.admin("GET", "/services/one/routes").json["data"] == []
    assert gateway.admin("GET", "/services/other/routes").json["data"] == [answer.json]


def test_the_service_of_a_route_is_reached_through_it(gateway):
    one = service(gateway, "one")
    gateway.create("/services/one/routes", name="r", paths=["/a"])
    assert gateway.admin("GET", "/routes/r/service").json == one
    answer = gateway.admin("PATCH", "/routes/r/service", json={"port": 8080})
    assert answer.status == 200 and answer.json["port"] == 8080 and answer.json["id"] == one["id"]
    answer = gateway.admin("PUT", "/routes/r/service", json={"host": "other.test"})
    assert answer.status == 200 and answer.json["id"] == one["id"] and answer.json["host"] == "other.test"
    assert answer.json["name"] is None and answer.json["port"] == 80
    answer = gateway.admin("DELETE", "/routes/r/service")
    assert answer.status == 405 and answer.json == {"message": "Method not allowed"}


def test_a_route_without_service_gets_one_by_put(gateway):
    gateway.create("/routes", name="r", paths=["/a"])
    for method, body in [("GET", None), ("PATCH", {"port": 1}), ("DELETE", None)]:
        assert gateway.admin(method, "/routes/r/service", json=body).status == 404, method
    answer = gateway.admin("PUT", "/routes/r/service", json={"name": "new", "host": "h.test"})
    assert answer.status == 200
    assert gateway.admin("GET", "/routes/r").json["service"] == {"id": answer.json["id"]}


def test_what_a_plugin_is_bound_to_is_reached_through_it(gateway):
    one = service(gateway, "one")
    route = gateway.create("/services/one/routes", name="r", paths=["/a"])
    consumer = gateway.create("/consumers", username="c")
    gateway.create("/plugins", name="rate-limiting", instance_name="p", config={"second": 1}, route={"id": route["id"]},
                   service={"id": one["id"]}, consumer={"id": consumer["id"]})
    assert gateway.admin("GET", "/plugins/p/route").json == route
    assert gateway.admin("GET", "/plugins/p/service").json == one
    assert gateway.admin("GET", "/plugins/p/consumer").json == consumer
    answer = gateway.admin("PATCH", "/plugins/p/consumer", json={"custom_id": "1"})
    assert answer.status == 200 and answer.json["custom_id"] == "1"
    assert gateway.admin("DELETE", "/plugins/p/route").status == 405
    assert gateway.admin("GET", "/plugins/nothing/route").status == 404


def test_plugins_are_below_routes_services_and_consumers(gateway):
    one = service(gateway, "one")
    route = gateway.create("/services/one/routes", name="r", paths=["/a"])
    consumer = gateway.create("/consumers", username="c")
    for base, field, owner in [("/services/one", "service", one), ("/routes/r", "route", route), ("/consumers/c", "consumer", consumer)]:
        made = gateway.create(f"{base}/plugins", name="rate-limiting", config={"second": 1})
        assert made[field] == {"id": owner["id"]}
        assert gateway.admin("GET", f"{base}/plugins").json["data"] == [made]
        assert gateway.admin("GET", f"{base}/plugins/{made['id']}").json == made
        answer = gateway.admin("PATCH", f"{base}/plugins/{made['id']}", form={"config.second": "9"})
        assert answer.status == 200 and answer.json["config"]["second"] == 9
        assert gateway.admin("DELETE", f"{base}/plugins/{made['id']}").status == 204
        assert gateway.admin("GET", f"{base}/plugins").json["data"] == []


def test_credentials_are_below_their_consumer_and_in_a_list_of_all(gateway):
    consumer = gateway.create("/consumers", username="c")
    made = gateway.create("/consumers/c/key-auth", key="secret")
    assert made["consumer"] == {"id": consumer["id"]}
    assert gateway.admin("GET", "/consumers/c/key-auth/secret").json == made
    assert gateway.admin("GET", "/key-auths").json["data"] == [made]
    assert gateway.admin("GET", "/key-auths/secret/consumer").json == consumer
    assert gateway.admin("DELETE", f"/consumers/c/key-auth/{made['id']}").status == 204
    assert gateway.admin("GET", "/key-auths/secret").status == 404


def test_a_key_is_made_up_when_none_is_given(gateway):
    gateway.create("/consumers", username="c")
    keys = {gateway.create("/consumers/c/key-auth")["key"] for _ in range(3)}
    assert len(keys) == 3 and all(len(key) == 32 for key in keys)


def test_groups_go_by_their_name_below_their_consumer_only(gateway):
    gateway.create("/consumers", username="c")
    made = gateway.create("/consumers/c/acls", group="g")
    assert gateway.admin("GET", "/consumers/c/acls/g").json == made
    answer = gateway.admin("PUT", "/consumers/c/acls/h", json={})
    assert answer.status == 200 and answer.json["group"] == "h"
    refused(gateway.admin("GET", "/acls/g"), code=1)
    assert gateway.admin("DELETE", "/consumers/c/acls/g").status == 204
    assert [each["group"] for each in gateway.admin("GET", "/acls").json["data"]] == ["h"]


# -- references


def test_a_reference_by_name_is_stored_by_id(gateway):
    one = service(gateway, "one")
    assert gateway.create("/routes", paths=["/"], service={"name": "one"})["service"] == {"id": one["id"]}
    consumer = gateway.create("/consumers", username="c", custom_id="d")
    for key in ({"username": "c"}, {"custom_id": "d"}):
        made = gateway.create("/plugins", name="rate-limiting", config={"second": 1}, consumer=key)
        assert made["consumer"] == {"id": consumer["id"]}
        gateway.admin("DELETE", f"/plugins/{made['id']}")


def test_a_name_that_nobody_has_is_an_unresolved_reference(gateway):
    answer = gateway.admin("POST", "/routes", json={"paths": ["/"], "service": {"name": "no"}})
    refused(answer, message="foreign key unresolved (service.name: the foreign key cannot be resolved with '{name=\"no\"}'"
                            " for an existing 'services' entity)", code=13)
    assert answer.json["name"] == "foreign keys unresolved"


def test_an_id_that_nobody_has_is_a_violation(gateway):
    for method, path in [("POST", "/routes"), ("PUT", "/routes/r")]:
        answer = gateway.admin(method, path, json={"paths": ["/"], "service": {"id": NOWHERE}})
        refused(answer, {"service": {"id": NOWHERE}},
                f"the foreign key '{{id=\"{NOWHERE}\"}}' does not reference an existing 'services' entity.", code=4)
        assert answer.json["name"] == "foreign key violation"
    assert gateway.admin("GET", "/routes").json["data"] == []
    gateway.create("/routes", name="r", paths=["/"])
    refused(gateway.admin("PATCH", "/routes/r", json={"service": {"id": NOWHERE}}), code=4)


def test_a_service_with_routes_stays(gateway):
    service(gateway, "one")
    gateway.create("/services/one/routes", name="r", paths=["/"])
    answer = gateway.admin("DELETE", "/services/one")
    refused(answer, {"@referenced_by": "routes"}, "an existing 'routes' entity references this 'services' entity", code=4)
    assert gateway.admin("GET", "/services/one").status == 200
    assert gateway.admin("DELETE", "/routes/r").status == 204
    assert gateway.admin("DELETE", "/services/one").status == 204


def test_plugins_and_credentials_go_with_their_owner(gateway):
    service(gateway, "one")
    gateway.create("/services/one/routes", name="r", paths=["/"])
    gateway.create("/consumers", username="c")
    gateway.create("/services/one/plugins", name="key-auth")
    gateway.create("/routes/r/plugins", name="key-auth")
    gateway.create("/consumers/c/plugins", name="rate-limiting", config={"second": 1})
    gateway.create("/consumers/c/key-auth", key="k")
    gateway.create("/consumers/c/acls", group="g")
    for path, left in [("/consumers/c", 2), ("/routes/r", 1), ("/services/one", 0)]:
        assert gateway.admin("DELETE", path).status == 204
        assert len(gateway.admin("GET", "/plugins").json["data"]) == left, path
    for collection in ("key-auths", "acls", "routes"):
        assert gateway.admin("GET", f"/{collection}").json["data"] == []


def test_deleting_what_is_not_there_succeeds(gateway):
    for path in ("/services/no", f"/services/{NOWHERE}", "/consumers/no", "/routes/no", f"/plugins/{NOWHERE}"):
        answer = gateway.admin("DELETE", path)
        assert answer.status == 204 and answer.body == b"", path


# -- ids, names and times


def test_a_taken_id_is_a_primary_key_violation(gateway):
    made = service(gateway)
    answer = gateway.admin("POST", "/services", json={"id": made["id"], "host": "h.test"})
    refused(answer, {"id": made["id"]}, f"primary key violation on key '{{id=\"{made['id']}\"}}'", code=3)


def test_an_id_can_be_chosen(gateway):
    wanted = str(uuid.uuid4())
    assert service(gateway, id=wanted)["id"] == wanted


def test_a_name_that_looks_like_an_id_is_never_asked_for(gateway):
    looks = str(uuid.uuid4())
    made = gateway.create("/consumers", username=looks)
    assert gateway.admin("GET", f"/consumers/{looks}").status == 404
    assert gateway.admin("GET", f"/consumers/{made['id']}").json == made
    answer = gateway.admin("PUT", f"/consumers/{looks}", json={"username": "other"})
    assert answer.status == 200 and answer.json["id"] == looks


def test_ids_are_the_same_in_capitals(gateway):
    made = service(gateway)
    assert gateway.admin("GET", f"/services/{made['id'].upper()}").json["id"] == made["id"]


def test_put_by_name_keeps_the_id_and_takes_the_name_of_the_path(gateway):
    first = gateway.admin("PUT", "/services/s", json={"host": "a.test"})
    assert first.status == 200 and first.json["name"] == "s"
    second = gateway.admin("PUT", "/services/s", json={"host": "b.test", "name": "other"})
    assert second.status == 200
    assert second.json["id"] == first.json["id"] and second.json["name"] == "s" and second.json["host"] == "b.test"
    assert len(gateway.admin("GET", "/services").json["data"]) == 1


def test_put_by_id_makes_the_row_with_that_id(gateway):
    wanted = str(uuid.uuid4())
    answer = gateway.admin("PUT", f"/services/{wanted}", json={"host": "a.test", "id": NOWHERE})
    assert answer.status == 200 and answer.json["id"] == wanted
    assert gateway.admin("GET", f"/services/{NOWHERE}").status == 404


def test_put_with_a_name_that_another_row_has_is_refused(gateway):
    service(gateway, "a")
    other = service(gateway, "b")
    refused(gateway.admin("PUT", f"/services/{other['id']}", json={"host": "h.test", "name": "a"}), {"name": "a"}, code=5, status=409)
    assert gateway.admin("GET", f"/services/{other['id']}").json["name"] == "b"


def test_a_given_time_of_creation_is_kept_and_one_of_change_is_not(gateway):
    now = int(time.time())
    made = service(gateway, created_at=1500000000, updated_at=1500000000)
    assert made["created_at"] == 1500000000 and abs(made["updated_at"] - now) < 60
    changed = gateway.admin("PATCH", "/services/s", json={"port": 1}).json
    assert changed["created_at"] == 1500000000
    assert changed["updated_at"] >= made["updated_at"]


def test_put_resets_the_time_of_creation_unless_it_is_sent(gateway):
    service(gateway, created_at=1500000000)
    kept = gateway.admin("PUT", "/services/s", json={"host": "h.test", "created_at": 1400000000}).json
    assert kept["created_at"] == 1400000000
    reset = gateway.admin("PUT", "/services/s", json={"host": "h.test"}).json
    assert abs(reset["created_at"] - time.time()) < 60


def test_the_id_of_a_row_does_not_change(gateway):
    made = service(gateway)
    refused(gateway.admin("PATCH", "/services/s", json={"id": NOWHERE}), {"id": "immutable field cannot be updated"})
    assert gateway.admin("PATCH", "/services/s", json={"id": made["id"], "port": 2}).status == 200


def test_changing_what_is_not_there_tells_its_key(gateway):
    answer = gateway.admin("PATCH", f"/services/{NOWHERE}", json={"port": 1})
    refused(answer, message=f"could not find the entity with primary key '{{id=\"{NOWHERE}\"}}'", code=6, status=404)
    answer = gateway.admin("PATCH", "/services/no", json={"port": 1})
    refused(answer, message="could not find the entity with '{name=\"no\"}'", code=6, status=404)


def test_names_can_be_of_any_script(gateway):
    for name in ("grüße", "日本語", "😀"):
        made = service(gateway, name)
        assert made["name"] == name
        assert gateway.admin("GET", "/services/" + urllib.parse.quote(name)).json == made
    answer = gateway.admin("POST", "/services", raw=(b'{"host":"h.test","name":"a\xff"}', "application/json"))
    assert answer.status == 400


def test_a_path_that_can_be_no_name_is_refused(gateway):
    answer = gateway.admin("GET", "/services/a%20b")
    assert answer.status == 400 and answer.json["code"] == 10 and answer.json["name"] == "invalid unique name"


@pytest.mark.parametrize("path", ["/services", "/routes", "/consumers", "/plugins"])
def test_a_field_named_like_the_place_of_complaints_is_an_unknown_field(gateway, path):
    answer = gateway.admin("POST", path, json={"@entity": 3, "name": "key-auth"})
    assert answer.status == 400
    assert "unknown field '@entity'" in answer.json["fields"]["@entity"]
