"""The programs that are measured beside each other, and how: one worker each, pinned to one core; what loads them and
what they forward to on the others."""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROXY_CORE = 0
OTHER_CORES = ",".join(str(core) for core in range(1, os.cpu_count() or 2)) or "0"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens at {port}")


def family(pid):
    """The process and its children."""
    out = [pid]
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        out += family(int(child))
    return out


def cpu_seconds(pid):
    """utime + stime, as the scheduler counts it: to the nanosecond, where /proc/pid/stat has ticks of 10 ms."""
    total = 0
    for each in family(pid):
        for task in pathlib.Path(f"/proc/{each}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Program:
    def __init__(self, name, command, port, path="/", headers=()):
        self.name, self.command, self.port, self.path, self.headers = name, command, port, path, headers
        self.process = None

    def start(self, cores=str(PROXY_CORE), env=None):
        self.process = subprocess.Popen(["taskset", "-c", cores, *self.command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, **(env or {})})
        wait_for(self.port)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)


def certificate(folder):
    """An ECDSA certificate for localhost; nginx and Sluice take two files, HAProxy one of both."""
    if not (folder / "key.pem").exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key.pem",
                        "-out", folder / "cert.pem", "-subj", "/CN=localhost", "-days", "30"], check=True, capture_output=True)
        (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return folder / "cert.pem", folder / "key.pem"


def nginx(folder, name, port, location, extra="", tls_port=None, server=""):
    tls = ""
    if tls_port:
        cert, key = certificate(folder)
        tls = f"listen 127.0.0.1:{tls_port} ssl http2 backlog=4096; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_session_timeout 1d; ssl_protocols TLSv1.2 TLSv1.3;"
    conf = folder / f"{name}.conf"
    (folder / name).mkdir()
    conf.write_text(f"""
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{
  access_log off; sendfile on; http2_max_concurrent_streams 128; client_max_body_size 0; keepalive_requests 1000000000; keepalive_timeout 3600s;
  client_body_temp_path {folder}/{name}/a; proxy_temp_path {folder}/{name}/b; fastcgi_temp_path {folder}/{name}/c;
  uwsgi_temp_path {folder}/{name}/d; scgi_temp_path {folder}/{name}/e;
  {extra}
  server {{ listen 127.0.0.1:{port} backlog=4096; {tls} {server} location / {{ {location} }} }}
}}""")
    return Program(name, ["nginx", "-p", str(folder), "-c", str(conf)], port)


def haproxy(folder, port, upstream, tls_port=None, others=None):
    if tls_port:
        certificate(folder)
    tls = f"  bind 127.0.0.1:{tls_port} ssl crt {folder}/both.pem alpn h2,http/1.1\n" if tls_port else ""
    choice = "".join(f"  use_backend {name} if {{ path_beg /{name} }}\n" for name in others or ())
    conf = folder / "haproxy.cfg"
    conf.write_text(f"""
global
  nbthread 1
  tune.ssl.default-dh-param 2048
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
{tls}{choice}  default_backend out
backend out
  server one 127.0.0.1:{upstream} pool-max-conn 4096
""" + "".join(f"backend {name}\n  server one 127.0.0.1:{to}\n" for name, to in (others or {}).items()))
    return Program("HAProxy", ["haproxy", "-db", "-f", str(conf)], port)


def sluice(folder, backend, upstream, tls_port=None, others=None):
    port, admin = free_port(), free_port()
    prefix = folder / f"sluice-{backend}"
    env = {"SLUICE_PREFIX": str(prefix), "SLUICE_PROXY_LISTEN": f"127.0.0.1:{port}", "SLUICE_ADMIN_LISTEN": f"127.0.0.1:{admin}",
           "SLUICE_STATUS_LISTEN": "off", "SLUICE_NGINX_WORKER_PROCESSES": "1", "SLUICE_PROXY_ACCESS_LOG": "off", "SLUICE_EVENT_BACKEND": backend,
           "SLUICE_CLIENT_MAX_BODY_SIZE": "0", "SLUICE_CLIENT_KEEPALIVE_REQUESTS": "1000000000", "SLUICE_UPSTREAM_KEEPALIVE_MAX_REQUESTS": "0"}
    if tls_port:
        cert, key = certificate(folder)
        env["SLUICE_PROXY_LISTEN"] += f", 127.0.0.1:{tls_port} ssl http2"
        env |= {"SLUICE_SSL_CERT": str(cert), "SLUICE_SSL_CERT_KEY": str(key)}
    program = Program(f"Sluice {backend}", [str(ROOT / "build/release/sluice"), "run"], port, "/bare/x")
    program.start(env=env)
    wait_for(admin)

    def put(path, body, method="PUT"):
        connection = http.client.HTTPConnection("127.0.0.1", admin)
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{path}: {answer.status} {text}")

    for name in ("bare", "plugins"):
        put(f"/services/{name}", {"url": f"http://127.0.0.1:{upstream}"})
        put(f"/services/{name}/routes/{name}", {"paths": [f"/{name}"]})
    for name, to in (others or {}).items():
        put(f"/services/{name}", {"url": f"http://127.0.0.1:{to}"})
        put(f"/services/{name}/routes/{name}", {"paths": [f"/{name}"], "strip_path": False, "request_buffering": False})
    put("/consumers/bench", {})
    put("/consumers/bench/key-auth/bench-key", {})
    put("/consumers/bench/acls", {"group": "benchers"}, "POST")
    for plugin, config in (("key-auth", {}), ("acl", {"allow": ["benchers"]}), ("rate-limiting", {"hour": 1000000000, "policy": "local"})):
        put("/services/plugins/plugins", {"name": plugin, "config": config}, "POST")
    time.sleep(0.3)
    plugged = Program(f"Sluice {backend} +plugins", [], port, "/plugins/x", ("apikey: bench-key",))
    plugged.process = program.process
    return program, plugged
