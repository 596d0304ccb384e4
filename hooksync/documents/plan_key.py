"""The key that saved plans are signed with, so that who can write a plan's file cannot redirect events. Pure."""

from __future__ import annotations

import hashlib
import hmac

from hooksync.core.errors import FileError, Problem
from hooksync.core.record import Record
from hooksync.documents.sealing import canonical

KEY_VARIABLE = "HOOKSYNC_PLAN_KEY"
SHORTEST_KEY = 16  # bytes

_DOMAIN = b"hooksync.plan/1 signature\n"  # so that no other signature under this key is one of a plan


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
