"""A program that does not end in time is ended, and no thread of ours fails."""

from __future__ import annotations

import os
import sys

import pytest

from hooksync.core.programs import run


def test_a_program_that_is_abandoned_ends_and_its_errors_are_read_no_more() -> None:
    hangs = [sys.executable, "-c", "input('x')"]
    code, output, _ = run(hangs, dict(os.environ), 300, 10)
    assert (code, output) == (1, b"x")
    with pytest.raises(TimeoutError):
        run([sys.executable, "-c", "import time; time.sleep(600)"], dict(os.environ), 0.2, 10)
