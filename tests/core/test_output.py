"""All output passes through one class: how it masks and escapes text, and how it writes files."""

from __future__ import annotations

import html
import json
import os
import stat
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hooksync.core.errors import FileError
from hooksync.core.output import Format, Output, escaped
from hooksync.core.redaction import SHORTEST_MASKED, printable
from hooksync.core.schema import SCHEMA_KINDS, schema_text
from hooksync.render import markdown

FORMS: tuple[Format, ...] = ("text", "json")  # the others are masked and escaped as text
SECRET = "s3cret-of-the-catalogue"
WORDS = st.text() | st.sampled_from(
    [
        "##vso[",
        "##[",
        "::",
        " ::set-output name=x::",
        "\n",
        "\r",
        "\x1b[2J",
        "\u202e",
        "\t",
        '"',
        "\\",
        "\0",
        "\ufeff",
    ]
)
TEXTS = st.lists(WORDS, max_size=8).map("".join)
SCHEMAS = "".join(map(schema_text, SCHEMA_KINDS))
VALUES = (  # white space around a value does not count, and words of our own formats are no secrets
    st.text(min_size=SHORTEST_MASKED)
    .map(str.strip)
    .filter(lambda value: len(value) >= SHORTEST_MASKED and value not in SCHEMAS)
)


def knowing(*values: str) -> Output:
    output = Output()
    output.redactor.learn(values)
    return output


def shown_by(output: Output, text: str, form: Format) -> str:
    return escaped(output.masked(text, form), form)


# --- control of a terminal or a runner


@given(TEXTS)
def test_no_text_steers_a_terminal_or_a_runner(text: str) -> None:
    lines = escaped(text, "text").split("\n")
    assert len(lines) == text.count("\n") + 1
    for line in lines:
        assert line.isprintable()
        assert not line.strip().startswith("::")
        assert "##[" not in line
        assert "##vso[" not in line


@given(
    data=st.recursive(
        TEXTS | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
        max_leaves=5,
    ),
    is_ascii=st.booleans(),
)
def test_escaping_does_not_change_the_meaning_of_json(data: object, *, is_ascii: bool) -> None:
    text = json.dumps(data, ensure_ascii=is_ascii, indent=2)
    safe = escaped(text, "json")
    assert json.loads(safe) == data
    assert safe.replace("\n", "").isprintable()
    assert "##[" not in safe
    assert "##vso[" not in safe
    assert not any(line.strip().startswith("::") for line in safe.splitlines())


@pytest.mark.parametrize(
    ("text", "form", "safe"),
    [
        ("##vso[task.x]", "text", "##vso\\x5btask.x]"),
        ('"##vso[task.x]"', "json", '"##vso\\u005btask.x]"'),
        ("a\n  ::error::x\nstd::string", "text", "a\n  \\x3a:error::x\nstd::string"),
        ("\u202ex\x1b[2J", "text", "\\u202ex\\x1b[2J"),
        ('{\r\n\t"a": "\u202e\U000e0041"}', "json", '{\n"a": "\\u202e\\udb40\\udc41"}'),
        (
            "#\ufe0f#[x] \u3164",
            "text",
            "#\\ufe0f#[x] \\u3164",
        ),  # .NET ignores \ufe0f when it searches for ##[
        ("\u034f::x::\n:\ufe0e:x::", "text", "\\u034f::x::\n:\\ufe0e:x::"),
        ('"\ufe0f é"', "json", '"\\ufe0f é"'),
    ],
)
def test_each_dangerous_text_has_exactly_this_escaped_form(
    text: str, form: Format, safe: str
) -> None:
    assert escaped(text, form) == safe


def test_a_coloured_line_is_escaped_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result("+ \x1b[2J\n::error::x\n", is_coloured=True)
    assert capsys.readouterr().out == "\x1b[32m+ \\x1b[2J\x1b[0m\n\\x3a:error::x\n"


# --- values that must not be seen


@given(VALUES, TEXTS, TEXTS, st.sampled_from(FORMS))
def test_no_output_of_any_format_holds_a_known_value(
    value: str, before: str, after: str, form: Format
) -> None:
    output = knowing(value)
    text = f"{before}{value}{after}"
    if form != "json":
        assert value not in output.masked(text, form) or value in "***"
        return
    masked = json.loads(shown_by(output, json.dumps({"detail": [text, 12345678, None]}), "json"))
    assert value not in masked["detail"][0] or value in "***"
    assert masked["detail"][1:] == [12345678, None]


RENDERERS: dict[
    str, tuple[Callable[[str], str], Format, Callable[[str], str]]
] = {  # how each format is written, and read
    "text": (printable, "text", str),
    "markdown": (markdown.in_markdown, "text", html.unescape),
    "a block of markdown": (
        lambda text: f"{markdown.fence(printable(text))}\n{printable(text)}",
        "text",
        str,
    ),
    "html": (lambda text: html.escape(printable(text)), "text", html.unescape),
    "json": (json.dumps, "json", json.loads),
    "json, not ascii": (lambda text: json.dumps(text, ensure_ascii=False), "json", json.loads),
    "slack": (
        lambda text: json.dumps(html.escape(printable(text), quote=False)),
        "json",
        html.unescape,
    ),
    "a url": (lambda text: quote(text, safe=""), "text", unquote),
    "hex": (lambda text: text.encode().hex(), "text", str),
    "base64": (lambda text: b64encode(text.encode()).decode(), "text", str),
}


@pytest.mark.parametrize("renderer", RENDERERS)
@given(VALUES)
@example("ab##[error]cd_ef")
@example("line 1\nline 2\t_")
@example("_*&<>`\"'\\%$_*")
@example("ab&amp;cd%5F&#95;ef")
@example(r"ab\u0041cd\_ef")
def test_a_value_that_a_format_has_to_escape_is_masked_too(renderer: str, value: str) -> None:
    write, form, read = RENDERERS[renderer]
    written = write(f"a {value} b")
    shown = shown_by(knowing(value), written, form)
    assert written not in shown
    assert value not in read(shown) or value in "***"
    assert printable(value) not in read(shown) or value in "***"


def test_progress_is_erased_and_ends_with_a_space_because_other_programs_write_after_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = Output()
    output.progress("reading 1/2")
    output.message("warning: slow")
    output.progress("reading 2/2")
    output.result("done\n")
    erased = f"\r{' ' * len('reading 1/2 ')}\r"
    assert capsys.readouterr() == (
        "done\n",
        f"reading 1/2 {erased}warning: slow\nreading 2/2 {erased}",
    )


def test_a_short_value_inside_a_word_is_not_masked() -> None:
    assert knowing("planned").masked("unplanned") == "unplanned"


@pytest.mark.parametrize("form", FORMS)
def test_a_value_that_everybody_can_read_is_not_masked(form: Format) -> None:
    output = Output()
    output.public.append(b"tenancies: {archive: {subscriptions: {catalogue-of-maps: {}}}}")
    output.learn(["unsubscribe", "catalogue-of-maps", SECRET])
    text = json.dumps({"action": "unsubscribe", "name": "catalogue-of-maps", "id": SECRET})
    assert shown_by(output, text, form) == text.replace(SECRET, "***")


def test_a_plan_or_hooks_file_with_a_secret_is_refused_and_a_report_is_masked(
    tmp_path: Path,
) -> None:
    output = knowing(SECRET)
    with pytest.raises(FileError, match="the plan would hold a secret") as caught:
        output.checked(json.dumps({"id": SECRET}), "the plan")
    assert SECRET not in str(caught.value)
    with pytest.raises(FileError, match=r"hooks\.yaml would hold a secret"):
        output.create_file(str(tmp_path / "hooks.yaml"), f"x-note: {SECRET}\n")
    output.write_file(str(tmp_path / "report.json"), json.dumps({"id": SECRET}))
    assert os.listdir(tmp_path) == ["report.json"]
    assert json.loads((tmp_path / "report.json").read_text()) == {"id": "***"}


# --- files


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    target.write_text("old and long")
    with open(target, encoding="utf-8") as reader:
        Output().write_file(str(target), '"né"\n', 0o640)
        assert reader.read() == "old and long"  # an open reader still reads the old text
    assert target.read_bytes() == '"né"\n'.encode()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["plan.json"]


def test_the_mode_of_a_file_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o277)
    try:
        Output().write_file(str(tmp_path / "plan.json"), "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "plan.json").stat().st_mode) == 0o600
