"""Results are held against targets and limits right."""

import unittest

from harness import limits, targets


def rows(**cpu):
    return {"plain": {name.replace("_", "-"): {"median": {"cpu_us": value}} for name, value in cpu.items()}}


class Verdicts(unittest.TestCase):
    def verdict(self, results, text):
        return next(verdict for verdict in targets.judge(results) if verdict.text.startswith(text))

    def test_the_better_of_two_is_the_reference(self):
        verdict = self.verdict(rows(fairlead=8.0, nginx=20.0, haproxy=10.0), "plain: CPU / the better")
        self.assertEqual((verdict.figure, verdict.met), (0.8, True))

    def test_a_missing_opponent_leaves_the_target_unmeasured(self):
        self.assertIsNone(self.verdict(rows(fairlead=8.0, nginx=20.0), "plain: CPU / the better").met)

    def test_a_missed_target_is_told(self):
        self.assertIs(self.verdict(rows(fairlead=8.0, envoy_lua=16.0), "plain: CPU / Envoy with the pattern").met, False)

    def test_only_counts_above_their_limit_are_exceeded(self):
        self.assertEqual(limits.exceeded({"recv": 2.05, "send": 2.05}, {"recv": 2.05, "send": 2.06, "more": 9}), ["send"])


if __name__ == "__main__":
    unittest.main()
