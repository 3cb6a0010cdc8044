"""Runs the rows: all proxies of a row side by side, measured in turn, round after round."""

import statistics
from contextlib import ExitStack
from pathlib import Path

from . import idle, leg, load, machine, session, workload
from .process import Failed
from .validate import WrongAnswer

_WARM_UP_SECONDS = 1
_FOREIGN_CPU_NOTED = 0.05


class Comparison:
    """A run over some proxies; `programs` maps proxy to program, in the order of the table."""

    def __init__(self, programs, backend, directory, rounds, seconds, progress):
        self._programs, self._backend = programs, backend
        self._directory = Path(directory)
        self._rounds, self._seconds, self._progress = rounds, seconds, progress
        self._proxy_cpu, self._load_cpu = machine.cpus()

    def run(self, row):
        """The results of one row: proxy name to rounds, medians and notes."""
        return self._idle_row(row) if row.kind == workload.IDLE else self._load_row(row)

    def _load_row(self, row):
        results = {proxy.name: {"rounds": [], "notes": []} for proxy in self._programs if proxy.answers(row)}
        with ExitStack() as stack:
            sessions = {}
            for proxy in self._taking_part(row):
                if running := self._start(proxy, row, results[proxy.name], stack):
                    sessions[proxy.name] = running
            scripts = {name: self._script(row, name, running) for name, running in sessions.items()}
            for number in range(self._rounds + 1):
                for name in list(sessions):
                    if not self._leg(row, number, name, sessions[name], scripts[name], results[name]):
                        del sessions[name]
            for name, running in sessions.items():
                _conclude(results[name], peak_memory=running.child.peak_memory(),
                          first_accept_ms=running.first_accept_seconds * 1000)
        return results

    def _leg(self, row, number, name, running, script, result):
        """One leg, the first of them untimed to warm up; False where the proxy failed."""
        stage = f"round {number} of {self._rounds}" if number else "warming up"
        self._progress(f"{row.name}: {stage}, {name}")
        try:
            figures = leg.measure(running, row, script, self._seconds if number else _WARM_UP_SECONDS,
                                  self._proxy_cpu, self._load_cpu)
        except Failed as problem:
            result["notes"].append(f"failed in round {number}: {problem}")
            return False
        if number:
            result["rounds"].append(figures)
        return True

    def _idle_row(self, row):
        results = {proxy.name: {"rounds": [], "notes": []} for proxy in self._programs if proxy.answers(row)}
        for proxy in self._taking_part(row):
            result = results[proxy.name]
            for number in range(self._rounds):
                self._progress(f"{row.name}: round {number + 1} of {self._rounds}, {proxy.name}")
                with ExitStack() as stack:
                    if running := self._start(proxy, row, result, stack):
                        self._hold(running, row, result)
                if result["notes"]:
                    break
            _conclude(result)
        return results

    def _hold(self, running, row, result):
        try:
            figures = idle.measure(running, row)
        except OSError as problem:
            result["notes"].append(f"not measured: {problem}")
            return
        result["rounds"].append({**figures, "first_accept_ms": running.first_accept_seconds * 1000})

    def _taking_part(self, row):
        return [proxy for proxy in self._programs if proxy.answers(row)]

    def _start(self, proxy, row, result, stack):
        self._progress(f"{row.name}: starting {proxy.name}")
        try:
            running = session.start(proxy, self._programs[proxy], row, self._backend,
                                    self._directory / row.name / proxy.name, self._proxy_cpu)
        except (Failed, WrongAnswer, OSError) as problem:
            result["notes"].append(f"not timed: {problem or type(problem).__name__}")
            return None
        stack.callback(running.child.stop)
        return running

    def _script(self, row, name, running):
        path = self._directory / row.name / name / "load.lua"
        load.write_script(path, row, running.site.lanes)
        return path


def _conclude(result, **once):
    rounds = result["rounds"]
    if not rounds:
        return
    result["median"] = {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]} | once
    failures = sum(figures.get("failures", 0) for figures in rounds)
    if failures:
        result["notes"].append(f"{failures} failed requests")
    foreign = max(figures.get("foreign_cpu", 0.0) for figures in rounds)
    if foreign > _FOREIGN_CPU_NOTED:
        result["notes"].append(f"others took {foreign:.0%} of its CPU")
