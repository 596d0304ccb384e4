"""The page on the environment names each variable that hooksync reads, and no other variable."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator

import pytest

from hooksync.cli.commands import make_parser
from tests.command_line import ROOT
from tests.site.parts import DOCS

PAGE = (DOCS / "environment.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
ROWS = re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
DOCUMENTED = {*SECTIONS, *re.findall(r"`(\w+)`", " ".join(ROWS))}
SHAPE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|\w+_proxy")
# constants of this shape that are no variables, or that hooksync only sets for other programs
OTHERS = {
    *(
        "A_TRIGGER_THAT_IS_NEW",
        "CHANGED_SECURITY_DESCRIPTOR",
        "CHANGE_ASSET_VISIBILITY",
        "FULL_TEXT_INDEXED",
    ),
    *("INGEST_FAILED", "SECURITY_CHANGED"),
    *("ROLE_SDB_ADMIN_USER", "ROLE_SDB_CONFIG_MANAGER_USER", "ROLE_SDB_MANAGER_USER"),
    "CERT_REQUIRED",
    *("ALERTS_SECRET", "CATALOGUE_SECRET"),  # of the demo's hooks file
    *("GIT_AUTHOR_EMAIL", "GIT_AUTHOR_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_NAME"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_TERMINAL_PROMPT", "LC_ALL", "PYTHONIOENCODING", "PYTHONPATH"),
    "SSH_ASKPASS_REQUIRE",
    # of a request to a WSGI application
    *("CONTENT_LENGTH", "HTTP_PRESERVICA_SIGNATURE", "HTTP_TRANSFER_ENCODING", "QUERY_STRING"),
    "REQUEST_METHOD",
}


def constants() -> Iterator[str]:
    """Yield each constant that may be the name of a variable: it has the shape of one, or the code
    looks it up in an environment.
    """
    for path in sorted((ROOT / "hooksync").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        is_short = "get = environ.get\n" in text or "get = os.environ.get\n" in text
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Constant(value=str(name)) if SHAPE.fullmatch(name):
                    yield name
                case ast.Call(
                    func=ast.Attribute(value=asked, attr="get"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    if "environ" in ast.unparse(asked):
                        yield name
                case ast.Call(
                    func=ast.Name(id="get"), args=[ast.Constant(value=str(name)), *_]
                ) if is_short:
                    yield name
                case ast.Subscript(
                    value=asked, slice=ast.Constant(value=str(name)), ctx=ast.Load()
                ):
                    if "environ" in ast.unparse(asked):
                        yield name


@pytest.fixture(scope="module")
def read() -> set[str]:
    """Return the variables that hooksync reads, or that are read for it."""
    return {
        *{name.upper() for name in constants()}.difference(OTHERS),
        *("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"),  # obstore reads them
        "PATH",  # the system reads it, to find programs
    }


def test_the_page_names_exactly_the_variables_that_hooksync_reads(read: set[str]) -> None:
    assert sorted(DOCUMENTED) == sorted(read)


def flags(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yield each variable that the help of a flag names, with this flag."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from flags(child)
        elif action.option_strings:
            named = re.findall(r"\b[A-Z0-9]+(?:_[A-Z0-9]+)+\b", action.help or "")
            yield from ((name, action.option_strings[-1]) for name in named)


def test_the_page_names_the_flags_that_replace_a_variable(read: set[str]) -> None:
    # no flag replaces the key: `--out` and `--force` only describe its effect
    replaced = {*flags(make_parser())}
    missing = [
        (variable, flag)
        for variable, flag in sorted(replaced)
        if variable in read - {"HOOKSYNC_PLAN_KEY"} and f"`{flag}`" not in SECTIONS[variable]
    ]
    assert missing == []
