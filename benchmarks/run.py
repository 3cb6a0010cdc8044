#!/usr/bin/env python3
"""Compares Fairlead with Envoy, HAProxy and nginx on the same lane workload in one run."""

import argparse
import json
import sys
import time
from pathlib import Path

from harness import arguments, machine, process, proxies, report, site, targets, tools, workload
from harness.backend import Backend
from harness.comparison import Comparison
from harness.ports import free_ports

_BUILD = Path(__file__).resolve().parent.parent / ".build" / "bench"


def main():
    """The command."""
    options = _options()
    process.end_children_with_us()
    machine.raise_file_limit()
    try:
        tools.require(["nginx", "wrk", "h2load", "nghttp", "nghttpd", "curl", "openssl"])
    except tools.NotAvailable as problem:
        sys.exit(str(problem))
    programs = _programs(options.proxies)
    proxy_cpu, load_cpu = machine.cpus()
    if proxy_cpu == load_cpu:
        print("one CPU only: the proxy shares it with the load and the backend; compare CPU us/req alone")
    facts = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
        "proxies": {proxy.name: {"title": proxy.title, "version": proxy.version(program)}
                    for proxy, program in programs.items()},
        "backend": Backend.version(),
        "flags": {"rows": options.rows, "proxies": [proxy.name for proxy in programs],
                  "rounds": options.rounds, "seconds": options.seconds},
    }
    rows = [workload.by_name(name) for name in options.rows]
    lanes = site.lanes(max(row.lanes for row in rows))
    backend = Backend(_BUILD / "backend", free_ports(1)[0], lanes, load_cpu)
    comparison = Comparison(programs, backend, _BUILD, options.rounds, options.seconds, _progress)
    results = {}
    for row in rows:
        results[row.name] = comparison.run(row)
        print(report.row_text(row, results[row.name]), flush=True)
    verdicts = targets.judge(results)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(
        {**facts, "rows": results, "targets": [vars(verdict) for verdict in verdicts]}, indent=1) + "\n")
    print(report.targets_text(verdicts))
    print(f"\nwritten to {options.json}")


def _options():
    row_names = [row.name for row in workload.ROWS]
    proxy_names = [proxy.name for proxy in proxies.ALL]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=arguments.names(row_names), default=row_names, metavar="A,B",
                        help=f"rows to run, of {', '.join(row_names)} (default: all)")
    parser.add_argument("--proxies", type=arguments.names(proxy_names), metavar="A,B",
                        help=f"proxies to compare, of {', '.join(proxy_names)} (default: all that are there)")
    parser.add_argument("--rounds", type=arguments.positive, default=3, metavar="N",
                        help="rounds, of which the median counts (default: 3)")
    parser.add_argument("--seconds", type=arguments.positive, default=3, metavar="N",
                        help="seconds of load a leg (default: 3)")
    parser.add_argument("--json", type=Path, default=_BUILD / "results.json", metavar="FILE",
                        help="where the results go (default: results.json in .build/bench)")
    return parser.parse_args()


def _programs(asked):
    programs = {}
    for proxy in [proxies.by_name(name) for name in asked] if asked else proxies.ALL:
        try:
            programs[proxy] = proxy.find(_BUILD)
        except tools.NotAvailable as problem:
            if asked:
                sys.exit(f"{proxy.name}: {problem}")
            print(f"{proxy.name} takes no part: {problem}")
    return programs


def _progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
