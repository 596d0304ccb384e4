"""The settings of the site that mkdocs.yml cannot express: pages of files outside docs/, their
links, and the anchors of headings.

The pages stay plain Markdown, which people can also read on a forge. On a forge, a link may lead to
any file of the project. On the site, each such file becomes a page: Markdown stays unchanged, a
folder becomes a list, and any other file becomes highlighted text.
"""

from __future__ import annotations

import itertools
import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

import hooksync
from tests.site.address import address

ROOT = Path(__file__).parents[2]
PATHS: dict[str, str] = {}  # the path in the project of each page of this site
NOT_SEARCHED_FOLDERS = ("internals/", "project/", "examples/")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2 *$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"""(\]\(|^\[[^\]]+\]: +|\b(?:href|src|srcset)=")([^)\s"]+)""", re.MULTILINE)
ROOT_PROMPT = re.compile(r'<span class="gp">#.*')
TAG = re.compile(r"<[^>]+>")
NOT_SEARCHED = "---\nsearch: {exclude: true}\n---\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the version and the repository on each page. Name the anchors of headings as forges do.
    Make no page for error 404, because it would need the address of the site.
    """
    config.copyright = "Free software under the Apache License 2.0"
    config.repo_url = address()
    config.repo_name = f"Source, version {hooksync.__version__}"
    config.theme.static_templates.discard("404.html")
    config.mdx_configs["toc"]["slugify"] = lambda heading, _: re.sub(
        r"[^\w -]", "", heading.lower()
    ).replace(" ", "-")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make a page of each file outside docs/ that PAGES names, or that a page links to."""
    PATHS.clear()
    PATHS.update({file.src_uri: f"docs/{file.src_uri}" for file in files.documentation_pages()})
    to_read = [*PATHS.values(), *PAGES]
    seen = set(to_read)
    while to_read:
        path = to_read.pop()
        text = _text_of(path)
        if not path.startswith("docs/"):
            place = _place_of(path)
            PATHS[place] = path
            hidden = InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, place, content=text, inclusion=hidden))
        found = {
            each
            for each in _linked(path, text)
            if (ROOT / each).exists() and not each.startswith("docs/")
        }
        to_read += sorted(found - seen)
        seen |= found
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Change the links of a page so that they lead to pages of this site. Exclude the pages for
    contributors, and those of files outside docs/, from the search.
    """
    path = PATHS[page.file.src_uri]
    if page.file.src_uri.startswith(NOT_SEARCHED_FOLDERS):
        page.meta["search"] = {"exclude": True}
    here = posixpath.dirname(page.file.src_uri)

    def lead(target: str) -> str:
        parts = urlsplit(target)
        to = _resolve(path, parts.path)
        if not to or not (ROOT / to).exists():
            return target  # mkdocs reports a broken link
        return posixpath.relpath(_place_of(to), here or ".") + (
            f"#{parts.fragment}" if parts.fragment else ""
        )

    def change(text: str) -> str:
        text = LINK.sub(lambda found: found[1] + lead(found[2]), text)
        # read the text within <details> as Markdown, as a forge does
        return re.sub(r"<details( open)?>", r'<details markdown="1"\1>', text)

    return _outside_blocks(markdown, change)


def on_page_content(html: str, **_: Any) -> str:
    """Make the empty corner of a table a plain cell, because a screen reader would announce a
    heading. Exclude closed boxes from the search, because they prepare a sandbox or contain code.

    In a plan, show a replacement in the colour that it has in a terminal. In an output, show a line
    that begins with `#` as output, not as a command of root.
    """
    html = html.replace("<th></th>", "<td></td>")
    html = html.replace("<details>", "<details data-search-exclude>")
    html = re.sub(r'<span class="g[di]">(?=\+/-|-/\+)', '<span class="replaced">', html)
    return ROOT_PROMPT.sub(lambda line: f'<span class="go">{TAG.sub("", line[0])}</span>', html)


def on_post_page(output: str, **_: Any) -> str:
    """Give the dialogue of the search a name, because Material gives it none. Let the link to the
    repository ask no other host for its facts.
    """
    output = output.replace(' data-md-component="source"', "")
    return output.replace(' role="dialog"', ' role="dialog" aria-label="Search"')


def _outside_blocks(markdown: str, change: Callable[[str], str]) -> str:
    """Return a page with its text changed, but not its blocks of code."""
    ends = [0, *(end for found in FENCE.finditer(markdown) for end in found.span()), len(markdown)]
    pieces = [markdown[start:end] for start, end in itertools.pairwise(ends)]
    return "".join(piece if number % 2 else change(piece) for number, piece in enumerate(pieces))


def _linked(path: str, text: str) -> set[str]:
    """Return the files of the project that a page links to."""
    prose = FENCE.sub("", text) if path.endswith(".md") else text if (ROOT / path).is_dir() else ""
    return {
        to for _, target in LINK.findall(prose) if (to := _resolve(path, urlsplit(target).path))
    }


def _resolve(path: str, target: str) -> str:
    """Return the path in the project that a link of the file at `path` leads to, or "" if the link
    leads outside the project.
    """
    if not target or re.match(r"[a-z]+:|/", target):
        return ""
    base = path if (ROOT / path).is_dir() else posixpath.dirname(path)
    to = posixpath.normpath(posixpath.join(base, target))
    return "" if to.startswith("..") else to


def _place_of(path: str) -> str:
    """Return the path that a file of the project has on this site, relative to docs/."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path in PAGES:
        return f"project/{path.lower()}"
    if path.endswith(".md"):
        return path
    return f"{path}/index.md" if (ROOT / path).is_dir() else f"{path}.md"


def _text_of(path: str) -> str:
    """Return the page of a file or folder, in Markdown."""
    if (ROOT / path).is_dir():
        names = sorted(each.name for each in os.scandir(ROOT / path) if each.is_file())
        return NOT_SEARCHED + f"# {path}\n\n" + "\n".join(f"- [{name}]({name})" for name in names)
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    language = PurePosixPath(path).suffix[1:].replace("yml", "yaml") or "text"
    fence = "`" * (3 + max(map(len, re.findall("`+", text)), default=0))
    return f"{NOT_SEARCHED}# {path}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
