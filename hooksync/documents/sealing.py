"""Fingerprints of what was declared and live, and references as documents hold them. Pure; no value goes in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from os.path import join

from hooksync.core.model import CredentialRefs, LiveSubscription, SecretRef, Tenancy


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
