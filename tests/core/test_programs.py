"""How hooksync finds other programs, and how it ends them together with their children."""

from __future__ import annotations

import os
import sys

from hooksync.core.programs import _read_errors, end, start

PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()']).wait()"


def test_a_program_ends_with_its_children() -> None:
    with start([sys.executable, "-c", PARENT], dict(os.environ), talks=True) as process:
        end(process)
        process.communicate()  # a child that lived on would keep the pipes open
    end(process)  # a second call ends nothing and does not fail


def test_a_thread_that_reads_messages_ends_quietly_when_its_stream_is_closed() -> None:
    with start([sys.executable, "-c", ""], dict(os.environ), talks=True) as process:
        process.wait()
    assert process.stderr
    assert process.stderr.closed
    _read_errors(process, bytearray())
