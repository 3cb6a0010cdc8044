"""What the measuring tools print is read right."""

import unittest

from harness import callgrind, load, syscalls
from harness.process import Failed


class Parsing(unittest.TestCase):
    def test_load_result_is_found_among_the_generators_own_lines(self):
        seen = load.parse('  50%  1.00ms\nresult {"requests":9,"microseconds":2000000,"failures":1,"p50":3.5,"p99":7.0}\n')
        self.assertEqual((seen.requests, seen.seconds, seen.failures, seen.p50, seen.p99), (9, 2.0, 1, 3.5, 7.0))

    def test_load_without_a_result_is_an_error(self):
        with self.assertRaises(Failed):
            load.parse("unable to connect\n")

    def test_h2load_tells_successes_and_latencies(self):
        output = ("finished in 2.50s, 4.00 req/s, 1KB/s\n"
                  "requests: 10 total, 10 started, 10 done, 9 succeeded, 1 failed, 1 errored, 0 timeout\n"
                  "status codes: 8 2xx, 0 3xx, 1 4xx, 0 5xx\n")
        log = "".join(f"{1000 + index}\t200\t{10 * index}\n" for index in range(1, 12))
        seen = load.parse_h2load(output, log)
        self.assertEqual((seen.requests, seen.seconds, seen.failures, seen.p50, seen.p99), (8, 2.5, 2, 60.0, 100.0))

    def test_h2load_that_ends_amid_answers_has_no_failures(self):
        output = ("finished in 3.00s, 3.00 req/s, 1KB/s\n"
                  "requests: 9 total, 12 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout\n"
                  "status codes: 11 2xx, 0 3xx, 0 4xx, 0 5xx\n")
        seen = load.parse_h2load(output, "")
        self.assertEqual((seen.requests, seen.failures), (9, 0))

    def test_h2load_without_a_summary_is_an_error(self):
        with self.assertRaises(Failed):
            load.parse_h2load("unable to connect\n", "")

    def test_system_calls_fall_into_families(self):
        counts = syscalls.parse(
            "% time     seconds  usecs/call     calls    errors syscall\n"
            "------ ----------- ----------- --------- --------- ----------------\n"
            " 60.00    0.100000          10        20         3 recvfrom\n"
            " 20.00    0.050000          10         2           read\n"
            " 10.00    0.050000          10         5           writev\n"
            " 10.00    0.050000          10         4           getpid\n"
            "------ ----------- ----------- --------- --------- ----------------\n"
            "100.00    0.250000          10        31         3 total\n")
        self.assertEqual(counts, {"recv": 22, "send": 5, "epoll_wait": 0, "epoll_ctl": 0, "other": 4})

    def test_an_empty_summary_of_system_calls_is_an_error(self):
        with self.assertRaises(ValueError):
            syscalls.parse("")

    def test_calls_within_a_family_count_once(self):
        counts = callgrind.parse(
            "fn=(1) work\n+1 5\ncfn=(2) calloc\ncalls=7 0\n+1 9\ncfn=(3) swift_retain'2\ncalls=4 0\n+1 9\n"
            "fn=(2)\n+1 5\ncfn=(4) malloc\ncalls=7 0\n+1 9\n"
            "fn=(5) _mid_memalign.constprop.0\n+1 5\ncfn=(4)\ncalls=2 0\n+1 9\n"
            "fn=(6) other\n+1 5\ncfn=(4)\ncalls=1 0\n+1 9\ntotals: 1234\n")
        self.assertEqual((counts["malloc"], counts["retain"], counts["release"], counts["instructions"]), (8, 4, 0, 1234))


if __name__ == "__main__":
    unittest.main()
