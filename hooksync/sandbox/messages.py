"""HTTP messages as plain values: a request, an answer, a refusal. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from urllib.parse import parse_qsl

TOKEN_HEADER = "preservica-access-token"  # noqa: S105  the header's name, not a token


class SandboxError(ValueError):
    """The sandbox cannot start or go on as asked; the text is one line for the user."""


class Lie(Enum):
    """Which id the answer to a new subscription tells, where it is not the right one."""

    FALSE_ID = auto()  # one that nothing has: nothing is kept
    SAME_ID = auto()  # that of the newest one: nothing is kept
    KEPT_SAME_ID = auto()  # likewise, but the new one is kept, under an id of its own


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it came in."""

    method: str
    path: str  # without its query
    query: str = field(default="", repr=False)  # as sent, without the question mark
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # names in lower case
    body: bytes = field(default=b"", repr=False)

    def form(self) -> dict[str, str]:
        """Read the body as a form; one that cannot be read is empty."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, ready to be sent."""

    status: int  # the HTTP status
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()  # besides Content-Type and Content-Length


class Refusal(Exception):
    """The service refuses: a status, and a message for the JSON body."""

    def __init__(self, status: int, message: str, **more: str) -> None:
        super().__init__(message)
        self.answer = json_answer(status, {"message": message, **more})


def json_answer(status: int, document: object, *headers: tuple[str, str]) -> Answer:
    """Answer with a JSON document."""
    return Answer(status, json.dumps(document).encode(), headers=headers)


def html_answer(status: int) -> Answer:
    """Answer as a gateway in front of the service does: with an HTML page, not JSON."""
    title = f"{status} {reason_phrase(status)}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Answer(status, page.encode(), "text/html")


def read_number(text: str) -> int | None:
    """Read a whole number from a header or form; None if it is not one, or is absurdly long."""
    return int(text) if text.isdecimal() and len(text) < 20 else None


def reason_phrase(status: int) -> str:
    """Return the words that follow a status in the first line of an answer."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
