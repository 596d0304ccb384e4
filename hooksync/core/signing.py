"""The key that plans and states are signed with: whoever does not have it can write neither. No I/O."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from hooksync.core.errors import FileError, Problem
from hooksync.core.record import Record

KEY_VARIABLE = "HOOKSYNC_PLAN_KEY"
SHORTEST_KEY = 16  # bytes


class PlanKey(Record, frozen=True):
    """The key that plans and states are signed with."""

    HIDDEN = ("value",)

    value: bytes

    @property
    def text(self) -> str:
        """The key as the environment holds it, for the redactor only."""
        return self.value.decode("utf-8", "surrogateescape")

    def sign(self, domain: bytes, parts: Iterable[str]) -> str:
        """Sign a text. `domain`: what it is, so that its signature is never one of anything else."""
        signed = hmac.new(self.value, domain, hashlib.sha256)
        for part in parts:
            signed.update(part.encode())
        return "hmac-sha256:" + signed.hexdigest()


def plan_key(text: str | None) -> PlanKey | None:
    """Take the key from what its variable holds. Raises FileError for one that is too short, the empty one too."""
    if text is None:
        return None
    value = text.encode("utf-8", "surrogateescape")
    if len(value) < SHORTEST_KEY:
        fix = "make one with `hooksync secret generate`; unset the variable to work without signatures"
        raise FileError(Problem(f"{KEY_VARIABLE} is shorter than {SHORTEST_KEY} bytes", fix))
    return PlanKey(value)


def is_same(given: object, computed: str) -> bool:
    """Whether a digest or a signature that a document holds is the right one."""
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), computed.encode())
