# A gRPC service without generated code: messages are bytes. Prints its port, serves until it is killed.
# Arguments: its name, and for TLS a certificate and its key.
import sys
import threading
import time
from concurrent import futures

import grpc


def fields(context):
    return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}


def echo(request, context):
    context.set_trailing_metadata((("x-trailer", "after"),))
    context.send_initial_metadata((("x-initial", "before"), ("x-name", NAME)))
    return request


def fail(request, context):
    context.set_trailing_metadata((("x-trailer", "failed"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 % sure")


def sleep(request, context):
    while context.is_active():
        time.sleep(0.01)
    return request


def gather(requests, context):
    return b"%d" % sum(len(request) for request in requests)


def count(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def chat(requests, context):
    for request in requests:
        yield request[::-1]


def lane(request, context):
    return fields(context).get("x-feat-name", "-").encode()


class Service(grpc.GenericRpcHandler):
    def service(self, details):
        unary = {"Echo": echo, "Fail": fail, "Sleep": sleep, "Lane": lane}
        name = details.method.rsplit("/", 1)[1]
        if name in unary:
            return grpc.unary_unary_rpc_method_handler(unary[name])
        if name == "Gather":
            return grpc.stream_unary_rpc_method_handler(gather)
        if name == "Count":
            return grpc.unary_stream_rpc_method_handler(count)
        if name == "Chat":
            return grpc.stream_stream_rpc_method_handler(chat)
        return None


NAME = sys.argv[1]
limits = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
server = grpc.server(futures.ThreadPoolExecutor(16), handlers=(Service(),), options=limits)
if len(sys.argv) > 2:
    with open(sys.argv[2], "rb") as certificate, open(sys.argv[3], "rb") as key:
        credentials = grpc.ssl_server_credentials([(key.read(), certificate.read())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("port", port, flush=True)
threading.Event().wait()
