"""This module finds patterns that take more than linear time. It examines only their structure: it
measures no time and guesses no input.

A pattern becomes Glushkov's automaton, which has one state for each place that reads a character.
The pattern backtracks

- exponentially, if a state reaches itself by two different paths that read the same text;
- polynomially, if one text leads from a state to itself, from there to a second state, and from
  that state to itself.

Source: Weber and Seidl, "On the degree of ambiguity of finite automata", 1991. A search tries every
start, so its automaton has one more state in front, which reads every character. A match that has
already succeeded does not backtrack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

Uses = frozenset[str]  # "search", "match" and "fullmatch": how a pattern is used

ALL_USES: Uses = frozenset(["search", "match", "fullmatch"])
UNROLLED = 64  # repetitions up to this number are unrolled; a larger number counts as any number
SAMPLES = "aZ0_ -\t\n\r\x00\x1f\x7f\xe9\u0663\u2028\ufffd"
PARSER: Any = import_module("re._parser")


@dataclass
class Part:
    """A part of a pattern: the states that it may begin and end with."""

    first: list[int] = field(default_factory=list)
    inner_first: list[int] = field(default_factory=list)  # first states with no anchor before them
    last: list[int] = field(default_factory=list)
    free_last: list[int] = field(default_factory=list)  # last states with no condition after them
    is_optional: bool = True  # the part may read nothing
    is_inner: bool = True  # the part may read nothing anywhere, not only at a beginning
    is_free: bool = True  # the part may read nothing without a condition


class Automaton:
    """The states of a pattern, and for each state the states that may follow it. A state is listed
    once for each way in which it may follow.
    """

    def __init__(self, pattern: re.Pattern[Any], use: str) -> None:
        self._flags = pattern.flags
        self._groups: dict[int, Any] = {}
        tree = PARSER.parse(pattern.pattern, pattern.flags)
        self._alphabet = frozenset([*SAMPLES, *_mentioned(tree)])
        self.reads: list[frozenset[str]] = []
        self.follow: list[list[int]] = []
        whole = self._sequence(tree)
        self.free = frozenset(whole.free_last if use != "fullmatch" else ())
        if use == "search":
            start = self._state(self._alphabet)
            line_start = self._state(frozenset("\n" if self._flags & re.MULTILINE else ""))
            self.follow[start] = [start, line_start, *whole.inner_first]
            self.follow[line_start] = whole.first

    def _state(self, reads: frozenset[str]) -> int:
        self.reads.append(reads)
        self.follow.append([])
        return len(self.reads) - 1

    def _sequence(self, items: Any) -> Part:
        made = Part()
        for op, argument in items:
            made = self._joined(made, self._part(str(op), argument))
        return made

    def _joined(self, one: Part, two: Part) -> Part:
        for state in one.last:
            self.follow[state] += two.first
        return Part(
            one.first + (two.first if one.is_optional else []),
            one.inner_first + (two.inner_first if one.is_inner else []),
            two.last + (one.last if two.is_optional else []),
            two.free_last + (one.free_last if two.is_free else []),
            one.is_optional and two.is_optional,
            one.is_inner and two.is_inner,
            one.is_free and two.is_free,
        )

    def _part(self, op: str, argument: Any) -> Part:
        match op:
            case "SUBPATTERN":
                group, _, _, body = argument
                self._groups[group] = body
                return self._sequence(body)
            case "GROUPREF":
                return self._sequence(self._groups[argument])
            case "ATOMIC_GROUP":
                return self._sequence(argument)
            case "BRANCH":
                return _either([self._sequence(body) for body in argument[1]])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self._repeat(*argument)
            case "AT":
                return Part(is_inner="BEGINNING" not in str(argument), is_free=False)
            case "ASSERT" | "ASSERT_NOT":
                return self._assertion(*argument)
        state = self._state(frozenset(filter(self._reader(op, argument), self._alphabet)))
        return Part(
            [state], [state], [state], [state], is_optional=False, is_inner=False, is_free=False
        )

    def _repeat(self, least: int, most: int, body: Any) -> Part:
        if most > UNROLLED:
            rest = self._sequence(body)
            for state in rest.last:
                self.follow[state] += rest.first
            rest = _either([rest, Part()])
        else:
            rest = Part()
            for _ in range(most - least):
                rest = _either([self._joined(self._sequence(body), rest), Part()])
        for _ in range(min(least, UNROLLED)):
            rest = self._joined(self._sequence(body), rest)
        return rest

    def _assertion(self, direction: int, body: Any) -> Part:
        """Return the part of an assertion: a lookahead reads its text, but no state follows it."""
        if direction < 0:
            return Part(is_free=False)
        ahead = self._sequence(body)
        return Part(ahead.first, ahead.inner_first, is_free=False)

    def _reader(self, op: str, argument: Any) -> Callable[[str], bool]:
        match op:
            case "LITERAL" | "NOT_LITERAL":
                cases = {chr(argument)}
                if self._flags & re.IGNORECASE:
                    cases |= {chr(argument).lower(), chr(argument).upper()}
                return lambda char: (char in cases) is (op == "LITERAL")
            case "RANGE":
                low, high = map(chr, argument)
                if self._flags & re.IGNORECASE:
                    return lambda char: any(
                        low <= each <= high for each in (char.lower(), char.upper(), char)
                    )
                return lambda char: low <= char <= high
            case "CATEGORY":
                name = str(argument).removeprefix("CATEGORY_")
                letter = name.removeprefix("NOT_")[0]
                category = re.compile(
                    rf"\{letter if 'NOT_' in name else letter.lower()}", self._flags & re.ASCII
                )
                return lambda char: category.match(char) is not None
            case "ANY":
                return lambda char: char != "\n" or bool(self._flags & re.DOTALL)
            case "IN":
                readers = [
                    self._reader(str(kind), each)
                    for kind, each in argument
                    if str(kind) != "NEGATE"
                ]
                negates = len(readers) < len(argument)
                return lambda char: any(reads(char) for reads in readers) is not negates
        raise AssertionError(f"unknown operation {op}")

    def degree(self) -> str:
        """Return how matching grows with the text: "linear", "polynomial" or "exponential"."""
        states = frozenset(range(len(self.reads)))
        starts = self._loops(states)
        loops = self._loops(states - self.free)
        if any(self._is_doubled(state, loop) for state, loop in loops.items()):
            return "exponential"
        for one, start in starts.items():
            for other, loop in loops.items():
                if other not in start and self._is_passed_on(one, start, other, loop):
                    return "polynomial"
        return "linear"

    def _loops(self, within: frozenset[int]) -> dict[int, set[int]]:
        """Return the states that reach themselves, each with the states on its ways to itself."""
        reached: dict[int, set[int]] = {}
        for state in within:
            found: set[int] = set()
            waiting = [state]
            while waiting:
                fresh = within.intersection(self.follow[waiting.pop()]) - found
                found |= fresh
                waiting += fresh
            reached[state] = found
        return {
            state: {each for each in found if state in reached[each]}
            for state, found in reached.items()
            if state in found
        }

    def _is_doubled(self, state: int, loop: set[int]) -> bool:
        """Return whether a state reaches itself by two paths that read the same text."""

        def steps(at: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
            one, other, differs = at
            for i, left in enumerate(self.follow[one]):
                for j, right in enumerate(self.follow[other]):
                    if loop.issuperset((left, right)) and self.reads[left] & self.reads[right]:
                        yield left, right, int(differs or one != other or i != j)

        return _leads((state, state, 0), (state, state, 1), steps)

    def _is_passed_on(self, one: int, start: set[int], other: int, loop: set[int]) -> bool:
        """Return whether one text leads from `one` to itself, to `other`, and from `other` to
        itself.
        """

        def steps(at: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
            for first in start.intersection(self.follow[at[0]]):
                for last in loop.intersection(self.follow[at[2]]):
                    both = self.reads[first] & self.reads[last]
                    for middle in set(self.follow[at[1]]) if both else ():
                        if both & self.reads[middle]:
                            yield first, middle, last

        return _leads((one, one, other), (one, other, other), steps)


def degree(pattern: re.Pattern[Any], uses: Uses = ALL_USES) -> str:
    """Return how matching grows with the text in the worst of these uses of a pattern."""
    found = {Automaton(pattern, use).degree() for use in uses}
    return min(found, key=["exponential", "polynomial", "linear"].index)


def _leads(
    start: tuple[int, ...], end: tuple[int, ...], steps: Callable[[Any], Iterator[tuple[int, ...]]]
) -> bool:
    seen = {start}
    waiting = [start]
    while waiting:
        for step in steps(waiting.pop()):
            if step == end:
                return True
            if step not in seen:
                seen.add(step)
                waiting.append(step)
    return False


def _either(parts: list[Part]) -> Part:
    made = Part(is_optional=False, is_inner=False, is_free=False)
    for part in parts:
        made.first += part.first
        made.inner_first += part.inner_first
        made.last += part.last
        made.free_last += part.free_last
        made.is_optional |= part.is_optional
        made.is_inner |= part.is_inner
        made.is_free |= part.is_free
    return made


def _mentioned(tree: Any) -> Iterator[str]:
    """Yield the characters that a pattern mentions, and their neighbours."""
    for node in tree:
        match node:
            case int():
                for code in (node - 1, node, node + 1):
                    if 0 <= code <= 0x10FFFF:
                        yield from (chr(code), chr(code).lower()[0], chr(code).upper()[0])
            case tuple() | list() | PARSER.SubPattern():
                yield from _mentioned(node)
