"""Lists of the Admin API: pages and tags."""

import urllib.parse

import pytest

from support.admin import everything, refused, service


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
