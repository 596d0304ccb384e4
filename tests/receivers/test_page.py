"""docs/receivers.md is so: its session is played, its snippets are run, its tables are those of the
code.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hooksync import receiver as module
from hooksync.core.model import TRIGGER_NAMES
from hooksync.receiver import EVENT_PREFIX, Memory, event_key, sign_challenge, sign_event
from hooksync.sandbox.receiver import Receiver, event_body
from hooksync.sandbox.tenancies import Subscription
from tests.backends import missing
from tests.boxes import Sandbox
from tests.command_line import ROOT
from tests.lanes import sampled
from tests.project.test_docs import RECEIVERS, SERVICE, Stage, blocks, check
from tests.receivers.conftest import COMMANDS, SECRETS, Server, started

PAGE = ROOT / "docs" / "receivers.md"
NEW, OLD = SECRETS.values()


def snippets(language: str) -> list[str]:
    return [body for found, body in blocks(PAGE) if found == language]


# Write one in ten minutes


@dataclass
class WithFlask(Stage):
    """Where `flask` starts the page's receiver, and `hooksync sandbox` the tenancy that runs
    already.
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
    (tmp_path / "app.py").write_text(snippets("python")[0])
    arguments = COMMANDS["flask"][1]
    with Sandbox() as box, Receiver({}) as nobody:
        yield WithFlask(
            tmp_path,
            box,
            nobody,
            start=lambda environ: stack.enter_context(started(arguments, tmp_path, environ)),
        )


def test_a_first_receiver_goes_as_its_page_says_and_takes_the_event_that_is_signed_by_hand(
    stage: WithFlask,
) -> None:
    check(PAGE, stage)
    assert stage.server
    stage.server.wait_for(r"FULL_TEXT_INDEXED IO [0-9a-f-]{36}\n.*POST /hook HTTP")
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
        ["bash", "-c", by_hand], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == {"success": True}
    stage.server.wait_for("7fdea7e0-1e72-4fb1-aadb-d7f9ee6ed8c2")


def test_the_first_receiver_refuses_what_is_forged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOOK_SECRET", NEW)
    scope: dict[str, Any] = {"__name__": "app"}
    exec(snippets("python")[0], scope)
    client = scope["app"].test_client()
    assert client.post("/hook?challengeCode=c0de").json["challengeResponse"] == sign_challenge(
        NEW.encode(), b"c0de"
    )
    assert client.post("/hook?challengeCode=preservica-webhook-auth").status_code == 400
    body = snippets("json")[1].encode()
    headers = {"Preservica-Signature": sign_event(NEW.encode(), body)}
    assert client.post("/hook", data=body, headers=headers).json == {"success": True}
    assert client.post("/hook", data=body + b" ", headers=headers).status_code == 401
    assert json.loads(body)["events"][0]["entityRef"] in capsys.readouterr().out


def test_the_memory_that_processes_share_lets_one_of_them_work(tmp_path: Path) -> None:
    scope: dict[str, Any] = {}
    exec(snippets("python")[-1], scope)
    memories = [scope["Shared"](str(tmp_path / "seen.sqlite")) for _ in range(4)]
    together = threading.Barrier(4)

    def receive(memory: Memory) -> str:
        together.wait()
        headers = {"Preservica-Signature": sign_event(NEW.encode(), b"{}")}
        return module.Receiver({"NEW": NEW}, memory).receive("POST", "", headers, b"{}").kind

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(receive, memories)) == ["duplicate"] * 3 + ["event"]
    memories[0].discard(event_key({}))
    assert memories[1].add(event_key({}))


# What Preservica sends


def test_an_event_of_the_sandbox_has_the_fields_of_the_one_on_the_page() -> None:
    shown = json.loads(snippets("json")[1])
    made = Subscription("https://hooks.example.org/x", "FULL_TEXT_INDEXED", NEW, id="9" * 32)
    document = json.loads(event_body("BRAMA", made, shown["events"]))
    assert list(document) == list(shown)
    assert re.sub(r"\d", "0", document["timestamp"]) == re.sub(r"\d", "0", shown["timestamp"])


def test_the_table_of_triggers_is_that_of_hooksync() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| `([A-Z_]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert dict(rows) == TRIGGER_NAMES


# Other languages

# What runs a language's snippet: how it is built and run, and a program that reads calls and prints
# what came of each. A call is a line: "challenge SECRET CODE" or "verify BODY SIGNATURE SECRET...",
# each word in hex.
PYTHON = """
import sys
import threading
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
CSHARP = """
public static class Program
{
    static byte[] Read(string hex)
    {
        return Enumerable.Range(0, hex.Length / 2).Select(n => Convert.ToByte(hex.Substring(2 * n, 2), 16)).ToArray();
    }

    public static void Main()
    {
        for (var line = Console.ReadLine(); line != null; line = Console.ReadLine())
        {
            var words = line.Split(' ');
            var read = words.Skip(1).Select(Read).ToArray();
            var text = read.Select(Encoding.UTF8.GetString).ToArray();
            Console.WriteLine(words[0] == "challenge" ? Webhooks.ChallengeResponse(text[0], text[1]) ?? "refused"
                : Webhooks.IsGenuine(text.Skip(2), read[0], text[1]) ? "true" : "false");
        }
    }
}
"""
JAVA = """
import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.Arrays;
import java.util.HexFormat;
import java.util.Scanner;

public class Main {
    public static void main(String[] none) throws Exception {
        for (Scanner lines = new Scanner(System.in); lines.hasNextLine(); ) {
            String[] words = lines.nextLine().split(" ");
            byte[][] read = Arrays.stream(words).skip(1).map(HexFormat.of()::parseHex).toArray(byte[][]::new);
            var text = Arrays.stream(read).map(each -> new String(each, UTF_8)).toList();
            if (words[0].equals("challenge")) {
                String response = Webhooks.challengeResponse(text.get(0), text.get(1));
                System.out.println(response == null ? "refused" : response);
            } else {
                System.out.println(Webhooks.isGenuine(text.subList(2, text.size()), read[0], text.get(1)));
            }
        }
    }
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
PROJECT = """
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup><OutputType>Exe</OutputType><TargetFramework>net8.0</TargetFramework><RollForward>Major</RollForward></PropertyGroup>
</Project>
"""


@dataclass(frozen=True)
class Language:
    """One way to run a language's snippet on the page."""

    name: str  # as after the fence
    programs: tuple[str, ...]  # that it needs
    files: dict[str, str]  # one that begins with {} begins with the snippet
    commands: tuple[Sequence[str], ...]  # the last one reads the calls


LANGUAGES = [
    Language("python", (), {"recipe.py": "{}" + PYTHON}, ([sys.executable, "-I", "-S", "recipe.py"],)),
    Language("javascript", ("node",), {"recipe.js": "{}" + JAVASCRIPT}, (["node", "recipe.js"],)),
    Language("csharp", ("dotnet",), {"recipe.cs": "{}" + CSHARP, "r.csproj": PROJECT}, (["dotnet", "run"],)),
    Language("csharp", ("mcs", "mono"), {"recipe.cs": "{}" + CSHARP}, (["mcs", "recipe.cs"], ["mono", "recipe.exe"])),
    Language(
        "java", ("javac", "java"), {"Webhooks.java": "{}", "Main.java": JAVA},
        (["javac", "Webhooks.java", "Main.java"], ["java", "-cp", ".", "Main"]),
    ),
    Language("go", ("go",), {"recipe.go": "{}", "main.go": GO}, (["go", "run", "recipe.go", "main.go"],)),
]  # fmt: skip


def calls() -> Iterator[tuple[str, list[bytes], str]]:
    """Give what is asked, and what must come of it."""
    draw = random.Random(15)
    codes = [draw.randbytes(16).hex(), "a b+c/d=&%", "Z~", "0", "c0de" * 100]
    for code in codes:
        yield (
            "challenge",
            [NEW.encode(), code.encode()],
            sign_challenge(NEW.encode(), code.encode()),
        )
    forging = [
        EVENT_PREFIX.decode(),
        EVENT_PREFIX.decode() + "{}",
        '{"a": 1}',
        "[1]",
        '"text"',
        " [1]",
        "~",
        "\ufeff[1]",
        "\0[\0" + "1",
        "caf\u00e9",
        "\u20ac",
        "a\nb",
        "a\n",
    ]
    for code in forging:
        yield "challenge", [NEW.encode(), code.encode()], "refused"
    bodies = [
        *snippets("json")[1:2],
        '{"tenant": "Biblioth\u00e8que \u20ac"}',
        draw.randbytes(2000).hex(),
    ]
    for body in (each.encode() for each in bodies):
        right = sign_event(OLD.encode(), body)
        secrets = [NEW.encode(), OLD.encode()]
        yield "verify", [body, right.encode(), *secrets], "true"
        yield "verify", [body, right.upper().encode(), *reversed(secrets)], "true"
        yield "verify", [body, right.encode(), NEW.encode()], "false"
        yield "verify", [body + b" ", right.encode(), *secrets], "false"
        for wrong in (
            right[:-1],
            right + "0",
            "0" * 64,
            "caf\u00e9",
            sign_challenge(OLD.encode(), body),
        ):
            yield "verify", [body, wrong.encode(), *secrets], "false"


@pytest.mark.parametrize(
    "language", sampled(LANGUAGES, 9), ids=lambda each: "-".join((each.name, *each.programs))
)
def test_the_recipe_of_each_language_signs_and_verifies_as_hooksync_does(
    language: Language, tmp_path: Path
) -> None:
    for program in language.programs:
        if program == "dotnet" and not shutil.which(program):
            pytest.skip("dotnet is not installed, and no package of Debian has it")
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
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.split() == [expected for _, _, expected in asked]
