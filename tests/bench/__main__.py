"""`make bench`: every benchmark in turn, each in a process of its own. Status 1 when one fails or there is none."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Names of benchmarks on the command line pick some, such as `make bench ARGS=filter`."""
    folder = Path(__file__).resolve().parent
    names = [path.stem for path in sorted(folder.glob("bench_*.py"))]
    wanted = [name for name in names if not sys.argv[1:] or name.removeprefix("bench_") in sys.argv[1:]]
    if not wanted:
        print(f"no such benchmark; there are: {', '.join(name.removeprefix('bench_') for name in names)}")
        return 1
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}; load before {load:.1f}")
    failed = 0
    for name in wanted:
        print(f"\n{name.removeprefix('bench_')}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
