"""Tests of file names that look like commands to a terminal or a runner, and of odd files.

An odd file is a pipe, a socket, a device, a folder, a link or a standard stream.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from tests.command_line import Run
from tests.conftest import HOOKS, Place
from tests.lanes import covering, sampled

EVIL = (
    "x\n::set-output name=a::b\n"
    " ::stop-commands::c\r\x1b[2J\u202e\u2066##vso[task.complete]##[error]\x07"
)
OWN = re.compile("::(error|warning) file=[^:]+,line=[0-9]+,col=[0-9]+,title=hooksync::")
COMMANDS = (
    "validate -f EVIL.yaml",  # it is not there
    "validate -f EVIL/good.yaml",
    "validate -f EVIL/wrong.yaml",
    "plan -f EVIL/wrong.yaml --format json",
    "plan -f EVIL/wrong.yaml",
    "validate -f EVIL",  # a folder
    "validate -f .",
    "plan --all -f EVIL/good.yaml",
    "plan --format markdown -f EVIL/good.yaml",
    "plan --format json -f EVIL/good.yaml",
    "plan --out EVIL.json",
    "plan --out none/EVIL",  # it cannot be written
    "apply --yes --report none/EVIL",
    "apply EVIL",  # a saved plan
    "state show --state EVIL",
    "plan --state EVIL.json",
    "plan --state git:EVIL",
    "plan --state EVIL://x",
    "plan --policy EVIL",
    "init EVIL.new",
    "plan --tenancy EVIL",
    "state move EVIL prod/x/MOVED",
    "plan --EVIL",
    "plan --format EVIL",
    "EVIL",
    "check -f EVIL/secrets.yaml",
)


def assert_harmless(run: Run) -> None:
    for stream in (run.out, run.err):
        # messages escape the line breaks of EVIL, so no line can begin with its `::`
        assert "\\x3a:" not in stream
        for line in stream.split("\n"):
            assert line.isprintable(), line
            assert "##vso[" not in line
            assert "##[" not in line
            assert not line.strip().startswith("::") or OWN.match(line), line


@pytest.mark.parametrize("command", sampled(COMMANDS, 8, 2))
def test_no_file_name_and_no_argument_acts_as_a_command_to_a_terminal_or_a_runner(
    command: str, place: Place
) -> None:
    folder = place.folder / EVIL
    folder.mkdir()
    (folder / "good.yaml").write_text(HOOKS)
    (folder / "wrong.yaml").write_text(HOOKS.replace("INDEXED", "INDEXD"))
    odd = json.dumps(f"{EVIL}.secret", ensure_ascii=True)
    (folder / "secrets.yaml").write_text(
        HOOKS.replace("{env: CATALOGUE_SECRET}", f"{{file: {odd}}}")
    )
    run = place.run(*(word.replace("EVIL", EVIL) for word in command.split()))
    assert run.out + run.err
    assert_harmless(run)
    if "--format json" in command:
        assert run.json  # the output is valid JSON


# --- paths that are not files


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: tuple[Callable[[Path], None], ...] = (make_pipe, make_device, make_loop, Path.mkdir)
READ = {
    "hooks file": (["validate", "-f", "odd"], "odd cannot be read"),
    "saved plan": (["apply", "odd"], "the plan odd cannot be read"),
    "state": (["plan", "--state", "odd"], "the state cannot be used: odd is "),
    "state to push": (
        ["state", "push", "odd", "--state", "other"],
        "the state odd cannot be read",
    ),
    "policy": (["plan", "--policy", "odd"], "the policy odd cannot be read"),
    "env file": (["plan", "--env-file", "odd"], "the env file odd cannot be read"),
    "credentials": (["plan", "--credentials", "odd"], "the credentials file odd cannot be read"),
    "event": (["verify", "odd"], "the event odd cannot be read"),
    "secret": (["check", "-f", "secret.yaml"], "secret file:odd "),
}
WRONG = [
    (kind, what) for kind in KINDS for what in READ if (kind, what) != (Path.mkdir, "hooks file")
]


@pytest.mark.parametrize(("kind", "what"), covering(WRONG, every=4))
def test_an_input_path_that_is_not_a_file_is_an_error_and_does_not_block_the_run(
    kind: Callable[[Path], None], what: str, place: Place
) -> None:
    place.write(HOOKS.replace("{env: CATALOGUE_SECRET}", "{file: odd}"), "secret.yaml")
    arguments, said = READ[what]
    kind(place.folder / "odd")
    run = place.run(*arguments)
    assert run.code == 1
    assert said in run.out + run.err
    assert run.err.count("error: ") <= 1


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


WRITTEN = {  # commands that write the file `odd`, and their exit codes
    "plan --out odd": 1,
    "apply --yes --report odd": 4,
    "plan --metrics odd": 0,
    "apply --yes --state other --metrics odd": 0,
    "init --file odd": 1,
}


@pytest.mark.parametrize(
    ("command", "kind"), covering(product(WRITTEN, (make_pipe, make_socket, Path.mkdir)))
)
def test_an_output_path_that_is_not_a_file_is_an_error_and_does_not_block_the_run(
    command: str, kind: Callable[[Path], None], place: Place
) -> None:
    kind(place.folder / "odd")
    before = (place.folder / "odd").lstat()
    run = place.run(*command.split())
    assert run.code == WRITTEN[command]
    assert "odd cannot be written: " in run.err or "odd exists already" in run.err
    assert (place.folder / "odd").lstat().st_ino == before.st_ino


def test_no_device_is_read_or_written(place: Place) -> None:
    for arguments in (["validate", "-f"], ["plan", "--env-file"], ["apply"], ["plan", "--out"]):
        run = place.run(*arguments, "/dev/zero")
        assert run.code == 1
        assert "/dev/zero cannot be " in run.err
        assert "it is not a regular file" in run.err


@pytest.mark.parametrize("flag", ["plan --out", "plan --metrics", "apply --yes --report"])
def test_a_symbolic_link_in_the_place_of_an_output_is_replaced_and_never_followed(
    flag: str, place: Place
) -> None:
    (place.folder / "precious").write_text("old")
    (place.folder / "written.json").symlink_to("precious")
    assert place.run(*flag.split(), "written.json").code == 0
    assert (place.folder / "precious").read_text() == "old"
    assert not (place.folder / "written.json").is_symlink()
    assert "hooksync" in (place.folder / "written.json").read_text()


def test_no_other_user_can_hold_the_lock_of_a_local_state(place: Place) -> None:
    before = os.umask(0)
    try:
        assert place.run("apply", "--yes").code == 0
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in place.folder.iterdir()}
    assert {name: mode for name, mode in modes.items() if "state" in name} == {
        "hooks.state.json": 0o600,
        "hooks.state.json.lock": 0o600,
    }
