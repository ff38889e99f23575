"""The `ssl` plugin of the 0.9 generation, over today's certificates."""

import pytest

from support.certificates import certificate


@pytest.fixture
def api(gateway, echo):
    return gateway.create("/apis", name="old", request_host="a.test", upstream_url=echo.url)


def add(gateway, pair=None, **config):
    pair = pair or certificate()
    return gateway.create("/apis/old/plugins", name="ssl", config={"cert": pair.cert, "key": pair.key, **config})


def test_it_is_a_certificate_for_the_hosts_of_the_api(gateway, api):
    pair = certificate()
    made = add(gateway)
    assert made == {"id": made["id"], "name": "ssl", "api_id": api["id"], "created_at": made["created_at"], "enabled": True,
                    "config": {"cert": pair.cert, "key": pair.key, "only_https": False, "accept_http_if_already_terminated": False}}
    assert made["created_at"] % 1000 == 0
    assert gateway.admin("GET", f"/apis/old/plugins/{made['id']}").json == made
    row = gateway.admin("GET", "/certificates/a.test").json
    assert (row["id"], row["cert"], row["key"], row["snis"]) == (made["id"], pair.cert, pair.key, ["a.test"])
    assert gateway.admin("GET", "/plugins").json["data"] == []


def test_it_comes_in_a_form_as_its_page_said(gateway, api):
    """curl -X POST http://kong:8001/apis/{api}/plugins --data name=ssl -F config.cert=@cert.pem -F config.only_https=true"""
    pair = certificate()
    parts = [("name", "ssl"), ("config.cert", pair.cert), ("config.key", pair.key), ("config.only_https", "true")]
    body = "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"; filename="f"\r\n\r\n{v}\r\n' for n, v in parts) + "--x--\r\n"
    answer = gateway.admin("POST", "/apis/old/plugins/", raw=(body, "multipart/form-data; boundary=x"))
    assert answer.status == 201 and answer.json["config"]["only_https"] is True
    gateway.admin("DELETE", f"/apis/old/plugins/{answer.json['id']}")
    answer = gateway.admin("POST", "/apis/old/plugins/", form=parts)
    assert answer.status == 201 and answer.json["config"]["cert"] == pair.cert


def test_it_is_in_the_list_with_the_others(gateway, api):
    made = add(gateway)
    others = [gateway.create("/apis/old/plugins", name=name) for name in ("key-auth", "correlation-id")]
    listed = gateway.admin("GET", "/apis/old/plugins").json
    assert listed["total"] == 3 and listed["data"] == sorted(others + [made], key=lambda row: row["id"])
    assert gateway.admin("GET", "/apis/old/plugins?name=ssl").json == {"data": [made], "total": 1}
    seen, path = [], "/apis/old/plugins?size=1"
    while path:
        page = gateway.admin("GET", path).json
        seen += [row["id"] for row in page["data"]]
        path = "/" + page["next"].split("/", 3)[3] if "next" in page else None
    assert seen == sorted(seen) and len(seen) == 3


def test_only_https_asks_for_https(gateway, api):
    made = add(gateway, only_https=True)
    assert gateway.admin("GET", "/apis/old").json["https_only"] is True
    gateway.settle()
    answer = gateway.get("/", host="a.test")
    assert answer.status == 426 and answer.json["message"] == "Please use HTTPS protocol"
    assert gateway.admin("PATCH", f"/apis/old/plugins/{made['id']}", form={"config.only_https": "false"}).json["config"]["only_https"] is False
    gateway.settle()
    assert gateway.get("/", host="a.test").status == 200


def test_what_was_told_the_api_is_told_by_the_plugin(gateway, api):
    made = add(gateway, only_https=True, accept_http_if_already_terminated=True)
    assert gateway.admin("GET", "/apis/old").json["http_if_terminated"] is True
    gateway.admin("PATCH", "/apis/old", json={"https_only": False})
    config = gateway.admin("GET", f"/apis/old/plugins/{made['id']}").json["config"]
    assert config["only_https"] is False and config["accept_http_if_already_terminated"] is True


def test_an_api_that_wants_https_by_itself_keeps_that(gateway, api):
    gateway.admin("PATCH", "/apis/old", json={"https_only": True})
    made = add(gateway)
    assert made["config"]["only_https"] is True
    assert gateway.admin("GET", "/apis/old").json["https_only"] is True


def test_names_follow_the_hosts(gateway, api):
    add(gateway)
    assert gateway.admin("PATCH", "/apis/old", json={"hosts": ["b.test", "*.c.test", "10.0.0.1"]}).status == 200
    assert sorted(row["name"] for row in gateway.admin("GET", "/snis").json["data"]) == ["*.c.test", "b.test"]


def test_a_disabled_one_shows_no_certificate_and_asks_for_nothing(gateway, api):
    made = add(gateway, only_https=True)
    off = gateway.admin("PATCH", f"/apis/old/plugins/{made['id']}", json={"enabled": False})
    assert off.status == 200 and off.json["enabled"] is False and off.json["config"]["only_https"] is True
    assert gateway.admin("GET", "/snis").json["data"] == [] and gateway.admin("GET", "/apis/old").json["https_only"] is False
    on = gateway.admin("PATCH", f"/apis/old/plugins/{made['id']}", json={"enabled": True})
    assert on.json == {**off.json, "enabled": True}
    assert gateway.admin("GET", "/certificates/a.test").status == 200 and gateway.admin("GET", "/apis/old").json["https_only"] is True


def test_it_is_changed_and_replaced(gateway, api):
    made, other = add(gateway, only_https=True), certificate(number=1)
    path = f"/apis/old/plugins/{made['id']}"
    changed = gateway.admin("PATCH", path, json={"config": {"cert": other.cert, "key": other.key}})
    assert changed.status == 200 and changed.json == {**made, "config": {**made["config"], "cert": other.cert, "key": other.key}}
    shown = {**changed.json, "config": {"cert": other.cert, "key": other.key, "_cert_der_cache": "x", "_key_der_cache": "y"}}
    replaced = gateway.admin("PUT", "/apis/old/plugins", json=shown)
    assert replaced.status == 200 and replaced.json["id"] == made["id"] and replaced.json["config"]["only_https"] is False
    assert gateway.admin("PATCH", path, json={"name": "key-auth"}).json == {"name": "name cannot be updated"}
    assert gateway.admin("PATCH", path, json={"id": api["id"]}).json == {"id": "id cannot be updated"}
    assert gateway.admin("PATCH", path, json={}).json == {"message": "empty body"}


def test_it_goes_and_its_certificate_with_it(gateway, api):
    made = add(gateway, only_https=True)
    assert gateway.admin("DELETE", f"/apis/old/plugins/{made['id']}").status == 204
    assert gateway.admin("GET", "/certificates").json["data"] == [] and gateway.admin("GET", "/snis").json["data"] == []
    assert gateway.admin("GET", "/apis/old").json["https_only"] is False
    assert gateway.admin("DELETE", f"/apis/old/plugins/{made['id']}").status == 404
    add(gateway)
    assert gateway.admin("DELETE", "/apis/old").status == 204
    assert gateway.admin("GET", "/certificates").json["data"] == [] and gateway.admin("GET", "/snis").json["data"] == []


def test_what_is_wrong_is_told_in_the_words_of_that_generation(gateway, api):
    pair, other = certificate(), certificate(number=1)

    def refused(status, said, config, **more):
        answer = gateway.admin("POST", "/apis/old/plugins", json={"name": "ssl", "config": config, **more})
        assert (answer.status, answer.json) == (status, said)

    refused(400, {"config.cert": "cert is required", "config.key": "key is required"}, {})
    refused(400, {"config.cert": "Invalid SSL certificate", "config.key": "Invalid SSL certificate key"}, {"cert": "x", "key": "y"})
    refused(400, {"message": "certificate does not match key"}, {"cert": pair.cert, "key": other.key})
    good = {"cert": pair.cert, "key": pair.key}
    refused(400, {"config.only_https": "only_https is not a boolean"}, {**good, "only_https": 7})
    refused(400, {"config.x": "x is an unknown field"}, {**good, "x": 1})
    refused(400, {"config": "config is not a table"}, "x")
    refused(400, {"message": "No consumer can be configured for that plugin"}, good, consumer_id=api["id"])
    add(gateway)
    refused(409, {"name": "already exists with value 'ssl'"}, good)


def test_a_host_whose_name_another_certificate_has(gateway, api):
    pair = certificate(number=1)
    taken = gateway.create("/certificates", cert=pair.cert, key=pair.key, snis=["a.test"])
    answer = gateway.admin("POST", "/apis/old/plugins", json={"name": "ssl", "config": {"cert": pair.cert, "key": pair.key}})
    assert answer.status == 400
    assert answer.json == {"snis": f"a.test already associated with existing certificate '{taken['id']}'"}
    assert gateway.admin("GET", "/apis/old/plugins").json["total"] == 0


def test_of_another_api_it_is_not_found(gateway, api, echo):
    made = add(gateway)
    gateway.create("/apis", name="new", request_host="b.test", upstream_url=echo.url)
    for method, body in [("GET", None), ("PATCH", {"enabled": False}), ("DELETE", None)]:
        assert gateway.admin(method, f"/apis/new/plugins/{made['id']}", json=body).status == 404
    assert gateway.admin("GET", "/apis/new/plugins").json["total"] == 0
