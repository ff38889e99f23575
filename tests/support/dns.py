"""A name server on loopback that says what a test wants."""

import socket
import threading

NAME_ERROR = 3
SERVER_FAILURE = 2

A, SRV = 1, 33


def service_data(priority, weight, port, target):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in target.split("."))
    return b"".join(number.to_bytes(2, "big") for number in (priority, weight, port)) + labels + b"\0"


class NameServer:
    """Answers from `answers`: name to a list of addresses and (priority, weight, port, target), to an error code, or to None for silence."""

    def __init__(self, **more):
        self.answers = {}
        self.asked = []
        self.ttl = more.get("ttl", 60)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _serve(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            if len(query) < 17:
                continue  # no question: nobody of ours
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, kind, question = ".".join(labels).lower(), query[at + 2], query[12:at + 5]
            self.asked.append((name, kind))
            answer = self.answers.get(name, NAME_ERROR)
            if answer is None:
                continue
            code = answer if isinstance(answer, int) else 0
            wanted = {A: str, SRV: tuple}.get(kind, ())
            records = [each for each in answer if isinstance(each, wanted)] if isinstance(answer, list) else []
            reply = query[:2] + bytes([0x81, 0x80 | code, 0, 1, 0, len(records), 0, 0, 0, 0]) + question
            for record in records:
                data = socket.inet_aton(record) if kind == A else service_data(*record)
                reply += b"\xc0\x0c" + bytes([0, kind, 0, 1]) + self.ttl.to_bytes(4, "big") + len(data).to_bytes(2, "big") + data
            try:
                self.sock.sendto(reply, peer)
            except OSError:
                return
