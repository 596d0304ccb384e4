"""The site in a browser: every page at the width of a phone and of a desktop, in both
colour schemes, and the search.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser

from tests.lanes import sampled
from tests.site.browser import DESKTOP, PHONE, SCHEMES, Reader, served
from tests.site.conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARTS = 8  # of the pages, for as many workers; three quarters of the parts are tested only at night
# the names in tables that are broken within a word
BROKEN = """() => [...document.querySelectorAll("td code")].filter(each => {
  const lines = new Set([...each.getClientRects()].map(({ top }) => top))
  return lines.size > each.textContent.split(/[-_/:=, ]+/).length
}).map(each => each.textContent)"""
# the folder for a picture of each page, if any
SCREENSHOTS = os.environ.get("HOOKSYNC_TEST_SCREENSHOTS")


@pytest.fixture
def reader(browser: Browser, site: Site) -> Iterator[Reader]:
    reader = Reader(browser, site.folder.as_uri())
    yield reader
    reader.page.context.close()


def is_source(page: Path) -> bool:
    """Return whether the page shows a file of the project unchanged, as app.py.html does."""
    return "." in page.stem


@pytest.mark.parametrize("part", sampled(range(PARTS), 1, 4))
def test_every_page_is_complete_and_accessible_on_a_phone_and_on_a_desktop(
    part: int, site: Site, reader: Reader
) -> None:
    pages = [page for page in site.pages if not is_source(page)]
    # one page of each kind, because all are generated in the same way
    by_kind = {Path(page.stem).suffix: page for page in site.pages if is_source(page)}
    faults = {}
    for number, page in enumerate([*pages, *by_kind.values()][part::PARTS]):
        looks = zip((PHONE, DESKTOP), SCHEMES[:: 1 - number % 2 * 2], strict=True)
        for place, (size, scheme) in enumerate(looks):
            name = page.relative_to(site.folder).with_suffix(".png")
            reader.open(page.as_uri(), size, scheme)
            if SCREENSHOTS:
                reader.page.screenshot(
                    path=Path(SCREENSHOTS, f"{size[0]} px", name), full_page=True
                )
            if place == number // 2 % 2:  # once for each page; widths and schemes take turns
                reader.check_access()
            faults[f"{name.with_suffix('')}, {size[0]} px, {scheme}"] = reader.faults[:]
            reader.faults.clear()
    assert not {page: found for page, found in faults.items() if found}


@pytest.mark.nightly
def test_a_page_that_shows_a_file_of_the_project_fits_on_a_phone(
    site: Site, reader: Reader
) -> None:
    for page in filter(is_source, site.pages):
        reader.open(page.as_uri(), PHONE)
    assert not reader.faults


@pytest.mark.parametrize("name", ["recovering", "internals/threat-model"])
def test_on_a_phone_no_table_breaks_a_name_within_a_word(
    name: str, site: Site, reader: Reader
) -> None:
    reader.open((site.folder / f"{name}.html").as_uri(), PHONE)
    assert reader.page.locator("td code").count()
    assert reader.page.evaluate(BROKEN) == []


@pytest.mark.parametrize("wide", ["pre > code", "p:has(> img)"])
def test_on_a_phone_wide_content_fades_out_at_its_edge_until_it_is_scrolled_to_its_end(
    wide: str, site: Site, reader: Reader
) -> None:
    reader.open((site.folder / "project/readme.html").as_uri(), PHONE)
    first = reader.page.locator(wide).first.element_handle()
    for place, shown in ((0, True), (9_999, False), (0, True)):
        first.evaluate("(each, place) => { each.scrollLeft = place }", place)
        hint = '([each, shown]) => (getComputedStyle(each).maskImage !== "none") === shown'
        reader.page.wait_for_function(hint, arg=[first, shown])


class Quiet(SimpleHTTPRequestHandler):
    """A handler that serves a folder and writes no log."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("way", ["from a folder", "from a server"])
def test_a_search_leads_to_a_page_that_has_the_word(
    way: str, site: Site, browser: Browser, stack: ExitStack
) -> None:
    home = site.folder.as_uri()
    if way == "from a server":
        home = stack.enter_context(served(partial(Quiet, directory=site.folder)))
    reader = Reader(browser, home)
    reader.open(f"{home}/upgrade.html")
    page = reader.page
    page.get_by_role("textbox", name="Search").click()
    page.keyboard.type("rotate")
    page.locator(".md-search-result__link").first.click()
    page.wait_for_url(lambda address: "upgrade" not in address)
    assert "rotat" in page.locator("main").inner_text().lower()
    assert not reader.faults
    page.context.close()


LOOKED_FOR = {
    "vendor": "other-webhooks",
    "undo": "recovering",
    "roll back": "recovering",
    "crash": "recovering",
    "killed": "recovering",
    "upgrade": "upgrade",
    "migrate": "upgrade",
    "move server": "upgrade",
    "permissions": "security",
    "roles": "install",
    "two at once": "state",
    "concurrent": "state",
    "node": "receivers",
    "javascript": "receivers",
    "api calls": "install",
    "windows": "install",
    "install": "install",
}
PAGES_FOUND = """all => all.map(each => {
  const { pathname } = new URL(each.querySelector("a").href)
  return pathname.split("/").pop().replace(".html", "")
})"""


def test_a_search_for_common_words_finds_the_right_page_among_the_first_three(
    site: Site, browser: Browser, stack: ExitStack
) -> None:
    home = stack.enter_context(served(partial(Quiet, directory=site.folder)))
    page = browser.new_context(reduced_motion="reduce").new_page()
    missed = {}
    for words, wanted in LOOKED_FOR.items():
        page.goto(f"{home}/index.html?{urlencode({'q': words})}")
        page.wait_for_selector(".md-search-result__item", state="attached")
        found = page.eval_on_selector_all(".md-search-result__item", PAGES_FOUND)
        if wanted not in found[:3]:
            missed[words] = found[:5]
    page.context.close()
    assert not missed


def test_the_copy_button_of_a_block_copies_only_its_commands(site: Site, reader: Reader) -> None:
    reader.open((site.folder / "a-month.html").as_uri())
    block = reader.page.locator("pre:has(.gp)").first
    shown = block.locator("code").inner_text()
    copied = block.locator("[data-md-type=copy]").get_attribute("data-clipboard-text")
    assert copied
    commands = [line[2:] for line in shown.splitlines() if line.startswith("$ ")]
    assert copied.splitlines() == commands


def test_an_output_has_no_copy_button_and_a_replacement_is_orange(
    site: Site, reader: Reader
) -> None:
    reader.open((site.folder / "quick-start.html").as_uri())
    for language, state in (("console", "visible"), ("output", "hidden"), ("diff", "hidden")):
        button = reader.page.locator(f".language-{language} [data-md-type=copy]").first
        button.wait_for(state="attached")
        button.wait_for(state=state)
    replaced = reader.page.locator(".language-diff .replaced")
    assert replaced.inner_text().startswith("+/-")
    colour = replaced.evaluate("each => getComputedStyle(each).backgroundColor")
    assert colour == "rgba(255, 145, 0, 0.2)"
