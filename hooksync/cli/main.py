"""The entry point: it takes argv and returns an exit code.

It imports nothing that `--version` does not need: the rest takes four times as long as Python's
start. run.py runs the commands.
"""

import gc
import os
import sys

from hooksync import __version__


def main(argv: list[str] | None = None) -> int:
    """Run hooksync and return its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    _open_missing_streams()
    if arguments in (["--version"], ["version"]):
        try:
            print(f"hooksync {__version__}", flush=True)
        except OSError as error:
            sys.stdout = None  # or else Python tries again at exit
            print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr)
            return 1
        return 0
    # the process is short: to collect garbage while it loads its modules and reads a large file
    # takes longer than the loading and the reading
    gc.disable()
    try:
        from hooksync.cli.run import run

        code = run(arguments)
        if argv is None and "obstore" in sys.modules:
            _leave(code)
        return code
    except KeyboardInterrupt:  # before signals are handled
        return 130
    except Exception as error:  # so early that the usual error handling is not loaded
        sys.stderr.write(f"error: internal error: {type(error).__name__}\n")
        return 1


def _leave(code: int) -> None:
    """End the process at once: obstore's threads may abort an interpreter that ends normally."""
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.flush()  # `run` has reported a stream that cannot be written
    os._exit(code)


def _open_missing_streams() -> None:
    """Open closed standard streams on the null device: no connection may get their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # the system gives the lowest free number, which is that of the closed stream
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    # a parent process may leave stdin non-blocking: a read would end in the middle
    os.set_blocking(0, True)
