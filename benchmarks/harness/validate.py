"""Refuses to time a proxy that does not do the row's work."""

import hashlib
import ipaddress
import tempfile

from . import workload
from .client import Client, CurlClient
from .site import BODY_PATH, INSPECT_PATH, KEY, STABLE_ADDRESS, live

_EARLIER_HOP = "203.0.113.9"


class WrongAnswer(Exception):
    """The proxy did not do what the row asks for."""


def check(row, site, backend):
    """Raises WrongAnswer or OSError unless the proxy on the site's port does the row's work."""
    try:
        if row.protocol == workload.GRPC:
            _echo(row, site)
            return
        _routes(row, site)
        if row.path == BODY_PATH:
            _body(site.port, backend.body_digest)
        if row.close:
            _closes(row, site)
    except (ValueError, IndexError) as problem:
        raise WrongAnswer(f"not an HTTP answer: {problem}") from problem


def _routes(row, site):
    with _client(row, site) as client:
        answer = _ask(client, INSPECT_PATH, ())
        _expect(_seen(answer), "address", STABLE_ADDRESS, "a request without a lane")
        _expect(_seen(answer), "lane", "", "a request without a lane")
        _common(row, _seen(answer))
        if answer.values("set-cookie"):
            raise WrongAnswer("a request without a lane was answered with a cookie")
        if row.carrier == "none":
            return
        for lane in live(site.lanes):
            if row.carrier == "query":
                what = f"a query for {lane.name}"
                answer = _ask(client, f"{INSPECT_PATH}?page=2&{KEY}={lane.name}&sort=price", ())
                if not any(cookie.startswith(f"{KEY}={lane.name}") for cookie in answer.values("set-cookie")):
                    raise WrongAnswer(f"{what} was not answered with the cookie")
                _in_lane(row, _seen(answer), lane, what)
            fields = [(name, value) for name, value in workload.headers(workload.by_name("lane"), lane)]
            _in_lane(row, _seen(_ask(client, INSPECT_PATH, fields)), lane, f"a cookie for {lane.name}")
            _in_lane(row, _seen(_ask(client, INSPECT_PATH, [(KEY, lane.name)])), lane, f"a header for {lane.name}")


def _client(row, site):
    return Client(site.port) if row.protocol == workload.HTTP else CurlClient(site.port, row)


def _echo(row, site):
    fields = workload.headers(row, site.lanes[0])
    with CurlClient(site.port, row) as client, tempfile.NamedTemporaryFile() as message:
        answer = client.get(row.path, fields, said=workload.GRPC_MESSAGE)
        message.write(workload.GRPC_MESSAGE)
        message.flush()
        seen = client.frames(row.path, fields, message.name)
    if answer.status != 200 or answer.body != workload.GRPC_MESSAGE:
        raise WrongAnswer(f"the gRPC message did not come back: {answer.status}, {len(answer.body)} bytes")
    if "grpc-status: 0" not in seen:
        raise WrongAnswer("the trailer with the gRPC status did not come")


def _ask(client, target, fields):
    answer = client.get(target, [*fields, ("X-Forwarded-For", _EARLIER_HOP)])
    if answer.status != 200:
        raise WrongAnswer(f"{target} was answered with {answer.status}")
    return answer


def _seen(answer):
    return dict(line.split("=", 1) for line in answer.body.decode().splitlines())


def _in_lane(row, seen, lane, what):
    _expect(seen, "address", lane.address, what)
    _expect(seen, "lane", lane.name, what)
    _common(row, seen)


def _common(row, seen):
    # The peer is a loopback address, in whose place Envoy writes an address of the machine: any address will do.
    hops = [hop.strip() for hop in seen.get("forwarded-for", "").split(",")]
    if len(hops) != 2 or hops[0] != _EARLIER_HOP or not _is_address(hops[1]):
        raise WrongAnswer(f"X-Forwarded-For was not appended to: {hops}")
    _expect(seen, "forwarded-proto", "https" if row.is_tls else "http", "a request")
    if len(seen.get("request-id", "")) < 32:
        raise WrongAnswer("the request got no X-Request-Id")


def _is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _expect(seen, key, value, what):
    if seen.get(key) != value:
        raise WrongAnswer(f"{what} reached the backend with {key} {seen.get(key)!r}, not {value!r}")


def _body(port, digest):
    with Client(port, timeout=20.0) as client:
        answer = client.get(BODY_PATH)
        if answer.status != 200 or hashlib.md5(answer.body).hexdigest() != digest:
            raise WrongAnswer(f"the 10 MiB body did not arrive whole: {answer.status}, {len(answer.body)} bytes")


def _closes(row, site):
    if row.protocol != workload.HTTP:
        return
    with Client(site.port) as client:
        client.get(row.path, workload.headers(row, site.lanes[0]))
        if not client.is_closed():
            raise WrongAnswer("Connection: close was not honoured")
