"""A decoder of others reads ASTERIX (asterix-decoder, GPL): a process in an environment apart.

python decoder.py    a line of hexadecimal digits on standard input, the records that it finds in them as one JSON line
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any


def values(item: Any) -> Any:
    """What an item says, without the words that describe it."""
    if isinstance(item, dict):
        return item["val"] if "val" in item else {name: values(part) for name, part in item.items()}
    if isinstance(item, list):
        return [values(part) for part in item]
    return item


if __name__ == "__main__":
    asterix: Any = import_module("asterix")  # not the package of that name that the tests themselves use
    for line in sys.stdin:
        found = asterix.parse(bytes.fromhex(line), verbose=False)
        print(json.dumps([{name: values(item) for name, item in one.items()} for one in found]), flush=True)
