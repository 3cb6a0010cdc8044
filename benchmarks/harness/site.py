"""The site every proxy serves in a row: one host, one service, a stable version and its lanes."""

from dataclasses import dataclass

HOST = "shop.example.test"
KEY = "x-feat-name"
STABLE_ADDRESS = "127.1.0.1"
SMALL_PATH = "/products/list"
BODY_PATH = "/body10m"
ECHO_PATH = "/shop.Shop/Ask"
INSPECT_PATH = "/inspect"
COOKIE_ATTRIBUTES = "Path=/; Max-Age=28800; HttpOnly; SameSite=Lax"

_LIVE_LANES = 10


@dataclass(frozen=True)
class Lane:
    """A lane and the address of its one pod."""
    name: str
    address: str


@dataclass(frozen=True)
class Site:
    """What one proxy process is configured for; certificate and key are files, for rows over TLS only."""
    lanes: tuple
    backend_port: int
    port: int
    admin_port: int
    certificate: object = None
    key: object = None
    certificate_and_key: object = None


def lanes(count):
    """That many lanes; no name is part of another, so that the pattern's unanchored regexes stay unambiguous."""
    return tuple(Lane(f"feat-{index:04}", f"127.2.{index // 200}.{index % 200 + 1}") for index in range(count))


def live(all_lanes):
    """The lanes that carry traffic: equally many in every row, evenly spread over those configured."""
    count = min(_LIVE_LANES, len(all_lanes))
    return tuple(all_lanes[(2 * index + 1) * len(all_lanes) // (2 * count)] for index in range(count))
