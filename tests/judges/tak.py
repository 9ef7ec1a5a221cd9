"""A TAK client of others: pytak takes events off a server, taky's own model reads them. Runs in an environment apart.

python tak.py URL COUNT SECONDS    one JSON object an event on standard output, at most COUNT, for SECONDS without one
"""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import sys
from typing import Any

import pytak
from lxml import etree
from taky.cot.models import Event


def read(data: bytes) -> dict[str, Any]:
    """What taky's model and lxml find in an event."""
    root = etree.fromstring(data)
    event = Event.from_elm(root)
    point = event.point
    detail = root.find("detail")
    children = [] if detail is None else list(detail)
    return {
        "uid": event.uid,
        "type": event.etype,
        "how": event.how,
        "time": event.time.isoformat(),
        "stale_s": (event.stale - event.time).total_seconds(),
        "point": [point.lat, point.lon, point.hae, point.ce, point.le],
        "detail": {child.tag: {**child.attrib, "text": child.text or ""} for child in children},
    }


async def main(url: str, count: int, patience_s: float) -> None:
    """Read and print."""
    settings = configparser.ConfigParser()
    settings["judge"] = {
        "COT_URL": url,
        **{name: said for name, said in os.environ.items() if name.startswith("PYTAK_")},
    }
    reader, writer = await pytak.protocol_factory(settings["judge"])
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    worker = asyncio.create_task(pytak.RXWorker(queue, settings["judge"], reader).run())
    print("listening", flush=True)
    try:
        for _ in range(count):
            async with asyncio.timeout(patience_s):
                print(json.dumps(read(await queue.get())), flush=True)
    except TimeoutError:
        pass
    worker.cancel()
    writer.close()  # held until here: a writer that nobody holds closes the connection


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
