"""request-termination: the gateway answers by itself."""

import json

import pytest

from support.wire import request_bytes


@pytest.fixture
def ended(gateway, echo):
    """ended(**config): a route that ends requests so."""

    def make(path="/ended", **config):
        made = gateway.route(echo, path, settle=False)
        gateway.create(f"/routes/{made[1]['id']}/plugins", name="request-termination", config=config)
        gateway.settle()
        return made

    return make


def test_by_default_the_service_is_unavailable(gateway, ended):
    ended()
    answer = gateway.get("/ended", {"Accept": "text/html"})
    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.body == b'{"message":"Service unavailable"}'
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert "X-Kong-Response-Latency" in answer.headers and "X-Kong-Upstream-Latency" not in answer.headers


@pytest.mark.parametrize("status, message", [(401, "Unauthorized"), (404, "Not found"), (405, "Method not allowed"),
                                             (500, "An unexpected error occurred"), (502, "Bad Gateway")])
def test_some_statuses_have_words(gateway, ended, status, message):
    ended(status_code=status)
    answer = gateway.get("/ended")
    assert (answer.status, answer.json) == (status, {"message": message})


def test_others_have_none(gateway, ended):
    ended(status_code=403)
    answer = gateway.get("/ended")
    assert (answer.status, answer.body) == (403, b"")
    assert answer.headers["Content-Length"] == "0"
    assert "Content-Type" not in answer.headers


def test_no_content_has_no_length(gateway, ended):
    ended(status_code=204)
    with gateway.client() as client:
        for _ in range(2):
            answer = client.ask(request_bytes("GET", "/ended"))
            assert answer.status == 204
            assert "Content-Length" not in answer.headers


def test_a_message_of_ones_own(gateway, ended):
    ended(status_code=403, message='stop "here"')
    assert gateway.get("/ended").body == b'{"message":"stop \\"here\\""}'


def test_a_body_of_ones_own(gateway, ended):
    ended(status_code=200, body="<b/>", content_type="text/xml")
    answer = gateway.get("/ended")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"<b/>", "text/xml")
    assert gateway.fetch("HEAD", "/ended").headers["Content-Length"] == "4"


def test_a_body_without_a_type(gateway, ended):
    ended(body="x")
    answer = gateway.get("/ended")
    assert answer.body == b"x" and "Content-Type" not in answer.headers


def test_only_requests_with_the_trigger_are_ended(gateway, ended):
    ended(trigger="x_stop")
    assert gateway.get("/ended").status == 200
    for headers, target in (({"X-Stop": ""}, "/ended"), ({"x-stop": "1"}, "/ended"), ({}, "/ended?x_stop"),
                            ({}, "/ended?a=1&x%5Fstop=2")):
        assert gateway.get(target, headers).status == 503
    assert gateway.get("/ended?x_stopped=1").status == 200


def test_a_route_without_a_service_is_ended_too(gateway):
    route = gateway.create("/routes", paths=["/nothing"])
    gateway.settle()
    assert gateway.get("/nothing").json["message"] == "no Service found with those values"
    gateway.create(f"/routes/{route['id']}/plugins", name="request-termination", config={"status_code": 410, "message": "gone"})
    gateway.settle()
    answer = gateway.get("/nothing")
    assert (answer.status, answer.json) == (410, {"message": "gone"})


def test_the_request_is_shown(gateway, ended):
    service, route = ended(echo=True, status_code=404)
    answer = gateway.fetch("POST", "/ended/a?x=1&x=2&y&z=%20", {"X-A": "1", "Authorization": "Basic eA==",
                                                               "Content-Type": "application/json"}, b'{"n":[1]}',
                           host="Gate.Test:1234")
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    shown = answer.json
    assert shown["message"] == "Not found"
    assert set(shown["kong"]) == {"node_id", "worker_pid", "hostname"}
    assert shown["kong"]["worker_pid"] in gateway._family()
    assert shown["kong"]["node_id"] == gateway.admin("GET", "/").json["node_id"]
    request = shown["request"]
    assert request["scheme"] == "http"
    assert request["host"] == "gate.test"
    assert request["port"] == gateway.proxy[1]
    assert request["method"] == "POST"
    assert request["path"] == "/ended/a"
    assert request["query"] == {"x": ["1", "2"], "y": True, "z": " "}
    assert request["headers"]["x-a"] == "1" and request["headers"]["authorization"] == "Basic eA=="
    assert request["raw_body"] == '{"n":[1]}'
    assert request["body"] == {"n": [1]}
    assert request["uri_captures"] == {"unnamed": [], "named": {}}
    assert shown["matched_route"]["id"] == route["id"] and shown["matched_route"]["paths"] == ["/ended"]
    assert shown["matched_service"]["id"] == service["id"]


@pytest.mark.parametrize("content_type, body, shown", [
    ("application/x-www-form-urlencoded", b"a=1&a=2&b=%41", {"a": ["1", "2"], "b": "A"}),
    ("application/json; charset=utf-8", b"[1]", [1])])
def test_bodies_are_shown_taken_apart(gateway, ended, content_type, body, shown):
    ended(echo=True)
    answer = gateway.fetch("POST", "/ended", {"Content-Type": content_type}, body)
    assert answer.json["request"]["body"] == shown


@pytest.mark.parametrize("content_type, body", [("text/plain", b"a=1"), ("application/json", b"{"), (None, b"")])
def test_bodies_that_mean_nothing_are_shown_raw_alone(gateway, ended, content_type, body):
    ended(echo=True)
    answer = gateway.fetch("POST", "/ended", {"Content-Type": content_type} if content_type else {}, body)
    assert answer.json["request"]["raw_body"] == body.decode()
    assert "body" not in answer.json["request"]


def test_bytes_that_are_no_text_do_no_harm(gateway, ended):
    ended(echo=True)
    answer = gateway.fetch("POST", "/ended?%ff=%00", {"X-A": "\xff"}, b"\xff\x00")
    assert answer.status == 503
    assert json.loads(answer.body)["request"]["method"] == "POST"


def test_an_ipv6_host_is_shown_whole(gateway, ended):
    ended(echo=True)
    assert gateway.get("/ended", host="[::1]:9").json["request"]["host"] == "[::1]"


def test_a_large_body_is_not_waited_for(gateway, ended):
    ended(echo=True)
    answer = gateway.fetch("POST", "/ended", {"Content-Type": "application/json"}, b"[" + b"1," * 700_000 + b"1]")
    assert answer.status == 503
    assert answer.json["request"]["raw_body"] == ""


def test_it_runs_after_those_that_authenticate_and_count(gateway, ended):
    _, route = ended(status_code=200, message="told")
    for name, config in (("key-auth", {}), ("rate-limiting", {"hour": 9}), ("correlation-id", {"echo_downstream": True})):
        gateway.create(f"/routes/{route['id']}/plugins", name=name, config=config)
    gateway.create("/consumers", username="ann")
    gateway.create("/consumers/ann/key-auth", key="secret")
    gateway.settle()
    assert gateway.get("/ended").status == 401
    answer = gateway.get("/ended", {"apikey": "secret"})
    assert answer.json == {"message": "told"}
    assert answer.headers["X-RateLimit-Remaining-Hour"] == "8"
    assert answer.headers["Kong-Request-ID"]


@pytest.mark.parametrize("status", [100, 101, 199])
def test_an_interim_status_ends_the_connection(gateway, ended, status):
    ended(status_code=status)
    with gateway.client() as client:
        client.send(request_bytes("GET", "/ended"))
        head = client.reader.head()
        assert head.status == status
        assert head.headers["Connection"] == "close"
        assert client.is_closed_within(5)


def test_what_cannot_be_is_refused(gateway):
    def complaint(**config):
        answer = gateway.admin("POST", "/plugins", json={"name": "request-termination", "config": config})
        assert answer.status == 400, answer
        return answer.json["fields"]["config"]

    assert complaint(message="m", body="b") == "message cannot be used with content_type or body"
    assert complaint(content_type="text/plain") == "content_type requires a body"
    assert complaint(echo=True, body="b") == "echo cannot be used with content_type and body"
    assert complaint(status_code=600) == {"status_code": "value should be between 100 and 599"}
    assert complaint(trigger="a b")["trigger"].startswith("bad header name 'a b'")
