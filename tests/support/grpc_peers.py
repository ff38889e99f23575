"""A real gRPC server whose methods take and give plain bytes, and what a client of it needs."""

import threading
import time
from concurrent import futures

import grpc

SERVICE = "test.Echo"


class Server:
    """unary, collect (client stream), count (server stream), chat (both), fail, slow."""

    def __init__(self, pair=None):
        self.cancelled = threading.Event()
        self.metadata = []
        self.server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
        methods = {
            "unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "count": grpc.unary_stream_rpc_method_handler(self.count),
            "chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "slow": grpc.unary_unary_rpc_method_handler(self.slow),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        if pair:
            credentials = grpc.ssl_server_credentials([(pair.key.encode(), pair.cert.encode())])
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.url = f"grpc{'s' if pair else ''}://127.0.0.1:{self.port}"
        self.server.start()

    def unary(self, message, context):
        self.metadata.append(dict(context.invocation_metadata()))
        context.set_trailing_metadata((("x-trailer", "came"),))
        return b"<" + message + b">"

    def collect(self, messages, context):
        total = 0
        for message in messages:
            total += len(message)
        return b"%d" % total

    def count(self, message, context):
        for i in range(int(message)):
            yield b"%d" % i

    def chat(self, messages, context):
        for message in messages:
            yield message.upper()

    def fail(self, message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today, 100 % sure")

    def slow(self, message, context):
        context.add_callback(self.cancelled.set)
        for _ in range(200):
            if not context.is_active():
                break
            time.sleep(0.05)
        return b""

    def stop(self):
        self.server.stop(0)


class Stub:
    """Calls the methods of Server over a channel."""

    def __init__(self, channel):
        self.channel = channel
        path = f"/{SERVICE}/"
        self.unary = channel.unary_unary(path + "unary")
        self.collect = channel.stream_unary(path + "collect")
        self.count = channel.unary_stream(path + "count")
        self.chat = channel.stream_stream(path + "chat")
        self.fail = channel.unary_unary(path + "fail")
        self.slow = channel.unary_unary(path + "slow")
