"""The program as an operator meets it: commands, where settings come from, what hinders a start."""

import os
import re
import signal
import socket
import subprocess

import pytest

from support.gateway import Gateway, binary
from support.node import PATIENCE, clean_environment, nodes_in, process_is_gone, refuses, sluice, wait_for_request_at, write
from support.upstreams import Late
from support.waiting import eventually
from support.wire import fetch


@pytest.fixture
def node(program, tmp_path):
    yield from nodes_in(tmp_path)


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
    assert made.pid != pid
    eventually(lambda: process_is_gone(pid), "the end of the one before")
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
    late = Late()
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
    late.release()
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
