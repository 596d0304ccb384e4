"""The least work of a plan: import its libraries, parse the YAML into events, and parse the list.
Nothing is compared.

`python -m tests.bench.least HOOKS LIST`.
"""

import gc
import json
import sys
from pathlib import Path

import jsonschema  # noqa: F401  the imports are part of the work
import requests  # noqa: F401
import yaml


def main(hooks: str, live: str) -> None:
    """Read both files, and keep only the list."""
    gc.disable()
    events = sum(1 for _ in yaml.parse(Path(hooks).read_bytes(), Loader=yaml.CSafeLoader))
    held = json.loads(Path(live).read_bytes())
    if not events or not held:
        raise SystemExit("there was nothing to read")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
