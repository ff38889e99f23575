import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.gateway import Gateway, binary  # noqa: E402
from support.peers import PeerProcess  # noqa: E402
from support.stream_gateway import Ports  # noqa: E402
from support.upstreams import Echo, RawUpstream  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: moves much data, measures memory or waits for long timeouts")


@pytest.fixture(scope="session")
def program():
    if not os.access(binary(), os.X_OK):
        pytest.fail(f"no program at {binary()}")
    return binary()


@pytest.fixture(scope="session")
def shared(program):
    """One gateway for all tests that need no settings of their own; use it through `gateway`."""
    gateway = Gateway()
    try:
        yield gateway.start()
    finally:
        gateway.discard()


@pytest.fixture
def clean(shared):
    """The shared gateway, without entities."""
    if not shared.alive():
        print(shared.log())
        shared.start()
    shared.clear()
    yield shared
    if not shared.alive():
        status, log = shared.process.returncode, shared.log()
        pytest.fail(f"the gateway died with {status} during this test:\n{log[-8000:]}")


@pytest.fixture
def gateway(clean):
    return clean


@pytest.fixture
def private(program):
    """Start gateways of this test's own: private(setting=value, ...)."""
    started = []

    def start(environment=None, wait=True, **settings):
        gateway = Gateway(settings, environment)
        started.append(gateway)
        return gateway.start(wait)

    yield start
    died = [g for g in started if not g.alive() and g.process.returncode < 0
            and -g.process.returncode not in (9, 15)]
    logs = "".join(g.log()[-8000:] for g in died)
    for gateway in started:
        gateway.discard()
    if died:
        pytest.fail(f"a gateway died by signal {-died[0].process.returncode}:\n{logs}")


@pytest.fixture(scope="module")
def private_for_module(program):
    """As `private`, for gateways that the tests of one module share."""
    started = []

    def start(**settings):
        gateway = Gateway(settings)
        started.append(gateway)
        return gateway.start()

    yield start
    for gateway in started:
        gateway.discard()


@pytest.fixture
def house(node):
    """The module's `node` (an object with a gateway, shared by the module's tests), without entities."""
    node.gateway.clear()
    yield node
    assert node.gateway.alive(), node.gateway.log()[-8000:]


@pytest.fixture(scope="module")
def stream_gateway(private_for_module):
    """A gateway that takes streams of every kind; use it through `streams`."""
    ports = Ports()
    gateway = private_for_module(stream_listen=ports.listen, client_header_timeout="700ms", trusted_ips="127.0.0.0/8")
    gateway.ports = ports
    return gateway


@pytest.fixture
def streams(stream_gateway):
    """The gateway for streams that a module's tests share, without entities."""
    stream_gateway.clear()
    yield stream_gateway
    assert stream_gateway.alive(), stream_gateway.log()[-8000:]


@pytest.fixture
def processes():
    """Start peers that can be killed, stopped and cut off: processes(name, ...)."""
    started = []

    def start(*names, **more):
        made = [PeerProcess(name, **more) for name in names]
        started.extend(made)
        return made

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def upstream():
    """Start scripted origins: upstream(bytes | script, ...). They must not break."""
    started = []

    def start(script=None, **more):
        origin = RawUpstream(script, **more)
        started.append(origin)
        return origin

    yield start
    problems = [p for origin in started for p in origin.problems]
    for origin in started:
        origin.stop()
    assert not problems, f"an origin broke: {problems!r}"


@pytest.fixture
def echo():
    with Echo() as origin:
        yield origin
