"""The report of a comparison for people."""

from . import table, workload

_MIB = 1024 * 1024
_LOAD_HEADS = ["proxy", "CPU us/req", "user", "system", "req/s", "p50 ms", "p99 ms", "peak MiB", "note"]
_IDLE_HEADS = ["proxy", "connections", "bytes/conn", "before MiB", "after MiB", "accept ms", "note"]


def row_text(row, results):
    """One row's table: `results` maps proxy to its result in the row."""
    idle = row.kind == workload.IDLE
    lines = [(_idle_line if idle else _load_line)(name, result) for name, result in results.items()]
    return f"\n{row.name}: {row.title}\n" + table.render(_IDLE_HEADS if idle else _LOAD_HEADS, lines)


def targets_text(verdicts):
    """The table of targets."""
    words = {True: "pass", False: "FAIL", None: "not measured"}
    lines = [[verdict.text, table.number(verdict.figure, 2), table.number(verdict.limit, 2), words[verdict.met]]
             for verdict in verdicts]
    return "\ntargets (figure at most limit)\n" + table.render(["target", "figure", "limit", "verdict"], lines)


def _load_line(name, result):
    show = _figures(result)
    return [name, show("cpu_us"), show("user_us"), show("system_us"), show("requests_per_second", digits=0),
            show("p50_us", 1000, 2), show("p99_us", 1000, 2), show("peak_memory", _MIB), _notes(result)]


def _idle_line(name, result):
    show = _figures(result)
    return [name, show("connections", digits=0), show("bytes_per_connection", digits=0),
            show("resident_before", _MIB), show("resident_after", _MIB), show("first_accept_ms"), _notes(result)]


def _figures(result):
    median = result.get("median", {})

    def show(metric, unit=1, digits=1):
        value = median.get(metric)
        return table.number(None if value is None else value / unit, digits)

    return show


def _notes(result):
    return "; ".join(result.get("notes", []))
