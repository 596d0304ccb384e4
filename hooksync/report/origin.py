"""Who runs this, and where: the audit line of a report. Takes only what is well known and no secret."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Mapping
from typing import Literal

from hooksync.core.record import Record

_LONGEST = 1024  # characters

Ci = Literal["github", "gitlab", "jenkins"]


class Origin(Record, frozen=True):
    """Where a run comes from. None: not known."""

    host: str | None = None
    user: str | None = None  # in CI who set the run off, where the CI tells
    ci: Ci | None = None
    url: str | None = None  # of the run in the CI, without user information and query


def find_origin(environ: Mapping[str, str]) -> Origin:
    """Look the machine, the user and the CI run up."""
    ci, user, url = _ci(environ)
    return Origin(_fit(platform.node()), _fit(user) or _user(), ci, _public(url))


def _ci(environ: Mapping[str, str]) -> tuple[Ci | None, str, str]:
    """Give the CI, who set its run off, and the run's address."""
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
    """Drop all of an address in which a secret may stand."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return None
    netloc, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    host = netloc.rpartition("@")[2]
    return _fit(f"{scheme}://{host}{slash}{path}") if host else None


def _user() -> str | None:
    try:
        return _fit(getpass.getuser())
    except (OSError, KeyError, ImportError):  # a user that the system does not know
        return None


def _fit(text: str) -> str | None:
    return text if text and text.isprintable() and len(text) <= _LONGEST else None
