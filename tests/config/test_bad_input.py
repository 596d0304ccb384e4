"""A table of mistakes in hooks files, each with the place and the message of its problem."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.config.document import read_tenancies
from hooksync.config.files import Source
from hooksync.config.resolve import check_as_written
from hooksync.core.errors import FileError, Problem

LITERAL = "hunter2-hunter2"  # written where no secret is allowed; no message may repeat it

GOOD = """\
version: 1
defaults:
  include_identifiers: false
tenancies:
  prod:
    server: eu.preservica.com
    tenant: BRAMA
    owns: [https://fn.example.net]
    limits: {unsubscribe: 50%}
    subscriptions:
      catalogue:
        url: https://fn.example.net/hook
        trigger: INDEXED
        secret: {env: HOOK_SECRET}
"""


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        read_tenancies([Source("hooks.yaml", text.encode())], [partial(check_as_written, [])])
    except FileError as error:
        return error.problems
    return ()


def test_the_file_without_mistakes_has_no_problem() -> None:
    assert problems_of(GOOD) == ()


URL = "https://fn.example.net/hook"
CREDENTIALS = "credentials: {username: {env: A}, password: {env: B}}"

# the text replaced | its replacement | line:column of the problem | part of the message or fix
MISTAKES = [
    # the top level
    ("version: 1", "version: 2", "1:1", "version must be 1"),
    (
        "version: 1",
        "version: '1'",
        "1:1",
        "version must be 1, the only version so far / write version: 1",
    ),
    (
        "version: 1",
        "x-version: 1",
        "1:1",
        "the top level has no version / `hooksync schema --kind hooks`",
    ),
    ("version: 1", "version: 1\nverzion: 1", "2:1", "did you mean version?"),
    ("  include_identifiers: false", "  url: https://h", "3:3", 'unknown key "url"'),
    (
        "  include_identifiers: false",
        "  include_identifiers: 'no'",
        "3:3",
        "must be true or false",
    ),
    (
        "  include_identifiers: false",
        f"  secret: {LITERAL}",
        "3:3",
        "a secret is never written into the file",
    ),
    ("  include_identifiers: false", "  - a", "2:1", "defaults must be a mapping"),
    ("version: 1", "version: 1\nextra_triggers: NEW", "2:1", "extra_triggers must be a list"),
    (
        "version: 1",
        "version: 1\nextra_triggers: [yes]",
        "2:1",
        "item 1 of extra_triggers must be text",
    ),
    ("version: 1", "version: 1\nextra_triggers: ['a b']", "2:1", "is not the name of a trigger"),
    ("  include_identifiers: false", "  server: h", "3:3", 'unknown key "server"'),
    ("tenant: BRAMA", "tenant: BRAMA\n\tprobe: auto", "8:1", "the indentation contains a tab"),
    # a tenancy
    ("  prod:", "  'my prod':", "5:3", "this is not a valid name / use letters, digits"),
    ("  prod:", "  yes:", "5:3", "a key must be text"),
    ("  prod:", "  other:\n  prod:", "5:3", "other is empty / write other: {server: "),
    ("  prod:", "  other: 5\n  prod:", "5:3", "other must be a mapping"),
    ("  prod:", "  other: {server: h}\n  prod:", "5:3", 'tenancy "other" has no subscriptions'),
    (
        "  prod:",
        "  other: {server: h, subscriptions: }\n  prod:",
        "5:22",
        "write subscriptions: {catalogue: {url: ",
    ),
    (
        "  prod:",
        "  other: {server: h, subscriptions: []}\n  prod:",
        "5:22",
        "subscriptions must be a mapping / write subscriptions: {catalogue: {url: ",
    ),
    ("server: eu.preservica.com", "server:", "6:5", "server is empty"),
    ("server: eu.preservica.com", "server: {env: SERVER}", "6:5", "server must be text"),
    (
        "server: eu.preservica.com",
        "server: ftp://eu.preservica.com",
        "6:5",
        "neither http nor https",
    ),
    ("server: eu.preservica.com", "server: https://eu.preservica.com/api", "6:5", "has a path"),
    (
        "server: eu.preservica.com",
        f"server: https://me:{LITERAL}@h",
        "6:5",
        "contains user information",
    ),
    (
        "server: eu.preservica.com",
        "server: http://eu.preservica.com",
        "6:5",
        "plain http: the password can be read in transit / use https",
    ),
    (
        "server: eu.preservica.com",
        "server: ${SERVER",
        "6:5",
        "server has a `${` that begins neither",
    ),
    ("tenant: BRAMA", "tenant: off", "7:5", "YAML reads this as true or false"),
    ("tenant: BRAMA", "<<: 5", "7:5", "unknown key"),
    ("tenant: BRAMA", "tenant: ~", "7:5", "tenant is empty"),
    (
        "tenant: BRAMA",
        "tenant: 2026-12-03",
        "7:5",
        "YAML reads this as a number or a date / put quotes around it",
    ),
    ("tenant: BRAMA", "tenant: 0123", "7:5", "a number or a date / put quotes around it"),
    ("  prod:\n", "  - prod:\n", "4:1", "tenancies must be a mapping / `hooksync schema"),
    ("tenant: BRAMA", 'tenant: "A\\nB"', "7:5", "has a line break"),
    ("tenant: BRAMA", "allow_http: 'true'", "7:5", "allow_http must be true or false"),
    ("tenant: BRAMA", "replacement: never", "7:5", "must be one of create-first, remove-first"),
    ("tenant: BRAMA", "probe: off", "7:5", "must be one of auto, require, never"),
    ("tenant: BRAMA", "probe: [auto]", "7:5", "must be one of auto, require, never"),
    # texts that are too long
    ("  prod:", f"  {'p' * 129}:", "5:3", "and at most 128 of them"),
    ("eu.preservica.com", "e" * 1025, "6:5", "server must not have more than 1,024 characters"),
    ("BRAMA", "B" * 1025, "7:5", "tenant must not have more than 1,024 characters"),
    (
        "[https://fn.example.net]",
        f"['https://fn.example.net{'/p' * 5000}']",
        "8:5",
        "must not have more than 8,192 characters",
    ),
    (URL, f"{URL}?{'u' * 9000}", "12:9", "url must not have more than 8,192 characters"),
    ("INDEXED", "I" * 129, "13:9", "trigger must not have more than 128 characters"),
    (
        "INDEXED",
        f"INDEXED\n        description: {'d' * 1025}",
        "14:9",
        "description must not have more than 1,024 characters",
    ),
    ("HOOK_SECRET", "H" * 257, "14:18", "env must not have more than 256 characters"),
    (
        "env: HOOK_SECRET",
        f"file: {'f' * 4097}",
        "14:18",
        "file must not have more than 4,096 characters",
    ),
    # credentials
    (
        "tenant: BRAMA",
        f"credentials: {LITERAL}",
        "7:5",
        "credentials must be a mapping / write credentials: {username: ",
    ),
    (
        "tenant: BRAMA",
        f"credentials: {{password: {LITERAL}}}",
        "7:19",
        "a secret is never written into the file / write password: {env: NAME}",
    ),
    (
        "tenant: BRAMA",
        f"credentials: {{username: {{env: '{LITERAL}!'}}}}",
        "7:30",
        "name of an environment variable",
    ),
    (
        "tenant: BRAMA",
        f"credentials: {{{LITERAL}: x}}",
        "7:19",
        "unknown key / known: username, password, totp",
    ),
    (
        "tenant: BRAMA",
        f"credentials: {{password:{LITERAL}}}",
        "7:19",
        "unknown key / known: username, password, totp",
    ),
    (
        "tenant: BRAMA",
        f"credentials: {{password: {{value: {LITERAL}}}}}",
        "7:30",
        "unknown key / known: env, file, command",
    ),
    (
        "tenant: BRAMA",
        f"credentials: {{x-note: {LITERAL}}}",
        "7:19",
        "unknown key / known: username, password, totp",
    ),
    (
        "tenant: BRAMA",
        "credentials: {username: }",
        "7:19",
        "username must be {env: NAME}, {file: PATH} or",
    ),
    # owns and limits
    ("owns: [https://fn.example.net]", "owns: some", "8:5", "must be made, all, none or a list"),
    ("owns: [https://fn.example.net]", "owns: []", "8:5", "owns is empty"),
    (
        "owns: [https://fn.example.net]",
        "owns: [https://h, fn.example.net]",
        "8:5",
        "is not a URL prefix",
    ),
    ("owns: [https://fn.example.net]", "owns: ['https://u@h']", "8:5", "user information"),
    (
        "owns: [https://fn.example.net]",
        "owns: [https://other.example.net]",
        "12:9",
        "is outside `owns`",
    ),
    ("owns: [https://fn.example.net]", "protect: made", "8:5", "protect must be a list"),
    (
        "owns: [https://fn.example.net]",
        "protect: [https://h, 'https://FN.example.net:443']",
        "12:9",
        "is, or may be, under a prefix in `protect`",
    ),
    ("  include_identifiers: false", "  adopt: 1a", "3:3", 'unknown key "adopt"'),
    ("  include_identifiers: false", "  enabled: false", "3:3", 'unknown key "enabled"'),
    ("trigger: INDEXED", "trigger: INDEXED\n        enabled: 'no'", "14:9", "true or false"),
    ("trigger: INDEXED", "trigger: INDEXED\n        adopt: 12", "14:9", "put quotes around it"),
    ("trigger: INDEXED", "trigger: INDEXED\n        adopt: []", "14:9", "adopt is empty"),
    ("trigger: INDEXED", "trigger: INDEXED\n        adopt: a b", "14:9", "must be the id of a"),
    ("unsubscribe: 50%", "unsubscribe: 101%", "9:14", "a share from 0% to 100% or a number"),
    ("unsubscribe: 50%", "unsubscribe: -1", "9:14", "must be at least 0"),
    ("unsubscribe: 50%", "unsubscribe: 5.0", "9:14", "must be text or a whole number"),
    ("{unsubscribe: 50%}", "50%", "9:5", "limits must be a mapping"),
    ("tenant: BRAMA", "consistency_wait: 0", "7:5", "unknown key"),
    # a subscription
    ("catalogue:", "cata logue:", "11:7", "this is not a valid name"),
    ("catalogue:", "empty:\n      catalogue:", "11:7", "empty is empty / write empty: {url: "),
    (f"        url: {URL}\n", "", "11:7", '"catalogue" has no url'),
    ("url:", "uri:", "12:9", "did you mean url?"),
    (URL, f"\u201c{URL}\u201d", "12:9", "a typographic quotation mark"),
    (URL, f'"{URL}', "12:14", "look here and at the line above: indentation, quotes"),
    (URL, f"https://me:{LITERAL}@fn.example.net/", "12:9", "contains user information"),
    (URL, "https://fn.example.net/#x", "12:9", "has a fragment"),
    (URL, "https://fn.example.net/a b", "12:9", "white space"),
    (URL, "https://h/${}", "12:9", "neither `${NAME}` nor"),
    (URL, "''", "12:9", "url is empty"),
    (URL, "{env: URL}", "12:9", "url must be text"),
    ("trigger: INDEXED", "trigger: INDEXD", "13:9", "did you mean INDEXED?"),
    ("trigger: INDEXED", "trigger: ENTITY_DELETED", "13:9", "newer ones go under extra_triggers"),
    (
        "trigger: INDEXED",
        "trigger: [INDEXED]",
        "13:9",
        "trigger must be text / write trigger: INDEXED",
    ),
    (
        "trigger: INDEXED",
        "triggers: INDEXED",
        "13:9",
        "triggers must be a list / write triggers: [INDEXED, MOVED]",
    ),
    ("trigger: INDEXED", "triggers: []", "13:9", "triggers is empty"),
    (
        "trigger: INDEXED",
        f"triggers: [{', '.join(f'T{number}' for number in range(101))}]",
        "13:9",
        "triggers must not have more than 100 items",
    ),
    (
        "version: 1",
        f"version: 1\nextra_triggers: [{', '.join(f'T{number}' for number in range(101))}]",
        "2:1",
        "extra_triggers must not have more than 100 items",
    ),
    ("trigger: INDEXED", "x-trigger: INDEXED", "11:7", '"catalogue" has no trigger'),
    ("trigger: INDEXED", "trigger: INDEXED\n        owner: me", "14:9", 'unknown key "owner"'),
    (
        "trigger: INDEXED",
        "trigger: INDEXED\n        description: ''",
        "14:9",
        "description is empty, or has a line break",
    ),
    (
        "trigger: INDEXED",
        "trigger: INDEXED\n        description: |\n          a\n          b",
        "14:9",
        "a line break",
    ),
    ("trigger: INDEXED", "trigger: INDEXED\n        description:", "14:9", "description is empty"),
    (
        "trigger: INDEXED",
        "trigger: INDEXED\n        desciption: a",
        "14:9",
        "did you mean description?",
    ),
    # a secret
    ("secret: {env: HOOK_SECRET}", "x-secret: A", "11:7", '"catalogue" has no secret'),
    ("{env: HOOK_SECRET}", LITERAL, "14:9", "a secret is never written into the file"),
    ("{env: HOOK_SECRET}", "", "14:9", "secret must be {env: NAME}"),
    ("{env: HOOK_SECRET}", f"[{LITERAL}]", "14:9", "secret must be {env: NAME}"),
    ("{env: HOOK_SECRET}", "env:HOOK_SECRET", "14:9", "/ write secret: {env: NAME}"),
    ("{env: HOOK_SECRET}", f"env:{LITERAL}", "14:9", "a secret is never written into the file"),
    ("{env: HOOK_SECRET}", "{command: op read x}", "14:18", "command must be a list"),
    ("{env: HOOK_SECRET}", "{command: []}", "14:18", "command is empty"),
    (
        "{env: HOOK_SECRET}",
        '{command: [op, "a\\nb"]}',
        "14:18",
        "has a line break or a control character",
    ),
    (
        "{env: HOOK_SECRET}",
        "{keyring: hooksync}",
        "14:18",
        "unknown key / known: env, file, command",
    ),
    ("{env: HOOK_SECRET}", "{env: A, file: B}", "14:9", "secret must be {env: NAME}"),
    (
        "{env: HOOK_SECRET}",
        f"{{env: '{LITERAL}'}}",
        "14:18",
        "is not the name of an environment variable",
    ),
    ("{env: HOOK_SECRET}", "{env: '${A}'}", "14:18", "digits, _ and ${TENANCY}"),
    ("{env: HOOK_SECRET}", f"{{{LITERAL}: A, {LITERAL}: B}}", "14:38", "duplicate key, first"),
    ("{env: HOOK_SECRET}", f"{{env: [{LITERAL}]}}", "14:18", "env must be text"),
    (
        "{env: HOOK_SECRET}",
        f"{{x-{LITERAL}: 1}}",
        "14:18",
        "unknown key / known: env, file, command",
    ),
    (
        "{env: HOOK_SECRET}",
        f"{{env:{LITERAL}}}",
        "14:18",
        "unknown key / known: env, file, command",
    ),
    ("{env: HOOK_SECRET}", f"{{env:{LITERAL}}}", "14:18", "write a space after the colon"),
    ("{env: HOOK_SECRET}", "{file: ''}", "14:18", "is empty, or has a line break"),
    ("{env: HOOK_SECRET}", f'{{file: "{LITERAL}\\n"}}', "14:18", "is empty, or has a line break"),
    (
        "secret: {env: HOOK_SECRET}",
        f"secret:{LITERAL}",
        "14:9",
        "brackets, a space after each colon",
    ),
    ("secret: {env: HOOK_SECRET}", f"secert: {LITERAL}", "14:9", "did you mean secret?"),
    ("secret: {env: HOOK_SECRET}", f"secret = {LITERAL}: x", "14:9", "unknown key"),
    ("secret: {env: HOOK_SECRET}", f"password: {LITERAL}", "14:9", 'unknown key "password"'),
    # variables and files that no hooks file may use
    (
        "{env: HOOK_SECRET}",
        "{env: HOOKSYNC_PLAN_KEY}",
        "14:9",
        "HOOKSYNC_PLAN_KEY is for hooksync itself",
    ),
    ("{env: HOOK_SECRET}", "{env: hooksync_plan_key}", "14:9", "is for hooksync itself"),
    ("{env: HOOK_SECRET}", "{file: /proc/self/environ}", "14:9", "a file of the system itself"),
    # conflicts between subscriptions
    (
        "      catalogue:",
        (
            f"      twin: {{url: {URL!r}, trigger: FULL_TEXT_INDEXED, secret: {{env: A}}}}\n     "
            " catalogue:"
        ),
        "12:7",
        '"catalogue" has the URL and the trigger INDEXED of "twin" (hooks.yaml:11:7)',
    ),
    (
        "      catalogue:",
        "      catalogue: {}\n      catalogue:",
        "12:7",
        'duplicate key "catalogue", first at 11:7',
    ),
]


@pytest.mark.parametrize(("right", "wrong", "place", "fragment"), MISTAKES)
def test_each_mistake_is_reported_at_its_place(
    right: str, wrong: str, place: str, fragment: str
) -> None:
    assert right in GOOD
    problems = problems_of(GOOD.replace(right, wrong, 1))
    assert f"hooks.yaml:{place}" in [str(problem.where) for problem in problems]
    said = [
        f"{problem.what} / {problem.fix}"
        for problem in problems
        if str(problem.where) == f"hooks.yaml:{place}"
    ]
    assert any(fragment in line for line in said), said
    assert all(
        problem.what[0].islower() or problem.what[0] in "\"`'" or problem.what[:3] == "URL"
        for problem in problems
    )
    assert LITERAL not in "\n".join(map(str, problems))


def test_a_file_without_tenancies_is_refused() -> None:
    assert [problem.what for problem in problems_of("version: 1\ntenancies: {}\n")] == [
        "tenancies is empty"
    ]
    assert [problem.what for problem in problems_of("version: 1\ntenancies:\n")] == [
        "tenancies is empty"
    ]
    assert [problem.what for problem in problems_of("version: 1\n")] == ["no tenancy is declared"]
    assert [problem.what for problem in problems_of("version: 1\nextra_triggers: [A]\n")] == [
        "no tenancy is declared"
    ]


def test_urls_are_compared_in_their_normal_form() -> None:
    text = (
        GOOD.replace(URL, "HTTPS://FN.example.net:443?x")
        + "      twin: {url: 'https://fn.example.net/?x', trigger: INDEXED, secret: {env: A}}\n"
        "      other: {url: 'https://fn.example.net/?x', trigger: MOVED, secret: {env: A}}\n"
    )
    assert [str(problem.where) for problem in problems_of(text)] == ["hooks.yaml:15:7"]


def test_an_alias_bomb_in_place_of_the_tenancies_gives_a_short_message() -> None:
    lines = ["version: 1", "x0: &x0 [a, a, a, a, a, a, a, a]"]
    lines += [f"x{level}: &x{level} [{', '.join([f'*x{level - 1}'] * 8)}]" for level in range(1, 5)]
    unknown, *_, wrong = problems_of("\n".join([*lines, "tenancies: *x4"]) + "\n")
    assert unknown.what == "unknown key"
    assert wrong.what == "tenancies must be a mapping"


words = st.text(st.sampled_from("ab: -?[]{},&*!|>'\"%@`#\n<0=~.$\\"), max_size=8)


@given(st.integers(0, len(GOOD)), st.integers(0, 12), words)
def test_any_change_to_a_file_raises_at_most_a_file_error(
    start: int, length: int, text: str
) -> None:
    problems_of(GOOD[:start] + text + GOOD[start + length :])
