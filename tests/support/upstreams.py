"""Origins to put behind the gateway."""

import hashlib
import json
import socket
import threading
import time

from .waiting import eventually
from .wire import Closed, Reader

ECHO_SERVER = "BaseHTTP/0.6 Python/3.11.7"


class Peer:
    """One connection that the gateway opened to a RawUpstream."""

    def __init__(self, upstream, sock):
        self.upstream = upstream
        self.sock = sock
        self.reader = Reader(sock)
        self.reader.remember = upstream.remember
        self.requests = []
        self.closed = threading.Event()

    @property
    def received(self):
        return self.reader.seen

    def request(self):
        """Read one request; whole or not, it counts as seen."""
        message = self.reader.request()
        self.requests.append(message)
        self.upstream.requests.append(message)
        return message

    def head(self):
        message = self.reader.head()
        self.requests.append(message)
        self.upstream.requests.append(message)
        return message

    def send(self, data):
        self.sock.sendall(data)

    def wait_closed(self):
        """Read until the gateway closes; anything it still sends is recorded."""
        try:
            while self.reader.fill():
                pass
        except OSError:
            pass
        self.closed.set()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self.closed.set()


def plain(body=b"", status="200 OK", headers=()):
    """An answer with a Content-Length."""
    lines = "".join(f"{n}: {v}\r\n" for n, v in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def serve(answer):
    """A script that answers every request: with bytes, or with what answer(request) returns."""

    def script(peer):
        while True:
            message = peer.request()
            if not message.complete:
                return
            peer.send(answer(message) if callable(answer) else answer)

    return script


class Late:
    """The script of an origin whose answer, "late", waits for release()."""

    def __init__(self):
        self._released = threading.Event()
        self.release = self._released.set

    def __call__(self, peer):
        peer.request()
        assert self._released.wait(30), "nobody released the answer"
        peer.send(plain(b"late"))


def name_of_target(message):
    return plain(message.target.encode("latin-1"))


# Answers with the digest of what it got.
hashing = serve(lambda message: plain(hashlib.sha256(message.body).hexdigest().encode(), headers=[("X-Length", str(len(message.body)))]))


class RawUpstream:
    """A scripted TCP server. `script(peer)` runs once for every connection."""

    def __init__(self, script=None, host="127.0.0.1", remember=True, receive_buffer=None, port=0):
        if isinstance(script, bytes):
            script = serve(script)
        self.script = script or serve(name_of_target)
        self.remember = remember
        self.peers = []
        self.requests = []
        self.problems = []
        self.stopping = False
        self.listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind((host, port))
        self.listener.listen(256)
        self.host, self.port = self.listener.getsockname()[:2]
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.stopping:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(self, sock)
            self.peers.append(peer)
            threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer):
        try:
            self.script(peer)
        except (Closed, OSError):
            pass
        except Exception as problem:  # a test wants to know that its origin broke
            self.problems.append(problem)
        peer.close()

    @property
    def received(self):
        return b"".join(peer.received for peer in self.peers)

    def wait_for_requests(self, count, timeout=10.0):
        eventually(lambda: len(self.requests) >= count, f"{count} requests at the origin", timeout)
        return self.requests

    def peer(self, index=0, timeout=10.0):
        eventually(lambda: len(self.peers) > index, f"connection {index} at the origin", timeout)
        return self.peers[index]

    def stop(self):
        self.stopping = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for peer in self.peers:
            peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def echo_answer(message):
    """What the recordings' origin answered: /status/N/x, /bytes/N/x, /slow/MS/x, else what it received."""
    parts = message.target.split("?")[0].split("/")
    status = 200
    body = None
    if len(parts) > 2 and parts[1] == "status" and parts[2].isdigit():
        status = int(parts[2])
    elif len(parts) > 2 and parts[1] == "slow" and parts[2].isdigit():
        time.sleep(int(parts[2]) / 1000)
    elif len(parts) > 2 and parts[1] == "bytes" and parts[2].isdigit():
        body = b"x" * int(parts[2])
    if body is None:
        seen = {}
        for name, value in message.headers:
            low = name.lower()
            seen[low] = seen[low] + ", " + value if low in seen else value
        body = json.dumps({"method": message.method, "target": message.target, "headers": seen,
                           "body": message.body.decode("latin-1")}).encode()
    head = (f"HTTP/1.1 {status} {'OK' if status == 200 else 'Status'}\r\n"
            f"Server: {ECHO_SERVER}\r\nDate: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}\r\n")
    if status in (204, 304) or 100 <= status < 200:
        return head.encode() + b"\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + (b"" if message.method == "HEAD" else body)


def echo_script(peer):
    while True:
        message = peer.request()
        if not message.complete or message.target.split("?")[0] == "/drop":
            return
        peer.send(echo_answer(message))


class Echo(RawUpstream):
    """Answers with JSON of what it received."""

    def __init__(self, host="127.0.0.1", port=0):
        super().__init__(echo_script, host, port=port)


def dead_port():
    """A port on which nobody listens; it stays bound, so that nobody will."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]
