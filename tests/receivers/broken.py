"""Receivers with one bug each, and the sentence that the suite of `fire` must print about it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from hooksync.core.record import replace
from hooksync.receivers.http_server import Connection, IncomingRequest, Reply

SECRET = b"c0ffee00c0ffee11c0ffee22c0ffee33"  # text that is also valid hex and base64
PREFIX = b"preservica-webhook-auth"
TRIGGERS = ("FULL_TEXT_INDEXED", "MOVED")


def sign(secret: bytes, message: bytes, name: str = "sha256") -> str:
    return hmac.new(secret, message, name).hexdigest()


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


def body_bug(change: Callable[[bytes], bytes]) -> type[Good]:
    """A receiver that verifies a changed body."""
    return bug(expected=lambda self, body: sign(SECRET, PREFIX + change(body)))


def proxy_bug(change: Callable[[bytes], bytes]) -> type[Good]:
    """A receiver behind a proxy that changes the body."""
    return bug(proxy=lambda self, request: replace(request, body=change(request.body)))


def json_bug(**how: Any) -> Callable[[bytes], bytes]:
    encoding = how.pop("encoding", "utf-8")
    return lambda body: (
        json.dumps(json.loads(body), **how).encode(encoding, "replace") if body else body
    )


def challenge_bug(document: Callable[[str, str], Any], status: int = 200) -> type[Good]:
    def challenged(self: Good, code: str, request: IncomingRequest) -> Reply:
        return Reply(status, json.dumps(document(code, self.response(code, request))).encode())

    return bug(challenged=challenged)


def fixed(answer: Reply) -> type[Good]:
    """A receiver that answers everything with the same."""
    return bug(answer=lambda self, connection, request: answer)


def without_signature(request: IncomingRequest) -> IncomingRequest:
    kept = {name: value for name, value in request.headers.items() if "signature" not in name}
    return replace(request, headers=kept)


def in_chunks(request: IncomingRequest) -> bool:
    return "transfer-encoding" in request.headers


COMPACT = (",", ":")
NOT_JSON = "its answer is not JSON with text in challengeCode and challengeResponse"
UNPROVED = "it answers 200 to an event with a wrong signature: either it works on forged events"
UNREAD = "its challenge passed, so the secret is right"
LATIN = "is made of the body in Latin-1 instead of UTF-8"
RAISES = bug(do=lambda self, event: 1 / 0)


def refusing(**parts: Any) -> type[Good]:
    return bug(is_genuine=lambda self, signature, body: parts["fits"](self, signature, body))


# the name of a bug: the receiver, and what the suite must print
BUGS: dict[str, tuple[type[Good], str]] = {
    # algorithms and encodings
    "plain SHA-256": (
        bug(expected=lambda self, body: hashlib.sha256(SECRET + PREFIX + body).hexdigest()),
        "is a plain SHA-256, and no HMAC",
    ),
    "HMAC-SHA1": (bug(expected=lambda self, body: sign(SECRET, PREFIX + body, "sha1")), "is an HMAC-SHA1"),
    "HMAC-SHA512": (bug(expected=lambda self, body: sign(SECRET, PREFIX + body, "sha512")), "is an HMAC-SHA512"),
    "SHA-1 in the challenge": (
        bug(response=lambda self, code, request: sign(SECRET, code.encode(), "sha1")),
        "its challengeResponse is an HMAC-SHA1",
    ),
    "key and message swapped": (
        bug(expected=lambda self, body: sign(PREFIX + body, SECRET)), "is made with key and message swapped",
    ),
    "base64 for hex": (
        bug(
            expected=lambda self, body: base64.b64encode(bytes.fromhex(sign(SECRET, PREFIX + body))).decode(),
            signature=lambda self, connection, request: request.headers.get("preservica-signature", ""),
        ),
        "is right, but in base64",
    ),
    "upper-case hex": (
        bug(
            expected=lambda self, body: sign(SECRET, PREFIX + body).upper(),
            signature=lambda self, connection, request: request.headers.get("preservica-signature", ""),
        ),
        "is right, but in upper case",
    ),
    "lower-case hex only": (
        bug(signature=lambda self, connection, request: request.headers.get("preservica-signature", "")),
        "it refuses hex in upper case",
    ),
    # the secret
    "line feed after the secret": (bug(secret=SECRET + b"\n"), "is made with the secret and a line break at its end"),
    "space after the secret": (bug(secret=SECRET + b" "), "is made with the secret and a space at its end"),
    "secret in quotes": (bug(secret=b'"' + SECRET + b'"'), "is made with the secret in quotation marks"),
    "secret read as hex": (bug(secret=bytes.fromhex(SECRET.decode())), "is made with the secret read as hex"),
    "secret read as base64": (bug(secret=base64.b64decode(SECRET)), "is made with the secret read as base64"),
    "a wrong secret": (bug(secret=b"a secret of somebody else"), "it signs challenges with a different secret"),
    # the prefix
    "no prefix": (bug(expected=lambda self, body: sign(SECRET, body)), "is made of the body alone"),
    "prefix and newline": (body_bug(lambda body: b"\n" + body), "has a line break between preservica-webhook-auth and"),
    "prefix in different letters": (
        bug(expected=lambda self, body: sign(SECRET, b"Preservica-Webhook-Auth" + body)),
        "has the prefix in different letters",
    ),
    "prefix after the body": (
        bug(expected=lambda self, body: sign(SECRET, body + PREFIX)), "has the prefix after the body",
    ),
    "prefix in the challenge": (
        bug(response=lambda self, code, request: sign(SECRET, PREFIX + code.encode())),
        "is made of preservica-webhook-auth and the code",
    ),
    # the body is changed
    "JSON written again, spaced": (body_bug(json_bug()), "written again as spaced JSON"),
    "JSON written again, compact": (body_bug(json_bug(separators=COMPACT)), "written again as compact JSON"),
    "JSON written again, compact in UTF-8": (
        body_bug(json_bug(separators=COMPACT, ensure_ascii=False)), "written again as compact JSON",
    ),
    "JSON written again, sorted": (body_bug(json_bug(sort_keys=True)), "written again as sorted spaced JSON"),
    "JSON written again in Latin-1": (
        body_bug(json_bug(separators=COMPACT, ensure_ascii=False, encoding="latin-1")),
        "written again as compact JSON",
    ),
    "JSON indented by a proxy": (proxy_bug(json_bug(indent=2)), "written again as indented JSON"),
    "Latin-1": (body_bug(lambda body: body.decode().encode("latin-1")), LATIN),
    "Latin-1 with replacement": (body_bug(lambda body: body.decode().encode("latin-1", "replace")), LATIN),
    "read as Latin-1": (body_bug(lambda body: body.decode("latin-1").encode()), "is made of the body read as Latin-1"),
    "ASCII, ignoring the rest": (
        body_bug(lambda body: body.decode().encode("ascii", "ignore")), "is made of the body cut to ASCII",
    ),
    "ASCII, replacing the rest": (
        body_bug(lambda body: body.decode().encode("ascii", "replace")), "is made of the body cut to ASCII",
    ),
    "adds a line break": (body_bug(lambda body: body + b"\n"), "is made of the body and a line break"),
    "strips the body": (body_bug(bytes.strip), "is made of the body without white space at its ends"),
    "a proxy changes line breaks": (
        proxy_bug(lambda body: body.replace(b"\r\n", b"\n")), "is made of the body with different line breaks",
    ),
    "a proxy writes CRLF": (
        proxy_bug(lambda body: body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")),
        "is made of the body with different line breaks",
    ),
    "body in base64": (body_bug(base64.b64encode), "is made of the body in base64"),
    "a proxy drops the body": (proxy_bug(lambda body: b""), "is made of an empty body"),
    "the text undefined": (body_bug(lambda body: b"undefined"), "the text undefined instead of the body"),
    "a proxy adds a field": (proxy_bug(lambda body: body[:-1] + b',"via":1}' if body else body), UNREAD),
    # the header
    "header by exact case": (
        bug(signature=lambda self, connection, request: dict(connection.headers.items()).get("Preservica-Signature", "").lower()),
        "it finds the header only in one spelling",
    ),
    "wrong header name": (
        bug(signature=lambda self, connection, request: request.headers.get("x-preservica-signature", "")), UNREAD,
    ),
    "a proxy drops the header": (bug(proxy=lambda self, request: without_signature(request)), UNREAD),
    # challenges
    **{
        f"challenge {status}": (challenge_bug(lambda code, response: {}, status), f"it answers {status}, not 200")
        for status in (201, 204, 500)
    },
    "challenge response null": (
        challenge_bug(lambda code, response: {"challengeCode": code, "challengeResponse": None}), NOT_JSON,
    ),
    "challenge null": (challenge_bug(lambda code, response: None), NOT_JSON),
    "challenge_response": (
        challenge_bug(lambda code, response: {"challengeCode": code, "challenge_response": response}), NOT_JSON,
    ),
    "challenge in lower-case fields": (
        challenge_bug(lambda code, response: {"challengecode": code, "challengeresponse": response}), NOT_JSON,
    ),
    "challenge as JSON in JSON": (
        challenge_bug(lambda code, response: json.dumps({"challengeCode": code, "challengeResponse": response})), NOT_JSON,
    ),
    "challenge as bare hex": (challenge_bug(lambda code, response: response), NOT_JSON),
    "challenge without the code": (challenge_bug(lambda code, response: {"challengeResponse": response}), NOT_JSON),
    "challenge with a different code": (
        challenge_bug(lambda code, response: {"challengeCode": "a", "challengeResponse": response}),
        "its answer does not repeat the challengeCode",
    ),
    "challenge of the code itself": (
        bug(response=lambda self, code, request: code), "its challengeResponse is the challengeCode itself",
    ),
    "challenge of the URL": (
        bug(response=lambda self, code, request: sign(SECRET, f"/hook?{request.query}".encode())),
        "is made of the URL instead of the code",
    ),
    "challenge of the body": (
        bug(response=lambda self, code, request: sign(SECRET, request.body)), "is made of the body instead of the code",
    ),
    "raw code": (
        bug(code=lambda self, request: dict(part.split("=") for part in request.query.split("&") if part).get("challengeCode", "")),
        "its answer does not repeat the challengeCode",
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
    "challenge as text/html": (
        bug(challenged=lambda self, code, request: replace(Good.challenged(self, code, request), content_type="text/html")),
        "its challenge is answered as a web page",
    ),
    "signs any code": (bug(is_plain=lambda self, code: True), "it signs 'preservica-webhook-auth'"),
    "signs JSON": (
        bug(is_plain=lambda self, code: "preserv" not in code and code.isascii() and code.isprintable()),
        """it signs '{"a": 1}'""",
    ),
    # forgeries
    "accepts unsigned": (
        refusing(fits=lambda self, given, body: not given or given == self.expected(body)),
        "it accepts events without a signature",
    ),
    "accepts any signature": (refusing(fits=lambda self, given, body: bool(given)), UNPROVED),
    "checks nothing": (refusing(fits=lambda self, given, body: True), UNPROVED),
    "compares the beginning": (
        refusing(fits=lambda self, given, body: bool(given) and self.expected(body).startswith(given)),
        "it compares only a part of the signature",
    ),
    "compares 8 digits": (
        refusing(fits=lambda self, given, body: given[:8] == self.expected(body)[:8]),
        "it compares only a part of the signature",
    ),
    "takes events without the prefix, too": (
        refusing(fits=lambda self, given, body: given in (self.expected(body), sign(SECRET, body))),
        "it accepts signatures that are not of the raw body under its secret",
    ),
    "500 to a wrong signature": (bug(refused=lambda self, request: Reply(500)), "it does not answer forged events with 401: it answers 500"),
    "no answer to a wrong signature": (bug(refused=lambda self, request: None), "it does not answer forged events with 401: the connection was cut"),
    "200 to a wrong signature": (bug(refused=lambda self, request: Reply(200)), UNPROVED),
    "chunked only, 200 to the rest": (
        bug(
            is_genuine=lambda self, given, body: given == self.expected(body),
            answer=lambda self, connection, request: (
                Reply(200, b"{}")
                if request.body and request.method == "POST" and not in_chunks(request)
                else Good.answer(self, connection, request)
            ),
        ),
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
    "no parser for the type": (
        bug(is_genuine=lambda self, given, body: None + body),  # type: ignore[operator]
        "it fails before it verifies; perhaps the framework gives it no raw body",
    ),
    "strict fields": (bug(check=lambda self, event: 500 * ("newField" in event)), "it fails on an event with unknown fields"),
    "strict trigger": (bug(check=lambda self, event: 400 * (event["trigger"] not in TRIGGERS)), "it fails on an event of an unknown trigger"),
    "needs an entity": (bug(do=lambda self, event: event["events"][0]), "it fails on an event without entities"),
    "one entity alone": (bug(check=lambda self, event: 500 * (len(event["events"]) > 1)), "it fails on an event of several entities"),
    "letters in a database of Latin-1": (
        bug(do=lambda self, event: json.dumps(event, ensure_ascii=False).encode("latin-1")),
        "it fails on an event with letters outside Latin-1",
    ),
    "409 on a duplicate": (bug(check=lambda self, event: 409 * (self.key(event) in self.seen)), "it fails on an event that comes again"),
    "crash at the second event": (
        bug(check=lambda self, event: 1 // 0 if self.number > 1 else 0), "fails from the second one on",
    ),
    "work always fails": (RAISES, "it refuses forged events, so its verification is right; but its work fails"),
    "answers 202": (bug(accepted=lambda self: Reply(202)), "it answers 202"),
    "answers 204": (bug(accepted=lambda self: Reply(204)), "it answers 204"),
    "answers HTML with 200": (bug(accepted=lambda self: Reply(200, b"<p>ok</p>", "text/html")), "it answers 200 text/html"),
    "answers GET": (
        bug(answer=lambda self, connection, request: (
            Reply(200) if request.method == "GET" else Good.answer(self, connection, request)
        )),
        "it answers 2xx to GET",
    ),
}  # fmt: skip


def swallows(self: Good, event: Any) -> None:
    """Mark first; the work then fails, and nobody notices."""


def compact(document: object) -> bytes:
    return json.dumps(document, separators=COMPACT, ensure_ascii=False).encode()


def plain(message: bytes, name: str = "sha256") -> str:
    return hashlib.new(name, message).hexdigest()


def cut_after(code: str) -> str:
    return sign(SECRET, code[:64].encode())


# what is expected as the signature of a body, and how the suite names it
SIGNED: dict[str, tuple[Callable[[bytes], str], str]] = {
    "prefix and space": (lambda body: sign(SECRET, PREFIX + b" " + body), "has a space between"),
    "prefix and full stop": (lambda body: sign(SECRET, PREFIX + b"." + body), "has a full stop between"),
    "prefix and colon": (lambda body: sign(SECRET, PREFIX + b":" + body), "has a colon between"),
    "HMAC-MD5": (lambda body: sign(SECRET, PREFIX + body, "md5"), "is an HMAC-MD5"),
    "plain MD5": (lambda body: plain(SECRET + PREFIX + body, "md5"), "is a plain MD5"),
    "plain SHA-256, secret last": (lambda body: plain(PREFIX + body + SECRET), "is a plain SHA-256"),
    "plain SHA-256 without secret": (lambda body: plain(PREFIX + body), "is a plain SHA-256"),
    "HMAC of a digest": (lambda body: sign(SECRET, hashlib.sha256(PREFIX + body).digest()), "is an HMAC of a digest"),
    "HMAC of a hex digest": (lambda body: sign(SECRET, plain(PREFIX + body).encode()), "is an HMAC of a digest"),
    "digest of an HMAC": (lambda body: plain(sign(SECRET, PREFIX + body).encode()), "is the digest of an HMAC"),
    "only the list": (
        lambda body: sign(SECRET, PREFIX + compact(json.loads(body)["events"])), "is made of the list of events alone",
    ),
    "first 64 kB": (lambda body: sign(SECRET, PREFIX + body[:65536]), "is made of the first 64 kB of the body"),
    "body in lower case": (lambda body: sign(SECRET, PREFIX + body.lower()), "is made of the body in lower case"),
    "body in UTF-16": (
        lambda body: sign(SECRET, PREFIX + body.decode().encode("utf-16-le")), "is made of the body in UTF-16",
    ),
    "indented by 4": (
        lambda body: sign(SECRET, PREFIX + json_bug(indent=4)(body)), "written again as indented by 4 JSON",
    ),
    "sorted compact": (
        lambda body: sign(SECRET, PREFIX + json_bug(sort_keys=True, separators=COMPACT)(body)),
        "written again as sorted compact JSON",
    ),
    "sha256= before it": (lambda body: "sha256=" + sign(SECRET, PREFIX + body), "is right, but after `sha256=`"),
    "nothing but the prefix": (lambda body: sign(SECRET, PREFIX), "is made of an empty body"),
    "only the secret": (lambda body: sign(SECRET, b"anything"), UNREAD),
}  # fmt: skip
# the key of a receiver, and how the suite names it
KEYS = {
    "CR LF after the secret": (SECRET + b"\r\n", "and a line break at its end"),
    "single quotes": (b"'" + SECRET + b"'", "in quotation marks"),
    "UTF-16": (SECRET.decode().encode("utf-16"), "in UTF-16"),
    "UTF-16 without a mark": (SECRET.decode().encode("utf-16-le"), "in UTF-16"),
    "UTF-16, big end first": (SECRET.decode().encode("utf-16-be"), "in UTF-16"),
    "cut to 16": (SECRET[:16], "cut to 16 bytes"),
    "cut to 20": (SECRET[:20], "cut to 20 bytes"),
    "cut to 24": (SECRET[:24], "cut to 24 bytes"),
    "the secret of somebody else": (b"an older one", "it signs challenges with a different secret"),
    "no secret": (b"", "it signs challenges with a different secret"),
}
FORM = "is not the hex of an HMAC-SHA256"
# the challengeResponse to a code, and how the suite names it
RESPONSES: dict[str, tuple[Callable[[str], str], str]] = {
    "cut code": (cut_after, "is made of the first 64 bytes of the code"),
    "lower case": (lambda code: sign(SECRET, code.lower().encode()), "is made of the code in lower case"),
    "upper case": (lambda code: sign(SECRET, code.upper().encode()), "is made of the code in upper case"),
    "something fixed": (lambda code: sign(SECRET, b"challenge"), "something other than the code"),
    "HMAC-MD5": (lambda code: sign(SECRET, code.encode(), "md5"), "is an HMAC-MD5"),
    "HMAC-SHA512": (lambda code: sign(SECRET, code.encode(), "sha512"), "is an HMAC-SHA512"),
    "no key": (lambda code: plain(code.encode()), "is a plain SHA-256"),
    "secret before": (lambda code: plain(SECRET + code.encode()), "is a plain SHA-256"),
    "secret after": (lambda code: plain(code.encode() + SECRET), "is a plain SHA-256"),
    "swapped": (lambda code: sign(code.encode(), SECRET), "is made with key and message swapped"),
    "base64": (
        lambda code: base64.b64encode(bytes.fromhex(sign(SECRET, code.encode()))).decode(), "is right, but in base64",
    ),
    "upper-case hex": (lambda code: sign(SECRET, code.encode()).upper(), "is right, but in upper case"),
    "sha256=": (lambda code: "sha256=" + sign(SECRET, code.encode()), "is right, but after `sha256=`"),
    "0x": (lambda code: "0x" + sign(SECRET, code.encode()), FORM),
    "quoted": (lambda code: '"' + sign(SECRET, code.encode()) + '"', FORM),
    "the secret of before": (lambda code: sign(b"the old secret", code.encode()), "with a different secret"),
    "digest of a digest": (lambda code: plain(sign(SECRET, code.encode()).encode()), "is the digest of an HMAC"),
}  # fmt: skip
ANSWERS: dict[str, tuple[Reply, str]] = {
    "a form": (Reply(200, b"challengeCode=a&challengeResponse=b"), NOT_JSON),
    "nothing": (Reply(200), NOT_JSON),
    "a list": (Reply(200, b"[]"), NOT_JSON),
    "nested": (Reply(200, b'{"body": {}}'), NOT_JSON),
    "a byte order mark": (Reply(200, b"\xef\xbb\xbf{}"), NOT_JSON),
    "UTF-16": (Reply(200, "{}".encode("utf-16")), NOT_JSON),
    "UTF-16 without a mark": (Reply(200, "{}".encode("utf-16-le")), NOT_JSON),
    **{
        str(status): (Reply(status), f"it answers {status}, not 200")
        for status in (202, 301, 307, 401, 403, 404, 405)
    },
}
# the status of all events, and how the suite names it
STATUSES = {
    301: "it redirects events", 302: "it redirects events", 307: "it redirects events", 308: "it redirects events",
    401: UNREAD, 400: UNREAD, 403: "it answers 403 to all events", 404: "no route for events",
    405: "no route for events", 411: "refuses how events are sent", 415: "refuses how events are sent",
    500: "it fails before it verifies", 502: "as a proxy does", 503: "as a proxy does", 504: "as a proxy does",
}  # fmt: skip
# a genuine event that is refused, and how the suite names it
REFUSED: dict[str, tuple[Callable[[Good, Any], bool], str]] = {
    "emoji": (lambda self, event: "\N{PARTY POPPER}" in str(event), "it fails on an event with characters of four bytes"),
    "folders and content objects": (
        lambda self, event: any(entity["entityType"] != "IO" for entity in event["events"]), "it fails on an event of a folder or a content object",
    ),
    "duplicates": (lambda self, event: self.key(event) in self.seen, "it fails on an event that comes again"),
    "the same time": (lambda self, event: event["timestamp"] in str(self.seen), "it fails on an event of the time of an earlier one"),
    "every event": (lambda self, event: True, ""),
}  # fmt: skip


OLD = b"the old secret of the receiver"


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


# receivers for a suite with two secrets and the log, and the one cause
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
        two_secrets(lambda key, body: sign(key, PREFIX + body.decode().encode("latin-1", "replace"))), LATIN,
    ),
    "the new one only": (Good, "it refuses what a further secret signed"),
    "the old one only": (
        bug(is_genuine=lambda self, given, body: given == sign(OLD, PREFIX + body)),
        "it takes only events that a further secret signed",
    ),
}  # fmt: skip


def more_bugs() -> dict[str, tuple[type[Good], str]]:
    """Make the receivers of the tables above, for the nightly campaign."""
    made: dict[str, tuple[type[Good], str]] = {}
    for name, (expected, sentence) in SIGNED.items():
        parts: dict[str, Any] = {
            "expected": lambda self, body, expected=expected: expected(body) if body else ""
        }
        made[f"signature: {name}"] = bug(**parts), sentence
    for name, (key, sentence) in KEYS.items():
        made[f"key: {name}"] = bug(secret=key), sentence
    for name, (response, sentence) in RESPONSES.items():
        parts = {"response": lambda self, code, request, response=response: response(code)}
        made[f"challenge: {name}"] = bug(**parts), sentence
    for name, (reply, sentence) in ANSWERS.items():
        parts = {"challenged": lambda self, code, request, reply=reply: reply}
        made[f"answer to a challenge: {name}"] = bug(**parts), sentence
    for status, sentence in STATUSES.items():
        reply = Reply(status)
        parts = {
            "is_genuine": lambda self, given, body: False,
            "refused": lambda self, request, reply=reply: reply,
        }
        made[f"status: {status}"] = bug(**parts), sentence
    for name, (is_refused, sentence) in REFUSED.items():
        for status in (400, 409, 500):
            parts = {
                "check": lambda self, event, is_refused=is_refused, status=status: (
                    status * is_refused(self, event)
                )
            }
            if status == 500 or name != "every event":
                words = sentence or "but its work fails"
                made[f"refused with {status}: {name}"] = bug(**parts), words
    said = Reply(200, b'{"success": false}')
    made["success is false"] = bug(accepted=lambda self: said), '"success": false'
    return made


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


# bugs that only the log of the receiver shows
IN_THE_LOG: dict[str, tuple[type[Good], str]] = {
    "works twice on a re-delivery": (bug(work=lambda self, event: self.do(event)), "its log shows more work for an event"),
    "prints no identifiers": (bug(do=swallows), "its log has no identifier of this run"),
    "one entity of several": (
        bug(do=lambda self, event: self.log.append(json.dumps(event["events"][:1]))),
        "but its log lacks the identifiers of an entity",
    ),
    "no duplicates of an entity": (
        bug(key=lambda self, event: str([each["entityRef"] for each in event["events"]])),
        "the work is slow, waits in a queue, or is lost",
    ),
    "works twice on every event": (
        bug(do=lambda self, event: [Good.do(self, event) for _ in "ab"]), "identifiers of events more than once",
    ),
    "takes events of the same time for the same": (
        bug(key=lambda self, event: event["timestamp"]), "differs from an earlier one only in its time, list or entity",
    ),
    "takes events of the same list for the same": (
        bug(key=lambda self, event: str(event["events"])), "differs from an earlier one only in its time, list or entity",
    ),
    "takes events of the same identifiers and time for the same": (
        bug(key=lambda self, event: event["timestamp"] + str([entity["identifiers"] for entity in event["events"]])),
        "differs from an earlier one only in its time, list or entity",
    ),
    "works on assets only": (bug(do=assets_only), "it works only on some types of entities"),
    "drops one of two at once": (Crowded, "of two different events that come at once, it drops one"),
    "works on forged events": (
        bug(is_genuine=lambda self, given, body: True), "it works on events with a wrong signature, as its log shows",
    ),
    "works on an event signed in Latin-1": (
        bug(is_genuine=lambda self, given, body: given in (
            self.expected(body), sign(SECRET, PREFIX + body.decode().encode("latin-1", "replace"))
        )),
        "But if Preservica signs bytes, it drops genuine events",
    ),
}  # fmt: skip

# no bugs: the suite passes them
RIGHT = {
    "good": Good,
    "403 to a wrong signature": bug(refused=lambda self, request: Reply(403)),
}
