"""A browser without a window, for tests of pages: the Chromium or the Chrome of the system."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import missing
from tests.servers import running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

PHONE, DESKTOP = (390, 844), (1280, 800)
SCHEMES = ("light", "dark")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")  # of axe
# axe needs most of its time for contrast. Therefore it gets only the first of the texts that look
# the same, as tokens of code do.
AXE = """async rules => {
  const looks = new Map()
  for (const one of document.querySelectorAll("body *")) {
    if (![...one.childNodes].some(each => each.nodeType === Node.TEXT_NODE && each.data.trim())) continue
    const { color, fontSize, fontWeight, opacity } = getComputedStyle(one)
    const behind = []
    for (let each = one; each; each = each.parentElement) behind.push(getComputedStyle(each).backgroundColor)
    const key = [color, fontSize, fontWeight, opacity, one.checkVisibility(), ...new Set(behind)].join()
    if (!looks.has(key)) looks.set(key, one)
  }
  const options = { resultTypes: ["violations"], preload: false }
  const contrast = { "color-contrast": { enabled: false } }
  const runs = [
    await axe.run({ ...options, runOnly: rules, rules: contrast }),
    await axe.run([...looks.values()], { ...options, runOnly: ["color-contrast"] }),
  ]
  return runs.flatMap(({ violations }) => violations).flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 100)}: ${failureSummary}`))
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one browser for the tests of a module. The browser ends after the module, because no
    other test can run asyncio before that.
    """
    from playwright.sync_api import sync_playwright  # here, because most tests need no browser

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        missing("there is no browser", "install chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=["--no-sandbox"]) as browser,
    ):
        yield browser


@contextmanager
def served(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve pages on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}"


class Reader:
    """A tab of the browser that records the faults of pages: warnings in the console, failed
    requests, and requests to other hosts.
    """

    def __init__(self, browser: Browser, home: str) -> None:
        """Open a tab. `home` is the beginning of all addresses that a page may request."""
        self._home = home
        self.page: Page = browser.new_context(reduced_motion="reduce").new_page()
        self.faults: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self._on_request)
        self.page.on("requestfailed", self._on_failure)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self._home, "data:", "blob:")):
            self.faults.append(f"asked for {request.url}")

    def _on_failure(self, request: Request) -> None:
        if (
            request.failure != "net::ERR_ABORTED"
        ):  # opening the next page aborts a request, which is no fault
            self.faults.append(f"failed: {request.url}: {request.failure}")

    def open(self, address: str, size: tuple[int, int] = DESKTOP, scheme: Any = "light") -> None:
        """Open a page. Record a fault if the page is too wide, or if a picture is missing or has no
        text.
        """
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.page.emulate_media(color_scheme=scheme)
        self.page.goto(address)
        wide = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if wide > 0:
            self.faults.append(f"{wide} px too wide for {size[0]} px")
        broken = self.page.eval_on_selector_all(
            "img",
            "all => all.filter(each => !each.naturalWidth || !each.alt).map(each =>"
            " each.outerHTML)",
        )
        self.faults += [f"no picture, or no text for it: {each}" for each in broken]

    def check_access(self) -> None:
        """Record the barriers for people with disabilities that axe finds on the page."""
        from axe_playwright_python.sync_playwright import Axe

        self.page.evaluate(Axe().axe_script)
        self.faults += self.page.evaluate(AXE, RULES)
