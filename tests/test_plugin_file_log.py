"""file-log: a record of every request, as a line of JSON in a file."""

import os
import re
import time

import pytest

from support.records import Log
from support.upstreams import RawUpstream, dead_port, plain, serve
from support.waiting import eventually
from support.wire import request_bytes


@pytest.fixture
def logged(gateway, echo):
    """logged(origin): a route whose requests are logged; gives the log, the service and the route."""

    def make(origin=None, service=None, **config):
        log = Log(gateway.directory / f"requests-{time.monotonic_ns()}.log")
        made, route = gateway.route(origin or echo, "/logged", service=service, settle=False)
        gateway.create(f"/routes/{route['id']}/plugins", name="file-log", config={"path": str(log.path), **config})
        gateway.settle()
        return log, made, route

    return make


FIELDS = {"request", "upstream_uri", "upstream_status", "response", "latencies", "tries", "route", "service",
          "client_ip", "started_at", "source", "workspace", "workspace_name"}


def test_a_proxied_request_field_by_field(gateway, logged, echo):
    log, service, route = logged()
    before = time.time() * 1000
    with gateway.client() as client:
        sent = request_bytes("POST", "/logged/a?x=1&x=2&y&z=%20", {
            "X-A": "1", "x-a": "2", "Authorization": "Basic eA==", "Proxy-Authorization": "secret"}, b"body",
            host="Gate.Test")
        answer = client.ask(sent, "POST")
        [record] = log.records()
        received = len(client.reader.seen)
    assert set(record) == FIELDS
    request = record["request"]
    assert set(request) == {"id", "uri", "url", "querystring", "method", "headers", "size"}
    assert request["id"] == answer.headers["X-Kong-Request-Id"]
    assert request["uri"] == "/logged/a?x=1&x=2&y&z=%20"
    assert request["url"] == f"http://gate.test:{gateway.proxy[1]}/logged/a?x=1&x=2&y&z=%20"
    assert request["querystring"] == {"x": ["1", "2"], "y": True, "z": " "}
    assert request["method"] == "POST"
    assert request["headers"]["x-a"] == ["1", "2"]
    assert request["headers"]["authorization"] == request["headers"]["proxy-authorization"] == "REDACTED"
    assert request["headers"]["host"]
    assert request["size"] == len(sent)
    assert record["upstream_uri"] == "/a?x=1&x=2&y&z=%20"
    assert record["upstream_status"] == "200"
    response = record["response"]
    assert set(response) == {"status", "headers", "size"}
    assert response["status"] == 200
    assert response["size"] == received
    assert response["headers"]["content-type"] == "application/json"
    assert response["headers"]["x-kong-request-id"] == request["id"]
    assert set(record["latencies"]) == {"kong", "proxy", "request", "receive"}
    assert all(isinstance(v, int) and 0 <= v < 5000 for v in record["latencies"].values())
    [attempt] = record["tries"]
    assert set(attempt) == {"ip", "port", "balancer_start", "balancer_start_ns", "balancer_latency", "balancer_latency_ns"}
    assert (attempt["ip"], attempt["port"]) == ("127.0.0.1", echo.port)
    assert before - 1000 <= attempt["balancer_start"] <= time.time() * 1000 + 1000
    assert record["route"] == gateway.admin("GET", f"/routes/{route['id']}").json
    assert record["service"] == gateway.admin("GET", f"/services/{service['id']}").json
    assert record["client_ip"] == "127.0.0.1"
    assert before - 1000 <= record["started_at"] <= time.time() * 1000 + 1000
    assert record["source"] == "upstream"
    assert record["workspace_name"] == "default"


def test_times_are_told_apart(gateway, logged):
    def slow(peer):
        peer.request()
        time.sleep(0.15)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        time.sleep(0.25)
        peer.send(b"b")
        peer.wait_closed()

    with RawUpstream(slow) as origin:
        log, _, _ = logged(origin)
        assert gateway.get("/logged").body == b"ab"
        times = log.records()[0]["latencies"]
    # Sleeping origins and busy machines are not exact: enough to tell the four from each other.
    assert 130 <= times["proxy"] < times["receive"]
    assert 230 <= times["receive"] < times["request"]
    assert 380 <= times["request"]
    assert times["kong"] < 130


def test_who_asked_is_told(gateway, logged):
    log, _, route = logged()
    gateway.create(f"/routes/{route['id']}/plugins", name="key-auth", config={"hide_credentials": True})
    consumer = gateway.create("/consumers", username="ann", tags=["t"])
    key = gateway.create("/consumers/ann/key-auth", key="secret")
    gateway.settle()
    gateway.get("/logged?apikey=secret", {"apikey": "secret"})
    record = log.records()[0]
    assert record["consumer"] == consumer
    assert record["authenticated_entity"] == {"id": key["id"]}
    assert "apikey" not in record["request"]["headers"], "headers are shown as they were changed"
    assert record["request"]["headers"]["x-consumer-username"] == "ann"
    assert record["upstream_uri"] == "/"


def test_an_anonymous_consumer_has_no_credential(gateway, logged):
    log, _, route = logged()
    gateway.create("/consumers", username="guest")
    gateway.create(f"/routes/{route['id']}/plugins", name="key-auth", config={"anonymous": "guest"})
    gateway.settle()
    gateway.get("/logged")
    record = log.records()[0]
    assert record["consumer"]["username"] == "guest"
    assert "authenticated_entity" not in record


def test_a_refused_request(gateway, logged):
    log, _, route = logged()
    gateway.create(f"/routes/{route['id']}/plugins", name="key-auth")
    gateway.settle()
    gateway.get("/logged")
    record = log.records()[0]
    assert set(record) == FIELDS - {"tries"}
    assert record["response"]["status"] == 401
    assert record["response"]["headers"].get("www-authenticate") == "Key", record
    assert (record["source"], record["upstream_uri"], record["upstream_status"]) == ("kong", "", "")
    assert record["latencies"]["proxy"] == -1


def test_an_upstream_that_cannot_be_reached(gateway, logged):
    sock, port = dead_port()
    with sock:
        log, _, _ = logged(f"http://127.0.0.1:{port}", service={"retries": 1})
        assert gateway.get("/logged").status == 502
        record = log.records()[0]
    assert record["source"] == "kong"
    assert record["upstream_status"] == "502, 502"
    assert [(t["port"], t["state"], t["code"]) for t in record["tries"]] == [(port, "failed", 502)] * 2


def test_a_row_for_all_tells_of_requests_without_a_route(gateway, echo):
    log = Log(gateway.directory / "global.log")
    gateway.create("/plugins", name="file-log", config={"path": str(log.path)})
    gateway.route(echo, "/some")
    gateway.get("/none?x")
    with gateway.client() as client:
        client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")

    def with_status(status):
        return [r for r in log.records() if r["response"]["status"] == status]

    # Others that were not found may be there too: those that waited for the route.
    missed = eventually(lambda: [r for r in with_status(404) if r["request"]["uri"] == "/none?x"], "the record of what was not found")[0]
    assert "route" not in missed and "service" not in missed
    assert eventually(lambda: with_status(400), "the record of what was no request")


def test_a_client_that_leaves_is_logged_as_such(gateway, logged):
    def never(peer):
        peer.request()
        peer.wait_closed()

    with RawUpstream(never) as origin:
        log, _, _ = logged(origin)
        client = gateway.client()
        client.send(request_bytes("GET", "/logged"))
        origin.wait_for_requests(1)
        client.reset()
        record = log.records()[0]
    assert record["response"]["status"] == 499


def test_bytes_that_are_no_text_make_a_line_all_the_same(gateway, logged):
    log, _, _ = logged()
    gateway.get("/logged?%ff=%00%0a", {"X-A": "\xff"})
    gateway.get("/logged")
    assert len(log.records(2)) == 2


def test_every_request_is_logged_once_and_whole(gateway, logged):
    log, _, _ = logged()
    with gateway.client() as client:
        client.send(b"".join(request_bytes("GET", f"/logged/{n}") for n in range(300)))
        for _ in range(300):
            client.answer()
    seen = [r["request"]["uri"] for r in log.records(300)]
    assert seen == [f"/logged/{n}" for n in range(300)], "in order, as they came on one connection"


def test_a_moved_file_is_written_on_until_it_is_opened_anew(gateway, logged):
    log, _, route = logged()
    gateway.get("/logged/1")
    log.records(1)
    moved = Log(log.path.with_suffix(".1"))
    log.path.rename(moved.path)
    gateway.get("/logged/2")
    moved.records(2)
    assert not log.path.exists()


def test_reopen_follows_a_file_that_moves(gateway, logged):
    log, _, _ = logged(reopen=True)
    gateway.get("/logged/1")
    log.records(1)
    log.path.rename(log.path.with_suffix(".1"))
    gateway.get("/logged/2")
    assert [r["request"]["uri"] for r in log.records(1)] == ["/logged/2"]
    assert oct(log.path.stat().st_mode & 0o777) in ("0o644", "0o640", "0o600")


def test_a_file_that_cannot_be_opened_is_told_and_harms_nothing(gateway, echo):
    _, route = gateway.route(echo, "/logged", settle=False)
    gateway.create(f"/routes/{route['id']}/plugins", name="file-log", config={"path": "/nonexistent/requests.log"})
    gateway.settle()
    assert gateway.get("/logged").status == 200
    eventually(lambda: "failed to open the file: No such file or directory" in gateway.log(), "the complaint")


def test_a_file_that_can_be_opened_later_is(gateway, logged):
    log, _, _ = logged()
    os.mkdir(log.path)
    gateway.get("/logged/1")
    eventually(lambda: "failed to open the file: Is a directory" in gateway.log(), "the complaint")
    os.rmdir(log.path)
    gateway.get("/logged/2")
    assert [r["request"]["uri"] for r in log.records()] == ["/logged/2"]


def test_lines_can_go_to_the_standard_output(private, echo):
    gateway = private()
    _, route = gateway.route(echo, "/logged", settle=False)
    gateway.create(f"/routes/{route['id']}/plugins", name="file-log", config={"path": "/dev/stdout"})
    gateway.settle()
    gateway.get("/logged/here")
    eventually(lambda: '"/logged/here"' in gateway.log("output.log"), "the record on the standard output")


def test_nothing_is_lost_at_the_end(private, echo):
    gateway = private()
    log = Log(gateway.directory / "requests.log")
    _, route = gateway.route(echo, "/logged", settle=False)
    gateway.create(f"/routes/{route['id']}/plugins", name="file-log", config={"path": str(log.path)})
    gateway.settle()
    with gateway.client() as client:
        for n in range(50):
            client.ask(request_bytes("GET", f"/logged/{n}"))
        assert gateway.stop() == 0
    assert len(log.lines()) == 50


def test_fields_by_lua_are_refused_by_name(gateway):
    """Taking them would leave them out of every record in silence."""
    answer = gateway.admin("POST", "/plugins", json={
        "name": "file-log", "config": {"path": "/tmp/x", "custom_fields_by_lua": {"a": "return 1"}}})
    assert answer.status == 400
    assert answer.json["fields"] == {
        "config": {"custom_fields_by_lua": "this build runs no Lua code, so that it cannot make these fields"}}
    made = gateway.create("/plugins", name="file-log", config={"path": "/tmp/x", "custom_fields_by_lua": {}})
    assert not made["config"]["custom_fields_by_lua"]


@pytest.mark.parametrize("path", ["a*b", "a&b", "a%b", "a`b", "", None])
def test_a_path_must_be_one(gateway, path):
    answer = gateway.admin("POST", "/plugins", json={"name": "file-log", "config": {"path": path}})
    assert answer.status == 400
    expected = {"": "length must be at least 1", None: "required field missing"}.get(path, "not a valid filename")
    assert re.search(expected, str(answer.json["fields"]["config"]["path"]))


def test_the_protocols_may_be_those_of_streams(gateway):
    made = gateway.create("/plugins", name="file-log", config={"path": "/tmp/never"}, protocols=["tcp", "http"])
    assert set(made["protocols"]) == {"tcp", "http"}


def test_a_body_of_unknown_length_is_counted(gateway, logged, upstream):
    origin = upstream(serve(lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
    log, _, _ = logged(origin)
    with gateway.client() as client:
        client.ask(request_bytes("GET", "/logged"))
        assert log.records()[0]["response"]["size"] == len(client.reader.seen)


def test_an_error_of_the_upstream_is_the_upstreams(gateway, logged, upstream):
    log, _, _ = logged(upstream(serve(plain(b"no", "500 Broken"))))
    assert gateway.get("/logged").status == 500
    record = log.records()[0]
    assert (record["source"], record["upstream_status"], record["response"]["status"]) == ("upstream", "500", 500)
