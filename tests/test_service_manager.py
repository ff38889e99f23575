"""Under those who start and watch programs: systemd, and a container where the node is process 1."""

import os
import signal
import socket
import subprocess
import time

import pytest

from support.gateway import Gateway, binary
from support.waiting import eventually
from support.wire import Client


class Manager:
    """Listens as systemd does for what a service tells about itself."""

    def __init__(self, folder):
        self.path = str(folder / "notify.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(20)

    def told(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n") if line)


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def test_systemd_is_told_of_every_step(private, manager):
    gateway = private(environment={"NOTIFY_SOCKET": manager.path})
    ready = manager.told()
    assert ready["READY"] == "1" and int(ready["MAINPID"]) == gateway.pid
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    gateway.process.send_signal(signal.SIGHUP)
    reloading = manager.told()
    assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) >= before
    assert manager.told()["READY"] == "1"
    gateway.process.send_signal(signal.SIGQUIT)
    assert manager.told()["STOPPING"] == "1"
    assert gateway.process.wait(20) == 0


def test_a_reload_that_fails_is_over_too(private, manager):
    gateway = private(environment={"NOTIFY_SOCKET": manager.path})
    manager.told()
    config = gateway.directory / "sluice.conf"
    config.write_text(config.read_text() + "log_level = loud\n")
    gateway.process.send_signal(signal.SIGHUP)
    assert manager.told()["RELOADING"] == "1"
    assert manager.told()["READY"] == "1"
    assert "not reloaded" in gateway.log("error.log")


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_process_1_of_a_container_obeys_signals(program, with_signal):
    gateway = Gateway()
    unshared = None
    try:
        config = gateway.directory / "sluice.conf"
        config.write_text("".join(f"{k} = {v}\n" for k, v in gateway.settings.items() if v is not None))
        unshared = subprocess.Popen(["unshare", "-pf", "--kill-child", str(binary()), "run", "-c", str(config)],
                                    stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

        def ready():
            if unshared.poll() is not None:
                pytest.skip("no namespaces are to be had here: " + unshared.stderr.read().decode())
            return gateway.admin("GET", "/status").status == 200

        eventually(ready, "readiness", 20)
        assert gateway.admin("GET", "/").json["pids"]["master"] == 1
        children = open(f"/proc/{unshared.pid}/task/{unshared.pid}/children").read().split()
        os.kill(int(children[0]), with_signal)
        assert unshared.wait(20) == 0
    finally:
        if unshared is not None and unshared.poll() is None:
            unshared.kill()
            unshared.wait()
        gateway.discard()


def test_an_unfinished_call_of_the_admin_api_does_not_hold_up_the_end(private):
    gateway = private()
    client = Client(gateway.admin_address)
    client.send(b"POST /services HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
    time.sleep(0.2)
    started = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - started < 3
    client.close()


def test_a_background_start_tells_its_own_pid(program, manager, tmp_path):
    gateway = Gateway()
    config = gateway.directory / "sluice.conf"
    config.write_text("".join(f"{k} = {v}\n" for k, v in gateway.settings.items() if v is not None))
    try:
        environment = {**os.environ, "NOTIFY_SOCKET": manager.path}
        assert subprocess.run([str(binary()), "start", "-c", str(config)], env=environment, stdin=subprocess.DEVNULL).returncode == 0
        assert int(manager.told()["MAINPID"]) == int((gateway.prefix / "pids" / "sluice.pid").read_text())
    finally:
        subprocess.run([str(binary()), "stop", "-p", str(gateway.prefix)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        gateway.discard()
