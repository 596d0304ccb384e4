"""`hooksync export`: what is live as a hooks file that validates and plans to no changes."""

from __future__ import annotations

import io
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hooksync.commands.export import export, export_text
from hooksync.commands.export_draft import (
    ExportedTenancy,
    Names,
    free_variables,
    name_of_url,
    slug,
    variable_name,
)
from hooksync.commands.options import ExportOptions
from hooksync.commands.plan_apply import PlanOptions, plan
from hooksync.config.document import read_document
from hooksync.config.files import Source
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.model import HookUrl, LiveSubscription, Tenancy
from hooksync.core.record import replace
from hooksync.core.redaction import Redactor
from hooksync.core.template import Reference, Template, parse_template
from hooksync.core.urls import masked_url, normal_url, url_fault
from hooksync.reconcile.context import World
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.conftest import HOOKS, PASSWORD, SECRET, Place
from tests.makers import INDEXED, MOVED, Trigger, declared, live, tenancy

MINIMAL = SandboxOptions(traits=frozenset({"minimal-list"}))
USER = {"PRESERVICA_USERNAME": "archivist@example.org", "PRESERVICA_PASSWORD": PASSWORD}


class Hearer:
    """A terminal that remembers what it was told."""

    def __init__(self) -> None:
        self.out = ""
        self.err = ""

    def result(self, text: str, form: str = "text") -> None:
        self.out += text

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        self.out += "".join(f"{text}\n" for _, text in lines)

    def message(self, text: str) -> None:
        self.err += text + "\n"

    def warn(self, problem: Problem) -> None:
        self.message(f"warning: {problem}")

    def ask(self, question: str) -> bool | None:
        return None

    def watch(self, record: object) -> None:
        pass

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        yield lambda: None


def world(**environ: str) -> tuple[World, Hearer]:
    hearer = Hearer()
    return World(USER | environ, io.BytesIO(), hearer, threading.Event()), hearer


def drafted(
    one: Tenancy, subscriptions: Sequence[LiveSubscription], *values: str
) -> ExportedTenancy:
    """Draft an export in a run that knows these values."""
    redactor = Redactor()
    redactor.learn(values)
    return ExportedTenancy(one, subscriptions, free_variables([one]), redactor)


def exported(*subscriptions: LiveSubscription, **kept: object) -> str:
    one = tenancy(**kept)
    return export_text([drafted(one, subscriptions)])


Held = tuple[str, str, bool]  # URL, trigger on the wire, flag


def environment_of(text: str, held: list[Held]) -> dict[str, str]:
    """Find the values that make the URLs of a file those that are live, as a person would by
    looking.
    """
    document = read_document([Source("hooks.yaml", "", text.encode())])
    entries = document.tenancies[0].subscriptions
    told: defaultdict[Template, set[tuple[str, bool]]] = defaultdict(set)
    for entry in entries:
        told[entry.url.template] |= {
            (trigger.wire, entry.include_identifiers) for trigger in entry.triggers
        }
    there: defaultdict[str, set[tuple[str, bool]]] = defaultdict(set)
    for url, trigger, flag in held:
        if url_fault(url) is None:  # else it is left out, and stands for no URL of the file
            there[normal_url(url)].add((trigger, flag))
    found: dict[str, str] = {}
    for template, triggers in sorted(told.items(), key=lambda one: _width(one[0])):
        spellings = [url for url, _, _ in held if there.get(normal_url(url)) == triggers]
        match = next(match for url in spellings if (match := re.fullmatch(_pattern(template), url)))
        found |= match.groupdict()
        del there[normal_url(match[0])]
    return found


def _width(template: Template) -> tuple[int, int]:
    """Sort templates by how many URLs they fit: those that fit few come first."""
    written = sum(len(part) for part in template.parts if not isinstance(part, Reference))
    return len(template.names), -written


def _pattern(template: Template) -> str:
    return "".join(
        f"(?P<{part.name}>{'[^/?]' if '_PATH' in part.name else '[^&]'}+)"
        if isinstance(part, Reference)
        else re.escape(part)
        for part in template.parts
    )


_WORDS = st.text(st.sampled_from("aZ09-_.~%$:{}'\"!*,;@/ é#\\?&="), max_size=8)
_URLS = st.builds(
    lambda host, path, query: f"https://{host}{path}{query}",
    st.sampled_from(["a.example", "A.example", "b.example:8443", "[::1]", "on", "é.example"]),
    st.one_of(st.just(""), _WORDS.map("/{}".format)),
    st.one_of(
        st.just(""),
        _WORDS.map("?key={}".format),
        _WORDS.map("?{}".format),
        st.sampled_from(["?k=one&k=two", "?k=1", "?k=2"]),
    ),
)
_LIVE = st.lists(
    st.tuples(
        _URLS,
        st.sampled_from(["MOVED", "FULL_TEXT_INDEXED", "ON", "ENTITY_DELETED"]),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda one: (normal_url(one[0]), one[1]),
)


@settings(max_examples=60, deadline=None)
@given(_LIVE)
@example(
    [
        ("https://a.example/x?code=s3cret$1&a=&&b", "MOVED", True),
        ("https://a.example/$${HOME}", "ON", False),
    ]
)
@example([("https://a.example?key=#", "MOVED", True), ("https://a.example?key=0", "MOVED", True)])
@example([("https://a.example?key= ", "MOVED", True), ("https://a.example?key=0", "MOVED", True)])
@pytest.mark.slow
def test_an_export_validates_and_plans_to_no_changes(
    tmp_path_factory: pytest.TempPathFactory, held: list[Held]
) -> None:
    path = tmp_path_factory.mktemp("export") / "hooks.yaml"
    with Sandbox() as box:
        for url, trigger, flag in held:
            box.seed("DEMO", url, trigger, SECRET, flag)
        here, heard = world()
        assert export(ExportOptions(("hooks.yaml",), server=box.url), here) is ExitCode.DONE
        path.write_text(heard.out, encoding="utf-8")
        there, planned = world(**environment_of(heard.out, held))
        plan(PlanOptions((str(path),)), there)
    if left_out := heard.err.count("is left out: "):
        assert f".   {left_out} not made by hooksync, left alone;" in planned.out
    else:
        assert planned.out.startswith("No changes"), planned.out


def test_one_entry_holds_the_triggers_of_one_url_and_flag() -> None:
    url = "https://fn.example.net/api/hook"
    other = live("3" * 32, url, Trigger("NEW"), include_identifiers=False)
    data = yaml.safe_load(exported(live("1" * 32, url, MOVED), live("2" * 32, url, INDEXED), other))
    assert data["extra_triggers"] == ["NEW"]
    common = {"url": url, "secret": {"env": "FN_EXAMPLE_NET_API_HOOK_SECRET"}}
    assert data["tenancies"]["prod"]["subscriptions"] == {
        "fn-example-net-api-hook": {
            "triggers": ["INDEXED", "MOVED"],
            "include_identifiers": True,
            **common,
        },
        "fn-example-net-api-hook-2": {"trigger": "NEW", "include_identifiers": False, **common},
    }


def test_the_order_of_the_list_changes_nothing() -> None:
    several = [
        live(str(n) * 32, f"https://h.example/{n % 4}", MOVED, include_identifiers=n < 5)
        for n in range(1, 9)
    ]
    assert exported(*several) == exported(*reversed(several))


@pytest.mark.parametrize(
    ("url", "written", "parts"),
    [
        (
            "https://h.example/in/3f2504e0-4f89-41d3-9a0c-0305e82c3301/x",
            "https://h.example/in/${H_EXAMPLE_IN_X_PATH}/x",
            ["3f2504e0-4f89-41d3-9a0c-0305e82c3301"],
        ),
        (
            "https://hooks.slack.example/services/T02ABCDEF/B03GHIJKL/a1B2c3D4e5F6g7H8i9J0k1L2",
            "https://hooks.slack.example/services/${A}/${B}/${C}",
            ["T02ABCDEF", "B03GHIJKL", "a1B2c3D4e5F6g7H8i9J0k1L2"],
        ),
        (
            "https://h.example/x;v=1?c2VjcmV0=&a=$1",
            "https://h.example/${P}?${Q}&a=${A}",
            ["x;v=1", "c2VjcmV0=", "$1"],
        ),
        ("https://h.example/of-a-variable/x", "https://h.example/${A}/x", ["of-a-variable"]),
        ("https://of-a-variable.example/x", "${H}", ["https://of-a-variable.example/x"]),
    ],
)
def test_what_may_be_a_key_in_a_url_becomes_a_variable_and_comes_back(
    url: str, written: str, parts: list[str]
) -> None:
    # as the client of the service makes it
    shown = HookUrl(masked_url(url).replace("of-a-variable", "***"), url)
    made = drafted(tenancy(), [replace(live(), url=shown)], "of-a-variable")
    [entry] = made.entries
    assert re.sub(r"\$\{\w+\}", "$", entry.url) == re.sub(r"\$\{\w+\}", "$", written)
    text = export_text([made])
    assert not [part for part in parts if part in text.replace("$$", "$")]
    variables = [need.variable for need in made.needs if not need.variable.endswith("_SECRET")]
    assert parse_template(entry.url).fill(dict(zip(variables, parts, strict=True))) == url


@pytest.mark.parametrize(
    ("url", "trigger", "reason"),
    [
        ("https://u:p4ssw0rd@h.example/x", "MOVED", "its URL holds user information (@)"),
        ("https://u:p4ss/w0rd@h.example/p4ss", "MOVED", "its URL has an invalid port"),
        ("https://h.example/x#p4ssw0rd", "MOVED", "its URL has a fragment (#)"),
        (
            "https://h.example/x\n- y\x1b[31m",
            "MOVED",
            "its URL holds white space or a control character",
        ),
        ("https://h.example/\0", "MOVED", "its URL holds white space or a control character"),
        ("ftp://h.example/x", "MOVED", "its URL is neither http nor https"),
        ("https://h.example/x", "INDEXED", "a hooks file cannot hold the name of its trigger"),
        ("https://h.example/x", "A]\n#", "a hooks file cannot hold the name of its trigger"),
    ],
)
def test_what_cannot_be_declared_is_a_comment_and_a_warning(
    url: str, trigger: str, reason: str
) -> None:
    one = tenancy()
    made = drafted(one, [live(url=url, trigger=Trigger(trigger))])
    text = export_text([made])
    assert yaml.safe_load(text)["tenancies"]["prod"]["subscriptions"] == {}
    [comment] = [line for line in text.splitlines() if "left out" in line]
    assert comment.endswith(reason)
    assert "with `owns: all`, apply would remove it" in made.warnings[0].fix
    for shown in (text, str(made.warnings)):
        assert "p4ss" not in shown
        assert "w0rd" not in shown
        assert "\x1b" not in shown


def test_a_duplicate_is_in_the_file_once() -> None:
    one = tenancy()
    twins = [live("1" * 32, "https://h.example"), live("2" * 32, "https://H.example/")]
    made = drafted(one, twins)
    assert len(made.entries) == 1
    assert "is live 2 times, and in the file once" in made.warnings[0].what


def test_what_is_declared_keeps_its_name_its_text_and_its_references() -> None:
    kept = declared("https://fn.example.net/x", MOVED, name="cat", include_identifiers=False)
    one = tenancy(kept)
    here = [
        live("1" * 32, "https://fn.example.net/x", MOVED, include_identifiers=None),
        live("2" * 32, "https://fn.example.net/x", INDEXED, include_identifiers=None),
        live("3" * 32, "https://other.example/cat", MOVED),
    ]
    made = drafted(one, here)
    assert [(entry.name, entry.include_identifiers) for entry in made.entries] == [
        ("cat", False),
        ("other-example-cat", True),
    ]
    assert made.entries[0].secret == kept.secret
    assert [need.variable for need in made.needs] == ["OTHER_EXAMPLE_CAT_SECRET"]


def test_only_what_is_under_the_prefixes_is_exported() -> None:
    text = exported(
        live(url="https://a.example/x"),
        live("2" * 32, "https://b.example"),
        owns=frozenset(["https://a.example"]),
    )
    held = yaml.safe_load(text)["tenancies"]["prod"]
    assert list(held["subscriptions"]) == ["a-example-x"]
    assert held["owns"] == ["https://a.example"]
    assert "they are outside the prefixes of `owns`: 1" in text


def test_names_are_readable_and_never_the_same() -> None:
    assert name_of_url("https://Fn.example.net:8443/api/hook?code=x") == "fn-example-net-api-hook"
    assert name_of_url("https://é/") == "hook"
    names = Names(["a"], "-")
    assert [names.take("a"), names.take("A"), names.take("a", "b")] == ["a-2", "A-3", "b"]
    assert slug("  ", "x") == "x"
    assert variable_name("0-a", "url", "") == "HOOK_0_A_URL"


def test_a_variable_never_takes_a_name_that_means_something() -> None:
    one = tenancy()
    hostile = [live(url="https://ld/?preload=x"), live("2" * 32, "https://preservica?username=x")]
    names = {need.variable for need in drafted(one, hostile).needs}
    assert names == {"LD_SECRET", "LD_URL_PRELOAD", "PRESERVICA_SECRET", "PRESERVICA_URL_USERNAME"}


@pytest.mark.parametrize("options", [MINIMAL], indirect=True)
def test_a_flag_that_the_service_does_not_report_is_a_comment(place: Place) -> None:
    place.box.seed("DEMO", "https://h.example/x", "MOVED", SECRET)
    run = place.run("export", "--server", place.box.url)
    assert "# include_identifiers is not known: the service does not report it" in run.out
    place.write(run.out)
    assert place.run("plan").out.startswith("No changes to make; not compared: 1 secret; ")


def test_a_hooks_file_gives_its_settings_and_a_second_export_is_the_same(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    place.write(
        HOOKS.replace(
            "tenant: DEMO", "tenant: DEMO\n    probe: never\n    limits: {unsubscribe: 12.5%}"
        )
    )
    place.box.seed("DEMO", "https://h.example/x", "MOVED", SECRET)
    first = place.run("export")
    held = yaml.safe_load(first.out)["tenancies"]["prod"]
    assert (held["server"], held["probe"], held["limits"]) == (
        "${BOX}",
        "never",
        {"unsubscribe": "12.5%"},
    )
    assert held["subscriptions"]["catalogue"]["url"] == "${RECEIVER}?code=${FN_KEY}"
    place.write(first.out)
    assert place.run("plan").out.startswith("No changes to make; not compared: 1 secret; ")
    assert place.run("export").out == first.out


def test_a_tenancy_that_cannot_be_read_is_a_comment_and_the_others_are_there(place: Place) -> None:
    place.write(
        HOOKS + "  away:\n    server: http://127.0.0.1:9\n    tenant: X\n    subscriptions: {}\n"
        "    credentials: {username: {env: NOT_THERE}}\n"
    )
    run = place.run("export")
    assert run.code == 1
    assert (
        "  # away is missing, because it could not be read: username env:NOT_THERE is not set"
        in run.out
    )
    assert list(yaml.safe_load(run.out)["tenancies"]) == ["prod"]
    assert "error: away: " in run.err
    assert "`hooksync validate` needs no credentials" in run.err


def test_where_nothing_could_be_read_no_file_is_printed(place: Place) -> None:
    del place.environ["PRESERVICA_PASSWORD"]
    run = place.run("export")
    assert (run.code, run.out) == (1, "")
    assert "a pull request from a fork can run it" in run.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("--server", "h.example", "--file", "hooks.yaml"),
            64,
            "--server and --tenant cannot be combined with --file, --tenancy or --shard",
        ),
        (("--tenant", "DEMO"), 64, "--tenant needs a server"),
        (("--server", "http://h.example"), 64, "--server is plain http"),
        (("--server", "https://u:p@h.example"), 64, "--server holds user information (@)"),
        (("--server", "h.example", "--tenant", "a\nb"), 64, "the tenant contains a line break"),
        (("--file", "none.yaml"), 1, "there is no file none.yaml"),
        (("--tenancy", "none"), 64, '--tenancy "none" matches no tenancy'),
    ],
)
def test_odd_flags_are_refused(
    place: Place, arguments: tuple[str, ...], code: int, message: str
) -> None:
    run = place.run("export", *arguments)
    assert (run.code, run.out) == (code, "")
    assert message in run.err


def test_without_a_file_and_a_server_the_error_names_both(place: Place, tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").unlink()
    run = place.run("export")
    assert run.code == 1
    assert "there is no file hooks.yaml, and no server is named" in run.err


def test_a_reference_in_a_template_of_the_file_is_never_made_by_the_service() -> None:
    text = exported(live(url="https://h.example/${HOME}$x"))
    [entry] = yaml.safe_load(text)["tenancies"]["prod"]["subscriptions"].values()
    assert parse_template(entry["url"]).literal is not None
    assert parse_template(entry["url"]).fill({}) == "https://h.example/${HOME}$x"
