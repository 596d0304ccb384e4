"""The HTML page of a plan in a browser: a large page, and a page that may run no script."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hooksync.reconcile.plan import Plan
from hooksync.render.html import html
from tests.reconcile.planning import run_of
from tests.report.test_markdown import large
from tests.site.browser import DESKTOP, PHONE, Reader, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


pytestmark = pytest.mark.slow

# the default of DirectoryBrowserSupport.CSP in Jenkins
JENKINS = "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"
SHOWN = "all => all.filter(each => each.checkVisibility()).length"


@pytest.fixture
def reader(browser: Browser, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(browser, tmp_path.as_uri())
    yield reader
    reader.page.context.close()


def written(plan: Plan, folder: Path) -> str:
    path = folder / "plan.html"
    path.write_text(html(plan), encoding="utf-8")
    return path.as_uri()


def shown(page: Page, what: str) -> int:
    """Return the number of visible elements that match the selector."""
    count: int = page.eval_on_selector_all(what, SHOWN)
    return count


def test_ten_thousand_steps_can_be_searched_filtered_and_unfolded(
    tmp_path: Path, reader: Reader
) -> None:
    address = written(run_of(*(large(500, f"archive-{n}") for n in range(20))), tmp_path)
    reader.open(address)
    page = reader.page
    timing = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    # printed and not asserted, because it depends on the load of the machine
    print(f"opened in {timing:.0f} ms")  # noqa: T201
    assert (page.locator("section").count(), shown(page, "section > .step")) == (20, 11_000)

    page.get_by_label("words").fill("hook-77 ")
    assert shown(page, ".step") == 20
    page.get_by_label("tenancy").select_option("archive-7")
    assert (shown(page, "section"), shown(page, ".step")) == (1, 1)
    step = page.locator(".step:visible")
    assert page.locator("output").inner_text() == "1 of 11000 steps"
    assert step.locator("dl").is_hidden()
    step.locator("summary").click()
    assert "https://ours.example/hook/77" in step.locator("dl").inner_text()

    page.get_by_label("words").fill("")
    page.get_by_label("action").select_option("unsubscribe")
    assert (
        shown(page, ".step")
        == page.locator("[data-tenancy=archive-7] [data-action=unsubscribe]").count()
        == 50
    )
    assert not reader.faults


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "light"), (DESKTOP, "dark")], ids=str)
def test_the_page_is_accessible(
    size: tuple[int, int], scheme: str, tmp_path: Path, reader: Reader
) -> None:
    reader.open(
        written(run_of(large(30, "archive-prod"), large(3, "archive-test")), tmp_path), size, scheme
    )
    for summary in reader.page.locator("summary:visible").all():
        summary.click()
    reader.check_access()
    assert not reader.faults


class UnderJenkins(BaseHTTPRequestHandler):
    """Serves the page of a plan with the content policy of Jenkins."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", JENKINS)
        self.end_headers()
        self.wfile.write(html(run_of(large(30, "archive-prod"))).encode())

    def log_message(self, *_: object) -> None:
        pass


def test_without_script_and_style_the_page_shows_and_unfolds_all_steps(browser: Browser) -> None:
    with served(UnderJenkins) as address:
        reader = Reader(browser, address)
        reader.open(address)  # a wide page, because narrow pages need the style
        page = reader.page
        assert shown(page, "section > .step") == 33
        assert shown(page, "form") == shown(page, "dl") == 0
        for summary in page.locator("section > details > summary").all():
            summary.click()
        assert shown(page, "section > .step > dl") == 33
        page.context.close()
    blocked = [
        each for each in reader.faults if "Content Security Policy" in each or "sandboxed" in each
    ]
    assert blocked == reader.faults
    assert blocked
