"""A decoder of Remote ID of others (homewatch, MIT): a process in an environment apart.

python remoteid.py    a line of hexadecimal digits of a message or pack on standard input, what it says as a JSON line
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any


def main(decoder: Any) -> None:
    """See the head of the file."""
    for line in sys.stdin:
        print(json.dumps(decoder.parse_pack(bytes.fromhex(line))), flush=True)


if __name__ == "__main__":
    main(import_module("homewatch.remoteid"))
