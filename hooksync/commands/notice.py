"""Report the end of a run: metrics in a file, and a notice to a webhook, whose URL is a secret."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing, suppress

from hooksync.api.options import ALL, Options, reference
from hooksync.config.secret_sources import SecretSources
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, FileError, Problem, Problems, SecretError, exit_of
from hooksync.core.flags import MORE, flag
from hooksync.core.model import HookUrl, ReceiverResult, SecretRef, process_environ
from hooksync.core.reading import read_file
from hooksync.core.redaction import SHORTEST_MASKED
from hooksync.core.starter import find_starter
from hooksync.core.urls import is_plain_http, split_url, url_fault
from hooksync.receivers.events import JSON_HEADERS, SUCCESS
from hooksync.reconcile.plan import Plan
from hooksync.render.ending import NoticeForm, RunSummary, event_of, metrics_text
from hooksync.service.challenges import post
from hooksync.service.http import Caller, Transport

_TIMEOUT = 10.0  # seconds
_FIX = (
    "check that the variable or file contains the whole URL, as the chat or the webhook's owner"
    " gave it"
)
_MOST_METRICS = 16 * 1024 * 1024  # bytes
_METRICS_MODE = 0o644  # Prometheus may read it as a different user


class WatchedOptions(Options):
    """The flags that `plan` and `apply` share: how they show a plan, and report their end."""

    in_pipelines = True

    shows_kept: bool = ALL
    notify: SecretRef | None = flag(
        "--notify REF",
        "a webhook: env:NAME, file:PATH",
        MORE,
        reference,
        default=None,
        pipeline_variable="HOOKSYNC_NOTIFY",
    )
    notify_as: NoticeForm = flag(
        "--notify-as KIND",
        "%(choices)s; default: json",
        default="json",
        pipeline_variable="HOOKSYNC_NOTIFY_AS",
    )
    metrics: str | None = flag(
        "--metrics FILE", "write metrics for Prometheus's textfile collector", default=None
    )


def watched(
    command: str, do: Callable[[], Plan], options: WatchedOptions, context: Context
) -> ExitCode:
    """Run a command, and report its end by metrics and a notice, even if it fails early."""
    problems: Problems = ()
    code = ExitCode.INTERRUPTED
    made = None
    try:
        made = do()
        code = ExitCode(made.exit_code)
        return code
    except Exception as error:
        code, problems = exit_of(error, has_begun=context.begun.is_set())
        raise
    finally:
        if code == ExitCode.INTERRUPTED:
            code = context.terminal.interrupt_code
        starter = find_starter(context.environ)
        summary = RunSummary(command, code, made, problems, context.clock.now(), starter)
        if options.metrics:
            _write_metrics(summary, options.metrics, context)
        if options.notify:
            _notify(summary, options.notify, options.notify_as, context)


def _write_metrics(summary: RunSummary, path: str, context: Context) -> None:
    """Replace the metrics of the last run, but keep the last success of what failed now."""
    before = ""
    with suppress(OSError, ValueError):  # no file yet, or not one of hooksync
        before = read_file(path, _MOST_METRICS).decode()
    try:
        name = os.path.basename(path).removesuffix(".prom")
        context.output.write_file(path, metrics_text(summary, name, before), _METRICS_MODE)
    except FileError as error:
        context.terminal.warn(*error.problems)


def _notify(summary: RunSummary, ref: SecretRef, form: NoticeForm, context: Context) -> None:
    """Send a notice, if there is something to report. If that fails, warn, and change nothing else.

    Every run warns if the URL is missing.
    """
    try:
        url = SecretSources(context).find(ref).reveal()
    except SecretError as error:
        context.terminal.warn(*error.problems)
        return
    if event_of(summary.plan, summary.code) is None:
        return
    body = context.output.safe(json.dumps(summary.payload(form), ensure_ascii=False), "json")
    with closing(Transport(_TIMEOUT, 1, process_environ(context.environ))) as transport:
        failure = _send(HookUrl(str(ref), url), body.encode(), Caller(transport, context))
    if failure:
        context.terminal.warn(Problem(f"the notice was not delivered: {ref}: {failure}", _FIX))


def _send(url: HookUrl, body: bytes, caller: Caller) -> str:
    """Send a notice. Returns why that failed, or ""."""
    if fault := url_fault(url.full):
        return f"its URL {fault}"
    if is_plain_http(url.full):
        return "its URL begins with http, and is not on this machine: https is needed"
    _, _, tail = split_url(url.full)
    if len(tail) >= SHORTEST_MASKED:
        caller.redactor.learn([tail])
    answer = post(url, caller, "notice", headers=JSON_HEADERS, body=body)
    if isinstance(answer, ReceiverResult):
        return answer.detail
    return "" if answer.status in SUCCESS else f"it answers {answer.status}"
