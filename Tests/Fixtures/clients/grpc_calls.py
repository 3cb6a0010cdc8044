# Calls the service of grpc_server.py at 127.0.0.1:PORT in every way there is; one line a call: NAME ok, or what
# was wrong. Exit 1 if anything was.
import hashlib
import sys
import threading

import grpc

limits = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
channel = grpc.insecure_channel("127.0.0.1:" + sys.argv[1], limits)
wanted = sys.argv[2:]
failures = 0
PATH = "/fairlead.test.Service/"


def call(name):
    """Runs the decorated function unless other calls are asked for, and says how it went."""

    def run(body):
        global failures
        if wanted and name not in wanted:
            return
        try:
            body()
            print(name, "ok", flush=True)
        except Exception as problem:  # what it was is the message
            failures += 1
            print(name, "failed:", repr(problem), flush=True)

    return run


def unary(method):
    return channel.unary_unary(PATH + method)


def status(body):
    try:
        body()
    except grpc.RpcError as error:
        return error
    raise AssertionError("no error")


@call("unary")
def _():
    answer, state = unary("Echo").with_call(b"hello", timeout=60)
    assert answer == b"hello", answer
    assert dict(state.initial_metadata())["x-initial"] == "before"
    assert dict(state.trailing_metadata())["x-trailer"] == "after"


@call("empty")
def _():
    assert unary("Echo")(b"", timeout=60) == b""


@call("large")
def _():
    message = bytes(range(256)) * (5 << 12)
    answer = unary("Echo")(message, timeout=60)
    assert hashlib.sha256(answer).digest() == hashlib.sha256(message).digest()


@call("error")
def _():
    error = status(lambda: unary("Fail")(b"x", timeout=60))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "not now: 100 % sure", error
    assert dict(error.trailing_metadata())["x-trailer"] == "failed"


@call("unimplemented")
def _():
    error = status(lambda: unary("Nothing")(b"x", timeout=60))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


@call("deadline")
def _():
    error = status(lambda: unary("Sleep")(b"x", timeout=0.3))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error


@call("cancel")
def _():
    future = unary("Sleep").future(b"x", timeout=60)
    threading.Timer(0.2, future.cancel).start()
    try:
        future.result()
        raise AssertionError("no error")
    except grpc.FutureCancelledError:
        pass


@call("client-stream")
def _():
    gather = channel.stream_unary(PATH + "Gather")
    assert gather(iter([b"a" * 70_000] * 30), timeout=60) == b"2100000"
    assert gather(iter([]), timeout=60) == b"0"


@call("server-stream")
def _():
    count = channel.unary_stream(PATH + "Count")
    assert list(count(b"1000", timeout=60)) == [b"%d" % number for number in range(1000)]
    assert list(count(b"0", timeout=60)) == []


@call("bidirectional")
def _():
    ready = threading.Semaphore(1)

    def questions():
        for number in range(20):
            # The next is asked only when the last is answered: both ways are open at once.
            assert ready.acquire(timeout=60)
            yield b"ab%d" % number

    seen = []
    for answer in channel.stream_stream(PATH + "Chat")(questions(), timeout=60):
        seen.append(answer)
        ready.release()
    assert seen == [(b"ab%d" % number)[::-1] for number in range(20)], seen


@call("parallel")
def _():
    futures = [unary("Echo").future(b"%d" % number, timeout=60) for number in range(200)]
    assert [future.result() for future in futures] == [b"%d" % number for number in range(200)]


@call("unavailable")
def _():
    error = status(lambda: channel.unary_unary("/down/Method")(b"x", timeout=60))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    assert "upstream connect error" in error.details(), error


@call("no-route")
def _():
    error = status(lambda: channel.unary_unary("/none/Method")(b"x", timeout=60))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


@call("lane")
def _():
    metadata = (("x-feat-name", "foo"),)
    answer, state = unary("Echo").with_call(b"x", metadata=metadata, timeout=60)
    assert dict(state.initial_metadata())["x-name"] == "feature", state.initial_metadata()
    assert unary("Lane")(b"x", metadata=metadata, timeout=60) == b"foo"
    answer, state = unary("Echo").with_call(b"x", timeout=60)
    assert dict(state.initial_metadata())["x-name"] == "stable", state.initial_metadata()


sys.exit(1 if failures else 0)
