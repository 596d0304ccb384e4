"""A plan as an HTML page: it escapes all texts, loads nothing, and shows every step."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.record import replace
from hooksync.render.html import html
from tests.reconcile.planning import run_of
from tests.report.test_markdown import HOSTILE, hostile_plan, large


class Page(HTMLParser):
    """Reads the tags, attributes and texts of a page as a browser does."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(
    st.text(min_size=1)
    | st.text(alphabet="<>&\"'/=!-\n\u2028\u202e ", min_size=1)
    | st.sampled_from([HOSTILE, "</script><b onload=x>", "-->"])
)
def test_no_text_becomes_markup(text: str) -> None:
    page, plain = (
        Page(html(replace(hostile_plan(each), id=each, commit=each))) for each in (text, "x")
    )
    tags = [tag for tag in page.tags if tag != "code"]  # of what is in backquotes
    assert (tags, page.names) == (plain.tags, plain.names)
    assert "".join(page.text.split("\n")).isprintable()


def test_a_page_loads_nothing_and_shows_every_step() -> None:
    text = html(run_of(large(30, "archive-prod"), large(3, "archive-test"), commit="c0ffee"))
    page = Page(text)
    assert not page.names & {"src", "href", "action", "srcset", "style"}
    assert not re.search(r"@import|url\(|fetch|XMLHttp|innerHTML", text)
    assert page.tags.count("section") == 2
    assert "<title>hooksync plan: archive-prod, archive-test</title>" in text
    assert page.tags.count("details") == 33 + 3  # one for each step of the two tenancies
    assert "Plan: 33 to subscribe" in page.text
    assert f"Plan {'0' * 32}, made at" in page.text
    assert "at the commit c0ffee." in page.text
    assert 'data-tenancy="archive-test"' in text
