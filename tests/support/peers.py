"""Peers to balance over: real processes that can be killed, stopped and cut off, and a crowd of clients."""

import signal
import subprocess
import sys
import threading
import time

from .wire import Client, request_bytes

PROGRAM = r"""
import asyncio, os, signal, socket, sys, time

name, port, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
state = {"status": 200, "delay": delay, "open": 0}

def cut_off(*_):
    # Nothing is answered any more, and what still wants to connect hears nothing either.
    listener.listen(0)
    time.sleep(3600)

signal.signal(signal.SIGUSR1, cut_off)

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target = head.split(b" ", 2)[:2]
            size = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            if size:
                await reader.readexactly(size)
            if target.startswith(b"/peer-status/"):
                state["status"] = int(target.rsplit(b"/", 1)[1])
            if target.startswith(b"/peer-delay/"):
                state["delay"] = float(target.rsplit(b"/", 1)[1])
            own = target.startswith(b"/peer-")
            state["open"] += 1
            if not own and state["delay"]:
                await asyncio.sleep(state["delay"])
            state["open"] -= 1
            status = 200 if own else state["status"]
            writer.write(b"HTTP/1.1 %d X\r\nX-Peer: %s\r\nContent-Length: %d\r\n\r\n%s" % (status, name.encode(), len(name), name.encode()))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, sock=listener, backlog=128)
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


class PeerProcess:
    """Answers every request with its name. /peer-status/N and /peer-delay/S change how, for all that follow."""

    def __init__(self, name, port=0, delay=0.0):
        self.name, self.delay = name, delay
        self.start(port)

    def start(self, port=0):
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, self.name, str(port), str(self.delay)], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        return self

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def tell(self, target):
        with Client(("127.0.0.1", self.port)) as client:
            assert client.ask(request_bytes("GET", target)).status == 200

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        return self.start(self.port)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def cut_off(self):
        self.process.send_signal(signal.SIGUSR1)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Load:
    """Clients that ask again as soon as they have their answer, until the end of the with block."""

    def __init__(self, address, clients=8, method="GET", target="/", pause=0.0):
        self.address, self.clients, self.method, self.target, self.pause = address, clients, method, target, pause
        self.answers = []  # (when, status, who answered, seconds)
        self.broken = []
        self.ending = False

    def _run(self):
        client = None
        while not self.ending:
            started = time.monotonic()
            try:
                client = client or Client(self.address, timeout=20)
                answer = client.ask(request_bytes(self.method, self.target), self.method)
                self.answers.append((started, answer.status, answer.headers.get("X-Peer"), time.monotonic() - started))
            except Exception as problem:
                self.broken.append((started, repr(problem)))
                client = None
            if self.pause:
                time.sleep(self.pause)
        if client:
            client.close()

    def __enter__(self):
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self.clients)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        for thread in self.threads:
            thread.join(25)

    @property
    def failures(self):
        return [a for a in self.answers if a[1] != 200] + self.broken

    def since(self, when):
        return [a for a in self.answers if a[0] >= when]

    def shares(self, answers=None):
        out = {}
        for _, status, who, _ in self.answers if answers is None else answers:
            if status == 200:
                out[who] = out.get(who, 0) + 1
        return out
