"""The commands `plan`, `apply`, `apply PLAN` and `remove`.

They are made of the parts of the library's `plan` and `apply`, because a person sees the plan, and
answers, between the challenges and the first change. They show the result, and return an exit code.
Results and messages go to `context.terminal`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from hooksync.api import run as library
from hooksync.api.inputs import Inputs, prepare
from hooksync.api.receipt import open_saved_plan
from hooksync.api.run import OpenRun, open_run
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
    exit_of,
    internal_error,
    internal_error_text,
    shortened,
)
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.run_flags import SELECTING, Verb
from hooksync.reconcile.plan import Plan, completed
from hooksync.render.renderers import plan_json
from hooksync.render.sentences import expected_answer, summaries
from hooksync.render.text import plain, plan_lines, question, unstyled
from hooksync.state.store import state_place


class PlanOptions(WatchedOptions):
    """The flags of `plan`."""

    has_detailed_exit_code: bool = False
    is_quiet: bool = False  # show nothing if everything was compared and is as declared
    out: str | None = None  # path to save the plan at


class ApplyOptions(WatchedOptions):
    """The flags of `apply` and `remove`."""

    report: str | None = None  # path to write the report at
    saved_plan: str | None = None  # path of the plan that the new plan must equal
    max_age: timedelta | None = None  # of the saved plan


def plan(options: PlanOptions, context: Context, open_run: OpenRun = open_run) -> ExitCode:
    """Make and show a plan. With --out, save what apply would carry out, and mark the rest."""
    if options.is_quiet and options.format != "text":
        raise UsageError(Problem("--quiet cannot be combined with --format", "leave out one"))
    return _run("plan", partial(_plan, options, context, open_run), options, context)


def apply(options: ApplyOptions, context: Context, open_run: OpenRun = open_run) -> ExitCode:
    """Plan, ask, apply and verify. A saved plan needs no answer, but must equal the new plan."""
    selecting = [flag for flag, *_ in options.flags.given if flag in SELECTING]
    if options.saved_plan and selecting:
        what = f"{', '.join(dict.fromkeys(selecting))} cannot be combined with a saved plan"
        raise UsageError(Problem(what, "give such flags to `hooksync plan --out`"))
    if options.max_age and not options.saved_plan:
        raise UsageError(Problem("--max-age needs a saved plan", "see `hooksync apply --help`"))
    return _run("apply", partial(_apply, options, context, open_run), options, context)


def _run(
    command: str, do: Callable[[], Plan], options: WatchedOptions, context: Context
) -> ExitCode:
    """Run a command. Raises UsageError if an output would replace a hooks file or the state."""
    state = state_place(options.files[0], options.state)
    inputs = {follow_links(path) for path in (*options.files, state) if path}
    for name in ("out", "report", "metrics"):
        path = getattr(options, name, None)
        # no output is YAML: this also keeps the files of a directory
        if path and (path.endswith(YAML_ENDINGS) or follow_links(path) in inputs):
            context.output.written.add(path)  # the error is not written there
            what = f"--{name} {path} would replace a hooks file or the state"
            raise UsageError(Problem(what, "choose a different path"))
    return watched(command, do, options, context)


def _plan(options: PlanOptions, context: Context, open_run: OpenRun) -> Plan:
    """Make a plan, save it, and show it unless nothing in it needs a person."""
    inputs = prepare(options, context)
    with open_run(inputs) as run:
        made = library.make_plan(inputs, run)
    if not made.is_interrupted:
        made = completed(made, is_detailed=options.has_detailed_exit_code)
    if options.out or options.format in ("json", "html"):
        made = inputs.sealed(made)
    saved = ""
    if options.out:  # first: if this fails, that is the result
        saved = _save(made, options, options.out, context)
    is_matched = completed(made, is_detailed=True).exit_code == ExitCode.DONE
    if options.is_quiet and is_matched and not any(step.is_new for step in made.steps):
        return made
    show_plan(made, options.format, context, shows_kept=options.shows_kept)
    show_problems(made, context, refused="apply would refuse")
    if saved:
        context.terminal.message(printable(saved))
    return made


def _save(made: Plan, options: PlanOptions, path: str, context: Context) -> str:
    """Save a plan, if a part of it can be applied, or if there is nothing to do.

    Returns how to apply it, and which tenancies it leaves out; or that it was not saved.
    """
    has_failed = bool(made.all_errors or made.all_refusals) and not made.ready_tenancies
    if made.is_interrupted or made.refusals or has_failed:
        return f"not saved: {path} was not written: none of this can be applied"
    context.output.write_file(path, context.output.checked(plan_json(made), "the plan"))
    marked = []
    for tenancy in made.tenancies:
        if tenancy.refusals or tenancy.errors:
            marked.append(f"{tenancy.name} ({'not planned' if tenancy.errors else 'refused'})")
    applying = options.flags.command("apply", path, selects=False)
    exceptions = f", without {shortened(marked)}" if marked else ""
    return f"saved: `{applying}` carries out exactly this{exceptions}"


def _apply(options: ApplyOptions, context: Context, open_run: OpenRun) -> Plan:
    """Plan, challenge, ask, apply, and show the result."""
    inputs = _inputs(options, context)
    told: set[Problem] = set()
    with open_run(inputs, is_apply=True) as run:
        asks = not inputs.is_confirmed and context.terminal.can_ask()
        made = library.make_plan_for_apply(inputs, run, asks=asks)
        _refuse_wrong_ids(made, options)
        must_ask = bool(made.ready_tenancies) and not inputs.is_confirmed
        if must_ask and not asks:
            made = replace(made, refusals=(_no_terminal(options),))
        else:
            made = library.challenge(inputs, run, made)
        if not _show_and_ask(made, options, context, told, must_ask=must_ask):
            fix = f'answer "{expected_answer(made)}" to apply this'
            made = replace(made, refusals=(Problem("not confirmed", fix),))
        is_reviewed = must_ask or inputs.receipt is not None
        done = library.carry_out(inputs, run, made, is_reviewed=is_reviewed)
    _show_result(done, run.failures, options, context, told)
    return done


def _inputs(options: ApplyOptions, context: Context) -> Inputs:
    """Read what the hooks files declare, as the flags or a saved plan choose.

    Raises Refused or FileError, before any call, if the saved plan cannot be trusted.
    """
    if options.saved_plan is None:
        return prepare(options, context)
    receipt, refusal = open_saved_plan(options.saved_plan, options.max_age, context)
    if refusal:
        raise Refused(refusal)
    selection = receipt.selection
    chosen = replace(
        options,
        tenancies=selection.tenancy,
        targets=selection.target,
        replace=selection.replace,
        adopt=selection.adopt,
    )
    return prepare(chosen, context, receipt=receipt)


def _refuse_wrong_ids(made: Plan, options: ApplyOptions) -> None:
    """Raise HooksyncError for ids to remove that no tenancy has."""
    missing = set(options.remove).difference(step.id for step in made.steps)
    if missing and not made.unread:
        what = f"no live subscription has the id {' or '.join(sorted(missing))}"
        fix = f"write the id in full, as `{options.flags.command('list')}` shows it"
        raise HooksyncError(*made.all_errors, Problem(what, fix))


def _no_terminal(options: ApplyOptions) -> Problem:
    """Report that nobody can be asked."""
    verb: Verb = "remove" if options.remove else "apply"
    confirmed = options.flags.command(verb, *options.remove, "--yes")
    fix = f"`{confirmed}` if the plan is what you want"
    return Problem("not confirmed: cannot prompt without a terminal", fix)


def _show_and_ask(
    made: Plan, options: ApplyOptions, context: Context, told: set[Problem], *, must_ask: bool
) -> bool:
    """Show the plan of an apply and its problems, and prompt. False: the person did not confirm.

    Somebody has seen the steps of a saved plan: only its sum is shown. With --format json or
    markdown, standard output gets only the result. If the user is asked, the plan is shown on
    standard error.
    """
    prompts = must_ask and bool(made.ready_tenancies) and not (made.refusals or made.is_interrupted)
    if options.saved_plan:
        lines = unstyled(summaries(made))
    else:
        lines = plan_lines(made, shows_kept=options.shows_kept)
    if options.format == "text":
        context.terminal.show(lines)
    elif prompts:
        context.terminal.message(plain(lines))
    show_problems(made, context, refused="refused", told=told)
    return not prompts or context.terminal.ask(question(made), expected_answer(made))


def _show_result(
    done: Plan,
    failures: Sequence[Exception],
    options: ApplyOptions,
    context: Context,
    told: set[Problem],
) -> None:
    """Show the internal errors that ended an apply early, write its report, and show the result.

    `told`: the problems already shown.
    """
    for failure in failures:
        if not isinstance(failure, HooksyncError):
            told.add(internal_error(failure))
            context.terminal.message(internal_error_text(failure))
    try:
        if options.report:  # first, so that it is written even if standard output fails
            context.output.write_file(options.report, plan_json(done))
    except HooksyncError as error:
        code, _ = exit_of(error, has_begun=context.begun.is_set())
        done = replace(done, exit_code=int(code))
        raise
    finally:
        if options.format != "text":
            show_plan(done, options.format, context, shows_kept=options.shows_kept)
        elif done.has_changes:
            context.terminal.show([("", ""), *plan_lines(done)])
        show_problems(done, context, refused="refused", told=told)
