"""What the benchmark commands share: processes, the workload, the proxies, the measurements."""
