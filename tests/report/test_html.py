"""A plan as an HTML page: what others wrote is no markup, nothing is loaded, and all is told."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from hooksync.output.html import plan_html
from tests.conftest import Place
from tests.report.test_markdown import HOSTILE, hostile_view, large, view


class Page(HTMLParser):
    """Reads a page as a browser does, as far as tags, attributes and texts go."""

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
def test_whatever_a_text_holds_it_is_no_markup(text: str) -> None:
    page, plain = (Page(plan_html(hostile_view(each), each, each)) for each in (text, "x"))
    # a wide table is turned
    tags, usual = ([tag for tag in each.tags if tag != "tr"] for each in (page, plain))
    assert (tags, page.names) == (usual, plain.names)
    assert "".join(page.text.split("\n")).isprintable()


def test_a_page_loads_nothing_and_tells_all_there_is() -> None:
    text = plan_html(view(large(30, "archive-prod"), large(3, "archive-test")), "0" * 32, "c0ffee")
    page = Page(text)
    assert not page.names & {"src", "href", "action", "srcset", "style"}
    assert not re.search(r"@import|url\(|fetch|XMLHttp|innerHTML", text)
    assert page.tags.count("section") == 2
    assert page.tags.count("details") == 33 + 3  # each step, and the old ones
    assert "Plan: 33 to subscribe" in page.text
    assert f"Plan {'0' * 32}, made at" in page.text
    assert "at the commit c0ffee." in page.text
    assert 'data-tenancy="archive-test"' in text


def test_plan_and_show_write_the_same_page_and_apply_none(place: Place) -> None:
    planned = place.run("plan", "--format", "html", "--out", "plan.json", "--color", "always")
    assert planned.code == 0
    assert planned.out.startswith("<!doctype html>\n")
    assert "\x1b" not in planned.out
    assert place.run("show", "plan.json", "--format", "html").out == planned.out
    assert place.run("apply", "--format", "html").code == 64
