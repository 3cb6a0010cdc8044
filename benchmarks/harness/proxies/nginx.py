"""nginx: maps choose the lane, one upstream group a lane."""

from .. import nginxconf, tools
from ..backend import BODY_PATH
from ..site import COOKIE_ATTRIBUTES, KEY, STABLE_ADDRESS

LARGER_BUFFERS = "proxy_buffer_size 16k; proxy_buffers 8 32k; proxy_busy_buffers_size 128k;"


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

    def prepare(self, _program, site, _row, directory):
        """Writes the configuration and returns the command line."""
        (directory / "nginx.conf").write_text(_configuration(directory, site, self._buffers))
        return nginxconf.command(directory)


def _configuration(directory, site, buffers):
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
    listen 127.0.0.1:{site.port} backlog=4096;
    location / {{
      proxy_pass http://$pool;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      {buffers}
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header {KEY} $lane;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
      add_header Set-Cookie $pin always;
    }}
  }}
}}
"""


def _upstream(name, address, port):
    return f"""  upstream {name} {{
    server {address}:{port};
    keepalive 128;
    keepalive_requests 1000000000;
  }}"""
