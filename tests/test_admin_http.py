"""The Admin API as HTTP: bodies of every kind, paths and verbs."""

import json

import pytest

from support.admin import refused, service
from support.wire import Client, fetch


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


def test_who_sends_too_much_reads_the_answer_all_the_same(gateway):
    with Client(gateway.admin_address) as client:
        client.send(b"POST /consumers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (40 << 20))
        client.send(b"x" * (40 << 20))  # a reset would end it
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
