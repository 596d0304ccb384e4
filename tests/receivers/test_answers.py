"""The judge of answers to challenges: only the right answer is ready, and no answer breaks the
judge.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.model import ReceiverResult
from hooksync.receiver import sign_challenge
from hooksync.service.challenges import judge_answer

SECRET = b"s3cret-of-the-catalogue-0123456789"
CODE = "c0de5678c0de5678"
RIGHT = sign_challenge(SECRET, CODE.encode())
OTHER = sign_challenge(b"another secret", CODE.encode())


def judge(body: bytes | str | dict[str, object], status: int = 200) -> ReceiverResult:
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
def test_the_right_answer_is_ready_with_any_other_fields_and_white_space(
    body: str | dict[str, object],
) -> None:
    assert judge(body) == ReceiverResult("ready", "", "")


OTHER_SECRET = "different secret"
ODD_FORM = "is right, but"
NOT_HEX = "is not the hex of an HMAC-SHA256"
NOT_ECHOED = "does not repeat the challengeCode"
WRONG_SHAPE = "is not JSON with text"
UTF_16 = "is in UTF-16 or UTF-32, not in UTF-8"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (answered(OTHER), OTHER_SECRET),
        (answered(RIGHT.upper()), ODD_FORM),
        (answered(RIGHT[:-1]), NOT_HEX),
        (answered(RIGHT + "\n"), NOT_HEX),
        (answered("\udcff" * 64), NOT_HEX),
        (answered(code=CODE.upper()), NOT_ECHOED),
        (answered(None), WRONG_SHAPE),
        (answered(code=5678), WRONG_SHAPE),
        *((body, WRONG_SHAPE) for body in ({}, "[]", "null", "", RIGHT, "<html></html>")),
        ("[" * 100_000, WRONG_SHAPE),
        (json.dumps(answered()).encode("utf-8-sig"), "begins with a byte order mark"),
        (json.dumps(answered()).encode("utf-16"), UTF_16),
        (json.dumps(answered()).encode("utf-16-le"), UTF_16),
    ],
)
def test_a_wrong_answer_is_reported_with_its_fault(
    body: bytes | str | dict[str, object], what: str
) -> None:
    reading = judge(body)
    assert what in reading.detail
    assert reading.state == ("wrong-secret" if what == OTHER_SECRET else "wrong-answer")
    assert reading.fix


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
def test_no_answer_breaks_the_judge_and_only_the_right_answer_is_ready(
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
def test_a_result_never_repeats_the_answer_of_the_receiver(status: int, body: bytes) -> None:
    marked = body + b"ECHOED"
    assert "ECHOED" not in repr(judge_answer(status, marked, CODE, SECRET))
