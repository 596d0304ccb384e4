"""`${NAME}` in a text: parsed here, filled in later. Pure: the environment is an argument."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hooksync.core.model import Location, Variables
from hooksync.core.record import Record

_TOKEN = re.compile(
    r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
    r"|(?P<malformed>\$\{)"
)
_BARE_NAME = re.compile("[$][A-Za-z_]")


class Template(Record):
    """A text that may refer to environment variables, as `${NAME}` or `${NAME:-default}`."""

    text: str  # as written
    names: tuple[str, ...] = ()  # the variables that it refers to, each once, in order
    location: Location | None = None  # None: it has no place in a file

    def __eq__(self, other: object) -> bool:
        """Compare the texts only: different places may have the same."""
        return isinstance(other, Template) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def literal(self) -> str | None:
        """The text if it has no variables, with `$` for `$$`."""
        return None if self.names else self.text.replace("$$", "$")

    def variables(self) -> Iterator[tuple[str, str, str]]:
        """Yield the name of each variable, with the text before it.

        That text comes twice: with the defaults of the variables in it, and without them.
        """
        for token in _TOKEN.finditer(self.text):
            if token["name"]:
                head = self.text[: token.start()]
                yield token["name"], Template(head).fill({})[0], _TOKEN.sub("", head)

    def fill(self, environ: Variables) -> tuple[str, tuple[str, ...]]:
        """Replace references by values. Also returns the names that have no value and no default.

        As with `${NAME:-default}` in a shell, an empty variable counts as not set.
        """
        if self.literal is not None:
            return self.literal, ()
        missing: dict[str, None] = {}

        def value_of(token: re.Match[str]) -> str:
            """Return what replaces a `${NAME}`, and note a variable that is not set."""
            value = environ.get(token["name"] or "") or _default(token)
            if value is None:
                missing[token["name"]] = None
            return value or ""

        return _TOKEN.sub(value_of, self.text), tuple(missing)


def _default(token: re.Match[str]) -> str | None:
    """Return what a token means without a value. None: it needs a value."""
    if token["name"] is None:
        return "$"
    default: str | None = token["default"]
    return default if default is None else default.replace("$$", "$")


def parse_template(text: str, location: Location | None = None) -> Template:
    """Find the references of a text. Raises ValueError, with the reason, for a malformed `${`."""
    if "$" not in text:  # as most texts, and fast
        return Template(text, (), location)
    names: dict[str, None] = {}
    for token in _TOKEN.finditer(text):
        if token["malformed"]:
            raise ValueError("a `${` that begins neither `${NAME}` nor `${NAME:-default}`")
        if token["name"]:
            names[token["name"]] = None
    return Template(text, tuple(names), location)


def fill_in(text: str, values: Variables) -> str:
    """Replace each `${NAME}` whose value is given; keep the rest as it is written."""
    return _TOKEN.sub(lambda token: values.get(token["name"], token[0]), text)


def has_bare_dollar(text: str) -> bool:
    """Whether a text contains `$NAME` without braces, which is not filled in."""
    return _BARE_NAME.search(text.replace("$$", "")) is not None


def escape(text: str) -> str:
    """Escape a text, so that `parse_template` takes it literally."""
    return text.replace("$", "$$")
