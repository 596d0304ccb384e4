"""Runs a command and prints its time and memory as JSON: `python launch.py COMMAND ARGUMENT...`.

This process is small, because a new process begins with the memory of the one that starts it.
"""

import json
import subprocess
import sys
import time

LONGEST = 300.0  # seconds that a command may take
TO_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def main() -> int:
    """Run the command, and return its exit code."""
    import resource  # only POSIX has it

    start = time.monotonic()
    code = subprocess.call(
        sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=LONGEST
    )
    wall = time.monotonic() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = usage.ru_maxrss * TO_BYTES / 1024**2
    json.dump({"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "peak": peak}, sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
