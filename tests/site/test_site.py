"""The built site in a browser: links, overflow, pictures, and the search.

mkdocs itself reports links and anchors that do not exist.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.command_line import ROOT
from tests.site.browser import PHONE, SCHEMES, Reader
from tests.site.parts import DOCS, in_navigation

if TYPE_CHECKING:
    from playwright.sync_api import Browser


pytestmark = pytest.mark.slow

MOST_WORDS = 40_000  # in the index of the search
MOST_WORDS_OF_ALL = 52_000  # of all pages, internals and outputs too
MOST_PAGES = 26  # in the navigation
MOST_FOR_A_PLATFORM = 12_000  # words of Start, of pipelines, and of the guides of a platform
MOST_BYTES_OF_README = 9_000
PLATFORMS = [
    ("github", "saved-plans", "policy"),
    ("gitlab", "saved-plans", "policy"),
    ("jenkins", "saved-plans", "policy"),
    ("kubernetes", "policy"),
]
LONGEST_PAGE = 4_000  # words; only pages of the reference may be longer
REFERENCE = {"hooks-file", "cli", "json", "messages", "what-preservica-sends"}
AXE = ("index", "quick-start", "messages", "cli")  # pages with every kind of element
LOOKED_FOR = {  # by what readers type, the page that must be among the first three
    "40 secrets": "many-tenancies",
    "adopt": "ownership",
    "api calls": "install",
    "backup": "state",
    "concurrent": "two-computers",
    "crash": "recovering",
    "cron": "cron",
    "debug": "messages",
    "delete all": "upgrade",
    "download": "install",
    "dry run": "saved-plans",
    "email": "cron",
    "import": "taking-over",
    "install": "install",
    "javascript": "receivers",
    "killed": "recovering",
    "licence": "install",
    "log": "cron",
    "lost state": "recovering",
    "mail": "cron",
    "migrate": "upgrade",
    "move server": "upgrade",
    "node": "receivers",
    "offboarding": "many-tenancies",
    "performance": "many-tenancies",
    "permissions": "security",
    "rate limit": "messages",
    "retry": "recovering",
    "roles": "install",
    "roll back": "recovering",
    "timeout": "messages",
    "troubleshooting": "messages",
    "two at once": "state",
    "two factor": "install",
    "undo": "recovering",
    "uninstall": "upgrade",
    "unsettled": "messages",
    "upgrade": "upgrade",
    "vendor": "ownership",
    "windows": "install",
}
PAGES_FOUND = """all => all.map(each => {
  const { pathname } = new URL(each.querySelector("a").href)
  return pathname.split("/").pop().replace(".html", "")
})"""


@dataclass(frozen=True)
class Site:
    """The folder of the built site, and the output of its build."""

    folder: Path
    said: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    return Site(folder, done.stdout)


@pytest.fixture
def reader(browser: Browser, site: Site) -> Iterator[Reader]:
    reader = Reader(browser, site.folder.as_uri())
    yield reader
    reader.page.context.close()


def test_the_site_is_built_without_a_warning(site: Site) -> None:
    usual = (
        r"INFO +-  (Cleaning site directory|Building documentation to directory: .*|Documentation"
        r" built in .*)"
    )
    assert not [line for line in site.said.splitlines() if not re.fullmatch(usual, line)]


def words_of(site: Site) -> Counter[str]:
    """Count the words of each page in the index of the search."""
    text = (site.folder / "search" / "search_index.json").read_text(encoding="utf-8")
    words: Counter[str] = Counter()
    for section in json.loads(text)["docs"]:
        content = re.sub("<[^>]+>", " ", f"{section['title']} {section['text']}")
        words[section["location"].partition(".html")[0]] += len(content.split())
    return words


def test_the_search_has_only_pages_for_users_and_they_are_not_too_long(site: Site) -> None:
    words = words_of(site)
    assert "messages" in words
    assert not [page for page in words if page.startswith(("internals/", "project/", "examples/"))]
    assert words.total() <= MOST_WORDS
    assert {page for page in words if words[page] > LONGEST_PAGE} <= REFERENCE


def test_the_documentation_is_not_too_long_for_its_readers(site: Site) -> None:
    words = words_of(site)
    start = sum(words[page] for page in in_navigation("Start"))
    for platform in PLATFORMS:
        assert start + sum(words[page] for page in ("pipelines", *platform)) <= MOST_FOR_A_PLATFORM
    assert len(in_navigation(r"\w+")) <= MOST_PAGES
    pages = (page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    assert sum(len(page.split()) for page in pages) <= MOST_WORDS_OF_ALL
    assert (ROOT / "README.md").stat().st_size <= MOST_BYTES_OF_README


def test_every_page_fits_a_phone_has_its_pictures_and_loads_nothing_from_other_hosts(
    site: Site, reader: Reader
) -> None:
    faults = {}
    pages = [page for page in sorted(site.folder.rglob("*.html")) if "." not in page.stem]
    assert len(pages) > 30
    for number, page in enumerate(pages):
        reader.open(page.as_uri(), PHONE, SCHEMES[number % 2])
        if page.stem in AXE:
            reader.check_access()
        faults[page.stem] = reader.faults[:]
        reader.faults.clear()
    assert {page: found for page, found in faults.items() if found} == {}


def test_a_search_for_common_words_finds_the_right_page_among_the_first_three(
    site: Site, reader: Reader
) -> None:
    missed = {}
    home = (site.folder / "index.html").as_uri()
    for words, wanted in LOOKED_FOR.items():
        reader.page.goto(f"{home}?{urlencode({'q': words})}")
        reader.page.wait_for_selector(".md-search-result__item", state="attached")
        found = reader.page.eval_on_selector_all(".md-search-result__item", PAGES_FOUND)
        if wanted not in found[:3]:
            missed[words] = found[:5]
    assert missed == {}
