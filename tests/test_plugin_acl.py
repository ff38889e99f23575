"""acl: which groups of consumers may pass."""

import pytest

from support.waiting import eventually


@pytest.fixture
def listed(gateway, echo):
    """listed(**config): a route with key-auth and acl. ann: friends, family. bob: no group. guest: anonymous."""

    def make(anonymous=False, authenticated=True, **config):
        _, route = gateway.route(echo, "/listed", settle=False)
        for name in ("ann", "bob", "guest"):
            gateway.create("/consumers", username=name)
            gateway.create(f"/consumers/{name}/key-auth", key=name)
        for group in ("friends", "family"):
            gateway.create("/consumers/ann/acls", group=group)
        key_auth = {"anonymous": "guest"} if anonymous else {}
        if authenticated:
            gateway.create(f"/routes/{route['id']}/plugins", name="key-auth", config=key_auth)
        gateway.create(f"/routes/{route['id']}/plugins", name="acl", config=config)
        gateway.settle()

    def ask(who=None):
        return gateway.get("/listed", {"apikey": who} if who else {})

    make.ask = ask
    return make


def refused(answer, status, message):
    assert answer.status == status, answer
    assert answer.json["message"] == message
    assert "WWW-Authenticate" not in answer.headers


FORBIDDEN = (403, "You cannot consume this service")


def test_allowed_groups_pass(listed):
    listed(allow=["friends"])
    answer = listed.ask("ann")
    assert answer.status == 200
    assert set(answer.json["headers"]["x-consumer-groups"].split(", ")) == {"friends", "family"}
    refused(listed.ask("bob"), *FORBIDDEN)


def test_denied_groups_do_not_pass(listed):
    listed(deny=["family"])
    refused(listed.ask("ann"), *FORBIDDEN)
    answer = listed.ask("bob")
    assert answer.status == 200
    # A space for Kong; blanks around a value are no part of it.
    assert answer.json["headers"]["x-consumer-groups"].strip() == ""


def test_the_groups_can_be_kept_from_the_upstream(listed):
    listed(allow=["friends"], hide_groups_header=True)
    answer = listed.ask("ann")
    assert answer.status == 200
    assert "x-consumer-groups" not in answer.json["headers"]


def test_nobody_in_particular_is_unauthorized(listed):
    listed(authenticated=False, deny=["friends"])
    refused(listed.ask(), 401, "Unauthorized")


def test_an_anonymous_consumer_without_groups(listed):
    listed(anonymous=True, allow=["friends"])
    refused(listed.ask(), 401, "Unauthorized")
    refused(listed.ask("bob"), *FORBIDDEN)
    assert listed.ask("ann").status == 200


def test_an_anonymous_consumer_has_groups_like_any_other(gateway, listed):
    listed(anonymous=True, allow=["visitors"])
    gateway.create("/consumers/guest/acls", group="visitors")
    eventually(lambda: listed.ask().status == 200, "the new group counts", 1)
    assert listed.ask().json["headers"]["x-consumer-groups"] == "visitors"


def test_an_anonymous_consumer_passes_where_only_some_are_denied(listed):
    listed(anonymous=True, deny=["friends"])
    assert listed.ask().status == 200


def test_groups_count_as_soon_as_they_come_and_go(gateway, listed):
    listed(allow=["club"])
    refused(listed.ask("bob"), *FORBIDDEN)
    gateway.create("/consumers/bob/acls", group="club")
    eventually(lambda: listed.ask("bob").status == 200, "the new group counts", 1)
    assert gateway.admin("PATCH", "/consumers/bob/acls/club", json={"group": "other"}).status == 200
    eventually(lambda: listed.ask("bob").status == 403, "a renamed group does not", 1)
    assert gateway.admin("PUT", "/consumers/bob/acls/club", json={}).status == 200
    eventually(lambda: listed.ask("bob").status == 200, "the group again", 1)
    assert gateway.admin("DELETE", "/consumers/bob/acls/club").status == 204
    eventually(lambda: listed.ask("bob").status == 403, "the group is gone", 1)


def test_a_consumer_is_in_a_group_once(gateway, listed):
    listed(allow=["friends"])
    again = gateway.admin("POST", "/consumers/ann/acls", json={"group": "friends"})
    assert again.status == 409
    assert again.json["name"] == "unique constraint violation"


def test_exactly_one_of_the_lists_is_wanted(gateway):
    both = gateway.admin("POST", "/plugins", json={"name": "acl", "config": {"allow": ["a"], "deny": ["b"]}})
    assert both.status == 400
    assert ("exactly one of these fields must be non-empty: 'config.allow', 'config.deny'"
            in both.json["fields"]["@entity"])
    for config in ({}, {"allow": []}):
        none = gateway.admin("POST", "/plugins", json={"name": "acl", "config": config})
        assert none.status == 400
        assert ("at least one of these fields must be non-empty: 'config.allow', 'config.deny'"
                in none.json["fields"]["@entity"])


def test_many_groups_are_all_known(gateway, listed):
    listed(allow=["group-1234"])
    for number in range(1200, 1240):
        gateway.create("/consumers/bob/acls", group=f"group-{number}")
    eventually(lambda: listed.ask("bob").status == 200, "the groups count", 1)
    assert len(listed.ask("bob").json["headers"]["x-consumer-groups"].split(", ")) == 40


def test_groups_cannot_forge_headers(gateway, listed):
    listed(allow=["evil\r\nX-Admin: yes"])
    gateway.create("/consumers/bob/acls", group="evil\r\nX-Admin: yes")
    eventually(lambda: listed.ask("bob").status == 200, "the group counts", 1)
    assert "x-admin" not in listed.ask("bob").json["headers"]
