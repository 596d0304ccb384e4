"""Which triggers a run knows: pyPreservica's, the wire's and the extra ones. Pure."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

from hooksync.core.model import TRIGGER_NAMES, Trigger

_MOST_TOLD = 100  # names that advice is taken from: comparing a thousand with a thousand takes seconds


class TriggerCatalog:
    """Finds a trigger by any of its names."""

    def __init__(self, extra: Collection[str] = (), *, knows_all: bool = False) -> None:
        """With knows_all, any name is one: a file that could not be read may declare it."""
        self._knows_all = knows_all
        usual = (*TRIGGER_NAMES, *TRIGGER_NAMES.values())
        more = sorted(set(extra).difference(usual))
        self._triggers = {name: Trigger.named(name) for name in (*usual, *more)}
        self._shown = (*TRIGGER_NAMES, *more)

    def find(self, name: str) -> Trigger | None:
        """Give the trigger of that name, if there is one."""
        return Trigger.named(name) if self._knows_all else self._triggers.get(name)

    def advice(self, name: str) -> str:
        """Say what may have been meant by an unknown name."""
        import difflib  # a large module, needed for mistakes alone

        guesses = difflib.get_close_matches(name.upper(), islice(self._triggers, _MOST_TOLD), n=1)
        shown = (*self._shown[:_MOST_TOLD], *(["..."] if len(self._shown) > _MOST_TOLD else []))
        known = f"known: {', '.join(shown)}; newer ones go under extra_triggers"
        return f"did you mean {guesses[0]}? ({known})" if guesses else known
