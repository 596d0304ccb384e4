"""Notices to webhooks and chats, and metrics for Prometheus. Their failures change no exit code."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hooksync.commands.plan_apply import PlanOptions, plan
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.model import SecretRef
from hooksync.core.record import replace
from hooksync.core.starter import Starter
from hooksync.reconcile.diff import empty_plan
from hooksync.reconcile.plan import Step
from hooksync.render.ending import NoticeForm, RunSummary, metrics_text
from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.clocks import JumpingClock
from tests.command_line import Run
from tests.conftest import HIDDEN, HOOKS, Place
from tests.fakes import unreachable
from tests.makers import live, tenancy
from tests.memory_terminal import MemoryTerminal, make_context
from tests.reconcile.planning import run_of
from tests.schemas import assert_fits
from tests.wire import Respond, Wire, answer, cutting, saying

KEY = "k3y-of-the-webhook-0123456789"
RUN = {
    "GITHUB_RUN_ID": "17",
    "GITHUB_SERVER_URL": "https://u:p4ss@git.example",
    "GITHUB_REPOSITORY": "a/b",
}
ORIGIN = Starter("host", "user", "https://git.example/a/b/actions/runs/17")


@dataclass
class Watched:
    """A place whose runs send notices to a webhook."""

    place: Place
    wire: Wire

    def run(self, *arguments: str) -> Run:
        run = self.place.run(*arguments, "--notify", "env:WATCHER")
        assert KEY not in run.out + run.err
        return run

    @property
    def told(self) -> list[Any]:
        return self.wire.documents


@pytest.fixture
def respond(request: pytest.FixtureRequest) -> Respond:
    """How the webhook answers. A test can parametrize this indirectly for a different answer."""
    return getattr(request, "param", saying(answer(b"ok")))


@pytest.fixture
def watched(place: Place, respond: Respond) -> Iterator[Watched]:
    with Wire(respond) as wire:
        place.environ |= {"WATCHER": f"{wire.url}/{KEY}?code={KEY}", **RUN}
        yield Watched(place, wire)


def figures(path: Path) -> dict[str, float]:
    """Return metrics as Prometheus reads them.

    The key of a metric contains its labels for tenancy, action and conclusion.
    """
    found = {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        for sample in family.samples:
            assert (sample.labels["command"] in ("plan", "apply"), sample.labels["file"]) == (
                True,
                path.stem,
            )
            labels = [
                sample.labels[name]
                for name in ("tenancy", "action", "conclusion")
                if name in sample.labels
            ]
            found[" ".join([sample.name.removeprefix("hooksync_"), *labels])] = sample.value
    return found


def test_a_webhook_gets_notices_of_drift_and_of_applied_changes_and_no_others(
    watched: Watched,
) -> None:
    assert watched.run("plan").code == 0
    assert watched.run("apply", "--yes").code == 0
    assert watched.run("plan").code == 0  # no changes
    drift, applied = watched.told
    assert (drift["event"], drift["counts"]["subscribe"], drift["exit_code"]) == ("drift", 2, 0)
    assert (applied["event"], applied["counts"]["done"]) == ("applied", 2)
    assert applied["command"] == "apply"
    assert drift["summary"] == "Plan: 2 to subscribe, 0 to resubscribe, 0 to REMOVE; 0 unchanged."
    assert drift["tenancies"][0]["name"] == "prod"
    assert drift["fingerprint"] != applied["fingerprint"]
    assert drift["started_by"]["url"] == ORIGIN.url
    assert watched.wire.request_lines[0] == f"POST /{KEY}?code={KEY} HTTP/1.1"
    for told in watched.told:
        assert_fits(told, "notice")
        assert not [hidden for hidden in HIDDEN if hidden in json.dumps(told)]


def test_a_notice_names_new_foreign_subscriptions_until_an_apply_has_seen_them(
    watched: Watched,
) -> None:
    assert watched.place.run("apply", "--yes").code == 0
    watched.place.box.seed("DEMO", f"https://vendor.example/x?key={KEY}", "MOVED", KEY)
    assert watched.run("plan", "--notify-as", "slack").code == 0
    named = ", 1 new: https://vendor.example/x?key=***\n"
    assert named in watched.told[0]["text"]
    for command in (["plan"], ["apply", "--yes"], ["plan"]):
        assert watched.run(*command).code == 0
    assert [told["event"] for told in watched.told[1:]] == ["new-foreign", "new-foreign"]
    for told in watched.told[1:]:
        assert_fits(told, "notice")
        assert told["tenancies"][0]["new_foreign"] == "1 new: https://vendor.example/x?key=***"
        assert KEY not in json.dumps(told)
    assert watched.run("plan", "--no-state", "--notify-as", "slack").code == 0
    assert "new" not in watched.told[-1]["text"]


@pytest.mark.parametrize(
    "options", [SandboxOptions((Account(tenants=("DEMO", "TEST")),))], indirect=True
)
def test_a_notice_of_drift_names_the_reason_and_what_no_file_declares(watched: Watched) -> None:
    place = watched.place
    place.write(HOOKS.replace("prod", "spare").replace("DEMO", "TEST"), "spare.yaml")
    assert place.run("apply", "--yes", "-f", ".", "--state", "s.json").code == 0
    (place.folder / "spare.yaml").unlink()
    place.box.remove("DEMO", place.box.subscriptions("DEMO")[0].id)
    drift = ["plan", "-f", ".", "--state", "s.json", "--metrics", "m.prom", "--detailed-exitcode"]
    for form in ("json", "slack"):
        assert watched.run(*drift, "--notify-as", form).code == 2
    document, message = watched.told
    assert_fits(document, "notice")
    said = "where the state has 2 subscriptions of spare"
    assert said in document["problems"][0]["what"]
    assert "changes, 1 to subscribe, removed-outside" in message["text"]
    assert said in message["text"]
    found = figures(place.folder / "m.prom")
    assert found["undeclared_subscriptions spare"] == 2
    assert found["new_foreign_subscriptions prod"] == 0


def test_a_quiet_plan_and_metrics_report_new_foreign_subscriptions(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    quiet = ["plan", "--quiet", "--metrics", "m.prom"]
    assert place.run(*quiet).text == ""
    place.box.seed("DEMO", "https://vendor.example/", "MOVED", KEY)
    shown = place.run(*quiet)
    assert (shown.code, "1 new: https://vendor.example/" in shown.out) == (0, True)
    assert figures(place.folder / "m.prom")["new_foreign_subscriptions prod"] == 1
    assert place.run("apply", "--yes").code == 0
    assert place.run(*quiet).text == ""


@pytest.mark.parametrize(
    ("arguments", "environ", "text", "event", "what"),
    [
        (
            ["plan"],
            {"PRESERVICA_PASSWORD": "wrong-password-0123"},
            HOOKS,
            "failed",
            "prod: POST /api/accesstoken/login",
        ),
        (["plan"], {}, "version: 1\n", "failed", "hooks.yaml"),
        (["apply", "none.json"], {}, HOOKS, "failed", "there is no plan none.json"),
        (
            ["apply", "--yes"],
            {"CATALOGUE_SECRET": ""},
            HOOKS,
            "failed",
            "not set: secret env:CATALOGUE_SECRET",
        ),
        (["apply"], {}, HOOKS, "refused", "not confirmed"),
        (
            ["apply", "--yes"],
            {},
            HOOKS.replace("    tenant", "    probe: require\n    tenant"),
            "refused",
            "not ready",
        ),
    ],
    ids=["unreadable", "file", "saved plan", "secret", "unconfirmed", "receiver"],
)
def test_a_notice_states_why_a_run_failed_or_was_refused(
    watched: Watched,
    arguments: list[str],
    environ: dict[str, str],
    text: str,
    event: str,
    what: str,
) -> None:
    watched.place.write(text)
    watched.place.environ |= environ
    if "probe" in text:
        watched.place.receiver.set_secret("catalogue", "another-secret-0123456789")
    run = watched.run(*arguments)
    [told] = watched.told
    assert (told["event"], told["exit_code"]) == (event, run.code)
    assert what in json.dumps(told["problems"][0])
    assert "warning: the notice" not in run.err


@pytest.mark.parametrize("code", [ExitCode.INTERRUPTED, ExitCode.TERMINATED])
def test_a_notice_states_that_a_run_was_interrupted(watched: Watched, code: ExitCode) -> None:
    stop = threading.Event()
    terminal = MemoryTerminal(after_call=lambda record: stop.set(), interrupt_code=code)
    context = make_context(watched.place.environ, terminal=terminal, stop=stop)
    options = PlanOptions(
        files=(str(watched.place.folder / "hooks.yaml"),), notify=SecretRef("env", "WATCHER")
    )
    assert plan(options, context) == code
    [told] = watched.told
    assert (told["event"], told["exit_code"]) == ("interrupted", code)


@pytest.mark.parametrize(
    ("respond", "why"),
    [
        (saying(answer(b"no " + KEY.encode(), "404 Not Found")), "it answers 404"),
        (
            saying(answer(b"", "302 Found", f"Location: http://127.0.0.1:1/{KEY}")),
            "it answers 302",
        ),
        (saying(answer(b"", "503 Busy")), "it answers 503"),
        (cutting(b""), ""),  # one of two reasons, depending on the moment
    ],
    ids=["404", "redirect", "busy", "cut"],
    indirect=["respond"],
)
def test_a_notice_that_does_not_arrive_is_a_warning_and_changes_no_exit_code(
    watched: Watched, why: str
) -> None:
    watched.place.clock = JumpingClock()
    run = watched.run("plan", "--detailed-exitcode", "-v")
    assert (run.code, len(watched.wire.requests)) == (2, 1)
    assert f"warning: the notice was not delivered: env:WATCHER: {why}" in run.err
    assert "\n  fix: check that the variable or file contains the whole URL" in run.err
    assert "receiver: POST env:WATCHER notice -> " in run.err


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (
            "http://hooks.example.org/x",
            "its URL begins with http, and is not on this machine: https is needed",
        ),
        ("hooks.example.org/x", "its URL is neither http nor https"),
        ("https://user:pass@hooks.example.org/x", "its URL contains user information (@)"),
    ],
)
def test_an_invalid_or_unsafe_webhook_url_is_not_called(place: Place, value: str, why: str) -> None:
    place.environ["WATCHER"] = value
    run = place.run("plan", "--notify", "env:WATCHER")
    assert run.code == 0
    assert f"warning: the notice was not delivered: env:WATCHER: {why}" in run.err
    assert value not in run.err


def test_an_unreadable_notify_reference_is_a_warning_even_if_no_notice_is_due(place: Place) -> None:
    place.write(
        HOOKS.partition("      catalogue:")[0].replace("subscriptions:", "subscriptions: {}")
    )
    run = place.run("plan", "--notify", "file:none.txt")
    assert (run.code, "\nNo changes." in run.out) == (0, True)
    assert run.err.startswith("warning: secret file:none.txt cannot be read: no such file")


def test_the_same_outcome_has_the_same_fingerprint_and_a_different_one_does_not(
    watched: Watched,
) -> None:
    for _ in range(2):
        assert watched.run("plan", "--detailed-exitcode").code == 2
    watched.place.write(HOOKS.replace(", MOVED", ""))
    watched.run("plan", "--detailed-exitcode")
    first, second, other = (told["fingerprint"] for told in watched.told)
    assert (first == second, second == other) == (True, False)


def ending(*problems: Problem) -> RunSummary:
    return RunSummary("plan", ExitCode.ERROR, None, problems, 1.0, ORIGIN)


HOSTILE = Problem(
    "<!channel> & <https://evil.example|here> **[x](https://evil.example)**\u202e\x1b[31m\n<at>all</at>",
    "y",
)


def test_a_slack_notice_mentions_nobody_and_holds_no_markup() -> None:
    told: Any = ending(HOSTILE).payload("slack")
    text = told.pop("text")
    assert told == {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
    assert text.splitlines()[0] == "hooksync plan: failed (exit code 1)"
    assert text.splitlines()[-1] == ORIGIN.url
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|here&gt;" in text
    assert not {"<", ">", "\x1b", "\u202e"} & set(text)
    assert len(text.splitlines()) == 3


def test_a_teams_notice_is_a_card_without_markdown() -> None:
    told: Any = ending(HOSTILE).payload("teams")
    [attachment] = told["attachments"]
    card = attachment["content"]
    assert (told["type"], attachment["contentType"]) == (
        "message",
        "application/vnd.microsoft.card.adaptive",
    )
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open the run", "url": ORIGIN.url}
    ]
    assert "msteams" not in card  # mentions would be in it


@pytest.mark.parametrize("form", ["json", "slack", "teams"])
def test_a_notice_of_many_long_problems_stays_small(form: NoticeForm) -> None:
    foreign = Step("leave", live=live(url="https://h.example/" + "語" * 500), is_new=True)
    tenancies = [empty_plan(tenancy(name=f"t{number}"), []) for number in range(20)]
    plan = run_of(*(replace(each, steps=(foreign,)) for each in tenancies))
    problems = [Problem(f"{number} " + "語" * 500, "語" * 500) for number in range(100)]
    many = replace(ending(), plan=replace(plan, warnings=tuple(problems)))
    # Teams accepts 28 KB
    assert len(json.dumps(many.payload(form), ensure_ascii=False).encode()) < 28_000
    assert "90" in json.dumps(many.payload(form))


def test_metrics_hold_pending_steps_live_subscriptions_and_the_time_of_the_last_success(
    place: Place,
) -> None:
    path = place.folder / "hooksync.prom"
    place.run("plan", "--metrics", "hooksync.prom")
    planned = figures(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert planned["pending_steps prod subscribe"] == planned["declared_subscriptions prod"] == 2
    assert (planned["live_subscriptions prod"], planned["exit_code"]) == (0, 0)
    place.run("apply", "--yes", "--metrics", "hooksync.prom")
    applied = figures(path)
    assert (applied["pending_steps prod subscribe"], applied["live_subscriptions prod"]) == (0, 2)
    assert planned["last_success_time_seconds prod"] <= applied["last_success_time_seconds prod"]
    place.run("plan", "--no-state", "--metrics", "hooksync.prom")
    assert figures(path)["unknown_secrets prod"] == 2
    success = figures(path)["last_success_time_seconds prod"]
    place.environ["PRESERVICA_PASSWORD"] = "wrong-password-0123"
    assert place.run("plan", "--metrics", "hooksync.prom").code == 1
    failed = figures(path)
    assert (failed["exit_code"], failed["tenancy_conclusion prod error"]) == (1, 1)
    assert failed["last_success_time_seconds prod"] == success
    assert "pending_steps prod subscribe" not in failed


def test_the_last_success_of_a_tenancy_does_not_depend_on_a_tenancy_that_fails(
    place: Place,
) -> None:
    credentials = "{username: {env: PRESERVICA_USERNAME}, password: {env: EXPIRED}}"
    other = (
        f"{{server: '${{BOX}}', tenant: OTHER, credentials: {credentials}, subscriptions: {{}}}}"
    )
    place.write(f"{HOOKS}  locked: {other}\n")
    place.environ["EXPIRED"] = "an-old-password"
    path = place.folder / "hooksync.prom"
    success = 0.0
    for _ in range(2):
        run = place.run("apply", "--yes", "--metrics", "hooksync.prom")
        found = figures(path)
        assert found["last_success_time_seconds locked"] == 0
        assert found["last_success_time_seconds prod"] > success, run.err
        success = found["last_success_time_seconds prod"]
    place.write("version: 2\n")
    assert place.run("apply", "--yes", "--metrics", "hooksync.prom").code == 1
    assert figures(path)["last_success_time_seconds prod"] == success


def test_metrics_that_cannot_be_written_are_a_warning(place: Place) -> None:
    run = place.run("plan", "--metrics", "none/hooksync.prom")
    assert run.code == 0
    assert "warning: none/hooksync.prom cannot be written: no such file or directory" in run.err


def test_special_characters_in_metric_labels_are_escaped(tmp_path: Path) -> None:
    failed = empty_plan(tenancy(name='a"b\\c\n##[x] d'), unreachable().problems)
    path = tmp_path / "hooksync.prom"
    path.write_text(
        metrics_text(replace(ending(), plan=run_of(failed)), "hooksync"), encoding="utf-8"
    )
    assert figures(path)['tenancy_conclusion a"b\\c\\n##\\x5bx] d error'] == 1
