"""The command `hooksync demo`: a tour on a local tenancy, with the real commands.

This module prints nothing itself, connects only to 127.0.0.1, and leaves nothing behind.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hooksync.sandbox.faults import SandboxError
from hooksync.sandbox.receiver import ReceiverServer
from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import PASSWORD, TENANT, USERNAME

_HOOKS = """\
version: 1
tenancies:
  demo:
    server: ${{SANDBOX}}                 # yours: e.g. eu.preservica.com
    tenant: DEMO
    subscriptions:
      catalogue:
        url: {receivers}/catalogue
        triggers: [INDEXED, MOVED]
        secret: {{env: HOOK_SECRET}}
      alerts:
        url: {receivers}/alerts
        triggers: [INGEST_FAILED]
        secret: {{env: HOOK_SECRET}}
"""
_THE_FILE = """
A tour of hooksync, with a tenancy that exists on this machine only, and only
as long as the tour takes. You need to set up nothing, and nothing of yours is
touched.

1. The file, hooks.yaml

It declares which subscriptions a tenancy should have: the receiver that
Preservica calls (url), the triggers for which it is called, and where to find
the secret that the two share. The secret itself is never in the file.
"""
_PLAN = """
2. Plan

`plan` compares what is declared with what is live in the tenancy, and shows
the difference; it changes nothing. A plus will be subscribed. The dot is left
alone: hooksync did not make it, and the file does not ask for its removal."""
_APPLY = """
3. Apply

`apply` shows the plan, prompts, carries it out, and verifies the result. Here,
nobody can answer, so it is run with --yes. Preservica challenges each
receiver first: a receiver with a different secret cannot be subscribed."""
_AGAIN = """
Now all is as declared, so there is nothing to do, however often it runs:"""
_DRIFT = """
4. Drift

Somebody has just removed one subscription by hand. You have deleted `alerts`
from the file. With --detailed-exitcode, `plan` ends with exit code 2 when there
are changes, so that a nightly job can raise an alarm."""
_REPAIR = """
`apply` brings back what is missing, and unsubscribes what it has made and the
file does not declare any more (the minus)."""
_END = """
Nothing is left behind: the tenancy, its receivers and the folder are gone.

To go on:
    docs/quick-start.md  the guide, up to a tenancy of your own
    hooksync sandbox     a local tenancy to try your own file on
    hooksync --help      the commands"""
_INDENT = "    "  # before commands and their output, to tell them from the tour's own words


def run_demo(announce: Callable[[str], None]) -> None:
    """Give the tour. `announce` shows lines; if it raises an exception, the tour ends.

    Raises SandboxError if a command fails.
    """
    secret = secrets.token_hex(32)
    with (
        TemporaryDirectory(prefix="hooksync-demo-") as folder,
        Sandbox() as box,
        ReceiverServer({"catalogue": [secret], "alerts": [secret]}) as receiver,
    ):
        environ = _clean_environ() | {
            "SANDBOX": box.url,
            "PRESERVICA_USERNAME": USERNAME,
            "PRESERVICA_PASSWORD": PASSWORD,
            "HOOK_SECRET": secret,
        }
        text = _HOOKS.format(receivers=f"http://127.0.0.1:{receiver.port}")
        run = partial(_run, announce, folder, environ)
        box.seed(TENANT, "https://vendor.example/hook", "MOVED", secrets.token_hex(32))
        hooks = Path(folder, "hooks.yaml")
        hooks.write_text(text, encoding="utf-8")
        announce(_THE_FILE)
        announce(textwrap.indent(text, _INDENT))
        run("validate")
        announce(_PLAN)
        run("plan")
        announce(_APPLY)
        run("apply --yes")
        announce(_AGAIN)
        run("plan")
        for live in box.subscriptions(TENANT):
            if live.trigger == "FULL_TEXT_INDEXED":
                box.remove(TENANT, live.id)
        hooks.write_text(text.partition("      alerts:")[0], encoding="utf-8")
        announce(_DRIFT)
        run("plan --detailed-exitcode", 2)
        announce(_REPAIR)
        run("apply --yes")
    announce(_END)


def _run(
    announce: Callable[[str], None],
    folder: str,
    environ: Mapping[str, str],
    command: str,
    code: int = 0,
) -> None:
    """Run a hooksync command in a folder, and show its output.

    `code`: the expected exit code, which is shown if it is not 0. Raises SandboxError if the
    command ends with a different one.
    """
    announce(f"\n{_INDENT}$ hooksync {command}")
    # in a thread: a signal in this one would leave behind a process that is just being started
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(
            subprocess.run,
            [sys.executable, "-m", "hooksync", *command.split()],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        done = running.result()
    announce(textwrap.indent(done.stdout.rstrip(), _INDENT))
    if done.returncode != code:
        raise SandboxError(f"`hooksync {command}` ended with exit code {done.returncode}")
    if code:
        announce(f"{_INDENT}(exit code {code})")


def _clean_environ() -> dict[str, str]:
    """Return the environment for commands, without the user's tenancies and proxies."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    return kept | {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": path}
