"""Load: wrk with the row's requests, its results read from a line that our script prints."""

import json
from dataclasses import dataclass

from . import tools, workload
from .process import Failed, run_tool
from .site import live

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


def drive(script, row, port, seconds, cpu):
    """Drives one leg and returns what was seen."""
    output = run_tool(
        [tools.find("wrk"), "-t", 1, "-c", row.connections, "-d", f"{seconds}s", "--timeout", "10s",
         "-s", script, f"http://127.0.0.1:{port}/"], cpu, timeout=seconds + 30)
    return parse(output)


def parse(output):
    """Reads the line of results out of the generator's output."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            found = json.loads(line[len(_MARK):])
            return Load(found["requests"], found["microseconds"] / 1e6, found["failures"], found["p50"], found["p99"])
    raise Failed(f"no result in the generator's output: {output.strip()[-300:]}")


def _lua_string(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'
