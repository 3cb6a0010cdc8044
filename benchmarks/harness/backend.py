"""The backend: one nginx worker that is every pod of the site, each pod an address of its own."""

import hashlib
from pathlib import Path

from . import nginxconf, tools
from .process import Child
from .site import STABLE_ADDRESS

BODY_BYTES = 10 * 1024 * 1024
INSPECT_PATH = "/inspect"
SMALL_PATH = "/products/list"
BODY_PATH = "/body10m"


class Backend:
    """Answers a few bytes, a 10 MiB body, or what it was asked, on the stable address and on each lane's."""

    def __init__(self, directory, port, lanes, cpu):
        self.port = port
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        body = directory / BODY_PATH[1:]
        content = hashlib.sha256(b"fairlead").digest() * (BODY_BYTES // 32)
        body.write_bytes(content)
        self.body_digest = hashlib.md5(content).hexdigest()
        (directory / "nginx.conf").write_text(_configuration(directory, port, lanes))
        self._child = Child(nginxconf.command(directory), cpu, directory / "log")
        self._child.wait_until_accepting(port, host=STABLE_ADDRESS)

    @staticmethod
    def version():
        """What the backend is."""
        return tools.version([tools.find("nginx"), "-v"])

    def stop(self):
        """Ends the backend."""
        self._child.stop()


def _configuration(directory, port, lanes):
    addresses = [STABLE_ADDRESS] + [lane.address for lane in lanes]
    listen = "\n".join(f"    listen {address}:{port} backlog=4096;" for address in addresses)
    seen = "\\n".join(f"{name}=${variable}" for name, variable in (
        ("address", "server_addr"), ("lane", "http_x_feat_name"), ("forwarded-for", "http_x_forwarded_for"),
        ("forwarded-proto", "http_x_forwarded_proto"), ("request-id", "http_x_request_id"), ("uri", "request_uri")))
    return nginxconf.main(directory, worker_connections=16384) + f"""
http {{
{nginxconf.http_common(directory)}
  sendfile on;
  default_type text/plain;
  server {{
{listen}
    root {directory};
    location {INSPECT_PATH} {{ return 200 "{seen}\\n"; }}
    location {SMALL_PATH} {{ return 200 "the product list of this pod\\n"; }}
    location = {BODY_PATH} {{ }}
  }}
}}
"""
