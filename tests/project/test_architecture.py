"""The structure: layers, what each package may touch, where each library lives, how much there may
be to read.

The layers themselves are contracts of import-linter in pyproject.toml; one test here runs them.
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
from tests.project.size import LIMITS, measure

PACKAGE = ROOT / "hooksync"
MOST_PARAMETERS = 5

# What a package, or one module of it, may touch of the world outside; the longest name that fits
# counts. What is allowed and not used is an error too, so that the table stays a true picture.
TOUCHES = {
    "": "",
    "__main__": "exit",
    "receiver": "random socket time",  # claims, and their expiry; a connection to SQLite
    "cli": "",
    "cli.arguments": "",
    "cli.local": "os random",  # the sandbox's hooks file and secrets
    "cli.main": "os print stdio",
    "cli.terminal": "os signal stdio",
    "commands": "",
    "api.run": "os random",  # the process's environment; the id of a plan is random
    "commands.init": "open os",  # the file that it writes
    "commands.printing": "os",  # the system's name
    "api": "",
    "output": "",
    "output.html": "open os",  # the page that it fills in
    "reconcile": "",
    "reconcile.context": "os",  # the machine and the user that a report names
    "reconcile.journal": "os",  # random salts
    "state": "",
    "state.fingerprints": "os",  # the number of processors
    "state.git": "os",
    "state.local": "os",
    "state.contract": "os",  # a random id, the process
    "state.store": "os",
    "service": "",
    "service.connections": "os socket time",
    "service.events": "random",  # no two events are alike
    "service.http": "random",
    "service.responses": "socket",
    "service.receivers": "random",
    "config": "",
    "config.schema_errors": "open os",  # examples
    "config.files": "os",
    "config.secret_sources": "os random",  # text as a file, new secrets
    "core": "",
    "core.output": "open os stdio",
    "core.git": "os",
    "core.programs": "os signal subprocess",
    "core.clock": "time",
    "core.reading": "open os",
    "core.schema": "open os",
}
TOUCHING_MODULES = {  # of Python's own; whoever imports one touches the world outside
    **dict.fromkeys(
        ("os", "pathlib", "shutil", "tempfile", "glob", "io", "fileinput", "platform", "getpass"),
        "os",
    ),
    **dict.fromkeys(
        ("socket", "ssl", "http.client", "http.server", "urllib.request", "asyncio"), "socket"
    ),
    **dict.fromkeys(("subprocess", "multiprocessing"), "subprocess"),
    **dict.fromkeys(("random", "secrets", "uuid"), "random"),
    "time": "time",
    "signal": "signal",
    "logging": "logging",
}
TOUCHING_CALLS = {
    "open": "open",
    "print": "print",
    "input": "stdio",
    "exit": "exit",
    "quit": "exit",
}
TOUCHING_ATTRIBUTES = {
    **dict.fromkeys([("sys", name) for name in ("stdin", "stdout", "stderr", "argv")], "stdio"),
    ("sys", "exit"): "exit",
    **dict.fromkeys([("datetime", "now"), ("datetime", "today"), ("date", "today")], "now"),
}
ALWAYS_THERE = {"__future__"} | sys.stdlib_module_names
# each library lives in these modules alone; with a ~, only inside a function, for it costs start-up
LIBRARIES = {
    "requests": {"service.connections", "service.http", "service.responses"},
    "urllib3": {"service.connections", "service.http"},
    "filelock": {"~state.local"},
    "yaml": {"config.yaml_loader"},
    "jsonschema": {"~core.schema"},
    "deepdiff": {"~reconcile.diff"},
    "shtab": {"~cli.completion"},
    "pyotp": {"~service.auth"},
    "dotenv": {"~config.secret_sources"},
    "keyring": {"~config.secret_sources"},
    "obstore": {"~state.cloud"},
    "msgspec": {"output.json_text", "core.record", "core.schema", "~cli.main"},
}
# all else goes through core.output; each of these writes words of our own, or what it made up
# itself
WRITING = {
    # missing streams, --version before anything is loaded, the last resort
    "cli.main": "file stream",
    "cli.terminal": "os.write",  # the notice of a signal's handler, which may take no lock
    "core.output": "file stream",
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
REVEALING = {  # the modules that may see what a secret is
    "config.secret_sources",
    "service.auth",
    "service.client",
    "service.events",
    "service.receivers",
    "state.fingerprints",
}


class Import(NamedTuple):
    """One statement that imports from a module."""

    target: str  # the module, in full
    names: tuple[str, ...]  # what is taken from it; empty: itself
    is_lazy: bool  # inside a function, or for types only


@cache
def modules() -> dict[str, ast.Module]:
    """Parse every module, by its name below hooksync: "" for the package itself, "sandbox.server"."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def imports(tree: ast.AST, *, is_lazy: bool = False) -> Iterator[Import]:
    """Find all imports, those inside functions and those for types as well."""
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
    """Give the imports of libraries that are not Python's own."""
    own = {"hooksync"} | ALWAYS_THERE
    return (each for each in imports(modules()[name]) if each.target.split(".")[0] not in own)


def touched(name: str) -> set[str]:
    """Say what of the world outside a module touches by itself."""
    found = set()
    for each in imports(modules()[name]):
        spelt = [each.target, *(f"{each.target}.{taken}" for taken in each.names)]
        found |= {TOUCHING_MODULES[module] for module in spelt if module in TOUCHING_MODULES}
        pairs = [(each.target, taken) for taken in each.names]
        found |= {TOUCHING_ATTRIBUTES[pair] for pair in pairs if pair in TOUCHING_ATTRIBUTES}
    for node in ast.walk(modules()[name]):
        match node:
            case ast.Call(func=ast.Name(id=called)) if called in TOUCHING_CALLS:
                found.add(TOUCHING_CALLS[called])
            case ast.Attribute(value=ast.Name(id=holder), attr=attribute):
                found |= {
                    TOUCHING_ATTRIBUTES[key]
                    for key in [(holder, attribute)]
                    if key in TOUCHING_ATTRIBUTES
                }
            case ast.Name(id="SystemExit"):
                found.add("exit")
    return found


def written(tree: ast.Module) -> set[str]:
    """Say what a module writes to by itself."""
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
    """Whether a file is opened for more than reading; one whose mode cannot be seen counts as such."""
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


def rule_for(name: str) -> str:
    """Give the entry of TOUCHES that a module is judged by."""
    fitting = [entry for entry in TOUCHES if entry in ("", name) or name.startswith(f"{entry}.")]
    return max(fitting, key=len)


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


@pytest.mark.parametrize("rule", TOUCHES)
def test_a_package_touches_of_the_world_just_what_the_table_allows(rule: str) -> None:
    found: set[str] = set()
    for name in (each for each in modules() if not each.startswith("sandbox")):
        if rule_for(name) == rule:
            found |= touched(name)
    assert found == set(TOUCHES[rule].split())


def test_each_library_lives_in_its_modules_alone() -> None:
    found: dict[str, set[str]] = {}
    for name in modules():
        eager = {each.target.split(".")[0] for each in foreign_imports(name) if not each.is_lazy}
        for each in foreign_imports(name):
            library = each.target.split(".")[0]
            found.setdefault(library, set()).add(name if library in eager else f"~{name}")
    assert found == LIBRARIES


def test_all_that_is_written_leaves_by_one_exit() -> None:
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
def test_each_way_to_write_past_the_exit_is_seen(door: str, kind: str) -> None:
    assert written(ast.parse(door)) == set(kind.split())


def test_only_the_modules_that_sign_or_send_reveal_a_secret() -> None:
    revealing = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "reveal"
    }
    assert revealing == REVEALING


def test_the_public_receiver_may_be_copied_for_it_imports_pythons_own_modules_alone() -> None:
    assert not [
        each
        for each in imports(modules()["receiver"])
        if each.target.split(".")[0] not in ALWAYS_THERE
    ]


def test_the_page_of_the_architecture_names_modules_and_functions_that_are_there() -> None:
    page = (ROOT / "docs" / "internals" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+)/([a-z_]+)\.py(?::(\w+))?`", page)
    assert len(named) > 40
    for package, module, name in named:
        tree = modules()[f"{package}.{module}"]
        defined = {
            each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.ClassDef)
        }
        assert not name or name in defined, f"{package}/{module}.py defines no {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_lives_there_what_may_not_and_where_to_begin(package: str) -> None:
    lines = (ast.get_docstring(modules()[package]) or "").splitlines()
    assert len(lines) == 4
    assert lines[1] == ""
    assert lines[3].startswith("Begin with ")


def test_functions_take_few_parameters() -> None:
    wrong = []
    for name, tree in modules().items():
        for function in functions(tree):
            given = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
            parameters = [argument for argument in given if argument not in ("self", "cls")]
            if len(parameters) > MOST_PARAMETERS:
                wrong.append(f"{name}.{function.name}: {len(parameters)} parameters")
    assert not wrong


def test_the_package_is_no_larger_and_no_denser_than_its_limits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    size = measure(PACKAGE)
    with capsys.disabled():
        sys.stdout.write(f"\n{size}\n")
    figures = size.figures()
    assert figures.keys() == LIMITS.keys()
    assert {name: figure for name, figure in figures.items() if figure > LIMITS[name]} == {}
