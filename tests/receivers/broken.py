"""Receivers with one bug each, and the sentence that the suite of `fire` must print about it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from hooksync.core.record import replace
from hooksync.receivers.http_server import Connection, IncomingRequest, Reply

SECRET = b"c0ffee00c0ffee11c0ffee22c0ffee33"  # text that is also valid hex and base64
OLD = b"the old secret of the receiver"
PREFIX = b"preservica-webhook-auth"
TRIGGERS = ("FULL_TEXT_INDEXED", "MOVED")


def sign(secret: bytes, message: bytes, name: str = "sha256") -> str:
    return hmac.new(secret, message, name).hexdigest()


def plain(message: bytes, name: str = "sha256") -> str:
    return hashlib.new(name, message).hexdigest()


class Good:
    """A correct receiver, made of parts that a receiver with a bug replaces."""

    secret = SECRET
    limit = 10 * 1024 * 1024

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: set[str] = set()
        self.log: list[str] = []
        self.number = 0  # of genuine events

    def proxy(self, request: IncomingRequest) -> IncomingRequest:
        return request

    def code(self, request: IncomingRequest) -> str:
        return parse_qs(request.query).get("challengeCode", [""])[0]

    def is_plain(self, code: str) -> bool:
        return (
            code[:1].isalnum() and code.isascii() and code.isprintable() and "preserv" not in code
        )

    def challenged(self, code: str, request: IncomingRequest) -> Reply:
        document = {"challengeCode": code, "challengeResponse": self.response(code, request)}
        return Reply(200, json.dumps(document).encode())

    def response(self, code: str, request: IncomingRequest) -> str:
        return sign(self.secret, code.encode("latin-1", "replace"))

    def signature(self, connection: Connection, request: IncomingRequest) -> str:
        return request.headers.get("preservica-signature", "").lower()

    def expected(self, body: bytes) -> str:
        return sign(self.secret, PREFIX + body)

    def is_genuine(self, signature: str, body: bytes) -> bool:
        return signature == self.expected(body)

    def refused(self, request: IncomingRequest) -> Reply | None:
        return Reply(401)

    def check(self, event: Any) -> int:
        """Return a status to refuse a genuine event with, or 0."""
        return 0

    def key(self, event: Any) -> str:
        return str({name: event[name] for name in sorted(event) if name != "subscriptionId"})

    def work(self, event: Any) -> None:
        key = self.key(event)
        with self.lock:
            if key in self.seen:
                return
            self.seen.add(key)
        self.do(event)

    def do(self, event: Any) -> None:
        self.log.append(json.dumps(event["events"]))

    def accepted(self) -> Reply:
        return Reply(200, b"{}")

    def respond(self, connection: Connection, request: IncomingRequest) -> None:
        try:
            answer = self.answer(connection, self.proxy(request))
        except Exception:
            answer = Reply(500)
        if answer is None:
            connection.cut()
        else:
            connection.send(answer)

    def answer(self, connection: Connection, request: IncomingRequest) -> Reply | None:
        if request.method != "POST":
            return Reply(405)
        code = self.code(request)
        if code:
            return self.challenged(code, request) if self.is_plain(code) else Reply(400)
        if len(request.body) > self.limit:
            return Reply(413)
        if not self.is_genuine(self.signature(connection, request), request.body):
            return self.refused(request)
        event = json.loads(request.body)
        self.number += 1
        status = self.check(event)
        if status:
            return Reply(status)
        self.work(event)
        return self.accepted()


def bug(**parts: Any) -> type[Good]:
    return type("Bug", (Good,), parts)


def json_again(encoding: str = "utf-8", **how: Any) -> Callable[[bytes], bytes]:
    return lambda body: json.dumps(json.loads(body), **how).encode(encoding, "replace")


def without_signature(request: IncomingRequest) -> IncomingRequest:
    kept = {name: value for name, value in request.headers.items() if "signature" not in name}
    return replace(request, headers=kept)


def in_chunks(request: IncomingRequest) -> bool:
    return "transfer-encoding" in request.headers


def raw_header(self: Good, connection: Connection, request: IncomingRequest) -> str:
    return request.headers.get("preservica-signature", "")


COMPACT = (",", ":")
NOT_JSON = "its answer is not JSON with text in challengeCode and challengeResponse"
UNREAD = "its challenge passed, so the secret is right"
PROVED = "it works on events with a wrong signature, as its log shows"
PARTIAL = "it compares only a part of the signature"
ALIKE = "differs from an earlier one only in its time, list or entity"

# what the suite says of a receiver's secret -> such secrets
KEYS: Mapping[str, list[bytes]] = {
    "and a line break at its end": [SECRET + b"\n", SECRET + b"\r\n"],
    "and a space at its end": [SECRET + b" "],
    "in quotation marks": [b'"' + SECRET + b'"', b"'" + SECRET + b"'"],
    "read as hex": [bytes.fromhex(SECRET.decode())],
    "read as base64": [base64.b64decode(SECRET)],
    "in UTF-16": [SECRET.decode().encode(f"utf-16{end}") for end in ("", "-le", "-be")],
    "cut to 16 bytes": [SECRET[:16]],
    "cut to 20 bytes": [SECRET[:20]],
    "cut to 24 bytes": [SECRET[:24]],
    "it signs challenges with a different secret": [b"an older one", b""],
}
# of the signatures that it makes -> how it makes them, of the secret and the message
SIGNATURES: Mapping[str, list[Callable[[bytes, bytes], str]]] = {
    "is an HMAC-MD5": [lambda key, message: sign(key, message, "md5")],
    "is an HMAC-SHA1": [lambda key, message: sign(key, message, "sha1")],
    "is an HMAC-SHA512": [lambda key, message: sign(key, message, "sha512")],
    "is a plain MD5": [lambda key, message: plain(key + message, "md5")],
    "is a plain SHA-256, and no HMAC": [
        lambda key, message: plain(key + message),
        lambda key, message: plain(message + key),
        lambda key, message: plain(message),
    ],
    "is made with key and message swapped": [lambda key, message: sign(message, key)],
    "is an HMAC of a digest": [
        lambda key, message: sign(key, hashlib.sha256(message).digest()),
        lambda key, message: sign(key, plain(message).encode()),
    ],
    "is the digest of an HMAC": [lambda key, message: plain(sign(key, message).encode())],
    "is right, but in upper case": [lambda key, message: sign(key, message).upper()],
    "is right, but after `sha256=`": [lambda key, message: "sha256=" + sign(key, message)],
    "is right, but in base64": [
        lambda key, message: base64.b64encode(bytes.fromhex(sign(key, message))).decode()
    ],
}
# of what it signs instead of an event -> that message, of the body
MESSAGES: Mapping[str, list[Callable[[bytes], bytes]]] = {
    "is made of the body alone": [lambda body: body],
    "has a line break between preservica-webhook-auth and": [lambda body: PREFIX + b"\n" + body],
    "has a space between": [lambda body: PREFIX + b" " + body],
    "has a full stop between": [lambda body: PREFIX + b"." + body],
    "has a colon between": [lambda body: PREFIX + b":" + body],
    "has the prefix in different letters": [lambda body: PREFIX.title() + body],
    "has the prefix after the body": [lambda body: body + PREFIX],
    UNREAD: [lambda body: b"anything"],
}
# of what it signs instead of the body
BODIES: Mapping[str, list[Callable[[bytes], bytes]]] = {
    "an empty body": [lambda body: b""],
    "the body in Latin-1 instead of UTF-8": [
        lambda body: body.decode().encode("latin-1"),
        lambda body: body.decode().encode("latin-1", "replace"),
    ],
    "the body read as Latin-1": [lambda body: body.decode("latin-1").encode()],
    "the body cut to ASCII": [
        lambda body: body.decode().encode("ascii", "ignore"),
        lambda body: body.decode().encode("ascii", "replace"),
    ],
    "the body in UTF-16": [lambda body: body.decode().encode("utf-16-le")],
    "the body in base64": [base64.b64encode],
    "the body in lower case": [bytes.lower],
    "the body and a line break": [lambda body: body + b"\n"],
    "the body without white space at its ends": [bytes.strip],
    "the body with different line breaks": [
        lambda body: body.replace(b"\r\n", b"\n"),
        lambda body: body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    ],
    "the first 64 kB of the body": [lambda body: body[:65536]],
    "the text undefined instead of the body": [lambda body: b"undefined"],
    "the list of events alone": [
        lambda body: json.dumps(
            json.loads(body)["events"], separators=COMPACT, ensure_ascii=False
        ).encode()
    ],
    "again as spaced JSON": [json_again()],
    "again as compact JSON": [
        json_again(separators=COMPACT),
        json_again(separators=COMPACT, ensure_ascii=False),
        json_again("latin-1", separators=COMPACT, ensure_ascii=False),
    ],
    "again as indented JSON": [json_again(indent=2)],
    "again as indented by 4 JSON": [json_again(indent=4)],
    "again as sorted spaced JSON": [json_again(sort_keys=True)],
    "again as sorted compact JSON": [json_again(sort_keys=True, separators=COMPACT)],
}
# of its answers to challenges -> the challengeResponse, of the code
RESPONSES: Mapping[str, list[Callable[[str], str]]] = {
    "its challengeResponse is the challengeCode itself": [lambda code: code],
    "is made of the first 64 bytes of the code": [lambda code: sign(SECRET, code[:64].encode())],
    "is made of the code in lower case": [lambda code: sign(SECRET, code.lower().encode())],
    "is made of the code in upper case": [lambda code: sign(SECRET, code.upper().encode())],
    "is made of preservica-webhook-auth and the code": [
        lambda code: sign(SECRET, PREFIX + code.encode())
    ],
    "something other than the code": [
        lambda code: sign(SECRET, b"challenge"),
        lambda code: sign(OLD, code.encode()),
    ],
    "is not the hex of an HMAC-SHA256": [
        lambda code: "0x" + sign(SECRET, code.encode()),
        lambda code: '"' + sign(SECRET, code.encode()) + '"',
    ],
}
# and the whole answer, of the code and its signature
DOCUMENTS: Mapping[str, list[Callable[[str, str], Any]]] = {
    NOT_JSON: [
        lambda code, response: {"challengeCode": code, "challengeResponse": None},
        lambda code, response: None,
        lambda code, response: {"challengeCode": code, "challenge_response": response},
        lambda code, response: {"challengecode": code, "challengeresponse": response},
        lambda code, response: json.dumps({"challengeCode": code, "challengeResponse": response}),
        lambda code, response: {"challengeResponse": response},
    ],
    "its answer does not repeat the challengeCode": [
        lambda code, response: {"challengeCode": "a", "challengeResponse": response}
    ],
}
ANSWERS: Mapping[str, list[Reply]] = {
    NOT_JSON: [
        Reply(200),
        Reply(200, b"challengeCode=a&challengeResponse=b"),
        Reply(200, b"[]"),
        Reply(200, b'{"body": {}}'),
    ],
    "its answer begins with a byte order mark": [Reply(200, b"\xef\xbb\xbf{}")],
    "its answer is in UTF-16": [Reply(200, "{}".encode("utf-16-le"))],
    ", not 200": [Reply(status) for status in (201, 202, 204, 301, 307, 401, 403, 404, 405, 500)],
}
# of the status of all its answers to events
STATUSES = {
    "it redirects events": [301, 302, 307, 308],
    UNREAD: [400, 401],
    "it answers 403 to all events": [403],
    "no route for events": [404, 405],
    "refuses how events are sent": [411, 415],
    "it fails before it verifies": [500],
    "as a proxy does": [502, 503, 504],
}
# of the genuine events that it refuses
REFUSED: Mapping[str, list[Callable[[Good, Any], bool]]] = {
    "on an event with unknown fields": [lambda self, event: "newField" in event],
    "on an event of an unknown trigger": [lambda self, event: event["trigger"] not in TRIGGERS],
    "on an event of several entities": [lambda self, event: len(event["events"]) > 1],
    "on an event without entities": [lambda self, event: not event["events"]],
    "on an event with characters of four bytes": [
        lambda self, event: "\N{PARTY POPPER}" in str(event)
    ],
    "on an event of a folder or a content object": [
        lambda self, event: any(entity["entityType"] != "IO" for entity in event["events"])
    ],
    "on an event that comes again": [lambda self, event: self.key(event) in self.seen],
    "on an event of the time of an earlier one": [
        lambda self, event: event["timestamp"] in str(self.seen)
    ],
}


def of_tables() -> Iterator[tuple[type[Good], str]]:
    """Yield the receivers of the tables above, and what the suite must say of each."""
    for key, sentence in each(KEYS):
        yield bug(secret=key), sentence
    for make, sentence in each(SIGNATURES):
        expected = lambda self, body, make=make: make(SECRET, PREFIX + body)  # noqa: E731
        yield bug(expected=expected, signature=raw_header), sentence
        yield responding(lambda code, make=make: make(SECRET, code.encode())), sentence
    for make, sentence in each(MESSAGES):
        yield expecting(lambda body, make=make: sign(SECRET, make(body))), sentence
    for make, sentence in each(BODIES):
        yield expecting(lambda body, make=make: sign(SECRET, PREFIX + make(body))), sentence
    for make, sentence in each(RESPONSES):
        yield responding(make), sentence
    for make, sentence in each(DOCUMENTS):
        yield documenting(make), sentence
    for reply, sentence in each(ANSWERS):
        yield bug(challenged=lambda self, code, request, reply=reply: reply), sentence
    for status, sentence in each(STATUSES):
        refused = lambda self, request, status=status: Reply(status)  # noqa: E731
        yield bug(is_genuine=lambda self, given, body: False, refused=refused), sentence
    for fits, sentence in each(REFUSED):
        for status in (400, 409, 500):
            yield refusing(fits, status), sentence


def each(table: Mapping[str, list[Any]]) -> Iterator[tuple[Any, str]]:
    for sentence, things in table.items():
        for thing in things:
            yield thing, sentence


def expecting(make: Callable[[bytes], str]) -> type[Good]:
    return bug(expected=lambda self, body: make(body) if body else "")


def responding(make: Callable[[str], str]) -> type[Good]:
    return bug(response=lambda self, code, request: make(code))


def documenting(make: Callable[[str, str], Any]) -> type[Good]:
    def challenged(self: Good, code: str, request: IncomingRequest) -> Reply:
        return Reply(200, json.dumps(make(code, self.response(code, request))).encode())

    return bug(challenged=challenged)


def refusing(fits: Callable[[Good, Any], bool], status: int) -> type[Good]:
    return bug(check=lambda self, event: status * fits(self, event))


def taking(fits: Callable[[str, str], bool]) -> type[Good]:
    """A receiver that compares the signature that came with the right one in a different way."""
    return bug(is_genuine=lambda self, given, body: fits(given, self.expected(body)))


def accepting(*others: Callable[[bytes], bytes]) -> type[Good]:
    """A receiver that also takes signatures of other messages."""
    return bug(
        is_genuine=lambda self, given, body: (
            given in (self.expected(body), *(sign(SECRET, make(body)) for make in others))
        )
    )


def fixed(answer: Reply) -> type[Good]:
    """A receiver that answers everything with the same."""
    return bug(answer=lambda self, connection, request: answer)


def assets_only(self: Good, event: Any) -> None:
    if all(entity["entityType"] == "IO" for entity in event["events"]):
        Good.do(self, event)


class Crowded(Good):
    """It drops an event that comes while it works on a different one."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = threading.Lock()
        self.second_came = threading.Event()

    def work(self, event: Any) -> None:
        if not self.inside.acquire(blocking=False):
            self.second_came.set()
            return
        self.second_came.wait(0.05)
        self.second_came.clear()
        super().work(event)
        self.inside.release()


class Racing(Crowded):
    """It works on an event twice if it comes twice at once."""

    def work(self, event: Any) -> None:
        if self.key(event) not in self.seen:
            self.second_came.wait(0.05)
            self.do(event)
            self.seen.add(self.key(event))


# other bugs, by a name
BUGS: dict[str, tuple[type[Good], str]] = {
    # signatures of events
    "lower-case hex only": (bug(signature=raw_header), "it refuses hex in upper case"),
    "header by exact case": (
        bug(signature=lambda self, connection, request: (
            dict(connection.headers.items()).get("Preservica-Signature", "").lower()
        )),
        "it finds the header only in one spelling",
    ),
    "wrong header name": (bug(signature=lambda self, connection, request: ""), UNREAD),
    "a proxy drops the header": (bug(proxy=lambda self, request: without_signature(request)), UNREAD),
    "a proxy adds a field": (
        bug(proxy=lambda self, request: (
            replace(request, body=request.body[:-1] + b',"via":1}') if request.body else request
        )),
        UNREAD,
    ),
    "no parser for the type": (
        bug(is_genuine=lambda self, given, body: None + body),  # type: ignore[operator]
        "it fails before it verifies; perhaps the framework gives it no raw body",
    ),
    # challenges
    "challenge of the URL": (
        bug(response=lambda self, code, request: sign(SECRET, f"/hook?{request.query}".encode())),
        "is made of the URL instead of the code",
    ),
    "challenge of the body": (
        bug(response=lambda self, code, request: sign(SECRET, request.body)), "is made of the body instead of the code",
    ),
    "raw code": (
        bug(code=lambda self, request: request.query.partition("challengeCode=")[2]), "its answer does not repeat the challengeCode",
    ),
    "signs the raw code": (
        bug(response=lambda self, code, request: sign(SECRET, request.query.partition("=")[2].encode())),
        "is made of the code before it was decoded",
    ),
    "a proxy drops the query": (
        bug(proxy=lambda self, request: replace(request, query="")), "The query does not reach it, or it reads only",
    ),
    "HTML log-in page": (fixed(Reply(200, b"<html>log in</html>", "text/html")), NOT_JSON),
    "redirect": (fixed(Reply(302, headers=(("Location", "https://x.example/"),))), "it answers 302, not 200: https://x.example/"),
    "403 before the code": (fixed(Reply(403)), "it answers 403, not 200"),
    "signs any code": (bug(is_plain=lambda self, code: True), "it signs 'preservica-webhook-auth'"),
    "signs JSON": (
        bug(is_plain=lambda self, code: "preserv" not in code and code.isascii() and code.isprintable()),
        """it signs '{"a": 1}'""",
    ),
    # forgeries
    "accepts unsigned": (taking(lambda given, right: given in ("", right)), "it accepts events without a signature"),
    "accepts any signature": (taking(lambda given, right: bool(given)), PROVED),
    "checks nothing": (taking(lambda given, right: True), PROVED),
    "compares the beginning": (taking(lambda given, right: bool(given) and right.startswith(given)), PARTIAL),
    "compares 8 digits": (taking(lambda given, right: given[:8] == right[:8]), PARTIAL),
    "takes events without the prefix, too": (
        accepting(lambda body: body), "it accepts signatures that are not of the raw body under its secret",
    ),
    "takes events in Latin-1, too": (
        accepting(lambda body: PREFIX + body.decode().encode("latin-1", "replace")),
        "But if Preservica signs bytes, it drops genuine events",
    ),
    "500 to a wrong signature": (bug(refused=lambda self, request: Reply(500)), "forged events with 401: it answers 500"),
    "no answer to a wrong signature": (bug(refused=lambda self, request: None), "forged events with 401: the connection was cut"),
    "200 to a wrong signature": (
        bug(refused=lambda self, request: Reply(200)), "either it works on forged events, or it drops events",
    ),
    "chunked only, 200 to the rest": (
        bug(answer=lambda self, connection, request: (
            Good.answer(self, connection, request)
            if in_chunks(request) or self.code(request)
            else Reply(200, b"{}")
        )),
        "only in one piece: it may read chunked events alone",
    ),
    # events
    "no chunked bodies": (
        bug(proxy=lambda self, request: replace(request, body=b"") if in_chunks(request) else request),
        "all events in chunks fail, and all in one piece pass",
    ),
    "no bodies in one piece": (
        bug(proxy=lambda self, request: request if in_chunks(request) else replace(request, body=b"")),
        "all events in one piece fail, and all in chunks pass",
    ),
    "limit of 100 kB": (bug(limit=100_000), "it takes no event of 0.15 MB"),
    "limit of 1 MiB": (bug(limit=1 << 20), "it takes no event of 1.5 MB"),
    "limit of 5 MB": (bug(limit=5_000_000), "it takes no event of 10 MB"),
    "a database of Latin-1": (
        bug(check=lambda self, event: 0 * len(str(event).encode("latin-1"))), "with letters outside Latin-1",
    ),
    "crash at the second event": (
        bug(check=lambda self, event: 500 * (self.number > 1)), "fails from the second one on",
    ),
    "work always fails": (refusing(lambda self, event: True, 500), "but its work fails"),
    "success is false": (bug(accepted=lambda self: Reply(200, b'{"success": false}')), '"success": false'),
    "answers 202": (bug(accepted=lambda self: Reply(202)), "it answers 202"),
    "answers 204": (bug(accepted=lambda self: Reply(204)), "it answers 204"),
    "answers HTML with 200": (bug(accepted=lambda self: Reply(200, b"<p>ok</p>", "text/html")), "it answers 200 text/html"),
    "answers GET": (
        bug(answer=lambda self, connection, request: (
            Reply(200) if request.method == "GET" else Good.answer(self, connection, request)
        )),
        "it answers 2xx to GET",
    ),
    # the work, as the log shows it
    "works twice on a re-delivery": (bug(work=Good.do), "its log shows more work for an event"),
    "works twice on every event": (
        bug(do=lambda self, event: [Good.do(self, event) for _ in "ab"]), "identifiers of events more than once",
    ),
    "prints no identifiers": (bug(do=lambda self, event: None), "its log has no identifier of this run"),
    "one entity of several": (
        bug(do=lambda self, event: self.log.append(json.dumps(event["events"][:1]))),
        "but its log lacks the identifiers of an entity",
    ),
    "no duplicates of an entity": (
        bug(key=lambda self, event: str([each["entityRef"] for each in event["events"]])),
        "the work is slow, waits in a queue, or is lost",
    ),
    "takes events of the same time for the same": (bug(key=lambda self, event: event["timestamp"]), ALIKE),
    "takes events of the same list for the same": (bug(key=lambda self, event: str(event["events"])), ALIKE),
    "takes events of the same identifiers and time for the same": (
        bug(key=lambda self, event: event["timestamp"] + str([entity["identifiers"] for entity in event["events"]])),
        ALIKE,
    ),
    "works on assets only": (bug(do=assets_only), "it works only on some types of entities"),
    "works twice on two deliveries at once": (Racing, "for each of two deliveries of an event"),
    "drops one of two at once": (Crowded, "of two different events that come at once, it drops one"),
}  # fmt: skip
BUGS |= {f"{number}: {words}": (made, words) for number, (made, words) in enumerate(of_tables())}


def two_secrets(
    make: Callable[[bytes, bytes], str], response: Callable[[bytes], str] | None = None
) -> type[Good]:
    """A receiver that verifies events under both secrets in the same way."""
    parts: dict[str, Any] = {
        "is_genuine": lambda self, given, body: given in (make(SECRET, body), make(OLD, body)),
    }
    if response is not None:
        parts["response"] = lambda self, code, request: response(code.encode())
    return bug(**parts)


# receivers for a suite with two secrets
TWO_SECRETS = {
    "no prefix": (two_secrets(sign), "is made of the body alone"),
    "SHA-1 in both": (
        two_secrets(lambda key, body: sign(key, PREFIX + body, "sha1"), lambda code: sign(SECRET, code, "sha1")),
        "its challengeResponse is an HMAC-SHA1",
    ),
    "plain SHA-256 in both": (
        two_secrets(lambda key, body: plain(PREFIX + body + key), lambda code: plain(code + SECRET)),
        "its challengeResponse is a plain SHA-256",
    ),
    "Latin-1": (
        two_secrets(lambda key, body: sign(key, PREFIX + body.decode().encode("latin-1", "replace"))),
        "the body in Latin-1 instead of UTF-8",
    ),
    "the new one only": (Good, "it refuses what a further secret signed"),
    "the old one only": (
        bug(is_genuine=lambda self, given, body: given == sign(OLD, PREFIX + body)),
        "it takes only events that a further secret signed",
    ),
}  # fmt: skip
BUGS |= TWO_SECRETS

# no bugs: the suite passes them
RIGHT = {
    "good": Good,
    "403 to a wrong signature": bug(refused=lambda self, request: Reply(403)),
}
