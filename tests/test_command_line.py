"""The program as an operator meets it: commands, settings, signals."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from support.gateway import Gateway, binary, free_port
from support.waiting import eventually
from support.wire import Client, fetch, request_bytes

PATIENCE = 30


def clean_environment(**more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "KONG_"))}
    environment.update({k: str(v) for k, v in more.items()})
    return environment


def sluice(*arguments, environment=None, cwd=None):
    return subprocess.run([str(binary()), *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE,
                          env=clean_environment(**(environment or {})), cwd=cwd, stdin=subprocess.DEVNULL)


def write(path, text):
    path.write_text(text)
    return path


class Node:
    """A prefix with a file of settings, for commands to work on."""

    def __init__(self, directory, **settings):
        self.directory = directory
        self.prefix = directory / "prefix"
        self.proxy = ("127.0.0.1", free_port())
        self.admin = ("127.0.0.1", free_port())
        self.settings = {"prefix": self.prefix, "proxy_listen": "%s:%d" % self.proxy, "admin_listen": "%s:%d" % self.admin,
                         "status_listen": "off", "nginx_worker_processes": 2, "log_level": "info", **settings}
        self.file = directory / "sluice.conf"
        self.write()

    def write(self, **more):
        self.settings.update(more)
        self.file.write_text("".join(f"{k} = {v}\n" for k, v in self.settings.items()))

    def command(self, name, *arguments, **more):
        return sluice(name, "-c", self.file, *arguments, **more)

    def start(self, **more):
        done = self.command("start", **more)
        assert done.returncode == 0, done
        return done

    @property
    def pid(self):
        return int(next((self.prefix / "pids").glob("*.pid")).read_text())

    def answers(self):
        try:
            return fetch(self.admin, "GET", "/status").status == 200
        except OSError:
            return False

    def end(self):
        for found in self.prefix.glob("pids/*.pid"):
            pid = int(found.read_text() or 0)
            # Only what runs on this very prefix.
            try:
                line = open(f"/proc/{pid}/cmdline", "rb").read().decode()
            except OSError:
                continue
            if pid > 1 and str(self.directory) in line:
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def node(program, tmp_path):
    made = []

    def make(**settings):
        directory = tmp_path / f"n{len(made)}"
        directory.mkdir()
        made.append(Node(directory, **settings))
        return made[-1]

    yield make
    for each in made:
        each.end()


def process_is_gone(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


# -- what needs no node


def test_the_version_is_told(program):
    done = sluice("version")
    assert done.returncode == 0 and re.fullmatch(r"\d+\.\d+\.\d+\S*\n", done.stdout)
    done = sluice("version", "-a")
    assert done.returncode == 0 and "3.9.1" in done.stdout and re.search("epoll|io_uring", done.stdout)


def test_commands_that_do_not_exist_are_refused(program):
    for arguments in ([], ["nonsense"], ["start", "--nonsense"], ["config"], ["config", "nonsense"], ["start", "-c"]):
        done = sluice(*arguments)
        assert done.returncode != 0, arguments
        assert done.stderr, arguments


def test_a_good_file_is_found_good(program, tmp_path):
    file = write(tmp_path / "good.conf", "# a comment\n\nlog_level = debug # another\nproxy_listen = 127.0.0.1:1, [::1]:2 reuseport backlog=5\n"
                                         "nginx_http_something_else = 5\nvault_env_prefix = X\n")
    for arguments in (["check", file], ["check", "-c", file]):
        done = sluice(*arguments)
        assert done.returncode == 0, done
        assert done.stdout == f"configuration at {file} is valid\n" and done.stderr == ""


@pytest.mark.parametrize("line, reason", [
    ("log_level = loud", "log_level has an invalid value: 'loud' (debug, info, notice, warn, error, crit, alert, emerg)"),
    ("proxy_listen = nonsense", "proxy_listen must be of form: [off] | <ip>:<port>"),
    ("proxy_listen = 127.0.0.1:8000 loudly", "proxy_listen must be of form: [off] | <ip>:<port>"),
    ("admin_listen = 127.0.0.1:99999", "admin_listen must be of form: [off] | <ip>:<port>"),
    ("database = oracle", "database has an invalid value: 'oracle'"),
    ("node_id = x", "node_id must be a valid UUID"),
    ("nginx_worker_processes = many", "nginx_worker_processes"),
    ("nginx_worker_processes = 0", "nginx_worker_processes"),
    ("headers = nonsense", "headers: invalid entry 'nonsense'"),
    ("trusted_ips = x", "trusted_ips"),
    ("error_default_type = image/png", "error_default_type has an invalid value: 'image/png'"),
    ("client_body_timeout = soon", "client_body_timeout"),
    ("client_max_body_size = huge", "client_max_body_size"),
    ("upstream_keepalive_pool_size = -1", "upstream_keepalive_pool_size"),
    ("shutdown_timeout = never", "shutdown_timeout is not a time: 'never'"),
    ("nonsense", "expected 'name = value', got 'nonsense'"),
])
def test_a_bad_setting_is_told_with_file_line_and_reason(program, tmp_path, line, reason):
    file = write(tmp_path / "bad.conf", f"# first\n\n{line}\n")
    done = sluice("check", file)
    assert done.returncode == 1
    assert f"{file}:3: " in done.stderr and reason in done.stderr
    assert "valid\n" not in done.stdout


def test_all_bad_settings_are_told_at_once(program, tmp_path):
    file = write(tmp_path / "bad.conf", "log_level = loud\nnode_id = x\nproxy_listen = y\nadmin_max_body_size = z\n")
    done = sluice("check", file)
    assert done.returncode == 1
    for number in range(1, 5):
        assert f"{file}:{number}: " in done.stderr
    assert len([line for line in done.stderr.splitlines() if "[error]" in line]) == 4


def test_a_missing_file_is_an_error(program, tmp_path):
    for command in ("check", "start", "run"):
        done = sluice(command, "-c", tmp_path / "nothing.conf")
        assert done.returncode == 1 and f"no file at: {tmp_path / 'nothing.conf'}" in done.stderr, command


def test_unknown_settings_are_told_but_no_error(program, tmp_path):
    file = write(tmp_path / "s.conf", "log_levle = info\n")
    done = sluice("check", file, environment={"SLUICE_NONSENSE": 1, "KONG_RUBBISH": 2})
    assert done.returncode == 0
    assert f"{file}:1: unknown setting 'log_levle'" in done.stderr
    assert "'nonsense'" in done.stderr and "SLUICE_NONSENSE" in done.stderr
    assert "'rubbish'" in done.stderr and "KONG_RUBBISH" in done.stderr


def test_the_environment_is_checked_too(program, tmp_path):
    file = write(tmp_path / "s.conf", "log_level = info\n")
    done = sluice("check", file, environment={"SLUICE_LOG_LEVEL": "loud"})
    assert done.returncode == 1 and "SLUICE_LOG_LEVEL" in done.stderr
    done = sluice("check", write(file, "log_level = loud\n"), environment={"KONG_LOG_LEVEL": "info"})
    assert done.returncode == 0


def test_files_may_be_written_as_operators_do(program, tmp_path):
    file = write(tmp_path / "s.conf", "; comment\n  log_level=info  \nlog.level = warn\nproxy_listen = 127.0.0.1:1, \\\n  127.0.0.1:2\npg_password = a\\#b # c\n")
    done = sluice("check", file)
    assert done.returncode == 0 and done.stderr == ""
    file = write(tmp_path / "t.conf", "proxy_listen = 127.0.0.1:1, \\\n  nonsense\nlog_level = loud\n")
    done = sluice("check", file)
    assert f"{file}:1: proxy_listen" in done.stderr and f"{file}:3: log_level" in done.stderr


def test_an_example_is_written_and_never_over_another_file(program, tmp_path):
    done = sluice("config", "init", cwd=tmp_path)
    assert done.returncode == 0
    text = (tmp_path / "kong.yml").read_text()
    assert '_format_version: "3.0"' in text
    (tmp_path / "kong.yml").write_text("mine")
    done = sluice("config", "init", cwd=tmp_path)
    assert done.returncode == 1
    assert "./kong.yml already exists.\nWill not overwrite it." in done.stderr
    assert (tmp_path / "kong.yml").read_text() == "mine"
    other = tmp_path / "other.yml"
    assert sluice("config", "init", other).returncode == 0 and other.read_text() == text
    assert sluice("config", "init", tmp_path / "no" / "where.yml").returncode == 1


# -- where settings come from


def test_sluice_goes_before_kong_before_the_file(private):
    gateway = private(environment={"KONG_UPSTREAM_KEEPALIVE_POOL_SIZE": 21, "SLUICE_UPSTREAM_KEEPALIVE_MAX_REQUESTS": 32,
                                   "KONG_UPSTREAM_KEEPALIVE_MAX_REQUESTS": 31},
                      upstream_keepalive_pool_size=11, upstream_keepalive_max_requests=12, upstream_keepalive_idle_timeout=13)
    told = gateway.admin("GET", "/").json["configuration"]
    assert str(told["upstream_keepalive_pool_size"]) == "21"
    assert str(told["upstream_keepalive_max_requests"]) == "32"
    assert str(told["upstream_keepalive_idle_timeout"]) == "13"


def test_the_prefix_of_the_command_line_goes_before_all(node):
    made = node()
    other = made.directory / "other"
    done = made.command("start", "-p", other, environment={"SLUICE_PREFIX": made.directory / "third"})
    assert done.returncode == 0, done
    try:
        assert other.is_dir() and not made.prefix.exists() and not (made.directory / "third").exists()
    finally:
        assert sluice("stop", "-p", other).returncode == 0


def test_an_event_backend_can_be_chosen_and_is_told(private):
    gateway = private(environment={"SLUICE_EVENT_BACKEND": "epoll"})
    assert gateway.admin("GET", "/").json["sluice"]["event_backend"] == "epoll"


def test_io_uring_is_used_or_refused_with_a_reason(program):
    gateway = Gateway(environment={"SLUICE_EVENT_BACKEND": "io_uring"})
    try:
        gateway.start(wait=False)

        def decided():
            if not gateway.alive():
                return True
            try:
                return gateway.admin("GET", "/status").status == 200
            except OSError:
                return False

        eventually(decided, "readiness or refusal", 20)
        if gateway.alive():
            assert gateway.admin("GET", "/").json["sluice"]["event_backend"] == "io_uring"
        else:
            assert gateway.process.returncode == 1
            assert "io_uring" in gateway.log("output.log")
            pytest.skip("io_uring is not to be had here: " + gateway.log("output.log").strip())
    finally:
        gateway.discard()


# -- a node in the background


def test_a_node_is_started_watched_and_stopped(node):
    made = node()
    done = made.command("health")
    assert done.returncode == 1 and f"not running at {made.prefix}" in done.stderr
    done = made.start()
    assert done.stdout == "Sluice started\n" and done.stderr == ""
    assert made.answers()  # it serves by the time the command returns
    pid = made.pid
    assert made.command("health").returncode == 0
    assert f"is healthy at {made.prefix}" in made.command("health").stdout
    assert sluice("health", "-p", made.prefix).returncode == 0
    done = sluice("stop", "-p", made.prefix)
    assert done.returncode == 0 and done.stdout == "Sluice stopped\n"
    eventually(lambda: process_is_gone(pid), "the end of the process")
    assert not made.answers()
    assert made.command("health").returncode == 1
    assert not list((made.prefix / "pids").glob("*.pid"))


def test_a_node_leaves_the_session_of_whoever_started_it(node):
    made = node()
    made.start()
    fields = open(f"/proc/{made.pid}/stat").read().rsplit(")", 1)[1].split()
    assert int(fields[3]) == made.pid  # its own session
    for descriptor in (0, 1, 2):
        assert os.readlink(f"/proc/{made.pid}/fd/{descriptor}") == "/dev/null"


def test_a_second_start_is_refused_and_harms_nothing(node):
    made = node()
    made.start()
    pid = made.pid
    for command in ("start", "run"):
        done = made.command(command)
        assert done.returncode == 1 and f"Sluice is already running in {made.prefix}" in done.stderr
    assert made.pid == pid and made.answers()


def test_of_many_starts_at_once_one_wins(node):
    made = node()
    running = [subprocess.Popen([str(binary()), "start", "-c", str(made.file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=clean_environment()) for _ in range(6)]
    results = [each.communicate(timeout=PATIENCE) and each.returncode for each in running]
    assert sorted(results) == [0, 1, 1, 1, 1, 1]
    assert made.answers()


@pytest.mark.parametrize("command", ["stop", "quit", "reload"])
def test_what_does_not_run_cannot_be_stopped_or_reloaded(node, command):
    made = node()
    done = made.command(command)
    assert done.returncode == 1 and f"no such prefix: {made.prefix}" in done.stderr
    made.prefix.mkdir()
    done = made.command(command)
    assert done.returncode == 1 and f"not running in prefix: {made.prefix}" in done.stderr


def test_a_pid_file_left_behind_stops_nobody(node):
    made = node()
    made.start()
    pid = made.pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: process_is_gone(pid) and made.command("health").returncode == 1, "the end of the process")
    # The pid of somebody else is in the file now: they must not be signalled.
    with subprocess.Popen(["sleep", "600"]) as bystander:
        for found in made.prefix.glob("pids/*.pid"):
            found.write_text(f"{bystander.pid}\n")
        assert made.command("stop").returncode == 1
        assert bystander.poll() is None
        bystander.kill()
    made.start()
    assert made.answers()


def test_a_restart_is_another_process_with_new_settings(node):
    made = node()
    made.start()
    pid = made.pid
    fetch(made.admin, "POST", "/services", {"Content-Type": "application/json"}, b'{"name":"s","host":"h.test"}')
    made.write(upstream_keepalive_pool_size=77)
    done = made.command("restart")
    assert done.returncode == 0, done
    assert made.pid != pid and process_is_gone(pid)
    assert str(fetch(made.admin, "GET", "/").json["configuration"]["upstream_keepalive_pool_size"]) == "77"
    assert fetch(made.admin, "GET", "/services/s").status == 200


def test_a_restart_starts_what_does_not_run(node):
    made = node()
    assert made.command("restart").returncode == 0
    assert made.answers()


def test_a_restart_with_bad_settings_fails(node):
    made = node()
    made.start()
    made.write(log_level="loud")
    done = made.command("restart")
    assert done.returncode == 1 and "log_level" in done.stderr


def test_quit_waits_for_requests_in_flight(node, upstream):
    from support.upstreams import plain
    release = threading.Event()

    def late(peer):
        peer.request()
        assert release.wait(PATIENCE)
        peer.send(plain(b"late"))

    origin = upstream(late)
    made = node()
    made.start()
    json = {"Content-Type": "application/json"}
    fetch(made.admin, "PUT", "/services/s", json, b'{"url":"%s"}' % origin.url.encode())
    fetch(made.admin, "PUT", "/services/s/routes/r", json, b'{"paths":["/"]}')
    client = wait_for_request_at(made.proxy, origin)
    quitting = subprocess.Popen([str(binary()), "quit", "-c", str(made.file), "-t", "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=clean_environment())
    eventually(lambda: refuses(made.proxy), "no more connections")
    assert quitting.poll() is None
    release.set()
    assert client.answer().text == "late"
    out, _ = quitting.communicate(timeout=PATIENCE)
    assert quitting.returncode == 0 and out == "Sluice stopped (gracefully)\n"


def test_quit_gives_up_after_its_time(node, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    made = node(shutdown_timeout="60s")
    made.start()
    json = {"Content-Type": "application/json"}
    fetch(made.admin, "PUT", "/services/s", json, b'{"url":"%s"}' % origin.url.encode())
    fetch(made.admin, "PUT", "/services/s/routes/r", json, b'{"paths":["/"]}')
    client = wait_for_request_at(made.proxy, origin)  # noqa: F841, it stays connected
    pid = made.pid
    done = made.command("quit", "-t", "1")
    assert done.returncode == 0 and done.stdout == "Timeout, Sluice stopped forcefully\n"
    eventually(lambda: process_is_gone(pid), "the end of the process")


def wait_for_request_at(proxy, origin):
    """A client whose request has reached the origin; the route may need a moment to be in force."""
    deadline = time.monotonic() + 10
    while True:
        client = Client(proxy)
        client.send(request_bytes())
        while time.monotonic() < deadline and not origin.requests:
            if client.is_closed_within(0.02) or client.reader.buffer:
                break
        if origin.requests:
            return client
        client.close()
        assert time.monotonic() < deadline, "no request reached the origin"


def refuses(address):
    try:
        socket.create_connection(address, 1).close()
        return False
    except ConnectionRefusedError:
        return True


# -- what hinders a start


@pytest.mark.parametrize("which", ["proxy_listen", "admin_listen", "status_listen"])
@pytest.mark.parametrize("command", ["start", "run"])
def test_a_port_in_use_is_a_clear_error(node, which, command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        made = node(**{which: address})
        done = made.command(command)
        assert done.returncode == 1
        assert address in done.stderr and "in use" in done.stderr
        assert "started" not in done.stdout
        assert made.command("health").returncode == 1
    made.start()  # nothing is left that would hinder the next one


def test_a_bad_setting_is_told_at_the_start(node):
    made = node(log_level="loud", node_id="x")
    for command in ("start", "run"):
        done = made.command(command)
        assert done.returncode == 1
        assert f"{made.file}:6: log_level has an invalid value: 'loud'" in done.stderr
        assert not made.prefix.exists()


def test_an_unknown_plugin_is_told_at_the_start(node):
    made = node(plugins="bundled,nothing")
    done = made.command("start")
    assert done.returncode == 1 and "nothing" in done.stderr


def test_a_prefix_that_cannot_be_made_is_told(node):
    made = node()
    blocked = write(made.directory / "file", "")
    made.write(prefix=blocked / "prefix")
    for command in ("start", "run"):
        done = made.command(command)
        assert done.returncode == 1 and str(blocked) in done.stderr, done


def test_a_prefix_that_cannot_be_written_is_told(node):
    made = node(prefix="/proc/sluice")
    for command in ("start", "run"):
        done = made.command(command)
        assert done.returncode == 1 and "/proc/sluice" in done.stderr, done


def test_a_log_that_cannot_be_opened_is_told(node):
    made = node(proxy_error_log="/proc/nothing/error.log")
    done = made.command("start")
    assert done.returncode == 1 and "/proc/nothing/error.log" in done.stderr


def test_a_database_that_is_none_is_told(node):
    made = node()
    made.prefix.mkdir()
    (made.prefix / "sluice.db").write_bytes(b"this is no database at all, whatever its name says" * 100)
    done = made.command("start")
    assert done.returncode == 1 and "sluice.db" in done.stderr


# -- signals


def test_sigterm_ends_at_once_whatever_is_in_flight(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private()
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)
    idle = [gateway.client() for _ in range(20)]
    started = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - started < 2
    assert client.is_closed_within(5) and all(each.is_closed_within(5) for each in idle)


def test_sigint_ends_like_sigterm(private):
    gateway = private()
    started = time.monotonic()
    assert gateway.end(signal.SIGINT) == 0
    assert time.monotonic() - started < 2


def test_sigquit_ends_after_the_requests_in_flight(private, upstream):
    from support.upstreams import plain
    release = threading.Event()

    def late(peer):
        peer.request()
        assert release.wait(PATIENCE)
        peer.send(plain(b"late"))

    origin = upstream(late)
    gateway = private()
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)
    idle = gateway.client()
    gateway.process.send_signal(signal.SIGQUIT)
    eventually(lambda: refuses(gateway.proxy), "no more connections")
    assert idle.is_closed_within(5)
    assert gateway.alive()
    release.set()
    answer = client.answer()
    assert answer.status == 200 and answer.text == "late"
    assert answer.headers["connection"] == "close" or client.is_closed_within(5)
    assert gateway.process.wait(10) == 0


def test_sigquit_with_nothing_in_flight_ends_at_once(private, echo):
    gateway = private()
    gateway.route(echo)
    client = gateway.client()
    assert client.ask(request_bytes()).status == 200
    started = time.monotonic()
    assert gateway.stop_gracefully() == 0
    assert time.monotonic() - started < 3


def test_a_sigterm_after_a_sigquit_ends_the_waiting(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private(shutdown_timeout="60s")
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)  # noqa: F841, it stays connected
    gateway.process.send_signal(signal.SIGQUIT)
    eventually(lambda: refuses(gateway.proxy), "no more connections")
    started = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - started < 3


def test_a_graceful_end_has_a_limit(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private(shutdown_timeout="1s")
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)  # noqa: F841, it stays connected
    started = time.monotonic()
    assert gateway.stop_gracefully() == 0
    assert 0.5 < time.monotonic() - started < 6


def test_many_signals_at_once_are_survived(private, echo):
    gateway = private()
    gateway.route(echo)
    for _ in range(20):
        gateway.process.send_signal(signal.SIGHUP)
        gateway.process.send_signal(signal.SIGUSR1)
    eventually(lambda: gateway.log("error.log").count("reloaded") >= 1, "a reload")
    assert gateway.get("/").status == 200
    assert gateway.stop() == 0


def test_a_reload_while_it_ends_changes_nothing(private, upstream):
    origin = upstream(lambda peer: (peer.request(), peer.wait_closed()))
    gateway = private(shutdown_timeout="3s")
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)  # noqa: F841, it stays connected
    gateway.process.send_signal(signal.SIGQUIT)
    eventually(lambda: refuses(gateway.proxy), "no more connections")
    gateway.process.send_signal(signal.SIGHUP)
    assert gateway.process.wait(10) == 0
    assert refuses(gateway.proxy)


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
    from support.upstreams import plain
    release = threading.Event()

    def late(peer):
        peer.request()
        assert release.wait(PATIENCE)
        peer.send(plain(b"late"))

    origin = upstream(late)
    gateway = private()
    gateway.route(origin)
    client = wait_for_request_at(gateway.proxy, origin)
    hang_up(gateway)
    release.set()
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
