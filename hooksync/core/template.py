"""`${NAME}` in a text: parsed here, filled in later. Pure: the environment is an argument."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hooksync.core.model import Location, Variables
from hooksync.core.record import Record

# schemas/hooks.schema.json refuses any other `${`
_TOKEN = re.compile(
    r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
)
_BARE_NAME = re.compile("[$][A-Za-z_]")


class Template(Record):
    """A text that may refer to environment variables, as `${NAME}` or `${NAME:-default}`."""

    text: str  # as written
    location: Location | None = None  # None: it has no place in a file

    def __eq__(self, other: object) -> bool:
        """Compare the texts only: different places may have the same."""
        return isinstance(other, Template) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def names(self) -> dict[str, None]:
        """The variables that it refers to, in order."""
        return {token["name"]: None for token in _TOKEN.finditer(self.text) if token["name"]}

    def variables(self) -> Iterator[tuple[str, str, str]]:
        """Yield the name of each variable, with the text before it.

        That text comes twice: with the defaults of the variables in it, and without them.
        """
        for token in _TOKEN.finditer(self.text):
            if token["name"]:
                head = self.text[: token.start()]
                yield token["name"], Template(head).fill({})[0], _TOKEN.sub("", head)

    def fill(self, environ: Variables) -> tuple[str, dict[str, None]]:
        """Replace references by values. Also returns the names that have no value and no default.

        As with `${NAME:-default}` in a shell, an empty variable counts as not set.
        """
        missing: dict[str, None] = {}

        def value_of(token: re.Match[str]) -> str:
            """Return what replaces a `$$` or a `${NAME}`, and note a variable that is not set."""
            if token["name"] is None:
                return "$"
            value = environ.get(token["name"])
            if not value and token["default"] is None:
                missing[token["name"]] = None
            return value or (token["default"] or "").replace("$$", "$")

        return _TOKEN.sub(value_of, self.text), missing


def fill_in(text: str, values: Variables) -> str:
    """Replace each `${NAME}` whose value is given; keep the rest as it is written."""
    return _TOKEN.sub(lambda token: values.get(token["name"], token[0]), text)


def has_bare_dollar(text: str) -> bool:
    """Whether a text contains `$NAME` without braces, which is not filled in."""
    return _BARE_NAME.search(text.replace("$$", "")) is not None


def escape(text: str) -> str:
    """Escape a text, so that a template takes it literally."""
    return text.replace("$", "$$")
