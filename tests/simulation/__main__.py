"""`python -m tests.simulation SEED [LAST]`: one seed with all that happened, or which of a row fail."""

from __future__ import annotations

import sys
import time

from adapters import kernelcache, log


def main(arguments: list[str]) -> int:
    """1 when a seed failed."""
    kernelcache.prepare()
    log.prepare_numerics()
    from tests.simulation.world import least, simulate

    first, last = int(arguments[0]), int(arguments[-1])
    bad = 0
    for seed in range(first, last + 1):
        begun_s = time.process_time()
        went = simulate(seed)
        took_s = time.process_time() - begun_s
        bad += bool(went.faults)
        if first == last or went.faults:
            if first == last:
                print("\n".join(went.log))
            least_of = least(seed, went.strikes) if went.faults else went.strikes
            print(f"seed {seed}: {went.passed_s:.1f} s simulated in {took_s:.2f} s; {dict(went.points)}")
            print("\n".join([*(f"  {strike}" for strike in least_of), *(f"  FAULT {fault}" for fault in went.faults)]))
    print(f"{last - first + 1} seeds, {bad} failed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
