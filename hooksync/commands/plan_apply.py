"""The commands `plan`, `apply`, `apply PLAN` and `remove`.

They are made of the parts of the library's `plan` and `apply`, because a person sees the plan, and
answers, between the challenges and the first change. They show the result, and return an exit code.
Results and messages go to `context.terminal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Literal

from hooksync.api.inputs import Inputs, prepare
from hooksync.api.options import ALL, FORMAT, LOCK_TIMEOUT, MAX_AGE, REPORT, YES, RunOptions
from hooksync.api.receipt import open_saved_plan
from hooksync.api.run import OpenRun, finished, open_run
from hooksync.commands.notice import WatchedOptions, watched
from hooksync.commands.problems import show_plan, show_problems
from hooksync.config.files import YAML_ENDINGS, follow_links
from hooksync.core.context import Context
from hooksync.core.errors import (
    ExitCode,
    HooksyncError,
    Problem,
    Refused,
    UsageError,
    internal_error,
    internal_error_text,
)
from hooksync.core.flags import OUTPUT, READ, SAFETY, SELECT, flag
from hooksync.core.model import Globs
from hooksync.core.output import Format
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import Plan
from hooksync.render.ending import event_of
from hooksync.render.renderers import plan_json
from hooksync.render.sentences import problems_of, summaries
from hooksync.render.text import plain, plan_lines, question
from hooksync.state.store import state_place


class PlanOptions(WatchedOptions):
    """The flags of `plan`."""

    since: str | None = flag(
        "--since BRANCH",
        "only what changed since BRANCH",
        SELECT,
        default=None,
        pipeline_variable="HOOKSYNC_SINCE",
    )
    format: Format = FORMAT
    out: str | None = flag(
        "--out PLAN", "save the plan for `apply PLAN`, if apply may do it", OUTPUT, default=None
    )
    report: str | None = REPORT
    has_detailed_exit_code: bool = flag(
        "--detailed-exitcode",
        "exit with 2 if live differs, or was not compared",
        OUTPUT,
        default=False,
    )
    is_quiet: bool = flag(
        "--quiet", "print nothing unless a person is needed: for cron", OUTPUT, default=False
    )
    probes: bool = flag(
        "--probe",
        "challenge the receivers of new subscriptions",
        SAFETY,
        default=False,
        repeated_by=("plan",),
    )


class ChangeOptions(RunOptions):
    """The flags that `apply` and `remove` share."""

    format: Literal["text", "json", "markdown"] = FORMAT
    report: str | None = REPORT
    is_confirmed: bool = YES
    lock_timeout: float | None = LOCK_TIMEOUT
    # no flags of both commands
    uses_state: bool = True
    shows_kept: bool = False
    saved_plan: str | None = None


class ApplyOptions(ChangeOptions, WatchedOptions):
    """The flags of `apply`."""

    saved_plan: str | None = flag(
        "PLAN", "saved by `plan --out`: apply it without a prompt", READ, default=None
    )
    max_age: timedelta | None = MAX_AGE
    shows_kept: bool = ALL


class RemoveOptions(ChangeOptions):
    """The flags of `remove`."""

    ids: tuple[str, ...] = flag(
        "ID ...", "of a live subscription, in full, as `hooksync list` shows it", SELECT
    )
    targets: Globs = ()  # no flag of `remove`


def plan(options: PlanOptions, context: Context, open_run: OpenRun = open_run) -> ExitCode:
    """Make and show a plan. With --out, save what apply would carry out, and mark the rest."""
    if options.is_quiet and options.format != "text":
        raise UsageError("--quiet cannot be combined with --format", "leave out one")
    _check_outputs(options)
    return watched("plan", partial(_plan, options, context, open_run), options, context)


def apply(options: ApplyOptions, context: Context, open_run: OpenRun = open_run) -> ExitCode:
    """Plan, ask, apply and verify. A saved plan needs no answer, but must equal the new plan."""
    flags = options.flags().values()
    selecting = [flag.name for flag in flags if flag.group == SELECT and flag.name in options.given]
    if options.saved_plan and selecting:
        what = f"{', '.join(selecting)} cannot be combined with a saved plan"
        raise UsageError(what, "give such flags to `hooksync plan --out`")
    if options.max_age and not options.saved_plan:
        raise UsageError("--max-age needs a saved plan", "see `hooksync apply --help`")
    _check_outputs(options)
    return watched("apply", partial(_apply_plan, options, context, open_run), options, context)


def remove(options: RemoveOptions, context: Context) -> ExitCode:
    """Remove live subscriptions by their ids, as an apply does."""
    _check_outputs(options)
    inputs = prepare(options, context)
    return ExitCode(_apply(inputs, options, open_run).exit_code)


def _check_outputs(options: RunOptions) -> None:
    """Raise UsageError if an output would replace a hooks file or the state."""
    state = state_place(options.files[0], options.state)
    inputs = {follow_links(path) for path in (*options.files, state) if path}
    outputs = [getattr(options, name, None) for name in ("out", "report", "metrics")]
    for path in filter(None, outputs):
        # no output is YAML: this also keeps the files of a directory
        if path.endswith(YAML_ENDINGS) or follow_links(path) in inputs:
            what = f"{path} would replace a hooks file or the state"
            raise UsageError(what, "choose a different path")


def _plan(options: PlanOptions, context: Context, open_run: OpenRun) -> Plan:
    """Make a plan, save it, and show it unless nothing in it needs a person."""
    inputs = prepare(options, context)
    with open_run(inputs) as run:
        made = run.make_plan()
        if options.probes:
            made = run.challenge(made)
    made = finished(made, context, is_detailed=options.has_detailed_exit_code)
    if options.out or options.report or options.format in ("json", "html"):
        made = inputs.sealed(made)
    if options.report:
        context.output.write_file(options.report, plan_json(made))
    # first: if this fails, that is the result
    saved = _save(made, options, options.out, context) if options.out else ""
    event = event_of(made, made.exit_code)
    if options.is_quiet and event in (None, "in-progress"):
        if event and made.running:
            context.terminal.warn(made.running)
        return made
    keeps = options.shows_kept
    show_plan(made, plan_lines(made, shows_kept=keeps), options.format, context, shows_kept=keeps)
    if saved:
        context.terminal.message(printable(saved))
    return made


def _save(made: Plan, options: PlanOptions, path: str, context: Context) -> str:
    """Save a plan, if a part of it can be applied, or if there is nothing to do.

    Returns how to apply it, or that it was not saved.
    """
    has_failed = bool(made.all_errors or made.all_refusals)
    if made.is_interrupted or made.refusals or (has_failed and not made.ready_tenancies):
        return f"not saved: {path} was not written: none of this can be applied"
    context.output.write_file(path, context.output.checked(plan_json(made), "the plan"))
    applying = options.command("apply", path, selects=False)
    exceptions = ", without what is refused or not planned" if has_failed else ""
    return f"saved: `{applying}` carries out exactly this{exceptions}"


def _apply_plan(options: ApplyOptions, context: Context, open_run: OpenRun) -> Plan:
    """Apply what the flags or a saved plan select.

    Raises Refused or FileError, before any call, if the saved plan cannot be trusted.
    """
    if options.saved_plan is None:
        _refuse_standing_order(options)
        return _apply(prepare(options, context), options, open_run)
    receipt, refusal = open_saved_plan(options.saved_plan, options.max_age, context)
    if refusal:
        raise Refused.of([refusal])
    selection = receipt.selection
    chosen = options.changed(
        tenancies=selection.tenancy,
        targets=selection.target,
        replace=selection.replace,
        adopt=selection.adopt,
        is_confirmed=True,
    )
    return _apply(prepare(chosen, context, receipt=receipt), chosen, open_run)


def _refuse_standing_order(options: ApplyOptions) -> None:
    """Raise Refused if a variable requests something, and nobody will be asked.

    Left in a shell or a pipeline, it would do so in every run.
    """
    requesting = sorted(options.given & {"HOOKSYNC_REPLACE", "HOOKSYNC_ADOPT"})
    if options.is_confirmed and requesting:
        names = " and ".join(requesting)
        flags = options.command("plan", "--out", "plan.json")
        fix = f"`unset {' '.join(requesting)}`, or review a plan and apply that: `{flags}`"
        raise Refused(f"--yes does not do what {names} requests", fix)


def _apply(inputs: Inputs, options: ChangeOptions, open_run: OpenRun) -> Plan:
    """Plan, challenge, ask, apply, and show the result."""
    context = inputs.context
    with open_run(inputs, is_apply=True, lock_timeout=options.lock_timeout) as run:
        can_ask = not options.is_confirmed and context.terminal.can_ask()
        made = run.make_plan(needs_secrets=True, asks=can_ask)
        _refuse_wrong_ids(made, options)
        made = run.challenge(made)
        asked = _show_and_ask(made, options, context, can_ask=can_ask)
        is_reviewed = inputs.receipt is not None or not options.is_confirmed
        done = run.carry_out(asked, is_reviewed=is_reviewed)
    return _show_result(finished(done, context), made, run.failures, options, context)


def _refuse_wrong_ids(made: Plan, options: ChangeOptions) -> None:
    """Raise HooksyncError for ids to remove that no tenancy has."""
    missing = set(made.selection.remove).difference(step.id for step in made.steps)
    if missing and not made.unread:
        what = f"no live subscription has the id {' or '.join(sorted(missing))}"
        fix = f"copy the whole id from `{options.command('list')}`, unless it is removed already"
        raise HooksyncError.of([*made.all_errors, Problem(what, fix)])


def _show_and_ask(made: Plan, options: ChangeOptions, context: Context, *, can_ask: bool) -> Plan:
    """Show the plan of an apply and its problems, and prompt. Refuse what is not confirmed.

    Somebody has seen the steps of a saved plan: only its sum is shown. With --format json or
    markdown, standard output gets only the result. If the user is asked, the plan is shown on
    standard error.
    """
    is_decided = options.is_confirmed or made.refusals or made.is_interrupted
    lines = [*plan_lines(made, shows_kept=options.shows_kept)]
    if options.saved_plan:
        lines = summaries(made)
    if options.format == "text":
        context.terminal.show(lines)
    elif can_ask:
        context.terminal.message(plain(lines))
    show_problems(made, context)
    if is_decided or not made.ready_tenancies:
        return made
    text, answer = question(made)
    if can_ask and context.terminal.ask(text, answer):
        return made
    fix = f'answer "{answer}" at a terminal'
    if made.selection.remove:
        fix += ", or give --yes"
    elif answer == "yes":  # a saved plan does not exceed a limit
        planned = options.command("plan", "--out", "plan.json")
        applied = options.command("apply", "plan.json", selects=False)
        fix += f"; or read the plan of `{planned}`, then `{applied}`"
    return replace(made, refusals=(Problem("not confirmed", fix),))


def _show_result(
    done: Plan,
    made: Plan,
    failures: Sequence[Exception],
    options: ChangeOptions,
    context: Context,
) -> Plan:
    """Show the internal errors that ended an apply early, write its report, and show the result.

    `made`: the plan, whose problems were shown. Returns the result; if no report can be written,
    with that error.
    """
    told = {*problems_of(made)}
    for failure in failures:
        if not isinstance(failure, HooksyncError):
            told.add(("error", internal_error(failure)))
            context.terminal.message(internal_error_text(failure))
    if options.report:  # first, so that it is written even if standard output fails
        try:
            context.output.write_file(options.report, plan_json(done))
        except HooksyncError as error:
            done = replace(done, errors=(*done.errors, *error.problems))
            done = finished(done, context)
    lines = ["", *plan_lines(done)] if done.has_changes else []
    show_plan(done, lines, options.format, context, shows_kept=options.shows_kept, told=told)
    return done
