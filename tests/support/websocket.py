"""A real WebSocket server, and frames made by hand for its clients."""

import asyncio
import base64
import hashlib
import os
import struct
import sys
import threading

try:
    import websockets
except ImportError:  # as in http2.py
    sys.path.append("/usr/lib/python3/dist-packages")
    import websockets

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
    repeated = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


def parse_frame(data):
    """(kind, payload, rest) of a server's frame, or None while it is not all there."""
    if len(data) < 2:
        return None
    kind, size, at = data[0] & 15, data[1] & 127, 2
    if size == 126:
        if len(data) < 4:
            return None
        size, at = struct.unpack(">H", data[2:4])[0], 4
    elif size == 127:
        if len(data) < 10:
            return None
        size, at = struct.unpack(">Q", data[2:10])[0], 10
    if len(data) < at + size:
        return None
    return kind, bytes(data[at:at + size]), data[at + size:]


def handshake(path="/", host="gate.test", key=b"sluice's own key", more=""):
    """The opening over HTTP/1.1, and the accept that must come back."""
    key = base64.b64encode(key).decode()
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    return (f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n{more}\r\n").encode(), accept
