"""rate-limiting: so many requests per window, counted by whom and where the row says."""

import concurrent.futures
import datetime
import time

import pytest

from support.gateway import Gateway
from support.waiting import eventually
from support.wire import fetch


@pytest.fixture
def limited(gateway, echo):
    """limited(**config): a route with that limit."""

    def make(**config):
        made = gateway.route(echo, "/limited", settle=False)
        gateway.create(f"/routes/{made[1]['id']}/plugins", name="rate-limiting", config=config)
        gateway.settle()
        return made

    return make


@pytest.fixture
def same_hour():
    """Not in the last seconds of an hour, when a window would end under the test."""
    left = 3600 - time.time() % 3600
    if left < 10:
        time.sleep(left + 0.1)


def statuses(answers):
    return [answer.status for answer in answers]


pytestmark = pytest.mark.usefixtures("same_hour")


def test_headers_count_down_and_tell_when_to_come_back(gateway, limited):
    limited(hour=2)
    for left in ("1", "0"):
        answer = gateway.get("/limited")
        assert answer.status == 200
        assert answer.headers["X-RateLimit-Limit-Hour"] == "2"
        assert answer.headers["X-RateLimit-Remaining-Hour"] == left
        assert answer.headers["RateLimit-Limit"] == "2"
        assert answer.headers["RateLimit-Remaining"] == left
        assert abs(int(answer.headers["RateLimit-Reset"]) - (3600 - time.time() % 3600)) <= 2
        assert "Retry-After" not in answer.headers
    answer = gateway.get("/limited")
    assert answer.status == 429
    assert answer.json["message"] == "API rate limit exceeded"
    assert answer.headers["Retry-After"] == answer.headers["RateLimit-Reset"]
    assert answer.headers["X-RateLimit-Remaining-Hour"] == "0"


def test_the_tightest_of_several_periods_is_told(gateway, limited):
    limited(hour=2, day=99999, year=99999)
    for _ in range(2):
        assert gateway.get("/limited").status == 200
    answer = gateway.get("/limited")
    assert answer.status == 429
    assert answer.headers["RateLimit-Limit"] == "2"
    assert answer.headers["X-RateLimit-Remaining-Hour"] == "0"
    assert answer.headers["X-RateLimit-Remaining-Day"] == "99997"
    assert answer.headers["X-RateLimit-Remaining-Year"] == "99997"
    names = [n for n in answer.headers.names() if n.lower().startswith("x-ratelimit")]
    assert len(names) == 6


def test_a_second_later_there_is_room_again(gateway, limited):
    limited(second=2)
    time.sleep(1 - time.time() % 1 + 0.02)
    assert statuses(gateway.get("/limited") for _ in range(3)) == [200, 200, 429]
    time.sleep(1)
    assert gateway.get("/limited").status == 200


def test_clients_are_told_nothing_when_told_so(gateway, limited):
    limited(hour=1, hide_client_headers=True, error_code=403, error_message="not now")
    assert gateway.get("/limited").status == 200
    answer = gateway.get("/limited")
    assert answer.status == 403
    assert answer.json["message"] == "not now"
    assert not [n for n in answer.headers.names() if "ratelimit" in n.lower() or n.lower() == "retry-after"]


def test_a_refusal_without_words_of_its_own(gateway, limited):
    limited(hour=1, error_code=402, error_message=None)
    gateway.get("/limited")
    answer = gateway.get("/limited")
    assert (answer.status, answer.json["message"]) == (402, "Payment required")


@pytest.mark.parametrize("code", [600, 99, 1e20])
def test_an_error_code_that_is_no_status_makes_refusals_a_500(gateway, limited, code):
    limited(hour=1, error_code=code)
    assert gateway.get("/limited").status == 200
    answer = gateway.get("/limited")
    assert (answer.status, answer.json["message"]) == (500, "An unexpected error occurred")
    assert "is no status between 100 and 599" in gateway.log()


def test_consumers_are_counted_apart_and_others_by_address(gateway, echo, limited):
    _, route = limited(hour=1)
    gateway.create(f"/routes/{route['id']}/plugins", name="key-auth", config={"anonymous": "guest"})
    for name in ("ann", "bob", "guest"):
        gateway.create("/consumers", username=name)
        gateway.create(f"/consumers/{name}/key-auth", key=name)
    gateway.create("/consumers/ann/key-auth", key="ann-2")
    gateway.settle()
    assert statuses(gateway.get("/limited", {"apikey": k}) for k in ("ann", "ann-2", "bob", "bob")) == [200, 429, 200, 429]
    assert statuses(gateway.get("/limited") for _ in range(2)) == [200, 429], "the anonymous consumer is one too"


def test_credentials_are_counted_apart(gateway, limited):
    _, route = limited(hour=1, limit_by="credential")
    gateway.create(f"/routes/{route['id']}/plugins", name="key-auth")
    gateway.create("/consumers", username="ann")
    for key in ("one", "two"):
        gateway.create("/consumers/ann/key-auth", key=key)
    gateway.settle()
    assert statuses(gateway.get("/limited", {"apikey": k}) for k in ("one", "two", "one")) == [200, 200, 429]


def test_values_of_a_header_are_counted_apart(gateway, limited):
    limited(hour=1, limit_by="header", header_name="x_who")
    assert statuses(gateway.get("/limited", {"X-Who": w}) for w in ("a", "b", "a")) == [200, 200, 429]
    assert statuses(gateway.get("/limited") for _ in range(2)) == [200, 429], "without it: by address"


def test_one_path_is_counted_apart(gateway, limited):
    limited(hour=1, limit_by="path", path="/limited/a")
    assert statuses(gateway.get(p) for p in ("/limited/a", "/limited/a?x", "/limited/b", "/limited/c")) == [200, 429, 200, 429]


def test_services_are_counted_apart_by_a_row_for_all(gateway, echo):
    for name in ("one", "two"):
        gateway.route(echo, f"/{name}", service={"name": name}, settle=False)
    gateway.create("/services/one/routes", paths=["/uno"])
    gateway.create("/plugins", name="rate-limiting", config={"hour": 1, "limit_by": "service"})
    gateway.settle()
    assert statuses(gateway.get(p) for p in ("/one", "/uno", "/two", "/two")) == [200, 429, 200, 429]


def test_addresses_are_those_of_clients_behind_trusted_proxies(private, echo):
    gateway = private(trusted_ips="127.0.0.0/8", real_ip_header="X-Forwarded-For")
    gateway.route(echo, "/", settle=False)
    gateway.create("/plugins", name="rate-limiting", config={"hour": 1, "limit_by": "ip"})
    gateway.settle()
    ask = [gateway.get("/", {"X-Forwarded-For": a}) for a in ("10.0.0.1", "10.0.0.2", "10.0.0.1")]
    assert statuses(ask) == [200, 200, 429]


def test_a_row_counts_over_all_that_it_is_bound_to(gateway, echo):
    gateway.route(echo, "/a", service={"name": "one"}, settle=False)
    gateway.create("/services/one/routes", paths=["/b"])
    gateway.create("/services/one/plugins", name="rate-limiting", config={"hour": 2})
    gateway.settle()
    assert statuses(gateway.get(p) for p in ("/a", "/b", "/a")) == [200, 200, 429]


def test_a_change_of_the_limit_meets_what_was_counted(gateway, echo):
    _, route = gateway.route(echo, "/limited", settle=False)
    row = gateway.create(f"/routes/{route['id']}/plugins", name="rate-limiting", config={"hour": 1})
    gateway.settle()
    assert statuses(gateway.get("/limited") for _ in range(2)) == [200, 429]
    gateway.admin("PATCH", f"/plugins/{row['id']}", json={"config": {"hour": 3}})
    gateway.settle()
    assert statuses(gateway.get("/limited") for _ in range(3)) == [200, 200, 429]


def hammer(addresses, path, count, threads=16):
    """Requests from many connections at once; the statuses that came."""

    def ask(number):
        return fetch(addresses[number % len(addresses)], "GET", path).status

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(ask, range(count)))


@pytest.mark.parametrize("policy", ["local", "cluster"])
def test_many_clients_over_several_workers_get_exactly_the_limit(private, echo, policy):
    gateway = private(nginx_worker_processes=4)
    gateway.route(echo, "/limited", settle=False)
    gateway.create("/plugins", name="rate-limiting", config={"hour": 137, "policy": policy, "limit_by": "ip"})
    gateway.settle()
    # The row is for all routes: asking whether it is in force was counted too.
    before = int(gateway.get("/limited").headers["X-RateLimit-Remaining-Hour"])
    found = hammer([gateway.proxy], "/limited", 400)
    assert set(found) == {200, 429}
    assert found.count(200) == before


def test_two_nodes_on_one_datastore_count_together(private, program, echo):
    first = private()
    second = Gateway()
    try:
        (second.prefix / "sluice.db").symlink_to(first.prefix / "sluice.db")
        _, route = first.route(echo, "/limited", settle=False)
        first.create(f"/routes/{route['id']}/plugins", name="rate-limiting", config={"hour": 50, "policy": "cluster"})
        first.settle()
        second.start()
        eventually(lambda: second.get("/limited", {"Connection": "close"}).status in (200, 429), "the other node's routes")
        found = hammer([first.proxy, second.proxy], "/limited", 200)
        last = second.get("/limited")
        assert last.status == 429
        assert last.headers["X-RateLimit-Remaining-Hour"] == "0"
        assert found.count(200) == 49, "the one before was the fiftieth"
    finally:
        second.discard()


def test_cluster_counters_outlive_the_node(private, echo):
    gateway = private()
    _, route = gateway.route(echo, "/limited", settle=False)
    gateway.create(f"/routes/{route['id']}/plugins", name="rate-limiting", config={"hour": 2, "policy": "cluster"})
    gateway.settle()
    assert statuses(gateway.get("/limited") for _ in range(2)) == [200, 200]
    gateway.restart()
    assert gateway.get("/limited").status == 429


@pytest.mark.parametrize("tolerant", [True, False])
def test_counting_in_redis_is_said_to_be_impossible(gateway, limited, tolerant):
    """The schema takes it, as decK and migrations want; what happens then is what happens when Redis is down."""
    limited(hour=1, policy="redis", redis={"host": "127.0.0.1"}, fault_tolerant=tolerant)
    for _ in range(3):
        answer = gateway.get("/limited")
        assert answer.status == (200 if tolerant else 500)
        assert "RateLimit-Limit" not in answer.headers
        if not tolerant:
            assert answer.json["message"] == "An unexpected error occurred"
    assert "this build cannot count in Redis" in gateway.log()


def test_old_names_of_the_redis_settings_are_taken_and_told(gateway):
    row = gateway.create("/plugins", name="rate-limiting", config={
        "minute": 5, "policy": "redis", "redis_host": "redis.test", "redis_port": 1234, "redis_timeout": 5,
        "redis_database": 2, "redis_password": "", "redis_username": "u", "redis_ssl": True, "redis_ssl_verify": False,
        "redis_server_name": "tls.test"})
    told = row["config"]
    assert told["redis"] == {"host": "redis.test", "port": 1234, "timeout": 5, "database": 2, "password": "",
                             "username": "u", "ssl": True, "ssl_verify": False, "server_name": "tls.test"}
    for name, value in told["redis"].items():
        assert told[f"redis_{name}"] == value
    changed = gateway.admin("PATCH", f"/plugins/{row['id']}", json={"config": {"redis_port": 4321}})
    assert changed.json["config"]["redis"]["port"] == changed.json["config"]["redis_port"] == 4321
    assert changed.json["config"]["redis"]["host"] == "redis.test"


def test_what_cannot_be_is_refused(gateway):
    def complaint(**config):
        answer = gateway.admin("POST", "/plugins", json={"name": "rate-limiting", "config": config})
        assert answer.status == 400, answer
        return answer.json["fields"]

    assert complaint(hour=10, minute=20)["config"] == "The limit for hour(10.0) cannot be lower than the limit for minute(20.0)"
    assert complaint(hour=10, sync_rate=1)["config"] == "sync_rate can only be used with the redis policy"
    assert complaint(hour=0)["config"]["hour"] == "value must be greater than 0"
    assert complaint(hour=1, limit_by="moon")["config"]["limit_by"] == "expected one of: consumer, credential, ip, service, header, path"
    assert complaint(hour=1, limit_by="path")["config"]["path"] == "required field missing"


def test_the_window_is_that_of_the_calendar(gateway, limited):
    limited(month=5)
    now = datetime.datetime.now(datetime.timezone.utc)
    answer = gateway.get("/limited")
    passed = (now.day - 1) * 86400 + now.hour * 3600 + now.minute * 60 + now.second
    assert abs(int(answer.headers["RateLimit-Reset"]) - max(1, 30 * 86400 - passed)) <= 2


@pytest.mark.slow
def test_memory_stays_bounded_under_very_many_addresses(private, echo):
    gateway = private(trusted_ips="127.0.0.0/8", real_ip_header="X-Real-IP", nginx_worker_processes=1,
                      proxy_access_log="off")
    gateway.route(echo, "/", settle=False)
    gateway.create("/plugins", name="rate-limiting", config={"year": 1, "limit_by": "ip"})
    gateway.create("/plugins", name="request-termination", config={"status_code": 204})
    gateway.settle()
    before = None
    for batch in range(150):
        with gateway.client() as client:
            numbers = range(batch * 400, batch * 400 + 400)
            client.send(b"".join(b"GET / HTTP/1.1\r\nHost: gate.test\r\nX-Real-IP: 10.%d.%d.%d\r\n\r\n"
                                 % (n >> 16, n >> 8 & 255, n & 255) for n in numbers))
            for n in numbers:
                assert client.answer().status == 204, n
        if batch == 24:
            before = gateway.memory()
    # 50,000 more counters of 32 bytes each, in tables up to four times as large.
    assert gateway.memory() - before < 12 << 20
