"""Clients of a service on loopback. They do not really wait, and they record their calls."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from hooksync.config.secret_sources import SecretSources
from hooksync.core.clock import Clock
from hooksync.core.errors import HooksyncError
from hooksync.core.model import CredentialRefs, SecretRef, Server, Tenancy
from hooksync.core.output import Output
from hooksync.core.record import replace
from hooksync.service.client import Preservica
from hooksync.service.http import Caller, Transport
from tests.makers import HERE, tenancy
from tests.memory_terminal import MemoryTerminal, make_context

USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
OTHER_SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
SHORT_SEED = "GEZDGNBVGY3TQOJQ"
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


def failure_of(call: Callable[[], object], *hidden: str) -> HooksyncError:
    """Return the error that a call raises: it has a fix, and neither it nor its causes show secrets."""
    with pytest.raises(HooksyncError) as caught:
        call()
    shown = "".join(traceback.format_exception(caught.value))
    chain: BaseException | None = caught.value
    while chain is not None:
        shown += repr(chain) + repr(vars(chain))
        chain = chain.__context__
    assert not [value for value in (PASSWORD, SEED, SHORT_SEED, *hidden) if value in shown]
    [problem] = caught.value.problems
    assert problem.fix
    assert len(problem.what) < 400
    return caught.value


@dataclass
class Clients:
    """Makes clients that share one transport."""

    transport: Transport = field(default_factory=lambda: Transport(30.0, 8, {}))
    output: Output = field(default_factory=Output)
    stop: threading.Event = field(default_factory=threading.Event)
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    said: list[str] = field(default_factory=list)
    tenant: str | None = "DEMO"
    clock: Clock = field(default_factory=Patience)

    @property
    def waits(self) -> list[float]:
        assert isinstance(self.clock, Patience)
        return self.clock.waits

    def tenancy(self, url: str) -> Tenancy:
        refs = CredentialRefs(*REFS)
        return tenancy(
            server=Server(url),
            tenant=self.tenant,
            credentials=refs,
        )

    def caller(self) -> Caller:
        terminal = MemoryTerminal(err=self.said)
        context = make_context(
            terminal=terminal, stop=self.stop, clock=self.clock, output=self.output
        )
        return Caller(self.transport, context)

    def client(self, url: str, **settings: object) -> Preservica:
        wanted = replace(self.tenancy(url), **settings)
        return Preservica(wanted, self.caller(), SecretSources(make_context(self.environ)).find_all)
