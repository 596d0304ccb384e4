"""The pages about receivers are correct. The tests play the session, run the recipes with the test
vectors, and compare the tables with the code.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hooksync import receiver as module
from hooksync.core.model import TRIGGER_NAMES
from hooksync.receiver import sign_event
from hooksync.receivers.events import NewEvents
from hooksync.sandbox.receiver import ReceiverServer
from tests.backends import missing
from tests.boxes import Sandbox
from tests.command_line import ROOT
from tests.lanes import sampled
from tests.project.test_docs import RECEIVERS, SERVICE, Stage, check
from tests.project.test_readme import blocks, text_of
from tests.receivers.conftest import COMMANDS, EXAMPLES, SECRETS, Server, started

PAGE = ROOT / "docs" / "receivers.md"
REFERENCE = ROOT / "docs" / "what-preservica-sends.md"
VECTORS = json.loads((EXAMPLES / "vectors.json").read_text(encoding="utf-8"))
NEW, OLD = SECRETS.values()


def snippets(language: str, page: Path = REFERENCE) -> list[str]:
    return blocks(language, text_of(page))


# Write a receiver in ten minutes


@dataclass
class WithFlask(Stage):
    """A stage on which `flask` starts the receiver of the page.

    `hooksync sandbox` starts nothing, because the sandbox runs already.
    """

    start: Callable[[dict[str, str]], Server] = NotImplemented
    server: Server | None = None

    @property
    def receivers(self) -> str:
        return self.server.url.removesuffix("/hook") if self.server else super().receivers

    def play(self, command: str) -> None:
        if command == "flask --app app run --port 8701 >receiver.log 2>&1 &":
            self.said.append(f"$ {command}\n")
            self.server = self.start({"HOOK_SECRET": self.environ["HOOK_SECRET"]})
        elif command == f"hooksync sandbox --port {SERVICE[-4:]} >sandbox.log 2>&1 &":
            self.said.append(f"$ {command}\n")
        else:
            super().play(command)

    def shown(self, text: str) -> str:
        host, on_the_page = (
            self.receivers.removeprefix("http://"),
            RECEIVERS.removeprefix("http://"),
        )
        return super().shown(text).replace(f"  {host} ", f"  {on_the_page.ljust(len(host))} ")


@pytest.fixture
def stage(tmp_path: Path, stack: Any) -> Iterator[WithFlask]:
    (tmp_path / "app.py").write_text(snippets("python", PAGE)[0])
    arguments = COMMANDS["flask"][1]
    with Sandbox() as box, ReceiverServer({}) as nobody:
        yield WithFlask(
            tmp_path,
            box,
            nobody,
            nobody,
            start=lambda environ: stack.enter_context(started(arguments, tmp_path, environ)),
        )


def test_the_session_of_the_page_works_and_its_receiver_takes_an_event_signed_by_hand(
    stage: WithFlask,
) -> None:
    check(PAGE, stage)
    assert stage.server
    stage.server.wait_for(r"FULL_TEXT_INDEXED IO [0-9a-f-]{36} \[\]\n")
    (by_hand,) = (body for body in snippets("sh") if "openssl" in body)
    for program in ("bash", "openssl", "curl"):
        if not shutil.which(program):
            missing(f"{program} is not there", "install it")
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOOK_URL": stage.server.url,
        "HOOK_SECRET": stage.environ["HOOK_SECRET"],
    }
    done = subprocess.run(
        ["bash", "-c", by_hand], env=environ, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"success": True}
    stage.server.wait_for("7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2")


@pytest.mark.parametrize(("sign", "kept"), [("-", 1), ("+", 2)])
def test_of_the_two_receivers_in_the_diff_only_the_new_one_works_on_an_event_with_an_accent(
    sign: str,
    kept: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    [diff] = snippets("diff", PAGE)
    lines = [line[1:] for line in diff.splitlines() if line[:1] in (sign, " ", "")]
    monkeypatch.setenv("HOOK_SECRET", NEW)
    scope: dict[str, Any] = {"__name__": "app"}
    exec("\n".join(lines), scope)
    client = scope["app"].test_client()
    assert client.post("/hook?challengeCode=c0de").status_code == 200
    for letter in ("a", "\u00e9"):
        entity = {"entityType": "IO", "entityRef": "reference", "identifiers": [{"a": letter}]}
        body = json.dumps({"events": [entity]}, ensure_ascii=False).encode()
        headers = {"Preservica-Signature": sign_event(NEW.encode(), body)}
        assert client.post("/hook", data=body, headers=headers).status_code == 200
    assert capsys.readouterr().out.count("IO reference") == kept


# What Preservica sends


def test_an_event_that_fire_makes_has_the_fields_of_the_event_on_the_page() -> None:
    shown = json.loads(snippets("json")[1])
    document: Any = NewEvents(time.time(), "FULL_TEXT_INDEXED").make()
    assert list(document) == list(shown)
    assert list(document["events"][0]) == list(shown["events"][0])
    assert re.sub(r"\d", "0", document["timestamp"]) == re.sub(r"\d", "0", shown["timestamp"])


def test_the_table_of_triggers_is_that_of_hooksync() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| `([A-Z_]+)` \|", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert dict(rows) == TRIGGER_NAMES


# Other languages

# Programs that run the snippet of each language. Each program reads calls and prints their results.
# A call is a line: "challenge SECRET CODE" or "verify BODY SIGNATURE SECRET...". Each word after
# the first is in hex.
PYTHON = """
import sys
import time
for line in sys.stdin:
    what, *words = line.split()
    first, second, *rest = (bytes.fromhex(word) for word in words)
    if what == "challenge":
        print(challenge_response(first.decode(), second.decode()) or "refused")
    else:
        print(str(is_genuine([each.decode() for each in rest], first, second.decode())).lower())
"""
JAVASCRIPT = """
for (const line of require("node:fs").readFileSync(0, "utf8").trim().split("\\n")) {
  const [what, ...words] = line.split(" ");
  const [first, second, ...rest] = words.map((word) => Buffer.from(word, "hex"));
  console.log(what === "challenge" ? challengeResponse(first.toString(), second.toString()) ?? "refused"
    : String(isGenuine(rest.map(String), first, second.toString())));
}
"""
GO = """
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

func main() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		read := []string{}
		for _, word := range words[1:] {
			decoded, _ := hex.DecodeString(word)
			read = append(read, string(decoded))
		}
		if words[0] == "challenge" {
			response, answered := ChallengeResponse(read[0], read[1])
			if !answered {
				response = "refused"
			}
			fmt.Println(response)
		} else {
			fmt.Println(IsGenuine(read[2:], []byte(read[0]), read[1]))
		}
	}
}
"""


@dataclass(frozen=True)
class Language:
    """One way to run a language's snippet on the page."""

    name: str  # as written after the fence
    programs: tuple[str, ...]  # that must be installed
    files: dict[str, str]  # a {} at the beginning of a file is replaced by the snippet
    commands: tuple[Sequence[str], ...]  # the last one reads the calls


LANGUAGES = [
    Language("python", (), {"recipe.py": "{}" + PYTHON}, ([sys.executable, "-I", "-S", "recipe.py"],)),
    Language("javascript", ("node",), {"recipe.js": "{}" + JAVASCRIPT}, (["node", "recipe.js"],)),
    Language("go", ("go",), {"recipe.go": "{}", "main.go": GO}, (["go", "run", "recipe.go", "main.go"],)),
]  # fmt: skip


def calls() -> Iterator[tuple[str, list[bytes], str]]:
    """Yield the test vectors: a kind of call, its words, and the expected result."""
    for each in VECTORS["challenges"]:
        words = [each["secret"].encode(), each["code"].encode()]
        yield "challenge", words, each["response"] or "refused"
    for each in VECTORS["events"]:
        words = [each["body"].encode(), each["signature"].encode()]
        secrets = [secret.encode() for secret in each["secrets"]]
        if each["signature"]:  # an empty signature cannot be a word
            yield "verify", [*words, *secrets], str(each["is_genuine"]).lower()


def test_the_module_agrees_with_the_test_vectors() -> None:
    for each in VECTORS["challenges"]:
        answer = module.Receiver("catalogue", {"NEW": each["secret"]}).receive(
            "POST", each["query"], {}, b"", bool
        )
        document = json.loads(answer.body)
        told = (document.get("challengeCode"), document.get("challengeResponse"))
        expected = (each["code"] if each["response"] else None, each["response"])
        assert told == expected, each["why"]
    for each in VECTORS["events"]:
        receiver = module.Receiver(
            "catalogue", {str(number): it for number, it in enumerate(each["secrets"])}
        )
        headers = {"Preservica-Signature": each["signature"]}
        answer = receiver.receive("POST", "", headers, each["body"].encode(), bool)
        assert (answer.status == 200) == each["is_genuine"], each["why"]


@pytest.mark.parametrize(
    "language", sampled(LANGUAGES, 3), ids=lambda each: "-".join((each.name, *each.programs))
)
def test_the_recipe_of_each_language_signs_and_verifies_as_hooksync_does(
    language: Language, tmp_path: Path
) -> None:
    for program in language.programs:
        if not shutil.which(program):
            missing(f"{program} is not there", "install the tools of the language")
    (recipe,) = (each for each in snippets(language.name) if "genuine" in each.lower())
    for name, text in language.files.items():
        (tmp_path / name).write_text(
            recipe + text.removeprefix("{}") if text.startswith("{}") else text
        )
    asked = list(calls())
    given = "".join(
        f"{what} {' '.join(word.hex() for word in words)}\n" for what, words, _ in asked
    )
    for command in language.commands:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.split() == [expected for _, _, expected in asked]
