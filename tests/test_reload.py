"""Reloads and logs that are opened anew: nothing is lost by either."""

import os
import re
import signal
import socket
import threading

import pytest

from support.gateway import free_port
from support.node import PATIENCE, nodes_in, refuses, sluice, wait_for_request_at
from support.upstreams import Late
from support.waiting import eventually
from support.wire import Client, fetch, request_bytes


@pytest.fixture
def node(program, tmp_path):
    yield from nodes_in(tmp_path)


# -- reload


class Load:
    """Threads that ask without pause, on kept and on fresh connections, and remember what failed."""

    def __init__(self, proxy, threads=6, target="/load", keep=True):
        self.proxy, self.target, self.keep = proxy, target, keep
        self.failures, self.done, self.ending = [], 0, False
        self.threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(threads)]

    def _ask(self, number):
        client = None
        while not self.ending:
            fresh = client is None
            try:
                client = client or Client(self.proxy)
                answer = client.ask(request_bytes("GET", self.target))
                if answer.status != 200:
                    self.failures.append(answer)
                closing = (answer.headers.get("connection") or "").lower() == "close"
                if closing or number % 2 or not self.keep:
                    client.close()
                    client = None
                self.done += 1
            except Exception as problem:
                # An idle kept connection may be closed at any time: that request was not lost, it was never taken.
                partial = getattr(problem, "partial", b"")
                if fresh or partial:
                    self.failures.append(problem)
                client = None

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        for thread in self.threads:
            thread.join(PATIENCE)

    def progress(self, count):
        target = self.done + count
        eventually(lambda: self.done >= target, f"{count} more requests", PATIENCE)


def reloads(gateway):
    return len(re.findall(r"(?<!not )reloaded", gateway.log("error.log")))


def hang_up(gateway):
    before = reloads(gateway)
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: reloads(gateway) > before, "the reload")


def rewrite(gateway, **settings):
    gateway.settings.update(settings)
    (gateway.directory / "sluice.conf").write_text("".join(f"{k} = {v}\n" for k, v in gateway.settings.items() if v is not None))


def test_a_reload_takes_new_settings_of_the_proxy(private, echo):
    gateway = private(headers="off")
    gateway.route(echo)
    assert "via" not in gateway.get("/").headers
    rewrite(gateway, headers="server_tokens,latency_tokens")
    hang_up(gateway)
    eventually(lambda: all("via" in gateway.get("/").headers for _ in range(4)), "the new headers")
    pid = gateway.pid
    rewrite(gateway, headers="off", client_max_body_size="10")
    hang_up(gateway)
    eventually(lambda: all("via" not in gateway.get("/").headers for _ in range(4)), "the old headers again")
    assert gateway.fetch("POST", "/", body=b"x" * 11).status == 413
    assert gateway.pid == pid and gateway.alive()


def test_a_reload_shows_its_settings_in_the_admin_api(private):
    gateway = private()
    rewrite(gateway, upstream_keepalive_pool_size=77, log_level="debug")
    hang_up(gateway)
    told = gateway.admin("GET", "/").json["configuration"]
    assert str(told["upstream_keepalive_pool_size"]) == "77"
    assert told["log_level"] == "debug"
    assert gateway.admin("GET", "/debug/node/log-level").json == {"message": "log level: debug"}


def test_a_reload_changes_the_number_of_workers(private, echo):
    gateway = private(nginx_worker_processes=1)
    gateway.route(echo)
    rewrite(gateway, nginx_worker_processes=3)
    hang_up(gateway)
    assert len(gateway.admin("GET", "/").json["pids"]["workers"]) == 3
    assert gateway.get("/").status == 200


def test_a_reload_with_bad_settings_changes_nothing(private, echo):
    gateway = private()
    gateway.route(echo)
    rewrite(gateway, log_level="loud", headers="off")
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: "not reloaded" in gateway.log("error.log"), "the complaint")
    assert "log_level has an invalid value: 'loud'" in gateway.log("error.log")
    assert "via" in gateway.get("/").headers


def test_a_reload_onto_a_port_in_use_changes_nothing(private, echo):
    gateway = private()
    gateway.route(echo)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        rewrite(gateway, proxy_listen="127.0.0.1:%d" % taken.getsockname()[1])
        gateway.process.send_signal(signal.SIGHUP)
        eventually(lambda: "not reloaded" in gateway.log("error.log"), "the complaint")
        assert gateway.get("/").status == 200


def test_a_reload_moves_to_another_port(private, echo):
    gateway = private()
    gateway.route(echo)
    port = free_port()
    rewrite(gateway, proxy_listen="%s:%d, 127.0.0.1:%d" % (*gateway.proxy, port))
    hang_up(gateway)
    assert fetch(("127.0.0.1", port), "GET", "/").status == 200
    assert gateway.get("/").status == 200
    rewrite(gateway, proxy_listen="127.0.0.1:%d" % port)
    hang_up(gateway)
    eventually(lambda: refuses(gateway.proxy), "the old port to be closed")
    assert fetch(("127.0.0.1", port), "GET", "/").status == 200


def test_requests_in_flight_outlive_a_reload(private, upstream):
    late = Late()
    origin = upstream(late)
    gateway = private()
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)
    hang_up(gateway)
    late.release()
    assert client.answer().text == "late"


def test_reloads_under_load_lose_no_request(private, echo):
    gateway = private(nginx_worker_processes=2)
    gateway.route(echo)
    with Load(gateway.proxy) as load:
        load.progress(100)
        for number in range(8):
            rewrite(gateway, upstream_keepalive_pool_size=10 + number)
            hang_up(gateway)
            load.progress(60)
    assert not load.failures, (len(load.failures), load.failures[:5])
    assert load.done > 500


def test_reloads_leave_nothing_behind(private, echo):
    gateway = private(nginx_worker_processes=2)
    gateway.route(echo)

    def threads():
        return len(os.listdir(f"/proc/{gateway.pid}/task"))

    def descriptors():
        return len(os.listdir(f"/proc/{gateway.pid}/fd"))

    hang_up(gateway)
    eventually(lambda: gateway.get("/").status == 200, "an answer")
    before = threads(), descriptors()
    for _ in range(10):
        hang_up(gateway)
        assert gateway.get("/").status == 200
    eventually(lambda: threads() <= before[0] + 1 and descriptors() <= before[1] + 4, f"no more than {before} again")


def test_the_command_reloads_too_and_can_name_another_file(node):
    made = node()
    made.start()
    assert "server" in fetch(made.proxy, "GET", "/").headers
    made.write(headers="off")
    done = made.command("reload")
    assert done.returncode == 0 and done.stdout == "Sluice reloaded\n"
    eventually(lambda: all("server" not in fetch(made.proxy, "GET", "/").headers for _ in range(4)), "the changed file")
    made.write(headers="server_tokens")
    other = made.file.rename(made.directory / "other.conf")
    assert sluice("reload", "-c", other).returncode == 0
    eventually(lambda: all("server" in fetch(made.proxy, "GET", "/").headers for _ in range(4)), "the other file")


def test_the_command_tells_bad_settings_itself(node):
    made = node()
    made.start()
    made.write(log_level="loud")
    done = made.command("reload")
    assert done.returncode == 1 and "log_level has an invalid value: 'loud'" in done.stderr
    assert made.answers()


# -- logs


def test_moved_logs_are_opened_anew(private, echo):
    gateway = private()
    gateway.route(echo)
    names = ("access.log", "error.log", "admin_access.log")
    for name in names:
        (gateway.directory / name).rename(gateway.directory / f"{name}.1")
    gateway.process.send_signal(signal.SIGUSR1)
    eventually(lambda: all((gateway.directory / name).exists() for name in names), "new log files")
    assert gateway.get("/after-the-move").status == 200
    eventually(lambda: "/after-the-move" in gateway.log("access.log"), "the request in the new log")
    assert "/after-the-move" not in gateway.log("access.log.1")
    gateway.admin("GET", "/services/after-the-move")
    eventually(lambda: "/services/after-the-move" in gateway.log("admin_access.log"), "the call in the new log")
    assert "reopened" in gateway.log("error.log")


def test_no_line_is_lost_when_logs_are_moved_under_load(private, echo):
    gateway = private()
    gateway.route(echo)
    with Load(gateway.proxy, target="/counted") as load:
        for number in range(5):
            load.progress(50)
            (gateway.directory / "access.log").rename(gateway.directory / f"access.log.{number}")
            gateway.process.send_signal(signal.SIGUSR1)
            eventually((gateway.directory / "access.log").exists, "the new log")
    assert not load.failures
    names = ["access.log", *(f"access.log.{n}" for n in range(5))]
    eventually(lambda: gateway.log(*names).count("/counted") == load.done, "a line for every request")


def test_logs_are_below_the_prefix_by_default(node):
    made = node()
    made.start()
    fetch(made.proxy, "GET", "/nowhere")
    eventually(lambda: "/nowhere" in (made.prefix / "logs" / "access.log").read_text(), "the request in the log")
    assert "is ready" in (made.prefix / "logs" / "error.log").read_text()


def test_what_it_runs_with_is_written_down_without_secrets(node):
    made = node(pg_password="very-secret", upstream_keepalive_pool_size=78)
    made.start()
    file = made.prefix / ".kong_env"
    if not file.exists():
        file = next(made.prefix.glob(".*env"))
    text = file.read_text()
    assert "upstream_keepalive_pool_size = 78\n" in text and "very-secret" not in text
    assert file.stat().st_mode & 0o007 == 0
