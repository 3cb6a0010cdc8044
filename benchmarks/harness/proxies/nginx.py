"""nginx: maps choose the lane, one upstream group a lane."""

from .. import nginxconf, tools, workload
from ..site import BODY_PATH, COOKIE_ATTRIBUTES, KEY, STABLE_ADDRESS

LARGER_BUFFERS = "proxy_buffer_size 16k; proxy_buffers 8 32k; proxy_busy_buffers_size 128k;"


_PASS = """proxy_pass http://$pool;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_set_header Connection "";
      """
_PASS_GRPC = "grpc_pass grpc://$pool;"


class Nginx:
    """nginx as its documentation advises for a keep-alive proxy; no temporary files for bodies.

    With `buffers` it has larger ones than by default, which only large bodies feel.
    """

    is_swift = False

    def __init__(self, name, title, buffers=""):
        self.name, self.title, self._buffers = name, title, buffers

    def find(self, _build_directory):
        """The installed program."""
        tools.require(["nginx"])
        return tools.find("nginx")

    def version(self, program):
        """What it says of its version."""
        return tools.version([program, "-v"])

    def answers(self, row):
        """Takes part in every row; with larger buffers, only where bodies are large."""
        return not self._buffers or row.path == BODY_PATH

    def prepare(self, _program, site, row, directory):
        """Writes the configuration and returns the command line."""
        (directory / "nginx.conf").write_text(_configuration(directory, site, row, self._buffers))
        return nginxconf.command(directory)


def _configuration(directory, site, row, buffers):
    known = "\n".join(f"    {lane.name} {lane.name};" for lane in site.lanes)
    upstreams = "\n".join(
        _upstream(name, address, site.backend_port)
        for name, address in [("stable", STABLE_ADDRESS)] + [(lane.name, lane.address) for lane in site.lanes])
    return nginxconf.main(directory, worker_connections=16384) + f"""
http {{
{nginxconf.http_common(directory)}
  map_hash_bucket_size 128;
  map_hash_max_size 8192;
  map $args $query_lane {{ "~(?:^|&){KEY}=(?<queried>[^&]+)" $queried; }}
  map $http_cookie $cookie_lane {{ "~(?:^|; ?){KEY}=(?<pinned>[^;]+)" $pinned; }}
  map $http_x_feat_name $later_lane {{ "" $cookie_lane; default $http_x_feat_name; }}
  map $query_lane $asked_lane {{ "" $later_lane; default $query_lane; }}
  map $asked_lane $lane {{
{known}
  }}
  map $lane $pool {{ "" stable; default $lane; }}
  map $query_lane $known_query_lane {{ "" ""; default $lane; }}
  map $known_query_lane $pin {{ "" ""; default "{KEY}=$lane; {COOKIE_ATTRIBUTES}"; }}
{upstreams}
  server {{
    {_listen(site, row)}
    location / {{
      {_PASS_GRPC if row.protocol == workload.GRPC else _PASS + buffers}
      {_set_header(row)} Host $host;
      {_set_header(row)} {KEY} $lane;
      {_set_header(row)} X-Forwarded-For $proxy_add_x_forwarded_for;
      {_set_header(row)} X-Forwarded-Proto $scheme;
      {_set_header(row)} X-Request-Id $request_id;
      add_header Set-Cookie $pin always;
    }}
  }}
}}
"""


def _listen(site, row):
    flags = " ssl" * row.is_tls + " http2" * row.is_multiplexed
    lines = [f"listen 127.0.0.1:{site.port} backlog=4096{flags};"]
    if row.is_tls:
        lines += [f"ssl_certificate {site.certificate};", f"ssl_certificate_key {site.key};",
                  "ssl_protocols TLSv1.2 TLSv1.3;", "ssl_session_cache shared:sessions:10m;"]
    return "\n    ".join(lines)


def _set_header(row):
    return "grpc_set_header" if row.protocol == workload.GRPC else "proxy_set_header"


def _upstream(name, address, port):
    return f"""  upstream {name} {{
    server {address}:{port};
    keepalive 128;
    keepalive_requests 1000000000;
  }}"""
