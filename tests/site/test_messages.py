"""The page of messages has each that the code can give, and each that it has is given."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from hooksync.config.document import read_document
from hooksync.config.files import Source
from hooksync.core.errors import FileError, Problem
from tests.command_line import hooksync
from tests.config.test_bad_input import GOOD, MISTAKES
from tests.site import messages as page
from tests.site.messages import PASSED_ON, entries, entry_of, groups, is_readable, normal
from tests.site.parts import DOCS

SAID = r"^(?:error: |refused: |warning: |\w+ +\w[\w ]+?   +)?(?:\S+:\d+:\d+: )?(.+)\n +fix: "  # each with its fix below
HOW = "edit tests/site/messages.yaml, then run python -m tests.site"


def test_every_place_that_makes_a_message_is_read() -> None:
    """Each gives a text with words of its own, or is one of those that pass on what others say."""
    assert len(page.places()) > 150
    silent = [place.lineno for place, found in page.places() if not found and not is_empty_by_intent(place)]
    assert silent == []
    passed_on = {each.place for _, found in page.places() for each in found if not is_readable(normal(each.what))}
    assert passed_on == PASSED_ON.keys(), HOW


def is_empty_by_intent(place: ast.AST) -> bool:
    """Whether a place says nothing: `ProbeResult("ready", "", "")`."""
    return isinstance(place, ast.Call) and isinstance(place.args[0], ast.Constant) and place.args[0].value == "ready"


def test_every_message_of_the_code_has_an_entry() -> None:
    known = {template for entry in entries() for template in entry.templates}
    said = {normal(message.what): message for message in page.messages()}
    assert [f"{each.place}: {text}" for text, each in said.items() if is_readable(text) and text not in known] == [], (
        HOW
    )


def test_every_entry_has_a_message_of_the_code() -> None:
    said = {normal(message.what) for message in page.messages()}
    stale = [(entry.title, each) for entry in entries() if not entry.is_foreign for each in entry.templates]
    assert [(title, each) for title, each in stale if each not in said] == [], HOW


def test_every_entry_says_how_to_fix_it() -> None:
    known = page.fixes()
    missing = [
        (entry.title, each) for entry in entries() if not entry.fix for each in entry.templates if not known.get(each)
    ]
    assert missing == []


def test_anchors_are_unique_and_the_same_everywhere() -> None:
    """A title of plain words makes the same anchor on a forge and on the site."""
    titles = [entry.title for entry in entries()] + [group.title for group in groups()]
    assert all(re.fullmatch("[A-Za-z0-9]+(?:[ -][A-Za-z0-9]+)*", title) for title in titles)
    assert len({title.lower() for title in titles}) == len(titles)


def test_links_within_the_page_lead_to_an_entry() -> None:
    text = (DOCS / page.PAGE).read_text(encoding="utf-8")
    anchors = {entry.anchor for entry in entries()}
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(links) == 10
    assert set(links) <= anchors


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(FileError) as caught:
        read_document([Source("hooks.yaml", "", text.encode())])
    return caught.value.problems


def test_what_is_said_of_bad_hooks_files_has_its_entry() -> None:
    said = {problem.what for before, after, *_ in MISTAKES for problem in problems_of(GOOD.replace(before, after, 1))}
    assert len(said) > 100
    assert [what for what in said if entry_of(what) is None] == []


# what is typed | the title of the entry that tells of it
TYPED = [
    ("plan --no-such", "Unknown flag or argument"),
    ("plan --parallelism x", "Flag without a right value"),
    ("plan --timeout", "Flag without a right value"),
    ("state", "Command is missing"),
    ("state move a/b/MOVED", "Flag without a right value"),
    ("completion", "Shell is missing"),
    ("fire", "No receiver named"),
    ("fire --url https://fn.example.net/${X --secret env:S", "Malformed URL flag"),
    ("fire --url https://fn.example.net/ --secret hunter2", "Secret on the command line"),
    ("apply --max-age 1h", "Flag that needs another"),
    ("validate", "No hooks file found"),
    ("show none.plan", "File cannot be read"),
    ("validate -f good.yaml --tenancy nobody", "Glob that matches nothing"),
    ("validate -f good.yaml --shard 3/2", "Invalid shard"),
    ("validate -f empty.yaml", "Empty file"),
    ("validate -f twice.yaml", "Tenancy declared twice"),
    ("plan -f good.yaml", "Variable not set"),
    ("show good.yaml", "File is not a saved plan"),
    ("state show --state empty.yaml", "State is damaged"),
    ("state show --state good.yaml", "State is damaged"),
    ("state show --state none.state.json", "No state there"),
    ("state show --state git:a..b", "Branch or object that cannot hold a state"),
    ("state show --state ftp://a/b", "Branch or object that cannot hold a state"),
    ("state show --state s3://a", "Branch or object that cannot hold a state"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "empty.yaml").write_text("")
    other = re.sub("(?s).*tenancies:", "", GOOD).replace("prod:", "other:")
    (tmp_path / "twice.yaml").write_text(GOOD + other)
    return tmp_path


@pytest.mark.parametrize(("typed", "title"), TYPED, ids=[typed for typed, _ in TYPED])
def test_what_a_command_says_has_its_entry(typed: str, title: str, folder: Path) -> None:
    run = hooksync(typed.split(), {}, folder)
    assert run.code not in (0, 2)
    found = [entry.title for what in re.findall(SAID, run.err, re.MULTILINE) for entry in [entry_of(what)] if entry]
    assert title in found, run.err


def test_the_example_at_the_top_is_what_is_said(folder: Path) -> None:
    text = (DOCS / page.PAGE).read_text(encoding="utf-8")
    example = re.findall(r"```text\n(.*?)```", text, re.DOTALL)[0]
    (folder / "hooks.yaml").write_text(GOOD.replace("INDEXED", "INDEXD"))
    said = hooksync(["validate"], {}, folder).err
    assert re.sub(r":\d+:\d+:", "", example) in re.sub(r":\d+:\d+:", "", said)


def test_what_other_pages_show_has_its_entry() -> None:
    shown = {
        what
        for path in DOCS.glob("*.md")
        if path.name != page.PAGE
        for what in re.findall(SAID, path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(shown) > 10
    assert [what for what in shown if entry_of(what) is None] == []
