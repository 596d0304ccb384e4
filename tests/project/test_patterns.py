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
        match str(operation):
            case "MAX_REPEAT" | "MIN_REPEAT":
                _, most, body = argument
                if most > BOUNDED and is_inner:
                    return True
                is_separated = "LITERAL" in (str(body[0][0]), str(body[-1][0]))
                inner = is_inner or (most > BOUNDED and not is_separated)
                if is_nested(body, is_inner=inner):
                    return True
            case "SUBPATTERN":
                if is_nested(argument[3], is_inner=is_inner):
                    return True
            case "BRANCH":
                if any(is_nested(body, is_inner=is_inner) for body in argument[1]):
                    return True
            case "ASSERT" | "ASSERT_NOT":
                if is_nested(argument[1], is_inner=is_inner):
                    return True
    return False


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
