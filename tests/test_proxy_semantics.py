"""What the proxy says and sends where Kong's clients rely on it: protocols, redirects, attempts, names."""

import threading
import time

import pytest

from support.dns import A, SERVER_FAILURE, SRV, NameServer
from support.gateway import free_port
from support.upstreams import plain

BAD_GATEWAY = "An invalid response was received from the upstream server"


# -- protocols of a route


@pytest.mark.parametrize("protocol", ["grpc", "grpcs"])
def test_a_grpc_route_takes_only_grpc_and_only_over_http_2(gateway, echo, protocol):
    service = gateway.create("/services", host="127.0.0.1", port=echo.port, protocol="grpc")
    gateway.create(f"/services/{service['id']}/routes", protocols=[protocol], hosts=["grpc.test"], strip_path=False)
    gateway.settle()
    plain_text = gateway.fetch("POST", "/a.B/c", {"Content-Type": "text/plain"}, host="grpc.test")
    assert (plain_text.status, plain_text.json["message"]) == (415, "Non-gRPC request matched gRPC route")
    old = gateway.fetch("POST", "/a.B/c", {"Content-Type": "application/grpc"}, host="grpc.test")
    assert (old.status, old.json["message"]) == (426, "Please use HTTP2 protocol")
    assert old.headers["upgrade"] == "HTTP/2" and old.headers["connection"].lower() == "upgrade"


def test_a_redirect_to_https_names_the_host_in_lower_case_without_port_and_the_whole_target(gateway, echo):
    gateway.route(echo, "/secure", protocols=["https"], https_redirect_status_code=301)
    answer = gateway.get("/secure/a%2Fb//c?d=e", host="Gate.Test:8000")
    assert (answer.status, answer.headers["location"]) == (301, "https://gate.test/secure/a%2Fb//c?d=e")
    assert answer.body == b""
    assert gateway.get("/secure", host="[::1]:8000").headers["location"] == "https://[::1]/secure"


def test_a_trusted_peer_says_whether_the_client_used_https(private, echo):
    gateway = private(trusted_ips="127.0.0.1")
    gateway.route(echo, "/secure", protocols=["https"], https_redirect_status_code=302)
    assert gateway.get("/secure", {"X-Forwarded-Proto": "https"}).status == 200
    away = gateway.get("/secure", {"X-Forwarded-Host": "outer.test"})
    assert (away.status, away.headers["location"]) == (302, "https://outer.test/secure")


def test_an_untrusted_peer_cannot_say_that_the_client_used_https(gateway, echo):
    gateway.route(echo, "/secure", protocols=["https"])
    answer = gateway.get("/secure", {"X-Forwarded-Proto": "https"})
    assert (answer.status, answer.json["message"]) == (426, "Please use HTTPS protocol")
    assert answer.headers["upgrade"] == "TLS/1.2, HTTP/1.1"


# -- headers


def test_headers_for_request_debugging_stay_behind(gateway, echo):
    gateway.route(echo)
    seen = gateway.get("/", {"X-Kong-Request-Debug": "*", "X-Kong-Request-Debug-Token": "secret", "X-Kong": "1"}).json["headers"]
    assert [name for name in seen if name.startswith("x-kong")] == ["x-kong", "x-kong-request-id"]


def test_answer_headers_are_those_asked_for(private, echo, upstream):
    gateway = private(headers="X-Kong-Upstream-Status,latency_tokens", headers_upstream="off", allow_debug_header="on")
    service, route = gateway.route(echo, "/up", name="r", service={"name": "s"})
    gateway.route("http://127.0.0.1:1", "/dead", service={"retries": 0})
    good = gateway.get("/up", {"Kong-Debug": "1"})
    own = {name.lower() for name in good.headers.names() if name.lower().startswith(("x-kong", "via", "kong-"))}
    assert own == {"x-kong-upstream-status", "x-kong-upstream-latency", "x-kong-proxy-latency", "kong-route-id",
                   "kong-route-name", "kong-service-id", "kong-service-name"}
    assert good.headers["x-kong-upstream-status"] == "200"
    assert (good.headers["kong-route-id"], good.headers["kong-service-name"]) == (route["id"], "s")
    assert "x-kong-request-id" not in good.json["headers"]
    dead = gateway.get("/dead")
    assert (dead.status, dead.headers["x-kong-upstream-status"]) == (502, "502")
    nowhere = gateway.get("/nowhere")
    assert "server" not in nowhere.headers and "x-kong-response-latency" in nowhere.headers
    assert not {"x-kong-upstream-status", "x-kong-request-id", "via"} & {n.lower() for n in nowhere.headers.names()}


def test_the_client_behind_trusted_peers_is_found_in_forwarded_for(private, echo):
    gateway = private(trusted_ips="127.0.0.1,10.0.0.0/8", real_ip_header="X-Forwarded-For", real_ip_recursive="on")
    gateway.route(echo)
    seen = gateway.get("/", {"X-Forwarded-For": "9.9.9.9, 1.2.3.4, 10.0.0.7"}).json["headers"]
    assert seen["x-real-ip"] == "1.2.3.4"
    assert seen["x-forwarded-for"] == "9.9.9.9, 1.2.3.4, 10.0.0.7, 127.0.0.1"


def test_port_maps_tell_the_port_that_clients_see(private, echo):
    port = free_port()
    gateway = private(proxy_listen=f"127.0.0.1:{port}", port_maps=f"443:{port}")
    gateway.proxy = ("127.0.0.1", port)
    gateway.route(echo)
    assert gateway.get("/").json["headers"]["x-forwarded-port"] == "443"


def test_the_path_for_the_origin_is_normalised(gateway, echo):
    gateway.route(echo, "/keep", strip_path=False)
    for asked, target in [("/keep/%2e%2e/keep/a?x=%20&y", "/keep/a?x=%20&y"), ("//keep///x/", "/keep/x/"), ("/keep/a%2fb", "/keep/a%2Fb"),
                          ("/keep/%41%c3%bc", "/keep/A%C3%BC"), ("/keep/a;b=c", "/keep/a;b=c"), ("/keep/a%zz", "/keep/a%25zz")]:
        answer = gateway.get(asked)
        assert answer.json["target"] == target
        assert answer.json["headers"]["x-forwarded-path"] == asked.split("?")[0]


def test_a_type_of_quality_zero_is_not_chosen_for_an_error(gateway):
    answer = gateway.get("/nowhere", {"Accept": "text/html;q=0.0"})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    answer = gateway.get("/nowhere", {"Accept": "text/html;q=0.0, text/plain;q=0.5"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_trailers_stay_behind_where_the_client_did_not_ask_for_them(gateway, upstream):
    gateway.route(upstream(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n"))
    with gateway.client() as client:
        asked = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
        assert (asked.headers["trailer"], asked.trailers.get("x-sum")) == ("X-Sum", "5")
        silent = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert silent.text == "hello" and "trailer" not in silent.headers
        assert silent.trailers is None or "x-sum" not in silent.trailers


def test_a_route_without_service_is_503_after_its_plugins(gateway):
    route = gateway.create("/routes", paths=["/bare"])
    gateway.create(f"/routes/{route['id']}/plugins", name="correlation-id", config={"echo_downstream": True})
    gateway.settle()
    answer = gateway.get("/bare")
    assert (answer.status, answer.json["message"]) == (503, "no Service found with those values")
    assert "kong-request-id" in answer.headers and "x-kong-response-latency" in answer.headers


# -- attempts


def test_a_malformed_answer_is_not_asked_for_again(gateway, upstream):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 2OO OK\r\n\r\n")

    origin = upstream(script)
    gateway.route(origin, service={"retries": 5})
    answer = gateway.get("/", {"Accept": "*/*"})
    assert (answer.status, answer.json["message"]) == (502, BAD_GATEWAY)
    assert "via" in answer.headers and "x-kong-upstream-latency" in answer.headers
    time.sleep(0.05)
    assert len(origin.requests) == 1


def test_a_read_timeout_is_an_attempt_and_the_next_may_succeed(gateway, upstream):
    first = threading.Event()

    def script(peer):
        peer.request()
        if not first.is_set():
            first.set()
            peer.wait_closed()
        else:
            peer.send(plain(b"good"))

    origin = upstream(script)
    gateway.route(origin, service={"retries": 1, "read_timeout": 200})
    assert gateway.get("/").text == "good"
    assert len(origin.requests) == 2


def test_stale_connections_cost_no_attempt_however_many_there_are(private, upstream):
    gateway = private(nginx_worker_processes=1)
    both = threading.Barrier(2)
    served = []

    def script(peer):
        peer.request()
        if len(served) < 2:
            served.append(peer)
            both.wait(5)
        peer.send(plain(b"good"))
        peer.request()  # on a kept connection: gone without an answer

    origin = upstream(script)
    gateway.route(origin, service={"retries": 0})
    threads = [threading.Thread(target=gateway.get, args=("/",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gateway.get("/").text == "good"
    assert len(origin.peers) == 3


# -- names


def test_names_are_resolved_and_their_addresses_used_in_turn(private, echo):
    with NameServer() as names:
        names.answers["service.test"] = ["127.0.0.1", "127.0.0.9"]  # nobody listens on the second
        gateway = private(dns_resolver=names.address, dns_hostsfile="/dev/null", nginx_worker_processes=1)
        gateway.route(f"http://service.test:{echo.port}", service={"retries": 1})
        for _ in range(6):
            answer = gateway.get("/")
            assert answer.status == 200
            assert answer.json["headers"]["host"] == f"service.test:{echo.port}"
        assert names.asked == [("service.test", SRV), ("service.test", A)]


def test_a_name_error_is_503_and_another_failure_500(private):
    with NameServer() as names:
        names.answers["broken.test"] = SERVER_FAILURE
        gateway = private(dns_resolver=names.address, dns_hostsfile="/dev/null")
        gateway.route("http://missing.test", "/missing")
        gateway.route("http://broken.test", "/broken")
        missing = gateway.get("/missing")
        assert (missing.status, missing.json["message"]) == (503, "name resolution failed")
        broken = gateway.get("/broken")
        assert (broken.status, broken.json["message"]) == (
            500, "failed the initial dns/balancer resolve for 'broken.test' with: dns server error: 2 server failure")
        for answer in (missing, broken):
            assert "x-kong-response-latency" in answer.headers and "via" not in answer.headers


def test_an_expired_address_serves_while_the_server_is_silent(private, echo):
    with NameServer() as names:
        names.answers["service.test"] = ["127.0.0.1"]
        gateway = private(dns_resolver=names.address, dns_hostsfile="/dev/null", dns_valid_ttl=1, nginx_worker_processes=1)
        gateway.route(f"http://service.test:{echo.port}")
        assert gateway.get("/").status == 200
        names.answers["service.test"] = None
        time.sleep(1.2)
        began = time.monotonic()
        for _ in range(3):
            assert gateway.get("/").status == 200
        assert time.monotonic() - began < 1
        assert len(names.asked) >= 2
