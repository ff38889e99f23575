"""HTTP/2 clients: one that follows the rules (python3-h2), and one on which the test decides every frame."""

import os
import socket
import ssl
import struct
import sys
import time

try:
    import h2.connection
except ImportError:  # Debian's package, where another Python runs the tests; it is Python alone
    sys.path.append("/usr/lib/python3/dist-packages")
    import h2.connection

import h2.config
import h2.events
import h2.exceptions
import h2.settings
import hpack
import hyperframe.frame

from .gateway import free_port
from .wire import Headers, TIMEOUT

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 5, 7, 8, 9, 11


def tls_context(alpn=("h2",), version=None):
    """A client that believes every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def connect(address, tls, timeout=TIMEOUT, receive_buffer=None, name="gate.test"):
    sock = socket.socket()
    sock.settimeout(timeout)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        context = tls if isinstance(tls, ssl.SSLContext) else tls_context()
        sock = context.wrap_socket(sock, server_hostname=name)
        assert sock.selected_alpn_protocol() == "h2"
    return sock


class Answer:
    """What came on one stream."""

    def __init__(self):
        self.status = None
        self.headers = Headers()
        self.body = bytearray()
        self.trailers = Headers()
        self.interim = []
        self.ended = False
        self.reset = None  # the error code

    @property
    def over(self):
        return self.ended or self.reset is not None

    @property
    def json(self):
        import json
        return json.loads(bytes(self.body))

    def __repr__(self):
        return f"<{self.status} {self.headers!r} {bytes(self.body[:200])!r} ended={self.ended} reset={self.reset}>"


def text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


class Http2:
    """One connection of a client that follows the rules, and takes data as fast as it comes unless told otherwise."""

    def __init__(self, address, tls=True, settings=None, receive_buffer=None, unread=(), name="gate.test", window=None, sock=None):
        self.sock = sock or connect(address, tls, receive_buffer=receive_buffer, name=name)
        # What leaves here may be wrong on purpose.
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False))
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values={**dict(self.h2.local_settings), **settings})
        self.h2.initiate_connection()
        if window:
            self.h2.increment_flow_control_window(window)
        self.answers = {}
        self.unread = set(unread)  # streams whose windows are left alone
        self.goaway = None  # (error code, last stream)
        # To h2 it is the end at once; streams that were begun before it go on (RFC 9113, 6.8).
        self.h2._frame_dispatch_table[hyperframe.frame.GoAwayFrame] = self.take_goaway
        self.closed = False
        self.flush()

    def take_goaway(self, frame):
        self.goaway = (frame.error_code, frame.last_stream_id)
        return [], []

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def begin(self, method="GET", path="/", headers=(), authority="gate.test", end=True, pseudo=None, scheme="https"):
        stream = self.h2.get_next_available_stream_id()
        fields = pseudo if pseudo is not None else [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        self.h2.send_headers(stream, fields + pairs, end_stream=end)
        self.answers[stream] = Answer()
        self.flush()
        return stream

    def send(self, stream, data=b"", end=False, trailers=None, chunk=16384):
        """A body, as the windows allow."""
        view = memoryview(data)
        while view:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, chunk, len(view))
            if room > 0:
                self.h2.send_data(stream, bytes(view[:room]))
                view = view[room:]
                self.flush()
                self.take(0)
            else:
                self.take()
            if view and self.answers[stream].over:
                return False
        if trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        elif end:
            self.h2.end_stream(stream)
        self.flush()
        return True

    def request(self, method="GET", path="/", headers=(), body=None, trailers=None, **more):
        stream = self.begin(method, path, headers, end=body is None and trailers is None, **more)
        if body is not None or trailers is not None:
            self.send(stream, body or b"", end=True, trailers=trailers)
        return stream

    def fetch(self, *args, **more):
        return self.answer(self.request(*args, **more))

    def answer(self, stream, timeout=TIMEOUT):
        self.until(lambda: self.answers[stream].over or self.closed, f"the end of stream {stream}", timeout)
        return self.answers[stream]

    def head(self, stream):
        self.until(lambda: self.answers[stream].status or self.answers[stream].over, f"the head of stream {stream}")
        return self.answers[stream]

    def reset(self, stream, error=CANCEL):
        self.h2.reset_stream(stream, error)
        self.flush()

    def until(self, check, what, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while not check():
            left = deadline - time.monotonic()
            if left <= 0 or self.closed:
                raise AssertionError(f"{what} did not come (closed: {self.closed}, GOAWAY: {self.goaway}): {self.answers}")
            self.take(left)

    def end(self, timeout=TIMEOUT):
        """Waits for the other side to close; what it said with GOAWAY."""
        self.until(lambda: self.closed, "the end of the connection", timeout)
        return self.goaway

    def take(self, seconds=TIMEOUT):
        """What has come, or comes in time."""
        self.sock.settimeout(max(seconds, 0.0005))
        try:
            data = self.sock.recv(262144)
        except (TimeoutError, ssl.SSLWantReadError):
            return
        except ConnectionResetError:
            data = b""
        finally:
            self.sock.settimeout(TIMEOUT)
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(data):
            self.handle(event)
        self.flush_what_fits()

    def flush_what_fits(self):
        try:
            self.flush()
        except OSError:
            pass

    def handle(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None))
        pairs = [(text(n), text(v)) for n, v in getattr(event, "headers", None) or ()]
        if answer is None:
            return
        elif isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(Headers(pairs))
        elif isinstance(event, h2.events.ResponseReceived):
            answer.status = int(dict(pairs)[":status"])
            answer.headers = Headers(pairs)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = Headers(pairs)
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if event.stream_id in self.unread:
                if event.flow_controlled_length:
                    self.h2.increment_flow_control_window(event.flow_controlled_length)
            elif event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class RawHttp2:
    """A connection on which the test decides every frame."""

    def __init__(self, address, tls=True, settings=b"", greet=True):
        self.sock = connect(address, tls)
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.buffer = b""
        self.ended = False
        if greet:
            self.sock.sendall(PREFACE + frame(SETTINGS, payload=settings) + frame(SETTINGS, ACK))

    def block(self, method="GET", path="/", authority="gate.test", more=()):
        return self.encoder.encode([(":method", method), (":scheme", "https"), (":authority", authority), (":path", path), *more])

    def send(self, data):
        """False: the other side has closed."""
        try:
            self.sock.sendall(data)
            return True
        except (OSError, ssl.SSLError):
            return False

    def frames(self, seconds=TIMEOUT):
        """(kind, flags, stream, payload) until the connection ends."""
        deadline = time.monotonic() + seconds
        while True:
            while len(self.buffer) >= 9:
                size = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + size:
                    break
                kind, flags = self.buffer[3], self.buffer[4]
                stream = int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF
                payload, self.buffer = self.buffer[9:9 + size], self.buffer[9 + size:]
                yield kind, flags, stream, payload
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                return
            except (OSError, ssl.SSLError):
                data = b""
            if not data:
                self.ended = True
                return
            self.buffer += data

    def goaway(self, seconds=TIMEOUT):
        """The error code that ends the connection; None when it ends without one or not at all."""
        for kind, _, _, payload in self.frames(seconds):
            if kind == GOAWAY:
                return int.from_bytes(payload[4:8], "big")
        return None

    def first(self, wanted, seconds=TIMEOUT):
        """The first frame of a kind."""
        for kind, flags, stream, payload in self.frames(seconds):
            if kind == wanted:
                return flags, stream, payload
        raise AssertionError(f"no frame of kind {wanted} (ended: {self.ended})")

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def cpu_seconds(pid):
    """User and system time of a process."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def doors():
    clear, tls = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    return clear, tls, "%s:%d http2, %s:%d ssl http2" % (*clear, *tls)


class Doors:
    """A gateway that speaks HTTP/2 on two listeners."""

    def __init__(self, start, **settings):
        self.clear, self.tls, listen = doors()
        self.gateway = start(proxy_listen=listen, **settings)
        self.gateway.proxy = self.clear

    def open(self, tls=True, **more):
        return Http2(self.tls if tls else self.clear, tls, **more)
