"""What the results are held against. A target is reported, never a reason to fail: timings are not assertions."""

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Verdict:
    """A target with the figure it was held against; `met` is None where a figure is missing."""
    text: str
    figure: float | None
    limit: float
    met: bool | None


def judge(rows):
    """The verdicts on the results of a run: `rows` maps row to proxy to median figures."""
    def figure(row, proxy, metric):
        return rows.get(row, {}).get(proxy, {}).get("median", {}).get(metric)

    verdicts = []
    for row in ("plain", "lane", "promote"):
        ours = figure(row, "fairlead", "cpu_us")
        better = _least(figure(row, "nginx", "cpu_us"), figure(row, "haproxy", "cpu_us"))
        verdicts += [
            _ratio(f"{row}: CPU / the better of nginx and HAProxy", ours, better, 0.85),
            _ratio(f"{row}: CPU / Envoy with plain routes", ours, figure(row, "envoy", "cpu_us"), 0.25),
            _ratio(f"{row}: CPU / Envoy with the pattern's Lua", ours, figure(row, "envoy-lua", "cpu_us"), 0.2),
            _ratio(f"{row}: user time / nginx (3 us where it takes 6)",
                   figure(row, "fairlead", "user_us"), figure(row, "nginx", "user_us"), 0.5),
            _absolute(f"{row}: peak memory, MiB", figure(row, "fairlead", "peak_memory"), 14, _MIB),
        ]
    for proxy in ("fairlead", "fairlead-raw"):
        verdicts.append(_ratio(f"{proxy}: CPU with 1,000 lanes / 10 lanes",
                               figure("lanes1000", proxy, "cpu_us"), figure("lanes10", proxy, "cpu_us"), 1.1))
    for row, limit in (("tls", 0.9), ("h2", 1.0), ("h2c", 1.0)):
        ours = figure(row, "fairlead", "cpu_us")
        better = _least(figure(row, "nginx", "cpu_us"), figure(row, "haproxy", "cpu_us"))
        verdicts += [
            _ratio(f"{row}: CPU / the better of nginx and HAProxy", ours, better, limit),
            _ratio(f"{row}: CPU / Envoy", ours, figure(row, "envoy", "cpu_us"), 0.3),
        ]
    verdicts += [
        _ratio("grpc: CPU / Envoy", figure("grpc", "fairlead", "cpu_us"), figure("grpc", "envoy", "cpu_us"), 0.3),
        _ratio("body10m: CPU / nginx",
               figure("body10m", "fairlead", "cpu_us"), figure("body10m", "nginx", "cpu_us"), 0.7),
        _ratio("body10m: CPU / nginx with larger buffers",
               figure("body10m", "fairlead", "cpu_us"), figure("body10m", "nginx-buffers", "cpu_us"), 0.7),
        _absolute("idle: bytes a connection", figure("idle", "fairlead", "bytes_per_connection"), 300, 1),
        _absolute("idletls: KiB a connection", figure("idletls", "fairlead", "bytes_per_connection"), 20, 1024),
        _absolute("idle: start to first accept, ms", figure("idle", "fairlead", "first_accept_ms"), 50, 1),
    ]
    return verdicts


def _ratio(text, ours, theirs, limit):
    value = ours / theirs if ours is not None and theirs else None
    return Verdict(text, value, limit, None if value is None else value <= limit)


def _absolute(text, value, limit, unit):
    scaled = None if value is None else value / unit
    return Verdict(text, scaled, limit, None if scaled is None else scaled <= limit)


def _least(*values):
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None
