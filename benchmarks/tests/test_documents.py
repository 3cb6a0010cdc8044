"""What is generated says what it should."""

import unittest

from harness import site, workload, yamltext


class Documents(unittest.TestCase):
    def test_documents_are_block_style_yaml(self):
        text = yamltext.documents([{"kind": "A", "x-y": [{"n": 1, "@type": "t"}, "s"], "none": {}, "sub": {"on": True}}])
        self.assertEqual(text, '---\nkind: "A"\nx-y:\n  - n: 1\n    "@type": "t"\n  - "s"\nnone: {}\nsub:\n  on: true\n')

    def test_live_lanes_are_as_many_in_every_row_and_spread_evenly(self):
        for count in (10, 50, 1000):
            live = site.live(site.lanes(count))
            self.assertEqual(len(set(live)), 10)
            middle = sum(int(lane.name[-4:]) for lane in live) / 10
            self.assertAlmostEqual(middle, (count - 1) / 2, delta=1)

    def test_no_lane_name_is_part_of_another(self):
        names = [lane.name for lane in site.lanes(1000)]
        self.assertEqual(len({len(name) for name in names}), 1)
        self.assertEqual(len({lane.address for lane in site.lanes(1000)}), 1000)

    def test_requests_look_like_a_browsers(self):
        lane = site.lanes(1)[0]
        for name in ("plain", "lane", "promote"):
            self.assertTrue(380 <= len(workload.request(workload.by_name(name), lane)) <= 480)


if __name__ == "__main__":
    unittest.main()
