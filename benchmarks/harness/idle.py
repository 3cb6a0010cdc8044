"""The cost of idle keep-alive connections: resident memory before and after many of them, one request each."""

import resource
import time

from . import workload
from .client import Client, trusting_context

_CONNECTIONS = 10_000
_FILES_FOR_OTHERS = 500
_SETTLE_SECONDS = 0.5


def measure(session, row):
    """Opens the connections, each with one answered request, and returns the figures."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _FILES_FOR_OTHERS
    count = min(_CONNECTIONS, limit)
    context = trusting_context() if row.is_tls else None
    fields = workload.headers(row, session.site.lanes[0])
    clients = []
    try:
        with Client(session.site.port, context=context) as first:
            first.get(row.path, fields)
        time.sleep(_SETTLE_SECONDS)
        before = session.child.resident_memory()
        for _ in range(count):
            clients.append(Client(session.site.port, context=context))
            if clients[-1].get(row.path, fields).status != 200:
                raise OSError("a connection was refused an answer")
        time.sleep(_SETTLE_SECONDS)
        after = session.child.resident_memory()
    finally:
        for client in clients:
            client.close()
    return {
        "connections": count,
        "bytes_per_connection": (after - before) / count,
        "resident_before": before,
        "resident_after": after,
    }
