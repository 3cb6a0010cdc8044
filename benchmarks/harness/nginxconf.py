"""What the nginx under test and the nginx backend have in common."""

import os
import pwd

from . import tools


def command(directory):
    """How nginx is started in the foreground from a folder of its own."""
    return [tools.find("nginx"), "-p", str(directory), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]


def main(directory, worker_connections):
    """The part outside `http`: one worker, no log but errors."""
    user = f"user {pwd.getpwuid(0).pw_name};\n" if os.geteuid() == 0 else ""
    return f"""{user}worker_processes 1;
pid {directory}/pid;
error_log stderr error;
events {{ worker_connections {worker_connections}; }}
"""


def http_common(directory):
    """Connections that stay, and temporary files in the folder."""
    temporary = "\n".join(
        f"  {kind}_temp_path {directory}/temp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
{temporary}"""
