"""Texts are followed through the code to all that they may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.site.messages import Finder
from tests.site.source import Source

# how a text is made | what and fix of each message
CODE = {
    "constant": ('Problem("it is bad", "be good")', {("it is bad", "be good")}),
    "f-string": ('Problem(f"{path} is bad now", FIX)', {("«path» is bad now", "from afar")}),
    "condition": (
        'what = "it is one" if n == 1 else f"they are {n}"\nProblem(what, "count")',
        {("it is one", "count"), ("they are «n»", "count")},
    ),
    "branches": (
        'if n:\n    what, fix = "first is bad", "a"\nelse:\n    what = "second is bad"\n    fix = "b"\n'
        "Problem(what, fix)",
        {("first is bad", "a"), ("second is bad", "b")},
    ),
    "addition": (
        'what = "it is bad"\nif n:\n    what += f" for {n}"\nProblem(what, "a")',
        {("it is bad", "a"), ("it is bad for «n»", "a")},
    ),
    "table": (
        'what, fix = TABLE.get(n) or ("what else is there", "c")\nProblem(what, fix)',
        {("one is bad", "a"), ("two are bad", "b"), ("what else is there", "c")},
    ),
    "loop": (
        'for what, fix in pairs():\n    Problem(f"{n}: {what}", fix)',
        {("«n»: one of a pair", "a"), ("«n»: the other of it", "b")},
    ),
    "wrapper": (
        'def note(what, fix="as ever"):\n    Problem(what, fix)\nnote("noted so far")\nnote(*words())',
        {("noted so far", "as ever"), ("returned as words", "so"), ("returned in pieces", "thus")},
    ),
    "error": (
        'try:\n    pass\nexcept ValueError as error:\n    Problem(f"it says: {error}", "a")',
        {("it says: «error»", "a")},
    ),
}

MODULE = """
from hooksync.other import FIX

TABLE = {1: ("one is bad", "a"), **{2: ("two are bad", "b")}}

def pairs():
    yield "one of a pair", "a"
    yield "the other of it", "b"

def words():
    if TABLE:
        return "returned as words", "so"
    return "returned in pieces", "thus"

def function(n, path):
"""


@pytest.mark.parametrize("name", CODE)
def test_a_text_is_all_that_it_may_be(name: str, tmp_path: Path) -> None:
    code, expected = CODE[name]
    package = tmp_path / "hooksync"
    package.mkdir()
    (package / "other.py").write_text('FIX = "from afar"\n')
    (package / "module.py").write_text(MODULE + "".join(f"    {line}\n" for line in code.splitlines()))
    finder = Finder(Source(package))
    [place] = finder.places()
    assert {(found.what, found.fix) for found in finder.messages_of(place)} == expected
