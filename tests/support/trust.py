"""What tests of TLS towards services share: a node that trusts authority.test alone, and origins that speak TLS."""

import pytest

from .certificates import certificate, issued
from .http2 import h2
from .tls import TlsUpstream

VERIFIED = {"tls_verify": True}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Names of our own, and what settings name."""
    folder = tmp_path_factory.mktemp("trust")
    (folder / "hosts").write_text("127.0.0.1 shop.test www.shop.test other.test\n")
    (folder / "authority").write_text(certificate("authority.test", ca=True).cert)
    node = issued("node.test", "clients.test")
    (folder / "node").write_text(node.cert)
    (folder / "node.key").write_text(node.key)
    return folder


@pytest.fixture(scope="module")
def house(private_for_module, files):
    """It trusts nobody but authority.test, and comes as node.test where nothing else is said."""
    return private_for_module(dns_hostsfile=files / "hosts", lua_ssl_trusted_certificate=files / "authority", nginx_worker_processes=1,
                              client_ssl="on", client_ssl_cert=files / "node", client_ssl_cert_key=files / "node.key")


@pytest.fixture
def gateway(house):
    house.clear()
    yield house
    assert house.alive(), house.log()[-8000:]


@pytest.fixture
def origin():
    """Start origins that speak TLS: origin(pair, script=None, ...)."""
    started = []

    def start(pair=None, script=None, **more):
        one = TlsUpstream(pair or issued("shop.test"), script, **more)
        started.append(one)
        return one

    yield start
    problems = [p for one in started for p in one.problems]
    for one in started:
        one.stop()
    assert not problems, f"an origin broke: {problems!r}"


def over_http2(peer):
    """An HTTP/2 server of few words: "<method> <path> <body bytes>" with one stream after another or all at once."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    peer.send(connection.data_to_send())
    bodies = {}
    while True:
        data = peer.sock.recv(65536)
        if not data:
            return
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                bodies[event.stream_id] = [dict(event.headers), 0]
            elif isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id][1] += len(event.data)
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                headers, size = bodies.pop(event.stream_id)
                text = b"%s %s %s %d" % (headers[b":method"], headers[b":path"], headers[b":authority"], size)
                connection.send_headers(event.stream_id, [(":status", "200"), ("x-scheme", headers[b":scheme"].decode())])
                connection.send_data(event.stream_id, text, end_stream=True)
        peer.send(connection.data_to_send())
