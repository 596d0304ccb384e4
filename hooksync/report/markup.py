"""What all Markdown of ours is made with: text that cannot act, fences that cannot be left, and the room there is.

Pure: it makes strings and knows nothing of plans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hooksync.core.redaction import printable

LIMIT = 65_536  # bytes of UTF-8 that GitHub takes for a comment
ROOM = LIMIT - 4_096  # what ours may fill: a workflow adds lines of its own, and Windows ends each line with two bytes

_ACTIVE = re.compile(r"[^0-9A-Za-z ,;=?/%().-]|(?<=www)\.")
_SENTENCE = re.compile(r"[0-9A-Za-z][0-9A-Za-z ,;:.()-]*")
_MADE_A_LINK = re.compile(r"www\.|\bgh-[0-9]", re.IGNORECASE)
_BACKTICKS = re.compile("`+")
_SHORTEST_FENCE = 3


def marker(kind: str) -> str:
    """Write what nobody sees and a bot finds its own comment by."""
    return f"<!-- hooksync:{kind} -->"


def escaped(text: str) -> str:
    """Write any text so that it stays on its line, says what it says, and makes no link, no mention and no markup.

    A character reference starts nothing in Markdown, and nobody is mentioned and nothing linked within <code>.
    """
    if not text or (text.replace("-", "").isalnum() and not _MADE_A_LINK.search(text)):
        return text
    return f"<code>{_ACTIVE.sub(lambda found: f'&#{ord(found[0])};', printable(text))}</code>"


def sentence(text: str) -> str:
    """Write a sentence of ours as it is, unless what was put into it could act."""
    return text if _SENTENCE.fullmatch(text) and not _MADE_A_LINK.search(text) else escaped(text)


def fenced(language: str, lines: Sequence[str]) -> list[str]:
    """Put lines, none of which may hold a line break, into a block that nothing in them ends."""
    longest = max((len(run) for line in lines for run in _BACKTICKS.findall(line)), default=0)
    fence = "`" * max(_SHORTEST_FENCE, longest + 1)
    return [f"{fence}{language}", *lines, fence]


def size(lines: Iterable[str]) -> int:
    """Count the bytes that lines take, with their line breaks."""
    return sum(len(line.encode()) + 1 for line in lines)


def fitting(items: Iterable[Sequence[str]], room: int) -> int:
    """Count the items, of some lines each, that fit one after another into so many bytes."""
    number = 0
    for item in items:
        room -= size(item)
        if room < 0:
            break
        number += 1
    return number


def shares(needs: Sequence[int], room: int) -> list[int]:
    """Share bytes out: who needs little gets it, and what that leaves is for the others in equal parts."""
    given = [0] * len(needs)
    for done, index in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        given[index] = min(needs[index], room // (len(needs) - done))
        room -= given[index]
    return given
