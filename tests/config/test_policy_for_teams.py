"""Rules for each tenancy: no team's file reaches the secrets or the tenancy of a different team."""

from __future__ import annotations

from pathlib import Path

import pytest

from hooksync.config.document import read_tenancies
from hooksync.config.files import STDIN, Source
from hooksync.config.policy import Policy, read_policy
from hooksync.core.record import replace

POLICY = """\
version: 1
servers: ["*.preservica.com"]
receivers: ["hooks.example.net/${tenancy}/", "hooks.example.net/shared/"]
secret_kinds: [env]
login_variables: ["${TENANCY}_USER", "${TENANCY}_PASSWORD"]
secret_variables: ["${TENANCY}_HOOK_SECRET"]
url_variables: ["${TENANCY}_KEY"]
protect: [https://hooks.example.net/shared]
tenancies:
  staging: {files: [staging.yaml]}
  t-*:
    probe: require
    files: ["prod/${tenancy}.yaml", prod/defaults.yaml]
"""
DEFAULTS = """\
version: 1
defaults:
  probe: require
  credentials: {username: {env: "${TENANCY}_USER"}, password: {env: "${TENANCY}_PASSWORD"}}
  secret: {env: "${TENANCY}_HOOK_SECRET"}
  trigger: INDEXED
"""
FILE = """\
version: 1
defaults: defaults.yaml
tenancies:
  t-01:
    server: eu.preservica.com
    tenant: T01
    subscriptions:
      catalogue: {url: "https://hooks.example.net/t-01/catalogue?code=${T_01_KEY}"}
"""
OTHER = FILE.replace("t-01", "t-02").replace("T01", "T02").replace("T_01", "T_02")


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    return read_policy(str(tmp_path / "policy.yaml"))


def problems_of(policy: Policy, first: str, second: str = OTHER) -> list[str]:
    """Return the breaches with short names of files."""
    folder = policy.file.removesuffix("policy.yaml")
    texts = {"t-01": first, "t-02": second, "defaults": DEFAULTS}
    sources = {}
    for name, text in texts.items():
        path = f"{folder}prod/{name}.yaml"
        sources[path] = Source(path, text.encode())
    named = [source for path, source in sources.items() if not path.endswith("defaults.yaml")]
    tenancies = read_tenancies(named, read=sources.__getitem__)
    found = [*policy.breaches(tenancies)]
    return [f"{problem.where}: {problem.what}".replace(folder, "") for problem in found]


def test_files_that_keep_to_their_tenancies_are_allowed(policy: Policy) -> None:
    assert problems_of(policy, FILE) == []


NO = ", which the policy does not allow (policy.yaml:"


@pytest.mark.parametrize(
    ("written", "instead", "problem"),
    [
        (
            "${T_01_KEY}",
            "${T_03_PASSWORD}",
            f"prod/t-01.yaml:8:19: this uses the variable T_03_PASSWORD{NO}7)",
        ),
        (
            "${T_01_KEY}",
            "${T_01_HOOK_SECRET_2}",
            f"prod/t-01.yaml:8:19: this uses the variable T_01_HOOK_SECRET_2{NO}7)",
        ),
        (
            '${T_01_KEY}"',
            '", secret: {env: T_02_PASSWORD}',
            f"prod/t-01.yaml:8:74: this uses the variable T_02_PASSWORD{NO}6)",
        ),
        (
            "tenant: T01",
            "credentials: {username: {env: T_02_USER}, password: {env: T_01_PASSWORD}}",
            f"prod/t-01.yaml:6:19: this uses the variable T_02_USER{NO}5)",
        ),
        (
            "net/t-01/",
            "net/t-02/",
            f"prod/t-01.yaml:8:19: the URL leads to a host or path{NO}3)",
        ),
        (
            "net/t-01/",
            "net/shared/",
            f"prod/t-01.yaml:8:19: the URL is, or may be, under a protected prefix{NO}8)",
        ),
        ("tenant: T01", "probe: auto", f'prod/t-01.yaml:4:3: tenancy "t-01" has `probe: auto`{NO}12)'),
        ("  t-01:\n", "  other:\n", f'prod/t-01.yaml:4:3: no name under `tenancies` matches "other"{NO}9)'),
        ("  t-01:\n", "  t-0_1:\n", f'prod/t-01.yaml:4:3: "t-0_1" is not of lowercase letters, digits and -{NO}9)'),
        (
            "  t-01:\n",
            "  t-02: {subscriptions: {more: {url: https://hooks.example.net/t-02/more}}}\n  t-01:\n",
            f'prod/t-01.yaml:1:1: prod/t-01.yaml, or what it is a link to, declares a part of tenancy "t-02"{NO}13)',
        ),
    ],
)  # fmt: skip
def test_what_reaches_a_different_team_is_refused_with_the_line_of_the_policy(
    policy: Policy, written: str, instead: str, problem: str
) -> None:
    text = FILE.replace(written, instead, 1)
    if "shared" in instead:
        text = text.replace("?code=${T_01_KEY}", "")
    assert problem in problems_of(policy, text)


def test_a_file_of_defaults_must_be_allowed_for_each_tenancy_that_takes_it(policy: Policy) -> None:
    (Path(policy.file)).write_text(POLICY.replace(", prod/defaults.yaml", ""), encoding="utf-8")
    [first, second] = problems_of(read_policy(policy.file), FILE)
    assert 'prod/defaults.yaml, or what it is a link to, declares a part of tenancy "t-01"' in first
    assert (
        'prod/defaults.yaml, or what it is a link to, declares a part of tenancy "t-02"' in second
    )


def test_standard_input_is_refused_if_files_are_listed(policy: Policy) -> None:
    text = FILE.replace("defaults: defaults.yaml", "defaults: {secret: {env: T_01_HOOK_SECRET}, trigger: MOVED}")  # fmt: skip
    tenancies = read_tenancies([Source(STDIN, text.encode())])
    assert "<stdin>, or what it is a link to, declares a part" in str([*policy.breaches(tenancies)])


@pytest.mark.parametrize(
    ("links", "file", "is_allowed"),
    [
        # as in a ConfigMap: each file is a link to a hidden folder
        ({"prod/..data": "..1", "prod/t-01.yaml": "..data/t-01.yaml"}, "prod/t-01.yaml", True),
        ({"prod/t-01.yaml": "../red/t-01.yaml"}, "prod/t-01.yaml", False),
        ({"prod": "red"}, "prod/t-01.yaml", False),
        ({"prod/d": "../red/deep"}, "prod/d/../t-01.yaml", False),
    ],
)
def test_a_link_leads_only_below_its_own_folder(
    policy: Policy, tmp_path: Path, links: dict[str, str], file: str, is_allowed: bool
) -> None:
    text = FILE.replace("defaults: defaults.yaml\n", DEFAULTS.removeprefix("version: 1\n"))
    for folder in ("red/deep", "prod/..1"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / ".." / "t-01.yaml").write_text(text)
        (tmp_path / folder / "t-01.yaml").write_text(text)
    if "prod" in links:
        (tmp_path / "prod").rename(tmp_path / "former")
    (tmp_path / "prod" / "t-01.yaml").unlink(missing_ok=True)
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    source = Source(str(tmp_path / file), text.encode())
    found = [*policy.breaches(read_tenancies([source]))]
    assert ["what it is a link to" in problem.what for problem in found] == [True] * (
        not is_allowed
    )


def test_the_general_rules_apply_to_a_receiver_that_the_command_line_names(policy: Policy) -> None:
    text = FILE.replace("defaults: defaults.yaml", "defaults: {secret: {env: T_01_HOOK_SECRET}, trigger: MOVED}")  # fmt: skip
    [tenancy] = read_tenancies([Source("hooks.yaml", text.encode())])
    found = [*policy.breaches([replace(tenancy, name="", files=())])]
    fields = ("receivers", "secret_variables", "url_variables")
    assert len(found) == len(fields)
    assert all(field in problem.fix for field, problem in zip(fields, found, strict=True))
