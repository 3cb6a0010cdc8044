"""Counts per request: a proxy run twice under a counting tool, with few requests and with more; start-up cancels out.
Beside them the memory of one run that nothing watches."""

import shutil

from . import callgrind, machine, requests, session, syscalls, tools

# So many that what the control thread does once a second, forty reference counts or so, stays far below the limits.
FEWER, MORE = 1_000, 13_000

_SYSCALL_SECONDS = 120
_CALLGRIND_SECONDS = 300
_PLAIN_SECONDS = 60
_STOP_SECONDS = 60


class NotCountable(Exception):
    """The program cannot be counted; the message says why."""


class Counter:
    """Counts what one request costs a proxy."""

    def __init__(self, proxy, program, backend, directory):
        self._proxy, self._program, self._backend = proxy, program, backend
        self._directory = directory
        self._proxy_cpu, self._load_cpu = machine.cpus()

    def count(self, row):
        """System calls, instructions, allocations and reference counting per request of the row, and its peak memory."""
        calls = self._difference(row, "strace", syscalls, _SYSCALL_SECONDS)
        code = self._difference(row, "valgrind", callgrind, _CALLGRIND_SECONDS)
        return {**calls, **code, "peak_kib": self._peak_memory(row)}

    def _difference(self, row, tool, counting, seconds):
        fewer = self._run(row, FEWER, tool, counting, seconds)
        more = self._run(row, MORE, tool, counting, seconds)
        if self._proxy.is_swift and counting is callgrind and not more["retain"]:
            raise NotCountable("no call of swift_retain was seen at all: the program is stripped of its symbols")
        return {key: (more[key] - fewer[key]) / (MORE - FEWER) for key in more}

    def _peak_memory(self, row):
        directory = self._fresh(row, "memory")
        running = session.start(self._proxy, self._program, row, self._backend, directory, self._proxy_cpu)
        try:
            requests.send(row, running.site.lanes, running.site.port, MORE, self._load_cpu, _PLAIN_SECONDS)
            return running.child.peak_memory() // 1024
        finally:
            running.child.stop(timeout=_STOP_SECONDS)

    def _run(self, row, count, tool, counting, seconds):
        directory = self._fresh(row, f"{tool}-{count}")
        running = session.start(self._proxy, self._program, row, self._backend, directory, self._proxy_cpu,
                                wrap=counting.wrap(tools.find(tool), directory))
        try:
            requests.send(row, running.site.lanes, running.site.port, count, self._load_cpu, seconds)
        finally:
            running.child.stop(timeout=_STOP_SECONDS)
        return counting.read(directory)

    def _fresh(self, row, name):
        directory = self._directory / row.name / self._proxy.name / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        return directory
