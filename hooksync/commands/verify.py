"""The command `verify`: which secret a captured event was signed with. Prints nothing itself."""

from __future__ import annotations

import json

from hooksync.commands.options import Options
from hooksync.commands.receiving import find_secrets
from hooksync.config.files import read_event
from hooksync.core.errors import ExitCode, Problem, UsageError
from hooksync.reconcile.context import World
from hooksync.service.events import SIGNATURE, explain_signature, find_signers

FORMAT = "hooksync.verify/1"


def verify(options: Options, world: World) -> ExitCode:
    """Tell which of the secrets an event was signed with. ERROR: with none of them."""
    known = find_secrets(options, world)
    body, headers = read_event(options.path, world.stdin)
    signature = options.signature or headers.get(SIGNATURE.lower())
    if signature is None:
        fix = (
            f"give --signature, what stood in the header {SIGNATURE}; what `hooksync listen --record` wrote has its own"
        )
        raise UsageError(Problem("there is no signature to verify", fix))
    signers = find_signers(known.secrets, body, signature)
    reason = "" if signers else explain_signature(known.secrets, body, signature)
    if options.format == "json":
        signed_with = [known.document(ref) for ref in signers]
        document = {"format": FORMAT, "is_genuine": bool(signers), "signed_with": signed_with, "reason": reason or None}
        world.terminal.result(json.dumps(document, indent=2, sort_keys=True) + "\n", "json")
    elif signers:
        world.terminal.show([("green", f"signed with {' and '.join(map(known.told, signers))}")])
    else:
        tried = ", ".join(map(str, known.secrets))
        world.terminal.show([("red", f"signed with none of {tried}"), ("", f"  {reason}")])
    return ExitCode.DONE if signers else ExitCode.ERROR
