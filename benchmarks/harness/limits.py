"""The limits of counts per request: what may never rise."""

import json


def load(path):
    """Limits by row and count."""
    return json.loads(path.read_text())


def exceeded(limits, counts):
    """The counts of one row that are above their limit, in the order of the limits."""
    return [key for key, limit in limits.items() if counts[key] > limit]
