"""The program as an operator runs it: commands, and a node that lives by them."""

import os
import signal
import socket
import subprocess
import time

from .gateway import binary, free_port
from .wire import Client, fetch, request_bytes

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


def nodes_in(folder):
    """For a fixture: makes nodes below a folder, and ends what still runs."""
    made = []

    def make(**settings):
        directory = folder / f"n{len(made)}"
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
