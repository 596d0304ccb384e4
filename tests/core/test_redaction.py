"""The last net: what foreign text may echo of a secret, in any encoding that a peer is likely to use."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hooksync.core.redaction import Redactor, printable

# "*" is what a mask is made of: with it, a text around a mask may spell the secret again
SECRETS = st.text(st.characters(exclude_characters="*", exclude_categories=("Cs",)), min_size=1, max_size=40)
AROUND = st.text(st.characters(exclude_characters="*", exclude_categories=("Cs",)), max_size=20)


def redactor(*values: str) -> Redactor:
    made = Redactor()
    made.learn(values)
    return made


def _quoted_lower(text: str) -> str:
    first, *others = quote(text, safe="").split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in others)])


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON with \\/": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "repr": lambda text: repr(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "URL": lambda text: quote(text, safe=""),
    "URL with /": quote,
    "URL, lower hex": _quoted_lower,
    "form": quote_plus,
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "HTML": html.escape,
    "HTML, quotes left": lambda text: html.escape(text, quote=False),
    "HTML, numbers": lambda text: html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(SECRETS, AROUND, AROUND)
@example("'", "", '"')
@example("'\"", "'", "")
@example("é", "", "ÿ")
@example("a%2fb==", "", "")
@example("\\'", "", "'")
def test_no_encoding_of_a_secret_is_left_whatever_surrounds_it(
    encoding: str, secret: str, before: str, after: str
) -> None:
    encode = ENCODINGS[encoding]
    cleaned = redactor(secret).clean(encode(before + secret + after))
    assert encode(secret) not in cleaned
    assert secret not in cleaned


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@given(
    st.text(min_size=4, max_size=40).filter(lambda text: "*" not in text), st.binary(max_size=8), st.binary(max_size=8)
)
def test_base64_of_a_secret_is_hidden_wherever_in_it_the_secret_starts(
    encode: Callable[[bytes], bytes], secret: str, before: bytes, after: bytes
) -> None:
    raw = secret.encode("utf-8", "surrogatepass")
    encoded = encode(before + raw + after).decode()
    start = -(-8 * len(before) // 6)  # the first character that is the secret's alone
    stop = 8 * (len(before) + len(raw)) // 6
    assert encoded[start:stop] not in redactor(secret).clean(encoded)


@given(SECRETS)
def test_a_short_secret_alone_in_base64_is_hidden_too(secret: str) -> None:
    assert redactor(secret).clean(base64.b64encode(secret.encode()).decode()) == "***"


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
