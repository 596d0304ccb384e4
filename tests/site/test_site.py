"""The built site is complete, and loads nothing from other hosts. mkdocs warns of links to pages
that do not exist.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import pytest
import yaml

from hooksync import __version__
from tests.command_line import ROOT
from tests.site.conftest import Site

pytestmark = pytest.mark.slow

MOST_WORDS = 48_000  # in the index of the search
MOST_PAGES = 26  # in the navigation
LONGEST_PAGE = 4_000  # words; only pages of the reference may be longer
ONE_HOUR = 12_000  # words that a user reads in an hour
PLATFORMS = ("github", "gitlab", "jenkins", "kubernetes")
# questions of new users, and the places of the answers
QUESTIONS = {
    "How do I rotate a secret?": "rotating-secrets.html#a-receiver-that-can-hold-two-secrets",
    "Will it touch a vendor's webhooks?": "other-webhooks.html#what-hooksync-owns",
    "A run died half-way. What now?": "recovering.html#a-run-was-killed-or-crashed",
    "Which permissions does the account need?": "security.html#permissions-of-the-account",
    "How do I run it in GitLab?": "gitlab.html#set-it-up",
    "How do I write a receiver in Node?": "receivers.html#in-javascript-with-node-or-in-go",
}
# attributes that load a file; href does so, too, except that of <a>
LOADING = {
    "src",
    "srcset",
    "poster",
    "data",
    "action",
    "ping",
    "style",
}


class Loads(HTMLParser):
    """A parser that collects the addresses that a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: set[str] = set()
        # blocks of code are most of a page, and load nothing
        self.feed(re.sub("<pre.*?</pre>", "", text, flags=re.DOTALL))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in LOADING or (name == "href" and tag != "a"):
                self.loads.add(value or "")


def test_the_site_is_built_without_a_warning(site: Site) -> None:
    usual = (
        r"INFO +-  (Cleaning site directory|Building documentation to directory: .*|Documentation"
        r" built in .*)"
    )
    assert not [line for line in site.said.splitlines() if not re.fullmatch(usual, line)]


def test_no_page_of_the_site_loads_anything_from_a_different_host(site: Site) -> None:
    foreign = re.compile(r"//[\w.-]+\.\w")
    found = [
        f"{page.relative_to(site.folder)}: {each}"
        for page in site.pages
        for each in Loads(page.read_text(encoding="utf-8")).loads
        if foreign.search(each)
    ]
    for style in site.folder.rglob("*.css"):
        found += re.findall(
            r"""(?:url\(|@import)\s*["']?(?:https?:)?//[^)"']*""", style.read_text(encoding="utf-8")
        )
    assert not found


def test_pages_of_the_project_outside_docs_are_on_the_site(site: Site) -> None:
    names = {page.relative_to(site.folder).as_posix() for page in site.pages}
    assert {
        "project/contributing.html",
        "project/changelog.html",
        "project/security.html",
        "examples/receivers/index.html",
    } < names
    assert "schemas/plan.schema.json.html" in names


def test_every_page_shows_the_version(site: Site) -> None:
    shown = f"hooksync {__version__}"
    assert [page for page in site.pages if shown not in page.read_text(encoding="utf-8")] == []


class Links(HTMLParser):
    """A parser that collects the links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and values.get("href"):
            self.targets.add(values["href"] or "")
        if values.get("id"):
            self.anchors.add(values["id"] or "")


def test_a_stranger_finds_each_answer_within_two_clicks_of_the_landing_page(site: Site) -> None:
    home = site.folder.as_uri() + "/"
    links = {page.as_uri(): Links(page.read_text(encoding="utf-8")) for page in site.pages}
    reached = {urljoin(home, "index.html")}
    for _ in range(2):
        shown = {urldefrag(address).url for address in reached}
        for page in shown & links.keys():
            reached |= {urljoin(page, target) for target in links[page].targets}
    for question, place in QUESTIONS.items():
        page, anchor = urldefrag(urljoin(home, place))
        assert anchor in links[page].anchors, question
        assert f"{page}#{anchor}" in reached, question


def searched(site: Site) -> list[dict[str, str]]:
    """Return the sections in the index of the search."""
    text = (site.folder / "search" / "search_index.json").read_text(encoding="utf-8")
    documents: list[dict[str, str]] = json.loads(text)["docs"]
    return documents


def words_of_pages(site: Site) -> Counter[str]:
    """Return the number of words of each page in the index of the search."""
    words: Counter[str] = Counter()
    for section in searched(site):
        text = re.sub("<[^>]+>", " ", f"{section['title']} {section['text']}")
        words[section["location"].partition(".html")[0]] += len(text.split())
    return words


def parts_of_the_navigation() -> dict[str, list[str]]:
    """Return the pages of each part of the navigation."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    parts: dict[str, list[str]] = {}
    for part in yaml.safe_load(text.partition("\nnav:")[2]):
        for name, pages in part.items():
            parts[name] = [path.removesuffix(".md") for page in pages for path in page.values()]
    return parts


def test_the_number_and_the_length_of_pages_stay_within_their_limits(site: Site) -> None:
    words = words_of_pages(site)
    parts = parts_of_the_navigation()
    assert list(parts) == ["Start", "Guides", "Concepts", "Reference"]
    assert sum(map(len, parts.values())) <= MOST_PAGES
    assert words.total() <= MOST_WORDS
    too_long = [page for page in words if words[page] > LONGEST_PAGE]
    assert set(too_long) <= set(parts["Reference"])


def test_a_new_user_can_read_the_start_and_the_guides_of_one_platform_in_an_hour(
    site: Site,
) -> None:
    words = words_of_pages(site)
    parts = parts_of_the_navigation()
    others = sorted(words[platform] for platform in PLATFORMS)[:-1]  # all but the longest
    assert sum(words[page] for page in parts["Start"] + parts["Guides"]) - sum(others) <= ONE_HOUR


def test_the_search_leads_to_no_page_for_contributors(site: Site) -> None:
    found = {section["location"].partition("#")[0] for section in searched(site)}
    assert "messages.html" in found
    pages = list((site.folder / "internals").glob("*.html"))
    assert len(pages) > 4
    assert found.isdisjoint(page.relative_to(site.folder).as_posix() for page in pages)
