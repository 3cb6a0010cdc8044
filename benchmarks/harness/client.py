"""A small HTTP/1.1 client for checks: one request, its answer, the connection as it was left."""

import socket

from .site import HOST


class Response:
    """Status, header fields in lower case in order, and body of an answer."""

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def values(self, name):
        """All values of a header field."""
        return [value for key, value in self.fields if key == name]


class Client:
    """A kept-alive connection to a proxy on loopback."""

    def __init__(self, port, timeout=10.0):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._buffer = b""

    def get(self, target, fields=()):
        """Sends one GET and reads its whole answer."""
        lines = [f"GET {target} HTTP/1.1", f"Host: {HOST}"] + [f"{name}: {value}" for name, value in fields]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        parsed = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
        answer = Response(int(head[0].split()[1]), parsed, b"")
        answer.body = self._body(answer)
        return answer

    def is_closed(self):
        """Whether the other side ends the connection; waits for it."""
        try:
            return self._socket.recv(1) == b""
        except OSError:
            return False

    def close(self):
        """Ends the connection."""
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _body(self, answer):
        if "chunked" in ",".join(answer.values("transfer-encoding")).lower():
            parts = []
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                parts.append(self._exactly(size))
                self._exactly(2)
            self._until(b"\r\n")
            return b"".join(parts)
        return self._exactly(int((answer.values("content-length") or ["0"])[0]))

    def _until(self, mark):
        while mark not in self._buffer:
            self._more()
        taken, _, self._buffer = self._buffer.partition(mark)
        return taken

    def _exactly(self, count):
        parts, missing = [], count
        while True:
            parts.append(self._buffer[:missing])
            self._buffer = self._buffer[missing:]
            missing -= len(parts[-1])
            if missing == 0:
                return b"".join(parts)
            self._more()

    def _more(self):
        received = self._socket.recv(65536)
        if not received:
            raise ConnectionError("the connection ended early")
        self._buffer += received
