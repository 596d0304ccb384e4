from collections.abc import Mapping
from pathlib import Path

import pytest

from hooksync.config.declarations import TenancyDeclaration
from hooksync.config.document import read_tenancies
from hooksync.config.files import Source, gather
from hooksync.config.resolve import check_as_written, resolve, url_environment_values
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import (
    HookUrl,
    Location,
    SecretRef,
    Server,
    Tenancy,
    Trigger,
    Variables,
)

FILE = """\
version: 1
defaults: {secret: {env: HOOK_SECRET}}
tenancies:
  prod:
    server: ${REGION:-eu}.preservica.com
    tenant: BRAMA
    owns: [https://fn.example.net/api, https://localhost]
    subscriptions:
      catalogue:
        url: https://${HOST}/api/hook?code=${FN_KEY}
        triggers: [INDEXED, MOVED]
        include_identifiers: false
        description: Rebuilds the index
      fixed: {url: https://fn.example.net/api/$$, trigger: MOVED}
"""
SECRETS = dict.fromkeys(("PRESERVICA_USERNAME", "PRESERVICA_PASSWORD", "HOOK_SECRET", "S"), "set")
ENVIRON = {"HOST": "fn.example.net", "FN_KEY": "k-123456"}


def entries_of(text: str) -> tuple[TenancyDeclaration, ...]:
    return read_tenancies([Source("hooks.yaml", text.encode())])


def resolved(text: str = FILE, environ: Mapping[str, str] = ENVIRON) -> tuple[Tenancy, ...]:
    tenancies, warnings = resolve(entries_of(text), {**SECRETS, **environ})
    assert warnings == ()
    return tenancies


def said_of(text: str, environ: Mapping[str, str]) -> list[str]:
    """Return the problems as `line:column: what`.

    Assert that each problem has a fix, and that no message repeats a value of the environment with
    six or more characters.
    """
    with pytest.raises(FileError) as caught:
        resolve(entries_of(text), {**SECRETS, **environ})
    assert all(problem.fix for problem in caught.value.problems)
    for value in environ.values():
        assert len(value) < 6 or value not in str(caught.value)
    return [
        f"{problem.where}: {problem.what}".removeprefix("hooks.yaml:")
        for problem in caught.value.problems
    ]


def test_one_subscription_is_declared_for_each_trigger() -> None:
    (tenancy,) = resolved()
    assert [subscription.address for subscription in tenancy.subscriptions] == [
        "prod/catalogue/INDEXED",
        "prod/catalogue/MOVED",
        "prod/fixed/MOVED",
    ]
    indexed, _, fixed = tenancy.subscriptions
    assert indexed.url == HookUrl(
        shown="https://${HOST}/api/hook?code=${FN_KEY}",
        full="https://fn.example.net/api/hook?code=k-123456",
    )
    assert indexed.trigger == Trigger("FULL_TEXT_INDEXED")
    assert indexed.secret == SecretRef("env", "HOOK_SECRET")
    assert indexed.location == Location("hooks.yaml", 9, 7)
    assert (indexed.include_identifiers, fixed.include_identifiers) == (False, True)
    assert indexed.description == "Rebuilds the index"
    assert fixed.description is None
    assert fixed.url.full == "https://fn.example.net/api/$"


def test_each_credential_has_its_own_default() -> None:
    text = FILE.replace("tenant: BRAMA", "credentials: {password: {file: p}}")
    credentials = resolved(text)[0].credentials
    assert (str(credentials.username), str(credentials.password)) == (
        "env:PRESERVICA_USERNAME",
        "file:p",
    )
    assert credentials.password.location == Location("hooks.yaml", 6, 19)


SMALL = "version: 1\ntenancies:\n  prod:\n    subscriptions: {}\n"


def test_server_and_tenant_come_from_the_environment_when_left_out() -> None:
    (tenancy,) = resolved(
        SMALL, {"PRESERVICA_SERVER": "https://US.preservica.com/", "PRESERVICA_TENANT": "T"}
    )
    assert tenancy.server == Server("https://us.preservica.com")
    assert tenancy.tenant == "T"


def test_an_empty_tenant_counts_as_left_out() -> None:
    assert resolved(SMALL, {"PRESERVICA_SERVER": "h", "PRESERVICA_TENANT": ""})[0].tenant is None
    empty = SMALL.replace("    subscriptions", "    tenant: ${T:-}\n    subscriptions")
    assert resolved(empty, {"PRESERVICA_SERVER": "h"})[0].tenant is None


def test_tenancy_without_a_server_is_refused() -> None:
    assert said_of(SMALL, {"PRESERVICA_SERVER": ""}) == [
        "3:3: not set: server variable ${PRESERVICA_SERVER}"
    ]


def test_every_variable_that_is_missing_is_named() -> None:
    assert said_of(FILE.replace("BRAMA", "${TENANT}"), {"HOST": ""}) == [
        "4:3: not set: tenant variable ${TENANT}, URL variable ${HOST}, URL variable ${FN_KEY}"
    ]


@pytest.mark.parametrize(
    ("host", "fault"),
    [
        ("user:password@fn.example.net", "contains user information (@)"),
        ("other.example.net", "is outside `owns` of its tenancy"),
        ("fn.example.net/x?y=", "is outside `owns` of its tenancy"),
        ("fn.example.net/api/../..", "is outside `owns` of its tenancy"),
        ("fn.example.net/#", "has a fragment (#)"),
        ("fn.example.net:port", "has an invalid port"),
        (
            "fn.example.net\nx-header: 1",
            "contains white space, a control character or a typographic quotation mark",
        ),
        (
            "fn.example.net\0",
            "contains white space, a control character or a typographic quotation mark",
        ),
        (
            "/other.example.net",
            "has a host that is neither a name in ASCII nor an address like 192.0.2.1 or [::1]",
        ),
    ],
)
def test_url_with_a_variable_is_judged_when_it_is_filled_in(host: str, fault: str) -> None:
    said = said_of(FILE, {**ENVIRON, "HOST": host})
    assert said == [f"10:9: the URL {fault}"]


@pytest.mark.parametrize(
    ("region", "fault"),
    [
        ("http://eu", "is plain http: the password can be read in transit"),
        ("ftp://eu", "is neither http nor https"),
        ("evil.org/", "has a path, a query or a fragment"),
        ("user:password@eu", "contains user information (@)"),
        ("a b", "contains white space, a control character or a typographic quotation mark"),
    ],
)
def test_server_with_a_variable_is_judged_when_it_is_filled_in(region: str, fault: str) -> None:
    said = said_of(FILE, {**ENVIRON, "REGION": region})
    assert said == [f"5:5: the server {fault}"]


def test_an_allowed_http_server_gives_a_warning_about_the_readable_password() -> None:
    entries = entries_of(FILE.replace("tenant: BRAMA", "allow_http: true"))
    (tenancy,), (warning,) = resolve(entries, {**SECRETS, **ENVIRON, "REGION": "http://eu"})
    assert tenancy.server.base_url == "http://eu.preservica.com"
    assert warning.what.endswith("is plain http: the password can be read in transit")
    assert str(warning.where) == "hooks.yaml:5:5"
    local = FILE.replace("tenant: BRAMA", "allow_http: true").replace(
        "${REGION:-eu}.preservica.com", "${REGION}"
    )
    assert resolved(local, {**ENVIRON, "REGION": "http://127.0.0.1:80"})


TWINS = """\
version: 1
tenancies:
  prod:
    server: h
    subscriptions:
      a: {url: "https://${A}/", trigger: MOVED, secret: {env: S}}
      b: {url: "https://${B}", trigger: MOVED, secret: {env: S}}
"""


def test_urls_that_are_equal_when_filled_in_are_refused() -> None:
    assert said_of(TWINS, {"A": "fn.example.net", "B": "FN.example.net:443"}) == [
        '7:7: "b" has the URL and the trigger MOVED of "a" (hooks.yaml:6:7)'
    ]
    assert len(resolved(TWINS, {"A": "one", "B": "two"})[0].subscriptions) == 2


def test_plain_http_gives_one_warning_as_soon_as_the_url_is_known() -> None:
    text = TWINS.replace("https://${A}", "http://${A}").replace("https://${B}", "http://host-b/")
    entries = entries_of(text)
    as_written: list[Problem] = []
    check_as_written(as_written, entries)
    assert [str(warning.where) for warning in as_written] == ["hooks.yaml:7:11"]
    _, warnings = resolve(entries, {**SECRETS, "A": "host-a"})
    assert [str(warning.where) for warning in warnings] == ["hooks.yaml:6:11", "hooks.yaml:7:11"]
    assert warnings[0].what.startswith("the URL is plain http")


@pytest.mark.parametrize(
    ("path", "warning"),
    [
        ("hook?code=$KEY", "the URL contains a $ without braces, which is sent as it is"),
        ("hook?code=${KEY}&b=$KEY", "the URL contains a $ without braces, which is sent as it is"),
        ("hook?a=b&code=x7Jk29sdf8Lq0", "the URL contains what looks like a key"),
        ("hook?code=$$KEY", None),
        ("hook?code=${KEY}", None),
        ("hook?code=${KEY:-a1b2c3d4e5}&format=json&on=2026-01-01", None),
    ],
)
def test_a_key_that_is_not_filled_in_or_written_out_gives_a_warning(
    path: str, warning: str | None
) -> None:
    text = TWINS.replace("https://${A}/", f"https://h.example/{path}")
    warnings: list[Problem] = []
    check_as_written(warnings, entries_of(text))
    found = [problem.what for problem in warnings]
    assert (found == []) if warning is None else (warning in found[0] and len(found) == 1)
    assert "x7Jk29" not in str(warnings)


def test_filled_in_value_is_not_in_the_repr_of_a_tenancy() -> None:
    assert "k-123456" not in repr(resolved())


def test_the_values_that_fill_in_urls_are_found_for_redaction() -> None:
    assert url_environment_values(entries_of(FILE), {**ENVIRON, "OTHER": "x"}) == {
        "fn.example.net",
        "k-123456",
    }
    assert url_environment_values(entries_of(FILE), {"HOST": ""}) == set()


def test_a_value_that_fills_in_a_server_or_a_tenant_is_not_hidden() -> None:
    text = FILE.replace("${FN_KEY}", "${REGION}${TENANT}")
    assert text != FILE
    entries = entries_of(text.replace("tenant: BRAMA", "tenant: ${TENANT}"))
    assert url_environment_values(entries, {**ENVIRON, "REGION": "us", "TENANT": "T"}) == {
        "fn.example.net"
    }


def from_files(tmp_path: Path, text: str, environ: dict[str, str], login: str = "") -> Variables:
    (tmp_path / "hooks.env").write_text(text, encoding="utf-8")
    (tmp_path / "login").write_text(f"[credentials]\n{login}\n", encoding="utf-8")
    for name in ("hooks.env", "login"):
        (tmp_path / name).chmod(0o600)
    login_path = str(tmp_path / "login") if login else None
    return gather([str(tmp_path / "hooks.env")], login_path, environ)[0]


def test_a_secret_that_differs_between_shell_and_file_gives_a_warning_without_its_values(
    tmp_path: Path,
) -> None:
    environ = from_files(tmp_path, "HOOK_SECRET=new-value\nFN_KEY=k-2\nHOST=h\n", SECRETS | ENVIRON)
    _, warnings = resolve(entries_of(FILE), environ)
    [what] = [warning.what for warning in warnings]
    assert what.startswith("HOOK_SECRET has different values in the environment and in ")
    assert "new-value" not in str(warnings)
    assert "set" not in what.split()


def test_no_fix_suggests_a_default_for_a_key() -> None:
    with pytest.raises(FileError) as caught:
        resolve(entries_of(FILE), {})
    assert ":-" not in "".join(problem.fix for problem in caught.value.problems)
