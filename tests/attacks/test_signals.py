"""Signals that arrive while a peer holds up a run. The run ends soon, with the right exit code, and
shows no secret.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from itertools import product
from pathlib import Path

import pytest

from hooksync.core.errors import ExitCode
from tests.attacks.peers import (
    DECLARED,
    NOT_DECLARED,
    RECEIVER,
    UNPROBED,
    service,
)
from tests.attacks.scene import CALLS, leaks, steers
from tests.conftest import make_environ
from tests.lanes import covering
from tests.measured import HOOKSYNC, finish, start
from tests.wire import Wire

CODES = {
    "SIGINT": ExitCode.INTERRUPTED,
    "SIGTERM": ExitCode.TERMINATED,
    "SIGHUP": ExitCode.TERMINATED,
}
APPLY = ("apply", "--yes", "--format", "json", "-v")
COMMANDS = {"unsubscribe": ("remove", NOT_DECLARED["id"], "--yes", "--format", "json", "-v")}


@pytest.mark.parametrize(
    ("call", "name", "times"), covering(product(CALLS, CODES, (1, 2)), every=4)
)
def test_a_signal_ends_a_run_that_a_silent_peer_holds_up(
    call: str, name: str, times: int, tmp_path: Path
) -> None:
    is_held = threading.Event()

    def hold(wire: Wire, _: socket.socket, __: bytes) -> None:
        is_held.set()
        wire.stopping.wait()

    live = [DECLARED, NOT_DECLARED] if call == "unsubscribe" else []
    with Wire(service(call, hold, live)) as wire:
        (tmp_path / "hooks.yaml").write_text(UNPROBED)
        process = start(
            (*HOOKSYNC, *COMMANDS.get(call, APPLY), "--timeout", "1"),
            make_environ(BOX=wire.url, RECEIVER=RECEIVER),
            tmp_path,
        )
        assert is_held.wait(300)
        for _ in range(times):  # a second signal ends the run at once
            os.killpg(process.pid, getattr(signal, name))
        measured = finish(process, tmp_path)
    codes = [CODES[name]]
    if call in ("subscribe", "unsubscribe"):
        codes.append(ExitCode.PARTLY_APPLIED)
    assert measured.code in codes
    if times == 1:
        document = json.loads(measured.out)
        assert document["exit_code"] == measured.code
        assert len(codes) == 1 or document["format"] == "hooksync.report/1"
    assert leaks(measured.out + measured.err) == steers(measured.out + measured.err) == []
    assert "Traceback" not in measured.err
