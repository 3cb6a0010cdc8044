"""Writes documents as block-style YAML, every string value quoted."""

import json
import re

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")


def documents(items):
    """Several documents in one text."""
    return "".join("---\n" + _mapping(item, 0) for item in items)


def _mapping(mapping, depth):
    return "".join(" " * depth + _entry(_key(key), value, depth) for key, value in mapping.items())


def _key(key):
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key)


def _sequence(items, depth):
    text = ""
    for item in items:
        if isinstance(item, dict) and item:
            text += " " * depth + "- " + _mapping(item, depth + 2)[depth + 2:]
        else:
            text += " " * depth + f"- {json.dumps(item)}\n"
    return text


def _entry(key, value, depth):
    if isinstance(value, dict) and value:
        return f"{key}:\n" + _mapping(value, depth + 2)
    if isinstance(value, (list, tuple)) and value:
        return f"{key}:\n" + _sequence(value, depth + 2)
    return f"{key}: {json.dumps(value)}\n"
