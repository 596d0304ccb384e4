"""`${NAME}` in a text: parsed here, filled in later. Pure: the environment is an argument."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hooksync.core.model import Location
from hooksync.core.record import Record

_TOKEN = re.compile(
    r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
    r"|(?P<malformed>\$\{)"
)
_BARE_NAME = re.compile("[$][A-Za-z_]")


class MissingVariableError(KeyError):
    """The environment lacks variables that a text needs; the arguments are their names."""


class Reference(Record, frozen=True):
    """One `${NAME}` or `${NAME:-default}`."""

    name: str
    default: str | None = None  # None: without a value, filling fails


class Template(Record, frozen=True):
    """A text that may refer to environment variables."""

    text: str  # as written
    # literal texts (`$$` replaced by `$`) alternate with references; the first and last are texts
    parts: tuple[str | Reference, ...]
    literal: str | None = None  # the text if there are no references
    location: Location | None = None  # None: it has no place in a file

    def __eq__(self, other: object) -> bool:
        """Compare the texts only: different places may have the same."""
        return isinstance(other, Template) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def subject(self, noun: str) -> str:
        """Name the text in a message, with its variables."""
        if self.literal is not None:
            return noun
        names = [f"${{{name}}}" for name in self.names]
        return f"{noun}, with {', '.join(names)} filled in,"

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that it refers to, each once, in order."""
        if self.literal is not None:  # most texts have none
            return ()
        references = (part for part in self.parts if isinstance(part, Reference))
        return tuple(dict.fromkeys(reference.name for reference in references))

    def fill(self, environ: Mapping[str, str]) -> str:
        """Return the text with its references replaced by values.

        As with `${NAME:-default}` in a shell, an empty variable counts as not set.

        Raises MissingVariableError, with the names of all variables without value and default.
        """
        if self.literal is not None:
            return self.literal
        filled = []
        missing: dict[str, None] = {}
        for part in self.parts:
            if isinstance(part, str):
                filled.append(part)
                continue
            value = environ.get(part.name) or part.default
            if value is None:
                missing[part.name] = None
            filled.append(value or "")
        if missing:
            raise MissingVariableError(*missing)
        return "".join(filled)


def parse_template(text: str, location: Location | None = None) -> Template:
    """Find the references of a text. Raises ValueError, with the reason, for a malformed `${`."""
    if "$" not in text:  # as most texts: 10,000 take a tenth of the time
        return Template(text, (text,), text, location)
    parts: list[str | Reference] = []
    literal = ""
    end = 0
    for token in _TOKEN.finditer(text):
        literal += text[end : token.start()]
        end = token.end()
        if token[0] == "$$":
            literal += "$"
            continue
        if token["malformed"]:
            raise ValueError("a `${` that begins neither `${NAME}` nor `${NAME:-default}`")
        default = token["default"]
        filled_default = None if default is None else default.replace("$$", "$")
        parts += [literal, Reference(token["name"], filled_default)]
        literal = ""
    literal += text[end:]
    return Template(text, (*parts, literal), None if parts else literal, location)


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Replace each `${NAME}` whose value is given; keep the rest as it is written."""
    return _TOKEN.sub(lambda token: values.get(token["name"], token[0]), text)


def has_bare_dollar(text: str) -> bool:
    """Whether a text contains `$NAME` without braces, which is not filled in."""
    return "$" in text and _BARE_NAME.search(text.replace("$$", "")) is not None


def escape(text: str) -> str:
    """Escape a text, so that `parse_template` takes it literally."""
    return text.replace("$", "$$")
