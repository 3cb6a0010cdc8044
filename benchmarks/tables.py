#!/usr/bin/env python3
"""What many routes and many lanes cost Fairlead: instructions of one request, counted with ten routes and with ten
thousand, which fails when the ratio is above its limit; and the time of the first load, and of a reload after one
document was edited, which are only told.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import arguments, latency, machine, process, proxies, routes, site, table, tools, workload
from harness.backend import Backend
from harness.ports import free_ports
from harness.process import Child, Failed, run_tool

FEW, MANY = 10, 10_000
RATIO_LIMIT = 1.2

_BUILD = Path(__file__).resolve().parent.parent / ".build" / "bench"
_WARM_UP, _COUNTED = 400, 3_000
_LANES = 10_000
_RELOADS = 3
_SECONDS = 120
_EDITED = "\n# edited"


def main():
    """The command: exit 0 within the limit, 1 above it, 2 when nothing could be counted."""
    options = _options()
    process.end_children_with_us()
    machine.raise_file_limit()
    try:
        tools.require(["nginx", "h2load", "valgrind"])
        program = proxies.by_name("fairlead").find(_BUILD)
        above = _choosing(program, [routes.by_name(name) for name in options.shapes])
        if not options.counts:
            _reloading(program, [routes.by_name(name) for name in options.shapes])
    except (tools.NotAvailable, Failed, OSError, ValueError) as problem:
        print(f"not counted: {problem}", file=sys.stderr)
        sys.exit(2)
    if above:
        print(f"\nabove {RATIO_LIMIT} times: {', '.join(above)}")
        sys.exit(1)


# Choosing

def _choosing(program, shapes):
    counted = _stripped(program)
    rows, above = [], []
    for shape in shapes:
        few, many = _instructions(counted, shape, FEW), _instructions(counted, shape, MANY)
        rows.append([shape.title, table.number(few, 0), table.number(many, 0), f"{many / few:.3f}"])
        if many > RATIO_LIMIT * few:
            above.append(shape.name)
        print(f"{shape.title}: {few:.0f} and {many:.0f}", file=sys.stderr, flush=True)
    print(table.render(["instructions a request", f"{FEW} routes", f"{MANY:,} routes", "ratio"], rows))
    return above


def _stripped(program):
    """A copy whose symbols Valgrind can read."""
    copy = _BUILD / "tables" / "fairlead"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, copy)
    subprocess.run([tools.find("strip"), "--strip-debug", str(copy)], check=True)
    return copy


def _instructions(program, shape, count):
    """Of one request, at steady state: counting begins when the proxy is warm."""
    proxy_cpu, load_cpu = machine.cpus()
    directory = _fresh(f"{shape.name}-{count}")
    backend = _backend(directory, load_cpu)
    port, admin_port = free_ports(2)
    configuration = directory / "routes.yaml"
    configuration.write_text(routes.documents(shape, count, backend.port))
    wrap = [tools.find("valgrind"), "--tool=callgrind", "--quiet", "--instr-atstart=no", "--separate-threads=yes",
            f"--callgrind-out-file={directory}/callgrind"]
    child = Child([*wrap, *routes.command(program, configuration, port, admin_port)], proxy_cpu, directory / "log")
    try:
        child.wait_until_accepting(port, timeout=_SECONDS)
        asked = routes.request(shape, count)
        _send(asked, port, _WARM_UP, load_cpu)
        run_tool([tools.find("callgrind_control"), "--instr=on", child.process.pid], load_cpu, timeout=_SECONDS)
        _send(asked, port, _COUNTED, load_cpu)
    finally:
        child.stop(timeout=_SECONDS)
        backend.stop()
    # The first thread is the control thread, which looks now and then whether the documents changed.
    counted = sum(_total(part) for part in directory.glob("callgrind-*") if not part.name.endswith("-01"))
    if not counted:
        raise ValueError("callgrind counted nothing")
    return counted / _COUNTED


def _total(part):
    found = re.search(r"^(?:totals|summary): (\d+)", part.read_text(errors="replace"), re.MULTILINE)
    return int(found[1]) if found else 0


def _send(asked, port, count, cpu):
    argv = [tools.find("h2load"), "--h1", "-t", 1, "-c", 8, "-m", 1, "-n", count, "-H", f":authority: {asked.host}"]
    for name, value in asked.fields:
        argv += ["-H", f"{name}: {value}"]
    output = run_tool([*argv, f"http://127.0.0.1:{port}{asked.path}"], cpu, timeout=_SECONDS)
    found = re.search(r"(\d+) succeeded.*status codes: (\d+) 2xx", output, re.DOTALL)
    if not found or int(found[1]) != count or int(found[2]) != count:
        raise Failed(f"not all of {count} requests succeeded: {output.strip()[:600]}")


# Reloading

def _reloading(program, shapes):
    rows = []
    for shape in shapes:
        directory = _fresh(f"{shape.name}-reload")
        _, load_cpu = machine.cpus()
        backend = _backend(directory, load_cpu)
        port, admin_port = free_ports(2)
        configuration = directory / "routes.yaml"
        configuration.write_text(routes.documents(shape, MANY, backend.port))
        argv = routes.command(program, configuration, port, admin_port)
        asked = routes.request(shape, MANY)
        rows.append(_reload_row(f"{MANY:,} routes: {shape.title}", argv, port, asked, configuration))
        backend.stop()
    for name in ("fairlead-carriers", "fairlead-raw"):
        rows.append(_lanes_row(program, name))
    print(table.render(["milliseconds", "start", "reload", "its CPU", "lines moved", "p99.9 quiet",
                        "while reloading", "longest"], rows))


def _lanes_row(program, name):
    proxy = proxies.by_name(name)
    row = workload.by_name("lane")
    directory = _fresh(f"{name}-reload")
    _, load_cpu = machine.cpus()
    lanes = site.lanes(_LANES)
    backend = _backend(directory, load_cpu)
    port, admin_port = free_ports(2)
    argv = proxy.prepare(program, site.Site(lanes, backend.port, port, admin_port), row, directory)
    asked = routes.Request(site.HOST, site.SMALL_PATH)
    done = _reload_row(f"{_LANES:,} lanes: {proxy.title}", argv, port, asked, directory / "fairlead.yaml")
    backend.stop()
    return done


def _reload_row(title, argv, port, asked, configuration):
    """The first load, medians of some reloads, and how long requests took meanwhile, in milliseconds."""
    proxy_cpu, load_cpu = machine.cpus()
    _edit(configuration, 0)
    started = time.monotonic()
    child = Child(argv, proxy_cpu, configuration.parent / "log")
    # The control thread may use the other CPU, as on a machine that has more: the question is what waits for it.
    os.sched_setaffinity(child.process.pid, {proxy_cpu, load_cpu})
    try:
        child.wait_until_accepting(port, timeout=_SECONDS)
        first = time.monotonic() - started
        with latency.Client(port, asked) as client:
            client.run(1.0)
            quiet = client.run(2.0)
            reloads, during = [], []
            for number in range(1, _RELOADS + 2):
                # In the last lines move: all that stands behind is at another place.
                _edit(configuration, number, "\n#" if number > _RELOADS else "")
                reloading = threading.Thread(target=lambda: reloads.append(_reload(child)))
                reloading.start()
                while reloading.is_alive():
                    during += client.run(0.1)
                # What the configuration before leaves is freed a moment later.
                during += client.run(1.0)
        moved = reloads.pop()
        middle = sorted(reloads)[len(reloads) // 2]
        figures = [first * 1e3, middle[0] * 1e3, middle[1] * 1e3, moved[0] * 1e3,
                   latency.percentile(quiet, 0.999) * 1e3,
                   latency.percentile(during, 0.999) * 1e3, max(during) * 1e3]
        return [title, *(table.number(figure, 2 if figure < 10 else 0) for figure in figures)]
    finally:
        child.stop(timeout=_SECONDS)


def _edit(configuration, number, more=""):
    """Changes the document in the middle, as somebody would who edits one lane of many; `more` lines move the rest."""
    documents = configuration.read_text().split("\n---\n")
    middle = len(documents) // 2
    documents[middle] = f"{documents[middle].partition(_EDITED)[0]}{_EDITED} {number}{more}"
    configuration.write_text("\n---\n".join(documents))


def _reload(child):
    """Seconds of time and of the control thread's CPU that one reload takes."""
    said = child.log.read_text(errors="replace").count("configuration reloaded")
    control = Path(f"/proc/{child.process.pid}/task/{child.process.pid}/schedstat")
    before, started = int(control.read_text().split()[0]), time.monotonic()
    os.kill(child.process.pid, signal.SIGHUP)
    while child.log.read_text(errors="replace").count("configuration reloaded") == said:
        child.require_running()
        if time.monotonic() > started + _SECONDS:
            raise Failed("the configuration was not reloaded")
        time.sleep(0.005)
    return time.monotonic() - started, (int(control.read_text().split()[0]) - before) / 1e9


def _backend(directory, cpu):
    return Backend(directory / "backend", free_ports(1)[0], (), cpu)


def _fresh(name):
    directory = _BUILD / "tables" / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _options():
    names = [shape.name for shape in routes.SHAPES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=arguments.names(names), default=names, metavar="A,B",
                        help=f"shapes of routes, of {','.join(names)} (default: all)")
    parser.add_argument("--counts", action="store_true", help="only count instructions, do not time reloads")
    return parser.parse_args()


if __name__ == "__main__":
    main()
