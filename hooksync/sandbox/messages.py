"""What goes over the wire, as plain values: a request, an answer, a refusal. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl

TOKEN_HEADER = "preservica-access-token"  # noqa: S105  the header's name, no token


class SandboxError(ValueError):
    """The sandbox was asked for something that it cannot be; its text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it came in."""

    method: str
    path: str  # without its query
    query: str = field(default="", repr=False)  # as sent, without the question mark
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # names in lower case
    body: bytes = field(default=b"", repr=False)

    def form(self) -> dict[str, str]:
        """Read the body as a form; what cannot be read is an empty one."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, ready to be sent."""

    status: int  # the HTTP status
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()  # besides Content-Type and Content-Length


class Refusal(Exception):
    """The service says no: a status, and a message for the JSON body."""

    def __init__(self, status: int, message: str, **more: str) -> None:
        super().__init__(message)
        self.answer = json_answer(status, {"message": message, **more})


def json_answer(status: int, document: object, *headers: tuple[str, str]) -> Answer:
    """Answer with a JSON document."""
    return Answer(status, json.dumps(document).encode(), headers=headers)


def html_answer(status: int) -> Answer:
    """Answer as a gateway in front of the service does: a page for people, no JSON."""
    title = f"{status} {reason_phrase(status)}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Answer(status, page.encode(), "text/html")


def read_number(text: str) -> int | None:
    """Read a whole number that came over the wire; None for what is none, or has more digits than any sane one."""
    return int(text) if text.isdecimal() and len(text) < 20 else None


def reason_phrase(status: int) -> str:
    """Give the words that follow a status on the wire."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
