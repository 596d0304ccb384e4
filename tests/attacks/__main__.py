"""Play all attacks, the nightly ones included. `python -m tests.attacks` exits with 1 if an attack
gets through.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-m", "", *sys.argv[1:], str(Path(__file__).parent)]))
