"""Conditions for the results and the errors of every reader, shared by all targets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hooksync.core.errors import Problem

# written in seeds as a secret, a key or a password; no message may repeat it
LITERAL = "hunter2/hunter2"

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_CHANGING = re.compile(r'"[^"]*"|\d+')  # parts of a message that differ between inputs


class Broken(AssertionError):
    """A condition does not hold. `what` names it, and is equal for all finds of one kind."""

    def __init__(self, what: str, example: object = "") -> None:
        super().__init__(what, example)
        self.what = what
        self.example = example


def demand(holds: object, what: str, example: object = "") -> None:
    """Raise Broken if a condition does not hold."""
    if not holds:
        raise Broken(what, example)


def yaml_lines(data: bytes) -> list[str]:
    """Return the lines of a file as YAML counts them."""
    return _LINE_BREAK.split(data.decode("utf-8-sig", "replace"))


def check_problems(problems: Iterable[Problem], lines: Sequence[str]) -> frozenset[str]:
    """Demand that problems can be shown, have a place in the text and repeat no secret.

    Return outlines of their messages.
    """
    said = set()
    for problem in problems:
        demand(problem.what and problem.fix, "a problem says nothing")
        demand(
            LITERAL not in f"{problem.what}\n{problem.fix}", "a message repeats a secret", problem
        )
        demand(
            problem.what.isprintable() and problem.fix.isprintable(),
            "a message cannot be shown",
            problem,
        )
        if where := problem.where:
            inside = (
                1 <= where.line <= len(lines)
                and 1 <= where.column <= len(lines[where.line - 1]) + 1
            )
            demand(inside, "a problem lies outside of the text", problem)
        said.add(outline(problem.what))
    demand(said, "an error holds no problem")
    return frozenset(said)


def outline(message: str) -> str:
    """Return a message without names and numbers, so two messages of one kind are equal."""
    return _CHANGING.sub("~", message)
