"""An exact number of requests over a few keep-alive connections, for counting what one request costs."""

import re

from . import tools, workload
from .process import Failed, run_tool
from .site import HOST, live

CONNECTIONS = 8


def send(row, lanes, port, count, cpu, timeout):
    """Sends so many of the row's requests for one live lane; raises Failed unless every one succeeds."""
    lane = live(lanes)[0]
    argv = [tools.find("h2load"), "--h1", "-t", 1, "-c", CONNECTIONS, "-m", 1, "-n", count, "-H", f":authority: {HOST}"]
    for name, value in workload.headers(row, lane):
        argv += ["-H", f"{name}: {value}"]
    argv.append(f"http://127.0.0.1:{port}{workload.target(row, lane)}")
    output = run_tool(argv, cpu, timeout)
    found = re.search(r"(\d+) succeeded.*status codes: (\d+) 2xx", output, re.DOTALL)
    if not found or int(found[1]) != count or int(found[2]) != count:
        raise Failed(f"not all of {count} requests succeeded: {output.strip()[:600]}")
