#!/usr/bin/env python3
"""Counts what one request costs Fairlead, and fails when a count is above its limit.

Counted at steady state: system calls, instructions, allocations, retains and releases; and the peak of memory.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness import arguments, limits, machine, process, proxies, site, table, tools, workload
from harness.backend import Backend
from harness.perrequest import Counter, NotCountable
from harness.ports import free_ports
from harness.process import Failed
from harness.validate import WrongAnswer

_ROWS = ["plain", "lane", "promote"]
_MORE_TRIES = 2
_FOLDER = Path(__file__).resolve().parent
_BUILD = _FOLDER.parent / ".build" / "bench"


def main():
    """The command: exit 0 within the limits, 1 above one, 2 when nothing could be counted."""
    options = _options()
    process.end_children_with_us()
    machine.raise_file_limit()
    proxy = proxies.by_name(options.proxy)
    allowed = limits.load(options.thresholds) if proxy.is_swift else {}
    try:
        tools.require(["nginx", "h2load", "strace", "valgrind"])
        program = proxy.find(_BUILD)
        counts = _count(proxy, _countable(program) if proxy.is_swift else program, options.rows, allowed)
    except (tools.NotAvailable, NotCountable, Failed, WrongAnswer, OSError, ValueError) as problem:
        print(f"{proxy.name} was not counted: {problem}", file=sys.stderr)
        sys.exit(2)
    above = _report(counts, allowed)
    if options.json:
        options.json.write_text(json.dumps({"proxy": proxy.name, "counts": counts, "limits": allowed}, indent=1) + "\n")
    if above:
        print(f"\nabove the limit: {', '.join(above)}")
        sys.exit(1)


def _countable(program):
    """A copy without debug information, which Valgrind cannot read of a Swift program; symbols stay. Hashing is made
    the same in every run, so that start-up, which cancels out, costs the same too."""
    tools.require(["strip"])
    copy = _BUILD / "counted" / "fairlead"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, copy)
    subprocess.run([tools.find("strip"), "--strip-debug", str(copy)], check=True)
    os.environ["SWIFT_DETERMINISTIC_HASHING"] = "1"
    return copy


def _count(proxy, program, names, allowed):
    rows = [workload.by_name(name) for name in names]
    _, load_cpu = machine.cpus()
    lanes = site.lanes(max(row.lanes for row in rows))
    backend = Backend(_BUILD / "counts-backend", free_ports(1)[0], lanes, load_cpu)
    counter = Counter(proxy, program, backend, _BUILD / "counts")
    return {row.name: _least(counter, row, allowed.get(row.name, {})) for row in rows}


def _least(counter, row, allowed):
    """The machine only adds to a count (how many events a turn of the loop takes): what is above its limit is counted
    anew, and the least counts."""
    counts = counter.count(row)
    for _ in range(_MORE_TRIES):
        if not limits.exceeded(allowed, counts):
            break
        again = counter.count(row)
        counts = {key: min(value, again[key]) for key, value in counts.items()}
    return counts


def _report(counts, allowed):
    heads, lines, above = ["count per request", *counts, ""], [], []
    for key in next(iter(counts.values())):
        digits = 0 if key in ("instructions", "peak_kib") else 3
        limit = {row: allowed.get(row, {}).get(key) for row in counts}
        over = [row for row in counts if key in limits.exceeded(allowed.get(row, {}), counts[row])]
        above += [f"{row} {key}" for row in over]
        shown = sorted({table.number(value, 2 if digits else 0) for value in limit.values() if value is not None})
        remark = f"limit {', '.join(shown)}" if shown else ""
        lines.append([key, *(table.number(counts[row][key], digits) for row in counts), remark + (" ABOVE" if over else "")])
    print(table.render(heads, lines))
    return above


def _options():
    proxy_names = [proxy.name for proxy in proxies.ALL]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=arguments.names(_ROWS), default=_ROWS, metavar="A,B",
                        help=f"rows to count, of {','.join(_ROWS)} (default: all)")
    parser.add_argument("--proxy", default="fairlead", choices=proxy_names, help="what to count (default: fairlead)")
    parser.add_argument("--thresholds", type=Path, default=_FOLDER / "thresholds" / "6.3.json", metavar="FILE",
                        help="the limits for Fairlead (default: thresholds/6.3.json)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the counts go as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
