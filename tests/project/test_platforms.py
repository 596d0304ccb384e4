"""Other systems: no name that only POSIX has is used unguarded, and the tests can be collected on Windows, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
import yaml

from tests.command_line import ROOT
from tests.posix import GUARDS, MODULES, NAMES_OF, NOT_ON_WINDOWS

OF_CAMPAIGNS = ("tests/fuzz/child.py",)  # that run on POSIX alone


def posix_only(node: ast.AST, *, runs_later: bool = True) -> Iterator[str]:
    """Find what only POSIX has, but where a condition around it asks for the system. `runs_later`: functions, too."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if any(
            guard in ast.unparse(test) for guard in (*GUARDS, "TYPE_CHECKING")
        ):
            return
        case ast.Attribute(value=ast.Name(id=module), attr=name) if name in NAMES_OF.get(module, ()):
            yield f"{module}.{name}"
        case ast.Import(names=names):
            yield from (alias.name for alias in names if alias.name in MODULES)
        case ast.ImportFrom(module=str(module), names=names):
            yield from (module for _ in names if module in MODULES)
            yield from (f"{module}.{alias.name}" for alias in names if alias.name in NAMES_OF.get(module, ()))
        case ast.keyword(arg="preexec_fn" | "pass_fds" as name):
            yield name
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for field, value in ast.iter_fields(node):
        if not (is_function and field == "body" and not runs_later):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from posix_only(child, runs_later=runs_later)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("os.fork()", ["os.fork"]),
        ("import fcntl", ["fcntl"]),
        ("from os import killpg", ["os.killpg"]),
        ("flags = os.O_RDONLY | os.O_NOFOLLOW", ["os.O_NOFOLLOW"]),
        ("Popen(command, preexec_fn=f)", ["preexec_fn"]),
        ("while not select.select([sys.stdin], [], []): pass", ["select.select"]),
        ("if sys.platform != 'win32': os.killpg(1, signal.SIGKILL)", []),
        ("x = os.O_NONBLOCK if hasattr(os, 'O_NONBLOCK') else 0", []),
        ("getattr(os, 'O_NONBLOCK', 0)", []),
    ],
)
def test_what_only_posix_has_is_seen(code: str, found: list[str]) -> None:
    assert list(posix_only(ast.parse(code))) == found


def test_the_package_uses_nothing_unguarded_that_only_posix_has() -> None:
    found = {path.name: [*posix_only(ast.parse(path.read_text("utf-8")))] for path in (ROOT / "hooksync").rglob("*.py")}
    assert {name: names for name, names in found.items() if names} == {}


def test_the_tests_import_nothing_at_once_that_only_posix_has() -> None:
    found = {
        str(path.relative_to(ROOT).as_posix()): [*posix_only(ast.parse(path.read_text("utf-8")), runs_later=False)]
        for path in (ROOT / "tests").rglob("*.py")
    }
    assert {name for name, names in found.items() if names} == set(OF_CAMPAIGNS)


def test_what_is_skipped_on_windows_is_there() -> None:
    for place in NOT_ON_WINDOWS:
        file, _, test = place.partition("::")
        text = (ROOT / "tests" / file).read_text("utf-8")
        assert not test or f"\ndef {test}(" in text, place


def test_the_fast_lane_runs_on_each_system() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]
    job = jobs["elsewhere"]
    assert {name.partition("-")[0] for name in job["strategy"]["matrix"]["system"]} == {"windows", "macos"}
    assert any('pytest -q -n auto -m "not slow"' in step.get("run", "") for step in job["steps"])
