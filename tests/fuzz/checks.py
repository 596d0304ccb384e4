"""What must hold of whatever a reader gives or raises, said once for all targets."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hooksync.core.errors import Problem
from hooksync.core.record import Record
from hooksync.service.receivers import ProbeResult

LITERAL = "hunter2/hunter2"  # stands in seeds where a secret, a key or a password may; no message repeats it

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_CHANGING = re.compile(r'"[^"]*"|\d+')  # of a message: what changes from input to input


class Broken(AssertionError):
    """An invariant does not hold: what is broken, the same for all finds of a kind, and an example."""

    def __init__(self, what: str, example: object = "") -> None:
        super().__init__(what, example)
        self.what = what
        self.example = example


def demand(holds: object, what: str, example: object = "") -> None:
    """Raise Broken where something does not hold."""
    if not holds:
        raise Broken(what, example)


def yaml_lines(data: bytes) -> list[str]:
    """Cut a file into lines as YAML counts them."""
    return _LINE_BREAK.split(data.decode("utf-8-sig", "replace"))


def check_problems(problems: Iterable[Problem], lines: Sequence[str]) -> frozenset[str]:
    """Demand that problems can be shown, lie inside the text and repeat no secret. Gives what they say, in outline."""
    said = set()
    for problem in problems:
        demand(problem.what and problem.fix, "a problem says nothing")
        demand(LITERAL not in f"{problem.what}\n{problem.fix}", "a message repeats a secret", problem)
        demand(problem.what.isprintable() and problem.fix.isprintable(), "a message cannot be shown", problem)
        if where := problem.where:
            inside = 1 <= where.line <= len(lines) and 1 <= where.column <= len(lines[where.line - 1]) + 1
            demand(inside, "a problem lies outside of the text", problem)
        said.add(outline(problem.what))
    demand(said, "an error holds no problem")
    return frozenset(said)


def outline(message: str) -> str:
    """Give a message without names and numbers, so that two of a kind are equal."""
    return _CHANGING.sub("~", message)


def check_type(value: object, kind: Any) -> None:
    """Demand that a value is of a stated type, all that it holds included."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        demand(any(_is_of(value, each) for each in arguments), f"not one of {kind}", value)
    elif origin is Literal:
        demand(value in arguments and type(value) in map(type, arguments), f"not one of {kind}", value)
    elif origin in (tuple, frozenset):
        demand(type(value) is origin, f"not a {origin.__name__}", value)
        for item in value:  # type: ignore[attr-defined]
            check_type(item, arguments[0])
    elif origin is not None and issubclass(origin, Mapping):
        demand(isinstance(value, Mapping), "not a mapping", value)
        for key, held in value.items():  # type: ignore[attr-defined]
            check_type(key, arguments[0])
            check_type(held, arguments[1])
    elif kind is not object and (kind, type(value)) != (float, int):
        demand(type(value) is kind, f"a {type(value).__name__} where {kind.__name__} is stated", value)
        demand(not (kind is float and math.isnan(value)), "a number is none")  # type: ignore[arg-type]
        for name, stated in _fields(kind).items() if isinstance(kind, type) and issubclass(kind, Record) else ():
            check_type(getattr(value, name), stated)


def _is_of(value: object, kind: Any) -> bool:
    if kind in (None, NoneType):
        return value is None
    try:
        check_type(value, kind)
    except Broken:
        return False
    return True


@cache
def _fields(kind: Any) -> dict[str, Any]:
    stated = get_type_hints(kind, localns={"ProbeResult": ProbeResult})  # imported there only for types
    return {name: stated[name] for name in kind.__struct_fields__}
