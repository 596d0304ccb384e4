"""JSON is refused if two programs could read it in two ways, or if only Python can read it."""

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
def test_a_value_written_as_json_is_read_back_unchanged(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": {"c": 1, "\\u0063": 2}}', "contains a duplicate key in one object"),
        ('{"a": NaN}', "contains a number that JSON does not have"),
        ("[-Infinity]", "contains a number that JSON does not have"),
        ("9" * 9999, "contains a number that is too long to read"),
        ("[" * 200_000, "nested too deeply"),
        ("[" + "{}," * 2_000_000 + "{}]", "contains more than 2,000,000 lists and objects"),
        ("[" * 2_000_001, "contains more than 2,000,000 lists and objects"),
        ('{"a":' * 200_000, "nested too deeply"),
        ('["\\ud800"]', "contains a number that is too long to read, or half of a surrogate pair"),
        (
            '{"\\udC00\\ud800": 1}',
            "contains a number that is too long to read, or half of a surrogate pair",
        ),
    ],
)
def test_json_that_is_ambiguous_too_large_or_not_standard_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_json(text)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "\ufeff{}", "{} x", "'a'", '"a\nb"'])
def test_a_text_that_is_not_json_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(InvalidDocument, match="not JSON at line 1, column "):
        parse_json(text)


def test_an_escaped_backslash_is_no_surrogate_and_a_pair_is_one_character() -> None:
    assert parse_json(r'["\\ud800", "\ud83d\ude00"]') == [r"\ud800", "\U0001f600"]
