"""Shards: shares of the tenancies that several processes take, so that together they do what one
would do.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.cli.arguments import read_arguments
from hooksync.config.declarations import (
    MOST_SHARDS,
    Settings,
    Shard,
    TenancyDeclaration,
    read_shard,
    shard_of,
    share_of,
)
from hooksync.config.document import read_document
from hooksync.config.files import Source
from hooksync.config.resolve import resolve
from hooksync.core.errors import FileError, UsageError
from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from tests.conftest import Place, Run
from tests.makers import HERE
from tests.schemas import assert_fits

# --- which tenancy falls in which shard


# Never to be changed: in every version, a tenancy must stay where its state and its plan are.
FROZEN = {
    "archive": {2: 2, 3: 2, 8: 4, 1000: 628},
    "archive-prod": {2: 2, 3: 2, 8: 2, 1000: 386},
    "archive-staging": {2: 2, 3: 3, 8: 6, 1000: 158},
    "museum": {2: 2, 3: 1, 8: 6, 1000: 30},
    "BRAMA": {2: 1, 3: 2, 8: 3, 1000: 923},
    "a": {2: 2, 3: 2, 8: 4, 1000: 500},
    "A_1": {2: 2, 3: 2, 8: 4, 1000: 548},
}


@pytest.mark.parametrize("name", FROZEN)
def test_a_name_is_in_the_same_shard_for_ever(name: str) -> None:
    assert {total: shard_of(name, total) for total in FROZEN[name]} == FROZEN[name]


def test_shards_of_many_tenancies_are_about_as_large() -> None:
    sizes = Counter(shard_of(f"tenancy-{number}", 8) for number in range(8000))
    assert sorted(sizes) == list(range(1, 9))
    assert all(850 < size < 1150 for size in sizes.values())


def entries(names: Sequence[str]) -> list[TenancyDeclaration]:
    return [TenancyDeclaration(name, Settings(), (), HERE) for name in names]


def names_in(taken: Sequence[TenancyDeclaration]) -> list[str]:
    return [entry.name for entry in taken]


distinct_names = st.lists(st.text(max_size=12), unique=True, max_size=40)


@given(distinct_names, st.integers(1, 60))
def test_shards_share_any_names_out_and_no_name_twice(names: list[str], total: int) -> None:
    shares = [
        names_in(share_of(entries(names), Shard(number, total))) for number in range(1, total + 1)
    ]
    assert sorted(name for share in shares for name in share) == sorted(names)
    for share in shares:
        assert share == [name for name in names if name in share]  # in the order of the file


# --- how it is written


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        ("1/1", (1, 1)),
        ("8/8", (8, 8)),
        ("03/08", (3, 8)),
        (f"{MOST_SHARDS}/{MOST_SHARDS}", (MOST_SHARDS, MOST_SHARDS)),
    ],
)
def test_a_shard_is_written_as_its_number_of_how_many(text: str, shard: tuple[int, int]) -> None:
    assert read_shard(text) == Shard(*shard)
    assert str(Shard(*shard)) == re.sub(r"\b0+", "", text)


NO_FORM = (
    "a/b",
    "",
    "/",
    "1",
    "1/",
    "/3",
    "1/3/5",
    "-1/3",
    "+1/3",
    "1 / 3",
    " 1/3",
    "1/3\n",
    "1.0/3",
    "٣/٣",
    "1of3",
)
OUT_OF_RANGE = ("0/3", "4/3", "1/0", "0/0", f"1/{MOST_SHARDS + 1}", f"{'9' * 5000}/3")
SAID = "--shard is not of the form I/N, with 1 to 1000 shards, counted from 1"


@pytest.mark.parametrize("text", NO_FORM + OUT_OF_RANGE, ids=lambda text: text[:12])
def test_what_is_no_shard_is_wrong_usage_and_the_message_says_how_to_write_one(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_arguments(["plan", f"--shard={text}"], {})
    [problem] = caught.value.problems
    assert problem.what == SAID
    assert "write 2/8, say" in problem.fix


# --- a shard with no tenancy in it

EMPTY = f"{shard_of('prod', 3) % 3 + 1}/3"  # `prod`, the one tenancy of `place`, is in another


NOTHING = (
    "No changes. 0 tenancies match hooks.yaml; 0 unchanged.\nhooks.state.json does not exist yet;"
    " hooksync notices changed secrets and URLs after the first apply.\n"
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("validate",), "hooks.yaml: valid: 0 tenancies, 0 subscriptions.\n"),
        (("plan", "--detailed-exitcode"), NOTHING),
        (("apply",), NOTHING),  # and there is nothing to be asked
        (("adopt",), "0 of 0 adopted\n"),
        (("check",), "Check: 0 ok, 0 warnings, 0 failed.\n"),
    ],
)
def test_an_empty_shard_is_no_error_and_says_so(
    place: Place, arguments: tuple[str, ...], said: str
) -> None:
    run = place.run(*arguments, "--shard", EMPTY)
    assert (run.code, run.out) == (0, said)
    assert run.err.splitlines()[0] == f"No tenancy falls in shard {EMPTY}."
    assert place.box.calls == ()
    assert not (place.folder / "hooks.state.json").exists()


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "check"])
def test_the_json_of_an_empty_shard_is_whole(place: Place, command: str) -> None:
    run = place.run(command, "--shard", EMPTY, "--format", "json")
    assert run.code == 0
    assert run.json["tenancies"] == (0 if command == "validate" else [])
    if command in ("plan", "apply"):
        assert set(run.json["summary"].values()) == {0}
        assert_fits(run.json, "plan" if command == "plan" else "report")


# --- beside the other flags that choose


TWO = """\
version: 1
tenancies:
  prod: &one
    server: ${BOX}
    tenant: DEMO
    subscriptions:
      catalogue: {url: "${RECEIVER}?code=${FN_KEY}", triggers: [INDEXED, MOVED], secret: {env: CATALOGUE_SECRET}}
  museum: {<<: *one, tenant: MUSEUM}
"""
PROD, MUSEUM = f"{shard_of('prod', 8)}/8", f"{shard_of('museum', 8)}/8"
BOTH_TENANTS = SandboxOptions(accounts=(Account(tenants=("DEMO", "MUSEUM")),))


@pytest.fixture
def two(place: Place) -> Place:
    assert PROD != MUSEUM
    place.write(TWO)
    return place


def planned(run: Run) -> list[str]:
    assert run.code == 0, run.err
    return [tenancy["name"] for tenancy in run.json["tenancies"]]


@pytest.mark.parametrize("options", [BOTH_TENANTS], indirect=True)
def test_a_glob_must_name_something_in_some_shard(two: Place) -> None:
    assert planned(
        two.run("plan", "--format", "json", "--shard", PROD, "--replace", "museum/*")
    ) == ["prod"]
    for flag, glob in (("--tenancy", "none"), ("--target", "none/*"), ("--replace", "none/*")):
        run = two.run("plan", "--shard", PROD, flag, glob)
        assert (run.code, run.out) == (64, "")
        assert f'{flag} "{glob}" matches no ' in run.err


@pytest.mark.parametrize("options", [BOTH_TENANTS], indirect=True)
def test_every_command_looks_at_its_shard_alone(two: Place) -> None:
    assert (
        two.run("validate", "--shard", PROD).out
        == "hooks.yaml: valid: 1 tenancy, 2 subscriptions.\n"
    )
    checked = two.run("check", "--shard", MUSEUM, "--format", "json")
    assert [tenancy["name"] for tenancy in checked.json["tenancies"]] == ["museum"]
    assert two.run("apply", "--yes", "--shard", MUSEUM).code == 0
    assert [len(two.box.subscriptions(tenant)) for tenant in ("DEMO", "MUSEUM")] == [0, 2]


@pytest.mark.parametrize("options", [BOTH_TENANTS], indirect=True)
def test_a_shard_forgets_what_is_gone_in_its_own_tenancies_alone(two: Place) -> None:
    assert two.run("apply", "--yes").code == 0
    for tenant in ("DEMO", "MUSEUM"):
        two.box.remove(tenant, two.box.subscriptions(tenant)[0].id)
    before = {(entry["tenant"], entry["id"]) for entry in two.state["entries"]}
    assert two.run("apply", "--yes", "--shard", MUSEUM).code == 0
    after = {(entry["tenant"], entry["id"]) for entry in two.state["entries"]}
    assert {tenant for tenant, _ in before - after} == {"museum"}
    assert [len(two.box.subscriptions(tenant)) for tenant in ("DEMO", "MUSEUM")] == [1, 2]


# --- saved plans


@pytest.mark.parametrize("options", [BOTH_TENANTS], indirect=True)
def test_a_saved_plan_of_a_shard_holds_its_tenancies_and_does_nothing_to_others(two: Place) -> None:
    assert two.run("plan", "--shard", PROD, "--out", "plan.json").code == 0
    document = json.loads((two.folder / "plan.json").read_text(encoding="utf-8"))
    assert [tenancy["name"] for tenancy in document["tenancies"]] == ["prod"]
    assert two.run("apply", "plan.json").code == 0
    assert [len(two.box.subscriptions(tenant)) for tenant in ("DEMO", "MUSEUM")] == [2, 0]


# --- what holds for the whole file holds for every shard


def text_of(prod: str, museum: str) -> str:
    """Write two tenancies, which are in different shards of 8, with these settings."""
    return (
        f"version: 1\ntenancies:\n  prod: {{{prod}subscriptions: {{}}}}\n  museum:"
        f" {{{museum}subscriptions: {{}}}}\n"
    )


@pytest.mark.parametrize("shard", [PROD, MUSEUM, "1/8"])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            text_of("server: h.example, tenant: DEMO, ", "server: 'H.example:443', tenant: demo, "),
            'hooks.yaml:4:3: tenancy "museum" has the server and tenant of "prod" (hooks.yaml:3:3)',
        ),
        (
            text_of("server: h.example, tenant: DEMO, ", "server: '${OTHER}', tenant: demo, "),
            'hooks.yaml:4:3: tenancy "museum" has the server and tenant of "prod" (hooks.yaml:3:3)',
        ),
        (
            text_of("server: h.example, ", "server: h.example, tenant: MUSEUM, "),
            (
                'hooks.yaml:3:3: tenancy "prod" has no tenant: with --shard, it cannot be told'
                ' apart from "museum", which is on the same server'
            ),
        ),
    ],
    ids=["as written", "filled in", "told by the log-in"],
)
def test_two_names_of_one_tenancy_are_refused_in_every_shard(
    place: Place, shard: str, text: str, what: str
) -> None:
    place.environ["OTHER"] = "https://H.example/"
    place.write(text)
    run = place.run("plan", "--shard", shard)
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith(what)
    assert "\n  fix: " in run.err


def problems(text: str, **environ: str) -> list[str]:
    document = read_document([Source("hooks.yaml", "", text.encode())])
    try:
        resolve((), environ, document.tenancies)
    except FileError as error:
        return [problem.what for problem in error.problems]
    return []


def test_a_tenant_need_not_be_named_where_no_other_is_on_its_server() -> None:
    assert problems(text_of("server: a.example, ", "server: b.example, ")) == []
    assert (
        problems(
            text_of("", "tenant: T, "), PRESERVICA_SERVER="h.example", PRESERVICA_TENANT="MINE"
        )
        == []
    )
    [what] = problems(text_of("", "tenant: T, "), PRESERVICA_SERVER="h.example")
    assert what.startswith('tenancy "prod" has no tenant')


def test_where_the_environment_does_not_tell_of_another_shard_nothing_is_said_of_it(
    place: Place,
) -> None:
    assert (
        problems(text_of("server: a.example, tenant: T, ", "server: '${ELSEWHERE}', tenant: T, "))
        == []
    )
    place.write(
        TWO.replace("tenant: MUSEUM", "tenant: '${MUSEUM_TENANT}', server: '${MUSEUM_SERVER}'")
    )
    assert place.run("plan", "--shard", PROD).code == 0
    run = place.run("plan", "--shard", MUSEUM)
    assert run.code == 1
    assert "${MUSEUM_SERVER} is not set" in run.err


def test_all_that_is_wrong_is_told_at_once(place: Place) -> None:
    lost = "subscriptions: {a: {url: 'https://${LOST}/', trigger: MOVED, secret: {env: A}}}"
    text = text_of("server: h.example, tenant: T, ", "server: '${OTHER}', tenant: T, ")
    place.write(text.replace("subscriptions: {}", lost))
    place.environ["OTHER"] = "h.example"
    run = place.run("plan", "--shard", PROD)
    assert run.code == 1
    assert "has the server and tenant of" in run.err
    # of its own tenancy; the other shard tells its own
    assert run.err.count("${LOST} is not set") == 1


def test_one_shard_of_one_is_as_none(place: Place) -> None:
    place.write(TWO.replace("tenant: MUSEUM", "tenant: '${NONE:-}'"))
    place.environ["PRESERVICA_TENANT"] = ""
    runs = [place.run("plan", *more) for more in ((), ("--shard", "1/1"))]
    assert runs[0] == runs[1]
    assert "are the same tenancy on the service" in runs[0].err


# --- several processes, one sandbox, one state
