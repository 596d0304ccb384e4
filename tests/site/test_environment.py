"""The page on the environment names each variable that hooksync reads, and no other variable."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hooksync.cli.parser import load
from tests.command_line import ROOT
from tests.site.cli import commands
from tests.site.parts import DOCS

PAGE = (DOCS / "environment.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
DOCUMENTED = {*re.findall(r"`(\w+)`", " ".join(ROWS))}
SHAPE = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|\w+_proxy"
# constants of this shape that are no variables, or that hooksync only sets for other programs
OTHERS = {
    *(
        "A_TRIGGER_THAT_IS_NEW",
        "CHANGED_SECURITY_DESCRIPTOR",
        "CHANGE_ASSET_VISIBILITY",
        "FULL_TEXT_INDEXED",
    ),
    *("INGEST_FAILED", "SECURITY_CHANGED"),
    *("ROLE_SDB_ADMIN_USER", "ROLE_SDB_CONFIG_MANAGER_USER", "ROLE_SDB_MANAGER_USER"),
    "CERT_REQUIRED",
    *("ALERTS_SECRET", "CATALOGUE_SECRET", "HOOK_SECRET"),  # of hooks files and examples
    *("GIT_AUTHOR_EMAIL", "GIT_AUTHOR_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_NAME"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_TERMINAL_PROMPT", "LC_ALL", "PYTHONIOENCODING", "PYTHONPATH"),
    "SSH_ASKPASS_REQUIRE",
    # of a request to a WSGI application
    *("CONTENT_LENGTH", "HTTP_PRESERVICA_SIGNATURE", "HTTP_TRANSFER_ENCODING", "QUERY_STRING"),
    "REQUEST_METHOD",
}


def constants() -> Iterator[str]:
    """Yield each constant that may be the name of a variable: it has the shape of one, or the code
    looks it up in an environment.
    """
    for path in (ROOT / "hooksync").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        yield from re.findall(rf'"({SHAPE})"', text)
        yield from re.findall(r'environ(?:\.get\(|\[)\s*"(\w+)"', text)
        if "get = environ.get\n" in text or "get = os.environ.get\n" in text:
            yield from re.findall(r'\bget\(\s*"(\w+)"', text)


@pytest.fixture(scope="module")
def read() -> set[str]:
    """Return the variables that hooksync reads, or that are read for it."""
    return {
        *{name.upper() for name in constants()}.difference(OTHERS),
        *("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"),  # obstore reads them
        "PATH",  # the system reads it, to find programs
    }


def test_the_page_names_exactly_the_variables_that_hooksync_reads(read: set[str]) -> None:
    assert sorted(DOCUMENTED) == sorted(read)


def test_the_page_names_the_flag_that_replaces_a_variable() -> None:
    flags = [flag for command in commands().values() for flag in load(command)[1].flags().values()]
    variables = [(flag.variable or flag.pipeline_variable, flag.name) for flag in flags]
    replaced = {(variable, name) for variable, name in variables if variable}
    assert len(replaced) == 12
    for variable, name in replaced:
        assert re.search(rf"^\| `{variable}` .*`{name}`", PAGE, re.MULTILINE), variable
