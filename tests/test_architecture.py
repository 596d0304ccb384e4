"""Holds the rooms of hooksync apart: who may import whom, touch what, and how large anything may be.

To add a module, add its line to ROOMS. What a line allows and the module does not use is an error too, so the table
stays a true picture.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.command_line import ROOT

PACKAGE = ROOT / "hooksync"
MOST_LINES_OF_A_MODULE = 220
MOST_LINES_OF_A_FUNCTION = 30
MOST_PARAMETERS = 4
TAKES_MORE = {
    "sandbox.server.seed": "a tenant and the fields of a subscription, spelt out where tests and tours call it"
}


class Room(NamedTuple):
    """What one module may do."""

    touches: str  # of the world outside; "": pure; "rooms": nothing by itself, all through the rooms that it imports
    libraries: str  # not of Python's own; with a ~, only inside a function or for types: it costs start-up
    rooms: str  # modules of hooksync


# fmt: off
ROOMS = {
    # nouns and words
    "": Room("", "", ""),  # the version
    "model": Room("", "", "url_forms"),
    "errors": Room("", "", "model"),
    "handshake": Room("", "", ""),
    "template": Room("", "", ""),
    "urls": Room("", "", "template url_forms"),
    "url_forms": Room("", "", ""),
    "triggers": Room("", "", "model"),
    "shards": Room("", "", "errors"),
    "world": Room("", "", "calling errors retry shards"),
    # a hooks file: text -> data -> what is declared
    "yaml_nodes": Room("", "", ""),
    "yaml_text": Room("", "", "errors model"),
    "yaml_scalars": Room("", "", "yaml_nodes"),
    "yaml_frames": Room("", "", "yaml_nodes"),
    "yaml_source": Room("", "yaml", "errors model yaml_frames yaml_nodes yaml_scalars yaml_text"),
    "places": Room("", "", "yaml_nodes"),
    "shape": Room("", "", ""),
    "misfit_words": Room("", "", "model places yaml_nodes"),
    "misfits": Room("", "~jsonschema", "errors misfit_words model places yaml_nodes"),
    "salvage": Room("", "", "misfits places yaml_nodes"),
    "entries": Room("", "", "errors model template"),
    "rules": Room("", "", "entries errors model template url_forms urls"),
    "reading": Room("", "", "entries errors model template yaml_nodes"),
    "settings": Room("", "", "entries model reading rules urls yaml_nodes"),
    "parts": Room("", "", "entries model reading rules settings triggers urls yaml_nodes"),
    "merge": Room("", "", "entries errors parts"),
    "document": Room("", "", "entries errors files merge misfits model parts reading rules salvage shape template triggers urls yaml_nodes yaml_source"),  # noqa: E501
    "selection": Room("", "", "diff entries errors model shards"),
    "resolve": Room("", "", "entries errors model rules template urls"),
    "twins": Room("", "", "entries errors model resolve rules"),
    # the plan: declared + live -> steps -> outcomes -> a view -> text or JSON
    "plan": Room("", "", "errors model"),
    "lock": Room("", "", "model"),
    "memory": Room("", "", "lock model plan"),
    "diff": Room("", "~deepdiff", "memory model plan urls"),
    "fingerprints": Room("os", "", "lock model"),
    "planning": Room("rooms", "", "diff errors fingerprints lock memory model plan secret_book"),
    "outcomes": Room("", "", "model plan"),
    "attempt": Room("", "", "errors model outcomes plan"),
    "calls": Room("", "", ""),
    "apply": Room("", "", "attempt calls diff errors memory model outcomes plan"),
    "receiver_answers": Room("", "", "handshake"),
    "probing": Room("", "", "errors model plan receiver_answers"),
    "redactor": Room("", "", ""),
    "digests": Room("", "", "model"),
    "report": Room("", "", "errors model outcomes plan probing receiver_answers"),
    "plan_key": Room("", "", "digests errors"),
    "plan_file": Room("", "", ". digests errors model origin outcomes plan plan_key report"),
    "plan_fields": Room("", "", "entries model template urls"),
    "saved_records": Room("", "", "entries errors model plan plan_fields rules template urls"),
    "saved_plan": Room("", "", "digests errors plan_fields plan_file plan_key saved_records"),
    "rebuilding": Room("rooms", "", "diff digests errors memory model plan planning redactor saved_records urls"),
    "render": Room("", "~rich", "model plan redactor report"),
    "markup": Room("", "", "redactor"),
    "markdown": Room("", "", "errors markup redactor render report"),
    "annotations": Room("", "", "errors redactor"),
    "check": Room("", "", "errors model receiver_answers"),
    "check_render": Room("", "", ". check errors markup redactor"),
    # the world outside
    "files": Room("open os", "", "errors"),
    "writing": Room("open os", "", "errors"),
    "lock_fields": Room("", "", "lock"),
    "lock_file": Room("", "", "errors lock lock_fields model"),
    "lock_store": Room("open os", "~filelock", "errors lock lock_fields lock_file writing"),
    "secret_sources": Room("open os", "", "errors model"),
    "strength": Room("", "", "errors model"),
    "origin": Room("os", "", ""),
    "secret_maker": Room("random", "", ""),
    "secret_book": Room("rooms", "", "errors model secret_sources strength"),
    "answers": Room("", "", "model retry"),
    "retry": Room("", "", ""),
    "failures": Room("socket", "requests urllib3", "errors"),
    "connections": Room("os socket time", "certifi requests urllib3", "errors failures"),
    "transport": Room("socket", "requests urllib3", ". connections errors failures urls"),
    "login": Room("time", "~pyotp", "answers errors model redactor retry transport"),
    "calling": Room("now random time", "", "errors failures redactor retry transport"),
    "preservica": Room("rooms", "", "answers calling errors login model retry transport"),
    "one_try": Room("time", "", "calling errors failures receiver_answers transport"),
    "receivers": Room("random", "", "calling calls handshake model one_try receiver_answers transport url_forms"),
    # the corridor and the door
    "run": Room("rooms", "", "apply calling calls diff errors login model outcomes plan planning preservica redactor retry secret_book secret_sources transport"),  # noqa: E501
    "journal": Room("os", "", "fingerprints lock lock_store model outcomes plan planning run secret_book"),
    "carrying": Room("rooms", "", "errors journal model outcomes plan planning probing receivers run world"),
    "preparation": Room("rooms", "", "document entries errors files model redactor resolve run selection shards twins world"),  # noqa: E501
    "scene": Room("rooms", "", "carrying errors journal planning run world"),
    "ending": Room("now", "", "carrying errors markdown origin outcomes plan plan_file planning probing render report scene world writing"),  # noqa: E501
    "commands": Room("rooms", "", "carrying diff ending errors fingerprints lock_store markdown model plan_file plan_key planning preparation probing render report run saved_apply scene world writing"),  # noqa: E501
    "saved_apply": Room("now", "", "diff ending errors files fingerprints lock_store plan plan_key planning rebuilding redactor render resolve run saved_plan scene world"),  # noqa: E501
    "checking": Room("now", "", "check check_render diff errors model one_try preparation receiver_answers receivers run strength transport world"),  # noqa: E501
    "validation": Room("rooms", "", "document entries errors files selection world"),
    "export_names": Room("", "", "url_forms"),
    "export_entries": Room("", "", "errors export_names model redactor template url_forms urls"),
    "export_file": Room("", "", "export_entries model plan redactor yaml_scalars"),
    "exporting": Room("rooms", "", "diff entries errors export_entries export_file export_names model plan planning preparation redactor resolve rules run template urls world writing"),  # noqa: E501
    "starter": Room("rooms", "", "errors exporting world writing"),
    "arguments": Room("rooms", "", "errors flags sandbox.arguments"),
    "flags": Room("", "", "errors shards"),
    "options": Room("", "", "world"),
    "completion": Room("", "", ""),
    "signals": Room("os signal", "", "errors"),
    "terminal": Room("os stdio", "~rich", "annotations calling errors render signals"),
    "cli": Room("os print stdio", "", ". arguments checking commands completion errors exporting options sandbox.demo sandbox.run secret_maker signals starter terminal transport validation world"),  # noqa: E501
    "__main__": Room("exit", "", "cli"),
}
# fmt: on

ONLY_NOUNS = {  # a pure room takes from one that is not pure: one noun, which touches nothing
    ("document", "files"): "Source",
    ("world", "calling"): "CallRecord",
    ("plan_file", "origin"): "Origin",
}
TOUCHING_MODULES = {  # of Python's own; whoever imports one touches the world outside
    **dict.fromkeys(("os", "pathlib", "shutil", "tempfile", "glob", "io", "fileinput", "platform", "getpass"), "os"),
    **dict.fromkeys(("socket", "ssl", "http.client", "http.server", "urllib.request", "asyncio"), "socket"),
    **dict.fromkeys(("subprocess", "multiprocessing"), "subprocess"),
    **dict.fromkeys(("random", "secrets", "uuid"), "random"),
    "time": "time",
    "signal": "signal",
    "logging": "logging",
}
TOUCHING_CALLS = {"open": "open", "print": "print", "input": "stdio", "exit": "exit", "quit": "exit"}
TOUCHING_ATTRIBUTES = {
    ("sys", "stdin"): "stdio",
    ("sys", "stdout"): "stdio",
    ("sys", "stderr"): "stdio",
    ("sys", "exit"): "exit",
    ("sys", "argv"): "stdio",
    ("datetime", "now"): "now",
    ("datetime", "today"): "now",
    ("date", "today"): "now",
}

REVEALING = {  # the rooms that may see what a secret is
    *("login", "preservica", "receivers", "secret_sources"),
    "fingerprints",  # stretches it
    "strength",  # judges it
}
LIBRARY_ROOMS = {  # each library of ours lives in these rooms alone
    "requests": {"connections", "failures", "transport"},
    "urllib3": {"connections", "failures", "transport"},
    "certifi": {"connections"},
    "filelock": {"lock_store"},
    "yaml": {"yaml_source"},
    "jsonschema": {"misfits"},
    "deepdiff": {"diff"},
    "rich": {"render", "terminal"},
    "pyotp": {"login"},
}


@dataclass(frozen=True)
class Import:
    """One name that a module imports."""

    target: str  # the module, in full
    names: tuple[str, ...]  # what is taken from it; empty: itself
    is_lazy: bool  # inside a function, or for types only


def modules() -> dict[str, ast.Module]:
    """Parse every module, by its name below hooksync: "" for the package itself, "sandbox.run"."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()
ROOM_NAMES = [name for name in MODULES if not name.startswith("sandbox")]
KNOWN_ROOMS = [name for name in ROOM_NAMES if name in ROOMS]
SANDBOX_NAMES = [name for name in MODULES if name.startswith("sandbox")]


def imports(tree: ast.AST, *, is_lazy: bool = False) -> Iterator[Import]:
    """Find all imports, those inside functions and those for types as well."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                yield from (Import(alias.name, (), is_lazy) for alias in node.names)
            case ast.ImportFrom():
                assert node.level == 0, "imports are written in full"
                yield from _from_import(node, is_lazy=is_lazy)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from imports(node, is_lazy=True)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from imports(node, is_lazy=True)
            case _:
                yield from imports(node, is_lazy=is_lazy)


def _from_import(node: ast.ImportFrom, *, is_lazy: bool) -> Iterator[Import]:
    """Tell `from hooksync import commands`, a module, from `from hooksync import __version__`, a name."""
    module = node.module or ""
    below = module.removeprefix("hooksync").removeprefix(".")
    for alias in node.names:
        inner = ".".join(filter(None, (below, alias.name)))
        if module.split(".")[0] == "hooksync" and (inner in MODULES or inner == "sandbox.demo"):
            yield Import(f"hooksync.{inner}", (), is_lazy)
        else:
            yield Import(module, (alias.name,), is_lazy)


def own_imports(name: str) -> set[str]:
    """Name the modules of hooksync that a module imports; "." is the package itself."""
    targets = {each.target for each in imports(MODULES[name]) if each.target.split(".")[0] == "hooksync"}
    return {target.removeprefix("hooksync").removeprefix(".") or "." for target in targets}


def foreign_imports(name: str) -> Iterator[Import]:
    """Give the imports of libraries that are not Python's own."""
    own = {"hooksync", "__future__"} | sys.stdlib_module_names
    return (each for each in imports(MODULES[name]) if each.target.split(".")[0] not in own)


def touched(name: str) -> set[str]:
    """Say what of the world outside a module touches by itself."""
    found = set()
    for each in imports(MODULES[name]):
        spelt = [each.target, *(f"{each.target}.{taken}" for taken in each.names)]
        found |= {TOUCHING_MODULES[module] for module in spelt if module in TOUCHING_MODULES}
        pairs = [(each.target, taken) for taken in each.names]
        found |= {TOUCHING_ATTRIBUTES[pair] for pair in pairs if pair in TOUCHING_ATTRIBUTES}
    for node in ast.walk(MODULES[name]):
        match node:
            case ast.Call(func=ast.Name(id=called)) if called in TOUCHING_CALLS:
                found.add(TOUCHING_CALLS[called])
            case ast.Attribute(value=ast.Name(id=holder), attr=attribute):
                found |= {TOUCHING_ATTRIBUTES[key] for key in [(holder, attribute)] if key in TOUCHING_ATTRIBUTES}
            case ast.Name(id="SystemExit"):
                found.add("exit")
    return found


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def line_for(name: str) -> str:
    """Write the line of ROOMS that a module would need as it is: to be judged, then pasted."""
    lazy = {each.target.split(".")[0]: each.is_lazy for each in foreign_imports(name)}
    libraries = " ".join(f"~{library}" if is_lazy else library for library, is_lazy in lazy.items())
    return (
        f'"{name}": Room("{" ".join(sorted(touched(name)))}", "{libraries}", "{" ".join(sorted(own_imports(name)))}"),'
    )


def test_the_table_has_a_line_for_every_module() -> None:
    missing = [line_for(name) for name in ROOM_NAMES if name not in ROOMS]
    assert not missing, "\n".join(["judge and add:", *missing])
    assert not set(ROOMS) - set(ROOM_NAMES)


@pytest.mark.parametrize("name", KNOWN_ROOMS)
def test_a_room_imports_just_the_rooms_that_the_table_allows(name: str) -> None:
    assert own_imports(name) == set(ROOMS[name].rooms.split())


@pytest.mark.parametrize("name", KNOWN_ROOMS)
def test_a_room_imports_just_the_libraries_that_the_table_allows(name: str) -> None:
    allowed = {library.removeprefix("~") for library in ROOMS[name].libraries.split()}
    assert {each.target.split(".")[0] for each in foreign_imports(name)} == allowed
    lazy = {library[1:] for library in ROOMS[name].libraries.split() if library.startswith("~")}
    assert not [each for each in foreign_imports(name) if each.target.split(".")[0] in lazy and not each.is_lazy]


@pytest.mark.parametrize("name", KNOWN_ROOMS)
def test_a_room_touches_of_the_world_just_what_the_table_allows(name: str) -> None:
    allowed = set(ROOMS[name].touches.split()) - {"rooms"}
    assert touched(name) == allowed


def test_a_pure_room_takes_from_others_that_are_not_pure_at_most_a_noun() -> None:
    pure = {name for name, room in ROOMS.items() if not room.touches}
    for name in sorted(pure):
        for other in own_imports(name) - pure - {"."}:
            taken = {n for each in imports(MODULES[name]) if each.target == f"hooksync.{other}" for n in each.names}
            assert taken == {ONLY_NOUNS.get((name, other))}, f"{name} takes {taken} from {other}"


def test_each_library_lives_in_its_rooms_alone() -> None:
    found: dict[str, set[str]] = {}
    for name in MODULES:
        for each in foreign_imports(name):
            found.setdefault(each.target.split(".")[0], set()).add(name)
    assert found == LIBRARY_ROOMS


def test_only_the_door_prints() -> None:
    assert [name for name in MODULES if "print" in touched(name)] == ["cli"]


def test_only_the_door_and_the_terminal_touch_the_standard_streams() -> None:
    assert [name for name in MODULES if "stdio" in touched(name)] == ["cli", "terminal"]


def test_only_the_rooms_that_sign_or_send_reveal_a_secret() -> None:
    revealing = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "reveal"
    }
    assert revealing == REVEALING


@pytest.mark.parametrize("name", SANDBOX_NAMES)
def test_the_sandbox_shares_the_handshake_with_the_client_and_nothing_else(name: str) -> None:
    others = {other for other in own_imports(name) if not other.startswith("sandbox")}
    assert others <= {"handshake"}


@pytest.mark.parametrize("name", SANDBOX_NAMES)
def test_the_sandbox_needs_no_library(name: str) -> None:
    assert not list(foreign_imports(name))


def test_no_imports_go_in_a_circle() -> None:
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join((*path, name))}"
        if name not in done:
            for other in sorted(own_imports(name) & set(MODULES)):
                walk(other, (*path, name))
            done.add(name)

    for name in MODULES:
        walk(name, ())


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(MODULES[name])


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert not [f"{_shown(path)}: {lines}" for path, lines in lengths.items() if lines > MOST_LINES_OF_A_MODULE]


def test_functions_are_short() -> None:
    long = []
    for name, tree in MODULES.items():
        for function in functions(tree):
            lines = (function.end_lineno or 0) - function.lineno + 1
            if lines > MOST_LINES_OF_A_FUNCTION:
                long.append(f"{name}.{function.name}: {lines}")
    assert not long


def test_functions_have_few_parameters() -> None:
    wide = []
    for name, tree in MODULES.items():
        for function in functions(tree):
            given = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
            if len([argument for argument in given if argument not in ("self", "cls")]) > MOST_PARAMETERS:
                wide.append(f"{name}.{function.name}")
    assert wide == sorted(TAKES_MORE)


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
