"""Hooks files that once caused a fault in hooksync, and the messages about them now."""

from __future__ import annotations

import re
from io import BytesIO

import pytest

from hooksync.config.document import read_tenancies
from hooksync.config.files import read_sources
from hooksync.core.errors import FileError
from tests.lanes import sampled

HEAD = b"version: 1\ntenancies:\n"
HOOK = b"      b: {url: 'https://h/', trigger: MOVED, secret: {env: A}}\n"
TRIGGERS = ", ".join(f"NEW_{n:04}" for n in range(1000))
SUBSCRIPTIONS = ", ".join(f"s{n}: " for n in range(4000))
PREFIXES = ", ".join(f"'https://h/{n:04}'" for n in range(900))
URLS = ", ".join(f"s{n}: {{url: 'https://h/x{n}', <<: *c}}" for n in range(400))
NO_VERSION = {"version must be ~, the only version so far"}

# input | all messages about it, without numbers and names
FINDS = {
    # the key was dropped from the reference, too, and its reader failed
    "an alias of a reference as a subscription": (
        HEAD
        + b"  a:\n    server: h\n    credentials: {username: {env: N}, password: &u {env: U}}\n"
        + b"    subscriptions: {b: *u}\n",
        {"unknown key ~"},  # the next run reports that there is no url
    ),
    "a sexagesimal number too long for a float": (
        b"version: 1:" + b"0:" * 200 + b"0.5",
        NO_VERSION,
    ),
    "a sexagesimal number that begins with too many digits": (
        b"version: " + b"9" * 400 + b":0.5",
        NO_VERSION,
    ),
    # the error was placed on the line below
    "a syntax error at the end of a file without a last line break": (
        b"a: [M",
        {"not valid YAML"},
    ),
    "an empty subscription": (  # the error was that it had both trigger and triggers
        HEAD + b"  a:\n    server: h\n    subscriptions:\n      b:\n",
        {"b is empty"},
    ),
    # the name reached the terminal, and the log of a CI, without escapes
    "a name with a line break and an escape sequence": (
        HEAD + b'  "a\\n::error::b\\e[2J":\n',
        {"this is not a valid name", "this is empty"},
    ),
    "aliases that repeat mistakes": (  # the run took 68 s and 1 GB
        f"version: 1\nx-s: &s {{{SUBSCRIPTIONS}}}\ntenancies:\n".encode()
        + b"".join(b"  t%d: {server: h%d, subscriptions: *s}\n" % (n, n) for n in range(240)),
        {"more than ~,~ names and values, counted again for each alias"},
    ),
    "more mistakes than anyone reads": (
        f"version: 1\nx-s: &s {{{SUBSCRIPTIONS}}}\ntenancies:\n".encode()
        + b"".join(b"  t%d: {server: h%d, subscriptions: *s}\n" % (n, n) for n in range(20)),
        {"s~ is empty"},
    ),
    "many unknown triggers beside many extra ones": (  # each trigger was compared with all others
        f"extra_triggers: [{TRIGGERS}]\n".encode()
        + HEAD
        + b"  a:\n    server: h\n    subscriptions:\n"
        + HOOK.replace(b"trigger: MOVED", f"triggers: [{TRIGGERS}]".replace("NEW", "NEX").encode()),
        {
            "extra_triggers must not have more than ~ items",
            "triggers must not have more than ~ items",
        },
    ),
    "many URLs under many prefixes": (  # each was compared with all prefixes, in each tenancy
        b"version: 1\nx-c: &c {trigger: MOVED, secret: {env: A}}\n"
        + f"x-s: &s {{{URLS}}}\nx-o: &o [{PREFIXES}]\ntenancies:\n".encode()
        + b"".join(
            b"  t%d: {server: h%d, owns: *o, subscriptions: *s}\n" % (n, n) for n in range(6)
        ),
        {"owns must not have more than ~ items"},
    ),
}


@pytest.mark.parametrize(("data", "said"), sampled(FINDS.values(), 4), ids=FINDS)
def test_a_former_find_gets_exactly_the_right_messages(data: bytes, said: set[str]) -> None:
    with pytest.raises(FileError) as caught:
        read_tenancies(read_sources(["-"], BytesIO(data)))
    whats = [problem.what for problem in caught.value.problems]
    assert {re.sub(r'"[^"]*"|\d+', "~", what) for what in whats} == said
    assert all(what.isprintable() for what in whats)
