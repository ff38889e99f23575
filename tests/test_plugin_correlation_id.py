"""correlation-id: one name for a request, here and behind."""

import json
import re

import pytest

from support.waiting import eventually
from support.wire import request_bytes

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture
def named(gateway, echo):
    def make(**config):
        made = gateway.route(echo, "/named", settle=False)
        gateway.create(f"/routes/{made[1]['id']}/plugins", name="correlation-id", config=config)
        gateway.settle()
        return made

    return make


def test_by_default_ids_are_counted(gateway, named):
    named()
    with gateway.client() as client:
        seen = []
        for _ in range(3):
            answer = client.ask(request_bytes("GET", "/named"))
            assert "Kong-Request-ID" not in answer.headers
            seen.append(re.fullmatch(rf"({UUID})#(\d+)", answer.json["headers"]["kong-request-id"]).groups())
    assert len({worker for worker, _ in seen}) == 1
    first = int(seen[0][1])
    assert [int(number) for _, number in seen] == [first, first + 1, first + 2]


def test_an_id_may_be_a_uuid(gateway, named):
    named(generator="uuid", header_name="X-Trace")
    ids = {gateway.get("/named").json["headers"]["x-trace"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch(UUID, each) for each in ids)


def test_an_id_may_tell_where_it_was_made(gateway, named):
    named(generator="tracker")
    with gateway.client() as client:
        ids = [client.ask(request_bytes("GET", "/named")).json["headers"]["kong-request-id"] for _ in range(2)]
    found = [re.fullmatch(r"127\.0\.0\.1-(\d+)-(\d+)-(\d+)-(\d+)-\d{10}\.\d{3}", each).groups() for each in ids]
    assert found[0][0] == str(gateway.proxy[1])
    assert int(found[0][1]) in gateway._family()
    assert found[0][2] == found[1][2], "the same connection"
    assert [each[3] for each in found] == ["1", "2"]


def test_an_id_that_comes_is_kept(gateway, named):
    named(echo_downstream=True)
    answer = gateway.get("/named", {"KONG-request-id": "mine"})
    assert answer.json["headers"]["kong-request-id"] == "mine"
    assert answer.headers["Kong-Request-ID"] == "mine"
    for blank in ("", "  "):
        answer = gateway.get("/named", {"Kong-Request-ID": blank})
        assert re.fullmatch(rf"{UUID}#\d+", answer.json["headers"]["kong-request-id"])
        assert answer.headers["Kong-Request-ID"] == answer.json["headers"]["kong-request-id"]


def test_an_upstreams_header_of_that_name_is_replaced(gateway, upstream):
    origin = upstream(b"HTTP/1.1 200 OK\r\nKong-Request-ID: theirs\r\nContent-Length: 0\r\n\r\n")
    _, route = gateway.route(origin, "/named", settle=False)
    gateway.create(f"/routes/{route['id']}/plugins", name="correlation-id", config={"echo_downstream": True})
    gateway.settle()
    assert gateway.get("/named", {"Kong-Request-ID": "mine"}).headers.all("Kong-Request-ID") == ["mine"]


def test_answers_of_the_gateway_carry_it_too(gateway, named):
    _, route = named(echo_downstream=True)
    gateway.create(f"/routes/{route['id']}/plugins", name="key-auth")
    gateway.settle()
    answer = gateway.get("/named", {"Kong-Request-ID": "mine"})
    assert answer.status == 401
    assert answer.headers["Kong-Request-ID"] == "mine"


def test_a_row_for_all_names_answers_from_before_the_route_was_known(gateway, named):
    gateway.create("/plugins", name="correlation-id", config={"echo_downstream": True, "generator": "uuid"})
    gateway.settle()
    answer = gateway.get("/nowhere")
    assert answer.status == 404
    assert re.fullmatch(UUID, answer.headers["Kong-Request-ID"])
    assert gateway.get("/nowhere", {"Kong-Request-ID": "mine"}).headers["Kong-Request-ID"] == "mine"
    with gateway.client() as client:
        broken = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    assert broken.status == 400
    assert re.fullmatch(UUID, broken.headers["Kong-Request-ID"])


def test_the_log_knows_it(gateway, named):
    named()
    log = gateway.directory / "correlated.log"
    gateway.create("/plugins", name="file-log", config={"path": str(log)})
    gateway.settle()
    gateway.get("/named", {"Kong-Request-ID": "mine"})

    def found():
        records = [json.loads(line) for line in log.read_text().splitlines()]
        return [r for r in records if r["request"]["uri"] == "/named"]

    assert eventually(found, "the record")[0]["correlation_id"] == "mine"


def test_generators_and_names_are_checked(gateway):
    def complaint(**config):
        answer = gateway.admin("POST", "/plugins", json={"name": "correlation-id", "config": config})
        assert answer.status == 400, answer
        return answer.json["fields"]["config"]

    assert complaint(generator="x") == {"generator": "expected one of: uuid, uuid#counter, tracker"}
    assert complaint(generator=None) == {"generator": "required field missing"}
    assert "header_name" in complaint(header_name="a: b\r\nc")
