"""Free TCP ports on loopback."""

import socket


def free_ports(count):
    """As many different ports as asked for, free at this moment on every loopback address."""
    held = []
    try:
        for _ in range(count):
            probe = socket.socket()
            probe.bind(("127.0.0.1", 0))
            held.append(probe)
        return [probe.getsockname()[1] for probe in held]
    finally:
        for probe in held:
            probe.close()
