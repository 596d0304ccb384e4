"""The command `verify`: find the secret that signed an event."""

from __future__ import annotations

from hooksync.commands.receiving import SecretOptions, find_secrets
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, Problem, UsageError
from hooksync.receivers.events import SIGNATURE, explain_signature, find_signers, read_event

_NO_SIGNATURE = Problem(
    "there is no signature to verify",
    f"give --signature with the value of the header {SIGNATURE}; `listen --record` keeps it",
)


class VerifyOptions(SecretOptions):
    """The flags of `verify`."""

    path: str = "-"  # of the event
    signature: str | None = None  # None: the recorded one


def verify(options: VerifyOptions, context: Context) -> ExitCode:
    """Report which of the secrets signed an event. Returns ERROR if none did."""
    known = find_secrets(options, context)
    body, headers = read_event(options.path, context.stdin)
    signature = options.signature or headers.get(SIGNATURE.lower())
    if signature is None:
        raise UsageError(_NO_SIGNATURE)
    signers = find_signers(known, body, signature)
    if signers:
        names = " and ".join(map(str, signers))
        context.terminal.result(f"signed with {names}\n")
        return ExitCode.DONE
    tried = ", ".join(map(str, known))
    reason = explain_signature(known, body, signature)
    context.terminal.result(f"signed with none of {tried}\n  {reason}\n")
    return ExitCode.ERROR
