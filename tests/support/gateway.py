"""A running gateway: started on a directory of its own, asked through its Admin API."""

import json as jsonlib
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.parse

from .waiting import eventually
from .wire import Client, fetch

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_TIMEOUT = 20.0

# In the order in which they can be deleted: what refers before what is referred to.
COLLECTIONS = ["plugins", "routes", "services", "consumers", "upstreams", "snis", "certificates",
               "ca_certificates", "consumer_groups", "vaults", "key-sets", "keys"]


def binary():
    path = pathlib.Path(os.environ.get("SLUICE_BIN", "build/release/sluice"))
    return path if path.is_absolute() else ROOT / path


def _unborrowed():
    """Ports below those the kernel lends to whoever binds or connects without naming one."""
    lent = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    first, last = (10_000, lent) if lent > 12_000 else (10_000, 60_000)
    start = random.randrange(first, last)
    yield from range(start, last)
    yield from range(first, start)


_ports = _unborrowed()


def free_port(host="127.0.0.1"):
    """A port nobody uses, by TCP or by UDP, that was not handed out before and is lent to nobody later."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in _ports:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(family, kind) as sock:
                    sock.bind((host, port))
            return port
        except OSError:
            continue
    raise RuntimeError("no port is left")


class Gateway:
    def __init__(self, settings=None, environment=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-"))
        self.prefix = self.directory / "prefix"
        self.prefix.mkdir()
        self.proxy = ("127.0.0.1", free_port())
        self.admin_address = ("127.0.0.1", free_port())
        self.settings = {
            "prefix": self.prefix,
            "database": "sqlite",
            "proxy_listen": "%s:%d" % self.proxy,
            "admin_listen": "%s:%d" % self.admin_address,
            "status_listen": "off",
            "nginx_worker_processes": 2,
            "log_level": "info",
            "event_backend": os.environ.get("SLUICE_EVENT_BACKEND"),  # None: what the node picks
            "proxy_access_log": self.directory / "access.log",
            "proxy_error_log": self.directory / "error.log",
            "admin_access_log": self.directory / "admin_access.log",
            "admin_error_log": self.directory / "admin_error.log",
        }
        self.settings.update(settings or {})
        self.environment = environment or {}
        self.process = None
        self.marks = 0
        self.marked = False

    # -- running

    def start(self, wait=True):
        config = self.directory / "sluice.conf"
        config.write_text("".join(f"{k} = {v}\n" for k, v in self.settings.items() if v is not None))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        environment.update({k: str(v) for k, v in self.environment.items()})
        with open(self.directory / "output.log", "ab") as output:
            self.process = subprocess.Popen([str(binary()), "run", "-c", str(config)], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, env=environment, cwd=self.directory)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"exited with {self.process.returncode} at start:\n{self.log()}")
            return self.admin("GET", "/status").status == 200

        try:
            eventually(ready, "readiness of the gateway", START_TIMEOUT)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.log()}") from None

    def end(self, with_signal, timeout=20.0):
        """Send a signal and return the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running {timeout} s after signal {with_signal}\n{self.log()}") from None

    def stop(self):
        return self.end(signal.SIGTERM)

    def stop_gracefully(self, timeout=20.0):
        return self.end(signal.SIGQUIT, timeout)

    def kill(self):
        return self.end(signal.SIGKILL)

    def restart(self, **settings):
        """Stop, change settings, start again on the same directory."""
        self.stop()
        self.settings.update(settings)
        return self.start()

    def discard(self):
        try:
            if self.process is not None and self.process.poll() is None:
                self.kill()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- looking

    def log(self, *names):
        """The text of the logs: by default everything but the access logs."""
        out = []
        for name in names or ("output.log", "error.log", "admin_error.log"):
            path = self.directory / name
            if path.exists():
                out.append(path.read_text(errors="replace"))
        return "".join(out)

    @property
    def pid(self):
        return self.process.pid

    def _family(self):
        """The process and all of its descendants."""
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    waiting += [int(p) for p in task.read_text().split()]
                except OSError:
                    pass
        return found

    def memory(self, field="VmRSS"):
        """Resident bytes (VmRSS) or their peak (VmHWM), workers included."""
        total = 0
        for pid in self._family():
            try:
                text = pathlib.Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            found = re.search(rf"^{field}:\s+(\d+) kB", text, re.M)
            total += int(found.group(1)) * 1024 if found else 0
        return total

    @property
    def sanitized(self):
        """It runs under ASan or TSan."""
        return re.search(r"/lib[at]san\.so", pathlib.Path(f"/proc/{self.pid}/maps").read_text()) is not None

    def alive(self):
        return self.process.poll() is None

    # -- Admin API

    def admin(self, method, path, json=None, form=None, headers=None, raw=None):
        """Ask the Admin API. `raw` is a pair of body and Content-Type."""
        pairs = dict(headers or {})
        body = b""
        if json is not None:
            body = jsonlib.dumps(json).encode()
            pairs.setdefault("Content-Type", "application/json")
        elif form is not None:
            items = form.items() if isinstance(form, dict) else form
            body = urllib.parse.urlencode(list(items)).encode()
            pairs.setdefault("Content-Type", "application/x-www-form-urlencoded")
        elif raw is not None:
            body = raw[0].encode() if isinstance(raw[0], str) else raw[0]
            pairs.setdefault("Content-Type", raw[1])
        if json is not None or form is not None or raw is not None:
            pairs["Content-Length"] = str(len(body))
        return fetch(self.admin_address, method, path, pairs, body,
                     host="%s:%d" % tuple(self.admin_address[:2]))

    def create(self, path, **fields):
        """POST an entity that must be accepted."""
        answer = self.admin("POST", path, json=fields)
        assert answer.status == 201, f"POST {path} {fields}: {answer}"
        return answer.json

    def route(self, upstream, path="/", service=None, settle=True, **route):
        """A service for `upstream` (an origin, or an URL) and a route to it; returns both."""
        if not self.marked:
            self.settle()  # before there is a route that would answer in its place
        url = upstream if isinstance(upstream, str) else upstream.url
        fields = {"url": url, **(service or {})}
        made = self.create("/services", **fields)
        if path is not None:
            route.setdefault("paths", [path])
        if not {"paths", "hosts", "methods", "headers"} & set(route):
            raise ValueError("a route needs something to match")
        found = self.create(f"/services/{made['id']}/routes", **route)
        if settle:
            self.settle()
        return made, found

    def settle(self):
        """Wait until every worker serves everything written so far.

        A route that no test asks for only redirects; the status it redirects with is changed and waited for.
        """
        self.marks += 1
        status = (301, 302, 307, 308)[self.marks % 4]
        mark = self.admin("PUT", "/routes/settled", json={
            "hosts": ["settled.test"], "paths": ["/"], "protocols": ["https"], "https_redirect_status_code": status})
        assert mark.status == 200, mark
        self.marked = True

        def everywhere():
            return all(fetch(self.proxy, "GET", "/", host="settled.test").status == status for _ in range(8))

        eventually(everywhere, "the new configuration in every worker")

    def clear(self):
        """Delete every entity."""
        self.marked = False
        for collection in COLLECTIONS:
            while True:
                page = self.admin("GET", f"/{collection}?size=1000")
                if page.status != 200 or not page.json["data"]:
                    break
                for entity in page.json["data"]:
                    gone = self.admin("DELETE", f"/{collection}/{entity['id']}")
                    assert gone.status == 204, f"DELETE /{collection}/{entity['id']}: {gone}"

    # -- proxy

    def client(self, **more):
        return Client(self.proxy, **more)

    def get(self, target="/", headers=(), **more):
        return fetch(self.proxy, "GET", target, headers, **more)

    def fetch(self, method, target="/", headers=(), body=b"", **more):
        return fetch(self.proxy, method, target, headers, body, **more)
