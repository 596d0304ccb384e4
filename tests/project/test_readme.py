"""The documents match hooksync: their commands, outputs, flags, examples and file names."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from hooksync.core.errors import ExitCode
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import LOG_IN, ROOT, Run, hooksync
from tests.conftest import unprobed
from tests.site.cli import commands, help_of

README = ROOT / "README.md"
HOOKS_FILE = ROOT / "docs" / "hooks-file.md"
QUICK_START = ROOT / "docs" / "quick-start.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
SECRET = "a-shared-secret-of-tests"
NAMED_FILES = r"`((?:examples|hooksync|schemas|tests|\.ci)/[\w./-]+)`"
OTHER_COMMANDS = r"^(?:\$ )?(?:aws|az|curl|docker|flask|gh|gunicorn|kubectl|uvicorn) (?:.*\\\n)*.*$"
OTHER_FLAGS = """
of pip, ruff, .ci/reproducible and .ci/lock: --disable-pip-version-check --editable --check --upgrade
of aws, az, gh and git: --json --jq --repo --secret-id --query --output --vault-name --name --ours --theirs --add
--global --quiet --bare --initial-branch --set-upstream --all --message --delete
of our own test tools: --minutes --seed --atheris --only --quick --json --markdown
--number --steps --from --jobs --strict
"""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def fenced(text: str) -> list[tuple[str, str]]:
    """Return the language and the text of each fenced block, also of those within lists."""
    return [(language, textwrap.dedent(body)) for _, language, body in BLOCK.findall(text)]


def blocks(language: str, text: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [body for written, body in fenced(text) if written == language]


def run_guide(box: Sandbox, folder: Path, *arguments: str, search: str = SECRET) -> Run:
    """Run a command of a guide. Its output shows the server and the tenant of the guides.

    `search`: the value of SEARCH_SECRET.
    """
    environ = {
        **LOG_IN,
        "PRESERVICA_SERVER": box.url,
        "PRESERVICA_TENANT": "DEMO",
        "CATALOGUE_SECRET": SECRET,
        "CATALOGUE_KEY": "key",
        "SEARCH_SECRET": search,
    }
    done = hooksync(arguments, environ, folder)
    return replace(done, out=done.out.replace(f"{box.url} / DEMO", "eu.preservica.com / BRAMA"))


def guide_file() -> str:
    [shown] = (each for each in blocks("yaml", text_of(QUICK_START)) if "${CATALOGUE_KEY}" in each)
    return shown


def without_ids(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{8}\b", "ID", text)


def test_hooksync_prints_the_plan_that_the_readme_and_the_first_page_show(tmp_path: Path) -> None:
    [file], [plan] = (blocks(language, text_of(README)) for language in ("yaml", "diff"))
    with Sandbox(SandboxOptions(traits=frozenset({"no-challenge"}))) as box:
        before = unprobed(file).replace("[INDEXED, MOVED]", "[INDEXED]")
        (tmp_path / "hooks.yaml").write_text(before)
        assert run_guide(box, tmp_path, "apply", "--yes").code == 0
        box.seed("DEMO", "https://old.example.net/hook?code=1", "INGEST_FAILED", SECRET)
        (tmp_path / "hooks.yaml").write_text(file)
        done = run_guide(box, tmp_path, "plan", search="a-rotated-secret-of-tests")
    assert without_ids(done.out) == without_ids(plan)
    assert f"```diff\n{plan}```" in text_of(ROOT / "docs" / "index.md")


def test_hooksync_prints_the_first_plan_of_the_quick_start(tmp_path: Path) -> None:
    [plan] = blocks("diff", text_of(QUICK_START))
    (tmp_path / "hooks.yaml").write_text(guide_file())
    with Sandbox(SandboxOptions()) as box:
        box.seed("DEMO", "https://old.example.net/hook", "INGEST_FAILED", SECRET)
        done = run_guide(box, tmp_path, "plan")
    assert done.out == plan


def test_hooksync_reports_mistakes_as_the_page_on_the_hooks_file_shows(tmp_path: Path) -> None:
    wrong = (
        guide_file()
        .replace("triggers:", "triger:")
        .replace("{env: CATALOGUE_SECRET}", "a-literal-secret")
    )
    (tmp_path / "hooks.yaml").write_text(wrong)
    done = hooksync(["validate"], {}, tmp_path)
    assert done.code == ExitCode.ERROR
    assert done.err in blocks("output", text_of(HOOKS_FILE))


@pytest.mark.parametrize("text", blocks("yaml", text_of(README) + text_of(HOOKS_FILE)))
def test_hooks_files_in_the_readme_and_on_the_page_on_the_hooks_file_are_valid(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "hooks.yaml").write_text(text)
    done = hooksync(["validate"], {}, tmp_path)
    assert (done.code, done.err) == (0, "")


def test_every_file_that_a_page_names_exists() -> None:
    named = {each for page in PAGES for each in re.findall(NAMED_FILES, text_of(page))}
    assert not [path for path in named if not (ROOT / path).exists()]


def test_a_page_names_no_flag_that_does_not_exist() -> None:
    known = set(re.findall(r"--[a-z][a-z-]+", "".join(help_of(*chain) for chain in commands())))
    for page in PAGES:
        text = re.sub(OTHER_COMMANDS, "", text_of(page), flags=re.MULTILINE)
        used = set(re.findall(r"(?<![\w<!-])--[a-z][a-z-]+", text))
        assert used <= known | {*OTHER_FLAGS.split()}, page
