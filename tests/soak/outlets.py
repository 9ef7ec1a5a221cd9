"""Campaigns of what leaves to systems of others."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total

EVENTS_PER_S, SECONDS = 2_000, 20


def told(key: str) -> Counts:
    """2,000 tracks that change every second, through a TAK server to a TAK client, which must read all that was sent.

    Where the machine is too busy for that many, a track's newest state leaves instead of two: the rate is judged apart.
    """
    from adapters.formats import cot
    from adapters.outlets.cot import CotOutlet, Stream
    from adapters.samples import NAMES
    from tests.tak import Reader, Taky
    from tests.test_outlets_cot import hear, listener
    from tests.test_outlets_held import track_payload

    speed_mps, to, first_us = 20.0 + int(key), listener(), time.time_ns() // 1000

    async def drink(reader: Reader) -> None:
        """Read on while we send: a client that stops reading is no measure of who delivers to it."""
        while True:
            await asyncio.to_thread(reader.next)

    async def play(reader: Reader, port: int) -> tuple[int, float]:
        out = CotOutlet(Stream("127.0.0.1", port), 0.1)
        sending = asyncio.create_task(out.serve(to))
        reading = asyncio.create_task(drink(reader))
        loop = asyncio.get_running_loop()
        start_s, cpu_s = loop.time(), time.process_time()
        for step in range(SECONDS):
            payload = track_payload(1, first_us + step * 1_000_000, speed_mps)
            for part in range(10):
                for counter in range(part * 200, part * 200 + 200):
                    hear(to, f"track/5:{counter}", payload.replace(b'"5:1"', b'"5:%d"' % counter))
                await asyncio.sleep(max(0.0, start_s + step + (part + 1) / 10.0 - loop.time()))
        async with asyncio.timeout(600.0):
            while len(reader.seen) < out.sent or out.sent == 0:
                assert not reading.done(), reading.exception()
                await asyncio.sleep(0.5)
        cpu_s = time.process_time() - cpu_s
        reader.stop()  # else the thread that reads would wait for its patience to end
        for task in (sending, reading):
            task.cancel()
        await asyncio.gather(sending, reading, return_exceptions=True)
        assert out.connects == 1, "the server was lost on the way"
        return out.sent, cpu_s

    with (
        tempfile.TemporaryDirectory() as folder,
        Taky(Path(folder)) as taky,
        Reader(f"tcp://127.0.0.1:{taky.port}", 10 * EVENTS_PER_S * SECONDS, 120.0) as reader,
    ):
        sent, cpu_s = asyncio.run(play(reader, taky.port))
    last = {event["uid"]: event["time"] for event in reader.seen}
    assert len({(event["uid"], event["time"]) for event in reader.seen}) == sent
    assert list(last) == [cot.track_uid(NAMES.site, f"5:{counter}") for counter in range(EVENTS_PER_S)]
    assert len({*last.values()}) == 1, "every track was seen as it was last"
    return {"tak_events": sent, "tak_s": SECONDS, "tak_cpu_s": cpu_s}


def judge(found: Sequence[Counts]) -> list[Verdict]:
    """All of them arrived, at that rate; and what it cost us."""
    events, cpu_s = total(found, "tak_events"), total(found, "tak_cpu_s")
    per_s = events / total(found, "tak_s")
    return [
        Verdict(
            per_s >= 0.95 * EVENTS_PER_S,
            f"{events:g} events, {per_s:.0f} a second, through a taky server at a pytak client, every one that was "
            f"sent; {1e6 * cpu_s / events:.0f} µs of CPU for each, hearing it and reading it back included",
        )
    ]


CAMPAIGNS = (Campaign("tak", "2,000 events a second to TAK, every one delivered.", seeds(10), told, judge),)
