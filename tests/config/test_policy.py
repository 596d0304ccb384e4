"""A policy: how it is read, and which hosts, variables and secrets it denies in any spelling."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from hooksync.config.declarations import uses_of
from hooksync.config.document import read_tenancies
from hooksync.config.files import Source
from hooksync.config.policy import Policy, is_allowed, read_policy
from hooksync.config.yaml_loader import read_yaml
from hooksync.core.errors import FileError, Problem
from hooksync.core.schema import read_schema
from hooksync.core.urls import server_fault, url_fault
from tests.command_line import ROOT

HOOKS = """\
version: 1
tenancies:
  prod:
    server: eu.preservica.com
    tenant: BRAMA
    subscriptions:
      catalogue:
        url: https://hooks.example.org/api?code=${FN_KEY}
        trigger: INDEXED
        secret: {env: HOOK_SECRET}
"""
POLICY = """\
# who may change it: the security team
version: 1
servers: ["*.preservica.com"]
receivers: [hooks.example.org, "*.azurewebsites.net", "hooks.example.org:8443"]
secret_kinds: [env, file]
secret_variables: [HOOK_SECRET]
url_variables: ["FN_*"]
place_variables: [ARCHIVE, "FN_*"]
secret_folders: [/run/secrets]
login_variables: ["PRESERVICA_*"]
"""
SECRETS = {
    "secret_kinds": ["env"],
    "login_variables": ["PRESERVICA_*"],
    "secret_variables": ["HOOK_SECRET"],
    "url_variables": ["FN_KEY"],
    "receivers": ["hooks.example.org"],
}


def policy_with(**fields: list[str]) -> Policy:
    data, _ = read_yaml("policy.yaml", json.dumps(fields).encode())
    return Policy("policy.yaml", data)


def policy_of(folder: Path, text: str = POLICY) -> Policy:
    (folder / "policy.yaml").write_text(text, encoding="utf-8")
    return read_policy(str(folder / "policy.yaml"))


def breaches(policy: Policy, text: str, environ: Mapping[str, str] = {}) -> list[str]:
    """Return the breaches as `line:column: what`, with `policy.yaml` as the path of the policy."""
    document = read_tenancies([Source("hooks.yaml", text.encode())])
    return shown(policy, policy.breaches(document, environ))


def shown(policy: Policy, found: Iterable[Problem]) -> list[str]:
    return [
        f"{one.where}: {one.what}".removeprefix("hooks.yaml:").replace(policy.file, "policy.yaml")
        for one in found
    ]


# how a policy is read


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "1:1", "the file is empty"),
        ("servers: []\n", "1:1", "the top level has no version"),
        ("version: 2\n", "1:1", "version must be 1, the only version so far"),
        ("version: 1\nserver: []\n", "2:1", 'unknown key "server"'),
        ("version: 1\nx-note: a\n", "2:1", 'unknown key "x-note"'),
        *(
            (
                f"version: 1\nreceivers: [a, {host!r}]\n",
                "2:1",
                "item 2 of receivers is neither a host nor a host with a path that ends with /",
            )
            for host in (
                "https://a",
                "a/b",
                "u@a",
                "*a.example",
                "**",
                "a..b",
                "[::1",
                "a:0",
                "a:x",
                "b\u00fccher.example",
            )
        ),
        ("version: 1\nplace_variables: [A, 'B C']\n", "2:1", "is not the name of a variable"),
        (
            "version: 1\nsecret_kinds: [env, vault]\n",
            "2:1",
            "must be one of env, file, command",
        ),
        ("version: 1\nallow_commands: true\n", "2:1", 'unknown key "allow_commands"'),
        ("version: 1\nsecret_folders: ['']\n", "2:1", "item 1 of secret_folders is empty"),
        ("version: 1\nallow_http: 'no'\n", "2:1", "allow_http must be true or false"),
    ],
)
def test_each_mistake_in_a_policy_is_reported_at_its_place(
    tmp_path: Path, text: str, place: str, said: str
) -> None:
    with pytest.raises(FileError) as caught:
        policy_of(tmp_path, text)
    assert [str(problem.where) for problem in caught.value.problems] == [
        f"{tmp_path / 'policy.yaml'}:{place}"
    ]
    assert said in caught.value.summary


def test_a_policy_that_cannot_be_read_is_an_error_and_is_never_ignored(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(FileError, match=r"there is no policy|policy .* cannot be read"):
            read_policy(str(path))


def test_a_limit_whose_meaning_changed_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no longer for the whole run") as refused:
        policy_of(tmp_path, "version: 1\nmax_resubscribe: 40\n")
    assert "write max_resubscribe_run: 40" in str(refused.value)
    both = policy_of(tmp_path, "version: 1\nmax_resubscribe: 50%\nmax_resubscribe_run: 40\n")
    assert str(both.limits("", "_run")["max_resubscribe"]) == "40"


# what a policy allows a hooks file to name


def test_http_is_denied_to_receivers_that_are_not_on_this_machine(tmp_path: Path) -> None:
    hosts = "[hooks.example.org, '127.0.0.1', localhost]"
    text = POLICY.replace(
        '[hooks.example.org, "*.azurewebsites.net", "hooks.example.org:8443"]', hosts
    )
    for host, number in (
        ("hooks.example.org", 1),
        ("127.0.0.1", 0),
        ("localhost", 0),
        ("hooks.example.org:80", 1),
    ):
        changed = HOOKS.replace("https://hooks.example.org", f"HTTP://{host}")
        found = breaches(policy_of(tmp_path, f"{text}allow_http: false\n"), changed)
        assert [each.partition(", ")[0] for each in found] == [
            "8:9: the URL is plain http"
        ] * number
        assert breaches(policy_of(tmp_path, f"{text}allow_http: true\n"), changed) == []
    filled = HOOKS.replace("https://", "http${S:-}://")
    policy = policy_of(tmp_path, text.replace("ARCHIVE", "S, ARCHIVE"))
    assert len(breaches(policy, filled, {"FN_KEY": "k"})) == 1
    assert breaches(policy, filled, {"FN_KEY": "k", "S": "s"}) == []


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("https://${A}/x?c=${B}", "A"),
        ("https://h.example${A}/${B}", "A"),
        ("https://h.example:${A}/${B}", "A"),
        ("${A}://${B}/${C}", "A B"),
        ("${A}?c=${B}", "A"),
        ("${A}/${B}", "A"),
        ("${A}/${B}?next=https://${C}", "A"),
        ("${A:-https:/}/${B}", "A B"),
        ("${A}${B}${C}", "A B C"),
        ("https://h.example?${A}", ""),
    ],
)
def test_a_variable_is_a_place_variable_in_a_host_and_not_in_a_path(url: str, places: str) -> None:
    text = HOOKS.replace("https://hooks.example.org/api?code=${FN_KEY}", f'"{url}"')
    [tenancy] = read_tenancies([Source("hooks.yaml", text.encode())])
    found = [use.name for use in uses_of(tenancy) if use.role == "place" and not use.is_default]
    assert found == places.split()


@pytest.mark.parametrize(
    ("written", "instead", "field"),
    [
        ("env: HOOK_SECRET", "env: ARCHIVE", "secret_variables"),
        ("${FN_KEY}", "${ARCHIVE}", "url_variables"),
        ("BRAMA", "${OTHER}", "place_variables"),
        ("BRAMA", "B\n    credentials: {password: {env: ARCHIVE}}", "login_variables"),
        ("BRAMA", "B\n    credentials: {username: {env: ARCHIVE}}", "login_variables"),
    ],
)
def test_a_variable_is_allowed_only_for_what_its_list_is_for(
    tmp_path: Path, written: str, instead: str, field: str
) -> None:
    document = read_tenancies([Source("hooks.yaml", HOOKS.replace(written, instead).encode())])
    [problem] = policy_of(tmp_path).breaches(document)
    assert f"to write `{field}: [" in problem.fix


def test_no_usual_variable_is_allowed_without_its_list_whoever_names_it(tmp_path: Path) -> None:
    written = "credentials: {username: {env: PRESERVICA_USERNAME}, password: {env: OTHER}}"
    policy = policy_of(tmp_path, POLICY.replace('"PRESERVICA_*"', "'${TENANCY}_USER'"))
    for text in (HOOKS, HOOKS.replace("tenant: BRAMA", f"tenant: BRAMA\n    {written}")):
        found = [*policy.breaches(read_tenancies([Source("hooks.yaml", text.encode())]))]
        name = "OTHER" if written in text else "PRESERVICA_PASSWORD"
        assert [problem.what.partition(", ")[0] for problem in found] == [
            "this uses the variable PRESERVICA_USERNAME",
            f"this uses the variable {name}",
        ]
        line = f"login_variables: ['${{TENANCY}}_USER', PRESERVICA_USERNAME, {name}]"
        fix = f"use a different one, or ask the owners of the policy to write `{line}`"
        assert {problem.fix for problem in found} == {fix}
        repaired = policy_of(tmp_path, f"{POLICY.rpartition('login')[0]}{line}\n")
        assert breaches(repaired, text) == []


def test_the_server_and_the_tenant_of_the_environment_are_places(tmp_path: Path) -> None:
    policy = policy_of(tmp_path)
    without = HOOKS.replace("    server: eu.preservica.com\n", "").replace(
        "tenant: BRAMA", "x-a: b"
    )
    said = "this uses the variable PRESERVICA_{}, which the policy does not allow (policy.yaml:8)"
    server = f"3:3: {said.format('SERVER')}"
    assert breaches(policy, without) == [server]
    environ = {"FN_KEY": "k", "PRESERVICA_SERVER": "eu.preservica.com", "PRESERVICA_TENANT": "T"}
    assert breaches(policy, without, environ) == [server, f"3:3: {said.format('TENANT')}"]
    allowed = policy_of(tmp_path, POLICY.replace("[ARCHIVE", "['PRESERVICA_*', ARCHIVE"))
    assert breaches(allowed, without, environ) == []


def test_a_host_is_judged_when_it_is_filled_in_and_named_if_the_file_names_it(
    tmp_path: Path,
) -> None:
    policy = policy_of(tmp_path, POLICY.replace("[ARCHIVE", "[H, S, ARCHIVE"))
    text = HOOKS.replace("hooks.example.org", "hooks.example.org${H}").replace("eu.", "eu${S:-.}")
    assert breaches(policy, text) == breaches(policy, text, {"FN_KEY": "k"}) == []
    no = "which the policy does not allow"
    # this S makes the server invalid: `resolve` reports that
    assert breaches(
        policy, text, {"FN_KEY": "k", "H": ".evil.example", "S": ".evil.example/?"}
    ) == [f"8:9: the URL leads to a host or path, {no} (policy.yaml:4)"]
    assert breaches(policy, text, {"FN_KEY": "k", "H": "/", "S": ".evil.example."}) == [
        f"4:5: the server leads to a host, {no} (policy.yaml:3)"
    ]
    assert breaches(
        policy,
        HOOKS.replace("    server: eu.preservica.com\n", ""),
        {"PRESERVICA_SERVER": "evil.example"},
    )


def is_allowed_url(policy: Policy, url: str) -> bool:
    globs = policy.rules_for("prod")["receivers"]
    return is_allowed(url, globs)


@pytest.mark.parametrize(
    ("netloc", "is_allowed"),
    [
        ("hooks.example.org", True),
        ("HOOKS.Example.ORG.:443", True),
        ("hooks.example.org:8443", True),
        ("x.azurewebsites.net", True),
        ("azurewebsites.net", False),
        ("a.b.azurewebsites.net", False),
        ("hooks.example.org.evil.example", False),
        ("evilhooks.example.org", False),
        ("hooks.example.org:80", False),
        ("hooks\u3002example.org", False),
        ("hooks.example.or\u1d4d", False),
        ("hoo\u212as.example.org", False),
        ("hooks.example.org..", False),
        ("hooks%2eexample.org", False),
        ("3221226219", False),
        ("[2001:db8::1]", False),
    ],
)
def test_a_host_is_allowed_only_if_it_matches_a_listed_receiver(
    tmp_path: Path, netloc: str, is_allowed: bool
) -> None:
    assert is_allowed_url(policy_of(tmp_path), f"https://{netloc}/x") == is_allowed


def test_an_address_is_allowed_in_all_its_spellings_or_in_none(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path, 'version: 1\nreceivers: [10.1.2.3, "[2001:DB8::1]", "*.1.2.3", "*"]\n'
    )
    for netloc in ("10.1.2.3", "[2001:db8::1]", "[2001:DB8::1]"):
        assert is_allowed_url(policy, f"https://{netloc}/")
    for netloc in (
        "10.1.2.4",
        "[::ffff:10.1.2.3]",
        "9.1.2.3",
        "[2001:db8::2]",
        "[fe80::1%25eth0]",
        "[::1]",
    ):
        assert not is_allowed_url(policy, f"https://{netloc}/")


PIECES = st.sampled_from(
    [
        *(
            "hooks.example.org",
            "evil.example",
            "hooks",
            "org",
            "x",
            "127.0.0.1",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "::1",
        ),
        *(
            ".",
            "@",
            ":",
            ":443",
            ":8443",
            "\\",
            "/",
            "?",
            "#",
            "%2e",
            "%40",
            "%",
            "\u3002",
            "\uff0e",
            "\u212a",
            "\u00df",
        ),
        *(
            "\u200b",
            "\u2044",
            "\uff0f",
            "xn--",
            "-",
            "_",
            "*",
            ";",
            "&",
            ",",
            "'",
            "[",
            "]",
            "\0",
            " ",
            "\t",
            "//",
        ),
    ]
)


@given(
    st.lists(PIECES, min_size=1, max_size=7).map("".join),
    st.sampled_from(["https://", "HTTPS://", "https:", ""]),
)
def test_no_spelling_of_a_foreign_host_passes(rest: str, start: str) -> None:
    policy = policy_with(receivers=["hooks.example.org"])
    url = start + rest
    if url_fault(url) is None and is_allowed_url(policy, url):
        prepared = requests.Request("POST", url).prepare().url
        assert prepared is not None
        called = parse_url(prepared)
        hosts = {f"{called.host}".rstrip("."), f"{urlsplit(url).hostname}".rstrip(".")}
        assert (hosts, called.port in (None, 443)) == ({"hooks.example.org"}, True)


@given(st.lists(PIECES, min_size=1, max_size=7).map("".join))
def test_no_spelling_of_a_foreign_server_passes(server: str) -> None:
    text = HOOKS.replace("eu.preservica.com", "${S}")
    policy = policy_with(servers=["hooks.example.org"], place_variables=["S"], **SECRETS)
    if server_fault(server) is None and not breaches(policy, text, {"S": server, "FN_KEY": "k"}):
        _, _, netloc = server.rpartition("//")
        assert (
            netloc.lower().removesuffix("/").removesuffix(":443").removesuffix(":").rstrip(".")
            == "hooks.example.org"
        )


def test_secret_files_are_allowed_only_in_the_folders_of_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed, other = tmp_path / "secrets", tmp_path / "secrets-of-others"
    for folder in (allowed, other):
        folder.mkdir()
    (allowed / "away").symlink_to(other)
    (tmp_path / "in").symlink_to(allowed)
    monkeypatch.setenv("HOME", str(allowed))

    def passes(name: str, folders: str) -> bool:
        policy = policy_of(
            tmp_path, re.sub("secret_folders: .*", f"secret_folders: {folders}", POLICY)
        )
        return not breaches(policy, HOOKS.replace("env: HOOK_SECRET", f"file: {name}"))

    for folders in (
        f"[{allowed}]",
        "[/elsewhere, secrets]",
        f"['{allowed}/']",
        "['~']",
        f"[{tmp_path / 'in'}]",
    ):
        assert all(passes(f"{start}/a/b", folders) for start in (allowed, tmp_path / "in", "~"))
        outside = (
            allowed,
            f"{allowed}/away/x",
            f"{other}/x",
            f"{allowed}-of-others/x",
            "x",
        )
        assert not any(passes(str(name), folders) for name in outside)
        assert not any(passes(str(name), "[]") for name in (*outside, f"{allowed}/a"))


def test_the_policy_page_shows_every_field_and_a_real_breach(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    text, teams = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert policy_of(tmp_path, teams).data["tenancies"]
    policy = policy_of(tmp_path, text)
    fields = read_schema("policy")["properties"].keys() - {"version"}
    assert (
        fields
        == {*re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)}
        == policy.data.keys() - {"version"}
    )
    changed = HOOKS.replace("HOOK_SECRET", "CATALOGUE_SECRET").replace(
        "eu.preservica.com", "preservica.example\n    probe: require"
    )
    login = "{username: {env: PROD_USERNAME}, password: {env: PROD_PASSWORD}}"
    changed = changed.replace("tenant: BRAMA", f"credentials: {login}")
    del policy.data["files"], policy.data["tenancies"]
    [breach] = breaches(policy, changed)
    assert breach in page


def test_no_policy_of_an_example_lets_programs_run() -> None:
    policies = [*ROOT.glob("examples/**/*policy*.y*ml")]
    assert len(policies) > 3
    assert not [
        path for path in policies if "command" in str(read_policy(str(path)).data["secret_kinds"])
    ]


# what a policy limits


@pytest.mark.parametrize(
    ("path", "is_allowed"),
    [
        ("/preservica/hook?code=${FN_KEY}", True),
        ("/preservica/${FN_KEY}", True),
        ("/preservica/?next=/../x", True),
        ("/preservica", False),
        ("/preservicax/hook", False),
        ("/admin", False),
        ("", False),
        ("/preservica/../admin", False),
        ("/preservica/%2e%2E/admin", False),
        ("/preservica/..%2fadmin", False),
        ("/preservica/..;a/admin", False),
        ("/preservica/..%3b/admin", False),
        ("/preservica/%252e%252e/admin", False),
        ("/preservica/.%00./admin", False),
        ("/preservica/%c0%ae%c0%ae/admin", False),
        ("/preservica/\uff0e\uff0e/admin", False),
        ("/preservica/a;b", False),
        ("/preservica/%${FN_KEY}", False),
        ("/preservica/hook?next=%2f;\u00e9", True),
        ("/preservica\\..\\admin", False),
        ("/${FN_KEY}", None),  # allowed until the variable is filled in
        ("/pres${FN_KEY}", None),
        ("/ad${FN_KEY}", False),
    ],
)
def test_a_receiver_listed_with_a_path_is_allowed_only_below_that_path(
    tmp_path: Path, path: str, is_allowed: bool | None
) -> None:
    policy = policy_of(
        tmp_path, POLICY.replace("[hooks.example.org,", "[hooks.example.org/preservica/,")
    )
    text = HOOKS.replace("/api?code=${FN_KEY}", path)
    found = breaches(policy, text)
    if is_allowed is None:
        assert found == []
        found = breaches(policy, text, {"FN_KEY": "../admin", "HOOK_SECRET": "s"})
    assert found == [] if is_allowed else "leads to a host or path" in found[0]
