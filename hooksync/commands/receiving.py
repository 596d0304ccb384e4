"""Find the receiver and the secrets for `check`, `fire`, `listen` and `verify`.

The command line names them, or hooks files declare them. Neither way needs a server or a log-in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from hooksync.api.inputs import hold_to_policy, private_receivers, read_files
from hooksync.api.options import CallOptions, FileOptions, reference
from hooksync.config import declarations
from hooksync.config.resolve import resolve_subscriptions
from hooksync.config.secret_sources import SecretSources
from hooksync.core.context import Context
from hooksync.core.errors import (
    FileError,
    SecretError,
    UsageError,
    shortened,
    suggestion,
)
from hooksync.core.flags import flag
from hooksync.core.model import (
    Declaration,
    DeclaredSubscription,
    HookUrl,
    Location,
    SecretRef,
    Secrets,
    Trigger,
    process_environ,
)
from hooksync.core.record import replace
from hooksync.core.schema import is_certain_to_fit
from hooksync.core.template import Template
from hooksync.core.urls import masked_url, split_url
from hooksync.receivers.suite import Sender
from hooksync.service.http import Caller, Transport

# titles in help texts
RECEIVER = "which receiver"
SENT = "what to send"

_HERE = Location("<command line>", 1, 1)
_NO_SERVER = Template("", _HERE)  # so a policy has no server to judge
_TRIGGER = Trigger.named("INDEXED")  # of events for a receiver that no file declares
_MOST_CALLS = 2  # at a time: `fire` may send one event twice at once


SECRETS = flag(
    "--secret REF",
    "place of a secret: env:NAME, file:PATH; repeatable",
    RECEIVER,
    reference,
    default=(),
)
URL = flag("--url URL", "a receiver; in its URL, ${NAME} is a variable", RECEIVER, default=None)


def find_secrets(options: FileOptions, refs: Sequence[SecretRef], context: Context) -> Secrets:
    """Look up the secrets of --secret, `refs`, and those that hooks files declare.

    Hooks files are read if a flag names them, or if --secret is absent. Warns if a declared secret
    is not set. Raises SecretError if a secret of --secret is not set, or if no secret is known.
    """
    declared: list[SecretRef] = []
    if options.names_files or not refs:
        entries = read_files(options, context)
        hold_to_policy(options, entries, context)
        for tenancy in entries:
            declared += [subscription.secret for subscription in tenancy.subscriptions]
    sources = SecretSources(context)
    given = sources.find_all(refs)
    found, missing = sources.look_up(declared)
    context.terminal.warn(*dict.fromkeys(missing.values()))
    if not (given or found):
        raise SecretError("no secret is known", "declare a subscription, or give --secret env:NAME")
    return {**given, **found}


@contextmanager
def open_receiver(
    tenancy: declarations.TenancyDeclaration, options: CallOptions, context: Context
) -> Iterator[tuple[Sender, DeclaredSubscription, Secrets]]:
    """Open the connections to the first receiver of a tenancy. Its first secret signs.

    Raises FileError, Refused or SecretError.
    """
    if problems := list(declarations.reference_problems([tenancy])):
        raise FileError.of(problems)
    private = private_receivers(hold_to_policy(options, [tenancy], context))
    only = replace(tenancy, subscriptions=tenancy.subscriptions[:1])
    [declared] = resolve_subscriptions(only, context.environ)
    if not tenancy.name:  # its URL may contain keys that the shell filled in
        full = declared.url.full
        declared = replace(declared, url=HookUrl(masked_url(declared.url.shown), full))
    environ = process_environ(context.environ)
    refs = [subscription.secret for subscription in tenancy.subscriptions]
    secrets = SecretSources(context).find_all(refs)
    transport = Transport(options.timeout, _MOST_CALLS, environ, private_receivers=private)
    with closing(transport):
        caller = Caller(transport, context)
        yield Sender(declared.url, secrets[declared.secret], caller), declared, secrets


def declared_receiver(
    entries: declarations.Declarations, address: str
) -> declarations.TenancyDeclaration:
    """Find a subscription of hooks files by `tenancy/name` or `tenancy/name/TRIGGER`."""
    known = []
    for tenancy in entries:
        for subscription in tenancy.subscriptions:
            known.append(subscription.address)
            if address in (subscription.address, f"{tenancy.name}/{subscription.name}"):
                return replace(tenancy, subscriptions=(subscription,))
    fix = suggestion(address, known, f"known: {shortened(known)}")
    raise UsageError(f'no file declares the address "{address}"', fix)


def named_receiver(
    url: str | None, refs: Sequence[SecretRef], *, has_other: bool
) -> declarations.TenancyDeclaration | None:
    """Return the receiver that --url and --secret name. None: hooks files declare the receivers.

    `has_other`: whether the command line also names hooks files, or something in them.
    """
    if bool(url) != bool(refs) or (url and has_other):
        raise UsageError(
            "--url and --secret name one receiver, and need each other",
            "give both, without --file, --tenancy, --target or an address; or leave out both",
        )
    return receiver_at(url, refs) if url else None


def receiver_at(url: str, secrets: Sequence[SecretRef]) -> declarations.TenancyDeclaration:
    """Return a declaration of --url and --secret, so that the rules for files apply to them.

    Its tenancy has no name.
    """
    declared = {"a": {"subscriptions": {"a": {"url": url}}}}
    if not is_certain_to_fit("hooks", {"version": 1, "tenancies": declared}):
        raise UsageError(
            "--url is empty or too long, or has a `${` without a name",
            "write ${NAME}, between single quotation marks, and $$ for a dollar",
        )
    template = Template(url, _HERE)
    _, name, _ = split_url(masked_url(url))
    entries = []
    for ref in secrets:  # the first signs events; the others are judged as well
        entries.append(Declaration("", name, template, _TRIGGER, ref, _HERE))
    return declarations.TenancyDeclaration("", tuple(entries), _HERE, server=_NO_SERVER)
