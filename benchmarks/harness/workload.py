"""The rows of the comparison and the requests that each sends."""

from dataclasses import dataclass

from .backend import BODY_PATH, SMALL_PATH
from .site import HOST, KEY

LOAD = "load"
IDLE = "idle"

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
    """One line of the comparison: how many lanes are configured, how the request names one, over which connections."""
    name: str
    title: str
    kind: str = LOAD
    lanes: int = 50
    carrier: str = "none"
    path: str = SMALL_PATH
    connections: int = 64
    close: bool = False


ROWS = (
    Row("plain", "no lane, keep-alive"),
    Row("lane", "lane by cookie", carrier="cookie"),
    Row("promote", "promotion by query", carrier="query"),
    Row("connect", "a connection per request", close=True),
    Row("body10m", "10 MiB response bodies", path=BODY_PATH, connections=8),
    Row("lanes10", "lane by cookie, 10 lanes", lanes=10, carrier="cookie"),
    Row("lanes1000", "lane by cookie, 1,000 lanes", lanes=1000, carrier="cookie"),
    Row("idle", "10,000 idle keep-alive connections", kind=IDLE),
)


def by_name(name):
    """The row of that name."""
    for row in ROWS:
        if row.name == name:
            return row
    raise KeyError(name)


def target(row, lane):
    """The request target of a row's request for one lane."""
    return f"{row.path}?page=2&{KEY}={lane.name}&sort=price" if row.carrier == "query" else row.path


def headers(row, lane):
    """The header fields of a row's request for one lane, without Host."""
    cookie = f"{_COOKIE}; {KEY}={lane.name}" if row.carrier == "cookie" else _COOKIE
    fields = list(_BROWSER) + [("Cookie", cookie)]
    return fields + [("Connection", "close")] if row.close else fields


def request(row, lane):
    """The bytes of a row's request for one lane."""
    lines = [f"GET {target(row, lane)} HTTP/1.1", f"Host: {HOST}"]
    lines += [f"{name}: {value}" for name, value in headers(row, lane)]
    return "\r\n".join(lines) + "\r\n\r\n"
