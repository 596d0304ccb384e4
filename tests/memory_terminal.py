"""A terminal in memory: it keeps all output, and nobody answers questions on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hooksync.core.errors import Problem
    from hooksync.service.http import CallRecord


@dataclass(slots=True, kw_only=True)
class MemoryTerminal:
    """Keeps the result of a command in `out`. Keeps messages, warnings and calls in `err`."""

    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    after_call: Callable[[CallRecord], None] = lambda record: None

    def result(self, text: str, form: str = "text") -> None:
        self.out.append(text)

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        self.result("".join(f"{text}\n" for _, text in lines))

    def message(self, text: str) -> None:
        self.err.append(text)

    def warn(self, problem: Problem) -> None:
        self.message(str(problem))

    def can_ask(self) -> bool:
        return False

    def ask(self, question: str) -> bool:
        raise AssertionError(question)

    def watch(self, record: CallRecord) -> None:
        self.message(f"{record.peer} {record.request} -> {record.result}")
        self.after_call(record)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        yield lambda: None
