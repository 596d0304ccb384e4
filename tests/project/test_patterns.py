"""No pattern of hooksync takes more than linear time for any text that hooksync gives it."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import pytest

import hooksync
from tests.command_line import ROOT
from tests.project.backtracking import ALL_USES, Uses, degree

USE_OF = dict.fromkeys(["sub", "subn", "split", "findall", "finditer", "search"], "search")
USE_OF |= {"match": "match", "fullmatch": "fullmatch"}

# Patterns that are polynomial, but only for text that they never read, and the reason.
NEVER_READ = {
    "core.output._JSON_STRING": "hooksync wrote the JSON, in which every string ends",
}
# Modules with calls whose pattern is not a constant, and what the pattern is made from.
MADE_AT_RUN_TIME = {
    "commands.plan_apply": "the name of a metric",
    "config.policy": "globs whose `*` are whole labels, as the schema demands",
    "core.output": "the escaped name of a file",
    "core.schema": "the patterns of the schemas, read here",
    "core.urls": "a port",
}


@pytest.mark.parametrize(
    ("pattern", "use", "expected"),
    [
        ("a+b", "match", "linear"),
        ("a+", "search", "linear"),
        ("^a+b", "search", "linear"),
        ("(?m)^a.*b$", "search", "linear"),
        ("(?:ab|c)*d", "fullmatch", "linear"),
        ("(?:[ab]{3}x)*", "search", "linear"),
        ('"[^"]*"', "search", "linear"),
        ("a+b", "search", "polynomial"),
        (r"\s+$", "search", "polynomial"),
        ("(?i)a+[^a]", "search", "polynomial"),
        ("a*a*", "fullmatch", "polynomial"),
        (".*,.*,b", "match", "polynomial"),
        ("x(?=a*b)|a", "search", "linear"),
        ("a(?=.*b)", "search", "polynomial"),
        (r"(a+)\1b", "match", "polynomial"),
        ("(a+)+b", "match", "exponential"),
        ("(a*)*b", "match", "exponential"),
        ("(?:a|ab|b)*c", "match", "exponential"),
        ("(?:[ab]+|[bc])*", "fullmatch", "exponential"),
        ("(?=(a+)+b)a", "match", "exponential"),
        ("(?:/(?:[a-z]{0,15}|[a-z0-9._-]{0,6}))*", "fullmatch", "exponential"),
        ("(?:/(?:[a-z]{7,15}|[a-z0-9._-]{0,6}))*", "fullmatch", "linear"),
    ],
)
def test_the_growth_of_a_pattern_is_found_by_its_structure(
    pattern: str, use: str, expected: str
) -> None:
    assert degree(re.compile(pattern), frozenset([use])) == expected


@pytest.mark.slow
def test_every_pattern_of_the_package_is_linear() -> None:
    found = {name: degree(pattern, uses) for name, pattern, uses in patterns()}
    assert len(found) > 75
    slow = {name: growth for name, growth in found.items() if growth != "linear"}
    assert slow == dict.fromkeys(NEVER_READ, "polynomial")


def test_every_pattern_of_the_schemas_is_linear() -> None:
    found: set[str] = set()
    for path in (ROOT / "schemas").iterdir():
        found.update(schema_patterns(json.loads(path.read_text(encoding="utf-8"))))
    assert len(found) > 10
    slow = [each for each in found if degree(re.compile(each), frozenset(["search"])) != "linear"]
    assert slow == []


@pytest.mark.slow
def test_only_the_modules_in_the_table_make_patterns_at_run_time() -> None:
    made = {
        name
        for name in modules()
        for call in calls(name)
        if not isinstance(call.args[0], ast.Constant)
    }
    assert made == MADE_AT_RUN_TIME.keys()


def patterns() -> Iterator[tuple[str, re.Pattern[Any], Uses]]:
    """Yield all patterns of the modules, each with its name and its uses."""
    for name in modules():
        module = importlib.import_module(f"hooksync.{name}")
        for variable, value in vars(module).items():
            for number, pattern in enumerate(held_patterns(value, module.__name__)):
                yield f"{name}.{variable}{number or ''}", pattern, uses_of(name, variable)
        for call in calls(name):
            function, text = call.func, call.args[0]
            if (
                isinstance(function, ast.Attribute)
                and function.attr in USE_OF
                and isinstance(text, ast.Constant)
            ):
                yield (
                    f"{name}:{call.lineno}",
                    re.compile(text.value),
                    frozenset([USE_OF[function.attr]]),
                )


@cache
def modules() -> list[str]:
    names = [info.name for info in pkgutil.walk_packages(hooksync.__path__, "hooksync.")]
    return [name.removeprefix("hooksync.") for name in names if not name.endswith("__main__")]


@cache
def tree(name: str) -> ast.Module:
    path = importlib.import_module(f"hooksync.{name}").__file__
    assert path
    with open(path, encoding="utf-8") as source:
        return ast.parse(source.read())


def calls(name: str) -> Iterator[ast.Call]:
    """Yield the calls of a module to functions of `re` that take a pattern."""
    for node in ast.walk(tree(name)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=attribute)) if (
                attribute != "escape"
            ):
                yield node


def uses_of(module: str, variable: str) -> Uses:
    """Return the uses of a variable, by the methods called on it; all uses if no such call is
    found.
    """
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute) and node.attr in USE_OF:
            names = [each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)]
            if variable in names:
                found.add(USE_OF[node.attr])
    return frozenset(found) or ALL_USES


def held_patterns(value: object, module: str) -> Iterator[re.Pattern[Any]]:
    """Yield the patterns that a variable holds, also in a container or as attributes of a class."""
    inside: Iterable[object] = ()
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, type) and value.__module__ == module:
        inside = vars(value).values()
    elif isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        inside = value
    for each in inside:
        yield from held_patterns(each, module)


def schema_patterns(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from schema_patterns(each)
    elif isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        yield from node.get("patternProperties", ())
        for each in node.values():
            yield from schema_patterns(each)
