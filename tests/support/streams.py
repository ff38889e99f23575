"""Servers below HTTP: TCP, TLS and UDP, and what they saw."""

import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading

from .gateway import free_port
from .waiting import eventually


class TcpServer:
    """Accepts and hands each connection to `serve(connection)` in a thread of its own; echoes unless told otherwise."""

    def __init__(self, serve=None, host="127.0.0.1", port=0, context=None):
        self.serve = serve or echo
        self.context = context
        self.seen = []  # peers
        self.names = []  # that TLS clients asked for
        self.connections = []
        if context is not None:
            context.sni_callback = lambda _session, name, _context: self.names.append(name)
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(1024)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while True:
            try:
                connection, peer = self.sock.accept()
            except OSError:
                return
            self.seen.append(peer)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                self.serve(connection)
        except OSError:
            pass

    def stop(self):
        """Stop listening, and reset what is open."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for connection in self.connections:
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            except OSError:
                pass


def echo(connection):
    while True:
        data = connection.recv(65536)
        if not data:
            return
        connection.sendall(data)


def says(text):
    """Serves by saying who it is, then echoing."""
    def serve(connection):
        connection.sendall(text)
        echo(connection)
    return serve


def server_context(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("cert", pair.cert), ("key", pair.key)):
            pathlib.Path(folder, name).write_text(text)
        context.load_cert_chain(pathlib.Path(folder, "cert"), pathlib.Path(folder, "key"))
    return context


class UdpServer:
    """Answers each datagram with `answer(bytes)`: a list of datagrams; by default with itself."""

    def __init__(self, answer=None, host="127.0.0.1"):
        self.answer = answer or (lambda data: [data])
        self.seen = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind((host, 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _serve(self):
        while True:
            try:
                data, peer = self.sock.recvfrom(65536)
                self.seen.append((peer, data))
                for each in self.answer(data):
                    self.sock.sendto(each, peer)
            except OSError:
                if self.sock.fileno() < 0:
                    return

    def stop(self):
        # A thread inside recvfrom would keep the port open.
        closing = self.sock.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
            self.answer = lambda _data: self.sock.close() or []
            knock.sendto(b"end", closing)
        eventually(lambda: self.sock.fileno() < 0, "the end of a UDP server")


class OpensslServer:
    """`openssl s_server` with a certificate: shows it, and echoes lines reversed."""

    def __init__(self, pair):
        self.folder = tempfile.mkdtemp(prefix="sluice-s_server-")
        for name, text in (("cert", pair.cert), ("key", pair.key)):
            pathlib.Path(self.folder, name).write_text(text)
        self.port = free_port()
        self.process = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:%d" % self.port, "-cert", "cert", "-key", "key", "-rev", "-quiet"],
                                        cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._listens, "openssl s_server")

    def _listens(self):
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def s_client(port, *words, said=b"abc\n"):
    """What `openssl s_client` prints: the certificate it is shown, and what it is answered."""
    process = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, *words],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        process.stdin.write(said)
        process.stdin.flush()
        printed = b""
        answer = said.strip()[::-1]
        while answer not in printed:
            more = process.stdout.read1(65536)
            if not more:
                break
            printed += more
        return printed.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
