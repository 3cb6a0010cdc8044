"""HAProxy: a map file knows the lanes, one backend a lane."""

from .. import tools, workload
from ..site import COOKIE_ATTRIBUTES, KEY, STABLE_ADDRESS


class HAProxy:
    """HAProxy with one thread and connections to the backends shared by all requests."""

    is_swift = False
    name = "haproxy"
    title = "HAProxy, maps"

    def find(self, _build_directory):
        """The installed program."""
        tools.require(["haproxy"])
        return tools.find("haproxy")

    def version(self, program):
        """What it says of its version."""
        return tools.version([program, "-v"])

    def answers(self, _row):
        """Takes part in every row."""
        return True

    def prepare(self, program, site, row, directory):
        """Writes the configuration and the map, and returns the command line."""
        known = directory / "lanes.map"
        known.write_text("".join(f"{lane.name} {lane.name}\n" for lane in site.lanes))
        (directory / "haproxy.cfg").write_text(_configuration(known, site, row))
        return [program, "-db", "-f", directory / "haproxy.cfg"]


def _configuration(known, site, row):
    found = "{ var(txn.lane) -m found }"
    backends = "\n".join(
        f"backend {name}\n  server pod {address}:{site.backend_port}{' proto h2' * (row.protocol == workload.GRPC)}"
        for name, address in [("stable", STABLE_ADDRESS)] + [(lane.name, lane.address) for lane in site.lanes])
    return f"""global
  nbthread 1
  maxconn 12000
  no strict-limits

defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  timeout http-request 60s

frontend edge
  bind 127.0.0.1:{site.port} backlog 4096{_binding(site, row)}
  option forwardfor
  http-request set-var(txn.lane) url_param({KEY}),map_str({known})
  http-request set-var(txn.pin) bool(true) if {found}
  http-request set-var(txn.lane) req.hdr({KEY}),map_str({known}) unless {found}
  http-request set-var(txn.lane) req.cook({KEY}),map_str({known}) unless {found}
  http-request del-header {KEY}
  http-request set-header {KEY} %[var(txn.lane)] if {found}
  http-request set-header X-Forwarded-Proto {"https" if row.is_tls else "http"}
  http-request set-header X-Request-Id %[uuid()]
  http-response add-header Set-Cookie "{KEY}=%[var(txn.lane)]; {COOKIE_ATTRIBUTES}" if {{ var(txn.pin) -m bool }}
  use_backend %[var(txn.lane)] if {found}
  default_backend stable

{backends}
"""


def _binding(site, row):
    if row.is_tls:
        return f" ssl crt {site.certificate_and_key} ssl-min-ver TLSv1.2 alpn {'h2' if row.is_multiplexed else 'http/1.1'}"
    return " proto h2" if row.is_multiplexed else ""
