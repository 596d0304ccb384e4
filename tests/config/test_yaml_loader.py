import gc
from collections.abc import Sequence

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from hooksync.config.yaml_loader import (
    YamlMap,
    read_plain,
    read_yaml,
)
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Location
from tests.command_line import run_python
from tests.lanes import nightly


def read(text: str | bytes) -> YamlMap:
    data, problems = read_yaml("hooks.yaml", text.encode() if isinstance(text, str) else text)
    assert not problems
    return data


def problems_of(text: str | bytes) -> Sequence[Problem]:
    try:
        _, problems = read_yaml("hooks.yaml", text.encode() if isinstance(text, str) else text)
    except FileError as error:
        return error.problems
    return problems


TEXTS = st.text("aéno01:-.#\n '", max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def at(line: int, column: int) -> Location:
    return Location("hooks.yaml", line, column)


def composed_places(node: yaml.Node) -> list[Location]:
    """Return the places of all keys below a node, in the order of the file."""
    if isinstance(node, yaml.SequenceNode):
        return [place for item in node.value for place in composed_places(item)]
    places = []
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        places.append(at(key.start_mark.line + 1, key.start_mark.column + 1))
        places += composed_places(value)
    return places


def loaded_places(node: object) -> list[Location]:
    if isinstance(node, list):
        return [place for item in node for place in loaded_places(item)]
    places = []
    for key, value in node.items() if isinstance(node, YamlMap) else ():
        places += [node.place(key), *loaded_places(value)]
    return places


@given(st.dictionaries(TEXTS, VALUES, max_size=3), st.sampled_from([True, False, None]))
def test_data_and_places_are_those_of_pyyaml(data: dict[str, object], flow: bool | None) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert read(text) == yaml.safe_load(text)
    assert loaded_places(read(text)) == composed_places(node)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028", "\n\n\r\n"])
def test_places_are_those_of_pyyaml_after_every_kind_of_line_break(end: str) -> None:
    text = f"# \u00e9{end}a: 'x{end}  y'{end}b: {{c: [1, 2]}} # d{end}e: |{end}  f{end}g: 1{end}"
    node = yaml.compose(text, Loader=yaml.CSafeLoader)
    assert node
    assert loaded_places(read(text)) == composed_places(node)


def test_byte_order_mark_is_accepted() -> None:
    data = read(b"\xef\xbb\xbfa: 1\n")
    assert data == {"a": 1}
    assert data.place("a") == at(1, 1)


def test_alias_shares_its_node() -> None:
    data = read("a: &x {b: 1}\nc: *x\n")
    assert data["a"] is data["c"]


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        ("{<<: *one, b: 9}", {"a": 1, "b": 9}),
        ("{b: 9, <<: *one}", {"a": 1, "b": 9}),
        ("{<<: [*one, *two]}", {"a": 1, "b": 1, "c": 2}),
        ("{<<: [*two, *one]}", {"a": 1, "b": 2, "c": 2}),
        ("{<<: {<<: *one, b: 5}, c: 6}", {"a": 1, "b": 5, "c": 6}),
        ("{<<: []}", {}),
    ],
)
def test_merge_takes_own_keys_first_and_then_the_earlier_mapping(text: str, merged: object) -> None:
    data = read(f"x-one: &one {{a: 1, b: 1}}\nx-two: &two {{b: 2, c: 2}}\ny: {text}\n")
    assert data["y"] == merged


def test_an_alias_refers_to_the_last_node_above_it_with_the_anchor() -> None:
    data = read("a: &x 1\nb: *x\nc: &x 2\nd: *x\n")
    assert [data[key] for key in "bd"] == [1, 2]


def test_a_merged_key_has_the_place_where_it_was_written() -> None:
    data = read("x: &x\n  a: 1\ny:\n  <<: *x\n  b: 2\n")["y"]
    assert isinstance(data, YamlMap)
    assert (data.place("a"), data.place("b")) == (at(2, 3), at(5, 3))


PLAIN = """\
off on no yes NO Off y n true True tRUE null Null ~ 0 -0 +1 0123 0o17 08 0x1F 0b101 0b_ 0x 1_000 _1 12:30:45
12:30 1:60 190:20:30.15 1.5 1. .5 . -.5 1e3 1.0e+3 1.0e3 .inf -.INF .NaN +.inf -.nan 2024-01-01 2024-1-1 = << 50% 1-2
2001-12-14t21:59:43.10-05:00 2001-12-14T21:59:43Z a-b http://x:80/y -1:30 +12:30.5 0_7 00 -0x1f 1__0 + 7 120
"""


@pytest.mark.parametrize("text", [*PLAIN.split(), "2001-12-14 21:59:43.10 -5", ""])
def test_words_without_quotes_are_read_as_pyyaml_reads_them(text: str) -> None:
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False)).rpartition(":")[2]
    if tag in ("null", "bool") or text in ("0", "-0", "7", "120"):
        assert read_plain(text) == yaml.safe_load(text)
    else:  # no field takes a date, or a number in this spelling
        is_text = tag not in ("int", "float", "timestamp")
        assert read_plain(text) == (text if is_text else float("inf"))


@pytest.mark.parametrize("text", ["'off'", '"off"', "|\n  off", ">-\n  off"])
def test_quoted_and_block_scalars_are_text(text: str) -> None:
    value = read(f"a: {text}\n")["a"]
    assert isinstance(value, str)
    assert value.strip() == "off"


BAD = [
    ("", "1:1", "the file is empty"),
    ("---\n", "2:1", "the top level is not a mapping"),
    ("- a\n- b\n", "1:1", "the top level is not a mapping"),
    ("a: 1\n---\nb: 2\n", "2:1", "a second document"),
    ("a: 1\nb: 2\na: 3\n", "3:1", 'duplicate key "a", first at 1:1'),
    (
        "a: {archive-prod: 1, archive-prod: 2}\n",
        "1:22",
        'duplicate key "archive-prod", first at 1:5',
    ),
    ("{secret: {env: A}, secret: {env: B}}\n", "1:20", 'duplicate key "secret", first at 1:2'),
    ("secret: {passphrase: 1, passphrase: 2}\n", "1:25", "duplicate key, first at 1:10"),
    (
        "credentials: {password: {passphrase: 1, passphrase: 2}}\n",
        "1:41",
        "duplicate key, first at 1:26",
    ),
    ("x: {secret: {hunter2: 1, hunter2: 2}}\n", "1:26", "duplicate key, first at 1:14"),
    ("x: {passwords: [{hunter2: 1, hunter2: 2}]}\n", "1:30", "duplicate key, first at"),
    ("{secret:hunter2, secret:hunter2}\n", "1:18", "duplicate key, first at"),
    ("a: &x {}\n<<: *x\n<<: *x\n", "3:1", "duplicate key, first at 2:1"),
    ("a:\n  on: 1\n", "2:3", "reads this one as true or false"),
    ("a:\n  123: 1\n", "2:3", "reads this one as a number"),
    ("2024-01-01: 1\n", "1:1", "reads this one as a number or a date"),
    ("~: 1\n", "1:1", "a key must be text"),
    ("{: 1}\n", "1:2", "not valid YAML"),
    ("? [a, b]\n: 1\n", "1:3", "a key must be text"),
    ("a: &x [1]\n*x : 2\n", "2:1", "a key must be text"),
    ("a: !secret hunter2\n", "1:4", "tags"),
    ("a: !!python/object:os.system {}\n", "1:4", "tags"),
    ("secret: *hunter2\n", "1:9", "no anchor"),
    ("a: &x [*x]\n", "1:8", "no anchor"),
    ("a: 1\n  b: hunter2\n", "2:4", "not valid YAML"),
    ("a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> x\n", "2:1", "conflict marker <<<<<<< here"),
    ("a: [1, 2\n", "1:4", "not valid YAML"),
    ('a: "hunter2\n', "1:4", "not valid YAML"),
    ("a: b\nc: 'hunter2\nd: e\nf: 1", "2:4", "not valid YAML"),
    ('a: "hunter2\n  b"\nc: [\n', "4:1", "not valid YAML"),
    ("a:\n\tb: 1\n", "2:1", "the indentation contains a tab"),
    ("a: x\n\tb: 1\n", "2:1", "the indentation contains a tab"),
    ("a:\n  b: x\n   \tc: 1\n", "3:6", "the indentation contains a tab"),
    ("a:\n-\tb: 1\n", "2:2", "the indentation contains a tab"),
    ("a: |\n\tx\n", "2:1", "the indentation contains a tab"),
    ("a: %hunter2\n", "1:4", "not valid YAML"),
    ("%YAML 1.1\n---\na: 1\n", "1:1", "directives (lines that begin with %) are not supported"),
    ("# a\n\n%TAG !x! hunter2\n---\na: 1\n", "3:1", "directives"),
    ("a: 1\n...\n%HUNTER hunter2\n---\n", "3:1", "directives"),
    ("a: 1\u2028%YAML 1.1\n", "2:1", "directives"),
    ("\ufeff\ufeff%YAML 1.1\n---\na: 1\n", "1:2", "directives"),
    ("a: !hunter2!x y\n", "1:4", "not valid YAML"),
    (b"a: 1\nb: caf\xe9\n", "2:7", "this is not UTF-8, or"),
    (b"\xef\xbb\xbfa: \xff", "1:4", "this is not UTF-8, or"),
    ("a: 1\n".encode("utf-16"), "1:1", "this is not UTF-8, or"),
    (b"a: x\0y\n", "1:5", "character that YAML does not"),
    (b"a: 1\r\nb: \x1b[31m\r\n", "2:4", "character that YAML does not"),
    ("a: \x7f", "1:4", "character that YAML does not"),
    ("a: " + "[" * 102 + "]" * 102, "1:104", "nested deeper than 100 levels"),
    ("{a: " * 200, "1:402", "nested deeper than 100 levels"),
]


@pytest.mark.parametrize(("text", "place", "fragment"), BAD)
def test_bad_yaml_is_refused_with_its_place(text: str | bytes, place: str, fragment: str) -> None:
    problems = problems_of(text)
    assert [str(problem.where) for problem in problems] == [f"hooks.yaml:{place}"]
    assert fragment in problems[0].what
    assert problems[0].fix
    assert "hunter2" not in str(problems[0])


def test_all_problems_that_do_not_stop_the_reading_are_reported_at_once() -> None:
    problems = problems_of("a: 1\na: 2\non: 3\nb: !x 4\nc: *gone\n")
    assert [problem.where.line for problem in problems if problem.where] == [2, 3, 4, 5]


def test_problems_before_a_syntax_error_are_reported_too() -> None:
    assert len(problems_of("a: 1\na: 2\nb: [\n")) == 2


def test_only_the_first_100_problems_are_reported() -> None:
    assert len(problems_of("a: !x [" + "!x b, " * 5000 + "]")) == 100


def test_nesting_of_100_levels_is_read() -> None:
    assert read("{a: " + "[" * 99 + "]" * 99 + "}")


def bomb(levels: int, width: int = 10) -> str:
    lines = ["x0: &x0 [" + ", ".join(["a"] * width) + "]"]
    for level in range(1, levels):
        lines.append(f"x{level}: &x{level} [" + ", ".join([f"*x{level - 1}"] * width) + "]")
    return "\n".join(lines) + "\n"


def test_alias_bomb_is_refused() -> None:
    (problem,) = problems_of(bomb(50))
    assert problem.what == "more than 203,400 names and values, counted again for each alias"


@pytest.mark.slow
def test_many_small_aliases_are_no_bomb() -> None:
    text = "common: &common {secret: {env: A}, triggers: [MOVED]}\n"
    text += "".join(f"s{index}: {{<<: *common, url: x}}\n" for index in range(60_000))
    assert len(read(text)) == 60_001


def test_a_percent_sign_within_a_line_is_text() -> None:
    assert read("a: 50%\nb: |\n  %TAG\nc: '\n  %YAML'\n") == {
        "a": "50%",
        "b": "%TAG\n",
        "c": " %YAML",
    }


@pytest.mark.parametrize("item", nightly(["[]", "{}", "aa", "*x"]))
def test_a_flood_of_values_is_refused_with_a_fix(item: str) -> None:
    (problem,) = problems_of("x: &x y\na:\n" + f"- {item}\n" * 1_500_000)
    assert problem.what == "more than 1,500,000 names and values, counted again for each alias"
    assert "spread the tenancies over several files" in problem.fix


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"\x00")
def test_arbitrary_bytes_raise_nothing_but_file_errors(data: bytes) -> None:
    problems_of(data)


@given(st.text(st.sampled_from("ab: -?[]{},&*!|>'\"%@`#\n\t<0=~.\\ux\r\x85\u2028"), max_size=40))
def test_arbitrary_text_raises_nothing_but_file_errors(text: str) -> None:
    problems_of(text)


def test_hooks_files_are_read_and_written_if_pyyaml_was_built_without_libyaml() -> None:
    without = (
        'import sys; sys.modules["yaml._yaml"] = None\n'
        "from hooksync.config.yaml_loader import read_yaml, write_yaml\n"
        'data, _ = read_yaml("hooks.yaml", write_yaml({"a": ["no", 1]}).encode())\n'
        'print(data["a"][:])'
    )
    done = run_python(["-c", without], {})
    assert (done.code, done.out, done.err) == (0, "['no', 1]\n", "")


@pytest.mark.slow
def test_the_data_of_a_file_is_freed_without_the_garbage_collector() -> None:
    """The command line turns the garbage collector off. A cycle would then keep every node of a
    large file in memory to the end.
    """
    text = "".join(f"name-{number}: {{a: [1, {{b: c}}]}}\n" for number in range(200)).encode()
    gc.collect()
    gc.disable()
    try:
        read_yaml("hooks.yaml", text)
        assert gc.collect() < 200
    finally:
        gc.enable()
