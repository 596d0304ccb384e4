"""What GitHub Actions is told, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.cli.terminal import annotation
from hooksync.core.errors import Problem
from hooksync.core.model import Location
from hooksync.core.redaction import printable
from tests.command_line import Run, hooksync

IN_ACTIONS = {"GITHUB_ACTIONS": "true"}
WRONG = """\
version: 1
tenancies:
  archive:
    server: eu.preservica.com
    subscriptions:
      catalogue: {url: "https://fn.example.net/hook", trigger: INDEXD, secret: {env: HOOK_SECRET}}
"""
DOUBTFUL = WRONG.replace("INDEXD", "INDEXED").replace("https:", "http:")


def run(folder: Path, text: str, environ: dict[str, str], *arguments: str) -> Run:
    (folder / "hooks.yaml").write_text(text)
    return hooksync([*arguments], environ, folder)


def commands(done: Run) -> list[str]:
    return [line for line in done.err.splitlines() if line.startswith("::")]


def read(command: str) -> tuple[str, dict[str, str], str]:
    """Read a command as the runner does: the first two pairs of colons, then commas, then the
    escapes.
    """
    _, head, data = command.split("::", 2)
    name, _, properties = head.partition(" ")
    pairs = dict(each.split("=", 1) for each in properties.split(","))
    return (
        name,
        {key: plain(value, property_too=True) for key, value in pairs.items()},
        plain(data, property_too=False),
    )


def plain(text: str, *, property_too: bool) -> str:
    escapes = {
        "%0D": "\r",
        "%0A": "\n",
        **({"%3A": ":", "%2C": ","} if property_too else {}),
        "%25": "%",
    }
    for escape, character in escapes.items():
        text = text.replace(escape, character)
    return text


def test_an_annotation_to_the_letter() -> None:
    problem = Problem("100% wrong, a:b", "fix it", Location("a,b:c%.yaml", 12, 14))
    assert (
        annotation("error", problem)
        == "::error file=a%2Cb%3Ac%25.yaml,line=12,col=14,title=hooksync::100%25 wrong, a:b%0Afix:"
        " fix it"
    )


@pytest.mark.parametrize("where", [None, Location("<stdin>", 1, 1)])
def test_what_is_in_no_file_of_the_repository_is_not_annotated(where: Location | None) -> None:
    assert annotation("error", Problem("wrong", "fix it", where)) is None


@given(st.text(), st.text())
def test_whatever_a_problem_holds_it_stays_one_command(what: str, file: str) -> None:
    line = annotation("warning", Problem(what, "fix it", Location(f"x{file}", 3, 4)))
    assert line is not None
    assert line.isprintable()
    name, properties, data = read(line)
    assert (name, set(properties)) == ("warning", {"file", "line", "col", "title"})
    assert (properties["line"], properties["title"]) == ("3", "hooksync")
    if printable(what) == what:
        assert data.startswith(what)


@pytest.mark.parametrize("verb", [["validate"], ["plan"], ["apply", "--yes"]])
def test_problems_of_the_file_are_annotated_in_actions(verb: list[str], tmp_path: Path) -> None:
    done = run(tmp_path, WRONG, IN_ACTIONS, *verb)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("hooks.yaml:6:")
    [command] = commands(done)
    name, properties, data = read(command)
    assert name == "error"
    assert (properties["file"], properties["line"]) == ("hooks.yaml", "6")
    assert data.startswith('unknown trigger "INDEXD"')


def test_elsewhere_nothing_is_annotated(tmp_path: Path) -> None:
    assert commands(run(tmp_path, WRONG, {}, "validate")) == []


def test_a_warning_is_annotated_as_one_and_the_result_stays_clean(tmp_path: Path) -> None:
    done = run(tmp_path, DOUBTFUL, IN_ACTIONS, "validate")
    assert done.code == 0, done.err
    assert done.out == "hooks.yaml: valid: 1 tenancy, 1 subscription.\n"
    [command] = commands(done)
    assert command.startswith("::warning file=hooks.yaml,line=6,")


def test_a_file_is_named_from_where_the_repository_starts(tmp_path: Path) -> None:
    inner = tmp_path / "archive"
    inner.mkdir()
    [command] = commands(
        run(inner, WRONG, {**IN_ACTIONS, "GITHUB_WORKSPACE": str(tmp_path)}, "validate")
    )
    assert command.startswith("::error file=archive/hooks.yaml,")


def test_a_secret_of_the_environment_is_in_no_annotation(tmp_path: Path) -> None:
    text = WRONG.replace("INDEXD", "INDEXED").replace(
        "fn.example.net/hook", "fn.example.net:${KEY}/hook"
    )
    done = run(
        tmp_path, text, {**IN_ACTIONS, "KEY": "not-a-port-but-a-key", "HOOK_SECRET": "x"}, "plan"
    )
    assert done.code != 0
    assert "not-a-port" not in done.err + done.out
