"""The machine, the user and the CI run that hooksync runs in."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Mapping
from typing import Literal

from hooksync.core.record import Record
from hooksync.core.urls import DEFAULT_PORTS, split_url

Ci = Literal["github", "gitlab", "jenkins"]

_LONGEST = 1024  # characters of a name or URL in a report


class RunOrigin(Record, frozen=True):
    """The machine, user and CI run that hooksync runs in. None: not known. Contains no secret."""

    host: str | None = None
    user: str | None = None  # in CI: the user who started the run, if the CI names one
    ci: Ci | None = None
    url: str | None = None  # of the run in the CI, without user information and query


def find_origin(environ: Mapping[str, str]) -> RunOrigin:
    """Find the machine, the user and the CI run."""
    get = environ.get
    ci: Ci | None = None
    user = ""
    url = ""
    if get("GITHUB_RUN_ID"):
        ci = "github"
        user = get("GITHUB_ACTOR", "")
        parts = (get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY"), get("GITHUB_RUN_ID"))
        url = "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""
    elif get("GITLAB_CI") or get("CI_JOB_URL"):
        ci = "gitlab"
        user = get("GITLAB_USER_LOGIN", "")
        url = get("CI_JOB_URL", "")
    elif get("JENKINS_URL") or get("BUILD_URL"):
        ci = "jenkins"
        user = get("BUILD_USER_ID", "")
        url = get("BUILD_URL", "")
    return RunOrigin(_fit(platform.node()), _fit(user) or _user(), ci, _public(url))


def _public(url: str) -> str | None:
    """Drop the parts of a URL that may contain a secret. None: it cannot be shown."""
    scheme, netloc, tail = split_url(url)
    host = netloc.rpartition("@")[2]
    path = tail.partition("?")[0].partition("#")[0]
    return _fit(f"{scheme}://{host}{path}") if host and scheme in DEFAULT_PORTS else None


def _user() -> str | None:
    try:
        return _fit(getpass.getuser())
    except (OSError, KeyError, ImportError):  # the system has no name for this user
        return None


def _fit(text: str) -> str | None:
    return text if text and text.isprintable() and len(text) <= _LONGEST else None
