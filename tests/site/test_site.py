"""The site as it is built: whole, and without a request to another host. mkdocs warns of links that
lead nowhere.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from tests.site.conftest import Site

pytestmark = pytest.mark.slow

MOST_WORDS = 48_000  # of the search
# attributes; and href, but of <a>
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
    """What a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: set[str] = set()
        # code, which is most of it, and has none
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


def test_the_site_asks_no_other_host_for_anything(site: Site) -> None:
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


def test_every_page_of_the_project_is_on_the_site(site: Site) -> None:
    names = {page.relative_to(site.folder).as_posix() for page in site.pages}
    assert {
        "project/contributing.html",
        "project/changelog.html",
        "project/security.html",
        "examples/receivers/index.html",
    } < names
    assert "schemas/plan.schema.json.html" in names


def searched(site: Site) -> list[dict[str, str]]:
    """Read what the search of the site knows."""
    text = (site.folder / "search" / "search_index.json").read_text(encoding="utf-8")
    documents: list[dict[str, str]] = json.loads(text)["docs"]
    return documents


def test_the_search_finds_few_words_so_that_it_finds_what_users_look_for(site: Site) -> None:
    words = 0
    for section in searched(site):
        text = re.sub("<[^>]+>", " ", f"{section['title']} {section['text']}")
        words += len(text.split())
    assert words <= MOST_WORDS


def test_the_search_leads_to_no_page_for_contributors(site: Site) -> None:
    found = {section["location"].partition("#")[0] for section in searched(site)}
    assert "messages.html" in found
    pages = list((site.folder / "internals").glob("*.html"))
    assert len(pages) > 4
    assert found.isdisjoint(page.relative_to(site.folder).as_posix() for page in pages)
