"""No hooks file may name a secret in a place where the value of the secret would be shown."""

from __future__ import annotations

import pytest

from hooksync.config.document import read_tenancies
from hooksync.config.files import Source
from hooksync.core.errors import FileError

FILE = """\
version: 1
defaults: {secret: {env: HOOK_SECRET}}
tenancies:
  prod:
    server: eu.preservica.com
    tenant: BRAMA
    credentials: {username: {env: USER}, password: {env: P}, totp: {env: SEED}}
    subscriptions:
      one: {url: "https://fn.example.net/api?code=${KEY}", trigger: MOVED}
      two: {url: "https://fn.example.net/two", trigger: MOVED, secret: {env: SECOND}}
"""


def problems_of(*texts: str) -> list[str]:
    sources = [Source(f"{number}.yaml", text.encode()) for number, text in enumerate(texts)]
    try:
        read_tenancies(sources)
    except FileError as error:
        return [f"{problem.where}: {problem.what}" for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "name", ["HOOK_SECRET", "SECOND", "P", "SEED", "PRESERVICA_PASSWORD", "PRESERVICA_2FA_TOKEN"]
)
@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("eu.preservica.com", "${NAME}", "5:5"),
        ("eu.preservica", "${OTHER:-eu}.${NAME:-x}", "5:5"),
        ("BRAMA", "a-${NAME}", "6:5"),
        ("{env: USER}", "{env: NAME}", "7:19"),
        ("https://fn.example.net/api", "https://${NAME}/api", "9:13"),
        ("https://fn.example.net/api", "https://fn.example.net:${NAME}/api", "9:13"),
        ("https://fn.example.net/api", "${NAME}/api", "9:13"),
        ("https://fn.example.net/api", "${OTHER:-https:/}/${NAME}/api", "9:13"),
        ("${KEY}", "${NAME}", "9:13"),
        ("https://fn.example.net/api", "https://fn.example.net/${NAME}/api", "9:13"),
        ("https://fn.example.net/api", "${BASE}/${NAME}/api", "9:13"),
    ],
)
def test_a_variable_that_holds_a_secret_is_refused_in_a_place_and_in_a_url(
    name: str, old: str, new: str, place: str
) -> None:
    text = FILE.replace(old, new.replace("NAME", name), 1)
    assert problems_of(text) == [
        f"0.yaml:{place}: the variable {name} contains a secret or a credential"
    ]


def test_the_variable_of_a_username_is_refused_in_a_url() -> None:
    [problem] = problems_of(FILE.replace("${KEY}", "${USER}"))
    assert "the variable USER contains a secret or a credential" in problem


@pytest.mark.parametrize(
    ("path", "is_allowed"),
    [
        ("/run/secrets/$(cmd)/../catalogue", False),
        ("a/./../b", False),
        ("../a/../b", False),
        ("~/../a", False),
        (".../../a", False),
        ("a/..", False),
        ("../../a/b", True),
        ("./../a", True),
        ("/run/secrets/..a/b..", True),
    ],
)
def test_the_path_of_a_secret_has_no_two_dots_after_a_name(path: str, is_allowed: bool) -> None:
    found = problems_of(FILE.replace("{env: SECOND}", f'{{file: "{path}"}}'))
    what = f"10:64: secret file:{path} has `..` after the name of a folder"
    assert found == ([] if is_allowed else [f"0.yaml:{what}"])


@pytest.mark.parametrize(("old", "new"), [("", ""), ("BRAMA", "${KEY}")])
def test_a_variable_that_is_neither_a_secret_nor_a_credential_is_allowed_anywhere(
    old: str, new: str
) -> None:
    assert problems_of(FILE.replace(old, new)) == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("server: eu.preservica.com", "SERVER"),
        ("tenant: BRAMA", "TENANT"),
        ("username: {env: USER}, ", "USERNAME"),
    ],
)
def test_a_default_variable_of_a_place_may_not_hold_a_secret(line: str, name: str) -> None:
    text = (
        FILE.replace("    " + line + "\n", "")
        .replace(line, "")
        .replace("SECOND", f"PRESERVICA_{name}")
    )
    assert problems_of(text) == [
        f"0.yaml:4:3: the variable PRESERVICA_{name} contains a secret or a credential"
    ]


def test_a_secret_of_one_file_is_refused_in_a_shown_place_of_a_different_file() -> None:
    other = (
        "version: 1\nx-a: &a ${SECOND}\ntenancies: {b: {server: a.example, tenant: *a,"
        " subscriptions: {}}}\n"
    )
    assert problems_of(FILE, other) == [
        "1.yaml:3:36: the variable SECOND contains a secret or a credential"
    ]
    assert problems_of(other) == []
