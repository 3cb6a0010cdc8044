"""A generator of TLS connections: each is set up, asks once, and ends. Run as a program of its own.

    handshakes.py PORT SECONDS full|resumed < request

Prints one line of results, as the wrk script does.
"""

import json
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.client import trusting_context  # noqa: E402  the path comes first


def main():
    """The command."""
    port, seconds, resumed = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "resumed"
    request = sys.stdin.buffer.read()
    context = trusting_context()
    session, times, failures = None, [], 0
    started = time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        try:
            used, session = _connection(context, port, request, session if resumed else None)
            failures += resumed and bool(times) and not used
        except OSError:
            failures += 1
            continue
        times.append(time.perf_counter() - now)
    elapsed = time.perf_counter() - started
    times.sort()
    print("result " + json.dumps({
        "requests": len(times), "microseconds": int(elapsed * 1e6), "failures": failures,
        "p50": _percentile(times, 0.50), "p99": _percentile(times, 0.99)}))


def _connection(context, port, request, session):
    """One connection: whether it resumed a session, and the session for the next."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain, session=session) as stream:
            stream.sendall(request)
            while stream.recv(65536):
                pass
            return stream.session_reused, stream.session


def _percentile(times, share):
    return times[int(share * (len(times) - 1))] * 1e6 if times else 0.0


if __name__ == "__main__":
    main()
