"""Who started hooksync: the machine, the user and the CI run."""

from __future__ import annotations

import getpass
import platform
import re

from hooksync.core.model import Variables
from hooksync.core.record import Record

# of GitHub, GitLab and Jenkins: the variable of the user, and the URL of the run with its variables
_VARIABLES = (
    (
        "GITHUB_ACTOR",
        "{}/{}/actions/runs/{}",
        ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"),
    ),
    ("GITLAB_USER_LOGIN", "{}", ("CI_JOB_URL",)),
    ("BUILD_USER_ID", "{}", ("BUILD_URL",)),
)


_WEB = "https?://[^/]"


class Starter(Record):
    """The machine, user and CI run that started hooksync. None: not known. Contains no secret."""

    host: str | None = None
    user: str | None = None  # in CI: the user who started the run, if the CI names one
    url: str | None = None  # of the run in the CI, without user information and query


def find_starter(environ: Variables) -> Starter:
    """Find the machine, the user and the CI run."""
    machine = _fit(platform.node())
    for user, url, names in _VARIABLES:
        values = [environ.get(name) for name in names]
        if all(values):
            # query, fragment and user information may contain a secret
            page = re.split("[?#]", url.format(*values))[0]
            shown = re.sub("//[^/]*@", "//", page)
            named = _fit(environ.get(user, "")) or _user()
            return Starter(machine, named, _fit(shown) if re.match(_WEB, shown) else None)
    return Starter(machine, _user())


def _user() -> str | None:
    """Return the name of the user of the process."""
    try:
        return _fit(getpass.getuser())
    except (OSError, KeyError, ImportError):  # the system has no name for this user
        return None


def _fit(text: str) -> str | None:
    """Return a text if a report may contain it."""
    return text if text and text.isprintable() else None
