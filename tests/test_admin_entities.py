"""Entities through the Admin API: what is accepted and refused, how they hang together, how they are listed."""

import json
import time
import urllib.parse
import uuid

import pytest

from support.wire import Client, fetch

NOWHERE = "00000000-0000-4000-8000-00000000dead"


def refused(answer, fields=None, message=None, code=2, status=400):
    assert answer.status == status, answer
    assert answer.json["code"] == code, answer
    if fields is not None:
        assert answer.json["fields"] == fields
    if message is not None:
        assert answer.json["message"] == message
    return answer.json


def service(gateway, name="s", **more):
    return gateway.create("/services", name=name, host="h.test", **more)


def everything(gateway, path):
    """All rows of a collection, page by page as a client would."""
    rows, pages = [], 0
    while path:
        page = gateway.admin("GET", path)
        assert page.status == 200, page
        rows += page.json["data"]
        pages += 1
        path = page.json["next"]
    return rows, pages


# -- routes: what they look like


def test_a_route_has_every_field(gateway):
    made = gateway.create("/routes", paths=["/a"])
    assert made.pop("id") and made.pop("created_at") and made.pop("updated_at")
    assert made == {"name": None, "protocols": ["http", "https"], "https_redirect_status_code": 426, "strip_path": True,
                    "preserve_host": False, "request_buffering": True, "response_buffering": True, "tags": None,
                    "service": None, "snis": None, "sources": None, "destinations": None, "methods": None, "hosts": None,
                    "paths": ["/a"], "headers": None, "regex_priority": 0, "path_handling": "v0"}


# -- routes: single fields


@pytest.mark.parametrize("path, why", [
    ("a", "should start with: / (fixed path) or ~/ (regex path)"),
    ("", "length must be at least 1"),
    ("~a", "should start with: / (fixed path) or ~/ (regex path)"),
    ("/a//b", "must not have empty segments"),
    ("//", "must not have empty segments"),
    ("~/a//b", "must not have empty segments"),
    ("/a/../b", "non-normalized path, consider use '/b' instead"),
    ("/a/./b", "non-normalized path, consider use '/a/b' instead"),
    ("/%61", "non-normalized path, consider use '/a' instead"),
    ("/%c3%a9", "non-normalized path, consider use '/%C3%A9' instead"),
    ("/a%zz", "invalid url-encoded value: '%zz'"),
    ("/a%2", "invalid url-encoded value: '%2'"),
])
def test_paths_that_are_refused(gateway, path, why):
    refused(gateway.admin("POST", "/routes", json={"paths": [path]}), {"paths": [why]}, f"schema violation (paths.1: {why})")


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a-b_c.d~e", "/%20", "/a@b:c", "~/a/\\d+$", "~/(?<name>[a-z]+)/b", "~/", "/%C3%A9"])
def test_paths_that_are_taken(gateway, path):
    assert gateway.create("/routes", paths=[path])["paths"] == [path]


def test_the_message_counts_the_wrong_path_from_one(gateway):
    answer = gateway.admin("POST", "/routes", json={"paths": ["/a", "b"]})
    refused(answer, {"paths": [None, "should start with: / (fixed path) or ~/ (regex path)"]},
            "schema violation (paths.2: should start with: / (fixed path) or ~/ (regex path))")


@pytest.mark.parametrize("regex", ["~/(", "~/[", "~/a(?<n", "~/*+?{"])
def test_a_regex_that_does_not_compile_is_refused(gateway, regex):
    answer = gateway.admin("POST", "/routes", json={"paths": [regex]})
    assert answer.status == 400 and answer.json["code"] == 2
    assert "regex" in json.dumps(answer.json["fields"]).lower()


@pytest.mark.parametrize("host, why", [
    ("*.a.*", "invalid wildcard: must have at most one wildcard"),
    ("*.a.*.b", "invalid wildcard: must have at most one wildcard"),
    ("a.*.b", "invalid wildcard: must be placed at leftmost or rightmost label"),
    ("a*.b", "invalid wildcard: must be placed at leftmost or rightmost label"),
    ("*a.b", "invalid wildcard: must be placed at leftmost or rightmost label"),
    ("a_*", "invalid wildcard: must be placed at leftmost or rightmost label"),
])
def test_hosts_with_misplaced_wildcards_are_refused(gateway, host, why):
    refused(gateway.admin("POST", "/routes", json={"hosts": [host]}), {"hosts": [why]})


@pytest.mark.parametrize("host", ["a b", "http://a.test", "a..b", ".a", "a-.test", "a.test:99999", "a.test:x"])
def test_hosts_that_are_none_are_refused(gateway, host):
    answer = gateway.admin("POST", "/routes", json={"hosts": [host]})
    refused(answer)
    assert list(answer.json["fields"]) == ["hosts"]


@pytest.mark.parametrize("host", ["a.test", "*.a.test", "a.*", "a.test:8000", "*.a.test:80", "127.0.0.1", "A.Test", "a_b.test", "[::1]:80"])
def test_hosts_that_are_taken(gateway, host):
    assert gateway.create("/routes", hosts=[host])["hosts"] == [host]


@pytest.mark.parametrize("method", ["get", "GET1", "GE T", "", "G-T"])
def test_methods_that_are_no_upper_case_word_are_refused(gateway, method):
    why = "length must be at least 1" if not method else f"invalid value: {method}"
    refused(gateway.admin("POST", "/routes", json={"methods": [method]}), {"methods": [why]})


def test_methods_of_ones_own_are_taken_and_doubles_dropped(gateway):
    assert gateway.create("/routes", methods=["PURGE", "GET", "PURGE"])["methods"] == ["PURGE", "GET"]


@pytest.mark.parametrize("name", ["host", "Host", "HOST"])
def test_the_host_header_belongs_into_hosts(gateway, name):
    answer = gateway.admin("POST", "/routes", json={"headers": {name: ["a.test"]}})
    refused(answer, {"headers": "cannot contain 'host' header, which must be specified in the 'hosts' attribute"})


@pytest.mark.parametrize("headers, why", [
    (["x"], "expected a map"), ("x", "expected a map"), ({"x": "y"}, None), ({"x y": ["z"]}, None), ({"x": [1]}, None)])
def test_headers_that_are_no_map_of_lists_are_refused(gateway, headers, why):
    answer = gateway.admin("POST", "/routes", json={"headers": headers})
    refused(answer, {"headers": why} if why else None)
    assert list(answer.json["fields"]) == ["headers"]


def test_headers_are_kept_as_they_were_spelt(gateway):
    made = gateway.create("/routes", headers={"X-Version": ["1", "~*^2"]})
    assert made["headers"] == {"X-Version": ["1", "~*^2"]}


@pytest.mark.parametrize("fields, wrong", [
    ({"strip_path": "true"}, {"strip_path": "expected a boolean"}),
    ({"preserve_host": 1}, {"preserve_host": "expected a boolean"}),
    ({"regex_priority": "1"}, {"regex_priority": "expected an integer"}),
    ({"regex_priority": 1.5}, {"regex_priority": "expected an integer"}),
    ({"https_redirect_status_code": 300}, {"https_redirect_status_code": "expected one of: 426, 301, 302, 307, 308"}),
    ({"path_handling": "v2"}, {"path_handling": "expected one of: v0, v1"}),
    ({"name": "a b"}, {"name": "invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~"}),
    ({"name": 1}, {"name": "expected a string"}),
    ({"name": ""}, {"name": "length must be at least 1"}),
    ({"tags": "a"}, {"tags": "expected a set"}),
    ({"tags": ["a,b"]}, {"tags": ["invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"]}),
    ({"nothing": 1}, {"nothing": "unknown field"}),
    ({"expression": "true"}, {"expression": "unknown field"}),
    ({"priority": 1}, {"priority": "unknown field"}),
    ({"service": "name"}, {"service": "expected a record"}),
    ({"service": {"id": "x"}}, {"service": {"id": "expected a valid UUID"}}),
    ({"id": "x"}, {"id": "expected a valid UUID"}),
    ({"created_at": 0}, {"created_at": "expected a valid timestamp"}),
    ({"protocols": None}, {"protocols": "required field missing"}),
    ({"protocols": "http"}, {"protocols": "expected a set"}),
])
def test_fields_of_a_route_that_are_refused(gateway, fields, wrong):
    refused(gateway.admin("POST", "/routes", json={"paths": ["/"], **fields}), wrong)


def test_several_complaints_are_counted_and_sorted(gateway):
    answer = gateway.admin("POST", "/routes", json={"paths": ["/"], "strip_path": 1, "name": 2, "nothing": 3})
    refused(answer, {"name": "expected a string", "nothing": "unknown field", "strip_path": "expected a boolean"},
            "3 schema violations (name: expected a string; nothing: unknown field; strip_path: expected a boolean)")


# -- routes: protocols and what goes with them


@pytest.mark.parametrize("protocols, hit", [
    (["http", "tcp"], "('http', 'https'), ('tcp', 'tls', 'udp')"),
    (["https", "grpc"], "('http', 'https'), ('grpc', 'grpcs')"),
    (["tls_passthrough", "tls"], "('tcp', 'tls', 'udp'), ('tls_passthrough')"),
])
def test_families_of_protocols_do_not_mix(gateway, protocols, hit):
    answer = gateway.admin("POST", "/routes", json={"protocols": protocols, "paths": ["/"]})
    refused(answer)
    assert answer.json["fields"]["protocols"] == f"these sets are mutually exclusive: {hit}"


def test_an_unknown_protocol_is_refused(gateway):
    answer = gateway.admin("POST", "/routes", json={"protocols": ["ftp"], "paths": ["/"]})
    refused(answer)
    assert answer.json["fields"]["protocols"] == ["expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp"]


def test_a_route_without_protocols_is_refused(gateway):
    answer = gateway.admin("POST", "/routes", json={"protocols": [], "paths": ["/"]})
    refused(answer)
    assert answer.json["fields"]["protocols"] == "length must be at least 1"


@pytest.mark.parametrize("protocols, message", [
    (None, "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"),
    (["https"], "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"),
    (["http"], "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'"),
    (["tcp"], "must set one of 'sources', 'destinations', 'snis' when 'protocols' is 'tcp', 'tls' or 'udp'"),
    (["tls", "udp"], "must set one of 'sources', 'destinations', 'snis' when 'protocols' is 'tcp', 'tls' or 'udp'"),
    (["tls_passthrough"], "must set snis when 'protocols' is 'tls_passthrough'"),
    (["grpc"], "must set one of 'hosts', 'headers', 'paths' when 'protocols' is 'grpc'"),
    (["grpcs"], "must set one of 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'grpcs'"),
])
def test_a_route_must_match_something(gateway, protocols, message):
    body = {} if protocols is None else {"protocols": protocols}
    refused(gateway.admin("POST", "/routes", json=body), {"@entity": [message]}, f"schema violation ({message})")


@pytest.mark.parametrize("field", ["paths", "hosts", "methods"])
def test_empty_lists_match_nothing(gateway, field):
    answer = gateway.admin("POST", "/routes", json={"protocols": ["http"], field: []})
    refused(answer, {"@entity": ["must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'"]})


@pytest.mark.parametrize("protocols, fields, name, message", [
    (["http"], {"paths": ["/"], "sources": [{"ip": "1.2.3.4"}]}, "sources", "cannot set 'sources' when 'protocols' is 'http' or 'https'"),
    (["https"], {"paths": ["/"], "destinations": [{"port": 80}]}, "destinations",
     "cannot set 'destinations' when 'protocols' is 'http' or 'https'"),
    (["tcp"], {"sources": [{"port": 1}], "paths": ["/"]}, "paths",
     "cannot set 'paths' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp'"),
    (["udp"], {"sources": [{"port": 1}], "methods": ["GET"]}, "methods",
     "cannot set 'methods' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp'"),
    (["tls"], {"snis": ["a.test"], "hosts": ["a.test"]}, "hosts",
     "cannot set 'hosts' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp'"),
    (["grpc"], {"paths": ["/"], "methods": ["POST"]}, "methods", "cannot set 'methods' when 'protocols' is 'grpc' or 'grpcs'"),
    (["grpc"], {"paths": ["/"], "strip_path": True}, "strip_path", "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'"),
])
def test_attributes_of_another_family_are_refused(gateway, protocols, fields, name, message):
    answer = gateway.admin("POST", "/routes", json={"protocols": protocols, **fields})
    refused(answer)
    assert answer.json["fields"][name] == message


def test_server_names_need_tls(gateway):
    answer = gateway.admin("POST", "/routes", json={"protocols": ["http"], "paths": ["/"], "snis": ["a.test"]})
    refused(answer, {"@entity": ["'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"],
                     "snis": "length must be 0"})


@pytest.mark.parametrize("sni, why", [
    ("127.0.0.1", "must not be an IP"), ("a.test:443", "must not have a port"),
    ("*.a.*", "only one wildcard must be specified"), ("a.*.b", "wildcard must be leftmost or rightmost character")])
def test_server_names_that_are_refused(gateway, sni, why):
    refused(gateway.admin("POST", "/routes", json={"protocols": ["https"], "snis": [sni]}), {"snis": [why]})


@pytest.mark.parametrize("protocols, fields", [
    (["https"], {"snis": ["a.test", "*.b.test", "c.*"]}),
    (["grpc", "grpcs"], {"paths": ["/pkg.Service"]}),
    (["grpc"], {"hosts": ["a.test"], "strip_path": False}),
    (["grpcs"], {"snis": ["a.test"]}),
    (["tcp"], {"sources": [{"ip": "10.0.0.0/8"}, {"ip": "::1", "port": 80}]}),
    (["udp"], {"destinations": [{"port": 53}]}),
    (["tls"], {"snis": ["a.test"]}),
    (["tls_passthrough"], {"snis": ["a.test"]}),
])
def test_routes_of_every_family_are_taken(gateway, protocols, fields):
    made = gateway.create("/routes", protocols=protocols, **fields)
    assert made["protocols"] == protocols
    for name, value in fields.items():
        found = made[name]
        if name in ("sources", "destinations"):
            found = [{k: v for k, v in each.items() if v is not None} for each in found]
        assert found == value
    assert made["strip_path"] is (not protocols[0].startswith("grpc"))


@pytest.mark.parametrize("address", [{}, {"ip": "x"}, {"ip": "1.2.3.4/33"}, {"port": 65536}, {"port": "80"}, "1.2.3.4"])
def test_addresses_of_stream_routes_that_are_refused(gateway, address):
    answer = gateway.admin("POST", "/routes", json={"protocols": ["tcp"], "sources": [address]})
    refused(answer)
    assert "sources" in answer.json["fields"]


def test_a_change_is_checked_on_the_whole_route(gateway):
    made = gateway.create("/routes", paths=["/a"])
    answer = gateway.admin("PATCH", f"/routes/{made['id']}", json={"paths": None})
    refused(answer)
    assert "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis'" in answer.json["message"]
    assert gateway.admin("PATCH", f"/routes/{made['id']}", json={"paths": None, "hosts": ["a.test"]}).status == 200
    assert gateway.admin("GET", f"/routes/{made['id']}").json["paths"] is None


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


# -- plugins


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


# -- lists


def fill(gateway, count):
    for number in range(count):
        gateway.create("/consumers", username=f"c{number}", tags=["even" if number % 2 == 0 else "odd", "all"])


def test_a_long_list_comes_in_pages(gateway):
    fill(gateway, 253)
    first = gateway.admin("GET", "/consumers").json
    assert len(first["data"]) == 100
    assert first["offset"] and first["next"] == "/consumers?offset=" + urllib.parse.quote(first["offset"], safe="")
    rows, pages = everything(gateway, "/consumers")
    assert pages == 3 and len({row["id"] for row in rows}) == 253
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    rows, pages = everything(gateway, "/consumers?size=50")
    assert pages == 6 and len(rows) == 253
    last = gateway.admin("GET", "/consumers?size=1000").json
    assert last["next"] is None and "offset" not in last and len(last["data"]) == 253
    page = gateway.admin("GET", "/consumers?size=10&tags=even").json
    assert "size=10" in page["next"] and "tags=even" in page["next"]
    rows, pages = everything(gateway, "/consumers?size=10&tags=even")
    assert pages == 13 and len(rows) == 127
    # a page goes on after its last row, whatever becomes of that row
    page = gateway.admin("GET", "/consumers?size=100").json
    gateway.admin("DELETE", f"/consumers/{page['data'][-1]['id']}")
    rest, _ = everything(gateway, page["next"])
    assert len(rest) == 153


def test_a_page_that_ends_with_the_list_is_the_last(gateway):
    fill(gateway, 4)
    page = gateway.admin("GET", "/consumers?size=2").json
    page = gateway.admin("GET", page["next"]).json
    assert len(page["data"]) == 2 and page["next"] is None and "offset" not in page


def test_nested_lists_come_in_pages(gateway):
    service(gateway, "one"), service(gateway, "other")
    for number in range(5):
        gateway.create("/services/one/routes", paths=[f"/{number}"])
        gateway.create("/services/other/routes", paths=[f"/o{number}"])
    page = gateway.admin("GET", "/services/one/routes?size=2").json
    assert len(page["data"]) == 2 and page["next"].startswith("/services/one/routes?offset=")
    assert "size=" not in page["next"]
    rest = gateway.admin("GET", page["next"]).json
    assert len(rest["data"]) == 3 and rest["next"] is None


@pytest.mark.parametrize("size, why", [
    ("x", "size must be a number"), ("", "size must be a number"),
    ("0", "size must be an integer between 1 and 1000"), ("1001", "size must be an integer between 1 and 1000"),
    ("-1", "size must be an integer between 1 and 1000"), ("1.5", "size must be an integer between 1 and 1000")])
def test_sizes_that_are_refused(gateway, size, why):
    answer = gateway.admin("GET", f"/services?size={size}")
    refused(answer, message=why, code=9)
    assert answer.json["name"] == "invalid size"


def test_offsets_that_are_refused(gateway):
    refused(gateway.admin("GET", "/services?offset=x"), message="'x' is not a valid offset: bad base64 encoding", code=7)
    answer = gateway.admin("GET", "/services?offset=eHl6")
    refused(answer, code=7)
    for hostile in ("bnVsbA%3D%3D", "W10%3D", "WzFd", "WyJ4Il0%3D", "eyJpZCI6MX0%3D", "A" * 4000):
        assert gateway.admin("GET", f"/services?offset={hostile}").status == 400, hostile


def test_lists_are_filtered_by_tags(gateway):
    for name, tags in [("a", ["x"]), ("b", ["x", "y"]), ("c", ["y"]), ("d", None)]:
        service(gateway, name, tags=tags)

    def names(query):
        return sorted(row["name"] for row in gateway.admin("GET", f"/services?tags={query}").json["data"])

    assert names("x") == ["a", "b"]
    assert names("x,y") == ["b"]
    assert names("x/y") == ["a", "b", "c"]
    assert names("z") == []
    assert names("x,x") == ["a", "b"]
    assert names("x&tags=y") == ["a", "b"]
    gateway.admin("PATCH", "/services/a", json={"tags": ["z"]})
    assert names("x") == ["b"] and names("z") == ["a"]


@pytest.mark.parametrize("tags, why", [
    ("", "cannot be null"), ("a,b/c", "invalid filter syntax"), ("a,", "invalid filter syntax"), ("/a", "invalid filter syntax"),
    ("a%00b", "invalid filter syntax"), ("a,b,c,d,e,f", "cannot query more than 5 tags")])
def test_filters_by_tags_that_are_refused(gateway, tags, why):
    answer = gateway.admin("GET", f"/services?tags={tags}")
    refused(answer, message=f"invalid option (tags: {why})", code=11)
    assert answer.json["options"] == {"tags": why} and "fields" not in answer.json


def test_nested_lists_know_no_tags(gateway):
    service(gateway, "one")
    gateway.create("/services/one/routes", paths=["/"], tags=["x"])
    assert len(gateway.admin("GET", "/services/one/routes?tags=y").json["data"]) == 1


def test_unknown_arguments_of_a_list_mean_nothing(gateway):
    service(gateway, "one")
    assert len(gateway.admin("GET", "/services?name=other&x[=1&y").json["data"]) == 1


def test_all_tags_are_listed_with_what_they_are_on(gateway):
    one = service(gateway, "one", tags=["x", "y z"])
    consumer = gateway.create("/consumers", username="c", tags=["x"])
    rows = gateway.admin("GET", "/tags").json["data"]
    expected = [("x", "services", one["id"]), ("y z", "services", one["id"]), ("x", "consumers", consumer["id"])]
    assert sorted((r["tag"], r["entity_name"], r["entity_id"]) for r in rows) == sorted(expected)
    rows = gateway.admin("GET", "/tags/x").json["data"]
    assert {r["entity_name"] for r in rows} == {"services", "consumers"} and len(rows) == 2
    assert len(gateway.admin("GET", "/tags/y%20z").json["data"]) == 1
    assert gateway.admin("GET", "/tags/none").json == {"data": [], "next": None}
    gateway.admin("DELETE", "/services/one")
    assert len(gateway.admin("GET", "/tags").json["data"]) == 1


def test_a_tag_that_can_be_none_is_refused(gateway):
    answer = gateway.admin("GET", "/tags/a%2Cb")
    refused(answer, code=10)
    assert answer.json["name"] == "invalid unique tag"


def test_tags_come_in_pages(gateway):
    service(gateway, "one", tags=[f"t{n}" for n in range(7)])
    rows, pages = everything(gateway, "/tags?size=3")
    assert pages == 3 and len({r["tag"] for r in rows}) == 7


# -- forms


@pytest.mark.parametrize("form", [
    [("paths[]", "/a"), ("paths[]", "/b")], [("paths[1]", "/a"), ("paths[2]", "/b")], [("paths", "/a"), ("paths", "/b")],
    [("paths[2]", "/a"), ("paths[3]", "/b")], [("paths[10]", "/b"), ("paths[9]", "/a")], [("paths[2]", "/b"), ("paths[1]", "/a")]])
def test_lists_in_forms(gateway, form):
    answer = gateway.admin("POST", "/routes", form=form)
    assert answer.status == 201 and answer.json["paths"] == ["/a", "/b"]


def test_one_value_in_a_form_is_a_list_of_one_and_commas_mean_nothing(gateway):
    answer = gateway.admin("POST", "/routes", form={"hosts": "a.test", "paths": "/a,b"})
    assert answer.status == 201
    assert answer.json["hosts"] == ["a.test"] and answer.json["paths"] == ["/a,b"]


def test_values_in_forms_become_what_the_field_holds(gateway):
    answer = gateway.admin("POST", "/routes", form={"paths[]": "/", "strip_path": "false", "regex_priority": "7"})
    assert answer.status == 201 and answer.json["strip_path"] is False and answer.json["regex_priority"] == 7
    answer = gateway.admin("POST", "/routes", form={"paths[]": "/", "strip_path": "no", "regex_priority": "x"})
    refused(answer, {"strip_path": "expected a boolean", "regex_priority": "expected an integer"})


def test_an_empty_value_in_a_form_clears_the_field(gateway):
    assert gateway.admin("PUT", "/services/s", json={"host": "h.test", "path": "/p", "tags": ["x"]}).status == 200
    answer = gateway.admin("PATCH", "/services/s", form={"path": "", "tags": ""})
    assert answer.status == 200 and answer.json["path"] is None and answer.json["tags"] is None


def test_nested_values_in_forms(gateway):
    one = service(gateway, "one")
    answer = gateway.admin("POST", "/routes", form=[("paths[]", "/"), ("service.id", one["id"]), ("headers.x-a[]", "1"),
                                                    ("headers.x-a[]", "2"), ("headers[x_b]", "3")])
    assert answer.status == 201, answer
    assert answer.json["service"] == {"id": one["id"]}
    assert answer.json["headers"] == {"x-a": ["1", "2"], "x_b": ["3"]}
    answer = gateway.admin("POST", "/routes", form={"paths[]": "/", "service.name": "one"})
    assert answer.status == 201 and answer.json["service"] == {"id": one["id"]}


def test_dots_between_brackets_are_part_of_the_name(gateway):
    answer = gateway.admin("POST", "/routes", form={"headers[x.b]": "3"})
    refused(answer)
    assert "'x.b'" in answer.json["fields"]["headers"]


def test_text_in_forms_may_be_encoded_in_any_way(gateway):
    body = "username=a%2Bb+c%26d&custom_id=%E2%82%AC&tags%5B%5D=x"
    answer = gateway.admin("POST", "/consumers", raw=(body, "application/x-www-form-urlencoded; charset=utf-8"))
    assert answer.status == 201
    assert (answer.json["username"], answer.json["custom_id"], answer.json["tags"]) == ("a+b c&d", "€", ["x"])


@pytest.mark.parametrize("body", ["[]=x", "a[=x", "a]=x", "[[[=1", "=", "&&&", "%", "%zz=%", "a.b.c.d.e=1", "paths[999999999999]=/", "paths[0]=/",
                                  "paths[-1]=/", ".a=1", "a.=1", "paths[][][][]=/", "paths=/&paths[]=/&paths.x=1", "name[]=a&name.b=c"])
def test_odd_forms_break_nothing(gateway, body):
    answer = gateway.admin("POST", "/routes", raw=(body, "application/x-www-form-urlencoded"))
    assert answer.status in (201, 400), answer
    assert answer.json


def multipart(*parts, boundary="XyZ"):
    out = b""
    for name, value, *more in parts:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        out += "".join(f"\r\n{line}" for line in more).encode() + b"\r\n\r\n" + value.encode() + b"\r\n"
    return out + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def test_multipart_bodies_are_forms(gateway):
    answer = gateway.admin("POST", "/routes", raw=multipart(("paths[]", "/a"), ("paths[]", "/b"), ("strip_path", "false"), ("name", "é")))
    assert answer.status == 201, answer
    assert answer.json["paths"] == ["/a", "/b"] and answer.json["strip_path"] is False and answer.json["name"] == "é"


def test_a_part_can_be_json(gateway):
    answer = gateway.admin("POST", "/routes", raw=multipart(("paths", '["/a"]', "Content-Type: application/json"), ("name", "r")))
    assert answer.status == 201 and answer.json["paths"] == ["/a"]


@pytest.mark.parametrize("body", [b"", b"--XyZ", b"--XyZ--", b"--XyZ\r\n\r\n", b"--XyZ\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XyZ--",
                                  b"\0" * 100, b"--XyZ\r\n" * 3000])
def test_broken_multipart_bodies_are_refused(gateway, body):
    assert gateway.admin("POST", "/routes", raw=(body, "multipart/form-data; boundary=XyZ")).status == 400
    assert gateway.admin("POST", "/routes", raw=(body, "multipart/form-data")).status == 400


# -- bodies that are refused


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/yaml", "nonsense"])
def test_other_kinds_of_bodies_are_refused(gateway, kind):
    assert gateway.admin("POST", "/services", raw=("host=h.test", kind)).status == 415


def test_a_body_of_no_kind_is_refused_and_no_body_is_no_body(gateway):
    address = gateway.admin_address
    assert fetch(address, "POST", "/services", body=b"host=h.test").status == 415
    answer = fetch(address, "POST", "/services", headers={"Content-Length": "0"})
    assert answer.status == 400 and answer.json["fields"]["host"] == "required field missing"


def test_json_may_name_its_charset(gateway):
    assert gateway.admin("POST", "/services", raw=(b'{"host":"h.test"}', "application/json; charset=utf-8")).status == 201


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"a":}', b'{"a":1}x', b"[1", b'"', b"{'a':1}", b"\xff\xfe"])
def test_what_is_no_json_is_refused(gateway, body):
    answer = gateway.admin("POST", "/services", raw=(body, "application/json"))
    assert answer.status == 400 and answer.json == {"message": "Cannot parse JSON body"}, body


@pytest.mark.parametrize("body", [b"1", b'"x"', b"null", b"true", b"[]", b"[{}]"])
def test_json_that_is_no_object_is_refused(gateway, body):
    for method, path in [("POST", "/services"), ("PUT", "/services/s"), ("POST", "/schemas/services/validate"), ("POST", "/apis")]:
        assert gateway.admin(method, path, raw=(body, "application/json")).status == 400, (method, path)
    assert gateway.admin("GET", "/services").json["data"] == []


@pytest.mark.parametrize("depth", [100, 100000])
def test_deeply_nested_json_is_refused(gateway, depth):
    for body in ('{"tags":' + "[" * depth + "]" * depth + ',"host":"h.test"}', '{"a":' * depth + "1" + "}" * depth, "[" * depth):
        answer = gateway.admin("POST", "/services", raw=(body, "application/json"))
        assert answer.status == 400, (depth, answer)
    assert gateway.admin("GET", "/services").json["data"] == []


def test_more_than_a_thousand_arguments_are_too_many(gateway):
    most = [("x", "1")] * 999 + [("host", "h.test")]
    assert gateway.admin("POST", "/services", form=most).status == 400
    assert "Too many" not in gateway.admin("POST", "/services", form=most).text
    answer = gateway.admin("POST", "/services", form=most + [("y", "1")])
    assert answer.status == 400 and answer.json == {"message": "Too many arguments"}
    answer = gateway.admin("GET", "/services?" + "a&" * 1001)
    assert answer.status == 400 and answer.json == {"message": "Too many arguments"}


def test_bodies_up_to_ten_megabytes_are_read(gateway):
    room = 10 * 1024 * 1024
    start, end = b'{"username":"c","custom_id":"', b'"}'
    body = start + b"x" * (room - len(start) - len(end)) + end
    answer = gateway.admin("POST", "/consumers", raw=(body, "application/json"))
    assert answer.status == 201 and len(answer.json["custom_id"]) > 10_000_000
    with Client(gateway.admin_address) as client:
        client.send(b"POST /consumers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (room + 1))
        assert client.answer().status == 413
    with Client(gateway.admin_address) as client:
        client.send(b"POST /consumers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send_what_fits(b"100000\r\n%s\r\n" % (b"x" * 0x100000) * 11)
        assert client.answer().status == 413


def test_the_limit_of_bodies_can_be_set(private):
    gateway = private(nginx_admin_client_max_body_size="1k")
    assert gateway.admin("POST", "/consumers", json={"username": "x" * 900}).status == 201
    assert gateway.admin("POST", "/consumers", json={"username": "x" * 1100}).status == 413


# -- paths and verbs


def test_head_answers_as_get_without_a_body(gateway):
    service(gateway)
    for path in ("/", "/services", "/services/s", "/services/s/routes", "/status"):
        answer = gateway.admin("HEAD", path)
        assert answer.status == 200 and answer.body == b"", path
    assert gateway.admin("HEAD", "/services/no").status == 404


@pytest.mark.parametrize("path, verbs", [
    ("/services", "GET, HEAD, OPTIONS, POST"), ("/services/s", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
    ("/services/s/routes", "GET, HEAD, OPTIONS, POST"), ("/routes/r/service", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
    ("/", "GET, HEAD, OPTIONS"), ("/cache", "DELETE, OPTIONS"), ("/schemas/services/validate", "OPTIONS, POST")])
def test_options_tell_what_a_path_takes(gateway, path, verbs):
    answer = gateway.admin("OPTIONS", path)
    assert answer.status == 204 and answer.body == b""
    assert answer.headers["allow"] == verbs
    assert answer.headers["access-control-allow-methods"] == verbs
    assert answer.headers["access-control-allow-headers"] == "Content-Type"
    answer = gateway.admin("OPTIONS", path, headers={"Access-Control-Request-Headers": "X-Token"})
    assert answer.headers["access-control-allow-headers"] == "X-Token"


def test_other_verbs_are_not_allowed(gateway):
    service(gateway)
    for method, path in [("DELETE", "/services"), ("PUT", "/services"), ("PATCH", "/services"), ("POST", "/services/s"), ("POST", "/"),
                         ("PURGE", "/services/s"), ("GET", "/schemas/services/validate"), ("POST", "/tags")]:
        answer = gateway.admin(method, path)
        assert answer.status == 405 and answer.json == {"message": "Method not allowed"}, (method, path)


def test_a_slash_at_the_end_means_nothing(gateway):
    service(gateway)
    for path in ("/services/", "/services/s/", "/status/", "/services/s/routes/"):
        assert gateway.admin("GET", path).status == 200, path
    assert gateway.admin("POST", "/services/", json={"host": "h.test"}).status == 201


@pytest.mark.parametrize("path", ["/nothing", "/services/s/nothing", "/services/s/routes/r/plugins", "/workspaces", "/consumer_groups",
                                  "/Services", "/service", "/services/s/consumers"])
def test_unknown_paths_are_not_found(gateway, path):
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = gateway.admin(method, path)
        assert answer.status == 404 and answer.json == {"message": "Not found"}, method


@pytest.mark.parametrize("path", ["/services/%00", "/services/%ff", "/services/%2e%2e", "/services/" + "a" * 6000, "/services/%", "/services/%2",
                                  "/services/..", "/services/'%3B%20DROP%20TABLE%20services%3B--", "/tags/%ff", "/consumers/%ff", "/consumers/%00"])
def test_odd_names_in_paths_break_nothing(gateway, path):
    made = service(gateway)
    answer = gateway.admin("GET", path)
    assert answer.status in (200, 400, 404, 414), answer
    assert gateway.admin("GET", "/services/s").json == made


def test_a_connection_serves_many_calls(gateway):
    with Client(gateway.admin_address) as client:
        for number in range(20):
            body = json.dumps({"username": f"c{number}"}).encode()
            answer = client.ask(b"POST /consumers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                                % (len(body), body))
            assert answer.status == 201
        answer = client.ask(b"GET /consumers HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(answer.json["data"]) == 20


# -- the other flavour of the router


def test_the_traditional_router_takes_no_wildcards_in_server_names(private):
    gateway = private(router_flavor="traditional")
    answer = gateway.admin("POST", "/routes", json={"protocols": ["https"], "snis": ["*.a.test"]})
    assert answer.status == 400 and "snis" in answer.json["fields"]
    assert gateway.admin("POST", "/routes", json={"protocols": ["https"], "snis": ["a.test"]}).status == 201


@pytest.mark.parametrize("path", ["/services", "/routes", "/consumers", "/plugins"])
def test_a_field_named_like_the_place_of_complaints_is_an_unknown_field(gateway, path):
    answer = gateway.admin("POST", path, json={"@entity": 3, "name": "key-auth"})
    assert answer.status == 400
    assert "unknown field '@entity'" in answer.json["fields"]["@entity"]
