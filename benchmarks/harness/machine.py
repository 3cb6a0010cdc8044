"""The machine a run happens on: which CPU does what, and how to describe it in a result."""

import os
import platform
import resource
from pathlib import Path


def cpus():
    """The CPU of the proxy under test and the CPU of everything else; the same one where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1] if len(allowed) > 1 else allowed[0]


def raise_file_limit():
    """Lifts the soft limit of open files to the hard one, for this process and its children, and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def describe():
    """The facts that a reader of a result needs to judge it."""
    proxy_cpu, load_cpu = cpus()
    return {
        "cpu": _first_value("/proc/cpuinfo", "model name"),
        "cpus_allowed": len(os.sched_getaffinity(0)),
        "proxy_cpu": proxy_cpu,
        "load_cpu": load_cpu,
        "memory": _first_value("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "load_average_at_start": os.getloadavg(),
    }


def busy_seconds(cpu):
    """CPU time that processes have spent on one CPU since boot, interrupts left out."""
    label = f"cpu{cpu} "
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(label):
            user, nice, system = map(int, line.split()[1:4])
            return (user + nice + system) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _first_value(path, key):
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"
