"""A terminal in memory, and the context of a command that uses it. Nobody answers questions there."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

from hooksync.core.context import Context
from hooksync.core.errors import ExitCode

if TYPE_CHECKING:
    from hooksync.core.errors import Problem


@dataclass(slots=True, kw_only=True)
class MemoryTerminal:
    """Keeps the result of a command in `out`. Keeps messages, warnings and calls in `err`."""

    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    after_call: Callable[[str], None] = lambda call: None
    interrupt_code: ExitCode = ExitCode.INTERRUPTED

    def result(self, text: str, form: str = "text") -> None:
        self.out.append(text)

    def show(self, lines: Iterable[str]) -> None:
        self.result("".join(f"{text}\n" for text in lines))

    def message(self, text: str) -> None:
        self.err.append(text)

    def warn(self, *problems: Problem) -> None:
        self.err += map(str, problems)

    def can_ask(self) -> bool:
        return False

    def ask(self, question: str, expected: str = "yes") -> bool:
        raise AssertionError(question)

    def watch(self, call: str) -> None:
        self.message(call)
        self.after_call(call)

    def progress(self, what: str, total: int) -> Callable[[], None]:
        return lambda: None


def make_context(environ: Mapping[str, str] | None = None, **given: Any) -> Context:
    """Return a context whose parts that are not given are in memory."""
    parts = {"stdin": io.BytesIO(), "terminal": MemoryTerminal(), "stop": Event(), **given}
    return Context(environ or {}, **parts)
