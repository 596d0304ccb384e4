"""Files that set variables: env files of --env-file, and pyPreservica's credentials.properties."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from pyPreservica.common import AuthenticatedAPI

from hooksync.config.files import gather
from hooksync.core.errors import FileError
from hooksync.core.model import Location, found_credentials

VALUE = "v4lue-that-must-not-be-seen"
LOGIN = (
    "[credentials]\nusername=u@example.org\npassword=p%w$d"
    " ;x\ntenant=T\nserver=s.example\ntwoFactorToken=SEED\n"
)
FOUND = {
    "PRESERVICA_USERNAME": "u@example.org",
    "PRESERVICA_PASSWORD": "p%w$d ;x",
    "PRESERVICA_TENANT": "T",
    "PRESERVICA_SERVER": "s.example",
    "PRESERVICA_2FA_TOKEN": "SEED",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in FOUND:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(name: str, text: str | bytes, mode: int = 0o600) -> str:
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return name


def values_of(text: str | bytes, environ: dict[str, str] | None = None) -> dict[str, str]:
    return gather([write(".env", text)], None, environ or {})[0]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=b\n\n# note\nexport C = d\r\nE=\n", {"A": "b", "C": "d", "E": ""}),
        (
            "A=p$B${B}\\n\nB='$x # y'\nC=\"a\\nb\" # c\n",
            {"A": "p$B${B}\\n", "B": "$x # y", "C": "a\nb"},
        ),
        (  # as the page on the installation says
            "A='two words'\nB='a # b \"c\" it\\'s \\\\n'\n",
            {"A": "two words", "B": 'a # b "c" it\'s \\n'},
        ),
        (b"\xef\xbb\xbfA=\xc3\xbc", {"A": "\u00fc"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("", {}),
    ],
)
def test_an_env_file_is_read_without_expanding_dollar_signs(
    text: str | bytes, values: dict[str, str]
) -> None:
    assert values_of(text) == values


def test_the_environment_wins_over_env_files_and_a_later_file_over_an_earlier_file() -> None:
    files = [write("one", "A=one\nB=one\nC=one\n"), write("two", "B=two\nC=two\n")]
    environ, warnings = gather(files, None, {"C": "", "D": "own"})
    assert environ == {"A": "one", "B": "two", "C": "", "D": "own"}
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (f"A=b\n\n\n{VALUE}\n", 4, "this is not of the form NAME=value"),
        (f"A=b\n# x\n{VALUE} {VALUE}\n", 3, "this is not of the form NAME=value"),
        (f"A='{VALUE}\n", 1, "this is not of the form NAME=value"),
        (f"A={VALUE}\0\n", 1, "this is not of the form NAME=value"),
        (
            f"A=b\nHOOKSYNC_PLAN_KEY={VALUE}\n",
            2,
            "HOOKSYNC_PLAN_KEY is for hooksync itself, and not read from a file",
        ),
        (
            "hooksync_policy=\n",
            1,
            "hooksync_policy is for hooksync itself, and not read from a file",
        ),
    ],
)
def test_a_mistake_in_an_env_file_is_reported_with_its_line_and_not_quoted(
    text: str, line: int, said: str
) -> None:
    with pytest.raises(FileError) as caught:
        values_of(text)
    [problem] = caught.value.problems
    assert (str(problem.where), problem.what) == (f".env:{line}:1", said)
    assert VALUE not in str(caught.value)


def test_an_env_file_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(FileError, match="there is no env file none"):
        gather(["none"], None, {})
    with pytest.raises(FileError, match=r"\.env is not UTF-8 text"):
        values_of(b"A=\xff")


def test_an_env_file_that_everybody_may_read_gives_a_warning() -> None:
    [warning] = gather([write(".env", "A=b\n", 0o644)], None, {})[1]
    assert (warning.what, warning.fix) == (
        ".env may be read by every user of this machine",
        "chmod 600 .env",
    )
    assert not gather([write(".env", "A=b\n", 0o640)], None, {})[1]
    [warning] = gather([write("my env", "A=b\n", 0o644)], None, {})[1]
    assert warning.fix == "chmod 600 'my env'"


# credentials.properties of pyPreservica


class Found(Exception):
    """Carries the values that pyPreservica read."""


class Reader(AuthenticatedAPI):  # type: ignore[misc]
    """Reads credentials as pyPreservica does, and raises Found in place of the log-in."""

    def __token__(self) -> NoReturn:
        names = {
            "USERNAME": "username",
            "PASSWORD": "password",
            "TENANT": "tenant",
            "SERVER": "server",
        }
        names["2FA_TOKEN"] = "two_fa_secret_key"
        raise Found({f"PRESERVICA_{name}": getattr(self, field) for name, field in names.items()})


@pytest.mark.parametrize(
    "text",
    [
        LOGIN,
        LOGIN.replace("=", " : ").replace("username", "USERNAME").replace("\n", "\r\n"),
        LOGIN.replace("tenant=T\n", "").replace(
            "twoFactorToken=SEED\n", "; twoFactorToken=SEED\n# x\n"
        ),
        (
            f"[DEFAULT]\ntenant=D\n[other]\npassword=x\n{LOGIN.replace('tenant=T', 'extra=%(tenant)s')}"
        ),
        LOGIN.replace("p%w$d ;x", "one\n  two"),
        LOGIN.replace("p%w$d ;x", '"quoted" \u00fc'),
    ],
)
def test_credentials_are_read_as_pypreservica_reads_them(text: str) -> None:
    write("credentials.properties", text)
    with pytest.raises(Found) as caught:
        Reader()
    theirs = {name: value for name, value in caught.value.args[0].items() if value is not None}
    environ, _ = gather([], "", {})
    assert (environ, found_credentials(environ)) == (theirs, "credentials.properties")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"\ufeff{LOGIN}", 1),
        (f"password={VALUE}\n", 1),
        (f"[credentials]\nusername=u\n{VALUE}\n", 3),
        (f"[credentials]\npassword=x\npassword={VALUE}\n", 3),
        (f"[credentials]\npassword={VALUE}\n[credentials]\n", 3),
    ],
)
def test_credentials_that_pypreservica_cannot_read_are_an_error_at_their_line(
    text: str, line: int
) -> None:
    with pytest.raises(FileError) as caught:
        gather([], write("login", text), {})
    assert caught.value.problems[0].where == Location("login", line, 1)
    assert VALUE not in str(caught.value) + repr(caught.value.__cause__)


def test_credentials_of_the_working_folder_are_ignored_if_one_of_their_variables_is_set() -> None:
    write("credentials.properties", LOGIN)
    assert gather([], "", {})[0] == FOUND
    assert gather([], None, {})[0] == {}
    for name in FOUND:
        for files, environ in (([], {name: ""}), ([write(".env", f"{name}=x\n")], {})):
            found, [warning] = gather(files, "", environ)
            assert found.keys() == {name}
            assert found_credentials(found) == ""
            assert warning.what == f"credentials.properties is ignored, because of {name}"
            assert f"unset {name} to use" in warning.fix
    _, [warning] = gather([], "", dict.fromkeys(FOUND, "x"))
    assert warning.fix.startswith(f"unset {' '.join(FOUND)} to use the file")


def test_credentials_without_their_section_are_ignored_with_a_warning() -> None:
    write("credentials.properties", LOGIN.replace("[credentials]", "[other]"))
    _, [warning] = gather([], "", {})
    assert "is ignored: it has no log-in in a section [credentials]" in warning.what


def test_credentials_that_everybody_may_read_give_a_warning() -> None:
    write("credentials.properties", LOGIN, 0o644)
    _, [warning] = gather([], "", {})
    assert warning.what == "credentials.properties may be read by every user of this machine"


def test_a_variable_with_a_different_value_in_a_file_is_recorded() -> None:
    files = [write(".env", "A=1\nB=1\nC=1\n"), write("more", "B=2\n")]
    environ, _ = gather(files, None, {"A": "other", "C": "1"})
    assert environ.overridden == {"A": ".env"}


def test_a_named_credentials_file_fills_in_the_variables_that_are_not_set() -> None:
    path = write("login", LOGIN)
    environ, warnings = gather(
        [write(".env", "PRESERVICA_TENANT=E\n")], path, {"PRESERVICA_PASSWORD": "own"}
    )
    assert [warning.what for warning in warnings] == [
        "PRESERVICA_PASSWORD overrides the value in login",
        "PRESERVICA_TENANT overrides the value in login",
    ]
    assert environ == {**FOUND, "PRESERVICA_PASSWORD": "own", "PRESERVICA_TENANT": "E"}
    assert found_credentials(environ) == ""
    with pytest.raises(FileError, match="there is no credentials file none"):
        gather([], "none", {})
