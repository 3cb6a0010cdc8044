"""Fairlead: the site as the documents that its users write."""

import os
from pathlib import Path

from .. import tools, workload, yamltext
from ..site import COOKIE_ATTRIBUTES, HOST, KEY, STABLE_ADDRESS
from .envoy import PROMOTING_LUA

_NAMESPACE = "bench"
_SERVICE = f"shop.{_NAMESPACE}.svc.cluster.local"
_SERVICE_PORT = 8080
_GATEWAY_PORT = 80
_PROXY_LABELS = {"istio": "ingressgateway"}
_ROWS = {
    "native": None,
    "carriers": ("plain", "lane", "promote"),
    "raw": ("plain", "lane", "lanes10", "lanes1000"),
    "lua": ("promote",),
}


class Fairlead:
    """Fairlead with one worker; `form` says which documents make the lanes.

    `native`: LanePolicy and Lane, the lane written as one header, the work that the other proxies do. `carriers`: the same
    with every carrier read and written, as by default. `raw`: the pattern's VirtualServices and DestinationRule. `lua`:
    these and the pattern's gateway filter.
    """

    is_swift = True

    def __init__(self, name, title, form):
        self.name, self.title, self._form = name, title, form

    def find(self, _build_directory):
        """The release binary, from the environment or the build folder."""
        program = Path(os.environ.get("FAIRLEAD_BIN", ".build/release/fairlead"))
        if not program.is_file():
            raise tools.NotAvailable(f"{program} is not there: build it with `swift build -c release` or set FAIRLEAD_BIN")
        return str(program.resolve())

    def version(self, program):
        """What it says of its version."""
        return tools.version([program, "version"])

    def answers(self, row):
        """Whether this form does the row's work."""
        return _ROWS[self._form] is None or row.name in _ROWS[self._form]

    def prepare(self, program, site, row, directory):
        """Writes the documents and returns the command line."""
        native = self._form in ("native", "carriers")
        documents = _common(site, row) + (_lanes(site, self._form == "carriers") if native else _pattern(site))
        if self._form == "lua":
            documents.append(_promotion())
        configuration = directory / "fairlead.yaml"
        configuration.write_text(yamltext.documents(documents))
        return [program, "run", configuration, "--workers", 1, "--admin", f"127.0.0.1:{site.admin_port}",
                "--access-log", "off", "--drain-seconds", 1, "--port", f"{_GATEWAY_PORT}={site.port}"]


def _common(site, row):
    return [
        _document("v1", "Namespace", None),
        _document("fairlead.dev/v1alpha1", "Proxy", "edge", {"role": "edge"}, labels=_PROXY_LABELS),
        _document("networking.istio.io/v1", "Gateway", "edge", {
            "selector": _PROXY_LABELS,
            "servers": [{
                **_server(site, row),
                "bind": "127.0.0.1"}],
        }),
        _document("v1", "Service", "shop", {
            "selector": {"app": "shop"},
            "ports": [{"name": _port_name(row), "port": _SERVICE_PORT, "targetPort": site.backend_port,
                       "protocol": "TCP"}],
        }),
        _slice(site, row),
        _pod("stable", STABLE_ADDRESS),
        *(_pod(lane.name, lane.address) for lane in site.lanes),
    ]


def _lanes(site, every_carrier):
    policy = {
        "key": KEY,
        "pin": {"path": "/", "maxAge": "8h", "httpOnly": True, "sameSite": "Lax"},
    }
    if not every_carrier:
        policy["accept"] = {"query": True, "header": True, "cookie": True,
                            "baggage": False, "tracestate": False, "traceId": False}
        policy["propagate"] = {"header": True, "baggage": False, "tracestate": False, "traceId": False}
    routes = [{"name": "all", "route": [_destination()]}]
    return [
        _virtual_service("shop", routes),
        _document("fairlead.dev/v1alpha1", "LanePolicy", "default", policy),
        *(_document("fairlead.dev/v1alpha1", "Lane", lane.name, {
            "members": [{"service": _SERVICE, "selector": {"app": "shop", "version": lane.name}}]})
          for lane in site.lanes),
    ]


def _pattern(site):
    subsets = ["stable"] + [lane.name for lane in site.lanes]
    return [
        _document("networking.istio.io/v1", "DestinationRule", "shop", {
            "host": _SERVICE,
            "subsets": [{"name": name, "labels": {"app": "shop", "version": name}} for name in subsets]}),
        *(_virtual_service(lane.name, [_pattern_route(lane.name)]) for lane in site.lanes),
        _virtual_service("stable", [{"name": "stable", "route": [_destination("stable")]}]),
    ]


def _pattern_route(name):
    return {
        "name": name,
        "match": [
            {"headers": {KEY: {"regex": f".*({name}).*"}}},
            {"headers": {"Cookie": {"regex": f".*({KEY}={name}).*"}}},
        ],
        "route": [_destination(name)],
        "headers": {
            "request": {"set": {KEY: name}},
            "response": {"set": {KEY: name}, "add": {"Set-Cookie": f"{KEY}={name}; {COOKIE_ATTRIBUTES}"}},
        },
    }


def _promotion():
    return _document("networking.istio.io/v1alpha3", "EnvoyFilter", "promotion", {
        "workloadSelector": {"labels": _PROXY_LABELS},
        "configPatches": [{
            "applyTo": "HTTP_FILTER",
            "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": {
                "name": "envoy.filters.network.http_connection_manager",
                "subFilter": {"name": "envoy.filters.http.router"}}}}},
            "patch": {"operation": "INSERT_BEFORE", "value": {
                "name": "envoy.lua",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                    "inlineCode": PROMOTING_LUA}}},
        }],
    })


def _virtual_service(name, routes):
    return _document("networking.istio.io/v1", "VirtualService", name, {
        "hosts": [HOST], "gateways": ["edge"], "http": routes})


def _destination(subset=None):
    destination = {"host": _SERVICE, "port": {"number": _SERVICE_PORT}}
    return {"destination": {**destination, "subset": subset} if subset else destination}


def _server(site, row):
    if not row.is_tls:
        return {"port": {"number": _GATEWAY_PORT, "name": "http", "protocol": "HTTP"}, "hosts": [HOST]}
    # Generators send an address for a server name, or none: the certificate is for all.
    return {"port": {"number": _GATEWAY_PORT, "name": "https", "protocol": "HTTPS"}, "hosts": ["*"],
            "tls": {"mode": "SIMPLE", "serverCertificate": str(site.certificate), "privateKey": str(site.key)}}


def _port_name(row):
    return "grpc" if row.protocol == workload.GRPC else "http"


def _slice(site, row):
    pods = [("stable", STABLE_ADDRESS)] + [(lane.name, lane.address) for lane in site.lanes]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "shop-1", "namespace": _NAMESPACE, "labels": {"kubernetes.io/service-name": "shop"}},
        "addressType": "IPv4",
        "ports": [{"name": _port_name(row), "port": site.backend_port, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": [address],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": f"shop-{name}", "namespace": _NAMESPACE},
        } for name, address in pods],
    }


def _pod(version, address):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"shop-{version}", "namespace": _NAMESPACE, "labels": {"app": "shop", "version": version}},
        "status": {"podIP": address, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _document(version, kind, name, spec=None, labels=None):
    metadata = {"name": name, "namespace": _NAMESPACE} if name else {"name": _NAMESPACE}
    if labels:
        metadata["labels"] = labels
    document = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return {**document, "spec": spec} if spec is not None else document
