"""The redactor finds secret values in clear text and in one level of each encoding."""

from __future__ import annotations

import string
import sys
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.redaction import Redactor, printable
from tests.encodings import ENCODERS
from tests.lanes import sampled

# A mask consists of "*". If a secret has "*", a mask and the text around it could spell the secret.
CHARACTERS = st.characters(exclude_characters="*", exclude_categories=("Cs",))
SECRETS = st.text(CHARACTERS, min_size=1, max_size=40).filter(str.strip)
AROUND = st.text(CHARACTERS, max_size=20)
PRINTABLE = st.text(
    st.sampled_from(string.ascii_letters + string.digits + string.punctuation.replace("*", "")),
    min_size=8,
)
VISIBLE = st.characters(categories=("L", "N", "P", "S"), exclude_characters="*")
LONG = st.tuples(PRINTABLE, st.text(VISIBLE, max_size=8), PRINTABLE).map("".join)


def redactor(*values: str) -> Redactor:
    made = Redactor()
    made.learn(values)
    return made


FOR_ASCII = ("\\u of every second", "\\u of all, in JSON", "Python escapes")


@pytest.mark.parametrize("encoder", ENCODERS)
@given(PRINTABLE, LONG)
def test_a_secret_of_any_characters_is_masked_in_every_encoding(
    encoder: str, printable: str, long: str
) -> None:
    secret = printable if encoder in FOR_ASCII else long
    encoded = ENCODERS[encoder](secret.strip())
    assert encoded not in redactor(secret).clean(f"said: {encoded}.")
    assert redactor(secret).holds(f"said: {encoded}.")


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if not name.startswith("base64")])
@pytest.mark.parametrize("secret", ["pw-4", "0123456", "caf\u00e9", "a b+c"])
def test_a_short_secret_is_masked_in_every_encoding_but_base64(encoder: str, secret: str) -> None:
    if encoder in FOR_ASCII and not secret.isascii():
        return
    encoded = ENCODERS[encoder](secret)
    assert encoded not in redactor(secret).clean(f"said: {encoded}.")


def test_the_line_of_an_escaped_secret_is_masked_and_other_lines_are_kept() -> None:
    knows = redactor("s_cret&of-the-run", "two\nlines")
    assert knows.clean("a&lt;b\nis s&#95;cret&amp;of-the-run\nc%20d\n") == "a&lt;b\n***\nc%20d\n"
    assert knows.clean("/a%20b/s_cret%26of-the-run\r\nc") == "***\r\nc"
    assert knows.clean("a tw%6f\nlines b") == "***"
    assert knows.clean(f"id {b's_cret&of-the-run'.hex()}00") == "id ***00"


@given(st.lists(SECRETS, min_size=1, max_size=5), AROUND)
def test_each_of_several_secrets_is_masked(secrets: list[str], around: str) -> None:
    cleaned = redactor(*secrets).clean(around.join(secrets))
    assert not [secret for secret in secrets if secret in cleaned]


def test_overlapping_secrets_are_masked_completely() -> None:
    assert redactor("ab", "bcdefghij").clean("x abcdefghij y") == "x ****** y"
    assert redactor("abcdef", "cd").clean("abcdef cd") == "*** ***"
    assert set(redactor("abab").clean("abababab")) == {"*"}
    assert set(redactor("abc", "def").clean("abcdef")) == {"*"}


def test_a_percent_encoded_key_is_masked_in_its_decoded_form_too() -> None:
    assert redactor("abc%2Fdef%3D%3D").clean("code was abc/def==") == "code was ***"


def test_a_secret_with_half_a_character_is_masked() -> None:
    assert redactor("\udcff-secret").clean("the \udcff-secret") == "the ***"


@given(AROUND)
def test_a_text_without_secrets_is_not_changed(text: str) -> None:
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
def test_a_quotation_is_redacted_before_it_is_cut(length: int, filler: str) -> None:
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
        (
            '<a href="https://h.example/?a=k3y&amp;b=k3y">',
            '<a href="https://h.example/?a=***&***;b=***">',
        ),
        (
            '{"url": "https://me:k3y@h.example/services/Zq9x8w7v6u5t4s3r2q1p0?code=K"}',
            '{"url": "https://***@h.example/services/***?code=***"}',
        ),
        (
            r'{"url":"https:\/\/h.example\/services\/Zq9x8w7v6u5t4s3r2q1p0?code\u003dK"}',
            '{"url":"https://h.example/services/***?***"}',
        ),
        (r"{\"url\": \"https://h.example/hook\"}", r"{\"url\": \"https://h.example/hook\"}"),
        ("https://me:k3y@h.example/a", "https://***@h.example/a"),
        ("R & D = fine; is it? yes", "R & D = fine; is it? yes"),
        ('{"message": "no", "token": "k3y"}', '{"message": "no", "token": "***"}'),
        ('{"refresh-token" : "k3y\\"k3y", "a": "b"}', '{"refresh-token" : "***", "a": "b"}'),
        ('{"success": true, "token": "k3y-that-is-cu', '{"success": true, "token": "***'),
        ('{"continuationToken":"k3y"}', '{"continuationToken":"***"}'),
        (
            r'{"message": "cannot take {\"secret\": \"k3y\"}"}',
            r'{"message": "cannot take {\"secret\": \"***"}',
        ),
    ],
)
def test_a_quotation_hides_values_that_only_look_like_secrets(text: str, quoted: str) -> None:
    assert Redactor().quote(text) == quoted


def test_a_quotation_of_a_huge_text_shows_its_beginning() -> None:
    assert redactor("secret").quote("?a=" * 3_000_000).startswith("?a=")


@pytest.mark.parametrize(
    "piece",
    sampled(
        [
            "A",
            "QUFB",
            "%25",
            "%41z",
            "&amp;",
            "&a",
            "&#",
            "\\\\",
            "\\u0041",
            "\\u",
            "\\",
            "deadbeef",
            '"token": "',
            "?a=",
        ],
        4,
        4,
    ),
)
def test_the_work_to_redact_a_text_grows_linearly_with_its_length(piece: str) -> None:
    knowing = redactor(*(f"a-value-of-this-run-{number}" for number in range(20)), "s3cr3t")

    def work(length: int) -> int:
        """Return the number of calls of functions, those written in C included."""
        text, calls = piece * (length // len(piece)), 0

        def count(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            knowing.find(text)
            knowing.quote(text)
        finally:
            sys.setprofile(None)
        return calls

    assert work(80_000) <= 5 * work(20_000)


def test_terminal_control_characters_are_written_as_escapes() -> None:
    assert Redactor().quote("a\x1b[2Jb\u202ec\x00d\te\r\nf") == r"a\x1b[2Jb\u202ec\x00d e f"
    assert printable("fine, ü") == "fine, ü"


@pytest.mark.parametrize("command", ["##[error]", "##vso[task.complete]"])
def test_a_ci_runner_command_in_a_text_is_escaped(command: str) -> None:
    assert printable(f"a {command} b") == f"a {command} b".replace("[", r"\x5b", 1)
