"""HTTP/1.1 on raw sockets: exact bytes out, one message in."""

import json
import socket
import time

TIMEOUT = 15.0


class Closed(Exception):
    """The peer closed before a whole message had arrived; `partial` is what did."""

    def __init__(self, partial=b""):
        super().__init__(f"closed after {partial[:300]!r}")
        self.partial = partial


class Headers:
    """Header lines in order, with their spelling; lookups ignore case."""

    def __init__(self, pairs=()):
        self.pairs = list(pairs)

    def all(self, name):
        return [v for n, v in self.pairs if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def names(self):
        return [n for n, _ in self.pairs]

    def __contains__(self, name):
        return bool(self.all(name))

    def __getitem__(self, name):
        if name not in self:
            raise KeyError(f"{name} (have {self.names()})")
        return self.get(name)

    def __iter__(self):
        return iter(self.pairs)

    def __repr__(self):
        return repr(self.pairs)


class Message:
    """One request or answer. `raw_head` is its head as it was on the wire."""

    def __init__(self, start, headers, raw_head):
        self.start = start
        self.headers = headers
        self.raw_head = raw_head
        self.body = b""
        self.trailers = Headers()
        self.complete = False
        self.interim = []

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    # answers
    @property
    def status(self):
        return int(self.start.split(" ", 2)[1])

    @property
    def version(self):
        return self.start.split(" ", 1)[0]

    # requests
    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def target(self):
        return self.start.split(" ")[1]

    def __repr__(self):
        return f"<{self.start!r} {self.headers!r} {self.body[:200]!r}>"


def parse_headers(lines):
    pairs = []
    for line in lines:
        name, _, value = line.partition(":")
        pairs.append((name, value.strip(" \t")))
    return Headers(pairs)


class Reader:
    """Reads messages from a socket and keeps what is left for the next one."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.seen = b""
        self.remember = True

    def fill(self):
        data = self.sock.recv(65536)
        if self.remember:
            self.seen += data
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise Closed(self.buffer)
        out, self.buffer = self.buffer.split(mark, 1)
        return out

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise Closed(self.buffer)
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def rest(self):
        while self.fill():
            pass
        out, self.buffer = self.buffer, b""
        return out

    def head(self):
        raw = self.until(b"\r\n\r\n")
        lines = raw.decode("latin-1").split("\r\n")
        return Message(lines[0], parse_headers(lines[1:]), raw)

    def chunked(self, message):
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            message.body += self.exactly(size)
            if self.exactly(2) != b"\r\n":
                raise AssertionError("no CRLF after the data of a chunk")
        lines = []
        while True:
            line = self.until(b"\r\n")
            if not line:
                break
            lines.append(line.decode("latin-1"))
        message.trailers = parse_headers(lines)

    def request(self):
        message = self.head()
        if "chunked" in message.headers.get("transfer-encoding", "").lower():
            try:
                self.chunked(message)
            except Closed:
                return message
        else:
            length = int(message.headers.get("content-length", "0"))
            try:
                message.body = self.exactly(length)
            except Closed as short:
                message.body = short.partial
                return message
        message.complete = True
        return message

    def answer(self, method="GET"):
        """One answer; 1xx answers before it are kept in `interim`."""
        interim = []
        while True:
            message = self.head()
            if not (100 <= message.status < 200) or message.status == 101:
                break
            interim.append(message)
        message.interim = interim
        codings = message.headers.get("transfer-encoding", "").lower()
        if method == "HEAD" or message.status in (101, 204, 304):
            pass
        elif "chunked" in codings:
            self.chunked(message)
        elif "content-length" in message.headers:
            message.body = self.exactly(int(message.headers["content-length"]))
        else:
            message.body = self.rest()
        message.complete = True
        return message


class Client:
    """A client connection on which the test decides every byte."""

    def __init__(self, address, timeout=TIMEOUT, source=None, receive_buffer=None):
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind(source)
        self.sock.connect(address)
        self.reader = Reader(self.sock)

    def send(self, data):
        self.sock.sendall(data)
        return self

    def send_what_fits(self, data):
        """Send, although the other side may refuse and close while we do."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def finish_sending(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def answer(self, method="GET"):
        return self.reader.answer(method)

    def ask(self, data, method=None):
        self.send(data)
        return self.answer(method or data.split(b" ", 1)[0].decode("latin-1"))

    def rest(self):
        """Everything until the peer closes; a reset counts as closing."""
        try:
            return self.reader.rest()
        except ConnectionResetError:
            out, self.reader.buffer = self.reader.buffer, b""
            return out

    def is_closed_within(self, seconds):
        """True when the peer closes in time. What it sends before is kept for rest()."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.sock.settimeout(max(0.001, deadline - time.monotonic()))
                if not self.reader.fill():
                    return True
        except ConnectionResetError:
            return True
        except (socket.timeout, TimeoutError):
            return False
        finally:
            self.sock.settimeout(TIMEOUT)

    def reset(self):
        """Close with a reset instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request_bytes(method="GET", target="/", headers=(), body=b"", host="gate.test", version="HTTP/1.1"):
    """A plain well-formed request. `headers` is a mapping or a list of pairs."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    names = {n.lower() for n, _ in pairs}
    lines = [f"{method} {target} {version}"]
    if "host" not in names and host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{n}: {v}" for n, v in pairs]
    if body and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(target="/", *lines):
    """A request for `target` with header lines ("Accept: text/html")."""
    return request_bytes("GET", target, [tuple(line.split(": ", 1)) for line in lines])


def chunks(*pieces, trailers=""):
    out = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
    return out + b"0\r\n" + trailers.encode("latin-1") + b"\r\n"


def fetch(address, method="GET", target="/", headers=(), body=b"", **more):
    """One request on a connection of its own."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    if "connection" not in {n.lower() for n, _ in pairs}:
        pairs.append(("Connection", "close"))
    with Client(address) as client:
        return client.ask(request_bytes(method, target, pairs, body, **more), method)
