"""Routes through the Admin API: what is accepted and refused."""

import json

import pytest

from support.admin import refused


# -- what they look like


def test_a_route_has_every_field(gateway):
    made = gateway.create("/routes", paths=["/a"])
    assert made.pop("id") and made.pop("created_at") and made.pop("updated_at")
    assert made == {"name": None, "protocols": ["http", "https"], "https_redirect_status_code": 426, "strip_path": True,
                    "preserve_host": False, "request_buffering": True, "response_buffering": True, "tags": None,
                    "service": None, "snis": None, "sources": None, "destinations": None, "methods": None, "hosts": None,
                    "paths": ["/a"], "headers": None, "regex_priority": 0, "path_handling": "v0"}


# -- single fields


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


# -- protocols and what goes with them


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


# -- the other flavour of the router


def test_the_traditional_router_takes_no_wildcards_in_server_names(private):
    gateway = private(router_flavor="traditional")
    answer = gateway.admin("POST", "/routes", json={"protocols": ["https"], "snis": ["*.a.test"]})
    assert answer.status == 400 and "snis" in answer.json["fields"]
    assert gateway.admin("POST", "/routes", json={"protocols": ["https"], "snis": ["a.test"]}).status == 201
