"""The page of messages: each that the code can give, what it means, and what to do.

The messages are read from the source of hooksync (`source.py`); what they mean is written by hand, in `messages.yaml`.
There `<name>` stands for what only a run knows, `[...]` for what may be missing, `[a|b]` for one of several.
"""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby, product
from pathlib import Path
from textwrap import fill

import yaml

from tests.site.parts import page_with
from tests.site.source import Frame, Reader, Source, called, has_star, template

DATA = Path(__file__).with_name("messages.yaml")
SCHEMAS = Path(__file__).parents[2] / "schemas"
PAGE = "troubleshooting.md"
WIDTH = 119  # columns

SINKS = {  # calls that make a message: the position of its text, which its fix follows, and their names
    "Problem": (0, "what", "fix"),
    "ProbeResult": (1, "detail", "fix"),
    "Finding": (2, "detail", "fix"),
}
CARRIED = {("InvalidDocument", ""), ("NotUnderstood", ""), ("ValueError", "hooksync.core.template")}  # and modules
MOST_FIXES = 2  # of one message, to be shown; where there are more, they depend on what only a run knows

PASSED_ON = {  # functions whose messages have no words of their own: what else they say
    "hooksync.cli.arguments.error": "argparse's words, which the entries marked `foreign` have",
    "hooksync.cli.listen.listen": "why a port cannot be used, by the sandbox's server",
    "hooksync.commands.export._named_tenancy": "what is wrong with --server, as in a hooks file",
    "hooksync.config.document._note": "what is wrong with a template",
    "hooksync.config.schema_errors.error": "the words of the schema, after the name of a field",
    "hooksync.core.schema.check_document": "the words of the schema, after the name of a part",
    "hooksync.documents.reader._problems": "the warnings of a plan, read from its file",
    "hooksync.documents.reader._written": "what is wrong with a template in a plan",
    "hooksync.documents.reader.read_saved_plan": "what is wrong with a document, after its path",
    "hooksync.reconcile.step_runner._explain": "why a call failed",
    "hooksync.report.check._broken_stage": "why a call failed, as a finding",
    "hooksync.commands.check._hooks": "what is wrong with a secret or a receiver, as a finding",
    "hooksync.report.check.findings": "why a receiver was not reached, as a finding",
    "hooksync.report.check.judge_secrets": "how many secrets are known",
    "hooksync.report.text.failures": "the failures of steps, after their addresses",
    "hooksync.report.view.error_problems": "the errors of tenancies, after their names",
    "hooksync.service.receivers.probe_once": "why a call failed, as an answer",
    "hooksync.state.format.read_signed": "what is wrong with a document, after its path",
}

WORDS = {  # what a fix calls otherwise in the code
    "…": "number",
    "advice": "more advice",
    "aside": "file",
    "folder": "folder of the hooks file",
    "get": "example",
    "guesses": "name",
    "known": "names",
    "listed": "names",
    "other": "file",
    "ref": "place",
    "shown": "names",
    "upper": "BUCKET",
    "where": "state",
}

FORMS = {"secret or credential": "(?:secret|username|password|TOTP seed)"}  # placeholders that are one of few words

BEFORE = r"(?:(?:[\w ]+: \w+ )?\S+: )?"  # `hooks.state.json: `, `half done: resubscribe archive/catalogue/INDEXED: `

_GIVEN = re.compile(
    "«[^«»]*»|<[^<>]+>|\\{[a-z]+(?::,)?\\}"
)  # a placeholder of either side; `{label}`: not yet formatted
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True)
class Message:
    """One text and its fix, as templates."""

    what: str
    fix: str
    place: str  # module and function
    line: int


@dataclass(frozen=True)
class Entry:
    """What is said of one or more messages."""

    title: str
    messages: tuple[str, ...]  # as written, with brackets
    meaning: str
    fix: str = ""
    read: str = ""
    unseen: tuple[str, ...] = ()  # variants that the code seems to give
    is_foreign: bool = False  # another library's words
    is_bare: bool = False  # the fixes of the code are not shown

    @property
    def anchor(self) -> str:
        return re.sub("[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def templates(self) -> tuple[str, ...]:
        """Its messages, normal, one for each variant."""
        return tuple(normal(variant) for each in self.messages + self.unseen for variant in variants(each))


@dataclass(frozen=True)
class Group:
    """Where messages are met."""

    title: str
    about: str
    entries: tuple[Entry, ...]


def normal(written: str) -> str:
    """Level placeholders: `<>`, and two that touch are one."""
    return re.sub("(<>)+", "<>", _GIVEN.sub("<>", written)).strip()


def variants(message: str) -> Iterator[str]:
    """Write a message without its brackets, in every way."""
    pieces = _BRACKETS.split(message)
    for chosen in product(*(_choices(piece) if index % 2 else [piece] for index, piece in enumerate(pieces))):
        yield "".join(chosen)


def _choices(inner: str) -> list[str]:
    return inner.split("|") if "|" in inner else [inner, ""]


def is_readable(text: str) -> bool:
    """Whether a normal text says something by itself."""
    letters = re.sub("<>|[^A-Za-z]", "", text)
    return "<>" not in text or len(re.findall("[A-Za-z]{2,}", text)) > 1 or len(letters) > 6 or " -> " in text


class Finder:
    """Finds all places that make a message, and what each may say."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.reader = Reader(source)

    def places(self) -> Iterator[ast.Call | ast.Assign]:
        """Give the calls of SINKS and CARRIED, and what is assigned to a `detail`: why a step is not done."""
        for module in self.source.modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call) and self._says(node) is not None:
                    yield node
                if isinstance(node, ast.Assign) and "detail" in attributes_of(node.targets[0]) and not is_blank(node):
                    yield node

    def _says(self, node: ast.Call) -> list[ast.expr] | None:
        """Give the expressions of text and fix that a call is given, and any star among them."""
        name, module = called(node), self.source.module[node].name
        if (name, module) in CARRIED or (name, "") in CARRIED:
            return [*node.args[:1], ast.Constant("")] if node.args else None
        if name not in SINKS:
            return None
        keywords = {each.arg: each.value for each in node.keywords}
        first, *names = SINKS[name]
        arguments = [*node.args, *(keywords[each] for each in names if each in keywords)]
        if has_star(node):
            return arguments
        return arguments[int(first) : int(first) + 2] if len(arguments) > int(first) + 1 else None

    def messages_of(self, node: ast.Call | ast.Assign) -> list[Message]:
        """Read all variants of what a place says."""
        frame = Frame(self.source.function_of(node), self.source.module[node])
        said = ast.Tuple(self._says(node) if isinstance(node, ast.Call) else [node.value])
        function = frame.function.name if frame.function else ""
        found = []
        for values, _ in self.reader.value(said, frame, {}):
            if isinstance(node, ast.Assign):
                values = values[0] if isinstance(values[0], list) else [*values, None]
            what, fix = map(template, values[:2])
            if what and not what.endswith(": "):  # what would follow is chosen together with it
                found.append(Message(what, fix, f"{frame.module.name}.{function}", node.lineno))
        return list(dict.fromkeys(found))


def is_blank(node: ast.Assign) -> bool:
    """Whether an empty text is assigned."""
    return isinstance(node.value, ast.Constant) and not node.value.value


def attributes_of(target: ast.AST) -> list[str]:
    """Name the attributes that an assignment is to."""
    targets = target.elts if isinstance(target, ast.Tuple) else [target]
    return [each.attr for each in targets if isinstance(each, ast.Attribute)]


@cache
def places() -> tuple[tuple[ast.Call | ast.Assign, list[Message]], ...]:
    """Read what each place of the package says."""
    finder = Finder(Source())
    return tuple((place, finder.messages_of(place)) for place in finder.places())


@cache
def messages() -> tuple[Message, ...]:
    """Give all messages of the package, and of its schemas."""
    return (*(message for _, found in places() for message in found), *_of_schemas())


def _of_schemas() -> Iterator[Message]:
    """Give the words that the schemas themselves have for what does not fit."""
    for path in sorted(SCHEMAS.glob("*.json")):
        waiting = [json.loads(path.read_text(encoding="utf-8"))]
        while waiting:
            part = waiting.pop()
            waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
            for name in ("errorMessage", "patternErrorMessage"):
                if isinstance(part, dict) and isinstance(part.get(name), str):
                    yield Message(f"«label» {part[name]}", "", path.name, 0)


@cache
def groups() -> tuple[Group, ...]:
    """Read what was written of the messages."""
    data = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    return tuple(
        Group(group["title"], group["about"].strip(), tuple(_entry(each) for each in group["entries"]))
        for group in data["groups"]
    )


def _entry(data: dict[str, str]) -> Entry:
    texts = {name: text.strip() for name, text in data.items() if isinstance(text, str)}
    lines, unseen = (tuple(texts.pop(name, "").splitlines()) for name in ("messages", "unseen"))
    return Entry(messages=lines, unseen=unseen, is_foreign="foreign" in data, is_bare="bare" in data, **texts)


def entries() -> list[Entry]:
    return [entry for group in groups() for entry in group.entries]


@cache
def _patterns() -> list[tuple[int, re.Pattern[str], Entry]]:
    """Give what finds a message, those with the most words of their own first; what it is about may precede it."""
    found = []
    for entry in entries():
        for each in (variant for message in entry.messages for variant in variants(message)):
            pieces = (re.escape(text) if place == "" else FORMS.get(place, ".+?") for text, place in _pieces(each))
            found.append((len(normal(each)), re.compile(BEFORE + "".join(pieces), re.DOTALL), entry))
    return sorted(found, key=lambda each: -each[0])


def _pieces(message: str) -> Iterator[tuple[str, str]]:
    """Cut a message into its texts and its placeholders."""
    for index, piece in enumerate(re.split("<([^<>]+)>", message)):
        yield (piece, "") if index % 2 == 0 else ("", piece)


def entry_of(said: str) -> Entry | None:
    """Find the entry of a real message."""
    return next((entry for _, pattern, entry in _patterns() if pattern.fullmatch(said)), None)


def fixes() -> dict[str, tuple[str, ...]]:
    """Give the fixes of each message, by its normal text."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for message in messages():
        if re.search("[a-z]{3}", normal(message.fix)):
            found[normal(message.what)][message.fix] = None
    return {what: tuple(each) for what, each in found.items()}


def _block(entry: Entry, known: dict[str, tuple[str, ...]]) -> str:
    """Show messages as a run does; what has the same fix stands together."""
    blocks = groupby(entry.messages, key=lambda message: () if entry.is_bare else _fixes_of(message, known))
    return "\n\n".join("\n".join([*alike, *(f"  fix: {fix}" for fix in own)]) for own, alike in blocks)


def shown(fix: str) -> str:
    """Write the placeholders of a fix in words."""
    return re.sub("«([^«»]*)»", lambda found: f"<{WORDS.get(found[1], found[1].strip('_').lower())}>", fix)


def _fixes_of(message: str, known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Give the few fixes of a message as they are shown; none where there are many."""
    found = dict.fromkeys(shown(fix) for each in variants(message) for fix in known.get(normal(each), ()))
    kept = tuple(each for each in found if not any(each != other and each.startswith(other) for other in found))
    return kept if len(kept) <= MOST_FIXES else ()


def page_part() -> str:
    known = fixes()
    parts = []
    for group in groups():
        parts.append(f"## {group.title}\n\n{_filled(group.about)}\n")
        for entry in group.entries:
            parts.append(f"### {entry.title}\n\n```text\n{_block(entry, known)}\n```\n\n{_filled(entry.meaning)}\n")
            parts += [f"{_filled(f'**What to do:** {entry.fix}')}\n"] if entry.fix else []
            parts += [f"{_filled(f'Read on: {entry.read}.')}\n"] if entry.read else []
    listed = "\n".join(parts)
    return f'<div class="messages" markdown>\n\n{listed}\n</div>'  # for its style on the site


def _filled(paragraph: str) -> str:
    return fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)


def pages() -> dict[Path, str]:
    return page_with(PAGE, messages=page_part())
