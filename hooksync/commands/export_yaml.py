"""Exported tenancies -> the text of a hooks file. Pure.

Every text from outside goes through `scalar` or `_comment`, so it stays a text on its line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from hooksync.commands.export_draft import ExportedEntry, ExportedTenancy
from hooksync.config.yaml_loader import read_plain
from hooksync.core.model import CONSISTENCY_WAIT, TRIGGER_NAMES, CredentialRefs, SecretRef, Tenancy, UnsubscribeLimit
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import UnreadTenancy

_PLAIN = re.compile("[A-Za-z_][A-Za-z0-9_.-]*(?:%)?")
_OTHER_BOOLEANS = frozenset({"y", "n"})  # to some readers of YAML 1.1
_HEAD = """\
# Written by `hooksync export`: the webhook subscriptions that were live.
# It holds no secrets and no query values of URLs, only names of variables.
# To use it: save it as hooks.yaml, set the variables that the export listed, then
#   hooksync plan             says "No changes."
#   hooksync apply --adopt    records that these secrets are in use
"""
_USUAL = {"username": "PRESERVICA_USERNAME", "password": "PRESERVICA_PASSWORD", "totp": "PRESERVICA_2FA_TOKEN"}


def export_text(tenancies: Sequence[ExportedTenancy | UnreadTenancy]) -> str:
    """Write a hooks file. A tenancy that could not be read is a comment in it."""
    lines = ["version: 1"]
    if extra := _extra_triggers(tenancies):
        lines.append(f"extra_triggers: [{', '.join(map(scalar, extra))}]")
    lines.append("tenancies:")
    for one in tenancies:
        lines += _unread(one) if isinstance(one, UnreadTenancy) else _tenancy(one)
    return _HEAD + "\n" + "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """Write any text so that YAML reads it as that text: plain if no reader takes it for anything else, or quoted.

    In ASCII: standard output is not UTF-8 everywhere, and a hooks file must be.
    """
    if _PLAIN.fullmatch(text) and read_plain(text) == text and text.lower() not in _OTHER_BOOLEANS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if " " <= c <= "~" else f"\\U{ord(c):08x}" for c in quoted)


def _comment(text: str) -> str:
    return f"# {printable(text)}".encode("ascii", "backslashreplace").decode("ascii")


def _unread(one: UnreadTenancy) -> Iterator[str]:
    yield f"  {_comment(f'{one.tenancy.name} is missing, because it could not be read: {one.error.summary}')}"


def _tenancy(one: ExportedTenancy) -> Iterator[str]:
    yield f"  {scalar(one.tenancy.name)}:"
    for line in _settings(one.tenancy):
        yield f"    {line}"
    if one.not_owned:
        yield f"    # left out, because they are outside `owns`: {one.not_owned}"
    for left_out in one.left_out:
        yield f"    {_comment(f'left out: {left_out}')}"
    yield "    subscriptions:" if one.entries else "    subscriptions: {}"
    for entry in one.entries:
        yield f"      {scalar(entry.name)}:"
        yield from (f"        {line}" for line in _entry(entry))


def _settings(tenancy: Tenancy) -> Iterator[str]:
    yield f"server: {scalar(tenancy.server.declared)}"
    if tenancy.tenant_declared:
        yield f"tenant: {scalar(tenancy.tenant_declared)}"
    if tenancy.allow_http:
        yield "allow_http: true"
    if credentials := list(_credentials(tenancy.credentials)):
        yield "credentials:"
        yield from (f"  {line}" for line in credentials)
    if tenancy.owns is not None:
        yield "owns:"
        yield from (f"  - {scalar(prefix)}" for prefix in tenancy.owns)
    if tenancy.limit != UnsubscribeLimit(percent=50):
        yield f"limits: {{unsubscribe: {_limit(tenancy.limit)}}}"
    if tenancy.replacement != "create-first":
        yield f"replacement: {tenancy.replacement}"
    if tenancy.probe != "auto":
        yield f"probe: {tenancy.probe}"
    if not tenancy.prune:
        yield "prune: false"
    if tenancy.unknown_secret != "warn":
        yield f"unknown_secret: {tenancy.unknown_secret}"
    if tenancy.consistency_wait != CONSISTENCY_WAIT:
        yield f"consistency_wait: {tenancy.consistency_wait}"


def _credentials(credentials: CredentialRefs) -> Iterator[str]:
    """Write what differs from the default variables."""
    for field, usual in _USUAL.items():
        ref: SecretRef = getattr(credentials, field)
        if ref != SecretRef("env", usual):
            yield f"{field}: {_reference(ref)}"
    if credentials.method != "password":
        yield f"method: {credentials.method}"


def _limit(limit: UnsubscribeLimit) -> str:
    if limit.percent is None:
        return str(limit.number)
    digits = f"{limit.percent:.12f}".rstrip("0").rstrip(".")
    return f"{digits}%"


def _entry(entry: ExportedEntry) -> Iterator[str]:
    yield f"url: {scalar(entry.url)}"
    names = [scalar(trigger.short) for trigger in entry.triggers]
    yield f"trigger: {names[0]}" if len(names) == 1 else f"triggers: [{', '.join(names)}]"
    yield f"secret: {_reference(entry.secret)}"
    if entry.include_identifiers is None:
        yield "# include_identifiers is not known: the service does not report it"
    else:
        yield f"include_identifiers: {str(entry.include_identifiers).lower()}"


def _reference(ref: SecretRef) -> str:
    return f"{{{ref.kind}: {scalar(ref.name)}}}"


def _extra_triggers(tenancies: Sequence[ExportedTenancy | UnreadTenancy]) -> list[str]:
    known = {*TRIGGER_NAMES, *TRIGGER_NAMES.values()}
    exported = (one for one in tenancies if isinstance(one, ExportedTenancy))
    used = {trigger.wire for one in exported for entry in one.entries for trigger in entry.triggers}
    return sorted(used - known)
