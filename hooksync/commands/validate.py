"""The command `validate`: checks hooks files without network and environment.

All output goes through `context.terminal`.
"""

from __future__ import annotations

from functools import partial

from hooksync.api.options import FileOptions
from hooksync.config.declarations import addresses, command_problems
from hooksync.config.document import Judge, read_tenancies
from hooksync.config.files import read_sources
from hooksync.config.policy import key_warnings, read_policy
from hooksync.config.resolve import check_as_written
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, in_order, pluralised
from hooksync.core.redaction import printable


def validate(options: FileOptions, context: Context) -> ExitCode:
    """Check the files, and count what they declare. Raises FileError with every problem."""
    warnings = key_warnings(options.policy, context.environ)
    judges: list[Judge] = [partial(check_as_written, warnings)]
    if options.policy:
        judges.append(read_policy(options.policy, context.environ).breaches)
    elif not options.allows_commands:
        judges.append(command_problems)
    sources = read_sources(options.files, context.stdin)
    entries = read_tenancies(sources, judges)
    context.terminal.warn(*in_order(warnings))
    tenancies = pluralised(len(entries), "tenancy")
    subscriptions = pluralised(len(addresses(entries)), "subscription")
    files = printable(", ".join(options.files))
    context.terminal.result(f"{files}: valid: {tenancies}, {subscriptions}.\n")
    return ExitCode.DONE
