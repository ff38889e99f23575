"""Settings and the words of commands, as Kong has them."""

import os
import re
import subprocess

import pytest

from support.gateway import binary, free_port
from support.waiting import eventually
from support.wire import fetch


def sluice(*arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "KONG_"))}
    return subprocess.run([str(binary()), *map(str, arguments)], capture_output=True, text=True, timeout=30, env={**clean, **environment},
                          stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("arguments, text", [
    ([], ""),
    (["--help"], ""),
    (["start", "-h"], ""),
    (["nonsense"], "No such command: nonsense\n\n"),
    (["config"], ""),
    (["config", "nonsense"], "No such command for config: nonsense\n\n"),
    (["start", "--nonsense"], "sluice: unrecognized parameter: --nonsense\n\n"),
    (["start", "--prefix"], "--prefix was expecting a value\n\n"),
])
def test_usage_goes_to_stderr_and_is_a_failure(program, arguments, text):
    done = sluice(*arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(text) and "Usage" in done.stderr


def test_words_of_kongs_command_are_taken(program, tmp_path):
    for command in ("health", "check", "version"):
        for word in ("--v", "--vv"):
            assert "unrecognized" not in sluice(command, word).stderr
    done = sluice("start", "--run-migrations", "--db-timeout", "5", "--lock-timeout", "60", "--nginx-conf", "x", "-c", tmp_path / "no.conf")
    assert "no file at" in done.stderr


def test_what_is_wrong_is_told_with_the_time(program, tmp_path):
    file = tmp_path / "s.conf"
    file.write_text("nobody_knows = 1\nlog_level = loud\n")
    done = sluice("check", file)
    assert re.search(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[warn\] \S+:1: unknown setting 'nobody_knows'$", done.stderr, re.M)
    assert re.search(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] \S+:2: log_level has an invalid value: 'loud'", done.stderr, re.M)


@pytest.mark.parametrize("line, reason", [
    ("headers_upstream = X-Nonsense", "headers_upstream: invalid entry 'X-Nonsense'"),
    ("dns_resolver = 1.1.1.1:53, nonsense", "dns_resolver must be a comma separated list in the form of IPv4/6 or IPv4/6:port, got 'nonsense'"),
    ("dns_order = SRV, MX", "dns_order: invalid entry 'MX'"),
    ("dns_hostsfile = /no/such/file", "dns_hostsfile: file does not exist"),
    ("ssl_cipher_suite = best", "Undefined cipher suite best"),
    ("ssl_session_timeout = soon", "ssl_session_timeout is not a time: 'soon'"),
    ("ssl_ciphers = NONE-SUCH\nssl_cipher_suite = custom", "ssl_ciphers: error:"),
    ("nginx_http_ssl_protocols = SSLv3\nssl_cipher_suite = custom", "ssl_protocols: 'SSLv3' is not a version that is spoken"),
    ("ssl_dhparam = /no/such/file\nssl_cipher_suite = old", "ssl_dhparam: failed loading certificate from /no/such/file"),
    ("client_ssl = on", "client_ssl_cert must be specified"),
    ("nginx_proxy_proxy_ssl_verify_depth = x", "upstream_ssl_verify_depth must be an integer between 0 and 100: 'x'"),
    ("lua_ssl_trusted_certificate = /no/such/file", "lua_ssl_trusted_certificate: failed loading certificate from /no/such/file"),
    ("db_cache_ttl = soon", "db_cache_ttl is not a time: 'soon'"),
    ("db_cache_neg_ttl = soon", "db_cache_neg_ttl is not a time: 'soon'"),
    ("proxy_access_log = syslog:server=127.0.0.1", "proxy_access_log: logs go to files only"),
    ("proxy_listen = 127.0.0.1:1, off", "proxy_listen must be of form"),
    ("proxy_listen = no.such.name.invalid:1", "proxy_listen must be of form"),
    ("proxy_listen = 127.0.0.1", "proxy_listen must be of form"),
    ("proxy_listen = 127.0.0.1:1 so_keepalive=sometimes", "proxy_listen must be of form"),
])
def test_a_wrong_setting_is_told_with_file_line_and_reason(program, tmp_path, line, reason):
    file = tmp_path / "s.conf"
    file.write_text(f"\n{line}\n")
    done = sluice("check", file)
    assert done.returncode == 1 and f"{file}:2: {reason}" in done.stderr


@pytest.mark.parametrize("line", ["proxy_listen = localhost:1 so_keepalive=30m::10 deferred bind", "proxy_listen = off, 127.0.0.1:1",
                                  "dns_resolver = 1.1.1.1, 1.1.1.1:53, [::1]:53, ::1", "headers_upstream = off", "db_cache_ttl = 60",
                                  "admin_listen =", "status_access_log = logs/status.log", "shutdown_timeout = 0"])
def test_a_right_setting_is_taken(program, tmp_path, line):
    file = tmp_path / "s.conf"
    file.write_text(line + "\n")
    done = sluice("check", file)
    assert done.returncode == 0 and done.stderr == ""


def test_old_names_are_taken_with_a_warning(program, tmp_path):
    file = tmp_path / "s.conf"
    file.write_text("opentelemetry_tracing = all\n")
    done = sluice("check", file)
    assert done.returncode == 0
    assert f"{file}:1: the 'opentelemetry_tracing' configuration property is deprecated, use 'tracing_instrumentations' instead" in done.stderr


def test_calls_of_the_admin_and_status_api_are_logged_with_their_client(private):
    status = ("127.0.0.1", free_port())
    gateway = private(status_listen="%s:%d" % status, status_access_log="logs/status.log")
    gateway.admin("GET", "/services/whose")
    assert fetch(status, "GET", "/status?whose").status == 200
    eventually(lambda: re.search(r'^127\.0\.0\.1 - - \[.*"GET /services/whose HTTP/1.1" 404 ', gateway.log("admin_access.log"), re.M), "the call")
    log = gateway.prefix / "logs" / "status.log"
    eventually(lambda: re.search(r'^127\.0\.0\.1 - - \[.*"GET /status\?whose HTTP/1.1" 200 ', log.read_text(), re.M), "the call")


def test_a_machine_without_etc_hosts_is_no_mistake(program, tmp_path):
    file = tmp_path / "sluice.conf"
    file.write_text("admin_listen = off\n")
    # A mount of its own hides /etc, as in images that have none.
    hidden = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs none /etc && exec "$0" check "$1"', str(binary())]
    if subprocess.run([*hidden[:6], "mount -t tmpfs none /etc"], capture_output=True).returncode != 0:
        pytest.skip("no mounts of one's own here")
    done = subprocess.run([*hidden, str(file)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    file.write_text("dns_hostsfile = /nowhere/hosts\n")
    done = subprocess.run([*hidden, str(file)], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "dns_hostsfile: file does not exist" in done.stderr
