"""Clients of a service on loopback. They do not really wait, and they record their calls."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import Clock
from hooksync.core.model import CredentialRefs, SecretRef, Server, Tenancy
from hooksync.core.record import replace
from hooksync.core.redaction import Redactor
from hooksync.service.auth import Send, TokenSession
from hooksync.service.client import Preservica
from hooksync.service.http import CallContext, CallRecord, RetryPolicy, Transport
from tests.makers import HERE, tenancy

USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
ENVIRON = {"PRESERVICA_USERNAME": USERNAME, "PRESERVICA_PASSWORD": PASSWORD}
REFS = [
    SecretRef(ref.kind, ref.name, HERE, noun=ref.noun)
    for ref in (CredentialRefs().username, CredentialRefs().password, CredentialRefs().totp)
]


class Patience(Clock):
    """A clock that records the length of each wait, and ends the wait at once."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        return stop.is_set()


@dataclass
class Clients:
    """Makes clients that share one transport."""

    transport: Transport = field(default_factory=lambda: Transport(30.0, 8, {}))
    redactor: Redactor = field(default_factory=Redactor)
    stop: threading.Event = field(default_factory=threading.Event)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    records: list[CallRecord] = field(default_factory=list)
    tenant: str | None = "DEMO"
    clock: Clock = field(default_factory=Patience)

    @property
    def waits(self) -> list[float]:
        assert isinstance(self.clock, Patience)
        return self.clock.waits

    @property
    def results(self) -> list[str]:
        return [record.result for record in self.records]

    def tenancy(self, url: str) -> Tenancy:
        refs = CredentialRefs(*REFS)
        return tenancy(
            server=Server("${BOX}", url),
            tenant=self.tenant,
            tenant_declared=self.tenant,
            credentials=refs,
        )

    def session(self, url: str, send: Send) -> TokenSession:
        find = SecretSources(self.environ).find_all
        return TokenSession(self.tenancy(url), self.context(), find, send)

    def context(self) -> CallContext:
        return CallContext(
            self.transport, self.redactor, self.stop, self.note, self.policy, self.clock
        )

    def client(self, url: str, **settings: object) -> Preservica:
        wanted = replace(self.tenancy(url), **settings)
        return Preservica(wanted, self.context(), SecretSources(self.environ).find_all)

    def note(self, record: CallRecord) -> None:
        self.records.append(record)
