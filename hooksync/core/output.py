"""The one exit: everything that hooksync writes to a stream or to a file passes through here.

Secrets that the run knows are masked. Text that controls a terminal or a CI runner is escaped,
whoever wrote it. Files are written as a whole or not at all, even if the run or the disk fails in
the middle.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Literal

from hooksync.core.errors import FileError, OutputLost, Problem, os_reason
from hooksync.core.reading import NOT_A_FILE, with_real_folder
from hooksync.core.redaction import (
    RUNNER_COMMAND,
    Redactor,
    is_visible,
    printable,
    utf_8,
    without_escapes,
)

# of a plan. JSON is masked and escaped so that it stays valid, all others as text
Format = Literal["text", "json", "markdown", "html"]

# GitHub's runner trims each line, and then looks for a command in its first two characters
_COMMAND = re.compile(r"^( *):(?=:)")
_DIM, _RED, _GREEN, _YELLOW = 2, 31, 32, 33  # codes of ECMA-48
_COLOURS = {  # by the first word of a line
    "+": _GREEN,
    "+/-": _YELLOW,
    "-/+": _YELLOW,
    "-": _RED,
    "a": _YELLOW,
    "f": _YELLOW,
    "=": _DIM,
    ".": _DIM,
    "ok": _GREEN,
    "passed": _GREEN,
    "failed": _RED,
    "warning": _YELLOW,
    "unproved": _YELLOW,
    "skipped": _DIM,
}
_WORDS = re.compile(r"[A-Za-z\s_-]+")  # as in schemas
_LINE = re.compile(r"^(\S+).*", re.MULTILINE)
_UNUSUAL = re.compile(r"[^\x20-\x7e\n]")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_RANDOM_BYTES = 6  # in the name of a temporary file


class Output:
    """Standard output, standard error and the files of one run. Safe among threads."""

    def __init__(self) -> None:
        self.redactor = Redactor()
        self.public: list[bytes] = []  # what readers can see anyway, such as hooks files
        self.written: set[str] = set()  # paths of results; "-": standard output
        self._lock = threading.Lock()
        self._erase = ""  # characters that remove the progress now on the screen

    def learn(self, values: Iterable[str]) -> None:
        """Mask values from now on, unless the hooks files or our own schemas contain them in clear.

        A mask would reveal that such a word is a secret.
        """
        from hooksync.core.schema import SCHEMA_KINDS, schema_text

        secret = []
        for value in values:
            texts = self.public
            if _WORDS.fullmatch(value):
                texts = [*texts, *(schema_text(kind).encode() for kind in SCHEMA_KINDS)]
            if not any(utf_8(value.strip()) in text for text in texts):
                secret.append(value)
        self.redactor.learn(secret)

    def result(self, text: str, form: Format = "text", *, is_coloured: bool = False) -> None:
        """Write to standard output. Raises OutputLost if that fails.

        `is_coloured`: whether each line has the colour of its first word, if that has one.
        """
        safe = self.safe(text, form)
        if is_coloured:
            safe = _LINE.sub(_coloured, safe)
        if self._erase:
            self._say("")
        try:
            sys.stdout.write(safe)
            sys.stdout.flush()
            self.written.add("-")
        except OSError as error:
            sys.stdout = io.StringIO()  # otherwise Python tries again at exit, and prints an error
            if isinstance(error, BrokenPipeError):
                raise OutputLost.of(()) from error
            raise OutputLost(
                f"standard output cannot be written: {os_reason(error)}",
                "check that the file or pipe behind it can be written to and has room",
            ) from error

    def message(self, text: str, end: str = "\n") -> None:
        """Write to standard error. If that fails, the command goes on."""
        self._say(self.safe(text.rstrip("\n")) + end)

    def progress(self, text: str) -> None:
        """Show our own text in the last line of a terminal, until something else is written."""
        # other programs may write to the same line
        self._say(f"{text} ", stays=False)

    def _say(self, text: str, *, stays: bool = True) -> None:
        with self._lock:
            try:
                sys.stderr.write(self._erase + text)
                sys.stderr.flush()
            except OSError:
                sys.stderr = io.StringIO()
            self._erase = "" if stays else f"\r{' ' * len(text)}\r"

    def write_file(self, path: str, text: str, mode: int = 0o600, form: Format = "json") -> None:
        """Replace a file as a whole or not at all, even in a crash.

        `form`: how `text` is escaped. A symbolic link is replaced, not its target. Raises FileError
        if the write fails, and for a pipe, a socket or a device.
        """
        data = self.safe(text, form).encode()
        try:
            target = with_real_folder(path)
            may_be_replaced = os.path.isfile(target) or os.path.islink(target)
            # a swap of the file after this gains nothing: only the rename touches the path
            if os.path.exists(target) and not may_be_replaced:
                raise OSError(errno.EINVAL, NOT_A_FILE)
            _replace(target, data, mode)
        except (OSError, ValueError) as error:  # ValueError: a null character in a path
            raise FileError.of([_unwritable(path, error)]) from error
        self.written.add(path)

    def create_file(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """Write a file that does not exist yet, or leave nothing.

        Bytes are written unchanged. Raises FileError if the name is taken, if the text contains a
        secret, or for any other reason.
        """
        data = text.encode() if isinstance(text, str) else text
        self.checked(data.decode("utf-8", "replace"), path)
        try:
            with open(path, "xb", opener=partial(os.open, mode=mode)) as file:
                file.write(data)
        except FileExistsError:
            raise FileError.of([taken(path)]) from None
        except (OSError, ValueError) as error:
            with suppress(OSError, ValueError):
                os.unlink(path)
            raise FileError.of([_unwritable(path, error)]) from error

    def add_variables(self, path: str, lines: str) -> None:
        """Add lines, which may contain keys, to a file of variables that only its owner can read.

        Raises FileError.
        """
        try:
            os.chmod(path, 0o600)
            with open(path, "ab") as file:
                file.write(f"\n{lines}".encode())
        except (OSError, ValueError) as error:
            raise FileError.of([_unwritable(path, error)]) from error

    def checked(self, text: str, what: str) -> str:
        """Return a text unchanged: hooksync will read it again, so `***` would break it.

        Raises FileError if the text contains a secret.
        """
        if self.redactor.holds(text):
            whole = f"{what} would hold a secret, or a variable of a URL, so it was not written"
            raise FileError(whole, "rename the entry that contains it: text output shows it as ***")
        return text

    def safe(self, text: str, form: Format = "text") -> str:
        """Return a text masked and escaped, so that it may be written."""
        return escaped(self.masked(text, form), form)

    def masked(self, text: str, form: Format = "text") -> str:
        """Mask what no reader may see.

        In JSON, each string is masked by itself, so that the text stays valid JSON.
        """
        if form != "json":
            return self.redactor.mask(text)
        if self.redactor.holds(without_escapes(text)):
            return _JSON_STRING.sub(self._masked_string, text)
        return text

    def _masked_string(self, token: re.Match[str]) -> str:
        content = json.loads(token[0], strict=False)
        shown = self.redactor.mask(content)
        return token[0] if shown == content else json.dumps(shown)


def _coloured(line: re.Match[str]) -> str:
    colour = _COLOURS.get(line[1])
    return f"\x1b[{colour}m{line[0]}\x1b[0m" if colour else line[0]


def escaped(text: str, form: Format) -> str:
    """Escape what controls a terminal or a CI runner, or hides text; JSON keeps its meaning."""
    if form == "json":  # no line of it begins with a colon
        return _UNUSUAL.sub(_in_json, RUNNER_COMMAND.sub(r"\1\\u005b", text))
    usual = text.replace("\n", "")
    if usual.isascii() and usual.isprintable() and "::" not in text and "##" not in text:
        return text
    return "\n".join(_COMMAND.sub(r"\1\\x3a", printable(line)) for line in text.split("\n"))


def _in_json(found: re.Match[str]) -> str:
    if found[0] in "\r\t":  # they stand between tokens: no JSON string may contain them
        return ""
    return found[0] if is_visible(found[0]) else json.dumps(found[0])[1:-1]


def taken(path: str) -> Problem:
    """Report that a new file has the name of an existing one."""
    return Problem(f"{path} exists already, and was left as it is", "name a different file")


def _unwritable(path: str, error: OSError | ValueError) -> Problem:
    return Problem(
        f"{path} cannot be written: {os_reason(error)}",
        "check that it is a regular file or new, and that its folder is there, may be written to "
        "and has free space; the old content is unchanged",
    )


def _replace(path: str, data: bytes, mode: int) -> None:
    """Write a temporary file beside a path, and give it the path's name."""
    temporary = f"{path}.{os.urandom(_RANDOM_BYTES).hex()}.tmp"
    try:
        with open(temporary, "xb", opener=partial(os.open, mode=mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)  # the umask may have removed some bits
        os.replace(temporary, path)
        with suppress(OSError):  # if the system can, make the new name survive a power cut
            descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
