"""The backend: one nginx worker that is every pod of the site, each pod an address of its own; for gRPC nghttpd, the
stable pod alone."""

import hashlib
from pathlib import Path

from . import nginxconf, tools, workload
from .ports import free_ports
from .process import Child
from .site import BODY_PATH, INSPECT_PATH, SMALL_PATH, STABLE_ADDRESS

BODY_BYTES = 10 * 1024 * 1024


class Backend:
    """Answers a few bytes, a 10 MiB body, or what it was asked, on the stable address and on each lane's."""

    def __init__(self, directory, port, lanes, cpu):
        self.port, self._cpu = port, cpu
        self._grpc, self._grpc_port = None, 0
        self._directory = directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        body = directory / BODY_PATH[1:]
        content = hashlib.sha256(b"fairlead").digest() * (BODY_BYTES // 32)
        body.write_bytes(content)
        self.body_digest = hashlib.md5(content).hexdigest()
        (directory / "nginx.conf").write_text(_configuration(directory, port, lanes))
        self._child = Child(nginxconf.command(directory), cpu, directory / "log")
        self._child.wait_until_accepting(port, host=STABLE_ADDRESS)

    def port_for(self, row):
        """The port of what answers a row: gRPC has a server of its own, which echoes and adds the status as a trailer."""
        if row.protocol != workload.GRPC:
            return self.port
        if self._grpc is None:
            self._grpc_port = free_ports(1)[0]
            argv = [tools.find("nghttpd"), "--no-tls", "--echo-upload", "--trailer=grpc-status: 0",
                    "-a", STABLE_ADDRESS, self._grpc_port]
            self._grpc = Child(argv, self._cpu, self._directory / "grpc-log")
            self._grpc.wait_until_accepting(self._grpc_port, host=STABLE_ADDRESS)
        return self._grpc_port

    @staticmethod
    def version():
        """What the backend is."""
        return tools.version([tools.find("nginx"), "-v"])

    def stop(self):
        """Ends the backend."""
        self._child.stop()
        if self._grpc is not None:
            self._grpc.stop()


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
