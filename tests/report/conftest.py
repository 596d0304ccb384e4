"""The browser, for the page of a plan."""

from tests.site.browser import browser

__all__ = ["browser"]  # a fixture
