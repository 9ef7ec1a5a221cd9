"""Starts `vedette run` again and again in processes of their own: `python -m tests.chaos.spawner CONFIG`.

What takes seconds (imports, compiled kernels) is done once; each service is a fork of that and can be killed like any
other process. Before it runs the command, it is given `hooks`: places at which it dies, and a disk and a clock that go
wrong when told. Lines on standard input: "start" answers with a process id, "wait" with how that process ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from adapters import kernelcache, log


def main(config: Path) -> None:
    """Obey until the input ends, then take the service along."""
    kernelcache.prepare()
    log.prepare_numerics()
    from adapters import warm
    from adapters.running import live

    assert live.__name__ == "adapters.running.live"  # imported for the forks
    warm.warm(lambda _line: None)
    child = 0
    for line in sys.stdin:
        if line.strip() == "start":
            child = os.fork()
            if child == 0:
                _serve(config)
            print(child, flush=True)
        else:
            _, status = os.waitpid(child, 0)
            child = 0
            print(os.waitstatus_to_exitcode(status), flush=True)
    if child:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _serve(config: Path) -> None:
    """In the fork: the command as a user gives it. Never returns."""
    code = 1
    try:
        out = os.open(config / "run.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        from tests.chaos import hooks

        hooks.install(config / "hooks.sock")
        from adapters import cli

        sys.argv = ["vedette", "run", "--config", str(config)]
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
