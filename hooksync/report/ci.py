"""What concerns CI: problems as annotations of GitHub Actions, and where a run comes from, for its report.

Prints nothing. GitHub's runner reads commands from standard error too (actions/runner, ScriptHandler.cs), so
annotations go there and the result stays clean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from hooksync.core.errors import Problem
from hooksync.core.record import Record
from hooksync.core.redaction import printable

Level = Literal["error", "warning"]
Ci = Literal["github", "gitlab", "jenkins"]
TITLE = "hooksync"

_LONGEST = 1024  # characters of a name or URL in a report
_IN_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = _IN_DATA | {":": "%3A", ",": "%2C"}


def annotation(level: Level, problem: Problem, path_of: Callable[[str], str] = str) -> str | None:
    """Write the command that shows a problem beside its line; None for a problem that is in no file.

    `path_of`: turns a file's name as the user gave it into its path in the repository.
    """
    where = problem.where
    if where is None or where.file.startswith("<"):  # standard input is no file of the repository
        return None
    path = _escaped(path_of(where.file), _IN_PROPERTY)
    message = _escaped(f"{problem.what}\nfix: {problem.fix}", _IN_DATA)
    return f"::{level} file={path},line={where.line},col={where.column},title={TITLE}::{message}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(c) or printable(c) for c in text)


class Origin(Record, frozen=True):
    """Where a run comes from. None: not known. Well-known facts only, and no secret."""

    host: str | None = None
    user: str | None = None  # in CI: the user who started the run, if the CI names one
    ci: Ci | None = None
    url: str | None = None  # of the run in the CI, without user information and query


def find_origin(environ: Mapping[str, str]) -> Origin:
    """Find the machine, the user and the CI run."""
    import platform  # here, as getpass below: a plan needs neither

    ci, user, url = _ci(environ)
    return Origin(_fit(platform.node()), _fit(user) or _user(), ci, _public(url))


def _ci(environ: Mapping[str, str]) -> tuple[Ci | None, str, str]:
    """Return the CI, the user who started its run, and the run's URL."""
    get = environ.get
    if get("GITHUB_RUN_ID"):
        parts = (get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY"), get("GITHUB_RUN_ID"))
        url = "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""
        return "github", get("GITHUB_ACTOR", ""), url
    if get("GITLAB_CI") or get("CI_JOB_URL"):
        return "gitlab", get("GITLAB_USER_LOGIN", ""), get("CI_JOB_URL", "")
    if get("JENKINS_URL") or get("BUILD_URL"):
        return "jenkins", get("BUILD_USER_ID", ""), get("BUILD_URL", "")
    return None, "", ""


def _public(url: str) -> str | None:
    """Drop the parts of a URL that may hold a secret."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return None
    netloc, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    host = netloc.rpartition("@")[2]
    return _fit(f"{scheme}://{host}{slash}{path}") if host else None


def _user() -> str | None:
    import getpass

    try:
        return _fit(getpass.getuser())
    except (OSError, KeyError, ImportError):  # the system has no name for this user
        return None


def _fit(text: str) -> str | None:
    return text if text and text.isprintable() and len(text) <= _LONGEST else None
