"""The command `verify`: find the secret that signed an event."""

from __future__ import annotations

from hooksync.api.options import EnvironmentOptions
from hooksync.commands.receiving import SECRETS, find_secrets
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, UsageError
from hooksync.core.flags import flag
from hooksync.core.model import SecretRef
from hooksync.receivers.events import SIGNATURE, explain_signature, find_signers, read_event

_EVENT = "which event"  # a title in the help text


class VerifyOptions(EnvironmentOptions):
    """The flags of `verify`."""

    secrets: tuple[SecretRef, ...] = SECRETS
    path: str = flag("FILE", "the body, byte for byte; - for standard input", _EVENT)
    signature: str | None = flag(
        "--signature HEX",
        "of the header Preservica-Signature (default: recorded)",
        _EVENT,
        default=None,
    )


def verify(options: VerifyOptions, context: Context) -> ExitCode:
    """Report which of the secrets signed an event. Returns ERROR if none did."""
    known = find_secrets(options, options.secrets, context)
    body, headers = read_event(options.path, context.stdin)
    signature = options.signature or headers.get(SIGNATURE.lower())
    if signature is None:
        fix = f"give --signature with the value of the header {SIGNATURE}"
        raise UsageError("there is no signature to verify", f"{fix}; `listen --record` keeps it")
    signers = " and ".join(map(str, find_signers(known, body, signature)))
    if signers:
        context.terminal.result(f"signed with {signers}\n")
        return ExitCode.DONE
    tried = ", ".join(map(str, known))
    reason = explain_signature(known, body, signature)
    context.terminal.result(f"signed with none of {tried}\n  {reason}\n")
    return ExitCode.ERROR
