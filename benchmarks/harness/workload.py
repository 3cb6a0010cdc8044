"""The rows of the comparison and the requests that each sends."""

from dataclasses import dataclass

from .site import BODY_PATH, ECHO_PATH, HOST, KEY, SMALL_PATH

LOAD = "load"
IDLE = "idle"
HANDSHAKE = "handshake"

HTTP = "http"
HTTPS = "https"
H2 = "h2"
H2C = "h2c"
GRPC = "grpc"
_OVER_TLS = (HTTPS, H2)
_MULTIPLEXED = (H2, H2C, GRPC)

_BROWSER = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-CA,en;q=0.7,fr;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Referer", f"http://{HOST}/"),
    ("Sec-Fetch-Mode", "navigate"),
)
_COOKIE = "session=5f2b7c91d04e4a6f; theme=dark"


@dataclass(frozen=True)
class Row:
    """One line of the comparison: how many lanes are configured, how the request names one, over which connections.

    `protocol` is what the client speaks: HTTP/1.1 in the clear or over TLS, HTTP/2 with or without, or unary gRPC over
    HTTP/2 in the clear on both sides. `streams` are requests at a time on one connection.
    """
    name: str
    title: str
    kind: str = LOAD
    lanes: int = 50
    carrier: str = "none"
    path: str = SMALL_PATH
    connections: int = 64
    close: bool = False
    protocol: str = HTTP
    streams: int = 1
    resumed: bool = False

    @property
    def is_tls(self):
        """Whether the client speaks TLS."""
        return self.protocol in _OVER_TLS

    @property
    def is_multiplexed(self):
        """Whether the client speaks HTTP/2."""
        return self.protocol in _MULTIPLEXED


ROWS = (
    Row("plain", "no lane, keep-alive"),
    Row("lane", "lane by cookie", carrier="cookie"),
    Row("promote", "promotion by query", carrier="query"),
    Row("connect", "a connection per request", close=True),
    Row("body10m", "10 MiB response bodies", path=BODY_PATH, connections=8),
    Row("lanes10", "lane by cookie, 10 lanes", lanes=10, carrier="cookie"),
    Row("lanes1000", "lane by cookie, 1,000 lanes", lanes=1000, carrier="cookie"),
    Row("tls", "HTTPS: HTTP/1.1, lane by cookie", carrier="cookie", protocol=HTTPS),
    Row("h2", "HTTPS: HTTP/2, lane by cookie", carrier="cookie", protocol=H2, connections=16, streams=4),
    Row("h2c", "HTTP/2 in the clear, lane by cookie", carrier="cookie", protocol=H2C, connections=16, streams=4),
    Row("grpc", "unary gRPC, HTTP/2 on both sides", protocol=GRPC, path=ECHO_PATH, connections=16, streams=4),
    Row("handshake", "a full TLS handshake per request", kind=HANDSHAKE, protocol=HTTPS, close=True),
    Row("resumed", "a resumed TLS session per request", kind=HANDSHAKE, protocol=HTTPS, close=True, resumed=True),
    Row("idle", "10,000 idle keep-alive connections", kind=IDLE),
    Row("idletls", "10,000 idle TLS connections", kind=IDLE, protocol=HTTPS),
)


def by_name(name):
    """The row of that name."""
    for row in ROWS:
        if row.name == name:
            return row
    raise KeyError(name)


GRPC_MESSAGE = b"\0\0\0\0\x20" + b"the question that a caller asks\n"
_GRPC_FIELDS = (
    ("Content-Type", "application/grpc"),
    ("TE", "trailers"),
    ("User-Agent", "grpc-c/39.0.0 (linux; chttp2)"),
    ("Grpc-Accept-Encoding", "identity, deflate, gzip"),
)


def target(row, lane):
    """The request target of a row's request for one lane."""
    return f"{row.path}?page=2&{KEY}={lane.name}&sort=price" if row.carrier == "query" else row.path


def headers(row, lane):
    """The header fields of a row's request for one lane, without Host."""
    if row.protocol == GRPC:
        return list(_GRPC_FIELDS)
    cookie = f"{_COOKIE}; {KEY}={lane.name}" if row.carrier == "cookie" else _COOKIE
    fields = list(_BROWSER) + [("Cookie", cookie)]
    return fields + [("Connection", "close")] if row.close else fields


def request(row, lane):
    """The bytes of a row's request for one lane."""
    lines = [f"GET {target(row, lane)} HTTP/1.1", f"Host: {HOST}"]
    lines += [f"{name}: {value}" for name, value in headers(row, lane)]
    return "\r\n".join(lines) + "\r\n\r\n"
