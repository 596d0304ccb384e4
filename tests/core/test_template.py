import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.schema import is_certain_to_fit
from hooksync.core.template import Template, escape

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${A}", "1"),
        ("x${A}y${B}z${A}", "x1y2z1"),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("$$$", "$$"),
        ("$$$${A}", "$${A}"),
        ("$$${A}", "$1"),
        ("a$b $A $1 $", "a$b $A $1 $"),
        ("${GONE:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${A:-x}", "1"),
        ("${GONE:-}", ""),
        ("${GONE:-a:-b}", "a:-b"),
        ("${GONE:-$$5}", "$5"),
        ("{A}", "{A}"),
    ],
)
def test_references_are_filled_in_as_in_a_shell(text: str, filled: str) -> None:
    assert Template(text).fill({"A": "1", "B": "2", "EMPTY": ""})[0] == filled


@pytest.mark.parametrize(
    "text",
    ["${", "${A", "x${A:-", "${}", "${1A}", "${A B}", "${A-x}", "${A:?x}", "${A\n}", "${A:-${B}}"],
)
def test_the_schema_refuses_a_malformed_reference(text: str) -> None:
    for url, fits in ((text, False), (text.replace("${", "$${"), True)):
        document = {"version": 1, "tenancies": {"a": {"subscriptions": {"a": {"url": url}}}}}
        assert is_certain_to_fit("hooks", document) is fits


def test_all_variables_without_a_value_are_named() -> None:
    template = Template("${B}${A}${B}${C:-c}${EMPTY}")
    assert [*template.names] == ["B", "A", "C", "EMPTY"]
    assert template.fill({"EMPTY": ""})[1] == dict.fromkeys(["B", "A", "EMPTY"])


@given(st.text())
def test_escaped_text_comes_back(text: str) -> None:
    template = Template(escape(text))
    assert template.fill({}) == (text, {})
    assert template.names == {}


@given(st.lists(st.one_of(st.text(), st.tuples(NAMES, st.text(min_size=1)))))
def test_filling_puts_each_value_in_its_place(pieces: list[str | tuple[str, str]]) -> None:
    environ = dict(piece for piece in pieces if isinstance(piece, tuple))
    text = "".join(
        escape(piece) if isinstance(piece, str) else f"${{{piece[0]}}}" for piece in pieces
    )
    expected = "".join(piece if isinstance(piece, str) else environ[piece[0]] for piece in pieces)
    assert Template(text).fill(environ) == (expected, {})
