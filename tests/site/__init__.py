"""The documentation: what of it is generated, and that the site is built, whole and readable.

`python -m tests.site` writes all generated pages and parts of pages again. Each part has a module
of its own, with a function `pages` that gives each path its whole text; `tests/site/__main__.py`
lists them.
"""
