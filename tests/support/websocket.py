"""A real WebSocket server, and frames made by hand for its clients."""

import asyncio
import base64
import hashlib
import os
import ssl
import struct
import sys
import threading

try:
    import websockets
except ImportError:  # as in http2.py
    sys.path.append("/usr/lib/python3/dist-packages")
    import websockets

from .http2 import h2

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class EchoServer:
    """Sends every message back; "bye" ends the connection with 1000, and "count N" sends N messages."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.requests = []  # (path, headers)
        self.closed = []  # close codes that came
        threading.Thread(target=self._run, daemon=True).start()
        assert self.ready.wait(10)
        self.url = f"http://127.0.0.1:{self.port}"

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())

    async def _serve(self):
        self.stopping = asyncio.Event()
        async with websockets.serve(self._echo, "127.0.0.1", 0, subprotocols=["chat"], max_size=None, ping_interval=None) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.stopping.wait()

    async def _echo(self, peer):
        self.requests.append((peer.path, peer.request_headers))
        try:
            async for message in peer:
                if message == "bye":
                    return
                if isinstance(message, str) and message.startswith("count "):
                    for n in range(int(message[6:])):
                        await peer.send(str(n))
                else:
                    await peer.send(message)
        except websockets.ConnectionClosed:
            pass
        finally:
            self.closed.append(peer.close_code)

    def stop(self):
        self.loop.call_soon_threadsafe(self.stopping.set)


def client_frame(payload, kind=TEXT):
    """A masked frame, as a client must send it."""
    payload = payload.encode() if isinstance(payload, str) else payload
    mask = os.urandom(4)
    size = len(payload)
    head = bytes([0x80 | kind])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", size)
    return head + mask + masking(payload, mask)


def masking(payload, mask):
    repeated = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def parse_frame(data):
    """(kind, payload, rest) of a frame, or None while it is not all there."""
    if len(data) < 2:
        return None
    kind, masked, size, at = data[0] & 15, data[1] & 128, data[1] & 127, 2
    if size == 126:
        if len(data) < 4:
            return None
        size, at = struct.unpack(">H", data[2:4])[0], 4
    elif size == 127:
        if len(data) < 10:
            return None
        size, at = struct.unpack(">Q", data[2:10])[0], 10
    mask = bytes(data[at:at + 4]) if masked else b""
    at += len(mask)
    if len(data) < at + size:
        return None
    payload = bytes(data[at:at + size])
    return kind, masking(payload, mask) if masked else payload, data[at + size:]


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def handshake(path="/", host="gate.test", key=b"sluice's own key", more=""):
    """The opening over HTTP/1.1, and the accept that must come back."""
    key = base64.b64encode(key).decode()
    accept = accept_of(key.encode())
    return (f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n{more}\r\n").encode(), accept


def server_frame(payload, kind=TEXT):
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | kind, size])
    elif size < 65536:
        head = bytes([0x80 | kind, 126]) + struct.pack(">H", size)
    else:
        head = bytes([0x80 | kind, 127]) + struct.pack(">Q", size)
    return head + payload


class EchoFrames:
    """What a server says to frames: every message comes back, a close is answered, "bye" closes with 1000."""

    def __init__(self):
        self.buffer = b""
        self.close_code = None  # that the client sent
        self.said_close = False

    def take(self, data):
        out = b""
        self.buffer += data
        while self.close_code is None and (found := parse_frame(self.buffer)):
            kind, payload, self.buffer = found
            if kind == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big")
                out += b"" if self.said_close else server_frame(payload, CLOSE)
            elif payload == b"bye":
                self.said_close = True
                out += server_frame((1000).to_bytes(2, "big"), CLOSE)
            else:
                out += server_frame(payload, PONG if kind == PING else kind)
        return out


class BothVersions:
    """An origin's script: WebSocket over whichever version of HTTP its client begins with; over HTTP/2 only where it `offers` it."""

    def __init__(self, offers=True, status="200"):
        self.offers = offers
        self.status = status  # of the answer to an extended CONNECT
        self.requests = []  # (version, headers)
        self.closed = []  # close codes; None where there was none
        self.resets = []  # error codes

    def __call__(self, peer):
        if peer.reader.buffer or peer.reader.fill():
            (self._http2 if peer.reader.buffer.startswith(b"PRI ") else self._http1)(peer)

    def _http1(self, peer):
        head = peer.reader.head()
        self.requests.append(("1.1", dict((name.lower(), value) for name, value in head.headers)))
        accept = accept_of(head.headers["sec-websocket-key"].encode())
        peer.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n"
                  "Sec-WebSocket-Protocol: chat\r\n\r\n".encode())
        frames = EchoFrames()
        data = peer.reader.buffer
        while data or (data := peer.sock.recv(65536)):
            peer.send(frames.take(data))
            data = b""
            if frames.close_code is not None:
                break
        self.closed.append(frames.close_code)
        if isinstance(peer.sock, ssl.SSLSocket):
            peer.sock.unwrap()

    def _http2(self, peer):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        settings = dict(connection.local_settings)
        if self.offers:
            settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        connection.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        connection.initiate_connection()
        peer.send(connection.data_to_send())
        tunnels = {}
        waiting = {}  # bytes that the windows have no room for
        data = peer.reader.buffer
        while data or (data := peer.sock.recv(65536)):
            for event in connection.receive_data(data):
                stream = getattr(event, "stream_id", None)
                if isinstance(event, h2.events.RequestReceived):
                    fields = dict(event.headers)
                    self.requests.append(("2", fields))
                    refuses = fields.get(":protocol") != "websocket" or self.status != "200"
                    connection.send_headers(stream, [(":status", self.status), ("sec-websocket-protocol", "chat")], end_stream=refuses)
                    if not refuses:
                        tunnels[stream], waiting[stream] = EchoFrames(), b""
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, stream)
                    if stream in tunnels:
                        waiting[stream] += tunnels[stream].take(event.data)
                elif isinstance(event, h2.events.StreamReset) and stream in tunnels:
                    self.resets.append(int(event.error_code))
                    self.closed.append(tunnels.pop(stream).close_code)
                elif isinstance(event, h2.events.StreamEnded) and stream in tunnels:
                    if tunnels[stream].close_code is None:
                        tunnels[stream].close_code = 1006
            for stream in list(tunnels):
                while waiting[stream] and (room := min(connection.local_flow_control_window(stream), connection.max_outbound_frame_size)) > 0:
                    connection.send_data(stream, waiting[stream][:room])
                    waiting[stream] = waiting[stream][room:]
                if tunnels[stream].close_code is not None and not waiting[stream]:
                    connection.end_stream(stream)
                    self.closed.append(tunnels.pop(stream).close_code)
            peer.send(connection.data_to_send())
            data = b""
