"""A browser as the client: pages, fetches, uploads and WebSockets through the gateway, and the Admin API to look at."""

import hashlib
import json
import re
import shutil

import pytest

from support.browser import Browser
from support.http2 import Doors
from support.upstreams import plain, serve
from support.waiting import eventually
from support.websocket import EchoServer

PAGE = b"<!doctype html><title>A page</title><link rel=icon href=data:,><p id=here>through the gateway</p>"


@pytest.fixture(scope="module")
def node(private_for_module):
    return Doors(private_for_module)


@pytest.fixture(scope="module")
def browser():
    assert shutil.which("chromedriver"), "no chromedriver (scripts/install test)"
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def server():
    server = EchoServer()
    yield server
    server.stop()


def answer(message):
    """A page at /, the digest of what is posted, else the target's name."""
    if message.method == "POST":
        return plain(json.dumps({"length": len(message.body), "sha256": hashlib.sha256(message.body).hexdigest()}).encode())
    return plain(PAGE, headers=[("Content-Type", "text/html")]) if message.target == "/" else plain(message.target.encode())


@pytest.fixture
def page(house, upstream, browser):
    """A site behind the gateway, opened over HTTPS."""
    site = upstream(serve(answer), remember=False)
    house.gateway.route(site)
    browser.open(f"https://gate.test:{house.tls[1]}/")
    return site


def test_a_page_arrives_by_http2(house, page, browser):
    seen = browser.run("return [document.getElementById('here').innerText, performance.getEntriesByType('navigation')[0].nextHopProtocol]")
    assert seen == ["through the gateway", "h2"]
    assert page.requests[0].headers["X-Forwarded-Proto"] == "https"


def test_a_page_over_clear_text_arrives_by_http_1(house, upstream, browser):
    house.gateway.route(upstream(serve(answer)))
    browser.open("http://gate.test:%d/" % house.clear[1])
    seen = browser.run("return [document.title, performance.getEntriesByType('navigation')[0].nextHopProtocol]")
    assert seen == ["A page", "http/1.1"]


def test_parallel_fetches_share_one_connection(page, browser):
    texts = browser.run("return Promise.all([...Array(200).keys()].map(async n => (await fetch(`/fetched/${n}`)).text()))")
    assert texts == [f"/fetched/{n}" for n in range(200)]
    answers = [event["response"] for event in browser.events("Network.responseReceived") if event["type"] in ("Document", "Fetch")]
    assert len(answers) == 201
    assert {each["protocol"] for each in answers} == {"h2"}
    assert len({each["connectionId"] for each in answers}) == 1


def test_an_upload_arrives_whole(page, browser):
    size = 5 * 1024 * 1024
    told = browser.run(f"""
        const body = new Uint8Array({size}).map((_, n) => n * 7 % 251);
        return (await fetch('/upload', {{method: 'POST', body}})).json();""")
    assert told == {"length": size, "sha256": hashlib.sha256(bytes(n * 7 % 251 for n in range(size))).hexdigest()}


def test_a_fetch_that_is_given_up_does_not_harm_the_others(house, upstream, browser):
    def script(peer):
        while True:
            message = peer.request()
            if not message.complete:
                return
            if message.target == "/never":
                return peer.wait_closed()
            peer.send(answer(message))

    origin = upstream(script)
    house.gateway.route(origin)
    browser.open(f"https://gate.test:{house.tls[1]}/")
    seen = browser.run("""
        const stop = new AbortController(), never = fetch('/never', {signal: stop.signal}).catch(problem => problem.name);
        const before = await (await fetch('/before')).text();
        stop.abort();
        return [before, await never, await (await fetch('/after')).text()];""")
    assert seen == ["/before", "AbortError", "/after"]
    eventually(lambda: any(peer.closed.is_set() and peer.requests[-1].target == "/never" for peer in origin.peers), "the end at the origin")


TALK = """
    const socket = new WebSocket(a[0], 'chat');
    socket.binaryType = 'arraybuffer';
    const told = () => new Promise((good, bad) => { socket.onmessage = event => good(event.data); socket.onclose = bad; socket.onerror = bad; });
    await new Promise((good, bad) => { socket.onopen = good; socket.onerror = bad; });
    let next = told();
    socket.send('text \\u00e9');
    const text = await next;
    next = told();
    socket.send(new Uint8Array(300000).map((_, n) => n % 251));
    const bytes = new Uint8Array(await next);
    const good = bytes.length == 300000 && bytes.every((byte, n) => byte == n % 251);
    const end = new Promise(done => { socket.onclose = event => done([event.code, event.wasClean]); });
    socket.send('bye');
    return [socket.protocol, text, good, await end];
"""


def talk(house, browser, url):
    """Messages there and back; the status that the browser was answered with, and what the access log says."""
    assert browser.run(TALK, url) == ["chat", "text \u00e9", True, [1000, True]]
    (opened,) = browser.events("Network.webSocketHandshakeResponseReceived")
    logged = eventually(lambda: re.search(r'"(\w+) /chat (HTTP/[\d.]+)" (\d+)', house.gateway.log("access.log")), "the access line")
    (house.gateway.directory / "access.log").write_text("")
    return opened["response"]["status"], logged.groups()


def test_a_secure_websocket_is_a_stream_of_the_pages_connection(house, page, server, browser):
    house.gateway.route(server.url, "/chat", strip_path=False)
    told = talk(house, browser, f"wss://gate.test:{house.tls[1]}/chat")
    # RFC 8441, which Chromium uses where it has a connection whose server offers it: 200, to the service an upgrade all the same.
    assert told == (200, ("GET", "HTTP/2.0", "101"))
    path, headers = server.requests[0]
    assert path == "/chat" and headers["Origin"] == f"https://gate.test:{house.tls[1]}"


def test_a_secure_websocket_without_a_connection_opens_one_of_its_own(house, upstream, server, browser):
    house.gateway.route(upstream(serve(answer)))
    house.gateway.route(server.url, "/chat", strip_path=False)
    browser.open("http://gate.test:%d/" % house.clear[1])
    assert talk(house, browser, f"wss://other.test:{house.tls[1]}/chat") == (101, ("GET", "HTTP/1.1", "101"))


def test_a_websocket_in_clear_text(house, upstream, server, browser):
    house.gateway.route(upstream(serve(answer)))
    house.gateway.route(server.url, "/chat", strip_path=False)
    browser.open("http://gate.test:%d/" % house.clear[1])
    assert talk(house, browser, "ws://gate.test:%d/chat" % house.clear[1]) == (101, ("GET", "HTTP/1.1", "101"))


def test_the_admin_api_can_be_looked_at(house, browser):
    browser.open("http://127.0.0.1:%d/" % house.gateway.admin_address[1])
    kind, text = browser.run("return [document.contentType, document.body.innerText]")
    assert kind == "application/json"
    assert json.loads(text)["tagline"]
