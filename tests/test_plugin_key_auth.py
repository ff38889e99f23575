"""key-auth: who asks, by a key in a header, the query string or the body."""

import json
import time

import pytest

from support.waiting import eventually
from support.wire import chunks, request_bytes


@pytest.fixture
def guarded(gateway, echo):
    """guarded(**config): a route that wants a key; the consumer `ann` has the key `secret`."""

    def make(**config):
        _, route = gateway.route(echo, "/guarded", settle=False)
        gateway.create("/consumers", username="ann", custom_id="ann-1")
        key = gateway.create("/consumers/ann/key-auth", key="secret")
        gateway.create(f"/routes/{route['id']}/plugins", name="key-auth", config=config)
        gateway.settle()
        return key

    return make


def refused(answer, message, challenge="Key"):
    assert answer.status == 401, answer
    assert answer.json["message"] == message
    assert len(answer.json["request_id"]) == 32
    assert answer.headers["WWW-Authenticate"] == challenge


def test_a_key_in_a_header_or_the_query_lets_in(gateway, guarded):
    key = guarded()
    for answer in (gateway.get("/guarded", {"apikey": "secret"}), gateway.get("/guarded", {"ApiKey": "secret"}),
                   gateway.get("/guarded?apikey=secret"), gateway.get("/guarded?a=1&api%6bey=sec%72et&b=2")):
        assert answer.status == 200, answer
        seen = answer.json["headers"]
        assert seen["x-consumer-username"] == "ann"
        assert seen["x-consumer-custom-id"] == "ann-1"
        assert seen["x-consumer-id"] == key["consumer"]["id"]
        assert seen["x-credential-identifier"] == key["id"]
        assert "x-anonymous-consumer" not in seen


def test_what_is_no_key_is_refused_with_its_reason(gateway, guarded):
    guarded()
    refused(gateway.get("/guarded"), "No API key found in request")
    refused(gateway.get("/guarded", {"apikey": ""}), "No API key found in request")
    refused(gateway.get("/guarded?apikey="), "No API key found in request")
    refused(gateway.get("/guarded?apikey"), "No API key found in request")
    refused(gateway.get("/guarded?apikey[]=secret"), "No API key found in request")
    refused(gateway.get("/guarded", {"apikey": "wrong"}), "Unauthorized")
    refused(gateway.get("/guarded?apikey=secret&apikey=secret"), "Duplicate API key found")
    refused(gateway.get("/guarded?apikey&apikey=secret"), "Duplicate API key found")
    refused(gateway.get("/guarded", [("apikey", "secret"), ("apikey", "secret")]), "Duplicate API key found")
    # A header that is there, if empty, ends the search.
    refused(gateway.get("/guarded?apikey=secret", {"apikey": ""}), "No API key found in request")


def test_the_realm_is_told(gateway, guarded):
    guarded(realm="here")
    refused(gateway.get("/guarded"), "No API key found in request", 'Key realm="here"')
    refused(gateway.get("/guarded", {"apikey": "x"}), "Unauthorized", 'Key realm="here"')


def test_the_first_name_that_is_there_decides(gateway, guarded):
    guarded(key_names=["x-first", "x_second"])
    assert gateway.get("/guarded", {"X-Second": "secret"}).status == 200
    assert gateway.get("/guarded?x_second=secret").status == 200
    assert gateway.get("/guarded?x-second=secret").status == 401
    assert gateway.get("/guarded", {"x-first": "secret", "x-second": "wrong"}).status == 200
    refused(gateway.get("/guarded", {"x-first": "wrong", "x-second": "secret"}), "Unauthorized")
    assert gateway.get("/guarded?x-first&x_second=secret").status == 200


def test_places_can_be_ruled_out(gateway, guarded):
    guarded(key_in_header=False)
    assert gateway.get("/guarded", {"apikey": "secret"}).status == 401
    assert gateway.get("/guarded?apikey=secret").status == 200
    body = b"apikey=secret"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert gateway.fetch("POST", "/guarded", form, body).status == 401


MULTIPART = (b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
             b'--XX\r\nContent-Disposition: form-data; name="apikey"\r\n\r\nsecret\r\n--XX--\r\n')
BODIES = [("application/x-www-form-urlencoded", b"a=1&apikey=secret", b"a=1"),
          ("application/json", b'{"a":1,"apikey":"secret"}', b'{"a":1}'),
          ("multipart/form-data; boundary=XX", MULTIPART, MULTIPART[:MULTIPART.index(b"--XX", 4)] + b"--XX--\r\n")]


@pytest.mark.parametrize("content_type, body, rest", BODIES, ids=["form", "json", "multipart"])
def test_a_key_in_the_body_lets_in(gateway, guarded, content_type, body, rest):
    guarded(key_in_body=True)
    answer = gateway.fetch("POST", "/guarded", {"Content-Type": content_type}, body)
    assert answer.status == 200
    assert answer.json["body"].encode() == body


@pytest.mark.parametrize("content_type, body, rest", BODIES, ids=["form", "json", "multipart"])
def test_a_key_in_the_body_can_be_hidden(gateway, guarded, content_type, body, rest):
    guarded(key_in_body=True, hide_credentials=True)
    answer = gateway.fetch("POST", "/guarded", {"Content-Type": content_type}, body)
    assert answer.status == 200
    assert answer.json["body"].encode() == rest
    assert answer.json["headers"]["content-length"] == str(len(rest))


def test_a_body_that_cannot_be_read_has_no_key(gateway, guarded):
    guarded(key_in_body=True)
    for content_type, body in (("text/plain", b"apikey=secret"), ("application/json", b'{"apikey":"secret"'),
                               ("application/json", b'["secret"]'), ("multipart/form-data", MULTIPART)):
        refused(gateway.fetch("POST", "/guarded", {"Content-Type": content_type}, body), "No API key found in request")


def test_a_body_goes_through_whole_when_the_key_is_elsewhere(gateway, guarded):
    guarded(key_in_body=True)
    body = b"x" * 9_000_000  # more than is looked into
    answer = gateway.fetch("POST", "/guarded", {"apikey": "secret", "Content-Type": "text/plain"}, body)
    assert answer.status == 200
    assert len(answer.json["body"]) == len(body)


def test_deep_json_is_left_alone(gateway, guarded):
    guarded(key_in_body=True, hide_credentials=True)
    deep = "[" * 500 + "]" * 500
    body = ('{"apikey":"secret","deep":%s}' % deep).encode()
    answer = gateway.fetch("POST", "/guarded", {"Content-Type": "application/json"}, body)
    assert answer.status == 200
    assert answer.json["body"] == '{"deep":%s}' % deep
    bottomless = ('{"apikey":"secret","deep":%s}' % ("[" * 100_000 + "]" * 100_000)).encode()
    answer = gateway.fetch("POST", "/guarded", {"Content-Type": "application/json"}, bottomless)
    refused(answer, "No API key found in request")


def test_a_hidden_key_leaves_no_trace_anywhere(gateway, guarded):
    guarded(hide_credentials=True, key_in_body=True)
    form = {"Content-Type": "application/x-www-form-urlencoded", "APIKEY": "secret"}
    answer = gateway.fetch("POST", "/guarded?z=%201&apikey=other&%61pikey=2&y", form, b"a=%201&apikey=third")
    assert answer.status == 200
    assert answer.json["target"] == "/?z=%201&y"
    assert "apikey" not in answer.json["headers"]
    assert answer.json["body"] == "a=%201"


def test_a_chunked_body_with_a_hidden_key_keeps_its_framing(gateway, guarded):
    guarded(hide_credentials=True, key_in_body=True)
    head = request_bytes("POST", "/guarded", {"Content-Type": "application/x-www-form-urlencoded",
                                              "Transfer-Encoding": "chunked", "Trailer": "X-T"})
    with gateway.client() as client:
        for _ in range(2):
            answer = client.ask(head + chunks(b"apikey=sec", b"ret&a=1", trailers="X-T: 1\r\n"), "POST")
            assert answer.status == 200
            assert answer.json["body"] == "a=1"
            assert answer.json["headers"]["content-length"] == "3"
            assert "transfer-encoding" not in answer.json["headers"]


def test_preflight_requests_may_go_without(gateway, guarded):
    guarded(run_on_preflight=False)
    answer = gateway.fetch("OPTIONS", "/guarded", {"X-Consumer-Username": "mine"})
    assert answer.status == 200
    assert answer.json["headers"]["x-consumer-username"] == "mine", "the plugin has not run"
    assert gateway.get("/guarded").status == 401


def test_preflight_requests_need_a_key_by_default(gateway, guarded):
    guarded()
    assert gateway.fetch("OPTIONS", "/guarded").status == 401


@pytest.mark.parametrize("by", ["username", "id"])
def test_without_a_key_one_is_the_anonymous_consumer(gateway, guarded, by):
    guest = gateway.create("/consumers", username="guest")
    guarded(anonymous=guest[by], hide_credentials=True)
    lies = {"X-Credential-Identifier": "lie", "X-Consumer-Custom-ID": "lie", "X-Anonymous-Consumer": "false"}
    for answer in (gateway.get("/guarded", lies), gateway.get("/guarded", {**lies, "apikey": "wrong"}),
                   gateway.get("/guarded?apikey=a&apikey=b", lies)):
        assert answer.status == 200, answer
        seen = answer.json["headers"]
        assert seen["x-consumer-username"] == "guest"
        assert seen["x-consumer-id"] == guest["id"]
        assert seen["x-anonymous-consumer"] == "true"
        assert "x-credential-identifier" not in seen and "x-consumer-custom-id" not in seen
        assert "apikey" not in seen
    seen = gateway.get("/guarded", {**lies, "apikey": "secret"}).json["headers"]
    assert seen["x-consumer-username"] == "ann"
    assert "x-anonymous-consumer" not in seen


def test_a_custom_id_names_no_anonymous_consumer(gateway, guarded):
    guarded(anonymous="ann-1")
    answer = gateway.get("/guarded")
    assert answer.status == 500
    assert answer.json["message"] == "An unexpected error occurred"
    assert "WWW-Authenticate" not in answer.headers


def test_a_key_works_at_once_and_not_after_it_is_gone(gateway, guarded):
    guarded()
    assert gateway.get("/guarded", {"apikey": "late"}).status == 401
    made = gateway.create("/consumers/ann/key-auth", key="late")
    eventually(lambda: gateway.get("/guarded", {"apikey": "late"}).status == 200, "the key works", 1)
    gateway.admin("PATCH", f"/key-auths/{made['id']}", json={"key": "later"})
    eventually(lambda: gateway.get("/guarded", {"apikey": "late"}).status == 401, "the old text is forgotten", 1)
    assert gateway.get("/guarded", {"apikey": "later"}).status == 200
    assert gateway.admin("DELETE", "/consumers/ann/key-auth/later").status == 204
    eventually(lambda: gateway.get("/guarded", {"apikey": "later"}).status == 401, "the key is forgotten", 1)
    assert gateway.admin("DELETE", "/consumers/ann").status == 204
    eventually(lambda: gateway.get("/guarded", {"apikey": "secret"}).status == 401, "keys go with their consumer", 1)


def test_a_key_lives_as_long_as_it_is_given(gateway, guarded):
    guarded()
    gateway.create("/consumers/ann/key-auth", key="short", ttl=1)
    assert gateway.get("/guarded", {"apikey": "short"}).status == 200
    time.sleep(1.1)
    eventually(lambda: gateway.get("/guarded", {"apikey": "short"}).status == 401, "the key has expired", 2)
    assert gateway.admin("GET", "/key-auths/short").status == 404


def test_two_plugins_that_must_both_agree(gateway, echo):
    """Without `anonymous` a plugin asks for itself, whoever has authenticated before."""
    service, route = gateway.route(echo, "/both", settle=False)
    gateway.create("/consumers", username="ann")
    gateway.create("/consumers/ann/key-auth", key="secret")
    gateway.create("/plugins", name="key-auth", config={"key_names": ["x-all"]})
    gateway.create(f"/routes/{route['id']}/plugins", name="key-auth", config={"key_names": ["x-route"]})
    gateway.settle()
    assert gateway.get("/both", {"x-all": "secret"}).status == 401, "the route's row is the only one that runs"
    assert gateway.get("/both", {"x-route": "secret"}).status == 200


def test_names_of_consumers_cannot_forge_headers(gateway, guarded):
    guest = gateway.create("/consumers", username="guest\r\nX-Admin: yes")
    guarded(anonymous=guest["id"])
    answer = gateway.get("/guarded")
    assert answer.status == 200
    assert "x-admin" not in answer.json["headers"]


def test_a_refusal_speaks_as_the_client_wants_it(gateway, guarded):
    guarded()
    answer = gateway.get("/guarded", {"Accept": "text/plain"})
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("No API key found in request\nrequest_id: ")
    assert json.loads(gateway.get("/guarded", {"Accept": "image/png"}).body)["message"] == "No API key found in request"
