"""One timed leg: load on a running proxy, and what the proxy spent on it."""

import time

from . import load, machine
from .process import Failed


def measure(session, row, script, seconds, proxy_cpu, load_cpu):
    """Drives the row for that long and returns the figures of the leg; raises Failed where there are none."""
    user_before, system_before = session.child.cpu_seconds()
    busy_before, time_before = machine.busy_seconds(proxy_cpu), time.monotonic()
    seen = load.drive(script, row, session.site, seconds, load_cpu)
    session.child.require_running()
    if not seen.requests:
        raise Failed("no request was answered")
    user_after, system_after = session.child.cpu_seconds()
    busy, elapsed = machine.busy_seconds(proxy_cpu) - busy_before, time.monotonic() - time_before
    user, system = user_after - user_before, system_after - system_before
    return {
        "requests": seen.requests,
        "failures": seen.failures,
        "seconds": seen.seconds,
        "cpu_us": (user + system) / seen.requests * 1e6,
        "user_us": user / seen.requests * 1e6,
        "system_us": system / seen.requests * 1e6,
        "requests_per_second": seen.requests / seen.seconds,
        "p50_us": seen.p50,
        "p99_us": seen.p99,
        "foreign_cpu": max(busy - user - system, 0.0) / elapsed,
    }
