"""The whole command, run as a user runs it, against a sandbox over real HTTP."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from hooksync import __version__
from hooksync.cli.terminal import ConsoleTerminal
from hooksync.core.output import Output
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import Run, hooksync
from tests.conftest import HOOKS, SECRET, Place
from tests.lanes import sampled
from tests.terminals import Terminal


def methods(place: Place) -> list[str]:
    return [f"{call.method} {call.name}" for call in place.box.calls]


def test_a_plan_makes_two_calls_on_one_connection(place: Place) -> None:
    place.run("plan")
    assert methods(place) == ["POST login", "GET list"]
    assert place.box.connections == 1


def test_a_wrong_password_is_reported_once_and_tried_once(place: Place) -> None:
    place.environ["PRESERVICA_PASSWORD"] = "wrong-password"
    run = place.run("apply", "--yes")
    assert run.code == 1
    assert "error: prod: POST /api/accesstoken/login -> 401" in run.err
    assert (
        "fix: check username env:PRESERVICA_USERNAME, password env:PRESERVICA_PASSWORD and the tenant"
        in run.err
    )
    assert methods(place) == ["POST login"]


def seeded(place: Place, number: int) -> None:
    for index in range(number):
        place.box.seed("DEMO", f"https://old.example.org/{index}", "MOVED", "old-secret-0123456789")


def test_a_target_leaves_all_else_alone(place: Place) -> None:
    seeded(place, 3)
    run = place.run("apply", "--yes", "--target", "prod/*/MOVED")
    assert run.code == 0
    assert sorted(one.trigger for one in place.box.subscriptions("DEMO")) == ["MOVED"] * 4
    assert run.out.endswith("\nVerified: live matches declared (only prod/*/MOVED).\n")
    again = place.run("plan", "--target", "prod/*/MOVED")
    assert again.out.startswith("Only prod/*/MOVED\n\n")
    matching = "1 tenancy matches hooks.yaml; 1 unchanged, 3 left alone.\n"
    assert again.out.endswith(f"\nNo changes. {matching}")


@pytest.mark.parametrize("flag", ["--tenancy", "--target", "--replace", "--adopt"])
def test_a_glob_that_matches_nothing_is_wrong_usage(place: Place, flag: str) -> None:
    run = place.run("plan", flag, "prd*")
    assert run.code == 64
    assert f'{flag} "prd*" matches no ' in run.err
    assert place.box.calls == ()


def test_the_fix_for_a_missing_file_names_the_variable_that_may_name_it(place: Place) -> None:
    (place.folder / "hooks.yaml").unlink()
    run = place.run("plan")
    assert f"there is no file hooks.yaml in {place.folder}\n" in run.err
    assert "`hooksync init` writes a first one" in run.err
    place.environ["HOOKSYNC_FILE"] = "gone.yaml"
    assert place.run("plan").err.endswith("\n  fix: correct --file or HOOKSYNC_FILE\n")
    (place.folder / "below").mkdir()
    place.write("", "gone.yaml")
    above = hooksync(["plan"], place.environ, place.folder / "below")
    assert above.err.endswith("\n  fix: change to the folder above, which has gone.yaml\n")


def test_an_environment_variable_can_name_a_file_of_variables(place: Place) -> None:
    secret = place.environ.pop("CATALOGUE_SECRET")
    place.write(f"CATALOGUE_SECRET={secret}\n", "ci.env")
    (place.folder / "ci.env").chmod(0o600)
    assert place.run("apply", "--yes").code == 1
    place.environ["HOOKSYNC_ENV_FILE"] = "ci.env"
    assert place.run("apply", "--yes").code == 0
    place.write("CATALOGUE_SECRET=x\n", "other.env")
    (place.folder / "other.env").chmod(0o600)
    assert "secret changed" in place.run("plan", "--env-file", "other.env").out


def test_a_quiet_plan_prints_only_what_needs_a_person(place: Place) -> None:
    run = place.run("plan", "--quiet")
    assert (run.code, "to subscribe" in run.out) == (0, True)
    assert place.run("apply", "--yes").code == 0
    run = place.run("plan", "--quiet", "--detailed-exitcode")
    assert (run.code, run.out, run.err) == (0, "", "")
    place.box.faults.add("status-403@list:*")
    run = place.run("plan", "--quiet")
    assert run.code == 1
    assert "403" in run.err
    run = place.run("plan", "--quiet", "--format", "json")
    assert run.code == 64


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (("plan", "--parallelism", "0"), "parallelism"),
        (("plan", "--timeout", "-1"), "timeout"),
        (("plan", "--format", "yaml"), "format"),
        (("aply",), "unknown argument aply\n  fix: see `hooksync --help`"),
        (("state", "shwo"), "unknown argument shwo\n  fix: see `hooksync state --help`"),
        (
            ("plan", "--file"),
            "argument -f/--file: expected one argument\n  fix: see `hooksync plan --help`",
        ),
        (("plan", "--tenacy", "x"), "unknown argument --tenacy\n  fix: see `hooksync plan --help`"),
        (("completion", "tcsh"), "invalid choice: 'tcsh' (choose from "),
        (("plan", "hooks"), "unknown argument hooks\n  fix: see `hooksync plan --help`"),
    ],
)
def test_wrong_usage_exits_with_64_and_points_to_the_help(
    place: Place, arguments: tuple[str, ...], needle: str
) -> None:
    run = place.run(*arguments)
    assert (run.code, run.out) == (64, "")
    assert needle in run.err
    assert "--help" in run.err


def test_without_a_command_the_help_is_printed_with_exit_code_64(place: Place) -> None:
    assert place.run() == Run(64, "", place.run("--help").out)
    assert place.run("state") == Run(64, "", place.run("state", "--help").out)


def test_the_value_of_a_mistyped_flag_is_not_repeated(place: Place) -> None:
    assert SECRET not in place.run("fire", "--secrte", SECRET, f"--secrt={SECRET}").err


def test_version_and_help_are_printed_on_standard_output(place: Place) -> None:
    assert place.run("--version").out == f"hooksync {__version__}\n"
    assert (
        place.run("version").out
        == place.run("version", "--format", "text").out
        == f"hooksync {__version__}\n"
    )
    assert place.run("version", "--format", "json").json["hooksync"] == __version__
    assert place.run("--help").out.startswith("usage: hooksync")
    assert place.run("apply", "--help").code == 0


def test_verbose_prints_each_call_with_status_and_duration(place: Place) -> None:
    run = place.run("apply", "--yes", "-v")
    lines = [line for line in run.err.splitlines() if line.startswith(f"prod ({place.box.url}): ")]
    assert len(lines) == 5
    assert " POST /api/accesstoken/login -> 200 (" in lines[0]


def test_an_apply_makes_only_necessary_calls_on_no_more_connections_than_allowed(
    place: Place,
) -> None:
    line = (
        "      s{0}: {{url: 'https://hooks.example.org/{0}', trigger: MOVED, secret: {{env:"
        " CATALOGUE_SECRET}}}}\n"
    )
    head, _, _ = HOOKS.partition("      catalogue:")
    place.write(
        head.replace("    sub", "    probe: never\n    sub") + "".join(map(line.format, range(12)))
    )
    with Sandbox(SandboxOptions(traits=frozenset({"no-challenge"}))) as box:
        box.latency = 0.02
        place.environ["BOX"] = box.url
        assert place.run("apply", "--yes", "--parallelism", "3").code == 0
        assert Counter(call.name for call in box.calls) == {"login": 1, "list": 2, "subscribe": 12}
        assert box.connections <= 3
        assert 1 < box.max_in_flight <= 3


@pytest.mark.parametrize(
    ("answer", "code", "made"),
    sampled([("yes\n", 0, 2), ("y\n", 3, 0), ("no\n", 3, 0), ("\x04", 3, 0)], 3),
)
def test_on_a_terminal_only_the_answer_yes_starts_the_apply(
    place: Place, answer: str, code: int, made: int
) -> None:
    terminal = Terminal(place, "apply")
    terminal.read_until(f"prod ({place.box.url} / DEMO): 2 to subscribe. Type yes to apply: ")
    terminal.type(answer)
    assert terminal.finish() == code
    assert len(place.box.subscriptions("DEMO")) == made
    assert "\x1b[32m+" in terminal.seen


@pytest.mark.parametrize(("name", "code"), sampled([("SIGINT", 130), ("SIGHUP", 143)], 2))
def test_an_interrupt_at_the_question_changes_nothing(place: Place, name: str, code: int) -> None:
    place.environ["NO_COLOR"] = "1"
    terminal = Terminal(place, "apply")
    terminal.read_until("Type yes to apply: ")
    assert "\x1b[" not in terminal.seen
    terminal.process.send_signal(signal.Signals[name])
    assert terminal.finish() == code
    assert place.box.subscriptions("DEMO") == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_an_interrupt_the_terminal_asks_no_question(number: signal.Signals) -> None:
    terminal = ConsoleTerminal(Output())
    terminal.is_graceful = True
    terminal.handle(number)
    assert not terminal.ask("Really?")  # this reads nothing
