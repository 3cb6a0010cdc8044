"""Clients for checks: a small one for HTTP/1.1, and curl for TLS and HTTP/2."""

import socket
import ssl
import subprocess

from . import tools
from .site import HOST

_CURL_SECONDS = 20


def trusting_context():
    """TLS towards a proxy under test, whose certificate nobody signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Response:
    """Status, header fields in lower case in order, and body of an answer."""

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def values(self, name):
        """All values of a header field."""
        return [value for key, value in self.fields if key == name]


class Client:
    """A kept-alive connection to a proxy on loopback, over TLS where there is a context for it."""

    def __init__(self, port, timeout=10.0, context=None):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        if context:
            self._socket = context.wrap_socket(self._socket)
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


class CurlClient:
    """Requests by curl over the row's protocol; each on a connection of its own."""

    def __init__(self, port, row):
        self._port, self._row = port, row

    def get(self, target, fields=(), said=None):
        """Sends one request, a POST when there is something `said`, and reads its answer."""
        row = self._row
        scheme = "https" if row.is_tls else "http"
        argv = [tools.find("curl"), "--silent", "--show-error", "--insecure", "--dump-header", "-", "--output", "-",
                "--max-time", str(_CURL_SECONDS), "--resolve", f"{HOST}:{self._port}:127.0.0.1", "-H", f"Host: {HOST}"]
        argv.append("--http1.1" if not row.is_multiplexed else "--http2" if row.is_tls else "--http2-prior-knowledge")
        for name, value in fields:
            argv += ["-H", f"{name}: {value}"]
        if said is not None:
            argv += ["--data-binary", "@-"]
        argv += ["--write-out", "%{stderr}%{http_version}", f"{scheme}://{HOST}:{self._port}{target}"]
        done = subprocess.run(argv, input=said or b"", capture_output=True, timeout=_CURL_SECONDS + 5, check=False)
        if done.returncode != 0:
            raise OSError(f"curl {target}: {done.stderr.decode(errors='replace').strip()}")
        if done.stderr != (b"2" if row.is_multiplexed else b"1.1"):
            raise OSError(f"{target} was answered with HTTP {done.stderr.decode(errors='replace')}")
        return _parse(done.stdout)

    def frames(self, target, fields, file):
        """What nghttp tells of the frames of a POST over HTTP/2 in the clear: curl says nothing of trailers there."""
        argv = [tools.find("nghttp"), "--verbose", "--null-out", "--timeout", str(_CURL_SECONDS), "--data", file]
        for name, value in [(":authority", HOST), *fields]:
            argv += ["-H", f"{name.lower()}: {value}"]
        argv.append(f"http://127.0.0.1:{self._port}{target}")
        return subprocess.run(argv, capture_output=True, timeout=_CURL_SECONDS + 5, check=False).stdout.decode("latin-1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def _parse(output):
    head, _, rest = output.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    parsed = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:] if line)]
    return Response(int(lines[0].split()[1]), parsed, rest)
