"""What `hooksync demo` speaks through: it runs the real commands and shows them with what they print.

Prints nothing itself. A signal is only noted, so that it interrupts no clearing away; the tour ends at its next line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

WIDTH = 80  # columns
_INDENT = "    "  # before commands and what they print, to tell them from the tour's own words
_COLOURED = ("plan", "apply")  # the commands that take --color
_OWN = ("PRESERVICA_", "HOOKSYNC_")  # how variables begin that are about the user's own tenancies


class Stopped(Exception):
    """A signal came."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Unexpected(Exception):
    """A command did not end as the tour says that it does; its text tells how."""


class Watch:
    """Takes note of a signal, and ends the command that runs then."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[str] | None = None  # the last command that was started
        self._noted: int | None = None

    def check(self) -> None:
        """Raise Stopped after a signal."""
        if self._noted is not None:
            raise Stopped(self._noted)

    def note(self, number: int) -> None:
        """Handle a signal."""
        self._noted = number
        if self.child is not None:
            self.child.terminate()


@dataclass(slots=True)
class Shell:
    """Where commands run, and who hears of it."""

    announce: Callable[[str], None]  # shows a line
    watch: Watch
    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    is_coloured: bool
    _plan: list[str] = field(default_factory=list)  # the lines of the plan that was shown last

    def title(self, text: str) -> None:
        """Begin a part of the tour."""
        self._line(self._bold(text))
        self._line()

    def say(self, text: str) -> None:
        """Say something in the tour's own words, as a paragraph."""
        self._line(paragraph(text))
        self._line()

    def show(self, text: str) -> None:
        """Show the text of a file, or of a part of it."""
        for line in text.splitlines():
            self._line(_INDENT + line)
        self._line()

    def command(self, text: str) -> None:
        """Show a command as one would type it."""
        self._line(_INDENT + self._bold(f"$ {text}"))

    def hooksync(self, *arguments: str, expects: tuple[int, ...] = (0,)) -> None:
        """Run a command, and show it with what it prints and with its exit code, unless that is 0.

        Raises Unexpected where the exit code is none of the expected ones.
        """
        text = " ".join(("hooksync", *arguments))
        self.command(text)
        colour = ("--color", "always") if self.is_coloured and arguments[0] in _COLOURED else ()
        output, code = self._run([*arguments, *colour])
        for line in self._without_repetition(output.splitlines()):
            self._line(_output(line))
        if code:
            self._line(f"{_INDENT}(exit code {code})")
        self._line()
        if code not in expects:
            raise Unexpected(f"`{text}` ended with exit code {code}, not {' or '.join(map(str, expects))}")

    def _run(self, arguments: Sequence[str]) -> tuple[str, int]:
        """Run a command to its end; gives what it printed, and its exit code."""
        with subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-m", "hooksync", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            process_group=0,  # a Ctrl-C is for the tour to hear, which ends the command
        ) as child:
            self.watch.child = child
            output, _ = child.communicate()
        return output, child.returncode

    def _without_repetition(self, lines: list[str]) -> list[str]:
        """Leave a plan out that is the same as the one shown before: `apply` begins with what `plan` shows."""
        length = next((number for number, line in enumerate(lines, start=1) if line.startswith("Plan:")), 0)
        if not length:
            return lines
        plan, rest = lines[:length], lines[length:]
        if plan == self._plan:
            return ["(the same plan as above)", *rest]
        self._plan = plan
        return lines

    def _line(self, text: str = "") -> None:
        self.watch.check()
        self.announce(text.rstrip())

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self.is_coloured else text


def clean_environ() -> dict[str, str]:
    """Give the user's environment without their tenancies and proxies, and such that commands find this hooksync."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_OWN) and not name.upper().endswith("_PROXY")
    }
    return kept | {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


def paragraph(text: str, first: str = "", others: str = "") -> str:
    """Break a text at spaces into lines that fit the width. `first`, `others`: what the lines begin with."""
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH - 1,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _output(line: str) -> str:
    """Set a line that a command printed; one that is too long goes on further to the right."""
    if len(_INDENT + line) < WIDTH or "\x1b" in line:  # colours take no columns
        return _INDENT + line
    margin = _INDENT + line[: len(line) - len(line.lstrip())]
    return paragraph(line, margin, margin + _INDENT)
