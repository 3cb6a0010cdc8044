"""One request after the other on one connection, each timed: who waits shows."""

import socket
import time


class Client:
    """A kept-alive connection that asks for one thing."""

    def __init__(self, port, asked):
        lines = [f"GET {asked.path} HTTP/1.1", f"Host: {asked.host}", *(f"{name}: {value}" for name, value in asked.fields)]
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def run(self, seconds):
        """The seconds that each request took, for so long."""
        times, end = [], time.perf_counter() + seconds
        while True:
            started = time.perf_counter()
            if started > end:
                return times
            self._socket.sendall(self._request)
            answer = self._socket.recv(65536)
            while answer and not _is_whole(answer):
                answer += self._socket.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise OSError(f"not answered: {answer[:200]!r}")
            times.append(time.perf_counter() - started)


def _is_whole(answer):
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False


def percentile(times, share):
    """The figure that so large a share does not pass."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
