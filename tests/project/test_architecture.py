"""Tests of the structure: the layers, the modules that may import each library, write files or
reveal secrets, and the limits of size.

The layers are contracts of import-linter in pyproject.toml. One test here runs these contracts.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest
from importlinter.cli import lint_imports

from tests.command_line import ROOT
from tests.project.size import LIMITS, TESTS_LIMIT, measure

PACKAGE = ROOT / "hooksync"
MOST_PARAMETERS = 5

ALWAYS_THERE = {"__future__"} | sys.stdlib_module_names
# Only these modules import each library. A ~ marks an import inside a function, which keeps the
# start-up fast.
LIBRARIES = {
    "requests": {"service.connections", "service.http", "service.responses"},
    "urllib3": {"service.connections", "service.http"},
    "filelock": {"~state.local"},
    "yaml": {"config.yaml_loader"},
    "jsonschema": {"~config.schema_errors"},
    "deepdiff": {"~reconcile.diff"},
    "shtab": {"~cli.completion"},
    "pyotp": {"~service.auth"},
    "dotenv": {"~config.variable_files"},
    "obstore": {"~state.cloud"},
    "msgspec": {"render.json_text", "core.record", "core.schema"},
}
# All other modules write through core.output. The modules here, apart from core.output, write only
# words of hooksync, or data that they made up.
WRITING = {
    # missing streams, --version before anything is loaded, the last resort
    "cli.main": "file stream",
    "cli.run": "stream",
    "cli.terminal": "os.write",  # the notice of a signal's handler, which may take no lock
    "core.output": "file stream",
    # it runs in servers of users: the file of their events, and their log
    "receiver": "file logging",
    "sandbox.demo": "file",  # the hooks file of the tour, in a folder of its own
}
WRITING_CALLS = {
    **dict.fromkeys(("print", "breakpoint"), "stream"),
    **dict.fromkeys(("os.write", "os.writev", "os.pwrite", "os.sendfile"), "os.write"),
    **dict.fromkeys(("os.replace", "os.rename", "os.link", "os.symlink", "os.truncate"), "file"),
    **dict.fromkeys(
        ("tempfile.mkstemp", "tempfile.NamedTemporaryFile", "tempfile.TemporaryFile"), "file"
    ),
}
WRITING_METHODS = dict.fromkeys(
    ("write_text", "write_bytes", "touch", "symlink_to", "hardlink_to"), "file"
)
REVEALING = {  # the modules that may read the value of a secret
    "config.secret_sources",
    "service.auth",
    "service.client",
    "commands.notice",
    "receivers.challenges",
    "state.fingerprints",
}


class Import(NamedTuple):
    """One import of a module, or of names from it."""

    target: str  # the module, in full
    names: tuple[str, ...]  # the imported names; empty if the module itself is imported
    is_lazy: bool  # the import is inside a function, or for types only


@cache
def modules() -> dict[str, ast.Module]:
    """Parse every module, by its name below hooksync: "" is the package, "sandbox.server" a module."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.AST, *, is_lazy: bool = False) -> Iterator[Import]:
    """Yield all imports, also those inside functions and those for types."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                yield from (Import(alias.name, (), is_lazy) for alias in node.names)
            case ast.ImportFrom():
                assert node.level == 0, "imports are written in full"
                yield Import(node.module or "", tuple(alias.name for alias in node.names), is_lazy)
            case (
                ast.FunctionDef()
                | ast.AsyncFunctionDef()
                | ast.Lambda()
                | ast.If(test=ast.Name(id="TYPE_CHECKING"))
            ):
                yield from imports(node, is_lazy=True)
            case _:
                yield from imports(node, is_lazy=is_lazy)


def foreign_imports(name: str) -> Iterator[Import]:
    """Return the imports of libraries that are not part of Python."""
    own = {"hooksync"} | ALWAYS_THERE
    return (each for each in imports(modules()[name]) if each.target.split(".")[0] not in own)


def written(tree: ast.Module) -> set[str]:
    """Return the kinds of places that a module writes to by itself."""
    found = {
        "logging" for each in imports(tree) if each.target in ("logging", "faulthandler", "syslog")
    }
    asked = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "isatty"
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="sys"), attr=name) if name.strip("_") in (
                "stdout",
                "stderr",
            ):
                found |= set() if id(node) in asked else {"stream"}
            case ast.ImportFrom(module="sys"):
                found |= {
                    "stream"
                    for alias in node.names
                    if alias.name.strip("_") in ("stdout", "stderr")
                }
            case ast.Call(func=ast.Attribute(attr=method)) if method in WRITING_METHODS:
                found.add(WRITING_METHODS[method])
            case ast.Call(func=called) if ast.unparse(called) in WRITING_CALLS:
                found.add(WRITING_CALLS[ast.unparse(called)])
            case ast.Call(func=called) if ast.unparse(called) in (
                "open",
                "io.open",
                "os.fdopen",
                "os.open",
            ):
                found |= {"file"} if opens_to_write(node) else set()
    return found


def opens_to_write(call: ast.Call) -> bool:
    """Return whether a call opens a file to write. A call with an unknown mode counts, too."""
    given = [
        *call.args[1:2],
        *(each.value for each in call.keywords if each.arg in ("mode", "flags")),
    ]
    match given:
        case []:
            return False
        case [ast.Constant(value=str(mode))]:
            return bool(set(mode) & set("wax+"))
    flags = re.findall(r"\bO_[A-Z]+", ast.unparse(given[0]))
    return not flags or not set(flags) <= {
        "O_RDONLY",
        "O_NONBLOCK",
        "O_CLOEXEC",
        "O_BINARY",
        "O_NOCTTY",
    }


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_the_contracts_of_import_linter_hold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    code = lint_imports(no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_only_the_modules_in_the_table_import_each_library() -> None:
    found: dict[str, set[str]] = {}
    for name in modules():
        eager = {each.target.split(".")[0] for each in foreign_imports(name) if not each.is_lazy}
        for each in foreign_imports(name):
            library = each.target.split(".")[0]
            found.setdefault(library, set()).add(name if library in eager else f"~{name}")
    assert found == LIBRARIES


def test_only_the_modules_in_the_table_write_to_streams_and_files() -> None:
    found = {name: written(tree) for name, tree in modules().items()}
    assert {name: doors for name, doors in found.items() if doors} == {
        name: set(doors.split()) for name, doors in WRITING.items()
    }


@pytest.mark.parametrize(
    ("door", "kind"),
    [
        ("print('x')", "stream"),
        ("sys.stdout.write('x')", "stream"),
        ("f(sys.__stderr__)", "stream"),
        ("from sys import stderr", "stream"),
        ("os.write(2, b'x')", "os.write"),
        ("open(path, 'w')", "file"),
        ("open(path, mode='r+b')", "file"),
        ("open(path, mode)", "file"),
        ("os.open(path, os.O_RDONLY | os.O_CREAT)", "file"),
        ("os.open(path, flags)", "file"),
        ("os.fdopen(1, 'a')", "file"),
        ("path.write_text('x')", "file"),
        ("os.replace(one, other)", "file"),
        ("tempfile.mkstemp()", "file"),
        ("import logging", "logging"),
        ("open(path, 'rb'); os.open(path, os.O_RDONLY | os.O_NONBLOCK); sys.stderr.isatty()", ""),
    ],
)
def test_each_way_to_write_to_a_stream_or_a_file_is_found(door: str, kind: str) -> None:
    assert written(ast.parse(door)) == set(kind.split())


def test_only_the_modules_in_the_table_reveal_a_secret() -> None:
    revealing = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "reveal"
    }
    assert revealing == REVEALING


def test_the_public_receiver_can_be_copied_because_it_imports_only_modules_of_python() -> None:
    assert not [
        each
        for each in imports(modules()["receiver"])
        if each.target.split(".")[0] not in ALWAYS_THERE
    ]


def test_the_page_on_the_architecture_names_only_modules_and_functions_that_exist() -> None:
    page = (ROOT / "docs" / "internals" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+)/([a-z_]+)\.py(?::(\w+))?`", page)
    assert len(named) > 40
    for package, module, name in named:
        tree = modules()[f"{package}.{module}"]
        defined = {
            each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.ClassDef)
        }
        assert not name or name in defined, f"{package}/{module}.py defines no {name}"


def test_no_function_takes_more_than_five_positional_parameters() -> None:
    wrong = []
    for name, tree in modules().items():
        for function in functions(tree):
            given = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
            parameters = [argument for argument in given if argument not in ("self", "cls")]
            if len(parameters) > MOST_PARAMETERS:
                wrong.append(f"{name}.{function.name}: {len(parameters)} parameters")
    assert not wrong


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
