"""JSON that two readers could understand in two ways, or that Python alone can read, is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.errors import InvalidDocument
from hooksync.core.signing import parse_json

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(VALUES, st.booleans())
def test_what_json_has_comes_back_as_it_is(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": {"c": 1, "\\u0063": 2}}', '"c" is a duplicate key in one object'),
        ('{"a": NaN}', "holds a number that JSON does not have"),
        ("[-Infinity]", "holds a number that JSON does not have"),
        ("[1e999]", "holds a number that JSON does not have"),
        ("9" * 9999, "holds a number too long to be read"),
        ("[" * 200_000, "nested too deeply"),
        ("[" + "{}," * 2_000_000 + "{}]", "holds more than 2,000,000 lists and objects"),
        ("[" * 2_000_001, "holds more than 2,000,000 lists and objects"),
        ('{"a":' * 200_000, "nested too deeply"),
        ('["\\ud800"]', "holds half of a character"),
        ('{"\\udC00\\ud800": 1}', "holds half of a character"),
    ],
)
def test_what_two_readers_may_read_in_two_ways_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_json(text)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "\ufeff{}", "{} x", "'a'", '"a\nb"'])
def test_what_is_not_json_is_left_to_the_caller_to_tell(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse_json(text)


def test_an_escaped_backslash_is_no_surrogate_and_a_pair_is_one_character() -> None:
    assert parse_json(r'["\\ud800", "\ud83d\ude00"]') == [r"\ud800", "\U0001f600"]
