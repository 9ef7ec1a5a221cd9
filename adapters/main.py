"""Entry point of the `vedette` command: the plain stream at once, everything else by the command line.

`vedette track` has no options and must be small: it is run by the dozen, and the command line alone is 15 MB.
"""

from __future__ import annotations

import os
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
    """Standard input to standard output. Returns the exit status: that of the stream, or 1 where one of them fails."""
    if sys.stdin is None or sys.stdout is None:
        return _failed("standard input or output is closed")
    try:
        lean.install()
        from adapters import stream

        status = stream.run(sys.stdin.buffer, sys.stdout, sys.stderr)
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_stdout()
        return 0  # `| head` has seen enough
    except KeyboardInterrupt:
        _leave_stdout()
        return 130  # as a shell says of a program that Ctrl-C ended
    except OSError as error:
        _leave_stdout()
        return _failed(error.strerror or str(error))
    return status


def _failed(why: str) -> int:
    sys.stderr.write(f"vedette track: {why}\n")
    return 1


def _leave_stdout() -> None:
    """Nobody takes what is still to be written, also while Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
