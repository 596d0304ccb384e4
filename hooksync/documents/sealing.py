"""What seals a plan: digests of what was declared and live, and the signature. No value of the environment goes in.

A signature keeps whoever can write a plan's file from redirecting events.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from os.path import join

from hooksync.core.errors import FileError, Problem
from hooksync.core.model import CredentialRefs, LiveSubscription, SecretRef, Tenancy
from hooksync.core.record import Record

KEY_VARIABLE = "HOOKSYNC_PLAN_KEY"
SHORTEST_KEY = 16  # bytes

_DOMAIN = b"hooksync.plan/1 signature\n"  # a signature of anything else under this key is never one of a plan


class PlanKey(Record, frozen=True):
    """What plans are signed with."""

    HIDDEN = ("value",)

    value: bytes

    @property
    def text(self) -> str:
        """The key as the environment holds it, for the redactor alone."""
        return self.value.decode("utf-8", "surrogateescape")

    def signature(self, document: dict[str, object]) -> str:
        """Sign all of a document but its digest and its signature."""
        rest = {name: value for name, value in document.items() if name not in ("digest", "signature")}
        signed = hmac.new(self.value, _DOMAIN + canonical(rest), hashlib.sha256)
        return "hmac-sha256:" + signed.hexdigest()


def plan_key(text: str | None) -> PlanKey | None:
    """Take the key from what its variable holds. Raises FileError for one that is too short, the empty one too."""
    if text is None:
        return None
    value = text.encode("utf-8", "surrogateescape")
    if len(value) < SHORTEST_KEY:
        fix = "make one with `hooksync secret generate`; unset the variable to do without signatures"
        raise FileError(Problem(f"{KEY_VARIABLE} is shorter than {SHORTEST_KEY} bytes", fix))
    return PlanKey(value)


def live_digest(live: Iterable[LiveSubscription]) -> str:
    """Fingerprint what was live, whatever its order; query values of URLs are left out, for they may be keys."""
    rows = sorted((s.id, s.url.shown, s.trigger.wire, str(s.include_identifiers)) for s in live)
    return digest(rows)


def config_digest(tenancies: Iterable[Tenancy]) -> str:
    """Fingerprint what was declared, by reference: no value from the environment goes in."""
    return digest([_declaration(tenancy) for tenancy in tenancies])


def digest(data: object) -> str:
    """Give the SHA-256 of data in its canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(data)).hexdigest()


def canonical(data: object) -> bytes:
    """Write data as the one JSON text that digests and signatures are made of."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def reference(ref: SecretRef) -> dict[str, str]:
    """Write a reference so that it leads on without the hooks file: a relative path starts at the current folder."""
    is_relative = ref.kind == "file" and ref.base and not ref.name.startswith("~")
    return {ref.kind: join(ref.base, ref.name) if is_relative else ref.name}


def as_written(ref: SecretRef) -> dict[str, str]:
    """Write a reference as the file does."""
    return {ref.kind: ref.name}


def credential_references(
    refs: CredentialRefs, write: Callable[[SecretRef], dict[str, str]] = as_written
) -> dict[str, object]:
    """Write credentials by reference."""
    fields = {"username": refs.username, "password": refs.password, "totp": refs.totp}
    return {**{name: write(ref) for name, ref in fields.items()}, "method": refs.method}


def _declaration(tenancy: Tenancy) -> list[object]:
    subscriptions = [
        [s.name, s.url.shown, s.trigger.wire, str(s.secret), s.include_identifiers] for s in tenancy.subscriptions
    ]
    settings = [
        tenancy.name, tenancy.server.shown, tenancy.tenant_shown, tenancy.allow_http,
        credential_references(tenancy.credentials), tenancy.owns, str(tenancy.limit),
        tenancy.replacement, tenancy.probe,
    ]  # fmt: skip
    return [settings, sorted(subscriptions, key=str)]
