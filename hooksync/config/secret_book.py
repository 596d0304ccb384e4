"""The shared secrets of a run: each reference is looked up once, and what came of it is kept. Safe among threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from hooksync.config.secret_sources import SecretSources
from hooksync.config.secret_strength import doubts_about
from hooksync.core.errors import Problem, SecretError
from hooksync.core.model import Secret, SecretRef


class SecretCache:
    """Knows the secrets that services and receivers share."""

    def __init__(self, sources: SecretSources) -> None:
        self._sources = sources
        self._found: dict[SecretRef, Secret | SecretError] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"SecretCache({len(self._found)} references)"

    def find(self, ref: SecretRef) -> Secret:
        """Give a secret. Raises SecretError when it cannot be had or cannot be used."""
        with self._lock:
            if ref not in self._found:
                try:
                    self._found[ref] = self._sources.find_shared(ref)
                except SecretError as error:
                    self._found[ref] = error
            found = self._found[ref]
        if isinstance(found, SecretError):
            raise found
        return found

    def find_all(self, refs: Iterable[SecretRef]) -> dict[SecretRef, Secret]:
        """Give several secrets. Raises one SecretError that names all that cannot be had."""
        found: dict[SecretRef, Secret] = {}
        problems: list[Problem] = []
        for ref in dict.fromkeys(refs):
            try:
                found[ref] = self.find(ref)
            except SecretError as error:
                problems += error.problems
        if problems:
            raise SecretError(*problems)
        return found

    def known(self, refs: Iterable[SecretRef]) -> dict[SecretRef, Secret]:
        """Give those that can be had."""
        return {ref: self.find(ref) for ref in dict.fromkeys(refs) if self._has(ref)}

    def not_set(self, refs: Iterable[SecretRef]) -> frozenset[SecretRef]:
        """Name the references that lead to nothing that can be used."""
        return frozenset(ref for ref in dict.fromkeys(refs) if not self._has(ref))

    def doubts(self, refs: Iterable[SecretRef]) -> tuple[Problem, ...]:
        """Warn of secrets that cannot be had, and of weak ones."""
        doubts: list[Problem] = []
        for ref in dict.fromkeys(refs):
            try:
                doubts += doubts_about(self.find(ref), ref)
            except SecretError as error:
                doubts += error.problems
        return tuple(doubts)

    def _has(self, ref: SecretRef) -> bool:
        try:
            self.find(ref)
        except SecretError:
            return False
        return True
