"""Answers to challenges, judged: only the right one is ready, and nothing that a receiver says can
break the judge.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.receiver import EVENT_PREFIX, sign_challenge
from hooksync.service.receivers import READY, ProbeResult, judge_answer

SECRET = b"s3cret-of-the-catalogue-0123456789"
CODE = "c0de5678c0de5678"
RIGHT = sign_challenge(SECRET, CODE.encode())
OTHER = sign_challenge(b"another secret", CODE.encode())


def judge(body: bytes | str | dict[str, object], status: int = 200) -> ProbeResult:
    text = json.dumps(body) if isinstance(body, dict) else body
    return judge_answer(status, text.encode() if isinstance(text, str) else text, CODE, SECRET)


def answered(response: object = RIGHT, code: object = CODE, **more: object) -> dict[str, object]:
    return {"challengeCode": code, "challengeResponse": response, **more}


@pytest.mark.parametrize(
    "body",
    [
        answered(),
        answered(success=True, challenge={"deep": [1]}),
        f'{{ "challengeCode": "{CODE}",     "challengeResponse": "{RIGHT}" }}',
        f'\r\n{{"challengeResponse": "{RIGHT}", "challengeCode": "{CODE}"}}\n\n',
    ],
)
def test_the_right_answer_is_ready_whatever_stands_around_it(body: str | dict[str, object]) -> None:
    assert judge(body) == READY
    assert (READY.state, READY.kind, READY.detail, READY.fix) == ("ready", "ready", "", "")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (answered(OTHER), "wrong-secret"),
        (answered("0" * 64), "wrong-secret"),
        (answered(RIGHT.upper()), "wrong-signature"),
        (answered(RIGHT[:-1]), "not-hex"),
        (answered(RIGHT + "\n"), "not-hex"),
        (answered(f"sha256={RIGHT}"), "wrong-signature"),
        (answered(""), "not-hex"),
        (answered("\udcff" * 64), "not-hex"),
        (answered(code=CODE.upper()), "not-echoed"),
        (answered(code=""), "not-echoed"),
        (answered(OTHER, code="another"), "not-echoed"),
        (answered(None), "wrong-shape"),
        (answered(code=None), "wrong-shape"),
        (answered(code=5678), "wrong-shape"),
        ({}, "wrong-shape"),
        ({"success": True}, "wrong-shape"),
        ("[]", "wrong-shape"),
        ("null", "wrong-shape"),
        (json.dumps(RIGHT), "wrong-shape"),
        ("", "wrong-shape"),
        (RIGHT, "wrong-shape"),
        ("<html></html>", "wrong-shape"),
        (json.dumps(answered())[:-1], "wrong-shape"),
        ("[" * 100_000, "wrong-shape"),
        (b"\xff\xfe\xfa", "wrong-shape"),
    ],
)
def test_another_answer_is_told_apart_by_what_is_wrong(
    body: bytes | str | dict[str, object], kind: str
) -> None:
    reading = judge(body)
    assert reading.kind == kind
    assert reading.state == ("wrong-secret" if kind == "wrong-secret" else "wrong-answer")
    assert reading.detail
    assert reading.fix


URL = f"https://hook.example/a?challengeCode={CODE}"
SHA256 = hashlib.sha256


def digest(message: bytes, secret: bytes = SECRET) -> bytes:
    return hmac.new(secret, message, SHA256).digest()


@pytest.mark.parametrize(
    ("response", "kind", "what"),
    [
        (digest(b""), "wrong-signature", "is made of the body instead of the code"),
        (digest(URL.encode()), "wrong-signature", "is made of the URL instead of the code"),
        (digest(URL[20:].encode()), "wrong-signature", "is made of the URL instead of the code"),
        (digest(EVENT_PREFIX + CODE.encode()), "wrong-signature", "preservica-webhook-auth and the code"),
        (digest(SECRET, CODE.encode()), "wrong-signature", "key and message swapped"),
        (SHA256(SECRET + CODE.encode()).digest(), "wrong-signature", "is a plain SHA-256, and no HMAC"),
        (SHA256(CODE.encode()).digest(), "wrong-signature", "is a plain SHA-256, and no HMAC"),
        (digest(CODE.encode(), SECRET + b"\n"), "wrong-secret", "the secret and a line break"),
        (base64.b64encode(digest(CODE.encode())).decode(), "wrong-signature", "is right, but in base64"),
        (RIGHT.upper(), "wrong-signature", "is right, but in upper case"),
        (OTHER, "wrong-secret", "it signs challenges with a different secret"),
    ],
)  # fmt: skip
def test_a_usual_mistake_is_named_and_only_if_none_fits_a_different_secret(
    response: bytes | str, kind: str, what: str
) -> None:
    text = response if isinstance(response, str) else response.hex()
    body = json.dumps(answered(text)).encode()
    reading = judge_answer(200, body, CODE, SECRET, URL)
    assert (reading.kind, what in reading.detail) == (kind, True), reading
    assert reading.state == ("wrong-secret" if kind == "wrong-secret" else "wrong-answer")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "redirect") for status in (301, 304, 307)),
        *((status, "status") for status in (201, 204, 403, 404, 500)),
    ],
)
def test_another_status_is_not_ready_however_right_the_body(status: int, kind: str) -> None:
    reading = judge(answered(), status)
    assert (reading.kind, reading.state) == (kind, "wrong-answer")
    assert str(status) in reading.detail


STATUSES = st.integers(100, 599) | st.just(200)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text()
    | st.sampled_from([CODE, RIGHT, OTHER]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {}, optional={"challengeCode": JSON, "challengeResponse": JSON, "x": JSON}
)
BODIES = (
    st.binary()
    | st.text().map(lambda text: text.encode("utf-8", "replace"))
    | NEARLY.map(json.dumps).map(str.encode)
)


@given(STATUSES, BODIES)
def test_nothing_breaks_the_judge_and_only_the_right_answer_is_ready(
    status: int, body: bytes
) -> None:
    reading = judge_answer(status, body, CODE, SECRET)
    assert reading.detail.isprintable()
    if reading.state == "ready":
        document = json.loads(body)
        assert status == 200
        assert (document["challengeCode"], document["challengeResponse"]) == (CODE, RIGHT)
    else:
        assert reading.detail
        assert reading.fix


@given(STATUSES, BODIES)
def test_a_reading_never_repeats_what_the_receiver_said(status: int, body: bytes) -> None:
    marked = body + b"ECHOED"
    assert "ECHOED" not in repr(judge_answer(status, marked, CODE, SECRET))
