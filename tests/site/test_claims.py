"""The table of claims names a test for each promise of the README, and for each sentence with
"never", "always", "every" or "only" on the pages for users that are not reference.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.command_line import ROOT
from tests.project.test_readme import BLOCK
from tests.site.parts import DOCS, in_navigation

README = (ROOT / "README.md").read_text(encoding="utf-8")
EVIDENCE = (DOCS / "internals" / "evidence.md").read_text(encoding="utf-8")
TABLE = EVIDENCE.partition("\n## Claims\n")[2].partition("\n## ")[0]
# each claim, which names at least one test; test_docs checks that the tests exist
CLAIMS = re.findall(r"^\| (.+?) \| `.+::test_.+` \|$", TABLE, re.MULTILINE)
ABSOLUTE = re.compile(r"(?<!-)\b(never|always|every|only)\b", re.IGNORECASE)
# guides and concepts to which the pages in the navigation lead
LED_TO = ("github", "gitlab", "jenkins", "kubernetes")
PARTS = ("Start", "Guides", "Concepts")
CODE = re.compile(r"`[^`]*`")
PROOF = re.compile(r" \(\[\w+\]\([^)]*\)\)")  # of a promise of the README
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
COMMENT = re.compile(r"<!-- made by.*?<!-- end of [^>]*>|<[^>]+>", re.DOTALL)
PIECE = re.compile(r"\s*\||\n\s*\n|^\s*(?:[-*]|\d+\.|#+) ", re.MULTILINE)


def pages() -> list[Path]:
    named = [name for part in PARTS for name in in_navigation(part)]
    return [ROOT / "README.md", *(DOCS / f"{name}.md" for name in (*named, *LED_TO))]


def sentences(text: str) -> list[str]:
    """Return the sentences of a page, as they read without its markup and its blocks of code."""
    text = COMMENT.sub("", BLOCK.sub("\n\n", text))
    text = LINK.sub(r"\1", PROOF.sub("", text)).replace("**", "")
    pieces = (" ".join(piece.split()) for piece in PIECE.split(text))
    return [sentence for piece in pieces for sentence in re.split(r"(?<=[.?!]) ", piece)]


def promises() -> list[str]:
    section = README.partition("\n## What it promises\n\n")[2].partition("\n\n")[0]
    return [sentence for sentence in sentences(section) if sentence]


def test_each_promise_and_each_absolute_sentence_is_a_claim_with_a_test() -> None:
    said = {
        sentence: page.name
        for page in pages()
        for sentence in sentences(page.read_text(encoding="utf-8"))
        if ABSOLUTE.search(CODE.sub("", sentence))
    }
    without_proof = {claim: page for claim, page in said.items() if claim not in CLAIMS}
    assert without_proof == {}
    assert [promise for promise in promises() if promise not in CLAIMS] == []


def test_each_claim_of_the_table_is_on_a_page() -> None:
    text = " ".join(
        sentence for page in pages() for sentence in sentences(page.read_text(encoding="utf-8"))
    )
    assert [claim for claim in CLAIMS if claim not in text] == []
