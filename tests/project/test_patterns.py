"""No pattern of hooksync nests repetitions, which can take exponential time.

The texts that patterns read have limits of length, so polynomial patterns are not looked for.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.command_line import ROOT

PARSER: Any = import_module("re._parser")
BOUNDED = 64  # repetitions; more count as any number


def is_nested(tree: Any, *, is_inner: bool = False) -> bool:
    """Return whether an unlimited repetition is inside a second one, without a separator: a
    character at the beginning or at the end of the outer one.
    """
    for operation, argument in tree:
        is_within = is_inner
        if str(operation) in ("MAX_REPEAT", "MIN_REPEAT") and argument[1] > BOUNDED:
            if is_inner:
                return True
            body = argument[2]
            is_within = "LITERAL" not in (str(body[0][0]), str(body[-1][0]))
        if any(is_nested(body, is_inner=is_within) for body in bodies(argument)):
            return True
    return False


def bodies(argument: Any) -> Iterator[Any]:
    """Yield the patterns within an argument of an operation."""
    if isinstance(argument, PARSER.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for part in argument:
            yield from bodies(part)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(a+)+b", True),
        ("(?:a*|b)*", True),
        ("(?=(a+)+b)a", True),
        ("a+b+", False),
        ("(?:ab|c)*d", False),
        (r"(?:\.\w+)*", False),
        ("(?:[ab]{3}x)*", False),
    ],
)
def test_nested_repetitions_are_found(pattern: str, expected: bool) -> None:
    assert is_nested(PARSER.parse(pattern)) is expected


def test_no_pattern_nests_repetitions() -> None:
    found = {*patterns(), *schema_patterns()}
    assert len(found) > 80
    assert [pattern for pattern in found if is_nested(PARSER.parse(pattern))] == []


def patterns() -> Iterator[str]:
    """Yield the constant patterns of the modules."""
    for path in (ROOT / "hooksync").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="re")),
                    args=[ast.Constant(value=str(pattern)), *_],
                ):
                    yield pattern


def schema_patterns() -> Iterator[str]:
    """Yield the patterns of the schemas: those of values, and the names of patternProperties."""
    waiting: list[Any] = [
        json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "schemas").iterdir()
    ]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            yield from node.get("patternProperties", ())
            if isinstance(node.get("pattern"), str):
                yield node["pattern"]
            waiting += node.values()
