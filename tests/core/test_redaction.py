"""The last net: what foreign text may echo of a secret, in any encoding that a peer is likely to use."""

from __future__ import annotations

import base64
import html
import html.entities
import json
import string
import textwrap
import time
from array import array
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hooksync.core.redaction import NOT_SHOWN, Redactor, printable

# "*" is what a mask is made of: with it, a text around a mask may spell the secret again
CHARACTERS = st.characters(exclude_characters="*", exclude_categories=("Cs",))
SECRETS = st.text(CHARACTERS, min_size=1, max_size=40)
AROUND = st.text(CHARACTERS, max_size=20)
PRINTABLE = st.text(
    st.sampled_from(string.ascii_letters + string.digits + string.punctuation.replace("*", "")), min_size=8
)
LONG = st.tuples(PRINTABLE, st.text(CHARACTERS, max_size=8), PRINTABLE).map("".join)


def redactor(*values: str) -> Redactor:
    made = Redactor()
    made.learn(values)
    return made


def of_each(write: Callable[[int], str]) -> Callable[[str], str]:
    """Encode every byte by itself, those that no encoder of URLs or texts would touch as well."""
    return lambda text: "".join(map(write, text.encode()))


def as_base64(before: bytes = b"", after: bytes = b"") -> Callable[[str], str]:
    return lambda text: base64.b64encode(before + text.encode() + after).decode()


def in_lines(encode: Callable[[str], str], end: str) -> Callable[[str], str]:
    return lambda text: end.join(textwrap.wrap(encode(text), 19))


ENCODERS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON with \\/": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "\\u of all": lambda text: "".join(f"\\u{unit:04X}" for unit in array("H", text.encode("utf-16")[2:])),
    "\\u{} of all": lambda text: "".join(f"\\u{{{ord(c):x}}}" for c in text),
    "\\U of all": lambda text: "".join(f"\\U{ord(c):08x}" for c in text),
    "repr": lambda text: repr(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "\\x of all": of_each(r"\x{:02x}".format),
    "URL": lambda text: quote(text, safe=""),
    "URL with /": quote,
    "URL of all": of_each("%{:02X}".format),
    "URL of all, lower case": of_each("%{:02x}".format),
    "form": quote_plus,
    "hex": of_each("{:02x}".format),
    "HEX": of_each("{:02X}".format),
    "hex with spaces": of_each("{:02x} ".format),
    "hex with colons": of_each("{:02X}:".format),
    "hex with 0x": of_each("0x{:02x}, ".format),
    "HTML": html.escape,
    "HTML, quotes left": lambda text: html.escape(text, quote=False),
    "HTML, named": lambda text: "".join(f"&{html.entities.codepoint2name.get(ord(c), f'#{ord(c)}')};" for c in text),
    "HTML, decimal": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(c):x};" for c in text),
    "base64": as_base64(),
    "base64 after one byte": as_base64(b"{"),
    "base64 after two bytes, in more": as_base64(b"p=", b"\xff\xfe more"),
    "base64 of URLs": lambda text: base64.urlsafe_b64encode(b"\xff" + text.encode()).decode().rstrip("="),
    "base64 in lines": in_lines(as_base64(), "\r\n"),
    "base64 of the form": lambda text: as_base64()(urlencode({"username": "me", "password": text})),
    "base64 of the JSON": lambda text: as_base64()(json.dumps({"url": "https://h.example/", "secret": text})),
    "UTF-16": lambda text: text.encode("utf-16-le").decode("utf-8", "replace"),
    "UTF-16, big end first": lambda text: text.encode("utf-16").decode("utf-8", "replace"),
    "UTF-32": lambda text: text.encode("utf-32-be").decode("utf-8", "replace"),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16")).decode(),
    "UTF-8 as Latin-1": lambda text: text.encode().decode("latin-1"),
    "trimmed": str.strip,
    "in lines": in_lines(str, "\n"),
}


def are_few(names: list[str]) -> bool:
    """Whether there are no more than four: those of a form, a body and UTF-16 in base64 are two."""
    return len(names) + sum(name.startswith("base64 of") for name in names) <= 4


@given(st.lists(st.sampled_from(sorted(ENCODERS)), min_size=1, max_size=3).filter(are_few), PRINTABLE, AROUND, AROUND)
@settings(max_examples=300)
@example(["base64 of the form"], "tr%41ps&amp;more\\n", "", "")
@example(["UTF-16"], "0000000\\", "", "")
def test_no_composition_of_encodings_lets_a_secret_through(
    names: list[str], secret: str, before: str, after: str
) -> None:
    encoded = secret
    for name in names:
        encoded = ENCODERS[name](encoded)
    cleaned = redactor(secret).clean(f"{before}: {encoded} {after}")
    assert encoded not in cleaned
    assert secret not in cleaned
    assert redactor(secret).holds(f"{before}={encoded}, {after}")


@pytest.mark.parametrize("encoder", ENCODERS)
@given(LONG)
@settings(max_examples=20)
def test_no_encoding_lets_a_secret_of_any_characters_through(encoder: str, secret: str) -> None:
    encoded = ENCODERS[encoder](secret)
    assert encoded not in redactor(secret).clean(f"said: {encoded}.")


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("secret", ["pw-4", "0123456", "caf\u00e9", "a b+c"])
def test_of_a_short_secret_no_encoding_comes_through(encoder: str, secret: str) -> None:
    encoded = ENCODERS[encoder](secret)
    assert encoded not in redactor(secret).clean(f"said: {encoded}.")


@given(st.lists(SECRETS, min_size=1, max_size=5), AROUND)
def test_of_several_secrets_none_is_left(secrets: list[str], around: str) -> None:
    cleaned = redactor(*secrets).clean(around.join(secrets))
    assert not [secret for secret in secrets if secret in cleaned]


def test_secrets_that_overlap_are_hidden_whole() -> None:
    assert redactor("ab", "bcdefghij").clean("x abcdefghij y") == "x *** y"
    assert redactor("abcdef", "cd").clean("abcdef cd") == "*** ***"
    assert redactor("abab").clean("abababab!") == "***!"
    assert redactor("abc", "def").clean("abcdef") == "***"


def test_the_percent_escapes_of_a_key_are_hidden_decoded_too() -> None:
    assert redactor("abc%2Fdef%3D%3D").clean("code was abc/def==") == "code was ***"


def test_a_secret_that_came_back_in_latin_1_is_hidden() -> None:
    text = "the password pässwörd-0123 is wrong".encode("latin-1").decode("utf-8", "replace")
    assert redactor("pässwörd-0123").clean(text) == "the password *** is wrong"


def test_half_a_character_is_no_reason_to_fail() -> None:
    assert redactor("\udcff-secret").clean("the \udcff-secret") == "the ***"


@given(AROUND)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert Redactor().clean(text) == text
    assert redactor("", "\N{SNOWMAN}" * 50).clean(text) == text


@given(SECRETS, st.text(max_size=3000))
def test_a_quotation_is_one_short_printable_line_without_the_secret(secret: str, text: str) -> None:
    quoted = redactor(secret).quote(text + secret + text)
    assert len(quoted) <= 256
    assert quoted.isprintable()
    if len(secret) > 3 and secret.isascii() and secret.isalnum():
        assert secret not in quoted


@pytest.mark.parametrize("length", [*range(240, 260), 65_520, 65_530, 65_536, 65_540])
@pytest.mark.parametrize("filler", ["x", " "])
def test_a_text_is_cut_after_it_is_redacted(length: int, filler: str) -> None:
    secret = "0123456789abcdefghijklmnopqrstuv"
    quoted = redactor(secret).quote(filler * length + secret + filler * 100_000)
    assert "0123" not in quoted
    assert len(quoted) <= 256


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("see https://h.example/a?code=k3y", "see https://h.example/a?code=***"),
        ("GET /a?code=k3y&b=k3y&c", "GET /a?code=***&b=***&c"),
        ('{"url": "https://h.example/?code=k3y"}', '{"url": "https://h.example/?code=***"}'),
        ('<a href="https://h.example/?a=k3y&amp;b=k3y">', '<a href="https://h.example/?a=***&amp;b=***">'),
        ("https://me:k3y@h.example/a", "https://***@h.example/a"),
        ("R & D = fine; is it? yes", "R & D = fine; is it? yes"),
        ('{"message": "no", "token": "k3y"}', '{"message": "no", "token": "***"}'),
        ('{"refresh-token" : "k3y\\"k3y", "a": "b"}', '{"refresh-token" : "***", "a": "b"}'),
        ('{"success": true, "token": "k3y-that-is-cu', '{"success": true, "token": "***'),
        ('{"continuationToken":"k3y"}', '{"continuationToken":"***"}'),
        (r'{"message": "cannot take {\"secret\": \"k3y\"}"}', r'{"message": "cannot take {\"secret\": \"***"}'),
    ],
)
def test_a_quotation_hides_what_only_looks_like_a_secret(text: str, quoted: str) -> None:
    assert Redactor().quote(text) == quoted


def test_a_quotation_of_a_huge_text_looks_at_its_beginning_only() -> None:
    assert redactor("secret").quote("?a=" * 3_000_000).startswith("?a=")


@pytest.mark.parametrize(
    "piece",
    [
        "A",
        "QUFB",
        "%25",
        "&amp;",
        "\\\\",
        "deadbeef",
        "<p>words and words</p>",
        base64.b64encode(b"QUFB" * 40).decode(),
    ],
)
def test_no_text_takes_long_to_look_through_nor_much_memory(piece: str) -> None:
    knowing = redactor(*(f"a-value-of-this-run-{number}" for number in range(2_000)), "s3cr3t")
    start = time.process_time()
    knowing.quote(piece * 1_000_000)
    assert time.process_time() - start < 2


def test_what_decodes_to_more_than_there_is_time_for_is_not_shown() -> None:
    nested = b"more and more of it, " * 2000
    for _ in range(2):
        nested = nested.hex().encode()
    assert redactor("s3cr3t-of-the-run").clean(nested.decode()) == nested.decode()[:32_768]


def test_letter_case_hides_no_secret_of_eight_characters() -> None:
    assert (
        redactor("t0ken-of-the-run").quote("no T0KEN-OF-THE-RUN, or its hex 54304B454E2D4F462D5448452D52554E")
        == NOT_SHOWN
    )


def test_a_text_that_holds_a_secret_encoded_is_not_quoted_at_all() -> None:
    assert redactor("s3cr3t-of-the-run").quote(f"no: {b's3cr3t-of-the-run'.hex()}!") == NOT_SHOWN


def test_what_could_steer_a_terminal_is_written_as_an_escape() -> None:
    assert Redactor().quote("a\x1b[2Jb\u202ec\x00d\te\r\nf") == r"a\x1b[2Jb\u202ec\x00d e f"
    assert printable("fine, ü") == "fine, ü"


def test_a_redactor_shows_nothing_of_what_it_knows() -> None:
    assert "s3cret" not in repr(redactor("s3cret"))


def test_a_command_to_a_ci_runner_is_shown_and_not_given() -> None:
    assert printable("https://evil.example/##[error]x") == r"https://evil.example/##\x5berror]x"


def test_values_to_look_up_later_are_looked_up_once_and_for_the_first_foreign_text() -> None:
    asked: list[None] = []

    def values() -> list[str]:
        asked.append(None)
        return ["v4lue-of-later"]

    redactor = Redactor()
    redactor.learn_later(values)
    assert asked == []
    assert redactor.quote("said v4lue-of-later") == redactor.quote("said v4lue-of-later") == "said ***"
    assert len(asked) == 1


@pytest.mark.parametrize("command", ["##[error]", "##vso[task.complete]"])
def test_what_a_ci_runner_takes_for_a_command_is_written_so_that_it_is_none(command: str) -> None:
    assert printable(f"a {command} b") == f"a {command} b".replace("[", r"\x5b", 1)
