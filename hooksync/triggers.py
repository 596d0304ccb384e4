"""Which triggers a run knows: pyPreservica's, the wire's and the extra ones. Pure."""

from __future__ import annotations

from collections.abc import Collection

from hooksync.model import TRIGGER_NAMES, Trigger


class TriggerBook:
    """Finds a trigger by any of its names."""

    def __init__(self, extra: Collection[str] = (), *, knows_all: bool = False) -> None:
        """With knows_all, any name is one: a file that could not be read may declare it."""
        self._knows_all = knows_all
        names = {*TRIGGER_NAMES, *TRIGGER_NAMES.values(), *extra}
        self._triggers = {name: Trigger.named(name) for name in names}
        self._shown = [*TRIGGER_NAMES, *sorted(set(extra) - {*TRIGGER_NAMES, *TRIGGER_NAMES.values()})]

    def find(self, name: str) -> Trigger | None:
        """Give the trigger of that name, if there is one."""
        return Trigger.named(name) if self._knows_all else self._triggers.get(name)

    def advice(self, name: str) -> str:
        """Say what may have been meant by an unknown name."""
        import difflib  # a large module, needed for mistakes alone

        guesses = difflib.get_close_matches(name.upper(), self._triggers, n=1)
        known = f"known: {', '.join(self._shown)}; newer ones go under extra_triggers"
        return f"did you mean {guesses[0]}? ({known})" if guesses else known
