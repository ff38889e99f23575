"""The older generation's `/apis`: what it answers, and that traffic flows through what was made there."""

import base64
import json
import time
import uuid

import pytest

from support.waiting import eventually
from support.wire import fetch

OLD = {"name": "old", "request_path": "/old", "upstream_url": "http://h.test"}
NEW = {"name": "new", "uris": ["/new"], "upstream_url": "http://h.test"}


def make(gateway, **fields):
    answer = gateway.admin("POST", "/apis/", json={"upstream_url": "http://h.test", **fields})
    assert answer.status == 201, answer
    return answer.json


def told(gateway, fields):
    """The complaints about a body, which are flat."""
    answer = gateway.admin("POST", "/apis/", json=fields)
    assert answer.status == 400, answer
    assert not {"code", "fields"} & set(answer.json)
    assert gateway.admin("GET", "/apis/").json["data"] == []
    return answer.json


# -- making and showing


def test_an_api_with_a_path_and_the_old_names(gateway):
    made = make(gateway, **OLD)
    assert made["name"] == "old" and made["request_path"] == "/old"
    assert made["strip_request_path"] is False and made["preserve_host"] is False
    assert made["upstream_url"] == "http://h.test"
    assert abs(made["created_at"] - time.time() * 1000) < 60_000
    assert None not in made.values()
    assert gateway.admin("GET", "/apis/old").json == made
    assert gateway.admin("GET", f"/apis/{made['id']}").json == made


def test_an_api_with_paths_and_the_newer_names(gateway):
    made = make(gateway, name="new", uris=["/new", "/newer"], hosts=["a.test", "*.b.test"], methods=["GET", "POST"])
    assert made["uris"] == ["/new", "/newer"] and made["hosts"] == ["a.test", "*.b.test"] and made["methods"] == ["GET", "POST"]
    assert made["strip_uri"] is True and made["preserve_host"] is False
    assert made["retries"] == 5 and made["https_only"] is False
    assert all(made[f"upstream_{what}_timeout"] == 60000 for what in ("connect", "send", "read"))


def test_each_generation_keeps_its_own_default_of_stripping(gateway):
    make(gateway, **OLD)
    make(gateway, **NEW)
    make(gateway, name="host", request_host="a.test")
    assert gateway.admin("GET", "/routes/old").json["strip_path"] is False
    assert gateway.admin("GET", "/routes/new").json["strip_path"] is True
    assert gateway.admin("GET", "/routes/host").json["strip_path"] is False


def test_http_behind_a_terminator_is_fine_by_default(gateway):
    assert make(gateway, **NEW)["http_if_terminated"] is True


def test_http_behind_a_terminator_can_be_ruled_out_and_allowed_again(gateway):
    assert make(gateway, **NEW, http_if_terminated=False)["http_if_terminated"] is False
    assert gateway.admin("PATCH", "/apis/new", json={"retries": 3}).json["http_if_terminated"] is False
    assert gateway.admin("GET", "/apis/new").json["http_if_terminated"] is False
    assert gateway.admin("PATCH", "/apis/new", form={"http_if_terminated": "true"}).json["http_if_terminated"] is True
    assert gateway.admin("GET", "/routes/new").json["tags"] is None


@pytest.mark.parametrize("fields, name", [
    ({"request_host": "a.test"}, "a.test"), ({"request_path": "/a/b"}, "a-b"), ({"request_host": "*.a.test"}, "-.a.test"),
    ({"request_host": "a.test", "request_path": "/p"}, "a.test")])
def test_a_name_is_made_of_host_or_path(gateway, fields, name):
    assert make(gateway, **fields)["name"] == name


def test_a_slash_at_the_end_of_a_path_is_taken_off(gateway):
    assert make(gateway, name="a", request_path="/a/")["request_path"] == "/a"
    assert make(gateway, name="b", uris=["/b/", "/"])["uris"] == ["/b", "/"]
    assert make(gateway, name="c", request_path="/")["request_path"] == "/"


def test_a_path_that_today_is_written_otherwise_is_taken(gateway):
    assert make(gateway, name="a", request_path="/%61/..%2fb")["request_path"] == "/a/..%2Fb"


@pytest.mark.parametrize("url", ["http://h.test", "http://h.test:8080", "https://h.test", "https://h.test:8443/base", "http://127.0.0.1:80/a/b"])
def test_the_url_comes_back_as_it_was(gateway, url):
    shown = make(gateway, name="a", request_path="/a", upstream_url=url)["upstream_url"]
    assert shown == url.replace(":80/", "/")


def test_text_becomes_what_the_field_holds_in_json_too(gateway):
    made = make(gateway, name=" a ", hosts="a.test, b.test", uris="/a,/b", strip_uri="FALSE", retries="3", preserve_host="true")
    assert made["name"] == "a" and made["hosts"] == ["a.test", "b.test"] and made["uris"] == ["/a", "/b"]
    assert made["strip_uri"] is False and made["retries"] == 3 and made["preserve_host"] is True


def test_forms_make_apis(gateway):
    answer = gateway.admin("POST", "/apis/", form={"name": "a", "request_path": "/a", "upstream_url": "http://h.test",
                                                   "strip_request_path": "true"})
    assert answer.status == 201 and answer.json["strip_request_path"] is True
    answer = gateway.admin("POST", "/apis", form={"name": "b", "hosts": "a.test,b.test", "upstream_url": "http://h.test"})
    assert answer.status == 201 and answer.json["hosts"] == ["a.test", "b.test"]


def test_an_id_can_be_chosen(gateway):
    wanted = str(uuid.uuid4())
    assert make(gateway, id=wanted, **{k: v for k, v in OLD.items()})["id"] == wanted


# -- refusing


def test_what_is_required(gateway):
    assert told(gateway, {"name": "a", "request_path": "/a"}) == {"upstream_url": "upstream_url is required"}
    assert told(gateway, {"uris": ["/a"], "upstream_url": "http://h.test"}) == {"name": "name is required"}
    assert told(gateway, {"name": "a", "upstream_url": "http://h.test"}) == {
        "message": "at least one of 'hosts', 'uris' or 'methods' must be specified"}


@pytest.mark.parametrize("fields, complaints", [
    ({"upstream_url": "nonsense"}, {"upstream_url": "upstream_url is not a url"}),
    ({"upstream_url": "ftp://h.test"}, {"upstream_url": "Supported protocols are HTTP and HTTPS"}),
    ({"name": "a b"}, {"name": "name must only contain alphanumeric and '., -, _, ~' characters"}),
    ({"nothing": 1}, {"nothing": "nothing is an unknown field"}),
    ({"strip_request_path": "no"}, {"strip_request_path": "strip_request_path is not a boolean"}),
    ({"preserve_host": 3}, {"preserve_host": "preserve_host is not a boolean"}),
    ({"retries": -1}, {"retries": "must be an integer between 0 and 32767"}),
    ({"retries": 1.5}, {"retries": "must be an integer between 0 and 32767"}),
    ({"upstream_read_timeout": 0}, {"upstream_read_timeout": "must be an integer between 1 and 2147483647"}),
    ({"hosts": 5}, {"hosts": "hosts is not an array"}),
])
def test_what_is_refused(gateway, fields, complaints):
    assert told(gateway, {**OLD, **fields}) == complaints


@pytest.mark.parametrize("fields, name, part", [
    ({"request_path": "a"}, "request_path", "must be prefixed with slash: 'a'"),
    ({"request_path": "/a//b"}, "request_path", "invalid: '/a//b'"),
    ({"request_host": "a b"}, "request_host", "Invalid value: a b"),
    ({"request_host": "a.*.b"}, "request_host", "Invalid wildcard placement: a.*.b"),
    ({"request_host": "*.a.*"}, "request_host", "Only one wildcard is allowed: *.a.*"),
    ({"uris": ["a"]}, "uris", "uri with value 'a' is invalid: must be prefixed with slash"),
    ({"hosts": ["a.*.b"]}, "hosts", "host with value 'a.*.b' is invalid: Invalid wildcard placement"),
    ({"methods": ["get"]}, "methods", "method with value 'get' is invalid: invalid value"),
    ({"request_path": "/a b"}, "request_path", "must only contain alphanumeric and '., -, _, ~, /, %' characters"),
    ({"request_path": "/a%4"}, "request_path", "must use proper encoding; '%4' is invalid"),
    ({"request_path": "/a%zz/b"}, "request_path", "must use proper encoding; '%zz' is invalid"),
    ({"request_host": "a.test:80"}, "request_host", "Invalid value: a.test:80"),
    ({"hosts": "a.test,,b.test"}, "hosts", "host with value '' is invalid: host is empty"),
    ({"hosts": ["a.test", "b_.test-"]}, "hosts", "host with value 'b_.test-' is invalid: Invalid hostname"),
    ({"hosts": ["*.a.*"]}, "hosts", "host with value '*.a.*' is invalid: Only one wildcard is allowed"),
    ({"uris": ["/a", ""]}, "uris", "uri with value '' is invalid: uri is empty"),
    ({"uris": ["/a//"]}, "uris", "uri with value '/a//' is invalid: invalid"),
    ({"uris": ["/a%x1"]}, "uris", "uri with value '/a%x1' is invalid: must use proper encoding; '%x1' is invalid"),
    ({"uris": [5]}, "uris", "uri with value '5' is invalid: must be prefixed with slash"),
    ({"methods": ["GET", ""]}, "methods", "method with value '' is invalid: method is empty"),
])
def test_hosts_paths_and_methods_are_refused_in_their_own_words(gateway, fields, name, part):
    assert told(gateway, {"name": "a", "upstream_url": "http://h.test", **fields}) == {name: part}


def test_several_complaints_are_told_together(gateway):
    complaints = told(gateway, {"name": "a b", "request_path": "/a", "upstream_url": "x", "nothing": 1})
    assert set(complaints) == {"name", "upstream_url", "nothing"}


def test_taken_names_and_ids_are_told_flat(gateway):
    made = make(gateway, **OLD)
    answer = gateway.admin("POST", "/apis/", json={**OLD, "request_path": "/other"})
    assert answer.status == 409 and answer.json == {"name": "already exists with value 'old'"}
    answer = gateway.admin("POST", "/apis/", json={**OLD, "name": "other", "request_path": "/other", "id": made["id"]})
    assert answer.status == 409 and answer.json == {"id": f"already exists with value '{made['id']}'"}
    assert gateway.admin("GET", "/apis/").json["total"] == 1


def test_a_name_that_a_service_has_is_taken(gateway):
    gateway.create("/services", name="old", host="h.test")
    answer = gateway.admin("POST", "/apis/", json=OLD)
    assert answer.status == 409 and answer.json == {"name": "already exists with value 'old'"}
    assert gateway.admin("GET", "/routes").json["data"] == []


def test_a_name_that_a_route_has_leaves_no_half_behind(gateway):
    gateway.create("/routes", name="old", paths=["/x"])
    answer = gateway.admin("POST", "/apis/", json=OLD)
    assert answer.status == 409
    assert gateway.admin("GET", "/services").json["data"] == []


def test_bodies_that_cannot_be_read(gateway):
    answer = gateway.admin("POST", "/apis/", raw=("{", "application/json"))
    assert answer.status == 400 and answer.json == {"message": "Cannot parse JSON body"}
    assert fetch(gateway.admin_address, "POST", "/apis/", body=b"name=a").status == 415


# -- changing and deleting


def test_a_change_keeps_the_rest(gateway):
    made = make(gateway, **OLD, retries=7)
    answer = gateway.admin("PATCH", "/apis/old", json={"upstream_url": "http://other.test:81/base"})
    assert answer.status == 200
    assert answer.json == {**made, "upstream_url": "http://other.test:81/base"}
    assert gateway.admin("GET", "/apis/old").json == answer.json


def test_a_change_by_form_and_by_id(gateway):
    made = make(gateway, **OLD)
    answer = gateway.admin("PATCH", f"/apis/{made['id']}", form={"strip_request_path": "true", "request_host": "a.test"})
    assert answer.status == 200
    assert answer.json["strip_request_path"] is True
    assert answer.json["request_host"] == "a.test" and answer.json["request_path"] == "/old"


def test_an_api_can_be_renamed(gateway):
    made = make(gateway, **OLD)
    assert gateway.admin("PATCH", "/apis/old", json={"name": "newer"}).status == 200
    assert gateway.admin("GET", "/apis/old").status == 404
    assert gateway.admin("GET", "/apis/newer").json["id"] == made["id"]


def test_changes_that_are_refused_change_nothing(gateway):
    made = make(gateway, **OLD)
    make(gateway, **NEW)
    answer = gateway.admin("PATCH", "/apis/old", json={})
    assert answer.status == 400 and answer.json == {"message": "empty body"}
    answer = gateway.admin("PATCH", "/apis/old", json={"upstream_url": "x"})
    assert answer.status == 400 and answer.json == {"upstream_url": "upstream_url is not a url"}
    answer = gateway.admin("PATCH", "/apis/old", json={"name": "new"})
    assert answer.status == 409 and answer.json == {"name": "already exists with value 'new'"}
    assert gateway.admin("PATCH", "/apis/nothing", json={"name": "x"}).status == 404
    assert gateway.admin("GET", "/apis/old").json == made


def test_what_names_an_api_and_when_it_was_made_stays(gateway):
    made = make(gateway, **OLD)
    answer = gateway.admin("PATCH", "/apis/old", json={"id": str(uuid.uuid4()), "created_at": made["created_at"] + 1})
    assert answer.status == 400 and answer.json == {"id": "id cannot be updated", "created_at": "created_at cannot be updated"}
    assert gateway.admin("PATCH", "/apis/old", json=made).json == made
    assert gateway.admin("PATCH", "/apis/old", form={"created_at": str(made["created_at"]), "retries": "4"}).json["retries"] == 4


def test_put_makes_what_has_no_id(gateway):
    answer = gateway.admin("PUT", "/apis/", json=OLD)
    assert answer.status == 201 and answer.json["name"] == "old"
    assert gateway.admin("PUT", "/apis/", json=OLD).status == 409


def test_put_replaces_what_has_the_id(gateway):
    made = make(gateway, **OLD, retries=7)
    answer = gateway.admin("PUT", "/apis/", json={**NEW, "id": made["id"], "created_at": made["created_at"]})
    assert answer.status == 200, answer
    assert answer.json["id"] == made["id"] and answer.json["name"] == "new" and answer.json["uris"] == ["/new"]
    assert answer.json["retries"] == 5 and answer.json["strip_uri"] is True
    assert gateway.admin("GET", "/apis/").json["total"] == 1


def test_put_is_for_the_collection_only(gateway):
    make(gateway, **OLD)
    assert gateway.admin("PUT", "/apis/old", json=OLD).status == 405


def test_what_is_deleted_is_gone_with_all_its_parts(gateway):
    make(gateway, **OLD)
    gateway.create("/apis/old/plugins", name="key-auth")
    answer = gateway.admin("DELETE", "/apis/old")
    assert answer.status == 204 and answer.body == b""
    for collection in ("services", "routes", "plugins"):
        assert gateway.admin("GET", f"/{collection}").json["data"] == [], collection
    answer = gateway.admin("DELETE", "/apis/old")
    assert answer.status == 404 and answer.json == {"message": "Not found"}


# -- lists


def test_the_list_has_a_total_and_pages_by_absolute_address(gateway):
    ids = {make(gateway, name=f"a{n}", request_path=f"/{n}")["id"] for n in range(5)}
    page = gateway.admin("GET", "/apis/?size=2").json
    assert page["total"] == 5 and len(page["data"]) == 2
    base = "http://%s:%d" % gateway.admin_address
    seen = {each["id"] for each in page["data"]}
    while "next" in page:
        assert page["next"].startswith(base + "/apis/?") and "offset=" in page["next"] and page["offset"]
        page = gateway.admin("GET", page["next"][len(base):]).json
        assert page["total"] == 5
        seen |= {each["id"] for each in page["data"]}
    assert seen == ids
    assert "offset" not in page


def test_the_next_page_keeps_the_filter(gateway):
    for n in range(3):
        make(gateway, name=f"a{n}", request_path=f"/{n}", retries=n % 2)
    page = gateway.admin("GET", "/apis/?size=1&retries=0").json
    assert page["total"] == 2
    base = "http://%s:%d" % gateway.admin_address
    page = gateway.admin("GET", page["next"][len(base):]).json
    assert page["total"] == 2 and "next" not in page and page["data"][0]["retries"] == 0


def test_an_empty_list(gateway):
    assert gateway.admin("GET", "/apis/").json == {"data": [], "total": 0}
    assert gateway.admin("GET", "/apis").json == {"data": [], "total": 0}


def test_the_list_is_filtered_by_any_field(gateway):
    make(gateway, **OLD)
    make(gateway, **NEW)
    make(gateway, name="host", request_host="a.test", upstream_url="http://other.test")

    def names(query):
        answer = gateway.admin("GET", f"/apis/?{query}").json
        assert answer["total"] == len(answer["data"])
        return sorted(each["name"] for each in answer["data"])

    assert names("name=old") == ["old"]
    assert names("request_host=a.test") == ["host"]
    assert names("request_path=/old") == ["old"]
    assert names("upstream_url=http://h.test") == ["new", "old"]
    assert names("upstream_url=http://h.test&name=new") == ["new"]
    assert names("name=nothing") == []


def test_an_unknown_filter_is_refused(gateway):
    answer = gateway.admin("GET", "/apis/?nothing=1")
    assert answer.status == 400 and answer.json == {"nothing": "unknown field"}


def test_services_and_routes_of_another_make_are_no_apis(gateway):
    one = gateway.create("/services", name="one", host="h.test")
    gateway.create("/services/one/routes", paths=["/one"])
    assert gateway.admin("GET", "/apis/").json["total"] == 0
    assert gateway.admin("GET", "/apis/one").status == 404
    assert gateway.admin("DELETE", f"/apis/{one['id']}").status == 404


# -- plugins below an api


def test_plugins_of_an_api(gateway):
    made = make(gateway, **OLD)
    answer = gateway.admin("POST", "/apis/old/plugins/", form={"name": "rate-limiting", "config.second": "5"})
    assert answer.status == 201, answer
    plugin = answer.json
    assert plugin["api_id"] == made["id"] and plugin["config"]["second"] == 5
    assert abs(plugin["created_at"] - time.time() * 1000) < 60_000
    assert gateway.admin("GET", f"/apis/old/plugins/{plugin['id']}").json == plugin
    assert gateway.admin("GET", "/apis/old/plugins/").json == {"data": [plugin], "total": 1}
    answer = gateway.admin("PATCH", f"/apis/old/plugins/{plugin['id']}", form={"config.second": "6"})
    assert answer.status == 200 and answer.json["config"]["second"] == 6
    assert gateway.admin("DELETE", f"/apis/old/plugins/{plugin['id']}").status == 204
    assert gateway.admin("GET", "/apis/old/plugins/").json == {"data": [], "total": 0}
    assert gateway.admin("DELETE", f"/apis/old/plugins/{plugin['id']}").status == 404


def test_the_command_of_that_generation_limits_an_api(gateway):
    """curl -X POST http://localhost:8001/apis/{id}/plugins/ -d "name=rate-limiting" -d "config.second=10" -d "config.hour=50000" """
    made = make(gateway, **OLD)
    body = "name=rate-limiting&config.second=10&config.hour=50000"
    answer = gateway.admin("POST", f"/apis/{made['id']}/plugins/", raw=(body, "application/x-www-form-urlencoded"))
    assert answer.status == 201, answer
    assert (answer.json["name"], answer.json["api_id"], answer.json["enabled"]) == ("rate-limiting", made["id"], True)
    assert (answer.json["config"]["second"], answer.json["config"]["hour"]) == (10, 50000)
    assert gateway.admin("GET", f"/plugins/{answer.json['id']}").json["service"] == {"id": made["id"]}


def test_a_plugin_of_an_api_is_replaced_by_its_id_and_stays_what_it_is(gateway):
    make(gateway, **OLD)
    made = gateway.create("/apis/old/plugins", name="rate-limiting", config={"second": 5, "hour": 50})
    shown = {name: made[name] for name in ("id", "api_id", "created_at", "name")}
    answer = gateway.admin("PUT", "/apis/old/plugins/", json={**shown, "config": {"minute": 7}})
    assert answer.status == 200 and answer.json["created_at"] == made["created_at"]
    assert answer.json["config"]["minute"] == 7 and "second" not in {k for k, v in answer.json["config"].items() if v is not None}
    answer = gateway.admin("PATCH", f"/apis/old/plugins/{made['id']}", json={"name": "key-auth"})
    assert answer.status == 400 and answer.json == {"name": "name cannot be updated"}


def test_lists_of_a_plugin_come_as_text_with_commas(gateway):
    make(gateway, **OLD)
    answer = gateway.admin("POST", "/apis/old/plugins", form={"name": "key-auth", "config.key_names": "a-key,b-key"})
    assert answer.status == 201 and answer.json["config"]["key_names"] == ["a-key", "b-key"]
    answer = gateway.admin("PATCH", f"/apis/old/plugins/{answer.json['id']}", json={"config": {"key_names": "c-key, d-key"}})
    assert answer.status == 200
    assert [name.strip() for name in answer.json["config"]["key_names"]] == ["c-key", "d-key"]


def test_a_plugin_of_an_api_for_one_consumer(gateway):
    make(gateway, **OLD)
    consumer = gateway.create("/consumers", username="c")
    answer = gateway.admin("POST", "/apis/old/plugins", form={"name": "rate-limiting", "config.second": "5", "consumer_id": consumer["id"]})
    assert answer.status == 201 and answer.json["consumer_id"] == consumer["id"]
    assert gateway.admin("GET", "/consumers/c/plugins").json["data"][0]["id"] == answer.json["id"]


def test_a_plugin_for_a_consumer_who_is_not_there(gateway):
    make(gateway, **OLD)
    nobody = str(uuid.uuid4())
    answer = gateway.admin("POST", "/apis/old/plugins", form={"name": "key-auth", "consumer_id": nobody})
    assert answer.status == 400 and answer.json == {"consumer": "value must be null"}
    answer = gateway.admin("POST", "/apis/old/plugins", form={"name": "rate-limiting", "config.second": "5", "consumer_id": nobody})
    assert answer.status == 404 and answer.json == {"consumer_id": f"does not exist with value '{nobody}'"}


def test_plugins_of_an_api_are_filtered_and_paged_like_any_list(gateway):
    make(gateway, **OLD)
    ids = {gateway.create("/apis/old/plugins", name=name, **more)["id"] for name, more in [
        ("key-auth", {}), ("correlation-id", {"enabled": False}), ("rate-limiting", {"config": {"second": 1}})]}
    page = gateway.admin("GET", "/apis/old/plugins/?name=key-auth").json
    assert page["total"] == 1 and [each["name"] for each in page["data"]] == ["key-auth"]
    assert [each["name"] for each in gateway.admin("GET", "/apis/old/plugins?enabled=false").json["data"]] == ["correlation-id"]
    answer = gateway.admin("GET", "/apis/old/plugins/?nothing=1")
    assert answer.status == 400 and answer.json == {"nothing": "unknown field"}
    page = gateway.admin("GET", "/apis/old/plugins/?size=2").json
    base = "http://%s:%d" % gateway.admin_address
    assert page["total"] == 3 and page["next"].startswith(base + "/apis/old/plugins/?")
    rest = gateway.admin("GET", page["next"][len(base):]).json
    assert {each["id"] for each in page["data"] + rest["data"]} == ids and "next" not in rest


def test_complaints_about_a_plugin_are_flat(gateway):
    make(gateway, **OLD)
    answer = gateway.admin("POST", "/apis/old/plugins", json={"name": "rate-limiting", "config": {"second": "x"}})
    assert answer.status == 400 and "config.second" in answer.json and "code" not in answer.json
    answer = gateway.admin("POST", "/apis/old/plugins", json={"name": "nothing"})
    assert answer.status == 400 and answer.json == {"name": 'Plugin "nothing" not found'}
    for config, complaints in [({"second": "x"}, {"config.second": "second is not a number"}),
                               ({"second": 1, "nothing": 1}, {"config.nothing": "nothing is an unknown field"})]:
        answer = gateway.admin("POST", "/apis/old/plugins", json={"name": "rate-limiting", "config": config})
        assert answer.status == 400 and answer.json == complaints
    answer = gateway.admin("POST", "/apis/old/plugins", json={})
    assert answer.status == 400 and answer.json == {"name": "name is required"}
    gateway.create("/apis/old/plugins", name="key-auth")
    answer = gateway.admin("POST", "/apis/old/plugins", json={"name": "key-auth"})
    assert answer.status == 409 and answer.json == {"name": "already exists with value 'key-auth'"}


def test_a_plugin_of_another_api_is_not_found(gateway):
    make(gateway, **OLD)
    make(gateway, **NEW)
    plugin = gateway.create("/apis/old/plugins", name="key-auth")
    for method, body in [("GET", None), ("PATCH", {"enabled": False}), ("DELETE", None)]:
        assert gateway.admin(method, f"/apis/new/plugins/{plugin['id']}", json=body).status == 404, method
    assert gateway.admin("GET", "/apis/nothing/plugins").status == 404
    assert gateway.admin("GET", f"/plugins/{plugin['id']}").json["enabled"] is True


# -- traffic


def serve(gateway, echo, **fields):
    """An api for the echo, in force everywhere."""
    gateway.settle()
    made = make(gateway, **{"upstream_url": echo.url, **fields})
    gateway.settle()
    return made


def test_traffic_flows_by_path_which_is_kept(gateway, echo):
    serve(gateway, echo, name="a", request_path="/a")
    assert gateway.get("/a/b?c=d").json["target"] == "/a/b?c=d"
    assert gateway.get("/b").status == 404


def test_traffic_flows_by_path_which_is_taken_off(gateway, echo):
    serve(gateway, echo, name="a", request_path="/a", strip_request_path=True)
    assert gateway.get("/a/b?c=d").json["target"] == "/b?c=d"
    assert gateway.get("/a").json["target"] == "/"


def test_traffic_flows_by_host(gateway, echo):
    serve(gateway, echo, name="a", request_host="a.test")
    serve(gateway, echo, name="b", request_host="*.b.test", preserve_host=True)
    assert gateway.get("/x", host="a.test").json["headers"]["host"] == f"127.0.0.1:{echo.port}"
    assert gateway.get("/x", host="x.b.test").json["headers"]["host"] == "x.b.test"
    assert gateway.get("/x", host="b.test").status == 404


def test_traffic_flows_by_the_newer_names(gateway, echo):
    serve(gateway, echo, name="a", uris="/a", methods="GET,POST", upstream_url=echo.url + "/base")
    assert gateway.get("/a/b").json["target"] == "/base/b"
    assert gateway.fetch("PUT", "/a/b").status == 404


def test_only_https_is_asked_for(gateway, echo):
    serve(gateway, echo, name="a", uris="/a", https_only=True)
    answer = gateway.get("/a")
    assert answer.status == 426 and "upgrade" in answer.headers["connection"].lower()


def test_traffic_follows_changes_and_ends_with_the_api(gateway, echo):
    made = serve(gateway, echo, name="a", request_path="/a")
    assert gateway.get("/a").status == 200
    assert gateway.admin("PATCH", "/apis/a", json={"request_path": "/b"}).status == 200
    eventually(lambda: all(gateway.get("/b").status == 200 and gateway.get("/a").status == 404 for _ in range(5)), "the changed path")
    assert gateway.admin("DELETE", f"/apis/{made['id']}").status == 204
    eventually(lambda: all(gateway.get("/b").status == 404 for _ in range(5)), "the end of the api")


def test_a_plugin_of_an_api_is_at_work(gateway, echo):
    serve(gateway, echo, name="a", request_path="/a")
    gateway.create("/apis/a/plugins", name="key-auth", config={"key_names": "key"})
    gateway.create("/consumers", username="c")
    gateway.create("/consumers/c/key-auth", key="secret")
    gateway.settle()
    assert gateway.get("/a").status == 401
    eventually(lambda: gateway.get("/a", {"key": "secret"}).status == 200, "the key to be known")


# -- as the newer generation sees it


def test_an_api_is_a_service_and_a_route(gateway):
    made = make(gateway, name="a", request_path="/a", request_host="a.test", upstream_url="https://h.test:8443/base", retries=2,
                upstream_connect_timeout=1000, upstream_send_timeout=2000, upstream_read_timeout=3000)
    service = gateway.admin("GET", "/services/a").json
    assert (service["protocol"], service["host"], service["port"], service["path"]) == ("https", "h.test", 8443, "/base")
    assert (service["retries"], service["connect_timeout"], service["write_timeout"], service["read_timeout"]) == (2, 1000, 2000, 3000)
    assert service["id"] == made["id"]
    routes = gateway.admin("GET", "/services/a/routes").json["data"]
    assert len(routes) == 1
    assert routes[0]["paths"] == ["/a"] and routes[0]["hosts"] == ["a.test"] and routes[0]["strip_path"] is False
    assert routes[0]["name"] == "a"


def test_a_change_of_the_service_is_seen_in_the_api(gateway):
    make(gateway, **OLD)
    assert gateway.admin("PATCH", "/services/old", json={"host": "other.test", "retries": 1}).status == 200
    assert gateway.admin("PATCH", "/routes/old", json={"paths": ["/elsewhere"]}).status == 200
    shown = gateway.admin("GET", "/apis/old").json
    assert shown["upstream_url"] == "http://other.test" and shown["retries"] == 1 and shown["request_path"] == "/elsewhere"


def test_a_change_of_the_api_keeps_what_only_the_newer_generation_has(gateway):
    make(gateway, **OLD)
    assert gateway.admin("PATCH", "/services/old", json={"tags": ["x"]}).status == 200
    assert gateway.admin("PATCH", "/routes/old", json={"headers": {"x-a": ["1"]}}).status == 200
    assert gateway.admin("PATCH", "/apis/old", json={"retries": 3}).status == 200
    assert gateway.admin("GET", "/services/old").json["tags"] == ["x"]
    assert gateway.admin("GET", "/routes/old").json["headers"] == {"x-a": ["1"]}


def test_a_change_of_the_api_leaves_alone_what_the_older_generation_cannot_say(gateway):
    make(gateway, **OLD)
    assert gateway.admin("PATCH", "/services/old", json={"protocol": "grpc"}).status == 200
    assert gateway.admin("PATCH", "/routes/old", json={"paths": ["~/a/(?<id>[0-9]+)$"], "protocols": ["http"]}).status == 200
    assert gateway.admin("PATCH", "/apis/old", json={"retries": 3}).status == 200
    assert gateway.admin("GET", "/services/old").json["protocol"] == "grpc"
    route = gateway.admin("GET", "/routes/old").json
    assert route["paths"] == ["~/a/(?<id>[0-9]+)$"] and route["protocols"] == ["http"]


def test_a_change_clears_what_is_null_and_no_more(gateway):
    make(gateway, **OLD, request_host="a.test", retries=7, https_only=True)
    changed = gateway.admin("PATCH", "/apis/old", json={"request_host": None, "retries": None, "https_only": False}).json
    assert "hosts" not in changed and changed["request_path"] == "/old"
    assert changed["retries"] == 5 and changed["https_only"] is False and changed["strip_request_path"] is False
    answer = gateway.admin("PATCH", "/apis/old", json={"request_path": None})
    assert answer.status == 400 and answer.json == {"message": "at least one of 'hosts', 'uris' or 'methods' must be specified"}
    for field in ("name", "upstream_url"):
        assert gateway.admin("PATCH", "/apis/old", json={field: None}).json == {field: f"{field} is required"}


def test_apis_survive_a_restart(private, echo):
    gateway = private()
    made = make(gateway, name="a", request_path="/a", upstream_url=echo.url)
    gateway.restart()
    assert gateway.admin("GET", "/apis/a").json == made
    assert gateway.get("/a").json["target"] == "/a"


def test_offsets_that_cannot_be(gateway):
    for offset in ("x", base64.b64encode(json.dumps([1]).encode()).decode(), "%00"):
        assert gateway.admin("GET", f"/apis/?offset={offset}").status == 400
