"""The pages under docs/ are played: each command runs on a sandbox, and must print the output that
the page shows.

Only two kinds of blocks are played. A block in YAML is the new hooks file, or the file that its
first line names. A block in `console` has commands after `$ `, each with its output below it.
`test_readme` checks the words of the pages, and mkdocs checks their links.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hooksync.cli.local import ListenOptions, SandboxFlags
from hooksync.cli.parser import HelpText, read_arguments
from hooksync.sandbox.tenancies import Account, SandboxOptions
from hooksync.state.contract import Holder
from hooksync.state.local import LocalStore
from tests.backends import find_program
from tests.boxes import Receiver, Sandbox
from tests.clocks import SteadyClock
from tests.command_line import LOG_IN, PASSWORD, ROOT, Run, hooksync
from tests.project.test_readme import BLOCK, PAGES, blocks, fenced, text_of
from tests.receivers.conftest import Server

INTERNALS = ROOT / "docs" / "internals"
CRON = ROOT / "docs" / "cron.md"
EVERYDAY = ROOT / "docs" / "everyday-changes.md"
JSON = ROOT / "docs" / "json.md"
OWNERSHIP = ROOT / "docs" / "ownership.md"
QUICK_START = ROOT / "docs" / "quick-start.md"
ROTATING = ROOT / "docs" / "rotating-secrets.md"
SAVED_PLANS = ROOT / "docs" / "saved-plans.md"
STATE = ROOT / "docs" / "state.md"
TAKING_OVER = ROOT / "docs" / "taking-over.md"
TEST_TENANCY = ROOT / "docs" / "test-tenancy.md"
TWO_COMPUTERS = ROOT / "docs" / "two-computers.md"
NAMED_TEST = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")
COMMAND = r"(?:^|[(;|] ?|\b[A-Z]+ \d )hooksync ([a-z][^;&)|#>]*)"
# the addresses of the sandbox and of the receivers on the pages
SERVICE = "http://127.0.0.1:8700"
RECEIVERS = "http://127.0.0.1:8701"
VENDOR = "http://127.0.0.1:8702"
GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "Archivist" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "archivist@example.org" for who in ("AUTHOR", "COMMITTER")},
}
NAMES = ("catalogue", "search", "discovery")  # in the URLs of the pages' receivers
STOP_LISTEN = "kill %?listen; wait %?listen"


def hooksync_commands(page: Path) -> Iterator[str]:
    """Yield the commands of hooksync that a page shows, in blocks and within its text."""
    text = text_of(page)
    for language, prompt in (("console", r"\$ "), ("text", ""), ("sh", "")):
        for line in re.findall(rf"^{prompt}(.*)$", "".join(blocks(language, text)), re.MULTILINE):
            for command in re.findall(COMMAND, line):
                yield command.strip()
    for command in re.findall(r"`hooksync ([a-z][^`]*)`", BLOCK.sub("", text)):
        yield command.partition(" >")[0]


@dataclass
class Stage:
    """The sandbox and the receivers that a page is played on, with a record of commands and
    outputs.
    """

    folder: Path
    box: Sandbox
    receiver: Receiver
    vendor: Receiver
    environ: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    hidden: set[str] = field(default_factory=lambda: {PASSWORD})
    code: int = 0

    def play(self, command: str) -> None:
        """Run a command as bash would, as far as the pages need it."""
        self.said.append(f"$ {command}\n")
        words = shlex.split(command)
        match words:
            case ["export", *settings]:
                self.environ |= dict(self.setting(each) for each in settings)
            case ["mkdir", name, "&&", "cd", _]:
                self.folder /= name
                self.folder.mkdir()
            case ["cd", name]:
                self.folder = (self.folder / name).resolve()
            case ["git" | "jq" | "tail" as program, *arguments]:
                self.say(self.ran(program, *arguments))
            case ["unset", name]:
                del self.environ[name]
            case ["chmod", mode, name]:
                (self.folder / name).chmod(int(mode, 8))
            case ["rm", name]:
                (self.folder / name).unlink()
            case ["echo", "$?"]:
                self.said.append(f"{self.code}\n")
            case ["echo", setting, ">>", name]:
                with (self.folder / name).open("a") as file:
                    file.write("=".join(self.setting(setting)) + "\n")
            case ["cat", name]:
                self.say(Run(0, (self.folder / name).read_text(), ""))
            case ["hooksync", "sandbox", *arguments, "&"]:
                self.play_sandbox(arguments)
            case ["hooksync", "listen", *arguments, "&"]:
                self.play_listen(arguments)
            case ["hooksync", *arguments, ">", name]:
                done = hooksync(arguments, self.environ, self.folder)
                (self.folder / name).write_text(done.out)
                # the JSON contains all problems, and the page does not show them a second time
                self.say(Run(done.code, "" if "json" in arguments else done.err, ""))
            case ["hooksync", "fire", *arguments]:
                real = ["fire", *(self.real(each) for each in arguments)]
                clock = SteadyClock()  # a busy machine is no slow receiver
                self.say(hooksync(real, self.environ, self.folder, merged=True, clock=clock))
            case ["hooksync", *arguments]:
                real = [self.real(each) for each in arguments]
                self.say(hooksync(real, self.environ, self.folder, merged=True))
            case _:
                assert command == STOP_LISTEN

    def ran(self, *command: str) -> Run:
        """Run a program that is not hooksync. Git has an author of its own, and no settings of this
        machine.
        """
        self.environ |= GIT
        done = subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], **self.environ},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=True,
        )
        return Run(0, done.stdout, "")

    def write(self, body: str) -> None:
        """Write a hooks file: `hooks.yaml`, unless the first line names a different one."""
        named = re.match(r"# (\w+\.yaml)\n", body)
        (self.folder / (named[1] if named else "hooks.yaml")).write_text(self.real(body))

    def setting(self, text: str) -> tuple[str, str]:
        name, _, value = text.partition("=")
        if value == "$(hooksync secret generate)":
            value = hooksync(["secret", "generate"], {}).out.strip()
            self.hidden.add(value)
        elif value.startswith("$"):
            value = self.environ[value[1:]]
        return name, self.real(value)

    def places(self) -> dict[str, str]:
        """Return each address of the page, and the real one."""
        vendor = self.vendor.url("")[:-1]
        return {RECEIVERS: self.receivers, SERVICE: self.box.url, VENDOR: vendor}

    def real(self, text: str) -> str:
        """Replace the addresses of the page by the real addresses."""
        for shown, real in self.places().items():
            text = text.replace(shown, real)
        return text

    def shown(self, text: str) -> str:
        """Replace the real addresses by the addresses of the page."""
        for shown, real in self.places().items():
            text = text.replace(real, shown)
        return text

    @property
    def receivers(self) -> str:
        return self.receiver.url("")[:-1]

    def play_sandbox(self, arguments: list[str]) -> None:
        """Set up the sandbox and its receivers as a start with these arguments would."""
        _, given = read_arguments(["sandbox", *arguments], {})
        assert isinstance(given, SandboxFlags)
        assert f":{given.port}" == SERVICE[-5:]
        servers = {int(RECEIVERS[-4:]): self.receiver, int(VENDOR[-4:]): self.vendor}
        for written in given.receivers if "--receiver" in given.given else ():
            name, _, secret = written.partition("=")
            servers[given.receiver_port].set_secret(name, self.environ[secret])
        for fault in given.faults:
            self.box.faults.add(fault)

    def play_listen(self, arguments: list[str]) -> None:
        """Give the receivers the secrets with which a page starts `hooksync listen`."""
        _, given = read_arguments(["listen", *arguments], {})
        assert isinstance(given, ListenOptions)
        assert f":{given.port}" == RECEIVERS[-5:]
        secrets = [self.environ[str(ref).removeprefix("env:")] for ref in given.secrets]
        for name in NAMES:
            self.receiver.set_secret(name, *secrets)

    def say(self, done: Run) -> None:
        self.code = done.code
        assert not [value for value in self.hidden if value in done.out]
        self.said.append(self.shown(done.out))


@dataclass
class FirstSteps(Stage):
    """A stage on which the sandbox and the reader's own receiver are processes, as in the quick
    start.
    """

    running: ExitStack = field(default_factory=ExitStack)
    # each host and port on the page, and the real ones
    found: dict[str, str] = field(default_factory=dict)
    server: Server | None = None
    written: str = ""  # the hooks file that the sandbox wrote

    def places(self) -> dict[str, str]:
        return self.found

    def shown(self, text: str) -> str:
        for shown, real in self.found.items():  # a table is as wide as the real address needs
            text = text.replace(f"  {real} ", f"  {shown.ljust(len(real))} ")
        return super().shown(text).replace(str(self.folder), "FOLDER")

    def play(self, command: str) -> None:
        match shlex.split(command):
            case ["hooksync", "sandbox", "--port", "8700", "--receiver-port", "8701", *arguments]:
                said = self.start_sandbox(arguments)
            case [".", name]:
                variables = re.findall(
                    r"^export (\w+)=(.*)$", (self.folder / name).read_text(), re.MULTILINE
                )
                self.environ |= dict(variables)
                said = ""
            case ["pip", "install", "--quiet", "--disable-pip-version-check", "flask"]:
                said = ""
            case ["cp", source, name]:
                shutil.copy(ROOT / source.removeprefix("../hooksync/"), self.folder / name)
                said = ""
            case ["flask", "--app", app, "run", "--port", "8702", "&"]:
                self.start_receiver(app)
                said = ""
            case _:
                super().play(command)
                return
        self.said.append(f"$ {command}\n{said}")

    def start(self, *arguments: str, errors: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={"PATH": "", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **self.environ},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        self.running.enter_context(process)
        return process

    def start_sandbox(self, arguments: list[str]) -> str:
        process = self.start("hooksync", "sandbox", *arguments, errors=subprocess.DEVNULL)
        self.running.callback(process.terminate)
        assert process.stdout
        lines: list[str] = []
        while not lines or not lines[-1].startswith(". "):
            lines.append(process.stdout.readline())
            assert lines[-1], "the sandbox has ended"
        service, receivers = re.findall(r"http://([0-9.:]+)", "".join(lines))
        self.found |= {"127.0.0.1:8700": service, "127.0.0.1:8701": receivers}
        self.written = self.shown((self.folder / "hooks.yaml").read_text())
        return self.shown("".join(lines))

    def start_receiver(self, app: str) -> None:
        process = self.start("flask", "--app", app, "run", "--port", "0", errors=subprocess.STDOUT)
        self.server = Server(process)
        self.running.callback(self.server.close)
        self.found["127.0.0.1:8702"] = self.server.url.split("/")[2]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as running:
        box = running.enter_context(Sandbox())
        receiver = running.enter_context(Receiver({"catalogue": ["not-given-a-secret-yet"]}))
        vendor = running.enter_context(Receiver({}))
        yield Stage(tmp_path, box, receiver, vendor)


def with_numbered_ids(text: str) -> str:
    """Replace ids by numbers, in the order in which they first appear, and times by fixed texts."""
    names: dict[str, str] = {}
    # the duration of a call
    text = re.sub(r"\b[0-9]+\.[0-9]{3} s(?=$|, secret)", "0.000 s", text, flags=re.MULTILINE)
    text = re.sub(r"\b20[0-9]{2}-[0-9]{2}-[0-9]{2}(T[0-9:]{8}Z)?", "NOW", text)
    return re.sub(
        r"\b([0-9a-f]{7,8}|[0-9a-f]{32})\b",
        lambda found: names.setdefault(found[0], f"ID-{len(names) + 1}"),
        text,
    )


def play(page: Path, stage: Stage) -> None:
    for language, body in fenced(text_of(page)):
        if language == "yaml":
            stage.write(body)
        if language == "console":
            for command in re.findall(r"^\$ (.*)$", body, re.MULTILINE):
                stage.play(command)


def check(page: Path, stage: Stage) -> None:
    """Play a page, and assert that the commands print what the page shows."""
    play(page, stage)
    shown = "".join(blocks("console", text_of(page)))
    assert with_numbered_ids("".join(stage.said)) == with_numbered_ids(shown)


@pytest.mark.slow
def test_the_commands_of_the_quick_start_print_what_the_page_shows(
    tmp_path: Path, stage: Stage
) -> None:
    with ExitStack() as running:
        first = FirstSteps(tmp_path, stage.box, stage.receiver, stage.vendor, running=running)
        check(QUICK_START, first)
        texts = [each for name in ("text", "output") for each in blocks(name, text_of(QUICK_START))]
        assert first.written in texts
        [printed] = (text for text in texts if text.startswith("200 event HOOK_SECRET\n"))
        assert first.server
        for line in printed.splitlines():
            first.server.wait_for(re.sub(r"[0-9a-f-]{36}", "[0-9a-f-]{36}", line).rstrip("[]"))


@pytest.fixture
def two_tenants(stage: Stage) -> Iterator[Stage]:
    with Sandbox(SandboxOptions(accounts=(Account(tenants=("DEMO", "TEST")),))) as box:
        stage.box = box
        yield stage


@pytest.mark.slow
def test_the_recipes_for_json_print_what_the_page_shows(stage: Stage) -> None:
    find_program("HOOKSYNC_TEST_JQ", "jq", "install jq")
    accounts = (Account(tenants=("BRAMA", "BRAMA_TEST")),)
    with Sandbox(SandboxOptions(accounts, traits=frozenset({"no-challenge"}))) as stage.box:
        for url, trigger in (
            ("https://catalogue.example.net/preservica", "FULL_TEXT_INDEXED"),
            ("https://old.example.net/hook?code=1", "INGEST_FAILED"),
        ):
            stage.box.seed("BRAMA", url, trigger, "a-shared-secret-of-tests")
        stage.box.faults.add("status-500@subscribe:1")
        stage.environ |= {
            **LOG_IN,
            "PRESERVICA_SERVER": stage.box.url,
            "HOOK_SECRET": "a-shared-secret-of-tests",
            "HOOKSYNC_LIST_WAIT": "0",  # the list of the sandbox does not lag
        }
        check(JSON, stage)


@pytest.mark.slow
def test_the_page_on_ownership_shows_what_hooksync_prints(two_tenants: Stage) -> None:
    check(OWNERSHIP, two_tenants)


@pytest.mark.slow
def test_a_month_prints_what_its_page_shows_and_leaves_the_vendors_subscription_alone(
    two_tenants: Stage,
) -> None:
    check(EVERYDAY, two_tenants)
    live = two_tenants.box.subscriptions("DEMO")
    [vendors] = (live_one for live_one in live if live_one.url.endswith("/vendor"))
    assert vendors.secret == two_tenants.environ["HELD_BY_THE_VENDOR"]
    calls = [call.path for call in two_tenants.box.calls if call.name == "unsubscribe"]
    assert calls
    assert not [path for path in calls if path.endswith(vendors.id)]


@pytest.mark.slow
@pytest.mark.parametrize("page", [CRON, SAVED_PLANS, TWO_COMPUTERS], ids=lambda page: page.stem)
def test_the_commands_of_a_page_print_what_it_shows(page: Path, stage: Stage) -> None:
    check(page, stage)


@pytest.mark.slow
def test_the_commands_that_rotate_secrets_print_what_the_page_shows(stage: Stage) -> None:
    check(ROTATING, stage)


def test_the_commands_that_take_over_a_tenancy_print_what_the_page_shows(stage: Stage) -> None:
    check(TAKING_OVER, stage)


def test_the_commands_of_the_page_on_the_state_print_what_it_shows(stage: Stage) -> None:
    secret = "a-shared-secret-of-tests"
    stage.receiver.set_secret("catalogue", secret)
    stage.environ |= {
        **LOG_IN,
        "PRESERVICA_SERVER": stage.box.url,
        "PRESERVICA_TENANT": "DEMO",
        "CATALOGUE_URL": stage.receiver.url("catalogue"),
        "CATALOGUE_SECRET": secret,
    }
    (stage.folder / "hooks.yaml").write_text(blocks("yaml", text_of(STATE))[0])
    holder = Holder("archivist on host-7 (process 4711)", since=1_800_000_000)
    with LocalStore(str(stage.folder / "hooks.state.json")).hold(holder):
        refused = hooksync(["apply", "--yes"], stage.environ, stage.folder)
    assert refused.code == 3
    assert refused.err.replace(str(stage.folder), "...") in blocks("output", text_of(STATE))
    assert hooksync(["apply", "--yes"], stage.environ, stage.folder).code == 0
    check(STATE, stage)


def run_line(line: str, stage: Stage) -> str:
    """Run a line of the crontab on the page, as cron does. Return what cron would mail."""
    command = line.split(maxsplit=5)[5]
    command = command.replace("/opt/hooksync/bin/hooksync", f"{sys.executable} -m hooksync")
    done = subprocess.run(
        ["sh", "-c", command.replace("/srv/webhooks", str(stage.folder))],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **stage.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return done.stdout


@pytest.mark.slow
def test_cron_mails_what_needs_a_person_and_nothing_else(stage: Stage) -> None:
    lines = "".join(blocks("crontab", text_of(CRON))).splitlines()
    planned, applied = (line for line in lines if line[0].isdigit())
    play(CRON, stage)  # at the end of the page, a trigger is added and not applied
    assert "1 to subscribe" in run_line(planned, stage)
    assert run_line(applied, stage) == ""
    assert "Verified: live matches declared." in (stage.folder / "apply.log").read_text()
    assert run_line(planned, stage) == ""
    stage.environ["PRESERVICA_PASSWORD"] = "expired"
    assert "401" in run_line(planned, stage)
    assert "401" in run_line(applied, stage)


def test_the_script_for_a_test_tenancy_prints_the_answers_of_the_service(stage: Stage) -> None:
    [script] = blocks("python", text_of(TEST_TENANCY))
    stage.receiver.set_secret("catalogue", "a-shared-secret-of-tests")
    stage.environ |= {**LOG_IN, "PRESERVICA_TENANT": "DEMO", "PRESERVICA_SERVER": "none"}
    stage.environ |= {"HOOK_URL": stage.receiver.url("catalogue")}
    stage.environ |= {"HOOK_SECRET": "a-shared-secret-of-tests"}
    server = '"https://" + os.environ["PRESERVICA_SERVER"]'
    assert server in script
    done = subprocess.run(
        [sys.executable, "-c", script.replace(server, repr(stage.box.url))],
        env=stage.environ,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    [made] = stage.box.subscriptions("DEMO")
    assert [made.id in line for line in done.stdout.splitlines()] == [True, True]


def test_hooksync_accepts_the_arguments_of_every_command_on_a_page() -> None:
    commands = {command for page in PAGES for command in hooksync_commands(page)}
    assert {"check", "plan --probe", "secret generate"} <= commands
    for command in commands:
        try:
            read_arguments(shlex.split(command), {})
        except HelpText:
            continue


def test_each_promise_of_the_threat_model_fills_all_columns_and_names_tests() -> None:
    rows = [line for line in text_of(INTERNALS / "threat-model.md").splitlines() if "|" in line]
    rows = [row for row in rows if not row.startswith(("| promise,", "|---|"))]
    assert len(rows) > 30
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert (len(cells), all(cells), NAMED_TEST.search(cells[1]) is None) == (3, True, False), (
            row
        )


def test_each_further_promise_names_tests() -> None:
    text = text_of(INTERNALS / "evidence.md").partition("\n## Further promises\n")[2]
    promises = re.findall(r"^\| ([A-Z].*)$", text.partition("\n## ")[0], re.MULTILINE)
    assert len(promises) > 15
    assert [promise for promise in promises if not NAMED_TEST.search(promise)] == []


def test_each_test_that_a_page_names_exists() -> None:
    named = {found for page in PAGES for found in NAMED_TEST.findall(text_of(page))}
    assert len(named) > 100
    for path, name in named:
        assert f"\ndef {name}(" in text_of(ROOT / "tests" / path), name
