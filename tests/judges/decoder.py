"""A decoder of others reads ASTERIX (asterix-decoder, GPL): a process in an environment apart.

python decoder.py            a line of hexadecimal digits on standard input, the records found in them as one JSON line
python decoder.py SECONDS    all lines, again and again for so long: records per CPU-second, as one number
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from typing import Any


def values(item: Any) -> Any:
    """What an item says, without the words that describe it."""
    if isinstance(item, dict):
        return item["val"] if "val" in item else {name: values(part) for name, part in item.items()}
    if isinstance(item, list):
        return [values(part) for part in item]
    return item


def rate(asterix: Any, blocks: list[bytes], least_s: float) -> float:
    """Records per CPU-second."""
    start, records = time.process_time(), 0
    while records == 0 or time.process_time() - start < least_s:
        records += sum(len(asterix.parse(block, verbose=False)) for block in blocks)
    return records / (time.process_time() - start)


def main(decoder: Any) -> None:
    """See the head of the file."""
    if len(sys.argv) > 1:
        print(rate(decoder, [bytes.fromhex(line) for line in sys.stdin], float(sys.argv[1])))
        return
    for line in sys.stdin:
        found = decoder.parse(bytes.fromhex(line), verbose=False)
        print(json.dumps([{name: values(item) for name, item in one.items()} for one in found]), flush=True)


if __name__ == "__main__":
    main(import_module("asterix"))  # not the package of that name that the tests themselves use
