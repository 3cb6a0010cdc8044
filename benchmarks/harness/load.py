"""Load: wrk for HTTP/1.1, h2load for HTTP/2 and gRPC, handshakes.py for connections; what they saw."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from . import certificate, tools, workload
from .process import Failed, run_tool
from .site import HOST, live

_MARK = "result "


@dataclass(frozen=True)
class Load:
    """What a generator saw in one leg; latencies in microseconds."""
    requests: int
    seconds: float
    failures: int
    p50: float
    p99: float


def write_script(path, row, lanes):
    """Writes the generator's script: the row's requests in turn, and one line of results at the end."""
    chosen = live(lanes) if row.carrier != "none" else lanes[:1]
    requests = ",\n".join("  " + _lua_string(workload.request(row, lane)) for lane in chosen)
    path.write_text(f"""local requests = {{
{requests}
}}
local turn = 0
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{_MARK}{{"requests":%d,"microseconds":%d,"failures":%d,"p50":%.1f,"p99":%.1f}}\\n',
    summary.requests, summary.duration, errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    latency:percentile(50), latency:percentile(99)))
end
""")


def drive(script, row, site, seconds, cpu):
    """Drives one leg and returns what was seen."""
    environment = certificate.client_environment(script.parent) if row.is_tls else None
    if row.kind == workload.HANDSHAKE:
        argv = [sys.executable, Path(__file__).parent / "handshakes.py", site.port, seconds,
                "resumed" if row.resumed else "full"]
        request = workload.request(row, site.lanes[0])
        return parse(run_tool(argv, cpu, timeout=seconds + 30, env=environment, said=request))
    if row.is_multiplexed:
        return _multiplexed(script, row, site, seconds, cpu, environment)
    scheme = "https" if row.is_tls else "http"
    argv = [tools.find("wrk"), "-t", 1, "-c", row.connections, "-d", f"{seconds}s", "--timeout", "10s",
            "-s", script, f"{scheme}://127.0.0.1:{site.port}/"]
    return parse(run_tool(argv, cpu, timeout=seconds + 30, env=environment))


def _multiplexed(script, row, site, seconds, cpu, environment):
    """h2load sends one lane's request only: its header fields are the same for all targets."""
    lane = live(site.lanes)[0]
    times = script.parent / "h2load.log"
    times.unlink(missing_ok=True)
    argv = [tools.find("h2load"), "-t", 1, "-c", row.connections, "-m", row.streams, "-D", seconds,
            "--log-file", times, "-H", f":authority: {HOST}"]
    for name, value in workload.headers(row, lane):
        argv += ["-H", f"{name.lower()}: {value}"]
    if row.protocol == workload.GRPC:
        message = script.parent / "message"
        message.write_bytes(workload.GRPC_MESSAGE)
        argv += ["-d", message]
    scheme = "https" if row.is_tls else "http"
    argv.append(f"{scheme}://127.0.0.1:{site.port}{workload.target(row, lane)}")
    return parse_h2load(run_tool(argv, cpu, timeout=seconds + 30, env=environment), times.read_text())


def parse(output):
    """Reads the line of results out of the generator's output."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            found = json.loads(line[len(_MARK):])
            return Load(found["requests"], found["microseconds"] / 1e6, found["failures"], found["p50"], found["p99"])
    raise Failed(f"no result in the generator's output: {output.strip()[-300:]}")


def parse_h2load(output, log):
    """Reads h2load's summary, and the latencies out of the log it keeps: start, status and microseconds a line."""
    found = re.search(
        r"finished in ([\d.]+)(us|ms|s),.*?requests: .*?(\d+) succeeded, (\d+) failed.*?"
        r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output, re.S)
    if not found:
        raise Failed(f"no result in the generator's output: {output.strip()[-300:]}")
    seconds = float(found[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[found[2]]
    times = sorted(int(line.split("\t")[2]) for line in log.splitlines() if line.count("\t") == 2)
    # Where the time is over in the middle of an answer, its status was counted, but it is no request.
    succeeded = min(int(found[3]), int(found[5]))
    failures = int(found[4]) + sum(int(found[group]) for group in (6, 7, 8))
    return Load(succeeded, seconds, failures, percentile(times, 0.5), percentile(times, 0.99))


def percentile(times, share):
    """The figure that so large a share of sorted figures does not pass; 0 where there is none."""
    return float(times[int(share * (len(times) - 1))]) if times else 0.0


def _lua_string(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'
