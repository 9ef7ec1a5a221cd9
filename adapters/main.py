"""Entry point of the `vedette` command: the plain stream at once, everything else by the command line.

`vedette track` has no options and must be small: it is run by the dozen, and the command line alone is 15 MB.
"""

from __future__ import annotations

import sys

from adapters import kernelcache, lean


def main() -> None:
    """Run what the arguments ask for."""
    if sys.argv[1:] == ["track"]:
        kernelcache.prepare()
        sys.exit(track())
    from adapters import cli

    cli.main()


def track() -> int:
    """Standard input to standard output. Returns the exit status."""
    lean.install()
    from adapters import stream

    return stream.run(sys.stdin.buffer, sys.stdout, sys.stderr)


if __name__ == "__main__":
    main()
