"""Documents with many routes, in the shapes that people give them, and the request that the middle one is for."""

from dataclasses import dataclass

from . import yamltext
from .site import KEY, SMALL_PATH, STABLE_ADDRESS

_NAMESPACE = "bench"
_SERVICE = f"shop.{_NAMESPACE}.svc.cluster.local"
_SERVICE_PORT = 8080
_GATEWAY_PORT = 80
_PROXY_LABELS = {"istio": "ingressgateway"}
_ROUTES_A_DOCUMENT = 10


@dataclass(frozen=True)
class Shape:
    """How routes tell requests apart; `spread`: ten a host, else all on one."""
    name: str
    title: str
    spread: bool = False


SHAPES = (
    Shape("hosts", "exact paths, ten a host", spread=True),
    Shape("exact", "exact paths on one host"),
    Shape("prefix", "path prefixes on one host"),
    Shape("header", "a header's value, one host"),
    Shape("cookie", "cookie regexes, one host"),
    Shape("regex", "path regexes on one host"),
)


@dataclass(frozen=True)
class Request:
    """What is sent: to which host, for which path, with which fields."""
    host: str
    path: str
    fields: tuple = ()


def by_name(name):
    """The shape of that name."""
    for shape in SHAPES:
        if shape.name == name:
            return shape
    raise KeyError(name)


def request(shape, count):
    """The request that the route in the middle takes."""
    number = count // 2
    path = f"{SMALL_PATH}/item-{number}"
    fields = (("User-Agent", "bench"), ("X-Customer", "none"), ("Cookie", "session=5f2b7c91d04e4a6f; theme=dark"))
    if shape.name in ("prefix", "regex"):
        path += "/more"
    if shape.name == "header":
        fields = fields[:1] + (("X-Customer", f"customer-{number}"),) + fields[2:]
    if shape.name == "cookie":
        fields = fields[:2] + (("Cookie", f"session=5f2b7c91d04e4a6f; {KEY}=lane-{number:05}"),)
    return Request(_host(shape, number), path, fields)


def documents(shape, count, backend_port):
    """The YAML of a site with so many routes."""
    items = list(_common(backend_port))
    for first in range(0, count, _ROUTES_A_DOCUMENT):
        routes = [_route(shape, number) for number in range(first, min(count, first + _ROUTES_A_DOCUMENT))]
        items.append(_virtual_service(f"routes-{first:05}", _host(shape, first), routes))
    for host in sorted({_host(shape, number) for number in range(0, count, _ROUTES_A_DOCUMENT)}):
        items.append(_virtual_service(f"z-default-{host.partition('.')[0]}", host, [_forward("default")]))
    return yamltext.documents(items)


def command(program, configuration, port, admin_port):
    """The command line of the proxy that serves them."""
    return [program, "run", configuration, "--workers", 1, "--admin", f"127.0.0.1:{admin_port}",
            "--access-log", "off", "--drain-seconds", 1, "--port", f"{_GATEWAY_PORT}={port}"]


def _host(shape, number):
    return f"shop-{number // _ROUTES_A_DOCUMENT}.example.test" if shape.spread else "shop-0.example.test"


def _route(shape, number):
    item = f"{SMALL_PATH}/item-{number}"
    match = {
        "hosts": {"uri": {"exact": item}},
        "exact": {"uri": {"exact": item}},
        "prefix": {"uri": {"prefix": item + "/"}},
        "regex": {"uri": {"regex": f"{item}/[a-z]+"}},
        "header": {"headers": {"x-customer": {"exact": f"customer-{number}"}}},
        "cookie": {"headers": {"cookie": {"regex": f"^(.*;\\s*)?({KEY}=lane-{number:05})(;.*)?$"
                                          if number % 2 else f".*({KEY}=lane-{number:05}).*"}}},
    }[shape.name]
    return {"match": [match], **_forward(f"route-{number}")}


def _forward(name):
    return {"name": name, "route": [{"destination": {"host": _SERVICE, "port": {"number": _SERVICE_PORT}}}]}


def _virtual_service(name, host, routes):
    return _document("networking.istio.io/v1", "VirtualService", name,
                     {"hosts": [host], "gateways": ["edge"], "http": routes})


def _common(backend_port):
    yield _document("fairlead.dev/v1alpha1", "Proxy", "edge", {"role": "edge"}, _PROXY_LABELS)
    yield _document("networking.istio.io/v1", "Gateway", "edge", {
        "selector": _PROXY_LABELS,
        "servers": [{"port": {"number": _GATEWAY_PORT, "name": "http", "protocol": "HTTP"}, "hosts": ["*"],
                     "bind": "127.0.0.1"}]})
    yield _document("v1", "Service", "shop", {
        "ports": [{"name": "http", "port": _SERVICE_PORT, "targetPort": backend_port, "protocol": "TCP"}]})
    yield {
        **_document("discovery.k8s.io/v1", "EndpointSlice", "shop-1", None, {"kubernetes.io/service-name": "shop"}),
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": backend_port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [STABLE_ADDRESS], "conditions": {"ready": True}}],
    }


def _document(version, kind, name, spec, labels=None):
    metadata = {"name": name, "namespace": _NAMESPACE, **({"labels": labels} if labels else {})}
    document = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return {**document, "spec": spec} if spec is not None else document
