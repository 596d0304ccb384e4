"""This package generates parts of the documentation, and tests that the site is complete and
readable.

`python -m tests.site` writes all generated pages and parts of pages again. Each part has a module
of its own, whose function `pages` returns the whole text of each file by its path.
`tests/site/__main__.py` lists these functions.
"""
