from functools import partial

import pytest

from hooksync.config.declarations import Declarations, TenancyDeclaration
from hooksync.config.document import read_tenancies
from hooksync.config.files import STDIN, Source
from hooksync.config.resolve import check_as_written
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import CredentialRefs, Location, SecretRef, UnsubscribeLimit
from hooksync.core.template import Template

LITERAL = "hunter2-hunter2"  # written where no secret is allowed; no message may repeat it


def read(*texts: str) -> Declarations:
    sources = [
        Source(f"{name}.yaml", text.encode()) for name, text in zip("abcdef", texts, strict=False)
    ]
    return read_tenancies(sources, [partial(check_as_written, [])])


def problems_of(*texts: str) -> list[Problem]:
    with pytest.raises(FileError) as caught:
        read(*texts)
    return list(caught.value.problems)


def said_of(*texts: str) -> list[str]:
    return [f"{problem.where}: {problem.what}" for problem in problems_of(*texts)]


GOOD = """\
version: 1
defaults:
  secret: {env: HOOK_SECRET}
tenancies:
  prod:
    server: eu.preservica.com
    tenant: BRAMA
    subscriptions:
      catalogue:
        url: https://fn.example.net/hook?code=${FN_KEY}
        triggers: [INDEXED, MOVED]
"""


def test_a_file_is_read_into_its_declarations() -> None:
    (tenancy,) = read(GOOD)
    subscription, other = tenancy.subscriptions
    assert (tenancy.name, tenancy.location) == ("prod", Location("a.yaml", 5, 3))
    assert tenancy.server.text == "eu.preservica.com"
    assert subscription.name == "catalogue"
    assert subscription.location == Location("a.yaml", 9, 7)
    assert subscription.url.text == "https://fn.example.net/hook?code=${FN_KEY}"
    assert subscription.url.location == Location("a.yaml", 10, 9)
    assert (subscription.trigger, other.trigger) == ("FULL_TEXT_INDEXED", "MOVED")
    assert subscription.secret == SecretRef("env", "HOOK_SECRET")
    assert subscription.secret.location == Location("a.yaml", 3, 3)
    assert subscription.include_identifiers


def test_an_omitted_setting_has_its_default() -> None:
    (tenancy,) = read("version: 1\ntenancies: {prod: {subscriptions: {}}}\n")
    assert tenancy == TenancyDeclaration(
        "prod",
        (),
        Location("a.yaml", 2, 13),
        ("a.yaml",),
        server=Template("${PRESERVICA_SERVER}"),
        tenant=Template("${PRESERVICA_TENANT:-}"),
        allow_http=False,
        credentials=CredentialRefs(),
        owns="made",
        protect=frozenset(),
        limit=UnsubscribeLimit("50%"),
        replacement="create-first",
        probe="auto",
    )


@pytest.mark.parametrize(("written", "ids"), [("9a", ("9a",)), ("[9a, 7b]", ("9a", "7b"))])
def test_a_subscription_may_be_paused_and_adopt_one_or_several_ids(
    written: str, ids: tuple[str, ...]
) -> None:
    text = f"{GOOD}        enabled: false\n        adopt: {written}\n"
    for subscription in read(text)[0].subscriptions:
        assert not subscription.enabled
        assert subscription.adopt == ids


def test_all_settings_are_read() -> None:
    (tenancy,) = read("""
version: 1
tenancies:
  prod:
    server: http://10.0.0.1:8080
    tenant: BRAMA
    allow_http: true
    credentials:
      username: {file: secrets/name}
      password: {env: A_PASSWORD}
    owns: [https://h/api, https://h/b]
    limits: {unsubscribe: 12.5%}
    replacement: remove-first
    probe: never
    subscriptions: {}
""")
    settings = tenancy
    assert settings.allow_http
    assert settings.credentials.username == SecretRef("file", "secrets/name", base="")
    assert settings.owns == {"https://h/api", "https://h/b"}
    assert settings.limit == UnsubscribeLimit("12.5%")
    assert (settings.replacement, settings.probe) == ("remove-first", "never")


DEFAULTS = """
version: 1
defaults: {trigger: MOVED, secret: {env: A}, include_identifiers: false}
tenancies:
  prod:
    subscriptions:
      own: {url: https://h/1, triggers: [INDEXED], secret: {env: B}, include_identifiers: true}
      none: {url: https://h/2}
"""


def test_a_subscription_overrides_the_defaults() -> None:
    own, none = read(DEFAULTS)[0].subscriptions
    assert (own.trigger, own.secret.name, own.include_identifiers) == (
        "FULL_TEXT_INDEXED",
        "B",
        True,
    )
    assert (none.trigger, none.secret.name, none.include_identifiers) == ("MOVED", "A", False)


def test_defaults_count_for_their_own_file_only() -> None:
    other = "version: 1\ntenancies: {prod: {subscriptions: {c: {url: https://h/3}}}}\n"
    assert said_of(DEFAULTS, other) == [
        'b.yaml:2:36: "c" has no trigger',
        'b.yaml:2:36: "c" has no secret',
    ]


SETTINGS = """
version: 1
defaults:
  owns: none
  limits: {unsubscribe: 3}
  probe: require
  replacement: remove-first
  allow_http: true
tenancies:
  a: {server: http://a, subscriptions: {}}
  b: {server: b, owns: all, limits: {unsubscribe: 10%}, allow_http: false, subscriptions: {}}
"""


def test_settings_of_a_tenancy_may_be_defaults() -> None:
    plain, own = read(SETTINGS)
    assert (plain.owns, plain.limit) == ("none", UnsubscribeLimit(3))
    assert (plain.probe, plain.replacement, plain.allow_http) == ("require", "remove-first", True)
    assert (own.owns, own.limit, own.probe, own.allow_http) == (
        "all",
        UnsubscribeLimit("10%"),
        "require",
        False,
    )


def test_a_bad_prefix_in_the_defaults_is_reported_once() -> None:
    assert said_of(SETTINGS.replace("none", "[h]").replace("a, sub", "a, tenant: T, sub")) == [
        "a.yaml:4:3: item 1 of owns is not a URL prefix: http or https, without query, fragment, "
        "user information and ${"
    ]


MORE = "version: 1\ntenancies: {prod: {subscriptions: {}}}\n"
OTHER = "version: 1\ntenancies: {other: {server: h, subscriptions: {}}}\n"


@pytest.mark.parametrize(
    ("one", "two", "owns"),
    [
        (GOOD.replace("defaults:", "defaults:\n  owns: none"), "defaults: {owns: all}\n" + MORE, "none"),
        (GOOD, "defaults: {owns: all}\n" + MORE, "made"),
        ("defaults: {owns: all}\n" + MORE, OTHER, "all"),
    ],
)  # fmt: skip
def test_a_tenancy_takes_default_settings_from_the_file_that_has_its_own_settings(
    one: str, two: str, owns: str
) -> None:
    tenancy, *_ = read(one, two)
    assert tenancy.owns == owns


def test_two_files_whose_defaults_disagree_about_a_tenancy_without_settings_are_refused() -> None:
    one, two = (f"defaults: {{owns: {owns}}}\n{MORE}" for owns in ("all", "none"))
    assert said_of(one, two) == [
        'b.yaml:3:13: two files give tenancy "prod" settings; the other place is a.yaml:3:13'
    ]
    assert read(one, one.replace("version: 1", "version: 1 # b"))[0].owns == "all"


def test_two_spellings_of_one_trigger_are_one_trigger() -> None:
    [tenancy] = read(GOOD.replace("MOVED", "FULL_TEXT_INDEXED"))
    assert [entry.trigger for entry in tenancy.subscriptions] == ["FULL_TEXT_INDEXED"]


def test_anchors_and_merges_work() -> None:
    (tenancy,) = read("""
version: 1
x-common: &common {secret: {env: A}, triggers: [MOVED]}
tenancies:
  prod:
    x-note: anything
    subscriptions:
      a: {<<: *common, url: https://h/1}
      b: {<<: *common, url: https://h/2, secret: {env: B}, x-why: because}
""")
    assert [entry.secret.name for entry in tenancy.subscriptions] == ["A", "B"]


def test_wire_names_and_extra_triggers_of_any_file_are_accepted() -> None:
    extra = "version: 1\nextra_triggers: [ENTITY_DELETED]\n"
    text = GOOD.replace("[INDEXED, MOVED]", "[FULL_TEXT_INDEXED, ENTITY_DELETED]")
    subscriptions = read(text, extra)[0].subscriptions
    assert [entry.trigger for entry in subscriptions] == ["FULL_TEXT_INDEXED", "ENTITY_DELETED"]


def test_all_files_together_may_name_100_extra_triggers() -> None:
    def naming(*names: str) -> str:
        return f"version: 1\nextra_triggers: [{', '.join(names)}]\n"

    names = [f"NEW{number}" for number in range(100)]
    assert read(GOOD, naming(*names), naming(*names))
    [problem] = problems_of(GOOD, naming(*names), naming("ONE_MORE"))
    assert str(problem.where) == "c.yaml:2:1"
    assert problem.what == "all files together have more than 100 extra_triggers"


def test_an_unknown_trigger_is_reported_once_whoever_names_it() -> None:
    text = "version: 1\nx-a: &t [NEW, NEWER]\ntenancies:\n"
    for name in "ab":
        text += f"  {name}:\n    server: {name}.example\n    subscriptions:\n"
        for hook in "xyz":
            text += f"      {hook}: {{url: 'https://h/{hook}', triggers: *t, secret: {{env: A}}}}\n"
    assert [problem.what for problem in problems_of(text)] == [
        'unknown trigger "NEW"',
        'unknown trigger "NEWER"',
    ]


def test_a_run_reports_the_first_100_problems_and_counts_the_others() -> None:
    entry = "{{url: 'https://h/{0}', trigger: NEW{0}, secret: {{env: A}}}}"
    text = "version: 1\ntenancies:\n  a:\n    server: h\n    subscriptions:\n"
    for number in range(120):
        text += f"      s{number}: {entry.format(number)}\n"
    *problems, rest = problems_of(text)
    assert len(problems) == 100
    assert rest.what == "20 more problems, not shown"


def test_tenancy_may_be_spread_over_files() -> None:
    more = GOOD.replace("    server: eu.preservica.com\n    tenant: BRAMA\n", "").replace(
        "catalogue", "more"
    )
    more = more.replace("/hook", "/more")
    (tenancy,) = read(more, GOOD)
    assert [entry.name for entry in tenancy.subscriptions] == [
        "more",
        "more",
        "catalogue",
        "catalogue",
    ]
    assert tenancy.tenant.text == "BRAMA"
    assert tenancy.location == Location("b.yaml", 5, 3)


def two_tenancies(one: str, two: str) -> str:
    return (
        f"version: 1\ntenancies:\n  a: {{subscriptions: {{}}, {one}}}\n  b: {{subscriptions: {{}},"
        f" {two}}}\n"
    )


def test_settings_in_two_files_are_refused() -> None:
    other = "version: 1\ntenancies: {prod: {probe: never}}\n"
    assert said_of(GOOD, other) == [
        'b.yaml:2:13: two files give tenancy "prod" settings; the other place is a.yaml:5:3'
    ]


def test_a_subscription_declared_twice_is_reported_with_both_places() -> None:
    twin = "{url: https://h, trigger: MOVED, secret: {env: A}}"
    other = f"version: 1\ntenancies: {{prod: {{subscriptions: {{catalogue: {twin}}}}}}}\n"
    assert said_of(GOOD, other) == [
        'b.yaml:2:36: subscription "catalogue" is declared twice; the other place is a.yaml:9:7'
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("server: h", "server: h"),
        ("server: h, tenant: BRAMA", "server: h, tenant: BRAMA"),
        ("", ""),
        ("tenant: A", "tenant: A"),
        ("server: '${S}', tenant: A", "server: '${S}', tenant: A"),
    ],
)
def test_two_tenancies_with_the_same_server_and_tenant_are_refused(one: str, two: str) -> None:
    assert said_of(two_tenancies(one, two)) == [
        'a.yaml:4:3: tenancy "b" has the server and tenant of "a" (a.yaml:3:3)'
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("server: h, tenant: A", "server: h, tenant: B"),
        ("server: h:1", "server: h:2"),
        ("server: h", "tenant: A"),
        ("server: '${S}'", "server: '${s}'"),
    ],
)
def test_tenancies_whose_server_or_tenant_may_differ_are_accepted(one: str, two: str) -> None:
    assert len(read(two_tenancies(one, two))) == 2


def test_without_any_file_no_tenancy_is_declared() -> None:
    assert problems_of()[0].what == "no tenancy is declared"


def test_problems_come_in_the_order_of_their_places() -> None:
    bad = GOOD.replace("MOVED", "MOVE").replace("tenant: BRAMA", "tenant: off")
    sources = [
        Source("z.yaml", bad.encode()),
        Source("a.yaml", b"- 1\n"),
        Source(STDIN, b""),
    ]
    with pytest.raises(FileError) as caught:
        read_tenancies(sources)
    assert [str(problem.where) for problem in caught.value.problems] == [
        "<stdin>:1:1",
        "a.yaml:1:1",
        "z.yaml:7:5",
    ]


MANY_MISTAKES = f"""\
version: 1
x: 1
tenancies:
  prod:
    server: http://eu.preservica.com
    probe: maybe
    subscriptions:
      a: {{url: https://h/1, trigger: INDEXD, secret: {LITERAL}}}
      b: {{url: ftp://h, trigger: off, secret: {{env: A}}, why: 5}}
      c: {{url: https://h/2, secret: {{env: A}}}}
      d: {{url: https://h/3, triger: MOVED}}
      e: {{url: https://h/4, trigger: MOVED, trigger: MOVED, secret: {{env: A}}}}
      f: {{url: https://h/4, trigger: MOVED, secret: {{env: A}}}}
"""


def test_all_that_breaks_yaml_or_the_schema_is_reported_in_one_run() -> None:
    assert [line.removeprefix("a.yaml:") for line in said_of(MANY_MISTAKES)] == [
        '2:1: unknown key "x"',
        "6:5: probe must be one of auto, require, never",
        "8:46: secret must be {env: NAME}, {file: PATH} or {command: [PROGRAM, ARGUMENT]}:"
        " a secret is never written into the file",
        "9:25: trigger must be text, but YAML reads this as true or false",
        '9:57: unknown key "why"',
        '11:29: unknown key "triger"',
        '12:45: duplicate key "trigger", first at 12:29',
    ]


def test_all_that_breaks_the_other_rules_is_reported_in_the_next_run() -> None:
    text = MANY_MISTAKES
    for mistake, repair in (
        ("x: 1\n", "\n"),
        ("maybe", "never"),
        (LITERAL, "{env: A}"),
        ("off", "MOVED"),
        (", why: 5", ""),
        ("triger: MOVED", "trigger: MOVED"),
        (", trigger: MOVED, trigger: MOVED", ", trigger: MOVED"),
    ):
        text = text.replace(mistake, repair, 1)
    assert [line.removeprefix("a.yaml:") for line in said_of(text)] == [
        "5:5: the server is plain http: the password can be read in transit",
        '8:29: unknown trigger "INDEXD"',
        "9:11: the URL is neither http nor https",
        '10:7: "c" has no trigger',
        '11:7: "d" has no secret',
        '13:7: "f" has the URL and the trigger MOVED of "e" (a.yaml:12:7)',
    ]


def test_a_broken_file_does_not_make_the_triggers_of_other_files_unknown() -> None:
    text = GOOD.replace("MOVED", "ENTITY_DELETED")
    for line in ("extra_triggers: [A", "extra_trigger: [A]", "extra_triggers: ENTITY_DELETED"):
        (problem,) = problems_of(text, f"version: 1\n{line}\n")
        assert "unknown trigger" not in problem.what


def test_an_at_sign_behind_the_host_is_no_user_information() -> None:
    for tail in ("?a=http://e.example@x", "/a@b", "#://u@h"):
        text = GOOD.replace("https://fn.example.net/hook?code=${FN_KEY}", f"${{BASE}}{tail}")
        assert read(text)
