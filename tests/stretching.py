"""Stretches the same secret under the same salt once in a process: scrypt is a pure function, meant to cost 0.1 s.

To be imported by whatever runs many commands in one process.
"""

from __future__ import annotations

import functools
import hashlib

hashlib.scrypt = functools.lru_cache(maxsize=4096)(hashlib.scrypt)  # type: ignore[assignment]
