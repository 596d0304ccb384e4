"""Tests of the structure: the modules that may write files or reveal secrets, and the limits of size.

import-linter checks the layers, and ruff which modules may import each library (pyproject.toml).
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache

import pytest

from tests.command_line import ROOT
from tests.project.size import LIMITS, TESTS_LIMIT, measure

PACKAGE = ROOT / "hooksync"

ALWAYS_THERE = {"__future__"} | sys.stdlib_module_names
# what opens, writes or moves a file, writes to a stream, or starts a log
DOORS = re.compile(
    r"(?<![\w.])(?:print|open|breakpoint)(?=\()"
    r"|(?<=\.)(?:write_text|write_bytes|touch|symlink_to|hardlink_to)(?=\()"
    r"|\bos\.(?:p?writev?|sendfile|replace|rename|link|symlink|truncate|f?d?open)(?=\()"
    r"|\btempfile\.\w+|\bimport (?:logging|faulthandler|syslog)|\bsys\.\w*std(?:out|err)\w*"
    r"|\bfrom (?:os|tempfile) import"
)
# All other modules write through core.output. The modules here, apart from core.output, write only
# words of hooksync, or data that they made up.
WRITING = {
    "cli.local": {"from tempfile import"},  # the hooks file of the sandbox, in a folder of its own
    # missing streams, --version before anything is loaded, the last resort
    "cli.main": {"sys.stdout", "sys.stderr", "os.open", "os.fdopen", "print"},
    "cli.run": {"sys.stdout", "sys.stderr"},
    # the notice of a signal's handler, which may take no lock
    "cli.terminal": {"sys.stdout", "sys.stderr", "os.write"},
    "core.output": {"sys.stdout", "sys.stderr", "os.open", "os.replace", "open"},
    # it runs in servers of users: the file of their events, and their log
    "receiver": {"from tempfile import", "import logging"},
    # the hooks file of the tour, in a folder of its own
    "sandbox.demo": {"from tempfile import", "write_text"},
    # these only read
    "core.reading": {"open", "os.open"},
    "commands.init": {"open"},
    "core.schema": {"open"},
    "render.html": {"open"},
}
REVEALING = {  # the modules that may read the value of a secret
    "service.client",
    "commands.notice",
    "service.challenges",
    "state.fingerprints",
}


@cache
def modules() -> dict[str, ast.Module]:
    """Parse every module, by its name below hooksync: "" is the package, "sandbox.server" a module."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(module: str) -> set[str]:
    """Return all modules that a module imports from, also inside functions and for types."""
    found = set()
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            found.add(node.module or "")
    return found


def foreign_imports(module: str) -> set[str]:
    """Return the libraries that a module imports, and that are not part of Python."""
    return {name.split(".")[0] for name in imports(module)} - ALWAYS_THERE - {"hooksync"}


def test_only_the_modules_in_the_table_write_to_streams_and_files() -> None:
    found = {name: set(DOORS.findall(ast.unparse(tree))) for name, tree in modules().items()}
    assert {name: doors for name, doors in found.items() if doors} == WRITING


def test_only_the_modules_in_the_table_reveal_a_secret() -> None:
    revealing = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "reveal"
    }
    assert revealing == REVEALING


def test_the_public_receiver_can_be_copied_because_it_imports_only_modules_of_python() -> None:
    assert {name.split(".")[0] for name in imports("receiver")} <= ALWAYS_THERE


def test_the_page_on_the_architecture_names_only_modules_and_functions_that_exist() -> None:
    page = (ROOT / "docs" / "internals" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+/[a-z_]+\.py)(?::([\w.]+))?`", page)
    assert len(named) > 40
    for path, name in named:
        text = (PACKAGE / path).read_text(encoding="utf-8")
        for part in filter(None, name.split(".")):
            assert re.search(rf"^ *(?:async def|def|class) {part}\b", text, re.MULTILINE), part


def test_the_tests_are_no_larger_than_their_limit() -> None:
    assert measure(ROOT / "tests").nodes <= TESTS_LIMIT


def test_the_package_is_no_larger_and_no_denser_than_its_limits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    size = measure(PACKAGE)
    with capsys.disabled():
        sys.stdout.write(f"\n{size}\n")
    figures = size.figures()
    assert figures.keys() == LIMITS.keys()
    assert {name: figure for name, figure in figures.items() if figure > LIMITS[name]} == {}
