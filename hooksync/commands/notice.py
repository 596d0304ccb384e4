"""Send the notice of how a run ended to a webhook, whose URL is a secret."""

from __future__ import annotations

from hooksync.api.inputs import Declared
from hooksync.api.opening import open_run
from hooksync.api.options import RunOptions
from hooksync.core.context import Context
from hooksync.core.errors import Problem
from hooksync.core.model import HookUrl, ProbeResult, Secret
from hooksync.core.redaction import SHORTEST_MASKED
from hooksync.core.urls import is_plain_http, split_url, url_fault
from hooksync.receivers.challenges import post
from hooksync.receivers.events import JSON_HEADERS, TAKEN
from hooksync.service.http import Caller

_TIMEOUT = 10.0  # seconds
_PAUSE = 2.0  # seconds before the second try
_FIX = (
    "check that the variable or file contains the whole URL, as the chat or the webhook's owner"
    " gave it"
)


def send_notice(url: Secret, body: bytes, name: str, context: Context) -> None:
    """Send JSON to a URL that is shown as `name`. If that fails, warn, and change nothing else."""
    settings = RunOptions((), uses_state=False, timeout=_TIMEOUT, parallelism=1)
    with open_run(Declared((), (), settings, context)) as run:
        failure = _send(url.reveal(), body, name, run.caller)
    if failure:
        context.terminal.warn(Problem(f"the notice was not delivered: {name}: {failure}", _FIX))


def _send(target: str, body: bytes, name: str, caller: Caller) -> str:
    """Send a notice, and try again once if that fails. Returns why it failed, or ""."""
    if fault := url_fault(target):
        return f"its URL {fault}"
    if is_plain_http(target):
        return "its URL begins with http, and is not on this machine: https is needed"
    caller.redactor.learn(
        part for part in (target, split_url(target)[2]) if len(part) >= SHORTEST_MASKED
    )
    failure = _post(HookUrl(name, target), body, caller)
    if failure and not caller.context.clock.wait(caller.context.stop, _PAUSE):
        failure = _post(HookUrl(name, target), body, caller)
    return failure


def _post(url: HookUrl, body: bytes, caller: Caller) -> str:
    answer = post(url, caller, "notice", headers=JSON_HEADERS, body=body)
    if isinstance(answer, ProbeResult):
        return answer.detail
    return "" if answer.status in TAKEN else f"it answers {answer.status}"
