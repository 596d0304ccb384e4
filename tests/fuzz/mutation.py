"""Changes inputs: their bytes, words and encodings, and the tree of a YAML or JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import yaml

LONGEST = 64 * 1024  # bytes of an input

_MOST_CHANGES = 5  # to one input
_LARGEST_TREE = 8 * 1024  # bytes; a longer text is not parsed into a tree
_ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "utf-8-sig", "latin-1")
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_DUMPER = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**53, 2**64, 10**400, 0.5, -0.0, 1e308, float("inf"), float("nan"), "", " ", "\0",
    "a\nb", "\x1b[2J", "\u2028", "\ufeff", "\ud800", "\u017f", "\u0663", "<<", "${HOST}", "a" * 300, [], {}, [[]],
    {"": None}, {"<<": {}},
)  # fmt: skip


class Mutator:
    """Makes new inputs from old inputs. Equal dice and inputs give equal new inputs."""

    def __init__(self, dice: Random, words: Sequence[bytes]) -> None:
        self._dice = dice
        self._words = words
        ways = (
            self._put,
            self._put,
            self._put,
            self._replace,
            self._repeat,
            self._encode,
            self._tree,
            self._tree,
        )
        # the results are mostly well-formed
        gentle = (
            self._tree,
            self._tree,
            self._tree,
            self._replace,
        )
        self._ways: tuple[tuple[Callable[[bytes, bytes], bytes], ...], ...] = (ways, gentle)

    def mutate(self, pool: Sequence[bytes]) -> bytes:
        """Make a new input from inputs of the pool."""
        data = self._dice.choice(pool)
        ways = self._dice.choice(self._ways)
        for _ in range(self._dice.randint(1, _MOST_CHANGES)):
            data = self._dice.choice(ways)(data, self._dice.choice(pool))[:LONGEST]
        return data

    def _span(self, data: bytes, longest: int) -> tuple[int, int]:
        start = self._dice.randint(0, len(data))
        return start, min(len(data), start + self._dice.randint(0, longest))

    def _put(self, data: bytes, other: bytes) -> bytes:
        """Replace few or many bytes with a byte, a word, a part of an input, or nothing."""
        start, end = self._span(data, self._dice.choice((0, 1, 16, len(data))))
        begin, stop = self._span(other, len(other))
        byte = bytes([self._dice.randrange(256)])
        return (
            data[:start]
            + self._dice.choice((byte, self._word(), other[begin:stop], b""))
            + data[end:]
        )

    def _word(self) -> bytes:
        return self._dice.choice(self._words)

    def _replace(self, data: bytes, _: bytes) -> bytes:
        """Replace one, two or all occurrences of a word with a word."""
        return data.replace(self._word(), self._word(), self._dice.choice((1, 2, -1)))

    def _repeat(self, data: bytes, _: bytes) -> bytes:
        """Repeat words or a part of the input many times, for depth, length and floods."""
        start, end = self._span(data, 64)
        part = self._dice.choice((data[start:end], self._word(), self._word() + self._word()))
        return (
            data[:start]
            + part * self._dice.choice((2, 101, self._dice.randrange(1200), 30_000))
            + data[end:]
        )

    def _encode(self, data: bytes, _: bytes) -> bytes:
        if self._dice.random() < 0.7:  # most readers refuse every other encoding at once
            return data
        return data.decode("utf-8", "replace").encode(self._dice.choice(_ENCODINGS), "replace")

    def _tree(self, data: bytes, _: bytes) -> bytes:
        """Change a node: its value, its place (in YAML by an alias), or its keys."""
        if len(data) > _LARGEST_TREE:
            return data
        try:
            return self._changed_tree(data)
        except Exception:  # an input that cannot be parsed or written again is not changed
            return data

    def _changed_tree(self, data: bytes) -> bytes:
        is_json = data.lstrip()[:1] in (b"{", b"[")
        if not is_json and (b"<<" in data or data.count(b"*") > 8):
            return data  # PyYAML may take forever
        tree = [json.loads(data) if is_json else yaml.load(data, _LOADER)]
        nodes = _nodes(tree)
        holder, key = self._dice.choice(nodes)
        _, word = self._dice.choice(nodes)
        from_holder, from_key = self._dice.choice(nodes)
        match self._dice.randrange(6):
            case 0 | 1:
                holder[key] = self._dice.choice(_VALUES)
            case 2:
                holder[key] = from_holder[from_key]
            case 3:
                holder[key] = {str(word): holder[key], "x-a": from_holder[from_key]}
            case 4 if holder is not tree:
                del holder[key]
            case _ if isinstance(holder, dict):
                holder[self._dice.choice((str(word), f"x-{key}", ""))] = from_holder[from_key]
            case _:
                holder[key] = [holder[key]] * self._dice.choice((2, 20))
        if is_json:
            return json.dumps(tree[0], ensure_ascii=self._dice.random() < 0.5).encode(
                "utf-8", "surrogatepass"
            )
        is_flow = self._dice.choice((True, False, None))
        text: str = yaml.dump(tree[0], Dumper=_DUMPER, sort_keys=False, default_flow_style=is_flow)
        return text.encode("utf-8", "surrogatepass")


def _nodes(tree: Any) -> list[tuple[Any, Any]]:
    """Return every place of a tree once, as its container and its key or index."""
    found, seen, waiting = [], set(), [tree]
    while waiting:
        holder = waiting.pop()
        if id(holder) in seen or not isinstance(holder, dict | list):
            continue
        seen.add(id(holder))
        pairs = list(holder.items() if isinstance(holder, dict) else enumerate(holder))
        found += [(holder, key) for key, _ in pairs]
        waiting += [value for _, value in pairs]
    return found
