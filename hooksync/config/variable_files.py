"""Add the variables of files to the environment: env files, and pyPreservica's credentials.

No message quotes a value.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from io import StringIO
from typing import cast

from hooksync.config.declarations import is_own
from hooksync.config.files import read_named
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Environ, Location, Variables

CREDENTIALS_FILE = "credentials.properties"  # as pyPreservica calls it
PYPRESERVICA = {
    "username": "PRESERVICA_USERNAME",
    "password": "PRESERVICA_PASSWORD",
    "tenant": "PRESERVICA_TENANT",
    "server": "PRESERVICA_SERVER",
    "twoFactorToken": "PRESERVICA_2FA_TOKEN",
}
_CREDENTIALS_FIX = (
    "write it as pyPreservica reads it: UTF-8, [credentials], and below it username=...,"
    " password=... and so on"
)


def gather(
    env_files: Iterable[str], credentials: str | None, environ: Variables
) -> tuple[Environ, list[Problem]]:
    """Add variables from files to the environment. Returns the new environment, and warnings.

    The environment overrides all files, and a later file overrides an earlier one.

    `credentials`: the path of pyPreservica's credentials file; None: do not use one. "": use the
    file in the working folder, if it exists and none of its variables is set. Raises FileError.
    """
    own = cast(dict[str, str], environ)
    values = Environ(own)
    warnings: list[Problem] = []
    for path in reversed([*env_files]):
        variables = _variables_in(path)
        for name, value in variables.items():
            if name in own and own[name] != value:
                values.overridden.setdefault(name, path)
        _add_variables(values, path, variables, warnings)
    if credentials == "":
        credentials = values.found_credentials = _found_credentials(values, warnings)
    if credentials:
        _add_credentials(values, credentials, warnings)
    return values, warnings


def _found_credentials(values: Environ, warnings: list[Problem]) -> str:
    """Find pyPreservica's file in the working folder. "": it is missing, or it is ignored."""
    if not os.path.lexists(CREDENTIALS_FILE):
        return ""
    overriding = [name for name in PYPRESERVICA.values() if name in values]
    if not overriding:
        return CREDENTIALS_FILE
    names = " ".join(overriding)
    what = f"{CREDENTIALS_FILE} is ignored, because of {names}"
    fix = f"unset {names} to use the file, or give --credentials {CREDENTIALS_FILE}"
    warnings.append(Problem(what, fix))
    return ""


def _add_variables(
    values: Environ, path: str, variables: dict[str, str], warnings: list[Problem]
) -> None:
    """Add the variables of a file, and warn if every user of this machine may read it."""
    values.maps.append(variables)
    mode = os.stat(path).st_mode
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        what = f"{path} may be read by every user of this machine"
        warnings.append(Problem(what, f"chmod 600 {path}"))


def _add_credentials(values: Environ, path: str, warnings: list[Problem]) -> None:
    variables = _credentials_in(path)
    if not variables:
        what = f"{path} is ignored: it has no log-in in a section [credentials]"
        warnings.append(Problem(what, _CREDENTIALS_FIX))
    for name in variables:
        if name in values:
            fix = f"unset {name} to use the value in {path}"
            warnings.append(Problem(f"{name} overrides the value in {path}", fix))
    _add_variables(values, path, variables, warnings)


def _variables_in(path: str) -> dict[str, str]:
    """Read a file of NAME=value lines in the format of python-dotenv, but without expanding `$`.

    Raises FileError.
    """
    from dotenv.parser import parse_stream  # imported only here: few runs need it

    variables: dict[str, str] = {}
    problems = []
    data = read_named(path, "env file", "name a file of NAME=value lines with --env-file")
    for binding in parse_stream(StringIO(_decoded(data, path, "utf-8-sig"))):
        key = binding.key
        value = binding.value
        text = binding.original.string
        blank = text[: len(text) - len(text.lstrip())]
        where = Location(path, binding.original.line + blank.count("\n"), 1)
        if binding.error or (key and (value is None or "\0" in value)):
            fix = "write NAME=value, on one line or between quotation marks"
            problems.append(Problem("this is not of the form NAME=value", fix, where))
        elif key and is_own(key):
            what = f"{key} is for hooksync itself, and not read from a file"
            fix = "export it, or give the flag for it; such a file is for names in hooks files"
            problems.append(Problem(what, fix, where))
        elif key and value is not None:
            variables[key] = value
    if problems:
        raise FileError(*problems)
    return variables


def _credentials_in(path: str) -> dict[str, str]:
    """Read pyPreservica's credentials file, and return its values by variable. Raises FileError.

    Source: pyPreservica 4.2.2, common.py: UTF-8, configparser without interpolation, the section
    `credentials`.
    """
    from configparser import ConfigParser, Error

    config = ConfigParser(interpolation=None)
    data = read_named(path, "credentials file", _CREDENTIALS_FIX)
    try:
        config.read_string(_decoded(data, path, "utf-8"))
    except Error as error:  # its text quotes the line, which may contain a secret
        line = vars(error).get("lineno") or vars(error)["errors"][0][0]
        where = Location(path, line, 1)
        what = "pyPreservica cannot read this"
        raise FileError(Problem(what, _CREDENTIALS_FIX, where)) from None
    section = config["credentials"] if config.has_section("credentials") else {}
    return {variable: section[name] for name, variable in PYPRESERVICA.items() if name in section}


def _decoded(data: bytes, path: str, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise FileError(Problem(f"{path} is not UTF-8 text", "save it as UTF-8")) from None
