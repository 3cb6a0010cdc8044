"""A proxy started for a row, checked, and ready to be measured."""

from dataclasses import dataclass

from . import certificate
from . import site as sites
from .ports import free_ports
from .process import Child
from .validate import check


@dataclass
class Session:
    """A running proxy, where it listens, and how long it took until it accepted."""
    child: Child
    site: sites.Site
    first_accept_seconds: float


def start(proxy, program, row, backend, directory, cpu, wrap=()):
    """Starts a proxy for a row, `wrap` before its command line, and checks that it does the row's work.

    Raises Failed, WrongAnswer or OSError; nothing is left running then.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port, admin_port = free_ports(2)
    site = sites.Site(sites.lanes(row.lanes), backend.port_for(row), port, admin_port,
                      *(certificate.make(directory.parent.parent / "certificate") if row.is_tls else ()))
    argv = [*wrap, *proxy.prepare(program, site, row, directory)]
    child = Child(argv, cpu, directory / "log")
    try:
        seconds = child.wait_until_accepting(port)
        check(row, site, backend)
    except BaseException:
        child.stop()
        raise
    return Session(child, site, seconds)
