"""The command `hooksync sandbox`: what it prints, what it hides, and how it ends.

The tests run it in its own process, as users do.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.boxes import Sandbox
from tests.command_line import ROOT, hooksync


class Child:
    """A running `hooksync sandbox` that has printed all its lines."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.arguments = arguments
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hooksync", "sandbox", *arguments],
            env=os.environ | {"PYTHONWARNINGS": "error"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(". "):
                break

    @property
    def url(self) -> str:
        return self.lines[0].split()[1]

    @property
    def pasted(self) -> str:
        """Return the printed lines that a user pastes into a second terminal."""
        return "\n".join(self.lines[-2:])

    @property
    def exports(self) -> Path:
        """Return the path of the file with the variables for a second terminal."""
        return Path(shlex.split(self.lines[-1])[1])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, and return the exit code and the standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate()
        return self.process.returncode, errors


Launch = Callable[..., Child]


@pytest.fixture
def launch(stack: ExitStack) -> Launch:
    def launch(*arguments: str, **environment: str) -> Child:
        child = Child(*arguments, **environment)
        stack.callback(child.process.communicate)
        stack.callback(child.process.kill)
        return child

    return launch


def log_in(url: str, **form: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{url}/api/accesstoken/login", data=form)


def subscribe(url: str, receiver: str, secret: str) -> int:
    """Log in as the default account, subscribe a receiver, and return the status."""
    token = log_in(url, username="archivist@example.org", password="sandbox-password").json()[
        "token"
    ]
    document = {"url": receiver, "triggerType": "MOVED", "secret": secret}
    headers = {"Preservica-Access-Token": token}
    with requests.post(
        f"{url}/api/webhook/subscriptions", json=document, headers=headers
    ) as answer:
        return answer.status_code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_sandbox_with_exit_code_0_and_no_message(
    launch: Launch, number: signal.Signals
) -> None:
    assert launch().stop(number) == (0, "")


def second_terminal(pasted: str, folder: Path, then: str, **environment: str) -> str:
    """Paste lines into a shell, type a command, and return the standard output."""
    typed = f'hooksync() {{ "{sys.executable}" -m hooksync "$@"; }}\n{pasted}\n{then}\n'
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh"],
        input=typed,
        env=kept | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    progress = r"^applying \d+/\d+\n"  # a run of more than five seconds shows progress
    assert re.sub(progress, "", done.stderr, flags=re.MULTILINE) == ""
    return done.stdout


def test_the_printed_lines_let_a_second_terminal_apply_with_secrets_that_only_a_file_has(
    launch: Launch, tmp_path: Path
) -> None:
    secrets = {"HOOK_SECRET": "it's a $SECRET of ours"}
    hooks = tmp_path / "a folder" / "it's.yaml"
    hooks.parent.mkdir()
    child = launch(
        "--receiver", "cat=HOOK_SECRET", "--receiver", "No", "--write-hooks", str(hooks), **secrets
    )
    assert not [value for value in secrets.values() if value in "\n".join(child.lines)]
    assert not [value for value in secrets.values() if value in hooks.read_text()]
    assert "Applied: 4 done" in second_terminal(child.pasted, tmp_path, "hooksync apply --yes")
    modes = {path.stat().st_mode & 0o777 for path in (hooks, child.exports)}
    assert modes == {0o600}


@pytest.mark.parametrize("taken", ["hooks.yaml", "hooks.env"])
def test_write_hooks_does_not_replace_an_existing_file(
    launch: Launch, tmp_path: Path, taken: str
) -> None:
    (tmp_path / taken).write_text("mine\n")
    child = launch("--write-hooks", str(tmp_path / "hooks.yaml"))
    _, errors = child.process.communicate()
    assert (child.process.returncode, errors) == (
        1,
        f"error: {tmp_path}/{taken} exists already, and was left as it is\n"
        "  fix: name a different file\n",
    )
    assert (tmp_path / taken).read_text() == "mine\n"


def test_the_log_shows_each_call_challenge_and_receiver_but_no_secret(launch: Launch) -> None:
    child = launch("--receiver", "cat=HOOK", "--trait", "answer-without-id", HOOK="a-hook-secret")
    receiver = f"{child.lines[1].split()[1]}?code=KEY-OF-A-FUNCTION"
    assert subscribe(child.url, receiver, "a-hook-secret") == 200
    assert subscribe(child.url, receiver, "another-hook-secret") == 400
    assert (
        subscribe(
            child.url, "http://127.0.0.1:1/\u20ac?code=KEY-OF-A-FUNCTION", "another-hook-secret"
        )
        == 400
    )
    code, errors = child.stop()
    assert code == 0
    shown = errors.splitlines()
    masked = f"{receiver.partition('?')[0]}?code=***"
    assert shown[:4] == [
        "call      POST /api/accesstoken/login -> 200",
        "receiver  cat -> challenge",
        f"challenge {masked} -> passed",
        "call      POST /api/webhook/subscriptions -> 200",
    ]
    wrong = "its answer (200) is wrong; it may use a different secret"
    assert shown[6:8] == [
        f"challenge {masked} -> {wrong}",
        "call      POST /api/webhook/subscriptions -> 400",
    ]
    assert not [value for value in ("hook-secret", "KEY-OF", "sandbox-password") if value in errors]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--fault", "cuts@list"], 'error: fault "cuts@list" is not of the form'),
        (
            ["--trait", "nice"],
            "error: argument --trait: invalid choice: 'nice' (choose from ",
        ),
        (
            ["--receiver", "cat="],
            'error: receiver "cat=" is not of the form NAME=ENV\n  fix: write, for example, ',
        ),
        (["--receiver", "a/b=HOOK"], 'error: receiver "a/b=HOOK" is not of the form'),
        (
            ["--receiver", "cat=UNSET"],
            "error: the environment variable UNSET is not set\n  fix: export it first",
        ),
    ],
)
def test_a_wrong_option_is_an_error_with_a_fix_and_exit_code_64(
    tmp_path: Path, arguments: list[str], error: str
) -> None:
    done = hooksync(["sandbox", *arguments], {}, tmp_path)
    assert (done.code, done.out) == (64, "")
    assert done.err.startswith(error)
    assert done.err.count("\n") == 2


def test_a_port_that_is_taken_is_an_error_with_exit_code_1(
    start: Callable[..., Sandbox], tmp_path: Path
) -> None:
    port = start().url.rpartition(":")[2]
    done = hooksync(["sandbox", "--port", port], {}, tmp_path)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"error: cannot listen on 127.0.0.1:{port}: ")
