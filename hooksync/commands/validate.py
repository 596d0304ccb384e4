"""The command `validate`: checks hooks files without network and environment.

All output goes through `context.terminal`.
"""

from __future__ import annotations

from hooksync.api.options import FileOptions
from hooksync.config.declarations import Document, addresses
from hooksync.config.document import read_document
from hooksync.config.files import read_sources
from hooksync.config.policy import key_warnings, read_policy
from hooksync.config.references import command_problems
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, pluralised
from hooksync.core.redaction import printable


def validate(options: FileOptions, context: Context) -> ExitCode:
    """Check the files, and count what they declare. Raises FileError with every problem."""
    document = _checked(options, context)
    for warning in (*document.warnings, *key_warnings(options.policy, context.environ)):
        context.terminal.warn(warning)
    tenancies = pluralised(len(document.tenancies), "tenancy")
    number = len(addresses(document.tenancies))
    what = f"{tenancies}, {pluralised(number, 'subscription')}"
    context.terminal.result(f"{printable(', '.join(options.files))}: valid: {what}.\n")
    return ExitCode.DONE


def _checked(options: FileOptions, context: Context) -> Document:
    """Read the files, and check them against the policy.

    Without a policy, refuse programs for secrets, unless --allow-commands is given.
    """
    sources = read_sources(options.files, context.stdin)
    if options.policy:
        policy = read_policy(options.policy)
        return read_document(sources, [policy.breaches])
    if options.allows_commands:
        return read_document(sources)
    return read_document(sources, [command_problems])
