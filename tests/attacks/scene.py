"""One run of hooksync between a service and a receiver that send planted texts, and judges of its
output.

The run is within this process, over real sockets, and takes some milliseconds. For whole processes,
with their time and memory, use `Case` of `tests/attacks/peers.py`.
"""

from __future__ import annotations

import base64
import binascii
import functools
import html
import json
import re
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from tests.attacks.peers import (
    DECLARED,
    HOOKS,
    NEVER_SHOWN,
    NOT_DECLARED,
    RECEIVER,
    REFRESH,
    TOKEN,
    UNPROBED,
    answer_well,
    service,
)
from tests.clocks import JumpingClock
from tests.command_line import Run, hooksync
from tests.conftest import make_environ
from tests.encodings import ENCODERS
from tests.wire import Respond, Wire, answer, saying

PLAN = ("plan", "--no-state", "--all")
APPLY = ("apply", "--yes")
FORMATS = {"text": (), "JSON": ("--format", "json"), "Markdown": ("--format", "markdown")}
POLICY = """\
version: 1
servers: {hosts}
receivers: {receivers}
secret_kinds: [env]
login_variables: ["*SECRET*", "VALUE_*", "PRESERVICA_*"]
secret_variables: ["*SECRET*", "VALUE_*"]
url_variables: ["FN_*", "VALUE_*"]
place_variables: [BOX, RECEIVER, SERVER, PRESERVICA_SERVER, PRESERVICA_TENANT]
allow_http: true
allow_private_receivers: true
"""
COMMANDS = {  # each makes a call of the service, and most a call of the receiver
    **{f"plan, {name}": (*PLAN, "-v", *flags) for name, flags in FORMATS.items()},
    "apply": (*APPLY, "-v"),
    "list": ("list", "--no-state", "-v"),
    "draft": ("init", "--file", "-", "--from-live", "-v"),
    "init": ("init", "--file", "new.yaml", "--from-live"),
    "check": ("check",),
    "check, JSON": ("check", "--format", "json"),
}
CALLS = ("log-in", "list", "subscribe", "unsubscribe")  # of the service


@dataclass(frozen=True)
class Scene:
    """The subscriptions and answers of the service, and the surroundings of the run."""

    live: Sequence[Mapping[str, object]] = ()
    call: str = ""  # of the service, which `said` answers instead
    said: Respond = field(default=saying(b""))
    receiver: Respond = answer_well
    hooks: str = HOOKS
    environ: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"  # in the URLs that declare the peers
    tls: ssl.SSLContext | None = None  # of the service
    receiver_tls: ssl.SSLContext | None = None


@dataclass(frozen=True)
class Seen:
    """The result of a run."""

    run: Run
    requests: tuple[bytes, ...]  # that the service got
    challenges: tuple[bytes, ...]  # that the receiver got
    files: Mapping[str, str]  # in the folder of the run, by name

    @property
    def shown(self) -> str:
        """Return all that a reader could see: both streams, and every written file."""
        return "\n".join([self.run.out, self.run.err, *self.files.values()])


def removing(identifier: str, *flags: str) -> tuple[str, ...]:
    """Return the command that removes a live subscription that hooksync did not make."""
    return ("remove", "--yes", *flags, "--", identifier)


def play(arguments: Sequence[str], scene: Scene) -> Seen:
    """Run a command in a scene, under a policy that allows receivers on this machine."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        box = stack.enter_context(Wire(service(scene.call, scene.said, scene.live), scene.tls))
        receiver = stack.enter_context(Wire(scene.receiver, scene.receiver_tls))
        urls = {"BOX": box.url, "RECEIVER": receiver.url, "PRESERVICA_SERVER": box.url}
        places = {name: url.replace("127.0.0.1", scene.host) for name, url in urls.items()}
        hosts = [
            "hooks.example.org",
            "archive.example",
            *(url.split("/")[2] for url in places.values()),
        ]
        given = {
            "hooks.yaml": scene.hooks,
            "policy.yaml": POLICY.format(hosts=hosts, receivers=[*hosts, "*.example"]),
        }
        for name, text in given.items():
            (folder / name).write_text(text, encoding="utf-8")
        environ = make_environ(
            HOOKSYNC_POLICY=str(folder / "policy.yaml"), **(places | dict(scene.environ))
        )
        run = hooksync(arguments, environ, folder, clock=JumpingClock())
        files = {
            path.name: path.read_text("utf-8")
            for path in folder.iterdir()
            if path.name not in given
        }
        return Seen(run, tuple(box.requests), tuple(receiver.requests), files)


def refusal(message: str) -> Respond:
    """Refuse a call with a message, as the service does."""
    return saying(answer(json.dumps({"message": message}, ensure_ascii=False).encode(), "422 No"))


# --- texts that a peer can send, and the commands that show them

Plant = Callable[[str], Scene]  # puts a text into one field

SHOWN = {
    **{f"plan, {name}": (*PLAN, "-v", *flags) for name, flags in FORMATS.items()},
    **{
        f"apply, {name}": (*APPLY, "-v", "--report", "r.json", *flags)
        for name, flags in FORMATS.items()
    },
    **{
        f"remove, {name}": removing(NOT_DECLARED["id"], "-v", "--report", "r.json", *flags)
        for name, flags in FORMATS.items()
    },
    "plan, HTML": (*PLAN, "-v", "--format", "html"),
    "list, text": ("list", "--no-state", "-v"),
    "list, JSON": ("list", "--no-state", "-v", "--format", "json"),
    "draft": ("init", "--file", "-", "--from-live", "-v"),
    "init": ("init", "--file", "new.yaml", "--from-live"),
    "check, text": ("check",),
    "check, JSON": ("check", "--format", "json"),
}


UNREACHED: dict[str, Any] = {"hooks": UNPROBED, "environ": {"RECEIVER": RECEIVER}}  # no challenge


def _listed(**planted: str) -> Scene:
    return Scene([DECLARED, {**NOT_DECLARED, **planted}], **UNREACHED)


def _refused(call: str) -> Plant:
    live = [DECLARED, NOT_DECLARED] if call == "unsubscribe" else []
    return lambda text: Scene(live, call, refusal(text), **UNREACHED)


def _tenant(text: str) -> Scene:
    said = {"success": True, "token": TOKEN, "refresh-token": REFRESH, "tenant": text}
    return Scene(
        [],
        "log-in",
        saying(answer(json.dumps(said).encode())),
        hooks=HOOKS.replace("    tenant: DEMO\n", ""),
    )


def _receiver(text: str) -> Scene:
    return Scene(receiver=saying(answer(text.encode(), "422 No")))


def _made(text: str) -> Scene:
    said = {"id": text, "url": "https://x.example/", "triggerType": text}
    return Scene([], "subscribe", saying(answer(json.dumps(said).encode())), **UNREACHED)


_PLANS = tuple(name for name in SHOWN if name.startswith("plan"))
_LISTS = ("list, text", "list, JSON")
_APPLIES = tuple(name for name in SHOWN if name.startswith("apply"))
_REMOVES = tuple(name for name in SHOWN if name.startswith("remove"))
_CHECKS = ("check, text", "check, JSON")
_OF_LIVE = (*_PLANS, *_LISTS, *_APPLIES, "draft", "init")
_OF_PLANS = (*_PLANS, "draft", "init", *_CHECKS)
FIELDS: dict[str, tuple[Plant, tuple[str, ...]]] = {  # each with the keys of SHOWN that can show it
    "an id": (lambda text: _listed(id=text), ("plan, JSON", *_APPLIES, *_LISTS)),
    "a URL": (
        lambda text: _listed(url=f"https://h.example/{text}"),
        _OF_LIVE,
    ),
    "a URL that is none": (
        lambda text: _listed(url=text),
        _OF_LIVE,
    ),
    "a trigger": (
        lambda text: _listed(triggerType=text),
        _OF_LIVE,
    ),
    "a tenant": (_tenant, (*_PLANS, *_APPLIES, *_CHECKS)),
    "a refused log-in": (_refused("log-in"), _OF_PLANS),
    "a refused list": (_refused("list"), _OF_PLANS),
    "a refused subscribe": (_refused("subscribe"), _APPLIES),
    "a refused unsubscribe": (_refused("unsubscribe"), _REMOVES),
    "a new id": (_made, _APPLIES),
    "a receiver": (_receiver, _CHECKS),
}


# --- values that no output may show, in one level of each encoding

Encode = Callable[[str], str]

_PART = 12  # characters of a value; to show so many is a leak


ENCODINGS = {  # those that attacks use
    name: ENCODERS[name]
    for name in (
        *("plain", "\\u of all", "Python escapes"),
        *("percent", "percent of all", "percent of all, lower case"),
        *("HTML, decimal", "HTML, no semicolons", "HTML, hex"),
        *("base64", "base64 for URLs", "base64 within more"),
        *("hex", "hex, upper case"),
    )
}


def leaks(shown: str, values: Sequence[str] = NEVER_SHOWN) -> list[str]:
    """Return the values of which a text shows a large part, in clear or in an encoding that
    `_readings` decodes.
    """
    readings = {shown, *_readings(shown)}
    return [
        value
        for value in values
        if any(part in reading for reading in readings for part in _parts(value))
    ]


@functools.cache
def _parts(value: str) -> tuple[str, ...]:
    """Return the parts of a value that no text may show."""
    return tuple(
        value[start : start + _PART] for start in range(0, max(len(value) - _PART, 0) + 1, 2)
    )


def _readings(text: str) -> Iterator[str]:
    """Yield each decoding of a text by which a reader may find a value."""
    yield unquote_plus(text)
    yield html.unescape(text)
    yield re.sub(r"\\+(?:x|u00)([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
    for run in re.findall(r"(?:[0-9a-fA-F]{2}){8,}", text):
        yield bytes.fromhex(run).decode("latin-1")
        yield bytes.fromhex(f"0{run}"[: len(run)]).decode("latin-1")
    for run in re.findall(r"[A-Za-z0-9+/_-]{12,}", text):
        for start in range(4):
            yield _base64(run[start:])


def _base64(run: str) -> str:
    whole = run[: len(run) // 4 * 4].replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(whole).decode("latin-1")
    except binascii.Error:  # not base64 at all
        return ""


# --- texts that steer a terminal or a CI runner


def steers(text: str) -> list[str]:
    """Return the lines that a terminal or a CI runner takes for more than text.

    Sources: GitHub's runner, ActionCommand.cs (`::x::` at the beginning of a line, after white
    space, and `##[x]` anywhere); Azure Pipelines' logging commands (`##vso[` anywhere).
    """
    return [line for line in text.split("\n") if not line.isprintable() or _COMMAND.search(line)]


_COMMAND = re.compile(r"^\s*::|##\w*\[")
