"""Writes docs/internals/attacks.md: the families of attacks and their numbers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FAMILIES = sorted(path.stem for path in FOLDER.glob("test_*.py") if path.stem != "test_attacks")

HEAD = """\
# Attacks

<!-- Made by `python -m tests.attacks`; not to be edited. -->

This page counts what is tried against hooksync. The attacks use real calls over real sockets, to a service, a
receiver or a proxy that sends what an attack plants, byte by byte; and hooks files, plans, states and policies that
are made to harm. Most attacks come from tables, which put each text into each field and each format, and run the
commands within the tests' process. Each family that is about processes (time, memory, signals, files) runs whole
ones, too. Each run of all tests plays so many rows of a table that each value of each column is in one of them;
`python -m tests.attacks` plays all.

An attack gets through when a secret, a password, a token or a key in a URL is shown in any form that can be decoded,
when something arrives where nothing may, when a text controls a terminal or a CI runner or is markup in a comment, when
more is changed than was asked for, or when a run takes more time or memory than it may.

{summary}

| family | attacks | each change plays | what is tried |
|---|---|---|---|
{rows}

[tests/attacks/breaks.py](../../tests/attacks/breaks.py) removes one defence at a time, to check that attacks of its
family that each change plays then get through.
[The threat model](../threat-model.md) says which test holds which promise.
"""


def page(attacks: Mapping[str, int], nightly: Mapping[str, int], through: Sequence[str]) -> str:
    """Write the page. `attacks`: the number of each file; `nightly`: of those that campaigns alone
    play.
    """
    rows = []
    for each in FAMILIES:
        number = attacks.get(each, 0)
        usual = number - nightly.get(each, 0)
        rows.append(f"| {_name(each)} | {number:,} | {usual:,} | {_what(each)} |")
    total = sum(attacks.get(each, 0) for each in FAMILIES)
    usual = total - sum(nightly.get(each, 0) for each in FAMILIES)
    summary = (
        f"**{total:,} attacks. Each change plays {usual:,} of them, and none may get through.**"
    )
    failed = "".join(f"\n- got through: `{each}`" for each in through)
    return HEAD.format(summary=summary + failed, rows="\n".join(rows))


def _name(family: str) -> str:
    return f"[{family.removeprefix('test_').replace('_', ' ')}](../../tests/attacks/{family}.py)"


def _what(family: str) -> str:
    module = importlib.import_module(f"tests.attacks.{family}")
    return " ".join((module.__doc__ or "").partition("\n\n")[0].split()).removesuffix(".")
