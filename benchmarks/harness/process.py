"""Child processes: pinned, measured, and never left behind."""

import atexit
import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_running = []


class Failed(Exception):
    """A process ended, or did not accept connections in time, or a command failed."""


class Child:
    """A process in its own group, on one CPU, its output in a file; ended when the command ends, however it ends."""

    def __init__(self, argv, cpu, log, env=None):
        self.argv = [str(part) for part in argv]
        self.log = Path(log)
        self.started = time.monotonic()

        def become():
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            os.sched_setaffinity(0, {cpu})

        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=become, env={**os.environ, **(env or {})})
        _running.append(self)

    def wait_until_accepting(self, port, timeout=60.0, host="127.0.0.1"):
        """Polls until a connection to the port succeeds; returns the seconds since the process was started."""
        deadline = self.started + timeout
        while time.monotonic() < deadline:
            try:
                socket.create_connection((host, port), timeout=1).close()
                return time.monotonic() - self.started
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.0005)
        raise Failed(self.last_words())

    def require_running(self):
        """Raises Failed when the process has ended."""
        if self.process.poll() is not None:
            raise Failed(self.last_words())

    def last_words(self):
        """The end of what the process wrote, on one line."""
        lines = self.log.read_text(errors="replace").split("\n")
        said = " / ".join(line.strip() for line in lines if line.strip())
        state = self.process.poll()
        ending = "still running, not accepting" if state is None else f"exit status {state}"
        return f"{ending}: {said[-400:]}" if said else ending

    def tree(self):
        """The process ids of the process and all that descend from it."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    queue += map(int, children.read_text().split())
                except OSError:
                    continue
        return found

    def cpu_seconds(self):
        """User and system time spent so far by the whole tree, all threads."""
        tick = os.sysconf("SC_CLK_TCK")
        user = system = 0
        for pid in self.tree():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            user += int(fields[11])
            system += int(fields[12])
        return user / tick, system / tick

    def peak_memory(self):
        """The highest resident size of the largest process of the tree, in bytes."""
        return max((self._status(pid, "VmHWM") for pid in self.tree()), default=0)

    def resident_memory(self):
        """The resident bytes of the whole tree now."""
        total = 0
        for pid in self.tree():
            try:
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Rss:"):
                        total += int(line.split()[1]) * 1024
            except OSError:
                continue
        return total

    def stop(self, timeout=5.0):
        """Asks the group to end, waits, then forces it."""
        if self in _running:
            _running.remove(self)
        for sign, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        self._reap_group()

    def _reap_group(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.process.poll()

    @staticmethod
    def _status(pid, key):
        try:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
        except OSError:
            pass
        return 0


def stop_all():
    """Ends every child that is still running."""
    for child in list(_running):
        child.stop(timeout=2.0)


def end_children_with_us():
    """Makes Ctrl-C, TERM and HUP leave through the normal exit, which ends all children."""
    def leave(number, _frame):
        raise SystemExit(128 + number)

    atexit.register(stop_all)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def run_tool(argv, cpu, timeout, env=None, said=""):
    """Runs a short command on one CPU, `said` on its input, and returns its output.

    Raises Failed on failure or when the time is up.
    """
    try:
        done = subprocess.run(
            [str(part) for part in argv], input=said, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})}, text=True, timeout=timeout, check=False,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{argv[0]} did not end within {timeout} s") from late
    if done.returncode != 0:
        raise Failed(f"{argv[0]} failed ({done.returncode}): {done.stdout.strip()[-400:]}")
    return done.stdout
