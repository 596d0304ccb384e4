"""Files that users name: find them, read their bytes, and add variables to the environment.

Variables come from env files and from pyPreservica's credentials; no message quotes their values.
Other files, such as hooks files and saved plans, are parsed elsewhere.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterable, Sequence
from io import StringIO
from itertools import dropwhile
from typing import BinaryIO, cast

from hooksync.core.errors import FileError, Problem, os_reason
from hooksync.core.model import Environ, Location, SecretRef, Variables, is_own
from hooksync.core.reading import read_file, with_real_folder
from hooksync.core.record import Record

DEFAULT_FILE = "hooks.yaml"
YAML_ENDINGS = (".yaml", ".yml")
STDIN = "<stdin>"
MOST_BYTES = 64 * 1024 * 1024  # of one file; a saved plan of 10,000 subscriptions takes 12 MiB

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
_DEVICE = re.compile(r"/{1,2}(?:proc|dev|sys)(?:/.*)?", re.DOTALL)


class Source(Record):
    """One hooks file as bytes."""

    name: str  # as the user named it; "<stdin>" for standard input
    data: bytes


def read_sources(arguments: Sequence[str], stdin: BinaryIO) -> tuple[Source, ...]:
    """Read files, the *.yaml and *.yml files of directories (sorted), and standard input for `-`.

    Hidden files and folders within a directory are not read. A file that is named twice is read
    once. Raises FileError with every problem. A directory without hooks files is a problem, and so
    is a file in a folder below a directory, unless it is named, too.
    """
    paths, problems = _find_files(arguments)
    sources: dict[str, Source] = {}  # by real path
    for path in paths:
        identity = follow_links(path)
        if identity in sources:
            continue
        fix = "correct --file or HOOKSYNC_FILE"
        if os.path.lexists(os.path.join(os.pardir, path)):
            fix = f"change to the folder above, which has {path}"
        elif path == DEFAULT_FILE:
            fix = (
                "change to the folder of your hooks file, or name the file with --file; if you have"
                " none yet, `hooksync init` writes a first one"
            )
        try:
            data = read_named(path, "file", fix, stdin)
            sources[identity] = Source(STDIN if path == "-" else path, data)
        except FileError as error:
            problems += error.problems
    if problems:
        raise FileError.of(problems)
    return tuple(sources.values())


def _find_files(arguments: Sequence[str]) -> tuple[list[str], list[Problem]]:
    """List the files to read, sorted in each directory, and the problems of directories.

    Links to folders are not followed.
    """
    problems: list[Problem] = []
    paths: list[str] = []
    below: list[str] = []
    for argument in arguments:
        if argument == "-" or not os.path.isdir(argument):
            paths.append(argument)
            continue
        number = len(paths)
        for folder, folders, names in os.walk(argument):
            folders[:] = sorted(name for name in folders if name[0] != ".")
            files = paths if folder == argument else below
            files += [os.path.join(folder, name) for name in sorted(filter(is_hooks_file, names))]
        if len(paths) == number:
            problems.append(
                Problem(
                    f"{argument} contains no *.yaml or *.yml file that can be read",
                    "name a hooks file, or a directory that contains one",
                )
            )
    named = set(map(follow_links, paths))
    for path in below:
        if follow_links(path) not in named:
            what = f"{path} would not be read: hooksync does not read directories recursively"
            folder = shlex.quote(os.path.dirname(path))
            problems.append(Problem(what, f"move it, or also give `--file {folder}`"))
    return paths, problems


def real_path(ref: SecretRef) -> str:
    """Return the path of a secret's file, after following links."""
    return follow_links(os.path.join(ref.base, os.path.expanduser(ref.name)))


def follow_links(path: str) -> str:
    """Return a path after following links, or the path itself if that is impossible."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # ValueError: a null character, or half of a surrogate pair
        return path


def is_device(path: str) -> bool:
    """Whether a path without links is in /proc, /dev or /sys."""
    return bool(_DEVICE.fullmatch(path))


def climbs(path: str) -> bool:
    """Whether `..` follows a name in a path.

    Such a path has names that the file need not have, in a text that hooksync records.
    """
    return ".." in dropwhile(("", ".", "..").__contains__, path.split(os.sep))


def is_hooks_file(name: str) -> bool:
    """Whether a file in a folder is one that hooksync reads: hidden files belong to tools."""
    return name.endswith(YAML_ENDINGS) and not name.startswith(".")


def read_defaults(path: str) -> Source:
    """Read the hooks file whose defaults a different file takes. Raises FileError.

    The author of a hooks file must not make the run wait for a device, or for standard input.
    """
    fix = "name a hooks file with `defaults`; a relative path starts at the folder of this file"
    if is_device(with_real_folder(path)) or is_device(follow_links(path)):
        raise FileError("`defaults` leads to a file of the system itself (/proc, /dev, /sys)", fix)
    return Source(path, read_named(path, "file", fix))


def read_named(path: str, noun: str, fix: str, stdin: BinaryIO | None = None) -> bytes:
    """Read a file that a user named; if `stdin` is given, `-` reads standard input.

    `noun`: what messages call the file; `fix`: what to do if it is missing. Raises FileError.
    """
    name = f"the {noun} {path}"
    try:
        if path == "-" and stdin:
            name = STDIN
            data = stdin.read(MOST_BYTES + 1)
        else:
            data = read_file(path, MOST_BYTES)
    except FileNotFoundError:
        folder = "" if os.path.isabs(path) else f" in {os.getcwd()}"
        raise FileError(f"there is no {noun} {path}{folder}", fix) from None
    except (OSError, ValueError) as error:  # ValueError: a null character, or a closed stdin
        raise FileError(
            f"{name} cannot be read: {os_reason(error)}", "check the path and its permissions"
        ) from error
    if len(data) > MOST_BYTES:
        raise FileError(
            f"{name} is larger than {MOST_BYTES // 1024**2} MiB",
            "name a smaller file, or split it",
        )
    return data


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
            if own.get(name, value) != value:
                values.overridden = {name: path, **values.overridden}
        _add_variables(values, path, variables, warnings)
    overriding = " ".join(name for name in PYPRESERVICA.values() if name in values)
    if credentials == "" and os.path.lexists(CREDENTIALS_FILE):
        if overriding:
            warnings.append(
                Problem(
                    f"{CREDENTIALS_FILE} is ignored, because of {overriding}",
                    f"unset {overriding} to use the file, or give --credentials {CREDENTIALS_FILE}",
                )
            )
        else:
            credentials = values.found_credentials = CREDENTIALS_FILE
    if credentials:
        _add_credentials(values, credentials, warnings)
    return values, warnings


def _add_variables(
    values: Environ, path: str, variables: dict[str, str], warnings: list[Problem]
) -> None:
    """Add the variables of a file, and warn if every user of this machine may read it."""
    values.maps.append(variables)
    if os.stat(path).st_mode & stat.S_IROTH:
        warnings.append(
            Problem(
                f"{path} may be read by every user of this machine",
                f"chmod 600 {shlex.quote(path)}",
            )
        )


def _add_credentials(values: Environ, path: str, warnings: list[Problem]) -> None:
    """Add what pyPreservica's file has, and warn of each variable that overrides it.

    Raises FileError. Source: pyPreservica 4.2.2, common.py: UTF-8, configparser without
    interpolation, the section `credentials`.
    """
    from configparser import ConfigParser, Error

    config = ConfigParser(interpolation=None)
    data = read_named(path, "credentials file", _CREDENTIALS_FIX)
    try:
        config.read_string(_decoded(data, path, "utf-8"))
    except Error as error:  # its text quotes the line, which may contain a secret
        line = vars(error).get("lineno") or vars(error)["errors"][0][0]
        where = Location(path, line, 1)
        raise FileError("pyPreservica cannot read this", _CREDENTIALS_FIX, where) from None
    section = config["credentials"] if config.has_section("credentials") else {}
    variables = {}
    for field, name in PYPRESERVICA.items():
        if field in section:
            variables[name] = section[field]
            if name in values:
                warnings.append(
                    Problem(
                        f"{name} overrides the value in {path}",
                        f"unset {name} to use the value in {path}",
                    )
                )
    values.credentials = path
    values.credential_names = tuple(name for name in variables if name not in values)
    if not variables:
        warnings.append(
            Problem(
                f"{path} is ignored: it has no log-in in a section [credentials]", _CREDENTIALS_FIX
            )
        )
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
        if key is None and not binding.error:  # a comment
            continue
        text = binding.original.string
        blank, _, _ = text.partition(text.strip())
        where = Location(path, binding.original.line + blank.count("\n"), 1)
        if key is None or value is None or "\0" in value:
            problems.append(
                Problem(
                    "this is not of the form NAME=value",
                    "write NAME=value, on one line or between quotation marks",
                    where,
                )
            )
        elif is_own(key):
            problems.append(
                Problem(
                    f"{key} is for hooksync itself, and not read from a file",
                    "export it, or give the flag for it; such a file is for names in hooks files",
                    where,
                )
            )
        else:
            variables[key] = value
    if problems:
        raise FileError.of(problems)
    return variables


def _decoded(data: bytes, path: str, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise FileError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
