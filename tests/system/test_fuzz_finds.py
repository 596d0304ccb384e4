"""Tests of the fuzzer itself, and of inputs that once caused a fault in hooksync."""

from __future__ import annotations

import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import Fuzzer, try_input
from tests.lanes import sampled

# for each target: messages that a short run must reach, so that it reaches the end of the reader;
# and a number of inputs that take about a second
REACHED = {
    "yaml": ({"valid", "resolved", "unknown key ~", "tags (`!...`) are not supported"}, 200),
    "answers": (
        {"read_log_in: LogIn", "read_refusal: LogIn", "read_subscriptions: tuple"},
        1000,
    ),
    "receiver": ({"ready", "wrong-secret", "wrong-answer"}, 700),
    "state": ({"a state", "hooks.state.json: ~ is a duplicate key in one object"}, 1500),
    "plan": ({"a plan", "plan.json was altered since it was saved: its digest does not fit"}, 400),
    "header": ({"none", "1 digits"}, 1500),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.slow
def test_a_short_run_of_the_fuzzer_reaches_the_end_of_the_reader_and_finds_nothing(
    target: str,
) -> None:
    reached, inputs = REACHED[target]
    fuzzer = Fuzzer(target, "smoke")
    for _ in range(inputs):
        fuzzer.step()
    assert not [find.what for find in fuzzer.finds.values()]
    assert reached <= fuzzer.said


def test_a_find_is_named_by_its_exception_and_its_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def brittle(data: bytes) -> frozenset[str]:
        raise IndexError(data)

    monkeypatch.setitem(TARGETS, "header", brittle)
    fuzzer = Fuzzer("header", "1")
    assert [find.what for find in fuzzer.finds.values()] == [
        "IndexError in test_fuzz_finds.py, brittle"
    ]


HEAD = b"version: 1\ntenancies:\n"
HOOK = b"      b: {url: 'https://h/', trigger: MOVED, secret: {env: A}}\n"
TRIGGERS = ", ".join(f"NEW_{n:04}" for n in range(1000))
SUBSCRIPTIONS = ", ".join(f"s{n}: " for n in range(4000))
PREFIXES = ", ".join(f"'https://h/{n:04}'" for n in range(900))
URLS = ", ".join(f"s{n}: {{url: 'https://h/x{n}', <<: *c}}" for n in range(400))
SEALS = {
    "plan.json is not signed, and HOOKSYNC_PLAN_KEY is set",
    "plan.json was altered since it was saved: its digest does not fit",
}
PLAN = seeds("plan")[0]
NO_VERSION = {"version must be ~, the only version so far", "tenancies is missing"}

# target | input | all messages about it, without numbers and names
FINDS = {
    # the key was dropped from the reference, too, and its reader failed
    "an alias of a reference as a subscription": (
        "yaml",
        HEAD
        + b"  a:\n    server: h\n    credentials: {username: {env: N}, password: &u {env: U}}\n"
        + b"    subscriptions: {b: *u}\n",
        {"unknown key ~", "subscription ~ has no url"},
    ),
    "a sexagesimal number too long for a float": (
        "yaml",
        b"version: 1:" + b"0:" * 200 + b"0.5",
        NO_VERSION,
    ),
    "a sexagesimal number that begins with too many digits": (
        "yaml",
        b"version: " + b"9" * 400 + b":0.5",
        NO_VERSION,
    ),
    # the error was placed on the line below
    "a syntax error at the end of a file without a last line break": (
        "yaml",
        b"a: [M",
        {"not valid YAML"},
    ),
    "an empty subscription": (  # the error was that it had both trigger and triggers
        "yaml",
        HEAD + b"  a:\n    server: h\n    subscriptions:\n      b:\n",
        {"subscription ~ is empty"},
    ),
    # the name reached the terminal, and the log of a CI, without escapes
    "a name with a line break and an escape sequence": (
        "yaml",
        HEAD + b'  "a\\n::error::b\\e[2J":\n',
        {"this is not a valid name", "tenancy is empty"},
    ),
    "aliases that repeat mistakes": (  # the run took 68 s and 1 GB
        "yaml",
        f"version: 1\nx-s: &s {{{SUBSCRIPTIONS}}}\ntenancies:\n".encode()
        + b"".join(b"  t%d: {server: h%d, subscriptions: *s}\n" % (n, n) for n in range(240)),
        {"more than ~,~ names and values, counted again for each alias"},
    ),
    "more mistakes than anyone reads": (
        "yaml",
        f"version: 1\nx-s: &s {{{SUBSCRIPTIONS}}}\ntenancies:\n".encode()
        + b"".join(b"  t%d: {server: h%d, subscriptions: *s}\n" % (n, n) for n in range(20)),
        {"subscription ~ is empty"},
    ),
    "many unknown triggers beside many extra ones": (  # each trigger was compared with all others
        "yaml",
        f"extra_triggers: [{TRIGGERS}]\n".encode()
        + HEAD
        + b"  a:\n    server: h\n    subscriptions:\n"
        + HOOK.replace(b"trigger: MOVED", f"triggers: [{TRIGGERS}]".replace("NEW", "NEX").encode()),
        {"unknown trigger ~"},
    ),
    "many URLs under many prefixes": (  # each was compared with all prefixes, in each tenancy
        "yaml",
        b"version: 1\nx-c: &c {trigger: MOVED, secret: {env: A}}\n"
        + f"x-s: &s {{{URLS}}}\nx-o: &o [{PREFIXES}]\ntenancies:\n".encode()
        + b"".join(
            b"  t%d: {server: h%d, owns: *o, subscriptions: *s}\n" % (n, n) for n in range(6)
        ),
        {"owns must not have more than ~ items"},
    ),
    "a change from a text, in a saved plan": (  # the output of the plan ended in a KeyError
        "plan",
        PLAN.replace(b'"live": false', b'"live": "no"'),
        {*SEALS, "plan.json: tenancies[~].steps[~].changes[~].live must be true or false"},
    ),
}


@pytest.mark.parametrize(("target", "data", "said"), sampled(FINDS.values(), 6, 3), ids=FINDS)
def test_a_former_find_gets_exactly_the_right_messages(
    target: str, data: bytes, said: set[str]
) -> None:
    find, found = try_input(target, data)
    assert find is None, find.what
    assert found == said


def test_a_saved_plan_of_any_depth_is_read_or_refused() -> None:
    # the digest raised a RecursionError at two depths, which depend on the depth of the caller
    for depth in range(900, 1000):
        find, found = try_input("plan", PLAN[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}")
        assert find is None, (depth, find.what)
        assert found
