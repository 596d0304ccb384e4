"""Defaults of a different file, default subscriptions, and `${tenancy}`."""

from collections.abc import Mapping
from functools import partial

import pytest

from hooksync.config.declarations import Declarations, WrittenSubscription, name_values
from hooksync.config.document import read_tenancies
from hooksync.config.files import Source
from hooksync.config.resolve import check_as_written
from hooksync.core.errors import FileError
from hooksync.core.model import SecretRef

DEFAULTS = """\
version: 1
defaults:
  secret: {env: "${TENANCY}_HOOK_SECRET"}
  credentials:
    username: {env: "${TENANCY}_USER"}
    password: {file: "secrets/${tenancy}"}
  probe: require
  trigger: MOVED
  subscriptions:
    catalogue:
      url: https://hooks.example.net/${tenancy}/catalogue
      triggers: [INDEXED, MOVED]
    alert:
      url: https://hooks.example.net/${tenancy}/alert
      include_identifiers: false
"""
TENANCY = """\
version: 1
defaults: ../defaults.yaml
tenancies:
  t-01: {server: eu.preservica.com, tenant: "${TENANCY}"}
"""


def read(files: Mapping[str, str], *names: str) -> Declarations:
    """Read the named files; by default, all but the one of defaults."""

    def source(name: str) -> Source:
        try:
            return Source(name, files[name].encode())
        except KeyError:
            raise FileError(f"there is no file {name}", "name one") from None

    named = names or [name for name in files if "defaults" not in name]
    judges = [partial(check_as_written, [])]
    return read_tenancies([source(name) for name in named], judges, read=source)


def folder(*tenancies: str, defaults: str = DEFAULTS) -> dict[str, str]:
    files = {f"hooks/{number}.yaml": text for number, text in enumerate(tenancies, 1)}
    return {**files, "defaults.yaml": defaults}


def subscriptions_of(files: Mapping[str, str]) -> dict[str, WrittenSubscription]:
    (tenancy,) = read(files)
    return {f"{entry.name}/{entry.trigger.short}": entry for entry in tenancy.subscriptions}


def problems_of(files: Mapping[str, str], *names: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        read(files, *names)
    return [f"{problem.where}: {problem.what}" for problem in caught.value.problems]


def test_a_file_takes_the_defaults_of_a_different_file() -> None:
    (tenancy,) = read(folder(TENANCY))
    assert tenancy.probe == "require"
    assert tenancy.tenant.text == "T_01"
    assert tenancy.credentials.username == SecretRef("env", "T_01_USER")
    # a relative path starts at the file that contains the reference
    password = SecretRef("file", "secrets/t-01", base="")
    assert tenancy.credentials.password == password
    assert tenancy.files == ("hooks/1.yaml", "defaults.yaml")


def test_each_tenancy_has_the_default_subscriptions_with_its_own_name_filled_in() -> None:
    files = folder(TENANCY, TENANCY.replace("t-01", "t-02"))
    urls = []
    for tenancy in read(files):
        for entry in tenancy.subscriptions:
            urls.append(entry.url.text)
            assert entry.secret == SecretRef(
                "env", f"{name_values(tenancy.name)['TENANCY']}_HOOK_SECRET"
            )
    assert urls == [
        f"https://hooks.example.net/{name}/{receiver}"
        for name in ("t-01", "t-02")
        for receiver in ("catalogue", "catalogue", "alert")
    ]


def test_a_subscription_is_merged_over_the_default_one_of_its_name_field_by_field() -> None:
    own = "    subscriptions: {catalogue: {trigger: INDEXED}, alert: {enabled: false}}\n"
    entries = subscriptions_of(folder(BLOCK + own))
    catalogue, alert = entries["catalogue/INDEXED"], entries["alert/MOVED"]
    assert len(entries) == 2
    assert catalogue.url.text == "https://hooks.example.net/t-01/catalogue"
    assert catalogue.location.file == "hooks/1.yaml"
    assert not alert.enabled
    assert not alert.include_identifiers


BY_DEFAULT = ["catalogue/INDEXED", "catalogue/MOVED", "alert/MOVED"]
BLOCK = "version: 1\ndefaults: ../defaults.yaml\ntenancies:\n  t-01:\n    server: h\n"


@pytest.mark.parametrize("own", ["", "    subscriptions: {}\n"])
def test_no_subscriptions_beside_default_ones_declares_no_further_ones(own: str) -> None:
    assert list(subscriptions_of(folder(BLOCK + own))) == BY_DEFAULT


def test_required_fields_are_checked_after_merging() -> None:
    own = "    subscriptions: {catalogue: {url: https://h/1}, search: {enabled: true}}\n"
    defaults = DEFAULTS.replace("      url: https://hooks.example.net/${tenancy}/catalogue\n", "")
    assert problems_of(folder(BLOCK + own, defaults=defaults)) == [
        'hooks/1.yaml:6:52: "search" has no url'
    ]


def test_an_unknown_trigger_in_defaults_is_an_error_even_if_no_subscription_takes_it() -> None:
    own = "    subscriptions: {catalogue: {trigger: INDEXED}, alert: {trigger: INDEXED}}\n"
    defaults = DEFAULTS.replace("trigger: MOVED", "trigger: MOVD").replace("[INDEXED", "[INDEXD")
    assert problems_of(folder(BLOCK + own, defaults=defaults)) == [
        'defaults.yaml:8:3: unknown trigger "MOVD"',
        'defaults.yaml:12:7: unknown trigger "INDEXD"',
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("trigger: MOVED", "trigger: MOVD", '8:3: unknown trigger "MOVD"'),
        ("[INDEXED", "[INDEXD", '12:7: unknown trigger "INDEXD"'),
        ("probe: require", "owns: [h]", "7:3: item 1 of owns is not a URL prefix"),
        ("https://hooks.example.net/${tenancy}/alert", "ftp://h", "14:7: the URL is neither"),
        (
            "https://hooks.example.net/${tenancy}/alert",
            "https://h/${A",
            "14:7: url has a `${` that begins neither",
        ),
        ("  trigger: MOVED\n", "", '12:5: "alert" has no trigger'),
        ("      triggers:", "      adopt: 1\n      triggers:", "12:7: adopt must be text"),
        ("    catalogue:", "    cata logue:", "10:5: this is not a valid name"),
        ("probe: require", "prob: require", '7:3: unknown key "prob"'),
        ("defaults:", "defaults: [", "1:1"),
    ],
)
def test_a_mistake_in_a_default_is_reported_once(right: str, wrong: str, problem: str) -> None:
    files = folder(
        TENANCY, TENANCY.replace("t-01", "t-02"), defaults=DEFAULTS.replace(right, wrong, 1)
    )
    [found] = problems_of(files)
    assert found.startswith(f"defaults.yaml:{problem}") or problem == "1:1"


def test_a_folder_with_its_file_of_defaults_means_the_same() -> None:
    here = TENANCY.replace("../defaults", "defaults")
    files = {"hooks/1.yaml": here, "hooks/defaults.yaml": DEFAULTS}
    assert read(files, *files) == read(files, "hooks/1.yaml")


@pytest.mark.parametrize(
    ("defaults", "problem"),
    [
        ("missing.yaml", "2:1: there is no file hooks/missing.yaml"),
        ("1.yaml", "2:1: hooks/1.yaml has no defaults of its own"),
        ("''", "2:1: defaults is empty, or has a line break or a control character"),
    ],
)
def test_a_file_whose_defaults_cannot_be_taken_is_reported_where_it_is_named(
    defaults: str, problem: str
) -> None:
    text = TENANCY.replace("../defaults.yaml", defaults)
    assert problems_of({"hooks/1.yaml": text}) == [f"hooks/1.yaml:{problem}"]


def test_default_subscriptions_belong_to_the_file_with_the_settings_of_a_tenancy() -> None:
    more = "    subscriptions: {more: {url: https://h/more}}\n"
    part = BLOCK.replace("    server: h\n", more)
    assert list(subscriptions_of(folder(BLOCK, part))) == [*BY_DEFAULT, "more/MOVED"]
    assert problems_of(folder(BLOCK, part.replace("more:", "alert:", 1))) == [
        'hooks/2.yaml:5:21: subscription "alert" is declared twice; the other place is'
        " defaults.yaml:13:5"
    ]


def test_two_parts_without_settings_may_take_the_same_default_subscriptions() -> None:
    part = BLOCK.replace("    server: h\n", "    subscriptions: {}\n")
    assert list(subscriptions_of(folder(part, part))) == BY_DEFAULT


def test_two_tenancies_with_the_same_name_of_variables_are_refused() -> None:
    second = BLOCK.replace("t-01", "t_01").replace("server: h", "server: other")
    assert problems_of(folder(BLOCK, second)) == [
        'hooks/2.yaml:4:3: tenancy "t_01" has the ${TENANCY} of "t-01" (hooks/1.yaml:4:3)'
    ]


def test_two_tenancies_may_share_a_name_of_variables_that_nothing_uses() -> None:
    defaults = DEFAULTS.replace("${TENANCY}", "A")
    files = folder(*(BLOCK.replace("t-01", name) for name in ("t-01", "t_01")), defaults=defaults)
    files = {name: text.replace("server: h", f"server: h{name[6]}") for name, text in files.items()}
    assert len(read(files)) == 2


@pytest.mark.parametrize("name", ["TENANCY", "tenancy"])
def test_no_variable_is_read_that_has_the_name_of_a_placeholder(name: str) -> None:
    text = BLOCK + f"    subscriptions: {{alert: {{secret: {{env: {name}}}}}}}\n"
    [problem] = problems_of(folder(text))
    assert f"the variable {name} is for hooksync itself" in problem


def test_an_escaped_placeholder_is_text() -> None:
    text = BLOCK + "    subscriptions: {alert: {url: 'https://h/$${tenancy}'}}\n"
    assert subscriptions_of(folder(text))["alert/MOVED"].url.fill({})[0] == "https://h/${tenancy}"
