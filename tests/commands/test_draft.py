"""`init --from-live` writes the live subscriptions as a hooks file that adopts them."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hooksync.commands.init import (
    Draft,
    InitOptions,
    init,
)
from hooksync.commands.plan_apply import PlanOptions, plan
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode
from hooksync.core.model import HookUrl, LiveSubscription
from hooksync.core.record import replace
from hooksync.core.template import Template
from hooksync.core.urls import masked_url, normal_url
from tests.boxes import Sandbox
from tests.conftest import PASSWORD, SECRET
from tests.makers import INDEXED, MOVED, Trigger, live
from tests.memory_terminal import MemoryTerminal, make_context

USER = {"PRESERVICA_USERNAME": "archivist@example.org", "PRESERVICA_PASSWORD": PASSWORD}


def context(**environ: str) -> tuple[Context, MemoryTerminal]:
    terminal = MemoryTerminal()
    return make_context(USER | environ, terminal=terminal), terminal


def text_of(draft: Draft) -> str:
    return draft.text("eu.preservica.com", "BRAMA")


def exported(*subscriptions: LiveSubscription) -> str:
    return text_of(Draft("prod", subscriptions))


Held = tuple[str, str, bool]  # URL, trigger on the wire, flag


def environment_of(text: str, urls: dict[str, str]) -> dict[str, str]:
    """Return the values of the variables that turn the URLs of the file into the live URLs.

    The values come from a comparison of the two, as a person would make it. `urls`: by id.
    """
    found: dict[str, str] = {}
    for entry in yaml.safe_load(text)["tenancies"]["demo"]["subscriptions"].values():
        match = re.fullmatch(_pattern(entry["url"]), urls[entry["adopt"][0]])
        assert match
        found |= match.groupdict()
    return found


_TOKEN = re.compile(r"(\$\$|\$\{\w+\})")


def _pattern(text: str) -> str:
    pattern = ""
    for part in _TOKEN.split(text):
        if part.startswith("${"):
            pattern += f"(?P<{part[2:-1]}>.+?)"
        else:
            pattern += re.escape(part.replace("$$", "$"))
    return pattern


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
def test_a_draft_is_a_valid_hooks_file_whose_plan_adopts_everything(
    tmp_path_factory: pytest.TempPathFactory, held: list[Held]
) -> None:
    path = tmp_path_factory.mktemp("export") / "hooks.yaml"
    with Sandbox() as box:
        for url, trigger, flag in held:
            box.seed("DEMO", url, trigger, SECRET, flag)
        here, heard = context(PRESERVICA_SERVER=box.url)
        options = InitOptions(path="-", from_live=())
        assert init(options, here) is ExitCode.DONE
        text = "".join(heard.out)
        path.write_text(text, encoding="utf-8")
        urls = {made.id: made.url for made in box.subscriptions("DEMO")}
        there, planned = context(**environment_of(text, urls))
        plan(PlanOptions(files=(str(path),)), there)
    shown = "".join(planned.out)
    left_out = "".join(heard.err).count("is left out: ")
    if left_out:
        assert f".   {left_out} not in the state, left alone" in shown
    adopted = len(held) - left_out
    summary = f"0 to subscribe, 0 to resubscribe, 0 to REMOVE, {adopted} to adopt; 0 unchanged"
    assert summary in shown or not adopted, shown


def test_one_entry_holds_the_triggers_of_one_url_and_flag() -> None:
    url = "https://fn.example.net/api/hook"
    other = live("3" * 32, url, Trigger("NEW"), include_identifiers=False)
    data = yaml.safe_load(exported(live("1" * 32, url, MOVED), live("2" * 32, url, INDEXED), other))
    assert data["extra_triggers"] == ["NEW"]
    assert data["tenancies"]["prod"]["subscriptions"] == {
        "fn-example-net-api-hook-2": {
            "triggers": ["INDEXED", "MOVED"],
            "include_identifiers": True,
            "adopt": ["2" * 32, "1" * 32],
            "url": url,
            "secret": {"env": "HOOK_FN_EXAMPLE_NET_API_HOOK_2_SECRET"},
        },
        "fn-example-net-api-hook": {
            "triggers": ["NEW"],
            "include_identifiers": False,
            "adopt": ["3" * 32],
            "url": url,
            "secret": {"env": "HOOK_FN_EXAMPLE_NET_API_HOOK_SECRET"},
        },
    }


def test_the_order_of_the_live_list_does_not_change_the_draft() -> None:
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
            "https://h.example/x;v=1?${Q}&a=${A}",
            ["c2VjcmV0=", "$1"],
        ),
    ],
)
def test_url_parts_that_may_be_keys_become_variables_that_fill_in_the_same_url(
    url: str, written: str, parts: list[str]
) -> None:
    made = Draft("prod", [replace(live(), url=HookUrl(masked_url(url), url))])
    [url_written] = [str(entry["url"]) for entry in made.entries.values()]
    assert re.sub(r"\$\{\w+\}", "$", url_written) == re.sub(r"\$\{\w+\}", "$", written)
    text = text_of(made)
    assert not [part for part in parts if part in text.replace("$$", "$")]
    variables = [name for name in made.needs if not name.endswith("_SECRET")]
    assert Template(url_written).fill(dict(zip(variables, parts, strict=True))) == (url, {})


@pytest.mark.parametrize(
    ("url", "trigger", "reason"),
    [
        ("https://u:p4ssw0rd@h.example/x", "MOVED", "its URL contains user information (@)"),
        (
            "https://h.example/x\n- y\x1b[31m",
            "MOVED",
            "its URL contains white space, a control character or a typographic quotation mark",
        ),
        (
            "https://h\u00e9.example\uff0fp4ss0w0rd9/x",
            "MOVED",
            "its URL has a host that is neither a name in ASCII nor an address like 192.0.2.1 or [::1]",
        ),
        ("https://h.example/x", "A]\n#", "a hooks file cannot hold the name of its trigger"),
    ],
)
def test_a_subscription_that_cannot_be_declared_is_left_out_with_a_warning(
    url: str, trigger: str, reason: str
) -> None:
    made = Draft("prod", [live(url=url, trigger=Trigger(trigger))])
    text = text_of(made)
    assert yaml.safe_load(text)["tenancies"]["prod"]["subscriptions"] == {}
    assert made.warnings[0].what.endswith(reason)
    assert "owns: all" not in made.warnings[0].fix
    for shown in (text, str(made.warnings)):
        assert "p4ss" not in shown
        assert "w0rd" not in shown
        assert "\x1b" not in shown


def test_a_duplicate_is_declared_once_with_a_warning() -> None:
    twins = [live("1" * 32, "https://h.example"), live("2" * 32, "https://H.example/")]
    made = Draft("prod", twins)
    assert len(made.entries) == 1
    assert "it is live more than once, and in the file once" in made.warnings[0].what


def test_with_prefixes_everything_else_is_a_comment_that_needs_no_variable() -> None:
    there = [
        live("1" * 32, "https://fn.example.net/a?code=x"),
        live("2" * 32, "https://vendor.example/events?key=y", Trigger("NEW")),
    ]
    draft = Draft("prod", there, ["https://fn.example.net"])
    text = text_of(draft)
    data = yaml.safe_load(text)
    assert list(data["tenancies"]["prod"]["subscriptions"]) == ["fn-example-net-a"]
    assert data["extra_triggers"] == ["NEW"]
    assert (
        "      # vendor-example-events:\n      #   url: https://vendor.example/events?key=${"
        in text
    )
    assert list(draft.needs) == [
        "HOOK_FN_EXAMPLE_NET_A_SECRET",
        "HOOK_FN_EXAMPLE_NET_A_URL_CODE",
    ]
    uncommented = text.replace("      # vendor", "      vendor").replace("      #   ", "        ")
    entries = yaml.safe_load(uncommented)["tenancies"]["prod"]["subscriptions"]
    assert entries["vendor-example-events"]["adopt"] == ["2" * 32]
